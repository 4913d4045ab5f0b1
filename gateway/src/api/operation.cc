// SPDX-License-Identifier: MIT
#include "api/operation.h"

namespace millrace::gateway {

query_key number_key(std::string_view name, std::uint64_t most, std::string_view text) {
  auto shape = shape::count();
  shape.schema["maximum"] = most;
  return {name, text, std::move(shape)};
}

query_key text_key(std::string_view name, std::string_view text) {
  return {name, text, shape::text()};
}

query_key flag_key(std::string_view name, std::string_view text) {
  auto shape = shape::flag();
  shape.schema["default"] = false;
  return {name, text, std::move(shape)};
}

query_key word_key(std::string_view name, std::initializer_list<std::string_view> words,
                   std::string_view text) {
  return {name, text, shape::word(words)};
}

media json_media(json_shape shape) {
  return {"application/json", std::move(shape)};
}

media plain_text() {
  return {"text/plain", shape::text()};
}

json_shape problem_shape() {
  const auto entry = shape::with_optional(
      shape::object({{"pointer", shape::text("A JSON pointer into the body (RFC 6901).")},
                     {"line", shape::count()},
                     {"column", shape::count()},
                     {"detail", shape::text()}}),
      {"line", "column"});
  return shape::named(
      "Problem",
      shape::with_optional(
          shape::object({{"type", shape::text("`urn:millrace:problem:` and the code.")},
                         {"title", shape::text("The reason phrase of the status.")},
                         {"status", shape::count()},
                         {"detail", shape::text("What is wrong and what to do, for a person.")},
                         {"instance", shape::text("The target of the request.")},
                         {"code", shape::text("What went wrong, for a program: `not_found`.")},
                         {"errors", shape::list(entry)},
                         {"trace_id", shape::text("Of the trace that the request is part of.")}}),
          {"instance", "errors", "trace_id"}));
}

}  // namespace millrace::gateway
