// SPDX-License-Identifier: MIT
// Shared page: the memory that the processes of one local store share beside its database.
//
// One page of the file LOCK, mapped by all: whose store it is (boot, PID namespace), who holds the
// writer's lock, until when each session lasts. All of it is void once nobody has the file open;
// who comes first then writes it anew.
//
// The writer's lock is one word, the identity of its holder, taken by compare-and-swap: there is no
// instant at which it is held by nobody knows whom. A holder that is dead loses it to whoever
// waits; one that keeps it for too long is killed for it, since a store that one stopped process
// can stop would be worth less than that process. (Dead holders are why LMDB's own lock is robust:
// behind this one it is never waited for.)
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "coordination/hold_watch.h"
#include "coordination/process_identity.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"
#include "millrace/runtime/unique_fd.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {

/// Silos on one machine, at most.
inline constexpr std::size_t local_sessions_max = 100;

/// The name of a file system that other machines may see, by its `f_type` (statfs(2)); empty for
/// all others. Locks and shared pages are those of one kernel.
[[nodiscard]] std::string_view shared_file_system(std::uint64_t type) noexcept;

class shared_page {
public:
  /// Opens or makes the file. While `is_first()` nobody else can come in.
  /// Errors: `failed_precondition` when it lies on a file system of several machines, or processes
  /// of another boot or PID namespace use it; `unavailable` when the first one does not get done.
  [[nodiscard]] static result<std::unique_ptr<shared_page>> open(const std::string& directory,
                                                                 const process_identity& self);
  shared_page(const shared_page&) = delete;
  shared_page& operator=(const shared_page&) = delete;
  ~shared_page();

  /// Nobody had the store open: whatever it says of living silos is void.
  [[nodiscard]] bool is_first() const noexcept { return is_first_; }
  /// What was void is cleared. Errors: as `open`.
  result<void> let_others_in();

  /// Takes the writer's lock, at most until `deadline` by `clock`. Who waits kills a holder that
  /// has kept it for 2 s, and tells by `warn`. Requires: one thread of this process at a time.
  /// Errors: `deadline_exceeded`.
  [[nodiscard]] result<void> lock(const clock& clock, steady_time deadline,
                                  const std::function<void(std::string_view)>& warn);
  void unlock() noexcept;

  /// Begins the session of `slot`: from now on it is this incarnation's.
  void begin_session(std::size_t slot, std::uint64_t incarnation, steady_time expires_at) noexcept;
  /// False when it has ended; it never begins again.
  [[nodiscard]] bool renew_session(std::size_t slot, std::uint64_t incarnation, steady_time now,
                                   duration ttl) noexcept;
  /// True when it has ended, now or before.
  bool end_session_if_expired(std::size_t slot, std::uint64_t incarnation,
                              steady_time now) noexcept;
  void end_session(std::size_t slot, std::uint64_t incarnation) noexcept;

private:
  struct layout;

  shared_page(std::string path, unique_fd file, const process_identity& self)
      : path_(std::move(path)),
        mapped_{path_.c_str(), remedy},
        file_(std::move(file)),
        self_(self) {}
  result<void> enter();
  result<void> share();
  [[nodiscard]] result<void> check_whose() const;
  [[nodiscard]] bool has_waited_in_vain(std::uint64_t holder) noexcept;

  static constexpr const char* remedy =
      "stop the silos of this machine: the first one that starts makes it anew";

  const std::string path_;
  const mapped_file mapped_;
  unique_fd file_;
  process_identity self_;
  bool is_first_ = false;
  layout* page_ = nullptr;
  std::uint64_t self_word_ = 0;
  hold_watch watch_;  // through several calls, whose deadlines may be short
};

}  // namespace millrace::runtime
