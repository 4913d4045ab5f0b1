// SPDX-License-Identifier: MIT
#include "http/problem.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "millrace/runtime/assert.h"
#include "millrace/runtime/idempotency_key.h"

namespace millrace::gateway::http {
namespace {

using runtime::errc;

constexpr std::chrono::milliseconds retry_after_default{1000};

bool wants_retry_after(int status) noexcept {
  return status == 429 || status == 503;
}

// 422 as in the draft of the field Idempotency-Key, draft-ietf-httpapi-idempotency-key-header, 2.7.
int status_of(const runtime::error& cause) {
  return runtime::is_other_request(cause) ? 422 : http::status_of(cause.code());
}

std::string seconds_text(std::chrono::milliseconds wait) {
  // Rounded up: coming back early is what the hint is there to prevent.
  const auto seconds = std::max<long long>(1, (wait.count() + 999) / 1000);
  return std::to_string(seconds);
}

}  // namespace

// The table. Proxies and client libraries resend on 502, 503 and 429 by themselves, whatever the
// method; so those three stand only for codes whose retry class is `safe`. What may have had an
// effect is 504 or 500, which nothing resends blindly.
// NOLINTBEGIN(bugprone-branch-clone): one row a code
int status_of(errc code) noexcept {
  switch (code) {
    case errc::not_found:
      return 404;
    case errc::invalid_argument:
      return 400;
    case errc::conflict:
      return 409;
    // Not 412, which answers a failed If-Match and nothing else; the state conflicts, so 409.
    case errc::failed_precondition:
      return 409;
    case errc::call_cycle:
      return 508;
    case errc::deadline_exceeded:
      return 504;
    // 429 and not 503: the service works, this caller is asked to slow down.
    case errc::overloaded:
      return 429;
    case errc::unavailable:
      return 503;
    case errc::not_primary:
      return 503;
    case errc::outcome_unknown:
      return 504;
    case errc::fenced:
      return 503;
    case errc::not_enough_replicas:
      return 503;
    case errc::storage_failed:
      return 500;
    case errc::permission_denied:
      return 403;
    case errc::unauthenticated:
      return 401;
    case errc::internal:
      return 500;
    // 499 is one server's private log code for a client that left. A client that reads this
    // answer has not: the work was withdrawn, which is a state it did not expect.
    case errc::cancelled:
      return 409;
    // The route exists, the actor type or method behind it does not: 404 would say that the
    // *actor* is missing, and virtual actors never are.
    case errc::unimplemented:
      return 501;
    case errc::out_of_space:
      return 507;
    case errc::too_large:
      return 413;
  }
  return 500;
}
// NOLINTEND(bugprone-branch-clone)

errc errc_of_status(int status) noexcept {
  switch (status) {
    case 401:
      return errc::unauthenticated;
    case 403:
      return errc::permission_denied;
    case 404:
      return errc::not_found;
    case 408:
      return errc::deadline_exceeded;
    case 409:
      return errc::conflict;
    case 412:
      return errc::failed_precondition;
    case 413:
      return errc::too_large;
    case 429:
      return errc::overloaded;
    case 501:
      return errc::unimplemented;
    case 503:
      return errc::unavailable;
    case 504:
      return errc::outcome_unknown;
    case 507:
      return errc::out_of_space;
    case 508:
      return errc::call_cycle;
    default:
      return status < 500 ? errc::invalid_argument : errc::internal;
  }
}

response problem_response(const problem& what) {
  const int status = what.status != 0 ? what.status : status_of(what.cause);
  const auto code = to_string(what.cause.code());
  nlohmann::ordered_json document;
  document["type"] = "urn:millrace:problem:" + std::string{code};
  document["title"] = reason_of(status);
  document["status"] = status;
  document["detail"] = what.cause.text();
  if (!what.instance.empty()) {
    document["instance"] = what.instance;
  }
  document["code"] = code;
  if (!what.errors.empty()) {
    auto& list = document["errors"] = nlohmann::ordered_json::array();
    for (const auto& each : what.errors) {
      nlohmann::ordered_json entry;
      entry["pointer"] = each.pointer;
      if (each.line > 0) {
        entry["line"] = each.line;
      }
      if (each.column > 0) {
        entry["column"] = each.column;
      }
      entry["detail"] = each.detail;
      list.push_back(std::move(entry));
    }
  }
  response made;
  made.status = status;
  made.content_type = problem_content_type;
  // Texts may quote what a client sent; bytes that are no UTF-8 are replaced, not thrown upon.
  made.body = document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  if (status == 401) {
    // It must be there (RFC 9110, 11.6.1), with a parameter (RFC 6750, 3).
    made.headers.add("WWW-Authenticate", "Bearer realm=\"millrace\"");
  }
  const auto hint = what.cause.retry_after();
  if (hint.count() > 0 || wants_retry_after(status)) {
    made.headers.add("Retry-After", seconds_text(hint.count() > 0 ? hint : retry_after_default));
  }
  return made;
}

response problem_response(const runtime::error& cause, std::string_view instance) {
  return problem_response(problem{.status = 0, .cause = cause, .instance = instance, .errors = {}});
}

// What is written already is not read and written again: under an attack there are many of these.
void add_trace_id(response& answer, std::string_view id) {
  if (answer.content_type == problem_content_type) {
    MILLRACE_ASSERT(answer.body.ends_with('}'));
    answer.body.pop_back();
    answer.body.append(",\"trace_id\":\"").append(id).append("\"}");
  }
}

runtime::error error_of_response(int status, const header_list& headers, std::string_view body) {
  MILLRACE_ASSERT(status >= 400);
  auto code = errc_of_status(status);
  std::string detail = "HTTP " + std::to_string(status) + " " + std::string{reason_of(status)};
  const auto document = nlohmann::json::parse(body, nullptr, false);
  if (document.is_object()) {
    if (const auto at = document.find("code"); at != document.end() && at->is_string()) {
      code = runtime::errc_from_string(at->get_ref<const std::string&>());
    }
    if (const auto at = document.find("detail"); at != document.end() && at->is_string()) {
      detail = at->get<std::string>();
    }
  }
  std::chrono::milliseconds wait{};
  if (const auto text = headers.find("Retry-After")) {
    std::int64_t seconds = 0;
    const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), seconds);
    constexpr std::int64_t seconds_max = 86'400;
    if (failed == std::errc{} && end == text->data() + text->size() && seconds > 0) {
      wait = std::chrono::seconds{std::min(seconds, seconds_max)};
    }
  }
  return {code, std::move(detail), wait};
}

}  // namespace millrace::gateway::http
