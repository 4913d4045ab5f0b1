// SPDX-License-Identifier: MIT
// `triggers`: one map, or a list of maps; each by a pipeline, a webhook or a watch.
#include <algorithm>
#include <array>

#include "definition/shape.h"

namespace millrace::actors {

namespace {

constexpr std::string_view example =
    "write `triggers: {pipeline: other}`, `triggers: {webhook: github}` or `triggers: {watch: "
    "source, every: 1m, run: ./versions}`";

// The keys that only one kind has.
constexpr std::array keys_of_pipelines{"on"};
constexpr std::array keys_of_webhooks{"signature", "when"};
constexpr std::array keys_of_watches{"cron",    "every", "timezone", "jitter",  "paused",  "run",
                                     "command", "shell", "env",      "secrets", "timeout", "first"};

// In the order of `trigger_event`.
constexpr std::array event_words{std::string_view{"success"}, std::string_view{"failure"},
                                 std::string_view{"end"}};

// In the order of `first_versions`.
constexpr std::array first_words{std::string_view{"newest"}, std::string_view{"all"}};

// Their names; the values are known when a run is to begin.
void check_params(shape_context& to, const cursor& place, const std::optional<cursor>& params,
                  const std::map<std::string, value>& made) {
  const auto& declared = to.out.definition.params;
  for (const auto& given : made) {
    if (std::none_of(declared.begin(), declared.end(),
                     [&](const auto& each) { return each.name == given.first; })) {
      to.in.report(params.value_or(place), "unknown parameter `" + given.first + "`",
                   "declare it under `params` at the top");
    }
  }
  for (const auto& each : declared) {
    if (each.required && !made.contains(each.name)) {
      to.in.report(place, "the parameter `" + each.name + "` is required",
                   "give it under `params` of the trigger");
    }
  }
}

// Keys of another kind.
template <std::size_t Count>
void refuse_keys(shape_context& to, const field_map& fields,
                 const std::array<const char*, Count>& keys, const std::string& of) {
  for (const auto* key : keys) {
    if (const auto given = fields.at(key)) {
      to.in.report(*given, "`" + std::string{key} + "` is of a trigger by a " + of, "remove it");
    }
  }
}

// What all kinds have. `named` is where the kind is.
void read_start(shape_context& to, const field_map& fields, const cursor& named, text_place place,
                std::map<std::string, value>& params, std::string* once_for) {
  if (const auto given = fields.at("params")) {
    read_values(to, *given, "write `params: {day: monday}`", name_rule::field, params, no_task,
                place);
  }
  check_params(to, named, fields.at("params"), params);
  if (const auto once = fields.at("once_for"); once && once_for != nullptr) {
    read_text(to, *once, *once_for);
    note_text(to, *once, *once_for, no_task, place);
  }
}

void read_by_pipeline(shape_context& to, const field_map& fields, const cursor& pipeline) {
  auto& known = to.out.definition.triggers;
  trigger_definition made;
  made.pipeline = read_name(to, pipeline, name_rule::thing);
  if (made.pipeline == to.out.definition.name) {
    to.in.report(pipeline, "the pipeline would start itself without end",
                 "name another one, or use `schedule`");
  }
  if (std::any_of(known.begin(), known.end(),
                  [&](const auto& each) { return each.pipeline == made.pipeline; })) {
    to.in.report(pipeline, "there are two triggers by `" + made.pipeline + "`",
                 "keep one of them; `on: end` takes every end");
  }
  if (const auto on = fields.at("on")) {
    if (const auto word = to.in.read_word(*on, event_words)) {
      made.on = static_cast<trigger_event>(*word);
    }
  }
  refuse_keys(to, fields, keys_of_webhooks, "`webhook`");
  refuse_keys(to, fields, keys_of_watches, "`watch`");
  read_start(to, fields, pipeline, text_place::trigger, made.params, &made.once_for);
  known.push_back(std::move(made));
}

std::string read_signature(shape_context& to, const cursor& where) {
  constexpr std::string_view hint = "write `signature: {secret: github-key}`";
  const auto fields = read_fields(to, where, "a map", hint, signature_keys());
  const auto secret = fields ? fields->at("secret") : std::nullopt;
  if (fields && !secret) {
    to.in.report(where, "`signature` has no `secret`", hint);
  }
  return secret ? read_name(to, *secret, name_rule::field) : std::string{};
}

void read_by_webhook(shape_context& to, const field_map& fields, const cursor& webhook) {
  auto& known = to.out.definition.webhooks;
  webhook_definition made;
  made.name = read_name(to, webhook, name_rule::thing);
  if (std::any_of(known.begin(), known.end(),
                  [&](const auto& each) { return each.name == made.name; })) {
    to.in.report(webhook, "there are two webhooks called `" + made.name + "`",
                 "rename one of them");
  }
  if (const auto pipeline = fields.at("pipeline")) {
    to.in.report(*pipeline, "a trigger is by a `pipeline` or by a `webhook`",
                 "make it two triggers");
  }
  if (const auto on = fields.at("on")) {
    to.in.report(*on, "`on` is of a trigger by a `pipeline`",
                 "write `when: ${{ trigger.headers.x-github-event == 'push' }}`");
  }
  refuse_keys(to, fields, keys_of_watches, "`watch`");
  if (const auto signature = fields.at("signature")) {
    made.secret = read_signature(to, *signature);
  }
  if (const auto when = fields.at("when")) {
    read_when(to, *when, made.when, no_task, text_place::webhook_when,
              "trigger.body.action == 'opened'");
  }
  read_start(to, fields, webhook, text_place::webhook, made.params, &made.once_for);
  known.push_back(std::move(made));
}

// What it runs to look. No expression has a value there.
void read_check(shape_context& to, const field_map& fields, const cursor& watch,
                task_definition& made) {
  const auto noted = to.out.expressions.size();
  made.name = check_task_name;
  made.timeout = check_timeout_default;
  if (!fields.at("run") && !fields.at("command")) {
    to.in.report(watch, "the watch has no `run` or `command`",
                 "write `run: ./versions`, which prints one version a line, the oldest first");
  }
  read_process(to, fields, made, no_task, {});
  if (const auto env = fields.at("env")) {
    made.env = read_env(to, *env, no_task);
  }
  if (const auto secrets = fields.at("secrets")) {
    made.secrets = read_secrets(to, *secrets);
    refuse_both(to, *secrets, "the watch's `env`",
                [&](const std::string& name) { return made.env.contains(name); });
  }
  std::optional<runtime::duration> timeout;
  read_duration(to, fields.at("timeout"), timeout, zero_duration::allowed);
  if (timeout == runtime::duration::zero()) {
    to.in.report(*fields.at("timeout"), "`timeout` must be longer than 0",
                 "leave the key out for 5 minutes");
  }
  made.timeout = timeout.value_or(check_timeout_default);
  for (auto at = noted; at < to.out.expressions.size(); ++at) {
    const auto& use = to.out.expressions[at];
    to.in.report(use.node->place, use.pointer, "expressions are not available in what a watch runs",
                 "the last version is `$" + std::string{last_version_variable} + "` there");
  }
  to.out.expressions.erase(to.out.expressions.begin() + static_cast<std::ptrdiff_t>(noted),
                           to.out.expressions.end());
}

void read_by_watch(shape_context& to, const field_map& fields, const cursor& watch) {
  auto& known = to.out.definition.watches;
  watch_definition made;
  made.schedule.name = read_name(to, watch, name_rule::thing);
  const auto& name = made.schedule.name;
  if (std::any_of(known.begin(), known.end(),
                  [&](const auto& each) { return each.schedule.name == name; })) {
    to.in.report(watch, "there are two watches called `" + name + "`", "rename one of them");
  }
  const auto& schedules = to.out.definition.schedules;
  if (std::any_of(schedules.begin(), schedules.end(),
                  [&](const auto& each) { return each.name == name; })) {
    to.in.report(watch, "a schedule of the pipeline is called `" + name + "` as well",
                 "rename one of them");
  }
  for (const auto* key : {"pipeline", "webhook"}) {
    if (const auto other = fields.at(key)) {
      to.in.report(*other, "a trigger is by a `pipeline`, a `webhook` or a `watch`",
                   "make it two triggers");
    }
  }
  refuse_keys(to, fields, keys_of_pipelines, "`pipeline`");
  refuse_keys(to, fields, keys_of_webhooks, "`webhook`");
  if (const auto once = fields.at("once_for")) {
    to.in.report(*once, "a watch starts a run once for each version",
                 "have the command print what tells versions apart, and nothing else");
  }
  read_times(to, fields, "a watch", made.schedule);
  read_check(to, fields, watch, made.check);
  if (const auto first = fields.at("first")) {
    if (const auto word = to.in.read_word(*first, first_words)) {
      made.first = static_cast<first_versions>(*word);
    }
  }
  read_start(to, fields, watch, text_place::watch, made.params, nullptr);
  known.push_back(std::move(made));
}

void read_trigger(shape_context& to, const cursor& where) {
  const auto fields = read_fields(to, where, "a map", example, trigger_keys());
  if (!fields) {
    return;
  }
  if (const auto watch = fields->at("watch")) {
    read_by_watch(to, *fields, *watch);
  } else if (const auto webhook = fields->at("webhook")) {
    read_by_webhook(to, *fields, *webhook);
  } else if (const auto pipeline = fields->at("pipeline")) {
    read_by_pipeline(to, *fields, *pipeline);
  } else {
    to.in.report(where, "the trigger has no `pipeline`, `webhook` or `watch`", example);
  }
}

}  // namespace

void read_triggers(shape_context& to, const cursor& where) {
  if (where.node->kind != yaml_kind::sequence) {
    read_trigger(to, where);
    return;
  }
  if (where.node->items.size() > definition_triggers_max) {
    to.in.report(where,
                 "a pipeline has at most " + std::to_string(definition_triggers_max) + " triggers");
    return;
  }
  for (const auto& each : to.in.elements(where)) {
    read_trigger(to, each);
  }
}

}  // namespace millrace::actors
