// SPDX-License-Identifier: MIT
// What a thread starts together begins together.
#pragma once

#include <vector>

namespace millrace::runtime {

namespace detail {
class activation;
}  // namespace detail

/// Holds back the actors that this thread's calls wake, until `flush` or its end.
///
/// For a thread that starts many calls in a row, such as an event loop. Each call would wake a
/// thread of the silo, which answers it and sleeps before the next one comes: two switches of
/// threads a call, where a batch costs two in all. An actor that it holds runs for nobody
/// meanwhile, also not for calls of other threads, while deadlines run and mailboxes fill: flush
/// before what takes long. One within another of the same thread does nothing.
///
///     call_batch together;
///     for (const auto& each : orders) {
///       silo.call_then(ref<Order>(each).ship(), done);
///     }
///
/// Functions of a silo that block flush first.
///
/// Threading: belongs to the thread that made it, outside turns. Requires: flushed before a silo
/// that it has been used with is destroyed.
class call_batch {
public:
  call_batch() noexcept;
  call_batch(const call_batch&) = delete;
  call_batch& operator=(const call_batch&) = delete;
  ~call_batch();

  /// Lets what it holds run, and goes on holding.
  void flush() noexcept;

  /// For the runtime: that of this thread, or null.
  [[nodiscard]] static call_batch* current() noexcept;
  /// For the runtime: takes over a reference.
  void hold(detail::activation& one) { held_.push_back(&one); }

private:
  std::vector<detail::activation*> held_;
};

}  // namespace millrace::runtime
