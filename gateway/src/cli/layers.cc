// SPDX-License-Identifier: MIT
#include "cli/layers.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>

#include "cli/did_you_mean.h"
#include "cli/terminal_text.h"
#include "http/client.h"
#include "millrace/actors/settings_file.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::result;

namespace {

constexpr std::string_view variable_prefix = "MILLRACE_";
constexpr std::string_view found_anew = "found-anew";

// What OpenTelemetry has programs be told by; it goes behind everything of ours.
constexpr std::string_view collector_variable = "OTEL_EXPORTER_OTLP_ENDPOINT";
constexpr std::string_view collector_option = "trace-to";

// Boost takes an empty name for the beginning of every option.
const po::option_description* find(const po::options_description& options,
                                   const std::string& name) {
  return name.empty() ? nullptr : options.find_nothrow(name, false);
}

// The option that a variable is for; empty: none. Others of ours are for other things.
std::string option_of(const po::options_description& options, const std::string& variable) {
  if (!variable.starts_with(variable_prefix)) {
    return {};
  }
  auto name = variable.substr(variable_prefix.size());
  std::transform(name.begin(), name.end(), name.begin(), [](char each) {
    return each == '_' ? '-' : each >= 'A' && each <= 'Z' ? static_cast<char>(each + 32) : each;
  });
  const auto* known = find(options, name);
  return known != nullptr && name != "help" && known->semantic()->max_tokens() > 0 ? name
                                                                                   : std::string{};
}

std::string variable_of(std::string option) {
  std::transform(option.begin(), option.end(), option.begin(), [](char each) {
    return each == '-' ? '_' : each >= 'a' && each <= 'z' ? static_cast<char>(each - 32) : each;
  });
  return std::string{variable_prefix} + option;
}

// Whether the variable is the collector's, and counts. It is set for all programs of a machine, so
// one that we cannot use is no mistake of who starts this one.
bool is_collector(const std::string& variable, const option_values& values) {
  const auto* const url = variable == collector_variable ? std::getenv(variable.c_str()) : nullptr;
  if (url == nullptr || *url == '\0' || values.count(std::string{collector_option}) > 0) {
    return false;
  }
  const auto read = http::parse_url(url);
  if (!read) {
    std::cerr << "millrace: " << collector_variable << " '" << printable(url)
              << "' is passed over, no spans are sent: " << read.error().text() << '\n';
  }
  return static_cast<bool>(read);
}

runtime::error mistakes_of(const std::vector<actors::diagnostic>& mistakes) {
  std::string text;
  for (const auto& each : mistakes) {
    text += (text.empty() ? "" : "\n") + actors::to_string(each);
  }
  return {runtime::errc::invalid_argument, text};
}

// What `values` has, and `origins` did not know of.
void add_origins(const option_values& values, option_origins& origins,
                 const std::function<std::string(const std::string&)>& origin_of) {
  for (const auto& [name, value] : values) {
    if (!origins.contains(name)) {
      origins.emplace(name, origin_of(name));
    }
  }
}

result<void> store_file(const po::options_description& options, const std::string& file,
                        option_values& values, option_origins& origins) {
  const auto text = read_file(file);
  if (!text) {
    return text.error();
  }
  auto read = actors::read_settings(*text, file);
  po::parsed_options parsed{&options};
  for (const auto& each : read.settings) {
    const auto blame = [&](const std::string& what, const std::string& hint) {
      read.diagnostics.push_back({file, each.line, each.column, {}, what, hint});
    };
    const auto* known = find(options, each.name);
    if (known == nullptr || (!is_setting(each.name) && each.name != found_anew)) {
      const auto nearest = nearest_option(options, each.name);
      blame("there is no setting '" + each.name + "'", did_you_mean(nearest));
      continue;
    }
    if (each.name == found_anew) {
      blame("'found-anew' is for one start, by hand: a file would take the next loss, too", {});
      continue;
    }
    const bool is_switch = known->semantic()->max_tokens() == 0;
    if (is_switch && each.values != std::vector<std::string>{"true"} &&
        each.values != std::vector<std::string>{"false"}) {
      blame("'" + each.name + "' is true or false", {});
      continue;
    }
    origins.emplace(each.name, file + ":" + std::to_string(each.line));
    if (!is_switch || each.values[0] == "true") {
      parsed.options.emplace_back(each.name, is_switch ? std::vector<std::string>{} : each.values);
    }
  }
  if (!read.diagnostics.empty()) {
    return mistakes_of(read.diagnostics);
  }
  try {
    po::store(parsed, values);
  } catch (const po::error& wrong) {
    return runtime::error{runtime::errc::invalid_argument, file + ": " + wrong.what()};
  }
  return {};
}

}  // namespace

bool has_settings(const command& one) {
  po::options_description options;
  one.add_options(options);
  return options.find_nothrow("config", false) != nullptr;
}

bool is_setting(std::string_view option) {
  return option != "help" && option != "config" && option != "notify-fd" && option != found_anew;
}

void add_config_option(po::options_description& options) {
  options.add_options()(
      "config", po::value<std::string>()->value_name("FILE"),
      "a YAML file of these options, such as `name: a`; the environment goes before it "
      "(MILLRACE_NAME=a), the command line before both");
}

result<option_origins> store_layers(const po::options_description& options, option_values& values) {
  option_origins origins;
  if (options.find_nothrow("config", false) == nullptr) {
    return origins;
  }
  add_origins(values, origins, [](const std::string&) { return "command line"; });
  po::store(po::parse_environment(
                options, [&](const std::string& name) { return option_of(options, name); }),
            values);
  add_origins(values, origins, variable_of);
  if (values.count("config") > 0) {
    const auto stored = store_file(options, values["config"].as<std::string>(), values, origins);
    if (!stored) {
      return stored.error();
    }
  }
  if (options.find_nothrow(std::string{collector_option}, false) != nullptr) {
    po::store(po::parse_environment(options,
                                    [&values](const std::string& name) {
                                      return std::string{
                                          is_collector(name, values) ? collector_option : ""};
                                    }),
              values);
    add_origins(values, origins,
                [](const std::string&) { return std::string{collector_variable}; });
  }
  return origins;
}

}  // namespace millrace::gateway::cli
