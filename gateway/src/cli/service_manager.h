// SPDX-License-Identifier: MIT
// Service manager: systemd, or whatever else started this process and is told how it is.
//
// The protocol is that of sd_notify(3): datagrams of `NAME=VALUE` to the socket that NOTIFY_SOCKET
// names. Nothing of it is needed where the variable is not set.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/storage.h"

namespace millrace::gateway::cli {

/// Threading: one thread.
class service_manager {
public:
  /// Takes what it reads out of the environment: who is started by this process does not speak for
  /// it. Requires: there are no other threads yet.
  service_manager();

  /// Sends `state`, such as `READY=1`; does nothing without a socket, and waits for no reader.
  void tell(std::string_view state) const;

  /// How often `WATCHDOG=1` is to be told: twice in the time after which this process is ended;
  /// nothing when nobody waits for it.
  [[nodiscard]] std::optional<std::chrono::milliseconds> watchdog_interval() const noexcept {
    return watchdog_interval_;
  }

private:
  std::string socket_;
  std::optional<std::chrono::milliseconds> watchdog_interval_;
};

/// Sees whether the disk takes commits. Pure.
class commit_watch {
public:
  /// For how long commits have waited without one that was written, as far as the calls have seen.
  [[nodiscard]] runtime::duration waiting(const runtime::storage_stats& rows,
                                          runtime::steady_time now);

private:
  std::uint64_t written_ = 0;
  std::optional<runtime::steady_time> since_;
};

}  // namespace millrace::gateway::cli
