// A subcommand of `retort`: declares its options on a CLI11 app and returns what runs when it was chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace retort {

using RunCommand = std::function<int()>;  // the process's exit code

RunCommand add_serve_command(CLI::App& app);
RunCommand add_chat_command(CLI::App& app);
RunCommand add_info_command(CLI::App& app);
RunCommand add_tokenize_command(CLI::App& app);
RunCommand add_bench_command(CLI::App& app);
RunCommand add_pull_command(CLI::App& app);

}  // namespace retort
