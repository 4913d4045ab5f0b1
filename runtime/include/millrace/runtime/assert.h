// SPDX-License-Identifier: MIT
// Assertions that stay on in every build.
//
// A broken invariant stops the silo: epochs, leases and the journal make stopping safe, going on
// is what would not be.
#pragma once

namespace millrace::runtime {

/// Prints the expression and its place to standard error and aborts.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace millrace::runtime

/// Stops the process unless `expression` holds; on in every build.
#define MILLRACE_ASSERT(expression) \
  (static_cast<bool>(expression)    \
       ? static_cast<void>(0)       \
       : ::millrace::runtime::assertion_failed(#expression, __FILE__, __LINE__))
