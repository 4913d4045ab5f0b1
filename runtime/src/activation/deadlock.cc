// SPDX-License-Identifier: MIT
// Deadlock: calls of different chains that wait for each other.
//
// A chain that comes back is seen where it arrives (`turn_queue`). Two chains that meet head-on are
// not: A's turn waits for a call that B keeps out, since B's turn waits for a call that A keeps
// out. So a call that has to wait sends probes along what it waits for: from a turn that keeps it
// out to the calls which that turn has open, from one of these, where it is kept out itself, to the
// turns there. A reader that waits behind a writer waits for what keeps the writer out as well. A
// probe that finds a turn above the call that sent it has found a cycle. Waits end only by an
// answer, so what each hop has seen still holds when the last one is seen; but for calls that are
// cancelled or expire meanwhile, which end the cycle another way.
//
// Source: edge chasing after Chandy, Misra and Haas, "Distributed Deadlock Detection", ACM TOCS 1
// (1983), for the AND model. The last call to arrive closes the cycle, so it is enough to look
// then.
//
// These probes are pointers, and find at once what lies within one silo. What goes over several is
// found a while later by those of wait_probe.h, which this carries along: what each wait is made of
// is the same.
#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string_view>
#include <tuple>

#include "activation/activation.h"

namespace millrace::runtime::detail {

namespace {

// What one search looks at is bounded; a longer cycle, or one through a wide fan-out, ends by its
// deadlines. The first of these is of searches within a silo.
constexpr int probes_max = 256;
constexpr unsigned open_calls_max = 16;
constexpr unsigned links_max = 64;

struct probe_envelope final : envelope {
  probe_envelope(const deadlock_search& from, envelope& call_of)
      : envelope(envelope_kind::probe), search(from), call(call_of) {
    keep(search.waiting);
    keep(search.victim);
    keep(call);
  }
  probe_envelope(const probe_envelope&) = delete;
  probe_envelope& operator=(const probe_envelope&) = delete;
  ~probe_envelope() override {
    drop(&search.waiting.get());
    drop(&search.victim.get());
    drop(&call);
  }
  deadlock_search search;
  envelope& call;  // what `waiting` waits for, in the end
};

struct far_probe_envelope final : envelope {
  far_probe_envelope(envelope& call_of, wait_probe what)
      : envelope(envelope_kind::far_probe), call(call_of), probe(std::move(what)) {
    keep(call);
  }
  far_probe_envelope(const far_probe_envelope&) = delete;
  far_probe_envelope& operator=(const far_probe_envelope&) = delete;
  ~far_probe_envelope() override { drop(&call); }
  envelope& call;  // which the probe has followed
  const wait_probe probe;
};

// The open calls that a turn waits for.
class open_calls_of {
public:
  open_calls_of(const open_link& all, const envelope& turn) noexcept {
    unsigned links = 0;
    for (auto* link = all.open_next; link != &all && count_ < open_calls_max && links < links_max;
         link = link->open_next) {
      ++links;
      auto& call = static_cast<envelope&>(*link);
      if (call.parent == &turn) {
        calls_[count_++] = &call;
      }
    }
  }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] envelope* const* begin() const noexcept { return calls_.data(); }
  [[nodiscard]] envelope* const* end() const noexcept { return calls_.data() + count_; }

private:
  std::array<envelope*, open_calls_max> calls_{};
  std::size_t count_ = 0;
};

// Of a cycle the call that was made last is refused, so that all who find it refuse the same one.
// What was made at once goes by whom it asks for what, and by what it was made in, never by where
// it lies, which is another place in another process. Of two that are alike in all of that neither
// is later: whoever finds the cycle refuses its own.
bool is_later(const envelope& one, const envelope& other) {
  const auto facts = [](const envelope& call) {
    return std::tuple{call.made, call.interface->type, std::string_view{call.key}, call.method};
  };
  const auto* above = &one;
  const auto* other_above = &other;
  while (above != other_above && above != nullptr && other_above != nullptr) {
    const auto mine = facts(*above);
    const auto theirs = facts(*other_above);
    if (mine != theirs) {
      return mine > theirs;
    }
    above = above->parent;
    other_above = other_above->parent;
  }
  return above != other_above && other_above == nullptr;
}

}  // namespace

envelope* far_probe_of(envelope& call, wait_probe what) {
  return new far_probe_envelope{call, std::move(what)};
}

void activation::look_for_deadlock(envelope& waiting) {
  deadlock_search search{waiting, waiting, nullptr};
  chase(search, waiting);
  if (home_.has_peers()) {
    need_alarm(time_after(now_, wait_search_interval));
  }
}

// `kept_out` waits here, and the call that searches for it (or is it).
void activation::chase(deadlock_search search, envelope& kept_out) {
  if (is_later(kept_out, search.victim)) {
    search.victim = kept_out;
  }
  for (const auto* turn : turns_.running()) {
    if (!turns_.holds_up(*turn, kept_out)) {
      continue;
    }
    if (call_towards(*turn, search.waiting) != nullptr) {
      auto* found = new envelope{envelope_kind::deadlock};
      found->parent = &search.victim.get();
      detail::keep(search.victim);
      found->set_text(path_of(search.waiting) + " and " + path_of(kept_out));
      home_.tell_server(search.victim, found);
      return;
    }
    chase_calls_of(search, *turn);
  }
}

void activation::chase_calls_of(deadlock_search& search, const envelope& turn) {
  for (auto* call : open_calls_of{open_, turn}) {
    if (!search.left) {
      search.left = std::make_shared<std::atomic<int>>(probes_max);
    }
    if (search.left->fetch_sub(1, std::memory_order_relaxed) <= 0) {
      return;
    }
    home_.tell_server(*call, new probe_envelope{search, *call});
  }
}

void activation::probed(envelope* one) {
  auto& probe = static_cast<probe_envelope&>(*one);
  const auto served = probe.call.serving == this;  // else it is answered, or looks for itself
  if (served && turns_.runs(&probe.call)) {
    auto search = probe.search;
    chase_calls_of(search, probe.call);
  } else if (served) {
    chase(probe.search, probe.call);
  }
  drop(one);
}

void activation::refuse_deadlock(envelope* one) {
  refuse_waiting(*one->parent, one->text());
  drop(one);
}

void activation::refuse_waiting(const envelope& call, const std::string& how) {
  auto* refused = phase_ != phase::failing ? turns_.take_out(&call) : nullptr;
  if (refused != nullptr) {
    give_place_back(*refused);
    answer(refused,
           error{errc::unavailable,
                 "two call chains wait for each other; nothing was done, try again: " + how});
  }
}

// --- over silos ----------------------------------------------------------------------------------

// When calls have waited for a while, the turns here search for a cycle that goes through them.
void activation::search_silos(steady_time& next) {
  if (!turns_.any_waits() || !home_.has_peers()) {
    return;
  }
  const auto oldest = turns_.oldest_call();
  if (oldest == steady_time::max()) {
    return;
  }
  auto due = std::max(time_after(oldest, wait_search_interval), next_search_);
  if (due <= now_) {
    auto left = wait_searches_max;
    for (auto* turn : turns_.running()) {
      if (left > 0 && turn->admission != method_admission::reentrant) {
        --left;
        follow(wait_probe::of(home_.mark_of(*turn)), *turn);
      }
    }
    due = next_search_ = now_ + wait_search_interval;
  }
  next = std::min(next, due);
}

void activation::follow(const wait_probe& probe, const envelope& turn) {
  const open_calls_of calls{open_, turn};
  if (const auto each = probe.along(calls.size())) {
    for (auto* call : calls) {
      home_.probe(*call, *each);
    }
  }
}

void activation::chase_far(const wait_probe& probe, envelope& kept_out) {
  for (auto* turn : turns_.running()) {
    if (!turns_.holds_up(*turn, kept_out)) {
      continue;
    }
    const auto met = probe.meets(home_.mark_of(*turn));
    if (met.fate == probe_fate::cycle) {
      refuse_waiting(kept_out, probe.path + " and " + path_of(kept_out));
      return;
    }
    if (met.fate == probe_fate::goes_on) {
      follow(met.on, *turn);
    }
  }
}

void activation::far_probed(envelope* one) {
  auto& arrived = static_cast<far_probe_envelope&>(*one);
  auto& call = arrived.call;
  if (turns_.runs(&call)) {
    follow(arrived.probe.past(home_.mark_of(call)), call);
  } else if (turns_.waits(&call)) {
    auto probe = arrived.probe.past(home_.mark_of(call));
    if (probe.path.empty()) {
      probe.path = path_of(call);
      if (probe.path.size() > wait_path_bytes_max) {
        probe.path = "... -> " + name_of(call);
      }
    }
    chase_far(probe, call);
  }
  drop(one);
}

}  // namespace millrace::runtime::detail
