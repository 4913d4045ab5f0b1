// SPDX-License-Identifier: MIT
// One silo with several executors, each with files of its own, by a clock that tests move.
#pragma once

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "actors/pipeline/fixture.h"
#include "executor/blobs_elsewhere.h"
#include "executor/executor_actor.h"
#include "executor/pool_member.h"
#include "executor/process_executor.h"
#include "millrace/testing/hand_clock.h"
#include "pipeline/names.h"
#include "pipeline/pipeline_actor.h"
#include "pool/pool_actor.h"
#include "project/project_actor.h"
#include "run/run_actor.h"
#include "task/task_actor.h"

namespace millrace::actors::testing {

/// What `pipeline_host` is on a silo of a cluster: one executor, which can be cut off and can die.
class member {
public:
  member(std::string id, const std::filesystem::path& data, std::uint32_t slots,
         const lease_timing& timing, pool_names pools, runtime::silo& home)
      : id_(std::move(id)),
        jobs_(home.time()),
        name_(data),
        reports_(home, jobs_, data, [](std::string_view) {}) {
    auto opened = process_executor::open(
        {.data_directory = data, .slots = slots, .elsewhere = blobs_by(home)}, home.time(), jobs_);
    REQUIRE_MESSAGE(opened, (opened ? std::string{} : opened.error().to_string()));
    attempts_ = *std::move(opened);
    front_.emplace(
        id_, timing, resource_amounts{}, std::move(pools), "127.0.0.1", name_, *attempts_,
        [this](std::string_view token) { attempts_->keep_slot(token); }, reports_, jobs_, home);
  }
  member(const member&) = delete;
  member& operator=(const member&) = delete;
  ~member() { die(); }

  void join() {
    REQUIRE(front_->join());
    jobs_.run();
  }
  /// As `kill -9` of its silo does: what runs ends, and nobody hears of it.
  void die() {
    jobs_.stop();
    for (const auto& each : attempts_->list()) {
      static_cast<void>(attempts_->processes().kill(each.token));
    }
    attempts_->stop();
  }
  /// The clock has moved: does what is due, if it lives, and comes back once that is done.
  void look() {
    if (jobs_.stopping()) {
      return;
    }
    std::promise<void> done;
    jobs_.post([&] { jobs_.post([&] { done.set_value(); }); });  // behind what is due
    done.get_future().wait();
  }
  [[nodiscard]] pool_member& front() { return *front_; }
  [[nodiscard]] process_executor& attempts() { return *attempts_; }

private:
  const std::string id_;
  worker jobs_;
  executor_name name_;
  report_delivery reports_;
  std::unique_ptr<process_executor> attempts_;
  std::optional<pool_member> front_;
};

/// Its silo is called `silo`, its executors `silo/a`, `silo/b` and so on.
class several_executors {
public:
  /// `places`: where one of them has its files, else in `folder`; `pools`: that one belongs to.
  explicit several_executors(std::initializer_list<const char*> names, std::uint32_t slots = 2,
                             const std::map<std::string, std::filesystem::path>& places = {},
                             const std::map<std::string, pool_names>& pools = {}) {
    auto rows = runtime::open_storage(
        {.directory = (folder.path / "rows").string(), .map_bytes = std::size_t{1} << 30U});
    REQUIRE(rows);
    silo = std::make_unique<runtime::silo>(*std::move(rows), runtime::silo_options{}, time);
    silo->add_filter([this](runtime::incoming_call& call) { return counted(call); });
    silo->add<project_actor>();
    silo->add<pipeline_actor>([]() -> std::unique_ptr<pipeline_actor> {
      return std::make_unique<pipeline_actor>(run_retention{});
    });
    silo->add<run_actor>();
    silo->add<task_actor>();
    silo->add<pool_actor>([this]() -> std::unique_ptr<pool_actor> {
      return std::make_unique<pool_actor>(time, timing, figures);
    });
    silo->add<executor_actor>([this]() -> std::unique_ptr<executor_actor> {
      return std::make_unique<executor_actor>([this](std::string_view id) -> attempt_runner& {
        return members.find(id)->second->front();
      });
    });
    for (const auto* name : names) {
      const auto id = "silo/" + std::string{name};
      const auto place = places.find(name);
      const auto of = pools.find(name);
      members[id] = std::make_unique<member>(
          id, place != places.end() ? place->second : folder.path / name, slots, timing,
          of != pools.end() ? of->second : pool_names{std::string{default_pool}}, *silo);
    }
    REQUIRE(silo->start());
    for (auto& [id, each] : members) {
      each->join();
    }
  }
  several_executors(const several_executors&) = delete;
  several_executors& operator=(const several_executors&) = delete;
  ~several_executors() {
    for (auto& [id, each] : members) {
      each->die();
    }
    silo->stop();
  }

  std::string submit(const std::string& text) { return submit_to(*silo, random_, text); }
  [[nodiscard]] schemas::task_interface::describe_results task(const std::string& run,
                                                               const std::string& name) const {
    auto answer = silo->call(runtime::ref<schemas::Task>(run + "/" + name).describe());
    REQUIRE(answer);
    return *std::move(answer);
  }
  /// Asks until the task, which has begun, is in that state.
  void wait_until(const std::string& run, const std::string& name, schemas::TaskState state) const {
    node::eventually([&] {
      const auto answer = silo->call(runtime::ref<schemas::Task>(run + "/" + name).describe());
      return answer && answer->state() == state;
    });
  }
  [[nodiscard]] schemas::RunState wait(const std::string& run) const {
    auto state = schemas::RunState::RUNNING;
    node::eventually([&] {
      const auto answer = silo->call(runtime::ref<schemas::Run>(run).status());
      state = answer ? answer->run().getState() : state;
      return state != schemas::RunState::RUNNING;
    });
    return state;
  }
  [[nodiscard]] std::uint32_t slots() const {
    const auto answer = silo->call(runtime::ref<schemas::Pool>(std::string{pool_key}).status());
    REQUIRE(answer);
    return answer->slots();
  }

  /// Refuses the calls that it says, and sees all of them, each as `type.method` too.
  void refuse(std::function<bool(const std::string&, runtime::incoming_call&)> which) {
    const std::lock_guard lock{mutex_};
    refused_ = std::move(which);
  }
  void cut_off(const std::string& id) {
    const std::lock_guard lock{mutex_};
    cut_.insert(id);
  }
  void connect(const std::string& id) {
    const std::lock_guard lock{mutex_};
    cut_.erase(id);
  }
  /// Lets time pass; those of `alive` renew their leases meanwhile.
  void pass(runtime::duration whole, const std::set<std::string>& alive) {
    for (; whole > runtime::duration{}; whole -= timing.renewed_every) {
      std::map<std::string, std::size_t> before;
      {
        const std::lock_guard lock{mutex_};
        before = renewals_;
      }
      time.move(timing.renewed_every);
      silo->time_changed();
      for (auto& [id, each] : members) {
        each->look();
      }
      node::eventually([&] {
        const std::lock_guard lock{mutex_};
        return std::all_of(alive.begin(), alive.end(),
                           [&](const auto& id) { return renewals_[id] > before[id]; });
      });
      static_cast<void>(slots());  // its answer comes after theirs
    }
  }

  temporary_folder folder;
  millrace::testing::hand_clock time;
  lease_timing timing;
  pool_figures figures;
  std::unique_ptr<runtime::silo> silo;
  std::map<std::string, std::unique_ptr<member>, std::less<>> members;

private:
  // Nothing of an executor that is cut off arrives at the pool.
  runtime::async<runtime::any_message> counted(runtime::incoming_call& call) {
    {
      const std::lock_guard lock{mutex_};
      const std::string type{call.interface().type};
      if (refused_ && refused_(type + "." + std::string{call.method().name}, call)) {
        return refused();
      }
    }
    if (call.interface().type != "pool" ||
        (call.method().name != "renew" && call.method().name != "join" &&
         call.method().name != "leave")) {
      return call.proceed();
    }
    const auto executor = executor_in(call);
    {
      const std::lock_guard lock{mutex_};
      if (cut_.contains(executor)) {
        return refused();
      }
      renewals_[executor] += call.method().name == "renew" ? 1 : 0;
    }
    return call.proceed();
  }
  static runtime::async<runtime::any_message> refused() {
    co_return runtime::error{runtime::errc::unavailable, "cut off"};
  }
  // All of them have it as their first parameter.
  static std::string executor_in(runtime::incoming_call& call) {
    return call.params().reader<schemas::Pool::RenewParams>().getExecutor().cStr();
  }

  runtime::rng random_;
  std::mutex mutex_;
  std::set<std::string> cut_;
  std::function<bool(const std::string&, runtime::incoming_call&)> refused_;
  std::map<std::string, std::size_t> renewals_;
};

}  // namespace millrace::actors::testing
