// SPDX-License-Identifier: MIT
// Reminder queue: which stored reminders of this silo are due next.
//
// A hint in front of the rows: an actor that is told of a reminder looks at its own rows. What has
// fired stays and fires again, later and later, until its actor sets or cancels it, so nothing is
// lost when the activation fails on the way. An entry without a name only loads its actor, which
// then sees to the sends and reminders that it finds.
//
// Each entry is of the epoch in which its owner served the partition; what one of an earlier epoch
// sets or cancels is passed over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "activation/home.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/ids.h"
#include "millrace/runtime/interface.h"
#include "timers/timer_service.h"

namespace millrace::runtime::detail {

class silo_core;

/// Threading: any thread. Cost: a lock and O(log n), unless said otherwise.
class reminder_queue final : public alarm {
public:
  explicit reminder_queue(silo_core& home) : home_(home) {}

  /// Adds what was found in an index of rows when the partition was taken over, unless there is one
  /// of that name and epoch: that is newer.
  void add(const reminder_owner& whose, std::string_view name, wall_time due);

  /// Adds a reminder, or moves the one of that name.
  void set(const reminder_owner& whose, std::string_view name, wall_time due);

  /// As `set`, for what was found in the rows: one that waits to be fired again goes on waiting.
  void restore(const reminder_owner& whose, std::string_view name, wall_time due);

  /// Makes the owner be loaded after a while, although nothing is sent to it.
  void wake_later(const reminder_owner& whose);

  void cancel(const reminder_owner& whose, std::string_view name);

  /// Forgets those of a partition. Cost: O(n).
  void forget(partition_id partition);

  [[nodiscard]] std::size_t size() const;

  void on_alarm() noexcept override;
  void keep() noexcept override {}  // lives as long as the silo, which stops the timers first
  void release() noexcept override {}

private:
  struct entry {
    wall_time due{};
    const interface_info* interface = nullptr;
    partition_id partition{};
    std::uint64_t epoch = 0;
    std::string key;
    std::string name;
    unsigned fired = 0;        // since it was set
    std::uint64_t number = 0;  // in which it was added: what is due at once keeps that order
  };
  struct earlier {
    bool operator()(const entry* a, const entry* b) const noexcept {
      return a->due != b->due ? a->due < b->due : a->number < b->number;
    }
  };

  /// Adds it, or replaces what is there and `may_replace` unless that is of another epoch: of a
  /// later one it stays, of an earlier one it goes.
  template <class May>
  void put(const reminder_owner& whose, std::string_view name, wall_time due, May&& may_replace);
  void move(entry& one, wall_time due);
  void arm_for(wall_time due);

  silo_core& home_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, entry> entries_;  // by the actor's hash and the name
  std::set<entry*, earlier> by_time_;
  std::uint64_t added_ = 0;
};

}  // namespace millrace::runtime::detail
