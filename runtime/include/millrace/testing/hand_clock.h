// SPDX-License-Identifier: MIT
// A clock that stands still until a test moves it.
#pragma once

#include <atomic>

#include "millrace/runtime/clock.h"

namespace millrace::testing {

/// Starts at 2020-01-01T00:00:00Z, an hour after boot. After moving it, tell the silo
/// (`silo::time_changed`); `test_silo` does both.
///
/// Threading: any thread.
class hand_clock final : public runtime::clock {
public:
  /// The time of day as it was set.
  [[nodiscard]] runtime::wall_time wall() const override {
    return runtime::wall_time{runtime::duration{wall_.load()}};
  }
  /// The time that was let pass.
  [[nodiscard]] runtime::steady_time steady() const override {
    return runtime::steady_time{runtime::duration{steady_.load()}};
  }

  /// Both times pass.
  void move(runtime::duration by) {
    wall_ += by.count();
    steady_ += by.count();
  }
  /// Somebody sets the time of day; no time passes. May go back.
  void set_wall(runtime::wall_time to) { wall_ = to.time_since_epoch().count(); }

private:
  std::atomic<std::int64_t> wall_{runtime::duration{std::chrono::seconds{1'577'836'800}}.count()};
  std::atomic<std::int64_t> steady_{runtime::duration{std::chrono::hours{1}}.count()};
};

}  // namespace millrace::testing
