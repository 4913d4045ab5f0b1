// SPDX-License-Identifier: MIT
// Turn queue: which turns of an activation run, which wait, and which may begin next.
//
// Admission says who may run beside whom; order of arrival is kept among those that wait. A call
// whose own chain comes from here passes by: the turn that it comes from waits for it, so to let
// it wait would be to let both wait for ever. Where that turn has not allowed it, it is a cycle.
//
// Pure: it looks at envelopes and moves them between lists (docs/architecture/0009).
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "activation/admission.h"
#include "activation/envelope.h"

namespace millrace::runtime::detail {

/// Whether a turn that runs keeps a call from beginning.
[[nodiscard]] inline bool keeps_out(const envelope& turn, const envelope& call) noexcept {
  return turn.admission == method_admission::exclusive ||
         (turn.admission == method_admission::read_only &&
          call.admission == method_admission::exclusive);
}

/// Gives the call of that turn, which it still waits for, from which another comes, directly or
/// not; null when there is none. Requires: in a turn of the activation that runs `turn`.
[[nodiscard]] const envelope* call_towards(const envelope& turn, const envelope& call) noexcept;

/// How a turn shares its activation, as the schema has it.
[[nodiscard]] method_admission declared_admission(const envelope& turn) noexcept;

/// Ownership: of one reference of each envelope that waits or runs.
/// Threading: as its activation.
class turn_queue {
public:
  /// Where something that arrives belongs.
  enum class place : std::uint8_t {
    begins,   ///< It may begin now; it is not in the queue.
    waits,    ///< It waits for its turn.
    returns,  ///< It waits, and passes by those outside its chain.
    cycle,    ///< It would wait for ever; it is not in the queue.
  };

  /// `owner` is only compared, with `envelope::serving`.
  explicit turn_queue(const activation* owner) noexcept : owner_(owner) {}
  turn_queue(const turn_queue&) = delete;
  turn_queue& operator=(const turn_queue&) = delete;
  ~turn_queue() {
    for (auto* turn : running_) {
      drop(turn);
    }
  }

  /// Whether any waits for its turn.
  [[nodiscard]] bool any_waits() const noexcept { return !waiting_.empty() || !returning_.empty(); }
  /// Whether nothing runs and nothing waits.
  [[nodiscard]] bool empty() const noexcept { return running_.empty() && !any_waits(); }
  /// Those that have begun and not ended, the oldest first.
  [[nodiscard]] const std::vector<envelope*>& running() const noexcept { return running_; }
  [[nodiscard]] bool runs(const envelope* turn) const noexcept {
    return std::find(running_.begin(), running_.end(), turn) != running_.end();
  }

  /// Says where `one` belongs, and puts it there. `open`: turns begin; else everything waits.
  /// Requires: `one` has its admission. Cost: O(1) for what begins, else the length of its chain.
  [[nodiscard]] place arrive(envelope* one, bool open) noexcept {
    return open && admission_.admits(one->admission, any_waits()) ? place::begins
                                                                  : queue(one, open);
  }
  /// Lets it wait, whatever it is.
  void wait(envelope* one) noexcept { waiting_.push(one); }

  /// Lets them wait before all others but those that return.
  void wait_first(envelope_list all) noexcept {
    all.append(std::move(waiting_));
    waiting_ = std::move(all);
  }

  /// Takes out the next one that may begin; null when there is none. Requires: turns begin.
  [[nodiscard]] envelope* next() noexcept {
    if (!returning_.empty()) {
      return next_returned();
    }
    return !waiting_.empty() && admission_.admits(waiting_.front()->admission, false)
               ? waiting_.pop()
               : nullptr;
  }
  /// Whether a call that returns may begin: it passes by the turns of its own chain only.
  [[nodiscard]] bool may_begin_returned(const envelope& call) const noexcept;

  /// It runs from now on.
  void begin(envelope* turn) {
    admission_.begin(turn->admission);
    running_.push_back(turn);
  }
  /// It has ended. Gives its reference to the caller. Requires: it runs.
  void end(const envelope& turn) noexcept {
    admission_.end(turn.admission);
    if (running_.size() == 1) {
      running_.clear();
    } else {
      running_.erase(std::find(running_.begin(), running_.end(), &turn));
    }
  }

  /// Whether a call that waits here waits for the end of that turn: it is kept out itself, or is a
  /// reader behind a writer which is.
  [[nodiscard]] bool holds_up(const envelope& turn, const envelope& call) const noexcept;

  /// When the oldest of the calls that wait here, of those that turns have made, was made; the end
  /// of time: there is none. Cost: O(waiting).
  [[nodiscard]] steady_time oldest_call() const noexcept;
  /// Whether it waits. Cost: O(waiting).
  [[nodiscard]] bool waits(const envelope* call) const noexcept;

  /// Takes out a call that waits; null when it does not.
  [[nodiscard]] envelope* take_out(const envelope* call) noexcept;
  /// Takes out all that wait, those that return first.
  [[nodiscard]] envelope_list take_waiting() noexcept;
  /// Takes out all that run. What they kept out stays so.
  [[nodiscard]] std::vector<envelope*> take_running() noexcept {
    return std::exchange(running_, {});
  }

private:
  // Whether a call's chain comes from this actor: not, back into open scopes, or into a busy turn.
  enum class chain : std::uint8_t { elsewhere, may_return, cycle };

  [[nodiscard]] place queue(envelope* one, bool open) noexcept;
  [[nodiscard]] chain chain_of(const envelope& call) const noexcept;
  [[nodiscard]] envelope* next_returned() noexcept;

  const activation* owner_;
  admission admission_;
  envelope_list waiting_;    // not yet admitted
  envelope_list returning_;  // of those, the ones whose call chain comes from here and may
  std::vector<envelope*> running_;
};

}  // namespace millrace::runtime::detail
