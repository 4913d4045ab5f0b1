// SPDX-License-Identifier: MIT
// What a cluster does when its store, its disks and its processes fail: real stores, disks and
// signals.
#include <doctest/doctest.h>
#include <signal.h>

#include "runtime/cluster/silos.h"
#include "runtime/coordination/child.h"
#include "runtime/coordination/etcd_server.h"

namespace millrace::testing {
namespace {

// Who leads, and who has all of it, by partition.
std::string sets_of(const silo& seen_by) {
  std::string text;
  for (const auto& each : seen_by.cluster_view().partitions) {
    text += std::to_string(each.epoch) + " " + each.primary + ":";
    for (const auto& one : each.in_sync) {
      text += " " + one;
    }
    text += "\n";
  }
  return text;
}

// Goal: the store decides who leads, and nothing else waits for it.
// Method: two of three servers die. Sessions are shorter than what is done without them.
TEST_CASE("without a quorum of the store silos go on, and nothing changes until it is back") {
  silos all;
  etcd_cluster etcd;
  const auto in_etcd = [&](silo_options& options) {
    options.cluster->coordination = etcd.urls();
    options.cluster->session_ttl = 2s;
    options.cluster->join_within = 1s;
  };
  const auto patiently = [&](silo_options& options) {
    in_etcd(options);
    options.cluster->join_within = 20s;
  };
  auto a = all.start("a", patiently);
  auto b = all.start("b", patiently);
  auto c = all.start("c", patiently);
  settle(all, *a, 3);
  add(*a);
  const auto sum = total(*b);
  const auto sets = sets_of(*a);
  const system_clock time;

  etcd.at(1).kill();
  etcd.at(2).kill();
  const auto lost_at = time.steady();
  const std::string lost = " warns: the coordination store cannot be reached";
  std::int64_t added = 0;
  all.until("all have seen that, and all sessions would be over", [&] {
    add(*b);
    added += cluster_partitions;
    REQUIRE(total(*c) == sum + added);
    return time.steady() > lost_at + 3s && all.said("a" + lost) && all.said("b" + lost) &&
           all.said("c" + lost);
  });
  auto d = all.make("d", in_etcd);
  CHECK_FALSE(d->start());
  silos::kill(b);
  CHECK_FALSE(all.make("b", in_etcd)->start());
  CHECK(sets_of(*a) == sets);

  etcd.at(1).start();
  for (const auto* name : {"a", "c"}) {
    all.wait_for(name + std::string{" warns: the coordination store is reached again"});
  }
  all.until("what b has led is led by others", [&] { return led_by("b", *a) == 0; });
  add(*c);
  CHECK(total(*a) == sum + added + cluster_partitions);
  b = all.start("b", patiently);
  settle(all, *a, 3);
}

// Goal: a silo that is stopped (SIGSTOP) holds up nobody for long, and comes to no harm itself.
// Method: the process comes first, so that it is a copy of one without threads. On one machine the
// others can see to it that it is dead; what it does where they cannot is in tests/chaos.
TEST_CASE("a silo that is stopped for long is ended by the others, and comes back as a new life") {
  silos all;
  child stopped{[&](const child::says& say) {
    const auto one = all.start("b");
    say("it has started");
    ::pause();
  }};
  REQUIRE(stopped.read() == "it has started");
  auto a = all.start("a");
  auto c = all.start("c");
  settle(all, *a, 3);
  REQUIRE(led_by("b", *a) > 0);
  add(*a);
  stopped.signal(SIGSTOP);
  stopped.wait_stopped();
  for (const auto& key : keys_of_all_partitions()) {
    const auto added = a->call(ref<Counter>(key).add(1).keyed("once"));
    CHECK_MESSAGE(added, (added ? "" : added.error().to_string()));
  }
  const auto status = stopped.wait();
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGKILL);
  CHECK(total(*c) == 2 * std::int64_t{cluster_partitions});
  auto b = all.start("b");
  settle(all, *a, 3);
  CHECK(total(*b) == 2 * std::int64_t{cluster_partitions});
}

}  // namespace
}  // namespace millrace::testing
