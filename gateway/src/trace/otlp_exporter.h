// SPDX-License-Identifier: MIT
// OTLP exporter: sends a process's spans to a collector, from a thread of its own.
//
// Which spans go when is `span_queue`'s to say, how they look `otlp_json`'s.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string_view>
#include <thread>

#include "http/client.h"
#include "millrace/runtime/trace.h"
#include "trace/otlp_json.h"
#include "trace/span_queue.h"

namespace millrace::gateway {

struct otlp_options {
  http::url collector;  ///< Requests go to `/v1/traces` below it.
  runtime::tls_files tls = {};
  trace_resource resource;
  std::function<void(std::string_view)> warn;  ///< Of spans that are dropped, once a minute.
  span_queue_limits limits = {};
};

/// What an exporter counts.
struct otlp_stats {
  std::uint64_t sent_total = 0;      ///< Spans that the collector has.
  std::uint64_t dropped_total = 0;   ///< That it never will.
  std::uint64_t failures_total = 0;  ///< Requests that failed.
  std::uint64_t waiting = 0;         ///< Spans that wait or are under way.
};

/// Threading: `ended` and `stats` from any thread, the rest from the owner's. Cost of `ended`: a
/// short lock.
class otlp_exporter final : public runtime::span_sink {
public:
  /// How long a request may take, and `stop`.
  static constexpr std::chrono::seconds request_timeout{3};

  explicit otlp_exporter(otlp_options options);
  otlp_exporter(const otlp_exporter&) = delete;
  otlp_exporter& operator=(const otlp_exporter&) = delete;
  ~otlp_exporter() override;

  void ended(runtime::span one) noexcept override;

  /// Sends what is left, for as long as a request may take, and drops what comes later. Idempotent.
  void stop();

  [[nodiscard]] otlp_stats stats() const;

private:
  void run();
  void send(std::unique_lock<std::mutex>& lock, const std::vector<runtime::span>& batch);
  void tell_dropped(std::unique_lock<std::mutex>& lock);

  const otlp_options options_;
  const runtime::system_clock clock_;
  mutable std::mutex mutex_;  // for all below
  std::condition_variable changed_;
  span_queue queue_;
  std::uint64_t failures_ = 0;
  std::string why_;  // the last request failed
  bool stops_ = false;
  runtime::steady_time ends_at_ = runtime::steady_time::max();
  std::thread thread_;
};

}  // namespace millrace::gateway
