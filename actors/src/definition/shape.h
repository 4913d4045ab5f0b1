// SPDX-License-Identifier: MIT
// The first pass, part by part: each function reads the value of one key, reports what is wrong
// with it, and notes the texts that the second pass checks.
//
// A value that cannot be read leaves the default, so that reading goes on and every mistake of the
// text is reported at once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "definition/loader.h"
#include "definition/reader.h"
#include "millrace/actors/definition.h"

namespace millrace::actors {

/// What the parts share: the text with its mistakes, and what the first pass leaves behind.
struct shape_context {
  reader& in;
  loaded_shape& out;
  std::optional<std::size_t> env_bytes = {};  ///< Of the pipeline's variables, once they are added.
};

/// A map whose keys were checked.
class field_map {
public:
  field_map(cursor where, map_entries entries) : where_(where), entries_(std::move(entries)) {}

  [[nodiscard]] const cursor& where() const { return where_; }
  /// Nothing when the key is left out. The cursor must not outlive this map.
  [[nodiscard]] std::optional<cursor> at(std::string_view key) const {
    return reader::find(where_, entries_, key);
  }

private:
  cursor where_;
  map_entries entries_;
};

/// Nothing when it is no map.
[[nodiscard]] std::optional<field_map> read_fields(shape_context& to, const cursor& where,
                                                   std::string_view wanted, std::string_view hint,
                                                   const key_table& keys);

// Pieces of several parts. An absent `where` leaves `into` as it is.
void read_text(shape_context& to, const std::optional<cursor>& where, std::string& into);
void read_duration(shape_context& to, const std::optional<cursor>& where,
                   std::optional<runtime::duration>& into, zero_duration zero);
/// Bytes, as of `memory` in `resources`.
void read_size(shape_context& to, const cursor& where, std::uint64_t& into);
/// A duration over 0, or a text with expressions, to be checked as one of `task`.
void read_time_limit(shape_context& to, const std::optional<cursor>& where,
                     std::optional<time_limit>& into, std::size_t task);
void read_parallel(shape_context& to, const std::optional<cursor>& where,
                   std::optional<std::uint32_t>& into);
[[nodiscard]] std::string read_name(shape_context& to, const cursor& where, name_rule rule);
/// The value under `key` of `map`.
[[nodiscard]] cursor under(const cursor& map, const yaml_node& key, const yaml_node& content);
/// Checks a key that is a name.
void check_key_name(shape_context& to, const cursor& map, const yaml_node& key, name_rule rule);
/// Checks that no two keys become the same environment variable. `twins` is key by variable.
void check_variable(shape_context& to, const cursor& here, std::string variable,
                    std::map<std::string, std::string>& twins);
/// `task` is the position in `tasks`, or `no_task`.
[[nodiscard]] std::map<std::string, std::string> read_env(shape_context& to, const cursor& where,
                                                          std::size_t task);
/// `env`, over the files that `env_file` beside it names.
[[nodiscard]] std::map<std::string, std::string> read_env_of(shape_context& to,
                                                             const field_map& fields,
                                                             std::size_t task);
[[nodiscard]] secret_map read_secrets(shape_context& to, const cursor& where);
/// Reports the keys of `where` that `other`, as it is called in messages, has too.
void refuse_both(shape_context& to, const cursor& where, std::string_view other,
                 const std::function<bool(const std::string&)>& has);
/// Notes a text for the second pass.
void note_text(shape_context& to, const cursor& where, const std::string& text, std::size_t task,
               text_place place = text_place::instance);

/// What a task has unless it says otherwise.
struct task_defaults {
  retry_policy retry;
  std::optional<time_limit> timeout;
  std::vector<std::string> shell;  ///< Of those with shell text.
};

// The parts.
/// `labels`. `whose`: as in "a task".
void read_labels(shape_context& to, const cursor& where, std::string_view whose,
                 std::map<std::string, std::string>& into);
void read_params(shape_context& to, const cursor& where);
/// A value of a parameter: a scalar, or a list or map of them.
[[nodiscard]] std::optional<value> read_param_content(shape_context& to, const cursor& where);
/// Requires: the parameters have been read.
void read_schedules(shape_context& to, const cursor& where);
/// `cron` or `every`, and what goes with them, but for `overlap` and `catchup`. `whose`: who has
/// them, as in "a schedule".
void read_times(shape_context& to, const field_map& fields, std::string_view whose,
                schedule_definition& made);
/// Of `defaults`, which has no command.
void read_retry(shape_context& to, const cursor& where, retry_policy& into);
/// Of a task, once what it runs has been read.
void read_retry(shape_context& to, const cursor& where, task_definition& made, std::size_t task,
                const std::vector<std::string>& default_shell);
/// `success_exit_codes`, once `retry` has been read.
void read_success(shape_context& to, const cursor& where, task_definition& made);
void read_shell(shape_context& to, const cursor& where, std::vector<std::string>& into);
/// Shell text.
void read_run(shape_context& to, const cursor& where, task_definition& made);
/// `run`, `command` and `shell`, of which none need be there.
void read_process(shape_context& to, const field_map& fields, task_definition& made,
                  std::size_t task, const std::vector<std::string>& default_shell);
/// `secrets`, once `env` and `detach` have been read.
void read_task_secrets(shape_context& to, const field_map& fields, task_definition& made);
/// Appends the hooks of the task `of`, or of the pipeline, to the definition. They have the
/// `priority` and `pool` of what they belong to.
void read_hooks(shape_context& to, const field_map& fields, const std::string& of,
                std::optional<std::uint32_t> priority, const std::string& pool,
                const task_defaults& defaults);
/// `workdir` and `inputs`.
void read_surroundings(shape_context& to, const field_map& fields, task_definition& made,
                       std::size_t task);
/// A condition: one expression, `true` or `false`. `example` is such an expression.
void read_when(shape_context& to, const cursor& where, std::string& into, std::size_t task,
               text_place place, const std::string& example);
/// The values of a map, with the texts in them noted.
void read_values(shape_context& to, const cursor& where, std::string_view hint, name_rule rule,
                 std::map<std::string, value>& into, std::size_t task,
                 text_place place = text_place::instance);
/// One, or a list of them. Requires: the schedules have been read.
void read_triggers(shape_context& to, const cursor& where);
/// `artifacts`.
void read_artifacts(shape_context& to, const cursor& where, task_definition& made,
                    std::size_t task);
/// `artifacts` of a need: of the task `of`.
void read_artifact_need(shape_context& to, const cursor& where, task_definition& made,
                        const std::string& of);
/// `cache`.
void read_cache(shape_context& to, const cursor& where, task_definition& made, std::size_t task);
void read_fan_out(shape_context& to, const field_map& fields, task_definition& made,
                  std::size_t task);
/// `priority`, of a task or a pipeline.
void read_priority(shape_context& to, const std::optional<cursor>& where,
                   std::optional<std::uint32_t>& into);
/// `priority`, `pool`, `preemptible`, `resources` and `synchronization`.
void read_claims(shape_context& to, const field_map& fields, task_definition& made,
                 std::size_t task);
/// Appends the task and its hooks to the definition.
void read_task(shape_context& to, const cursor& where, const task_defaults& defaults);

}  // namespace millrace::actors
