// SPDX-License-Identifier: MIT
// The actor `task`: one instance of a task in a run, and its attempts.
//
// waiting -> queued -> running -> succeeded, or back to queued through backing_off, or a bad end.
// An attempt is stored before its executor hears of it, and reports of any but the latest attempt
// are ignored, so exactly one attempt's result counts.
#pragma once

#include <string>

#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/state_map.h"

namespace millrace::actors {

class task_actor final : public schemas::task_base<schemas::TaskStored> {
public:
  runtime::async<> on_reminder(std::string name) override;

  runtime::async<> begin(begin_params params) override;
  runtime::async<> granted(granted_params params) override;
  runtime::async<> attempt_started(attempt_started_params params) override;
  runtime::async<> attempt_finished(attempt_finished_params params) override;
  runtime::async<> cancel(cancel_params params) override;
  runtime::async<describe_results> describe() override;

private:
  [[nodiscard]] schemas::TaskSpec::Reader spec() const;
  [[nodiscard]] std::string token(std::uint32_t attempt) const;
  void queue();
  void end(schemas::TaskState state, const std::string& reason);
  void after_failure(schemas::TaskState state, const std::string& reason);
  void record_attempt(schemas::AttemptReport::Reader report);
  void report();

  runtime::state_map<schemas::TaskSpec> spec_{*this, "spec"};
  runtime::state_map<schemas::Attempt> attempts_{*this, "attempts"};
};

}  // namespace millrace::actors
