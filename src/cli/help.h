// How --help looks: one column of names, one of wrapped explanations, each with its default.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace retort {

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_group(std::string group, bool is_positional, std::vector<const CLI::Option*> options) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_subcommand(const CLI::App* sub) const override;
};

}  // namespace retort
