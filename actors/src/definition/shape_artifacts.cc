// SPDX-License-Identifier: MIT
// What a task leaves in files, what it takes of others, and when its results are used again.
#include <algorithm>

#include "definition/shape.h"
#include "millrace/actors/expression.h"
#include "millrace/actors/resources.h"

namespace millrace::actors {

namespace {

constexpr std::string_view artifacts_hint = "write `artifacts: {report: out/report.html}`";
constexpr std::string_view path_hint = "write `out/report.html`, `out/*.xml` or `out/**`";

void read_path(shape_context& to, const cursor& where, artifact_definition& made,
               std::size_t task) {
  const auto text = to.in.read_text(where, path_hint);
  if (!text) {
    return;
  }
  if (const auto why = has_expression(*text) ? std::string{} : refusal_of_path_pattern(*text);
      !why.empty()) {
    to.in.report(where, "the path `" + shown_name(*text) + "` " + why, path_hint);
  }
  note_text(to, where, *text, task);
  made.paths.push_back(*text);
}

void read_paths(shape_context& to, const cursor& where, artifact_definition& made,
                std::size_t task) {
  if (where.node->kind != yaml_kind::sequence) {
    read_path(to, where, made, task);
    return;
  }
  if (where.node->items.empty() || where.node->items.size() > task_artifacts_max) {
    to.in.report(where, "an artifact has 1 to " + std::to_string(task_artifacts_max) + " paths",
                 path_hint);
    return;
  }
  for (const auto& each : to.in.elements(where)) {
    read_path(to, each, made, task);
  }
}

void read_artifact(shape_context& to, const cursor& where, artifact_definition& made,
                   std::size_t task) {
  if (where.node->kind != yaml_kind::map) {
    read_paths(to, where, made, task);
    return;
  }
  const auto fields = read_fields(to, where, "a map", "", artifact_keys());
  if (!fields) {
    return;
  }
  if (const auto path = fields->at("path")) {
    read_paths(to, *path, made, task);
  } else {
    to.in.report(where, "the artifact has no `path`", path_hint);
  }
  if (const auto size = fields->at("max_size")) {
    read_size(to, *size, made.max_size);
  }
  if (const auto optional = fields->at("optional")) {
    made.optional = to.in.read_bool(*optional).value_or(false);
  }
}

}  // namespace

void read_artifacts(shape_context& to, const cursor& where, task_definition& made,
                    std::size_t task) {
  const auto entries = to.in.read_map(where, "a map", artifacts_hint);
  if (entries && entries->size() > task_artifacts_max) {
    to.in.report(where, "a task has at most " + std::to_string(task_artifacts_max) + " artifacts",
                 "pack the files together");
    return;
  }
  for (const auto& [key, content] : entries.value_or(map_entries{})) {
    check_key_name(to, where, *key, name_rule::field);
    auto& one = made.artifacts.emplace_back();
    one.name = key->text;
    read_artifact(to, under(where, *key, *content), one, task);
  }
}

void read_cache(shape_context& to, const cursor& where, task_definition& made, std::size_t task) {
  constexpr std::string_view hint = "write `cache: true`, or `cache: {key: ..., ttl: 7d}`";
  to.out.caches.push_back({where.node, where.pointer()});
  if (where.node->kind == yaml_kind::scalar) {
    const auto wanted = to.in.read_bool(where);
    if (wanted.value_or(false)) {
      made.cache.emplace();
    } else {
      to.out.caches.pop_back();
    }
    return;
  }
  const auto fields = read_fields(to, where, "`true` or a map", hint, cache_keys());
  if (!fields) {
    return;
  }
  auto& cache = made.cache.emplace();
  if (const auto key = fields->at("key")) {
    cache.key = to.in.read_written(*key).value_or("");
    if (key->node->kind == yaml_kind::scalar &&
        cache.key.find_first_not_of(" \t\r\n") == std::string::npos) {
      to.in.report(*key, "the key is empty", "write what the result depends on, or no `key`");
    }
    note_text(to, *key, cache.key, task);
  }
  read_duration(to, fields->at("ttl"), cache.ttl, zero_duration::refused);
}

void read_artifact_need(shape_context& to, const cursor& where, task_definition& made,
                        const std::string& of) {
  constexpr std::string_view hint = "write `artifacts: true`, or the name of one";
  if (where.node->kind != yaml_kind::scalar) {
    to.in.report_type(where, "`true` or a name", hint);
  } else if (where.node->text == "true" && where.node->plain) {
    made.artifact_needs[of] = "";
  } else if (where.node->text != "false" || !where.node->plain) {
    made.artifact_needs[of] = read_name(to, where, name_rule::field);
  }
}

}  // namespace millrace::actors
