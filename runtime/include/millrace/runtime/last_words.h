// SPDX-License-Identifier: MIT
// Last words: what a process still does when it ends at once.
//
// A failed assertion, a fault and lost storage end it where they are found, and so does whoever
// forces it to end. What has been said by then, and waits to be written by another thread, would
// be lost, though it is what tells why.
#pragma once

namespace millrace::runtime {

/// Has `flush` called before a sudden end; null: nothing is.
///
/// Threading: any; `flush` is called on any thread, and within a handler of a signal.
/// Requires: `flush` does what is async-signal-safe only, ends within a moment whatever the other
/// threads do, and is good for as long as it is set.
void before_sudden_end(void (*flush)() noexcept) noexcept;

/// Calls it, the first time only. For whoever ends the process. Async-signal-safe.
void say_last_words() noexcept;

}  // namespace millrace::runtime
