// SPDX-License-Identifier: MIT
// What a project may have of a pool together: processors, memory, and what its runs hold on disks.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "lab.h"

namespace millrace::actors {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t gib = std::uint64_t{1} << 30U;

// --- processors and memory -----------------------------------------------------------------------

TEST_CASE("what a project has asked for together stays within its quota, and others go on") {
  lab here;
  here.join("e", 16, {{"cpu", 32'000}, {"memory", 64 * gib}});
  here.pool.set_limits("p", {.resources = {{"cpu", 4'000}, {"memory", 4 * gib}}});
  here.want("r/a", of("p", {{"memory", 3 * gib}}));
  here.want("r/b", of("p", {{"memory", 2 * gib}}));
  here.want("r/c", of("p", {{"cpu", 4'000}, {"memory", gib}}));
  here.want("r/d", of("p", {{"cpu", 500}}));
  here.want("r/plain", of("p"));
  here.want("s/other", of("q", {{"cpu", 8'000}, {"memory", 8 * gib}}));
  CHECK(here.grant() == names{"r/a", "s/other", "r/c", "r/plain"});
  CHECK(here.why("r/b") ==
        "waits for memory: the project 'p' uses 4Gi of 4Gi, and this task wants 2Gi");
  CHECK(here.why("r/d") == "waits for cpu: the project 'p' uses 4 of 4, and this task wants 500m");
  here.end("r/c");
  CHECK(here.grant() == names{"r/d"});
  CHECK(here.why("r/b") ==
        "waits for memory: the project 'p' uses 3Gi of 4Gi, and this task wants 2Gi");
  here.pool.set_limits("p", {.resources = {{"memory", 5 * gib}}});
  CHECK(here.grant() == names{"r/b"});
  CHECK(here.share("p").taken == resource_amounts{{"cpu", 500}, {"memory", 5 * gib}});
}

TEST_CASE("a quota that becomes less takes nothing away, and no limit is no limit") {
  lab here;
  here.join("e", 8, {{"cpu", 8'000}});
  here.want("r/a", of("p", {{"cpu", 3'000}}));
  CHECK(here.grant() == names{"r/a"});
  here.pool.set_limits("p", {.resources = {{"cpu", 1'000}}});
  here.want("r/b", of("p", {{"cpu", 1'000}}));
  CHECK(here.grant().empty());
  CHECK(here.why("r/b") == "waits for cpu: the project 'p' uses 3 of 1, and this task wants 1");
  here.pool.set_limits("p", {});
  CHECK(here.grant() == names{"r/b"});
}

TEST_CASE(
    "what asks for more than its project may ever have is refused, and keeps nobody waiting") {
  lab here;
  here.join("e", 8, {{"cpu", 64'000}});
  CHECK(here.pool.refusal(of("p", {{"cpu", 8'000}})).empty());
  here.pool.set_limits("p", {.resources = {{"cpu", 4'000}}});
  CHECK(here.pool.refusal(of("p", {{"cpu", 4'000}, {"memory", gib}})).empty());
  CHECK(here.pool.refusal(of("q", {{"cpu", 8'000}})).empty());
  const std::string why =
      "wants 4001m cpu; the project 'p' may have 4 at a time: ask for less, or have its max_cpu "
      "raised";
  CHECK(here.pool.refusal(of("p", {{"cpu", 4'001}})) == why);
  auto ranks = of("p", {{"cpu", 1'500}});
  ranks.gang = {"r/g", 0, 3, 0};
  CHECK(here.pool.refusal(ranks) ==
        "3 ranks want 4500m cpu; the project 'p' may have 4 at a time: ask for less, or have its "
        "max_cpu raised");
  ranks.resources["cpu"] = resource_amount_max;
  CHECK(here.pool.refusal(ranks).starts_with("3 ranks want 18446744073709551615m cpu; "));
  // One that was there before the quota became less waits.
  here.want("r/large", of("p", {{"cpu", 4'001}}));
  here.want("r/small", of("p", {{"cpu", 1'000}}));
  here.now += 2 * patience;
  CHECK(here.grant() == names{"r/small"});
  CHECK(here.why("r/large") == why);
}

TEST_CASE("small tasks pass a large one until it has waited long, by quota too") {
  lab here;
  here.join("e", 8, {{"cpu", 64'000}, {"memory", gib}});
  here.pool.set_limits("p", {.resources = {{"cpu", 4'000}}});
  here.want("r/1", of("p", {{"cpu", 2'000}}));
  CHECK(here.grant() == names{"r/1"});
  here.want("r/large", of("p", {{"cpu", 4'000}}));
  here.want("r/2", of("p", {{"cpu", 1'000}}));
  CHECK(here.grant() == names{"r/2"});
  here.now += patience;
  here.want("r/3", of("p", {{"cpu", 500}}));
  here.want("r/plain", of("p", {{"memory", gib}}));
  here.want("r/first", of("p", {{"cpu", 500}}), 60);
  here.pool.set_limits("q", {.resources = {{"cpu", 4'000}}});
  here.want("s/other", of("q", {{"cpu", 4'000}}));
  CHECK(here.grant() == names{"r/first", "s/other", "r/plain"});
  CHECK(
      here.why("r/3") ==
      "what the project 'p' may have of cpu is kept for 'large' of run r, which has waited longer");
  CHECK(here.why("r/large") ==
        "waits for cpu: the project 'p' uses 3500m of 4, and this task wants 4");
  here.end("r/1");
  here.end("r/2");
  CHECK(here.grant().empty());
  here.end("r/first");
  CHECK(here.grant() == names{"r/large"});
  here.end("r/large");
  CHECK(here.grant() == names{"r/3"});
}

// Goal: what lacks room now and quota then gets both in the end.
TEST_CASE("quota is kept as well for one that has waited long for an executor's resources") {
  lab here;
  here.join("a", 8, {{"cpu", 4'000}});
  here.join("b", 8, {{"cpu", 2'000}});
  here.pool.set_limits("p", {.resources = {{"cpu", 4'000}}});
  here.want("s/other", of("q", {{"cpu", 1'000}}));  // at a, where the most is left
  CHECK(here.grant() == names{"s/other"});
  here.want("r/large", of("p", {{"cpu", 4'000}}));
  CHECK(here.grant().empty());
  here.now += patience;
  here.want("r/small", of("p", {{"cpu", 1'000}}));
  CHECK(here.grant().empty());  // though there is room for it at b
  CHECK(
      here.why("r/small") ==
      "what the project 'p' may have of cpu is kept for 'large' of run r, which has waited longer");
  here.end("s/other");
  CHECK(here.grant() == names{"r/large"});
}

TEST_CASE("quota is kept as well for one that has waited long for a slot where it can go") {
  lab here;
  here.join("e", 1, {{"cpu", 8'000}, {"gpu", 1}});
  here.join("f", 8, {{"cpu", 8'000}});
  here.pool.set_limits("p", {.resources = {{"cpu", 4'000}}});
  here.want("s/other", of("q", {{"gpu", 1}}));
  CHECK(here.grant() == names{"s/other"});
  here.want("r/large", of("p", {{"cpu", 4'000}, {"gpu", 1}}));
  here.want("r/1", of("p", {{"cpu", 1'000}}));
  CHECK(here.grant() == names{"r/1"});
  here.now += patience;
  here.want("r/2", of("p", {{"cpu", 1'000}}));
  here.end("r/1");
  CHECK(here.grant().empty());  // though there is room for it at f
  CHECK(
      here.why("r/2") ==
      "what the project 'p' may have of cpu is kept for 'large' of run r, which has waited longer");
  here.end("s/other");
  CHECK(here.grant() == names{"r/large"});
}

// Goal: one that wants a lock and quota is not passed by those that want the lock alone, in turn
// with those that want quota alone.
TEST_CASE("one that has waited long for quota has the lock kept for it too that it lacks") {
  lab here;
  here.join("e", 8, {{"cpu", 64'000}});
  here.pool.set_limits("p", {.resources = {{"cpu", 4'000}}});
  const auto locking = [](resource_amounts resources) {
    auto wish = of("p", std::move(resources));
    wish.locks = {{"l", 0}};
    return wish;
  };
  here.want("r/lock 1", locking({}));
  here.want("r/cpu 1", of("p", {{"cpu", 1'000}}));
  CHECK(here.grant() == names{"r/lock 1", "r/cpu 1"});
  here.want("r/both", locking({{"cpu", 4'000}}));
  here.now += patience;
  CHECK(here.grant().empty());
  here.want("r/lock 2", locking({}));
  here.end("r/lock 1");
  CHECK(here.grant().empty());
  CHECK(here.why("r/lock 2") ==
        "waits for the mutex 'l', which is kept for 'both' of run r, which has waited longer");
  here.want("r/cpu 2", of("p", {{"cpu", 1'000}}));
  CHECK(here.grant().empty());  // from here on the quota is kept as well
  here.end("r/cpu 1");
  CHECK(here.grant() == names{"r/both"});
}

TEST_CASE("what is lost, put back or taken back is counted no more") {
  lab here;
  here.join("a", 4, {{"cpu", 8'000}});
  here.join("b", 4, {{"cpu", 8'000}});
  here.pool.set_limits("p", {.resources = {{"cpu", 4'000}}});
  for (const auto* task : {"r/1", "r/2", "r/3", "r/4"}) {
    here.want(task, of("p", {{"cpu", 1'000}}));
  }
  CHECK(here.grant().size() == 4);
  auto lost = here.pool.join("a", 2, 4, {{"cpu", 8'000}}, here.now);
  REQUIRE(lost.size() == 2);
  CHECK(here.share("p").taken == resource_amounts{{"cpu", 2'000}});
  here.pool.put_back(lost[0]);
  CHECK(here.share("p").taken == resource_amounts{{"cpu", 2'000}});
  CHECK(here.grant() == names{lost[0].task});
  CHECK(here.share("p").taken == resource_amounts{{"cpu", 3'000}});
  CHECK(here.pool.lose("b").size() == 2);
  CHECK(here.share("p").taken == resource_amounts{{"cpu", 1'000}});
  here.end(lost[0].task);
  CHECK(here.share("p").taken.empty());
}

// --- gangs and preemption ------------------------------------------------------------------------

TEST_CASE("a gang counts with all of its ranks, all or nothing") {
  lab here;
  here.join("e", 16, {{"cpu", 64'000}, {"memory", 1}});
  here.pool.set_limits("p", {.resources = {{"cpu", 4'000}}});
  here.want("r/one", of("p", {{"cpu", 2'000}}));
  CHECK(here.grant() == names{"r/one"});
  here.want_gang("r/g", 3, of("p", {{"cpu", 1'000}}));
  CHECK(here.grant().empty());
  CHECK(here.why("r/g[1]") == "waits for cpu: the project 'p' uses 2 of 4, and 3 ranks want 3");
  here.want("r/two", of("p", {{"cpu", 500}}));
  CHECK(here.grant() == names{"r/two"});
  here.now += patience;
  here.want("r/three", of("p", {{"cpu", 500}}));
  here.want("r/plain", of("p", {{"memory", 1}}));
  CHECK(here.grant() == names{"r/plain"});
  CHECK(here.why("r/three") ==
        "what the project 'p' may have of cpu is kept for a gang that has waited longer");
  here.end("r/one");
  CHECK(here.grant() == names{"r/g[0]", "r/g[1]", "r/g[2]", "r/three"});
  CHECK(here.share("p").taken == resource_amounts{{"cpu", 4'000}, {"memory", 1}});
}

// Goal: whoever waits for its own project alone is in nobody else's way.
TEST_CASE("a gang that lacks its project's quota has that kept for it, and no places") {
  lab here;
  here.join("e", 4, {{"cpu", 64'000}});
  here.pool.set_limits("p", {.resources = {{"cpu", 6'000}}});
  here.want("r/long", of("p", {{"cpu", 4'000}}));
  CHECK(here.grant() == names{"r/long"});
  here.want_gang("r/g", 2, of("p", {{"cpu", 2'000}}));
  here.now += patience;
  here.want("s/1", of("q"));
  here.want("r/small", of("p", {{"cpu", 500}}));
  here.want("r/plain", of("p"));
  CHECK(here.grant() == names{"s/1", "r/plain"});
  CHECK(here.why("r/g[0]") == "waits for cpu: the project 'p' uses 4 of 6, and 2 ranks want 4");
  CHECK(here.why("r/small") ==
        "what the project 'p' may have of cpu is kept for a gang that has waited longer");
  here.want_gang("s/g", 2, of("q"));
  here.now += patience;
  CHECK(here.grant().empty());
  CHECK(here.why("s/g[0]") == "a gang of 2 ranks: 1 place is free, and kept for it");
  here.end("r/long");
  CHECK(here.grant() == names{"s/g[0]", "s/g[1]"});
  here.end("s/g[0]");
  here.want("r/large", of("p", {{"cpu", 3'000}}));
  CHECK(here.grant().empty());  // it has its quota, and waits for places
  here.end("s/g[1]");
  CHECK(here.grant() == names{"r/g[0]", "r/g[1]"});
}

TEST_CASE(
    "a gang that its project may never have, or not while its disks are full, keeps nothing") {
  lab here;
  here.join("e", 4, {{"cpu", 64'000}});
  here.want_gang("r/g", 3, of("p", {{"cpu", 1'000}}));
  here.pool.set_limits("p", {.resources = {{"cpu", 2'000}}});
  here.now += 2 * patience;
  here.want("s/1", of("q", {{"cpu", 1'000}}));
  here.want("s/2", of("q", {{"cpu", 1'000}}));
  CHECK(here.grant() == names{"s/1", "s/2"});
  CHECK(here.why("r/g[0]") ==
        "3 ranks want 3 cpu; the project 'p' may have 2 at a time: ask for less, or have its "
        "max_cpu raised");
  here.pool.set_limits("p", {.max_storage = 10});
  here.pool.set_storage("e", "p", 10);
  here.want("s/3", of("q"));
  here.want("s/4", of("q"));
  CHECK(here.grant() == names{"s/3", "s/4"});
  CHECK(here.why("r/g[0]").starts_with("waits for storage: "));
}

TEST_CASE("what is promised counts, once, and nobody ends for what its project may not have") {
  lab here;
  here.join("e", 1, {{"cpu", 8'000}});
  here.pool.set_limits("vip", {.preempts_from = 100, .resources = {{"cpu", 2'000}}});
  here.want("r/low", {.project = "q", .resources = {{"cpu", 1'000}}, .preemptible = true});
  CHECK(here.grant() == names{"r/low"});
  here.want("r/urgent", of("vip", {{"cpu", 2'000}}), 100);
  CHECK(here.grant().empty());
  CHECK(here.pool.take_news().preempted.size() == 1);
  CHECK(here.share("vip").taken == resource_amounts{{"cpu", 2'000}});
  here.end("r/low");
  CHECK(here.grant() == names{"r/urgent"});
  CHECK(here.share("vip").taken == resource_amounts{{"cpu", 2'000}});
  here.join("f", 1, {{"cpu", 8'000}});
  here.want("s/low", {.project = "q", .preemptible = true});
  CHECK(here.grant() == names{"s/low"});
  here.want("r/second", of("vip", {{"cpu", 1'000}}), 100);
  CHECK(here.grant().empty());
  CHECK(here.pool.take_news().preempted.empty());
  CHECK(here.why("r/second") ==
        "waits for cpu: the project 'vip' uses 2 of 2, and this task wants 1");
  here.end("r/urgent");
  CHECK(here.grant() == names{"r/second"});
}

// --- disks ---------------------------------------------------------------------------------------

TEST_CASE("nothing more of a project starts while its runs hold as much as they may") {
  lab here;
  here.join("a", 2);
  here.join("b", 2);
  here.pool.set_limits("p", {.max_storage = 10 * gib});
  here.pool.set_storage("a", "p", 6 * gib);
  here.pool.set_storage("b", "p", 3 * gib);
  here.pool.set_storage("nobody", "p", 30 * gib);
  here.want("r/1", of("p"));
  CHECK(here.grant() == names{"r/1"});
  CHECK_FALSE(here.pool.set_storage("b", "p", 5 * gib + gib / 2));
  here.want("r/2", of("p"));
  here.want("s/1", of("q"));
  CHECK(here.grant() == names{"s/1"});
  CHECK(here.why("r/2") ==
        "waits for storage: runs of the project 'p' hold 11.5Gi on the disks of executors, and may "
        "hold 10Gi: remove some, or have its max_storage raised");
  CHECK_FALSE(here.pool.set_storage("a", "p", 5 * gib));  // less, and still full
  CHECK_FALSE(here.pool.set_storage("a", "q", 0));
  CHECK(here.pool.set_storage("a", "p", 0));
  CHECK(here.share("p").storage == 5 * gib + gib / 2);
  CHECK(here.pool.storage_of("a").empty());
  CHECK(here.grant() == names{"r/2"});
  here.pool.set_storage("a", "p", 20 * gib);
  CHECK(here.pool.lose("a").size() + here.pool.remove("b", "c").size() == 3);
  CHECK(here.share("p").storage == 0);  // who is gone holds nothing
}

// --- whatever happens ----------------------------------------------------------------------------

const std::map<std::string, project_limits> random_limits{
    {"p0", {.resources = {{"cpu", 4'000}, {"memory", 8}}}},
    {"p1", {.max_running = 3, .resources = {{"cpu", 3'000}}}},
    {"p2", {.preempts_from = 2, .resources = {{"memory", 6}}}},
    {"p3", {}}};

// One that anything happens to; `known` are the tasks that have tickets.
struct random_lab : lab {
  explicit random_lab(std::uint32_t seed) : random(seed) {
    join("a", 4, {{"cpu", 6'000}, {"memory", 16}});
    join("b", 3, {{"cpu", 4'000}, {"memory", 8}});
    set_limits();
  }

  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random() % limit); }
  void set_limits() {
    for (const auto& [project, one] : random_limits) {
      pool.set_limits(project, one);
    }
  }
  void come(const std::string& task) {
    auto wish = of("p" + std::to_string(below(4)));
    if (below(3) > 0) {
      wish.resources["cpu"] = 500 * (1 + below(6));
    }
    if (below(2) == 0) {
      wish.resources["memory"] = 1 + below(6);
    }
    wish.preemptible = below(2) == 0;
    want(task, wish, below(3));
    known.insert(task);
  }
  void come_as_gang(const std::string& task) {
    want_gang(task, 2,
              of("p" + std::to_string(below(4)), {{"cpu", 500 * (1 + below(2))}, {"memory", 1}}));
    known.insert({task + "[0]", task + "[1]"});
  }
  void end_any() {
    const auto at = std::next(known.begin(), below(static_cast<std::uint32_t>(known.size())));
    end(*at);
    known.erase(at);
  }
  // The executor begins another life: what it had waits again, or is gone.
  void lose_b() {
    for (auto& each : pool.join("b", ++incarnation, 3, {{"cpu", 4'000}, {"memory", 8}}, now, "b")) {
      if (below(2) == 0 && !each.wish.gang) {
        pool.put_back(std::move(each));
      } else {
        known.erase(each.task);
      }
    }
  }
  // The pool begins another life, from its rows.
  void restart() {
    auto all = pool.of_tasks("r");
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return std::pair{a.granted_at, a.number} < std::pair{b.granted_at, b.number};
    });
    pool = pool_queue{0};
    set_limits();
    for (const auto& each : pool_queue::take_stranded(all)) {
      known.erase(each.task);
    }
    for (auto& each : all) {
      pool.restore(std::move(each));
    }
    pool.restore_executor("a", 1, 4, {{"cpu", 6'000}, {"memory", 16}}, "a");
    pool.restore_executor("b", incarnation, 3, {{"cpu", 4'000}, {"memory", 8}}, "b");
  }
  void check_sums() const {
    std::map<std::string, resource_amounts> taken;
    for (const auto& each : pool.of_tasks("r")) {
      if (each.executor.empty()) {
        CHECK_FALSE(why(each.task).empty());
        continue;
      }
      for (const auto& [name, amount] : each.wish.resources) {
        taken[each.wish.project][name] += amount;
      }
    }
    for (const auto& [project, one] : random_limits) {
      CHECK(share(project).taken == taken[project]);
      for (const auto& [name, most] : one.resources) {
        CHECK(amount_of(taken[project], name) <= most);
      }
    }
  }

  std::mt19937 random;
  std::set<std::string> known;
  std::uint64_t incarnation = 1;
};

// Goal: no project has more than its quota, the pool's sums are those of its tickets, and
// everything gets its turn.
// Method: random events with gangs, preemption, lost executors and restarts, and sums over all
// tickets after each. Then what runs ends, one after the other, until nothing does.
TEST_CASE("random wishes of projects with quotas agree with sums over all tickets") {
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    random_lab here{seed};
    for (int step = 0; step < 150; ++step) {
      here.now += std::chrono::milliseconds{here.below(3'000)};
      const auto task = "r" + std::to_string(here.below(4)) + "/" + std::to_string(step);
      const auto what = here.below(20);
      if (what < 9) {
        here.come(task);
      } else if (what < 10) {
        here.come_as_gang(task);
      } else if (what < 17 && !here.known.empty()) {
        here.end_any();
      } else if (what == 17) {
        here.lose_b();
      } else if (what == 18) {
        here.restart();
      }
      static_cast<void>(here.grant());
      here.check_sums();
    }
    for (int round = 0; round < 2'000 && !here.known.empty(); ++round) {
      here.now += 10s;
      const auto all = here.pool.of_tasks("r");
      const auto runs = std::find_if(all.begin(), all.end(), [](const auto& each) {
        return !each.executor.empty() && !each.promised;
      });
      if (runs == all.end()) {
        break;
      }
      here.known.erase(runs->task);
      here.end(runs->task);
      static_cast<void>(here.grant());
      here.check_sums();
    }
    for (const auto& task : here.known) {  // but what its project may never have, or half a gang
      const auto why = here.why(task);
      CHECK_MESSAGE((why.find(" at a time: ask for less") != std::string::npos ||
                     why.find("have come to wait") != std::string::npos),
                    why);
    }
  }
}

// Goal: a grant costs the same with 100,000 tickets that wait for their projects' quotas as with
// 100, and gives what is free to whoever may have it.
// Method: count the lanes that grants look at while slots are freed one by one.
TEST_CASE("what waits for quota costs nothing") {
  const auto looks_with = [](int tickets) {
    lab here;
    here.join("a", 8, {{"cpu", 8'000}, {"memory", 64}});
    for (const auto* project : {"p0", "p1", "p2"}) {
      here.pool.set_limits(project, {.resources = {{"cpu", 2'000}, {"memory", 16}}});
    }
    for (int at = 0; at < tickets; ++at) {
      auto wish =
          of("p" + std::to_string(at % 4), {{"cpu", 500 * static_cast<std::uint64_t>(1 + at % 3)}});
      if (at % 5 == 0) {
        wish.locks = {{"lock " + std::to_string(at), 0}};
      }
      here.want("r/" + std::to_string(at), wish);
    }
    static_cast<void>(here.grant());
    const auto before = here.pool.looks();
    for (int at = 0; at < 20; ++at) {
      here.now += 10s;
      const auto all = here.pool.of_tasks("r");
      const auto one = std::find_if(all.begin(), all.end(),
                                    [](const auto& each) { return !each.executor.empty(); });
      here.end(one->task);
      static_cast<void>(here.grant());
    }
    return here.pool.looks() - before;
  };
  const auto few = looks_with(100);
  const auto many = looks_with(100'000);
  MESSAGE("lanes looked at for 20 grants: ", few, " with 100 tickets, ", many, " with 100,000");
  CHECK(many <= 2 * few);
}

}  // namespace
}  // namespace millrace::actors
