// SPDX-License-Identifier: MIT
#include "millrace/runtime/last_words.h"

#include <atomic>

namespace millrace::runtime {

namespace {

// Of the process, since a handler of a signal is given nothing.
constinit std::atomic<void (*)() noexcept> flush_first{nullptr};

}  // namespace

void before_sudden_end(void (*flush)() noexcept) noexcept {
  flush_first = flush;
}

// Once: a fault in it comes here again.
void say_last_words() noexcept {
  if (auto* const flush = flush_first.exchange(nullptr)) {
    flush();
  }
}

}  // namespace millrace::runtime
