// etude synth: a corpus of synthetic music with known emotion.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/option_check.h"
#include "apps/progress.h"
#include "data/synth.h"

namespace etude::apps {

namespace {

struct Options {
  std::string out, layout = "deam";
  std::int64_t seed = 0;
  data::SynthOptions synth;
};

int synth(Options options) {
  options.synth.seed = static_cast<std::uint64_t>(options.seed);
  options.synth.layout = options.layout == "deam"    ? data::SynthLayout::deam
                         : options.layout == "pmemo" ? data::SynthLayout::pmemo
                                                     : data::SynthLayout::folder;
  ProgressBar bar("songs", options.synth.songs, "songs");
  const auto start = Clock::now();
  options.synth.progress = [&](int done, int) {
    bar.update(done);
    return !interrupted();
  };
  data::synthesize_corpus(options.out, options.synth);
  check_interrupted();
  bar.finish();
  note(fmt::format("{} songs in {}, layout {}, seed {}, {:.1f} s", options.synth.songs, options.out,
                   options.layout, options.seed, seconds_since(start)));
  return exit_done;
}

}  // namespace

Command synth_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  auto& s = options->synth;
  CLI::App* sub =
      app.add_subcommand("synth", "Write a corpus of synthetic music with known emotion");
  sub->add_option("out", options->out, "Folder to write; an unfinished corpus is completed")
      ->required();
  sub->add_option("--songs", s.songs, "How many")
      ->check(number_in(1, 1000000))
      ->capture_default_str();
  sub->add_option("--seed", options->seed, "The same seed gives the same songs")
      ->capture_default_str();
  sub->add_option("--layout", options->layout, "Layout on disk: that of DEAM, of PMEmo, or classes")
      ->check(CLI::IsMember({"deam", "pmemo", "folder"}))
      ->capture_default_str();
  sub->add_option("--seconds", s.seconds, "Length of a song; deam and pmemo: at least 20")
      ->check(number_in(1.0, 600.0))
      ->capture_default_str();
  sub->add_option("--noise", s.noise, "How far the music strays from its labels; 0: not at all")
      ->check(number_from(0.0))
      ->capture_default_str();
  sub->add_option("--soundfont", s.soundfont, "A General MIDI .sf2 file [the system's]");
  sub->add_option("--threads", s.threads, "0: all")->check(number_in(0, 4096));
  sub->footer(
      "Tempo, mode, register, loudness, articulation, brightness and density follow a drawn "
      "valence\n"
      "and arousal; fluidsynth renders the score, and the files carry the annotations.\n"
      "\n"
      "Example:\n"
      "  etude synth corpus --songs 200 --seed 1 --layout deam");
  return {sub, [options] { return synth(*options); }};
}

}  // namespace etude::apps
