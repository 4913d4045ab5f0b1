// SPDX-License-Identifier: MIT
// The pool's decisions, without actors: who gets a slot, in which order, and what a lost executor
// gives back.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <tuple>

#include "lab.h"
#include "pipeline/names.h"

namespace millrace::actors {
namespace {

TEST_CASE("an executor that drains gets nothing new, and keeps what it has") {
  pool_queue pool{0};
  CHECK(pool.join("a", 1, 2).empty());
  CHECK(pool.enqueue(1, "one", 1, 50));
  CHECK(tasks_of(pool.grant()) == names{"one"});
  pool.drain("a", true);
  pool.drain("nobody", true);
  CHECK(pool.enqueue(2, "two", 1, 50));
  CHECK(pool.grant().empty());
  CHECK(pool.waiting_reason() == "executor 'a' is being drained and takes nothing new");
  pool.drain("a", true, "disk full");
  CHECK(pool.grant().empty());
  CHECK(pool.waiting_reason() == "executor 'a' takes nothing new: disk full");
  CHECK(pool.running() == 1);
  CHECK(pool.join("b", 1, 1).empty());
  CHECK(pool.grant().front().ticket.executor == "b");
  pool.drain("a", false);
  CHECK(pool.enqueue(3, "three", 1, 50));
  CHECK(pool.grant().front().ticket.executor == "a");
  pool.drain("a", true);
  CHECK(pool.join("a", 2, 2).size() == 2);  // another life
  CHECK(pool.enqueue(4, "four", 1, 50));
  CHECK(pool.grant().front().ticket.executor == "a");
}

TEST_CASE("slots go by priority, then by age") {
  pool_queue pool{0};
  CHECK(pool.enqueue(1, "low", 1, 10));
  CHECK(pool.enqueue(2, "first", 1, 50));
  CHECK(pool.enqueue(3, "second", 1, 50));
  CHECK(pool.enqueue(4, "high", 1, 90));
  CHECK(pool.grant().empty());
  CHECK(pool.waiting_reason() == "waits for pool default: no executor of a silo belongs to it");
  CHECK(pool.join("e", 7, 3).empty());
  CHECK(tasks_of(pool.grant()) == names{"high", "first", "second"});
  CHECK(pool.waiting_reason() == "all 3 slots are taken");
  CHECK(pool.release("first", 1));
  const auto last = pool.grant();
  CHECK(tasks_of(last) == names{"low"});
  CHECK(last[0].ticket.executor == "e");
  CHECK(last[0].incarnation == 7);
  CHECK(pool.waiting_reason().empty());
}

TEST_CASE("an attempt has one ticket however often it asks, and may give it back while it waits") {
  pool_queue pool{0};
  CHECK(pool.enqueue(1, "t", 1, 50));
  CHECK_FALSE(pool.enqueue(2, "t", 1, 50));
  CHECK(pool.enqueue(2, "t", 2, 50));
  CHECK(pool.release("t", 1)->executor.empty());
  CHECK_FALSE(pool.release("t", 1));
  CHECK(pool.waiting() == 1);
}

TEST_CASE("the executor with the most free slots is served first") {
  pool_queue pool{0};
  CHECK(pool.join("big", 1, 3).empty());
  CHECK(pool.join("small", 1, 1).empty());
  for (std::uint64_t at = 1; at <= 4; ++at) {
    CHECK(pool.enqueue(at, "t" + std::to_string(at), 1, 50));
  }
  const auto grants = pool.grant();
  REQUIRE(grants.size() == 4);
  CHECK(grants[0].ticket.executor == "big");
  CHECK(grants[1].ticket.executor == "big");
  CHECK(std::count_if(grants.begin(), grants.end(),
                      [](const auto& each) { return each.ticket.executor == "small"; }) == 1);
}

TEST_CASE("a new life of an executor loses what the earlier one had, and only that") {
  pool_queue pool{0};
  CHECK(pool.join("a", 1, 1).empty());
  CHECK(pool.join("b", 1, 1).empty());
  CHECK(pool.enqueue(1, "x", 1, 50));
  CHECK(pool.enqueue(2, "y", 1, 50));
  CHECK(pool.enqueue(3, "z", 1, 50));
  const auto grants = pool.grant();
  REQUIRE(grants.size() == 2);
  const auto& of_a = grants[0].ticket.executor == "a" ? grants[0] : grants[1];
  CHECK(pool.join("a", 1, 1).empty());
  const auto lost = pool.join("a", 2, 1);
  REQUIRE(lost.size() == 1);
  CHECK(lost[0] == of_a.ticket);
  const auto next = pool.grant();
  CHECK(tasks_of(next) == names{"z"});
  CHECK(next[0].incarnation == 2);
  CHECK_FALSE(pool.release(lost[0].task, 1));
}

TEST_CASE("what never started is put back in its old place, also of a run that stays there") {
  pool_queue pool{8};
  CHECK(pool.join("a", 1, 1).empty());
  CHECK(pool.enqueue(1, "run/x", 1, 50, true));
  CHECK(pool.enqueue(2, "run/y", 1, 50, true));
  CHECK(pool.grant().size() == 2);
  CHECK(pool.enqueue(3, "z", 1, 50));
  auto before = pool.join("a", 2, 1);
  REQUIRE(before.size() == 2);
  for (auto& each : before) {
    pool.put_back(std::move(each));
  }
  CHECK(pool.running() == 0);
  CHECK(pool.waiting() == 3);
  CHECK_FALSE(pool.enqueue(4, "run/x", 1, 50, true));  // it has its ticket
  const auto again = pool.grant();
  CHECK(tasks_of(again) == names{"run/x", "run/y", "z"});
  CHECK(again[0].incarnation == 2);
  CHECK(again[0].ticket.number == 1);
}

TEST_CASE("an executor that is removed loses what it had and gets nothing more") {
  pool_queue pool{0};
  CHECK(pool.join("old", 7, 1).empty());
  CHECK(pool.enqueue(1, "a", 1, 50));
  CHECK(pool.grant().size() == 1);
  CHECK(pool.enqueue(2, "b", 1, 50));
  const auto lost = pool.remove("old", "new");
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].task == "a");
  CHECK(pool.remove("old", "new").empty());
  CHECK(pool.grant().empty());
  CHECK(pool.slots() == 0);
  CHECK(pool.join("new", 8, 1).empty());
  CHECK(tasks_of(pool.grant()) == names{"b"});
}

TEST_CASE("a ticket is found by its attempt, and those of a run by the beginning of their keys") {
  pool_queue pool{0};
  CHECK(pool.join("e", 7, 1).empty());
  CHECK(pool.enqueue(1, "r/a", 1, 50));
  CHECK(pool.enqueue(2, "r/b", 1, 50));
  CHECK(pool.enqueue(3, "r2/a", 1, 50));
  CHECK(pool.grant().size() == 1);
  REQUIRE(pool.find("r/a", 1) != nullptr);
  CHECK(pool.find("r/a", 1)->executor == "e");
  CHECK(pool.find("r/b", 1)->executor.empty());
  CHECK(pool.find("r/a", 2) == nullptr);
  const auto found = pool.of_tasks("r/");
  REQUIRE(found.size() == 2);
  CHECK(found[0].task == "r/a");
  CHECK(found[1].task == "r/b");
}

TEST_CASE("fewer slots take nothing away from what runs") {
  pool_queue pool{0};
  CHECK(pool.join("e", 1, 3).empty());
  for (std::uint64_t at = 1; at <= 4; ++at) {
    CHECK(pool.enqueue(at, "t" + std::to_string(at), 1, 50));
  }
  CHECK(pool.grant().size() == 3);
  CHECK(pool.join("e", 1, 1).empty());
  CHECK(pool.release("t1", 1));
  CHECK(pool.release("t2", 1));
  CHECK(pool.grant().empty());
  CHECK(pool.release("t3", 1));
  CHECK(tasks_of(pool.grant()) == names{"t4"});
}

TEST_CASE("tickets are granted ahead of the slots, and wait all the same") {
  pool_queue pool{2};
  CHECK(pool.join("e", 1, 1).empty());
  for (std::uint64_t at = 1; at <= 4; ++at) {
    CHECK(pool.enqueue(at, "t" + std::to_string(at), 1, 50));
  }
  CHECK(tasks_of(pool.grant()) == names{"t1", "t2", "t3"});
  CHECK(pool.running() == 1);
  CHECK(pool.waiting() == 3);
  CHECK(pool.release("t4", 1));
  CHECK(pool.waiting_reason() == "all 1 slots are taken");
  CHECK(pool.release("t1", 1));
  CHECK(pool.running() == 1);
  CHECK(pool.waiting() == 1);
  CHECK(pool.release("t3", 1));
  CHECK(pool.waiting_reason().empty());
}

TEST_CASE("what was granted ahead keeps nothing of higher priority waiting") {
  pool_queue pool{1};
  CHECK(pool.join("e", 1, 1).empty());
  for (std::uint64_t at = 1; at <= 3; ++at) {
    CHECK(pool.enqueue(at, "low" + std::to_string(at), 1, 10));
  }
  CHECK(pool.grant().size() == 2);
  for (std::uint64_t at = 4; at <= 6; ++at) {
    CHECK(pool.enqueue(at, "high" + std::to_string(at), 1, 20));
  }
  CHECK(tasks_of(pool.grant()) == names{"high4", "high5"});
  CHECK(pool.release("low1", 1));
  CHECK(pool.grant().empty());
  CHECK(pool.release("high4", 1));
  CHECK(tasks_of(pool.grant()) == names{"high6"});
}

TEST_CASE("nothing is granted ahead where another executor may be free sooner") {
  pool_queue pool{8};
  CHECK(pool.join("a", 1, 1).empty());
  CHECK(pool.join("b", 1, 1).empty());
  for (std::uint64_t at = 1; at <= 3; ++at) {
    CHECK(pool.enqueue(at, "t" + std::to_string(at), 1, 50));
  }
  CHECK(pool.grant().size() == 2);
  CHECK(pool.release("t2", 1));
  CHECK(tasks_of(pool.grant()) == names{"t3"});
}

TEST_CASE("an executor that has left gets nothing until it joins") {
  pool_queue pool{8};
  pool.leave("e");
  CHECK(pool.join("e", 1, 2).empty());
  CHECK(pool.enqueue(1, "t1", 1, 50));
  CHECK(pool.grant().size() == 1);
  pool.leave("e");
  CHECK(pool.enqueue(2, "t2", 1, 50));
  CHECK(pool.release("t1", 1));
  CHECK(pool.grant().empty());
  CHECK(pool.waiting_reason() == "waits for pool default: e belongs to it, and is away");
  CHECK(pool.join("e", 2, 2).empty());
  CHECK(tasks_of(pool.grant()) == names{"t2"});
}

std::optional<pool_ticket> share(pool_queue& pool, std::uint64_t number, const std::string& task,
                                 std::uint32_t priority = 50) {
  return pool.enqueue(number, task, 1, priority, true);
}

TEST_CASE("the tickets of a run that shares a workspace go where its first one went") {
  pool_queue pool{0};
  CHECK(pool.join("a", 1, 2).empty());
  CHECK(pool.join("b", 1, 1).empty());
  for (std::uint64_t at = 1; at <= 3; ++at) {
    CHECK(share(pool, at, "r/t" + std::to_string(at)));
  }
  const auto grants = pool.grant();
  CHECK(tasks_of(grants) == names{"r/t1", "r/t2"});
  CHECK(grants[0].pins);
  CHECK_FALSE(grants[1].pins);
  CHECK(grants[1].ticket.executor == "a");
  CHECK(pool.executor_of("r") == "a");
  CHECK(pool.runs_of("a", 9) == names{"r"});
  CHECK(pool.waiting_reason() ==
        "executor 'a' has the workspaces of their runs, and its 2 slots are taken");
  CHECK(pool.enqueue(4, "other/t", 1, 50));
  CHECK(tasks_of(pool.grant()) == names{"other/t"});
  CHECK(pool.waiting_reason() == "all 3 slots are taken");
  CHECK(pool.release("r/t1", 1));
  const auto third = pool.grant();
  CHECK(tasks_of(third) == names{"r/t3"});
  CHECK(third[0].ticket.executor == "a");
}

TEST_CASE("a run stays with its executor while that is away, in another life and by another name") {
  pool_queue pool{0};
  CHECK(pool.join("a", 1, 1).empty());
  CHECK(share(pool, 1, "r/t1"));
  CHECK(pool.grant().size() == 1);
  CHECK(pool.join("b", 1, 5).empty());
  CHECK(share(pool, 2, "r/t2"));
  CHECK(pool.grant().empty());
  pool.leave("a");
  CHECK(pool.waiting_reason() == "executor 'a' has the workspaces of their runs, and is away");
  CHECK(pool.remove("a", "c").size() == 1);
  CHECK(pool.grant().empty());
  CHECK(pool.join("c", 2, 1).empty());
  const auto grants = pool.grant();
  REQUIRE(tasks_of(grants) == names{"r/t2"});
  CHECK(grants[0].ticket.executor == "c");
  CHECK(pool.release("r/t2", 1));
  pool.forget_run("r");
  CHECK(pool.executor_of("r").empty());
  CHECK(share(pool, 3, "r/t3"));
  CHECK(pool.grant()[0].ticket.executor == "b");
}

TEST_CASE("what a forgotten run still waits for may go anywhere") {
  pool_queue pool{0};
  CHECK(pool.join("a", 1, 1).empty());
  CHECK(share(pool, 1, "r/t1"));
  CHECK(share(pool, 2, "r/t2"));
  CHECK(pool.grant().size() == 1);
  CHECK(pool.join("b", 1, 1).empty());
  CHECK(pool.grant().empty());
  pool.forget_run("r");
  CHECK(pool.grant()[0].ticket.executor == "b");
}

TEST_CASE("what a lost executor had waits until its run says so") {
  pool_queue pool{0};
  CHECK(pool.join("a", 1, 1).empty());
  CHECK(share(pool, 1, "r/t1"));
  CHECK(pool.grant().size() == 1);
  CHECK(share(pool, 2, "r/t2"));
  CHECK(pool.join("b", 1, 2).empty());
  CHECK(pool.lose("a").size() == 1);
  CHECK(pool.grant().empty());
  pool.hold_run("r");
  CHECK(pool.runs_of("a", 9).empty());
  CHECK(share(pool, 3, "r/t3"));
  CHECK(pool.grant().empty());
  CHECK(pool.waiting_reason() ==
        "the workspace of their run was lost, and what it ran has not all ended");
  CHECK(pool.release("r/t2", 1));
  pool.forget_run("r");
  const auto grants = pool.grant();
  CHECK(tasks_of(grants) == names{"r/t3"});
  CHECK(grants[0].ticket.executor == "b");
}

TEST_CASE("tickets of a run are granted ahead to its executor, though there are several") {
  pool_queue pool{2};
  CHECK(pool.join("a", 1, 1).empty());
  CHECK(pool.join("b", 1, 1).empty());
  for (std::uint64_t at = 1; at <= 5; ++at) {
    CHECK(share(pool, at, "r/t" + std::to_string(at)));
  }
  CHECK(tasks_of(pool.grant()) == names{"r/t1", "r/t2", "r/t3"});
  CHECK(pool.running() == 1);
  CHECK(pool.waiting() == 4);
}

TEST_CASE("what may go anywhere is not overtaken by tickets ahead of slots") {
  pool_queue pool{2};
  CHECK(pool.join("a", 1, 1).empty());
  CHECK(pool.join("b", 1, 1).empty());
  CHECK(share(pool, 1, "r/t1"));
  CHECK(share(pool, 2, "s/t1"));
  CHECK(share(pool, 3, "new/t1"));
  CHECK(share(pool, 4, "r/t2"));
  CHECK(share(pool, 5, "r/urgent", 90));
  CHECK(tasks_of(pool.grant()) == names{"r/urgent", "r/t1", "s/t1"});
  CHECK(pool.enqueue(6, "x", 1, 90));
  CHECK(pool.grant().empty());
}

// Goal: no slot is given twice or left idle, the order holds, and a restart changes nothing.
// Method: random events beside a list that is searched from end to end.
TEST_CASE("random events agree with a plain list, through restarts") {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    const auto below = [&](std::uint32_t limit) {
      return static_cast<std::uint32_t>(random() % limit);
    };
    const std::uint32_t ahead = seed % 2 == 0 ? 0 : 2;
    pool_queue pool{ahead};
    std::vector<pool_ticket> model;
    std::map<std::string, std::pair<std::uint64_t, std::uint32_t>> executors;
    std::map<std::string, std::string> runs;
    const auto pinned_to = [&](const pool_ticket& each) {
      const auto found = each.shared ? runs.find(run_of(each.task)) : runs.end();
      return found != runs.end() ? found->second : std::string{};
    };
    std::uint64_t number = 0;
    for (int step = 0; step < 150; ++step) {
      const auto what = below(11);
      if (what < 5) {
        const auto of = below(4);  // the runs 0 and 1 share workspaces
        const auto task = "r" + std::to_string(of) + "/t" + std::to_string(below(10));
        const auto known = std::any_of(model.begin(), model.end(),
                                       [&](const auto& each) { return each.task == task; });
        const auto made = pool.enqueue(++number, task, 1, below(3), of < 2);
        CHECK(made.has_value() != known);
        if (made) {
          model.push_back(*made);
        }
      } else if (what < 8 && !model.empty()) {
        const auto at = model.begin() + below(static_cast<std::uint32_t>(model.size()));
        CHECK(pool.release(at->task, at->attempt) == *at);
        model.erase(at);
      } else if (what == 8) {
        const auto name = "e" + std::to_string(below(3));
        auto& [incarnation, slots] = executors[name];
        incarnation += below(2);
        slots = below(4);
        const auto same = pool.join(name, incarnation, slots).empty();
        const auto had =
            std::erase_if(model, [&](const auto& each) { return !same && each.executor == name; });
        CHECK(same == (had == 0));
      } else if (what == 9) {
        const auto run = "r" + std::to_string(below(2));
        pool.forget_run(run);
        runs.erase(run);
      } else {
        pool = pool_queue{ahead};
        for (const auto& [run, executor] : runs) {
          pool.restore_run(run, executor);
        }
        for (const auto& each : model) {
          pool.restore(each);
        }
        for (const auto& [name, life] : executors) {
          pool.restore_executor(name, life.first, life.second);
        }
      }
      const auto precedes = [](const pool_ticket& a, const pool_ticket& b) {
        return std::tuple{b.priority, a.number} < std::tuple{a.priority, b.number};
      };
      for (const auto& each : pool.grant()) {
        const auto at = std::find_if(model.begin(), model.end(), [&](const auto& one) {
          return one.number == each.ticket.number;
        });
        REQUIRE(at != model.end());
        for (const auto& other : model) {
          const auto to = pinned_to(other);
          CHECK((!other.executor.empty() || (!to.empty() && to != each.ticket.executor) ||
                 !precedes(other, *at)));
        }
        const auto to = pinned_to(*at);
        CHECK((to.empty() || to == each.ticket.executor));
        CHECK(each.pins == (to.empty() && at->shared));
        if (each.pins) {
          runs[run_of(at->task)] = each.ticket.executor;
        }
        at->executor = each.ticket.executor;
        CHECK(executors.at(each.ticket.executor).first == each.incarnation);
      }
      const auto first_free = std::min_element(
          model.begin(), model.end(), [&](const pool_ticket& a, const pool_ticket& b) {
            const auto free = [&](const auto& one) {
              return one.executor.empty() && pinned_to(one).empty();
            };
            return free(a) != free(b) ? free(a) : precedes(a, b);
          });
      const auto offering = std::count_if(executors.begin(), executors.end(),
                                          [](const auto& each) { return each.second.second > 0; });
      std::map<std::string, std::uint32_t> used;
      for (const auto& each : model) {
        if (!each.executor.empty()) {
          ++used[each.executor];
        }
      }
      for (const auto& each : model) {  // whoever still waits has a reason
        const auto to = pinned_to(each);
        for (const auto& [name, life] : executors) {
          if (!each.executor.empty() || (!to.empty() && to != name)) {
            continue;
          }
          const auto overtakes = !to.empty() && first_free->executor.empty() &&
                                 pinned_to(*first_free).empty() && precedes(*first_free, each);
          const auto may_be_ahead = life.second > 0 && !overtakes && (!to.empty() || offering == 1);
          CHECK(used[name] >= life.second + (may_be_ahead ? ahead : 0));
        }
      }
      std::size_t running = 0;
      for (const auto& [name, life] : executors) {
        running += std::min(used[name], life.second);
      }
      CHECK(pool.running() == running);
      CHECK(pool.waiting() == model.size() - running);
    }
  }
}

}  // namespace
}  // namespace millrace::actors
