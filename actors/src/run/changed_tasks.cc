// SPDX-License-Identifier: MIT
#include "run/changed_tasks.h"

#include <algorithm>

namespace millrace::actors {
namespace {

task_definition what_it_does(task_definition task) {
  const task_definition plain;
  task.description = plain.description;
  task.timeout = plain.timeout;
  task.start_timeout = plain.start_timeout;
  task.heartbeat = plain.heartbeat;
  task.grace_period = plain.grace_period;
  task.retry = plain.retry;
  task.max_parallel = plain.max_parallel;
  task.fail_fast = plain.fail_fast;
  task.cache = plain.cache;
  task.priority = plain.priority;
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

const task_definition* find(const pipeline_definition& in, const std::string& name) {
  const auto found = std::find_if(in.tasks.begin(), in.tasks.end(),
                                  [&name](const auto& each) { return each.name == name; });
  return found != in.tasks.end() ? &*found : nullptr;
}

// Whether one of these is to come before it.
bool follows(const task_definition& task, const std::set<std::string>& these) {
  return task.hook ? (task.hook->of.empty() ? !these.empty() : these.contains(task.hook->of))
                   : std::any_of(task.needs.begin(), task.needs.end(),
                                 [&these](const auto& need) { return these.contains(need); });
}

}  // namespace

std::set<std::string> changed_tasks(const pipeline_definition& before,
                                    const pipeline_definition& after, std::set<std::string> also) {
  const auto holds = gives_the_same(before, after);
  auto changed = std::move(also);
  for (const auto& task : before.tasks) {
    const auto* same = find(after, task.name);
    if (!holds || same == nullptr || what_it_does(task) != what_it_does(*same)) {
      changed.insert(task.name);
    }
  }
  for (const auto& task : after.tasks) {
    if (find(before, task.name) == nullptr) {
      changed.insert(task.name);
    }
  }
  for (std::size_t known = SIZE_MAX; known != changed.size();) {
    known = changed.size();
    for (const auto& task : after.tasks) {
      if (follows(task, changed)) {
        changed.insert(task.name);
      }
    }
  }
  return changed;
}

}  // namespace millrace::actors
