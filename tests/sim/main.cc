// SPDX-License-Identifier: MIT
// The simulator as a program. Exit status: 0 clean, 1 a promise was broken, 2 usage.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "cluster.h"
#include "planted_bugs.h"

namespace {

using namespace millrace;

constexpr const char* usage =
    "Simulates clusters that copy one partition, a seed each, until something breaks.\n\n"
    "  sim [--hours N] [--seed N] [--seeds N] [--bug NAME] [--trace] [--bugs] [--rates]\n\n"
    "  --hours N   simulated hours to run; 1 by default\n"
    "  --seed N    that run alone; with --hours, --seeds, --bugs or --rates, the first one\n"
    "  --seeds N   runs\n"
    "  --bug NAME  plants a bug in the core\n"
    "  --trace     prints what happens\n"
    "  --bugs      looks for each planted bug, or that of --bug, in 2000 seeds or --seeds, and\n"
    "              prints the first one that finds it\n"
    "  --rates     the same, and prints how many of the seeds find it\n";

// A campaign says how far it is; it may be stopped at any time.
constexpr auto progress_interval = std::chrono::hours{100};

struct options {
  std::optional<double> hours;
  std::optional<std::uint64_t> seed;
  std::optional<std::uint64_t> seeds;
  runtime::bug planted = runtime::bug::none;
  const char* bug_name = nullptr;
  bool trace = false;
  bool bugs = false;
  bool rates = false;
};

std::optional<options> parse(int count, char** arguments) {
  options parsed;
  for (int index = 1; index < count; ++index) {
    const std::string name = arguments[index];
    const bool has_value = index + 1 < count;
    if (name == "--trace") {
      parsed.trace = true;
    } else if (name == "--bugs") {
      parsed.bugs = true;
    } else if (name == "--rates") {
      parsed.bugs = parsed.rates = true;
    } else if (name == "--hours" && has_value) {
      parsed.hours = std::atof(arguments[++index]);
    } else if (name == "--seed" && has_value) {
      parsed.seed = std::strtoull(arguments[++index], nullptr, 10);
    } else if (name == "--seeds" && has_value) {
      parsed.seeds = std::strtoull(arguments[++index], nullptr, 10);
    } else if (name == "--bug" && has_value) {
      parsed.bug_name = arguments[++index];
      for (const auto& each : sim::known_bugs) {
        parsed.planted = each.name == parsed.bug_name ? each.which : parsed.planted;
      }
      if (parsed.planted == runtime::bug::none) {
        return std::nullopt;
      }
    } else {
      return std::nullopt;
    }
  }
  return parsed;
}

void print(const sim::figures& all, std::uint64_t seeds, double real_seconds) {
  const auto hours = std::chrono::duration<double, std::ratio<3600>>(all.simulated).count();
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf(
      "%.1f simulated hours, %llu seeds, %.0f s: %llu events, %llu faults, "
      "%llu messages lost, %llu writes acknowledged, %llu reads, %llu takeovers, "
      "%llu changes of sets, %llu snapshots, %llu given up by an operator\n",
      hours, number(seeds), real_seconds, number(all.events), number(all.faults),
      number(all.lost_messages), number(all.writes), number(all.reads), number(all.takeovers),
      number(all.set_changes), number(all.snapshots), number(all.data_losses));
  std::fflush(stdout);
}

void print_failure(std::uint64_t seed, const options& chosen, const std::string& what) {
  const std::string bug =
      chosen.bug_name == nullptr ? "" : std::string{" --bug "} + chosen.bug_name;
  std::printf("seed %llu: %s\nreplay: ./dev sim --seed %llu --trace%s\n",
              static_cast<unsigned long long>(seed), what.c_str(),
              static_cast<unsigned long long>(seed), bug.c_str());
}

int find_bugs(const options& chosen) {
  const auto first = chosen.seed.value_or(1);
  const auto seeds = chosen.seeds.value_or(2000);
  int missed = 0;
  for (const auto& each : sim::known_bugs) {
    if (chosen.planted != runtime::bug::none && chosen.planted != each.which) {
      continue;
    }
    std::uint64_t count = 0;
    std::uint64_t found_at = 0;
    std::string found;
    for (auto seed = first; seed < first + seeds && (chosen.rates || count == 0); ++seed) {
      const auto violated = sim::simulate(seed, each.which).violated;
      if (each.is_found_by(violated) && ++count == 1) {  // else it broke something else, or nothing
        found_at = seed;
        found = violated;
      }
    }
    missed += count == 0 ? 1 : 0;
    const auto text = count == 0 ? "NOT FOUND" : std::to_string(found_at);
    const auto rate = chosen.rates ? std::to_string(count) + " of " + std::to_string(seeds) : "";
    std::printf("%-28s %s %s %s\n", std::string{each.name}.c_str(), text.c_str(), rate.c_str(),
                found.c_str());
    std::fflush(stdout);
  }
  return missed == 0 ? 0 : 1;
}

int run(const options& chosen) {
  const auto began = std::chrono::steady_clock::now();
  const auto wanted = std::chrono::duration<double, std::ratio<3600>>{chosen.hours.value_or(1)};
  const bool is_single = chosen.seed && !chosen.hours && !chosen.seeds;
  const auto print_all = [&](const sim::figures& all, std::uint64_t count) {
    const auto real = std::chrono::duration<double>(std::chrono::steady_clock::now() - began);
    print(all, count, real.count());
  };
  sim::figures all;
  runtime::duration told = progress_interval;
  std::uint64_t count = 0;
  int status = 0;
  for (auto seed = chosen.seed.value_or(1); status == 0; ++seed) {
    const auto done = sim::simulate(seed, chosen.planted, chosen.trace);
    all += done.counted;
    ++count;
    std::fputs(done.trace_text.c_str(), stdout);
    if (!done.violated.empty()) {
      print_failure(seed, chosen, done.violated);
      status = 1;
    }
    if (is_single) {
      std::printf("trace %016llx\n", static_cast<unsigned long long>(done.trace_digest));
    }
    if (all.simulated >= told) {
      told += progress_interval;
      print_all(all, count);
    }
    if (is_single || (chosen.seeds ? count >= *chosen.seeds : all.simulated >= wanted)) {
      break;
    }
  }
  print_all(all, count);
  return status;
}

}  // namespace

int main(int count, char** arguments) {
  const auto chosen = parse(count, arguments);
  if (!chosen) {
    std::fputs(usage, stderr);
    return 2;
  }
  return chosen->bugs ? find_bugs(*chosen) : run(*chosen);
}
