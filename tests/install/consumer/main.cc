// SPDX-License-Identifier: MIT
// Embeds silos and checks what an embedder relies on: state outlives the silo, silos do not see
// each other, and the program keeps its signal handlers, its locale, its output and its threads.
//
// Usage: tally DIRECTORY, a new one. Prints "tally: everything holds" and exits with 0 when it
// does.
#include <millrace/runtime/silo.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "host_state.h"
#include "tally.h"

namespace {

using namespace millrace::runtime;

std::vector<std::string> mistakes;

void check(bool holds, const std::string& what) {
  if (!holds) {
    mistakes.push_back(what);
  }
}

/// A silo of tallies over `directory`.
class shop_silo {
public:
  explicit shop_silo(const std::string& directory, silo_options options = {}) {
    auto rows = open_storage({.directory = directory});
    if (!rows) {
      throw std::runtime_error{rows.error().text()};
    }
    here_.emplace(*std::move(rows), std::move(options));
    here_->add<shop::tally>();
    if (auto started = here_->start(); !started) {
      throw std::runtime_error{started.error().text()};
    }
  }
  std::int64_t add(const std::string& key, std::int64_t amount) {
    const auto answer = here_->call(ref<shop::Tally>(key).add(amount));
    check(answer.has_value(), "add is answered");
    return answer ? answer->total() : -1;
  }
  std::int64_t get(const std::string& key) {
    const auto answer = here_->call(ref<shop::Tally>(key).get());
    check(answer.has_value(), "get is answered");
    return answer ? answer->total() : -1;
  }
  void stop() { here_->stop(); }

private:
  std::optional<silo> here_;
};

void embed(const std::string& directory) {
  {
    shop_silo first{directory + "/a"};
    check(first.add("apples", 5) == 5, "a new tally starts at zero");
    first.stop();
  }
  shop_silo again{directory + "/a"};
  check(again.get("apples") == 5, "state outlives its silo");

  shop_silo other{directory + "/b"};
  check(other.add("apples", 7) == 7, "two silos of one process do not share actors");
  check(again.add("apples", 1) == 6, "two silos of one process both answer");
}

/// What the runtime has to say goes to the host when it wants it.
std::vector<std::string> warnings_of_grumpy(const std::string& directory) {
  std::mutex mutex;
  std::vector<std::string> warnings;
  silo_options options;
  options.warn = [&](std::string_view line) {
    const std::lock_guard lock{mutex};
    warnings.emplace_back(line);
  };
  shop_silo warning{directory, std::move(options)};
  warning.add("grumpy", 1);
  warning.stop();
  return warnings;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: tally DIRECTORY\n");
    return 2;
  }
  const std::string directory = arguments[1];
  shop::dress_host();
  const auto before = shop::host_state();
  std::vector<std::string> warnings;
  std::string printed;
  std::string printed_warning;
  try {
    std::filesystem::create_directories(directory);
    const shop::captured_output captured;
    embed(directory);
    warnings = warnings_of_grumpy(directory + "/c");
    printed = shop::captured_output::text();
    shop_silo{directory + "/d"}.add("grumpy", 1);
    printed_warning = shop::captured_output::text();
  } catch (const std::exception& failed) {
    check(false, failed.what());
  }
  // A thread that was joined is listed by the kernel for a moment more.
  auto after = shop::host_state();
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{5};
  while (after != before && std::chrono::steady_clock::now() < give_up) {
    after = shop::host_state();
  }
  check(before == after, "the program's globals are kept; before:\n" + before + "after:\n" + after);
  check(printed.empty(), "nothing is printed; but: " + printed);
  check(warnings.size() == 1, "one warning is given to the host");
  check(printed_warning.find("grumpy") != std::string::npos,
        "a warning that nobody takes is printed; but: " + printed_warning);
  for (const auto& each : mistakes) {
    std::fprintf(stderr, "does not hold: %s\n", each.c_str());
  }
  if (mistakes.empty()) {
    std::printf("tally: everything holds\n");
  }
  return mistakes.empty() ? 0 : 1;
}
