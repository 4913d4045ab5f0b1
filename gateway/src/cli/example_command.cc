// SPDX-License-Identifier: MIT
// example: definitions to begin with, which the program brings along.
#include <algorithm>
#include <iostream>

#include "cli/did_you_mean.h"
#include "cli/output.h"
#include "millrace/actors/suggestion.h"
#include "shipped_examples.h"

namespace millrace::gateway::cli {

namespace {

// A definition goes without its number and ending, `fan-out`; what stands beside one by its name.
std::string name_of(const shipped_example& one) {
  constexpr std::string_view ending = ".yaml";
  auto name = one.file;
  if (name.ends_with(ending)) {
    name.remove_suffix(ending.size());
    name.remove_prefix(std::min(name.find_first_not_of("0123456789-"), name.size()));
  }
  return std::string{name};
}

// The first sentence of the comment that it begins with.
std::string about(std::string_view text) {
  std::string said;
  while (text.starts_with("#") && !text.starts_with("#\n")) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(1, end - 1);
    said += line.starts_with(" yaml-language-server") ? std::string_view{} : line;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  said.resize(std::min({said.find(". "), said.find(": "), said.size()}));
  const auto first = said.find_first_not_of(' ');
  const auto last = said.find_last_not_of(".:");
  return first == std::string::npos ? std::string{} : said.substr(first, last + 1 - first);
}

exit_code list_examples(const output_style& style) {
  auto rows = ordered_json::array();
  for (const auto& each : shipped_examples()) {
    rows.push_back({{"id", name_of(each)}, {"about", about(each.text)}});
  }
  print_rows(style, rows, {"id", "about"});
  return exit_code::ok;
}

exit_code run_example(const option_values& options, const std::vector<std::string>& positional) {
  const auto style = style_of(options);
  if (!style) {
    return report(style.error());
  }
  if (positional.empty()) {
    return list_examples(*style);
  }
  const auto& name = positional[0];
  if (const auto fits = refuse(options, {"output", "no-headers"}, "example NAME"); !fits) {
    return report(fits.error());
  }
  std::vector<std::string> names;  // what the suggestion shows stays here
  for (const auto& each : shipped_examples()) {
    if (name == each.file || name == name_of(each)) {
      std::cout << each.text;
      return exit_code::ok;
    }
    names.push_back(name_of(each));
  }
  actors::suggestion nearest{name};
  for (const auto& each : names) {
    nearest.consider(each);
  }
  return report(exit_code::not_found, "there is no example '" + name + "'; " +
                                          did_you_mean(nearest.best(), {}, " ") +
                                          "`millrace example` lists them");
}

}  // namespace

command example_command() {
  return {"example",
          "[NAME]",
          "list the examples that the program brings along, or print one",
          "  millrace example\n"
          "  millrace example fan-out > pipeline.yaml && millrace run pipeline.yaml\n"
          "  millrace example 35-batch.jsonl           what stands beside the example `batch`\n",
          0,
          1,
          add_rows_options,
          run_example};
}

}  // namespace millrace::gateway::cli
