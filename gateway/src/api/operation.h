// SPDX-License-Identifier: MIT
// Operations: what a route is for, and what it takes and gives, said where it is added.
//
// /openapi.json is made of these. What routes have in common is not said of each: that a token is
// needed, parameters of the path, and the problems that any request may meet; see openapi.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/json_shape.h"

namespace millrace::gateway {

/// A key that the query may have.
struct query_key {
  std::string_view name;
  std::string_view text;
  json_shape shape;  ///< Of its value.
};

/// A number from 0 to `most`.
[[nodiscard]] query_key number_key(std::string_view name, std::uint64_t most,
                                   std::string_view text);
[[nodiscard]] query_key text_key(std::string_view name, std::string_view text);
/// `true` or `false`, which is what it is without.
[[nodiscard]] query_key flag_key(std::string_view name, std::string_view text);
[[nodiscard]] query_key word_key(std::string_view name,
                                 std::initializer_list<std::string_view> words,
                                 std::string_view text);

/// A header field that a request may have, or that an answer has.
struct header_key {
  std::string_view name;
  std::string_view text;
  bool is_always_there = true;  ///< Of an answer.
};

/// Of a request that has its effect once, however often it is sent. Every POST names it, or one of
/// those below.
inline constexpr header_key idempotency_key{
    "Idempotency-Key",
    "A text of the client's choice. A request that is sent again with it has its effect once, and "
    "the answer is the first one's; with another body it is refused (422)."};
/// Of a request that is that by itself.
inline constexpr header_key repeatable{
    "Idempotency-Key", "Taken, and not needed: to ask twice is the same as to ask once."};
/// Of a request that takes away what it is about.
inline constexpr header_key once_anyway{
    "Idempotency-Key",
    "Taken, and not needed: it has its effect once, and asked again finds nothing (404)."};
inline constexpr header_key traceparent{
    "traceparent", "The W3C trace context of whatever the request sets going."};
inline constexpr header_key location{"Location", "The path of what was made."};

/// A body, of a request or an answer.
struct media {
  std::string_view type = {};  ///< Empty: there is none.
  json_shape shape = {};
  /// Of a stream of server-sent events: their names, and the JSON that each has.
  std::vector<std::pair<std::string_view, json_shape>> events = {};
};

[[nodiscard]] media json_media(json_shape shape);
/// JSON made from a message.
template <class Struct>
[[nodiscard]] media json_of() {
  return json_media(shape::of<Struct>());
}
/// JSON that a message is made from.
template <class Struct>
[[nodiscard]] media json_read_as() {
  return json_media(shape::of(capnp::Schema::from<Struct>(), runtime::json_side::read));
}
[[nodiscard]] media plain_text();

/// A problem document, as http/problem.cc writes it.
[[nodiscard]] json_shape problem_shape();

struct request_body {
  std::vector<media> any_of = {};  ///< Empty: there is none.
  bool is_needed = false;
};

struct answer {
  int status;
  std::string_view text;
  media body = {};
  std::vector<header_key> headers = {};
};

/// Texts are literals, in Markdown, and end with a full stop; but for `summary`, a title.
struct operation {
  std::string id;        ///< Unique; `snake_case`.
  std::string_view tag;  ///< What it is about: `runs`.
  std::string summary;
  std::string_view text = {};  ///< What more there is to say.
  std::vector<query_key> query = {};
  std::vector<header_key> headers = {};
  request_body body = {};
  std::vector<answer> answers;
  std::vector<int> problems = {};  ///< Statuses of problem documents, besides the common ones.
};

}  // namespace millrace::gateway
