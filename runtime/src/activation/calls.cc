// SPDX-License-Identifier: MIT
// Calls that this activation's turns have made, and everything that waits for a time.
#include <algorithm>

#include "activation/activation.h"
#include "activation/running_turn.h"
#include "activation/watched_thread.h"
#include "offload/thread_pool.h"

namespace millrace::runtime::detail {

void activation::link_open(envelope* one) noexcept {
  open_link& link = *one;
  link.open_previous = open_.open_previous;
  link.open_next = &open_;
  open_.open_previous->open_next = &link;
  open_.open_previous = &link;
}

void activation::unlink_open(envelope& one) noexcept {
  one.open_previous->open_next = one.open_next;
  one.open_next->open_previous = one.open_previous;
  one.open_previous = one.open_next = nullptr;
  if (one.where != nullptr) {
    one.where->open_call = nullptr;
    one.where = nullptr;
  }
}

const request_context& activation::context() const noexcept {
  static const request_context none;
  return current_ != nullptr && current_->context ? *current_->context : none;
}

// Gives what leaves the context of the turn, and shows it to the silo's filters.
void activation::let_filters_see(call_spec& spec) {
  if (current_ != nullptr && current_->context) {
    if (spec.context) {
      auto all = *spec.context;
      all.insert(current_->context->begin(), current_->context->end());
      spec.context = std::make_shared<const request_context>(std::move(all));
    } else {
      spec.context = current_->context;
    }
  }
  for (const auto& each : home_.outgoing_filters()) {
    each({std::string{interface().type}, key_}, spec);
  }
}

void activation::open_call(envelope& turn, call_spec&& spec, waiter& where) {
  let_filters_see(spec);
  const auto& method = spec.interface->methods[spec.method];
  auto* call = new envelope{method.one_way ? envelope_kind::one_way : envelope_kind::call};
  call->interface = spec.interface;
  call->key = std::move(spec.key);
  call->method = spec.method;
  call->content = std::move(spec.params);
  call->set_text(std::move(spec.idempotency_key));
  call->context = std::move(spec.context);
  const auto limit =
      spec.timeout > duration{} ? spec.timeout : std::chrono::milliseconds{method.timeout_ms};
  call->made = now_;
  call->deadline = std::min(time_after(now_, limit), turn.deadline);
  auto valid = validate_key(call->key);
  if (valid && call->text().size() > idempotency_key_bytes_max) {
    valid = error{errc::invalid_argument, "an idempotency key is at most 200 bytes"};
  }
  if (valid && withdrawn(turn)) {
    valid = error{errc::cancelled, "the call that this one is part of was cancelled"};
  }
  if (method.one_way) {
    // What the turn waits for is only that it was sent.
    if (valid) {
      let_out(std::exchange(call, new envelope{envelope_kind::answer}));
      call->left = true;
    }
  } else {
    call->parent = &turn;
    call->may_return = turn.reentry_scopes > 0;
    detail::keep(turn);
  }
  open(call, where);
  if (!valid) {
    fail_at_once(call, std::move(valid).error());
  } else if (method.one_way) {
    inbox_.push(call);
  } else {
    need_alarm(call->deadline);
    let_out(call);
  }
}

// Adds it to what the coroutine of `where` waits for; the list's reference beside the caller's.
void activation::open(envelope* one, waiter& where) {
  one->caller = this;
  keep();
  one->where = &where;
  where.open_call = one;
  link_open(one);
  detail::keep(*one);
}

namespace {

// Work on its way to the pool, with the envelope that brings its end back.
struct offload_envelope final : envelope {
  offload_envelope(std::shared_ptr<offloaded_work> what, envelope& answer_of)
      : envelope(envelope_kind::offload),
        work(std::move(what)),
        answer(answer_of),
        author(running_turn()) {
    if (author.empty()) {
      author = "an actor";
    }
    detail::keep(answer);
  }
  offload_envelope(const offload_envelope&) = delete;
  offload_envelope& operator=(const offload_envelope&) = delete;
  ~offload_envelope() override { drop(&answer); }

  void run() noexcept {
    const caught_code named{author, {}};
    try {
      work->run();
    } catch (const error& failure_of) {
      answer.failure = failure_of;
    } catch (const std::exception& thrown) {
      answer.failure =
          error{errc::internal, "exception in offloaded work of " + author + ": " + thrown.what()};
    } catch (...) {
      answer.failure =
          error{errc::internal, "exception of unknown type in offloaded work of " + author};
    }
    detail::keep(answer);
    answer.caller->post_or_drop(&answer);
  }

  std::shared_ptr<offloaded_work> work;
  envelope& answer;
  std::string author;  ///< Whose turn it is for.
};

}  // namespace

void activation::open_offload(envelope& turn, std::shared_ptr<offloaded_work> work, waiter& where) {
  auto* one = new envelope{envelope_kind::answer};
  one->deadline = turn.deadline;
  open(one, where);
  need_alarm(one->deadline);
  if (withdrawn(turn)) {
    fail_at_once(one, {errc::cancelled, "the call that this work is for was cancelled"});
    return;
  }
  let_out(new offload_envelope{std::move(work), *one});
  drop(one);
}

void activation::start_offloaded(envelope* one) {
  auto* work = static_cast<offload_envelope*>(one);
  auto owned = std::shared_ptr<offload_envelope>{work, [](offload_envelope* left) { drop(left); }};
  if (work->answer.where == nullptr) {
    return;  // its time was up, or its coroutine has ended, before the changes were durable
  }
  if (!home_.offload_threads().submit([owned] { owned->run(); })) {
    detail::keep(work->answer);
    fail_at_once(&work->answer,
                 home_.stopping()
                     ? error{errc::unavailable, "the silo stops"}
                     : error{errc::overloaded, "too much offloaded work waits for a thread",
                             std::chrono::milliseconds{100}});
    return;
  }
  work->answer.left = true;
}

void activation::fail_at_once(envelope* call, error why) {
  call->kind = envelope_kind::answer;
  call->failure = std::move(why);
  inbox_.push(call);
}

void activation::close_waiter(waiter& where) noexcept {
  auto* call = static_cast<envelope*>(where.open_call);
  const auto is_call = call->parent != nullptr;
  if (!call->abandoned.exchange(true) && is_call) {
    call->caller->home_.cancel(*call);
  }
  unlink_open(*call);
  drop(call);
}

// Others may wait for the outcome of a keyed call.
bool activation::withdrawn(const envelope& turn) noexcept {
  return turn.abandoned.load(std::memory_order_relaxed) && !turn.has_same_key();
}

bool activation::cancelled() const noexcept {
  return current_ != nullptr && (withdrawn(*current_) || current_->deadline <= now_);
}

void activation::cancel_turn(envelope* one) {
  const auto* const turn = one->parent;
  if (turns_.runs(turn) && withdrawn(*turn)) {
    end_open([turn](const envelope& open) -> std::optional<error> {
      if (open.where->joined->waiting->root() != turn) {
        return std::nullopt;
      }
      return error{errc::cancelled, "the caller no longer waits"};
    });
  }
  drop(one);
}

void activation::take_answer(envelope* one) {
  if (one->send && phase_ != phase::failing) {
    send_answered(one);
    return;
  }
  resume_waiter(*one);
  drop(one);
}

// Its turn has perhaps had something done by others.
void activation::note_effect(const envelope& call, const error* failure) noexcept {
  const auto nothing_was_done =
      call.is_wait || (failure && retry_of(failure->code()) == retry_class::safe) ||
      (call.interface != nullptr &&
       call.interface->methods[call.method].admission == method_admission::read_only);
  if (!nothing_was_done) {
    static_cast<envelope&>(*call.where->joined->waiting->root()).acted = true;
  }
}

// What is still open will not be waited for: what has been asked of others, they may do.
void activation::note_open_effects() noexcept {
  for (auto* link = open_.open_next; link != &open_; link = link->open_next) {
    const auto& one = static_cast<const envelope&>(*link);
    if (one.left) {
      note_effect(one, nullptr);
    }
  }
}

void activation::resume_waiter(envelope& call) {
  auto* where = call.where;
  if (where == nullptr) {
    return;  // its time was up, or its coroutine has ended
  }
  note_effect(call, call.failure.get());
  unlink_open(call);
  where->answer = std::move(call.content);
  where->failure = call.failure.take();
  drop(&call);  // the list's reference
  auto& joined = *where->joined;
  if (--joined.left > 0) {
    return;
  }
  auto* waiting = joined.waiting;
  auto& turn = static_cast<envelope&>(*waiting->root());
  if (where->failure && where->propagate) {
    waiting->fail(std::move(*where->failure));
  }
  resume_turn(turn, waiting);
}

// --- signals -------------------------------------------------------------------------------------

void activation::wait_for_signal(envelope& turn, const std::string& signal, duration limit,
                                 waiter& where) {
  auto* wait = new envelope{envelope_kind::wait};
  wait->is_wait = true;
  wait->set_text(signal);
  wait->deadline = std::min(time_after(now_, limit), turn.deadline);
  wait->where = &where;
  where.open_call = wait;
  link_open(wait);
  need_alarm(wait->deadline);
  if (withdrawn(turn)) {
    wait->failure = error{errc::cancelled, "the call that waits was cancelled"};
  } else if (!signal.empty() && keeps_notifiers_out(turn)) {
    const auto* method = name_of_turn(turn.kind, turn.method);
    wait->failure = error{errc::call_cycle,
                          actor_name() + "." + method + " waits for '" + signal +
                              "', and nobody who might notify it may run meanwhile; mark " +
                              method + " $reentrant (or wait without a name to let time pass)"};
  }
  if (wait->failure) {
    wait->abandoned = true;
    where.propagate = true;
    detail::keep(*wait);
    inbox_.push(wait);
  }
}

// Whether no code of this actor can run before that turn goes on.
bool activation::keeps_notifiers_out(const envelope& turn) const noexcept {
  const auto& methods = interface().methods;
  return turn.admission == method_admission::exclusive && turns_.running().size() == 1 &&
         (phase_ != phase::active ||
          std::none_of(methods.begin(), methods.end(), [](const auto& each) {
            return each.admission == method_admission::reentrant;
          }));
}

void activation::notify(std::string_view signal) {
  for (auto* link = open_.open_next; link != &open_; link = link->open_next) {
    auto& wait = static_cast<envelope&>(*link);
    if (wait.is_wait && wait.text() == signal && !wait.abandoned.exchange(true)) {
      wait.where->answer_is_signal = true;
      detail::keep(wait);
      inbox_.push(&wait);
    }
  }
}

// --- time ----------------------------------------------------------------------------------------

void activation::need_alarm(steady_time due) {
  if (due < alarm_due_) {
    alarm_due_ = due;
    home_.timers().arm(*this, due);
  }
}

void activation::on_alarm() noexcept {
  post_or_drop(new envelope{envelope_kind::alarm});
}

void activation::rang() {
  alarm_due_ = steady_time::max();
  if (phase_ == phase::loading || phase_ == phase::failing || phase_ == phase::gone) {
    return;
  }
  expire_open();
  if (phase_ == phase::gone) {
    return;
  }
  auto next =
      std::max(time_after(last_used_.load(std::memory_order_relaxed), idle_timeout()), stay_until_);
  if (next <= now_) {
    if (phase_ == phase::active && idle() && !releasing_) {
      leave_for(deactivation::idle);
    }
    next = time_after(now_, idle_timeout());
  }
  if (!releasing_) {
    fire_timers();
  }
  for (auto* link = open_.open_next; link != &open_; link = link->open_next) {
    next = std::min(next, static_cast<envelope&>(*link).deadline);
  }
  for (const auto& each : timers_) {
    next = each.queued || releasing_ ? next : std::min(next, each.due);
  }
  check_stuck();
  if (phase_ == phase::gone) {
    return;
  }
  for (const auto* turn : turns_.running()) {
    const auto limit = home_.options().stuck_after;
    if (turn->admission != method_admission::reentrant) {
      next = std::min(next, time_after(now_, limit));
    }
  }
  retry_sends(next);
  search_silos(next);
  need_alarm(next);
  tend_answers(home_.time().wall());
}

// Ends the open calls and waits for which `why` gives a reason.
template <class Why>
void activation::end_open(Why&& why) {
  // They first move to a list of their own: a coroutine that is resumed may end others.
  open_link ended;
  ended.open_previous = ended.open_next = &ended;
  for (auto* link = open_.open_next; link != &open_;) {
    auto* following = link->open_next;
    auto& one = static_cast<envelope&>(*link);
    auto reason = one.is_wait && one.abandoned ? std::nullopt : why(one);  // raised: it has ended
    if (reason) {
      one.where->failure = std::move(reason);
      link->open_previous->open_next = link->open_next;
      link->open_next->open_previous = link->open_previous;
      link->open_previous = ended.open_previous;
      link->open_next = &ended;
      ended.open_previous->open_next = link;
      ended.open_previous = link;
    }
    link = following;
  }
  while (ended.open_next != &ended) {
    auto& one = static_cast<envelope&>(*ended.open_next);
    auto* where = one.where;
    const auto withdraw = !one.abandoned.exchange(true) && one.parent != nullptr &&
                          where->failure->code() == errc::cancelled;
    if (withdraw) {
      home_.cancel(one);
    }
    const auto& turn = static_cast<const envelope&>(*where->joined->waiting->root());
    if (one.is_wait && where->failure->code() == errc::deadline_exceeded && turn.deadline > now_) {
      where->failure.reset();  // the answer is that nobody raised it
    }
    where->propagate = where->propagate || (one.is_wait && where->failure);
    note_effect(one, where->failure ? &*where->failure : nullptr);
    unlink_open(one);
    drop(&one);
    if (--where->joined->left == 0) {
      auto* waiting = where->joined->waiting;
      if (where->failure && where->propagate) {
        waiting->fail(std::move(*where->failure));
      }
      resume_turn(static_cast<envelope&>(*waiting->root()), waiting);
    }
  }
}

void activation::expire_open() {
  end_open([this](const envelope& one) -> std::optional<error> {
    if (one.deadline > now_) {
      return std::nullopt;
    }
    return error{errc::deadline_exceeded, one.interface != nullptr
                                              ? "no answer by the deadline from " + name_of(one)
                                              : "offloaded work did not end by the deadline"};
  });
}

void activation::stay_active(duration limit) {
  stay_until_ = time_after(now_, limit);
  need_alarm(std::max(time_after(now_, idle_timeout()), stay_until_));
}

void activation::erase_state() {
  const auto set = state_.reminders();
  for (const auto& [name, reminder] : set) {
    cancel_reminder(name);
  }
  state_.erase_root_and_records();
  const auto kept = current_ != nullptr ? thread_->segment.idle_timeout : std::nullopt;
  const auto before = kept.value_or(idle_timeout_);
  set_idle_timeout(duration{});
  if (current_ != nullptr) {
    thread_->segment.idle_timeout = before;
  }
}

void activation::set_idle_timeout(std::optional<duration> limit) {
  if (current_ != nullptr) {
    thread_->segment.idle_timeout.reset();  // what the method says itself stays, also if it fails
  }
  idle_timeout_ = limit ? std::optional{std::max(*limit, duration{})} : std::nullopt;
  need_alarm(time_after(now_, idle_timeout()));
}

void activation::set_timer(std::string name, duration delay, duration every) {
  cancel_timer(name);
  const auto due = time_after(now_, std::max(delay, duration{}));
  timers_.push_back({++timers_set_, std::move(name), due, every, false});
  need_alarm(due);
}

void activation::cancel_timer(std::string_view name) {
  std::erase_if(timers_, [&](const auto& each) { return each.name == name; });
}

activation::named_timer* activation::find_timer(const envelope& turn) noexcept {
  const auto found = std::find_if(timers_.begin(), timers_.end(),
                                  [&](const auto& each) { return each.number == turn.number(); });
  return found != timers_.end() ? &*found : nullptr;
}

void activation::fire_timers() {
  for (auto& each : timers_) {
    if (!each.queued && each.due <= now_) {
      each.queued = true;
      if (each.every > duration{}) {
        const auto missed = (now_ - each.due) / each.every;
        each.due = time_after(each.due, (missed + 1) * each.every);  // on its grid
      }
      auto* turn = own_turn(envelope_kind::timer, each.name);
      turn->extra().number = each.number;
      inbox_.push(turn);
    }
  }
}

void activation::timer_ended(const envelope& turn) {
  auto* const ended = find_timer(turn);
  if (ended == nullptr) {
    return;  // cancelled or replaced meanwhile
  }
  if (ended->every == duration{}) {
    timers_.erase(timers_.begin() + (ended - timers_.data()));
    return;
  }
  ended->queued = false;
  need_alarm(ended->due);
}

}  // namespace millrace::runtime::detail
