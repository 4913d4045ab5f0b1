// SPDX-License-Identifier: MIT
#include "run/run_spans.h"

#include <algorithm>
#include <charconv>

#include "definition/exit_codes.h"
#include "millrace/actors/run_id.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::span;
using runtime::span_id;
using runtime::trace_context;
using schemas::AttemptEnd;
using schemas::RunState;

namespace {

constexpr const char* run_id_name = "cicd.pipeline.run.id";
constexpr const char* attempt_id_name = "cicd.pipeline.task.run.id";
constexpr const char* task_name = "cicd.pipeline.task.name";
constexpr const char* task_result = "cicd.pipeline.task.run.result";

runtime::wall_time at(std::int64_t nanoseconds) {
  return runtime::wall_time{runtime::duration{nanoseconds}};
}

const char* result_of(RunState state) {
  switch (state) {
    case RunState::SUCCEEDED:
      return "success";
    case RunState::CANCELLED:
      return "cancellation";
    case RunState::TIMED_OUT:
      return "timeout";
    case RunState::RUNNING:
    case RunState::FAILED:
      break;
  }
  return "failure";
}

// `failure` is the command's fault, `error` the system's.
const char* result_of(AttemptEnd end, bool is_success) {
  switch (end) {
    case AttemptEnd::EXITED:
      return is_success ? "success" : "failure";
    case AttemptEnd::CACHED:
    case AttemptEnd::ANSWERED:
      return "success";
    case AttemptEnd::SIGNALLED:
    case AttemptEnd::LOG_LIMIT:
    case AttemptEnd::BAD_OUTPUTS:
    case AttemptEnd::REFUSED:
      return "failure";
    case AttemptEnd::TIMED_OUT:
      return "timeout";
    case AttemptEnd::CANCELLED:
    case AttemptEnd::PREEMPTED:
      return "cancellation";
    default:
      return "error";
  }
}

bool is_bad(std::string_view result) {
  return result != "success" && result != "cancellation";
}

void set_result(span& of, const char* name, const char* result, std::string why) {
  of.attributes.push_back({name, result});
  if (is_bad(result)) {
    of.attributes.push_back({"error.type", result});
    of.has_failed = true;
    of.failure = std::move(why);
  }
}

void add_exit_code(span& of, int exit_code) {
  if (exit_code >= 0) {
    of.attributes.push_back({"process.exit.code", std::int64_t{exit_code}});
  }
}

}  // namespace

trace_context place_of(schemas::TracePlace::Reader stored) {
  return {{stored.getTraceHigh(), stored.getTraceLow()},
          span_id{stored.getSpan()},
          stored.getSampled()};
}

void store_place(const trace_context& place, schemas::TracePlace::Builder into) {
  into.setTraceHigh(place.trace.high);
  into.setTraceLow(place.trace.low);
  into.setSpan(static_cast<std::uint64_t>(place.span));
  into.setSampled(place.is_sampled);
}

runtime::trace_id trace_of_run(std::string_view run) {
  if (!is_run_id(run)) {
    return {};
  }
  constexpr std::size_t half_digits = 16;
  std::string digits{run};
  std::erase(digits, '-');
  runtime::trace_id made;
  const auto* const middle = digits.data() + half_digits;
  std::from_chars(digits.data(), middle, made.high, 16);
  std::from_chars(middle, middle + half_digits, made.low, 16);
  return made;
}

trace_context run_place(const trace_context& submitted, std::string_view run,
                        std::int64_t began_at) {
  const auto name = std::string{run} + "@" + std::to_string(began_at);
  return {submitted.trace, span_id_of(submitted.trace, name), submitted.is_sampled};
}

trace_context attempt_place(const trace_context& run, std::string_view token) {
  return {run.trace, span_id_of(run.trace, token), run.is_sampled};
}

span span_of(const ended_run& run, const trace_context& submitted) {
  const auto& root = run.root;
  span told{.own = run_place(submitted, run.key, run.began_at),
            .parent = submitted.span,
            .name = "run " + text_of(root.getPipeline()),
            .start = at(run.began_at),
            .end = at(std::max(root.getFinishedAt(), run.began_at)),
            .attributes = {{"cicd.pipeline.name", text_of(root.getPipeline())},
                           {run_id_name, run.key},
                           {"millrace.project", text_of(root.getProject())},
                           {"millrace.pipeline.version", std::int64_t{root.getVersion()}}}};
  set_result(told, "cicd.pipeline.result", result_of(root.getState()), text_of(root.getReason()));
  return told;
}

span span_of(const ended_attempt& attempt) {
  const auto spec = attempt.spec;
  const auto row = attempt.row;
  const auto run = place_of(spec.getTrace());
  const auto first = row.getQueuedAt() != 0    ? row.getQueuedAt()
                     : row.getStartedAt() != 0 ? row.getStartedAt()
                                               : row.getFinishedAt();
  span told{.own = attempt_place(run, attempt.token),
            .parent = run.span,
            .name = "attempt " + text_of(spec.getTask()),
            .start = at(first),
            .end = at(std::max(row.getFinishedAt(), first)),
            .attributes = {{run_id_name, text_of(spec.getRun())},
                           {task_name, text_of(spec.getTask())},
                           {attempt_id_name, attempt.token},
                           {"millrace.task.index", std::int64_t{spec.getIndex()}},
                           {"millrace.attempt", std::int64_t{row.getNumber()}}}};
  if (row.getExecutor().size() > 0) {
    told.attributes.push_back({"millrace.executor", text_of(row.getExecutor())});
  }
  if (row.getStartedAt() != 0) {
    told.events.push_back({"started", at(row.getStartedAt())});
  }
  add_exit_code(told, row.getExitCode());
  set_result(told, task_result,
             result_of(row.getEnd(), is_success(row.getExitCode(), spec.getSuccessExitCodes())),
             text_of(row.getText()));
  return told;
}

span span_of_command(schemas::AttemptSpec::Reader attempt, schemas::AttemptReport::Reader report) {
  const auto place = place_of(attempt.getTrace());
  const auto token = text_of(attempt.getToken());
  span told{.own = {place.trace, span_id_of(place.trace, token + "/command"), place.is_sampled},
            .parent = place.span,
            .name = "command",
            .start = at(report.getStartedAt()),
            .end = at(std::max(report.getFinishedAt(), report.getStartedAt())),
            .attributes = {{attempt_id_name, token}}};
  add_exit_code(told, report.getExitCode());
  const auto exit_code = report.getExitCode();
  const auto has_exited = report.getEnd() == AttemptEnd::EXITED;
  auto why = has_exited ? std::string{} : text_of(report.getText());
  if (why.empty() && (has_exited || exit_code > 0)) {
    why = "exit code " + std::to_string(exit_code);
  }
  set_result(told, task_result,
             result_of(report.getEnd(), is_success(exit_code, attempt.getSuccessExitCodes())),
             std::move(why));
  return told;
}

}  // namespace millrace::actors
