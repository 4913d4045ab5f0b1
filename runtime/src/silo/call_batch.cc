// SPDX-License-Identifier: MIT
#include "millrace/runtime/call_batch.h"

#include <algorithm>

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
  for (auto from = held_.begin(); from != held_.end();) {
    auto& home = (*from)->home();
    const auto to =
        std::find_if(from, held_.end(), [&](auto* one) { return &one->home() != &home; });
    home.hand_over({from, to});
    from = to;
  }
  held_.clear();
}

}  // namespace millrace::runtime
