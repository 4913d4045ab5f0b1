// SPDX-License-Identifier: MIT
// How a pool shares its executors: resources, locks, projects, and what each that waits is told.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "lab.h"

namespace millrace::actors {
namespace {

using namespace std::chrono_literals;

pool_wish wants(resource_amounts resources) {
  return {.resources = std::move(resources)};
}
pool_wish holds(std::vector<pool_lock> locks, std::string project = "p") {
  return {.project = std::move(project), .locks = std::move(locks)};
}

// --- resources -----------------------------------------------------------------------------------

TEST_CASE("no more is granted of a resource than an executor offers") {
  lab here;
  here.join("e", 8, {{"gpu", 2}, {"cpu", 4'000}});
  here.want("r/a", wants({{"gpu", 1}}));
  here.want("r/b", wants({{"gpu", 1}, {"cpu", 4'000}}));
  here.want("r/c", wants({{"gpu", 1}}));
  here.want("r/d", wants({{"cpu", 500}}));
  here.want("r/plain");
  CHECK(here.grant() == names{"r/a", "r/b", "r/plain"});
  CHECK(here.why("r/c") == "wants 1 gpu; e has none of 2 free");
  CHECK(here.why("r/d") == "wants 500m cpu; e has none of 4 free");
  here.end("r/b");
  CHECK(here.grant() == names{"r/c", "r/d"});
  here.end("r/a");
  here.end("r/c");
  here.want("r/two", wants({{"gpu", 2}}));
  CHECK(here.grant() == names{"r/two"});
}

TEST_CASE("what no executor offers waits, says so, and keeps nobody waiting") {
  lab here;
  here.want("r/large", wants({{"cpu", 8'000}}));
  CHECK(here.why("r/large") == "waits for pool default: no executor of a silo belongs to it");
  here.join("silo-0", 1, {{"cpu", 2'000}});
  here.join("silo-1", 1, {{"cpu", 1'000}});
  here.want("r/odd", wants({{"licence", 1}}));
  here.want("r/small", wants({{"cpu", 2'000}}));
  CHECK(here.grant() == names{"r/small"});
  CHECK(here.why("r/large") == "wants 8 cpu; the largest executor, silo-0, offers 2");
  CHECK(here.why("r/odd") == "wants 1 licence; no executor offers any");
  here.join("silo-2", 1, {{"cpu", 8'000}});
  CHECK(here.grant() == names{"r/large"});
}

TEST_CASE("a task goes where the most is left of what it asks for") {
  lab here;
  here.join("a", 4, {{"cpu", 4'000}});
  here.join("b", 2, {{"cpu", 8'000}});
  here.want("r/1", wants({{"cpu", 2'000}}));
  here.want("r/2", wants({{"cpu", 4'000}}));
  here.want("r/3", wants({{"cpu", 1'000}}));
  const auto grants = here.pool.grant(here.now);
  REQUIRE(grants.size() == 3);
  CHECK(grants[0].ticket.executor == "b");  // a quarter of it, not a half
  CHECK(grants[1].ticket.executor == "b");
  CHECK(grants[2].ticket.executor == "a");
}

TEST_CASE("a run that shares a workspace goes where all of its tasks can run") {
  lab here;
  here.join("many", 8);
  here.join("gpus", 1, {{"gpu", 1}});
  const pool_wish first{.at_most = {{"gpu", 1}}};
  const pool_wish second{.resources = {{"gpu", 1}}, .at_most = {{"gpu", 1}}};
  here.want("r/load", first, 50, true);
  here.want("r/train", second, 50, true);
  here.want("s/load", {.at_most = {{"gpu", 2}}}, 50, true);
  CHECK(here.grant() == names{"r/load"});
  CHECK(here.pool.executor_of("r") == "gpus");
  CHECK(here.why("s/load") ==
        "a task of its run wants 2 gpu; the largest executor, gpus, offers 1");
  here.end("r/load");
  CHECK(here.grant() == names{"r/train"});
}

// Goal: small tasks pass a large one, and not for ever.
// Method: a stream of small ones that never leaves room, before and after the patience is over.
TEST_CASE("small tasks go around a large one until it has waited long") {
  lab here;
  here.join("e", 8, {{"cpu", 4'000}, {"gpu", 1}});
  here.want("r/s0", wants({{"cpu", 2'000}}));
  here.want("r/s1", wants({{"cpu", 2'000}}));
  CHECK(here.grant().size() == 2);
  here.want("r/large", wants({{"cpu", 4'000}}));
  here.want("r/s2", wants({{"cpu", 2'000}}));
  here.end("r/s0");
  here.now += patience - 1ms;
  CHECK(here.grant() == names{"r/s2"});
  here.want("r/s3", wants({{"cpu", 2'000}}));
  here.want("r/plain");
  here.want("r/other", wants({{"gpu", 1}}));  // of which the large one wants nothing
  here.end("r/s1");
  here.now += 1ms;
  CHECK(here.grant() == names{"r/plain", "r/other"});
  CHECK(here.why("r/large") == "wants 4 cpu; e has 2 of 4 free; e is kept for it");
  CHECK(here.why("r/s3") ==
        "what it wants is kept free at e for 'large' of run r, which has waited longer");
  here.end("r/s2");
  CHECK(here.grant() == names{"r/large"});
  here.end("r/large");
  CHECK(here.grant() == names{"r/s3"});
}

TEST_CASE("what is kept for one executor's large task leaves the others alone") {
  lab here;
  here.join("a", 4, {{"cpu", 4'000}});
  here.want("r/s0", wants({{"cpu", 1'000}}));
  CHECK(here.grant().size() == 1);
  here.want("r/large", wants({{"cpu", 4'000}}));
  here.now += patience;
  CHECK(here.grant().empty());
  here.join("b", 4, {{"cpu", 1'000}});
  here.want("r/s1", wants({{"cpu", 1'000}}));
  here.want("r/urgent", wants({{"cpu", 1'000}}), 60);
  const auto grants = here.pool.grant(here.now);
  REQUIRE(tasks_of(grants) == names{"r/urgent", "r/s1"});
  CHECK(grants[1].ticket.executor == "b");
}

TEST_CASE("nothing is granted ahead of a task that waits for a slot with what it asks for") {
  lab here;
  here.pool = pool_queue{4};
  here.join("e", 1, {{"gpu", 1}});
  here.want("r/a");
  here.want("r/b");
  CHECK(here.grant() == names{"r/a", "r/b"});
  here.want("r/gpu", wants({{"gpu", 1}}));
  here.want("r/c");
  CHECK(here.grant().empty());
  here.end("r/a");
  CHECK(here.grant().empty());
  here.end("r/b");
  CHECK(here.grant() == names{"r/gpu", "r/c"});
}

TEST_CASE("an executor is granted ahead what it ends in a second, and one") {
  lab here;
  here.pool = pool_queue{};
  here.join("e", 2);
  for (int at = 0; at < 300; ++at) {
    here.want("r/" + std::to_string(at));
  }
  auto granted = here.grant();
  CHECK(granted.size() == 3);
  here.now += 30s;  // slow ones
  here.end(granted[0]);
  CHECK(here.grant().size() == 1);
  for (int at = 0; at < 30; ++at) {  // fast ones
    const auto all = here.pool.of_tasks("r/");
    const auto one = std::find_if(all.begin(), all.end(),
                                  [](const auto& each) { return !each.executor.empty(); });
    here.end(one->task);
    static_cast<void>(here.grant());
    here.now += 1ms;
  }
  CHECK(here.pool.offers_made().front().granted == 2 + granted_ahead_max);
}

TEST_CASE("what asks for resources goes where a slot is free, or in front of what was ahead") {
  lab here;
  here.join("a", 1, {{"gpu", 4}});
  here.want("r/long", {}, 10);
  CHECK(here.grant() == names{"r/long"});
  here.join("b", 1, {{"gpu", 1}});
  here.want("r/high", wants({{"gpu", 1}}), 90);
  auto grants = here.pool.grant(here.now);
  REQUIRE(grants.size() == 1);
  CHECK(grants[0].ticket.executor == "b");  // though more would be left at the other
  here.want("r/higher", wants({{"gpu", 1}}), 99);
  CHECK(here.grant().empty());  // there it would wait, and whoever is free first may have it
  CHECK(here.why("r/higher") == "2 slots are taken");

  here = lab{};
  here.pool = pool_queue{2};
  here.join("e", 1, {{"gpu", 1}});
  for (const auto* task : {"r/1", "r/2", "r/3", "r/4"}) {
    here.want(task, {}, 10);
  }
  CHECK(here.grant() == names{"r/1", "r/2", "r/3"});
  here.want("r/high", wants({{"gpu", 1}}), 90);
  CHECK(here.grant() == names{"r/high"});

  here = lab{};
  here.pool = pool_queue{2};
  here.join("a", 1, {{"gpu", 1}});
  here.want("r/1", {}, 10, true);
  CHECK(here.grant() == names{"r/1"});
  here.join("b", 1, {{"gpu", 1}});
  here.want("s/1", {}, 10);
  here.want("r/2", {}, 10, true);
  CHECK(here.grant() == names{"s/1", "r/2"});  // the latter ahead, where its run is
  here.want("t/high", wants({{"gpu", 1}}), 90);
  CHECK(here.grant().empty());
  here.end("s/1");
  CHECK(here.grant() == names{"t/high"});
}

TEST_CASE("nobody is told what another project runs") {
  lab here;
  here.join("e", 8, {{"cpu", 4'000}});
  here.want("r/s", of("p", {{"cpu", 2'000}}));
  CHECK(here.grant().size() == 1);
  here.want("r/large", of("p", {{"cpu", 4'000}}));
  here.now += patience;
  CHECK(here.grant().empty());
  here.want("s/1", of("p", {{"cpu", 1'000}}));
  here.want("s/2", of("q", {{"cpu", 1'000}}), 40);
  CHECK(here.grant().empty());
  const std::string kept = "what it wants is kept free at e for ";
  CHECK(here.why("s/1") == kept + "'large' of run r, which has waited longer");
  CHECK(here.why("s/2") == kept + "a task of another project, which has waited longer");
}

TEST_CASE("nothing is granted of a run that is paused, until it is resumed") {
  lab here;
  here.join("e", 2);
  for (const auto shared : {false, true}) {
    here.want("r/1", {}, 50, shared);
    here.want("r/2", {}, 50, shared);
    here.want("r/3", {}, 50, shared);
    here.want("s/1", {}, 10);
    CHECK(here.grant() == names{"r/1", "r/2"});
    here.pool.pause_run("r", true);
    here.pool.pause_run("r", true);
    here.end("r/1");
    CHECK(here.grant() == names{"s/1"});
    CHECK(here.why("r/3") == "its run is paused");
    here.end("r/2");
    here.end("s/1");
    CHECK(here.grant().empty());
    pool_queue next{0};
    if (shared) {
      next.restore_run("r", "e");
    }
    next.restore_pause("r");
    next.restore(*here.pool.find("r/3", 1));
    next.restore_executor("e", 1, 2);
    CHECK(next.grant(here.now).empty());
    CHECK(next.reason("r/3", here.now) == "its run is paused");
    here.pool.pause_run("r", false);
    CHECK(here.grant() == names{"r/3"});
    here.end("r/3");
  }
}

// --- locks ---------------------------------------------------------------------------------------

TEST_CASE("one attempt holds a mutex, from its grant to its release") {
  lab here;
  here.join("e", 8);
  here.want("r1/deploy", holds({{"prod", 0}}));
  here.want("r2/deploy", holds({{"prod", 0}}));
  here.want("r3/deploy", holds({{"prod", 0}}, "other"));  // of another project
  here.want("r4/test", holds({{"test", 0}}));
  CHECK(here.grant() == names{"r1/deploy", "r3/deploy", "r4/test"});
  CHECK(here.why("r2/deploy") == "waits for the mutex 'prod', which is held by 'deploy' of run r1");
  CHECK(here.grant().empty());
  here.end("r1/deploy");
  CHECK(here.grant() == names{"r2/deploy"});
}

TEST_CASE("a semaphore is held by as many as its limit, and several locks all at once") {
  lab here;
  here.join("e", 8);
  for (const auto* task : {"r/a", "r/b", "r/c"}) {
    here.want(task, holds({{"db", 2}}));
  }
  here.want("r/both", holds({{"db", 2}, {"disk", 0}}));
  here.want("r/disk", holds({{"disk", 0}}));
  CHECK(here.grant() == names{"r/a", "r/b", "r/disk"});
  CHECK(here.why("r/c") ==
        "waits for the semaphore 'db', which is held by 'a' of run r and 1 other");
  here.end("r/a");
  CHECK(here.grant() == names{"r/c"});
  here.end("r/b");
  CHECK(here.grant().empty());
  CHECK(here.why("r/both") == "waits for the mutex 'disk', which is held by 'disk' of run r");
  here.end("r/disk");
  CHECK(here.grant() == names{"r/both"});
}

TEST_CASE("a lock is free when its holder is lost, and held again by one that is restored") {
  lab here;
  here.join("e", 8);
  here.want("r/a", holds({{"db", 0}}));
  const auto granted = here.pool.grant(here.now);
  REQUIRE(granted.size() == 1);
  here.want("r/b", holds({{"db", 0}}));
  CHECK(here.grant().empty());
  pool_queue next{0};
  next.restore(granted[0].ticket);
  next.restore(*here.pool.find("r/b", 1));
  next.restore_executor("e", 1, 8);
  CHECK(next.grant(here.now).empty());
  CHECK(next.reason("r/b", here.now).starts_with("waits for the mutex 'db'"));
  CHECK(next.lose("e").size() == 1);
  CHECK(next.join("e", 2, 8).empty());
  CHECK(tasks_of(next.grant(here.now)) == names{"r/b"});
}

TEST_CASE("one that wants several locks has the one that it lacks kept for it, in the end") {
  lab here;
  here.join("e", 8);
  here.want("r/a0", holds({{"a", 3}}));
  here.want("r/a1", holds({{"a", 3}}));
  CHECK(here.grant().size() == 2);
  here.want("r/alone", holds({{"a", 0}}));
  const auto turn = [&](int at) {  // one begins, and then one ends
    here.want("r/a" + std::to_string(at + 1), holds({{"a", 3}}));
    auto granted = here.grant();
    here.end("r/a" + std::to_string(at - 1));
    const auto more = here.grant();
    granted.insert(granted.end(), more.begin(), more.end());
    return granted;
  };
  CHECK(turn(1) == names{"r/a2"});
  here.now += patience;
  CHECK(turn(2).size() <= 1);  // it is found out when one is given back
  CHECK(turn(3).empty());
  CHECK(here.why("r/a4") ==
        "waits for the semaphore 'a', which is kept for 'alone' of run r, which has waited longer");
  here.end("r/a3");
  CHECK(here.grant() == names{"r/alone", "r/a4"});  // which goes by its own limit
}

TEST_CASE("one place of a semaphore is kept, and the others go on") {
  lab here;
  here.join("e", 20);
  here.want("r/m", holds({{"m", 0}}));
  for (int at = 0; at < 4; ++at) {
    here.want("r/" + std::to_string(at), holds({{"api", 4}}));
  }
  CHECK(here.grant().size() == 5);
  here.want("r/other", holds({{"api", 5}, {"n", 0}}));
  CHECK(here.grant() == names{"r/other"});
  here.want("r/wide", holds({{"api", 5}}));
  here.want("r/both", holds({{"api", 4}, {"m", 0}}));
  CHECK(here.grant().empty());
  here.now += patience;
  here.end("r/other");
  CHECK(here.grant() == names{"r/wide"});  // and a place is kept for the other
  for (const auto* task : {"s/1", "s/2", "s/3"}) {
    here.want(task, holds({{"api", 4}}));
  }
  here.end("r/0");
  here.end("r/1");
  here.end("r/2");
  CHECK(here.grant() == names{"s/1"});
  CHECK(
      here.why("s/2") ==
      "waits for the semaphore 'api', which is kept for 'both' of run r, which has waited longer");
  here.end("r/m");
  CHECK(here.grant() == names{"r/both"});
}

TEST_CASE("an older ticket that comes back may take what is kept for a younger one") {
  lab here;
  here.join("e", 8);
  here.want("r/b", holds({{"b", 0}}));
  here.want("r/1", holds({{"a", 2}}));
  here.want("r/2", holds({{"a", 2}}));
  CHECK(here.grant().size() == 3);
  here.want("s/old", holds({{"a", 0}, {"c", 0}}));
  here.pool.pause_run("s", true);
  here.want("r/both", holds({{"a", 0}, {"b", 0}}));
  here.want("t/young", holds({{"a", 0}}));
  here.want("t/two", holds({{"a", 0}, {"c", 0}}));
  CHECK(here.grant().empty());
  here.now += patience;
  here.end("r/1");
  CHECK(here.grant().empty());
  here.end("r/2");
  CHECK(here.grant().empty());
  CHECK(here.why("t/young") ==
        "waits for the mutex 'a', which is kept for 'both' of run r, which has waited longer");
  here.pool.pause_run("s", false);
  CHECK(here.grant() == names{"s/old"});
}

TEST_CASE("each goes by its own limit, whatever that of those before it") {
  lab here;
  here.join("e", 20);
  for (int at = 0; at < 4; ++at) {
    here.want("r/" + std::to_string(at), holds({{"api", 4}}));
  }
  CHECK(here.grant().size() == 4);
  here.want("s/narrow", holds({{"api", 1}}));
  here.want("s/wide", holds({{"api", 4}}));
  CHECK(here.grant().empty());
  here.end("r/0");
  CHECK(here.grant() == names{"s/wide"});
}

TEST_CASE("no lock is kept for one that can go nowhere") {
  lab here;
  here.join("e", 8, {{"gpu", 1}});
  here.join("f", 8);
  here.want("r/a", holds({{"a", 0}}));
  CHECK(here.grant() == names{"r/a"});
  auto wish = holds({{"a", 0}, {"b", 0}});
  wish.resources = {{"gpu", 1}};
  here.want("r/both", wish);
  here.want("r/b", holds({{"b", 0}}));
  CHECK(here.grant() == names{"r/b"});
  here.end("r/a");
  here.now += patience;
  CHECK(here.grant().empty());  // from now on the other lock is kept
  here.want("r/b2", holds({{"b", 0}}));
  here.end("r/b");
  here.pool.leave("e");
  CHECK(here.grant() == names{"r/b2"});
}

TEST_CASE("what waits for a lock behind one that does not take it is not forgotten") {
  lab here;
  here.join("e", 8, {{"gpu", 1}});
  here.want("r/1", holds({{"a", 0}}));
  here.want("r/b", holds({{"b", 0}}));
  CHECK(here.grant().size() == 2);
  here.want("r/both", holds({{"a", 0}, {"b", 0}}));
  here.want("r/2", holds({{"a", 0}}));
  here.want("r/3", holds({{"a", 0}}));
  CHECK(here.grant().empty());
  here.end("r/1");
  CHECK(here.grant() == names{"r/2"});  // the first one lacks the other lock
  here.want("r/4", holds({{"a", 0}}));
  here.end("r/3");  // withdrawn while it waits
  here.end("r/2");
  CHECK(here.grant() == names{"r/4"});
  here.end("r/b");
  here.end("r/4");
  CHECK(here.grant() == names{"r/both"});
}

// --- projects ------------------------------------------------------------------------------------

// How many of the first tickets that run belong to a project.
std::size_t count_of(const names& tasks, const std::string& run) {
  return static_cast<std::size_t>(std::count_if(
      tasks.begin(), tasks.end(), [&](const auto& each) { return each.starts_with(run + "/"); }));
}

TEST_CASE("slots are shared by weight, whoever came first") {
  lab here;
  here.join("e", 8);
  here.pool.set_limits("heavy", {.weight = 3});
  for (int at = 0; at < 20; ++at) {
    here.want("light/" + std::to_string(at), of("light"));
  }
  for (int at = 0; at < 20; ++at) {
    here.want("heavy/" + std::to_string(at), of("heavy"));
  }
  const auto granted = here.grant();
  REQUIRE(granted.size() == 8);
  CHECK(count_of(granted, "heavy") == 6);
  CHECK(count_of(granted, "light") == 2);
}

TEST_CASE("who has used more comes later, and that is forgotten by half in a half-life") {
  lab here;
  here.join("e", 1);
  here.want("a/1", of("a"));
  CHECK(here.grant() == names{"a/1"});
  here.now += 1h;
  here.end("a/1");
  const auto used = fair_share::usage(*here.pool.shares().find("a"), here.now);
  CHECK(used == doctest::Approx(3'600 * 0.5 / 0.6931).epsilon(0.001));  // half of it decayed
  here.want("a/2", of("a"));
  here.want("b/1", of("b"));
  CHECK(here.grant() == names{"b/1"});
  here.want("b/2", of("b"));
  CHECK(here.why("a/2") ==
        "1 slot is taken; its project has used 100% lately, and its share is 50%");
  CHECK(here.why("b/2") == "1 slot is taken");
  here.now += share_half_life;
  CHECK(fair_share::usage(*here.pool.shares().find("a"), here.now) ==
        doctest::Approx(used / 2).epsilon(0.001));
  here.now += std::chrono::hours{10};  // b has run all the time
  here.end("b/1");
  CHECK(here.grant() == names{"a/2"});
}

TEST_CASE("priority comes before share, and processors count as slots do") {
  lab here;
  here.join("e", 1, {{"cpu", 8'000}});
  here.want("a/1", of("a", {{"cpu", 8'000}}));
  CHECK(here.grant().size() == 1);
  here.now += 60s;
  here.end("a/1");
  here.want("b/1", of("b"));
  CHECK(here.grant().size() == 1);
  here.now += 120s;
  here.end("b/1");
  here.want("a/2", of("a"));
  here.want("b/2", of("b"));
  here.want("a/urgent", of("a"), 51);
  CHECK(here.grant() == names{"a/urgent"});
  here.end("a/urgent");
  CHECK(here.grant() == names{"b/2"});  // 120 seconds of a slot against 480 of a processor
}

TEST_CASE("a project runs no more than it may, and its priorities are bounded") {
  lab here;
  here.join("e", 4);
  here.pool.set_limits("a", {.max_running = 1, .max_priority = 40});
  here.want("a/1", of("a"), 1'000'000'000);
  here.want("a/2", of("a"), 30);
  here.want("b/1", of("b"), 50);
  CHECK(here.grant() == names{"b/1", "a/1"});
  CHECK(here.why("a/2") == "the project 'a' has 1 task that runs, and may have 1 at a time");
  here.end("a/1");
  CHECK(here.grant() == names{"a/2"});
}

TEST_CASE("a run is queued while some of it waits and nothing of it has a slot") {
  lab here;
  const auto queued = [&] { return here.pool.shares().find("a")->queued_runs; };
  here.want("r1/1", of("a"));
  here.want("r1/2", of("a"));
  here.want("r2/1", of("a"));
  CHECK(queued() == 2);
  here.join("e", 1);
  CHECK(here.grant() == names{"r1/1"});
  CHECK(queued() == 1);
  here.end("r2/1");
  CHECK(queued() == 0);
  here.end("r1/1");
  CHECK(queued() == 1);
}

// --- reasons -------------------------------------------------------------------------------------

TEST_CASE("a run that an older version began counts in its project once it is known") {
  lab here;
  here.join("e", 1);
  here.want("r/old", of(""));
  here.want("r/new", of("p"));
  const auto queued = [&] { return here.pool.shares().find("p")->queued_runs; };
  CHECK(queued() == 1);
  CHECK(here.grant() == names{"r/old"});
  CHECK(queued() == 0);
  here.end("r/old");
  CHECK(queued() == 1);
  CHECK(here.grant() == names{"r/new"});
  CHECK(queued() == 0);
  here.end("r/new");
  CHECK(queued() == 0);
}

TEST_CASE("what a lost executor had counts until then") {
  lab here;
  here.pool.set_limits("p", {});
  here.join("e", 1);
  here.want("r/1", of("p"));
  CHECK(here.grant().size() == 1);
  here.now += 10min;
  CHECK(here.pool.lose("e", here.now).size() == 1);
  CHECK(fair_share::usage(*here.pool.shares().find("p"), here.now) > 500);
}

TEST_CASE("each task that waits is told the first thing in its way") {
  lab here;
  here.join("a", 1);
  here.want("r/1", of("p"), 50, true);
  here.want("r/2", of("p"), 50, true);
  here.want("s/1", of("p"));
  here.want("s/2", of("p"));
  here.want("s/urgent", of("p"), 90);
  CHECK(here.why("nobody/1").empty());
  CHECK(here.grant() == names{"s/urgent"});
  CHECK(here.why("s/2") == "1 slot is taken; 3 of its project before it");
  here.end("s/urgent");
  CHECK(here.grant() == names{"r/1"});
  here.want("s/3", of("p"), 60);
  CHECK(here.why("r/2") ==
        "its run has its workspace at a, where 1 slot is taken; 1 of higher priority before it");
  here.pool.drain("a", true);
  CHECK(here.why("r/2") ==
        "its run has its workspace at a, which is being drained and takes nothing new");
  CHECK(here.why("s/1") == "a is being drained and takes nothing new");
  here.pool.leave("a");
  CHECK(here.why("r/2") == "its run has its workspace at a, which is away");
  CHECK(here.pool.lose("a").size() == 1);
  here.pool.hold_run("r");
  CHECK(here.why("r/2") ==
        "the workspace of its run was lost, and what that ran has not all ended");
}

// --- cost ----------------------------------------------------------------------------------------

// Goal: a grant costs the same with 100,000 tickets that wait as with 100.
// Method: count the lanes that grants look at while slots are freed one by one.
TEST_CASE("what waits costs nothing") {
  const auto looks_with = [](int tickets) {
    lab here;
    here.join("a", 2, {{"cpu", 2'000}});
    here.join("b", 2, {{"cpu", 2'000}});
    for (int at = 0; at < tickets; ++at) {
      const auto task = "r" + std::to_string(at % 50) + "/" + std::to_string(at);
      const auto project = "p" + std::to_string(at % 3);
      switch (at % 4) {
        case 0:
          here.want(task, of(project));
          break;
        case 1:
          here.want(task, of(project, {{"cpu", 2'000}}));
          break;
        case 2:
          here.want(task, of(project), 50, true);
          break;
        default:
          here.want(task, holds({{"lock " + std::to_string(at % 1'000), 0}}, project));
      }
    }
    static_cast<void>(here.grant());
    const auto before = here.pool.looks();
    for (int at = 0; at < 20; ++at) {
      here.now += 1s;
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

// Goal: the same where each ticket wants a lock of its own, or that and one of all.
TEST_CASE("locks of many names cost nothing") {
  for (const auto is_one_of_all : {false, true}) {
    const auto looks_with = [&](int tickets) {
      lab here;
      here.join("e", 2, {{"gpu", 1}});
      for (int at = 0; at < tickets; ++at) {
        std::vector<pool_lock> locks{{"lock " + std::to_string(at), 0}};
        if (is_one_of_all) {
          locks.insert(locks.begin(), {"all", 2});
        }
        here.want("r/" + std::to_string(at), holds(locks));
      }
      for (int at = 0; at < 2; ++at) {  // once each, when it comes
        static_cast<void>(here.grant());
      }
      const auto before = here.pool.looks();
      for (int at = 0; at < 20; ++at) {
        here.end("r/" + std::to_string(at));
        CHECK(here.grant() == names{"r/" + std::to_string(at + 2)});
      }
      return here.pool.looks() - before;
    };
    const auto few = looks_with(100);
    const auto many = looks_with(100'000);
    MESSAGE("lanes looked at for 20 grants: ", few, " with 100 locks, ", many, " with 100,000");
    CHECK(many <= 2 * few);
  }
}

// Whether a ticket waits that wants no resources and has waited too short for keeps, nor anybody
// else, though a slot is free where it may go, and so are its locks.
bool is_forgotten(const lab& here, const pool_ticket& ticket) {
  const auto all = here.pool.of_tasks("r");
  const auto* share = here.pool.shares().find(ticket.wish.project);
  const auto anybody_keeps = std::any_of(all.begin(), all.end(), [&](const auto& each) {
    return each.executor.empty() && !each.wish.locks.empty() &&
           here.now - each.queued_at >= patience;
  });
  if (!ticket.wish.resources.empty() || anybody_keeps || !share->may_run()) {
    return false;
  }
  for (const auto& lock : ticket.wish.locks) {
    const auto held = std::count_if(all.begin(), all.end(), [&](const auto& each) {
      return !each.executor.empty() && each.wish.project == ticket.wish.project &&
             std::any_of(each.wish.locks.begin(), each.wish.locks.end(),
                         [&](const auto& one) { return one.name == lock.name; });
    });
    if (held >= static_cast<std::ptrdiff_t>(std::max(lock.limit, 1U))) {
      return false;
    }
  }
  const auto home = ticket.shared ? here.pool.executor_of(ticket.task.substr(0, 2)) : "";
  const auto offers = here.pool.offers_made();
  return std::any_of(offers.begin(), offers.end(), [&](const auto& each) {
    return (home.empty() || home == each.executor) && each.granted < each.slots;
  });
}

// Goal: no executor is overcommitted, no lock held too often, whatever happens, and nothing waits
// for what is free.
// Method: random events, and sums over all tickets after each.
TEST_CASE("random wishes are never granted beyond what there is") {
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    const auto below = [&](std::uint32_t limit) {
      return static_cast<std::uint32_t>(random() % limit);
    };
    lab here;
    here.pool = seed % 2 == 0 ? pool_queue{} : pool_queue{2};
    here.join("a", 3, {{"cpu", 4'000}, {"gpu", 1}});
    here.join("b", 2, {{"cpu", 2'000}});
    here.pool.set_limits("p0", {.weight = 5, .max_running = 3});
    std::set<std::string> known;
    std::uint64_t incarnation = 1;
    std::set<std::string> paused;
    for (int step = 0; step < 120; ++step) {
      here.now += std::chrono::milliseconds{below(4'000)};
      const auto what = below(10);
      if (what < 6) {
        const auto task = "r" + std::to_string(below(4)) + "/" + std::to_string(step);
        pool_wish wish = of("p" + std::to_string(below(2)));
        if (below(2) == 0) {
          wish.resources["cpu"] = 500 * (1 + below(8));
        }
        if (below(4) == 0) {
          wish.resources["gpu"] = 1;
        }
        if (below(3) == 0) {
          wish.locks.push_back({"l" + std::to_string(below(2)), below(6)});
        }
        here.want(task, wish, below(3), task[1] < '2');
        known.insert(task);
      } else if (what < 9 && !known.empty()) {
        const auto at = std::next(known.begin(), below(static_cast<std::uint32_t>(known.size())));
        here.end(*at);
        known.erase(at);
      } else if (below(4) == 0) {
        for (auto& each : here.pool.join("b", ++incarnation, 2, {{"cpu", 2'000}}, here.now)) {
          if (below(2) == 0) {
            here.pool.put_back(std::move(each));
          } else {
            known.erase(each.task);
          }
        }
      } else {
        const auto run = "r" + std::to_string(below(4));
        if (!paused.erase(run)) {
          paused.insert(run);
        }
        here.pool.pause_run(run, paused.contains(run));
      }
      for (const auto& task : here.grant()) {
        CHECK_FALSE(paused.contains(task.substr(0, task.find('/'))));
      }
      for (const auto& each : here.pool.of_tasks("r")) {
        if (each.executor.empty() && !paused.contains(each.task.substr(0, each.task.find('/')))) {
          CHECK_FALSE(is_forgotten(here, each));
        }
      }
      std::map<std::string, resource_amounts> taken;
      std::map<std::string, std::pair<std::uint32_t, std::uint32_t>> held;  // count, largest limit
      std::uint32_t of_p0 = 0;
      for (const auto& each : here.pool.of_tasks("r")) {
        if (each.executor.empty()) {
          CHECK_FALSE(here.why(each.task).empty());
          continue;
        }
        of_p0 += each.wish.project == "p0" ? 1 : 0;
        for (const auto& [name, amount] : each.wish.resources) {
          taken[each.executor][name] += amount;
        }
        for (const auto& lock : each.wish.locks) {
          auto& [count, limit] = held[each.wish.project + lock.name];
          ++count;
          limit = std::max({limit, lock.limit, 1U});
        }
      }
      CHECK(of_p0 <= 3);
      CHECK(amount_of(taken["a"], "cpu") <= 4'000);
      CHECK(amount_of(taken["a"], "gpu") <= 1);
      CHECK(amount_of(taken["b"], "cpu") <= 2'000);
      CHECK(amount_of(taken["b"], "gpu") == 0);
      for (const auto& [name, counted] : held) {
        CHECK(counted.first <= counted.second);
      }
      for (const auto& each : here.pool.offers_made()) {
        CHECK(each.taken == taken[each.executor]);
      }
    }
    for (const auto& run : paused) {
      here.pool.pause_run(run, false);
    }
    static_cast<void>(here.grant());
    for (int round = 0; round < 1'000 && !known.empty(); ++round) {  // everything gets its turn
      here.now += 10s;
      std::string ended;
      for (const auto& each : here.pool.of_tasks("r")) {
        if (!each.executor.empty()) {
          ended = each.task;
        }
      }
      if (ended.empty()) {
        break;
      }
      here.end(ended);
      known.erase(ended);
      static_cast<void>(here.grant());
    }
    for (const auto& task : known) {  // but what nobody can offer where it has to go
      const auto why = here.why(task);
      CHECK_MESSAGE((why.find("offers") != std::string::npos), why);
    }
  }
}

}  // namespace
}  // namespace millrace::actors
