// SPDX-License-Identifier: MIT
// Pipelines whose runs start runs of others: one that has a trigger subscribes to the other, which
// tells it of each end that it asked for.
#include <algorithm>

#include "definition/compiled.h"
#include "definition/fill_values.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/run_id.h"
#include "pipeline/pipeline_actor.h"
#include "pipeline/pipeline_rows.h"
#include "run/run_states.h"

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
      send(ref<schemas::Pipeline>(project() + "/" + std::string{name})
               .triggered(pipeline(), ended.run(), ended.state(), ended.depth()));
    }
    return true;
  });
}

void pipeline_actor::not_triggered(const std::string& by, const std::string& why) const {
  if (log_) {
    log_("pipeline " + key() + ": nothing is started after run " + by + ": " + why);
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
  const auto told = co_await as_result(ref<schemas::Run>(by).status());
  if (!told) {
    not_triggered(by, told.error().text());
    co_return;
  }
  if (!is_known()) {
    co_return;  // removed meanwhile
  }
  const auto latest = state().getLatestVersion();
  auto begun = compile_stored(latest);
  const auto triggers = versions_.get(version_row(latest))->getCompiled().getTriggers();
  std::optional<std::map<std::string, value>> wanted;
  for (const auto each : triggers) {
    if (text_of(each.getPipeline()) == other && matches(each.getOn(), params.state())) {
      wanted = values_of(each.getParams());
    }
  }
  if (!wanted) {
    co_return;  // of a version that is no more
  }
  const auto filled = fill_values(*wanted, scope_of(other, told->read().getRun()), "params");
  if (begun && filled) {
    submit_params submission;
    submission.build().setParams(to_json(*filled).c_str());
    begun = begin_run(submission, make_run_id(now(), random_),
                      {.depth = params.depth() + 1, .triggered_by = by}, {.number = latest});
  }
  if (!begun || !filled) {
    not_triggered(by, begun ? filled.error().text() : begun.error().text());
  }
}

}  // namespace millrace::actors
