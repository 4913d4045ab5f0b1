// SPDX-License-Identifier: MIT
// A silo of counters that runs by hand: a test says what happens in which order.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/testing/faulty_storage.h"
#include "millrace/testing/hand_clock.h"
#include "runtime/silo/counter.h"
#include "torture/mortal_storage.h"

namespace millrace::testing {

/// Its storage does everything at once until `start` is told otherwise.
class manual_silo {
public:
  enum class storage_works : std::uint8_t { at_once, when_told };

  manual_silo() { start(); }
  manual_silo(const manual_silo&) = delete;
  manual_silo& operator=(const manual_silo&) = delete;
  ~manual_silo() = default;

  /// On what the one before has left on its disk.
  void start(storage_works how = storage_works::at_once) {
    here.reset();
    auto below = std::make_unique<torture::mortal_storage>(
        disk_, torture::mortal_storage::work_is_done::when_told);
    disk = below.get();
    if (how == storage_works::at_once) {
      disk->hurry();
    }
    auto above = std::make_unique<faulty_storage>(std::move(below));
    rows = above.get();
    silo_options options;
    options.by_hand = true;
    options.warn = [this](std::string_view line) { warnings.emplace_back(line); };
    here.emplace(std::move(above), std::move(options), time);
    here->add<counter>();
    REQUIRE(here->start());
  }

  /// Adds the first letter of the key; the answer is noted when it comes.
  void add_to(const std::string& key) {
    here->call_then<counter_interface::add_results>(
        ref<Counter>(key).add(key[0]), [this](result<counter_interface::add_results> answer) {
          totals.push_back(answer ? answer->total() : 0);
          codes.push_back(answer ? errc{} : answer.error().code());
        });
  }
  void run_all() {
    while (here->run_one()) {
    }
  }
  std::int64_t total(const std::string& key) {
    std::int64_t total = -1;
    here->call_then<counter_interface::get_results>(
        ref<Counter>(key).get(), [&total](result<counter_interface::get_results> answer) {
          total = answer ? answer->total() : -1;
        });
    run_all();
    return total;
  }

  std::vector<std::int64_t> totals;
  std::vector<errc> codes;
  std::vector<std::string> warnings;
  hand_clock time;

private:
  torture::disk disk_;

public:
  torture::mortal_storage* disk = nullptr;
  faulty_storage* rows = nullptr;
  std::optional<silo> here;  // last: it may warn until it is gone
};

}  // namespace millrace::testing
