// SPDX-License-Identifier: MIT
// Process identity: which process of which machine, and the proof that it is gone.
//
// A pid is given again; a pid and the instant at which its process started, of one boot of one
// machine, are not. A pidfd keeps to the process it was opened for: it becomes readable when that
// process has ended, and a signal through it never reaches a stranger.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::runtime {

struct process_identity {
  std::string boot_id;              ///< Of the kernel; another after each boot.
  std::uint64_t pid_namespace = 0;  ///< The inode of the namespace in which `pid` holds.
  std::int32_t pid = 0;
  std::uint64_t start_ticks = 0;  ///< In clock ticks since boot.
  friend bool operator==(const process_identity&, const process_identity&) = default;
};

/// Errors: `failed_precondition` where /proc does not say.
[[nodiscard]] result<process_identity> this_process();

/// Whether the pid of one means the same to the other.
[[nodiscard]] bool share_pids(const process_identity& one, const process_identity& other);

/// When that process has started; nothing when there is none. Cost: a read in /proc.
[[nodiscard]] std::optional<std::uint64_t> start_ticks_of(std::int32_t pid);

/// A hold on one process. Ownership: of the pidfd.
class process_handle {
public:
  /// Nothing when that process is gone. `start_ticks` are compared in their lowest 32 bits, which
  /// is what a lock has room for. Errors: `unavailable` when the kernel gives no descriptor.
  [[nodiscard]] static result<std::optional<process_handle>> open(std::int32_t pid,
                                                                  std::uint64_t start_ticks);

  /// Readable once the process has ended.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  /// SIGKILL. Errors: `permission_denied`.
  result<void> kill() const;

  /// Whether it has ended, waiting at most so long. A process that was killed may take a while.
  [[nodiscard]] bool has_ended(duration patience) const;

private:
  explicit process_handle(unique_fd fd) noexcept : fd_(std::move(fd)) {}
  unique_fd fd_;
};

/// Whether the process is certainly gone. Errors: `unavailable`.
[[nodiscard]] result<bool> has_ended(const process_identity& process, const process_identity& self);

/// Kills the process, if it is still there, and waits for its end: afterwards it is proven that it
/// does nothing any more.
/// Errors: `failed_precondition` when its pid means nothing to `self`, or it is `self`;
/// `deadline_exceeded`, `permission_denied`, `unavailable`: not proven.
result<void> end_process(const process_identity& process, const process_identity& self,
                         duration patience);

}  // namespace millrace::runtime
