#include <algorithm>
#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <system_error>

#include "base/visible.h"
#include "cli/command.h"
#include "cli/config_file.h"
#include "cli/environment.h"
#include "cli/help.h"
#include "cli/suggest.h"
#include "cli/terminal.h"

namespace retort {
namespace {

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

int report_unknown(const CLI::App& app, const std::string& argument) {
  const std::string given = argument.substr(0, argument.find('='));
  const auto hint = given.starts_with('-') ? did_you_mean(given, option_names(app)) : "";
  return report({ErrorKind::kBadUsage, fmt::format("[{0}] unexpected argument '{1}'{2}. See: retort {0} --help",
                                                   app.get_name(), given, hint)});
}

// An option where a command is expected: the first command that has it is shown.
std::string misplaced_option(const CLI::App& app, const std::string& argument) {
  const std::string given = argument.substr(0, argument.find('='));
  for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    if (given.starts_with("--") && sub->get_option_no_throw(given) != nullptr)
      return fmt::format("expected a command before '{0}', as in: retort {1} {0}. See: retort --help", given,
                         sub->get_name());
  return fmt::format("expected a command, got '{}'{}. See: retort --help", given,
                     did_you_mean(given, option_names(app)));
}

// CLI11 would only say that a subcommand is required.
std::optional<std::string> unknown_command(const CLI::App& app, std::span<const Command> commands,
                                           const std::vector<std::string>& args) {
  if (args.empty()) return std::nullopt;
  if (args.front().starts_with('-'))
    return app.get_option_no_throw(args.front()) == nullptr ? std::optional(misplaced_option(app, args.front()))
                                                            : std::nullopt;
  std::vector<std::string> names;
  for (const auto& command : commands) names.emplace_back(command.name);
  if (std::find(names.begin(), names.end(), args.front()) != names.end()) return std::nullopt;
  return fmt::format("no command '{}'{}. See: retort --help", args.front(), did_you_mean(args.front(), names));
}

// The file that --config names, if the command has such an option.
std::optional<std::string> config_file_of(const CLI::App& app, const std::vector<std::string>& args) {
  if (app.get_option_no_throw("--config") == nullptr) return std::nullopt;
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i].starts_with("--config=")) return args[i].substr(9);
    if (args[i] == "--config" && i + 1 < args.size()) return args[i + 1];
  }
  const char* from_environment = std::getenv("RETORT_CONFIG");
  if (from_environment != nullptr && *from_environment != '\0') return from_environment;
  return std::nullopt;
}

// Puts what a configuration file says after the command's name.
Status insert_config(const CLI::App& app, std::vector<std::string>& args) {
  if (args.empty() || args.front().starts_with('-')) return {};
  const CLI::App* sub = app.get_subcommand(args.front());
  const auto path = config_file_of(*sub, args);
  if (!path) return {};
  RETORT_ASSIGN(const auto more, arguments_from_config(*path, *sub, args));
  args.insert(args.begin() + 1, more.begin(), more.end());
  return {};
}

// Whose notes belong in its log, in the log's own form.
bool keeps_log(const CLI::App& app) { return app.get_option_no_throw("--log-level") != nullptr; }

// Neither would go before the other. What a configuration file or the environment names does not count: an argument
// goes before it.
Status check_model(const CLI::App& app, const std::vector<std::string>& given) {
  const auto* argument = app.get_option_no_throw("MODEL");
  const auto* option = app.get_option_no_throw("--model");
  if (argument == nullptr || option == nullptr || argument->count() == 0 || option->count() == 0) return {};
  const bool is_given = std::ranges::any_of(
      given, [](const std::string& text) { return text == "--model" || text.starts_with("--model="); });
  const std::string &first = argument->results().front(), &second = option->results().front();
  if (!is_given || first == second) return {};
  return fail(ErrorKind::kBadUsage, "[{}] MODEL and --model: expected one model, got '{}' and '{}'", app.get_name(),
              first, second);
}

int run(std::span<const Command> commands, int argc, const char* const* argv) {
  CLI::App app("Retort serves small reasoning models on CPUs.", "retort");
  app.set_version_flag("--version", "retort " RETORT_VERSION);
  app.formatter(std::make_shared<HelpFormatter>());
  app.require_subcommand(1);
  app.footer(
      "retort COMMAND --help explains each.\n"
      "Exit code: 0 it is done; 1 it failed: a file, a model, the network, memory; 2 the command line, the\n"
      "environment or the file of --config is wrong.");
  std::map<const CLI::App*, RunCommand> runs;
  for (const auto& command : commands) {
    auto* sub = app.add_subcommand(command.name, command.about);
    runs[sub] = command.add(*sub);
    read_environment(*sub);
  }

  std::vector<std::string> args(argv + 1, argv + argc);
  if (const auto message = unknown_command(app, commands, args)) return report({ErrorKind::kBadUsage, *message});
  const std::vector<std::string> given = args;
  if (const auto read = insert_config(app, args); !read) return report(read.error());
  if (args.empty()) args = {"--help"};
  std::reverse(args.begin(), args.end());  // CLI11 takes them from the back
  try {
    app.parse(args);
  } catch (const CLI::ExtrasError&) {
    const auto chosen = app.get_subcommands();
    return report_unknown(chosen.empty() ? app : *chosen.front(), app.remaining(true).front());
  } catch (const CLI::Success& what) {  // help or version, printed to stdout
    return app.exit(what);
  } catch (const CLI::ParseError& error) {
    const auto chosen = app.get_subcommands();
    const std::string name = chosen.empty() ? "" : chosen.front()->get_name() + " ";
    return report({ErrorKind::kBadUsage, fmt::format("{}. See: retort {}--help", error.what(), name)});
  }
  const CLI::App& chosen = *app.get_subcommands().front();
  if (const auto checked = check_model(chosen, given); !checked) return report(checked.error());
  if (!keeps_log(chosen))
    for (const auto& sentence : unread_variables(chosen)) fmt::print(stderr, "note: {}\n", visible_line(sentence));
  return runs.at(&chosen)();
}

// What was printed must have arrived: that a disk is full may show only when the last of it is written.
int check_output(int code, std::error_code error) {
  if (!error && std::fflush(stdout) != 0) error = std::error_code(errno, std::generic_category());
  if (!error && std::ferror(stdout) == 0) return code;
  report({ErrorKind::kIo, fmt::format("standard output could not be written{}", error ? ": " + error.message() : "")});
  return code == kDone ? kFailed : code;
}

int report_no_thread() {
  report({ErrorKind::kIo,
          "a thread could not be started: raise the limit of processes (ulimit -u, or the container's), or give fewer "
          "--threads"});
  return kFailed;
}

}  // namespace

int run_command_line(std::span<const Command> commands, int argc, const char* const* argv) {
  try {
    return check_output(run(commands, argc, argv), {});
  } catch (const std::system_error& error) {
    if (std::ferror(stdout) != 0) return check_output(kFailed, error.code());  // of fmt::print
    if (error.code() != std::errc::resource_unavailable_try_again) throw;
    return report_no_thread();
  } catch (const boost::system::system_error& error) {  // of asio, which starts threads of its own
    if (error.code() != boost::system::errc::resource_unavailable_try_again) throw;
    return report_no_thread();
  }
}

}  // namespace retort
