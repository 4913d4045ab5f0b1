// SPDX-License-Identifier: MIT
#include "storage/commit_queue.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <future>

using namespace millrace::runtime;
using namespace std::chrono_literals;

namespace {

struct silent final : commit_request {
  void done(result<void>) override {}
};

std::size_t drained(commit_queue& queue) {
  std::size_t count = 0;
  for (auto list = queue.take(); !list.empty(); ++count) {
    list.pop();
  }
  return count;
}

}  // namespace

TEST_CASE("the queue counts what was pushed and not taken") {
  commit_queue queue;
  std::array<silent, 3> all;
  CHECK(queue.size() == 0);
  for (auto& each : all) {
    REQUIRE(queue.push(&each));
  }
  CHECK(queue.size() == 3);
  CHECK(drained(queue) == 3);
  CHECK(queue.size() == 0);
}

TEST_CASE("a wait for three ends with the third") {
  commit_queue queue;
  std::array<silent, 3> all;
  REQUIRE(queue.push(&all[0]));
  auto waiter = std::async(std::launch::async, [&] {
    queue.wait_for(3, 1h);
    return queue.size();
  });
  REQUIRE(queue.push(&all[1]));
  REQUIRE(queue.push(&all[2]));
  CHECK(waiter.get() == 3);
  CHECK(drained(queue) == 3);
}

TEST_CASE("a wait for company ends when its time is up, and when the consumer is woken") {
  commit_queue queue;
  silent one;
  REQUIRE(queue.push(&one));
  queue.wait_for(2, 1ms);
  CHECK(queue.size() == 1);

  auto waiter = std::async(std::launch::async, [&] { queue.wait_for(2, 1h); });
  queue.wake();
  waiter.get();
  CHECK(drained(queue) == 1);
}

// Goal: whoever pushes the last one sees that it is waited for, or the consumer sees the push.
// Method: both at once, many times; a lost wake-up hangs for an hour.
TEST_CASE("no wake-up is lost between the last push and the wait for it") {
  constexpr int rounds = 20'000;
  commit_queue queue;
  std::array<silent, 2> all;
  std::atomic<int> begun{0};
  auto pusher = std::async(std::launch::async, [&] {
    for (int round = 1; round <= rounds; ++round) {
      begun.wait(round - 1);
      for (auto& each : all) {
        static_cast<void>(queue.push(&each));
      }
    }
  });
  for (int round = 1; round <= rounds; ++round) {
    begun = round;
    begun.notify_one();
    queue.wait_for(2, 1h);
    // A wake-up that came late for the round before ends a wait too early.
    for (std::size_t seen = drained(queue); seen < 2; seen += drained(queue)) {
      queue.wait(1h);
    }
  }
  pusher.get();
}
