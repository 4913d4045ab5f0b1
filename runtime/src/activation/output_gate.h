// SPDX-License-Identifier: MIT
// Output gate: what an activation lets out waits until what it depends on is durable.
//
// Commits are numbered from 1. Storage has one at a time, since each is a difference to the one
// before and storage may refuse any; those that are closed meanwhile wait here. What turns let out
// is collected until the end of the batch, and leaves then or, with the number of the last commit
// that was closed, when that commit has ended well.
//
// Pure: it moves envelopes between lists. Who owns it does what it says (docs/architecture/0002).
#pragma once

#include <cstdint>

#include "activation/envelope.h"

namespace millrace::runtime::detail {

/// Ownership: of one reference of each envelope that it holds.
/// Threading: as its activation.
/// Cost: O(1), but where something leaves O(1) for each.
class output_gate {
public:
  /// The commits that were closed.
  [[nodiscard]] std::uint64_t closed() const noexcept { return closed_; }
  /// Of those, the ones that have ended well.
  [[nodiscard]] std::uint64_t durable() const noexcept { return durable_; }
  /// The commit that the next changes will be in.
  [[nodiscard]] std::uint64_t next_commit() const noexcept { return closed_ + 1; }
  /// Whether a commit has been closed that has not ended.
  [[nodiscard]] bool in_flight() const noexcept { return closed_ != durable_; }
  /// Whether something waits for a commit that was closed.
  [[nodiscard]] bool holds() const noexcept { return !gated_.empty(); }
  /// Whether something waits for the end of the batch.
  [[nodiscard]] bool batch_waits() const noexcept { return !batch_.empty(); }

  /// Whether what is let out now may leave at once. `dirty`: there are changes that no commit has.
  [[nodiscard]] bool stands_open(bool dirty) const noexcept {
    return !dirty && closed_ == durable_ && batch_.empty() && gated_.empty();
  }

  /// Holds it until the end of the batch.
  void hold(envelope* one) noexcept { batch_.push(one); }
  void hold(envelope_list&& all) noexcept { batch_.append(std::move(all)); }
  /// Holds it until the next commit that is closed, whenever that is, has ended well.
  void hold_for_next_commit(envelope* one) noexcept { after_next_.push(one); }

  /// A commit is closed: counts it. Gives it back if it is to go to storage now; else it is kept
  /// until `next_commit_to_go` gives it. Requires: its number is `next_commit()`.
  [[nodiscard]] envelope* close(envelope* commit) noexcept {
    ++closed_;
    hold_behind_last_commit(after_next_);
    if (closed_ == durable_ + 1) {
      return commit;
    }
    commits_.push(commit);
    return nullptr;
  }

  /// The batch ends: what it let out waits from now on for the last commit that was closed, if that
  /// has not ended. Then ask `next_to_leave`.
  void end_batch() noexcept { hold_behind_last_commit(batch_); }

  /// Takes out, one at a time and in the order in which they were let out, what may leave; then
  /// null. To be asked after `end_batch` and `ended_well`.
  [[nodiscard]] envelope* next_to_leave() noexcept {
    const auto* first = gated_.front();
    return first != nullptr && first->after_commit <= durable_ ? gated_.pop() : nullptr;
  }

  /// Storage has done the commit of that number.
  void ended_well(std::uint64_t number) noexcept { durable_ = number; }
  /// Takes out the commit that is to go to storage now; null when none waits.
  /// Requires: storage has none.
  [[nodiscard]] envelope* next_commit_to_go() noexcept { return commits_.pop(); }

  /// The commit that storage had has failed, and with it those that wait: they are dropped. What
  /// was held stays, and is to be taken out.
  void failed() noexcept {
    closed_ = durable_;
    commits_ = {};
  }

  /// Takes out what the batch has let out so far.
  [[nodiscard]] envelope_list take_batch() noexcept { return std::move(batch_); }
  /// Takes out what waits for a commit, oldest first.
  [[nodiscard]] envelope_list take_held() noexcept { return std::move(gated_); }

  /// Gives up everything that it holds.
  void clear() noexcept {
    for (auto* list : {&commits_, &batch_, &after_next_, &gated_}) {
      *list = {};
    }
  }

private:
  void hold_behind_last_commit(envelope_list& list) noexcept {
    while (auto* one = list.pop()) {
      one->after_commit = closed_;
      gated_.push(one);
    }
  }

  std::uint64_t closed_ = 0;
  std::uint64_t durable_ = 0;
  envelope_list commits_;     // closed; wait for storage to answer an earlier one
  envelope_list batch_;       // wait for the end of this batch
  envelope_list after_next_;  // wait for a commit that is not closed yet
  envelope_list gated_;       // by the commit that they wait for
};

}  // namespace millrace::runtime::detail
