// SPDX-License-Identifier: MIT
// From requests to calls, and from their results to answers.
#pragma once

#include <capnp/dynamic.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "api/file_thread.h"
#include "http/message.h"
#include "http/problem.h"
#include "http/reply.h"
#include "millrace/runtime/json.h"
#include "millrace/runtime/silo.h"

namespace millrace::gateway {

/// An answer in JSON: a message as its schema says, anything else as a tree. No text of JSON is put
/// together elsewhere.
[[nodiscard]] http::response answer_of(int status, capnp::DynamicStruct::Reader shown);
[[nodiscard]] http::response answer_of(int status, const nlohmann::ordered_json& tree);
template <class Message>
requires requires(const Message& shown) {
  shown.read();
}
[[nodiscard]] http::response answer_of(int status, const Message& shown) {
  return answer_of(status, capnp::DynamicStruct::Reader{shown.read()});
}

/// An answer to a POST that has only looked.
[[nodiscard]] inline http::response looked(http::response told) {
  told.changed_nothing = true;
  return told;
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

/// The same where the answer is the results.
template <class T>
void call_and_answer(runtime::silo& silo, runtime::call<T> one, http::reply answer) {
  call_and_answer(silo, std::move(one), std::move(answer),
                  [](const T& results) { return answer_of(200, results); });
}

/// Whether a trace that no client has asked for, and nobody is told of, goes along.
enum class quiet_trace : bool { left_out, goes_along };

/// The request's place in a trace (W3C Trace Context, level 1) as the context of a call; null where
/// it has none. A `traceparent` that is malformed counts, as the specification has it, as none.
[[nodiscard]] std::shared_ptr<const runtime::request_context> trace_of(
    const http::request& request, quiet_trace quiet = quiet_trace::left_out);

/// Runs `job` on the thread, which then answers; or answers that it is overloaded.
template <class Job>
void answer_on(file_thread& thread, const std::shared_ptr<http::reply>& answer, Job job) {
  if (const auto posted = thread.post(std::move(job)); !posted) {
    answer->fail(posted.error());
  }
}

/// A number in the query. Errors: `invalid_argument` naming the parameter.
[[nodiscard]] runtime::result<std::uint64_t> number_in_query(const http::request& request,
                                                             std::string_view name,
                                                             std::uint64_t fallback,
                                                             std::uint64_t most);

/// The request's Idempotency-Key; empty: it has none.
[[nodiscard]] std::string key_of(const http::request& request);

/// What the sender's token is called; empty: nobody is asked for one.
[[nodiscard]] std::string name_of_sender(const http::request& request);

[[nodiscard]] std::string text_in_query(const http::request& request, std::string_view name);

/// Errors: `invalid_argument` for a text that nothing is called by; `what`: `project`.
[[nodiscard]] runtime::result<std::string> name_in(std::string_view text, std::string_view what);

/// The key of the pipeline that the path names. Errors: `invalid_argument`.
[[nodiscard]] runtime::result<std::string> pipeline_key(const http::request& request);

}  // namespace millrace::gateway
