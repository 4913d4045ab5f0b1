// SPDX-License-Identifier: MIT
#include "cli/settings_view.h"

#include "cli/node_options.h"
#include "cli/output.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

constexpr std::string_view secret = "etcd-password";  // other secrets are in files

// `3` of `of each partition (default: 3; the same everywhere)`; null: the help says none.
ordered_json default_in(const std::string& description) {
  constexpr std::string_view mark = "(default: ";
  const auto found = description.find(mark);
  if (found == std::string::npos) {
    return nullptr;
  }
  const auto begin = found + mark.size();
  return description.substr(begin, description.find_first_of(";)", begin) - begin);
}

ordered_json value_of(const po::option_description& option, const option_values& values) {
  const auto& name = option.long_name();
  if (option.semantic()->max_tokens() == 0) {
    return values.count(name) > 0;
  }
  if (values.count(name) == 0) {
    return default_in(option.description());
  }
  if (name == secret) {
    return "(hidden)";
  }
  const auto& value = values[name].value();
  if (const auto* several = boost::any_cast<std::vector<std::string>>(&value)) {
    return *several;
  }
  return values[name].as<std::string>();
}

}  // namespace

exit_code view_settings(const po::options_description& settings, const option_values& values,
                        const option_origins& origins) {
  const auto style = style_of(values);
  if (!style) {
    return report(style.error());
  }
  auto rows = ordered_json::array();
  for (const auto& option : settings.options()) {
    const auto found = origins.find(option->long_name());
    rows.push_back({{"setting", option->long_name()},
                    {"value", value_of(*option, values)},
                    {"from", found == origins.end() ? "default" : found->second}});
  }
  print_rows(*style, rows, {"setting", "value", "from"}, "setting");
  const auto told = logs_of(values);
  if (!told) {
    return report(told.error());
  }
  const auto setup = node_options_of(values, **told);
  return setup ? exit_code::ok : report(setup.error());
}

command config_command() {
  return {"config",
          "view dev|silo|gateway [OPTION]...",
          "show the settings that a server would have, and where each comes from",
          "  millrace config view silo --config /etc/millrace/silo.yaml\n"
          "  millrace config view gateway --config /etc/millrace/gateway.yaml -o json\n",
          2,
          2,
          add_rows_options,
          [](const option_values&, const std::vector<std::string>&) {
            return report(exit_code::usage,
                          "usage: millrace config view dev|silo|gateway [OPTION]...");
          }};
}

}  // namespace millrace::gateway::cli
