// SPDX-License-Identifier: MIT
// What an executor and its pool conclude from renewals, each by a clock of its own.
#include <doctest/doctest.h>

#include <random>

#include "millrace/actors/executor_lease.h"
#include "pool/lease_table.h"

namespace millrace::actors {
namespace {

using runtime::duration;
using runtime::steady_time;
using namespace std::chrono_literals;

constexpr steady_time start{std::chrono::hours{1}};

TEST_CASE("a lease counts from the latest renewal that was answered, as it was sent") {
  executor_lease lease{10s};
  CHECK(lease.over(start));
  lease.renewed(start);
  CHECK_FALSE(lease.over(start + 10s - 1ns));
  CHECK(lease.over(start + 10s));
  lease.renewed(start + 4s);
  lease.renewed(start + 2s);  // its answer was slow
  CHECK(lease.deadline() == start + 14s);
}

TEST_CASE("an executor is lost once, when nothing was heard of it for long enough") {
  lease_table table{11s};
  CHECK_FALSE(table.next());
  table.heard("a", start);
  table.heard("b", start + 1s);
  table.heard("gone", start);
  table.forget("gone");
  CHECK(table.next() == start + 11s);
  CHECK(table.take_lost(start + 11s - 1ns).empty());
  table.heard("b", start + 5s);
  CHECK(table.take_lost(start + 11s) == std::vector<std::string>{"a"});
  CHECK(table.take_lost(start + 12s).empty());
  CHECK(table.next() == start + 16s);
}

// Goal: when the pool calls an executor lost, that has ended what it ran; in no case later.
// Method: two clocks that are each off by up to 1 %, messages that take any time or are lost, pools
// that move and forget. Times are the true ones; each side sees its own.
TEST_CASE("whatever the clocks and the messages, a lost executor has ended what it ran") {
  const lease_timing timing;
  for (std::uint32_t seed = 0; seed < 2000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random{seed};
    const auto up_to = [&](duration limit) {
      return duration{
          static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(limit.count()))};
    };
    const auto rate = [&] { return 0.99 + 0.02 * static_cast<double>(random() % 1001) / 1000; };
    const auto seen = [](double of_rate, duration true_time) {
      return start +
             duration{static_cast<std::int64_t>(of_rate * static_cast<double>(true_time.count()))};
    };
    const auto executor_rate = rate();
    const auto pool_rate = rate();
    executor_lease lease{timing.length};
    lease_table table{timing.lost_after()};
    duration now{};
    table.heard("e", seen(pool_rate, now));
    lease.renewed(seen(executor_rate, now));
    for (int renewals = 0; renewals < 5; ++renewals) {
      const auto sent = now;
      now += up_to(3s);
      if (random() % 4 != 0) {  // it arrives
        table.heard("e", seen(pool_rate, now));
        if (random() % 4 != 0) {  // so does its answer
          lease.renewed(seen(executor_rate, sent));
        }
      }
      if (random() % 8 == 0) {
        table = lease_table{timing.lost_after()};
        table.heard("e", seen(pool_rate, now));
      }
    }
    // The first instant, by the true time, at which each side acts.
    const auto truly = [](double of_rate, steady_time at) {
      return static_cast<double>((at - start).count()) / of_rate;
    };
    const auto ended = truly(executor_rate, lease.deadline() + timing.ending);
    CHECK(ended <= truly(pool_rate, *table.next()));
  }
}

}  // namespace
}  // namespace millrace::actors
