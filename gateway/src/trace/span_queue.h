// SPDX-License-Identifier: MIT
// Span queue: spans on their way to a collector, and when which of them are to be sent.
//
// Pure: no clock, no lock, no socket. One batch is under way at a time; what a collector cannot
// take for now is sent again, later each time, and given up after a minute. While it takes nothing
// the queue fills, and what then comes is dropped: no part of the program ever waits for it. A
// collector that asks to be left alone is, whatever becomes of the batch.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/trace.h"

namespace millrace::gateway {

struct span_queue_limits {
  std::size_t spans_max = 8'192;  ///< That wait; of 1 KiB or so each.
  std::size_t batch_max = 512;    ///< In a request, as OpenTelemetry's own exporters have it.
  runtime::duration collect_for = std::chrono::seconds{1};    ///< That a batch waits for more.
  runtime::duration retry_first = std::chrono::seconds{1};    ///< Twice as long each time.
  runtime::duration retry_max = std::chrono::seconds{16};     ///< But no longer.
  runtime::duration give_up_after = std::chrono::minutes{1};  ///< Since its first request.
  runtime::duration report_every = std::chrono::minutes{1};   ///< Of what is dropped.
};

/// What a collector said to a batch.
enum class batch_outcome : std::uint8_t {
  taken,    ///< It has it.
  later,    ///< It cannot be reached, or asks to be left alone for a while.
  refused,  ///< It will not take it however often it is asked.
};

/// Threading: one thread at a time. Time: `now` does not go backwards.
class span_queue {
public:
  explicit span_queue(span_queue_limits limits = {}) : limits_(limits) {}

  /// Adds a span, or counts it as dropped when the queue is full.
  void add(runtime::span one, runtime::steady_time now);

  /// When `batch` is next to be asked for; the end of time: not before something is added.
  [[nodiscard]] runtime::steady_time due() const;

  /// What is to be sent now, the oldest first; it stays until `settle`. Empty: nothing.
  [[nodiscard]] const std::vector<runtime::span>& batch(runtime::steady_time now);

  /// What became of the batch. `wait`: what the collector asks for; zero: nothing. `rejected`: of
  /// one that was taken, how many spans were not.
  void settle(batch_outcome what, runtime::steady_time now, runtime::duration wait = {},
              std::size_t rejected = 0);

  /// All of it is due from now on, and nothing is sent twice.
  void close() noexcept { closed_ = true; }

  /// Spans that wait or are under way.
  [[nodiscard]] std::size_t size() const noexcept { return waiting_.size() + batch_.size(); }
  [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }

  /// How many were dropped since this last said so; nothing if none, or if it has just said so and
  /// goes on.
  [[nodiscard]] std::optional<std::uint64_t> report(runtime::steady_time now);

private:
  const span_queue_limits limits_;
  std::deque<runtime::span> waiting_;
  std::vector<runtime::span> batch_;
  runtime::steady_time collect_until_{};  // of what waits
  runtime::steady_time first_sent_{};     // of the batch
  runtime::steady_time quiet_until_{};    // nothing is sent
  runtime::duration retry_{};  // by which that was last; zero: what was sent last arrived
  bool closed_ = false;
  std::uint64_t sent_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t reported_ = 0;  // of those
  std::optional<runtime::steady_time> reported_at_;
};

}  // namespace millrace::gateway
