// SPDX-License-Identifier: MIT
// How projects share the executors: what each may have, and what it has.
#include "api/api.h"
#include "api/if_match.h"
#include "api/respond.h"
#include "millrace/pipeline.capnp.actor.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::ref;

namespace {

constexpr const char* pool = "default";  // the key of the actor that keeps all pools

std::string settings_etag(const schemas::project_interface::settings_results& told) {
  return "\"" + std::to_string(told.version()) + "\"";
}

void tell_pool(const api_parts& parts, request& /*received*/, reply answer) {
  call_and_answer(parts.silo, ref<schemas::Pool>(pool).status(), std::move(answer));
}

void tell_settings(const api_parts& parts, request& received, reply answer) {
  const auto project = name_in(received.param("project"), "project");
  if (!project) {
    answer.fail(project.error());
    return;
  }
  call_and_answer(parts.silo, ref<schemas::Project>(*project).settings(), std::move(answer),
                  [](const auto& told) {
                    auto made = answer_of(200, told.read().getSettings());
                    made.headers.add("ETag", settings_etag(told));
                    return made;
                  });
}

void tell_usage(const api_parts& parts, request& received, reply answer) {
  const auto project = name_in(received.param("project"), "project");
  if (!project) {
    answer.fail(project.error());
    return;
  }
  call_and_answer(parts.silo, ref<schemas::Pool>(pool).usage(*project), std::move(answer));
}

void set_settings(const api_parts& parts, request& received, reply answer) {
  const auto project = name_in(received.param("project"), "project");
  auto wanted = runtime::from_json(capnp::Schema::from<schemas::ProjectSettings>(), received.body);
  const auto match = if_match_in(received);
  if (!project || !wanted || !match) {
    answer.fail(!project ? project.error() : !wanted ? wanted.error() : match.error());
    return;
  }
  if (received.body.empty()) {  // which would set all back
    answer.fail({runtime::errc::invalid_argument,
                 "the body must be JSON, such as {\"weight\": 2}; {} sets all back"});
    return;
  }
  const runtime::message<schemas::ProjectSettings> settings{*std::move(wanted)};
  call_if_match(
      parts.silo, *match,
      ref<schemas::Project>(*project).configure(settings.read(),
                                                static_cast<std::uint32_t>(match->number)),
      std::move(answer), [] { return http::empty(); },
      [key = *project] { return ref<schemas::Project>(key).settings(); }, settings_etag);
}

}  // namespace

void add_sharing_routes(api_routes& routes) {
  const std::string settings = "/api/v1/projects/{project}/settings";
  routes.add(method::get, "/api/v1/pool", everywhere(role::READ),
             {.id = "get_pool",
              .tag = "cluster",
              .summary = "What executors offer, what projects have of it, and the slots of pools",
              .answers = {{.status = 200,
                           .text = "As the pool sees it.",
                           .body = json_of<schemas::Pool::StatusResults>()}}},
             tell_pool);
  routes.add(method::get, settings, in_project(role::READ),
             {.id = "get_project_settings",
              .tag = "projects",
              .summary = "How much of the machines a project may have",
              .answers = {{.status = 200,
                           .text = "As it was set, or the defaults.",
                           .body = json_of<schemas::ProjectSettings>(),
                           .headers = {{"ETag", "Of the settings; each change makes another."}}}}},
             tell_settings);
  routes.add(method::get, "/api/v1/projects/{project}/usage", in_project(role::READ),
             {.id = "get_project_usage",
              .tag = "projects",
              .summary = "What a project has of what it may have",
              .text = "Processors and bytes of memory that its running tasks have asked for, bytes "
                      "that its runs hold on the disks of executors, tasks that run and runs that "
                      "are queued; a limit of null: there is none.",
              .answers = {{.status = 200,
                           .text = "As the pool sees it.",
                           .body = json_of<schemas::Pool::UsageResults>()}}},
             tell_usage);
  routes.add(method::put, settings, everywhere(role::ADMIN),
             {.id = "set_project_settings",
              .tag = "projects",
              .summary = "Says how much of the machines a project may have",
              .text = "All of it: what is left out is set back to its default.",
              .headers = {{"If-Match", "The ETag of the settings; `*`: whatever they are."}},
              .body = {.any_of = {json_read_as<schemas::ProjectSettings>()}, .is_needed = true},
              .answers = {{.status = 204, .text = "It counts from now on."}}},
             set_settings);
}

}  // namespace millrace::gateway
