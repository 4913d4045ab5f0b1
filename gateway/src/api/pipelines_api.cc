// SPDX-License-Identifier: MIT
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "api/api.h"
#include "api/respond.h"
#include "http/entity_tags.h"
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

std::string etag_of(std::uint32_t version) {
  return "\"" + std::to_string(version) + "\"";
}

// The version that has this ETag; 0: none has.
std::uint32_t version_of(const http::entity_tag& tag) {
  std::uint32_t version = 0;
  const auto* end = tag.text.data() + tag.text.size();
  const auto [after, failure] = std::from_chars(tag.text.data(), end, version);
  return !tag.weak && failure == std::errc{} && after == end ? version : 0;
}

http::response precondition_failed(const error& why) {
  return http::problem_response({.status = 412, .cause = why, .instance = {}, .errors = {}});
}

// When a definition is to be taken.
struct apply_condition {
  std::uint32_t version = 0;
  schemas::ApplyOnlyIf only_if = schemas::ApplyOnlyIf::ANY;
  std::optional<error> never;  // Why it cannot hold whatever the pipeline is.
};

// What If-Match and If-None-Match say. The pipeline itself decides: between a look at it and the
// write it may change.
result<apply_condition> condition_of(const request& received) {
  const auto match = http::entity_tags_in(received.headers, "If-Match");
  const auto none_match = http::entity_tags_in(received.headers, "If-None-Match");
  if (!match || !none_match) {
    return match ? none_match.error() : match.error();
  }
  if (match->listed.size() > 1 || !none_match->listed.empty() ||
      (match->given && none_match->given)) {
    return error{errc::invalid_argument,
                 "a definition is applied with If-Match and one ETag, with If-Match: * (there is "
                 "one) or with If-None-Match: * (there is none)"};
  }
  apply_condition made;
  if (!match->listed.empty()) {
    made.version = version_of(match->listed.front());
    if (made.version == 0) {
      made.never = error{errc::conflict,
                         "If-Match: no version has this ETag; they are strong and "
                         "look like \"3\"; get the pipeline for its latest"};
    }
  } else if (match->any) {
    made.only_if = schemas::ApplyOnlyIf::PRESENT;
  } else if (none_match->any) {
    made.only_if = schemas::ApplyOnlyIf::ABSENT;
  }
  return made;
}

void apply(const api_parts& parts, request& received, reply answer) {
  const auto key = pipeline_key(received);
  if (!key) {
    answer.fail(key.error());
    return;
  }
  if (received.headers.find("Content-Range")) {
    answer.fail(
        {errc::invalid_argument, "Content-Range: a definition is applied whole (RFC 9110, 14.5)"});
    return;
  }
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
  const auto condition = condition_of(received);
  if (!condition) {
    answer.fail(condition.error());
    return;
  }
  if (condition->never) {
    answer.send(precondition_failed(*condition->never));
    return;
  }
  auto shared = std::make_shared<reply>(std::move(answer));
  parts.silo.call_then<schemas::pipeline_interface::apply_results>(
      ref<schemas::Pipeline>(*key).apply(actors::to_json(*loaded.definition), condition->version,
                                         condition->only_if),
      [shared, project = std::string{received.param("project")},
       name = std::string{received.param("name")}](auto results) {
        if (!results && results.error().code() == errc::conflict) {
          shared->send(precondition_failed(results.error()));
        } else if (!results) {
          shared->fail(results.error());
        } else {
          // Without an ETag: what is stored is not what was sent (RFC 9110, 9.3.4).
          shared->send(answer_of(results->version() == 1 && results->changed() ? 201 : 200,
                                 {{"id", name},
                                  {"project", project},
                                  {"version", results->version()},
                                  {"changed", results->changed()}}));
        }
      });
}

void validate(const api_parts&, request& received, reply answer) {
  const auto loaded = actors::load_definition(received.body, "");
  if (!loaded) {
    answer.send(http::problem_response(problem_of(loaded.diagnostics)));
    return;
  }
  answer.send(answer_of(
      200, {{"valid", true},
            {"definition", nlohmann::ordered_json::parse(actors::to_json(*loaded.definition))}}));
}

void describe(const api_parts& parts, request& received, reply answer) {
  const auto key = pipeline_key(received);
  if (!key) {
    answer.fail(key.error());
    return;
  }
  const auto version = number_in_query(received, "version", 0, UINT32_MAX);
  if (!version) {
    answer.fail(version.error());
    return;
  }
  const auto known = http::entity_tags_in(received.headers, "If-None-Match");
  if (!known) {
    answer.fail(known.error());
    return;
  }
  call_and_answer(parts.silo,
                  ref<schemas::Pipeline>(*key).describe(static_cast<std::uint32_t>(*version)),
                  std::move(answer), [known = *known](const auto& results) {
                    // What is said of an older version changes with the latest, which its tag would
                    // not.
                    const auto is_latest = results.version() == results.latest_version();
                    auto made = is_latest && known.match(std::to_string(results.version()))
                                    ? http::empty(304)
                                    : answer_of(200, results);
                    if (is_latest) {
                      made.headers.add("ETag", etag_of(results.version()));
                    }
                    return made;
                  });
}

void list(const api_parts& parts, request& received, reply answer) {
  const auto limit = number_in_query(received, "limit", 0, 1'000);
  const auto project = name_in(received.param("project"), "project");
  if (!limit || !project) {
    answer.fail(limit ? project.error() : limit.error());
    return;
  }
  call_and_answer(parts.silo,
                  ref<schemas::Project>(*project).pipelines(text_in_query(received, "after"),
                                                            static_cast<std::uint32_t>(*limit)),
                  std::move(answer));
}

// The body `{"params": {...}, "labels": {...}}` as the parameters of a submission.
result<schemas::pipeline_interface::submit_params> submission_of(const std::string& body) {
  schemas::pipeline_interface::submit_params params;
  auto made = params.build();
  made.setParams("{}");
  if (body.find_first_not_of(" \t\r\n") == std::string::npos) {
    return params;
  }
  if (const auto checked = runtime::check_json(body); !checked) {
    return checked.error();
  }
  const auto json = nlohmann::json::parse(body);
  if (!json.is_object()) {
    return error{errc::invalid_argument,
                 R"(the body must be a JSON object such as {"params": {"day": "monday"}})"};
  }
  for (const auto& [key, value] : json.items()) {
    if (key == "params" && value.is_object()) {
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
  // What was accepted goes on while there is room for that; nothing is added to it.
  if (const auto refusal = parts.silo.rows().refusal()) {
    answer.fail(*refusal);
    return;
  }
  const auto pipeline = pipeline_key(received);
  auto submission = submission_of(received.body);
  if (!pipeline || !submission) {
    answer.fail(pipeline ? submission.error() : pipeline.error());
    return;
  }
  auto call = ref<schemas::Pipeline>(*pipeline).submit(*std::move(submission));
  if (const auto key = received.headers.find("Idempotency-Key")) {
    call = std::move(call).keyed(std::string{*key});
  }
  call.spec().context = trace_of(received);
  call_and_answer(parts.silo, std::move(call), std::move(answer), [](const auto& results) {
    auto made = answer_of(201, results);
    made.headers.add("Location", "/api/v1/runs/" + std::string{results.run()});
    return made;
  });
}

}  // namespace

void add_pipeline_routes(http::router& routes, const api_parts& parts) {
  add_route(routes, parts, method::get, "/api/v1/projects/{project}/pipelines", list,
            {"after", "limit"});
  add_route(routes, parts, method::put, "/api/v1/projects/{project}/pipelines/{name}", apply);
  add_route(routes, parts, method::get, "/api/v1/projects/{project}/pipelines/{name}", describe,
            {"version"});
  add_route(routes, parts, method::post, "/api/v1/projects/{project}/pipelines/{name}/runs",
            submit);
  add_route(routes, parts, method::post, "/api/v1/validate", validate);
}

}  // namespace millrace::gateway
