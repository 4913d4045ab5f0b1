// SPDX-License-Identifier: MIT
// Silos that run by hand.
#include <doctest/doctest.h>

#include <optional>

#include "millrace/testing/hand_clock.h"
#include "runtime/silo/counter.h"
#include "torture/mortal_storage.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;

/// A silo that runs by hand over storage that does everything at once.
class manual_silo {
public:
  manual_silo() {
    auto rows = std::make_unique<torture::mortal_storage>(
        disk_, torture::mortal_storage::work_is_done::when_told);
    rows->hurry();
    silo_options options;
    options.by_hand = true;
    options.warn = [this](std::string_view line) { warnings.emplace_back(line); };
    here.emplace(std::move(rows), std::move(options), time);
    here->add<counter>();
    REQUIRE(here->start());
  }

  /// Adds the first letter of the key; the total is noted once it is answered.
  void add_to(const std::string& key) {
    here->call_then<counter_interface::add_results>(
        ref<Counter>(key).add(key[0]), [this](result<counter_interface::add_results> answer) {
          totals.push_back(answer ? answer->total() : -1);
        });
  }
  void run_all() {
    while (here->run_one()) {
    }
  }

  std::vector<std::int64_t> totals;
  std::vector<std::string> warnings;
  hand_clock time;

private:
  torture::disk disk_;

public:
  std::optional<silo> here;
};

TEST_CASE("a silo that runs by hand does nothing by itself, and what is chosen when told") {
  manual_silo silo;
  for (const auto* key : {"a", "b", "c"}) {
    silo.add_to(key);
  }
  CHECK(silo.here->stats().calls_total == 0);
  while (silo.totals.empty()) {
    REQUIRE(silo.here->run_one(2));  // of three that are ready the last
  }
  CHECK(silo.totals.back() == 'c');
  silo.run_all();
  CHECK(silo.totals.size() == 3);
}

TEST_CASE("by hand, reminders and timers fire when time is moved") {
  manual_silo silo;
  silo.here->tell(ref<Counter>("a").remind_in(1'000, 0));
  silo.here->tell(ref<Counter>("a").tick(500, 0));
  silo.run_all();
  silo.time.move(999ms);
  silo.here->time_changed();
  silo.run_all();
  silo.time.move(1ms);
  silo.here->time_changed();
  silo.add_to("a");
  silo.run_all();
  CHECK(silo.totals == std::vector<std::int64_t>{1'000 + 1 + 'a'});
}

TEST_CASE("stopping a silo that runs by hand ends what can end") {
  manual_silo silo;
  silo.add_to("a");
  silo.here->stop();
  CHECK(silo.totals == std::vector<std::int64_t>{'a'});
  CHECK(silo.here->stats().activations == 0);
  CHECK(silo.warnings.empty());
}

}  // namespace
}  // namespace millrace::testing
