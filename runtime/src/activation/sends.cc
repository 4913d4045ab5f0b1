// SPDX-License-Identifier: MIT
// Sends: the outbox of one activation, delivered in order to each receiver until answered.
#include <algorithm>

#include "activation/activation.h"
#include "silo/silo_core.h"

namespace millrace::runtime::detail {

namespace {

// A receiver that answers with its own failure gets this many tries before the call is set aside.
constexpr std::uint32_t failures_max = 5;

// Sends that wait for a receiver so long are told of, once.
constexpr duration warn_of_failing_after = std::chrono::minutes{1};

constexpr duration retry_first = std::chrono::milliseconds{10};
constexpr duration retry_last = std::chrono::seconds{5};

duration retry_delay(std::uint32_t failures) {
  return std::min(retry_last, retry_first * (1U << std::min(failures, 16U)));
}

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
  (current_ != nullptr ? thread_->segment.out : pending_out_).push(one);
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
  auto target = target_of(state_.outbox().at(number));
  if (!outgoing_) {
    outgoing_ = std::make_unique<outgoing>();
  }
  auto& items = outgoing_->lanes[target].items;
  thread_->meter->sends.add();
  items.push_back({number, submitted_ + 1});
  if (items.size() == 1) {
    outgoing_->after_commit.emplace_back(submitted_ + 1, std::move(target));
  }
  home_.counters().sends_pending.fetch_add(1, std::memory_order_relaxed);
}

void activation::fill_lanes() {
  if (state_.outbox().empty()) {
    return;
  }
  outgoing_ = std::make_unique<outgoing>();
  for (const auto& [number, what] : state_.outbox()) {
    outgoing_->lanes[target_of(what)].items.push_back({number, 0});
    home_.counters().sends_pending.fetch_add(1, std::memory_order_relaxed);
  }
  for (auto& [target, one] : outgoing_->lanes) {
    dispatch(target, one);
  }
}

void activation::dispatch_durable() {
  if (!outgoing_) {
    return;
  }
  auto& due = outgoing_->after_commit;
  while (!due.empty() && due.front().first <= durable_) {
    if (const auto found = outgoing_->lanes.find(due.front().second);
        found != outgoing_->lanes.end()) {
      dispatch(found->first, found->second);
    }
    due.pop_front();
  }
}

void activation::retry_sends(steady_time& next) {
  if (!outgoing_ || outgoing_->failing == 0 || home_.stopping()) {
    return;  // while stopping nothing is dispatched, however long ago it was due
  }
  for (auto& [target, one] : outgoing_->lanes) {
    dispatch(target, one);
    if (!one.in_flight && one.failures > 0) {
      next = std::min(next, one.retry_at);
    }
  }
}

void activation::dispatch(const std::string& target, lane& one) {
  if (home_.stopping()) {
    return;  // they are stored; the next start goes on
  }
  if (one.in_flight || one.items.empty() || one.retry_at > now_) {
    return;
  }
  if (one.items.front().after_commit > durable_) {
    outgoing_->after_commit.emplace_back(one.items.front().after_commit, target);
    return;
  }
  const auto number = one.items.front().number;
  const auto& what = state_.outbox().at(number);
  const auto* type = home_.find_type(what.type);
  one.in_flight = true;
  auto* call = new envelope{envelope_kind::call};
  call->interface = type != nullptr ? type->interface : nullptr;
  call->key = what.key;
  call->method = what.method;
  call->content = any_message::from_flat(what.params);
  call->send = send_mark{hash_, number};
  call->text = target;
  call->caller = this;
  keep();
  call->made = now_;
  if (what.timeout_ms > 0) {
    call->deadline = time_after(now_, std::chrono::milliseconds{what.timeout_ms});
  }
  if (type == nullptr || what.method >= type->interface->methods.size()) {
    fail_at_once(call, {errc::unimplemented, "no such actor type or method on this silo"});
    return;
  }
  home_.deliver(call);
}

// Sets the time of the next try, unless there is to be none.
void activation::retry_send(const std::string& target, lane& one, const error& failure) {
  const auto not_its_fault =
      retry_of(failure.code()) != retry_class::never && failure.code() != errc::internal;
  if (one.failures++ == 0) {
    one.failing_since = now_;
    ++outgoing_->failing;
  }
  const auto failing_for = now_ - one.failing_since;
  if (not_its_fault && failing_for < home_.options().send_retry_max) {
    one.retry_at = now_ + retry_delay(one.failures);
    if (failing_for >= warn_of_failing_after && !std::exchange(one.warned, true)) {
      warn("sends wait for a receiver that does not take them target=" + target +
           " waiting=" + std::to_string(one.items.size()) + " error=" + failure.to_string());
    }
  } else if (!not_its_fault && ++one.refusals < failures_max) {
    one.retry_at = now_ + retry_delay(one.failures + 4);
  }
}

void activation::send_answered(envelope* one) {
  const auto found = outgoing_->lanes.find(one->text);
  if (found == outgoing_->lanes.end() || !found->second.in_flight) {
    drop(one);
    return;
  }
  auto& own = found->second;
  const auto number = one->send->number;
  own.in_flight = false;
  const auto failure = std::move(one->failure);
  const auto settled = one->send->settled;  // to try again would not do it again
  if (failure && !settled) {
    retry_send(found->first, own, *failure);
    if (own.retry_at > now_) {
      need_alarm(own.retry_at);
      drop(one);
      return;
    }
  }
  if (failure) {
    warn("a send became a dead letter target=" + found->first + " error=" + failure->to_string());
    thread_->meter->dead_letters.add();
  }
  outgoing_->failing -= own.failures > 0 ? 1 : 0;
  own.failures = 0;
  own.refusals = 0;
  own.warned = false;
  own.retry_at = {};
  own.items.pop_front();
  state_.end_send(number, failure ? failure->to_string() : std::string{});
  home_.counters().sends_pending.fetch_sub(1, std::memory_order_relaxed);
  if ((!failure || settled) && one->interface->placement == actor_placement::partition) {
    // Once the outbox row is gone for good, the receiver need not remember the number.
    auto* forget = new envelope{envelope_kind::forget};
    forget->interface = one->interface;
    forget->key = one->key;
    forget->send = one->send;
    after_tidying_.push(forget);
  }
  drop(one);
  if (own.items.empty()) {
    outgoing_->lanes.erase(found);
  } else {
    dispatch(found->first, own);
  }
}

void activation::tend_dead_letter(envelope* one) {
  if (phase_ == phase::loading) {
    early_.push(one);
    return;
  }
  if (phase_ == phase::deactivating || phase_ == phase::failing) {
    waiting_.push(one);  // for the next activation
    return;
  }
  const auto found = state_.dead_letters().find(one->number);
  if (found == state_.dead_letters().end()) {
    answer(one, error{errc::not_found,
                      actor_name() + " has no dead letter " + std::to_string(one->number)});
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
  state_.drop_dead_letter(one->number);
  answer(one, any_message{});
}

}  // namespace millrace::runtime::detail
