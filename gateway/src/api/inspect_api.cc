// SPDX-License-Identifier: MIT
// What operators see of actors and of the silo. It may wait for the disk, or look at many
// activations, so it runs on a thread of its own.
#include "api/actor_list.h"
#include "api/api.h"
#include "api/respond.h"
#include "api/silo_json.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using nlohmann::ordered_json;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr std::uint64_t page_default = 100;
constexpr std::uint64_t page_max = 1'000;

// Sends what `make` gives, from the thread for inspections.
template <class Make>
void answer_later(const api_parts& parts, reply answer, Make make) {
  auto shared = std::make_shared<reply>(std::move(answer));
  answer_on(parts.inspections, shared, [shared, make = std::move(make)] {
    const result<ordered_json> made = make();
    if (!made) {
      shared->fail(made.error());
      return;
    }
    shared->send(answer_of(200, *made));
  });
}

// Refuses what names no type of this silo.
bool is_hosted(const api_parts& parts, const request& received, reply& answer) {
  const auto name = received.param("type");
  if (parts.silo.find_type(name) != nullptr) {
    return true;
  }
  answer.fail({errc::not_found,
               "there is no actor type '" + std::string{name} + "'; GET /api/v1/silo lists them"});
  return false;
}

result<std::size_t> limit_of(const request& received) {
  const auto limit = number_in_query(received, "limit", 0, page_max);
  if (!limit) {
    return limit.error();
  }
  return std::size_t{*limit == 0 ? page_default : *limit};
}

void list(const api_parts& parts, request& received, reply answer) {
  if (!is_hosted(parts, received, answer)) {
    return;
  }
  const auto limit = limit_of(received);
  const auto active = received.query("active").value_or("false");
  if (!limit || (active != "true" && active != "false")) {
    answer.fail(
        limit ? error{errc::invalid_argument, "query parameter 'active' must be true or false"}
              : limit.error());
    return;
  }
  answer_actor_list(parts,
                    {.type = std::string{received.param("type")},
                     .silo = text_in_query(received, "silo"),
                     .prefix = text_in_query(received, "prefix"),
                     .cursor = text_in_query(received, "cursor"),
                     .limit = *limit,
                     .active = active == "true"},
                    std::move(answer));
}

ordered_json parsed(const std::string& json) {
  auto value = ordered_json::parse(json, nullptr, false);
  return value.is_discarded() ? ordered_json{} : value;
}

ordered_json document_of(const runtime::actor_id& actor, const runtime::actor_state& state) {
  ordered_json whole{{"id", actor.to_string()}};
  if (!state.root_json.empty()) {
    whole["state"] = parsed(state.root_json);
  }
  whole["maps"] = ordered_json::object();
  for (const auto& map : state.maps) {
    auto records = ordered_json::object();
    for (const auto& record : map.records) {
      records[record.key] = parsed(record.json);
    }
    whole["maps"][map.name] = {{"records", std::move(records)},
                               {"next", map.more ? map.records.back().key : ""}};
  }
  return whole;
}

void state(const api_parts& parts, request& received, reply answer) {
  if (!is_hosted(parts, received, answer)) {
    return;
  }
  const auto limit = limit_of(received);
  const runtime::state_request wanted{text_in_query(received, "map"),
                                      text_in_query(received, "after"), limit ? *limit : 1};
  if (!limit || (!wanted.after.empty() && wanted.map.empty())) {
    answer.fail(limit ? error{errc::invalid_argument,
                              "query parameter 'after' belongs to a map: name it with 'map'"}
                      : limit.error());
    return;
  }
  answer_later(parts, std::move(answer),
               [&silo = parts.silo, wanted,
                actor = runtime::actor_id{std::string{received.param("type")},
                                          std::string{received.param("key")}}]() {
                 const auto found = silo.state_of(actor, wanted);
                 return found ? result{document_of(actor, *found)} : found.error();
               });
}

void deactivate(const api_parts& parts, request& received, reply answer) {
  if (!is_hosted(parts, received, answer)) {
    return;
  }
  const auto asked = parts.silo.deactivate(
      {std::string{received.param("type")}, std::string{received.param("key")}});
  if (!asked) {
    answer.fail(asked.error());
    return;
  }
  answer.send(answer_of(200, {{"was_active", *asked}}));
}

void figures(const api_parts& parts, request&, reply answer) {
  answer_later(parts, std::move(answer),
               [&silo = parts.silo]() -> result<ordered_json> { return json_of(silo.metrics()); });
}

}  // namespace

void add_inspect_routes(http::router& routes, const api_parts& parts) {
  const std::string one = "/api/v1/actors/{type}/{key}";
  add_route(routes, parts, method::get, "/api/v1/actors/{type}", list,
            {"silo", "prefix", "active", "cursor", "limit"});
  add_route(routes, parts, method::get, one + "/state", state, {"map", "after", "limit"});
  add_route(routes, parts, method::post, one + "/deactivate", deactivate);
  add_route(routes, parts, method::get, "/api/v1/silo", figures);
}

}  // namespace millrace::gateway
