// SPDX-License-Identifier: MIT
// Deadlock: calls of different chains that wait for each other.
//
// A chain that comes back is seen where it arrives (`chain_of`). Two chains that meet head-on are
// not: A's turn waits for a call that B keeps out, since B's turn waits for a call that A keeps
// out. So a call that has to wait sends probes along what it waits for: from a turn that keeps it
// out to the calls which that turn has open, from one of these, where it is kept out itself, to the
// turns there. A probe that finds a turn above the call that sent it has found a cycle. Waits end
// only by an answer, so what each hop has seen still holds when the last one is seen; but for calls
// that are cancelled or expire meanwhile, which end the cycle another way.
//
// Source: edge chasing after Chandy, Misra and Haas, "Distributed Deadlock Detection", ACM TOCS 1
// (1983), for the AND model. The last call to arrive closes the cycle, so it is enough to look
// then.
#include <algorithm>

#include "activation/activation.h"
#include "silo/silo_core.h"

namespace millrace::runtime::detail {

namespace {

// What a probe looks at is bounded; a longer cycle, or one through a wide fan-out, ends by its
// deadlines.
constexpr unsigned hops_max = 32;
constexpr unsigned open_calls_max = 16;

struct probe_envelope final : envelope {
  probe_envelope(envelope& waiting_of, envelope& call_of, unsigned hops_of)
      : envelope(envelope_kind::probe), waiting(waiting_of), call(call_of), hops(hops_of) {
    keep(waiting);
    keep(call);
  }
  probe_envelope(const probe_envelope&) = delete;
  probe_envelope& operator=(const probe_envelope&) = delete;
  ~probe_envelope() override {
    drop(&waiting);
    drop(&call);
  }
  envelope& waiting;  // who asks
  envelope& call;     // what it waits for, in the end
  unsigned hops;
};

bool keeps_out(const envelope& turn, const envelope& call) noexcept {
  return turn.admission == method_admission::exclusive ||
         (turn.admission == method_admission::read_only &&
          call.admission == method_admission::exclusive);
}

bool is_above(const envelope& turn, const envelope& call) noexcept {
  const auto* above = call.parent;
  while (above != nullptr && above != &turn) {
    above = above->parent;
  }
  return above != nullptr;
}

}  // namespace

// `kept_out` waits here, and `waiting` for it (or is it).
void activation::chase(envelope& waiting, const envelope& kept_out, unsigned hops) {
  for (const auto* turn : running_) {
    if (!keeps_out(*turn, kept_out)) {
      continue;
    }
    if (is_above(*turn, waiting)) {
      auto* found = new envelope{envelope_kind::deadlock};
      found->parent = &waiting;
      detail::keep(waiting);
      found->text = path_of(waiting) + " and " + path_of(kept_out);
      home_.tell_server(waiting, found);
      return;
    }
    chase_calls_of(waiting, *turn, hops);
  }
}

void activation::chase_calls_of(envelope& waiting, const envelope& turn, unsigned hops) {
  unsigned seen = 0;
  for (auto* link = open_.open_next; link != &open_ && hops < hops_max; link = link->open_next) {
    auto& call = static_cast<envelope&>(*link);
    if (call.parent == &turn && seen++ < open_calls_max) {
      home_.tell_server(call, new probe_envelope{waiting, call, hops + 1});
    }
  }
}

void activation::probed(envelope* one) {
  auto& probe = static_cast<probe_envelope&>(*one);
  if (probe.call.serving == this) {  // else it has been answered, or will look for itself
    if (std::find(running_.begin(), running_.end(), &probe.call) != running_.end()) {
      chase_calls_of(probe.waiting, probe.call, probe.hops);
    } else {
      chase(probe.waiting, probe.call, probe.hops);
    }
  }
  drop(one);
}

void activation::refuse_deadlock(envelope* one) {
  envelope_list others;
  envelope* refused = nullptr;
  while (auto* each = waiting_.pop()) {
    if (each == one->parent) {
      refused = each;
    } else {
      others.push(each);
    }
  }
  waiting_ = std::move(others);
  if (refused != nullptr) {
    give_place_back(*refused);
    answer(refused, error{errc::call_cycle, "two call chains wait for each other: " + one->text});
  }
  drop(one);
}

}  // namespace millrace::runtime::detail
