// SPDX-License-Identifier: MIT
// Which results hold for another version of a definition.
#include "run/changed_tasks.h"

#include <doctest/doctest.h>

#include "millrace/actors/definition.h"

namespace millrace::actors {
namespace {

using names = std::set<std::string>;

names changed(const std::string& before, const std::string& after) {
  const auto of = [](const std::string& text) {
    auto made = load_definition("name: p\n" + text, "p.yaml");
    REQUIRE(made.definition);
    return *std::move(made.definition);
  };
  return changed_tasks(of(before), of(after));
}

TEST_CASE("what a task does is what counts") {
  const std::string before = "tasks: [{name: a, run: x}, {name: b, run: y, needs: a}]\n";
  CHECK(changed(before, before).empty());
  CHECK(changed(before, "tasks: [{name: a, run: z}, {name: b, run: y, needs: a}]\n") ==
        names{"a", "b"});
  CHECK(changed(before, "tasks: [{name: a, run: x}, {name: b, run: z, needs: a}]\n") == names{"b"});
  CHECK(changed(before, "tasks: [{name: b, run: y}]\n") == names{"a", "b"});
  CHECK(changed(before,
                "tasks: [{name: b, run: y, needs: a}, {name: a, run: x}, "
                "{name: c, run: x}]\n") == names{"c"});
  const auto with = [&](const std::string& key) {
    return changed(before,
                   "tasks: [{name: a, run: x, " + key + "}, {name: b, run: y, needs: a}]\n");
  };
  for (const auto* key :
       {"env: {A: b}", "when: true", "workdir: a", "shell: bash", "inputs: {a: 1}", "for_each: [1]",
        "outputs: [k]", "artifacts: {a: b}", "success_exit_codes: 3", "allow_failures: true",
        "secrets: {A: {from: env, key: A}}", "detach: allowed", "ranks: 2",
        "retry: {max_attempts: 2, run: z}"}) {
    CAPTURE(key);
    CHECK(with(key) == names{"a", "b"});
  }
  for (const auto* key :
       {"timeout: 1h", "retry: 3", "priority: high", "resources: {cpu: 1}", "limits: {memory: 1Gi}",
        "description: A.", "heartbeat: 1m", "start_timeout: 1h", "grace_period: 1s",
        "synchronization: {mutexes: [a]}", "preemptible: never"}) {
    CAPTURE(key);
    CHECK(with(key).empty());
  }
}

TEST_CASE("what all tasks get is part of each") {
  const std::string tasks = "tasks: [{name: a, run: x}, {name: b, run: y}]\n";
  CHECK(changed(tasks, "env: {A: b}\n" + tasks) == names{"a", "b"});
  CHECK(changed(tasks, "secrets: {A: {from: env, key: A}}\n" + tasks) == names{"a", "b"});
  CHECK(changed(tasks, "workspace: task\n" + tasks) == names{"a", "b"});
  CHECK(changed(tasks, "timeout: 1h\nlabels: {a: b}\nmax_parallel: 3\nparams: {n: 1}\n" + tasks)
            .empty());
}

TEST_CASE("a hook is a task of its own") {
  const std::string before = "tasks: [{name: a, run: x, on_failure: y}]\n";
  CHECK(changed(before, "tasks: [{name: a, run: x, on_failure: z}]\n") == names{"a.on_failure"});
  CHECK(changed(before, "tasks: [{name: a, run: x}]\n") == names{"a.on_failure"});
}

TEST_CASE("the hooks of a run follow its end where anything has changed") {
  const std::string hooks = "on_success: echo\nfinally: echo\n";
  const std::string before = hooks + "tasks: [{name: a, run: x, finally: z}, {name: b, run: y}]\n";
  CHECK(changed(before, before).empty());
  CHECK(changed(before, hooks + "tasks: [{name: a, run: x, finally: z}]\n") ==
        names{"b", "finally", "on_success"});
  CHECK(changed(before, hooks + "tasks: [{name: a, run: w, finally: z}, {name: b, run: y}]\n") ==
        names{"a", "a.finally", "finally", "on_success"});
}

}  // namespace
}  // namespace millrace::actors
