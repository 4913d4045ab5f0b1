// SPDX-License-Identifier: MIT
// A silo with counters for tests, and a clock that is moved by hand.
#pragma once

#include <doctest/doctest.h>

#include <future>
#include <thread>

#include "millrace/testing/faulty_storage.h"
#include "millrace/testing/hand_clock.h"
#include "runtime/silo/counter.h"

namespace millrace::testing {

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
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds{10};
    while (std::chrono::steady_clock::now() < limit) {
      if (total(key) == expected) {
        return true;
      }
    }
    return false;
  }
  /// Returns when no activation is left: for what leaves without being waited for.
  void wait_until_empty() {
    while (here->stats().activations > 0) {
      std::this_thread::yield();
    }
  }
  std::vector<std::string> warnings() {
    const std::lock_guard lock{mutex_};
    return warnings_;
  }

private:
  std::mutex mutex_;
  std::vector<std::string> warnings_;

public:
  hand_clock time;
  std::optional<silo> here;  // last: it may warn until it is gone
};

/// A silo of counters whose storage fails when told to.
class faulty_silo : public counter_silo {
public:
  faulty_silo() : counter_silo(std::make_unique<faulty_storage>(make_memory_storage())) {}
  faulty_storage& rows = static_cast<faulty_storage&>(here->rows());
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
