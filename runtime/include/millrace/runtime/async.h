// SPDX-License-Identifier: MIT
// `async<T>`: the coroutine type of actor methods.
//
// A method is a coroutine that runs inside its activation's turns. It starts when it is awaited (or
// when the runtime dispatches it), suspends at each `co_await` and is resumed by its activation
// only, so it never needs a lock. It ends with a value or an `error`:
//
//     async<std::int64_t> doubled(std::string key) {
//       auto answer = co_await ref<Counter>(key).get();   // on failure this coroutine ends with it
//       if (answer.total() < 0) co_return error{errc::failed_precondition, "negative"};
//       co_return answer.total() * 2;
//     }
//
// Awaiting propagates failures the way exceptions would, without exceptions: the awaiting coroutine
// ends with the same error and its locals are destroyed. To branch on the error instead, await
// `as_result(...)`. `co_await fail(error{...})` ends any coroutine; one with a value may also
// `co_return error{...}`. An exception that escapes a coroutine becomes `errc::internal`, a thrown
// `error` stays what it is. What a method that fails leaves behind: actor.h.
//
// Resumption goes through one loop (`detail::run`), not through nested resumes, so the stack depth
// does not depend on how many coroutines complete in a row.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "millrace/runtime/assert.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {

template <class T>
class async;

namespace detail {

/// One dispatched method, timer or hook: the bottom of a stack of coroutines. The activation owns
/// it.
struct turn_root {
  bool done = false;   ///< After `run`: the bottom coroutine has ended.
  bool threw = false;  ///< Since the activation reset it: an exception has escaped a coroutine.
};

/// What every `async<T>` promise has in common.
class promise_base {
public:
  promise_base() = default;
  promise_base(const promise_base&) = delete;
  promise_base& operator=(const promise_base&) = delete;
  ~promise_base() = default;

  [[nodiscard]] static std::suspend_always initial_suspend() noexcept { return {}; }

  struct final_awaiter {
    final_awaiter() noexcept {}
    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> self) noexcept {
      self.promise().ended_ = true;
    }
    static void await_resume() noexcept {}
  };
  [[nodiscard]] static final_awaiter final_suspend() noexcept { return {}; }

  void unhandled_exception() noexcept;

  /// Ends the coroutine with `failure` at its present suspension point without resuming it.
  void fail(error failure) {
    failure_ = std::move(failure);
    ended_ = true;
  }

  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] std::optional<error>& failure() noexcept { return failure_; }
  [[nodiscard]] turn_root* root() const noexcept { return root_; }
  void set_root(turn_root* root) noexcept { root_ = root; }

  /// Makes `run` resume this coroutine next, and `parent`, which awaits it, when it has ended.
  void start_below(promise_base& parent, bool wants_result = false) noexcept;

protected:
  friend void run(promise_base* next);
  template <class T>
  friend class runtime::async;

  std::coroutine_handle<> self_;
  promise_base* parent_ = nullptr;  // who awaits this coroutine; null at the bottom
  turn_root* root_ = nullptr;
  std::optional<error> failure_;
  bool ended_ = false;
  bool lacks_value_ = false;   // it gives one, and has not yet
  bool wants_result_ = false;  // the parent awaits as_result(): resume it even on failure
};

/// Resumes `next` and then whatever becomes ready through it, until all wait or the bottom ended.
///
/// Requires: called inside the owning activation's turn.
void run(promise_base* next);

/// Called by an awaiter that starts a child: `run` resumes it next.
void run_next(promise_base* child) noexcept;

inline void promise_base::start_below(promise_base& parent, bool wants_result) noexcept {
  parent_ = &parent;
  root_ = parent.root();
  wants_result_ = wants_result;
  run_next(this);
}

template <class T>
class promise final : public promise_base {
public:
  promise() {
    self_ = std::coroutine_handle<promise>::from_promise(*this);
    lacks_value_ = true;
  }
  async<T> get_return_object();
  void return_value(T value) {
    value_.emplace(std::move(value));
    lacks_value_ = false;
  }
  void return_value(error failure) { failure_ = std::move(failure); }
  void return_value(result<T> outcome) {
    if (outcome) {
      return_value(*std::move(outcome));
    } else {
      failure_ = std::move(outcome).error();
    }
  }
  [[nodiscard]] T take() {
    MILLRACE_ASSERT(value_.has_value());
    return std::move(*value_);
  }

private:
  std::optional<T> value_;
};

template <>
class promise<void> final : public promise_base {
public:
  promise() { self_ = std::coroutine_handle<promise>::from_promise(*this); }
  async<void> get_return_object();
  static void return_void() noexcept {}
};

}  // namespace detail

/// A coroutine that has not been awaited yet, or is owned by the coroutine that awaits it.
///
/// Ownership: destroying it destroys the frame, at whatever point it is suspended.
/// Threading: belongs to one activation; resumed in its turns only.
template <class T = void>
class [[nodiscard]] async {
public:
  /// For the compiler.
  using promise_type = detail::promise<T>;
  /// What awaiting it gives.
  using value_type = T;

  /// Already ended without a failure: what a hook that has nothing to do returns, without a frame.
  async() noexcept requires std::is_void_v<T>
  = default;
  /// For the compiler: owns `self`.
  explicit async(std::coroutine_handle<promise_type> self) noexcept : self_(self) {}
  /// Takes the coroutine; `other` is left ended.
  async(async&& other) noexcept : self_(std::exchange(other.self_, nullptr)) {}
  async(const async&) = delete;
  async& operator=(const async&) = delete;
  /// Swaps the coroutines.
  async& operator=(async&& other) noexcept {
    std::swap(self_, other.self_);
    return *this;
  }
  ~async() {
    if (self_) {
      self_.destroy();
    }
  }

  class awaiter_base {
  public:
    explicit awaiter_base(std::coroutine_handle<promise_type> child) noexcept : child_(child) {}
    [[nodiscard]] bool await_ready() const noexcept { return !child_; }

  protected:
    void start(detail::promise_base& parent, bool wants_result) noexcept {
      child_.promise().start_below(parent, wants_result);
    }
    std::coroutine_handle<promise_type> child_;
  };

  class awaiter : public awaiter_base {
  public:
    using awaiter_base::awaiter_base;
    template <class Parent>
    void await_suspend(std::coroutine_handle<Parent> parent) noexcept {
      this->start(parent.promise(), false);
    }
    T await_resume() {
      if constexpr (!std::is_void_v<T>) {
        return this->child_.promise().take();
      }
    }
  };

  class result_awaiter : public awaiter_base {
  public:
    using awaiter_base::awaiter_base;
    template <class Parent>
    void await_suspend(std::coroutine_handle<Parent> parent) noexcept {
      this->start(parent.promise(), true);
    }
    result<T> await_resume() {
      if constexpr (std::is_void_v<T>) {
        if (!this->child_) {
          return {};
        }
      }
      auto& child = this->child_.promise();
      if (child.failure()) {
        return std::move(*child.failure());
      }
      if constexpr (std::is_void_v<T>) {
        return {};
      } else {
        return child.take();
      }
    }
  };

  /// Runs it to its end; its failure ends the awaiting coroutine.
  [[nodiscard]] awaiter operator co_await() noexcept { return awaiter{self_}; }
  [[nodiscard]] result_awaiter result_awaiter_of() noexcept { return result_awaiter{self_}; }

  /// For the runtime: gives up ownership.
  [[nodiscard]] std::coroutine_handle<promise_type> release() noexcept {
    return std::exchange(self_, nullptr);
  }

private:
  std::coroutine_handle<promise_type> self_{};
};

namespace detail {

template <class T>
async<T> promise<T>::get_return_object() {
  return async<T>{std::coroutine_handle<promise>::from_promise(*this)};
}

inline async<void> promise<void>::get_return_object() {
  return async<void>{std::coroutine_handle<promise>::from_promise(*this)};
}

/// Holds the coroutine while it is awaited as a result.
template <class T>
class async_as_result {
public:
  explicit async_as_result(async<T> inner) noexcept : inner_(std::move(inner)) {}
  [[nodiscard]] auto operator co_await() noexcept { return inner_.result_awaiter_of(); }

private:
  async<T> inner_;
};

}  // namespace detail

/// `co_await as_result(coroutine)` gives a `result<T>` instead of ending the awaiting coroutine.
template <class T>
[[nodiscard]] detail::async_as_result<T> as_result(async<T> coroutine) {
  return detail::async_as_result<T>{std::move(coroutine)};
}

namespace detail {

class fail_awaiter {
public:
  explicit fail_awaiter(error failure) : failure_(std::move(failure)) {}
  [[nodiscard]] static bool await_ready() noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) {
    self.promise().fail(std::move(failure_));
  }
  [[noreturn]] static void await_resume() noexcept {
    assertion_failed("a failed coroutine was resumed", __FILE__, __LINE__);
  }

private:
  error failure_;
};

}  // namespace detail

/// `co_await fail(error{...})` ends the coroutine with the error.
[[nodiscard]] inline detail::fail_awaiter fail(error failure) {
  return detail::fail_awaiter{std::move(failure)};
}
/// The same, with the error made here.
[[nodiscard]] inline detail::fail_awaiter fail(errc code, std::string text) {
  return detail::fail_awaiter{error{code, std::move(text)}};
}

}  // namespace millrace::runtime
