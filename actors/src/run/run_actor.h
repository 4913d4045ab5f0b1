// SPDX-License-Identifier: MIT
// The actor `run`: one execution of a pipeline. The decisions are `run_graph`'s; this stores its
// rows, tells the tasks and keeps the list of events. Its body: what happens to it in run_actor.cc,
// what it keeps in run_actor_record.cc, what it answers and what it is told to do in the next two,
// and what is special about approvals, runs of pipelines and gangs in the others.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "millrace/actors/run_id.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/state_map.h"
#include "run/run_graph.h"

namespace millrace::actors {

/// The events of a run that are kept; older ones are dropped.
inline constexpr std::uint64_t run_events_max = 10'000;

class run_actor final : public schemas::run_base<schemas::RunStored> {
public:
  /// `log` gets a line for each run that has ended; may be empty.
  explicit run_actor(std::function<void(std::string_view)> log = {}) : log_(std::move(log)) {}

  runtime::async<> on_activate() override;
  runtime::async<> on_reminder(std::string name) override;

  runtime::async<> begin(begin_params params) override;
  runtime::async<status_results> status() override;
  runtime::async<tasks_results> tasks(tasks_params params) override;
  runtime::async<task_results> task(task_params params) override;
  runtime::async<events_results> events(events_params params) override;
  runtime::async<> cancel(cancel_params params) override;
  runtime::async<> withdraw(withdraw_params params) override;
  runtime::async<retry_results> retry() override;
  runtime::async<retry_from_results> retry_from(retry_from_params params) override;
  runtime::async<retry_with_results> retry_with(retry_with_params params) override;
  runtime::async<> task_changed(task_changed_params params) override;
  runtime::async<> remove() override;
  runtime::async<> remove_more() override;
  runtime::async<> expire() override;
  runtime::async<> workspace_lost(workspace_lost_params params) override;
  runtime::async<> decide(decide_params params) override;
  runtime::async<> proceed() override;
  runtime::async<> pause(pause_params params) override;
  runtime::async<> resume() override;
  runtime::async<> child_told(child_told_params params) override;
  runtime::async<callback_results> callback(callback_params params) override;
  runtime::async<artifacts_results> artifacts(artifacts_params params) override;

private:
  static constexpr const char* pinned_row = "pinned";
  static constexpr const char* timeout_reminder = "timeout";
  static constexpr const char* events_signal = "events";
  // And the instance's name, of one that runs no command.
  static constexpr std::string_view step_reminder = "approval/";
  // And the name of a task with ranks.
  static constexpr std::string_view gang_reminder = "gang/";

  // A task that is begun for the first time, whose slot the run asks for.
  using pool_entry = runtime::message<schemas::PoolEntry>;

  [[nodiscard]] static runtime::result<pipeline_definition> definition_in(
      schemas::RunPinned::Reader pinned);
  [[nodiscard]] runtime::result<run_graph> graph_of_pinned(schemas::RunPinned::Reader pinned) const;
  void fail_without_graph(const runtime::error& why);
  [[nodiscard]] runtime::error no_graph() const;
  [[nodiscard]] runtime::result<void> check_known() const;
  [[nodiscard]] bool over() const { return state().getState() != schemas::RunState::RUNNING; }
  [[nodiscard]] std::string waits_for() const;
  void hold_in_pool(bool holds);
  void go_on_unless_waiting();
  [[nodiscard]] std::string row_of(instance_id id) const;
  void apply(run_effects effects);
  void start(instance_id id, run_effects& effects, std::vector<pool_entry>& wishes);
  schemas::TaskStatus::Builder begin_row(instance_id id);
  void ask(instance_id id, run_effects& effects);
  // The instance of that name, if it is of that kind and has started and not ended.
  [[nodiscard]] std::optional<instance_id> waiting_at(std::string_view task, step_kind kind) const;
  void answer(instance_id id, schemas::TaskState state, const std::string& reason,
              const output_list& outputs);
  [[nodiscard]] std::optional<runtime::duration> timeout_of(instance_id id) const;
  void not_answered(std::string_view task);
  // The task with `callback` that the token is of.
  [[nodiscard]] std::optional<instance_id> called(std::string_view token) const;
  void start_child(instance_id id, run_effects& effects);
  void restore(run_graph& graph, const std::set<std::string>& without) const;
  void restore_gangs(run_graph& graph) const;
  void rearm_gangs();
  void store_gang(std::uint32_t task);
  void begins_again(const gang_again& one);
  void round_is_due(std::string_view task);
  void withdraw_child(instance_id id, const std::string& reason);
  void child_timed_out(std::string_view task);
  void tell_parent();
  void keep_outputs();
  void end_here(instance_id id, schemas::TaskState state, const std::string& reason,
                const output_list& outputs, run_effects& effects);
  void ask_pool(const std::vector<pool_entry>& wishes);
  void settle(const settled_instance& one);
  void stop(schemas::RunState end, const std::string& reason, stop_reach reach);
  void finish();
  void log_end() const;
  void go_on_if_idle();
  // The run as it would have been with another version of its definition.
  struct other_version {
    std::uint32_t number = 0;
    runtime::message<schemas::RunPinned> pinned;
    std::set<std::string> changed;          // tasks whose results do not hold
    bool is_same = false;                   // nothing is changed or new
    std::vector<settled_instance> settled;  // without a start
    run_graph graph;
  };

  [[nodiscard]] runtime::result<retry_from_results> start_again(const std::string& from,
                                                                bool is_dry,
                                                                other_version* with = nullptr);
  [[nodiscard]] runtime::result<void> may_start_again(const std::string& from, bool changes) const;
  [[nodiscard]] runtime::result<other_version> with_version(
      std::uint32_t number, schemas::CompiledPipeline::Reader compiled) const;
  [[nodiscard]] std::set<std::string> differently_asked_for(const pipeline_definition& before,
                                                            const pipeline_definition& after) const;
  void take_over(other_version& with);
  void forget_row(const std::string& row);
  std::vector<std::string> forget_rows(std::vector<instance_id> forgotten);
  void begin_removal();
  void remove_some();
  void limit_time(runtime::wall_time start);
  [[nodiscard]] runtime::trace_context submitted_from() const;
  [[nodiscard]] std::int64_t began_at() const;
  void tell_span_of_end();
  void report(std::int64_t ended_before = 0);
  void tell_waiting(schemas::TaskStatus::Builder status, instance_id id) const;
  void put_labels(schemas::TaskStatus::Builder status, std::uint32_t task) const;
  void count(schemas::TaskState state, int by);
  void count_cached(const schemas::TaskStatus::Reader& row, int by);
  void count_waiting();
  [[nodiscard]] static std::string event_row(std::uint64_t sequence);
  void add_event(const schemas::TaskStatus::Reader* instance);
  void add_run_event(std::string_view reason);

  runtime::state_map<schemas::RunPinned> pinned_{*this, "pinned"};
  runtime::state_map<schemas::TaskStatus> instances_{*this, "instances"};
  runtime::state_map<schemas::RunEvent> events_{*this, "events"};
  runtime::state_map<schemas::ForgottenTask> forgotten_{*this, "forgotten"};
  runtime::state_map<schemas::CallbackAnswer> callbacks_{*this, "callbacks"};
  runtime::state_map<schemas::RunGang> gangs_{*this, "gangs"};
  const std::function<void(std::string_view)> log_;
  ascending_run_ids run_ids_;
  std::optional<run_graph> graph_;  // nothing when its definition cannot be used; then it is over
};

}  // namespace millrace::actors
