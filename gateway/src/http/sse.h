// SPDX-License-Identifier: MIT
// Server-sent events (WHATWG HTML, 9.2): writing them to a stream, reading them from one.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "http/reply.h"

namespace millrace::gateway::http {

/// One event as it stands in the stream; `data` may have several lines, empty parts are left out.
/// Line ends inside `id` and `name` are dropped: they would forge further fields.
[[nodiscard]] std::string format_event(std::string_view id, std::string_view name,
                                       std::string_view data);

/// An answer that is a sequence of events. The server sends a comment when it is quiet for the
/// ping interval.
///
/// Threading, Ownership: as `stream`.
class event_stream {
public:
  event_stream() = default;

  /// Answers 200 with the headers that keep caches and proxies from holding events back.
  [[nodiscard]] static event_stream open(reply answer, header_list extra = {});

  explicit operator bool() const noexcept { return static_cast<bool>(out_); }

  write_status event(std::string_view id, std::string_view name, std::string_view data);

  /// The stream underneath, for `close`, `on_closed` and `on_drained`.
  [[nodiscard]] stream& raw() noexcept { return out_; }

private:
  stream out_;
};

/// One event received.
struct received_event {
  std::string id;    ///< The last id seen so far in the stream, as the standard has it.
  std::string name;  ///< "message" unless the event has one.
  std::string data;
};

/// Takes a byte stream apart into events.
///
/// Cost: holds one unfinished event, at most `event_bytes_max`; what is longer is cut off.
class event_parser {
public:
  static constexpr std::size_t event_bytes_max = std::size_t{16} << 20;

  /// Feeds bytes; calls `sink` for each finished event until it answers false, then stops and
  /// answers false too.
  bool feed(std::string_view bytes, const std::function<bool(const received_event&)>& sink);

private:
  bool line(std::string_view text, const std::function<bool(const received_event&)>& sink);

  std::string line_;
  received_event event_;
  bool has_data_ = false;
  bool after_cr_ = false;
};

}  // namespace millrace::gateway::http
