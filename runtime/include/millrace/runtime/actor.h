// SPDX-License-Identifier: MIT
// The actor API: what the author of an actor writes against.
//
// An actor type is a Cap'n Proto interface and a class that implements the base generated from it:
//
//     class counter final : public counter_base<CounterState> {
//       async<add_results> add(add_params params) override {
//         edit().setTotal(state().getTotal() + params.amount());
//         co_return add_results{state().getTotal()};
//       }
//     };
//
// One message at a time: while a method is suspended at `co_await`, the activation admits only what
// the schema allows ($readOnly beside $readOnly, $reentrant beside anything). Code never waits for
// the disk: a turn ends, its changes are queued as one atomic commit, and everything that the turn
// sends (its answer, calls, sends) leaves the activation when that commit is durable. When a commit
// fails, the outputs are dropped and the activation ends; the next message loads what was
// committed.
//
// A method that fails (by an exception, by `fail`, by an error that it returns: all the same)
// leaves nothing of what it has changed, sent, told and reminded of since it last suspended. What
// it did before it suspended stays, and a failure that would say that nothing was done is then told
// as `outcome_unknown`. So a method that changes everything after its last `co_await` takes effect
// wholly or not at all. Members of the class are the author's own: they are as the method left
// them, but after an exception the activation ends, and what waits for it goes to a fresh one.
//
// Threading: an actor object is used by one thread at a time, in its activation's turns only.
#pragma once

#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "millrace/runtime/async.h"
#include "millrace/runtime/call.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/ids.h"
#include "millrace/runtime/interface.h"
#include "millrace/runtime/message.h"
#include "millrace/runtime/offload.h"
#include "millrace/runtime/trace.h"

namespace millrace::runtime {

class actor_base;

/// A reference to one actor; the same inside actors and outside.
template <class Interface>
[[nodiscard]] actor_ref<Interface> ref(std::string key) {
  return actor_ref<Interface>{std::move(key)};
}

/// The longest name of a timer, a reminder, a signal or a map.
inline constexpr std::size_t name_bytes_max = 64;

/// The longest key of a map record; beside the actor's hash and the map's name it fits a row key.
inline constexpr std::size_t map_key_bytes_max = 400;

/// Why an activation ends.
enum class deactivation : std::uint8_t {
  idle,       ///< Nothing arrived for the idle timeout, or others need the memory.
  requested,  ///< The actor or an operator asked for it.
  stopping,   ///< The silo stops.
};

/// What becomes of the times of a repeating reminder that passed while it could not fire.
enum class catch_up : std::uint8_t {
  once,  ///< It fires once for all of them.
  skip,  ///< They are dropped: it fires at its next time.
  all,   ///< It fires once for each, in order; `reminder_due` tells which.
};

/// When a reminder fires. Without `every` and `cron`: once, at `first`.
struct reminder_schedule {
  wall_time first{};              ///< With `cron`: not before; the epoch: from now on.
  duration every{};               ///< Its grid; at least a millisecond.
  std::string cron = {};          ///< Five or six fields, see docs/reference/cron.md.
  std::string time_zone = "UTC";  ///< Of `cron`; an IANA name.
  runtime::catch_up catch_up = runtime::catch_up::once;  ///< Of times that were missed.
};

/// A reminder that is set.
struct reminder_info {
  std::string name;       ///< As it was set.
  wall_time due;          ///< Its next firing.
  duration every{};       ///< Zero: it has no grid.
  std::string cron;       ///< Empty: it has none.
  std::string time_zone;  ///< Of `cron`.
};

namespace detail {

class activation;
class map_base;
class paged_map_base;

/// A method that has been called and not yet run: the coroutine, and how to take its results.
class pending_method {
public:
  template <class Results>
  pending_method(async<Results> coroutine) {
    auto handle = coroutine.release();
    if (handle) {
      handle_ = handle;
      promise_ = &handle.promise();
      take_ = [](promise_base& promise_of) -> any_message {
        if constexpr (std::is_void_v<Results>) {
          static_cast<void>(promise_of);
          return {};
        } else if constexpr (std::is_same_v<Results, any_message>) {
          return static_cast<promise<Results>&>(promise_of).take();
        } else {
          return static_cast<promise<Results>&>(promise_of).take().take();
        }
      };
    }
  }
  pending_method(pending_method&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)),
        promise_(std::exchange(other.promise_, nullptr)),
        take_(other.take_) {}
  pending_method& operator=(pending_method&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(promise_, other.promise_);
    std::swap(take_, other.take_);
    return *this;
  }
  pending_method(const pending_method&) = delete;
  pending_method& operator=(const pending_method&) = delete;
  ~pending_method() {
    if (handle_) {
      handle_.destroy();
    }
  }

  /// Awaiting it runs it and gives its results; a failure ends the awaiting coroutine.
  [[nodiscard]] bool await_ready() const noexcept { return promise_ == nullptr; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> parent) noexcept {
    promise_->start_below(parent.promise());
  }
  [[nodiscard]] any_message await_resume() { return take(); }

  /// Null for one that ended without a frame.
  [[nodiscard]] promise_base* promise_of() const noexcept { return promise_; }
  /// Requires: it ended without a failure.
  [[nodiscard]] any_message take() {
    return promise_ != nullptr ? take_(*promise_) : any_message{};
  }

private:
  std::coroutine_handle<> handle_{};
  promise_base* promise_ = nullptr;
  any_message (*take_)(promise_base&) = nullptr;
};

/// Suspends until the signal is raised or the time is up.
class signal_wait {
public:
  signal_wait(std::string name, duration limit) : name_(std::move(name)), limit_(limit) {}
  [[nodiscard]] static bool await_ready() noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) {
    start(self.promise());
  }
  /// Whether the signal was raised (otherwise the time was up).
  [[nodiscard]] bool await_resume() const noexcept { return where_.answer_is_signal; }

private:
  void start(promise_base& waiting);
  std::string name_;
  duration limit_;
  join join_;
  waiter where_;
};

}  // namespace detail

/// While it lives, calls that its method makes may come back to the actor, see `allow_reentry`.
///
/// Ownership: kept in a local variable of the method (or of a coroutine that the method awaits).
class [[nodiscard]] reentry_scope {
public:
  /// For `actor_base::allow_reentry`.
  explicit reentry_scope(detail::turn_root& turn) noexcept;
  reentry_scope(const reentry_scope&) = delete;
  reentry_scope& operator=(const reentry_scope&) = delete;
  ~reentry_scope();

private:
  detail::turn_root& turn_;
};

/// What every actor has, whatever its interface.
///
/// Everything here is called from the actor's own methods and hooks.
class actor_base {
public:
  actor_base();
  actor_base(const actor_base&) = delete;
  actor_base& operator=(const actor_base&) = delete;
  virtual ~actor_base();

  /// Before the first message, with the state loaded. A failure ends the activation and is the
  /// answer to every waiting caller.
  virtual async<> on_activate() { return {}; }

  /// Before the activation is discarded, when it is idle. Not called after a crash or a failed
  /// commit, so nothing durable may depend on it. A failure is logged.
  virtual async<> on_deactivate(deactivation /*why*/) { return {}; }

  /// A timer fired. Runs exclusively. A failure is logged, and drops what a method's would.
  virtual async<> on_timer(std::string /*name*/) { return {}; }

  /// A reminder is due. Runs exclusively, at least once: the reminder is removed (or set to its
  /// next time) in the same commit as the last changes made here. A failure is logged and the
  /// reminder is tried again after a while, unless the hook had suspended with changes: these stay,
  /// so the reminder is over (or set to its next time).
  virtual async<> on_reminder(std::string /*name*/) { return {}; }

  /// For the generated base: starts method `ordinal`.
  [[nodiscard]] virtual detail::pending_method dispatch(std::uint16_t ordinal,
                                                        any_message params) = 0;

protected:
  /// This actor's key.
  [[nodiscard]] const std::string& key() const noexcept;
  /// This actor's type and key.
  [[nodiscard]] actor_id id() const;
  /// The time of day by the silo's clock; the one to use, so that tests move it.
  [[nodiscard]] wall_time now() const;

  /// What came with the call that runs, and goes with the calls it makes; empty in hooks. Answers
  /// do not bring anything back. Not stored: a `send` that is repeated after a crash has none.
  [[nodiscard]] const request_context& context() const;

  /// Where in a trace the method that runs stands, see trace.h: what `context()` says. Nothing in
  /// hooks, and where nobody asked for one.
  [[nodiscard]] std::optional<trace_context> trace() const;
  /// Whether the spans of a trace that begins in this actor are to be told.
  [[nodiscard]] bool samples(const trace_id& trace) const;
  /// Tells the silo's sink of a span of a sampled trace, once this turn's changes are durable; not
  /// if the turn fails. No effect where the silo has no sink. Calls have spans without this.
  void tell_span(span what);

  /// Durable and at least once: the call is stored in the same commit as this turn's changes, is
  /// made until it is answered, and takes effect once (the receiver remembers its number in the
  /// commit of the effect). Calls to one receiver arrive in order. `unavailable`, `overloaded`,
  /// unknown outcomes and lost silos are retried for `silo_options::send_retry_max`, another
  /// failure a few times; then the call moves to the dead letters and a warning is logged. The
  /// answer is ignored. With a timeout, each try has that long at the receiver. A receiver that
  /// suspends with changes has several commits: when it fails then, the call is a dead letter at
  /// once and is not made again; when the silo dies between them, the method runs again from its
  /// start. Errors: `invalid_argument` ends the coroutine for a key that cannot be and for an
  /// idempotency key, `too_large` for parameters over the record limit.
  template <class T>
  void send(call<T> message) {
    send_spec(std::move(message.spec()));
  }

  /// Not durable, at most once, no answer: it is lost without a word where the actor's silo is,
  /// cannot be reached, or takes no more. It still leaves only after this turn's commit.
  template <class T>
  void tell(call<T> message) {
    tell_spec(std::move(message.spec()));
  }

  /// Calls `on_timer(name)` after `after` and then every `every` (zero: once). In memory: ends with
  /// the activation, and does not keep it from being idle. Replaces a timer of the same name.
  /// Errors: `invalid_argument` ends the coroutine for a name that is empty or over the limit; so
  /// do reminders.
  void set_timer(std::string name, duration after, duration every = {});
  /// No effect when there is none of that name.
  void cancel_timer(std::string_view name);

  /// Calls `on_reminder(name)` at `due`, in whatever process the actor then lives, and then every
  /// `every` (zero: once). Stored with this turn's changes. Replaces a reminder of the same name.
  /// A repeating reminder that missed several times fires once and keeps its grid.
  void set_reminder(std::string name, wall_time due, duration every = {});

  /// The same by a schedule. A time counts as missed when it cannot be kept within a minute, or not
  /// before the next. Errors: `invalid_argument` ends the coroutine for a schedule that cannot be;
  /// the text names the place.
  /// Cost: the first use of a time zone in a silo reads its file.
  void set_reminder(std::string name, const reminder_schedule& when);

  /// No effect when there is none of that name. Stored with this turn's changes.
  void cancel_reminder(std::string_view name);

  /// Every reminder that is set, by name.
  [[nodiscard]] std::vector<reminder_info> reminders() const;
  /// The time of a set reminder; the epoch when there is none.
  [[nodiscard]] wall_time reminder_due(std::string_view name) const;

  /// Suspends until `notify(name)` or until `limit` has passed (or the call's own deadline); true
  /// when it was notified. The way to answer a long poll: mark the method $reentrant. With an empty
  /// name nobody can notify it: time passes.
  /// Errors: `unavailable` ends the coroutine when the silo stops; `call_cycle` at once when it has
  /// a name and keeps out everybody who might notify it: the method is not $reentrant and none of
  /// the interface is, or the actor begins or ends.
  [[nodiscard]] static detail::signal_wait wait(std::string name, duration limit) {
    return {std::move(name), limit};
  }
  /// Resumes everyone who waits for `name` now.
  void notify(std::string_view name);

  /// Lets the chains of calls that the running method makes come back to this actor: what returns
  /// passes by the turns of its own chain, and by no others, and may change the state that they
  /// have read. Not in `on_activate` and `on_deactivate`. Without it such a call ends with
  /// `call_cycle`. Every turn of this actor on the chain must have made its call in a scope of its
  /// own.
  ///
  ///     const auto scope = allow_reentry();
  ///     co_await ref<Reviewer>("r").review(key());   // may call this actor back
  ///
  /// Requires: not in a constructor.
  reentry_scope allow_reentry();

  /// Whether nobody waits for the answer of the method that runs any more: the caller cancelled it
  /// or ended, or the deadline has passed. The method's open calls and waits have then ended with
  /// `cancelled` or `deadline_exceeded`, and so will new ones; sends and tells still go.
  [[nodiscard]] bool cancelled() const noexcept;

  /// Keeps the activation from being collected as idle for this long from now, whatever the idle
  /// timeout and the memory budget; zero takes that back.
  void stay_active(duration limit);

  /// Collects this activation when nothing has arrived for `limit`, whatever the idle timeout of
  /// its type and of the silo; zero: as soon as it is idle. Nothing: as they say again. For actors
  /// whose work is over, or that have found nothing: what has ended need not stay in memory until
  /// it is the longest unused. Ends with the activation.
  void set_idle_timeout(std::optional<duration> limit);

  /// Ends the activation once it has nothing to do.
  void deactivate_when_idle();

  /// Erases what this actor has stored: its root, every record of its maps, its reminders. What it
  /// has sent still arrives, and it still knows the deliveries and the keyed calls that it has had;
  /// once nobody can ask for these any more (their senders have forgotten them, the keys expired),
  /// no row of it is left. The next call finds default values, as of an actor that never was.
  ///
  /// Part of this turn's changes, and what is changed after it in the turn is stored again. The
  /// activation leaves as soon as it is idle; until then the object serves, so reset its members
  /// too. Records of a `paged_map` stay: erase them first, page by page.
  /// Errors: in a $readOnly method the method ends with `internal`.
  void erase_state();

  /// Grows by one with each commit of this actor; the value that this turn's changes will have is
  /// one more. Never used again: an actor that has nothing stored is at zero, or, where others of
  /// its partition were erased, above what any of these had.
  [[nodiscard]] std::uint64_t version() const noexcept;

  /// For callers that change what they have read: ends the coroutine with `conflict` unless
  /// `version()` is still what they saw; zero: unless nothing is stored.
  void require_version(std::uint64_t expected) const;

  /// Marks the root changed / gives it; for `actor<State>`.
  [[nodiscard]] message_body& state_for_edit();
  /// For `actor<State>`: the root as it is; null while it has its default values.
  [[nodiscard]] message_body* state_body() const noexcept;

private:
  friend class detail::activation;
  friend class detail::map_base;
  friend class detail::paged_map_base;
  void send_spec(call_spec&& spec);
  void tell_spec(call_spec&& spec);

  detail::activation* activation_;
};

/// An actor with a durable root of type State, a struct generated by capnpc.
template <class State>
class actor : public actor_base {
public:
  /// The struct of the durable root.
  using state_type = State;

protected:
  /// The state, with this turn's changes. Valid until the next `edit()` or `co_await`.
  [[nodiscard]] typename State::Reader state() const {
    auto* body = state_body();
    return body != nullptr ? body->template getRoot<State>().asReader() : typename State::Reader{};
  }

  /// The state to be changed; what was changed is committed at the end of this turn. Call it again
  /// after each `co_await`.
  /// Errors: in a $readOnly method the method ends with `internal` and nothing is changed.
  [[nodiscard]] typename State::Builder edit() {
    return state_for_edit().template getRoot<State>();
  }
};

/// An actor without a durable root: `foo_base<no_state>`.
struct no_state {};
template <>
class actor<no_state> : public actor_base {};

}  // namespace millrace::runtime
