// SPDX-License-Identifier: MIT
#include "silo/memory_return.h"

#include <malloc.h>

#include "silo/silo_core.h"

namespace millrace::runtime::detail {

void memory_return::freed(std::size_t bytes) noexcept {
  const auto before = bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (before < worth_bytes && before + bytes >= worth_bytes) {
    home_.timers().arm(*this, time_after(home_.time().steady(), interval));
  }
}

void memory_return::on_alarm() noexcept {
  bytes_.store(0, std::memory_order_relaxed);
  // Refused when the queue is full or the silo stops: the next that leave ask again.
  static_cast<void>(home_.offload_threads().submit([] { ::malloc_trim(0); }));
}

}  // namespace millrace::runtime::detail
