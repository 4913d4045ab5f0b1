// SPDX-License-Identifier: MIT
#include "schedule/schedule_actor.h"

#include <algorithm>
#include <set>

#include "definition/compiled.h"
#include "millrace/actors/name_rule.h"
#include "millrace/actors/run_id.h"
#include "millrace/pipeline.capnp.actor.h"
#include "pipeline/names.h"
#include "schedule/schedule_rows.h"

namespace millrace::actors {

using runtime::async;
using runtime::duration;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using runtime::wall_time;
using schemas::FiringState;
using schemas::RunState;

namespace {

// Firings of all schedules that one turn sees to, and rows of schedules that have gone which it
// erases: what a turn changes has to fit one commit. The next turn does what is left.
constexpr std::size_t firings_at_once = 100;
constexpr std::size_t rows_erased_at_once = 1'000;

// When the latest nominal time lies farther ahead than this, the clock has been; what is less may
// be the difference between two silos.
constexpr duration clocks_differ_max = std::chrono::minutes{1};

template <class Map>
std::size_t count_of(const Map& map, std::string_view name) {
  return rows_of(map, name, SIZE_MAX).size();
}

FiringState firing_state_of(RunState state) {
  switch (state) {
    case RunState::RUNNING:
      return FiringState::RUNNING;
    case RunState::SUCCEEDED:
      return FiringState::SUCCEEDED;
    case RunState::CANCELLED:
      return FiringState::CANCELLED;
    case RunState::TIMED_OUT:
      return FiringState::TIMED_OUT;
    default:
      return FiringState::FAILED;
  }
}

// Whether both have the same times.
bool same_times(const schedule_definition& a, const schedule_definition& b) {
  return a.cron == b.cron && a.every == b.every && a.time_zone == b.time_zone &&
         a.start == b.start && a.end == b.end;
}

}  // namespace

error schedule_actor::unknown(std::string_view name) const {
  std::string known;
  schedules_.for_each([&known](std::string_view each, const auto&) {
    known.append(known.empty() ? "" : ", ").append(each);
    return true;
  });
  const auto whose = "pipeline '" + pipeline() + "' of project '" + project() + "' has no schedule";
  return {errc::not_found,
          known.empty() ? whose : whose + " '" + shown_name(name) + "'; it has: " + known};
}

// Those that a request means. Errors: `not_found`.
result<std::vector<std::string>> schedule_actor::named(std::string_view name) const {
  std::vector<std::string> names;
  schedules_.for_each([&](std::string_view each, const auto&) {
    if (name.empty() || name == each) {
      names.emplace_back(each);
    }
    return true;
  });
  if (names.empty()) {
    return unknown(name);
  }
  return names;
}

// Requires: it is known. Should its zone have gone since it was applied, UTC is better than never.
const schedule_actor::working& schedule_actor::work_of(const std::string& name) {
  auto found = working_.find(name);
  if (found == working_.end()) {
    auto definition = schedule_of(schedules_.get(name)->getDefinition());
    auto times = timetable::of(definition);
    if (!times) {
      auto other = definition;
      other.time_zone = "UTC";
      times = timetable::of(other);
    }
    found =
        working_.emplace(name, working{std::move(definition), times ? *times : timetable{}}).first;
  }
  return found->second;
}

async<> schedule_actor::on_activate() {
  if (schedules_.empty()) {
    set_idle_timeout(duration{});  // nobody knows it: asking leaves nothing
  }
  return {};
}

// --- definitions ---------------------------------------------------------------------------------

void schedule_actor::put(const std::string& name, schemas::CompiledSchedule::Reader definition) {
  const auto known = schedules_.get(name);
  const auto wanted = schedule_of(definition);
  const auto before = known ? std::optional{schedule_of(known->getDefinition())} : std::nullopt;
  if (before == wanted && known->getDefinition().getWatch() == definition.getWatch()) {
    return;
  }
  auto record = schedules_.edit(name);
  record.setDefinition(definition);
  const bool is_pause_changed = !before || before->paused != wanted.paused;
  if (!before || !same_times(*before, wanted) || (is_pause_changed && record.getPaused())) {
    record.setThrough(std::max(record.getThrough(), nanoseconds(now())));
  }
  if (is_pause_changed) {
    record.setPaused(wanted.paused);
    record.setPauseReason(wanted.paused ? "its definition says so" : "");
  }
  working_.erase(name);
  start_waiting(name);
}

// What has waited and what is shown goes a few rows at a time. Runs that have not ended stay known:
// should it come back, `overlap` counts them.
void schedule_actor::remove(const std::string& name) {
  end_backfills_of(name);
  schedules_.erase(name);
  working_.erase(name);
}

// Erases rows of schedules that are not there any more. Whether there may be others.
bool schedule_actor::erase_gone() {
  auto left = rows_erased_at_once;
  const auto erase_in = [&](auto& map) {
    std::vector<std::string> gone;
    std::string from;
    for (bool is_over = false; !is_over && gone.size() < left;) {
      is_over = true;
      map.for_each(
          [&](std::string_view row, const auto&) {
            if (const auto name = row.substr(0, row.find('/')); schedules_.contains(name)) {
              from = std::string{name} + '0';  // behind its slash
              is_over = false;
              return false;
            }
            gone.emplace_back(row);
            return gone.size() < left;
          },
          from);
    }
    for (const auto& row : gone) {
      map.erase(row);
    }
    left -= gone.size();
  };
  erase_in(waiting_);
  erase_in(firings_);
  return left == 0;
}

async<> schedule_actor::apply(apply_params params) {
  set_idle_timeout(std::nullopt);
  const auto wanted = params.schedules();
  std::set<std::string> gone;
  schedules_.for_each([&gone](std::string_view name, const auto&) {
    gone.emplace(name);
    return true;
  });
  for (const auto each : wanted) {
    gone.erase(text_of(each.getName()));
  }
  for (const auto& name : gone) {
    remove(name);
  }
  for (const auto each : wanted) {
    put(text_of(each.getName()), each);
  }
  look();
  return {};
}

// --- firing --------------------------------------------------------------------------------------

async<> schedule_actor::on_reminder(std::string) {
  look();
  return {};
}

// Fires what is due, and sees to it that it looks again when the next is.
void schedule_actor::look() {
  std::optional<wall_time> again;
  if (erase_gone()) {
    again = now();
  } else if (schedules_.empty() && active_.empty()) {
    erase_state();
    set_idle_timeout(duration{});
    return;
  }
  const auto names = named({});
  auto left = firings_at_once;
  for (const auto& name : names ? *names : std::vector<std::string>{}) {
    if (left == 0) {
      again = now();
      break;
    }
    if (!schedules_.get(name)->getPaused()) {
      left -= fire_due(name, left, again);
    }
  }
  if (again) {
    set_reminder(due_reminder, *again);
  } else {
    cancel_reminder(due_reminder);
  }
}

// At most `most`; answers how many. `again` becomes earlier where it has to.
std::size_t schedule_actor::fire_due(const std::string& name, std::size_t most,
                                     std::optional<wall_time>& again) {
  const auto record = *schedules_.get(name);
  const auto& [definition, times] = work_of(name);
  const auto whose = name_in_cluster(name);
  const schedule_plan plan{definition, times, whose};
  const auto due = plan.at(time_of(record.getThrough()), now(), most);
  if (due.missed > 0) {
    auto missed = firing(name, nanoseconds(due.last_missed.value_or(due.through)));
    missed.setState(FiringState::MISSED);
    missed.setReason((due.missed == 1 ? std::string{"nothing could see to it in time"}
                                      : std::to_string(due.missed) +
                                            " firings up to this one passed while nothing could "
                                            "see to them")
                         .c_str());
    schedules_.edit(name).setMissed(record.getMissed() + due.missed);
    figures_.add_missed(due.missed);
  }
  if (due.through != time_of(record.getThrough())) {
    schedules_.edit(name).setThrough(nanoseconds(due.through));
  }
  for (std::size_t at = 0; at < due.firings.size(); ++at) {
    fire(name, due.firings[at], plan.with_jitter(due.firings[at]),
         at < due.made_up ? cause::made_up : cause::on_time);
  }
  if (due.again) {
    again = std::min(again.value_or(*due.again), *due.again);
  }
  return due.firings.size();
}

void schedule_actor::fire(const std::string& name, wall_time nominal, wall_time due, cause why) {
  const auto at = nanoseconds(nominal);
  const auto& definition = work_of(name).definition;
  // Those of `catchup: all` come together: to drop what comes while another runs would drop them.
  const bool is_one_of_all = why == cause::made_up && definition.catchup == catchup_policy::all;
  const auto overlap = is_one_of_all && definition.overlap == overlap_policy::skip
                           ? overlap_policy::queue
                           : definition.overlap;
  const auto running = rows_of(active_, name, overlap == overlap_policy::replace ? SIZE_MAX : 1);
  const auto waiting = ready(name);
  const auto earlier = running.empty() ? std::to_string(waiting.size()) + " firings that wait"
                                       : "run " + text_of(active_.get(running.front())->getRun());
  switch (fate_of(overlap, running.size(), waiting.size())) {
    case firing_fate::start:
      start(name, at, due);
      return;
    case firing_fate::skip:
      skip(name, at,
           overlap == overlap_policy::queue
               ? std::to_string(waiting.size()) + " firings wait already, which is the most"
               : earlier + " had not ended");
      return;
    case firing_fate::replace:
      for (const auto& row : rows_of(waiting_, name, SIZE_MAX)) {
        skip(name, waiting_.get(row)->getScheduledAt(), "a later firing took its place");
        waiting_.erase(row);
      }
      for (const auto& row : running) {
        send(ref<schemas::Run>(text_of(active_.get(row)->getRun()))
                 .withdraw("a later firing of schedule '" + name + "' replaces it", false));
      }
      break;
    case firing_fate::wait:
      break;
  }
  auto row = waiting_.edit(row_of(name, at));
  row.setScheduledAt(at);
  row.setDueAt(nanoseconds(due));
  row.setTriggered(why == cause::triggered);
  auto shown = firing(name, at);
  shown.setState(FiringState::WAITING);
  shown.setReason(("it waits for " + earlier).c_str());
  start_waiting(name);
}

void schedule_actor::start(const std::string& name, std::int64_t nominal, wall_time due) {
  // The same firing makes the same id at the same time, and no other firing ever makes it.
  runtime::rng random{stable_hash(name_in_cluster(name), nominal)};
  const auto run = make_run_id(now(), random);
  auto active = active_.edit(name + "/" + run);
  active.setRun(run.c_str());
  active.setScheduledAt(nominal);
  auto record = schedules_.edit(name);
  record.setFired(record.getFired() + 1);
  record.setLastAt(nominal);
  auto shown = firing(name, nominal);
  shown.setState(FiringState::RUNNING);
  shown.setRun(run.c_str());
  shown.setReason("");
  figures_.add_fired(std::max(now() - due, duration{}));
  put_past(name, nominal, run, RunState::RUNNING);
  send(ref<schemas::Pipeline>(key()).submit_scheduled(run, name, nominal, ""));
}

// Of the firings that wait, those that may begin: while it is paused, what somebody triggered.
std::vector<std::string> schedule_actor::ready(const std::string& name) const {
  auto rows = rows_of(waiting_, name, SIZE_MAX);
  if (schedules_.get(name)->getPaused()) {
    std::erase_if(rows, [this](const auto& row) { return !waiting_.get(row)->getTriggered(); });
  }
  return rows;
}

// What waits begins when nothing else of the schedule runs.
void schedule_actor::start_waiting(const std::string& name) {
  const auto rows = rows_of(active_, name, 1).empty() ? ready(name) : std::vector<std::string>{};
  if (!rows.empty()) {
    const auto waited = *waiting_.get(rows.front());
    waiting_.erase(rows.front());
    start(name, waited.getScheduledAt(), time_of(waited.getDueAt()));
  }
}

void schedule_actor::skip(const std::string& name, std::int64_t nominal,
                          const std::string& reason) {
  auto shown = firing(name, nominal);
  shown.setState(FiringState::SKIPPED);
  shown.setReason(reason.c_str());
  auto record = schedules_.edit(name);
  record.setSkipped(record.getSkipped() + 1);
  figures_.add_skipped(1);
}

// What is shown of a firing, which is about to change. Older ones make room.
schemas::Firing::Builder schedule_actor::firing(const std::string& name, std::int64_t nominal) {
  const auto row = row_of(name, nominal);
  if (!firings_.contains(row)) {
    const auto rows = rows_of(firings_, name, SIZE_MAX);
    for (std::size_t at = 0; at + firings_kept_max <= rows.size(); ++at) {
      firings_.erase(rows[at]);
    }
  }
  auto shown = firings_.edit(row);
  shown.setScheduledAt(nominal);
  shown.setAt(nanoseconds(now()));
  return shown;
}

void schedule_actor::put_past(const std::string& name, std::int64_t nominal, const std::string& run,
                              RunState state) {
  runtime::message<schemas::PastRun> content;
  content.build().setState(state);
  past_.put(row_of(name, nominal) + "/" + run, content);
}

async<> schedule_actor::run_removed(run_removed_params params) {
  past_.erase(row_of(params.schedule(), params.scheduled_at()) + "/" + std::string{params.run()});
  return {};
}

async<> schedule_actor::run_told(run_told_params params) {
  const std::string name{params.schedule()};
  const std::string run{params.run()};
  const auto nominal = params.scheduled_at();
  const bool is_known = schedules_.contains(name);
  const bool is_refused = !params.refusal().empty();
  if (is_refused) {
    past_.erase(row_of(name, nominal) + "/" + run);
  } else {
    put_past(name, nominal, run, params.state());
  }
  if (is_refused && is_known) {
    auto record = schedules_.edit(name);
    record.setRefused(record.getRefused() + 1);
  }
  if (!params.backfill().empty()) {
    told_of_backfill(std::string{params.backfill()}, run, params.state());
    return {};
  }
  const auto shown = firings_.get(row_of(name, nominal));
  if (shown && text_of(shown->getRun()) == run) {
    auto firing_of = firing(name, nominal);
    firing_of.setState(is_refused ? FiringState::REFUSED : firing_state_of(params.state()));
    firing_of.setReason(std::string{params.refusal()}.c_str());
  }
  if (params.state() == RunState::RUNNING) {
    auto active = active_.edit(name + "/" + run);
    active.setRun(run.c_str());
    active.setScheduledAt(nominal);
    return {};
  }
  active_.erase(name + "/" + run);
  if (is_known) {
    start_waiting(name);
  } else {
    look();  // it may have been the last that is known of any
  }
  return {};
}

// --- what people ask and say ---------------------------------------------------------------------

void schedule_actor::show(schemas::ScheduleStatus::Builder into, const std::string& name) {
  const auto record = *schedules_.get(name);
  const auto& [definition, times] = work_of(name);
  into.setId(name.c_str());
  into.setPipeline(pipeline().c_str());
  into.setProject(project().c_str());
  into.setDefinition(to_json(definition).c_str());
  into.setWatch(record.getDefinition().getWatch());
  into.setPaused(record.getPaused());
  into.setPauseReason(record.getPauseReason());
  const auto from = record.getPaused() ? std::max(time_of(record.getThrough()), now())
                                       : time_of(record.getThrough());
  into.setNextAt(nanoseconds(times.next(from).value_or(wall_time{})));
  into.setLastAt(record.getLastAt());
  into.setRunning(static_cast<std::uint32_t>(count_of(active_, name)));
  into.setWaiting(static_cast<std::uint32_t>(count_of(waiting_, name)));
  into.setFired(record.getFired());
  into.setSkipped(record.getSkipped());
  into.setMissed(record.getMissed());
  into.setRefused(record.getRefused());
}

void schedule_actor::show(capnp::List<schemas::NextFiring>::Builder into, const std::string& name,
                          const std::vector<wall_time>& nominals) {
  const auto& [definition, times] = work_of(name);
  const auto whose = name_in_cluster(name);
  const schedule_plan plan{definition, times, whose};
  for (unsigned at = 0; at < into.size(); ++at) {
    into[at].setScheduledAt(nanoseconds(nominals[at]));
    into[at].setLocal(local_text(nominals[at], times.zone()).c_str());
    into[at].setDueAt(nanoseconds(plan.with_jitter(nominals[at])));
  }
}

async<schedule_actor::list_results> schedule_actor::list() {
  const auto names = named({});
  list_results results;
  auto rows = results.build().initSchedules(static_cast<unsigned>(names ? names->size() : 0));
  for (unsigned at = 0; at < rows.size(); ++at) {
    show(rows[at], (*names)[at]);
  }
  co_return results;
}

async<schedule_actor::describe_results> schedule_actor::describe(describe_params params) {
  const std::string name{params.name()};
  if (!schedules_.contains(name)) {
    co_return unknown(name);
  }
  const auto record = *schedules_.get(name);
  const auto& times = work_of(name).times;
  describe_results results;
  auto made = results.build();
  show(made.initSchedule(), name);

  const auto through = time_of(record.getThrough());
  const auto nominals = times.next(record.getPaused() ? std::max(through, now()) : through,
                                   std::min(params.next(), next_firings_max));
  show(made.initNext(static_cast<unsigned>(nominals.size())), name, nominals);

  const auto active = rows_of(active_, name, SIZE_MAX);
  auto running = made.initRunning(static_cast<unsigned>(active.size()));
  for (unsigned each = 0; each < running.size(); ++each) {
    running.set(each, active_.get(active[each])->getRun());
  }

  const auto kept = rows_of(firings_, name, SIZE_MAX);
  const auto count = std::min<std::size_t>(kept.size(), params.firings());
  auto shown = made.initFirings(static_cast<unsigned>(count));
  for (unsigned each = 0; each < shown.size(); ++each) {
    shown.setWithCaveats(each, firings_.get(kept[kept.size() - 1 - each])->reader());
  }
  co_return results;
}

namespace {

template <class Results>
Results names_in(const std::vector<std::string>& names) {
  Results results;
  auto list = results.build().initSchedules(static_cast<unsigned>(names.size()));
  for (unsigned at = 0; at < list.size(); ++at) {
    list.set(at, names[at].c_str());
  }
  return results;
}

}  // namespace

async<schedule_actor::pause_results> schedule_actor::pause(pause_params params) {
  const auto names = named(params.name());
  if (!names) {
    co_return names.error();
  }
  for (const auto& name : *names) {
    auto record = schedules_.edit(name);
    record.setPaused(true);
    record.setPauseReason(std::string{params.reason()}.c_str());
  }
  look();
  co_return names_in<pause_results>(*names);
}

async<schedule_actor::resume_results> schedule_actor::resume(resume_params params) {
  const auto names = named(params.name());
  if (!names) {
    co_return names.error();
  }
  for (const auto& name : *names) {
    auto record = schedules_.edit(name);
    if (time_of(record.getThrough()) > now() + clocks_differ_max) {
      record.setThrough(nanoseconds(now()));
    }
    if (record.getPaused()) {
      record.setPaused(false);
      record.setPauseReason("");
      record.setThrough(std::max(record.getThrough(), nanoseconds(now())));
      start_waiting(name);
    }
  }
  look();
  co_return names_in<resume_results>(*names);
}

async<schedule_actor::trigger_results> schedule_actor::trigger(trigger_params params) {
  const std::string name{params.name()};
  if (!schedules_.contains(name)) {
    co_return unknown(name);
  }
  const auto at = now();
  fire(name, at, at, cause::triggered);
  trigger_results results;
  results.build().setFiring(firings_.get(row_of(name, nanoseconds(at)))->reader());
  co_return results;
}

}  // namespace millrace::actors
