// SPDX-License-Identifier: MIT
// Run graph: which task instances of a run may start, and what follows when one has ended.
//
// A pure core. It is told what happened and answers what to do; the run actor stores the rows and
// talks to the tasks. Deciding is deterministic (conditions and fan-outs are pure), so the graph
// is rebuilt after a restart by telling it the outcomes that were stored.
//
// The rules. A task is judged when every task it needs has ended. `run_on: success` (the default)
// starts it if all succeeded; it is `upstream_failed` if one failed, `skipped` if one was skipped;
// under `no_failure` a skipped one is as good as one that has succeeded.
// Then `when` is asked: false is `skipped`. A fan-out starts at most `start_window` instances of
// the run at a time, and at most `max_parallel`; with `fail_fast` its first failure cancels the
// rest. A run has failed when any task failed, whatever ran afterwards. With `fail_fast` of the
// pipeline the first failed task ends the others as a stop does, and what follows failures (hooks,
// `run_on: always` and `failure`) goes on. When a run is stopped,
// hooks and tasks with `run_on: always` go on or still start once what they need has ended: they
// tidy up. A hook is judged by the end of what it follows (`hook_event`), not by `run_on`; the run
// has succeeded for its hooks if it would if nothing but these were left.
// When the files of a run are lost, nothing starts until all that had started has ended; what was
// cancelled for it has then not been started. What is unfinished starts anew, and so does all that
// has succeeded and that something unfinished needs, if only by way of others; a hook needs nothing
// in this sense, and starts anew with what it follows.
// An instance that needs the one of its own index (`instances: same`) is judged by this one alone;
// its task opens as soon as the needed one has, and both have as many instances.
// While it is paused nothing starts, and what can be judged without a start is.
// An approval, or a run of a pipeline, starts like any instance, and holds up nothing but what
// needs it.
// A fan-out over nothing has succeeded with nothing to do, unless `on_empty` says otherwise.
// The ranks of a gang start in one step, and the first that fails ends the others. When all have
// ended and its `retry` allows, all of them begin again, also those that had succeeded: as a new
// round, after a delay, during which they are `backing_off`; at once, and without counting, where a
// rank was lost with its executor. A retry of the run begins all of it again, too.
// A task with no more failed instances than `allow_failures` is as good as one that has succeeded,
// for what needs it and for the run; its state tells that it has failed.
//
// A reason is a phrase for a person. That of a task which did not start because of others names
// them with their states and their own reasons: `needs fan: skipped, its list is empty`.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/actors/definition.h"
#include "millrace/actors/expansion.h"
#include "millrace/actors/params.h"
#include "run/run_states.h"

namespace millrace::actors {

/// The most instances of one run that are queued or running at a time: bounds the rows and
/// messages of one step, far above what a silo runs at once.
inline constexpr std::size_t start_window = 1'000;

/// Of an instance without a command that has exited.
inline constexpr std::int32_t no_exit_code = -1;

using output_list = std::vector<std::pair<std::string, std::string>>;

/// An artifact that an instance has left.
struct left_artifact {
  std::string name;
  std::string digest;
  std::uint32_t files = 0;
  std::uint64_t bytes = 0;
  std::string executor;  ///< That keeps it.
};
using artifact_list = std::vector<left_artifact>;

/// One that another instance takes, and the folder of its workspace that it goes to.
struct taken_artifact {
  left_artifact artifact;
  std::string task;    ///< The instance that has left it.
  std::string folder;  ///< Empty: the workspace.
};

/// The most of them: they stand in one row.
inline constexpr std::size_t taken_artifacts_max = 20'000;

/// An output of an instance whose text is too large for a row: where it is kept.
struct kept_output {
  std::string name;
  std::string digest;
  std::uint64_t size = 0;
  std::string executor;
};
using kept_output_list = std::vector<kept_output>;

/// The inputs of an instance.
struct filled_inputs {
  /// An output of another that goes into the JSON, as a text.
  struct text {
    std::size_t at = 0;  ///< After so many bytes of it.
    kept_output output;
    std::string task;  ///< The instance that has written it.
  };
  std::string json;  ///< But for these; empty: there are no inputs.
  std::vector<text> texts;
};

/// Whether a command of an instance has started, or a person was asked.
enum class attempted : std::uint8_t {
  never,  ///< There was no attempt either.
  no,
  yes,
};

/// Which tasks a stop withdraws.
enum class stop_reach : std::uint8_t {
  ordinary,    ///< All but hooks and those with `run_on: always`.
  everything,  ///< Those too.
};

/// One instance: positions of the task in the definition and of the instance in its fan-out.
struct instance_id {
  std::uint32_t task = 0;
  std::uint32_t index = 0;
  friend auto operator<=>(const instance_id&, const instance_id&) = default;
};

/// The limits of time of an instance, filled in; nothing where there is none.
struct instance_limits {
  std::optional<runtime::duration> timeout;
  std::optional<runtime::duration> start_timeout;
  std::optional<runtime::duration> heartbeat;
};

/// An instance that ended without having been started.
struct settled_instance {
  instance_id id;
  task_state state;
  std::string reason;
};

/// A started instance that is no longer wanted.
struct unwanted_instance {
  instance_id id;
  std::string reason;
};

/// The longest outputs of a run, together: they are told with every status of it.
inline constexpr std::size_t run_outputs_bytes_max = std::size_t{256} << 10U;

/// Where a gang stands, besides its ranks: to be stored.
struct gang_row {
  std::uint32_t round = 0;                   ///< How often it has begun again, ever.
  std::uint32_t failures = 0;                ///< Rounds that count against `max_attempts`.
  std::optional<std::uint32_t> failed = {};  ///< The rank that has failed first in this round.

  friend bool operator==(const gang_row&, const gang_row&) = default;
};

/// A gang that begins again.
struct gang_again {
  std::uint32_t task = 0;
  runtime::duration delay{};  ///< 0: at once, its ranks are among those to start.
  std::string reason;         ///< For a person.
};

/// What to do after an event.
struct run_effects {
  std::vector<instance_id> start;
  std::vector<unwanted_instance> cancel;
  std::vector<settled_instance> settled;
  std::vector<gang_again> again;       ///< Before what starts: their ranks' rows are `backing_off`.
  std::vector<instance_id> unstarted;  ///< Ended, but for a loss of files: their rows do not hold.
  bool ended = false;                  ///< Nothing runs and nothing will.
};

/// Threading: none of its own. Cost: an event costs what it starts, whatever the graph's size.
class run_graph {
public:
  /// Requires: a definition from the loader, params that bound without mistakes.
  run_graph(pipeline_definition definition, bound_params params, std::string run_id);

  /// Tells of an instance that has a stored row: before `begin`, in any order. What a row says is
  /// taken as it is: its task is not judged again.
  void restore(instance_id id, task_state state, output_list outputs, std::string_view reason,
               std::int32_t exit_code = no_exit_code, attempted tried = attempted::yes);
  /// Tells of a fan-out that was settled as a whole, without instances: before `begin`.
  void restore_whole(std::uint32_t task, task_state state, std::string_view reason);
  /// Tells of a gang that has failed before: before `begin`.
  void restore_gang(std::uint32_t task, const gang_row& row) { nodes_[task].gang = row; }
  /// As after `stop`: before `begin`. What had been started is waited for.
  void restore_stopping(std::string_view reason, stop_reach reach,
                        run_state end = run_state::CANCELLED) {
    stop_reason_ = reason;
    stopping_ = reach;
    stop_end_ = end;
  }

  /// The nominal time of the firing that started the run, for expressions: before `begin`.
  void set_scheduled_at(std::string time) { scheduled_at_ = std::move(time); }
  /// What tokens of callbacks are made with: before `begin`.
  void set_callback_key(std::string key) { callback_key_ = std::move(key); }
  /// By task, whether it is asked for; empty: all are. What is not is skipped: before `begin`.
  /// Requires: what select_tasks answers.
  void set_selection(std::vector<bool> selected);
  [[nodiscard]] bool is_selected(std::uint32_t at) const {
    return selected_.empty() || selected_[at];
  }
  /// Empty: no schedule started it.
  [[nodiscard]] const std::string& scheduled_at() const noexcept { return scheduled_at_; }

  /// What an instance has left: before it is told of by `restore` or `ended`. It counts while the
  /// instance has succeeded.
  void keep_artifacts(instance_id id, artifact_list left);

  /// Its outputs that are kept apart: as `keep_artifacts`. Those that are in its other outputs,
  /// too, can be read by expressions.
  void keep_large(instance_id id, kept_output_list left);

  /// As after `hold`: before `begin`.
  void restore_held() noexcept { held_ = true; }

  /// Starts the run, or goes on with it.
  [[nodiscard]] run_effects begin();

  /// As what the end of a started instance counts: a rank that was lost while it was being
  /// withdrawn is cancelled, unless it may never be repeated, as other tasks say themselves.
  [[nodiscard]] task_state counted_as(instance_id id, task_state state) const;
  /// A started instance has ended. No effect for one that had ended before.
  [[nodiscard]] run_effects ended(instance_id id, task_state state, output_list outputs,
                                  std::string_view reason = {},
                                  std::int32_t exit_code = no_exit_code,
                                  attempted tried = attempted::yes);

  /// The delay before the next round of a gang has passed. No effect unless `is_backing_off`.
  [[nodiscard]] run_effects begin_round(std::uint32_t task);
  /// Whether it is a gang that waits for its next round.
  [[nodiscard]] bool is_backing_off(std::uint32_t task) const;
  /// Of others: as it is at first.
  [[nodiscard]] const gang_row& gang(std::uint32_t task) const { return nodes_[task].gang; }

  /// The run is cancelled or out of time: of the tasks within `reach`, settles what has not started
  /// and cancels what has. A second stop may reach further. `end`: as what the run will end.
  [[nodiscard]] run_effects stop(std::string_view reason, stop_reach reach,
                                 run_state end = run_state::CANCELLED);

  /// Nothing starts from now on; what has started goes on. A stop ends it.
  void pause() noexcept { paused_ = true; }
  /// Undoes `pause`.
  [[nodiscard]] run_effects resume();

  /// The run's files are lost: withdraws what has started, which is to be waited for.
  [[nodiscard]] run_effects hold(std::string_view reason);
  [[nodiscard]] bool held() const noexcept { return held_; }
  /// Instances that have started and not ended, without those that run no command.
  [[nodiscard]] std::size_t active() const noexcept { return active_; }

  /// Goes on after a loss of files. What succeeded and may not be repeated, though its files may be
  /// needed, is lost; `reason` is for these. Requires: held, none is active.
  /// `forgotten` gets the instances whose rows no longer hold.
  [[nodiscard]] run_effects go_on_without_files(std::string_view reason,
                                                std::vector<instance_id>& forgotten);

  /// Whether the files that earlier tasks left are still there.
  enum class files : std::uint8_t { kept, lost };

  /// Starts again the tasks of `from` (positions), whatever did not succeed, and all that needs one
  /// of these, if only by way of others: what depends on a task is never left from an earlier try
  /// of it. Instances of a fan-out that succeeded are kept where only others of it failed. Without
  /// files all starts again that one of these needs. Requires: ended. `forgotten` gets the
  /// instances whose rows no longer hold.
  [[nodiscard]] run_effects retry(std::vector<instance_id>& forgotten, files had = files::kept,
                                  const std::vector<std::uint32_t>& from = {});

  /// All instances, as far as they are known: a fan-out counts as one until it opens.
  [[nodiscard]] std::size_t known_instances() const noexcept { return known_; }

  /// How the run ended, or would if it ended now.
  [[nodiscard]] run_state outcome() const noexcept;
  /// Why it was stopped, or what has failed, for a person; may be empty.
  [[nodiscard]] std::string outcome_text() const;
  /// The first failed task, for a person.
  [[nodiscard]] std::string failure_text() const;
  /// The first failed hook, of a run that was stopped; empty: none.
  [[nodiscard]] std::string hook_failure_text() const;
  /// What an instance waits for that has not started, for a person; may be empty. Not whether the
  /// run is paused. Cost: O(needs).
  [[nodiscard]] std::string waiting_text(instance_id id) const;
  /// The names of the tasks that have failed, hooks too, and not within what they may.
  [[nodiscard]] std::vector<std::string> failed_tasks() const;

  [[nodiscard]] const pipeline_definition& definition() const noexcept { return definition_; }
  [[nodiscard]] const task_definition& task(std::uint32_t at) const {
    return definition_.tasks[at];
  }
  [[nodiscard]] const bound_params& params() const noexcept { return params_; }
  [[nodiscard]] const task_instance& instance(instance_id id) const;
  [[nodiscard]] bool fans_out(std::uint32_t at) const;
  /// `count` or `count[3]`.
  [[nodiscard]] std::string name_of(instance_id id) const;
  /// The instance that comes after `id` in the order of the definition, or the first of all.
  /// A fan-out whose list is not known yet counts as one. Nothing at the end.
  [[nodiscard]] std::optional<instance_id> next_instance(std::optional<instance_id> id) const;
  /// The instance that `name_of` calls so; nothing if there is none yet.
  [[nodiscard]] std::optional<instance_id> instance_named(std::string_view name) const;
  /// The position of a task; nothing for an unknown name.
  [[nodiscard]] std::optional<std::uint32_t> find(std::string_view task) const;

  /// The environment of an instance that its definition, parameters and cells give.
  /// Errors: an expression that has no value.
  [[nodiscard]] runtime::result<std::map<std::string, std::string>> environment(
      instance_id id) const;
  /// What a hook's command is told of the end that it follows, by variable; empty for others.
  [[nodiscard]] std::map<std::string, std::string> hook_environment(std::uint32_t at) const;
  /// Of a task with `callback`; empty: of none. See callback.h.
  [[nodiscard]] std::string callback_token(std::uint32_t at) const;
  /// Those that the command of a task is given, by the names of their tasks.
  [[nodiscard]] std::vector<std::string> callbacks_given_to(std::uint32_t at) const;
  /// What the person is asked, of an approval, or what a callback is for. Errors: as above.
  [[nodiscard]] runtime::result<std::string> prompt(instance_id id) const;
  /// Its argument list. Errors: as above.
  [[nodiscard]] runtime::result<std::vector<std::string>> arguments(instance_id id) const;
  /// The same of attempts after the first; empty if it is no other one. Errors: as above.
  [[nodiscard]] runtime::result<std::vector<std::string>> retry_arguments(instance_id id) const;
  /// Errors: as above; `invalid_argument` for what is no duration.
  [[nodiscard]] runtime::result<instance_limits> limits(instance_id id) const;
  /// Where it starts. Errors: as above; `invalid_argument` for one out of the workspace.
  [[nodiscard]] runtime::result<std::string> workdir(instance_id id) const;
  /// `cache.key`, filled in. Requires: the task has `cache`.
  [[nodiscard]] runtime::result<std::string> cache_key_text(instance_id id) const;
  /// What it holds, by filled-in names, of which no two are alike; the limit of a mutex is 0.
  /// Errors: as above; `invalid_argument` for a name that cannot be one.
  [[nodiscard]] runtime::result<std::vector<semaphore_definition>> locks(instance_id id) const;
  /// Of each resource, the most that one of its selected tasks asks for, a gang for all of its
  /// ranks.
  [[nodiscard]] const resource_amounts& most_resources() const noexcept { return most_resources_; }
  /// Of its largest selected gang; 0: there is none.
  [[nodiscard]] std::uint32_t most_ranks() const noexcept { return most_ranks_; }
  /// Of its selected tasks that are commands.
  [[nodiscard]] const pool_names& pools() const noexcept { return pools_; }
  /// What it is to leave, with patterns filled in. Errors: as above; `invalid_argument` for one
  /// that leads out of the workspace.
  [[nodiscard]] runtime::result<std::vector<artifact_definition>> artifacts(instance_id id) const;
  /// What it takes of the tasks that it needs. Errors: `too_large`.
  [[nodiscard]] runtime::result<std::vector<taken_artifact>> taken_artifacts(instance_id id) const;
  /// An expression by itself may be a large output there. Errors: as above; `too_large`.
  [[nodiscard]] runtime::result<filled_inputs> inputs(instance_id id) const;
  /// Outputs of a task that the run itself reads: in the `when`, `for_each` and `matrix` of others,
  /// and in its own outputs. Of a fan-out none is told, since there may be 10,000 of each.
  [[nodiscard]] const std::vector<std::string>& read_outputs(std::uint32_t at) const {
    return read_outputs_[at];
  }
  /// What the run gets that it is, as JSON. Errors: as above; `too_large`.
  [[nodiscard]] runtime::result<std::string> child_params(instance_id id) const;
  /// The key of the actor that an instance calls. Errors: an expression that has no value.
  [[nodiscard]] runtime::result<std::string> actor_key(instance_id id) const;
  /// Of the run, but for those that read a task which was not asked for. Requires: it has
  /// succeeded. Errors: as above; `too_large`.
  [[nodiscard]] runtime::result<output_list> outputs() const;

private:
  enum class phase : std::uint8_t { waiting, open, ended };
  struct slot {
    task_state state = task_state::WAITING;
    output_list outputs;
    std::int32_t exit_code = no_exit_code;
    attempted tried = attempted::no;  // once it has ended
    bool eligible = false;            // it has been in `eligible` of its task
  };
  struct task_node {
    phase now = phase::waiting;
    std::uint32_t needs_left = 0;
    std::vector<task_instance> instances;
    std::vector<slot> slots;
    std::uint32_t next = 0;    // the first slot that may be unstarted
    std::uint32_t active = 0;  // started, not ended
    std::uint32_t ended = 0;
    std::uint32_t failed = 0;
    bool startable = false;               // stands in `startable_` or `asking_`
    bool opened = false;                  // what needs it element by element was told
    std::vector<std::uint32_t> eligible;  // if it needs elements: those that may start, in turn
    std::size_t next_eligible = 0;        // position in `eligible`
    bool failed_fast = false;             // the rest has been cancelled
    std::optional<slot> restored_whole;
    task_state outcome = task_state::WAITING;
    gang_row gang;
    std::string
        gang_failure;  // of its first failed rank, for a person; empty: from before a restart
    std::map<task_state, std::string> reasons;  // the first of each end but success
    std::map<std::uint32_t, slot> restored;
  };
  class scope;

  [[nodiscard]] runtime::result<std::vector<std::string>> arguments_of(
      instance_id id, const std::string& run, const std::vector<std::string>& command,
      const std::vector<std::string>& shell) const;
  [[nodiscard]] std::vector<bool> needed_by(const std::vector<bool>& these) const;
  [[nodiscard]] bool needs_any(std::uint32_t at, const std::vector<bool>& of) const;
  void begin_anew(std::uint32_t at, const std::function<bool(task_state)>& keeps,
                  std::vector<instance_id>& forgotten);
  void give_up(std::uint32_t at, std::string_view reason, run_effects& effects,
               std::vector<instance_id>& forgotten);
  void await_needs();
  [[nodiscard]] bool reads_unselected(const std::string& text) const;
  void find_read_outputs();
  void note_outputs_in(const std::string& text);
  void note_outputs_in(const value& content);
  class inputs_writer;
  void judge(std::uint32_t at, run_effects& effects);
  [[nodiscard]] bool withdrawn(std::uint32_t at) const;
  [[nodiscard]] bool is_hook(std::uint32_t at) const {
    return definition_.tasks[at].hook.has_value();
  }
  [[nodiscard]] std::optional<std::uint32_t> owner_of(std::uint32_t hook) const;
  [[nodiscard]] std::optional<hook_event> event_for(std::uint32_t hook) const;
  [[nodiscard]] bool judge_hook(std::uint32_t at, run_effects& effects);
  [[nodiscard]] bool judge_needs(std::uint32_t at, run_effects& effects);
  [[nodiscard]] bool judge_when(std::uint32_t at, run_effects& effects);
  void judge_each_when(std::uint32_t at, run_effects& effects);
  void note_reason(instance_id id, task_state state, std::string_view reason);
  [[nodiscard]] std::string end_text(std::uint32_t at) const;
  [[nodiscard]] std::string needs_text(std::uint32_t at) const;
  [[nodiscard]] std::vector<std::string> awaited(instance_id id) const;
  [[nodiscard]] std::string failed_text(std::uint32_t at) const;
  [[nodiscard]] std::string fail_fast_text(instance_id failed, std::string_view why) const;
  [[nodiscard]] std::string rank_text(instance_id failed, std::string_view why) const;
  void fail_fast(instance_id failed, std::string_view why, run_effects& effects);
  void open(std::uint32_t at, run_effects& effects);
  void settle_empty(std::uint32_t at, run_effects& effects);
  void settle_whole(std::uint32_t at, task_state state, std::string reason, run_effects& effects);
  void settle(instance_id id, task_state state, std::string reason, run_effects& effects);
  void settle_unstarted(std::uint32_t at, task_state state, std::string_view reason,
                        run_effects& effects);
  void withdraw(run_effects& effects);
  [[nodiscard]] const std::string& withdrawal_text() const {
    return stopping_ ? stop_reason_ : failure_;
  }
  [[nodiscard]] bool needs_element(std::uint32_t at, std::uint32_t need) const;
  [[nodiscard]] bool has_as_many(std::uint32_t at, std::size_t count, run_effects& effects);
  void tell_opened(std::uint32_t at);
  void judge_element(instance_id id, run_effects& effects);
  void judge_after(instance_id ended, run_effects& effects);
  [[nodiscard]] std::optional<std::uint32_t> next_unstarted(std::uint32_t at);
  [[nodiscard]] bool is_gang(std::uint32_t at) const { return definition_.tasks[at].ranks > 0; }
  [[nodiscard]] bool begin_again(std::uint32_t at, run_effects& effects);
  void reset_ranks(std::uint32_t at, task_state state);
  void may_start(std::uint32_t at);
  void start_more(run_effects& effects);
  void start_more_of(std::deque<std::uint32_t>& queue, run_effects& effects);
  void finish_if_done(std::uint32_t at);
  void after_end(std::uint32_t at);
  void drain(run_effects& effects);
  [[nodiscard]] bool runs_nothing(std::uint32_t at) const {
    return step_of(definition_.tasks[at]) != step_kind::command;
  }
  [[nodiscard]] bool is_child(std::uint32_t at) const {
    return step_of(definition_.tasks[at]) == step_kind::child;
  }
  [[nodiscard]] std::size_t parallel_max() const;
  [[nodiscard]] bool may_start_more(const task_node& one, const task_definition& task) const;
  [[nodiscard]] bool may_start_all(const task_definition& gang) const;
  [[nodiscard]] static std::size_t known_of(const task_node& one);
  [[nodiscard]] static task_state outcome_of(const task_node& one);
  [[nodiscard]] bool within_allowance(std::uint32_t at) const;
  [[nodiscard]] bool passes(std::uint32_t at) const;
  [[nodiscard]] bool fails(std::uint32_t at) const;

  pipeline_definition definition_;
  bound_params params_;
  std::string run_id_;
  std::string scheduled_at_;
  std::map<instance_id, artifact_list> artifacts_;
  std::map<instance_id, kept_output_list> large_;
  std::vector<std::vector<std::string>> read_outputs_;  // by task
  std::string callback_key_;                            // empty: there are no callbacks
  std::vector<bool> selected_;                          // by task; empty: all are
  resource_amounts most_resources_;
  std::uint32_t most_ranks_ = 0;
  pool_names pools_;
  task_graph graph_;
  std::map<std::string, std::uint32_t, std::less<>> by_name_;
  std::vector<task_node> nodes_;
  std::deque<std::uint32_t> ready_;         // every need has ended: to be judged
  std::deque<std::uint32_t> startable_;     // with unstarted instances that may start
  std::deque<std::uint32_t> asking_;        // such as run no command
  std::deque<instance_id> ended_elements_;  // that others may wait for
  std::vector<bool> needed_by_element_;     // by task
  std::size_t active_ = 0;
  std::size_t known_ = 0;
  std::size_t unended_ = 0;  // tasks
  bool held_ = false;
  bool paused_ = false;
  std::optional<stop_reach> stopping_;
  std::string stop_reason_;  // while it stops
  run_state stop_end_ = run_state::CANCELLED;
  std::string failure_;      // of the first failed task, if that ends the run; else empty
  bool fails_fast_ = false;  // it is to be acted on
  bool resumed_ = false;     // `begin` goes on with what rows say: what follows was done
};

}  // namespace millrace::actors
