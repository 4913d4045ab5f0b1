// SPDX-License-Identifier: MIT
// etcd watcher: the two threads of an etcd store. One keeps the own session alive, one is told of
// changes; neither waits for the other.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "coordination/coordination_store.h"
#include "coordination/etcd_client.h"
#include "coordination/session_timer.h"

namespace millrace::runtime {

class etcd_watcher {
public:
  /// Starts. `key` is one that may be read, `prefix` that of all keys.
  /// Requires: what is referred to outlives the watcher.
  etcd_watcher(etcd_client& client, const clock& clock, const coordination_options& options,
               std::string key, std::string prefix);
  etcd_watcher(const etcd_watcher&) = delete;
  etcd_watcher& operator=(const etcd_watcher&) = delete;
  /// Also stops the client.
  ~etcd_watcher();

  /// The own session hangs on that lease, which was asked for at `begun_at`.
  /// Threading (this and what follows): any thread.
  void keep_alive(std::uint64_t lease, steady_time begun_at);
  /// Keeps it alive no more, and gives its lease; nothing when there is none.
  [[nodiscard]] std::optional<std::uint64_t> give_up();
  /// The lease that is kept alive.
  [[nodiscard]] std::optional<std::uint64_t> lease() const;

private:
  struct session {
    std::uint64_t lease = 0;
    session_timer timer;
    bool was_warned_of = false;
  };

  void renew();
  void watch();
  // Until then, or until it stops.
  void wait_for(duration time);
  void finish_renewal(std::uint64_t lease, steady_time sent_at, const result<etcd_lease>& answer);

  etcd_client& client_;
  const clock& clock_;
  const coordination_options& options_;
  const std::string key_;
  const std::string prefix_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<session> session_;
  bool is_stopping_ = false;
  std::thread renewing_;
  std::thread watching_;
};

}  // namespace millrace::runtime
