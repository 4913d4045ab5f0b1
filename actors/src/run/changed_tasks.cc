// SPDX-License-Identifier: MIT
#include "run/changed_tasks.h"

#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace::actors {
namespace {

task_definition what_it_does(task_definition task) {
  const task_definition plain;
  task.description = plain.description;
  task.labels = plain.labels;
  task.timeout = plain.timeout;
  task.start_timeout = plain.start_timeout;
  task.heartbeat = plain.heartbeat;
  task.grace_period = plain.grace_period;
  task.retry = plain.retry;
  task.max_parallel = plain.max_parallel;
  task.fail_fast = plain.fail_fast;
  task.cache = plain.cache;
  task.priority = plain.priority;
  task.pool = plain.pool;
  task.preemptible = plain.preemptible;
  task.resources = plain.resources;
  task.memory_limit = plain.memory_limit;
  task.mutexes = plain.mutexes;
  task.semaphores = plain.semaphores;
  return task;
}

bool gives_the_same(const pipeline_definition& before, const pipeline_definition& after) {
  return before.env == after.env && before.secrets == after.secrets &&
         before.workspace == after.workspace;
}

using task_index = std::unordered_map<std::string_view, const task_definition*>;

task_index by_name(const pipeline_definition& in) {
  task_index made;
  for (const auto& task : in.tasks) {
    made.emplace(task.name, &task);
  }
  return made;
}

// By name, the tasks that are to come after it; by none, the hooks of the run.
std::unordered_map<std::string_view, std::vector<std::string_view>> followers(
    const pipeline_definition& in) {
  std::unordered_map<std::string_view, std::vector<std::string_view>> made;
  for (const auto& task : in.tasks) {
    if (task.hook) {
      made[task.hook->of].push_back(task.name);
    }
    for (const auto& need : task.needs) {
      made[need].push_back(task.name);
    }
  }
  return made;
}

}  // namespace

std::set<std::string> changed_tasks(const pipeline_definition& before,
                                    const pipeline_definition& after, std::set<std::string> also) {
  const auto holds = gives_the_same(before, after);
  const auto then = by_name(before);
  const auto now = by_name(after);
  auto changed = std::move(also);
  for (const auto& task : before.tasks) {
    const auto same = now.find(task.name);
    if (!holds || same == now.end() || what_it_does(task) != what_it_does(*same->second)) {
      changed.insert(task.name);
    }
  }
  for (const auto& task : after.tasks) {
    if (!then.contains(task.name)) {
      changed.insert(task.name);
    }
  }
  const auto next = followers(after);
  std::vector<std::string> left{changed.begin(), changed.end()};
  if (!left.empty()) {
    left.emplace_back();  // whatever it is, the hooks of the run come after it
  }
  while (!left.empty()) {
    const auto found = next.find(left.back());
    left.pop_back();
    if (found == next.end()) {
      continue;
    }
    for (const auto each : found->second) {
      if (changed.emplace(each).second) {
        left.emplace_back(each);
      }
    }
  }
  return changed;
}

}  // namespace millrace::actors
