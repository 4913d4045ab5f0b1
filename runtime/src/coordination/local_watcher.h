// SPDX-License-Identifier: MIT
// Local watcher: the thread of a local store. It keeps the own session alive, tells when something
// may have changed, and takes silos out whose process or session has ended.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "coordination/coordination_store.h"
#include "coordination/local_environment.h"
#include "coordination/session_timer.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::runtime {

class local_watcher {
public:
  /// Requires: what is referred to outlives the watcher.
  local_watcher(local_environment& environment, const clock& clock,
                const coordination_options& options) noexcept
      : environment_(environment), clock_(clock), options_(options) {}
  local_watcher(const local_watcher&) = delete;
  local_watcher& operator=(const local_watcher&) = delete;
  ~local_watcher();

  /// Errors: `unavailable` without a descriptor.
  [[nodiscard]] result<void> start();

  /// The own session, which began at `begun_at` in that slot of the page. Threading: any thread.
  void keep_alive(std::string name, std::uint64_t incarnation, std::size_t slot,
                  steady_time begun_at);

  struct session {
    std::string name;
    std::uint64_t incarnation = 0;
    std::size_t slot = 0;
    session_timer timer;
  };
  /// Keeps it alive no more; nothing when there is none. Threading: any thread.
  [[nodiscard]] std::optional<session> give_up();

private:
  // A silo that is in.
  struct watched {
    std::string name;
    std::uint64_t incarnation = 0;
    std::size_t slot = 0;
    std::optional<process_handle> process;  // none: it could not be had
    bool has_ended = false;
  };

  void run();
  void wait();
  void hint(steady_time now);
  bool read_silos();
  void renew(steady_time now);
  void take_out_ended(steady_time now);

  local_environment& environment_;
  const clock& clock_;
  const coordination_options& options_;

  std::mutex mutex_;
  std::optional<session> session_;

  std::vector<watched> silos_;
  std::uint64_t seen_revision_ = 0;  // of the store
  std::uint64_t read_revision_ = 0;  // of `silos_`
  bool is_unread_told_ = false;
  steady_time hinted_at_{};
  std::atomic<bool> stopping_{false};
  unique_fd wake_;
  std::thread thread_;
};

}  // namespace millrace::runtime
