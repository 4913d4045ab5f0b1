// SPDX-License-Identifier: MIT
// What a task claims of the machines that it shares with others: its priority, the pool that it
// goes to, whether it makes way for a higher one, resources, how much of them it may really have,
// and what it holds.
#include <algorithm>
#include <array>

#include "definition/shape.h"
#include "millrace/actors/expression.h"

namespace millrace::actors {

namespace {

// In the order of `preemption_rule`.
constexpr std::array preemption_words{std::string_view{"requeue"}, std::string_view{"cancel"},
                                      std::string_view{"never"}};

constexpr std::size_t lock_bytes_max = 200;
constexpr std::string_view resources_hint = "write `resources: {cpu: 2, memory: 512Mi, gpu: 1}`";
constexpr std::string_view synchronization_hint = "write `synchronization: {mutexes: [deploy]}`";
constexpr std::string_view semaphore_hint = "write `- {name: database, limit: 3}`";

void read_resources(shape_context& to, const cursor& where, task_definition& made) {
  const auto entries = to.in.read_map(where, "a map", resources_hint);
  if (entries && entries->size() > resources_max) {
    to.in.report(where, "a task has at most " + std::to_string(resources_max) + " resources");
    return;
  }
  for (const auto& [key, content] : entries.value_or(map_entries{})) {
    const auto here = under(where, *key, *content);
    check_key_name(to, where, *key, name_rule::field);
    const auto text = to.in.read_written(here);
    if (!text || !fits(key->text, name_rule::field)) {
      continue;
    }
    if (const auto amount = parse_amount(key->text, *text)) {
      made.resources[key->text] = *amount;
    } else {
      to.in.report(here, amount.error().text());
    }
  }
}

void read_limits(shape_context& to, const cursor& where, task_definition& made) {
  constexpr std::string_view hint = "write `limits: {memory: 512Mi}`";
  const auto fields = read_fields(to, where, "a map", hint, limits_keys());
  if (!fields) {
    return;
  }
  if (const auto memory = fields->at("memory")) {
    read_size(to, *memory, made.memory_limit);
  } else if (where.node->items.empty()) {
    to.in.report(where, "there is no limit in it", hint);
  }
}

std::string read_lock(shape_context& to, const cursor& where, std::size_t task) {
  auto name = to.in.read_written(where).value_or("");
  if (where.node->kind == yaml_kind::scalar && !has_expression(name)) {
    if (const auto why = refusal_of_lock(name); !why.empty()) {
      to.in.report(where, "the name " + why, "write a name like `deploy`");
    }
  }
  note_text(to, where, name, task);
  return name;
}

void read_semaphore(shape_context& to, const cursor& where, task_definition& made,
                    std::size_t task) {
  const auto fields = read_fields(to, where, "a map", semaphore_hint, semaphore_keys());
  if (!fields) {
    return;
  }
  auto& one = made.semaphores.emplace_back();
  for (const auto* needed : {"name", "limit"}) {
    if (!fields->at(needed)) {
      to.in.report(where, "the semaphore has no `" + std::string{needed} + "`", semaphore_hint);
    }
  }
  if (const auto name = fields->at("name")) {
    one.name = read_lock(to, *name, task);
  }
  if (const auto limit = fields->at("limit")) {
    constexpr std::int64_t limit_max = 1'000'000;
    one.limit = static_cast<std::uint32_t>(
        to.in.read_int(*limit, 1, limit_max, "write it like `3`").value_or(1));
  }
}

void read_synchronization(shape_context& to, const cursor& where, task_definition& made,
                          std::size_t task) {
  const auto fields = read_fields(to, where, "a map", synchronization_hint, synchronization_keys());
  if (!fields) {
    return;
  }
  if (const auto mutexes = fields->at("mutexes")) {
    if (mutexes->node->kind == yaml_kind::sequence) {
      for (const auto& each : to.in.elements(*mutexes)) {
        made.mutexes.push_back(read_lock(to, each, task));
      }
    } else {
      made.mutexes.push_back(read_lock(to, *mutexes, task));
    }
  }
  if (const auto semaphores = fields->at("semaphores")) {
    if (semaphores->node->kind != yaml_kind::sequence) {
      to.in.report_type(*semaphores, "a list", semaphore_hint);
    } else {
      for (const auto& each : to.in.elements(*semaphores)) {
        read_semaphore(to, each, made, task);
      }
    }
  }
  std::vector<std::string> names = made.mutexes;
  for (const auto& each : made.semaphores) {
    names.push_back(each.name);
  }
  std::sort(names.begin(), names.end());
  if (const auto twin = std::adjacent_find(names.begin(), names.end());
      twin != names.end() && !twin->empty()) {
    to.in.report(where, "`" + *twin + "` comes twice", "remove one of them");
  }
  if (names.size() > task_locks_max) {
    to.in.report(where, "a task holds at most " + std::to_string(task_locks_max) +
                            " mutexes and semaphores");
  }
}

}  // namespace

std::string refusal_of_lock(const std::string& name) {
  if (name.empty()) {
    return "is empty";
  }
  if (name.size() > lock_bytes_max) {
    return "has more than " + std::to_string(lock_bytes_max) + " bytes";
  }
  const auto is_control = [](char each) { return static_cast<unsigned char>(each) < ' '; };
  return std::any_of(name.begin(), name.end(), is_control) ? "has a control character in it" : "";
}

void read_priority(shape_context& to, const std::optional<cursor>& where,
                   std::optional<std::uint32_t>& into) {
  const auto text = where ? to.in.read_written(*where) : std::nullopt;
  if (text) {
    into = parse_priority(*text);
    if (!into) {
      to.in.report(*where, "`" + shown_name(*text) + "` is no priority", priority_hint);
    }
  }
}

void read_claims(shape_context& to, const field_map& fields, task_definition& made,
                 std::size_t task) {
  read_priority(to, fields.at("priority"), made.priority);
  if (const auto pool = fields.at("pool")) {
    made.pool = read_name(to, *pool, name_rule::thing);
  }
  if (const auto preemptible = fields.at("preemptible")) {
    if (const auto word = to.in.read_word(*preemptible, preemption_words)) {
      made.preemptible = static_cast<preemption_rule>(*word);
    }
  }
  if (const auto resources = fields.at("resources")) {
    read_resources(to, *resources, made);
  }
  if (const auto limits = fields.at("limits")) {
    read_limits(to, *limits, made);
  }
  if (const auto synchronization = fields.at("synchronization")) {
    read_synchronization(to, *synchronization, made, task);
  }
}

}  // namespace millrace::actors
