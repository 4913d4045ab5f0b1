// SPDX-License-Identifier: MIT
// Running turn: whose code the calling thread runs, for messages about what that code does wrong.
#pragma once

#include <string>

namespace millrace::runtime::detail {

/// `type/key.method` of the turn whose code runs on this thread; empty when none does.
[[nodiscard]] std::string running_turn();

/// A mistake of the program that hosts the silo, which cannot be answered: says `what`, and whose
/// turn it is in if so, on standard error and aborts.
[[noreturn]] void stop_for_mistake(const std::string& what) noexcept;

}  // namespace millrace::runtime::detail
