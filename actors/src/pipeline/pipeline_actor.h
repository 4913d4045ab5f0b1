// SPDX-License-Identifier: MIT
// The actor `pipeline`: versions and the list of runs.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/actors/definition.h"
#include "millrace/actors/params.h"
#include "millrace/actors/retention.h"
#include "millrace/actors/run_id.h"
#include "millrace/actors/schedule.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/paged_map.h"
#include "millrace/runtime/state_map.h"
#include "pipeline/run_turns.h"
#include "schedule/schedule_figures.h"

namespace millrace::actors {

/// A definition in versions, and what ran of it. Neither runs that have ended nor older versions
/// are kept in memory, so that a submission costs the same whatever the history.
class pipeline_actor final : public schemas::pipeline_base<schemas::PipelineState> {
public:
  /// `log` gets a line when a version is given up; may be empty. `figures` may be null, and
  /// outlives the silo.
  explicit pipeline_actor(run_retention kept = {}, std::function<void(std::string_view)> log = {},
                          schedule_figures* figures = nullptr)
      : kept_(kept), log_(std::move(log)), figures_(figures) {}

  runtime::async<> on_activate() override;
  runtime::async<> on_timer(std::string name) override;
  runtime::async<> on_reminder(std::string name) override;

  runtime::async<apply_results> apply(apply_params params) override;
  runtime::async<describe_results> describe(describe_params params) override;
  runtime::async<submit_results> submit(submit_params params) override;
  runtime::async<submit_new_results> submit_new(submit_new_params params) override;
  runtime::async<runs_results> runs(runs_params params) override;
  runtime::async<> run_ended(run_ended_params params) override;
  runtime::async<> run_removed(run_removed_params params) override;
  runtime::async<> submit_scheduled(submit_scheduled_params params) override;
  runtime::async<> limit_runs(limit_runs_params params) override;
  runtime::async<> remove(remove_params params) override;
  runtime::async<> pause(pause_params params) override;
  runtime::async<> resume() override;
  runtime::async<rollback_results> rollback(rollback_params params) override;
  runtime::async<> revert(revert_params params) override;
  runtime::async<> submit_child(submit_child_params params) override;
  runtime::async<> subscribe(subscribe_params params) override;
  runtime::async<> triggered(triggered_params params) override;
  runtime::async<> withdraw_child(withdraw_child_params params) override;
  runtime::async<activity_results> activity() override;
  runtime::async<webhook_results> webhook(webhook_params params) override;
  runtime::async<compiled_results> compiled(compiled_params params) override;
  runtime::async<> version_found(version_found_params params) override;

private:
  static constexpr const char* retention_timer = "retention";
  static constexpr const char* turns_timer = "turns";
  using summary = runtime::message<schemas::RunSummary>;
  using version_record = runtime::message<schemas::PipelineVersion>;
  struct run_page;
  // What a run is begun with.
  struct chosen_version {
    std::uint32_t number = 0;
    std::optional<version_record> older = {};  // than the latest; it is compiled
  };
  // Of a run that begins.
  struct turn {
    std::string group;
    std::string waits_for;  // for a person; empty: it goes on at once
  };

  [[nodiscard]] std::string project() const { return key().substr(0, key().find('/')); }
  [[nodiscard]] std::string pipeline() const { return key().substr(key().find('/') + 1); }
  [[nodiscard]] bool is_known() const {
    return state().getLatestVersion() > 0 && !state().getRemoving();
  }
  [[nodiscard]] runtime::error unknown() const;
  void take(const pipeline_definition& definition, const std::string& canonical,
            const std::string& origin);
  [[nodiscard]] runtime::result<void> compile_stored(std::uint32_t version);
  [[nodiscard]] runtime::error no_version(std::uint32_t version) const;
  [[nodiscard]] runtime::async<std::optional<version_record>> stored_version(std::uint32_t version);
  [[nodiscard]] runtime::async<chosen_version> version_numbered(std::uint32_t version);
  [[nodiscard]] runtime::async<std::uint32_t> go_back_to(std::uint32_t version, std::string why);
  void tell_triggers(const std::vector<trigger_definition>& triggers);
  void tell_subscribers(const run_ended_params& ended);
  void not_triggered(const std::string& by, const std::string& why) const;
  // What the newest runs that a webhook has started were for.
  [[nodiscard]] bool has_started_for(const std::string& webhook, std::string_view once_for) const;
  void note_started_for(const std::string& webhook, const std::string& once_for);
  void forget_started_for(const std::vector<webhook_definition>& left);
  void judge_version(std::uint32_t version, schemas::RunState end);
  [[nodiscard]] std::optional<concurrency_definition> concurrency() const;
  [[nodiscard]] runtime::result<turn> turn_of(const bound_params& params, const std::string& run);
  void begin_waiting();
  void put_older_versions_away();
  [[nodiscard]] std::optional<runtime::error> refusal(const apply_params& params) const;
  [[nodiscard]] runtime::async<std::optional<std::uint32_t>> version_of(std::string run);
  [[nodiscard]] runtime::async<std::optional<runtime::error>> refusal_by_quota();
  // What starts a run other than a person: a firing, or a run that has it as a task.
  struct run_starter {
    std::string schedule = {};  // empty: none
    std::int64_t scheduled_at = 0;
    std::string backfill = {};
    std::string parent = {};  // empty: none
    std::string parent_task = {};
    std::uint32_t depth = 0;
    std::string triggered_by = {};  // empty: no run
    std::string webhook = {};       // empty: none
    std::string watch = {};         // empty: none
    std::optional<runtime::trace_context> place = {};
  };
  template <class Params>
  [[nodiscard]] runtime::result<void> begin_run(const Params& params, const std::string& run,
                                                const run_starter& of, const chosen_version& with);
  [[nodiscard]] runtime::result<void> begin_scheduled(const run_starter& of,
                                                      const std::string& run);
  void tell_schedules();

  // Watches, in pipeline_watches.cc.
  [[nodiscard]] std::optional<schemas::CompiledWatch::Reader> watch_of_latest(
      std::string_view name) const;
  void settle_watches(const std::vector<watch_definition>& wanted);
  [[nodiscard]] runtime::result<void> begin_check(const run_starter& of, const std::string& run,
                                                  schemas::CompiledWatch::Reader watch);
  runtime::async<> check_ended(run_ended_params params);
  void show_watches(activity_results& into) const;

  void add_active(run_page& page) const;
  runtime::async<> add_ended(run_page& page);
  [[nodiscard]] run_retention retention() const;
  void look_for_old_runs();
  void look_again_at(runtime::wall_time due);
  runtime::async<> expire_old_runs();
  void expire(schemas::RunSummary::Reader run);
  void remove_later();
  runtime::async<> remove_some();

  runtime::state_map<schemas::PipelineVersion> versions_{*this, "versions"};  // the latest only
  runtime::paged_map<schemas::PipelineVersion> older_versions_{*this, "older_versions"};
  runtime::state_map<schemas::RunSummary> active_{*this, "active"};
  runtime::state_map<schemas::Subscriber> subscribers_{*this, "subscribers"};
  runtime::state_map<schemas::TriggerValue> started_for_{*this, "started_for"};
  runtime::state_map<schemas::WatchRecord> watches_{*this, "watches"};
  runtime::state_map<schemas::WatchSeen> seen_{*this, "seen"};
  runtime::paged_map<schemas::RunSummary> runs_{*this, "runs"};
  runtime::paged_map<schemas::RunSummary> ended_{*this, "ended"};
  const run_retention kept_;
  const std::function<void(std::string_view)> log_;
  schedule_figures* const figures_;
  run_turns turns_;                                            // as the rows of `active_` say
  mutable std::optional<run_retention> definition_retention_;  // of the latest version, once read
  std::set<std::string> expiring_;  // have been told, and have not answered by `run_removed`
  ascending_run_ids run_ids_;
};

}  // namespace millrace::actors
