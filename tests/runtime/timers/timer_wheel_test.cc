// SPDX-License-Identifier: MIT
#include "timers/timer_wheel.h"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

namespace millrace::runtime::detail {
namespace {

using namespace std::chrono_literals;

constexpr steady_time start{1h};

TEST_CASE("a timer is due at its time and not before") {
  timer_wheel wheel{start};
  timer_entry entry;
  wheel.insert(entry, start + 100ms);
  CHECK(wheel.pop(start + 99ms) == nullptr);
  CHECK(wheel.next_event().value() <= start + 100ms);
  CHECK(wheel.pop(start + 100ms) == &entry);
  CHECK_FALSE(entry.armed());
  CHECK_FALSE(wheel.next_event());
}

TEST_CASE("what is already due is popped next") {
  timer_wheel wheel{start};
  timer_entry entry;
  wheel.insert(entry, start - 1s);
  CHECK(wheel.pop(start) == &entry);
}

TEST_CASE("an erased timer is never due") {
  timer_wheel wheel{start};
  timer_entry entry;
  wheel.insert(entry, start + 5s);
  wheel.erase(entry);
  CHECK(wheel.pop(start + 1h) == nullptr);
}

TEST_CASE("times of years ahead are kept") {
  timer_wheel wheel{start};
  timer_entry entry;
  wheel.insert(entry, start + 24h * 365 * 10);
  CHECK(wheel.pop(start + 24h * 365 * 10 - 1ms) == nullptr);
  CHECK(wheel.pop(start + 24h * 365 * 10) == &entry);
}

// Goal: whatever is inserted, erased and waited for, each timer is due exactly once, in the first
// look at or after its time. Method: a sorted map is the model.
TEST_CASE("the wheel agrees with a sorted list") {
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random{seed};
    timer_wheel wheel{start};
    auto now = start;
    std::vector<std::unique_ptr<timer_entry>> entries;
    std::multimap<steady_time, timer_entry*> model;
    for (int step = 0; step < 2'000; ++step) {
      const auto what = random() % 10;
      if (what < 6) {
        const auto scale = std::uint64_t{1} << random() % 36U;
        const auto due = now + duration{1'000'000} * static_cast<std::int64_t>(random() % scale);
        entries.push_back(std::make_unique<timer_entry>());
        wheel.insert(*entries.back(), due);
        model.emplace(due, entries.back().get());
      } else if (what < 7 && !model.empty()) {
        auto at = model.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(random() % model.size()));
        wheel.erase(*at->second);
        model.erase(at);
      } else {
        now += duration{1'000'000} *
               static_cast<std::int64_t>(random() % (std::uint64_t{1} << random() % 30U));
        while (auto* due = wheel.pop(now)) {
          CHECK(due->due <= now);
          const auto [from, to] = model.equal_range(due->due);
          auto found = from;
          while (found != to && found->second != due) {
            ++found;
          }
          REQUIRE(found != to);
          model.erase(found);
        }
        CHECK((model.empty() || model.begin()->first > now));
        if (const auto next = wheel.next_event(); next && !model.empty()) {
          CHECK(*next <= model.begin()->first);
        }
      }
    }
    for (const auto& [due, entry] : model) {
      wheel.erase(*entry);
    }
  }
}

}  // namespace
}  // namespace millrace::runtime::detail
