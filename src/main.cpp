#include <array>

#include "cli/command.h"

namespace {

constexpr std::array kCommands = {
    retort::Command{"serve", "Serve a model over the OpenAI API", retort::add_serve_command},
    retort::Command{"chat", "Talk to a model in this terminal", retort::add_chat_command},
    retort::Command{"bench", "Measure a model's speed against this machine's limits", retort::add_bench_command},
    retort::Command{"simulate", "What an arrival trace would meet: the scheduler on an imagined machine",
                    retort::add_simulate_command},
    retort::Command{"info", "What a model holds and needs, and whether it can be served", retort::add_info_command},
    retort::Command{"tokenize", "Text to token ids, and back", retort::add_tokenize_command},
    retort::Command{"pull", "Fetch a model into the cache", retort::add_pull_command},
};

}  // namespace

int main(int argc, char** argv) { return retort::run_command_line(kCommands, argc, argv); }
