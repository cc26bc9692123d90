#include "cli/help_formatter.h"

namespace firn {

HelpFormatter::HelpFormatter() {
  column_width(30);
  label("Positionals", "Arguments");
  label("SUBCOMMAND", "COMMAND ...");
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
  std::string usage = CLI::Formatter::make_usage(app, std::move(name));
  // What follows `--` never reaches the parser.
  if (app->get_name() == "run" || app->get_name() == "profile")
    usage.insert(usage.size() - 1, " -- CMD [ARG...]");
  return usage;
}

std::string HelpFormatter::make_option_name(const CLI::Option* option, bool is_positional) const {
  std::string name = CLI::Formatter::make_option_name(option, is_positional);
  // The value that a flag stands for: "--no-x{false}".
  const size_t brace = name.find('{');
  return name.substr(0, brace);
}

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  if (!option->get_option_text().empty()) return " " + option->get_option_text();
  if (option->get_positional() || option->get_type_size() == 0) return {};
  return option->get_type_name().empty() ? std::string() : " " + option->get_type_name();
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  std::string text = option->get_description();
  const std::string default_value = option->get_default_str();
  if (!default_value.empty()) text += " [" + default_value + "]";
  return text;
}

}  // namespace firn
