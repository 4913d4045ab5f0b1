// SPDX-License-Identifier: MIT
// The schedules of a pipeline, and those of all pipelines of a project.
#include <map>
#include <mutex>

#include "api/api.h"
#include "api/respond.h"
#include "api/submission.h"
#include "millrace/actors/timetable.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/schedule.capnp.actor.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::ref;
using runtime::result;
using schemas::schedule_interface;

namespace {

constexpr std::uint32_t pipelines_default = 100;
constexpr std::uint32_t pipelines_max = 1'000;
constexpr std::uint32_t next_default = 5;
constexpr std::uint32_t firings_default = 20;

// What a path names.
struct named_schedule {
  std::string pipeline;  // key
  std::string name;
};

result<named_schedule> schedule_in(const request& received) {
  auto pipeline = pipeline_key(received);
  auto name = name_in(received.param("schedule"), "schedule");
  if (!pipeline || !name) {
    return pipeline ? std::move(name).error() : std::move(pipeline).error();
  }
  return named_schedule{*std::move(pipeline), *std::move(name)};
}

// --- lists ---------------------------------------------------------------------------------------

// One question: asks the project for a page of its pipelines, then those with schedules for these.
class schedule_search : public std::enable_shared_from_this<schedule_search> {
public:
  schedule_search(runtime::silo& silo, std::string project, reply answer)
      : silo_(silo), project_(std::move(project)), answer_(std::move(answer)) {}

  void begin(const std::string& after, std::uint32_t limit) {
    silo_.call_then<schemas::project_interface::pipelines_results>(
        ref<schemas::Project>(project_).pipelines(after, limit),
        [self = shared_from_this()](auto page) { self->take_pipelines(std::move(page)); });
  }

private:
  void take_pipelines(result<schemas::project_interface::pipelines_results> page) {
    if (!page) {
      answer_.fail(page.error());
      return;
    }
    next_ = page->next_cursor();
    std::vector<std::string> names;
    for (const auto each : page->pipelines()) {
      if (each.getSchedules() > 0) {
        names.emplace_back(each.getName().cStr());
      }
    }
    left_ = names.size();
    if (names.empty()) {
      finish();
    }
    for (const auto& name : names) {
      silo_.call_then<schedule_interface::list_results>(
          ref<schemas::Schedule>(project_ + "/" + name).list(),
          [self = shared_from_this(), name](auto told) { self->take(name, std::move(told)); });
    }
  }

  void take(const std::string& name, result<schedule_interface::list_results> told) {
    const std::lock_guard lock{mutex_};
    if (told) {
      count_ += told->schedules().size();
      told_.emplace(name, *std::move(told));
    } else {
      failed_ = told.error();
    }
    if (--left_ == 0) {
      finish();
    }
  }

  void finish() {
    if (failed_) {
      answer_.fail(*failed_);
      return;
    }
    runtime::message<schemas::ProjectSchedules> page;
    auto rows = page.build().initSchedules(static_cast<unsigned>(count_));
    unsigned at = 0;
    for (const auto& [name, told] : told_) {
      for (const auto each : told.schedules()) {
        rows.setWithCaveats(at++, each);
      }
    }
    page.build().setNextCursor(next_.c_str());
    answer_.send(answer_of(200, page));
  }

  runtime::silo& silo_;
  const std::string project_;
  reply answer_;
  std::string next_;
  std::mutex mutex_;  // for what follows
  std::size_t left_ = 0;
  std::size_t count_ = 0;
  std::map<std::string, schedule_interface::list_results> told_;
  std::optional<runtime::error> failed_;
};

void list_of_project(const api_parts& parts, request& received, reply answer) {
  const auto project = name_in(received.param("project"), "project");
  const auto limit = number_in_query(received, "limit", 0, pipelines_max);
  if (!project || !limit) {
    answer.fail(project ? limit.error() : project.error());
    return;
  }
  std::make_shared<schedule_search>(parts.silo, *project, std::move(answer))
      ->begin(text_in_query(received, "cursor"),
              *limit == 0 ? pipelines_default : static_cast<std::uint32_t>(*limit));
}

// A pipeline that is not there has none either; it alone knows.
void list_of_pipeline(const api_parts& parts, request& received, reply answer) {
  const auto key = pipeline_key(received);
  if (!key) {
    answer.fail(key.error());
    return;
  }
  const auto shared = std::make_shared<reply>(std::move(answer));
  parts.silo.call_then<schedule_interface::list_results>(
      ref<schemas::Schedule>(*key).list(), [&parts, shared, key = *key](auto told) {
        if (!told || told->schedules().size() > 0) {
          told ? shared->send(answer_of(200, *told)) : shared->fail(told.error());
          return;
        }
        parts.silo.call_then<schemas::pipeline_interface::describe_results>(
            ref<schemas::Pipeline>(key).describe(0), [shared](const auto& known) {
              known ? shared->send(answer_of(200, schedule_interface::list_results{}))
                    : shared->fail(known.error());
            });
      });
}

// --- one -----------------------------------------------------------------------------------------

void describe(const api_parts& parts, request& received, reply answer) {
  const auto which = schedule_in(received);
  const auto next = number_in_query(received, "next", next_default, actors::next_firings_max);
  const auto firings =
      number_in_query(received, "firings", firings_default, actors::firings_kept_max);
  if (!which || !next || !firings) {
    answer.fail(!which ? which.error() : !next ? next.error() : firings.error());
    return;
  }
  call_and_answer(parts.silo,
                  ref<schemas::Schedule>(which->pipeline)
                      .describe(which->name, static_cast<std::uint32_t>(*next),
                                static_cast<std::uint32_t>(*firings)),
                  std::move(answer));
}

// Of all schedules of a pipeline when `name` is empty.
void pause_those(const api_parts& parts, request& received, reply answer,
                 const std::string& pipeline, const std::string& name) {
  auto body = runtime::from_json(capnp::Schema::from<schemas::SchedulePause>(), received.body);
  if (!body) {
    answer.fail(body.error());
    return;
  }
  const runtime::message<schemas::SchedulePause> wanted{*std::move(body)};
  call_and_answer(parts.silo,
                  ref<schemas::Schedule>(pipeline).pause(name, wanted.read().getReason().cStr()),
                  std::move(answer));
}

void pause(const api_parts& parts, request& received, reply answer) {
  const auto which = schedule_in(received);
  which ? pause_those(parts, received, std::move(answer), which->pipeline, which->name)
        : answer.fail(which.error());
}

void pause_all(const api_parts& parts, request& received, reply answer) {
  const auto key = pipeline_key(received);
  key ? pause_those(parts, received, std::move(answer), *key, "") : answer.fail(key.error());
}

void resume(const api_parts& parts, request& received, reply answer) {
  const auto which = schedule_in(received);
  if (!which) {
    answer.fail(which.error());
    return;
  }
  call_and_answer(parts.silo, ref<schemas::Schedule>(which->pipeline).resume(which->name),
                  std::move(answer));
}

void resume_all(const api_parts& parts, request& received, reply answer) {
  const auto key = pipeline_key(received);
  if (!key) {
    answer.fail(key.error());
    return;
  }
  call_and_answer(parts.silo, ref<schemas::Schedule>(*key).resume(""), std::move(answer));
}

void trigger(const api_parts& parts, request& received, reply answer) {
  const auto which = schedule_in(received);
  if (!which) {
    answer.fail(which.error());
    return;
  }
  auto shared = std::make_shared<reply>(std::move(answer));
  parts.silo.call_then<schedule_interface::trigger_results>(
      ref<schemas::Schedule>(which->pipeline).trigger(which->name).keyed(key_of(received)),
      [&silo = parts.silo, shared](result<schedule_interface::trigger_results> results) {
        if (!results) {
          shared->fail(results.error());
          return;
        }
        const std::string run{results->firing().getRun().cStr()};
        auto made = answer_of(200, *results);
        if (run.empty()) {
          shared->send(std::move(made));
          return;
        }
        // Whoever reads the answer may ask for the run, which is on its way.
        when_begun(silo, run, {},
                   [shared, kept = std::make_shared<http::response>(std::move(made))] {
                     shared->send(std::move(*kept));
                   });
      });
}

// --- backfills -----------------------------------------------------------------------------------

void backfill(const api_parts& parts, request& received, reply answer) {
  const auto which = schedule_in(received);
  auto body =
      which ? runtime::from_json(capnp::Schema::from<schemas::BackfillRequest>(), received.body)
            : which.error();
  if (!body) {
    answer.fail(body.error());
    return;
  }
  const runtime::message<schemas::BackfillRequest> wanted{*std::move(body)};
  schedule_interface::backfill_params params;
  params.build().setName(which->name.c_str());
  params.build().setRequest(wanted.read());
  call_and_answer(
      parts.silo,
      ref<schemas::Schedule>(which->pipeline).backfill(std::move(params)).keyed(key_of(received)),
      std::move(answer), [which = *which](const auto& results) {
        const std::string id{results.backfill().getId().cStr()};
        auto made = answer_of(id.empty() ? 200 : 201, results);
        made.changed_nothing = id.empty();
        if (!id.empty()) {
          const auto slash = which.pipeline.find('/');
          made.headers.add("Location", "/api/v1/projects/" + which.pipeline.substr(0, slash) +
                                           "/pipelines/" + which.pipeline.substr(slash + 1) +
                                           "/backfills/" + id);
        }
        return made;
      });
}

void list_backfills(const api_parts& parts, request& received, reply answer) {
  const auto key = pipeline_key(received);
  if (!key) {
    answer.fail(key.error());
    return;
  }
  call_and_answer(parts.silo, ref<schemas::Schedule>(*key).backfills(), std::move(answer));
}

void get_backfill(const api_parts& parts, request& received, reply answer) {
  const auto key = pipeline_key(received);
  if (!key) {
    answer.fail(key.error());
    return;
  }
  const auto shared = std::make_shared<reply>(std::move(answer));
  parts.silo.call_then<schedule_interface::backfills_results>(
      ref<schemas::Schedule>(*key).backfills(),
      [shared, id = std::string{received.param("backfill")}](auto told) {
        if (!told) {
          shared->fail(told.error());
          return;
        }
        for (const auto each : told->backfills()) {
          if (each.getId() == id.c_str()) {
            shared->send(answer_of(200, capnp::DynamicStruct::Reader{each}));
            return;
          }
        }
        shared->fail({runtime::errc::not_found, "the pipeline has no backfill of that number"});
      });
}

void cancel_backfill(const api_parts& parts, request& received, reply answer) {
  const auto key = pipeline_key(received);
  if (!key) {
    answer.fail(key.error());
    return;
  }
  call_and_answer(
      parts.silo,
      ref<schemas::Schedule>(*key).cancel_backfill(std::string{received.param("backfill")}),
      std::move(answer), [](const auto& results) {
        return answer_of(202, capnp::DynamicStruct::Reader{results.backfill()});
      });
}

void add_backfill_routes(api_routes& routes, const std::string& pipeline) {
  const std::string one = pipeline + "/backfills/{backfill}";
  const auto begun = json_of<schemas::Schedule::BackfillResults>();
  routes.add(method::post, pipeline + "/schedules/{schedule}/backfill", in_project(role::RUN),
             {.id = "backfill_schedule",
              .tag = "schedules",
              .summary = "Starts runs for times of a schedule that have passed, a few at a time",
              .text = "`from` and `to` are the first and the last time that count. "
                      "`reprocess` says which times that have had a run get another one: `none`, "
                      "`failed` or `all`. `dry_run` starts nothing.",
              .headers = {idempotency_key},
              .body = {.any_of = {json_read_as<schemas::BackfillRequest>()}, .is_needed = true},
              .answers = {{.status = 201,
                           .text = "It goes on by itself. The first 1,000 times are told.",
                           .body = begun,
                           .headers = {location}},
                          {.status = 200, .text = "What a dry run would do.", .body = begun}},
              .problems = {404, 409}},
             backfill);
  routes.add(method::get, pipeline + "/backfills", in_project(role::READ),
             {.id = "list_backfills",
              .tag = "schedules",
              .summary = "The backfills of a pipeline that go on, and the latest others",
              .answers = {{.status = 200,
                           .text = "The latest first.",
                           .body = json_of<schemas::Schedule::BackfillsResults>()}}},
             list_backfills);
  routes.add(
      method::get, one, in_project(role::READ),
      {.id = "get_backfill",
       .tag = "schedules",
       .summary = "A backfill, and how far it is",
       .answers = {{.status = 200, .text = "The backfill.", .body = json_of<schemas::Backfill>()}},
       .problems = {404}},
      get_backfill);
  routes.add(
      method::post, one + "/cancel", in_project(role::RUN),
      {.id = "cancel_backfill",
       .tag = "schedules",
       .summary = "Ends a backfill: it starts nothing more, and what runs of it is cancelled",
       .headers = {repeatable},
       .answers = {{.status = 202, .text = "The backfill.", .body = json_of<schemas::Backfill>()}},
       .problems = {404}},
      cancel_backfill);
}

}  // namespace

void add_schedule_routes(api_routes& routes) {
  const std::string pipeline = "/api/v1/projects/{project}/pipelines/{name}";
  const std::string all = pipeline + "/schedules";
  const std::string one = all + "/{schedule}";
  const answer which{
      .status = 200, .text = "Which they are.", .body = json_of<schemas::Schedule::PauseResults>()};
  const request_body reason{.any_of = {json_read_as<schemas::SchedulePause>()}};
  routes.add(
      method::get, "/api/v1/projects/{project}/schedules", in_project(role::READ),
      {.id = "list_schedules",
       .tag = "schedules",
       .summary = "The schedules of all pipelines of a project",
       .query = {text_key("cursor", "The `next_cursor` of the page before."),
                 number_key("limit", pipelines_max, "How many pipelines to look at; 0: 100.")},
       .answers = {{.status = 200,
                    .text = "A page, which may be empty; `next_cursor` is empty at the end.",
                    .body = json_of<schemas::ProjectSchedules>()}}},
      list_of_project);
  routes.add(method::get, all, in_project(role::READ),
             {.id = "list_schedules_of_pipeline",
              .tag = "schedules",
              .summary = "The schedules of a pipeline, by name",
              .answers = {{.status = 200,
                           .text = "All of them.",
                           .body = json_of<schemas::Schedule::ListResults>()}},
              .problems = {404}},
             list_of_pipeline);
  routes.add(method::get, one, in_project(role::READ),
             {.id = "get_schedule",
              .tag = "schedules",
              .summary = "A schedule, its next times, and what became of its latest ones",
              .query = {number_key("next", actors::next_firings_max,
                                   "How many of the next times; without it 5."),
                        number_key("firings", actors::firings_kept_max,
                                   "How many of the latest firings; without it 20.")},
              .answers = {{.status = 200,
                           .text = "The schedule.",
                           .body = json_of<schemas::Schedule::DescribeResults>()}},
              .problems = {404}},
             describe);
  routes.add(method::post, one + "/pause", in_project(role::RUN),
             {.id = "pause_schedule",
              .tag = "schedules",
              .summary = "Has a schedule fire no more, until it is resumed",
              .headers = {repeatable},
              .body = reason,
              .answers = {which},
              .problems = {404}},
             pause);
  routes.add(method::post, one + "/resume", in_project(role::RUN),
             {.id = "resume_schedule",
              .tag = "schedules",
              .summary = "Has a paused schedule fire again, from now on",
              .headers = {repeatable},
              .answers = {which},
              .problems = {404}},
             resume);
  routes.add(method::post, one + "/trigger", in_project(role::RUN),
             {.id = "trigger_schedule",
              .tag = "schedules",
              .summary = "Has a schedule fire now, as if it was due",
              .text = "Also one that is paused. Its `overlap` counts. That of a watch looks now.",
              .headers = {idempotency_key},
              .answers = {{.status = 200,
                           .text = "What has become of that.",
                           .body = json_of<schemas::Schedule::TriggerResults>()}},
              .problems = {404, 409}},
             trigger);
  add_backfill_routes(routes, pipeline);
  routes.add(method::post, pipeline + "/schedules:pause", in_project(role::RUN),
             {.id = "pause_schedules",
              .tag = "schedules",
              .summary = "Has all schedules of a pipeline fire no more",
              .headers = {repeatable},
              .body = reason,
              .answers = {which},
              .problems = {404}},
             pause_all);
  routes.add(method::post, pipeline + "/schedules:resume", in_project(role::RUN),
             {.id = "resume_schedules",
              .tag = "schedules",
              .summary = "Has all paused schedules of a pipeline fire again",
              .headers = {repeatable},
              .answers = {which},
              .problems = {404}},
             resume_all);
}

}  // namespace millrace::gateway
