// SPDX-License-Identifier: MIT
// The results of a pipeline's tasks that are kept for later runs.
#include "api/api.h"
#include "api/respond.h"
#include "millrace/cache.capnp.actor.h"
#include "millrace/pipeline.capnp.actor.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::ref;

namespace {

constexpr std::uint32_t page_max = 1'000;

// A cache knows nothing of its pipeline: `then` comes only where there is one.
void if_known(const api_parts& parts, const std::string& pipeline, reply answer,
              std::function<void(reply)> then) {
  const auto shared = std::make_shared<reply>(std::move(answer));
  parts.silo.call_then<schemas::pipeline_interface::activity_results>(
      ref<schemas::Pipeline>(pipeline).activity(),
      [shared, then = std::move(then)](const auto& told) {
        told ? then(std::move(*shared)) : shared->fail(told.error());
      });
}

void list(const api_parts& parts, request& received, reply answer) {
  const auto key = pipeline_key(received);
  const auto limit = number_in_query(received, "limit", 0, page_max);
  if (!key || !limit) {
    answer.fail(key ? limit.error() : key.error());
    return;
  }
  if_known(parts, *key, std::move(answer),
           [&parts, key = *key, after = text_in_query(received, "cursor"),
            most = static_cast<std::uint32_t>(*limit)](reply to) {
             call_and_answer(parts.silo, ref<schemas::ResultCache>(key).list(after, most),
                             std::move(to));
           });
}

void clear(const api_parts& parts, request& received, reply answer) {
  const auto key = pipeline_key(received);
  if (!key) {
    answer.fail(key.error());
    return;
  }
  if_known(parts, *key, std::move(answer),
           [&parts, key = *key, task = text_in_query(received, "task")](reply to) {
             call_and_answer(parts.silo, ref<schemas::ResultCache>(key).clear(task), std::move(to),
                             [] { return answer_of(202, nlohmann::ordered_json::object()); });
           });
}

}  // namespace

void add_cache_routes(api_routes& routes) {
  const std::string cache = "/api/v1/projects/{project}/pipelines/{name}/cache";
  routes.add(method::get, cache, in_project(role::READ),
             {.id = "list_kept_results",
              .tag = "pipelines",
              .summary = "The results of tasks that are kept for later runs",
              .query = {text_key("cursor", "The `next_cursor` of the page before."),
                        number_key("limit", page_max, "The most of them; 0: 100.")},
              .answers = {{.status = 200,
                           .text = "A page by task; `next_cursor` is empty at the end.",
                           .body = json_of<schemas::ResultCache::ListResults>()}},
              .problems = {404}},
             list);
  routes.add(method::del, cache, in_project(role::RUN),
             {.id = "forget_kept_results",
              .tag = "pipelines",
              .summary = "Forgets kept results, so that later runs make them anew",
              .query = {text_key("task", "Only those of this task.")},
              .answers = {{.status = 202,
                           .text = "It is certain to happen.",
                           .body = json_media(shape::object({}))}},
              .problems = {404}},
             clear);
}

}  // namespace millrace::gateway
