// SPDX-License-Identifier: MIT
// The canonical form of a definition. It is itself a definition, so the loader reads it back.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "definition/loader.h"
#include "definition/value_json.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/duration_text.h"
#include "millrace/runtime/rfc3339.h"

namespace millrace::actors {

namespace {

using json = nlohmann::ordered_json;

void put(json& into, const char* key, const std::string& text) {
  if (!text.empty()) {
    into[key] = text;
  }
}

void put(json& into, const char* key, const std::map<std::string, std::string>& map) {
  if (!map.empty()) {
    into[key] = map;
  }
}

void put(json& into, const char* key, const std::optional<runtime::duration>& length) {
  if (length) {
    into[key] = format_duration(*length);
  }
}

void put(json& into, const char* key, const std::optional<time_limit>& limit) {
  if (const auto* text = limit ? std::get_if<std::string>(&*limit) : nullptr) {
    into[key] = *text;
  } else if (limit) {
    into[key] = format_duration(std::get<runtime::duration>(*limit));
  }
}

void put(json& into, const char* key, const std::optional<std::uint32_t>& number) {
  if (number) {
    into[key] = *number;
  }
}

void put(json& into, const char* key, const secret_map& secrets) {
  for (const auto& [variable, secret] : secrets) {
    into[key][variable] = {{"from", to_string(secret.from)}, {"key", secret.key}};
  }
}

json json_of(const fan_values& values) {
  if (const auto* text = std::get_if<std::string>(&values)) {
    return *text;
  }
  return to_json_list(std::get<std::vector<value>>(values));
}

json json_of(const retry_policy& retry) {
  if (retry.on_lost == lost_attempt::give_up) {
    return "never";
  }
  auto made = json::object();
  made["max_attempts"] = retry.max_attempts;
  made["delay"] = format_duration(retry.delay);
  made["backoff"] = retry.backoff;
  made["max_delay"] = format_duration(retry.max_delay);
  made["jitter"] = retry.jitter;
  if (!retry.on_exit.empty()) {
    made["on_exit"] = retry.on_exit;
  }
  if (!retry.not_on_exit.empty()) {
    made["not_on_exit"] = retry.not_on_exit;
  }
  return made;
}

json json_of(const task_definition& task, const command_definition& on_retry) {
  auto made = json_of(task.retry);
  put(made, "run", on_retry.run);
  if (!on_retry.command.empty()) {
    made["command"] = on_retry.command;
  } else if (on_retry.shell != (task.run.empty() ? std::vector<std::string>{} : task.shell)) {
    made["shell"] = on_retry.shell.empty() ? json("sh") : json(on_retry.shell);
  }
  return made;
}

json json_of(const param_definition& param) {
  auto made = json::object();
  made["type"] = to_string(param.type);
  if (param.fallback) {
    made["default"] = to_json_value(*param.fallback);
  }
  for (const auto& choice : param.choices) {
    made["enum"].push_back(to_json_value(choice));
  }
  put(made, "description", param.description);
  if (param.required) {
    made["required"] = true;
  }
  return made;
}

void put(json& into, const char* key, const std::optional<runtime::wall_time>& time) {
  if (time) {
    std::string text;
    runtime::append_rfc3339(text, time->time_since_epoch().count());
    into[key] = std::move(text);
  }
}

json json_of(const trigger_definition& trigger) {
  auto made = json::object();
  made["pipeline"] = trigger.pipeline;
  if (trigger.on != trigger_event::success) {
    made["on"] = to_string(trigger.on);
  }
  for (const auto& [name, content] : trigger.params) {
    made["params"][name] = to_json_value(content);
  }
  put(made, "once_for", trigger.once_for);
  return made;
}

json json_of(const webhook_definition& webhook) {
  auto made = json::object();
  made["webhook"] = webhook.name;
  if (!webhook.secret.empty()) {
    made["signature"]["secret"] = webhook.secret;
  }
  put(made, "when", webhook.when);
  for (const auto& [name, content] : webhook.params) {
    made["params"][name] = to_json_value(content);
  }
  put(made, "once_for", webhook.once_for);
  return made;
}

json json_of(const concurrency_definition& concurrency) {
  auto made = json::object();
  put(made, "group", concurrency.group);
  made["limit"] = concurrency.limit;
  if (concurrency.on_limit != at_limit::queue) {
    made["on_limit"] = to_string(concurrency.on_limit);
  }
  return made;
}

// All but its name.
void put_schedule(json& made, const schedule_definition& schedule) {
  const schedule_definition usual;
  put(made, "cron", schedule.cron);
  if (schedule.cron.empty()) {
    made["every"] = format_duration(schedule.every);
  }
  if (schedule.time_zone != usual.time_zone) {
    made["timezone"] = schedule.time_zone;
  }
  put(made, "start", schedule.start);
  put(made, "end", schedule.end);
  if (schedule.jitter != usual.jitter) {
    made["jitter"] = format_duration(schedule.jitter);
  }
  if (schedule.overlap != usual.overlap) {
    made["overlap"] = to_string(schedule.overlap);
  }
  if (schedule.catchup != usual.catchup) {
    made["catchup"] = to_string(schedule.catchup);
  }
  put(made, "catchup_window", schedule.catchup_window);
  for (const auto& [name, given] : schedule.params) {
    made["params"][name] = to_json_value(given);
  }
  if (schedule.paused) {
    made["paused"] = true;
  }
}

json json_of(const schedule_definition& schedule) {
  auto made = json::object();
  made["name"] = schedule.name;
  put_schedule(made, schedule);
  return made;
}

json json_of(const watch_definition& watch) {
  auto made = json::object();
  made["watch"] = watch.schedule.name;
  put_schedule(made, watch.schedule);
  put(made, "run", watch.check.run);
  if (!watch.check.command.empty()) {
    made["command"] = watch.check.command;
  }
  if (!watch.check.shell.empty()) {
    made["shell"] = watch.check.shell;
  }
  put(made, "env", watch.check.env);
  put(made, "secrets", watch.check.secrets);
  if (watch.check.timeout != time_limit{check_timeout_default}) {
    put(made, "timeout", watch.check.timeout);
  }
  if (watch.first == first_versions::all) {
    made["first"] = "all";
  }
  for (const auto& [name, content] : watch.params) {
    made["params"][name] = to_json_value(content);
  }
  return made;
}

void put_needs(json& made, const task_definition& task) {
  for (const auto& need : task.needs) {
    const auto& by_element = task.element_needs;
    const auto taken = task.artifact_needs.find(need);
    const auto is_of_element =
        std::find(by_element.begin(), by_element.end(), need) != by_element.end();
    if (!is_of_element && taken == task.artifact_needs.end()) {
      made["needs"].push_back(need);
      continue;
    }
    json one{{"task", need}};
    if (is_of_element) {
      one["instances"] = "same";
    }
    if (taken != task.artifact_needs.end()) {
      one["artifacts"] = taken->second.empty() ? json(true) : json(taken->second);
    }
    made["needs"].push_back(std::move(one));
  }
}

void put_fan_out(json& made, const task_definition& task) {
  if (task.for_each) {
    made["for_each"] = json_of(*task.for_each);
  }
  if (task.matrix) {
    auto& matrix = made["matrix"] = json::object();
    for (const auto& axis : task.matrix->axes) {
      matrix[axis.name] = json_of(axis.values);
    }
    if (!task.matrix->include.empty()) {
      matrix["include"] = to_json_list(task.matrix->include);
    }
    if (!task.matrix->exclude.empty()) {
      matrix["exclude"] = to_json_list(task.matrix->exclude);
    }
  }
  if (task.ranks > 0) {
    made["ranks"] = task.ranks;
  }
  put(made, "max_parallel", task.max_parallel);
  if (!task.fail_fast) {
    made["fail_fast"] = false;
  }
  if (task.on_empty != empty_fan_out::succeed) {
    made["on_empty"] = to_string(task.on_empty);
  }
  if (const auto& allowed = task.allow_failures; allowed == failure_allowance{100, true}) {
    made["allow_failures"] = true;
  } else if (allowed.is_percentage) {
    made["allow_failures"] = std::to_string(allowed.count) + "%";
  } else if (allowed.count > 0) {
    made["allow_failures"] = allowed.count;
  }
}

// What it leaves for others.
void put_results(json& made, const task_definition& task) {
  for (const auto& output : task.outputs) {
    auto& one = made["outputs"][output.name] = {{"description", output.description}};
    if (output.fallback) {
      one["default"] = *output.fallback;
    }
  }
  put(made, "stdout", task.stdout_output);
  for (const auto& each : task.artifacts) {
    auto& one = made["artifacts"][each.name] = {{"path", each.paths}};
    if (each.max_size != artifact_size_default) {
      one["max_size"] = format_amount("memory", each.max_size);
    }
    if (each.optional) {
      one["optional"] = true;
    }
  }
  if (task.cache && *task.cache == cache_definition{}) {
    made["cache"] = true;
  } else if (task.cache) {
    put(made["cache"], "key", task.cache->key);
    put(made["cache"], "ttl", task.cache->ttl);
  }
}

json json_of(const task_definition& task) {
  auto made = json::object();
  made["name"] = task.name;
  put(made, "description", task.description);
  put(made, "labels", task.labels);
  put(made, "run", task.run);
  if (!task.command.empty()) {
    made["command"] = task.command;
  }
  if (!task.shell.empty()) {
    made["shell"] = task.shell;
  }
  put(made, "workdir", task.workdir);
  for (const auto& [name, content] : task.inputs) {
    made["inputs"][name] = to_json_value(content);
  }
  put(made, "approval", task.approval);
  if (task.callback) {
    put(made["callback"] = json::object(), "prompt", *task.callback);
  }
  put(made, "pipeline", task.pipeline);
  if (task.actor) {
    made["actor"] = task.actor->type + "/" + task.actor->key;
    made["method"] = task.actor->method;
  }
  for (const auto& [name, content] : task.params) {
    made["params"][name] = to_json_value(content);
  }
  put_needs(made, task);
  if (task.run_on != trigger_rule::success) {
    made["run_on"] = to_string(task.run_on);
  }
  put(made, "when", task.when);
  put(made, "env", task.env);
  put(made, "secrets", task.secrets);
  put(made, "timeout", task.timeout);
  put(made, "start_timeout", task.start_timeout);
  put(made, "heartbeat", task.heartbeat);
  put(made, "grace_period", task.grace_period);
  if (task.detach) {
    made["detach"] = "allowed";
  }
  if (task.retry_command) {
    made["retry"] = json_of(task, *task.retry_command);
  } else if (task.retry != retry_policy{}) {
    made["retry"] = json_of(task.retry);
  }
  if (!task.success_exit_codes.empty()) {
    made["success_exit_codes"] = task.success_exit_codes;
  }
  put_fan_out(made, task);
  put_results(made, task);
  put(made, "priority", task.priority);
  put(made, "pool", task.pool);
  if (task.preemptible) {
    made["preemptible"] = to_string(*task.preemptible);
  }
  if (task.memory_limit > 0) {
    made["limits"]["memory"] = format_amount("memory", task.memory_limit);
  }
  for (const auto& [name, amount] : task.resources) {
    made["resources"][name] = format_amount(name, amount);
  }
  if (!task.mutexes.empty()) {
    made["synchronization"]["mutexes"] = task.mutexes;
  }
  for (const auto& each : task.semaphores) {
    made["synchronization"]["semaphores"].push_back({{"name", each.name}, {"limit", each.limit}});
  }
  return made;
}

}  // namespace

std::string to_json(const pipeline_definition& definition) {
  auto made = json::object();
  made["name"] = definition.name;
  put(made, "description", definition.description);
  put(made, "labels", definition.labels);
  for (const auto& param : definition.params) {
    made["params"][param.name] = json_of(param);
  }
  put(made, "env", definition.env);
  put(made, "secrets", definition.secrets);
  put(made, "timeout", definition.timeout);
  put(made, "grace_period", definition.grace_period);
  if (definition.workspace != workspace_mode::run) {
    made["workspace"] = to_string(definition.workspace);
  }
  put(made, "max_parallel", definition.max_parallel);
  if (definition.fail_fast) {
    made["fail_fast"] = true;
  }
  put(made, "priority", definition.priority);
  put(made, "pool", definition.pool);
  if (definition.retention != run_retention{}) {
    auto& retention = made["retention"] = json::object();
    put(retention, "runs", definition.retention.runs);
    put(retention, "age", definition.retention.age);
  }
  for (const auto& schedule : definition.schedules) {
    made["schedule"].push_back(json_of(schedule));
  }
  if (definition.concurrency) {
    made["concurrency"] = json_of(*definition.concurrency);
  }
  for (const auto& trigger : definition.triggers) {
    made["triggers"].push_back(json_of(trigger));
  }
  for (const auto& webhook : definition.webhooks) {
    made["triggers"].push_back(json_of(webhook));
  }
  for (const auto& watch : definition.watches) {
    made["triggers"].push_back(json_of(watch));
  }
  put(made, "outputs", definition.outputs);
  if (definition.revert_after) {
    made["revert"]["after"] = *definition.revert_after;
  }
  for (const auto& task : definition.tasks) {
    auto one = json_of(task);
    if (!task.hook) {
      made["tasks"].push_back(std::move(one));
      continue;
    }
    one.erase("name");
    one.erase("priority");  // that of the task it belongs to, as the next
    one.erase("pool");
    auto& owner = task.hook->of.empty() ? made : made["tasks"].back();
    owner[std::string{to_string(task.hook->on)}] = std::move(one);
  }
  return to_json_text(made);
}

std::string to_json(const schedule_definition& schedule) {
  return to_json_text(json_of(schedule));
}

runtime::result<pipeline_definition> from_json(std::string_view canonical) {
  auto loaded = load_text(canonical, "", canonical_bytes_max);
  if (!loaded) {
    return runtime::error{runtime::errc::invalid_argument, to_string(loaded.diagnostics.front())};
  }
  return std::move(*loaded.definition);
}

}  // namespace millrace::actors
