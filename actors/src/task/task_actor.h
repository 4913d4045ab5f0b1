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
#include "task/actor_calls.h"
#include "task/task_attempts.h"

namespace millrace::actors {

class task_actor final : public schemas::task_base<schemas::TaskStored> {
public:
  /// `calls` outlives it; null: no actor can be called.
  explicit task_actor(const actor_calls* calls = nullptr) : calls_(calls) {}

  runtime::async<> on_activate() override;
  runtime::async<> on_reminder(std::string name) override;
  runtime::async<> on_timer(std::string name) override;

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
  runtime::async<> call_actor(call_actor_params params) override;

private:
  using kept_result = runtime::message<schemas::KeptResult>;
  static constexpr const char* spec_row = "spec";
  static constexpr const char* call_reminder = "call";
  [[nodiscard]] schemas::TaskSpec::Reader spec() const;
  [[nodiscard]] std::string token(std::uint32_t attempt) const;
  [[nodiscard]] task_attempts attempts() const;
  enum class asked_by : std::uint8_t { itself, its_run };
  void record_queued(std::uint32_t attempt);
  void record_unstarted(schemas::AttemptEnd end, const std::string& text);
  [[nodiscard]] runtime::async<runtime::result<kept_result>> find_kept();
  [[nodiscard]] runtime::async<std::string> take_over(schemas::KeptResult::Reader found);
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
  void finish(schemas::AttemptReport::Reader report);
  void begin_call(std::uint32_t attempt);
  void end_call(schemas::AttemptEnd end, const std::string& text);
  void take_answer(const runtime::method_info& method, const runtime::any_message& answer);
  [[nodiscard]] bool is_calling(std::uint32_t attempt) const;
  void call_is_overdue();
  [[nodiscard]] runtime::result<runtime::call_spec> prepared_call() const;
  [[nodiscard]] runtime::async<> make_call();
  void end_by_error(const runtime::error& why);
  [[nodiscard]] runtime::duration call_limit() const;
  void report();

  const actor_calls* calls_;
  runtime::state_map<schemas::TaskSpec> spec_{*this, "spec"};
  runtime::state_map<schemas::Attempt> attempts_{*this, "attempts"};
};

}  // namespace millrace::actors
