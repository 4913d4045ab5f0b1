// SPDX-License-Identifier: MIT
// Gangs in a pool: granted together or not at all, and not passed for ever.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "lab.h"

namespace millrace::actors {
namespace {

using namespace std::chrono_literals;

// --- all or nothing ------------------------------------------------------------------------------

TEST_CASE("a gang is granted when all of it has come and all of it finds a place") {
  lab here;
  here.join("a", 2);
  here.want_ranks("r/g", 3, 0, 2);
  CHECK(here.grant().empty());
  CHECK(here.why("r/g[0]") == "a gang of 3 ranks: 2 of them have come to wait");
  here.want_ranks("r/g", 3, 2, 3);
  CHECK(here.grant().empty());
  CHECK(here.why("r/g[2]") == "a gang of 3 ranks; there are 2 places for them in its pool at most");
  here.join("b", 1);
  here.want("r/small");
  CHECK(here.grant() == names{"r/g[0]", "r/g[1]", "r/g[2]"});
  CHECK(here.pool.running() == 3);
  here.end("r/g[1]");
  CHECK(here.grant() == names{"r/small"});
}

TEST_CASE("ranks go to the fewest executors, neighbours together, and are told where all are") {
  lab here;
  here.join("a", 2);
  here.join("b", 4);
  here.join("c", 1);
  here.join("d", 2);
  here.want_gang("r/g", 7);
  REQUIRE(here.grant().size() == 7);
  names executors;
  for (const auto& each : here.granted) {
    executors.push_back(each.ticket.executor);
    REQUIRE(each.hosts);
    CHECK(each.hosts == here.granted[0].hosts);
    CHECK(each.ticket.wish.gang->rank == executors.size() - 1);
    CHECK_FALSE(each.pins);
  }
  CHECK(executors == names{"b", "b", "b", "b", "a", "a", "d"});
  CHECK(*here.granted[0].hosts ==
        names{"b.host", "b.host", "b.host", "b.host", "a.host", "a.host", "d.host"});
}

TEST_CASE("a gang goes nowhere where nobody knows how others reach it, or that is drained") {
  lab here;
  here.join("a", 2);
  REQUIRE(here.pool.join("older", 1, 2, {}, here.now).empty());
  here.want_gang("r/g", 4);
  CHECK(here.grant().empty());
  here.join("b", 2);
  here.pool.drain("b", true);
  CHECK(here.grant().empty());
  here.pool.drain("b", false);
  CHECK(here.grant().size() == 4);
}

TEST_CASE("an executor whose host is too long for a list of them gets no rank, and it is said") {
  lab here;
  here.join("a", 1);
  here.join(std::string(rank_host_bytes_max, 'b'), 1);  // with ".host"
  here.want_gang("r/g", 2);
  CHECK(here.grant().empty());
  CHECK(here.why("r/g[0]") ==
        "a gang of 2 ranks; there is 1 place for them in its pool at most; 1 executor of an older "
        "version, or with a host of more than 120 bytes, can have none");
  here.join(std::string(rank_host_bytes_max - 5, 'c'), 1);
  CHECK(here.grant().size() == 2);
}

TEST_CASE("what is before a gang of its project does not wait for what is kept for that") {
  lab here;
  here.join("a", 4);
  here.pool.set_limits("p", {.max_running = 4});
  here.want("s/1", of("q"));
  here.want("s/2", of("q"));
  CHECK(here.grant().size() == 2);
  here.want_gang("r/g", 4, of("p"), 0);
  CHECK(here.grant().empty());
  here.now += patience;
  CHECK(here.grant().empty());
  here.want("r/same", of("p"), 0);
  here.want("r/low", of("q"), 0);
  here.want("u/urgent", of("p"), 900);
  CHECK(here.why("u/urgent").find("kept for a gang") == std::string::npos);
  CHECK(here.why("r/same").find("kept for a gang") != std::string::npos);
  CHECK(here.grant() == names{"u/urgent", "r/low"});  // the gang waits for its project now
}

TEST_CASE("the largest executor that is told of can be had") {
  lab here;
  here.want("r/small", {.most_ranks = 3}, 50, true);
  CHECK(here.why("r/small").find("largest") == std::string::npos);  // there is none
  here.join("a", 1);
  here.join("b", 2);
  here.pool.drain("b", true);
  here.join("c", 4);
  here.pool.leave("c");
  CHECK(here.grant().empty());
  CHECK(here.why("r/small") ==
        "a gang of its run has 3 ranks, which share a workspace; the largest executor, a, has 1 "
        "slot");
}

// Goal: a gang is granted slots that are free, whatever is granted ahead before or after.
TEST_CASE("nothing of a gang is granted ahead") {
  lab here{pool_queue{}};
  here.join("a", 3);
  here.want("s/1");
  CHECK(here.grant() == names{"s/1"});
  here.want_gang("r/g", 3);
  here.want("s/2");
  here.want("s/3");
  here.want("s/4");
  CHECK(here.grant() == names{"s/2", "s/3", "s/4"});  // the last one ahead
  here.end("s/1");
  here.end("s/2");
  CHECK(here.grant().empty());
  here.end("s/3");
  CHECK(here.grant().empty());
  here.end("s/4");
  CHECK(here.grant() == names{"r/g[0]", "r/g[1]", "r/g[2]"});
  here.want("s/5");
  CHECK(here.grant() == names{"s/5"});  // ahead
}

TEST_CASE("each rank takes a slot and the resources that its task asks for") {
  lab here;
  here.join("a", 8, {{"gpu", 4}});
  here.join("b", 2, {{"gpu", 4}});
  here.want_gang("r/g", 3, of("p", {{"gpu", 2}}));
  here.want("r/small", of("p", {{"gpu", 1}}));
  REQUIRE(here.grant() == names{"r/g[0]", "r/g[1]", "r/g[2]", "r/small"});
  CHECK(here.granted[1].ticket.executor == "a");
  CHECK(here.granted[2].ticket.executor == "b");
  CHECK(here.pool.offers_made()[0].taken == resource_amounts{{"gpu", 4}});
  here.want_gang("r/h", 5, of("p", {{"gpu", 2}}));
  CHECK(here.grant().empty());
  CHECK(here.why("r/h[0]") == "a gang of 5 ranks; there are 4 places for them in its pool at most");
}

TEST_CASE("a gang counts against its project with each rank") {
  lab here;
  here.join("a", 8);
  here.pool.set_limits("p", {.max_running = 4});
  here.want("r/one", of("p"));
  CHECK(here.grant() == names{"r/one"});
  here.want("r/two", of("p"));
  CHECK(here.grant() == names{"r/two"});
  here.want_gang("r/g", 3, of("p"));
  CHECK(here.grant().empty());
  CHECK(here.why("r/g[0]") ==
        "a gang of 3 ranks; the project 'p' has 2 tasks that run, and may have 4 at a time");
  here.now += patience;
  here.want("r/three", of("p"));
  here.want("s/other", of("q"));
  CHECK(here.grant() == names{"s/other"});  // what its project may have is kept for it
  CHECK(here.why("r/three") ==
        "what the project 'p' may have at a time is kept for a gang that has waited longer");
  here.end("r/one");
  CHECK(here.grant() == names{"r/g[0]", "r/g[1]", "r/g[2]"});
  here.want_gang("r/h", 5, of("p"));
  here.now += patience;
  here.end("r/two");
  CHECK(here.grant() == names{"r/three"});  // one that never may keeps nothing
}

TEST_CASE("a gang holds its locks as one, until its last rank has ended") {
  lab here;
  here.join("a", 8);
  const pool_wish wish{.project = "p", .locks = {{"deploy", 0}, {"database", 2}}};
  here.want_gang("r/g", 3, wish);
  here.want_gang("s/g", 2, wish);
  here.want("t/one", {.project = "p", .locks = {{"database", 2}}});
  here.want("t/two", {.project = "p", .locks = {{"database", 2}}});
  CHECK(here.grant() == names{"r/g[0]", "r/g[1]", "r/g[2]", "t/one"});
  CHECK(here.why("s/g[1]") == "waits for the mutex 'deploy', which is held by 'g[0]' of run r");
  CHECK(here.why("t/two") ==
        "waits for the semaphore 'database', which is held by 'one' of run t and 1 other");
  here.end("r/g[0]");
  here.end("r/g[2]");
  CHECK(here.grant().empty());
  here.end("t/one");
  CHECK(here.grant() == names{"t/two"});
  CHECK(here.why("s/g[0]") == "waits for the mutex 'deploy', which is held by 'g[1]' of run r");
  here.end("r/g[1]");
  CHECK(here.grant() == names{"s/g[0]", "s/g[1]"});
}

TEST_CASE("a gang whose ranks share a workspace goes to one executor, which has its run") {
  lab here;
  here.join("a", 3);
  here.join("b", 2);
  here.want("r/first", {.most_ranks = 3}, 50, true);
  here.want_gang("r/g", 3, {.most_ranks = 3}, 50, true);
  here.want_gang("s/g", 4, {.most_ranks = 4}, 50, true);
  REQUIRE(here.grant() == names{"r/first"});
  CHECK(here.granted[0].ticket.executor == "a");  // where its gang fits
  CHECK(here.why("r/g[0]") == "a gang of 3 ranks: 2 places are free at a");
  CHECK(here.why("s/g[0]") ==
        "a gang of 4 ranks, which share a workspace; there are 3 places for them at a at most");
  here.want("s/other", {.most_ranks = 4}, 50, true);
  CHECK(here.why("s/other") ==
        "a gang of its run has 4 ranks, which share a workspace; the largest executor, a, has 3 "
        "slots");
  here.end("r/first");
  REQUIRE(here.grant() == names{"r/g[0]", "r/g[1]", "r/g[2]"});
  CHECK_FALSE(here.granted[0].pins);
  here.want_gang("t/g", 2, {.most_ranks = 2}, 50, true);
  REQUIRE(here.grant() == names{"t/g[0]", "t/g[1]"});
  CHECK(here.granted[0].pins);
  CHECK(here.pool.executor_of("t") == "b");
  here.end_gang("r/g", 3);
  here.want_gang("t/h", 3, {.most_ranks = 3}, 50, true);
  CHECK(here.grant().empty());
  CHECK(here.why("t/h[0]") ==
        "a gang of 3 ranks, which share a workspace; there are 2 places for them at b");
}

TEST_CASE("a gang that shares a workspace is not spread over executors that each have some room") {
  lab here;
  here.join("a", 3);
  here.join("b", 3);
  here.want("s/1");
  here.want("s/2");
  CHECK(here.grant().size() == 2);
  here.want_gang("r/g", 3, {.most_ranks = 3}, 50, true);
  CHECK(here.grant().empty());
  CHECK(here.why("r/g[0]") == "a gang of 3 ranks: 2 places are free at a");
  here.now += patience;
  here.want("s/3");
  here.want("s/4");
  here.want("s/5");
  CHECK(here.grant() == names{"s/3", "s/4"});  // at the one that is not kept
  here.end("s/1");
  CHECK(here.grant() == names{"r/g[0]", "r/g[1]", "r/g[2]"});
}

TEST_CASE("a gang of a paused run, or one that loses a rank, waits") {
  lab here;
  here.join("a", 4);
  here.pool.pause_run("r", true);
  here.want_gang("r/g", 2);
  CHECK(here.grant().empty());
  CHECK(here.why("r/g[0]") == "its run is paused");
  here.pool.pause_run("r", false);
  here.end("r/g[0]");
  CHECK(here.grant().empty());
  CHECK(here.why("r/g[1]") == "a gang of 2 ranks: 1 of them have come to wait");
  here.want_ranks("r/g", 2, 0, 1);
  CHECK(here.grant() == names{"r/g[0]", "r/g[1]"});
}

TEST_CASE("what is stored of a gang is all of it") {
  lab here;
  here.join("a", 3);
  here.want("s/small");
  CHECK(here.grant() == names{"s/small"});
  here.want_gang("r/g", 3);
  CHECK(here.grant().empty());
  lab again;
  for (const auto* run : {"s", "r"}) {
    for (const auto& each : here.pool.of_tasks(run)) {
      again.pool.restore(each);
    }
  }
  again.pool.restore_executor("a", 1, 3, {}, "a.host");
  CHECK(again.grant().empty());
  again.end("s/small");
  CHECK(again.grant() == names{"r/g[0]", "r/g[1]", "r/g[2]"});
  CHECK(*again.granted[0].hosts == names{"a.host", "a.host", "a.host"});
}

// Method: as a pool of an older version leaves it, which knows no gangs.
TEST_CASE("what is stored of a gang that was granted in part is the granted part") {
  lab here;
  here.want_gang("r/g", 3);
  here.want_gang("r/h", 2);
  here.want("s/small");
  std::vector<pool_ticket> stored;
  for (const auto* run : {"r", "s"}) {
    for (auto& each : here.pool.of_tasks(run)) {
      each.executor = each.task == "r/g[1]" ? "a" : "";
      stored.push_back(std::move(each));
    }
  }
  names stranded;
  for (const auto& each : pool_queue::take_stranded(stored)) {
    stranded.push_back(each.task);
  }
  CHECK(stranded == names{"r/g[0]", "r/g[2]"});
  CHECK(stored.size() == 4);
  CHECK(pool_queue::take_stranded(stored).empty());
}

TEST_CASE("those of another round are another gang") {
  lab here;
  here.join("a", 4);
  here.want("r/g[0]", {.gang = pool_gang{"r/g", 0, 2, 0}});
  here.want("r/g[1]", {.gang = pool_gang{"r/g", 1, 2, 1}});
  CHECK(here.grant().empty());
}

// --- waiting -------------------------------------------------------------------------------------

TEST_CASE("small tasks pass a gang for a minute, and then free places are kept for it") {
  lab here;
  here.join("a", 2);
  here.join("b", 2);
  for (int at = 0; at < 4; ++at) {
    here.want("s/" + std::to_string(at));
  }
  CHECK(here.grant().size() == 4);
  here.want_gang("r/g", 3);
  here.want("s/4");
  here.want("s/5");
  here.end("s/0");
  CHECK(here.grant() == names{"s/4"});
  CHECK(here.why("r/g[0]") == "a gang of 3 ranks: 0 places are free");
  here.now += patience;
  here.end("s/1");
  CHECK(here.grant().empty());
  CHECK(here.why("r/g[0]") == "a gang of 3 ranks: 1 place is free, and kept for it");
  CHECK(here.why("s/5") ==
        "the free slots are kept for 'g[0]' of run r, one of a gang of 3 ranks, which has waited "
        "longer");
  here.want("u/urgent", {}, 90);
  CHECK(here.grant() == names{"u/urgent"});  // it comes before
  here.end("u/urgent");
  here.end("s/2");
  CHECK(here.grant().empty());
  here.end("s/3");
  CHECK(here.grant() == names{"r/g[0]", "r/g[1]", "r/g[2]"});
  here.end("s/4");
  CHECK(here.grant() == names{"s/5"});
}

TEST_CASE("resources are kept for a gang, and what wants none of them and has a slot goes on") {
  lab here;
  here.join("a", 6, {{"gpu", 4}});
  here.want("s/0", of("p", {{"gpu", 2}}));
  here.want("s/1", of("p", {{"gpu", 2}}));
  CHECK(here.grant().size() == 2);
  here.want_gang("r/g", 2, of("p", {{"gpu", 2}}));
  CHECK(here.grant().empty());
  here.now += patience;
  here.end("s/0");
  here.want("s/2", of("p", {{"gpu", 1}}));
  here.want("s/3", of("p"));
  here.want("s/4", of("p"));
  here.want("s/5", of("p"));
  here.want("s/6", of("p"));
  CHECK(here.grant() == names{"s/3", "s/4", "s/5"});  // two of the slots are for the gang
  here.end("s/1");
  CHECK(here.grant() == names{"r/g[0]", "r/g[1]", "s/6"});
}

TEST_CASE("more is kept where a rank has a part of what it needs than where it has none") {
  lab here;
  here.join("a", 4, {{"gpu", 4}});
  here.join("b", 4, {{"gpu", 4}});
  here.join("c", 4, {{"gpu", 4}});
  here.want("s/a", of("p", {{"gpu", 3}}));
  here.want("s/b", of("p", {{"gpu", 2}}));
  here.want("s/c", of("p", {{"gpu", 4}}));
  CHECK(here.grant().size() == 3);
  here.want_gang("r/g", 2, of("p", {{"gpu", 4}}));
  CHECK(here.grant().empty());
  here.now += patience;
  here.end("s/c");
  here.want("t/0", of("p", {{"gpu", 1}}));
  REQUIRE(here.grant() == names{"t/0"});
  CHECK(here.granted[0].ticket.executor == "a");  // with the smallest part; c and b are kept
  here.end("s/b");
  CHECK(here.grant() == names{"r/g[0]", "r/g[1]"});
}

TEST_CASE("a gang that can never go keeps nothing") {
  lab here;
  here.join("a", 2);
  here.want_gang("r/g", 3);
  here.now += 10 * patience;
  here.want("s/1");
  CHECK(here.grant() == names{"s/1"});
  here.join("b", 4);
  CHECK(here.grant().size() == 3);
  here.end_gang("r/g", 3);
  here.pool.leave("b");
  here.want_gang("r/h", 3);
  here.now += patience;
  here.want("s/2");
  CHECK(here.grant() == names{"s/2"});
  CHECK(here.why("r/h[0]") ==
        "a gang of 3 ranks; there are 2 places for them in its pool at most; 1 executor is away");
  CHECK(here.pool.waiting_reason() == "all 2 slots are taken");
  here.end("s/1");
  CHECK(here.pool.waiting_reason() == "a gang waits for as many free places as it has ranks");
}

TEST_CASE("two gangs do not wait for each other") {
  lab here;
  here.join("a", 3);
  here.join("b", 3);
  for (int at = 0; at < 6; ++at) {
    here.want("s/" + std::to_string(at));
  }
  CHECK(here.grant().size() == 6);
  here.want_gang("r/g", 5);
  here.want_gang("r/h", 5);
  here.want_gang("r/i", 2);
  here.now += 2 * patience;
  for (int at = 0; at < 4; ++at) {
    here.end("s/" + std::to_string(at));
    CHECK(here.grant().empty());  // kept for the first one
  }
  here.end("s/4");
  REQUIRE(here.grant().size() == 5);
  CHECK(here.granted[0].ticket.task == "r/g[0]");
  here.end("s/5");
  CHECK(here.grant().empty());
  here.end("r/g[0]");
  CHECK(here.grant().empty());  // one of two places is kept for the second
  here.end("r/g[1]");
  here.end("r/g[2]");
  here.end("r/g[3]");
  CHECK(here.grant() == names{"r/h[0]", "r/h[1]", "r/h[2]", "r/h[3]", "r/h[4]"});
  here.end_gang("r/h", 5);
  CHECK(here.grant() == names{"r/i[0]", "r/i[1]"});
}

TEST_CASE("a gang neither preempts nor makes way") {
  lab here;
  here.pool.set_limits("vip", {.preempts_from = 50});
  here.join("a", 2);
  here.want_gang("r/g", 2, of("p"), 10);
  CHECK(here.grant().size() == 2);
  here.want("u/urgent", of("vip"), 100);
  CHECK(here.grant().empty());
  CHECK(here.pool.take_news().preempted.empty());
  here.end_gang("r/g", 2);
  CHECK(here.grant().size() == 1);
  here.end("u/urgent");
  for (const auto* task : {"s/1", "s/2"}) {
    here.want(task, {.project = "p", .preemptible = true}, 10);
  }
  CHECK(here.grant().size() == 2);
  here.want_gang("v/g", 2, of("vip"), 100);
  CHECK(here.grant().empty());
  CHECK(here.pool.take_news().preempted.empty());
  here.want("w/urgent", of("vip"), 90);  // behind it in order
  CHECK(here.grant().empty());
  CHECK(here.pool.take_news().preempted.size() == 1);
}

// --- cost ----------------------------------------------------------------------------------------

// Goal: a grant costs the same with 100,000 tickets of gangs that wait as with 100.
// Method: count the lanes that grants look at while gangs end one by one.
TEST_CASE("gangs that wait cost nothing") {
  const auto looks_with = [](int gangs) {
    lab here;
    here.join("a", 4, {{"gpu", 4}});
    here.join("b", 4, {{"gpu", 4}});
    here.want_gang("r/long", 3);
    here.want_gang("r/running", 4);
    CHECK(here.grant().size() == 7);
    for (int at = 0; at < gangs; ++at) {
      const auto run = "s" + std::to_string(at);
      const auto project = "p" + std::to_string(at % 3);
      here.want_gang(run + "/g", at % 2 == 0 ? 2 : 4,
                     of(project, at % 5 == 0 ? resource_amounts{{"gpu", 1}} : resource_amounts{}));
      if (at % 7 == 0) {
        here.want(run + "/small", of(project));
      }
    }
    static_cast<void>(here.grant());
    here.now += patience;
    const auto before = here.pool.looks();
    for (int at = 0; at < 20; ++at) {
      const auto all = here.pool.of_tasks(at == 0 ? "r/running" : "s");
      for (const auto& each : all) {
        if (!each.executor.empty()) {
          here.end(each.task);
        }
      }
      static_cast<void>(here.grant());
    }
    return here.pool.looks() - before;
  };
  const auto few = looks_with(100);
  const auto many = looks_with(33'000);
  MESSAGE("lanes looked at for 20 ends: ", few, " with 100 gangs, ", many, " with 33,000");
  CHECK(many <= 2 * few);
}

// --- at random -----------------------------------------------------------------------------------

struct wanted_gang {
  std::uint32_t ranks = 0;
  bool is_whole = true;
  bool has_begun = false;
  std::set<std::string> left;  // tasks that have not ended
};

// What must hold after every grant: no part of a gang runs, nothing is overcommitted, and while
// nobody has waited for long, nothing that fits waits.
void check(const lab& here, const std::map<std::string, wanted_gang>& gangs, bool may_pass,
           std::uint32_t ahead) {
  std::map<std::string, std::uint32_t> used;
  std::map<std::string, resource_amounts> taken;
  std::uint32_t of_p0 = 0;
  for (const auto& each : here.pool.of_tasks("r")) {
    if (each.executor.empty()) {
      CHECK_FALSE(here.why(each.task).empty());
      continue;
    }
    ++used[each.executor];
    of_p0 += each.wish.project == "p0" ? 1 : 0;
    for (const auto& [name, amount] : each.wish.resources) {
      taken[each.executor][name] += amount;
    }
  }
  CHECK(of_p0 <= 6);
  for (const auto& each : here.pool.offers_made()) {
    CHECK(used[each.executor] <= each.slots + ahead);
    CHECK(amount_of(taken[each.executor], "gpu") <= amount_of(each.offered, "gpu"));
  }
  for (const auto& [name, gang] : gangs) {
    std::size_t running = 0;
    const pool_ticket* one = nullptr;
    for (const auto& task : gang.left) {
      one = here.pool.find(task, 1);
      REQUIRE(one);
      running += one->executor.empty() ? 0 : 1;
    }
    CHECK((running == 0 || running == gang.left.size()));
    CHECK((running == 0 || gang.is_whole));
    CHECK((running == 0 || !one->shared ||
           std::all_of(gang.left.begin(), gang.left.end(), [&](const auto& task) {
             return here.pool.find(task, 1)->executor == one->executor;
           })));
    if (one == nullptr || running > 0 || !gang.is_whole || !may_pass ||
        (one->wish.project == "p0" && of_p0 + gang.ranks > 6)) {
      continue;
    }
    std::uint64_t places = 0;
    std::uint64_t most = 0;
    const auto home = one->shared ? here.pool.executor_of(one->task.substr(0, 2)) : "";
    for (const auto& each : here.pool.offers_made()) {
      if (!home.empty() && home != each.executor) {
        continue;
      }
      std::uint64_t free = each.slots - std::min<std::uint64_t>(each.slots, used[each.executor]);
      for (const auto& [resource, amount] : one->wish.resources) {
        free = std::min(free, left_of(each.offered, taken[each.executor], resource) / amount);
      }
      places += free;
      most = std::max(most, free);
    }
    CHECK((one->shared ? most : places) < gang.ranks);
  }
}

// Whether there are places for it where it has to go, ever.
bool may_go(const lab& here, const std::string& rank) {
  const auto why = here.why(rank);
  return why.find(" for them ") == std::string::npos;
}

// Goal: whatever comes and goes, a gang runs whole or not at all, nothing is overcommitted, nothing
// waits for what is free, and all that could go gets its turn while small tasks keep coming.
// Every other time with grants ahead, of which a gang is never one.
TEST_CASE("random gangs are granted whole, and all get their turn") {
  std::size_t begun = 0;
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    const auto below = [&](std::uint32_t limit) {
      return static_cast<std::uint32_t>(random() % limit);
    };
    const auto ahead = seed % 2 == 0 ? 0 : granted_ahead_max;
    lab here{ahead == 0 ? pool_queue{0} : pool_queue{}};
    here.join("a", 4, {{"gpu", 2}});
    here.join("b", 3, {{"gpu", 4}});
    here.join("c", 2);
    here.pool.set_limits("p0", {.max_running = 6});
    std::map<std::string, wanted_gang> gangs;
    std::set<std::string> small;
    const auto settle = [&](bool may_pass) {
      std::map<std::string, std::uint32_t> used;
      for (const auto& each : here.pool.of_tasks("r")) {
        ++used[each.executor];
      }
      static_cast<void>(here.grant());
      for (const auto& each : here.granted) {
        const auto there = ++used[each.ticket.executor];
        if (each.ticket.wish.gang) {
          const auto offers = here.pool.offers_made();
          CHECK(std::any_of(offers.begin(), offers.end(), [&](const auto& offer) {
            return offer.executor == each.ticket.executor && there <= offer.slots;
          }));
          auto& gang = gangs.at(each.ticket.wish.gang->name);
          begun += gang.has_begun ? 0 : 1;
          gang.has_begun = true;
        }
      }
      check(here, gangs, may_pass, ahead);
    };
    const auto end_one = [&](std::uint32_t which) {
      std::vector<pool_ticket> running;
      for (auto& each : here.pool.of_tasks("r")) {
        if (!each.executor.empty()) {
          running.push_back(std::move(each));
        }
      }
      if (running.empty()) {
        return false;
      }
      std::sort(running.begin(), running.end(), [](const auto& x, const auto& y) {
        return std::pair{x.granted_at, x.number} < std::pair{y.granted_at, y.number};
      });
      const auto& one = running[which % running.size()];  // 0: the oldest
      if (one.wish.gang) {
        gangs.at(one.wish.gang->name).left.erase(one.task);
      } else {
        small.erase(one.task);
      }
      here.end(one.task);
      return true;
    };
    for (int step = 0; step < 100; ++step) {
      here.now += std::chrono::milliseconds{below(500)};
      const auto run = "r" + std::to_string(below(4));
      const auto wish =
          of("p" + std::to_string(below(2)),
             below(3) == 0 ? resource_amounts{{"gpu", 1 + below(2)}} : resource_amounts{});
      const auto name = run + "/" + std::to_string(step);
      const auto what = below(10);
      if (what < 2) {
        auto& gang = gangs[name];
        gang.ranks = 2 + below(5);
        gang.is_whole = below(5) > 0;
        const auto come = gang.is_whole ? gang.ranks : gang.ranks - 1;
        here.want_ranks(name, gang.ranks, 0, come, wish, 50 + below(2), run < "r2");
        for (std::uint32_t rank = 0; rank < come; ++rank) {
          gang.left.insert(name + "[" + std::to_string(rank) + "]");
        }
      } else if (what < 6) {
        here.want(name, wish, 50 + below(2), run < "r2");
        small.insert(name);
      } else {
        end_one(below(1'000));
      }
      settle(true);
    }
    for (auto& [name, gang] : gangs) {  // what will never be whole is withdrawn
      for (const auto& task : gang.is_whole ? std::set<std::string>{} : gang.left) {
        here.end(task);
        gang.left.erase(task);
      }
    }
    here.now += patience;
    const auto pending = [&] {
      return std::count_if(gangs.begin(), gangs.end(), [&](const auto& each) {
        const auto& gang = each.second;
        return gang.is_whole && !gang.has_begun && may_go(here, *gang.left.begin());
      });
    };
    for (int step = 0; pending() > 0; ++step) {  // a small one comes for each that ends
      REQUIRE(step < 3'000);
      here.now += 1s;
      const auto name = "r3/later" + std::to_string(step);
      here.want(name, of("p" + std::to_string(step % 2)));
      small.insert(name);
      settle(false);
      end_one(0);
    }
  }
  CHECK(begun > 200);
}

}  // namespace
}  // namespace millrace::actors
