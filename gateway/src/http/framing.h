// SPDX-License-Identifier: MIT
// Framing: how an answer stands on the wire (RFC 9112, 4 to 7).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "http/message.h"

namespace millrace::gateway::http {

/// What the head of an answer depends on besides the answer.
struct framing {
  bool http_1_0 = false;
  bool keep_alive = true;
  std::string_view date_line;  ///< `Date: ...\r\n`
  bool is_sized = false;       ///< A stream whose head has `Content-Length`.
};

/// Whether an answer of that status has a body (RFC 9110, 15.3.5 and 15.4.5).
[[nodiscard]] bool has_body(int status) noexcept;

/// The status line and the fields, without the empty line that ends them. A line end in a field
/// becomes a space: a handler may put a client's text into one.
void append_head(std::string& out, const framing& how, int status, const header_list& headers);

/// The whole of an answer, or all but its body as HEAD wants it.
enum class body_part : bool { sent, left_out };
void append_answer(std::string& out, const framing& how, const response& answer, body_part body);

/// A piece of a body that comes bit by bit: a chunk; in HTTP/1.0, and of a known length, its bytes.
void append_piece(std::string& out, const framing& how, std::string_view piece);

/// The end of one that is whole. Without it a client of HTTP/1.1 knows that it is not (RFC 9112,
/// 8).
void append_last_piece(std::string& out, const framing& how);

}  // namespace millrace::gateway::http
