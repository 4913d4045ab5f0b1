// SPDX-License-Identifier: MIT
// From calls to answers.
#pragma once

#include <capnp/schema.h>

#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "http/message.h"
#include "http/problem.h"
#include "http/reply.h"
#include "millrace/runtime/json.h"
#include "millrace/runtime/silo.h"

namespace millrace::gateway {

/// The JSON of a call's results.
template <class T>
[[nodiscard]] std::string json_of(const T& results) {
  return runtime::to_json_text(results.read());
}

/// Makes the call and answers with `render(results)`, a response, or the problem.
template <class T, class Render>
void call_and_answer(runtime::silo& silo, runtime::call<T> one, http::reply answer, Render render) {
  auto shared = std::make_shared<http::reply>(std::move(answer));
  silo.call_then<T>(std::move(one),
                    [shared, render = std::move(render)](runtime::result<T> results) {
                      if (!results) {
                        shared->fail(results.error());
                      } else if constexpr (std::is_void_v<T>) {
                        shared->send(render());
                      } else {
                        shared->send(render(*results));
                      }
                    });
}

/// The request's `traceparent` (W3C Trace Context, level 1) as the context of a call; null without
/// one, or when it is malformed: then, as the specification has it, the request has no trace.
[[nodiscard]] inline std::shared_ptr<const runtime::request_context> trace_of(
    const http::request& request) {
  const auto parent = request.headers.find("traceparent");
  if (!parent || parent->size() != 55 || !parent->starts_with("00-")) {
    return nullptr;
  }
  constexpr std::string_view shape = "00-00000000000000000000000000000000-0000000000000000-00";
  for (std::size_t at = 0; at < shape.size(); ++at) {
    const auto digit =
        std::string_view{"0123456789abcdef"}.find((*parent)[at]) != std::string_view::npos;
    if (shape[at] == '-' ? (*parent)[at] != '-' : !digit) {
      return nullptr;
    }
  }
  const auto zero = [](std::string_view id) {
    return id.find_first_not_of('0') == std::string_view::npos;
  };
  if (zero(parent->substr(3, 32)) || zero(parent->substr(36, 16))) {
    return nullptr;
  }
  return std::make_shared<const runtime::request_context>(
      runtime::request_context{{"traceparent", std::string{*parent}}});
}

/// A number in the query. Errors: `invalid_argument` naming the parameter.
[[nodiscard]] inline runtime::result<std::uint64_t> number_in_query(const http::request& request,
                                                                    std::string_view name,
                                                                    std::uint64_t fallback,
                                                                    std::uint64_t most) {
  const auto text = request.query(name);
  if (!text) {
    return fallback;
  }
  std::uint64_t number = 0;
  const auto* end = text->data() + text->size();
  const auto [after, failure] = std::from_chars(text->data(), end, number);
  if (failure != std::errc{} || after != end || number > most) {
    return runtime::error{runtime::errc::invalid_argument, "query parameter '" + std::string{name} +
                                                               "' must be a number from 0 to " +
                                                               std::to_string(most)};
  }
  return number;
}

[[nodiscard]] inline std::string text_in_query(const http::request& request,
                                               std::string_view name) {
  return std::string{request.query(name).value_or("")};
}

}  // namespace millrace::gateway
