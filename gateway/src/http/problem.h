// SPDX-License-Identifier: MIT
// Errors on the wire: RFC 9457 problem documents, and the one table from codes to statuses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "millrace/runtime/error.h"

namespace millrace::gateway::http {

inline constexpr std::string_view problem_content_type = "application/problem+json";

/// The HTTP status of a code; the reasons stand beside the table in the source.
[[nodiscard]] int status_of(runtime::errc code) noexcept;

/// The code a client may conclude from a status without a problem document.
[[nodiscard]] runtime::errc errc_of_status(int status) noexcept;

/// One fault inside a document the client sent.
struct problem_entry {
  std::string pointer;  ///< JSON pointer (RFC 6901) into the request body; empty for the whole.
  int line = 0;         ///< In the text the client sent, from 1; 0 when unknown.
  int column = 0;       ///< From 1; 0 when unknown.
  std::string detail;
};

/// A problem document before it is written.
struct problem {
  /// 0: `status_of(cause.code())`, or 422 for an idempotency key that another request came with.
  /// Others: 412 for a failed If-Match.
  int status = 0;
  runtime::error cause;       ///< Gives `code`, `detail` and, when it has a hint, Retry-After.
  std::string_view instance;  ///< The target of the request, or empty.
  std::vector<problem_entry> errors;
};

/// The answer for a problem: `{type, title, status, detail, instance, code, errors}` and, where
/// waiting helps, Retry-After in whole seconds, at least 1.
[[nodiscard]] response problem_response(const problem& what);

/// The same for an error alone.
[[nodiscard]] response problem_response(const runtime::error& cause,
                                        std::string_view instance = {});

/// Has a problem's document name a trace, as its last member; no effect on other answers.
/// Requires: `id` is a trace's id, and `answer` is of `problem_response` if it is a problem.
void add_trace_id(response& answer, std::string_view id);

/// The error a received answer stands for: the code and detail of its problem document, or what
/// the status says when the body is none. Requires: status >= 400.
[[nodiscard]] runtime::error error_of_response(int status, const header_list& headers,
                                               std::string_view body);

}  // namespace millrace::gateway::http
