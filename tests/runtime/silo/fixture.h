// SPDX-License-Identifier: MIT
// A silo with counters for tests, and a clock that is moved by hand.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>

#include "runtime/silo/counter.h"

namespace millrace::testing {

/// Both times, as far as a test has moved them.
class hand_clock final : public runtime::clock {
public:
  runtime::wall_time wall() const override {
    return runtime::wall_time{std::chrono::hours{24 * 365 * 50} + offset()};
  }
  runtime::steady_time steady() const override {
    return runtime::steady_time{std::chrono::hours{1} + offset()};
  }
  void move(runtime::duration by) { offset_ += by.count(); }

private:
  [[nodiscard]] runtime::duration offset() const { return runtime::duration{offset_.load()}; }
  std::atomic<std::int64_t> offset_{0};
};

/// A silo of counters over `rows`.
class counter_silo {
public:
  explicit counter_silo(std::unique_ptr<storage> rows = make_memory_storage(),
                        silo_options options = {}) {
    options.warn = [this](std::string_view line) {
      const std::lock_guard lock{mutex_};
      warnings_.emplace_back(line);
    };
    here.emplace(std::move(rows), std::move(options), time);
    here->add<counter>();
    REQUIRE(here->start());
  }
  void move(runtime::duration by) {
    time.move(by);
    here->time_changed();
  }
  std::int64_t total(const std::string& key) {
    const auto answer = here->call(ref<Counter>(key).get());
    REQUIRE(answer);
    return answer->total();
  }
  /// Asks until the total is as expected: for what happens without being waited for.
  bool reaches(const std::string& key, std::int64_t expected) {
    for (int asks = 0; asks < 20'000; ++asks) {
      if (total(key) == expected) {
        return true;
      }
    }
    return false;
  }
  std::vector<std::string> warnings() {
    const std::lock_guard lock{mutex_};
    return warnings_;
  }

  hand_clock time;
  std::optional<silo> here;

private:
  std::mutex mutex_;
  std::vector<std::string> warnings_;
};

/// A call whose answer is looked at later.
template <class T>
std::future<result<T>> later(silo& here, runtime::call<T> one) {
  auto promise = std::make_shared<std::promise<result<T>>>();
  auto future = promise->get_future();
  here.call_then<T>(std::move(one),
                    [promise](result<T> answer) { promise->set_value(std::move(answer)); });
  return future;
}

}  // namespace millrace::testing
