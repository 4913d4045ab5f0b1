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
