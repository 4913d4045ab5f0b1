// SPDX-License-Identifier: MIT
// The actor `task`: one instance of a task in a run, and its attempts.
//
// The decisions are `task_attempts`'; this stores them, and talks to the pool and the run. An
// attempt is stored before anybody else hears of it; its executor asks what it is to run.
#pragma once

#include <string>

#include "millrace/cache.capnp.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/result.h"
#include "millrace/runtime/state_map.h"
#include "task/task_attempts.h"

namespace millrace::actors {

class task_actor final : public schemas::task_base<schemas::TaskStored> {
public:
  runtime::async<> on_activate() override;
  runtime::async<> on_reminder(std::string name) override;

  runtime::async<> begin(begin_params params) override;
  runtime::async<> granted(granted_params params) override;
  runtime::async<> attempt_started(attempt_started_params params) override;
  runtime::async<> attempt_waits(attempt_waits_params params) override;
  runtime::async<> attempt_finished(attempt_finished_params params) override;
  runtime::async<> cancel(cancel_params params) override;
  runtime::async<> preempt(preempt_params params) override;
  runtime::async<> look_up(look_up_params params) override;
  runtime::async<describe_results> describe() override;
  runtime::async<> forget() override;
  runtime::async<attempt_spec_results> attempt_spec(attempt_spec_params params) override;

private:
  using kept_result = runtime::message<schemas::KeptResult>;
  static constexpr const char* spec_row = "spec";
  [[nodiscard]] schemas::TaskSpec::Reader spec() const;
  [[nodiscard]] std::string token(std::uint32_t attempt) const;
  [[nodiscard]] task_attempts attempts() const;
  enum class asked_by : std::uint8_t { itself, its_run };
  void record_queued(std::uint32_t attempt);
  void record_unstarted(schemas::AttemptEnd end, const std::string& text);
  [[nodiscard]] runtime::async<runtime::result<kept_result>> find_kept();
  void take(schemas::KeptResult::Reader result, const std::string& reason);
  void keep_result();
  [[nodiscard]] runtime::async<> ended_before_it_began();
  [[nodiscard]] runtime::async<> start_is_overdue();
  void apply(const task_attempts& after, const task_effects& effects, std::uint32_t attempt,
             asked_by pool_asked = asked_by::itself);
  void record_attempt(schemas::AttemptReport::Reader report, schemas::AttemptEnd end,
                      const std::string& text);
  void run_as_later_attempt();
  void adopt(schemas::AttemptReport::Reader report);
  void report();

  runtime::state_map<schemas::TaskSpec> spec_{*this, "spec"};
  runtime::state_map<schemas::Attempt> attempts_{*this, "attempts"};
};

}  // namespace millrace::actors
