// SPDX-License-Identifier: MIT
// How tickets of a pool make way for others of higher priority: who, for whom, and what is never
// done.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "lab.h"
#include "pipeline/names.h"

namespace millrace::actors {
namespace {

using namespace std::chrono_literals;

// The project `vip` preempts from priority 100 on; tickets are of it, and make way, unless they say
// otherwise. Time passes with each step.
struct vip_lab : lab {
  explicit vip_lab(std::uint32_t ahead = 0) : lab(pool_queue{ahead}) {
    pool.set_limits("vip", {.preempts_from = 100});
  }

  void want(const std::string& task, std::uint32_t priority, resource_amounts resources = {},
            pool_wish wish = {.project = "vip", .preemptible = true}, bool shared = false) {
    wish.resources = std::move(resources);
    now += 1s;
    lab::want(task, std::move(wish), priority, shared);
  }
  // As its task does when the attempt has ended for another.
  void makes_way(const std::string& task) { REQUIRE(pool.requeue(task, 1, 1, true, now)); }
  // Those that start.
  names grant() {
    now += 1s;
    auto made = lab::grant();
    news = pool.take_news();
    return made;
  }
  names told_to_end() const {
    names made;
    for (const auto& each : news.preempted) {
      made.push_back(each.ends.task);
    }
    return made;
  }
  // Those whose places have changed, as `task executor`, or `task` where it waits again.
  names changed() const {
    names made;
    for (const auto& each : news.changed) {
      made.push_back(each.task + (each.executor.empty() ? "" : " " + each.executor));
    }
    return made;
  }

  pool_news news;
};

const pool_wish stays{.project = "vip"};
const pool_wish of_others{.project = "other", .preemptible = true};

TEST_CASE("one of higher priority has the place of one that makes way, as soon as that has ended") {
  vip_lab here;
  here.join("e", 1);
  here.want("r/low", 10);
  CHECK(here.grant() == names{"r/low"});
  here.want("s/high", 100);
  CHECK(here.grant().empty());
  CHECK(here.told_to_end() == names{"r/low"});
  CHECK(here.changed() == names{"s/high e"});
  CHECK(here.news.preempted[0].reason == "preempted by 'high' of run s, priority 100");
  CHECK(here.why("s/high") == "waits for the end of 'low' of run r at e, which is preempted");
  CHECK(here.why("r/low") == "makes way for another");
  CHECK(here.pool.running() == 1);
  CHECK(here.pool.waiting() == 1);
  CHECK(here.pool.preempting() == 1);
  CHECK(here.grant().empty());  // and nobody else ends
  CHECK(here.told_to_end().empty());
  CHECK(here.changed().empty());
  here.makes_way("r/low");
  CHECK(here.grant() == names{"s/high"});
  CHECK(here.pool.preempting() == 0);
  CHECK(here.pool.find("r/low", 1)->executor.empty());
  here.end("s/high");
  CHECK(here.grant() == names{"r/low"});
}

TEST_CASE("nobody makes way unless a project may, by its priority, for one of higher priority") {
  vip_lab here;
  here.join("e", 1);
  here.want("r/a", 100);
  CHECK(here.grant() == names{"r/a"});
  const auto stays_where_it_is = [&] {
    static_cast<void>(here.grant());
    CHECK(here.told_to_end().empty());
  };
  here.want("s/equal", 100);
  stays_where_it_is();
  here.want("s/other", 900, {}, of_others);
  stays_where_it_is();
  here.pool.set_limits("vip", {});
  here.want("s/higher", 101);
  stays_where_it_is();
  here.pool.set_limits("vip", {.preempts_from = 102});
  stays_where_it_is();
  here.pool.set_limits("vip", {.preempts_from = 101});
  CHECK(here.grant().empty());
  CHECK(here.told_to_end() == names{"r/a"});
}

TEST_CASE("one that others made way for makes way itself") {
  vip_lab here;
  here.join("e", 1);
  here.want("r/low", 10);
  CHECK(here.grant() == names{"r/low"});
  here.want("s/high", 100);
  CHECK(here.grant().empty());
  here.makes_way("r/low");
  CHECK(here.grant() == names{"s/high"});
  here.want("s/higher", 200);
  CHECK(here.grant().empty());
  CHECK(here.told_to_end() == names{"s/high"});
}

TEST_CASE("what is promised first is not passed by what is promised later") {
  vip_lab here;
  here.join("e", 3, {{"cpu", 2'000}});
  here.want("r/1", 10, {{"cpu", 1'000}});
  here.want("r/2", 10, {{"cpu", 1'000}});
  here.want("r/3", 10);
  CHECK(here.grant().size() == 3);
  here.want("s/large", 200, {{"cpu", 2'000}});
  CHECK(here.grant().empty());
  here.want("s/plain", 100);
  CHECK(here.grant().empty());
  here.makes_way("r/1");
  CHECK(here.grant().empty());
  here.makes_way("r/2");
  CHECK(here.grant() == names{"s/large", "s/plain"});
}

TEST_CASE("each project may preempt from a priority of its own") {
  vip_lab here;
  here.pool.set_limits("other", {.preempts_from = 50});
  here.join("e", 1);
  here.want("r/1", 10);
  CHECK(here.grant().size() == 1);
  here.want("s/99", 99);
  CHECK(here.grant().empty());
  CHECK(here.told_to_end().empty());
  here.want("o/50", 50, {}, of_others);
  CHECK(here.grant().empty());
  CHECK(here.told_to_end() == names{"r/1"});
}

TEST_CASE("nobody makes way for what is kept for one that is before it") {
  for (const auto waited : {false, true}) {
    vip_lab here;
    here.join("e", 4, {{"cpu", 4'000}});
    here.want("r/1", 10, {{"cpu", 2'000}}, stays);
    here.want("r/2", 10, {{"cpu", 1'000}});
    CHECK(here.grant().size() == 2);
    here.want("o/large", 200, {{"cpu", 4'000}}, of_others);
    here.now += waited ? patience : 1s;
    CHECK(here.grant().empty());
    here.want("s/high", 100, {{"cpu", 2'000}});
    CHECK(here.grant().empty());
    CHECK(here.told_to_end() == (waited ? names{} : names{"r/2"}));
  }
}

TEST_CASE("what says that it does not make way does not") {
  vip_lab here;
  here.join("e", 2);
  here.want("r/stays", 1, {}, stays);
  here.want("r/other", 50, {}, of_others);
  CHECK(here.grant().size() == 2);
  here.want("s/high", 100);
  CHECK(here.grant().empty());
  CHECK(here.told_to_end() == names{"r/other"});  // though its priority is higher
  CHECK(here.news.preempted[0].reason == "preempted by a task of another project, priority 100");
  CHECK(here.why("s/high") ==
        "waits for the end of a task of another project at e, which is preempted");
}

TEST_CASE("the lowest priority ends first, then the youngest, and no more than have to") {
  struct one_case {
    const char* what;
    resource_amounts wanted;
    names ended;
  };
  const std::vector<one_case> cases{
      {"a slot", {}, {"r/5low"}},
      {"what the lowest has", {{"cpu", 1'000}}, {"r/5low"}},
      {"more than that", {{"cpu", 2'000}}, {"r/4mid", "r/5low"}},
      {"what one of higher priority alone has", {{"gpu", 1}}, {"r/1gpu"}},
      {"all of it", {{"cpu", 7'000}}, {"r/2big", "r/3mid", "r/4mid", "r/5low"}},
      {"one large instead of many small", {{"cpu", 4'000}}, {"r/2big"}},
  };
  for (const auto& each : cases) {
    CAPTURE(each.what);
    vip_lab here;
    here.join("e", 5, {{"cpu", 7'000}, {"gpu", 1}});
    here.want("r/1gpu", 60, {{"gpu", 1}});
    CHECK(here.grant().size() == 1);
    here.want("r/5low", 10, {{"cpu", 1'000}});
    CHECK(here.grant().size() == 1);
    here.want("r/2big", 20, {{"cpu", 4'000}});
    CHECK(here.grant().size() == 1);
    here.want("r/3mid", 20, {{"cpu", 1'000}});
    CHECK(here.grant().size() == 1);
    here.want("r/4mid", 20, {{"cpu", 1'000}});
    CHECK(here.grant().size() == 1);
    here.want("s/high", 100, each.wanted);
    CHECK(here.grant().empty());
    auto ended = here.told_to_end();
    std::sort(ended.begin(), ended.end());
    CHECK(ended == each.ended);
    for (const auto& task : ended) {
      here.makes_way(task);
    }
    CHECK(here.grant().front() == "s/high");
  }
}

TEST_CASE("the executor is chosen where the least is lost, and a free one before all") {
  vip_lab here;
  here.join("a", 1);
  here.join("b", 1);
  here.join("c", 1);
  here.want("r/1", 30);
  here.want("r/2", 10);
  CHECK(here.grant().size() == 2);
  here.want("s/high", 100);
  CHECK(here.grant() == names{"s/high"});  // at the free one
  here.want("s/next", 100);
  CHECK(here.grant().empty());
  CHECK(here.told_to_end() == names{"r/2"});
  here.want("s/last", 100);
  CHECK(here.grant().empty());
  CHECK(here.told_to_end() == names{"r/1"});
  here.want("s/none", 100);
  static_cast<void>(here.grant());
  CHECK(here.told_to_end().empty());
}

TEST_CASE("many may preempt at once, each has a place of its own, and the best claim is first") {
  vip_lab here;
  here.join("e", 3);
  for (const auto* task : {"r/1", "r/2", "r/3"}) {
    here.want(task, 10);
  }
  CHECK(here.grant().size() == 3);
  here.want("s/a", 100);
  here.want("s/b", 100);
  here.want("s/c", 200);
  here.want("s/d", 100);
  CHECK(here.grant().empty());
  CHECK(here.told_to_end() == names{"r/3", "r/2", "r/1"});
  CHECK(here.changed() == names{"s/a e", "s/b e", "s/c e"});
  here.makes_way("r/1");  // whoever ends first
  CHECK(here.grant() == names{"s/c"});
  here.makes_way("r/3");
  here.makes_way("r/2");
  CHECK(here.grant() == names{"s/a", "s/b"});
  here.end("s/a");
  CHECK(here.grant().front() == "s/d");
}

TEST_CASE("nothing makes way for what could not start all the same") {
  vip_lab here;
  here.join("e", 2, {{"gpu", 1}});
  const pool_wish holds{.project = "vip", .locks = {{"l", 0}}, .preemptible = true};
  SUBCASE("a lock is held, though it is by what could make way") {
    here.want("r/holds", 10, {}, holds);
    here.want("r/other", 10);
    CHECK(here.grant().size() == 2);
    here.want("s/high", 100, {}, holds);
  }
  SUBCASE("its project runs as much as it may") {
    here.pool.set_limits("vip", {.max_running = 2, .preempts_from = 100});
    here.want("r/1", 10);
    here.want("r/2", 10);
    CHECK(here.grant().size() == 2);
    here.want("s/high", 100);
  }
  SUBCASE("nobody offers what it asks for") {
    here.want("r/1", 10);
    here.want("r/2", 10);
    CHECK(here.grant().size() == 2);
    here.want("s/high", 100, {{"gpu", 2}});
  }
  SUBCASE("it would not be enough, since one has more that does not make way") {
    here.want("r/1", 10, {{"gpu", 1}}, stays);
    here.want("r/2", 10);
    CHECK(here.grant().size() == 2);
    here.want("s/high", 100, {{"gpu", 1}});
  }
  SUBCASE("its run is paused") {
    here.want("r/1", 10);
    here.want("r/2", 10);
    CHECK(here.grant().size() == 2);
    here.pool.pause_run("s", true);
    here.want("s/high", 100);
  }
  SUBCASE("the executor takes nothing new") {
    here.want("r/1", 10);
    here.want("r/2", 10);
    CHECK(here.grant().size() == 2);
    here.pool.drain("e", true);
    here.want("s/high", 100);
  }
  CHECK(here.grant().empty());
  CHECK(here.told_to_end().empty());
  CHECK(here.news.changed.empty());
}

TEST_CASE("what is free by a preemption is not another's, whoever fits there") {
  vip_lab here;
  here.join("e", 4, {{"cpu", 4'000}});
  here.want("r/1", 10, {{"cpu", 2'000}});
  here.want("r/2", 10, {{"cpu", 2'000}});
  CHECK(here.grant().size() == 2);
  here.want("s/high", 100, {{"cpu", 4'000}});
  CHECK(here.grant().empty());
  CHECK(here.told_to_end().size() == 2);
  here.want("r/small", 99, {{"cpu", 1'000}});
  here.want("r/plain", 10);
  here.want("r/more", 10);
  CHECK(here.grant() == names{"r/plain"});  // a slot is free beside what is promised
  here.makes_way("r/1");
  CHECK(here.grant() == names{"r/more"});
  here.makes_way("r/2");
  CHECK(here.grant() == names{"s/high"});
  here.want("s/too", 100, {{"cpu", 4'000}});
  CHECK(here.grant().empty());
  CHECK(here.told_to_end().empty());  // of the same priority
}

TEST_CASE("nothing is granted ahead of what is promised, and what was makes way too") {
  vip_lab here{2};
  here.join("e", 1);
  for (const auto* task : {"r/1", "r/2", "r/3", "r/4"}) {
    here.want(task, 10);
  }
  CHECK(here.grant() == names{"r/1", "r/2", "r/3"});
  here.want("s/high", 100);
  CHECK(here.grant().empty());
  CHECK(here.told_to_end() == names{"r/1", "r/2", "r/3"});
  here.makes_way("r/3");  // it had not started
  CHECK(here.grant().empty());
  here.makes_way("r/2");
  CHECK(here.grant().empty());
  here.makes_way("r/1");
  CHECK(here.grant() == names{"s/high", "r/1", "r/2"});
}

TEST_CASE("one who cannot preempt is granted ahead as ever") {
  vip_lab here{1};
  here.join("e", 1);
  here.want("r/1", 10, {}, stays);
  CHECK(here.grant().size() == 1);
  here.want("s/high", 100);
  CHECK(here.grant() == names{"s/high"});
}

TEST_CASE("who may not preempt and waits keeps nobody from it, whatever its priority") {
  vip_lab here;
  here.join("e", 1);
  here.want("r/1", 10);
  CHECK(here.grant().size() == 1);
  here.want("o/above", 500, {}, of_others);
  here.want("o/beside", 100, {}, of_others);
  here.want("s/high", 100);
  CHECK(here.grant().empty());
  CHECK(here.told_to_end() == names{"r/1"});
  here.makes_way("r/1");
  CHECK(here.grant() == names{"s/high"});
  here.end("s/high");
  CHECK(here.grant() == names{"o/above"});
}

TEST_CASE("what was granted ahead to a higher priority is not passed by a preemption") {
  vip_lab here{1};
  here.join("e", 1);
  here.want("r/1", 10);
  CHECK(here.grant().size() == 1);
  here.want("o/next", 500, {}, of_others);
  CHECK(here.grant() == names{"o/next"});
  here.want("s/high", 100);
  CHECK(here.grant() == names{"s/high"});  // ahead, behind that one
  CHECK(here.told_to_end().empty());
}

TEST_CASE("what is promised gives way to a higher priority, without one more that ends") {
  vip_lab here;
  here.join("e", 1);
  here.want("r/1", 10);
  CHECK(here.grant().size() == 1);
  here.want("s/high", 100);
  CHECK(here.grant().empty());
  CHECK(here.changed() == names{"s/high e"});
  here.want("s/higher", 200);
  CHECK(here.grant().empty());
  CHECK(here.told_to_end().empty());
  CHECK(here.changed() == names{"s/high", "s/higher e"});
  here.makes_way("r/1");
  CHECK(here.grant() == names{"s/higher"});
}

TEST_CASE("a promise ends with who has it, with a pause, and with the executor") {
  vip_lab here;
  here.join("e", 1);
  here.want("r/1", 10);
  CHECK(here.grant().size() == 1);
  here.want("s/high", 100);
  CHECK(here.grant().empty());
  SUBCASE("its task is cancelled") {
    here.end("s/high");
    CHECK(here.grant().empty());
    here.makes_way("r/1");  // it had been told
    CHECK(here.grant() == names{"r/1"});
  }
  SUBCASE("its run is paused") {
    here.pool.pause_run("s", true);
    CHECK(here.grant().empty());
    CHECK(here.changed() == names{"s/high"});
    CHECK(here.why("s/high") == "its run is paused");
    here.makes_way("r/1");
    CHECK(here.grant() == names{"r/1"});
    here.pool.pause_run("s", false);
    CHECK(here.grant().empty());
    CHECK(here.told_to_end() == names{"r/1"});
  }
  SUBCASE("the executor is lost") {
    const auto lost = here.pool.lose("e", here.now);
    REQUIRE(lost.size() == 1);
    CHECK(lost[0].task == "r/1");
    CHECK(here.grant().empty());
    CHECK(here.changed() == names{"s/high"});
    here.join("f", 1);
    CHECK(here.grant() == names{"s/high"});
  }
  SUBCASE("the executor has another life") {
    auto lost = here.pool.join("e", 2, 1, {}, here.now);
    REQUIRE(lost.size() == 1);
    here.pool.put_back(std::move(lost[0]));
    CHECK(here.grant() == names{"s/high"});
    CHECK(here.pool.preempting() == 0);
  }
  SUBCASE("the executor goes by another name") {
    CHECK(here.pool.remove("e", "f", here.now).size() == 1);
    here.join("f", 1);
    CHECK(here.grant() == names{"s/high"});
  }
  SUBCASE("the executor offers less") {
    here.join("e", 2);
    CHECK(here.grant() == names{"s/high"});
  }
  SUBCASE("the executor drains: it keeps its word") {
    here.pool.drain("e", true);
    here.makes_way("r/1");
    CHECK(here.grant() == names{"s/high"});
  }
}

TEST_CASE("a promise that cannot be kept any more waits again") {
  vip_lab here;
  here.join("e", 2);
  here.want("r/1", 10);
  here.want("r/2", 50, {}, stays);
  CHECK(here.grant().size() == 2);
  here.want("s/high", 100);
  CHECK(here.grant().empty());
  CHECK(here.told_to_end() == names{"r/1"});
  here.join("e", 1);  // it has fewer slots now
  CHECK(here.grant().empty());
  CHECK(here.changed() == names{"s/high"});
  here.makes_way("r/1");
  CHECK(here.grant().empty());
  here.end("r/2");
  CHECK(here.grant() == names{"s/high"});
}

TEST_CASE("the tickets of a run go where the first of them was promised a place") {
  vip_lab here;
  here.join("a", 1);
  here.join("b", 1);
  here.want("r/1", 20);
  here.want("r/2", 10);
  CHECK(here.grant().size() == 2);
  const auto at = here.pool.find("r/2", 1)->executor;
  here.want("s/1", 100, {}, {.project = "vip", .preemptible = true}, true);
  here.want("s/2", 100, {}, {.project = "vip", .preemptible = true}, true);
  CHECK(here.grant().empty());
  CHECK(here.told_to_end() == names{"r/2"});  // and not r/1, at the other one
  CHECK(here.pool.executor_of("s") == at);
}

// Goal: a run is an executor's from when one of its attempts is there, and not by a promise that is
// broken.
TEST_CASE("a run is bound by a promise while that stands, and for good once it is kept") {
  const pool_wish vip{.project = "vip", .preemptible = true};
  vip_lab here;
  here.join("a", 1);
  here.want("r/low", 10);
  CHECK(here.grant().size() == 1);
  here.want("s/1", 100, {}, vip, true);
  CHECK(here.grant().empty());
  CHECK(here.pool.executor_of("s") == "a");
  CHECK(here.pool.runs_of("a", 10).empty());  // nothing to be stored, nor to be told of its loss
  SUBCASE("it is broken") {
    here.pool.pause_run("s", true);
    CHECK(here.grant().empty());
    CHECK(here.pool.executor_of("s").empty());
    here.pool.pause_run("s", false);
    here.join("b", 1);
    CHECK(here.grant() == names{"s/1"});
    CHECK(here.pool.executor_of("s") == "b");
  }
  SUBCASE("it is withdrawn") {
    here.end("s/1");
    CHECK(here.pool.executor_of("s").empty());
  }
  SUBCASE("its executor is lost") {
    CHECK(here.pool.lose("a", here.now).size() == 1);
    CHECK(here.pool.executor_of("s").empty());
  }
  SUBCASE("it is kept") {
    here.makes_way("r/low");
    const auto grants = here.pool.grant(here.now);
    REQUIRE(grants.size() == 1);
    CHECK(grants[0].pins);
    here.end("s/1");
    CHECK(here.pool.executor_of("s") == "a");
    CHECK(here.pool.runs_of("a", 10) == std::vector<std::string>{"s"});
  }
  SUBCASE("the pool comes back") {
    vip_lab again;
    for (const auto* task : {"r/low", "s/1"}) {
      again.pool.restore(*here.pool.find(task, 1));
    }
    again.pool.restore_executor("a", 1, 1);
    CHECK(again.pool.executor_of("s") == "a");
    again.makes_way("r/low");
    const auto grants = again.pool.grant(again.now);
    REQUIRE(grants.size() == 1);
    CHECK(grants[0].pins);
  }
}

TEST_CASE("what made way waits in its old place, as its next attempt") {
  vip_lab here;
  here.join("e", 1);
  here.want("r/first", 10);
  CHECK(here.grant().size() == 1);
  here.want("r/second", 10);
  here.want("s/high", 100);
  static_cast<void>(here.grant());
  const auto number = here.pool.find("r/first", 1)->number;
  const auto asked = here.pool.find("r/first", 1)->queued_at;
  const auto back = here.pool.requeue("r/first", 1, 2, false, here.now);
  REQUIRE(back);
  CHECK(back->number == number);
  CHECK(back->queued_at == asked);
  CHECK_FALSE(back->wish.preemptible);
  CHECK(back->preempted_for == 0);
  CHECK_FALSE(here.pool.find("r/first", 1));
  CHECK_FALSE(here.pool.requeue("r/first", 1, 2, false, here.now));
  CHECK(here.grant() == names{"s/high"});
  here.end("s/high");
  CHECK(here.grant() == names{"r/first"});
  here.want("s/again", 100);
  CHECK(here.grant().empty());
  CHECK(here.told_to_end().empty());  // this one does not make way again
}

TEST_CASE("what is stored of a preemption is all of it") {
  vip_lab here;
  here.join("e", 1);
  here.want("r/low", 10);
  CHECK(here.grant().size() == 1);
  here.want("s/high", 100);
  CHECK(here.grant().empty());
  vip_lab again;
  again.number = here.number;
  again.now = here.now;
  for (const auto* task : {"r/low", "s/high"}) {
    again.pool.restore(*here.pool.find(task, 1));
  }
  again.pool.restore_executor("e", 1, 1);
  CHECK(again.grant().empty());
  CHECK(again.told_to_end().empty());
  CHECK(again.why("s/high") == here.why("s/high"));
  again.makes_way("r/low");
  CHECK(again.grant() == names{"s/high"});
}

// Goal: a grant costs the same with 100,000 tickets that wait as with 100, where some preempt.
// Method: count the lanes that grants look at while low ones make way, and come back.
TEST_CASE("what waits costs nothing where tickets make way") {
  const auto looks_with = [](int tickets) {
    vip_lab here;
    here.join("a", 2, {{"cpu", 2'000}});
    here.join("b", 2, {{"cpu", 2'000}});
    for (int at = 0; at < 4; ++at) {
      here.want("low/" + std::to_string(at), 1, {{"cpu", 1'000}});
    }
    CHECK(here.grant().size() == 4);
    for (int at = 0; at < tickets; ++at) {
      const auto task = "r" + std::to_string(at % 50) + "/" + std::to_string(at);
      const std::uint32_t priority = at % 2 == 0 ? 100 : 50;
      here.want(task, priority, at % 3 == 0 ? resource_amounts{{"cpu", 1'000}} : resource_amounts{},
                at % 5 == 0 ? of_others : pool_wish{.project = "vip", .preemptible = true});
    }
    static_cast<void>(here.grant());
    CHECK(here.news.preempted.size() == 4);
    const auto before = here.pool.looks();
    for (int at = 0; at < 4; ++at) {
      here.makes_way("low/" + std::to_string(at));
      static_cast<void>(here.grant());
    }
    for (int at = 0; at < 20; ++at) {
      const auto all = here.pool.of_tasks("r");
      const auto one = std::find_if(all.begin(), all.end(), [](const auto& each) {
        return !each.executor.empty() && !each.promised;
      });
      here.end(one->task);
      static_cast<void>(here.grant());
    }
    return here.pool.looks() - before;
  };
  const auto few = looks_with(100);
  const auto many = looks_with(100'000);
  MESSAGE("lanes looked at for 24 grants: ", few, " with 100 tickets, ", many, " with 100,000");
  CHECK(many <= 2 * few);
}

// Grants, and sums over all tickets: nothing is overcommitted by what executors were told, and each
// promise and each that makes way has its reason. Answers how many more make way.
std::size_t grant_and_check(vip_lab& here, const std::set<std::string>& paused) {
  static_cast<void>(here.grant());
  for (const auto& each : here.news.preempted) {
    CHECK(each.ends.wish.preemptible);
    const auto all = here.pool.of_tasks("r");
    const auto by = std::find_if(all.begin(), all.end(), [&](const auto& one) {
      return one.number == each.ends.preempted_for;
    });
    REQUIRE(by != all.end());
    CHECK(by->priority > each.ends.priority);
    CHECK(by->wish.project == "vip");
  }
  std::map<std::string, resource_amounts> taken;
  std::map<std::string, std::size_t> ending;
  std::map<std::string, std::size_t> promised;
  for (const auto& each : here.pool.of_tasks("r")) {
    CHECK((each.executor.empty() ? !each.promised && each.preempted_for == 0 : true));
    CHECK_FALSE((each.promised && each.preempted_for != 0));
    if (each.executor.empty()) {
      continue;
    }
    promised[each.executor] += each.promised ? 1 : 0;
    ending[each.executor] += each.preempted_for != 0 ? 1 : 0;
    if (!each.promised) {
      for (const auto& [name, amount] : each.wish.resources) {
        taken[each.executor][name] += amount;
      }
    } else {
      CHECK_FALSE(paused.contains(each.task.substr(0, 2)));
    }
  }
  CHECK(amount_of(taken["a"], "cpu") <= 4'000);
  CHECK(amount_of(taken["b"], "cpu") <= 2'000);
  for (const auto& [executor, count] : promised) {
    CHECK((count == 0 || ending[executor] > 0));  // else it could have gone
  }
  return here.news.preempted.size();
}

// Ends one after the other, until none is left that can start.
void end_all(vip_lab& here, std::set<std::string>& known) {
  for (int round = 0; round < 2'000 && !known.empty(); ++round) {
    here.now += 10s;
    std::string ended;
    for (const auto& each : here.pool.of_tasks("r")) {
      if (!each.executor.empty() && !each.promised) {
        ended = each.task;
      }
    }
    if (ended.empty()) {
      break;
    }
    if (here.pool.find(ended, 1)->preempted_for != 0) {
      here.makes_way(ended);
    } else {
      here.end(ended);
      known.erase(ended);
    }
    grant_and_check(here, {});
  }
}

// Goal: whatever comes and goes, no executor is overcommitted by what it was told, each promise has
// a reason, nobody makes way for an equal or for nothing, and all of it ends.
// Method: random events, and sums over all tickets after each; then everybody gets a turn.
TEST_CASE("random preemptions never break what was promised") {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    const auto below = [&](std::uint32_t limit) {
      return static_cast<std::uint32_t>(random() % limit);
    };
    vip_lab here;
    here.pool = seed % 3 == 0 ? pool_queue{} : pool_queue{seed % 3 - 1};
    here.pool.set_limits("vip", {.preempts_from = 3});
    here.pool.set_limits("other", {.max_running = 3});
    here.join("a", 3, {{"cpu", 4'000}});
    here.join("b", 2, {{"cpu", 2'000}});
    std::set<std::string> known;
    std::set<std::string> paused;
    std::uint64_t incarnation = 1;
    std::size_t preempted = 0;
    const auto look = [&] { preempted += grant_and_check(here, paused); };
    for (int step = 0; step < 150; ++step) {
      const auto what = below(12);
      if (what < 6) {
        const auto task = "r" + std::to_string(below(4)) + "/" + std::to_string(step);
        pool_wish wish{.project = below(3) == 0 ? "other" : "vip", .preemptible = below(4) > 0};
        if (below(5) == 0) {
          wish.locks.push_back({"l", 0});
        }
        here.want(
            task, below(6),
            below(2) == 0 ? resource_amounts{{"cpu", 500 * (1 + below(6))}} : resource_amounts{},
            wish, task[1] < '2');
        known.insert(task);
      } else if (what < 10 && !known.empty()) {
        const auto at = std::next(known.begin(), below(static_cast<std::uint32_t>(known.size())));
        if (const auto* ticket = here.pool.find(*at, 1); ticket->preempted_for != 0) {
          here.makes_way(*at);
        } else {
          here.end(*at);
          known.erase(at);
        }
      } else if (what == 10) {
        const auto life = below(2);
        for (auto& each :
             here.pool.join("b", incarnation += life, 1 + below(2), {{"cpu", 2'000}}, here.now)) {
          here.pool.put_back(std::move(each));
        }
      } else {
        const auto run = "r" + std::to_string(below(4));
        if (!paused.erase(run)) {
          paused.insert(run);
        }
        here.pool.pause_run(run, paused.contains(run));
      }
      look();
    }
    CHECK((seed > 0 || preempted > 0));
    for (const auto& run : paused) {
      here.pool.pause_run(run, false);
    }
    paused.clear();
    look();
    end_all(here, known);
    for (const auto& task : known) {  // but what nobody can offer where it has to go
      const auto why = here.why(task);
      CHECK_MESSAGE((why.find("offers") != std::string::npos), why);
    }
  }
}

}  // namespace
}  // namespace millrace::actors
