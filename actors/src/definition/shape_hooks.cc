// SPDX-License-Identifier: MIT
// Hooks: `on_success`, `on_failure`, `on_cancel` and `finally`, of a task and of the pipeline.
#include "definition/shape.h"

namespace millrace::actors {

namespace {

constexpr const char* hook_hint = "write `finally: ./tidy-up`, or a map with `run` or `command`";

void read_body(shape_context& to, const field_map& fields, task_definition& made, std::size_t task,
               const task_defaults& defaults) {
  read_text(to, fields.at("description"), made.description);
  if (!fields.at("run") && !fields.at("command")) {
    to.in.report(fields.where(), "the hook has no `run` or `command`", hook_hint);
  }
  read_process(to, fields, made, task, defaults.shell);
  read_surroundings(to, fields, made, task);
  if (const auto env = fields.at("env")) {
    made.env = read_env(to, *env, task);
  }
  read_time_limit(to, fields.at("timeout"), made.timeout, task);
  read_duration(to, fields.at("grace_period"), made.grace_period, zero_duration::allowed);
  read_task_secrets(to, fields, made);
  if (const auto retry = fields.at("retry")) {
    read_retry(to, *retry, made, task, defaults.shell);
  }
}

void read_hook(shape_context& to, const cursor& where, hook_event on, const std::string& of,
               std::optional<std::uint32_t> priority, const std::string& pool,
               const task_defaults& defaults) {
  const auto index = to.out.definition.tasks.size();
  auto& made = to.out.definition.tasks.emplace_back();
  to.out.task_places.push_back({where.key, where.pointer()});
  made.name = (of.empty() ? "" : of + ".") + std::string{to_string(on)};
  made.hook = {on, of};
  made.timeout = hook_timeout_default;
  made.priority = priority;
  made.pool = pool;
  if (made.name.size() > name_bytes_max) {
    to.in.report(where, "the hook would be called `" + made.name + "`, which is too long",
                 "shorten the name of the task");
  }
  if (where.node->kind == yaml_kind::scalar) {
    read_run(to, where, made);
    made.shell = defaults.shell;
  } else if (const auto fields = read_fields(to, where, "a map", hook_hint, hook_body_keys())) {
    read_body(to, *fields, made, index, defaults);
  }
}

}  // namespace

void read_hooks(shape_context& to, const field_map& fields, const std::string& of,
                std::optional<std::uint32_t> priority, const std::string& pool,
                const task_defaults& defaults) {
  for (std::size_t at = 0; at < hook_keys.size(); ++at) {
    if (const auto where = fields.at(hook_keys[at])) {
      read_hook(to, *where, static_cast<hook_event>(at), of, priority, pool, defaults);
    }
  }
}

}  // namespace millrace::actors
