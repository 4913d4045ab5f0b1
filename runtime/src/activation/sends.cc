// SPDX-License-Identifier: MIT
// Sends: the outbox of one activation, delivered in order to each receiver until answered.
#include <algorithm>

#include "activation/activation.h"
#include "activation/watched_thread.h"

namespace millrace::runtime::detail {

namespace {

// What is thrown ends the turn's coroutine, see async.h.
void check_key(const call_spec& spec) {
  if (auto valid = validate_key(spec.key); !valid) {
    throw error{std::move(valid).error()};
  }
}

std::string target_of(const stored_send& what) {
  return what.type + "/" + what.key;
}

}  // namespace

void activation::tell(call_spec&& spec) {
  check_key(spec);
  let_filters_see(spec);
  auto* one = new envelope{envelope_kind::one_way};
  one->interface = spec.interface;
  one->key = std::move(spec.key);
  one->method = spec.method;
  one->content = std::move(spec.params);
  one->context = std::move(spec.context);
  // Not at once: the turn may still change state, and fail.
  if (current_ != nullptr) {
    thread_->segment.out.push(one);
  } else {
    gate_.hold(one);
  }
}

void activation::tell_span(span what) {
  auto* const one = span_message(std::move(what));
  if (current_ != nullptr) {
    thread_->segment.out.push(one);  // likewise
  } else {
    gate_.hold(one);
  }
}

void activation::send(call_spec&& spec) {
  check_may_change();
  check_key(spec);
  let_filters_see(spec);
  if (!spec.idempotency_key.empty()) {
    throw error{errc::invalid_argument,
                "a send takes effect once by itself; send it without an idempotency key"};
  }
  stored_send what{std::string{spec.interface->type}, std::move(spec.key), spec.method,
                   static_cast<std::uint32_t>(
                       std::chrono::duration_cast<std::chrono::milliseconds>(spec.timeout).count()),
                   spec.params.flat()};
  if (what.params.size() > record_bytes_max) {
    throw error{errc::too_large,
                "the parameters of a send of " + actor_name() + " to " + target_of(what) +
                    " have " + std::to_string(what.params.size()) +
                    " bytes; one record holds at most " + std::to_string(record_bytes_max)};
  }
  const auto number = state_.add_send(std::move(what));
  if (current_ == nullptr) {  // else the segment's end does
    queue_send(number);
  }
}

void activation::queue_send(std::uint64_t number) {
  if (!sends_) {
    sends_ = std::make_unique<send_lanes>();
  }
  thread_->meter->sends.add();
  sends_->add(target_of(state_.outbox().at(number)), number, gate_.next_commit());
  home_.sends_pending(1);
}

void activation::fill_lanes() {
  if (state_.outbox().empty()) {
    return;
  }
  sends_ = std::make_unique<send_lanes>();
  for (const auto& [number, what] : state_.outbox()) {
    sends_->add(target_of(what), number, 0);
    home_.sends_pending(1);
  }
  dispatch_durable();
}

// While the silo stops nothing is dispatched, however long ago it was due: sends are stored, and
// the next start goes on.
void activation::dispatch_durable() {
  if (!sends_ || home_.stopping()) {
    return;
  }
  while (const auto due = sends_->next_durable(gate_.durable(), now_)) {
    dispatch(*due);
  }
}

void activation::retry_sends(steady_time& next) {
  if (sends_ && sends_->any_fails() && !home_.stopping()) {
    next = std::min(
        next, sends_->retry(gate_.durable(), now_, [this](const due_send& due) { dispatch(due); }));
  }
}

void activation::dispatch(const due_send& due) {
  const auto& what = state_.outbox().at(due.number);
  auto* call = new envelope{envelope_kind::call};
  call->interface = home_.interface_of(what.type);
  call->key = what.key;
  call->method = what.method;
  call->content = any_message::from_flat(what.params);
  call->send = send_mark{.sender = hash_,
                         .number = due.number,
                         .partition = partition_,
                         .epoch = lease_ == nullptr ? 0 : epoch_,
                         .again = state_.was_loaded(due.number)};
  call->set_text(*due.target);
  call->caller = this;
  keep();
  call->made = now_;
  if (what.timeout_ms > 0) {
    call->deadline = time_after(now_, std::chrono::milliseconds{what.timeout_ms});
  }
  if (call->interface == nullptr) {
    fail_at_once(call, {errc::unimplemented, "no such actor type on this silo"});
    return;
  }
  if (may_answer()) {
    home_.deliver(call);
  } else {
    gate_.hold(call);  // another silo may have sent it, and its receiver have forgotten its number
  }
}

void activation::send_answered(envelope* one) {
  using step = send_verdict::step;
  const auto& target = one->text();
  const auto* failure = one->failure.get();
  const auto verdict =
      sends_->answered(target, failure, one->send->settled, now_, home_.options().send_retry_max);
  if (verdict.warn_of > 0) {
    warn("sends wait for a receiver that does not take them target=" + target +
         " waiting=" + std::to_string(verdict.warn_of) + " error=" + failure->to_string());
  }
  if (verdict.what == step::again) {
    need_alarm(verdict.retry_at);
  } else if (verdict.what != step::ignore) {
    end_send(*one);
    if (!home_.stopping()) {
      if (const auto due = sends_->next_of(target, gate_.durable(), now_)) {
        dispatch(*due);
      }
    }
  }
  drop(one);
}

// It was taken, or is given up.
void activation::end_send(const envelope& answer) {
  const auto failure = answer.failure ? answer.failure->to_string() : std::string{};
  if (answer.failure) {
    warn("a send became a dead letter target=" + answer.text() + " error=" + failure);
    thread_->meter->dead_letters.add();
  }
  state_.end_send(answer.send->number, failure);
  home_.sends_pending(-1);
  if ((!answer.failure || answer.send->settled) &&
      answer.interface->placement == actor_placement::partition) {
    // Once the outbox row is gone for good, the receiver need not remember the number.
    auto* forget = new envelope{envelope_kind::forget};
    forget->interface = answer.interface;
    forget->key = answer.key;
    forget->send = *answer.send;
    gate_.hold_for_next_commit(forget);
  }
}

void activation::tend_dead_letter(envelope* one) {
  if (phase_ == phase::loading) {
    early_.push(one);
    return;
  }
  if (phase_ == phase::deactivating || phase_ == phase::failing) {
    turns_.wait(one);  // for the next activation
    return;
  }
  const auto found = state_.dead_letters().find(one->number());
  if (found == state_.dead_letters().end()) {
    answer(one, error{errc::not_found,
                      actor_name() + " has no dead letter " + std::to_string(one->number())});
    return;
  }
  try {
    if (one->kind == envelope_kind::retry_dead) {
      queue_send(state_.add_send(stored_send{found->second.what}));
    }
  } catch (const error& failure) {
    answer(one, failure);
    return;
  }
  state_.drop_dead_letter(one->number());
  answer(one, any_message{});
}

}  // namespace millrace::runtime::detail
