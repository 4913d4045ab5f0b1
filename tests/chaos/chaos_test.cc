// SPDX-License-Identifier: MIT
// Short campaigns; the long ones are `./dev chaos`.
//
// Goal: whatever is done to silos, ways between them, disks and the store, nothing acknowledged is
// lost, nothing stale is read, and every run ends with one result of each task.
// Method: silos and two gateways as processes, clients, and a few faults of a fixed seed. Faults
// are long enough for others to take over, which is after two seconds.
#include <doctest/doctest.h>
#include <unistd.h>

#include "chaos/campaign.h"
#include "folders.h"

namespace chaos {
namespace {

using millrace::testing::small_disk;
using millrace::testing::temporary_folder;

// Whether this machine lets a campaign of such faults be; it says if not.
bool permits(const fault_names& faults) {
  if (faults.contains("partition")) {
    const auto name = "mrcp" + std::to_string(::getpid() % 1'000'000);
    std::string said;
    if (run_command({"ip", "link", "add", name, "type", "bridge"}, &said) == 0) {
      run_command({"ip", "link", "delete", name});
    } else if (::geteuid() != 0 || said.find("not permitted") != std::string::npos) {
      MESSAGE("skipped: making a network is not permitted here: " << said);
      return false;
    }
  }
  const temporary_folder folder;
  return !faults.contains("disk") || small_disk{folder.path / "disk"}.mounted();
}

void must_be_clean(campaign_wishes wishes) {
  if (!permits(wishes.faults)) {
    return;
  }
  const temporary_folder folder;
  wishes.room = folder.path;
  wishes.program = MILLRACE_CHAOS_SILO;
  wishes.answers_min = 200;
  const auto done = run_campaign(wishes);
  std::string mistakes;
  for (const auto& each : done.mistakes) {
    mistakes += each + "\n";
  }
  CHECK_MESSAGE(done.mistakes.empty(), mistakes);
  CHECK(done.ok >= wishes.answers_min);
  CHECK(done.runs > 0);
  for (const auto& each : wishes.faults) {
    CHECK_MESSAGE(done.faults.contains(each), each << " was not done");
  }
  if (wishes.faults == fault_names{"disk"}) {
    CHECK(done.ended_alone == 0);  // who has no room waits for some
    CHECK(done.faults.at("disk noticed") > 0);
  }
}

TEST_CASE("a cluster of processes keeps what it acknowledged while silos are killed and stopped") {
  must_be_clean({.seed = 4, .rounds_max = 4, .faults = {"kill", "stop"}, .fault_max = 1s});
}

// Away from the others and the store a silo does not learn that another one leads.
TEST_CASE("a cluster of processes keeps what it acknowledged while its network is cut") {
  must_be_clean(
      {.seed = 19179, .rounds_max = 2, .faults = {"partition"}, .fault_max = 5s, .has_etcd = true});
}

TEST_CASE("a cluster of processes keeps what it acknowledged while disks are full") {
  must_be_clean({.seed = 35, .rounds_max = 2, .faults = {"disk"}, .fault_max = 5s});
}

TEST_CASE("a cluster of processes keeps what it acknowledged while its etcd is away") {
  must_be_clean({.seed = 1856,
                 .rounds_max = 2,
                 .faults = {"etcd", "kill"},
                 .fault_max = 5s,
                 .has_etcd = true});
}

// Each round one silo is killed and one stopped at the same time.
TEST_CASE("five silos keep what they acknowledged while two of them are away") {
  must_be_clean(
      {.seed = 29085, .silos = 5, .rounds_max = 2, .faults = {"kill", "stop"}, .fault_max = 5s});
}

}  // namespace
}  // namespace chaos
