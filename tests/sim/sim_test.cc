// SPDX-License-Identifier: MIT
// The simulated clusters: clean without a bug, and not with one.
#include <doctest/doctest.h>

#include <cstdlib>

#include "cluster.h"
#include "planted_bugs.h"

namespace millrace::sim {
namespace {

std::uint64_t seeds_of(const char* variable, std::uint64_t otherwise) {
  const auto* wanted = std::getenv(variable);
  return wanted == nullptr ? otherwise : std::strtoull(wanted, nullptr, 10);
}

// Goal: whatever happens, copies agree on what was committed, nothing that was acknowledged is
// lost, and nobody reads what is no longer true. Method: a cluster for each seed, see cluster.h.
TEST_CASE("nothing acknowledged is lost and nothing stale is read, whatever happens") {
  const auto seeds = seeds_of("MILLRACE_SEEDS", 500);
  figures all;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const auto done = simulate(seed, bug::none);
    INFO("replay: ./dev sim --seed " << seed << " --trace");
    REQUIRE(done.violated == "");
    all += done.counted;
  }
  MESSAGE(seeds << " clusters: " << all.writes << " writes, " << all.reads << " reads, "
                << all.takeovers << " takeovers, " << all.set_changes << " changes of sets, "
                << all.snapshots << " snapshots");
  CHECK(all.writes > seeds);
  CHECK(all.reads > seeds);
  CHECK(all.takeovers > seeds);
  CHECK(all.set_changes > seeds);
  CHECK(all.snapshots > seeds / 10);
}

TEST_CASE("a seed gives the same run again, line by line") {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    const auto first = simulate(seed, bug::none, true);
    const auto second = simulate(seed, bug::none, true);
    CHECK(first.trace_text.size() > 1000);
    CHECK(first.trace_text == second.trace_text);
    CHECK(first.trace_digest == second.trace_digest);
    CHECK(first.trace_digest == simulate(seed, bug::none).trace_digest);  // read or not
  }
  CHECK(simulate(1, bug::none).trace_digest != simulate(2, bug::none).trace_digest);
}

// Goal: the simulation would notice if a rule were missing, and would say what that breaks.
// Method: each rule is left out, in turn, beginning with the seed that found that last.
TEST_CASE("every planted bug is found") {
  constexpr std::uint64_t seeds_max = 2000;
  for (const auto& each : known_bugs) {
    bool is_found = each.is_found_by(simulate(each.seed, each.which).violated);
    for (std::uint64_t seed = 1; !is_found && seed <= seeds_max; ++seed) {
      is_found = each.is_found_by(simulate(seed, each.which).violated);
    }
    INFO(each.name);
    CHECK(is_found);
  }
}

}  // namespace
}  // namespace millrace::sim
