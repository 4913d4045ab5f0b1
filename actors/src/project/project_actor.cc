// SPDX-License-Identifier: MIT
#include "project/project_actor.h"

#include <cmath>
#include <vector>

#include "millrace/actors/name_rule.h"
#include "millrace/actors/priority.h"
#include "millrace/actors/resources.h"
#include "pipeline/names.h"
#include "pipeline/pipeline_rows.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::ref;

namespace {

constexpr std::uint32_t project_weight_max = 1'000'000;
constexpr double cpu_least = 0.001;
constexpr double cpu_most = 1e12;

}  // namespace

async<> project_actor::on_activate() {
  if (pipelines_.empty() && !state().hasSettings()) {
    set_idle_timeout(runtime::duration{});  // nobody knows it: asking leaves nothing
  }
  return {};
}

// Its pool goes by most of it; its pipelines, which take the runs, by the rest.
async<> project_actor::configure(configure_params params) {
  const auto settings = params.settings();
  if (auto named = check_name("project", key(), name_rule::thing); !named) {
    co_await runtime::fail(std::move(named).error());
  }
  if (settings.getWeight() == 0 || settings.getWeight() > project_weight_max) {
    co_await runtime::fail(errc::invalid_argument, "the weight of a project is from 1 to " +
                                                       std::to_string(project_weight_max) +
                                                       ", not " +
                                                       std::to_string(settings.getWeight()));
  }
  for (const auto each : {settings.getMaxPriority(), settings.getPreemptsFrom()}) {
    if (each < -1 || each > std::int64_t{priority_max}) {
      co_await runtime::fail(errc::invalid_argument, std::to_string(each) + " is no priority: " +
                                                         std::string{priority_hint});
    }
  }
  if (const auto cpu = settings.getMaxCpu(); cpu != 0 && !(cpu >= cpu_least && cpu <= cpu_most)) {
    co_await runtime::fail(
        errc::invalid_argument,
        "the processors of a project are from 0.001 to 1000000000000, or 0 for no bound");
  }
  if (settings.getMaxMemory() > resource_amount_max) {
    co_await runtime::fail(
        errc::invalid_argument,
        "the memory of a project is at most " + std::to_string(resource_amount_max) + " bytes");
  }
  if (params.if_version() != 0 && params.if_version() != settings_version()) {
    co_await runtime::fail(
        errc::conflict, "the settings of project '" + key() + "' are of version " +
                            std::to_string(settings_version()) + ", not " +
                            std::to_string(params.if_version()) + "; get them, and change these");
  }
  const auto bound = state().getSettings().getMaxQueuedRuns();
  edit().setTimesSet(state().getTimesSet() + 1);
  edit().setSettings(settings);
  set_idle_timeout(std::nullopt);
  send(ref<schemas::Pool>(std::string{pool_key}).set_project(key(), settings));
  if (settings.getMaxQueuedRuns() != bound) {
    pipelines_.for_each([&](std::string_view name, schemas::ProjectPipeline::Reader) {
      send(ref<schemas::Pipeline>(key() + "/" + std::string{name})
               .limit_runs(settings.getMaxQueuedRuns()));
      return true;
    });
  }
}

async<project_actor::settings_results> project_actor::settings() {
  settings_results results;
  results.build().setSettings(state().getSettings());
  results.build().setVersion(settings_version());
  co_return results;
}

async<> project_actor::add(add_params params) {
  if (!pipelines_.contains(params.pipeline())) {
    auto record = pipelines_.edit(params.pipeline());
    record.setName(params.read().getPipeline());
    record.setRegisteredAt(nanoseconds(now()));
    set_idle_timeout(std::nullopt);
    if (const auto bound = state().getSettings().getMaxQueuedRuns(); bound > 0) {
      send(ref<schemas::Pipeline>(key() + "/" + std::string{params.pipeline()}).limit_runs(bound));
    }
  }
  pipelines_.edit(params.pipeline()).setSchedules(params.schedules());
  return {};
}

async<> project_actor::remove(remove_params params) {
  pipelines_.erase(params.pipeline());
  return {};
}

async<project_actor::pipelines_results> project_actor::pipelines(pipelines_params params) {
  std::vector<schemas::ProjectPipeline::Reader> page;
  std::string next;
  const auto limit = page_of(params.limit());
  const std::string after{params.cursor()};
  pipelines_.for_each(
      [&](std::string_view name, schemas::ProjectPipeline::Reader record) {
        if (name == after) {
          return true;
        }
        if (page.size() == limit) {
          next = text_of(page.back().getName());
          return false;
        }
        page.push_back(record);
        return true;
      },
      after);
  pipelines_results results;
  auto list = results.build().initPipelines(static_cast<unsigned>(page.size()));
  for (unsigned at = 0; at < page.size(); ++at) {
    list.setWithCaveats(at, page[at]);
  }
  results.build().setNextCursor(next.c_str());
  co_return results;
}

}  // namespace millrace::actors
