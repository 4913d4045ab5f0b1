// SPDX-License-Identifier: MIT
// Memory store: the coordination store of a test cluster.
//
// It does what the providers do (coordination_store.h), at once, and by a clock that a test moves.
// Processes end here as the test says; a silo that is cut off from it is not heard of.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordination/coordination_store.h"
#include "testing/wire.h"

namespace millrace::testing::detail {

/// Threading: any thread.
class memory_store {
public:
  memory_store(const runtime::clock& time, wire& network) : time_(time), wire_(network) {}
  memory_store(const memory_store&) = delete;
  memory_store& operator=(const memory_store&) = delete;
  ~memory_store() = default;

  /// A silo's access. Ownership: it must not outlive this.
  [[nodiscard]] std::unique_ptr<runtime::coordination_store> open(
      std::string silo, runtime::coordination_options options);

  /// The process of a silo has ended. Proven: as one of this machine, whose end its kernel tells at
  /// once. Else nobody hears of it any more.
  void ended(const std::string& silo, bool is_proven);

  /// Whether a silo of that name is in.
  [[nodiscard]] bool has(const std::string& silo);

  /// How often somebody has asked who is cut off.
  [[nodiscard]] std::uint64_t asked_in_vain() const noexcept { return asked_in_vain_; }

  /// Sessions end.
  void time_changed();
  /// When the next one ends, if nobody is heard of.
  [[nodiscard]] std::optional<runtime::steady_time> next_due();

private:
  class access;
  // Who wants hints.
  struct listener {
    std::mutex mutex;
    std::function<void()> changed;  // null: nobody any more
  };
  struct session {
    runtime::silo_row row;
    runtime::duration ttl{};
    runtime::steady_time heard_at{};
    bool is_silent = false;  // its process has ended
  };

  [[nodiscard]] bool is_reached(const std::string& silo);
  [[nodiscard]] bool is_heard(const session& one);
  void changed();

  const runtime::clock& time_;
  wire& wire_;
  std::atomic<std::uint64_t> asked_in_vain_{0};
  std::mutex mutex_;
  std::uint64_t revision_ = 0;
  std::optional<runtime::cluster_settings> settings_;
  std::map<std::string, session> silos_;
  std::map<runtime::partition_id, runtime::stored_partition> partitions_;
  std::set<std::uint64_t> dead_;  // incarnations of which that is proven
  std::vector<std::weak_ptr<listener>> listeners_;
};

}  // namespace millrace::testing::detail
