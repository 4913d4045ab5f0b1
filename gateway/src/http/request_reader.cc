// SPDX-License-Identifier: MIT
#include "http/request_reader.h"

#include <boost/asio/buffer.hpp>

namespace millrace::gateway::http {
namespace {

using beast_error = boost::beast::http::error;

// What is read beyond the largest header at a time.
constexpr std::size_t in_bytes_slack = 4096;

// The shortest rest of a chunked body, `0` and two line ends. Beast asserts that it has as much
// once it has seen the zero.
constexpr std::size_t chunked_bytes_min = 5;

}  // namespace

request_reader::request_reader(const server_options& options)
    : options_(options), in_(options.header_bytes_max + in_bytes_slack) {}

// Some clients end a body with a line end that is none of it; it is no request (RFC 9112, 2.2).
// Whether something else has come.
bool request_reader::skip_empty_lines() {
  constexpr std::string_view line_end = "\r\n";
  while (in_.unread().starts_with(line_end)) {
    in_.take(line_end.size());
  }
  return !line_end.starts_with(in_.unread());  // half of one may be all there is yet
}

request_reader::progress request_reader::read() {
  if (!parser_) {
    if (!skip_empty_lines()) {
      return progress_ = progress::nothing;
    }
    request_.clear();
    parser_.emplace(request_, options_);
    is_expectation_taken_ = false;
  }
  return progress_ = feed();
}

request_reader::progress request_reader::feed() {
  while (!in_.empty() && !parser_->is_done()) {
    boost::beast::error_code ec;
    const auto unread = in_.unread();
    if (parser_->is_header_done() && parser_->chunked() && unread.size() < chunked_bytes_min) {
      break;
    }
    const auto used = parser_->put(boost::asio::const_buffer{unread.data(), unread.size()}, ec);
    in_.take(used);
    if (ec && ec != beast_error::need_more) {
      return refuse(ec);
    }
    if (ec || used == 0) {
      break;
    }
  }
  return parser_->is_done()          ? progress::finished
         : parser_->is_header_done() ? progress::body
                                     : progress::header;
}

bool request_reader::take_expectation() {
  return parser_->expects_continue() && in_.empty() && !std::exchange(is_expectation_taken_, true);
}

void request_reader::next() {
  parser_.reset();
  progress_ = progress::nothing;
}

void request_reader::refuse_oversize() {
  const auto limit = " over the limit of " + std::to_string(options_.header_bytes_max) + " bytes";
  const auto is_target = parser_ && !parser_->has_line();
  progress_ = refuse(is_target ? 414 : 431,
                     (is_target ? "the request line is" : "the header or chunk header is") + limit);
}

request_reader::progress request_reader::refuse(int status, std::string reason) {
  status_ = status;
  reason_ = std::move(reason);
  in_.clear();
  return progress::refused;
}

request_reader::progress request_reader::refuse(const boost::beast::error_code& why) {
  if (parser_->refusal() != 0) {
    return refuse(parser_->refusal(), parser_->reason());
  }
  if (why == beast_error::header_limit) {
    refuse_oversize();
    return progress::refused;
  }
  if (why == beast_error::bad_version && names_a_version()) {
    return refuse(505, "this server speaks HTTP/1.1 and HTTP/1.0");
  }
  if (why == beast_error::body_limit) {
    return refuse(
        413, "the body is over the limit of " + std::to_string(options_.body_bytes_max) + " bytes");
  }
  return refuse(400, "not an HTTP/1.1 request: " + why.message());
}

// Whether the line that could not be read ends with a version of HTTP as one is written.
bool request_reader::names_a_version() const {
  const auto unread = in_.unread();
  const auto line = unread.substr(0, unread.find("\r\n"));
  const auto target = line.substr(std::min(line.find(' '), line.size() - 1) + 1);
  const auto version = target.substr(std::min(target.find(' '), target.size() - 1) + 1);
  const auto is_digit = [&](std::size_t at) { return version[at] >= '0' && version[at] <= '9'; };
  return version.size() == 8 && version.starts_with("HTTP/") && is_digit(5) && version[6] == '.' &&
         is_digit(7);
}

}  // namespace millrace::gateway::http
