// SPDX-License-Identifier: MIT
// What a cluster does when its store, its disks and its processes fail: real stores, disks and
// signals.
#include <doctest/doctest.h>
#include <signal.h>

#include <future>

#include "partition/replica_settings.h"
#include "runtime/cluster/silos.h"
#include "runtime/coordination/child.h"
#include "runtime/coordination/etcd_server.h"

namespace millrace::testing {
namespace {

// The epoch, and who has all of it, by partition.
std::string sets_of(const silo& seen_by) {
  std::string text;
  for (const auto& each : seen_by.cluster_view().partitions) {
    text += std::to_string(each.epoch) + ":";
    for (const auto& one : each.in_sync) {
      text += " " + one;
    }
    text += "\n";
  }
  return text;
}

// Keyed adds of one to a counter of each partition, all at once; each tells how it fails.
std::vector<std::future<std::string>> begin_adds(silo& to) {
  std::vector<std::future<std::string>> all;
  for (const auto& key : keys_of_all_partitions()) {
    auto told = std::make_shared<std::promise<std::string>>();
    all.push_back(told->get_future());
    to.call_then(ref<Counter>(key).add(1).keyed("once").timeout(2min), [told](const auto& answer) {
      told->set_value(answer ? "" : answer.error().to_string());
    });
  }
  return all;
}

// Goal: the store decides who leads, and nothing else waits for it.
// Method: two of three servers die. Sessions are shorter than what is done without them. Then a
// silo dies, and what needs it is watched for twice as long as anybody's patience lasts: its own
// partitions have no primary to let it go, and those of the others cannot let it go.
TEST_CASE("without a quorum of the store silos go on, and nothing changes until it is back") {
  silos all;
  etcd_cluster etcd;
  constexpr auto session = 5s;
  const auto in_etcd = [&](silo_options& options) {
    options.cluster->coordination = etcd.urls();
    options.cluster->session_ttl = session;
    options.cluster->join_within = 1s;
  };
  const auto patiently = [&](silo_options& options) {
    in_etcd(options);
    options.cluster->join_within = 20s;
  };
  auto a = all.start("a", patiently);
  auto b = all.start("b", patiently);
  auto c = all.start("c", patiently);
  const auto gateway = all.start("g", [&](silo_options& options) {
    patiently(options);
    options.cluster->roles = {.gateway = true};
  });
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
    return time.steady() > lost_at + session + 1s && all.said("a" + lost) && all.said("b" + lost) &&
           all.said("c" + lost);
  });
  auto d = all.make("d", in_etcd);
  CHECK_FALSE(d->start());
  CHECK(sets_of(*a) == sets);

  const auto takeovers = all.count(": leads partition=");
  silos::kill(b);
  auto writes = begin_adds(*gateway);
  CHECK_FALSE(all.make("b", in_etcd)->start());
  const runtime::replica_settings times;
  const auto patience = times.guard + times.eject_after + times.abdicate_after;
  CHECK(writes.front().wait_for(2 * patience) == std::future_status::timeout);
  for (auto& each : writes) {
    if (each.wait_for(0s) == std::future_status::ready) {
      FAIL_CHECK("a write is answered: " << each.get() << all.told());
    }
  }
  CHECK(sets_of(*a) == sets);
  CHECK(sets_of(*c) == sets);
  CHECK(all.count(": leads partition=") == takeovers);

  etcd.at(1).start();
  for (const auto* name : {"a", "c"}) {
    all.wait_for(name + std::string{" warns: the coordination store is reached again"});
  }
  for (auto& each : writes) {
    REQUIRE(each.wait_for(1min) == std::future_status::ready);
    const auto failure = each.get();
    CHECK_MESSAGE(failure.empty(), failure);
  }
  add(*c);
  CHECK(total(*a) == sum + added + 2 * std::int64_t{cluster_partitions});
  b = all.start("b", patiently);
  settle(all, *a, 3);
}

// Goal: a full disk costs its silo the lead and its place in the sets, and nobody else anything;
// once there is room it has everything. Where all are full writers are told, and readers answered.
// Method: each silo has a small file system, which the test fills to its last page. What is inside
// the files still takes some megabytes.
TEST_CASE("a silo whose disk is full leads nothing and is let go, until there is room") {
  silos all;
  std::map<std::string, std::unique_ptr<small_disk>> disks;
  for (const std::string name : {"a", "b", "c"}) {
    disks[name] = std::make_unique<small_disk>(all.folder.path / ("data-" + name));
    if (!disks[name]->mounted()) {
      return;
    }
  }
  const auto patiently = [](silo_options& options) { options.cluster->session_ttl = 30s; };
  auto a = all.start("a", patiently);
  auto b = all.start("b", patiently);
  auto c = all.start("c", patiently);
  add(*a);
  settle(all, *a, 3);
  REQUIRE(led_by("b", *a) > 0);

  disks["b"]->fill();
  all.until("b leads nothing", [&] { return total(*a) > 0 && led_by("b", *a) == 0; });
  CHECK(all.said("b warns: the disk is full: others lead what this silo led silo=b why=disk full"));
  const auto is_for_good = [&] {
    const auto seen = a->cluster_view();
    return std::any_of(seen.silos.begin(), seen.silos.end(),
                       [](const auto& each) { return each.decommissioned; });
  };
  REQUIRE(b->drain(drain_purpose::decommission));
  all.until("it is to go for good", is_for_good);
  CHECK(b->end_drain().error().text().starts_with("the disk of silo 'b' is full: "));
  all.until("it is to stay", [&] { return !is_for_good(); });
  unsigned written = 0;
  const auto write = [&](unsigned number) {
    return a->call(ref<Counter>("large" + std::to_string(number)).fill(20, 20'000));
  };
  const auto has_let_go = [&] {
    const auto seen = a->cluster_view();
    return std::any_of(seen.partitions.begin(), seen.partitions.end(),
                       [](const auto& each) { return each.in_sync.size() == 2; });
  };
  while (!has_let_go()) {
    REQUIRE(written < 30);
    const auto told = write(written++);
    REQUIRE_MESSAGE(told, (told ? "" : told.error().to_string() + all.told()));
  }
  add(*a);
  CHECK(led_by("b", *a) == 0);
  disks["b"]->make_room();
  settle(all, *a, 3);
  CHECK(led_by("b", *a) > 0);
  REQUIRE(a->drain());
  REQUIRE(c->drain());
  all.until("b leads all", [&] {
    return total(*a) == 2 * std::int64_t{cluster_partitions} &&
           led_by("b", *a) == cluster_partitions;
  });
  for (unsigned number = 0; number < written; ++number) {
    const auto marked = a->call(ref<Counter>("large" + std::to_string(number)).mark("one more"));
    REQUIRE(marked);
    CHECK(marked->marks() == 21);
  }
  REQUIRE(a->end_drain());
  REQUIRE(c->end_drain());
  settle(all, *a, 3);

  for (const auto& [name, disk] : disks) {
    disk->fill();
  }
  all.until("all have seen it, but one that nobody is left to relieve",
            [&] { return all.count(" warns: the disk is full") >= 3; });
  auto told = write(written);
  all.until("writers are told", [&] { return !told || !(told = write(written)); });
  CHECK(told.error().code() == errc::out_of_space);
  CHECK(told.error().text().starts_with("disk full: "));
  CHECK(told.error().retry_after() > 0s);
  const system_clock time;
  const auto full_at = time.steady();
  all.until("readers are answered for a while", [&] {
    REQUIRE(total(*a) == 2 * std::int64_t{cluster_partitions});
    return time.steady() > full_at + 10s;
  });
  CHECK(all.count(" warns: there is room on the disk again") == 1);
  for (const auto& [name, disk] : disks) {
    disk->make_room();
  }
  all.until("writes go on", [&] { return write(written).has_value(); });
  settle(all, *a, 3);
  add(*a);
  CHECK(total(*b) == 3 * std::int64_t{cluster_partitions});
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
