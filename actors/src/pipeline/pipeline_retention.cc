// SPDX-License-Identifier: MIT
// How long a pipeline keeps what it has: ended runs, and itself.
#include "pipeline/pipeline_actor.h"

#include "definition/compiled.h"
#include "millrace/cache.capnp.actor.h"
#include "millrace/schedule.capnp.actor.h"
#include "pipeline/pipeline_rows.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::ref;

namespace {
constexpr std::uint32_t versions_at_once = 1'000;                      // of a removal
constexpr runtime::duration removal_retry = std::chrono::seconds{30};  // after a restart
}  // namespace

run_retention pipeline_actor::retention() const {
  if (!definition_retention_) {
    const auto stored = versions_.get(version_row(state().getLatestVersion()));
    definition_retention_ = stored ? retention_of(stored->getCompiled()) : run_retention{};
  }
  return definition_retention_->or_else(kept_);
}

void pipeline_actor::look_for_old_runs() {
  if (state().getEndedRuns() > 0 || state().getRemoving()) {
    set_timer(retention_timer, run_retention::removal_interval);
  }
}

void pipeline_actor::look_again_at(runtime::wall_time due) {
  if (reminder_due(retention_timer) != due) {
    set_reminder(retention_timer, due);
  }
}

async<> pipeline_actor::on_timer(std::string name) {
  if (name == turns_timer) {
    begin_waiting();
  } else {
    co_await expire_old_runs();
  }
}

async<> pipeline_actor::on_reminder(std::string) {
  co_await expire_old_runs();
}

// Tells the runs that have ended longest to go, as many as are too many or too old; when those are
// gone, the next. Otherwise sees to it that it looks again when the next is old enough.
async<> pipeline_actor::expire_old_runs() {
  if (state().getRemoving()) {
    co_await remove_some();
    co_return;
  }
  const auto kept = retention();
  if ((!kept.runs && !kept.age) || state().getEndedRuns() == 0) {
    co_return;
  }
  if (!expiring_.empty()) {
    look_for_old_runs();
    co_return;
  }
  const auto oldest = co_await ended_.page({}, run_retention::removed_at_once);
  const auto count = state().getEndedRuns();
  auto too_many = kept.runs ? count - std::min<std::uint64_t>(count, *kept.runs) : 0;
  const auto too_old = kept.age ? nanoseconds(now()) - kept.age->count() : 0;
  for (const auto& each : oldest.entries) {
    const auto finished_at = std::stoll(each.key.substr(0, pipeline_time_digits));
    if (too_many == 0 && finished_at > too_old) {
      if (kept.age) {
        look_again_at(runtime::wall_time{runtime::duration{finished_at}} + *kept.age);
      }
      break;
    }
    too_many -= std::min<std::uint64_t>(too_many, 1);
    expire(each.content.read());
  }
  if (!expiring_.empty()) {
    look_for_old_runs();
  }
}

void pipeline_actor::expire(schemas::RunSummary::Reader run) {
  const auto id = text_of(run.getId());
  expiring_.insert(id);
  send(ref<schemas::Run>(id).expire());
}

// --- removal -------------------------------------------------------------------------------------

async<> pipeline_actor::remove(remove_params params) {
  if (!is_known()) {
    co_await runtime::fail(unknown());
  }
  if (const auto latest = state().getLatestVersion();
      params.if_version() != 0 && params.if_version() != latest) {
    co_await runtime::fail(errc::conflict, "the latest version of pipeline '" + pipeline() +
                                               "' is " + std::to_string(latest) + ", not " +
                                               std::to_string(params.if_version()) +
                                               "; get it, and see whether it is still to go");
  }
  if (!active_.empty()) {
    auto why = "pipeline '" + pipeline() + "' has runs that have not ended; cancel them first";
    if (state().getSchedules() > 0) {
      why += ", after `millrace schedule pause " + pipeline() + "`, or others may begin meanwhile";
    }
    co_await runtime::fail(errc::failed_precondition, why);
  }
  tell_triggers({});
  forget_started_for({});
  settle_watches({});
  edit().setRemoving(true);
  if (state().getSchedules() > 0) {
    edit().setSchedules(0);
    send(ref<schemas::Schedule>(key()).apply(schemas::schedule_interface::apply_params{}));
  }
  send(ref<schemas::Project>(project()).remove(pipeline()));
  send(ref<schemas::ResultCache>(key()).clear(std::string{}));
  remove_later();
}

void pipeline_actor::remove_later() {
  set_timer(retention_timer, run_retention::removal_interval);
  look_again_at(now() + removal_retry);
}

// The next step: runs that have ended are told to go, then older versions, then the rest. The
// reminder makes one after a restart, the timer the others.
async<> pipeline_actor::remove_some() {
  auto is_left = !expiring_.empty() || !active_.empty();  // one may have been retried meanwhile
  if (expiring_.empty()) {
    const auto oldest = co_await ended_.page({}, run_retention::removed_at_once);
    for (const auto& each : oldest.entries) {
      expire(each.content.read());
    }
    is_left = is_left || !oldest.entries.empty();
  }
  if (!is_left) {
    const auto versions = co_await older_versions_.page({}, versions_at_once);
    for (const auto& each : versions.entries) {
      older_versions_.erase(each.key);
    }
    is_left = versions.more;
  }
  if (is_left) {
    remove_later();
    co_return;
  }
  // Others may wait for the next pipeline of this name.
  std::vector<std::pair<std::string, schemas::TriggerEvent>> kept;
  subscribers_.for_each([&](std::string_view name, schemas::Subscriber::Reader subscriber) {
    kept.emplace_back(name, subscriber.getOn());
    return true;
  });
  erase_state();
  for (const auto& [name, on] : kept) {
    subscribers_.edit(name).setOn(on);
  }
  definition_retention_.reset();
}

}  // namespace millrace::actors
