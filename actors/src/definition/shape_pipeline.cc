// SPDX-License-Identifier: MIT
// The keys of the pipeline itself, and its list of tasks.
#include <array>

#include "definition/shape.h"
#include "millrace/actors/submission.h"

namespace millrace::actors {

namespace {

// In the order of `workspace_mode` and `at_limit`.
constexpr std::array workspace_words{std::string_view{"run"}, std::string_view{"task"}};
constexpr std::array at_limit_words{std::string_view{"queue"}, std::string_view{"cancel_oldest"},
                                    std::string_view{"reject"}};
// Of `concurrency` and `revert`.
constexpr std::int64_t runs_bound_max = 1'000;

}  // namespace

void read_labels(shape_context& to, const cursor& where, std::string_view whose,
                 std::map<std::string, std::string>& into) {
  const auto entries = to.in.read_map(where, "a map", "write `labels: {team: data}`");
  if (entries && entries->size() > submission_labels_max) {
    to.in.report(where, std::string{whose} + " has at most " +
                            std::to_string(submission_labels_max) + " labels");
    return;
  }
  std::size_t bytes = 0;
  for (const auto& [key, content] : entries.value_or(map_entries{})) {
    const auto here = under(where, *key, *content);
    auto text = to.in.read_written(here);
    bytes += key->text.size() + text.value_or("").size();
    if (const auto why = refusal_of_label(key->text); !why.empty()) {
      to.in.report(here, "the name of the label `" + shown_name(key->text) + "` " + why);
    } else if (text && text->size() > label_value_bytes_max) {
      to.in.report(here, "the value of a label has at most " +
                             std::to_string(label_value_bytes_max) + " bytes");
    } else if (text) {
      into[key->text] = *std::move(text);
    }
  }
  if (bytes > submission_labels_bytes_max) {
    to.in.report(where, "the labels have " + std::to_string(bytes) + " bytes in all; at most " +
                            std::to_string(submission_labels_bytes_max) + " are allowed");
  }
}

namespace {

// Over the pipeline's own `env`: what is said nearer to the task counts.
void read_default_env(shape_context& to, const cursor& where) {
  auto over = read_env(to, where, no_task);
  over.merge(to.out.definition.env);
  to.out.definition.env = std::move(over);
}

// Those of the pipeline and of `defaults` are one, and a variable is either a secret or not.
void read_pipeline_secrets(shape_context& to, const std::optional<cursor>& where,
                           const std::optional<cursor>& more) {
  auto& secrets = to.out.definition.secrets;
  const auto has = [](const auto& map) {
    return [&map](const std::string& name) { return map.contains(name); };
  };
  if (where) {
    secrets = read_secrets(to, *where);
    refuse_both(to, *where, "the pipeline's `env`", has(to.out.definition.env));
  }
  if (more) {
    auto others = read_secrets(to, *more);
    refuse_both(to, *more, "the pipeline's `env`", has(to.out.definition.env));
    refuse_both(to, *more, "the pipeline's `secrets`", has(secrets));
    secrets.merge(others);
  }
}

// The same as the pipeline's own.
void read_default_pool(shape_context& to, const cursor& where) {
  auto name = read_name(to, where, name_rule::thing);
  if (auto& pool = to.out.definition.pool; pool.empty()) {
    pool = std::move(name);
  } else {
    to.in.report(where, "`pool` is at the top of the pipeline too", "remove one of them");
  }
}

task_defaults read_defaults(shape_context& to, const std::optional<cursor>& where,
                            const std::optional<cursor>& secrets) {
  task_defaults made;
  const auto fields =
      where ? read_fields(to, *where, "a map", "write `defaults: {timeout: 5m}`", defaults_keys())
            : std::nullopt;
  if (!fields) {
    read_pipeline_secrets(to, secrets, {});
    return made;
  }
  if (const auto retry = fields->at("retry")) {
    read_retry(to, *retry, made.retry);
  }
  read_time_limit(to, fields->at("timeout"), made.timeout, no_task);
  if (const auto pool = fields->at("pool")) {
    read_default_pool(to, *pool);
  }
  if (const auto shell = fields->at("shell")) {
    read_shell(to, *shell, made.shell);
  }
  if (const auto env = fields->at("env")) {
    read_default_env(to, *env);
  }
  read_pipeline_secrets(to, secrets, fields->at("secrets"));
  return made;
}

void read_tasks(shape_context& to, const cursor& where, const task_defaults& defaults) {
  if (where.node->kind != yaml_kind::sequence || where.node->items.empty()) {
    to.in.report_type(where, "a list with at least one task",
                      "write `- name: build` and `  run: make` below `tasks:`");
    return;
  }
  if (where.node->items.size() > definition_tasks_max) {
    to.in.report(where, "a pipeline has at most " + std::to_string(definition_tasks_max) + " tasks",
                 "use `for_each` for tasks that differ by a value");
    return;
  }
  for (const auto& each : to.in.elements(where)) {
    read_task(to, each, defaults);
  }
}

void read_limits(shape_context& to, const field_map& fields) {
  auto& made = to.out.definition;
  read_duration(to, fields.at("timeout"), made.timeout, zero_duration::refused);
  read_duration(to, fields.at("grace_period"), made.grace_period, zero_duration::allowed);
  if (const auto workspace = fields.at("workspace")) {
    if (const auto word = to.in.read_word(*workspace, workspace_words)) {
      made.workspace = static_cast<workspace_mode>(*word);
    }
  }
  read_parallel(to, fields.at("max_parallel"), made.max_parallel);
  if (const auto fail_fast = fields.at("fail_fast")) {
    made.fail_fast = to.in.read_bool(*fail_fast).value_or(false);
  }
  read_priority(to, fields.at("priority"), made.priority);
  if (const auto pool = fields.at("pool")) {
    made.pool = read_name(to, *pool, name_rule::thing);
  }
}

void read_retention(shape_context& to, const cursor& where) {
  auto& made = to.out.definition.retention;
  const auto fields =
      read_fields(to, where, "a map", "write `retention: {runs: 100, age: 30d}`", retention_keys());
  if (!fields) {
    return;
  }
  if (const auto runs = fields->at("runs")) {
    if (const auto count =
            to.in.read_int(*runs, 1, run_retention::runs_max, "write it like `100`")) {
      made.runs = static_cast<std::uint32_t>(*count);
    }
  }
  read_duration(to, fields->at("age"), made.age, zero_duration::refused);
}

std::optional<std::uint32_t> read_count(shape_context& to, const cursor& where) {
  const auto count = to.in.read_int(where, 1, runs_bound_max, "write it like `1`");
  return count ? std::optional{static_cast<std::uint32_t>(*count)} : std::nullopt;
}

// A number alone is the limit.
void read_concurrency(shape_context& to, const cursor& where) {
  auto& made = to.out.definition.concurrency.emplace();
  if (where.node->kind == yaml_kind::scalar) {
    made.limit = read_count(to, where).value_or(1);
    return;
  }
  const auto fields =
      read_fields(to, where, "a number or a map",
                  "write `concurrency: 1`, or `{group: ..., limit: 1}`", concurrency_keys());
  if (!fields) {
    return;
  }
  if (const auto group = fields->at("group")) {
    read_text(to, *group, made.group);
    note_text(to, *group, made.group, no_task, text_place::group);
  }
  if (const auto limit = fields->at("limit")) {
    made.limit = read_count(to, *limit).value_or(1);
  }
  if (const auto action = fields->at("on_limit")) {
    if (const auto word = to.in.read_word(*action, at_limit_words)) {
      made.on_limit = static_cast<at_limit>(*word);
    }
  }
}

void read_outputs(shape_context& to, const cursor& where) {
  const auto entries =
      to.in.read_map(where, "a map", "write `outputs: {total: \"${{ tasks.sum.outputs.n }}\"}`");
  if (entries && entries->size() > task_outputs_max) {
    to.in.report(where, "a pipeline has at most " + std::to_string(task_outputs_max) + " outputs");
    return;
  }
  for (const auto& [key, content] : entries.value_or(map_entries{})) {
    const auto here = under(where, *key, *content);
    check_key_name(to, where, *key, name_rule::field);
    if (auto text = to.in.read_written(here)) {
      note_text(to, here, *text, no_task, text_place::end);
      to.out.definition.outputs[key->text] = *std::move(text);
    }
  }
}

void read_revert(shape_context& to, const cursor& where) {
  const auto fields = read_fields(to, where, "a map", "write `revert: {after: 2}`", revert_keys());
  const auto after = fields ? fields->at("after") : std::nullopt;
  if (after) {
    to.out.definition.revert_after = read_count(to, *after);
  } else if (fields) {
    to.in.report(where, "`revert` has no `after`", "write `revert: {after: 2}`");
  }
}

}  // namespace

void read_shape(reader& in, const cursor& root, loaded_shape& out) {
  shape_context to{in, out};
  auto& made = out.definition;
  const auto fields = read_fields(to, root, "a map", "start with `name: my-pipeline` and `tasks:`",
                                  pipeline_keys());
  if (!fields) {
    return;
  }
  if (const auto version = fields->at("version")) {
    static_cast<void>(in.read_int(*version, 1, 1, "write `version: 1`"));
  }
  if (const auto name = fields->at("name")) {
    made.name = read_name(to, *name, name_rule::thing);
  } else {
    in.report(root, "the pipeline has no `name`", "add `name: my-pipeline`");
  }
  read_text(to, fields->at("description"), made.description);
  if (const auto labels = fields->at("labels")) {
    read_labels(to, *labels, "a pipeline", made.labels);
  }
  if (const auto params = fields->at("params")) {
    read_params(to, *params);
  }
  made.env = read_env_of(to, *fields, no_task);
  if (const auto schedule = fields->at("schedule")) {
    read_schedules(to, *schedule);
  }
  read_limits(to, *fields);
  if (const auto retention = fields->at("retention")) {
    read_retention(to, *retention);
  }
  if (const auto concurrency = fields->at("concurrency")) {
    read_concurrency(to, *concurrency);
  }
  if (const auto revert = fields->at("revert")) {
    read_revert(to, *revert);
  }
  if (const auto triggers = fields->at("triggers")) {
    read_triggers(to, *triggers);
  }
  if (const auto outputs = fields->at("outputs")) {
    read_outputs(to, *outputs);
  }
  const auto defaults = read_defaults(to, fields->at("defaults"), fields->at("secrets"));
  if (const auto tasks = fields->at("tasks")) {
    read_tasks(to, *tasks, defaults);
    read_hooks(to, *fields, {}, task_definition{}.priority, {}, defaults);
    if (made.tasks.size() > definition_tasks_max) {
      in.report(*tasks,
                "a pipeline has at most " + std::to_string(definition_tasks_max) +
                    " tasks, hooks among them",
                "write hooks at the top, for the whole run");
    }
  } else {
    in.report(root, "the pipeline has no `tasks`", "add a list of tasks under `tasks:`");
  }
}

}  // namespace millrace::actors
