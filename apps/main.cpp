// etude: the command line program. Parses, runs one subcommand, and maps what happened to an exit
// code: 0 done, 1 failed, 2 usage, 130 interrupted (after saving).
#include <CLI/CLI.hpp>
#include <cstdio>
#include <new>

#include "apps/commands.h"
#include "apps/config_file.h"
#include "apps/interrupt.h"
#include "apps/progress.h"
#include "apps/usage.h"
#include "apps/version.h"

namespace {

using namespace etude::apps;

// One line on stderr, whatever the message was made of.
int failed(const char* what, int code) {
  std::string line = what;
  while (!line.empty() && line.back() == '\n') line.pop_back();
  for (char& c : line)
    if (c == '\n' || c == '\r') c = ' ';
  note("etude: " + line);
  return code;
}

// The subcommand on the command line, for "see `etude train --help`".
std::string called(const CLI::App& app) {
  std::string text = "etude";
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    text += " " + at->get_name();
  }
  return text;
}

int run(int argc, char** argv) {
  CLI::App app{
      "etude trains and evaluates convolutional networks on music and images, on the CPU or a "
      "GPU.\n"
      "\n"
      "A first session:\n"
      "  etude synth corpus --songs 100             write a synthetic corpus (mp3 and labels)\n"
      "  etude data verify corpus --dataset deam    look at it\n"
      "  etude train --dataset deam --data corpus --out run1\n"
      "  etude eval run1                            how good is it\n"
      "  etude predict run1 song.mp3                what does it hear in a song\n"
      "\n"
      "`etude COMMAND --help` explains a command and shows an example."};
  app.name("etude");
  app.set_version_flag("--version", std::string("etude ") + version());
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  app.set_config("--config", "", "Read options from a TOML or INI file: key = value");
  app.config_formatter(std::make_shared<ConfigFile>(app));
  app.allow_config_extras(CLI::config_extras_mode::error);

  std::vector<Command> commands = {info_command(app), synth_command(app)};
  CLI::App* data = app.add_subcommand("data", "Look at a data set, or prepare its features");
  data->require_subcommand(1);
  commands.push_back(data_verify_command(*data));
  commands.push_back(data_prepare_command(*data));
  for (auto make :
       {train_command, eval_command, predict_command, mel_command, summary_command, export_command})
    commands.push_back(make(app));
  data->fallthrough();
  for (const Command& command : commands) {
    command.app->fallthrough();  // --config after the subcommand
    command.app->allow_config_extras(CLI::config_extras_mode::error);
  }

  if (argc == 1) {
    std::fputs(app.help().c_str(), stdout);
    return exit_usage;
  }
  const auto named =
      app.get_subcommands([&](const CLI::App* command) { return command->check_name(argv[1]); });
  if (argv[1][0] != '-' && named.empty())
    return failed(
        (std::string("there is no command `") + argv[1] + "` (see `etude --help`)").c_str(),
        exit_usage);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::Error& e) {
    return failed((std::string(e.what()) + " (see `" + called(app) + " --help`)").c_str(),
                  exit_usage);
  }
  for (const Command& command : commands)
    if (command.app->parsed()) return command.run();
  return exit_usage;
}

// Data that did not arrive is a failure, too: a full disk behind `> file` shows only here.
int flushed(int code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  return failed("standard output cannot be written (is the disk full?)", exit_failed);
}

}  // namespace

int main(int argc, char** argv) {
  install_interrupt_handlers();
  try {
    return flushed(run(argc, argv));
  } catch (const UsageError& e) {
    return failed(e.what(), exit_usage);
  } catch (const Interrupted&) {
    return failed("interrupted", exit_interrupted);
  } catch (const std::bad_alloc&) {
    return failed("out of memory; a smaller --batch or --width needs less", exit_failed);
  } catch (const std::exception& e) {
    return failed(e.what(), exit_failed);
  }
}
