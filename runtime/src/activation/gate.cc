// SPDX-License-Identifier: MIT
// The output gate: nothing leaves before the state it depends on is durable.
#include "activation/activation.h"
#include "activation/watched_thread.h"
#include "storage/replication.h"

namespace millrace::runtime::detail {

namespace {

// The changes of turns share a commit up to about this size. One turn more then fits into a commit
// in any case, unless it changes too much by itself.
constexpr std::size_t shared_commit_bytes_max(bool in_cluster) noexcept {
  return (in_cluster ? commit_bytes_limit_in_cluster : commit_bytes_limit) / 4;
}

}  // namespace

// At `now_`, when all that is being handled had come, nobody else could have committed anything
// that is not known here.
[[gnu::noinline]] bool activation::lease_allows() const noexcept {
  return lease_->allows(epoch_, now_);
}

void activation::let_out(envelope* one) {
  auto* segment = current_ != nullptr ? &thread_->segment.out : nullptr;
  if (gate_.stands_open(state_.dirty()) && (segment == nullptr || segment->empty()) &&
      may_answer()) {
    leave(one);
  } else if (segment != nullptr) {
    segment->push(one);
  } else {
    gate_.hold(one);
  }
}

void activation::let_leave() {
  while (auto* one = gate_.next_to_leave()) {
    leave(one);
  }
}

void activation::leave(envelope* one) {
  if (one->kind == envelope_kind::offload) {
    start_offloaded(one);
    return;
  }
  if (one->kind == envelope_kind::span) {
    home_.options().trace.sink->ended(take_span(*one));
    drop(one);
    return;
  }
  if (one->kind != envelope_kind::answer) {
    one->left = true;
    home_.deliver(one);
    return;
  }
  count_answer(*one);
  if (one->has_span()) {
    end_served_span(*one, home_.options().trace, home_.time(), one->failure.get());
  }
  if (one->caller == this) {
    inbox_.push(one);
  } else {
    go_back(one);
  }
}

void go_back(envelope* one) {
  if (auto* const caller = one->caller) {
    caller->post_or_drop(one);
    return;
  }
  if (const auto sink = std::move(one->sink)) {
    sink->answered(one->failure ? result<any_message>{std::move(*one->failure)}
                                : result<any_message>{std::move(one->content)});
  }
  drop(one);
}

void activation::count_answer(const envelope& one) noexcept {
  if (one.made == steady_time{}) {
    return;
  }
  auto& own = *thread_->meter;
  own.ended_with(one.method, one.failure.get()).add();
  auto& timer = thread_->timer;
  if (timer.full()) {
    timer.clock_read(home_.time().steady());
  }
  timer.answered(own, one.made);
}

// Called after each turn.
void activation::bound_changes() {
  const auto ended = phase_ == phase::gone || phase_ == phase::failing;
  if (state_.dirty() && !ended &&
      state_.change_bytes() > shared_commit_bytes_max(lease_ != nullptr)) {
    flush();
  }
}

// Called at the end of each batch, so that the changes of many turns share one commit. What may not
// leave by a lease waits for a commit that begins after it came, if need be for one of nothing.
void activation::flush() {
  if (phase_ == phase::gone || phase_ == phase::failing) {
    return;
  }
  if (state_.dirty() || (!may_answer() && gate_.batch_waits())) {
    if (gate_.in_flight() && state_.change_bytes() <= shared_commit_bytes_max(lease_ != nullptr)) {
      return;  // `committed` comes back here
    }
    commit_changes();
    if (phase_ == phase::gone) {
      return;
    }
  }
  gate_.end_batch();
  let_leave();
  if (state_.untidy() && !gate_.in_flight()) {
    commit_changes();
  }
}

// Of nothing where nothing has changed.
void activation::commit_changes() {
  auto commit = std::make_unique<commit_envelope>(*this, gate_.next_commit());
  commit->partition = partition_;
  commit->epoch = lease_ == nullptr ? 0 : epoch_;
  commit->is_barrier = !state_.changed();
  if (!commit->is_barrier) {
    if (auto encoded = state_.encode(commit->ops); !encoded) {
      crash(encoded.error());
      return;
    }
    commit->erased_version = state_.vanished() ? state_.version() : 0;
  }
  auto* const closed = commit.release();
  if (auto* due = gate_.close(closed)) {
    submit(std::unique_ptr<commit_envelope>{static_cast<commit_envelope*>(due)});
  } else {
    closed->wait();
  }
}

void activation::submit(std::unique_ptr<commit_envelope> commit) {
  const auto erased = commit->erased_version;
  home_.commit(std::move(commit), erased);
}

void activation::committed(envelope* one) {
  auto& commit = static_cast<commit_envelope&>(*one);
  const auto seq = commit.seq;
  auto failure = std::move(commit.failure);
  if (failure && failure->code() == errc::outcome_unknown && commit.is_barrier) {
    failure = lost_partition(partition_);  // there was nothing in it that could have happened
  }
  drop(one);
  if (failure) {
    gate_.failed();
    crash(*failure);
    return;
  }
  gate_.ended_well(seq);
  const auto page_has_waited = state_.answers_saved(seq);
  let_leave();
  if (phase_ == phase::failing && is_of_the_past()) {
    // What waits behind is a difference to rows that may be another silo's by now.
    gate_.failed();
    fail_all(gate_.take_held(), lost_partition(partition_));
    retire();
    return;
  }
  if (auto* next = gate_.next_commit_to_go()) {
    auto* const due = static_cast<commit_envelope*>(next);
    due->stop_waiting();
    submit(std::unique_ptr<commit_envelope>{due});
  } else if (phase_ == phase::failing) {
    retire();
  }
  if (phase_ != phase::failing && phase_ != phase::gone) {
    dispatch_durable();
    if (page_has_waited) {
      tend_answers(home_.time().wall());
    }
  }
}

}  // namespace millrace::runtime::detail
