// A subcommand of `retort`: declares its options on a CLI11 app and returns what runs when it was chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <span>

namespace retort {

using RunCommand = std::function<int()>;  // the process's exit code

RunCommand add_serve_command(CLI::App& app);
RunCommand add_chat_command(CLI::App& app);
RunCommand add_info_command(CLI::App& app);
RunCommand add_tokenize_command(CLI::App& app);
RunCommand add_bench_command(CLI::App& app);
RunCommand add_pull_command(CLI::App& app);
RunCommand add_simulate_command(CLI::App& app);

struct Command {
  const char* name;
  const char* about;
  RunCommand (*add)(CLI::App& app);
};

// Reads the command line, runs the command it names and returns the process's exit code.
int run_command_line(std::span<const Command> commands, int argc, const char* const* argv);

}  // namespace retort
