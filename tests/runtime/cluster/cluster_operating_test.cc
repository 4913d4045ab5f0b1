// SPDX-License-Identifier: MIT
// What operators do: drain, break glass, look at figures. Real disks, links and a local store.
#include <doctest/doctest.h>

#include <filesystem>
#include <thread>

#include "runtime/cluster/silos.h"

namespace millrace::testing {
namespace {

silo_state state_of(const std::string& name, const silo& seen_by) {
  for (const auto& each : seen_by.cluster_view().silos) {
    if (each.name == name) {
      return each.state;
    }
  }
  return silo_state::joining;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// Goal: drain is over when it leads nothing, no call fails meanwhile, and all of it comes back.
TEST_CASE("a silo is drained, keeps its copies, and takes part again") {
  silos all;
  auto a = all.start("a");
  auto b = all.start("b");
  auto c = all.start("c");
  add(*a);
  settle(all, *a, 3);
  REQUIRE(b->drain());
  CHECK(b->drain());
  all.until("b leads nothing", [&] {
    add(*a);
    return led_by("b", *a) == 0 && state_of("b", *a) == silo_state::draining;
  });
  CHECK(b->metrics().cluster->draining);
  all.until("its copies are in sync, which it left with what it led", [&] {
    const auto seen = a->cluster_view();
    return total(*a) >= 0 && led_by("b", *a) == 0 &&
           std::all_of(seen.partitions.begin(), seen.partitions.end(),
                       [](const auto& each) { return each.in_sync.size() == 3; });
  });
  REQUIRE(b->end_drain());
  all.until("b leads again", [&] { return total(*b) >= 0 && is_balanced(*a, 3); });
  CHECK(state_of("b", *a) == silo_state::active);
  CHECK_FALSE(b->metrics().cluster->draining);
  b->stop();
  CHECK(b->drain().error().code() == errc::failed_precondition);
}

// Goal: nothing is given up by a program, and what is given up is seen until somebody has.
// Method: with two copies, a goes on alone; then only b, which lacks that, is left.
TEST_CASE("glass is broken where nobody can lead, and that is seen until it is acknowledged") {
  silos all;
  const auto with_two = [](silo_options& options) { options.cluster->copies = 2; };
  auto a = all.start("a", with_two);
  auto b = all.start("b", with_two);
  add(*a);
  settle(all, *a, 2);
  const auto before = total(*a);
  const partition_id third{3};
  const auto refused = b->break_glass(third, "no reason");
  REQUIRE_FALSE(refused);
  CHECK(has(refused.error().text(), "partition 3 is led by silo '"));
  CHECK(b->break_glass(partition_id{99}, "x").error().code() == errc::invalid_argument);
  CHECK(b->acknowledge_loss(third).error().code() == errc::failed_precondition);
  silos::kill(b);
  all.until("a goes on alone", [&] {
    add(*a);
    const auto seen = a->cluster_view();
    return std::all_of(seen.partitions.begin(), seen.partitions.end(),
                       [](const auto& each) { return each.in_sync.size() == 1; });
  });
  silos::kill(a);
  std::filesystem::remove_all(all.folder.path / "data-a");
  b = all.start("b", with_two);
  all.until("a is gone", [&] { return b->cluster_view().silos.size() == 1; });
  CHECK(b->break_glass(third, "").error().code() == errc::invalid_argument);
  for (std::uint16_t index = 0; index < cluster_partitions; ++index) {
    const auto broken = b->break_glass(partition_id{index}, "the disk of a is gone");
    if (!broken) {
      FAIL(broken.error().to_string() << all.told());
    }
  }
  CHECK(total(*b) == before);
  add(*b);
  a = all.start("a", with_two);
  settle(all, *a, 2);
  CHECK(a->metrics().cluster->losses_unacknowledged == cluster_partitions);
  const auto loss = a->cluster_view().partitions[3].loss;
  CHECK(loss.number == 1);
  CHECK(loss.silo == "b");
  CHECK(loss.reason == "the disk of a is gone");
  CHECK_FALSE(loss.acknowledged);
  REQUIRE(a->acknowledge_loss(third));
  CHECK(a->acknowledge_loss(third));
  all.until("both know", [&] {
    return total(*b) >= 0 && a->cluster_view().partitions[3].loss.acknowledged &&
           b->cluster_view().partitions[3].loss.acknowledged;
  });
  CHECK(b->metrics().cluster->losses_unacknowledged == cluster_partitions - 1);
  CHECK(total(*b) == before + cluster_partitions);
}

TEST_CASE("a silo counts what it leads and has, and what happens to it") {
  silos all;
  auto a = all.start("a");
  auto b = all.start("b");
  auto c = all.start("c");
  add(*a);
  all.until("all have all", [&] {
    return total(*a) >= 0 && is_balanced(*a, 3) &&
           a->metrics().cluster->copies == cluster_partitions;
  });
  auto seen = *a->metrics().cluster;
  CHECK(seen.partitions_led == led_by("a", *a));
  CHECK(seen.copies_behind == 0);
  CHECK(seen.in_sync_min == 3);
  CHECK(seen.partitions_below_copies == 0);
  CHECK(seen.partitions_without_leader == 0);
  CHECK(seen.links_up == 2);
  CHECK(seen.links_down == 0);
  CHECK(seen.store_reachable);
  CHECK(seen.joins_total > 0);
  const auto rejoins =
      c->metrics().cluster->rejoins_by_tail_total + c->metrics().cluster->rejoins_by_snapshot_total;
  CHECK(rejoins > 0);  // some it hears of later, and some may leave and come again
  silos::kill(b);
  all.until("b is out everywhere", [&] {
    add(*a);
    seen = *a->metrics().cluster;
    return seen.partitions_led + c->metrics().cluster->partitions_led == cluster_partitions &&
           seen.in_sync_min == 2;
  });
  CHECK(seen.partitions_below_copies == seen.partitions_led);
  CHECK(seen.partitions_below_minimum == 0);
  CHECK(seen.ejections_total > 0);
  CHECK(seen.takeovers_total + c->metrics().cluster->takeovers_total > 0);
  CHECK(seen.leaderless.count() > 0);
  const auto text = to_prometheus_text(a->metrics());
  CHECK(has(text, "\nmillrace_cluster_copies 16\n"));
  CHECK(has(text, "\nmillrace_cluster_rejoins_total{by=\"tail\"} "));
  CHECK_FALSE(has(to_prometheus_text(silo_metrics{}), "millrace_cluster"));
}

// Goal: copies go where the ranking has them. (That no set is smaller for it, but for one that is
// handed over, is the core's: replica_set_test.)
TEST_CASE("copies move to a silo that joins a cluster which has enough of them") {
  silos all;
  const auto with_two = [](silo_options& options) { options.cluster->copies = 2; };
  auto a = all.start("a", with_two);
  auto b = all.start("b", with_two);
  add(*a);
  settle(all, *a, 2);
  const auto sum = total(*a);
  auto c = all.start("c", with_two);
  all.until("each partition has its copies where they should be", [&] {
    const auto seen = a->cluster_view();
    for (const auto& each : seen.partitions) {
      REQUIRE(each.in_sync.size() <= 3);
    }
    return total(*c) == sum &&
           std::all_of(seen.partitions.begin(), seen.partitions.end(), [](auto each) {
             auto wanted = ranked_for(each.partition, plain({"a", "b", "c"}));
             wanted.pop_back();
             std::sort(wanted.begin(), wanted.end());
             std::sort(each.in_sync.begin(), each.in_sync.end());
             return each.in_sync == wanted;
           });
  });
  CHECK(total(*c) == sum);
  c->stop();
  CHECK(total(*a) == sum);
}

// Goal: no partition lacks a copy for a silo that goes for good.
TEST_CASE("a silo that is decommissioned has no copies left when it stops") {
  silos all;
  const auto with_two = [](silo_options& options) { options.cluster->copies = 2; };
  auto a = all.start("a", with_two);
  auto b = all.start("b", with_two);
  auto c = all.start("c", with_two);
  add(*a);
  settle(all, *a, 2);
  const auto sum = total(*a);
  const auto has_copies = [&](const silo& seen_by) {
    const auto seen = seen_by.cluster_view();
    return std::any_of(seen.silos.begin(), seen.silos.end(), [](const auto& each) {
      return each.name == "c" && each.partitions_total > 0;
    });
  };
  all.until("c has its share", [&] { return total(*c) == sum && is_balanced(*a, 2); });
  REQUIRE(c->drain(drain_purpose::decommission));
  const auto is_for_good = [&] {
    const auto seen = a->cluster_view();
    return std::any_of(seen.silos.begin(), seen.silos.end(),
                       [](const auto& each) { return each.name == "c" && each.decommissioned; });
  };
  all.until("others know that it goes for good", is_for_good);
  REQUIRE(c->drain(drain_purpose::pause));  // as whoever stops it asks
  const auto is_whole = [&] {
    const auto seen = a->cluster_view();
    return std::all_of(seen.partitions.begin(), seen.partitions.end(),
                       [](const auto& each) { return each.in_sync.size() == 2; });
  };
  all.until("its copies are elsewhere",
            [&] { return total(*a) == sum && !has_copies(*a) && is_whole(); });
  CHECK(is_for_good());
  c->stop();
  CHECK(is_whole());
  CHECK(total(*a) == sum);
  c.reset();
  c = all.start("c", with_two);  // its next start ends it
  all.until("c has its share again", [&] { return total(*c) == sum && is_balanced(*a, 2); });
}

// Goal: who stops all silos at once waits for no copy that is gone, nor for a deadline.
TEST_CASE("silos that all stop at once do so soon, and lose nothing") {
  silos all;
  auto a = all.start("a");
  auto b = all.start("b");
  auto c = all.start("c");
  add(*a);
  settle(all, *a, 3);
  const auto sum = total(*a);
  const system_clock time;
  const auto begun = time.steady();
  {
    std::vector<std::jthread> ends;
    for (auto* const each : {a.get(), b.get(), c.get()}) {
      ends.emplace_back([each] { each->stop(); });
    }
  }
  CHECK(time.steady() - begun < 9s);  // a grace is ten
  a.reset();
  b.reset();
  c.reset();
  a = all.start("a");
  b = all.start("b");
  c = all.start("c");
  CHECK(total(*a) == sum);
}

}  // namespace
}  // namespace millrace::testing
