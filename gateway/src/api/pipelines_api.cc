// SPDX-License-Identifier: MIT
#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/api.h"
#include "api/details.h"
#include "api/if_match.h"
#include "api/mistakes.h"
#include "api/respond.h"
#include "api/run_wait.h"
#include "api/submission.h"
#include "http/entity_tags.h"
#include "millrace/actors/definition.h"
#include "millrace/runtime/json.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using schemas::pipeline_interface;

namespace {

http::problem problem_of(const std::vector<actors::diagnostic>& mistakes) {
  return {
      .status = 422,
      .cause = {errc::invalid_argument, "the definition has " + std::to_string(mistakes.size()) +
                                            (mistakes.size() == 1 ? " mistake" : " mistakes")},
      .instance = {},
      .errors = entries_of(mistakes)};
}

std::string etag_of(std::uint32_t version) {
  return "\"" + std::to_string(version) + "\"";
}

// When a definition is to be taken.
struct apply_condition {
  if_match match;
  schemas::ApplyOnlyIf only_if = schemas::ApplyOnlyIf::ANY;
};

// What If-Match and If-None-Match say.
result<apply_condition> condition_of(const request& received) {
  const auto match = if_match_in(received);
  const auto none_match = http::entity_tags_in(received.headers, "If-None-Match");
  if (!match || !none_match) {
    return match ? none_match.error() : match.error();
  }
  if (!none_match->listed.empty() || (none_match->given && received.headers.find("If-Match"))) {
    return error{errc::invalid_argument,
                 "a definition is applied with If-Match and one ETag, with If-Match: * (there is "
                 "one) or with If-None-Match: * (there is none)"};
  }
  apply_condition made{.match = *match};
  if (match->any) {
    made.only_if = schemas::ApplyOnlyIf::PRESENT;
  } else if (none_match->any) {
    made.only_if = schemas::ApplyOnlyIf::ABSENT;
  }
  return made;
}

// What there is now, for who has seen something else.
auto look_at(const std::string& key) {
  return [key] { return ref<schemas::Pipeline>(key).describe(0); };
}

std::string latest_etag(const pipeline_interface::describe_results& found) {
  return etag_of(found.latest_version());
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
  call_if_match(
      parts.silo, condition->match,
      ref<schemas::Pipeline>(*key).apply(actors::to_json(*loaded.definition),
                                         static_cast<std::uint32_t>(condition->match.number),
                                         condition->only_if),
      std::move(answer),
      [project = std::string{received.param("project")},
       name = std::string{received.param("name")}](const auto& results) {
        // Without an ETag: what is stored is not what was sent (RFC 9110, 9.3.4).
        return answer_of(results.version() == 1 && results.changed() ? 201 : 200,
                         {{"id", name},
                          {"project", project},
                          {"version", results.version()},
                          {"changed", results.changed()}});
      },
      look_at(*key), latest_etag);
}

json_shape applied_shape() {
  return shape::named("AppliedPipeline", shape::object({{"id", shape::text()},
                                                        {"project", shape::text()},
                                                        {"version", shape::count()},
                                                        {"changed", shape::flag()}}));
}

void validate(const api_parts&, request& received, reply answer) {
  const auto loaded = actors::load_definition(received.body, "");
  if (!loaded) {
    answer.send(looked(answer_of(200, mistakes_json(loaded.diagnostics))));
    return;
  }
  answer.send(looked(answer_of(
      200, {{"valid", true},
            {"definition", nlohmann::ordered_json::parse(actors::to_json(*loaded.definition))}})));
}

json_shape validated_shape() {
  return shape::with_optional(
      shape::object({{"valid", shape::flag()},
                     {"definition", shape::any("In its canonical form, if it is valid.")},
                     {"errors", mistakes_shape()}}),
      {"definition", "errors"});
}

// What both of them read.
request_body definition_body() {
  const auto about = shape::any("As docs/reference/pipeline.schema.json has it.");
  return {.any_of = {{"application/yaml", about}, {"application/json", about}}, .is_needed = true};
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

void activity(const api_parts& parts, request& received, reply answer) {
  const auto key = pipeline_key(received);
  if (!key) {
    answer.fail(key.error());
    return;
  }
  call_and_answer(parts.silo, ref<schemas::Pipeline>(*key).activity(), std::move(answer));
}

void remove(const api_parts& parts, request& received, reply answer) {
  const auto key = pipeline_key(received);
  const auto match = if_match_in(received);
  if (!key || !match) {
    answer.fail(key ? match.error() : key.error());
    return;
  }
  call_if_match(
      parts.silo, *match,
      ref<schemas::Pipeline>(*key).remove(static_cast<std::uint32_t>(match->number)),
      std::move(answer), [] { return answer_of(202, nlohmann::ordered_json::object()); },
      look_at(*key), latest_etag);
}

void list(const api_parts& parts, request& received, reply answer) {
  const auto limit = number_in_query(received, "limit", 0, 1'000);
  const auto project = name_in(received.param("project"), "project");
  const auto details = details_in(received);
  if (!limit || !project || !details) {
    answer.fail(!limit ? limit.error() : !project ? project.error() : details.error());
    return;
  }
  auto most = static_cast<std::uint32_t>(*limit);
  most = *details && (most == 0 || most > detailed_page_max) ? detailed_page_max : most;
  const auto shared = std::make_shared<reply>(std::move(answer));
  using results = schemas::project_interface::pipelines_results;
  parts.silo.call_then<results>(
      ref<schemas::Project>(*project).pipelines(text_in_query(received, "cursor"), most),
      [&silo = parts.silo, shared, project = *project, details = *details](const auto& page) {
        if (!page) {
          shared->fail(page.error());
        } else if (details) {
          answer_detailed_pipelines(
              silo, project, nlohmann::ordered_json::parse(runtime::to_json_text(page->read())),
              std::move(*shared));
        } else {
          shared->send(answer_of(200, *page));
        }
      });
}

request_body submission_body() {
  return {.any_of = {json_media(wanted_run_shape(key_in_text::no))}};
}

void submit_one(const api_parts& parts, request& received, reply answer) {
  const auto pipeline = pipeline_key(received);
  auto wanted = wanted_run_of(received.body, key_in_text::no);
  const auto wait = run_wait_in(received);
  if (!pipeline || !wanted || !wait) {
    answer.fail(!pipeline ? pipeline.error() : !wanted ? wanted.error() : wait.error());
    return;
  }
  wanted->idempotency_key = key_of(received);
  submit_and_answer(parts, *pipeline, *std::move(wanted),
                    trace_of(received, quiet_trace::goes_along), *wait,
                    std::make_shared<reply>(std::move(answer)));
}

// --- pausing, going back -------------------------------------------------------------------------

template <class Call>
void tell(const api_parts& parts, request& received, reply answer, Call&& call) {
  const auto key = pipeline_key(received);
  if (!key) {
    answer.fail(key.error());
    return;
  }
  call_and_answer(parts.silo, call(ref<schemas::Pipeline>(*key)).keyed(key_of(received)),
                  std::move(answer),
                  [] { return answer_of(202, nlohmann::ordered_json::object()); });
}

void pause(const api_parts& parts, request& received, reply answer) {
  tell(parts, received, std::move(answer),
       [&](const auto& pipeline) { return pipeline.pause(name_of_sender(received)); });
}

void resume(const api_parts& parts, request& received, reply answer) {
  tell(parts, received, std::move(answer), [](const auto& pipeline) { return pipeline.resume(); });
}

void roll_back(const api_parts& parts, request& received, reply answer) {
  const auto key = pipeline_key(received);
  auto wanted =
      runtime::from_json(capnp::Schema::from<schemas::Pipeline::RollbackParams>(), received.body);
  if (!key || !wanted) {
    answer.fail(key ? wanted.error() : key.error());
    return;
  }
  call_and_answer(parts.silo,
                  ref<schemas::Pipeline>(*key)
                      .rollback(pipeline_interface::rollback_params{*std::move(wanted)})
                      .keyed(key_of(received)),
                  std::move(answer), [](const auto& results) { return answer_of(200, results); });
}

}  // namespace

void add_pipeline_routes(api_routes& routes) {
  const std::string all = "/api/v1/projects/{project}/pipelines";
  const std::string one = all + "/{name}";
  routes.add(method::get, all, in_project(role::READ),
             {.id = "list_pipelines",
              .tag = "pipelines",
              .summary = "The pipelines of a project, by name",
              .query = {text_key("cursor", "The `next_cursor` of the page before."),
                        number_key("limit", 1'000, "The most of them; 0: 100."),
                        details_key("The version, a pause and the latest run of each, as "
                                    "`details`; then a page has 100 at most.")},
              .answers = {{.status = 200,
                           .text = "A page; `next_cursor` is empty at the end.",
                           .body = json_media(pipelines_shape())}}},
             list);
  routes.add(method::put, one, in_project(role::ADMIN),
             {.id = "apply_pipeline",
              .tag = "pipelines",
              .summary = "Makes a pipeline, or a new version of it",
              .headers = {{"If-Match", "The ETag of the latest version; or `*`: there is one."},
                          {"If-None-Match", "`*`: there is none."}},
              .body = definition_body(),
              .answers = {{.status = 200,
                           .text = "The latest version is this one; `changed` says since when.",
                           .body = json_media(applied_shape())},
                          {.status = 201,
                           .text = "The pipeline is new.",
                           .body = json_media(applied_shape())}},
              .problems = {409, 412, 422}},
             apply);
  routes.add(method::get, one, in_project(role::READ),
             {.id = "get_pipeline",
              .tag = "pipelines",
              .summary = "A version of a pipeline",
              .query = {number_key("version", UINT32_MAX, "0: the latest.")},
              .headers = {{"If-None-Match", "ETags that the client has."}},
              .answers = {{.status = 200,
                           .text = "The version.",
                           .body = json_of<schemas::Pipeline::DescribeResults>(),
                           .headers = {{"ETag", "Of the latest version only.", false}}},
                          {.status = 304,
                           .text = "The client has the latest.",
                           .headers = {{"ETag", "Of the latest version."}}}},
              .problems = {404}},
             describe);
  routes.add(
      method::get, one + "/activity", in_project(role::READ),
      {.id = "get_pipeline_activity",
       .tag = "pipelines",
       .summary = "What a pipeline is at: whether it is paused, how many runs go on and wait",
       .answers = {{.status = 200,
                    .text = "As it is now.",
                    .body = json_of<schemas::Pipeline::ActivityResults>()}},
       .problems = {404}},
      activity);
  routes.add(
      method::del, one, in_project(role::ADMIN),
      {.id = "remove_pipeline",
       .tag = "pipelines",
       .summary = "Removes a pipeline with its versions and its ended runs",
       .text = "At once it is not there; it can be applied again when all of it has gone.",
       .headers = {{"If-Match", "The ETag of the latest version, as `get_pipeline` has it."}},
       .answers = {{.status = 202,
                    .text = "It is certain to happen.",
                    .body = json_media(shape::object({}))}},
       .problems = {404, 409}},
      remove);
  routes.add(method::post, one + "/runs", in_project(role::RUN),
             {.id = "submit_run",
              .tag = "runs",
              .summary = "Starts a run of a pipeline",
              .text = "With `only` these tasks run, and what they need; the others are skipped. A "
                      "silo of an earlier version runs all.",
              .query = {run_wait_key()},
              .headers = {idempotency_key, traceparent},
              .body = submission_body(),
              .answers = {submitted_answer()},
              .problems = {404, 409}},
             submit_one);
  const answer begun{.status = 202, .text = "It is stored.", .body = json_media(shape::object({}))};
  routes.add(method::post, one + "/pause", in_project(role::RUN),
             {.id = "pause_pipeline",
              .tag = "pipelines",
              .summary = "Has no run of a pipeline begin until it is resumed",
              .text = "What is submitted, or due by a schedule, waits. Runs that have begun go on.",
              .headers = {idempotency_key},
              .answers = {begun},
              .problems = {404}},
             pause);
  routes.add(method::post, one + "/resume", in_project(role::RUN),
             {.id = "resume_pipeline",
              .tag = "pipelines",
              .summary = "Has the runs that wait for a paused pipeline begin",
              .headers = {idempotency_key},
              .answers = {begun},
              .problems = {404}},
             resume);
  routes.add(method::post, one + "/rollback", in_project(role::ADMIN),
             {.id = "rollback_pipeline",
              .tag = "pipelines",
              .summary = "Makes a new version of what an earlier one says",
              .text = "`version` 0, or left out: the latest that a run has succeeded with.",
              .headers = {idempotency_key},
              .body = {.any_of = {json_read_as<schemas::Pipeline::RollbackParams>()}},
              .answers = {{.status = 200,
                           .text = "The new version.",
                           .body = json_of<schemas::Pipeline::RollbackResults>()}},
              .problems = {404, 409}},
             roll_back);
  routes.add(method::post, "/api/v1/validate", somewhere(role::READ),
             {.id = "validate_definition",
              .tag = "pipelines",
              .summary = "Looks for mistakes in a definition, and keeps nothing",
              .headers = {repeatable},
              .body = definition_body(),
              .answers = {{.status = 200,
                           .text = "Whether it is `valid`, and what is wrong with it.",
                           .body = json_media(validated_shape())}}},
             validate);
}

}  // namespace millrace::gateway
