// SPDX-License-Identifier: MIT
// Pipeline definitions: the model, the loader and the canonical form.
//
// A definition is what a person writes in YAML or JSON (one loader reads both, since JSON is YAML)
// and what a run pins. Loading checks everything that can be known before a run: names, types,
// references, the graph. It reports every mistake at once, each with its place and a remedy, and
// accepts no silent aliases: an unknown key is an error.
//
// YAML is read strictly. Keys may occur once. `<<` merges maps. Only `true` and `false` are
// booleans, only decimal numbers are numbers; where a plain scalar could be read two ways (`yes`,
// `012`, `3.10`) the loader asks for quotes, and where a text is wanted it stays as it was written.
// Top-level keys that start with `x-` are ignored: a place for anchors.
//
// `defaults` holds what every task has unless it says otherwise: `retry` (field by field) and
// `timeout`. Its `env` is one with the pipeline's `env`, so that no variable may be in both. A
// task's `env` lies over the pipeline's.
//
// What commands get. Parameters, matrix cells and items reach a command as environment variables,
// never as text inside a shell command: `params.day` is `$MILLRACE_PARAM_DAY`, `matrix.python` is
// `$MILLRACE_MATRIX_PYTHON`, the element of `for_each` is `$MILLRACE_ITEM`. A list or map is JSON
// there. Names are upper-cased
// and `-` becomes `_`; two names that meet that way are an error. An expression in `run`, or in
// the script of `command: [sh, -c, ...]`, is refused, because a value with a quote or a semicolon
// in it would become a command. Expressions are welcome in `env`, `when`, `for_each`, `matrix` and
// the arguments of `command`. The prefix `MILLRACE_` is reserved in `env`.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "millrace/actors/artifact.h"
#include "millrace/actors/diagnostic.h"
#include "millrace/actors/name_rule.h"
#include "millrace/actors/pools.h"
#include "millrace/actors/priority.h"
#include "millrace/actors/resources.h"
#include "millrace/actors/retention.h"
#include "millrace/actors/retry_policy.h"
#include "millrace/actors/schedule.h"
#include "millrace/actors/value.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// The longest text that `load_definition` reads: what a person or a generator sends in one piece.
inline constexpr std::size_t definition_bytes_max = 1'048'576;

/// The longest canonical text: aliases, merges and defaults are written out in it. A definition
/// with a longer one does not load.
inline constexpr std::size_t canonical_bytes_max = 16 * definition_bytes_max;

/// The most tasks of one definition, hooks among them: the size that the run's graph is designed
/// for.
inline constexpr std::size_t definition_tasks_max = 10'000;

/// The most instances of one task with `matrix` or `for_each`.
inline constexpr std::size_t task_instances_max = 100'000;

/// The longest value of one parameter, of a list or map its JSON: with its name it fits one
/// environment string of Linux (MAX_ARG_STRLEN, 128 KiB).
inline constexpr std::size_t param_value_bytes_max = 65'536;

/// The most parameters of a pipeline: each becomes one variable of every command.
inline constexpr std::size_t definition_params_max = 1'000;

/// The most axes of one matrix: 17 axes with two values each are over `task_instances_max`.
inline constexpr std::size_t matrix_axes_max = 32;

/// The longest JSON of the inputs of one attempt: it goes to the executor in one message, which has
/// at most 8 MiB, with arguments and environment.
inline constexpr std::size_t task_inputs_bytes_max = std::size_t{4} << 20U;

/// The most that its inputs have of large outputs, and of how many: their executor holds them in
/// memory while it writes the file.
inline constexpr std::size_t task_large_inputs_bytes_max = std::size_t{64} << 20U;
inline constexpr std::size_t task_large_inputs_max = 10'000;

/// The most outputs that one task declares; an attempt may write no more (`output_keys_max`).
inline constexpr std::size_t task_outputs_max = 256;

/// The most secrets of a pipeline, and of a task.
inline constexpr std::size_t definition_secrets_max = 100;

/// The longest key of a secret.
inline constexpr std::size_t secret_key_bytes_max = 255;

/// The most mutexes and semaphores of a task: so many are looked at for each that waits.
inline constexpr std::size_t task_locks_max = 16;

/// The most diagnostics one load reports; the last one says that there are more.
inline constexpr std::size_t diagnostics_max = 1'000;

enum class param_type : std::uint8_t { text, integer, floating, boolean, list, map };

/// `string`, `int`, `float`, `bool`, `list`, `map`.
[[nodiscard]] std::string_view to_string(param_type type) noexcept;

/// A parameter of a pipeline. Lists and maps hold strings, numbers and booleans.
struct param_definition {
  std::string name;  ///< [A-Za-z][A-Za-z0-9_-]{0,62}
  param_type type = param_type::text;
  std::optional<value> fallback;  ///< The `default`; of `type`.
  std::vector<value> choices;     ///< The `enum`, of a list its elements'; empty allows every one.
  std::string description;
  bool required = false;  ///< A run must give it. Never true beside a `default`.

  friend bool operator==(const param_definition&, const param_definition&) = default;
};

/// Which ends of the needed tasks let a task start. All are judged once every needed task has
/// ended; a task without needs starts at once, except under `failure`.
enum class trigger_rule : std::uint8_t {
  success,     ///< All succeeded.
  failure,     ///< At least one failed.
  always,      ///< Whatever their ends.
  any,         ///< At least one succeeded.
  no_failure,  ///< Each succeeded or was skipped.
};

/// `success`, `failure`, `always`, `any`, `no_failure`.
[[nodiscard]] std::string_view to_string(trigger_rule rule) noexcept;

/// Which ends of a task, or of the run, a hook follows: as their states are shown, whatever
/// `allow_failures` makes of them. What has never started has no end that a hook follows.
enum class hook_event : std::uint8_t {
  success,  ///< Succeeded.
  failure,  ///< Failed, errored, timed out or lost.
  cancel,   ///< Cancelled.
  any,      ///< Any of these; starts after the other hooks of the same.
};

/// `on_success`, `on_failure`, `on_cancel`, `finally`: the keys of hooks.
inline constexpr std::array<std::string_view, 4> hook_keys{"on_success", "on_failure", "on_cancel",
                                                           "finally"};

/// The key of a hook.
[[nodiscard]] constexpr std::string_view to_string(hook_event event) noexcept {
  return hook_keys[static_cast<std::size_t>(event)];
}

/// What makes a task a hook. It needs what it follows: `of`, or everything else in the pipeline;
/// and one for any end needs its neighbours. Nothing needs a hook.
struct hook_definition {
  hook_event on = hook_event::any;
  std::string of;  ///< The name of a task; empty: the run.

  friend bool operator==(const hook_definition&, const hook_definition&) = default;
};

/// Of one attempt of a hook that names none: a stopped run waits for its hooks.
inline constexpr runtime::duration hook_timeout_default = std::chrono::minutes{5};

/// How many failed instances leave a task as good as one that has succeeded.
struct failure_allowance {
  std::uint32_t count = 0;  ///< Of `is_percentage`: of all its instances, at most 100.
  bool is_percentage = false;

  friend bool operator==(const failure_allowance&, const failure_allowance&) = default;
};

/// What a fan-out over an empty list is.
enum class empty_fan_out : std::uint8_t {
  succeed,  ///< Done, with nothing to do: succeeded, its outputs empty lists.
  skip,     ///< Skipped, as by a condition that is false.
  fail,     ///< Failed: there should have been something.
};

/// `succeed`, `skip`, `fail`.
[[nodiscard]] std::string_view to_string(empty_fan_out rule) noexcept;

/// What becomes of a task whose attempt makes way for one of higher priority.
enum class preemption_rule : std::uint8_t {
  requeue,  ///< It waits again, in its old place.
  cancel,   ///< It is cancelled.
  never,    ///< It does not make way.
};

/// `requeue`, `cancel`, `never`.
[[nodiscard]] std::string_view to_string(preemption_rule rule) noexcept;

/// An output that a task promises to write to `$MILLRACE_OUTPUT`.
struct output_definition {
  std::string name;
  std::string description;
  std::optional<std::string> fallback = {};  ///< The `default`: what it is when none is written.

  friend bool operator==(const output_definition&, const output_definition&) = default;
};

/// The outputs of an approval: what the person had to say, and who it was.
inline constexpr std::array<std::string_view, 2> approval_outputs{"comment", "by"};

/// Values to fan out over: written down, or an expression (`${{ ... }}`) known at run time, whose
/// value is a list, or a text that is a JSON array or lines.
using fan_values = std::variant<std::vector<value>, std::string>;

/// One axis of a matrix. Texts in written-down values may hold expressions.
struct matrix_axis {
  std::string name;
  fan_values values;

  friend bool operator==(const matrix_axis&, const matrix_axis&) = default;
};

/// Cells by axis name.
using matrix_cells = std::map<std::string, value>;

/// The product of the axes, without what `exclude` matches, and with each `include` added.
struct matrix_definition {
  std::vector<matrix_axis> axes;      ///< In written order; the last one varies fastest.
  std::vector<matrix_cells> include;  ///< Each is one more combination and names every axis.
  std::vector<matrix_cells> exclude;  ///< Each removes the combinations that agree with it.

  friend bool operator==(const matrix_definition&, const matrix_definition&) = default;
};

/// Where the value of a secret is kept.
enum class secret_source : std::uint8_t {
  file,         ///< In the directory that the operator of the executor's silo has named.
  environment,  ///< In that silo's environment, as `MILLRACE_SECRET_` and the key.
  project,      ///< In the project of the pipeline, sealed.
};

/// `file`, `env`, `project`.
[[nodiscard]] std::string_view to_string(secret_source source) noexcept;

/// What a variable of a command gets its value from. The value itself is known only where the
/// command starts (secret_value.h).
struct secret_definition {
  secret_source from = secret_source::project;
  std::string key;  ///< A relative path, the rest of a variable's name, or a `field`.

  friend bool operator==(const secret_definition&, const secret_definition&) = default;
};

/// By variable.
using secret_map = std::map<std::string, secret_definition>;

/// What at most `limit` attempts of a project hold at a time.
struct semaphore_definition {
  std::string name;  ///< May hold expressions.
  std::uint32_t limit = 1;

  friend bool operator==(const semaphore_definition&, const semaphore_definition&) = default;
};

/// How long something may take: written down, or a text with expressions that is a duration when
/// they are filled in.
using time_limit = std::variant<runtime::duration, std::string>;

/// The shortest `heartbeat`: a shorter one would end commands that a busy machine holds up.
inline constexpr runtime::duration heartbeat_min = std::chrono::seconds{1};

/// What runs: shell text, or a program and its arguments.
struct command_definition {
  std::string run;                   ///< Empty when `command` is set.
  std::vector<std::string> command;  ///< Its texts may hold expressions.
  std::vector<std::string> shell;    ///< As of a task.

  friend bool operator==(const command_definition&, const command_definition&) = default;
};

/// Files that a task leaves for others, see artifact.h.
struct artifact_definition {
  std::string name;
  std::vector<std::string> paths;  ///< Patterns below the workspace; may hold expressions.
  std::uint64_t max_size = artifact_size_default;  ///< Of all files together, in bytes.
  bool optional = false;                           ///< There need not be any.

  friend bool operator==(const artifact_definition&, const artifact_definition&) = default;
};

/// When a result of a task is used again.
struct cache_definition {
  std::string key;  ///< Where it is the same, the result is; may hold expressions. Empty: where all
                    ///< is that its command gets.
  std::optional<runtime::duration> ttl;  ///< How long after it was made. Nothing: while it is kept.

  friend bool operator==(const cache_definition&, const cache_definition&) = default;
};

/// A call of an actor of the silos.
struct actor_call_definition {
  std::string type;    ///< [a-z][a-z0-9_]*
  std::string key;     ///< May hold expressions.
  std::string method;  ///< [a-z][a-z0-9_]*

  friend bool operator==(const actor_call_definition&, const actor_call_definition&) = default;
};

/// One unit of a run. Defaults of the pipeline are already applied.
struct task_definition {
  std::string name;  ///< [a-z0-9][a-z0-9_.-]{0,62}; unique in the pipeline.
  std::string description;
  std::map<std::string, std::string> labels;  ///< As of a pipeline.
  std::string run;                            ///< Shell text; empty when `command` is set.
  std::vector<std::string> command;           ///< Argument list; its texts may hold expressions.
  std::string approval;                 ///< What a person is asked, in place of a command; may hold
                                        ///< expressions.
  std::optional<std::string> callback;  ///< What a foreign system is to say, in place of a command:
                                        ///< a text for people; may hold expressions.
  std::string pipeline;  ///< Whose run the task is, in place of a command: one of the project.
  std::optional<actor_call_definition> actor;  ///< What it calls, in place of a command.
  std::map<std::string, value> params;  ///< What that run or call gets; texts may hold expressions.
  /// What runs the shell text, which comes after these. Empty: `shell_command`'s.
  std::vector<std::string> shell;
  std::string workdir;  ///< Where the command starts: in the workspace, or absolute; may hold
                        ///< expressions. Empty: the workspace.
  std::map<std::string, value> inputs;  ///< What it gets in a file; texts may hold expressions.
  std::vector<std::string> needs;       ///< Names of tasks; no duplicates.
  /// Those of `needs` of which an instance needs the one of its own index alone. They fan out, as
  /// the task does, and `run_on` is `success`.
  std::vector<std::string> element_needs;
  /// Of which of `needs` the artifacts are put into the workspace; by task, the name of one of its
  /// artifacts, or empty for all.
  std::map<std::string, std::string> artifact_needs;
  trigger_rule run_on = trigger_rule::success;
  std::string when;  ///< `${{ ... }}`, `true`, `false`, or empty for no condition. It is asked
                     ///< after `run_on`; once for the task, or for each instance if it reads
                     ///< `matrix` or `item`.
  std::map<std::string, std::string> env;  ///< Over the pipeline's; texts may hold expressions.
  secret_map secrets;  ///< Over the pipeline's. No variable of the task is in an `env` too.
  std::optional<time_limit> timeout;        ///< Of one attempt.
  std::optional<time_limit> start_timeout;  ///< Of an attempt while it waits for its slot.
  std::optional<time_limit> heartbeat;      ///< The longest that its command may give no sign of
                                            ///< life; at least heartbeat_min.
  std::optional<runtime::duration> grace_period;  ///< From the polite stop to the forced one.
  bool detach = false;  ///< Processes that leave the command's group may outlive it.
  retry_policy retry;
  std::optional<command_definition> retry_command;  ///< Of attempts after the first; else the same.
  std::vector<std::uint8_t> success_exit_codes;     ///< In order; empty: 0 alone.
  std::optional<fan_values> for_each;
  std::optional<matrix_definition> matrix;
  std::optional<std::uint32_t> max_parallel;  ///< Instances at a time; only with a fan-out.
  bool fail_fast = true;  ///< A failed instance cancels the others; only with a fan-out.
  empty_fan_out on_empty = empty_fan_out::succeed;  ///< Only with a fan-out.
  failure_allowance allow_failures;        ///< Anything but all or none only with a fan-out.
  std::vector<output_definition> outputs;  ///< When empty, any output may be referred to.
  std::string stdout_output;  ///< The one of them that is what the command writes to standard
                              ///< output; empty: none is.
  std::vector<artifact_definition> artifacts;  ///< No two of one name.
  std::optional<cache_definition> cache;       ///< Only where each task has its own workspace.
  std::uint32_t ranks = 0;  ///< It is a gang: so many instances, which start together; 0: none.
  /// It is a hook; then it has no `needs`, `run_on`, `when`, fan-out, `outputs` or `approval`.
  std::optional<hook_definition> hook;
  std::optional<std::uint32_t> priority;  ///< At most priority_max. Nothing: the run's.
  std::string pool;                       ///< Whose executors it may run on; empty: the pipeline's.
  std::optional<preemption_rule> preemptible;  ///< Nothing: requeue, but never with `retry: never`.
  resource_amounts resources;                  ///< What an attempt takes besides a slot.
  std::uint64_t memory_limit = 0;              ///< Bytes that an attempt may have; 0: any.
  std::vector<std::string> mutexes;            ///< That it holds; may hold expressions.
  std::vector<semaphore_definition> semaphores;

  friend bool operator==(const task_definition&, const task_definition&) = default;
};

/// What becomes of a run that would be one more than go on at a time.
enum class at_limit : std::uint8_t {
  queue,          ///< It waits for its turn.
  cancel_oldest,  ///< It takes the place of the one that began first, which is cancelled.
  reject,         ///< It is refused.
};

/// `queue`, `cancel_oldest`, `reject`.
[[nodiscard]] std::string_view to_string(at_limit action) noexcept;

/// The longest group of a run, filled in.
inline constexpr std::size_t concurrency_group_bytes_max = 255;

/// How many runs of a pipeline go on at a time.
struct concurrency_definition {
  std::string group;  ///< Only runs of one group count; may hold expressions over `params`.
  std::uint32_t limit = 1;
  at_limit on_limit = at_limit::queue;

  friend bool operator==(const concurrency_definition&, const concurrency_definition&) = default;
};

/// Which ends of another pipeline's runs start one of this.
enum class trigger_event : std::uint8_t {
  success,  ///< It has succeeded.
  failure,  ///< It has failed or timed out.
  end,      ///< Any end.
};

/// `success`, `failure`, `end`.
[[nodiscard]] std::string_view to_string(trigger_event event) noexcept;

/// Another pipeline whose runs start this one.
struct trigger_definition {
  std::string pipeline;  ///< Of the same project, and not this one.
  trigger_event on = trigger_event::success;
  std::map<std::string, value> params;  ///< Of its runs; texts may hold expressions over `trigger`.
  std::string once_for = {};  ///< May hold them too: what is the same as at the last start starts
                              ///< nothing. Empty: each end does.

  friend bool operator==(const trigger_definition&, const trigger_definition&) = default;
};

/// What comes from outside and starts a run: `POST .../webhooks/NAME`. Texts may hold expressions
/// over `trigger.body` and `trigger.headers`.
struct webhook_definition {
  std::string name;
  std::string
      secret;        ///< Of the project, that what comes is signed with; empty: a token is needed.
  std::string when;  ///< One expression, `true` or `false`; empty: true.
  std::map<std::string, value> params;  ///< Of its runs.
  std::string once_for;                 ///< As of a trigger.

  friend bool operator==(const webhook_definition&, const webhook_definition&) = default;
};

/// The longest value of a trigger's `once_for`.
inline constexpr std::size_t once_for_bytes_max = 4'096;

/// Which of the versions that the first check of a watch finds start a run.
enum class first_versions : std::uint8_t {
  newest,  ///< The last one.
  all,     ///< Each.
};

/// Of one check that names none: what hangs holds up those that follow.
inline constexpr runtime::duration check_timeout_default = std::chrono::minutes{5};

/// A source that the pipeline looks at by itself: a command tells its versions, one a line, the
/// oldest first, and each that is new starts a run.
struct watch_definition {
  schedule_definition schedule;  ///< When it looks; its name is the watch's. `overlap` is skip.
  /// What tells the versions: `name` is check_task_name, and it has `run` or `command`, `shell`,
  /// `env`, `secrets` and `timeout` of its own, and no expressions.
  task_definition check;
  first_versions first = first_versions::newest;
  std::map<std::string, value> params;  ///< Of its runs; texts may hold expressions over `trigger`.

  friend bool operator==(const watch_definition&, const watch_definition&) = default;
};

/// The task of a run that looks, the output with what it has found, and the parameter with the last
/// version before.
inline constexpr std::string_view check_task_name = "check";
inline constexpr std::string_view check_output = "versions";
inline constexpr std::string_view check_param = "last_version";

/// The variable that has it in the command.
inline constexpr std::string_view last_version_variable = "MILLRACE_LAST_VERSION";

/// The most versions that one check may tell; so many are known of a watch, the newest.
inline constexpr std::size_t check_versions_max = 1'000;

/// The longest version.
inline constexpr std::size_t version_bytes_max = 4'096;

/// The most triggers of a pipeline, webhooks and watches among them.
inline constexpr std::size_t definition_triggers_max = 100;

/// What a task is.
enum class step_kind : std::uint8_t {
  command,   ///< A process of an executor.
  approval,  ///< A person's word.
  callback,  ///< A foreign system's word.
  child,     ///< A run of a pipeline.
  actor,     ///< A call of an actor.
};
struct task_definition;
[[nodiscard]] step_kind step_of(const task_definition& task) noexcept;

/// The output that a task which is a run has besides that run's own: its id.
inline constexpr std::string_view child_run_output = "run";

/// Runs that may be above one, or have triggered each other: what ends pipelines that start
/// themselves without end.
inline constexpr std::uint32_t run_depth_max = 20;

/// Whether the tasks of a run share one directory, or have one each and may run anywhere.
enum class workspace_mode : std::uint8_t { run, task };

[[nodiscard]] std::string_view to_string(workspace_mode mode) noexcept;

/// A whole pipeline. A value from the loader is valid: names are unique, needs exist and have no
/// cycle, expressions parse and refer to things that exist.
struct pipeline_definition {
  std::string name;  ///< [a-z0-9][a-z0-9_.-]{0,62}
  std::string description;
  std::map<std::string, std::string> labels;
  std::vector<param_definition> params;      ///< In written order.
  std::map<std::string, std::string> env;    ///< For every task; may refer to `params` and `run`.
  secret_map secrets;                        ///< For every task.
  std::optional<runtime::duration> timeout;  ///< Of the whole run.
  std::optional<runtime::duration> grace_period;
  workspace_mode workspace = workspace_mode::run;
  std::optional<std::uint32_t> max_parallel;  ///< Attempts of one run at a time.
  std::optional<concurrency_definition> concurrency;
  std::optional<std::uint32_t> revert_after;  ///< Failed runs in a row after which the last version
                                              ///< that a run has succeeded with comes back.
  bool fail_fast = false;  ///< The first failed task ends the others but for those that follow
                           ///< failures: hooks, `run_on: always` and `failure`.
  std::optional<std::uint32_t> priority;  ///< Of tasks without one of their own.
  std::string pool;                       ///< Likewise; empty: the default one.
  run_retention retention;                ///< Of its runs; what is absent is the server's choice.
  std::vector<schedule_definition> schedules;  ///< In written order; no two of one name.
  std::vector<trigger_definition> triggers;    ///< No two of one pipeline.
  std::vector<webhook_definition> webhooks;    ///< No two of one name.
  std::vector<watch_definition> watches;       ///< No two of one name, nor of a schedule's.
  std::map<std::string, std::string> outputs;  ///< Of a run that has succeeded; may hold
                                               ///< expressions over its tasks.
  /// In written order, the hooks of each after it and those of the pipeline last; 1 to
  /// definition_tasks_max.
  std::vector<task_definition> tasks;

  friend bool operator==(const pipeline_definition&, const pipeline_definition&) = default;
};

/// Where the task runs, whoever says so: its own pool, the pipeline's, or the default one.
[[nodiscard]] std::string pool_of(const pipeline_definition& definition,
                                  const task_definition& task);

/// A definition, or everything that is wrong with the text.
struct load_result {
  std::optional<pipeline_definition> definition;  ///< Set exactly when there are no diagnostics.
  std::vector<diagnostic> diagnostics;            ///< Sorted by place.

  explicit operator bool() const noexcept { return definition.has_value(); }
};

/// Reads a definition from YAML or JSON. `file_name` is copied into the diagnostics.
///
/// The text is UTF-8, with or without a byte order mark; lines end in LF or CR LF. Lists and maps
/// nest at most 500 deep (yaml-cpp's limit), merges 64.
///
/// With its aliases written out it has at most definition_bytes_max values and canonical_bytes_max
/// bytes; what has more is refused before anything is written out.
///
/// Cost: linear in the text but for `needs` (edges * tasks / 64 word operations), and bounded: a
/// text in which everything is wrong gets
/// fewer suggestions. A text of 1 MiB takes at most a few seconds, and no more stack than others.
[[nodiscard]] load_result load_definition(std::string_view text, std::string_view file_name);

/// The canonical form: JSON with a fixed order of keys, defaults left out, `defaults` and merges
/// written out. Equal definitions give equal texts.
[[nodiscard]] std::string to_json(const pipeline_definition& definition);

/// Reads the canonical form back; `from_json(to_json(d)) == d`. The text may have
/// canonical_bytes_max bytes.
/// Errors: `invalid_argument` with the first diagnostic (also a text of a newer version).
[[nodiscard]] runtime::result<pipeline_definition> from_json(std::string_view canonical);

/// Why a command cannot start there, as `leads out of the workspace`; empty: it can.
[[nodiscard]] std::string refusal_of_workdir(const std::string& text);

/// Why nothing can be held by that name, as `is empty`; empty: it can.
[[nodiscard]] std::string refusal_of_lock(const std::string& name);

/// Edges of a definition as positions in `tasks`, those of hooks among them.
struct task_graph {
  std::vector<std::vector<std::uint32_t>> needs;       ///< By task.
  std::vector<std::vector<std::uint32_t>> dependents;  ///< By task: the reverse edges.
  /// By task: those of `needs` that are needed element by element.
  std::vector<std::vector<std::uint32_t>> element_needs;
  std::vector<std::uint32_t> order;  ///< Every task after its needs, in written order where free.
};

/// Requires: a definition from the loader. Cost: O(tasks + edges).
[[nodiscard]] task_graph graph_of(const pipeline_definition& definition);

}  // namespace millrace::actors
