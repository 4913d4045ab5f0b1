// SPDX-License-Identifier: MIT
#include "millrace/runtime/call_batch.h"

#include <utility>

#include "activation/activation.h"
#include "silo/silo_core.h"

namespace millrace::runtime {

namespace {

thread_local call_batch* of_thread = nullptr;

}  // namespace

call_batch::call_batch() noexcept {
  if (of_thread == nullptr) {
    of_thread = this;
  }
}

call_batch::~call_batch() {
  flush();
  if (of_thread == this) {
    of_thread = nullptr;
  }
}

call_batch* call_batch::current() noexcept {
  return of_thread;
}

void call_batch::flush() noexcept {
  for (auto* one : held_) {
    one->home().hand_over(*one);
  }
  held_.clear();
}

}  // namespace millrace::runtime
