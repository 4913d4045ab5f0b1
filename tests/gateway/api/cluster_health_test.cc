// SPDX-License-Identifier: MIT
// `GET /api/v1/cluster/health`: counts and a word that keep an operator from stopping one too many.
#include "api/cluster_health.h"

#include <algorithm>

#include "gateway/api/asked_cluster.h"

namespace millrace::gateway {
namespace {

using runtime::cluster_view;
using runtime::silo_state;

// So many silos with copies, and a gateway; one partition, which `in_sync` have.
cluster_view view(const std::vector<std::string>& silos, std::vector<std::string> in_sync,
                  std::size_t in_sync_min) {
  cluster_view made;
  made.cluster_id = "x";
  made.copies = 3;
  for (const auto& name : silos) {
    runtime::cluster_silo one;
    one.name = name;
    one.state = silo_state::active;
    one.roles = {.state = true, .execute = true};
    made.silos.push_back(one);
  }
  runtime::cluster_silo door;
  door.name = "door";
  door.state = silo_state::active;
  door.roles = {.gateway = true};
  made.silos.push_back(door);
  runtime::cluster_partition one;
  one.epoch = 1;
  one.is_active = true;
  one.primary = in_sync.empty() ? "" : in_sync.front();
  one.in_sync = std::move(in_sync);
  one.in_sync_min = in_sync_min;
  made.partitions.push_back(one);
  return made;
}

std::string_view word(const cluster_view& seen) {
  return to_string(state_of(health_of(seen)));
}

}  // namespace

TEST_CASE("a partition with fewer copies than there could be is under-replicated") {
  CHECK(word(view({"a", "b", "c"}, {"a", "b", "c"}, 2)) == "ok");
  CHECK(word(view({"a", "b", "c", "d"}, {"a", "b", "d"}, 2)) == "ok");
  const auto two_of_three = health_of(view({"a", "b", "c"}, {"a", "b"}, 1));
  CHECK(to_string(state_of(two_of_three)) == "under_replicated");
  CHECK(two_of_three.silos_for_copies == 3);
  CHECK(two_of_three.under_replicated == 1);
  CHECK(two_of_three.below_copies == 1);
}

TEST_CASE("two copies are all that two silos can have, and both counts say so") {
  const auto all_there_can_be = health_of(view({"a", "b"}, {"a", "b"}, 1));
  CHECK(to_string(state_of(all_there_can_be)) == "ok");
  CHECK(all_there_can_be.under_replicated == 0);
  CHECK(all_there_can_be.below_copies == 1);
}

// Goal: nobody goes on to the next silo while the last one has not joined again.
TEST_CASE("a silo that is away, or joins, is awaited by partitions that have had all copies") {
  CHECK(word(view({"a", "b"}, {"a", "b"}, 2)) == "under_replicated");
  auto joins = view({"a", "b", "c"}, {"a", "b", "c"}, 2);
  joins.silos[2].state = silo_state::joining;
  CHECK(word(joins) == "under_replicated");
  CHECK(word(view({"a", "b"}, {"a", "b", "c"}, 2)) == "under_replicated");
  auto first = view({"a", "b", "c"}, {"a", "b"}, 1);  // two have begun, and the third is coming
  first.silos[2].state = silo_state::joining;
  CHECK(word(first) == "under_replicated");
}

TEST_CASE("the worst of what is so is the word") {
  auto seen = view({"a", "b", "c"}, {"a"}, 2);
  CHECK(word(seen) == "degraded");
  CHECK(health_of(seen).refusing_writes == 1);
  CHECK(word(view({"a"}, {"a"}, 1)) == "degraded");
  auto meant = view({"a"}, {"a"}, 1);
  meant.copies = 1;
  CHECK(word(meant) == "ok");
  seen.is_outdated = true;
  CHECK(word(seen) == "unknown");
  seen.partitions[0].loss.number = 1;
  CHECK(word(seen) == "data_lost");
  seen.partitions[0].loss.acknowledged = true;
  CHECK(word(seen) == "unknown");
  seen.partitions[0].is_active = false;
  CHECK(word(seen) == "down");
  CHECK(word(cluster_view{}) == "ok");  // a silo by itself
}

// Method: the same question to everybody, while a silo is away, back on its disk, and without it.
TEST_CASE("each process tells when copies are missing, and when they are there again") {
  asked_cluster here;
  const auto health = [&](const std::string& asked) {
    return here.ask(method::get, asked, "/api/v1/cluster/health");
  };
  const auto becomes = [&](const std::string& word) {
    for (const std::string asked : {"a", "door"}) {
      for (int tries = 0; tries < 600 && health(asked)["health"] != word; ++tries) {
        here.cluster->advance(100ms);
      }
      CHECK(health(asked)["health"] == word);
    }
  };
  becomes("ok");
  CHECK(health("door")["copies"] == 3);
  CHECK(health("door")["silos_for_copies"] == 3);

  here.cluster->stop("c");
  becomes("under_replicated");
  CHECK(health("door")["silos_for_copies"] == 2);
  CHECK(health("door")["partitions_under_replicated"] == health("door")["partitions"]);
  CHECK(health("door")["partitions_below_copies"] == health("door")["partitions"]);
  here.cluster->start("c");
  becomes("ok");

  here.cluster->kill("c");
  here.cluster->wipe("c");
  here.cluster->start("c");
  becomes("ok");

  here.cluster->network().cut("door", testing::test_network::store);
  here.cluster->advance(10s);
  CHECK(health("door")["health"] == "unknown");
  CHECK(here.cluster->until([&] { return health("a")["health"] == "ok"; }, 30s));
}

}  // namespace millrace::gateway
