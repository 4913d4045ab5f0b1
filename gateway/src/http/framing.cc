// SPDX-License-Identifier: MIT
#include "http/framing.h"

#include <array>
#include <charconv>

namespace millrace::gateway::http {
namespace {

void append_number(std::string& out, std::size_t number, int base = 10) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.begin(), digits.end(), number, base).ptr;
  out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

void append_value(std::string& out, std::string_view value) {
  const auto begin = out.size();
  out += value;
  for (auto i = begin; i < out.size(); ++i) {
    if (out[i] == '\r' || out[i] == '\n' || out[i] == '\0') {
      out[i] = ' ';
    }
  }
}

}  // namespace

bool has_body(int status) noexcept {
  return status != 204 && status != 304;
}

void append_head(std::string& out, const framing& how, int status, const header_list& headers) {
  out += how.http_1_0 ? "HTTP/1.0 " : "HTTP/1.1 ";
  append_number(out, static_cast<std::size_t>(status));
  out += ' ';
  out += reason_of(status);
  out += "\r\n";
  out += how.date_line;
  if (!how.keep_alive) {
    out += "Connection: close\r\n";
  } else if (how.http_1_0) {
    out += "Connection: keep-alive\r\n";
  }
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    append_value(out, name);
    out += ": ";
    append_value(out, value);
    out += "\r\n";
  }
}

void append_answer(std::string& out, const framing& how, const response& answer, body_part body) {
  append_head(out, how, answer.status, answer.headers);
  if (!answer.content_type.empty()) {
    out += "Content-Type: ";
    append_value(out, answer.content_type);
    out += "\r\n";
  }
  if (has_body(answer.status)) {
    out += "Content-Length: ";
    append_number(out, answer.content().size());
    out += "\r\n";
  }
  out += "\r\n";
  if (has_body(answer.status) && body == body_part::sent) {
    out += answer.content();
  }
}

void append_piece(std::string& out, const framing& how, std::string_view piece) {
  if (piece.empty()) {
    return;  // a chunk of nothing would be the last one
  }
  if (how.http_1_0 || how.is_sized) {
    out += piece;
    return;
  }
  append_number(out, piece.size(), 16);
  out += "\r\n";
  out += piece;
  out += "\r\n";
}

void append_last_piece(std::string& out, const framing& how) {
  out += how.http_1_0 || how.is_sized ? "" : "0\r\n\r\n";
}

}  // namespace millrace::gateway::http
