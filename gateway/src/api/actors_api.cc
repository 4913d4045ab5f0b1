// SPDX-License-Identifier: MIT
// Any method of any actor type that its schema does not keep for other actors.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "api/api.h"
#include "api/ask_silos.h"
#include "api/respond.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using nlohmann::ordered_json;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

using types_results = actors::silo_control::types_results;

// The names of the methods that anyone may call.
std::vector<std::string_view> open_methods(const runtime::interface_info& type) {
  std::vector<std::string_view> names;
  for (const auto& each : type.methods) {
    if (!each.internal) {
      names.push_back(each.name);
    }
  }
  return names;
}

// A call, and a client that may leave before it has begun: a thread each.
class running_call {
public:
  void begin(runtime::call_handle handle) {
    const std::lock_guard lock{mutex_};
    is_wanted_ ? static_cast<void>(handle_ = std::move(handle)) : handle.cancel();
  }
  void cancel() {
    const std::lock_guard lock{mutex_};
    is_wanted_ = false;
    if (handle_) {
      handle_->cancel();
    }
  }

private:
  std::mutex mutex_;
  bool is_wanted_ = true;
  std::optional<runtime::call_handle> handle_;
};

// Silos that host, each, a type that this process does not, and no more of them than it takes.
std::vector<std::string> who_hosts_others(const runtime::silo& here) {
  std::vector<std::string> silos;
  std::set<std::string> found;
  for (const auto& each : here.cluster_view().silos) {
    auto is_needed = false;
    for (const auto& type : each.types) {
      const bool is_callable = !each.address.empty() &&
                               each.state != runtime::silo_state::joining &&
                               here.find_type(type) == nullptr;
      is_needed = (is_callable && found.insert(type).second) || is_needed;
    }
    if (is_needed) {
      silos.push_back(each.name);
    }
  }
  return silos;
}

// Of all silos: what the first says of a type holds.
http::response types_of(const std::vector<silo_answer<types_results>>& told) {
  std::map<std::string, ordered_json> by_name;
  auto missing = ordered_json::array();
  for (const auto& [silo, outcome] : told) {
    if (!outcome) {
      missing.push_back(missing_row(silo, outcome.error()));
      continue;
    }
    for (const auto type : outcome->read().getTypes()) {
      auto methods = ordered_json::array();
      for (const auto method : type.getMethods()) {
        methods.push_back(method.cStr());
      }
      by_name.try_emplace(type.getId().cStr(), std::move(methods));
    }
  }
  auto rows = ordered_json::array();
  for (auto& [name, methods] : by_name) {
    rows.push_back({{"id", name}, {"methods", std::move(methods)}});
  }
  return answer_of(200, {{"types", std::move(rows)}, {"silos_missing", std::move(missing)}});
}

json_shape types_shape() {
  const auto type = shape::object({{"id", shape::text()}, {"methods", shape::list(shape::text())}});
  return shape::object({{"types", shape::list(shape::named("ActorType", type))},
                        {"silos_missing", shape::list(missing_shape())}});
}

void types(const api_parts& parts, request&, reply answer) {
  auto silos = who_hosts_others(parts.silo);
  if (std::find(silos.begin(), silos.end(), parts.silo.name()) == silos.end()) {
    silos.insert(silos.begin(), parts.silo.name());
  }
  silo_questions<types_results> asked;
  for (const auto& silo : silos) {
    asked.emplace_back(silo,
                       silo_question<types_results>{
                           [](const auto& control) { return control.types(); },
                           [](runtime::silo& home) { return result{actors::open_types(home)}; }});
  }
  const auto shared = std::make_shared<reply>(std::move(answer));
  answer_on(parts.inspections, shared, [&parts, shared, asked] {
    ask_silos<types_results>(parts, asked,
                             [shared](const std::vector<silo_answer<types_results>>& told) {
                               shared->send(types_of(told));
                             });
  });
}

// Whoever calls has to know the schema, and this process does not.
error unknown_type(const runtime::silo& here, std::string_view type) {
  const auto silos = silos_hosting(here, type);
  if (silos.empty()) {
    return unhosted(type);
  }
  return {errc::unimplemented, "this server does not know the methods of actor type '" +
                                   std::string{type} +
                                   "'; call it by one of the silos that host it: " + joined(silos)};
}

void call(const api_parts& parts, request& received, reply answer) {
  const auto name = received.param("type");
  const auto* type = parts.silo.find_type(name);
  if (type == nullptr) {
    answer.fail(unknown_type(parts.silo, name));
    return;
  }
  const auto* found = type->find(received.param("method"));
  if (found == nullptr) {
    std::string known;
    for (const auto each : open_methods(*type)) {
      known += (known.empty() ? "" : ", ") + std::string{each};
    }
    answer.fail({errc::not_found, "actor type '" + std::string{name} + "' has no method '" +
                                      std::string{received.param("method")} +
                                      "'; it has: " + known});
    return;
  }
  if (found->internal) {
    answer.fail({errc::permission_denied, "'" + std::string{name} + "." + std::string{found->name} +
                                              "' is for other actors only"});
    return;
  }
  auto params = runtime::from_json(found->params(), received.body);
  if (!params) {
    answer.fail(params.error());
    return;
  }
  runtime::call_spec spec;
  spec.interface = type;
  spec.key = received.param("key");
  spec.method = found->ordinal;
  spec.params = *std::move(params);
  spec.idempotency_key = key_of(received);
  spec.context = trace_of(received);
  // A caller that leaves cancels its call, unless its key says that it may come back for the
  // answer.
  const auto running = std::make_shared<running_call>();
  if (spec.idempotency_key.empty()) {
    answer.on_gone([running] { running->cancel(); });
  }
  auto shared = std::make_shared<reply>(std::move(answer));
  running->begin(parts.silo.start_call(
      std::move(spec), [shared, found](runtime::result<runtime::any_message> results) {
        if (!results) {
          shared->fail(results.error());
          return;
        }
        std::string text;
        runtime::to_json(found->results(), *results, text);
        auto told = http::json(200, std::move(text));  // of a type that only its silo knows
        told.changed_nothing = found->admission == runtime::method_admission::read_only;
        shared->send(std::move(told));
      }));
}

}  // namespace

void add_actor_routes(api_routes& routes) {
  routes.add(method::get, "/api/v1/actors", everywhere(role::READ),
             {.id = "list_actor_types",
              .tag = "actors",
              .summary = "Actor types of all silos, and their methods that anyone may call",
              .answers = {{.status = 200,
                           .text = "The types, by name.",
                           .body = json_media(types_shape())}}},
             types);
  routes.add(
      method::post, "/api/v1/actors/{type}/{key}/{method}", access{access::place::actor, role::RUN},
      {.id = "call_actor",
       .tag = "actors",
       .summary = "Calls a method of an actor",
       .text = "Those that this server knows are also told one by one, as `call_TYPE_METHOD`.",
       .headers = {idempotency_key, traceparent},
       .body = {.any_of = {json_media(shape::any("The parameters, by name."))}},
       .answers = {{.status = 200,
                    .text = "The results, by name.",
                    .body = json_media(shape::map(shape::any()))}},
       .problems = {404, 409, 501, 508}},
      call);
}

std::vector<api_routes::row> rows_of_open_methods(const runtime::silo& here) {
  std::vector<api_routes::row> rows;
  for (const auto* type : here.types()) {
    const auto name = type->type;
    const auto least = is_of_pipelines(name) ? role::ADMIN : role::RUN;
    for (const auto& each : type->methods) {
      if (each.internal) {
        continue;
      }
      const auto called = each.name;
      rows.push_back(
          {.verb = method::post,
           .pattern = fmt::format("/api/v1/actors/{}/{{key}}/{}", name, called),
           .needed = everywhere(least),
           .about = {.id = fmt::format("call_{}_{}", name, called),
                     .tag = "actors",
                     .summary = fmt::format("Calls `{}` of an actor of type `{}`", called, name),
                     .headers = {idempotency_key, traceparent},
                     .body = {.any_of = {json_media(
                                  shape::of(each.params(), runtime::json_side::read))}},
                     .answers = {{.status = 200,
                                  .text = "The results.",
                                  .body = json_media(
                                      shape::of(each.results(), runtime::json_side::written))}},
                     .problems = {404, 409, 508}},
           .has_checked_query = true});
    }
  }
  return rows;
}

}  // namespace millrace::gateway
