// SPDX-License-Identifier: MIT
#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/api.h"
#include "api/respond.h"
#include "millrace/actors/definition.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/json.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;

namespace {

// How long the answer to a submission waits for the run to have begun.
constexpr std::uint32_t begin_wait_ms = 1'000;

std::string pipeline_key(const request& received) {
  return std::string{received.param("project")} + "/" + std::string{received.param("name")};
}

http::problem problem_of(const std::vector<actors::diagnostic>& mistakes) {
  http::problem what{
      .status = 422,
      .cause = {errc::invalid_argument, "the definition has " + std::to_string(mistakes.size()) +
                                            (mistakes.size() == 1 ? " mistake" : " mistakes")},
      .instance = {},
      .errors = {}};
  for (const auto& each : mistakes) {
    what.errors.push_back({each.pointer, static_cast<int>(each.line), static_cast<int>(each.column),
                           each.text + (each.hint.empty() ? "" : " (" + each.hint + ")")});
  }
  return what;
}

// `"3"` or `3`.
result<std::uint32_t> version_in(std::string_view if_match) {
  auto digits = if_match;
  if (digits.size() >= 2 && digits.front() == '"' && digits.back() == '"') {
    digits = digits.substr(1, digits.size() - 2);
  }
  std::uint32_t version = 0;
  const auto* end = digits.data() + digits.size();
  const auto [after, failure] = std::from_chars(digits.data(), end, version);
  if (failure != std::errc{} || after != end || version == 0) {
    return error{errc::invalid_argument, "If-Match must be the ETag of a version, such as \"3\""};
  }
  return version;
}

void apply(const api_parts& parts, request& received, reply answer) {
  const auto loaded = actors::load_definition(received.body, "");
  if (!loaded) {
    answer.send(http::problem_response(problem_of(loaded.diagnostics)));
    return;
  }
  if (loaded.definition->name != received.param("name")) {
    answer.fail({errc::invalid_argument, "the definition is called '" + loaded.definition->name +
                                             "', the URL says '" +
                                             std::string{received.param("name")} + "'"});
    return;
  }
  std::uint32_t if_version = 0;
  if (const auto if_match = received.headers.find("If-Match")) {
    const auto version = version_in(*if_match);
    if (!version) {
      answer.fail(version.error());
      return;
    }
    if_version = *version;
  }
  call_and_answer(parts.silo,
                  ref<schemas::Pipeline>(pipeline_key(received))
                      .apply(actors::to_json(*loaded.definition), if_version),
                  std::move(answer), [](const auto& results) {
                    auto made = http::json(results.version() == 1 && results.changed() ? 201 : 200,
                                           json_of(results));
                    made.headers.add("ETag", "\"" + std::to_string(results.version()) + "\"");
                    return made;
                  });
}

void validate(const api_parts&, request& received, reply answer) {
  const auto loaded = actors::load_definition(received.body, "");
  if (!loaded) {
    answer.send(http::problem_response(problem_of(loaded.diagnostics)));
    return;
  }
  answer.send(http::json(
      200, R"({"valid":true,"definition":)" + actors::to_json(*loaded.definition) + "}"));
}

void describe(const api_parts& parts, request& received, reply answer) {
  const auto version = number_in_query(received, "version", 0, UINT32_MAX);
  if (!version) {
    answer.fail(version.error());
    return;
  }
  call_and_answer(
      parts.silo,
      ref<schemas::Pipeline>(pipeline_key(received)).describe(static_cast<std::uint32_t>(*version)),
      std::move(answer), [](const auto& results) {
        auto made = http::json(200, json_of(results));
        made.headers.add("ETag", "\"" + std::to_string(results.version()) + "\"");
        return made;
      });
}

void list(const api_parts& parts, request& received, reply answer) {
  const auto limit = number_in_query(received, "limit", 0, 1'000);
  if (!limit) {
    answer.fail(limit.error());
    return;
  }
  call_and_answer(
      parts.silo,
      ref<schemas::Project>(std::string{received.param("project")})
          .pipelines(text_in_query(received, "after"), static_cast<std::uint32_t>(*limit)),
      std::move(answer), [](const auto& results) { return http::json(200, json_of(results)); });
}

// Whether writing it would recurse deeper than messages may. Itself it recurses no deeper.
bool nested_too_deep(const nlohmann::json& value, unsigned depth) {
  return value.is_structured() &&
         (depth > runtime::json_depth_max ||
          std::any_of(value.begin(), value.end(),
                      [depth](const auto& each) { return nested_too_deep(each, depth + 1); }));
}

// The body `{"params": {...}, "labels": {...}}` as the parameters of a submission.
result<schemas::pipeline_interface::submit_params> submission_of(const std::string& body) {
  schemas::pipeline_interface::submit_params params;
  auto made = params.build();
  made.setParams("{}");
  if (body.find_first_not_of(" \t\r\n") == std::string::npos) {
    return params;
  }
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) {
    return error{errc::invalid_argument,
                 R"(the body must be a JSON object such as {"params": {"day": "monday"}})"};
  }
  for (const auto& [key, value] : json.items()) {
    if (key == "params" && value.is_object()) {
      if (nested_too_deep(value, 1)) {
        return error{errc::invalid_argument,
                     "/params: nested deeper than " + std::to_string(runtime::json_depth_max)};
      }
      made.setParams(value.dump().c_str());
    } else if (key == "labels" && value.is_object()) {
      auto labels = made.initLabels(static_cast<unsigned>(value.size()));
      unsigned at = 0;
      for (const auto& [name, text] : value.items()) {
        if (!text.is_string()) {
          return error{errc::invalid_argument, "/labels/" + name + ": expected a string"};
        }
        labels[at].setName(name.c_str());
        labels[at++].setValue(text.get<std::string>().c_str());
      }
    } else {
      return error{errc::invalid_argument,
                   "/" + key + ": expected are the objects 'params' and 'labels'"};
    }
  }
  return params;
}

void submit(const api_parts& parts, request& received, reply answer) {
  auto submission = submission_of(received.body);
  if (!submission) {
    answer.fail(submission.error());
    return;
  }
  auto call = ref<schemas::Pipeline>(pipeline_key(received)).submit(*std::move(submission));
  if (const auto key = received.headers.find("Idempotency-Key")) {
    call = std::move(call).keyed(std::string{*key});
  }
  call.spec().context = trace_of(received);
  auto shared = std::make_shared<reply>(std::move(answer));
  parts.silo.call_then<schemas::pipeline_interface::submit_results>(
      std::move(call), [&parts, shared](auto results) {
        if (!results) {
          shared->fail(results.error());
          return;
        }
        // The run's beginning is on its way to it; whoever reads this answer may ask for the run.
        const std::string run{results->run()};
        parts.silo.call_then<schemas::run_interface::events_results>(
            ref<schemas::Run>(run).events(0, begin_wait_ms, 1),
            [shared, run, text = json_of(*results)](const auto&) mutable {
              auto made = http::json(201, std::move(text));
              made.headers.add("Location", "/api/v1/runs/" + run);
              shared->send(std::move(made));
            });
      });
}

void runs(const api_parts& parts, request& received, reply answer) {
  const auto limit = number_in_query(received, "limit", 0, 1'000);
  if (!limit) {
    answer.fail(limit.error());
    return;
  }
  call_and_answer(parts.silo,
                  ref<schemas::Pipeline>(pipeline_key(received))
                      .runs(text_in_query(received, "before"), static_cast<std::uint32_t>(*limit),
                            text_in_query(received, "state")),
                  std::move(answer),
                  [](const auto& results) { return http::json(200, json_of(results)); });
}

}  // namespace

void add_pipeline_routes(http::router& routes, const api_parts& parts) {
  add_route(routes, parts, method::get, "/api/v1/projects/{project}/pipelines", list);
  add_route(routes, parts, method::put, "/api/v1/projects/{project}/pipelines/{name}", apply);
  add_route(routes, parts, method::get, "/api/v1/projects/{project}/pipelines/{name}", describe);
  add_route(routes, parts, method::post, "/api/v1/projects/{project}/pipelines/{name}/runs",
            submit);
  add_route(routes, parts, method::get, "/api/v1/projects/{project}/pipelines/{name}/runs", runs);
  add_route(routes, parts, method::post, "/api/v1/validate", validate);
}

}  // namespace millrace::gateway
