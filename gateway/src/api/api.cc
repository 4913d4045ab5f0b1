// SPDX-License-Identifier: MIT
#include "api/api.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "millrace/actors/suggestion.h"

namespace millrace::gateway {

namespace {

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
  add_system_routes(routes, parts);
}

}  // namespace millrace::gateway
