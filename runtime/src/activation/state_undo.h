// SPDX-License-Identifier: MIT
// State undo: what a turn has changed since it last suspended, so that it can be taken back.
//
// Between two suspension points one turn runs and nobody else does, so what was there when it went
// on is all that is needed; it is kept when something is changed for the first time. A record that
// is as it was committed still has its words beside the copy that is edited, so nothing is copied
// for it. One object serves all activations of a thread: it is empty between turns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "activation/reminder_times.h"
#include "millrace/runtime/message.h"
#include "millrace/runtime/state_map.h"

namespace millrace::runtime::detail {

/// Threading: as the thread of turns that owns it. `durable_state` fills it in and applies it.
struct state_undo {
  /// A map as it was.
  struct map_part {
    map_base* map;
    std::size_t dirty;
    std::size_t live;
  };
  /// A record as it was.
  struct record_part {
    map_base* map;
    map_base::record_map::iterator at;
    bool absent;  ///< It was not even in the map; the rest means nothing.
    bool dirty;
    bool listed;
    bool erased;
    std::uint64_t version;
    content_ref edited;  ///< None: it was as committed.
  };
  /// A reminder as it was; nothing: it was not set.
  struct reminder_part {
    std::string name;
    std::optional<stored_reminder> was;
  };
  /// What is kept of everything but the root and the maps, once some of it changes.
  struct extras_part {
    std::size_t pending_bytes;
    std::uint32_t sends_in_commit;
    bool puts;
    bool outbox_indexed;
    bool duties;
    bool strangers_erased;
  };

  bool used = false;  ///< Something was changed; else nothing here means anything.
  bool dirty = false;
  bool root_dirty = false;
  bool erased = false;
  std::size_t bytes = 0;
  bool root = false;  ///< The root was changed.
  bool root_there = false;
  std::string root_words;
  std::vector<map_part> maps;
  std::vector<record_part> records;
  std::optional<extras_part> extras;
  std::vector<reminder_part> reminders;
  std::vector<std::uint64_t> sends;  ///< Those that were made.

  /// Empty again, for the next turn. Keeps memory that is worth it.
  void clear() noexcept;
};

}  // namespace millrace::runtime::detail
