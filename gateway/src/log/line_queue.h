// SPDX-License-Identifier: MIT
// Line queue: lines of the log on their way to whoever reads it, who may be slow, or have stopped.
//
// Whoever logs never waits: a thread of its own writes. What does not fit meanwhile is dropped, and
// counted; a line says how many once there is room again.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

namespace millrace::gateway {

/// Threading: `add` from any.
class line_queue {
public:
  /// Of lines that wait: some thousands.
  static constexpr std::size_t bytes_max = std::size_t{1} << 20;

  /// `write` may block for as long as it likes, also after this has gone. `dropped` makes the line
  /// that tells of so many.
  line_queue(std::function<void(std::string_view)> write,
             std::function<std::string(std::size_t)> dropped);
  line_queue(const line_queue&) = delete;
  line_queue& operator=(const line_queue&) = delete;
  /// Writes what is left, for a second at most.
  ~line_queue();

  void add(std::string line);

private:
  struct shared;  // with a write that never ends

  const std::shared_ptr<shared> shared_;
  std::thread thread_;
};

}  // namespace millrace::gateway
