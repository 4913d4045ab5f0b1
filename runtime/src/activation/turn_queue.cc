// SPDX-License-Identifier: MIT
#include "activation/turn_queue.h"

namespace millrace::runtime::detail {

const envelope* call_towards(const envelope& turn, const envelope& call) noexcept {
  const auto* below = &call;
  while (below->parent != nullptr && below->parent != &turn) {
    below = below->parent;
  }
  return below->parent != nullptr && below->where != nullptr ? below : nullptr;
}

method_admission declared_admission(const envelope& turn) noexcept {
  const auto is_method = turn.kind == envelope_kind::call || turn.kind == envelope_kind::one_way;
  return is_method ? turn.interface->methods[turn.method].admission : method_admission::exclusive;
}

turn_queue::place turn_queue::queue(envelope* one, bool open) noexcept {
  switch (chain_of(*one)) {
    case chain::elsewhere:
      waiting_.push(one);
      return place::waits;
    case chain::may_return:
      if (open) {
        returning_.push(one);
        return place::returns;
      }
      return place::cycle;
    case chain::cycle:
      break;
  }
  return place::cycle;
}

turn_queue::chain turn_queue::chain_of(const envelope& call) const noexcept {
  auto found = chain::elsewhere;
  const auto* below = &call;
  for (const auto* above = call.parent; above != nullptr; above = above->parent) {
    // A turn that no longer waits for what it called is not part of the chain any more.
    if (above->serving == owner_ && below->where != nullptr &&
        declared_admission(*above) != method_admission::reentrant) {
      if (!below->may_return && keeps_out(*above, call)) {
        return chain::cycle;
      }
      found = chain::may_return;
    }
    below = above;
  }
  return found;
}

bool turn_queue::may_begin_returned(const envelope& call) const noexcept {
  return std::none_of(running_.begin(), running_.end(), [&](const envelope* turn) {
    return keeps_out(*turn, call) && call_towards(*turn, call) == nullptr;
  });
}

// Takes out the first that may begin; null when there is none. One that may not must not keep out
// those behind it: the turn that it waits for may wait for them.
envelope* turn_queue::next_returned() noexcept {
  envelope* found = nullptr;
  auto all = std::move(returning_);
  while (auto* each = all.pop()) {
    if (found == nullptr && may_begin_returned(*each)) {
      found = each;
    } else {
      returning_.push(each);
    }
  }
  return found;
}

bool turn_queue::holds_up(const envelope& turn, const envelope& call) const noexcept {
  const auto stops = [&turn](const envelope& one) {
    return keeps_out(turn, one) && call_towards(turn, one) == nullptr;
  };
  if (stops(call) || turn.admission != method_admission::read_only) {
    return stops(call);
  }
  auto writer_is_stopped = false;
  for (const auto* each = returning_.front(); each != nullptr; each = each->next) {
    if (each == &call) {
      return false;  // it passes by the others
    }
    writer_is_stopped = writer_is_stopped || stops(*each);
  }
  for (const auto* each = waiting_.front(); each != nullptr; each = each->next) {
    if (each == &call) {
      return writer_is_stopped;
    }
    writer_is_stopped = writer_is_stopped || stops(*each);
  }
  return false;  // it waits for the answer of another with its key
}

steady_time turn_queue::oldest_call() const noexcept {
  auto oldest = steady_time::max();
  for (const auto* list : {&waiting_, &returning_}) {
    for (const auto* each = list->front(); each != nullptr; each = each->next) {
      oldest = each->parent != nullptr ? std::min(oldest, each->made) : oldest;
    }
  }
  return oldest;
}

bool turn_queue::waits(const envelope* call) const noexcept {
  for (const auto* list : {&waiting_, &returning_}) {
    const auto* each = list->front();
    while (each != nullptr && each != call) {
      each = each->next;
    }
    if (each != nullptr) {
      return true;
    }
  }
  return false;
}

envelope* turn_queue::take_out(const envelope* call) noexcept {
  envelope* found = nullptr;
  for (auto* list : {&waiting_, &returning_}) {
    auto all = std::move(*list);
    while (auto* each = all.pop()) {
      if (each == call) {
        found = each;
      } else {
        list->push(each);
      }
    }
  }
  return found;
}

envelope_list turn_queue::take_waiting() noexcept {
  auto all = std::move(returning_);
  all.append(std::move(waiting_));
  return all;
}

}  // namespace millrace::runtime::detail
