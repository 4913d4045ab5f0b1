// SPDX-License-Identifier: MIT
// What the pool keeps and tells of projects: their settings, what they have used, and what they
// have.
#include <cmath>

#include "pipeline/names.h"
#include "pool/pool_actor.h"

namespace millrace::actors {

using runtime::async;

namespace {

// What a project has used so little of that nobody needs to know, in seconds.
constexpr double usage_forgotten = 1;

constexpr double cpu_unit = 1'000;

double processors(std::uint64_t amount) {
  return static_cast<double>(amount) / cpu_unit;
}

project_limits limits_of(schemas::ProjectSettings::Reader from) {
  project_limits made{from.getWeight(), from.getMaxRunning(), from.getMaxQueuedRuns()};
  if (const auto cpu = from.getMaxCpu(); cpu > 0) {
    made.resources["cpu"] = static_cast<std::uint64_t>(std::llround(cpu * cpu_unit));
  }
  if (from.getMaxMemory() > 0) {
    made.resources["memory"] = from.getMaxMemory();
  }
  made.max_storage = from.getMaxStorage();
  if (from.getMaxPriority() >= 0) {
    made.max_priority = static_cast<std::uint32_t>(from.getMaxPriority());
  }
  if (from.getPreemptsFrom() >= 0) {
    made.preempts_from = static_cast<std::uint32_t>(from.getPreemptsFrom());
  }
  return made;
}

}  // namespace

void pool_actor::restore_projects() {
  std::vector<std::string> forgotten;
  projects_.for_each([&](std::string_view project, schemas::PoolProject::Reader record) {
    queue_.set_limits(project, limits_of(record.getSettings()));
    queue_.restore_usage(project, record.getUsage(),
                         runtime::wall_time{runtime::duration{record.getUsageAt()}});
    if (!record.hasSettings() &&
        fair_share::usage(*queue_.shares().find(project), now()) < usage_forgotten) {
      forgotten.emplace_back(project);
    }
    return true;
  });
  for (const auto& project : forgotten) {
    projects_.erase(project);
  }
}

void pool_actor::save_usage(std::string_view project) {
  if (project.empty()) {
    return;  // of a version before projects were counted
  }
  const auto& share = *queue_.shares().find(project);
  auto row = projects_.edit(std::string{project});
  row.setUsage(share.usage);
  row.setUsageAt(nanoseconds(share.at));
}

void pool_actor::put_shares(schemas::Pool::StatusResults::Builder into) const {
  double weights = 0;
  double used = 0;
  std::vector<fair_share::projects::const_pointer> listed;
  for (const auto& each : queue_.shares().all()) {
    const auto& [name, share] = each;
    const auto usage = fair_share::usage(share, now());
    if (share.running > 0 || share.waiting > 0 || usage >= usage_forgotten ||
        share.limits != project_limits{} || share.storage > 0) {
      listed.push_back(&each);
      weights += share.limits.weight;
      used += usage;
    }
  }
  auto list = into.initProjects(static_cast<unsigned>(listed.size()));
  for (unsigned at = 0; at < list.size(); ++at) {
    const auto& [name, share] = *listed[at];
    const auto usage = fair_share::usage(share, now());
    list[at].setProject(name.c_str());
    list[at].setWeight(share.limits.weight);
    list[at].setShare(share.limits.weight / weights);
    list[at].setUsed(used > 0 ? usage / used : 0);
    list[at].setUsage(usage);
    list[at].setRunning(share.running);
    list[at].setWaiting(share.waiting);
    list[at].setQueuedRuns(share.queued_runs);
    list[at].setMaxRunning(share.limits.max_running);
    list[at].setMaxQueuedRuns(share.limits.max_queued_runs);
    const auto number_of = [](const auto& limit) { return limit ? std::int64_t{*limit} : -1; };
    list[at].setMaxPriority(number_of(share.limits.max_priority));
    list[at].setPreemptsFrom(number_of(share.limits.preempts_from));
    list[at].setCpu(processors(amount_of(share.taken, "cpu")));
    list[at].setMemory(amount_of(share.taken, "memory"));
    list[at].setStorage(share.storage);
    list[at].setMaxCpu(processors(amount_of(share.limits.resources, "cpu")));
    list[at].setMaxMemory(amount_of(share.limits.resources, "memory"));
    list[at].setMaxStorage(share.limits.max_storage);
  }
}

async<> pool_actor::set_project(set_project_params params) {
  projects_.edit(params.project()).setSettings(params.settings());
  queue_.set_limits(params.project(), limits_of(params.settings()));
  grant();
  return {};
}

// Stores what has changed since it was that.
void pool_actor::save_storage(std::string_view executor,
                              const pool_queue::storage_by_project& was) {
  const auto is = queue_.storage_of(executor);
  const auto row = [prefix = std::string{executor} + "/"](const std::string& project) {
    return prefix + project;
  };
  for (const auto& [project, bytes] : was) {
    if (!is.contains(project)) {
      storage_.erase(row(project));
    }
  }
  for (const auto& [project, bytes] : is) {
    if (const auto at = was.find(project); at == was.end() || at->second != bytes) {
      storage_.edit(row(project)).setBytes(bytes);
    }
  }
}

// One that is lost joins again, and tells all of it then.
async<> pool_actor::storage(storage_params params) {
  const std::string executor{params.executor()};
  const auto record = executors_.get(executor);
  if (!record || record->getLost()) {
    return {};
  }
  const auto was = queue_.storage_of(executor);
  pool_queue::storage_by_project told;
  if (params.whole()) {
    for (const auto& [project, bytes] : was) {
      told[project] = 0;
    }
  }
  for (const auto each : params.read().getProjects()) {
    told[text_of(each.getProject())] = each.getBytes();
  }
  auto has_room = false;
  for (const auto& [project, bytes] : told) {
    has_room = queue_.set_storage(executor, project, bytes) || has_room;
  }
  save_storage(executor, was);
  if (has_room) {
    grant();
  }
  return {};
}

async<pool_actor::usage_results> pool_actor::usage(usage_params params) {
  const auto* found = queue_.shares().find(params.project());
  const auto share = found != nullptr ? *found : project_share{};
  const auto& limits = share.limits;
  usage_results results;
  auto made = results.build();
  made.setName(std::string{params.project()}.c_str());
  auto cpu = made.initCpu();
  cpu.setUsed(processors(amount_of(share.taken, "cpu")));
  cpu.setLimit(processors(amount_of(limits.resources, "cpu")));
  const auto put = [](schemas::QuotaUse::Builder into, std::uint64_t used, std::uint64_t limit) {
    into.setUsed(used);
    into.setLimit(limit);
  };
  put(made.initMemory(), amount_of(share.taken, "memory"), amount_of(limits.resources, "memory"));
  put(made.initStorage(), share.storage, limits.max_storage);
  put(made.initRunning(), share.running, limits.max_running);
  put(made.initQueuedRuns(), share.queued_runs, limits.max_queued_runs);
  co_return results;
}

async<pool_actor::queued_runs_results> pool_actor::queued_runs(queued_runs_params params) {
  const auto* share = queue_.shares().find(params.project());
  co_return queued_runs_results{share != nullptr ? share->queued_runs : 0};
}

}  // namespace millrace::actors
