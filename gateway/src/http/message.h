// SPDX-License-Identifier: MIT
// HTTP messages as plain values: what a handler reads and what it answers.
//
// Both types keep their text in a few strings that hold their capacity when cleared, so a
// connection that serves request after request does not allocate for their parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/runtime/result.h"
#include "millrace/runtime/trace.h"

namespace millrace::gateway {

struct principal;

namespace http {

/// The methods this server knows; any other is answered 501 before a handler sees it.
enum class method : std::uint8_t { get, head, post, put, patch, del, options };

[[nodiscard]] std::string_view to_string(method value) noexcept;
[[nodiscard]] std::optional<method> method_from_string(std::string_view name) noexcept;

/// Whether two header names are the same (ASCII letters compare without case).
[[nodiscard]] bool same_name(std::string_view a, std::string_view b) noexcept;

/// Header fields in the order they came; a name may occur more than once.
///
/// Cost: two growing buffers however many fields; lookups are linear, which is the fastest for
/// the ten or so fields of a real request.
class header_list {
public:
  struct field {
    std::string_view name;
    std::string_view value;
  };

  header_list() = default;
  header_list(std::initializer_list<field> fields);

  void add(std::string_view name, std::string_view value);
  void clear() noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return spans_.size(); }

  /// Requires: index < size(). The views hold until the next change.
  [[nodiscard]] field at(std::size_t index) const noexcept;

  /// The value of the first field of that name.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;

  /// How many fields have that name.
  [[nodiscard]] std::size_t count(std::string_view name) const noexcept;

private:
  struct span {
    std::uint32_t begin;
    std::uint32_t name_size;
    std::uint32_t value_size;
  };
  std::string text_;
  std::vector<span> spans_;
};

/// Where a request stands in a trace.
struct request_trace {
  runtime::trace_context own;  ///< What it sets going hangs there; none where nobody has said.
  runtime::span_id parent = runtime::span_id::none;
  bool is_told = false;        ///< `own` is a span of this server's, which is to be told of.
  runtime::wall_time began{};  ///< Only then.
};

/// One request, decoded.
///
/// Ownership: the connection owns it and reuses it for the next request; see `handler` for how
/// long a handler may look at it. It may be copied, and its `body` may be moved from.
class request {
public:
  http::method method = http::method::get;
  header_list headers;
  std::string body;
  std::string from;                     ///< Its address: the peer's, or what a proxy tells.
  std::shared_ptr<const principal> by;  ///< Who asks; null unless that was checked.
  request_trace trace;                  ///< See `server_options::trace`.
  std::shared_ptr<void> stranger;       ///< Goes when its sender is known; see `guard`.

  /// Takes the request target apart: path segments and query, percent-decoded ('+' is a space in
  /// the query only). A trailing slash is dropped; `*` has no segments. Errors:
  /// `invalid_argument` for a target that is not a path or an http URL, a bad escape, a NUL, a
  /// fragment, or a `.` or `..` segment (a client that means well has resolved those; the rest
  /// probe for files).
  [[nodiscard]] runtime::result<void> set_target(std::string_view target);

  /// All but `from`.
  void clear() noexcept;

  /// One for whoever answers after the handler has returned; it takes the body along, and
  /// `stranger`.
  [[nodiscard]] std::shared_ptr<request> detach();

  /// The target as it came, and its part before `?`.
  [[nodiscard]] std::string_view target() const noexcept { return target_; }
  [[nodiscard]] std::string_view path() const noexcept;

  /// What the client calls this server: the authority of an absolute target, which then counts in
  /// place of the Host field (RFC 9112, 3.2.2), else that field. Nothing without either.
  [[nodiscard]] std::optional<std::string_view> authority() const noexcept;

  /// Whether the target is absolute with the scheme `https`.
  [[nodiscard]] bool is_https() const noexcept { return https_; }

  [[nodiscard]] std::size_t segment_count() const noexcept { return segments_.size(); }

  /// Requires: index < segment_count(). Decoded, so it may contain a slash.
  [[nodiscard]] std::string_view segment(std::size_t index) const noexcept;

  /// The first query parameter of that name; an empty text when it has no `=`.
  [[nodiscard]] std::optional<std::string_view> query(std::string_view name) const noexcept;

  [[nodiscard]] std::size_t query_count() const noexcept { return query_.size(); }

  /// Requires: index < query_count(). In the order of the target.
  [[nodiscard]] std::pair<std::string_view, std::string_view> query_at(
      std::size_t index) const noexcept;

  /// What the router bound to `{name}` in the pattern; empty when the pattern has no such name.
  [[nodiscard]] std::string_view param(std::string_view name) const noexcept;

  /// The pattern that the router has found to fit; empty before. Of the router's.
  [[nodiscard]] std::string_view route() const noexcept { return route_; }

  /// What `{name...}` matched: the segments from there on, joined by `/`.
  [[nodiscard]] std::string rest(std::string_view name) const;

private:
  friend class router;
  struct span {
    std::uint32_t begin;
    std::uint32_t size;
  };
  struct binding {
    std::string_view name;  ///< Of the router's pattern, which outlives its requests.
    std::size_t segment;
  };

  [[nodiscard]] std::string_view view(span where) const noexcept;
  [[nodiscard]] runtime::result<void> take_authority(std::string_view& target);
  [[nodiscard]] runtime::result<void> decode_path(std::string_view path);
  [[nodiscard]] runtime::result<void> decode_query(std::string_view query);
  [[nodiscard]] runtime::result<span> decode(std::string_view text, bool plus_is_space);

  std::string target_;
  std::string authority_;  ///< Of an absolute target; else empty.
  bool https_ = false;
  std::string decoded_;
  std::vector<span> segments_;
  std::vector<std::pair<span, span>> query_;
  std::vector<binding> params_;
  std::string_view route_;
};

/// One answer with its whole body. The server adds Content-Length, Date and Connection.
struct response {
  int status = 200;

  /// Text that outlives the response (a literal); empty for no Content-Type. A type made at run
  /// time goes into `headers`.
  std::string_view content_type;

  header_list headers;
  std::string body;

  bool changed_nothing = false;  ///< Whatever the method says; for whoever logs it.

  /// The body instead of `body`, where many answers have the same: they take no memory for it.
  std::shared_ptr<const std::string> shared_body = {};

  [[nodiscard]] std::string_view content() const noexcept {
    return shared_body ? std::string_view{*shared_body} : body;
  }
};

[[nodiscard]] response json(int status, std::string text);
[[nodiscard]] response json(int status, std::shared_ptr<const std::string> text);
[[nodiscard]] response text(int status, std::string text);

/// 204, or another status that needs no body.
[[nodiscard]] response empty(int status = 204);

/// The reason phrase of a status; "Status" for one without.
[[nodiscard]] std::string_view reason_of(int status) noexcept;

}  // namespace http
}  // namespace millrace::gateway
