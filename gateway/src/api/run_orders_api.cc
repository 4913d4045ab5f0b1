// SPDX-License-Identifier: MIT
// What people order of a run.
#include "api/api.h"
#include "api/respond.h"
#include "api/run_wait.h"
#include "api/submission.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/json.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::ref;

namespace {

std::string run_id(const request& received) {
  return std::string{received.param("id")};
}

void cancel(const api_parts& parts, request& received, reply answer) {
  auto params =
      runtime::from_json(capnp::Schema::from<schemas::Run::CancelParams>(), received.body);
  if (!params) {
    answer.fail(params.error());
    return;
  }
  call_and_answer(parts.silo,
                  ref<schemas::Run>(run_id(received))
                      .cancel(schemas::run_interface::cancel_params{*std::move(params)})
                      .keyed(key_of(received)),
                  std::move(answer),
                  [] { return answer_of(202, nlohmann::ordered_json::object()); });
}

// With the run's own version.
http::response retried(std::uint32_t tasks, capnp::List<capnp::Text>::Reader names = {}) {
  schemas::run_interface::retry_with_results told;
  told.build().setTasks(tasks);
  told.build().setNames(names);
  return answer_of(202, told);
}

void retry(const api_parts& parts, request& received, reply answer) {
  const auto read = runtime::from_json(capnp::Schema::from<schemas::RetryInput>(), received.body);
  if (!read) {
    answer.fail(read.error());
    return;
  }
  const auto wanted = read->reader<schemas::RetryInput>();
  const std::string from{wanted.getFrom().cStr()};
  const auto run = ref<schemas::Run>(run_id(received));
  const auto marked = [is_look = wanted.getDryRun()](http::response told) {
    told.changed_nothing = is_look;
    return told;
  };
  if (wanted.getVersion() > 0 || wanted.getLatest()) {
    if (wanted.getVersion() > 0 && wanted.getLatest()) {
      answer.fail({runtime::errc::invalid_argument, "either 'version' or 'latest', not both"});
      return;
    }
    call_and_answer(
        parts.silo,
        run.retry_with(wanted.getVersion(), from, wanted.getDryRun()).keyed(key_of(received)),
        std::move(answer),
        [marked](const auto& results) { return marked(answer_of(202, results)); });
    return;
  }
  if (from.empty() && !wanted.getDryRun()) {  // which earlier versions know too
    call_and_answer(parts.silo, run.retry().keyed(key_of(received)), std::move(answer),
                    [](const auto& results) { return retried(results.tasks()); });
    return;
  }
  call_and_answer(parts.silo, run.retry_from(from, wanted.getDryRun()).keyed(key_of(received)),
                  std::move(answer), [marked](const auto& results) {
                    return marked(retried(results.tasks(), results.read().getNames()));
                  });
}

void decide(const api_parts& parts, request& received, reply answer, bool approved) {
  const auto said =
      runtime::from_json(capnp::Schema::from<schemas::ApprovalAnswer>(), received.body);
  if (!said) {
    answer.fail(said.error());
    return;
  }
  const auto by = name_of_sender(received);
  call_and_answer(
      parts.silo,
      ref<schemas::Run>(run_id(received))
          .decide(std::string{received.param("name")}, approved,
                  std::string{said->reader<schemas::ApprovalAnswer>().getComment().cStr()},
                  by.empty() ? "someone" : by)
          .keyed(key_of(received)),
      std::move(answer), [] { return answer_of(202, nlohmann::ordered_json::object()); });
}

void approve(const api_parts& parts, request& received, reply answer) {
  decide(parts, received, std::move(answer), true);
}

void reject(const api_parts& parts, request& received, reply answer) {
  decide(parts, received, std::move(answer), false);
}

void pause(const api_parts& parts, request& received, reply answer) {
  call_and_answer(
      parts.silo,
      ref<schemas::Run>(run_id(received)).pause(name_of_sender(received)).keyed(key_of(received)),
      std::move(answer), [] { return answer_of(202, nlohmann::ordered_json::object()); });
}

void resume(const api_parts& parts, request& received, reply answer) {
  call_and_answer(parts.silo, ref<schemas::Run>(run_id(received)).resume().keyed(key_of(received)),
                  std::move(answer),
                  [] { return answer_of(202, nlohmann::ordered_json::object()); });
}

// A new run with what the other was given.
void rerun(const api_parts& parts, request& received, reply answer) {
  const auto read = runtime::from_json(capnp::Schema::from<schemas::RerunInput>(), received.body);
  const auto wait = run_wait_in(received);
  if (!read || !wait) {
    answer.fail(read ? wait.error() : read.error());
    return;
  }
  const auto latest = read->reader<schemas::RerunInput>().getLatest();
  const auto no_cache = read->reader<schemas::RerunInput>().getNoCache();
  const auto shared = std::make_shared<reply>(std::move(answer));
  parts.silo.call_then<schemas::run_interface::status_results>(
      ref<schemas::Run>(run_id(received)).status(),
      [&parts, shared, latest, no_cache, wait = *wait, key = key_of(received),
       context = trace_of(received, quiet_trace::goes_along)](auto told) mutable {
        if (!told) {
          shared->fail(told.error());
          return;
        }
        const auto run = told->run();
        if (run.getCheck()) {
          shared->fail(
              {runtime::errc::failed_precondition,
               "the run is a check of a watch; `millrace schedule trigger` makes another"});
          return;
        }
        wanted_run wanted;
        auto params = wanted.params.build();
        params.setParams(run.getParams());
        params.setLabels(run.getLabels());
        params.setVersion(latest ? 0 : run.getVersion());
        params.setRerunOf(run.getId());
        params.setScheduledAt(run.getScheduledAt());
        params.setPriority(run.getPriority());
        params.setOnly(run.getOnly());
        params.setNoCache(no_cache || run.getNoCache());
        wanted.idempotency_key = std::move(key);
        submit_and_answer(parts,
                          std::string{run.getProject().cStr()} + "/" + run.getPipeline().cStr(),
                          std::move(wanted), std::move(context), wait, shared);
      });
}

void remove(const api_parts& parts, request& received, reply answer) {
  call_and_answer(parts.silo, ref<schemas::Run>(run_id(received)).remove(), std::move(answer),
                  [] { return answer_of(202, nlohmann::ordered_json::object()); });
}

}  // namespace

void add_run_order_routes(api_routes& routes) {
  const std::string one = "/api/v1/runs/{id}";
  const answer begun{
      .status = 202, .text = "It is certain to happen.", .body = json_media(shape::object({}))};
  routes.add(method::del, one, of_run(role::ADMIN),
             {.id = "remove_run",
              .tag = "runs",
              .summary = "Removes a run that has ended, with its logs and files",
              .answers = {begun},
              .problems = {404, 409}},
             remove);
  const auto decides = [&](const char* id, const char* summary) -> operation {
    return {.id = id,
            .tag = "runs",
            .summary = summary,
            .text = "The task succeeds or fails; its outputs say who answered, and the comment.",
            .headers = {idempotency_key},
            .body = {.any_of = {json_read_as<schemas::ApprovalAnswer>()}},
            .answers = {begun},
            .problems = {404, 409}};
  };
  routes.add(method::post, one + "/tasks/{name}/approve", of_run(role::RUN),
             decides("approve_task", "Answers an approval with yes"), approve);
  routes.add(method::post, one + "/tasks/{name}/reject", of_run(role::RUN),
             decides("reject_task", "Answers an approval with no"), reject);
  routes.add(
      method::post, one + "/cancel", of_run(role::RUN),
      {.id = "cancel_run",
       .tag = "runs",
       .summary = "Ends a run",
       .text = "What runs is cancelled, and only hooks and tasks with `run_on: always` start or go "
               "on; `force` ends these too.",
       .headers = {idempotency_key},
       .body = {.any_of = {json_read_as<schemas::Run::CancelParams>()}},
       .answers = {begun},
       .problems = {404, 409}},
      cancel);
  routes.add(method::post, one + "/pause", of_run(role::RUN),
             {.id = "pause_run",
              .tag = "runs",
              .summary = "Has nothing of a run start until it is resumed",
              .text = "What runs goes on, and so does the run's timeout.",
              .headers = {idempotency_key},
              .answers = {begun},
              .problems = {404, 409}},
             pause);
  routes.add(method::post, one + "/resume", of_run(role::RUN),
             {.id = "resume_run",
              .tag = "runs",
              .summary = "Has a paused run go on",
              .headers = {idempotency_key},
              .answers = {begun},
              .problems = {404}},
             resume);
  routes.add(method::post, one + "/rerun", of_run(role::RUN),
             {.id = "rerun_run",
              .tag = "runs",
              .summary = "Starts a new run with the parameters, labels and version of another",
              .text = "With `latest` it has the latest version of the pipeline.",
              .query = {run_wait_key()},
              .headers = {idempotency_key, traceparent},
              .body = {.any_of = {json_read_as<schemas::RerunInput>()}},
              .answers = {submitted_answer()},
              .problems = {404, 409}},
             rerun);
  routes.add(
      method::post, one + "/retry", of_run(role::RUN),
      {.id = "retry_run",
       .tag = "runs",
       .summary = "Starts again what of a run did not succeed, and what needs it",
       .text =
           "Also the task `from`, if it is named. With another `version`, or the `latest`, from "
           "now on: then also tasks that are new or changed in it. `dry_run` only tells what "
           "that is.",
       .headers = {idempotency_key},
       .body = {.any_of = {json_read_as<schemas::RetryInput>()}},
       .answers = {{.status = 202,
                    .text =
                        "How many task instances that is; if something was asked for, the first "
                        "1,000 names; the number of another version, or null.",
                    .body = json_of<schemas::Run::RetryWithResults>()}},
       .problems = {404, 409}},
      retry);
}

}  // namespace millrace::gateway
