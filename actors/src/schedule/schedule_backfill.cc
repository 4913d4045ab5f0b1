// SPDX-License-Identifier: MIT
// Backfills: runs for times of a schedule that have passed, a few at a time. What has been seen to
// is stored with the sends that submit the runs, as of firings; each step is a send to itself, so
// that a backfill goes on wherever the actor lives.
#include <algorithm>
#include <map>

#include "millrace/actors/name_rule.h"
#include "millrace/actors/run_id.h"
#include "millrace/pipeline.capnp.actor.h"
#include "pipeline/names.h"
#include "schedule/schedule_actor.h"
#include "schedule/schedule_rows.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::wall_time;
using schemas::BackfillState;
using schemas::Reprocess;
using schemas::RunState;

namespace {

// Of one backfill; more are several.
constexpr std::size_t backfill_times_max = 10'000;
constexpr std::size_t backfills_running_max = 10;
constexpr std::size_t backfills_kept_max = 100;
constexpr std::uint32_t backfill_parallel_max = 100;
constexpr std::size_t times_told_max = 1'000;
// Times that one step looks at, and past runs in one read.
constexpr std::size_t times_at_once = 100;
constexpr std::size_t past_at_once = 1'000;

std::string backfill_row(std::string_view id) {
  return id.size() < row_digits ? std::string(row_digits - id.size(), '0') + std::string{id}
                                : std::string{id};
}

bool is_wanted(Reprocess reprocess, const std::optional<RunState>& past) {
  return !past || reprocess == Reprocess::ALL ||
         (reprocess == Reprocess::FAILED && *past != RunState::SUCCEEDED &&
          *past != RunState::RUNNING);
}

}  // namespace

// Those of the times that are to have a run, by what their latest ones have come to.
async<std::vector<wall_time>> schedule_actor::wanted_of(std::string name,
                                                        std::vector<wall_time> nominals,
                                                        Reprocess reprocess) {
  std::map<std::string, RunState> past;  // by row of the time: the latest, since ids sort by time
  const auto end = row_of(name, nanoseconds(nominals.back())) + "0";  // behind its slash
  for (auto from = row_of(name, nanoseconds(nominals.front())); from < end;) {
    const auto page = co_await past_.page(from, past_at_once);
    for (const auto& each : page.entries) {
      past[each.key.substr(0, each.key.rfind('/'))] = each.content.read().getState();
    }
    from = page.more ? page.entries.back().key + '\0' : end;
  }
  std::erase_if(nominals, [&](wall_time nominal) {
    const auto found = past.find(row_of(name, nanoseconds(nominal)));
    return !is_wanted(reprocess, found == past.end() ? std::nullopt : std::optional{found->second});
  });
  co_return nominals;
}

async<schedule_actor::backfill_results> schedule_actor::backfill(backfill_params params) {
  const std::string name{params.name()};
  const auto wanted = params.request();
  const auto from = time_of(wanted.getFrom());
  const auto to = time_of(wanted.getTo());
  if (!schedules_.contains(name)) {
    co_return unknown(name);
  }
  if (schedules_.get(name)->getDefinition().getWatch()) {
    co_return error{errc::failed_precondition,
                    "'" + name + "' is a watch: it knows no versions of times that have passed"};
  }
  const bool has_range = wanted.getFrom() > 0 && wanted.getTo() > 0;
  if (!has_range || to < from || to > now()) {
    co_return error{errc::invalid_argument,
                    !has_range  ? "a backfill needs `from` and `to`, after 1970-01-01T00:00:00Z"
                    : to < from ? "`to` is before `from`"
                                : "`to` lies in the future: the schedule itself sees to that"};
  }
  if (wanted.getMaxParallel() > backfill_parallel_max) {
    co_return error{errc::invalid_argument,
                    "`max_parallel` is at most " + std::to_string(backfill_parallel_max)};
  }
  std::size_t going = 0;
  backfills_.for_each([&going](std::string_view, schemas::Backfill::Reader each) {
    going += each.getState() == BackfillState::RUNNING ? 1 : 0;
    return true;
  });
  if (going >= backfills_running_max && !wanted.getDryRun()) {
    co_return error{errc::failed_precondition, std::to_string(going) +
                                                   " backfills of this pipeline go on, which is "
                                                   "the most; wait, or cancel one"};
  }
  auto nominals = work_of(name).times.next(from - runtime::duration{1}, backfill_times_max + 1);
  std::erase_if(nominals, [to](wall_time each) { return each > to; });
  if (nominals.empty() || nominals.size() > backfill_times_max) {
    co_return error{errc::invalid_argument,
                    nominals.empty() ? "the schedule has no time from `from` to `to`"
                                     : "there are more than " + std::to_string(backfill_times_max) +
                                           " times from `from` to `to`; take several ranges"};
  }
  const auto total = static_cast<std::uint32_t>(nominals.size());
  const auto chosen = co_await wanted_of(name, std::move(nominals), wanted.getReprocess());

  backfill_results results;
  auto made = results.build().initBackfill();
  made.setSchedule(name.c_str());
  made.setFrom(wanted.getFrom());
  made.setTo(wanted.getTo());
  made.setMaxParallel(std::max(wanted.getMaxParallel(), 1U));
  made.setReprocess(wanted.getReprocess());
  made.setTotal(total);
  made.setPassedOver(total - static_cast<std::uint32_t>(chosen.size()));
  const std::vector<wall_time> told{
      chosen.begin(),
      chosen.begin() + static_cast<std::ptrdiff_t>(std::min(chosen.size(), times_told_max))};
  show(results.build().initTimes(static_cast<unsigned>(told.size())), name, told);
  if (wanted.getDryRun()) {
    co_return results;
  }
  const auto number = state().getBackfills() + 1;
  edit().setBackfills(number);
  const auto id = std::to_string(number);
  made = results.build().getBackfill();
  made.setId(id.c_str());
  made.setCreatedAt(nanoseconds(now()));
  made.setThrough(nanoseconds(from - runtime::duration{1}));
  backfills_.put(backfill_row(id), made.asReader());
  backfills_.edit(backfill_row(id)).setPassedOver(0);  // each is looked at again in its turn
  forget_old_backfills();
  send(ref<schemas::Schedule>(key()).go_on(id));
  co_return results;
}

// The next step: starts as many runs as there may be beside those that go on.
async<> schedule_actor::go_on(go_on_params params) {
  const std::string id{params.backfill()};
  const auto row = backfill_row(id);
  const auto record = backfills_.get(row);
  if (!record || record->getState() != BackfillState::RUNNING) {
    co_return;
  }
  const auto name = text_of(record->getSchedule());
  const auto to = time_of(record->getTo());
  auto nominals = work_of(name).times.next(time_of(record->getThrough()), times_at_once);
  std::erase_if(nominals, [to](wall_time each) { return each > to; });
  if (nominals.empty()) {
    if (record->getRunning() == 0) {
      end_backfill(id, BackfillState::DONE);
    }
    co_return;
  }
  const auto chosen = co_await wanted_of(name, nominals, record->getReprocess());
  auto running = record->getRunning();
  auto passed_over = record->getPassedOver();
  auto through = record->getThrough();
  for (const auto nominal : nominals) {
    const bool is_chosen = std::binary_search(chosen.begin(), chosen.end(), nominal);
    if (is_chosen && running >= record->getMaxParallel()) {
      break;
    }
    through = nanoseconds(nominal);
    if (is_chosen) {
      running += 1;
      start_of_backfill(id, name, through);
    } else {
      passed_over += 1;
    }
  }
  auto after = backfills_.edit(row);
  after.setRunning(running);
  after.setPassedOver(passed_over);
  after.setThrough(through);
  if (running < record->getMaxParallel()) {
    send(ref<schemas::Schedule>(key()).go_on(id));
  }
}

void schedule_actor::start_of_backfill(const std::string& id, const std::string& name,
                                       std::int64_t nominal) {
  runtime::rng random{stable_hash(name_in_cluster(name) + "/" + id, nominal)};
  const auto run = make_run_id(now(), random);
  auto active = backfill_runs_.edit(backfill_row(id) + "/" + run);
  active.setRun(run.c_str());
  active.setScheduledAt(nominal);
  put_past(name, nominal, run, RunState::RUNNING);
  send(ref<schemas::Pipeline>(key()).submit_scheduled(run, name, nominal, id));
}

// A run that is retried after its end is not counted again.
void schedule_actor::told_of_backfill(const std::string& id, const std::string& run,
                                      RunState state) {
  const auto row = backfill_row(id);
  if (state == RunState::RUNNING || !backfill_runs_.contains(row + "/" + run)) {
    return;
  }
  backfill_runs_.erase(row + "/" + run);
  if (!backfills_.contains(row)) {
    return;
  }
  auto record = backfills_.edit(row);
  record.setRunning(record.getRunning() - std::min(record.getRunning(), 1U));
  if (state == RunState::SUCCEEDED) {
    record.setSucceeded(record.getSucceeded() + 1);
  } else {
    record.setFailed(record.getFailed() + 1);
  }
  send(ref<schemas::Schedule>(key()).go_on(id));
}

void schedule_actor::end_backfill(const std::string& id, BackfillState end) {
  auto record = backfills_.edit(backfill_row(id));
  record.setState(end);
  record.setFinishedAt(nanoseconds(now()));
}

void schedule_actor::end_backfills_of(const std::string& name) {
  std::vector<std::string> going;
  backfills_.for_each([&](std::string_view, schemas::Backfill::Reader each) {
    if (each.getState() == BackfillState::RUNNING && text_of(each.getSchedule()) == name) {
      going.push_back(text_of(each.getId()));
    }
    return true;
  });
  for (const auto& id : going) {
    end_backfill(id, BackfillState::CANCELLED);
    backfills_.edit(backfill_row(id)).setRunning(0);  // their ends will be nobody's
    for (const auto& row : rows_of(backfill_runs_, backfill_row(id), SIZE_MAX)) {
      backfill_runs_.erase(row);
    }
  }
}

void schedule_actor::forget_old_backfills() {
  std::vector<std::string> over;
  backfills_.for_each([&over](std::string_view row, schemas::Backfill::Reader each) {
    if (each.getState() != BackfillState::RUNNING) {
      over.emplace_back(row);
    }
    return true;
  });
  for (std::size_t at = 0; at + backfills_kept_max < over.size(); ++at) {
    backfills_.erase(over[at]);
  }
}

async<schedule_actor::backfills_results> schedule_actor::backfills() {
  std::vector<std::string> rows;
  backfills_.for_each([&rows](std::string_view row, const auto&) {
    rows.emplace_back(row);
    return true;
  });
  backfills_results results;
  auto list = results.build().initBackfills(static_cast<unsigned>(rows.size()));
  for (unsigned at = 0; at < list.size(); ++at) {
    list.setWithCaveats(at, backfills_.get(rows[rows.size() - 1 - at])->reader());
  }
  co_return results;
}

async<schedule_actor::cancel_backfill_results> schedule_actor::cancel_backfill(
    cancel_backfill_params params) {
  const std::string id{params.id()};
  const auto row = backfill_row(id);
  const auto record = backfills_.get(row);
  if (!record || text_of(record->getId()) != id) {
    co_return error{errc::not_found, "pipeline '" + pipeline() + "' of project '" + project() +
                                         "' has no backfill '" + shown_name(id) + "'"};
  }
  if (record->getState() == BackfillState::RUNNING) {
    end_backfill(id, BackfillState::CANCELLED);
    for (const auto& each : rows_of(backfill_runs_, row, SIZE_MAX)) {
      send(ref<schemas::Run>(text_of(backfill_runs_.get(each)->getRun()))
               .withdraw("backfill " + id + " was cancelled", false));
    }
  }
  cancel_backfill_results results;
  results.build().setBackfill(backfills_.get(row)->reader());
  co_return results;
}

}  // namespace millrace::actors
