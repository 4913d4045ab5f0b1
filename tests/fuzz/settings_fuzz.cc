// SPDX-License-Identifier: MIT
// What a file of settings may hold: it is refused with where and why, or each setting in it has a
// value that came from a line of it.
//
// Input: one byte chooses among the commands that serve; the rest is the file.
#include <string>

#include "cli/layers.h"
#include "fuzz/fuzz.h"

namespace cli = millrace::gateway::cli;
namespace po = boost::program_options;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto commands = cli::serve_commands();
  auto text = millrace::testing::text_of(data, size);
  const auto choice = millrace::testing::take(text, 1);
  if (choice.empty()) {
    return 0;
  }
  const auto& chosen = commands[static_cast<unsigned char>(choice[0]) % commands.size()];
  po::options_description options;
  chosen.add_options(options);
  const millrace::testing::memory_file file{text};
  po::parsed_options given{&options};
  given.options.emplace_back("config", std::vector{file.path()});
  cli::option_values values;
  po::store(given, values);
  const auto origins = cli::store_layers(options, values);
  if (!origins) {
    const auto said = origins.error().text();
    MILLRACE_ASSERT(said.find(file.path()) != std::string::npos);
    return 0;
  }
  for (const auto& [name, value] : values) {
    const auto origin = origins->find(name);
    MILLRACE_ASSERT(value.defaulted() || origin != origins->end());
    MILLRACE_ASSERT(value.defaulted() || name == "config" ||
                    (cli::is_setting(name) && origin->second.starts_with(file.path() + ":")));
  }
  return 0;
}
