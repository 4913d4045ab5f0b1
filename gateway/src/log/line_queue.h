// SPDX-License-Identifier: MIT
// Line queue: lines of the log on their way to whoever reads it, who may be slow, or have stopped.
//
// Whoever logs never waits: a thread of its own writes. What does not fit meanwhile is dropped, and
// counted; a line says how many once there is room again. What somebody may ask about later has a
// part of the room to itself, so that no flood of other lines takes its place.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

namespace millrace::gateway {

enum class line_kind : std::uint8_t {
  ordinary,
  kept,  ///< Warnings, errors, the audit.
};

/// Writes all of it, also where the file is set not to wait (`O_NONBLOCK`), which whoever shares a
/// terminal or pipe may do; or nothing more where nobody can read it any more.
void write_whole(int file, std::string_view text);

/// Threading: `add` and `flush` from any.
class line_queue {
public:
  /// Of lines that wait: some thousands.
  static constexpr std::size_t bytes_max = std::size_t{1} << 20;
  /// Of these, all that ordinary lines may take.
  static constexpr std::size_t ordinary_bytes_max = bytes_max / 2;

  /// `write` may block for as long as it likes, also after this has gone. `dropped` makes the line
  /// that tells of so many.
  line_queue(std::function<void(std::string_view)> write,
             std::function<std::string(std::size_t)> dropped);
  line_queue(const line_queue&) = delete;
  line_queue& operator=(const line_queue&) = delete;
  /// Writes what is left, for a second at most.
  ~line_queue();

  void add(std::string line, line_kind kind = line_kind::ordinary);

  /// Waits until what has been added by now is written, or for `limit`: for who ends the process.
  void flush(std::chrono::milliseconds limit);

  /// The same within a handler of a signal, whatever thread that has stopped: async-signal-safe.
  void flush_at_once(std::chrono::milliseconds limit) noexcept;

private:
  struct shared;  // with a write that never ends

  const std::shared_ptr<shared> shared_;
  std::thread thread_;
};

}  // namespace millrace::gateway
