// SPDX-License-Identifier: MIT
// Request reader: takes the bytes of a connection apart into requests, one after the other.
//
// Pure: no socket, no clock. What it refuses it refuses for good, since where a faulty message ends
// is in doubt (RFC 9112, 11.2).
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "http/input_buffer.h"
#include "http/message.h"
#include "http/request_parser.h"
#include "http/server.h"

namespace millrace::gateway::http {

class request_reader {
public:
  explicit request_reader(const server_options& options);

  /// Where what is received goes.
  [[nodiscard]] input_buffer& input() noexcept { return in_; }
  [[nodiscard]] const input_buffer& input() const noexcept { return in_; }

  enum class progress : std::uint8_t {
    nothing,   ///< No request has begun.
    header,    ///< One has, and its header is not whole.
    body,      ///< Its header is, its body is not.
    finished,  ///< It is whole: `request`. `next` goes on.
    refused,   ///< See `status` and `reason`.
  };
  /// Reads what there is, up to the end of a request.
  progress read();
  [[nodiscard]] progress state() const noexcept { return progress_; }

  /// No more can be received before more is understood: only a part that must be seen whole (a
  /// header, a chunk's head, trailers) fills the buffer. Refuses it.
  void refuse_oversize();

  /// The client waits to be told to go on with the body; true once for a request. Requires: `body`.
  [[nodiscard]] bool take_expectation();

  /// The request is being answered; the next `read` may begin another. Its text stays.
  void next();

  [[nodiscard]] http::request& request() noexcept { return request_; }
  [[nodiscard]] const http::request& request() const noexcept { return request_; }
  [[nodiscard]] bool is_http_1_0() const noexcept { return parser_ && parser_->http_1_0(); }
  [[nodiscard]] bool keeps_alive() const { return parser_ && parser_->keep_alive(); }

  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

private:
  bool skip_empty_lines();
  progress feed();
  progress refuse(int status, std::string reason);
  progress refuse(const boost::beast::error_code& why);
  [[nodiscard]] bool names_a_version() const;

  const server_options& options_;
  input_buffer in_;
  http::request request_;
  std::optional<request_parser> parser_;
  progress progress_ = progress::nothing;
  bool is_expectation_taken_ = false;
  int status_ = 0;
  std::string reason_;
};

}  // namespace millrace::gateway::http
