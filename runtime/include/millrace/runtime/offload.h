// SPDX-License-Identifier: MIT
// Offload: work that blocks or computes for long, away from the threads that run turns.
//
//     auto sum = co_await offload(&digest_of, std::move(bytes));
//
// It begins when what the turn has changed is durable, as a call leaves then, and runs on a thread
// of the silo's pool while the actor's coroutine waits: other calls are admitted only as the schema
// allows. It must own what it uses, since the activation may end before it does. What it throws
// ends the coroutine: an `error` as it is, anything else as `internal`.
#pragma once

#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "millrace/runtime/call.h"

namespace millrace::runtime {

namespace detail {

/// What the pool runs; shared by the pool and the coroutine that waits.
class offloaded_work {
public:
  offloaded_work() = default;
  offloaded_work(const offloaded_work&) = delete;
  offloaded_work& operator=(const offloaded_work&) = delete;
  virtual ~offloaded_work() = default;
  virtual void run() = 0;
};

/// Hands `work` to the pool from the activation whose turn this is.
void start_offload(turn_root& root, std::shared_ptr<offloaded_work> work, waiter& where);

template <class Function, class T>
class offloaded_function final : public offloaded_work {
public:
  explicit offloaded_function(Function function) : function_(std::move(function)) {}
  void run() override {
    if constexpr (std::is_void_v<T>) {
      function_();
    } else {
      value_.emplace(function_());
    }
  }
  [[nodiscard]] T take() {
    if constexpr (!std::is_void_v<T>) {
      return *std::move(value_);
    }
  }

private:
  struct nothing {};
  Function function_;
  std::optional<std::conditional_t<std::is_void_v<T>, nothing, T>> value_;
};

template <class Function>
class offload_awaiter {
public:
  using value_type = std::invoke_result_t<Function&>;
  using work_type = offloaded_function<Function, value_type>;

  explicit offload_awaiter(Function function, bool propagate = true)
      : work_(std::make_shared<work_type>(std::move(function))) {
    where_.propagate = propagate;
  }
  /// Requires: not awaited yet.
  offload_awaiter(offload_awaiter&& other) noexcept : work_(std::move(other.work_)) {
    where_.propagate = other.where_.propagate;
  }
  offload_awaiter(const offload_awaiter&) = delete;
  offload_awaiter& operator=(const offload_awaiter&) = delete;
  offload_awaiter& operator=(offload_awaiter&&) = delete;
  ~offload_awaiter() = default;
  [[nodiscard]] static bool await_ready() noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) {
    join_.waiting = &self.promise();
    join_.left = 1;
    where_.joined = &join_;
    start_offload(*self.promise().root(), work_, where_);
  }
  value_type await_resume() { return work_->take(); }

protected:
  std::shared_ptr<work_type> work_;
  join join_;
  waiter where_;
};

template <class Function>
class offload_as_result : public offload_awaiter<Function> {
public:
  using typename offload_awaiter<Function>::value_type;
  explicit offload_as_result(offload_awaiter<Function>&& inner)
      : offload_awaiter<Function>(std::move(inner)) {
    this->where_.propagate = false;
  }
  result<value_type> await_resume() {
    if (this->where_.failure) {
      return std::move(*this->where_.failure);
    }
    if constexpr (std::is_void_v<value_type>) {
      return {};
    } else {
      return this->work_->take();
    }
  }
};

}  // namespace detail

/// `co_await offload(function, args...)` gives what `function(args...)` returns. Copies or moves
/// both, and calls it with the arguments as rvalues.
///
/// Errors, which end the coroutine (or are the result of `as_result(offload(...))`): what the
/// function throws; `overloaded` when `silo_options::offload_queue_max` functions wait already;
/// `deadline_exceeded` and `cancelled` as for calls, while the function runs on and its value is
/// dropped.
/// Time: a silo that stops waits for functions that run; those that wait are dropped.
/// Cost: two thread switches, about 10 us.
template <class Function, class... Args>
[[nodiscard]] auto offload(Function function, Args&&... args) {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
  static_assert(std::is_trivially_destructible_v<Function>,
                "g++ 12 destroys a closure twice that is made within a co_await expression: give "
                "what it owns as arguments, offload([](std::string text) {...}, std::move(text))");
#endif
  if constexpr (sizeof...(Args) == 0) {
    return detail::offload_awaiter<Function>{std::move(function)};
  } else {
    auto bound = [function = std::move(function),
                  held = std::tuple<std::decay_t<Args>...>{std::forward<Args>(args)...}]() mutable
        -> decltype(auto) { return std::apply(function, std::move(held)); };
    return detail::offload_awaiter<decltype(bound)>{std::move(bound)};
  }
}

/// `co_await as_result(offload(function))` gives a `result` instead of ending the coroutine.
template <class Function>
[[nodiscard]] detail::offload_as_result<Function> as_result(
    detail::offload_awaiter<Function> offloaded) {
  return detail::offload_as_result<Function>{std::move(offloaded)};
}

}  // namespace millrace::runtime
