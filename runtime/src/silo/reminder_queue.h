// SPDX-License-Identifier: MIT
// Reminder queue: which stored reminders of this silo are due next.
//
// Only a hint in front of the rows: an entry whose reminder was cancelled, moved or already handled
// fires into nothing, because the actor looks at its own rows. So entries are only ever added.
#pragma once

#include <mutex>
#include <queue>
#include <string>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/ids.h"
#include "timers/timer_service.h"

namespace millrace::runtime::detail {

class silo_core;

/// Threading: any thread.
class reminder_queue final : public alarm {
public:
  explicit reminder_queue(silo_core& home) : home_(home) {}

  void add(wall_time due, actor_id owner, std::string name);
  [[nodiscard]] std::size_t size() const;

  void on_alarm() noexcept override;
  void keep() noexcept override {}  // lives as long as the silo, which stops the timers first
  void release() noexcept override {}

private:
  struct entry {
    wall_time due;
    actor_id owner;
    std::string name;
    friend bool operator<(const entry& a, const entry& b) { return a.due > b.due; }
  };
  void arm_for(wall_time due);

  silo_core& home_;
  mutable std::mutex mutex_;
  std::priority_queue<entry> entries_;
};

}  // namespace millrace::runtime::detail
