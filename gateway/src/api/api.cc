// SPDX-License-Identifier: MIT
#include "api/api.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "api/respond.h"
#include "millrace/actors/suggestion.h"

namespace millrace::gateway {

namespace {

// What a handler may read on an io thread: JSON in some 0.5 ms, a definition in 1 ms.
constexpr std::size_t quick_body_bytes = 4096;

std::string unknown_key(const std::string& key, const std::vector<std::string_view>& known) {
  auto text = "unknown query parameter '" + key + "'";
  text += known.empty() ? "; none is known here" : "; known are";
  actors::suggestion nearest{key};
  for (const auto each : known) {
    nearest.consider(each);
    text.append(each == known.front() ? ": " : ", ").append(each);
  }
  if (!nearest.best().empty()) {
    text.append("; did you mean '").append(nearest.best()).append("'?");
  }
  return text;
}

// What is wrong with the keys of the query: one that means nothing would be missed silently, like
// a filter that does not filter.
std::optional<runtime::error> mistake_in_query(const http::request& received,
                                               const std::vector<std::string_view>& known) {
  for (std::size_t at = 0; at < received.query_count(); ++at) {
    const std::string key{received.query_at(at).first};
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return runtime::error{runtime::errc::invalid_argument, unknown_key(key, known)};
    }
    for (std::size_t before = 0; before < at; ++before) {
      if (received.query_at(before).first == key) {
        return runtime::error{runtime::errc::invalid_argument,
                              "query parameter '" + key + "' is given twice"};
      }
    }
  }
  return std::nullopt;
}

// What a request asks for that no route here has; the answer that says so.
std::optional<http::response> refusal(const http::request& received) {
  const auto coding = received.headers.find("Content-Encoding");
  if (coding && !received.body.empty() && !http::same_name(*coding, "identity")) {
    auto made = http::problem_response(
        {.status = 415,
         .cause = {runtime::errc::invalid_argument,
                   "Content-Encoding: a body is read as it is; send it without a coding"},
         .instance = {},
         .errors = {}});
    made.headers.add("Accept-Encoding", "identity");
    return made;
  }
  // PUT looks itself (a definition has an ETag). Whoever names one elsewhere guards against a
  // change that could then not be seen (RFC 9110, 13.1.1).
  const auto changes = received.method == http::method::post ||
                       received.method == http::method::del ||
                       received.method == http::method::patch;
  if (const auto tags = received.headers.find("If-Match"); changes && tags && *tags != "*") {
    return http::problem_response(
        {.status = 412,
         .cause = {runtime::errc::conflict, "If-Match: what this changes has no ETag"},
         .instance = {},
         .errors = {}});
  }
  return std::nullopt;
}

using route_handler = void (*)(const api_parts&, http::request&, http::reply);

// Has a request of its own, since the connection's is only good until its handler returns.
void handle_elsewhere(const api_parts& parts, route_handler handle, http::request& received,
                      http::reply answer) {
  auto body = std::move(received.body);
  const auto held = std::make_shared<http::request>(received);
  held->body = std::move(body);
  const auto shared = std::make_shared<http::reply>(std::move(answer));
  answer_on(parts.bodies, shared,
            [&parts, handle, held, shared] { handle(parts, *held, std::move(*shared)); });
}

}  // namespace

void add_route(http::router& routes, const api_parts& parts, http::method verb,
               std::string_view pattern,
               void (*handle)(const api_parts&, http::request&, http::reply),
               std::initializer_list<std::string_view> query) {
  routes.add(
      verb, pattern,
      [&parts, handle, known = std::vector(query)](http::request& received, http::reply answer) {
        if (const auto mistake = mistake_in_query(received, known)) {
          answer.fail(*mistake);
        } else if (auto refused = refusal(received)) {
          answer.send(*std::move(refused));
        } else if (received.body.size() > quick_body_bytes) {
          handle_elsewhere(parts, handle, received, std::move(answer));
        } else {
          handle(parts, received, std::move(answer));
        }
      });
}

void add_api(http::router& routes, const api_parts& parts) {
  add_pipeline_routes(routes, parts);
  add_run_list_routes(routes, parts);
  add_run_routes(routes, parts);
  add_log_routes(routes, parts);
  add_actor_routes(routes, parts);
  add_inspect_routes(routes, parts);
  add_dead_letter_routes(routes, parts);
  add_backup_routes(routes, parts);
  add_cluster_routes(routes, parts);
  add_system_routes(routes, parts);
}

}  // namespace millrace::gateway
