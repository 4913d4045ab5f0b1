// SPDX-License-Identifier: MIT
// A function to run once, on another thread, that may own what it captures.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace millrace::gateway::http {

/// A move-only `void()` (std::function needs copies, std::move_only_function is C++23).
///
/// Cost: one allocation.
class task {
public:
  task() = default;

  template <std::invocable F>
  requires(!std::same_as<std::remove_cvref_t<F>, task>)
      // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): constrained against it
      task(F&& function)
      : body_(std::make_unique<model<std::remove_cvref_t<F>>>(std::forward<F>(function))) {}

  explicit operator bool() const noexcept { return body_ != nullptr; }

  /// Requires: holds a function.
  void operator()() { body_->run(); }

private:
  struct concept_base {
    concept_base() = default;
    concept_base(const concept_base&) = delete;
    concept_base& operator=(const concept_base&) = delete;
    virtual ~concept_base() = default;
    virtual void run() = 0;
  };
  template <class F>
  struct model final : concept_base {
    explicit model(F&& held) : function(std::move(held)) {}
    explicit model(const F& held) : function(held) {}
    void run() override { function(); }
    F function;
  };

  std::unique_ptr<concept_base> body_;
};

}  // namespace millrace::gateway::http
