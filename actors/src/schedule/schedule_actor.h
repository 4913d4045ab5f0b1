// SPDX-License-Identifier: MIT
// The actor `schedule`: the schedules of one pipeline. The decisions are `schedule_plan`'s; this
// keeps what has been seen to, starts runs through the pipeline and shows what became of firings.
//
// That a firing has been seen to is stored in the commit that stores the send which submits its
// run, so a crash leaves both or neither, and the send takes effect once: each firing starts one
// run.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "millrace/actors/schedule.h"
#include "millrace/runtime/paged_map.h"
#include "millrace/runtime/state_map.h"
#include "millrace/schedule.capnp.actor.h"
#include "schedule/schedule_figures.h"
#include "schedule/schedule_plan.h"

namespace millrace::actors {

class schedule_actor final : public schemas::schedule_base<schemas::ScheduleRoot> {
public:
  /// `figures` outlives the silo.
  explicit schedule_actor(schedule_figures& figures) : figures_(figures) {}

  runtime::async<> on_activate() override;
  runtime::async<> on_reminder(std::string name) override;

  runtime::async<> apply(apply_params params) override;
  runtime::async<list_results> list() override;
  runtime::async<describe_results> describe(describe_params params) override;
  runtime::async<pause_results> pause(pause_params params) override;
  runtime::async<resume_results> resume(resume_params params) override;
  runtime::async<trigger_results> trigger(trigger_params params) override;
  runtime::async<> run_told(run_told_params params) override;
  runtime::async<> run_removed(run_removed_params params) override;
  runtime::async<backfill_results> backfill(backfill_params params) override;
  runtime::async<backfills_results> backfills() override;
  runtime::async<cancel_backfill_results> cancel_backfill(cancel_backfill_params params) override;
  runtime::async<> go_on(go_on_params params) override;

private:
  static constexpr const char* due_reminder = "due";

  // A schedule as it is worked with.
  struct working {
    schedule_definition definition;
    timetable times;
  };

  // Why a firing is.
  enum class cause : std::uint8_t { on_time, made_up, triggered };

  [[nodiscard]] std::string project() const { return key().substr(0, key().find('/')); }
  [[nodiscard]] std::string pipeline() const { return key().substr(key().find('/') + 1); }
  [[nodiscard]] std::string name_in_cluster(const std::string& name) const {
    return key() + "/" + name;
  }
  [[nodiscard]] runtime::error unknown(std::string_view name) const;
  [[nodiscard]] runtime::result<std::vector<std::string>> named(std::string_view name) const;
  [[nodiscard]] const working& work_of(const std::string& name);
  void put(const std::string& name, schemas::CompiledSchedule::Reader definition);
  void remove(const std::string& name);
  void look();
  std::size_t fire_due(const std::string& name, std::size_t most,
                       std::optional<runtime::wall_time>& again);
  void fire(const std::string& name, runtime::wall_time nominal, runtime::wall_time due, cause why);
  void start(const std::string& name, std::int64_t nominal, runtime::wall_time due);
  [[nodiscard]] std::vector<std::string> ready(const std::string& name) const;
  void start_waiting(const std::string& name);
  [[nodiscard]] bool erase_gone();
  void skip(const std::string& name, std::int64_t nominal, const std::string& reason);
  [[nodiscard]] schemas::Firing::Builder firing(const std::string& name, std::int64_t nominal);
  void show(schemas::ScheduleStatus::Builder into, const std::string& name);
  void show(capnp::List<schemas::NextFiring>::Builder into, const std::string& name,
            const std::vector<runtime::wall_time>& nominals);
  void put_past(const std::string& name, std::int64_t nominal, const std::string& run,
                schemas::RunState state);

  // Backfills, in schedule_backfill.cc.
  runtime::async<std::vector<runtime::wall_time>> wanted_of(
      std::string name, std::vector<runtime::wall_time> nominals, schemas::Reprocess reprocess);
  void start_of_backfill(const std::string& id, const std::string& name, std::int64_t nominal);
  void told_of_backfill(const std::string& id, const std::string& run, schemas::RunState state);
  void end_backfill(const std::string& id, schemas::BackfillState end);
  void end_backfills_of(const std::string& name);
  void forget_old_backfills();

  runtime::state_map<schemas::ScheduleRecord> schedules_{*this, "schedules"};
  runtime::state_map<schemas::WaitingFiring> waiting_{*this, "waiting"};
  runtime::state_map<schemas::ScheduledRun> active_{*this, "active"};
  runtime::state_map<schemas::Firing> firings_{*this, "firings"};
  runtime::state_map<schemas::Backfill> backfills_{*this, "backfills"};  // by id, padded
  runtime::state_map<schemas::ScheduledRun> backfill_runs_{*this, "backfill_runs"};
  runtime::paged_map<schemas::PastRun> past_{*this, "past"};
  std::map<std::string, working> working_;  // made when it is first needed
  schedule_figures& figures_;
};

}  // namespace millrace::actors
