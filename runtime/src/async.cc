// SPDX-License-Identifier: MIT
#include "millrace/runtime/async.h"

namespace millrace::runtime::detail {

namespace {
// The child that the coroutine running on this thread has just begun to await.
thread_local promise_base* next_child = nullptr;
}  // namespace

void run_next(promise_base* child) noexcept {
  next_child = child;
}

void promise_base::unhandled_exception() noexcept {
  try {
    throw;
  } catch (const error& failure) {
    failure_ = failure;
  } catch (const std::exception& thrown) {
    failure_ = error{errc::internal, std::string{"exception in an actor: "} + thrown.what()};
    root_->threw = true;
  } catch (...) {
    // kj::Exception is a std::exception only when thrown by KJ itself; anything else has no text.
    failure_ = error{errc::internal, "exception of unknown type in an actor"};
    root_->threw = true;
  }
}

void run(promise_base* next) {
  while (next != nullptr) {
    if (!next->ended_) {
      next->self_.resume();
      if (auto* child = std::exchange(next_child, nullptr)) {
        next = child;
        continue;
      }
    }
    if (!next->ended_) {
      return;  // waits for an answer
    }
    if (next->lacks_value_ && !next->failure_) {
      next->failure_ = error{errc::internal, "a coroutine has ended without co_return of a value"};
      next->root_->threw = true;  // as if it had: nobody knows what else its author forgot
    }
    auto* parent = next->parent_;
    if (parent == nullptr) {
      next->root_->done = true;
      return;
    }
    if (next->failure_ && !next->wants_result_) {
      parent->fail(std::move(*next->failure_));
    }
    next = parent;
  }
}

}  // namespace millrace::runtime::detail
