// SPDX-License-Identifier: MIT
// The pool's decisions, without actors: who gets a slot, in which order, and what a lost executor
// gives back.
#include "pool/pool_queue.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <tuple>

namespace millrace::actors {
namespace {

std::vector<std::string> tasks_of(const std::vector<pool_grant>& grants) {
  std::vector<std::string> names;
  for (const auto& each : grants) {
    names.push_back(each.ticket.task);
  }
  return names;
}

using names = std::vector<std::string>;

TEST_CASE("slots go by priority, then by age") {
  pool_queue pool{0};
  CHECK(pool.enqueue(1, "low", 1, 10));
  CHECK(pool.enqueue(2, "first", 1, 50));
  CHECK(pool.enqueue(3, "second", 1, 50));
  CHECK(pool.enqueue(4, "high", 1, 90));
  CHECK(pool.grant().empty());
  CHECK(pool.waiting_reason() == "no executor has joined this pool");
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

TEST_CASE("an executor that is removed loses what it had and gets nothing more") {
  pool_queue pool{0};
  CHECK(pool.join("old", 7, 1).empty());
  CHECK(pool.enqueue(1, "a", 1, 50));
  CHECK(pool.grant().size() == 1);
  CHECK(pool.enqueue(2, "b", 1, 50));
  const auto lost = pool.remove("old");
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].task == "a");
  CHECK(pool.remove("old").empty());
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
  CHECK(pool.waiting_reason() == "no executor has joined this pool");
  CHECK(pool.join("e", 2, 2).empty());
  CHECK(tasks_of(pool.grant()) == names{"t2"});
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
    std::uint64_t number = 0;
    for (int step = 0; step < 150; ++step) {
      const auto what = below(10);
      if (what < 5) {
        const auto task = "t" + std::to_string(below(30));
        const auto known = std::any_of(model.begin(), model.end(),
                                       [&](const auto& each) { return each.task == task; });
        const auto made = pool.enqueue(++number, task, 1, static_cast<std::uint8_t>(below(3)));
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
      } else {
        pool = pool_queue{ahead};
        for (const auto& each : model) {
          pool.restore(each);
        }
        for (const auto& [name, life] : executors) {
          pool.restore_executor(name, life.first, life.second);
        }
      }
      for (const auto& each : pool.grant()) {
        const auto best =
            std::min_element(model.begin(), model.end(), [](const auto& a, const auto& b) {
              const auto key = [](const auto& one) {
                return std::tuple{!one.executor.empty(), -one.priority, one.number};
              };
              return key(a) < key(b);
            });
        CHECK(best->number == each.ticket.number);
        best->executor = each.ticket.executor;
        CHECK(executors.at(each.ticket.executor).first == each.incarnation);
      }
      std::size_t ungranted = 0;
      std::map<std::string, std::uint32_t> used;
      for (const auto& each : model) {
        each.executor.empty() ? ++ungranted : ++used[each.executor];
      }
      std::size_t running = 0;
      for (const auto& [name, life] : executors) {
        running += std::min(used[name], life.second);
        const auto wanted =
            executors.size() == 1 && life.second > 0 ? life.second + ahead : life.second;
        CHECK((ungranted == 0 || used[name] >= wanted));
      }
      CHECK(pool.running() == running);
      CHECK(pool.waiting() == model.size() - running);
    }
  }
}

}  // namespace
}  // namespace millrace::actors
