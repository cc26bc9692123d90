#ifndef FIRN_CLI_HELP_FORMATTER_H_
#define FIRN_CLI_HELP_FORMATTER_H_

#include <CLI/CLI.hpp>
#include <string>

namespace firn {

// How --help looks: the usage line with CMD for `run`, defaults in brackets behind the description.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();

  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
};

}  // namespace firn

#endif  // FIRN_CLI_HELP_FORMATTER_H_
