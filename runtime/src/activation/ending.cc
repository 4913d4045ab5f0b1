// SPDX-License-Identifier: MIT
// How an activation ends: idle, for want of memory, asked to, failed, with its silo.
#include <algorithm>

#include "activation/activation.h"
#include "activation/watched_thread.h"

namespace millrace::runtime::detail {

namespace {

// What an activation holds beside its state: `bench_runtime --only memory` measures about as much.
constexpr std::size_t activation_bytes = 1024;

}  // namespace

activation::~activation() {
  discard();
}

void activation::discard() noexcept {
  for (auto* link = open_.open_next; link != &open_; link = link->open_next) {
    static_cast<envelope&>(*link).abandoned = true;  // nobody is told any more
  }
  for (auto* turn : turns_.running()) {
    turn->running.reset();  // frames first: they unlink what they wait for
  }
  for (auto* turn : turns_.take_running()) {
    drop(turn);
  }
  close_open();
  inbox_ = {};
  early_ = {};
  static_cast<void>(turns_.take_waiting());
  gate_.clear();
  envelope_list rest;
  mailbox_.close(rest);
}

void activation::close_open() noexcept {
  while (open_.open_next != &open_) {
    auto& left = static_cast<envelope&>(*open_.open_next);
    left.abandoned = true;
    unlink_open(left);
    drop(&left);
  }
}

duration activation::idle_timeout() const noexcept {
  if (idle_timeout_ && *idle_timeout_ > duration{}) {  // of zero: see `wants_to_leave`
    return *idle_timeout_;
  }
  const auto own = std::chrono::milliseconds{interface().idle_timeout_ms};
  return own.count() > 0 ? own : home_.options().idle_timeout;
}

bool activation::idle() const noexcept {
  const auto sends_wait = sends_ && !sends_->empty() && !home_.stopping();
  return turns_.empty() && inbox_.empty() && open_.open_next == &open_ && !sends_wait &&
         !state_.reads_answers();
}

// Whether it is idle and has said that it leaves then.
bool activation::wants_to_leave() const noexcept {
  return idle_timeout_ == duration{} && phase_ == phase::active && stay_until_ <= now_ && idle();
}

// Requires: there is a budget.
void activation::settle_memory() {
  if (phase_ == phase::loading) {
    return;
  }
  auto as = phase_ == phase::deactivating ? standing::leaving : standing::busy;
  if (phase_ == phase::active && !releasing_ && idle()) {
    if (stay_until_ <= now_) {
      as = standing::idle;
    } else {
      need_alarm(stay_until_);
    }
  }
  home_.settle_memory(*this, held_bytes(), as, last_used_);
}

std::size_t activation::held_bytes() const noexcept {
  return activation_bytes + key_.size() + state_.bytes();
}

void activation::give_place_back(envelope& one) noexcept {
  if (std::exchange(one.counted, false)) {
    unreserve();
    if (home_.bounds_memory()) {
      home_.queued(-bytes_of(one));
    }
  }
}

void activation::leave_for(deactivation why) noexcept {
  if (!releasing_ || release_ != deactivation::stopping) {
    release_ = why;
    releasing_ = true;
  }
}

// Long polls would hold a stopping silo up: their time is over, and so is their turns'.
void activation::end_waits() {
  for (auto* link = open_.open_next; link != &open_; link = link->open_next) {
    auto& wait = static_cast<envelope&>(*link);
    if (wait.is_wait && !wait.abandoned.exchange(true)) {
      wait.failure = error{errc::unavailable, "the silo stops"};
      wait.where->propagate = true;
      detail::keep(wait);
      inbox_.push(&wait);
    }
  }
}

// Requires: it is to leave, or leaves.
void activation::end_idle() {
  if (releasing_ && release_ == deactivation::stopping) {
    end_waits();
  }
  if (phase_ == phase::active && releasing_ && idle()) {
    phase_ = phase::deactivating;
    begin(own_turn(envelope_kind::deactivate, {}));
  }
  if (phase_ == phase::deactivating && turns_.running().empty()) {
    finish_deactivation();
  }
}

void activation::finish_deactivation() {
  if (state_.changed() && !gate_.in_flight()) {
    commit_changes();
    if (phase_ == phase::gone) {
      return;
    }
  }
  if (gate_.in_flight() || gate_.holds()) {
    return;  // `committed` comes back here
  }
  auto& reason = broken_ ? thread_->meter->failed
                 : release_ == deactivation::idle && asked()
                     ? thread_->meter->evicted
                     : thread_->meter->deactivated[static_cast<std::size_t>(release_)];
  reason.add();
  if (broken_ && state_.has_duties() && !home_.stopping()) {
    home_.wake_later(as_owner());
  }
  retire();
}

// Ends without its hook: what the object is like is not known. What was done before is kept, and
// leaves; turns that wait are given up; who waits for a turn goes to a fresh activation.
// Requires: active.
void activation::break_off(const error& why) {
  broken_ = true;
  phase_ = phase::deactivating;
  give_up_lookups();
  note_open_effects();
  while (!turns_.running().empty()) {
    auto& turn = *turns_.running().back();
    turn.failure = why;
    finish(turn);
  }
}

void activation::crash(const error& why) {
  const auto was = phase_.load();
  thread_->meter->failed.add();
  const bool is_lost = why.code() == errc::not_primary;
  if (was != phase::loading && !is_lost && why.code() != errc::not_enough_replicas) {
    warn("activation ended error=" + why.to_string());
  }
  // Who takes a partition over sees to what is in its rows.
  if (!is_lost && state_.has_duties() && !home_.stopping()) {
    home_.wake_later(as_owner());
  }
  note_open_effects();
  give_up_lookups();
  // Frames first: they unlink what they wait for.
  for (auto* turn : turns_.running()) {
    turn->running.reset();
  }
  for (auto* turn : turns_.take_running()) {
    turn->content = {};
    // What it has changed is there, or not, or nobody knows: then `after_commit` tells.
    const auto told = told_of_commit(*turn, why);
    turn->changed_state = turn->changed_state && turn->after_commit <= gate_.closed();
    give_back(turn, told_of(*turn, told));
  }
  show_busy(nullptr);
  fail_all(gate_.take_batch(), why);
  if (phase_ == phase::loading || phase_ == phase::activating) {
    answer_waiting_with_ = why;
  }
  if (gate_.in_flight()) {
    phase_ = phase::failing;  // what comes after must not read older rows; `committed` goes on
    return;
  }
  fail_all(gate_.take_held(), why);
  retire();
}

// Answers a turn that has come to nothing. If it has done nothing, because the partition moves, it
// is as if it had never begun.
void activation::give_back(envelope* turn, error why) {
  if (turn->has_span()) {
    end_served_span(*turn, home_.options().trace, home_.time(), &why);
  }
  if (why.code() == errc::not_primary && turn->begun_with() != nullptr) {
    turn->content = any_message::from_flat(*turn->begun_with());
    turn->extra().begun_with.reset();
    turn->kind = envelope_kind::call;
    turn->running.reset();
    static_cast<void>(turn->failure.take());
    turn->begun = {};
    turn->after_commit = 0;
    turn->reentry_scopes = 0;
    turn->changed_state = turn->acted = turn->done = turn->threw = turn->warned_stuck = false;
  }
  home_.answer(turn, std::move(why));
}

// Of a commit that nobody knows the end of only those are told whose changes it had: who had none,
// or waits for a commit that storage has never seen, has done nothing. Requires: the commit that
// ended the activation is the one after the last that is durable.
error activation::told_of_commit(const envelope& one, const error& why) const {
  const auto changes =
      one.admission != method_admission::read_only && one.after_commit == gate_.durable() + 1;
  const auto repeats = !one.text().empty();  // perhaps what an earlier one of its key or number did
  if (why.code() != errc::outcome_unknown || changes || repeats) {
    return why;
  }
  return {errc::not_primary,
          "an earlier change of " + actor_name() +
              " is not known to be saved; nothing was done, try again: " + why.text()};
}

// Answers what would have left; what is not an answer never leaves.
void activation::fail_all(envelope_list list, const error& why) {
  while (auto* one = list.pop()) {
    if (one->kind == envelope_kind::answer && one->caller != this) {
      one->content = {};
      give_back(one, told_of(*one, told_of_commit(*one, why)));
    } else {
      one->abandoned = true;
      drop(one);
    }
  }
}

void activation::retire() {
  phase_ = phase::gone;
  ended_.store(true, std::memory_order_release);
  keep();  // the directory may hold the last other reference
  home_.ended(*this, held_bytes());
  home_.timers().disarm(*this);
  close_open();
  if (sends_) {
    home_.sends_pending(-static_cast<std::int64_t>(sends_->size()));
  }
  object_.reset();
  envelope_list rest = std::move(early_);
  rest.append(turns_.take_waiting());
  rest.append(std::move(inbox_));
  mailbox_.close(rest);
  while (auto* one = rest.pop()) {
    const auto is_own =
        one->kind == envelope_kind::timer || one->kind == envelope_kind::activate ||
        one->kind == envelope_kind::deactivate || one->kind == envelope_kind::answer ||
        one->kind == envelope_kind::wait || one->kind == envelope_kind::committed ||
        one->kind == envelope_kind::answers || one->kind == envelope_kind::cancel ||
        one->kind == envelope_kind::alarm || one->kind == envelope_kind::release ||
        one->kind == envelope_kind::evict || one->kind == envelope_kind::lost ||
        one->kind == envelope_kind::probe || one->kind == envelope_kind::far_probe ||
        one->kind == envelope_kind::deadlock;
    give_place_back(*one);
    if (is_own) {
      drop(one);
    } else if (answer_waiting_with_) {
      home_.answer(one, *answer_waiting_with_);
    } else {
      one->serving = nullptr;
      home_.deliver(one);
    }
  }
  release();
}

}  // namespace millrace::runtime::detail
