// SPDX-License-Identifier: MIT
// Reads one request from bytes into a `request`: Beast's grammar, our storage and our refusals.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "http/authority.h"
#include "http/message.h"
#include "http/server.h"

namespace millrace::gateway::http {

/// Parser of one request.
///
/// Beast checks the grammar of lines, tokens, lengths and chunks and refuses Content-Length
/// beside Transfer-Encoding. Added here (RFC 9112): folded lines, any Transfer-Encoding but exactly
/// `chunked`, a Host that is missing, no host, or there twice, Transfer-Encoding in HTTP/1.0, a
/// target of the scheme https where there is no TLS. Trailer fields are dropped: merged into the
/// header they would let a body overrule it.
class request_parser final : public boost::beast::http::basic_parser<true> {
public:
  /// Requires: `into` is clear and outlives the parser.
  request_parser(request& into, const server_options& options)
      : into_(into), has_tls_(options.tls != nullptr) {
    header_limit(static_cast<std::uint32_t>(options.header_bytes_max));
    body_limit(options.body_bytes_max);
    eager(true);
  }

  /// Why our own checks refused, if they did: a status and a sentence.
  [[nodiscard]] int refusal() const noexcept { return refusal_; }
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

  /// The client waits for `100 Continue` before it sends the body.
  [[nodiscard]] bool expects_continue() const noexcept { return expects_continue_; }

  [[nodiscard]] bool http_1_0() const noexcept { return version_ == 10; }

  /// Whether the request line has been read.
  [[nodiscard]] bool has_line() const noexcept { return version_ != 0; }

private:
  using error_code = boost::beast::error_code;
  using view = boost::beast::string_view;

  static std::string_view std_view(view text) noexcept { return {text.data(), text.size()}; }

  void refuse(int status, std::string reason, error_code& ec) {
    refusal_ = status;
    reason_ = std::move(reason);
    ec = boost::beast::http::error::bad_field;
  }

  void on_request_impl(boost::beast::http::verb, view method_text, view target, int version,
                       error_code& ec) override {
    version_ = version;
    const auto known = method_from_string(std_view(method_text));
    if (!known) {
      refuse(501, "unknown method '" + std::string{std_view(method_text).substr(0, 40)} + "'", ec);
      return;
    }
    into_.method = *known;
    if (auto done = into_.set_target(std_view(target)); !done) {
      refuse(400, done.error().text(), ec);
    } else if (into_.is_https() && !has_tls_) {
      // What is asked for there, nobody may have from a connection without TLS (RFC 9110, 7.4).
      refuse(421, "this connection has no TLS, so it does not serve https", ec);
    } else if (into_.target() == "*" && *known != method::options) {
      refuse(400, "the target '*' goes with OPTIONS only", ec);
    }
  }

  void on_field_impl(boost::beast::http::field name, view name_text, view value,
                     error_code& ec) override {
    using boost::beast::http::field;
    if (is_folded(std_view(name_text))) {
      refuse(400, "a header line is folded: write the field on one line", ec);
      return;
    }
    if (header_done_) {
      return;
    }
    if (name == field::host) {
      ++hosts_;
      if (!is_authority(std_view(value))) {
        refuse(400, "Host is not a host with or without a port", ec);
        return;
      }
    } else if (name == field::transfer_encoding) {
      check_coding(std_view(value), ec);
      if (ec) {
        return;
      }
    } else if (name == field::expect) {
      if (!same_name(std_view(value), "100-continue")) {
        refuse(417, "the only expectation is 100-continue", ec);
        return;
      }
      expects_continue_ = version_ >= 11;
    }
    into_.headers.add(std_view(name_text), std_view(value));
  }

  // Beast joins what is folded in a buffer of its own. The field as it came stands behind its name:
  // whole, and with the byte that tells whether the next line belongs to it.
  static bool is_folded(std::string_view name) noexcept {
    const auto* at = name.data() + name.size();
    while (*at != '\r') {
      ++at;
    }
    return at[2] == ' ' || at[2] == '\t';
  }

  // A body whose last coding is not chunked has no end (RFC 9112, 6.3); a coding that is not known
  // is another matter (6.1). Any of them in HTTP/1.0 is a fault.
  void check_coding(std::string_view value, error_code& ec) {
    if (version_ == 10) {
      refuse(400, "there are no transfer codings in HTTP/1.0", ec);
    } else if (!same_name(value, "chunked")) {
      const auto last = value.substr(value.find_last_of(", \t") + 1);
      refuse(same_name(last, "chunked") ? 501 : 400, "the only transfer coding is chunked", ec);
    }
  }

  void on_header_impl(error_code& ec) override {
    header_done_ = true;
    if (hosts_ > 1 || (hosts_ == 0 && version_ >= 11)) {
      refuse(400, hosts_ == 0 ? "no Host field" : "more than one Host field", ec);
    }
  }

  void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) override {
    // What a header announces is not yet there: reserve what is plausible, grow for the rest.
    constexpr std::uint64_t reserve_max = 64 << 10;
    if (length) {
      into_.body.reserve(static_cast<std::size_t>(std::min(*length, reserve_max)));
    }
  }

  std::size_t on_body_impl(view piece, error_code&) override {
    into_.body.append(piece.data(), piece.size());
    return piece.size();
  }

  std::size_t on_chunk_body_impl(std::uint64_t, view piece, error_code&) override {
    into_.body.append(piece.data(), piece.size());
    return piece.size();
  }

  void on_response_impl(int, view, int, error_code&) override {}
  void on_chunk_header_impl(std::uint64_t, view, error_code&) override {}
  void on_finish_impl(error_code&) override {}

  request& into_;
  const bool has_tls_;
  std::string reason_;
  int refusal_ = 0;
  int version_ = 0;
  int hosts_ = 0;
  bool header_done_ = false;
  bool expects_continue_ = false;
};

}  // namespace millrace::gateway::http
