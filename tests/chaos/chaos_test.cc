// SPDX-License-Identifier: MIT
// A short campaign; the long ones are `./dev chaos`.
#include <doctest/doctest.h>

#include "chaos/campaign.h"
#include "folders.h"

namespace chaos {
namespace {

// Goal: whoever is killed or stopped, nothing acknowledged is lost, nothing stale is read, and
// every run ends with one result of each task. Method: three silos and two gateways as processes,
// clients, and a few faults of a fixed seed.
TEST_CASE("a cluster of processes keeps what it acknowledged while silos are killed and stopped") {
  const millrace::testing::temporary_folder folder;
  const auto done = run_campaign({.seed = 4,
                                  .rounds_max = 4,
                                  .faults = {"kill", "stop"},
                                  .stop_max = 1s,
                                  .kill_max = 500ms,
                                  .room = folder.path,
                                  .program = MILLRACE_CHAOS_SILO});
  std::string mistakes;
  for (const auto& each : done.mistakes) {
    mistakes += each + "\n";
  }
  CHECK_MESSAGE(done.mistakes.empty(), mistakes);
  CHECK(done.ok > 200);
  CHECK(done.runs > 0);
  CHECK(done.faults.contains("kill"));
  CHECK(done.faults.contains("stop"));
}

}  // namespace
}  // namespace chaos
