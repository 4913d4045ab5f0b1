// SPDX-License-Identifier: MIT
// Running turn: whose code the calling thread runs, for messages about what that code does wrong.
#pragma once

#include <string>
#include <string_view>

namespace millrace::runtime::detail {

/// `type/key.method` of the turn whose code runs on this thread; empty when none does.
[[nodiscard]] std::string running_turn();

/// While one lives, the calling thread runs code of an author outside of a turn, and who made it
/// catches what that throws: `author.method`, the method optional. Ownership: views what it names.
class caught_code {
public:
  caught_code(std::string_view author, std::string_view method) noexcept;
  caught_code(const caught_code&) = delete;
  caught_code& operator=(const caught_code&) = delete;
  ~caught_code();

  /// Of the innermost on this thread; empty when none lives.
  [[nodiscard]] static std::string running();

private:
  std::string_view author_;
  std::string_view method_;
  const caught_code* outer_;
};

/// A mistake of the program that hosts the silo, which cannot be answered: says `what`, and whose
/// turn it is in if so, on standard error and aborts.
[[noreturn]] void stop_for_mistake(const std::string& what) noexcept;

}  // namespace millrace::runtime::detail
