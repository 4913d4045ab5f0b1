// SPDX-License-Identifier: MIT
// Rare: an optional whose value lies elsewhere, for what an object that must be small seldom has.
#pragma once

#include <memory>
#include <optional>
#include <utility>

namespace millrace::runtime::detail {

/// As `std::optional`, moved only. Cost: 8 bytes; an allocation for a value.
template <class T>
class rare {
public:
  rare() = default;
  rare(std::nullopt_t) noexcept {}
  rare(T value) : value_(std::make_unique<T>(std::move(value))) {}

  /// What it has, or null.
  [[nodiscard]] T* get() const noexcept { return value_.get(); }
  /// Its value; made when it has none.
  [[nodiscard]] T& make() {
    if (!value_) {
      value_ = std::make_unique<T>();
    }
    return *value_;
  }
  /// Gives the value away.
  [[nodiscard]] std::optional<T> take() {
    const auto value = std::move(value_);
    return value ? std::optional<T>{std::move(*value)} : std::nullopt;
  }

  [[nodiscard]] explicit operator bool() const noexcept { return value_ != nullptr; }
  [[nodiscard]] T& operator*() noexcept { return *value_; }
  [[nodiscard]] const T& operator*() const noexcept { return *value_; }
  [[nodiscard]] T* operator->() noexcept { return value_.get(); }
  [[nodiscard]] const T* operator->() const noexcept { return value_.get(); }

private:
  std::unique_ptr<T> value_;
};

}  // namespace millrace::runtime::detail
