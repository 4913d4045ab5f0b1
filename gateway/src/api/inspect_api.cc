// SPDX-License-Identifier: MIT
// What operators see of actors, wherever they live, and of the silo. It may wait for the disk, or
// look at many activations, so it runs on a thread of its own.
#include "api/actor_list.h"
#include "api/api.h"
#include "api/ask_silos.h"
#include "api/list_page.h"
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

using state_results = actors::silo_control::state_of_results;
using deactivate_results = actors::silo_control::deactivate_actor_results;

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

result<std::size_t> limit_of(const request& received) {
  const auto limit = number_in_query(received, "limit", 0, page_max);
  if (!limit) {
    return limit.error();
  }
  return std::size_t{*limit == 0 ? page_default : *limit};
}

void list(const api_parts& parts, request& received, reply answer) {
  if (const auto known = check_hosted(parts.silo, received.param("type")); !known) {
    answer.fail(known.error());
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

ordered_json parsed(std::string_view json) {
  auto value = ordered_json::parse(json, nullptr, false);
  return value.is_discarded() ? ordered_json{} : value;
}

ordered_json document_of(const runtime::actor_id& actor, const std::string& silo,
                         const state_results& told) {
  const auto state = told.read();
  ordered_json whole{{"id", actor.to_string()}, {"silo", silo}};
  if (state.getRoot().size() > 0) {
    whole["state"] = parsed(state.getRoot().cStr());
  }
  whole["maps"] = ordered_json::object();
  for (const auto map : state.getMaps()) {
    auto records = ordered_json::object();
    std::string last;
    for (const auto record : map.getRecords()) {
      const auto key = record.getKey().asChars();
      last.assign(key.begin(), key.size());
      records[last] = parsed(record.getJson().cStr());
    }
    whole["maps"][map.getName().cStr()] = {{"records", std::move(records)},
                                           {"next_cursor", map.getMore() ? last : ""}};
  }
  return whole;
}

json_shape document_shape() {
  const auto map =
      shape::object({{"records", shape::map(shape::any())}, {"next_cursor", next_cursor_shape()}});
  return shape::named("ActorState", shape::with_optional(shape::object({{"id", shape::text()},
                                                                        {"silo", shape::text()},
                                                                        {"state", shape::any()},
                                                                        {"maps", shape::map(map)}}),
                                                         {"state"}));
}

runtime::actor_id actor_in(const request& received) {
  return {std::string{received.param("type")}, std::string{received.param("key")}};
}

void state(const api_parts& parts, request& received, reply answer) {
  const auto limit = limit_of(received);
  const auto map = text_in_query(received, "map");
  const auto after = text_in_query(received, "cursor");
  if (!limit || (!after.empty() && map.empty())) {
    answer.fail(limit ? error{errc::invalid_argument,
                              "query parameter 'cursor' belongs to a map: name it with 'map'"}
                      : limit.error());
    return;
  }
  const auto actor = actor_in(received);
  const auto params = [actor, map, after, most = static_cast<std::uint32_t>(*limit)] {
    return actors::silo_control::state_of_params{actor.type, actor.key, map, after, most};
  };
  const silo_question<state_results> question{
      [params](const auto& silo) { return silo.state_of(params()); },
      [params](runtime::silo& home) { return actors::state_of_actor(home, params()); }};
  const auto shared = std::make_shared<reply>(std::move(answer));
  answer_on(parts.inspections, shared, [&parts, actor, question, shared] {
    ask_about<state_results>(
        parts, actor, question,
        [actor, shared](const result<std::vector<silo_answer<state_results>>>& told) {
          if (!told) {
            shared->fail(told.error());
          } else if (const auto& [silo, outcome] = told->front(); !outcome) {
            shared->fail(outcome.error());
          } else {
            shared->send(answer_of(200, document_of(actor, silo, *outcome)));
          }
        });
  });
}

// One that may live on several silos may have an activation where nobody has answered.
void answer_deactivated(const std::vector<silo_answer<deactivate_results>>& told, reply& answer) {
  auto was_active = false;
  auto missing = ordered_json::array();
  const error* why = nullptr;
  for (const auto& [silo, outcome] : told) {
    was_active = was_active || (outcome && outcome->read().getWasActive());
    if (!outcome) {
      missing.push_back(missing_row(silo, outcome.error()));
      why = &outcome.error();
    }
  }
  if (why != nullptr && !was_active) {
    answer.fail(*why);
  } else {
    answer.send(answer_of(200, {{"was_active", was_active}, {"silos_missing", missing}}));
  }
}

void deactivate(const api_parts& parts, request& received, reply answer) {
  const auto actor = actor_in(received);
  const auto params = [actor] {
    return actors::silo_control::deactivate_actor_params{actor.type, actor.key};
  };
  const silo_question<deactivate_results> question{
      [params](const auto& silo) { return silo.deactivate_actor(params()); },
      [params](runtime::silo& home) { return actors::deactivate_actor(home, params()); }};
  const auto shared = std::make_shared<reply>(std::move(answer));
  answer_on(parts.inspections, shared, [&parts, actor, question, shared] {
    ask_about<deactivate_results>(
        parts, actor, question,
        [shared](const result<std::vector<silo_answer<deactivate_results>>>& told) {
          told ? answer_deactivated(*told, *shared) : shared->fail(told.error());
        });
  });
}

void figures(const api_parts& parts, request&, reply answer) {
  answer_later(parts, std::move(answer),
               [&silo = parts.silo]() -> result<ordered_json> { return json_of(silo.metrics()); });
}

}  // namespace

void add_inspect_routes(api_routes& routes) {
  const std::string one = "/api/v1/actors/{type}/{key}";
  routes.add(method::get, "/api/v1/actors/{type}", of_actor_state,
             {.id = "list_actors",
              .tag = "actors",
              .summary = "The actors of a type, of all silos",
              .query = {text_key("silo", "Only of this one."),
                        text_key("prefix", "Only those whose keys begin with it."),
                        flag_key("active", "Activations, instead of what is stored."),
                        text_key("cursor", "The `next_cursor` of the page before."),
                        number_key("limit", page_max, "The most of them; 0: 100.")},
              .answers = {{.status = 200,
                           .text = "A page; `next_cursor` is empty at the end.",
                           .body = json_media(actor_list_shape())}},
              .problems = {404}},
             list);
  routes.add(method::get, one + "/state", of_actor_state,
             {.id = "get_actor_state",
              .tag = "actors",
              .summary = "What an actor has stored",
              .query = {text_key("map", "Only this map of it."),
                        text_key("cursor", "With `map`: the `next_cursor` of the page before."),
                        number_key("limit", page_max, "The most records of a map; 0: 100.")},
              .answers = {{.status = 200,
                           .text = "Its root and the first records of its maps.",
                           .body = json_media(document_shape())}},
              .problems = {404, 409}},
             state);
  routes.add(method::post, one + "/deactivate", everywhere(role::ADMIN),
             {.id = "deactivate_actor",
              .tag = "actors",
              .summary = "Ends an activation once it has nothing to do",
              .headers = {repeatable},
              .answers = {{.status = 200,
                           .text = "Whether there was one.",
                           .body = json_media(
                               shape::object({{"was_active", shape::flag()},
                                              {"silos_missing", shape::list(missing_shape())}}))}},
              .problems = {404, 409}},
             deactivate);
  routes.add(method::get, "/api/v1/silo", everywhere(role::READ),
             {.id = "get_silo_figures",
              .tag = "cluster",
              .summary = "Figures of the silo that answers, by actor type",
              .answers = {{.status = 200,
                           .text = "The figures.",
                           .body = json_media(silo_metrics_shape())}}},
             figures);
}

}  // namespace millrace::gateway
