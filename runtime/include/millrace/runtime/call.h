// SPDX-License-Identifier: MIT
// Calls: a message to an actor, and the ways to wait for its answer.
//
// A generated reference makes `call<T>` values; nothing happens until one is used:
//
//     auto answer = co_await ref<Counter>("c1").add(5);             // ends this coroutine on
//     failure auto tried = co_await as_result(ref<Counter>("c1").add(5));   // result<add_results>
//     auto many = co_await all(std::move(calls));                   // vector<result<T>>, in order
//     send(ref<Counter>("c1").add(5));                              // durable, see actor.h
//
// A call runs at most once. Its deadline is the earlier of its own and the one of the call it is
// made from; when it passes, the caller gets `deadline_exceeded`, and a callee that has not started
// never will. With an idempotency key the call takes effect at most once however often it is sent:
// one that failed without an effect may be sent again; one that changed state, suspended and then
// failed, or was cut off by the end of its silo, answers `outcome_unknown` from then on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/runtime/async.h"
#include "millrace/runtime/interface.h"
#include "millrace/runtime/message.h"

namespace millrace::runtime {

/// What travels down a call chain beside the parameters: a trace, a tenant. Short texts by name.
using request_context = std::map<std::string, std::string, std::less<>>;

/// Everything about a call but the type of its answer.
struct call_spec {
  const interface_info* interface = nullptr;  ///< Of the receiver. Requires: not null.
  std::string key;                            ///< Of the receiver.
  std::uint16_t method = 0;                   ///< The method's ordinal.
  any_message params;                         ///< Of the method's params type.
  duration timeout{};                         ///< Zero: the method's default.
  std::string idempotency_key;                ///< Empty: none. At most 200 bytes.
  /// Added to the context of the call it is made from; null: nothing.
  std::shared_ptr<const request_context> context = nullptr;
};

/// The longest idempotency key.
inline constexpr std::size_t idempotency_key_bytes_max = 200;

namespace detail {

/// Counts the answers a coroutine still waits for.
struct join {
  promise_base* waiting = nullptr;
  std::uint32_t left = 0;
};

/// Where one answer arrives; lives in the awaiting coroutine's frame.
///
/// Ownership: linked from the activation's list of open calls until it is answered or destroyed.
class waiter {
public:
  waiter() = default;
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;
  ~waiter();

  join* joined = nullptr;
  bool propagate = false;  ///< A failure ends the waiting coroutine.
  any_message answer;
  std::optional<error> failure;
  bool answer_is_signal = false;  ///< For `signal_wait`.
  void* open_call = nullptr;      ///< The runtime's record while the call is open.
};

/// Sends `spec` from the activation whose turn this is.
void start_call(turn_root& root, call_spec&& spec, waiter& where);

template <class T>
[[nodiscard]] T answer_as(any_message&& answer) {
  if constexpr (!std::is_void_v<T>) {
    return T{std::move(answer)};
  }
}

}  // namespace detail

/// A call that has not been sent. T is the generated results type, or void.
template <class T>
class [[nodiscard]] call {
public:
  /// What its answer holds.
  using value_type = T;

  /// For generated references. Requires: the method's results are a T.
  explicit call(call_spec spec) : spec_(std::move(spec)) {}

  /// The same call with its own deadline, counted from the moment it is sent.
  [[nodiscard]] call timeout(duration limit) && {
    spec_.timeout = limit;
    return std::move(*this);
  }

  /// The same call, executed at most once for this key and these parameters.
  [[nodiscard]] call keyed(std::string idempotency_key) && {
    spec_.idempotency_key = std::move(idempotency_key);
    return std::move(*this);
  }

  /// The same call with an entry in its request context, which everything that it calls has too.
  [[nodiscard]] call with(std::string_view name, std::string value) && {
    auto more = spec_.context ? request_context{*spec_.context} : request_context{};
    more.insert_or_assign(std::string{name}, std::move(value));
    spec_.context = std::make_shared<const request_context>(std::move(more));
    return std::move(*this);
  }

  /// The call without its type, as `silo::call_then` takes it.
  [[nodiscard]] call_spec& spec() noexcept { return spec_; }

  class awaiter {
  public:
    awaiter(call_spec* spec, bool propagate) noexcept : spec_(spec) {
      where_.propagate = propagate;
    }
    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> self) {
      join_.waiting = &self.promise();
      join_.left = 1;
      where_.joined = &join_;
      detail::start_call(*self.promise().root(), std::move(*spec_), where_);
    }
    T await_resume() { return detail::answer_as<T>(std::move(where_.answer)); }

  protected:
    call_spec* spec_;
    detail::join join_;
    detail::waiter where_;
  };

  class result_awaiter : public awaiter {
  public:
    using awaiter::awaiter;
    result<T> await_resume() {
      if (this->where_.failure) {
        return std::move(*this->where_.failure);
      }
      if constexpr (std::is_void_v<T>) {
        return {};
      } else {
        return T{std::move(this->where_.answer)};
      }
    }
  };

  /// Sends it and waits for the answer; a failure ends the awaiting coroutine.
  [[nodiscard]] awaiter operator co_await() noexcept { return awaiter{&spec_, true}; }
  [[nodiscard]] result_awaiter result_awaiter_of() noexcept {
    return result_awaiter{&spec_, false};
  }

private:
  call_spec spec_;
};

namespace detail {

template <class T>
class call_as_result {
public:
  explicit call_as_result(call<T> inner) noexcept : inner_(std::move(inner)) {}
  [[nodiscard]] auto operator co_await() noexcept { return inner_.result_awaiter_of(); }

private:
  call<T> inner_;
};

/// Sends every call at once and resumes when the last has been answered.
template <class T>
class all_awaiter {
public:
  explicit all_awaiter(std::vector<call<T>> calls)
      : calls_(std::move(calls)), waiters_(calls_.size()) {}
  [[nodiscard]] bool await_ready() const noexcept { return calls_.empty(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) {
    join_.waiting = &self.promise();
    join_.left = static_cast<std::uint32_t>(calls_.size());
    for (std::size_t at = 0; at < calls_.size(); ++at) {
      waiters_[at].joined = &join_;
      start_call(*self.promise().root(), std::move(calls_[at].spec()), waiters_[at]);
    }
  }
  std::vector<result<T>> await_resume() {
    std::vector<result<T>> answers;
    answers.reserve(waiters_.size());
    for (auto& each : waiters_) {
      if (each.failure) {
        answers.emplace_back(std::move(*each.failure));
      } else if constexpr (std::is_void_v<T>) {
        answers.emplace_back();
      } else {
        answers.emplace_back(T{std::move(each.answer)});
      }
    }
    return answers;
  }

private:
  std::vector<call<T>> calls_;
  std::vector<waiter> waiters_;
  join join_;
};

}  // namespace detail

/// `co_await as_result(call)` gives a `result<T>` instead of ending the awaiting coroutine.
template <class T>
[[nodiscard]] detail::call_as_result<T> as_result(call<T> one) {
  return detail::call_as_result<T>{std::move(one)};
}

/// `co_await all(calls)` sends them all and gives their results in order.
template <class T>
[[nodiscard]] detail::all_awaiter<T> all(std::vector<call<T>> calls) {
  return detail::all_awaiter<T>{std::move(calls)};
}

/// A typed reference to one actor; generated for every actor interface. Naming an actor costs
/// nothing and always works: the actor is activated by the first message.
template <class Interface>
class actor_ref;

}  // namespace millrace::runtime
