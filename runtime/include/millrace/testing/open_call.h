// SPDX-License-Identifier: MIT
// Open calls: calls of a test whose answers it looks at later.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "millrace/runtime/message.h"
#include "millrace/runtime/result.h"

namespace millrace::testing {

namespace detail {

struct open_answer;

/// Whoever made a call. Each member settles.
class call_home {
public:
  call_home() = default;
  call_home(const call_home&) = delete;
  call_home& operator=(const call_home&) = delete;
  virtual ~call_home() = default;
  [[nodiscard]] virtual bool has_answer(open_answer& of) = 0;
  [[nodiscard]] virtual runtime::result<runtime::any_message> take_answer(open_answer& of) = 0;
  virtual void cancel(open_answer& of) = 0;
};

}  // namespace detail

/// A call that was begun with `test_silo::begin` or `test_cluster::begin`.
///
/// Requires: whoever made it lives.
template <class T>
class open_call {
public:
  /// Made by `begin`.
  open_call(detail::call_home& home, std::shared_ptr<detail::open_answer> of) noexcept
      : home_(&home), of_(std::move(of)) {}

  /// Whether the answer is there. A silo that has stopped has answered.
  [[nodiscard]] bool answered() { return home_->has_answer(*of_); }

  /// The answer; once. Throws when there is none, because only time or the test can bring it.
  [[nodiscard]] runtime::result<T> answer() {
    auto answer = home_->take_answer(*of_);
    if (!answer) {
      return std::move(answer).error();
    }
    if constexpr (std::is_void_v<T>) {
      return {};
    } else {
      return T{*std::move(answer)};
    }
  }

  /// As `call_handle::cancel`. Requires: its silo has not been stopped since.
  void cancel() { home_->cancel(*of_); }

private:
  detail::call_home* home_;
  std::shared_ptr<detail::open_answer> of_;
};

}  // namespace millrace::testing
