// SPDX-License-Identifier: MIT
#include "trace/otlp_exporter.h"

#include <algorithm>
#include <utility>

#include "http/problem.h"

namespace millrace::gateway {

using runtime::steady_time;

namespace {

// Of a text in a span, which an actor's key or an error's text may be: bounds the queue's memory.
constexpr std::size_t text_bytes_max = 1'024;

void cut(std::string& text) {
  if (text.size() > text_bytes_max) {
    text.resize(text_bytes_max);
  }
}

// Those that OTLP/HTTP has a client send again (OTLP 1.x, failures).
bool may_be_sent_again(int status) noexcept {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

http::client_options client_to(const otlp_options& options) {
  http::client_options made;
  made.base = options.collector;
  made.tls = options.tls;
  made.headers = {{"Content-Type", "application/json"}};
  made.connect_timeout = otlp_exporter::request_timeout;
  made.timeout = otlp_exporter::request_timeout;
  made.body_bytes_max = std::size_t{64} << 10U;
  return made;
}

// The client names the option of commands for the authority; a server's is another.
std::string with_own_option(std::string why) {
  constexpr std::string_view theirs = "--ca";
  if (const auto at = why.rfind(theirs); at != std::string::npos) {
    why.replace(at, theirs.size(), "--trace-ca");
  }
  return why;
}

}  // namespace

otlp_exporter::otlp_exporter(otlp_options options)
    : options_(std::move(options)), queue_(options_.limits), thread_([this] { run(); }) {}

otlp_exporter::~otlp_exporter() {
  stop();
}

void otlp_exporter::ended(runtime::span one) noexcept {
  cut(one.name);
  cut(one.failure);
  for (auto& each : one.attributes) {
    if (auto* text = std::get_if<std::string>(&each.value)) {
      cut(*text);
    }
  }
  const auto now = clock_.steady();
  const std::lock_guard lock{mutex_};
  const auto before = queue_.due();
  queue_.add(std::move(one), now);
  if (queue_.due() < before) {
    changed_.notify_one();
  }
}

void otlp_exporter::stop() {
  if (!thread_.joinable()) {
    return;
  }
  {
    const std::lock_guard lock{mutex_};
    stops_ = true;
    ends_at_ = clock_.steady() + request_timeout;
    queue_.close();
    changed_.notify_one();
  }
  thread_.join();
}

otlp_stats otlp_exporter::stats() const {
  const std::lock_guard lock{mutex_};
  return {.sent_total = queue_.sent(),
          .dropped_total = queue_.dropped(),
          .failures_total = failures_,
          .waiting = queue_.size()};
}

void otlp_exporter::run() {
  std::unique_lock lock{mutex_};
  for (;;) {
    const auto now = clock_.steady();
    if (const auto& batch = queue_.batch(now); !batch.empty() && now < ends_at_) {
      send(lock, batch);
    } else if (stops_) {
      break;
    } else if (const auto due = queue_.due(); due == steady_time::max()) {
      changed_.wait(lock);
    } else {
      changed_.wait_for(lock, due - now);
    }
    tell_dropped(lock);
  }
  if (queue_.size() > 0 && options_.warn) {
    options_.warn("spans were not sent before the end count=" + std::to_string(queue_.size()));
  }
}

// Nobody else touches the batch meanwhile.
void otlp_exporter::send(std::unique_lock<std::mutex>& lock,
                         const std::vector<runtime::span>& batch) {
  const auto latest = std::min(ends_at_, clock_.steady() + request_timeout);
  lock.unlock();
  http::client collector{client_to(options_), clock_};
  const auto answer = collector.stream(http::method::post, "/v1/traces",
                                       otlp_json(options_.resource, batch), {}, {}, latest);
  auto outcome = batch_outcome::taken;
  std::chrono::milliseconds wait{};
  std::string why;
  if (!answer) {
    outcome = batch_outcome::later;
    why = with_own_option(answer.error().text());
  } else if (answer->status >= 300) {
    outcome = may_be_sent_again(answer->status) ? batch_outcome::later : batch_outcome::refused;
    const auto problem =
        http::error_of_response(std::max(answer->status, 400), answer->headers, answer->body);
    wait = problem.retry_after();
    why = options_.collector.origin() + " answers " + std::to_string(answer->status);
  }
  const auto rejected = answer && why.empty() ? rejected_spans(answer->body) : 0;
  lock.lock();
  queue_.settle(outcome, clock_.steady(), wait, rejected);
  if (!why.empty()) {
    ++failures_;
    why_ = std::move(why);
  } else if (rejected > 0) {
    why_ = options_.collector.origin() + " has not taken all spans of a request";
  }
}

void otlp_exporter::tell_dropped(std::unique_lock<std::mutex>& lock) {
  const auto count = queue_.report(clock_.steady());
  if (count && options_.warn) {
    const auto why = why_.empty() ? std::string{"more came than could be sent"} : why_;
    lock.unlock();
    options_.warn("spans were dropped count=" + std::to_string(*count) + " why=" + why);
    lock.lock();
  }
}

}  // namespace millrace::gateway
