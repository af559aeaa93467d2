// The subcommands of `etude`, one file each (cmd_*.cpp).
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace etude::apps {

// Called after the command line has been parsed and the subcommand chosen; returns the exit code.
using Action = std::function<int()>;

// Each adds its subcommand, with options and help, to `app` and returns what to run. The options
// write into variables that the action owns.
struct Command {
  CLI::App* app = nullptr;
  Action run;
};

Command info_command(CLI::App& app);
Command synth_command(CLI::App& app);
Command data_verify_command(CLI::App& data);
Command data_prepare_command(CLI::App& data);
Command train_command(CLI::App& app);
Command eval_command(CLI::App& app);
Command predict_command(CLI::App& app);
Command mel_command(CLI::App& app);
Command summary_command(CLI::App& app);
Command export_command(CLI::App& app);

// Exit codes, the same for every subcommand.
inline constexpr int exit_done = 0, exit_failed = 1, exit_usage = 2, exit_interrupted = 130;

}  // namespace etude::apps
