// SPDX-License-Identifier: MIT
// `triggers`: one map, or a list of maps.
#include <algorithm>
#include <array>

#include "definition/shape.h"

namespace millrace::actors {

namespace {

constexpr std::string_view example = "write `triggers: {pipeline: other}`";

// In the order of `trigger_event`.
constexpr std::array event_words{std::string_view{"success"}, std::string_view{"failure"},
                                 std::string_view{"end"}};

// Their names; the values are known when a run has ended.
void check_params(shape_context& to, const cursor& place, const std::optional<cursor>& params,
                  const trigger_definition& made) {
  const auto& declared = to.out.definition.params;
  for (const auto& given : made.params) {
    if (std::none_of(declared.begin(), declared.end(),
                     [&](const auto& each) { return each.name == given.first; })) {
      to.in.report(params.value_or(place), "unknown parameter `" + given.first + "`",
                   "declare it under `params` at the top");
    }
  }
  for (const auto& each : declared) {
    if (each.required && !made.params.contains(each.name)) {
      to.in.report(place, "the parameter `" + each.name + "` is required",
                   "give it under `params` of the trigger");
    }
  }
}

void read_trigger(shape_context& to, const cursor& where) {
  const auto fields = read_fields(to, where, "a map", example, trigger_keys());
  if (!fields) {
    return;
  }
  auto& known = to.out.definition.triggers;
  trigger_definition made;
  const auto pipeline = fields->at("pipeline");
  if (!pipeline) {
    to.in.report(where, "the trigger has no `pipeline`", std::string{example});
    return;
  }
  made.pipeline = read_name(to, *pipeline, name_rule::thing);
  if (made.pipeline == to.out.definition.name) {
    to.in.report(*pipeline, "the pipeline would start itself without end",
                 "name another one, or use `schedule`");
  }
  if (std::any_of(known.begin(), known.end(),
                  [&](const auto& each) { return each.pipeline == made.pipeline; })) {
    to.in.report(*pipeline, "there are two triggers by `" + made.pipeline + "`",
                 "keep one of them; `on: end` takes every end");
  }
  if (const auto on = fields->at("on")) {
    if (const auto word = to.in.read_word(*on, event_words)) {
      made.on = static_cast<trigger_event>(*word);
    }
  }
  if (const auto params = fields->at("params")) {
    read_values(to, *params, "write `params: {day: monday}`", name_rule::field, made.params,
                no_task, text_place::trigger);
  }
  check_params(to, *pipeline, fields->at("params"), made);
  if (const auto once = fields->at("once_for")) {
    read_text(to, *once, made.once_for);
    note_text(to, *once, made.once_for, no_task, text_place::trigger);
  }
  known.push_back(std::move(made));
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
