// SPDX-License-Identifier: MIT
// `result<T>`: a value or an `error`; what every operation that may fail returns.
//
// libstdc++ 12 has no std::expected. This is the part of it we use, with the error type fixed.
// Reading the value of a failed result is a bug. In a turn of an actor it throws, so that the
// method fails with `internal` and its activation ends; elsewhere it stops the process with a line
// that has the error.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "millrace/runtime/assert.h"
#include "millrace/runtime/error.h"

namespace millrace::runtime {

namespace detail {
/// The value of a result that holds `why` was read.
[[noreturn]] void read_failed_result(const error& why);
}  // namespace detail

/// A `T` or the error that kept it from existing.
///
/// Threading: as safe as T.
template <class T>
class [[nodiscard]] result {
public:
  /// What a success holds.
  using value_type = T;

  /// Success.
  result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  /// Failure.
  result(runtime::error failure) : content_(std::in_place_index<1>, std::move(failure)) {}

  /// Whether it is a success.
  [[nodiscard]] bool has_value() const noexcept { return content_.index() == 0; }
  /// Whether it is a success.
  explicit operator bool() const noexcept { return has_value(); }

  /// Requires: has_value().
  [[nodiscard]] T& value() & {
    check();
    return *std::get_if<0>(&content_);
  }
  /// The same, to be read.
  [[nodiscard]] const T& value() const& {
    check();
    return *std::get_if<0>(&content_);
  }
  /// The same, to be moved from.
  [[nodiscard]] T&& value() && {
    check();
    return std::move(*std::get_if<0>(&content_));
  }
  /// As `value()`.
  [[nodiscard]] T& operator*() & { return value(); }
  /// As `value()`.
  [[nodiscard]] const T& operator*() const& { return value(); }
  /// As `value()`.
  [[nodiscard]] T&& operator*() && { return std::move(*this).value(); }
  /// As `value()`.
  [[nodiscard]] T* operator->() { return &value(); }
  /// As `value()`.
  [[nodiscard]] const T* operator->() const { return &value(); }

  /// Requires: !has_value().
  [[nodiscard]] const runtime::error& error() const& {
    MILLRACE_ASSERT(!has_value());
    return *std::get_if<1>(&content_);
  }
  /// The same, to be moved from.
  [[nodiscard]] runtime::error&& error() && {
    MILLRACE_ASSERT(!has_value());
    return std::move(*std::get_if<1>(&content_));
  }

private:
  void check() const {
    if (!has_value()) [[unlikely]] {
      detail::read_failed_result(*std::get_if<1>(&content_));
    }
  }
  std::variant<T, runtime::error> content_;
};

/// Success without a value, or an error.
template <>
class [[nodiscard]] result<void> {
public:
  /// A success holds nothing.
  using value_type = void;

  result() = default;
  /// Failure.
  result(runtime::error failure) : failure_(std::move(failure)) {}

  /// Whether it is a success.
  [[nodiscard]] bool has_value() const noexcept { return !failure_.has_value(); }
  /// Whether it is a success.
  explicit operator bool() const noexcept { return has_value(); }

  /// Requires: !has_value().
  [[nodiscard]] const runtime::error& error() const& {
    MILLRACE_ASSERT(!has_value());
    return *failure_;
  }
  /// The same, to be moved from.
  [[nodiscard]] runtime::error&& error() && {
    MILLRACE_ASSERT(!has_value());
    return std::move(*failure_);
  }

private:
  std::optional<runtime::error> failure_;
};

}  // namespace millrace::runtime
