// SPDX-License-Identifier: MIT
// Pipelines whose runs start runs of others: one that has a trigger subscribes to the other, which
// tells it of each end that it asked for.
#include <algorithm>

#include "definition/compiled.h"
#include "definition/fill_values.h"
#include "millrace/actors/definition.h"
#include "pipeline/pipeline_actor.h"
#include "pipeline/pipeline_rows.h"
#include "run/run_states.h"
#include "secrets/signature.h"

namespace millrace::actors {

using runtime::async;
using runtime::ref;
using schemas::RunState;
using schemas::TriggerEvent;

namespace {

bool matches(TriggerEvent on, RunState end) {
  switch (on) {
    case TriggerEvent::SUCCESS:
      return end == RunState::SUCCEEDED;
    case TriggerEvent::FAILURE:
      return end == RunState::FAILED || end == RunState::TIMED_OUT;
    case TriggerEvent::END:
      return true;
  }
  return false;
}

// What is told of the run that has ended.
map_scope scope_of(const std::string& pipeline, schemas::RunStatus::Reader run) {
  map_scope scope;
  auto& values = scope.trigger_values;
  values.emplace("pipeline", make_value(pipeline));
  values.emplace("run", make_value(text_of(run.getId())));
  values.emplace("state", make_value(std::string{to_string(run.getState())}));
  values.emplace("version", make_value(std::int64_t{run.getVersion()}));
  for (const auto& [name, given] : values_of(run.getParams())) {
    values.emplace("params." + name, given);
  }
  for (const auto output : run.getOutputs()) {
    values.emplace("outputs." + text_of(output.getName()), make_value(text_of(output.getValue())));
  }
  return scope;
}

// Of each webhook so many are known.
constexpr std::size_t started_for_max = 100;
constexpr unsigned started_for_digits = 10;

// In `started_for`, beside names of pipelines, which have no slash.
constexpr std::string_view webhook_rows = "webhook/";

std::string rows_of_webhook(const std::string& name) {
  return std::string{webhook_rows} + name + "/";
}

// A value may have 4 KiB, and there are many.
std::string mark_of(std::string_view once_for) {
  return hmac_sha256(once_for, {});
}

std::optional<schemas::CompiledWebhook::Reader> webhook_of(
    schemas::CompiledPipeline::Reader compiled, std::string_view name) {
  for (const auto each : compiled.getWebhooks()) {
    if (text_of(each.getName()) == name) {
      return each;
    }
  }
  return std::nullopt;
}

}  // namespace

// Of the version that is about to become the latest; those that the present one has and it has not
// are undone.
void pipeline_actor::tell_triggers(const std::vector<trigger_definition>& triggers) {
  const auto other = [&](const std::string& name) {
    return ref<schemas::Pipeline>(project() + "/" + name);
  };
  if (const auto before = versions_.get(version_row(state().getLatestVersion()))) {
    for (const auto trigger : before->getCompiled().getTriggers()) {
      const auto name = text_of(trigger.getPipeline());
      if (std::none_of(triggers.begin(), triggers.end(),
                       [&](const auto& each) { return each.pipeline == name; })) {
        send(other(name).subscribe(pipeline(), trigger.getOn(), true));
      }
    }
  }
  for (const auto& trigger : triggers) {
    send(other(trigger.pipeline)
             .subscribe(pipeline(), static_cast<TriggerEvent>(trigger.on), false));
  }
}

async<> pipeline_actor::subscribe(subscribe_params params) {
  if (params.undo()) {
    subscribers_.erase(params.pipeline());
  } else {
    subscribers_.edit(params.pipeline()).setOn(params.on());
  }
  return {};
}

void pipeline_actor::tell_subscribers(const run_ended_params& ended) {
  subscribers_.for_each([&](std::string_view name, schemas::Subscriber::Reader subscriber) {
    if (matches(subscriber.getOn(), ended.state())) {
      schemas::pipeline_interface::triggered_params told;
      auto made = told.build();
      made.setPipeline(pipeline().c_str());
      made.setRun(std::string{ended.run()}.c_str());
      made.setState(ended.state());
      made.setDepth(ended.depth());
      made.setVersion(ended.version());
      made.setParams(ended.read().getParams());
      made.setOutputs(ended.read().getOutputs());
      send(ref<schemas::Pipeline>(project() + "/" + std::string{name}).triggered(std::move(told)));
    }
    return true;
  });
}

void pipeline_actor::not_triggered(const std::string& by, const std::string& why) const {
  if (log_) {
    log_("pipeline " + key() + ": nothing is started after run " + by + ": " + why);
  }
}

async<pipeline_actor::webhook_results> pipeline_actor::webhook(webhook_params params) {
  if (!is_known()) {
    co_return unknown();
  }
  const auto latest = state().getLatestVersion();
  const auto stored = *versions_.get(version_row(latest));
  const auto found = webhook_of(stored.getCompiled(), params.name());
  if (!found) {
    co_return runtime::error{
        runtime::errc::not_found,
        "the pipeline '" + pipeline() + "' has no webhook '" + std::string{params.name()} + "'"};
  }
  webhook_results results;
  results.build().setWebhook(*found);
  results.build().setVersion(latest);
  co_return results;
}

bool pipeline_actor::has_started_for(const std::string& webhook, std::string_view once_for) const {
  auto found = false;
  if (once_for.empty()) {
    return found;
  }
  const auto mark = mark_of(once_for);
  const auto rows = rows_of_webhook(webhook);
  started_for_.for_each(
      [&](std::string_view row, schemas::TriggerValue::Reader stored) {
        found = row.starts_with(rows) && text_of(stored.getValue()) == mark;
        return row.starts_with(rows) && !found;
      },
      rows);
  return found;
}

void pipeline_actor::note_started_for(const std::string& webhook, const std::string& once_for) {
  if (once_for.empty()) {
    return;
  }
  const auto rows = rows_of_webhook(webhook);
  std::vector<std::string> known;
  started_for_.for_each(
      [&](std::string_view row, const auto& /*stored*/) {
        if (row.starts_with(rows)) {
          known.emplace_back(row);
        }
        return row.starts_with(rows);
      },
      rows);
  std::uint32_t number = 1;
  if (!known.empty()) {
    number += static_cast<std::uint32_t>(std::stoul(known.back().substr(rows.size())));
  }
  if (known.size() >= started_for_max) {
    started_for_.erase(known.front());
  }
  started_for_.edit(rows + padded(number, started_for_digits)).setValue(mark_of(once_for).c_str());
}

void pipeline_actor::forget_started_for(const std::vector<webhook_definition>& left) {
  std::vector<std::string> gone;
  started_for_.for_each(
      [&](std::string_view row, const auto& /*stored*/) {
        const auto is_its = [&](const auto& each) {
          return row.starts_with(rows_of_webhook(each.name));
        };
        if (row.starts_with(webhook_rows) && std::none_of(left.begin(), left.end(), is_its)) {
          gone.emplace_back(row);
        }
        return row.starts_with(webhook_rows);
      },
      webhook_rows);
  for (const auto& row : gone) {
    started_for_.erase(row);
  }
}

async<> pipeline_actor::triggered(triggered_params params) {
  const std::string by{params.run()};
  const std::string other{params.pipeline()};
  if (params.depth() >= run_depth_max) {
    not_triggered(by, "it comes from " + std::to_string(run_depth_max) +
                          " runs already: do pipelines trigger each other without end?");
    co_return;
  }
  runtime::message<schemas::RunStatus> told;
  if (params.read().getParams().size() > 0) {
    auto made = told.build();
    made.setId(by.c_str());
    made.setState(params.state());
    made.setVersion(params.version());
    made.setParams(params.read().getParams());
    made.setOutputs(params.read().getOutputs());
  } else {
    const auto asked = co_await as_result(ref<schemas::Run>(by).status());
    if (!asked && asked.error().code() != runtime::errc::not_found) {
      co_await runtime::fail(asked.error());  // this is told again
    }
    if (!asked) {
      not_triggered(by, asked.error().text());
      co_return;
    }
    told = runtime::message<schemas::RunStatus>{asked->read().getRun()};
  }
  if (!is_known()) {
    co_return;  // removed meanwhile
  }
  const auto latest = state().getLatestVersion();
  const auto triggers = versions_.get(version_row(latest))->getCompiled().getTriggers();
  std::optional<trigger_definition> wanted;
  for (const auto each : triggers) {
    if (text_of(each.getPipeline()) == other && matches(each.getOn(), params.state())) {
      wanted.emplace();
      wanted->params = values_of(each.getParams());
      wanted->once_for = text_of(each.getOnceFor());
    }
  }
  if (!wanted) {
    co_return;  // of a version that is no more
  }
  const auto scope = scope_of(other, told.read());
  const auto filled = fill_values(wanted->params, scope, "params");
  const auto once_for = fill(wanted->once_for, scope);
  if (!filled || !once_for) {
    not_triggered(by, filled ? "once_for: " + once_for.error().text() : filled.error().text());
    co_return;
  }
  if (once_for->size() > once_for_bytes_max) {
    not_triggered(by, "its `once_for` has more than " + std::to_string(once_for_bytes_max) +
                          " bytes; a hash of it would do");
    co_return;
  }
  const auto last = started_for_.get(other);
  if (!once_for->empty() && last && text_of(last->getValue()) == *once_for) {
    co_return;
  }
  submit_params submission;
  submission.build().setParams(to_json(*filled).c_str());
  const auto begun =
      begin_run(submission, run_ids_.next(now()), {.depth = params.depth() + 1, .triggered_by = by},
                {.number = latest});
  if (!begun) {
    not_triggered(by, begun.error().text());
  } else if (!once_for->empty()) {
    started_for_.edit(other).setValue(once_for->c_str());
  }
}

}  // namespace millrace::actors
