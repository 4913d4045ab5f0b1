// SPDX-License-Identifier: MIT
// Turns: admitting what arrives, running it, answering it.
#include <algorithm>

#include "activation/activation.h"
#include "activation/filter_chain.h"
#include "activation/watched_thread.h"

namespace millrace::runtime::detail {

namespace {

bool has_tells(const envelope_list& out) noexcept {
  const auto* one = out.front();
  while (one != nullptr && one->kind != envelope_kind::one_way) {
    one = one->next;
  }
  return one != nullptr;
}

}  // namespace

error told_of(const envelope& turn, error why) {
  if ((!turn.changed_state && !turn.acted) || retry_of(why.code()) != retry_class::safe) {
    return why;
  }
  return {errc::outcome_unknown,
          name_of(turn) + " had " +
              (turn.changed_state ? "changed state" : "called others or been sent before") +
              " before it failed: " + why.to_string()};
}

std::string path_of(const envelope& call) {
  std::string path = name_of(call);
  for (const auto* above = call.parent; above != nullptr; above = above->parent) {
    path.insert(0, name_of(*above) + " -> ");
  }
  return path;
}

envelope* activation::own_turn(envelope_kind kind, std::string text) {
  auto* turn = new envelope{kind};
  turn->interface = &interface();
  turn->key = key_;
  turn->set_text(std::move(text));
  turn->serving = this;
  return turn;
}

void activation::arrive(envelope* one) {
  one->serving = this;
  if (releasing_ && release_ == deactivation::idle && one->kind != envelope_kind::timer) {
    releasing_ = false;
    need_alarm(now_);  // timers had stopped
  }
  if (one->kind == envelope_kind::call || one->kind == envelope_kind::one_way) {
    one->admission = declared_admission(*one);
  }
  switch (turns_.arrive(one, phase_ == phase::active)) {
    case turn_queue::place::begins:
      begin(one);
      return;
    case turn_queue::place::waits:
      if (one->parent != nullptr) {
        look_for_deadlock(*one);
      }
      return;
    case turn_queue::place::returns:
      if (!turns_.may_begin_returned(*one)) {
        look_for_deadlock(*one);
      }
      return;  // `pump` follows
    case turn_queue::place::cycle:
      give_place_back(*one);
      answer(one,
             error{errc::call_cycle, "the call chain returns to a busy actor: " + path_of(*one)});
      return;
  }
}

void activation::pump() {
  while (phase_ == phase::active) {
    auto* next = turns_.next();
    if (next == nullptr) {
      return;
    }
    begin(next);
    bound_changes();
  }
}

// Whether it is to run; else it has been answered or dropped.
bool activation::take_up(envelope* one) {
  if (one->kind == envelope_kind::call) {
    if (one->abandoned.load(std::memory_order_relaxed)) {
      answer(one, error{errc::cancelled, "the caller no longer waited when the call was to begin"});
      return false;
    }
    if (one->deadline <= now_) {
      answer(one, error{errc::deadline_exceeded, "the deadline passed before the call began"});
      return false;
    }
    if (answered_from_memory(one)) {
      return false;
    }
  }
  if ((one->kind == envelope_kind::reminder && !reminder_is_due(*one)) ||
      (one->kind == envelope_kind::timer && find_timer(*one) == nullptr)) {
    drop(one);
    return false;
  }
  return true;
}

void activation::begin(envelope* one) {
  // Busy before its place is free: who chooses among workers must not see an idle one in between.
  busy_.store(static_cast<std::uint32_t>(turns_.running().size() + 1), std::memory_order_relaxed);
  give_place_back(*one);
  if (!take_up(one)) {
    busy_.store(static_cast<std::uint32_t>(turns_.running().size()), std::memory_order_relaxed);
    return;
  }
  one->begun = now_;
  turns_.begin(one);
  if (turns_.running().size() == 1) {
    show_busy(one);
  }
  if (is_keyed(*one) && state_.may_have_answer_row(one->method, one->text())) {
    look_up(*one);
  } else {
    run_begun(*one);
  }
}

void activation::run_begun(envelope& turn) {
  thread_->meter->begun.add();
  if (turn.context) {
    begin_served_span(turn, home_.options().trace, home_.time());
  }
  start_turn(turn);
  if (auto* bottom = turn.running->promise_of()) {
    bottom->set_root(&turn);
    run_turn(turn, bottom);
  } else {
    finish(turn);
  }
}

bool activation::answered_from_memory(envelope* one) {
  if (one->send) {
    // A copy that was held up: its sender's next activation sends again, and what that was answered
    // is perhaps forgotten by now.
    if (one->caller != nullptr && one->caller->ended()) {
      drop(one);
      return true;
    }
    if (is_durable()) {
      const auto& mark = *one->send;
      if (state_.is_over(mark.partition, mark.epoch)) {
        answer(one, error{errc::fenced, "the partition of this send's sender is led by another"});
        return true;
      }
      if (mark.again && mark.epoch != 0) {
        state_.end_epochs_before(mark.partition, mark.epoch);  // before it is said to be taken
      }
    }
    // Its sender's activation failed and another one sends again what is being served.
    const auto same =
        std::any_of(turns_.running().begin(), turns_.running().end(), [one](const auto* turn) {
          return turn->send && turn->send->sender == one->send->sender &&
                 turn->send->number == one->send->number;
        });
    if (same) {
      answer(one, error{errc::unavailable, "this send is being served"});
      return true;
    }
    if (const auto* mark = state_.find_received(one->send->sender, one->send->number)) {
      one->send->settled = !mark->failure.empty();
      answer(one, one->send->settled
                      ? result<any_message>{error{errc::outcome_unknown, mark->failure}}
                      : result<any_message>{any_message{}});
      return true;
    }
    return false;
  }
  return is_keyed(*one) && answered_by_key(one);
}

void activation::turn_runs(envelope& turn) noexcept {
  current_ = &turn;
  turn.threw = false;
  changed_before_turn_ = state_.dirty();
  state_.begin_segment(thread_->segment.undo);
  thread_->begins(name_of_turn(turn.kind, turn.method));
}

void activation::turn_pauses() noexcept {
  current_ = nullptr;
  changed_before_turn_ = false;
  thread_->ends();
}

// The turn suspends or has ended well: what it has done since it went on is done.
void activation::settle_segment(envelope& turn) {
  state_.keep_segment();
  if (thread_->segment.undo.used || !thread_->segment.out.empty()) {
    settle_effects(turn);
  }
}

[[gnu::noinline]] void activation::settle_effects(envelope& turn) {
  auto& [undo, out, idle_timeout] = thread_->segment;
  turn.acted = turn.acted || (!turn.done && has_tells(out));
  if (undo.used) {
    idle_timeout.reset();
    for (const auto number : undo.sends) {
      queue_send(number);
    }
    undo.clear();
    if (!turn.done && !std::exchange(turn.changed_state, true)) {
      turn.after_commit = gate_.next_commit();
      // A key is good for one execution, also if the next thing that happens is a crash.
      if (is_keyed(turn)) {
        finish_keyed(turn, error{errc::outcome_unknown, "it was not heard of again"});
      }
    }
  }
  gate_.hold(std::move(out));
}

// The turn has failed: what it has done since it went on has not been.
void activation::take_back_segment() {
  auto& [undo, out, idle_timeout] = thread_->segment;
  state_.take_back_segment();
  if (idle_timeout) {
    set_idle_timeout(*std::exchange(idle_timeout, std::nullopt));
  }
  for (const auto& [name, was] : undo.reminders) {
    if (was) {
      home_.set_reminder(as_owner(), name, was->due);
    } else {
      home_.cancel_reminder(as_owner(), name);
    }
  }
  undo.clear();
  while (auto* one = out.pop()) {
    one->abandoned = true;
    drop(one);
  }
}

// A hook need not be a coroutine, so what it throws may come out here.
void activation::start_turn(envelope& turn) {
  turn_runs(turn);
  try {
    turn.running.emplace(start_method(turn));
  } catch (const error& failure) {
    turn.failure = failure;
  } catch (const std::exception& thrown) {
    turn.failure = error{errc::internal, std::string{"exception in an actor: "} + thrown.what()};
    turn.threw = true;
  } catch (...) {
    turn.failure = error{errc::internal, "exception of unknown type in an actor"};
    turn.threw = true;
  }
  if (turn.failure) {
    turn.running.emplace(async<>{});
  }
}

const char* activation::name_of_turn(envelope_kind kind, std::uint16_t method) const noexcept {
  switch (kind) {
    case envelope_kind::activate:
      return "on_activate";
    case envelope_kind::deactivate:
      return "on_deactivate";
    case envelope_kind::timer:
      return "on_timer";
    case envelope_kind::reminder:
      return "on_reminder";
    default:
      return interface().methods[method].name.data();  // of a literal
  }
}

// A turn that waits and lets nobody in. Ten times the limit is enough: its frame is destroyed, its
// caller told, and what waits goes to a fresh activation.
void activation::check_stuck() {
  const auto limit = home_.options().stuck_after;
  const auto others_wait = turns_.any_waits();
  for (auto* turn : turns_.running()) {
    const auto held = now_ - turn->begun;
    if (turn->admission == method_admission::reentrant || held < limit) {
      continue;
    }
    const auto* name = name_of_turn(turn->kind, turn->method);
    const std::string what = name + std::string{" has not ended after "} +
                             std::to_string(held / std::chrono::seconds{1}) + " s";
    if (held >= 10 * limit && others_wait) {
      const error why{errc::deadline_exceeded, what + " and keeps others waiting"};
      if (phase_ == phase::active) {
        warn("activation ended error=" + why.to_string() + " method=" + name);
        break_off(why);
      } else {
        crash(why);
      }
      return;
    }
    if (!turn->warned_stuck && others_wait) {
      turn->warned_stuck = true;
      thread_->meter->stuck.add();
      warn("a turn keeps others waiting: " + what + " method=" + name);
    }
  }
}

// A call of this silo whose turn comes to nothing because the partition moves begins again on
// another one. One of another silo is kept there.
void activation::keep_parameters(envelope& turn) {
  if (lease_ != nullptr && turn.kind == envelope_kind::call && !turn.routed()) {
    turn.extra().begun_with = turn.content.flat();
  }
}

pending_method activation::start_method(envelope& turn) {
  switch (turn.kind) {
    case envelope_kind::activate:
      return object_->on_activate();
    case envelope_kind::deactivate:
      return object_->on_deactivate(release_);
    case envelope_kind::timer:
      return object_->on_timer(turn.text());
    case envelope_kind::reminder:
      return object_->on_reminder(turn.text());
    default:
      keep_parameters(turn);
      if (!home_.filters().empty()) {
        return filter_chain::run(home_.filters(), *object_, turn);
      }
      return object_->dispatch(turn.method, std::move(turn.content));
  }
}

void activation::resume_turn(envelope& turn, promise_base* from) {
  turn_runs(turn);
  run_turn(turn, from);
}

void activation::run_turn(envelope& turn, promise_base* from) {
  run(from);
  if (turn.done) {
    finish(turn);
    return;
  }
  settle_segment(turn);
  turn_pauses();
  if (turn.admission != method_admission::reentrant) {
    need_alarm(time_after(turn.begun, home_.options().stuck_after));
  }
}

// Gives how it ended, and frees its frame.
result<any_message> activation::outcome_of(envelope& turn) {
  auto* bottom = turn.running->promise_of();
  auto failure = turn.failure.take();
  if (!failure && bottom != nullptr && bottom->failure()) {
    failure = std::move(*bottom->failure());
  }
  auto outcome = failure ? result<any_message>{told_of(turn, *std::move(failure))}
                         : result<any_message>{turn.running->take()};
  turn.running.reset();
  auto* body = outcome && is_keyed(turn) ? outcome->body() : nullptr;
  const auto bytes = body != nullptr ? body->sizeInWords() * sizeof(capnp::word) : 0;
  if (bytes > record_bytes_max) {
    return error{errc::too_large, "the results of a keyed call of " + actor_name() + " have " +
                                      std::to_string(bytes) + " bytes; one record holds at most " +
                                      std::to_string(record_bytes_max)};
  }
  return outcome;
}

void activation::leave_turns(const envelope& turn) {
  turns_.end(turn);
  const auto& left = turns_.running();
  show_busy(left.empty() ? nullptr : left.front());
  busy_.store(static_cast<std::uint32_t>(left.size()), std::memory_order_relaxed);
}

void activation::finish(envelope& turn) {
  turn.done = true;
  auto outcome = outcome_of(turn);
  if (current_ == &turn) {  // else it has been broken off
    if (outcome) {
      settle_segment(turn);
    } else {
      take_back_segment();
    }
    turn_pauses();
  }
  leave_turns(turn);
  const auto* failure = outcome ? nullptr : &outcome.error();
  std::optional<error> broken;  // what others are told
  if (turn.threw && failure != nullptr && phase_ == phase::active) {
    const std::string method = name_of_turn(turn.kind, turn.method);
    warn("activation ended error=" + failure->to_string() + " method=" + method);
    broken = error{errc::unavailable,
                   "the activation ended with " + method + ", which failed: " + failure->text()};
  }
  if (turn.kind != envelope_kind::timer && turn.kind != envelope_kind::deactivate) {
    last_used_.store(now_, std::memory_order_relaxed);
  }
  switch (turn.kind) {
    case envelope_kind::call:
      finish_call(turn, std::move(outcome));
      if (broken) {
        break_off(*broken);
      }
      return;
    case envelope_kind::reminder:
      finish_reminder(turn, failure != nullptr && !turn.changed_state);
      break;
    case envelope_kind::activate:
      if (failure != nullptr) {
        drop(&turn);
        crash(*failure);
        return;
      }
      activated();
      break;
    case envelope_kind::timer:
      timer_ended(turn);
      break;
    case envelope_kind::one_way:
      thread_->meter->ended_with(turn.method, failure).add();
      if (turn.has_span()) {
        end_served_span(turn, home_.options().trace, home_.time(), failure);
      }
      break;
    default:
      break;
  }
  if (failure != nullptr) {
    warn("a hook or one-way method failed error=" + failure->to_string() +
         " name=" + (turn.text().empty() ? "-" : turn.text()));
  }
  drop(&turn);
  if (broken) {
    break_off(*broken);
  }
}

void activation::finish_call(envelope& turn, result<any_message> outcome) {
  const auto settled = !outcome && turn.changed_state;
  if (turn.send && is_durable() && (outcome || settled)) {
    turn.send->settled = settled;
    state_.remember_received(turn.send->sender,
                             {turn.send->number, settled ? outcome.error().text() : ""});
  } else if (is_keyed(turn)) {
    if (outcome || settled) {
      finish_keyed(turn, outcome);
    }
    while (auto* same = turn.take_same_key()) {
      if (outcome) {
        answer(same, any_message::from_flat(outcome->flat()));
      } else {
        answer(same, outcome.error());
      }
    }
  }
  answer(&turn, std::move(outcome));
}

void activation::answer(envelope* one, result<any_message> outcome) {
  if (outcome) {
    one->content = *std::move(outcome);
  } else {
    one->content = {};
    one->failure = std::move(outcome).error();
  }
  one->kind = envelope_kind::answer;
  one->serving = nullptr;
  let_out(one);
}

}  // namespace millrace::runtime::detail
