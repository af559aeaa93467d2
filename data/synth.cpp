#include "data/synth.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "data/audio.h"
#include "data/files.h"
#include "data/synth_layout.h"
#include "data/synth_render.h"

namespace etude::data {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

constexpr const char* kManifest = "synth.json";

// Everything that decides the bytes; `version` counts changes of the music itself.
Json describe(const SynthOptions& options, const fs::path& soundfont) {
  return {{"version", 1},
          {"layout", to_string(options.layout)},
          {"songs", options.songs},
          {"seed", options.seed},
          {"seconds", options.seconds},
          {"noise", options.noise},
          {"soundfont", fs::canonical(soundfont).filename().string()},
          {"soundfont_bytes", fs::file_size(soundfont)}};
}

// Empty and absent folders are taken; one that holds a corpus must hold this one.
void claim(const fs::path& root, const Json& wanted) {
  std::error_code error;
  const std::string name = root.string();
  const fs::path file = root / kManifest;
  if (!fs::exists(file, error)) {
    check(!fs::exists(root, error) || fs::is_directory(root, error),
          "synth: {}: is a file; expected a folder, or nothing there", name);
    check(!fs::exists(root, error) || fs::is_empty(root, error),
          "synth: {}: holds something else than a synthetic corpus; name an empty folder", name);
    write_file(file, wanted.dump(2) + "\n");
    return;
  }
  const Json found = Json::parse(read_file(file), nullptr, false);
  check(found.is_object(), "synth: {}: is no JSON object; remove the folder or name another",
        file.string());
  for (const auto& [key, value] : wanted.items())
    check(found.contains(key) && found[key] == value,
          "synth: {}: holds a corpus with {} = {}, asked for {}; remove it or name another folder",
          name, key, found.contains(key) ? found[key].dump() : "(none)", value.dump());
}

void write_song(const fs::path& path, const CorpusSong& planned, Renderer& renderer) {
  const std::vector<float> samples = renderer.render(compose(planned.song), planned.channels);
  save_audio(path, samples, planned.channels, Renderer::sample_rate, AudioFormat::mp3);
}

bool is_finished(const fs::path& file) {
  std::error_code error;
  return fs::is_regular_file(file, error) && fs::file_size(file, error) > 0;
}

}  // namespace

bool synthesize_corpus(const fs::path& root, const SynthOptions& options) {
  const std::vector<CorpusSong> songs = plan_corpus(options);
  const fs::path soundfont = find_soundfont(options.soundfont);
  claim(root, describe(options, soundfont));

  // Songs are renamed into place when they are whole, so one that is there is kept.
  std::vector<const CorpusSong*> missing;
  for (const CorpusSong& song : songs)
    if (!is_finished(root / song.file)) missing.push_back(&song);
  const auto total = static_cast<int>(songs.size());

  std::mutex mutex;  // of what follows
  std::exception_ptr failure;
  int done = total - static_cast<int>(missing.size());
  std::atomic<bool> stop{options.progress && done > 0 && !options.progress(done, total)};
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    try {
#ifdef _OPENMP
      omp_set_num_threads(1);  // fluidsynth's own loops: the songs are the parallel work
#endif
      Renderer renderer(soundfont);
      for (std::size_t i; !stop && (i = next++) < missing.size();) {
        write_song(root / missing[i]->file, *missing[i], renderer);
        const std::lock_guard lock(mutex);
        ++done;
        if (!stop && options.progress && !options.progress(done, total)) stop = true;
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      stop = true;
    }
  };
  const auto wanted = options.threads > 0 ? static_cast<std::size_t>(options.threads)
                                          : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < std::min(wanted, missing.size()); ++i) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
  if (failure) std::rethrow_exception(failure);
  if (done < total) return false;
  write_annotations(root, options, songs);
  return true;
}

}  // namespace etude::data
