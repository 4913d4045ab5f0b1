// SPDX-License-Identifier: MIT
#include "millrace/actors/pipeline_host.h"

#include <algorithm>

#include "access/access_actor.h"
#include "access/audit_actor.h"
#include "cache/cache_actor.h"
#include "executor/blobs_elsewhere.h"
#include "executor/executor_actor.h"
#include "executor/executor_name.h"
#include "executor/offered_resources.h"
#include "executor/pool_member.h"
#include "executor/process_executor.h"
#include "executor/report_delivery.h"
#include "executor/silo_control_actor.h"
#include "executor/worker.h"
#include "pipeline/names.h"
#include "pipeline/pipeline_actor.h"
#include "pool/pool_actor.h"
#include "project/project_actor.h"
#include "run/run_actor.h"
#include "schedule/schedule_actor.h"
#include "secrets/secrets_actor.h"
#include "task/task_actor.h"

namespace millrace::actors {

namespace fs = std::filesystem;
using runtime::result;

class pipeline_host::impl {
public:
  impl(pipeline_host_options options, runtime::silo& home)
      : options_(std::move(options)),
        home_(home),
        id_(options_.executor_id.empty() ? home.name() : options_.executor_id),
        name_(options_.data_directory / "executor"),
        calls_([&home] { return home.types(); }, options_.callable_types),
        jobs_(home.time()),
        reports_(home, jobs_, options_.data_directory, options_.warn) {}
  impl(const impl&) = delete;
  impl& operator=(const impl&) = delete;
  ~impl() { stop(); }

  result<void> open() {
    const auto& silo = home_.name();
    const auto& id = id_;
    if (id != silo && !id.starts_with(silo + "/")) {
      return runtime::error{
          runtime::errc::invalid_argument,
          "the executor '" + id + "' does not begin with its silo's name, '" + silo + "'"};
    }
    auto opened =
        process_executor::open({.data_directory = options_.data_directory,
                                .slots = options_.slots,
                                .disk_reserve_bytes = options_.disk_reserve_bytes,
                                .secrets = options_.secrets,
                                .spans = home_.trace().sink,
                                .warn = [this](std::string_view line) { reports_.warn(line); },
                                .elsewhere = blobs_by(home_)},
                               home_.time(), jobs_);
    if (!opened) {
      return std::move(opened).error();
    }
    executor_ = *std::move(opened);
    member_.emplace(
        id, options_.lease, offered_resources(options_.resources), options_.pools, options_.host,
        name_, *executor_, [this](std::string_view token) { executor_->keep_slot(token); },
        reports_, jobs_, home_);
    home_.add<access_actor>();
    home_.add<audit_actor>();
    home_.add<cache_actor>();
    home_.add<project_actor>();
    home_.add<secrets_actor>(
        [keys = options_.secrets.keys, log = options_.log]() -> std::unique_ptr<secrets_actor> {
          return std::make_unique<secrets_actor>(keys, log);
        });
    home_.add<pipeline_actor>(
        [this, kept = options_.retention, log = options_.log]() -> std::unique_ptr<pipeline_actor> {
          return std::make_unique<pipeline_actor>(kept, log, &schedules_);
        });
    home_.add<schedule_actor>([this]() -> std::unique_ptr<schedule_actor> {
      return std::make_unique<schedule_actor>(schedules_);
    });
    home_.add<run_actor>([log = options_.log]() -> std::unique_ptr<run_actor> {
      return std::make_unique<run_actor>(log);
    });
    home_.add<task_actor>(
        [this]() -> std::unique_ptr<task_actor> { return std::make_unique<task_actor>(&calls_); });
    home_.add<pool_actor>(
        [this, time = &home_.time(), lease = options_.lease]() -> std::unique_ptr<pool_actor> {
          return std::make_unique<pool_actor>(*time, lease, pool_);
        });
    home_.add<executor_actor>([this]() -> std::unique_ptr<executor_actor> {
      return std::make_unique<executor_actor>(
          [this](std::string_view) -> attempt_runner& { return *member_; });
    });
    home_.add<silo_control_actor>([this]() -> std::unique_ptr<silo_control_actor> {
      return std::make_unique<silo_control_actor>(home_,
                                                  [this](bool drains) { member_->drain(drains); });
    });
    return {};
  }

  result<void> join() {
    if (auto joined = member_->join(); !joined) {
      return joined;
    }
    jobs_.run();
    log_recovered();
    return {};
  }

  void stop() {
    jobs_.stop();
    if (executor_) {
      executor_->stop();
    }
  }

  process_executor& attempts() { return *executor_; }
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const fs::path& data() const { return options_.data_directory; }
  [[nodiscard]] runtime::duration busy() const {
    return std::max(executor_->processes().stats().busy, jobs_.busy());
  }
  [[nodiscard]] std::optional<runtime::error> trouble() const { return reports_.trouble(); }
  [[nodiscard]] schedule_counts schedules() const { return schedules_.counts(); }
  [[nodiscard]] std::uint64_t preemptions() const { return pool_.preemptions; }

private:
  void log_recovered() const {
    const auto& left = executor_->processes().recovered();
    const auto ended = std::count_if(left.begin(), left.end(), [](const auto& each) {
      return each.found == recovered_attempt::state::ended;
    });
    if (options_.log && !left.empty()) {
      options_.log("took over from an earlier life attempts=" + std::to_string(left.size()) +
                   " ended=" + std::to_string(ended) +
                   " lost=" + std::to_string(static_cast<std::ptrdiff_t>(left.size()) - ended));
    }
  }

  const pipeline_host_options options_;
  runtime::silo& home_;
  const std::string id_;
  executor_name name_;
  schedule_figures schedules_;
  pool_figures pool_;
  const actor_calls calls_;
  worker jobs_;
  report_delivery reports_;
  std::unique_ptr<process_executor> executor_;
  std::optional<pool_member> member_;
};

pipeline_host::pipeline_host(std::unique_ptr<impl> body) : impl_(std::move(body)) {}
pipeline_host::~pipeline_host() = default;

result<std::unique_ptr<pipeline_host>> pipeline_host::open(pipeline_host_options options,
                                                           runtime::silo& home) {
  auto body = std::make_unique<impl>(std::move(options), home);
  if (auto opened = body->open(); !opened) {
    return std::move(opened).error();
  }
  return std::unique_ptr<pipeline_host>(new pipeline_host{std::move(body)});
}

result<void> pipeline_host::join() {
  return impl_->join();
}
void pipeline_host::stop() {
  impl_->stop();
}
std::string pipeline_host::token_of(std::string_view run, std::string_view task_instance,
                                    std::uint32_t attempt) {
  return attempt_token(run, task_instance, attempt);
}
attempt_logs pipeline_host::logs_of(std::string_view run, std::string_view task_instance,
                                    std::uint32_t attempt) const {
  const auto stem =
      (impl_->data() / "logs" / run / attempt_token(run, task_instance, attempt)).string();
  return {stem + ".stdout", stem + ".stderr"};
}
fs::path pipeline_host::workspace_of(std::string_view run) const {
  return impl_->data() / "workspaces" / run;
}
const std::string& pipeline_host::executor_id() const {
  return impl_->id();
}
executor& pipeline_host::attempts() {
  return impl_->attempts();
}
process_supervisor& pipeline_host::processes() {
  return impl_->attempts().processes();
}
runtime::duration pipeline_host::busy() const {
  return impl_->busy();
}
std::uint64_t pipeline_host::preemptions() const {
  return impl_->preemptions();
}

schedule_counts pipeline_host::schedules() const {
  return impl_->schedules();
}
std::optional<runtime::error> pipeline_host::trouble() const {
  return impl_->trouble();
}

}  // namespace millrace::actors
