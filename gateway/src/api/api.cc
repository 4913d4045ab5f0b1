// SPDX-License-Identifier: MIT
#include "api/api.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "api/openapi.h"
#include "api/respond.h"
#include "http/problem.h"
#include "millrace/actors/suggestion.h"
#include "millrace/runtime/call.h"

namespace millrace::gateway {

namespace {

// What a handler may read on an io thread: JSON in some 0.5 ms, a definition in 1 ms.
constexpr std::size_t quick_body_bytes = 4096;

std::string unknown_key(const std::string& key, const std::vector<query_key>& known) {
  auto text = "unknown query parameter '" + key + "'";
  text += known.empty() ? "; none is known here" : "; known are";
  actors::suggestion nearest{key};
  for (const auto& each : known) {
    nearest.consider(each.name);
    text.append(&each == &known.front() ? ": " : ", ").append(each.name);
  }
  if (!nearest.best().empty()) {
    text.append("; did you mean '").append(nearest.best()).append("'?");
  }
  return text;
}

// What is wrong with the keys of the query: one that means nothing would be missed silently, like
// a filter that does not filter.
std::optional<runtime::error> mistake_in_query(const http::request& received,
                                               const std::vector<query_key>& known) {
  for (std::size_t at = 0; at < received.query_count(); ++at) {
    const std::string key{received.query_at(at).first};
    if (std::none_of(known.begin(), known.end(),
                     [&key](const query_key& each) { return each.name == key; })) {
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

bool heeds(const operation& about, std::string_view header) {
  return std::any_of(about.headers.begin(), about.headers.end(),
                     [header](const header_key& each) { return each.name == header; });
}

// Whoever names an ETag guards against a change that could not be seen where there is none (RFC
// 9110, 13.1.1). `If-Match: *` holds for what is there, which PUT may make; and only PUT heeds
// `If-None-Match`.
std::optional<http::response> refused_condition(const http::request& received,
                                                const operation& about) {
  const auto is_put = received.method == http::method::put;
  const auto changes = is_put || received.method == http::method::post ||
                       received.method == http::method::del ||
                       received.method == http::method::patch;
  for (const std::string name : {"If-Match", "If-None-Match"}) {
    const auto tags = received.headers.find(name);
    const auto counts = is_put || (changes && name == "If-Match" && tags != "*");
    if (tags && counts && !heeds(about, name)) {
      return http::problem_response(
          {.status = 412,
           .cause = {runtime::errc::conflict, name + ": what this changes has no ETag"},
           .instance = {},
           .errors = {}});
    }
  }
  return std::nullopt;
}

// What a request asks for that the route does not have; the answer that says so.
std::optional<http::response> refusal(const http::request& received, const operation& about) {
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
  if (heeds(about, idempotency_key.name) &&
      key_of(received).size() > runtime::idempotency_key_bytes_max) {
    return http::problem_response(
        runtime::error{runtime::errc::invalid_argument, "an idempotency key is at most 200 bytes"});
  }
  return refused_condition(received, about);
}

// Has a request of its own, since the connection's is only good until its handler returns.
void handle_elsewhere(const api_parts& parts, api_routes::handler handle, http::request& received,
                      http::reply answer) {
  const auto held = received.detach();
  const auto shared = std::make_shared<http::reply>(std::move(answer));
  answer_on(parts.bodies, shared,
            [&parts, handle, held, shared] { handle(parts, *held, std::move(*shared)); });
}

}  // namespace

void api_routes::route(row about, http::handler handle) {
  into_.add(about.verb, about.pattern,
            [parts = &parts_, needed = about.needed, handle = std::move(handle)](
                http::request& received, http::reply answer) {
              if (parts->guard == nullptr) {
                handle(received, std::move(answer));
              } else {
                parts->guard->admit(received, std::move(answer), needed, handle);
              }
            });
  rows_.push_back(std::move(about));
}

void api_routes::add(http::method verb, std::string_view pattern, access needed, operation about,
                     http::handler handle) {
  route({verb, std::string{pattern}, needed, std::move(about), false}, std::move(handle));
}

void api_routes::add(http::method verb, std::string_view pattern, access needed, operation about,
                     handler handle) {
  const auto shared = std::make_shared<const operation>(about);
  route({verb, std::string{pattern}, needed, std::move(about), true},
        [&parts = parts_, handle, shared](http::request& received, http::reply answer) {
          if (const auto mistake = mistake_in_query(received, shared->query)) {
            answer.fail(*mistake);
          } else if (auto refused = refusal(received, *shared)) {
            answer.send(*std::move(refused));
          } else if (received.body.size() > quick_body_bytes) {
            handle_elsewhere(parts, handle, received, std::move(answer));
          } else {
            handle(parts, received, std::move(answer));
          }
        });
}

access_table accesses_of(const std::vector<api_routes::row>& rows) {
  access_table made;
  for (const auto& each : rows) {
    made.emplace(std::pair{each.verb, each.pattern}, each.needed);
  }
  return made;
}

std::optional<http::response> refuse_body(const http::router& routes, const access_table& accesses,
                                          guard& by, http::request& received) {
  auto unrouted = routes.refusal(received);
  const auto found = accesses.find({received.method, std::string{received.route()}});
  return by.refuse_body(received, found != accesses.end() ? &found->second : nullptr,
                        std::move(unrouted));
}

std::vector<api_routes::row> add_api(http::router& into, const api_parts& parts) {
  api_routes routes{into, parts};
  add_pipeline_routes(routes);
  add_batch_routes(routes);
  add_webhook_routes(routes);
  add_schedule_routes(routes);
  add_run_list_routes(routes);
  add_run_routes(routes);
  add_run_order_routes(routes);
  add_callback_routes(routes);
  add_log_routes(routes);
  add_run_log_routes(routes);
  add_artifact_routes(routes);
  add_cache_routes(routes);
  add_actor_routes(routes);
  add_inspect_routes(routes);
  add_dead_letter_routes(routes);
  add_backup_routes(routes);
  add_cluster_routes(routes);
  add_token_routes(routes);
  add_secret_routes(routes);
  add_sharing_routes(routes);
  add_audit_routes(routes);
  add_system_routes(routes);
  add_openapi_route(routes, rows_of_open_methods(parts.silo));  // last: it tells of the others
  return routes.rows();
}

}  // namespace millrace::gateway
