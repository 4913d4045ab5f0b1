// SPDX-License-Identifier: MIT
// Which executors a ticket may go to: those of its pool, and what waits for others costs nothing.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "lab.h"

namespace millrace::actors {
namespace {

using namespace std::chrono_literals;

pool_wish in(std::string pool, std::string project = "p", resource_amounts resources = {}) {
  return {
      .project = std::move(project), .resources = std::move(resources), .pool = std::move(pool)};
}

std::string executor_of(const lab& here, const std::string& task) {
  const auto* found = here.pool.find(task, 1);
  return found != nullptr ? found->executor : "";
}

TEST_CASE("names of pools are read, and refused with a remedy") {
  CHECK(*parse_pools("") == pool_names{"default"});
  CHECK(*parse_pools("gpu,default") == pool_names{"default", "gpu"});
  CHECK(belongs(*parse_pools("*"), "whatever"));
  CHECK_FALSE(belongs(*parse_pools("gpu"), "default"));
  for (const auto* text : {"GPU", "gpu,", ",gpu", "gpu,,cpu", " gpu", "-a", "**"}) {
    INFO(text);
    const auto made = parse_pools(text);
    REQUIRE_FALSE(made);
    CHECK(made.error().code() == runtime::errc::invalid_argument);
  }
  CHECK(parse_pools("a,b,a").error().text() == "the pool `a` comes twice");
  std::string many = "p0";
  for (std::size_t at = 1; at < executor_pools_max; ++at) {
    many += ",p" + std::to_string(at);
  }
  CHECK(parse_pools(many));
  CHECK(parse_pools(many + ",more").error().text() == "an executor belongs to at most 16 pools");
}

TEST_CASE("a ticket goes to executors of its pool alone") {
  lab here;
  here.join_pools("cpu", 8, {"default"});
  here.join_pools("gpu", 1, {"gpu"});
  here.want("r/a", in("gpu"));
  here.want("r/b", in("gpu"));
  here.want("r/c", in("default"));
  here.want("r/d", in("attic"));
  CHECK(here.grant() == names{"r/a", "r/c"});
  CHECK(executor_of(here, "r/a") == "gpu");
  CHECK(executor_of(here, "r/c") == "cpu");
  CHECK(here.why("r/b") == "the only slot of pool gpu is taken");
  CHECK(here.why("r/d") == "waits for pool attic: no executor of a silo belongs to it");
  CHECK(here.pool.waiting_reason() ==
        "waits for pool attic: no executor of a silo belongs to it; the only slot of pool gpu is "
        "taken");
  here.end("r/a");
  CHECK(here.grant() == names{"r/b"});
  here.pool.leave("gpu");
  here.want("r/e", in("gpu"));
  CHECK(here.grant().empty());
  CHECK(here.why("r/e") == "waits for pool gpu: gpu belongs to it, and is away");
}

TEST_CASE("an executor of several pools serves what comes first, and one of all serves anything") {
  lab here;
  here.join_pools("both", 2, {"default", "gpu"});
  here.want("r/a", in("gpu"));
  here.want("r/b", in("default"));
  here.want("r/c", in("gpu"), 60);
  CHECK(here.grant() == names{"r/c", "r/a"});
  CHECK(here.why("r/b") == "all 2 slots of pool default are taken");
  here.join_pools("any", 1, {"*"});
  here.want("r/d", in("attic"));
  CHECK(here.grant() == names{"r/b"});
  CHECK(here.why("r/d") == "the only slot of pool attic is taken");
  const auto told = here.pool.pools(100);
  REQUIRE(told.size() == 3);
  CHECK(told[0].pool == "attic");
  CHECK(told[0].waiting == 1);
  CHECK(told[1].pool == "default");
  CHECK(told[2].pool == "gpu");
  CHECK(told[2].executors == 2);
  CHECK(told[2].slots == 3);
  CHECK(told[2].taken == 3);
  CHECK(told[2].waiting == 0);
}

// Goal: whoever names pools by the thousand makes no answer long, and hides no pool of executors.
TEST_CASE("of many pools that are waited for a few are told, and those of executors always") {
  lab here;
  here.join_pools("z", 1, {"zoo"});
  for (int at = 0; at < 300; ++at) {
    here.want("r" + std::to_string(at) + "/a", in("p" + std::to_string(1000 + at)));
  }
  CHECK(here.grant().empty());
  const auto reason = here.pool.waiting_reason();
  CHECK(reason.starts_with("waits for pool p1000: no executor of a silo belongs to it; "));
  CHECK(reason.ends_with("; so it is in more pools"));
  CHECK(reason.size() < 1000);
  const auto told = here.pool.pools(20);
  CHECK(told.size() == 20);
  CHECK(told.front().pool == "default");
  CHECK(told.back().pool == "zoo");
}

TEST_CASE("what an executor has goes on when it belongs to other pools, and no more comes") {
  lab here;
  here.join_pools("e", 2, {"gpu"});
  here.want("r/a", in("gpu"), 50, true);
  here.want("r/b", in("gpu"), 50, true);
  here.want("r/c", in("gpu"), 50, true);
  here.want("s/a", in("gpu"));
  CHECK(here.grant() == names{"r/a", "r/b"});
  CHECK(here.pool.join("e", 1, 2, {}, here.now, "e.host", {"default"}).empty());
  here.end("r/a");
  CHECK(here.grant().empty());
  CHECK(executor_of(here, "r/b") == "e");
  CHECK(here.why("r/c") == "its run has its workspace at e, which does not belong to pool gpu");
  CHECK(here.why("s/a") == "waits for pool gpu: no executor of a silo belongs to it");
  here.want("s/b", in("default"));
  CHECK(here.grant() == names{"s/b"});
}

TEST_CASE("a run that shares a workspace goes where all of its pools are") {
  lab here;
  here.join_pools("cpu", 8, {"default"});
  here.join_pools("gpu", 1, {"gpu"});
  auto load = in("default");
  load.run_pools = {"default", "gpu"};
  here.want("r/load", load, 50, true);
  CHECK(here.grant().empty());
  CHECK(here.why("r/load") ==
        "the tasks of its run share a workspace and want pools default, gpu; no executor belongs "
        "to all of them");
  here.join_pools("both", 1, {"default", "gpu"});
  CHECK(here.grant() == names{"r/load"});
  CHECK(here.pool.executor_of("r") == "both");
}

// Goal: neither pool holds up the other, in whatever order its tickets stand.
TEST_CASE("what waits for a full pool keeps nothing from another, of whatever priority it is") {
  lab here;
  here.join_pools("cpu", 2, {"default"});
  here.join_pools("gpu", 1, {"gpu"});
  here.want("r/first", in("gpu"));
  CHECK(here.grant() == names{"r/first"});
  here.want("r/a", in("gpu"), 1'000);
  here.want("r/b", in("gpu", "p", {{"cpu", 1}}), 900);
  here.want("r/c", in("default"), 1);
  CHECK(here.grant() == names{"r/c"});
  CHECK(here.why("r/b").starts_with("wants 1m cpu; no executor of pool gpu offers any"));

  lab two{pool_queue{4}};  // where what could go to either waits for a slot that is free
  two.join_pools("a", 1, {"gpu"});
  two.join_pools("b", 1, {"gpu"});
  two.join_pools("cpu", 1, {"default"});
  two.want("r/1", in("gpu"));
  two.want("r/2", in("gpu"));
  CHECK(two.grant() == names{"r/1", "r/2"});
  two.want("r/3", in("gpu"), 1'000);
  two.want("r/4", in("default"));
  CHECK(two.grant() == names{"r/4"});
}

// Goal: one that waits for any slot of its pool is not passed where its slots are another's too.
TEST_CASE("where pools share an executor nothing is granted ahead of one that waits there") {
  lab here{pool_queue{4}};
  here.join_pools("a", 1, {"x"});
  here.join_pools("b", 1, {"x", "y"});
  here.want("r/1", in("x"));
  here.want("r/2", in("x"));
  CHECK(here.grant() == names{"r/1", "r/2"});
  here.want("r/3", in("x"));
  here.want("r/4", in("y"));  // to b alone, where it would be granted ahead of r/3
  CHECK(here.grant().empty());
  here.end("r/3");
  CHECK(here.grant() == names{"r/4"});
}

TEST_CASE(
    "projects share a pool by what they have used of all pools, and their bounds hold there") {
  lab here;
  here.pool.set_limits("p", {.max_running = 2});
  here.join_pools("cpu", 4, {"default"});
  here.join_pools("gpu", 1, {"gpu"});
  here.want("r/a", in("default", "p"));
  here.want("r/b", in("gpu", "p"));
  here.want("r/c", in("default", "p"));
  CHECK(here.grant() == names{"r/a", "r/b"});
  CHECK(here.why("r/c") == "the project 'p' has 2 tasks that run, and may have 2 at a time");
  here.want("r/d", in("gpu", "p"));
  here.want("s/a", in("gpu", "q"));
  here.now += 10min;
  here.end("r/b");
  CHECK(here.grant() == names{"s/a", "r/c"});  // p has used 20 minutes, q nothing
}

TEST_CASE("a lock is held across pools, and is kept for nobody who has no executor") {
  lab here;
  here.join_pools("cpu", 4, {"default"});
  here.join_pools("gpu", 1, {"gpu"});
  const auto holds = [](std::string pool) {
    return pool_wish{.project = "p", .locks = {{"prod", 0}}, .pool = std::move(pool)};
  };
  here.want("r/a", holds("gpu"));
  here.want("r/b", holds("default"));
  here.want("r/none", holds("attic"));
  CHECK(here.grant() == names{"r/a"});
  CHECK(here.why("r/b") == "waits for the mutex 'prod', which is held by 'a' of run r");
  here.now += patience;
  here.want("r/c", holds("gpu"));
  here.end("r/a");
  CHECK(here.grant() == names{"r/b"});
  here.end("r/b");
  CHECK(here.grant() == names{"r/c"});
}

TEST_CASE("one preempts where its pool is, also what is of another pool there, and nowhere else") {
  lab here;
  here.pool.set_limits("web", {.preempts_from = 100});
  here.join_pools("cpu", 1, {"default"});
  here.join_pools("both", 1, {"default", "gpu"});
  auto low = in("default");
  low.preemptible = true;
  here.want("r/1", low, 10);
  here.want("r/2", low, 20);
  CHECK(here.grant().size() == 2);
  const auto at_both = executor_of(here, "r/1") == "both" ? "r/1" : "r/2";
  here.want("s/urgent", in("gpu", "web"), 100);
  here.want("s/nowhere", in("attic", "web"), 100);
  CHECK(here.grant().empty());
  const auto news = here.pool.take_news();
  REQUIRE(news.preempted.size() == 1);
  CHECK(news.preempted[0].ends.task == at_both);
  CHECK(here.why("s/nowhere") == "waits for pool attic: no executor of a silo belongs to it");

  // A promise is broken when the executor goes to other pools.
  CHECK(here.pool.join("both", 1, 1, {}, here.now, "both.host", {"default"}).empty());
  here.end(at_both);
  CHECK(here.grant().empty());
  CHECK(here.why("s/urgent") == "waits for pool gpu: no executor of a silo belongs to it");
}

TEST_CASE("a gang goes to its pool, and one of each pool has places kept for it") {
  lab here;
  here.join_pools("a", 2, {"x"});
  here.join_pools("b", 2, {"y"});
  here.join_pools("c", 8, {"default"});
  for (const auto* task : {"r/a1", "r/a2"}) {
    here.want(task, in("x"));
  }
  for (const auto* task : {"r/b1", "r/b2"}) {
    here.want(task, in("y"));
  }
  CHECK(here.grant().size() == 4);
  here.want_gang("r/g", 2, in("x"));
  here.want_gang("r/h", 2, in("y"));
  here.want_gang("r/large", 3, in("x"));
  CHECK(here.grant().empty());
  CHECK(here.why("r/large[0]") ==
        "a gang of 3 ranks; there are 2 places for them in its pool at most");
  here.now += patience;
  here.want("r/a3", in("x"));
  here.want("r/b3", in("y"));
  here.end("r/a1");
  here.end("r/b1");
  CHECK(here.grant().empty());  // both places are kept
  CHECK(here.why("r/g[0]") == "a gang of 2 ranks: 1 place is free, and kept for it");
  CHECK(here.why("r/h[0]") == "a gang of 2 ranks: 1 place is free, and kept for it");
  CHECK(here.why("r/b3") ==
        "the free slots are kept for 'h[0]' of run r, one of a gang of 2 ranks, which has waited "
        "longer");
  here.end("r/b2");
  CHECK(here.grant() == names{"r/h[0]", "r/h[1]"});
  here.end("r/a2");
  CHECK(here.grant() == names{"r/g[0]", "r/g[1]"});
}

// Goal: what waits for one pool costs a grant in another nothing.
// Method: count the lanes looked at with 100,000 tickets of a thousand kinds that wait elsewhere.
TEST_CASE("a hundred thousand tickets of another pool cost a grant nothing") {
  const auto looks_with = [](std::uint64_t others, const pool_names& elsewhere) {
    lab here;
    if (!elsewhere.empty()) {
      here.join_pools("elsewhere", 1, elsewhere);
      here.want("s/first", in("busy"));
    }
    here.join_pools("e", 1, {"default"});
    for (std::uint64_t at = 0; at < others; ++at) {
      here.want("s/" + std::to_string(at),
                in("busy", "p" + std::to_string(at % 10), {{"cpu", 1 + at % 1'000}}),
                static_cast<std::uint32_t>(50 + at % 5));
    }
    here.want("r/a", in("default"));
    here.want("r/b", in("default"));
    static_cast<void>(here.grant());
    here.end("r/a");
    const auto before = here.pool.looks();
    CHECK(here.grant() == names{"r/b"});
    return here.pool.looks() - before;
  };
  CHECK(looks_with(0, {}) == 1);
  CHECK(looks_with(100'000, {}) == 1);
  CHECK(looks_with(100'000, {"busy"}) == 1);
}

// Goal: whatever comes and goes, a grant is to an executor of the ticket's pool, and nothing waits
// that could go.
TEST_CASE(
    "random tickets of several pools are granted where they belong, and as far as there are "
    "slots") {
  const names all{"default", "x", "y", "z"};
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    INFO("seed ", seed);
    std::mt19937 random{seed};
    lab here;
    std::map<std::string, pool_names> members;
    std::map<std::string, std::pair<std::string, std::string>> running;  // pool, executor
    std::map<std::string, std::string> waiting;                          // pool
    for (const auto* name : {"a", "b", "c"}) {
      for (const auto& pool : all) {
        if (random() % 2 == 0) {
          members[name].insert(pool);
        }
      }
      members[name].insert(all[random() % all.size()]);
      here.join_pools(name, 2, members[name]);
    }
    for (int step = 0; step < 200; ++step) {
      here.now += 1s;
      if (random() % 3 != 0 || running.empty()) {
        const auto task = "r" + std::to_string(step) + "/t";
        const auto& pool = all[random() % all.size()];
        here.want(task, in(pool, "p" + std::to_string(random() % 3)),
                  static_cast<std::uint32_t>(random() % 3));
        waiting[task] = pool;
      } else {
        const auto ended = std::next(running.begin(), random() % running.size());
        here.end(ended->first);
        running.erase(ended);
      }
      static_cast<void>(here.grant());
      for (const auto& each : here.granted) {
        REQUIRE(belongs(members[each.ticket.executor], each.ticket.wish.pool));
        running[each.ticket.task] = {each.ticket.wish.pool, each.ticket.executor};
        waiting.erase(each.ticket.task);
      }
      std::map<std::string, int> taken;
      for (const auto& [task, where] : running) {
        REQUIRE(++taken[where.second] <= 2);
      }
      for (const auto& [task, pool] : waiting) {
        for (const auto& [name, pools] : members) {
          REQUIRE((!belongs(pools, pool) || taken[name] == 2));
        }
      }
    }
  }
}

}  // namespace
}  // namespace millrace::actors
