// SPDX-License-Identifier: MIT
// Segment: what a turn does from where it goes on to where it suspends or ends.
//
// It is all or nothing: a method that fails takes its last segment back.
#pragma once

#include <optional>

#include "activation/envelope.h"
#include "activation/state_undo.h"
#include "millrace/runtime/clock.h"

namespace millrace::runtime::detail {

/// Threading: as the thread of turns that owns it.
struct turn_segment {
  state_undo undo;    ///< What it changed.
  envelope_list out;  ///< What it let out, in order.
  /// The idle timeout as it was before `erase_state` made the activation leave; outer nothing: it
  /// did not.
  std::optional<std::optional<duration>> idle_timeout;
};

}  // namespace millrace::runtime::detail
