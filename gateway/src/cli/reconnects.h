// SPDX-License-Identifier: MIT
// When to come back to a server that ended a stream before its time.
//
// Pure: counts passes, reads no clock and waits for nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace millrace::gateway::cli {

/// What one pass over a stream brought.
enum class pass : std::uint8_t { nothing, something };

/// The waits between passes: from `wait_least`, twice as long each time up to `wait_most`, in all,
/// with the passes themselves, `patience` without a pass that brought something; enough for a
/// server to be started again.
class reconnects {
public:
  static constexpr std::chrono::milliseconds wait_least{100};
  static constexpr std::chrono::milliseconds wait_most{2'000};
  static constexpr std::chrono::milliseconds patience{30'000};

  /// A pass has ended that took `spent`. How long to wait before the next one; nothing when it is
  /// enough.
  [[nodiscard]] std::optional<std::chrono::milliseconds> after(pass brought,
                                                               std::chrono::nanoseconds spent);

private:
  std::chrono::milliseconds wait_ = wait_least;
  std::chrono::milliseconds waited_{0};
};

}  // namespace millrace::gateway::cli
