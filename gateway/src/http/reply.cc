// SPDX-License-Identifier: MIT
#include "http/reply.h"

#include "http/problem.h"
#include "millrace/runtime/assert.h"

namespace millrace::gateway::http {

stream& stream::operator=(stream&& other) noexcept {
  if (this != &other) {
    close();
    sink_ = std::move(other.sink_);
  }
  return *this;
}

write_status stream::write(std::string_view piece) {
  return sink_ ? sink_->write(piece) : write_status::closed;
}

void stream::close() {
  if (const auto sink = std::exchange(sink_, nullptr)) {
    sink->close();
  }
}

void stream::cut() {
  if (const auto sink = std::exchange(sink_, nullptr)) {
    sink->cut();
  }
}

void stream::on_closed(task callback) {
  if (sink_) {
    sink_->on_closed(std::move(callback));
  }
}

void stream::on_drained(std::function<void()> callback) {
  if (sink_) {
    sink_->on_drained(std::move(callback));
  }
}

reply& reply::operator=(reply&& other) noexcept {
  if (this != &other) {
    abandon();
    target_ = std::move(other.target_);
  }
  return *this;
}

void reply::send(response answer) {
  MILLRACE_ASSERT(target_ != nullptr);
  MILLRACE_ASSERT(answer.status >= 200 && answer.status <= 599);
  const auto target = std::exchange(target_, nullptr);
  target->complete(std::move(answer));
}

void reply::fail(const runtime::error& cause, std::string_view instance) {
  send(problem_response(cause, instance));
}

stream reply::open(int status, header_list headers, std::string_view ping) {
  MILLRACE_ASSERT(target_ != nullptr);
  MILLRACE_ASSERT(status >= 200 && status <= 599);
  const auto target = std::exchange(target_, nullptr);
  return stream{target->open(status, std::move(headers), ping)};
}

void reply::abandon() noexcept {
  if (target_) {
    fail({runtime::errc::internal, "the handler ended without an answer"});
  }
}

}  // namespace millrace::gateway::http
