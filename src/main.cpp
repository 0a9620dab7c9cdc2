#include <array>

#include "cli/command.h"

namespace {

constexpr std::array kCommands = {
    retort::Command{"pull", "Fetch a model into the cache", retort::add_pull_command},
};

}  // namespace

int main(int argc, char** argv) { return retort::run_command_line(kCommands, argc, argv); }
