// SPDX-License-Identifier: MIT
// Time and randomness as parts that are handed in, so that tests move them by hand.
#pragma once

#include <chrono>
#include <cstdint>

namespace millrace::runtime {

/// A length of time, in the unit of everything here.
using duration = std::chrono::nanoseconds;

/// Wall time: what a person calls the time of day; may jump. Used in stored records and texts.
using wall_time = std::chrono::time_point<std::chrono::system_clock, duration>;

/// Time that only goes forward, also while the machine sleeps (CLOCK_BOOTTIME). Used for
/// deadlines, timers and leases; means nothing outside this boot of this machine.
struct steady_tag {
  using duration = runtime::duration;      ///< As chrono asks of a clock; so are the next three.
  using rep = duration::rep;               ///< 64 bits, signed.
  using period = duration::period;         ///< Nanoseconds.
  static constexpr bool is_steady = true;  ///< Never goes back.
};
/// An instant of `steady_tag`.
using steady_time = std::chrono::time_point<steady_tag, duration>;

/// `from + limit`, or the end of time where that would be past it: a limit may mean "never".
/// Requires: limit >= 0.
[[nodiscard]] constexpr steady_time time_after(steady_time from, duration limit) noexcept {
  return limit < steady_time::max() - from ? from + limit : steady_time::max();
}

/// The source of both times.
///
/// Threading: every member may be called from any thread.
class clock {
public:
  clock() = default;
  clock(const clock&) = delete;
  clock& operator=(const clock&) = delete;
  virtual ~clock() = default;

  /// The time of day.
  [[nodiscard]] virtual wall_time wall() const = 0;
  /// The time since boot.
  [[nodiscard]] virtual steady_time steady() const = 0;
};

/// The kernel's clocks.
class system_clock final : public clock {
public:
  /// CLOCK_REALTIME.
  [[nodiscard]] wall_time wall() const override;
  /// CLOCK_BOOTTIME.
  [[nodiscard]] steady_time steady() const override;
};

/// Random bits. Requires: one owner at a time; not thread-safe.
class rng {
public:
  /// Seeded from the kernel.
  rng();
  /// The same seed gives the same bits.
  explicit rng(std::uint64_t seed);

  /// 64 uniform bits.
  [[nodiscard]] std::uint64_t next() noexcept;

  /// Uniform in [0, 1).
  [[nodiscard]] double fraction() noexcept;

private:
  std::uint64_t state_[2];
};

}  // namespace millrace::runtime
