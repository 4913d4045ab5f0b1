// SPDX-License-Identifier: MIT
// What a cluster does when silos, stores, networks and clocks fail, as its users see it.
// Which situation is shown where: docs/situations.md.
#include "conformance/cluster.h"

namespace millrace::conformance {
namespace {

std::vector<std::string> in_sync_of(probe_cluster& cluster, const std::string& key,
                                    const std::string& seen_by) {
  const auto partition = partition_of("ledger", key, "", 16);
  return cluster.at(seen_by).cluster_view().partitions[static_cast<std::size_t>(partition)].in_sync;
}

bool is_led_by_nobody(probe_cluster& cluster, const std::string& seen_by) {
  const auto seen = cluster.at(seen_by).cluster_view();
  return std::all_of(seen.partitions.begin(), seen.partitions.end(),
                     [](const auto& each) { return !each.is_active; });
}

// Goal: what one copy has acknowledged alone is never taken back by another that lacks it.
// Method: b misses what a has done alone. b comes back while a is away: it has to wait for a.
TEST_CASE("of two silos one goes on alone and says so; the other never leads with less") {
  for (const std::size_t copies : {2U, 3U}) {
    CAPTURE(copies);
    probe_cluster cluster{{.silos = {"a", "b"}, .copies = copies}};
    cluster.make_twenty("k", "a");
    CHECK(cluster.at("a").metrics().cluster->partitions_single_copy == 0);
    CHECK(cluster.said("a: single copy: ") == 0);
    cluster.kill("b", ending::silent);
    for (int number = 0; number < 20; ++number) {
      REQUIRE(cluster.call(ref<Ledger>("k" + std::to_string(number)).add(100).keyed("alone")));
    }
    REQUIRE(cluster.until([&] { return cluster.said("a: single copy: ") == 1; }, 10s));
    CHECK(cluster.at("a").metrics().cluster->partitions_single_copy == 16);
    CHECK(cluster.at("a").cluster_view().copies == copies);
    cluster.kill("a", ending::silent);

    cluster.start("b");
    const auto leads_before = cluster.said("b: leads partition=");
    auto waits = cluster.begin(ref<Ledger>("k3").get(), "b");
    cluster.advance(25s);
    CHECK_FALSE((waits.answered() && waits.answer()));
    CHECK(is_led_by_nobody(cluster, "b"));
    CHECK(cluster.said("b: leads partition=") == leads_before);
    CHECK(cluster.said("b: a copy of a partition is given up") == 0);

    cluster.start("a");
    for (int number = 0; number < 20; ++number) {
      CHECK(cluster.total("k" + std::to_string(number), "b") == number + 100);
    }
    CHECK(cluster.until_whole());
    CHECK(cluster.at("a").metrics().cluster->partitions_single_copy == 0);
    CHECK(cluster.at("a").metrics().cluster->losses_unacknowledged == 0);
  }
}

// Goal: writes need the other copies, and the store only where a set has to change.
// Method: the session of the silo outlasts the test, or the others would take it out for its
// silence. What it needs, once a copy dies, is that the store hears of it.
TEST_CASE("a primary without the store goes on with a whole set, and else gives up after 5 s") {
  probe_cluster cluster{
      {.adjust = [](silo_options& options) { options.cluster->session_ttl = 10min; }}};
  const auto key = cluster.key_on("a");
  REQUIRE(cluster.call(ref<Ledger>(key).add(1)));
  cluster.network().cut("a", test_network::store);
  for (int second = 0; second < 20; ++second) {
    const auto began = cluster.clock().steady();
    REQUIRE(cluster.call(ref<Ledger>(key).add(1), "a"));
    REQUIRE(cluster.call(ref<Ledger>(key).get(), "c"));
    CHECK(cluster.clock().steady() - began < 1s);
    cluster.advance(1s);
  }
  CHECK(cluster.leader_of(ref<Ledger>(key)) == "a");
  CHECK(cluster.said("a: the coordination store cannot be reached") == 1);
  CHECK(in_sync_of(cluster, key, "c").size() == 3);

  cluster.kill("b");
  auto writes = cluster.begin(ref<Ledger>(key).add(1).keyed("once"), "c");
  auto old_writes = cluster.begin(ref<Ledger>(key).add(1'000), "a");
  cluster.advance(4500ms);
  CHECK(cluster.leader_of(ref<Ledger>(key)) == "a");
  REQUIRE(cluster.until([&] { return cluster.leader_of(ref<Ledger>(key)) != "a"; }, 4s));
  CHECK_FALSE(writes.answered());
  cluster.start("b");  // one copy of three is too few
  REQUIRE(cluster.until([&] { return writes.answered() && old_writes.answered(); }, 30s));
  CHECK(writes.answer());
  CHECK(cluster.leader_of(ref<Ledger>(key)) != "a");
  const auto old_answer = old_writes.answer();
  const auto total = cluster.total(key, "c");
  CHECK((total == 22 || total == 1'022));
  CHECK((!old_answer || total == 1'022));
  cluster.network().heal();
  CHECK(cluster.until_whole());
  CHECK(cluster.total(key, "a") == total);
}

// Goal: silos that wait for the store cost nothing meanwhile, and go on soon once it is back.
// Method: nobody leads what `a` led, so its copies ask the store twice a second each.
TEST_CASE("a store that cannot be reached is asked now and then, not by each partition") {
  probe_cluster cluster{
      {.adjust = [](silo_options& options) { options.cluster->session_ttl = 10min; }}};
  const auto key = cluster.key_on("a");
  REQUIRE(cluster.call(ref<Ledger>(key).add(1)));
  for (const auto* each : {"b", "c"}) {
    cluster.network().cut(each, test_network::store);
  }
  cluster.kill("a");
  const auto before = cluster.network().asked_in_vain();
  cluster.advance(20s);
  CHECK(cluster.network().asked_in_vain() - before < 600);  // 2,392 if all went on asking
  cluster.network().heal();
  const auto healed = cluster.clock().steady();
  REQUIRE(cluster.call(ref<Ledger>(key).add(1)));
  CHECK(cluster.clock().steady() - healed < 2s);
  CHECK(cluster.total(key, "b") == 2);
}

// Goal: the primary lets go of a copy before that copy could take over, however they are cut.
TEST_CASE("a copy that is cut off from its primary, on either side, leaves the set and leads not") {
  probe_cluster cluster;
  const auto key = cluster.key_on("a");
  const auto partition = static_cast<unsigned>(partition_of("ledger", key, "", 16));
  const std::string lead = ": leads partition=" + std::to_string(partition) + " ";
  const auto leads = cluster.said("b" + lead) + cluster.said("c" + lead);
  std::int64_t total = 0;
  for (const auto* way : {"to", "from", "both"}) {
    CAPTURE(way);
    const std::string cut{way};
    if (cut != "from") {
      cluster.network().cut_one_way("a", "b");
    }
    if (cut != "to") {
      cluster.network().cut_one_way("b", "a");
    }
    const auto began = cluster.clock().steady();
    REQUIRE(cluster.call(ref<Ledger>(key).add(1), "c"));
    CHECK(cluster.clock().steady() - began < 2s);
    CHECK(in_sync_of(cluster, key, "c") != std::vector<std::string>{"a", "b", "c"});
    cluster.advance(5s);
    REQUIRE(cluster.call(ref<Ledger>(key).add(1), "c"));
    CHECK(cluster.total(key, "c") == (total += 2));
    CHECK(cluster.leader_of(ref<Ledger>(key)) == "a");
    cluster.network().heal();
    REQUIRE(cluster.until_whole(10min));
  }
  CHECK(cluster.said("b" + lead) + cluster.said("c" + lead) == leads);
}

// Goal: each time of a schedule comes once, whatever the clock on the wall does.
// Method: the clock goes back by two hours after noon's firing, on the same silo and then on
// another one that reads the reminder from its rows; noon comes again, and is not fired again.
TEST_CASE("a cron reminder fires once for each of its times though the clock is set back") {
  probe_cluster cluster;  // it is 2020-01-01T00:00:00Z
  const auto daily = ref<Probe>("daily");
  const auto set_clock = [&](std::chrono::seconds since_start) {
    cluster.clock().set_wall(wall_time{1'577'836'800s + since_start});
    cluster.advance(11s);  // silos trust the clock for ten
  };
  REQUIRE(cluster.call(daily.remind("noon", -1, 0, "0 12 * * *", "", "all")));
  set_clock(12h - 5s);
  REQUIRE(cluster.events.has("noon at 43200 s"));
  for (const bool moves : {false, true}) {
    CAPTURE(moves);
    set_clock(10h);
    if (moves) {
      cluster.kill(cluster.leader_of(daily));
      REQUIRE(cluster.call(daily.get()));
    }
    const auto listed = cluster.call(daily.list_reminders());
    REQUIRE(listed);
    CHECK(listed->due()[0] == (1'577'836'800 + 36 * 3'600) * 1'000LL);
    set_clock(12h - 5s);
    set_clock(13h);
    CHECK(cluster.events.count("noon at 43200 s") == 1);
  }
  set_clock(36h - 5s);
  CHECK(cluster.events.has("noon at 129600 s"));
  set_clock(35h);
  set_clock(36h + 5s);
  CHECK(cluster.events.count("noon at 129600 s") == 1);
  CHECK(cluster.reminder_count == 2);
}

}  // namespace
}  // namespace millrace::conformance
