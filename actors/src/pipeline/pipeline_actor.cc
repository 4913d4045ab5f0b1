// SPDX-License-Identifier: MIT
#include "pipeline/pipeline_actor.h"

#include <map>
#include <set>
#include <tuple>

#include "definition/compiled.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/params.h"
#include "millrace/actors/priority.h"
#include "millrace/actors/run_id.h"
#include "millrace/actors/selection.h"
#include "millrace/actors/submission.h"
#include "millrace/schedule.capnp.actor.h"
#include "pipeline/names.h"
#include "pipeline/pipeline_rows.h"
#include "run/run_graph.h"
#include "run/run_spans.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;

namespace {

// Runs that a page is chosen from: what bounds a search for rare ones.
constexpr std::uint32_t page_look_max = 10'000;

std::optional<schemas::RunState> run_state_named(std::string_view name) {
  const auto count = capnp::Schema::from<schemas::RunState>().getEnumerants().size();
  for (unsigned at = 0; at < count; ++at) {
    if (const auto state = static_cast<schemas::RunState>(at); to_string(state) == name) {
      return state;
    }
  }
  return std::nullopt;
}

error all_of(const std::vector<diagnostic>& mistakes) {
  std::string text;
  for (const auto& each : mistakes) {
    text +=
        (text.empty() ? "" : "; ") + each.text + (each.hint.empty() ? "" : " (" + each.hint + ")");
  }
  return {errc::invalid_argument, std::move(text)};
}

// The run's own, and behind them those of its pipeline that they leave room for.
void set_labels(capnp::List<schemas::CompiledEntry>::Reader of_pipeline,
                capnp::List<schemas::Label>::Reader given,
                schemas::Run::BeginParams::Builder into) {
  std::set<std::string_view> names;
  std::size_t bytes = 0;
  for (const auto each : given) {
    names.emplace(each.getName().cStr());
    bytes += each.getName().size() + each.getValue().size();
  }
  std::vector<schemas::CompiledEntry::Reader> inherited;
  for (const auto each : of_pipeline) {
    bytes += each.getKey().size() + each.getValue().size();
    if (given.size() + inherited.size() == submission_labels_max ||
        bytes > submission_labels_bytes_max) {
      break;  // of a definition that an earlier version took
    }
    if (!names.contains(each.getKey().cStr())) {
      inherited.push_back(each);
    }
  }
  auto labels = into.initLabels(given.size() + static_cast<unsigned>(inherited.size()));
  for (unsigned at = 0; at < given.size(); ++at) {
    labels.setWithCaveats(at, given[at]);
  }
  for (unsigned at = 0; at < inherited.size(); ++at) {
    labels[given.size() + at].setName(inherited[at].getKey());
    labels[given.size() + at].setValue(inherited[at].getValue());
  }
}

}  // namespace

error pipeline_actor::unknown() const {
  return {errc::not_found, "there is no pipeline '" + pipeline() + "' in project '" + project() +
                               "'; apply its definition first"};
}

// --- runs ----------------------------------------------------------------------------------------

async<> pipeline_actor::on_activate() {
  if (state().getLatestVersion() == 0) {
    set_idle_timeout(runtime::duration{});  // nobody knows it: asking leaves nothing
    return {};
  }
  active_.for_each([this](std::string_view, schemas::RunSummary::Reader run) {
    turns_.add(text_of(run.getId()), text_of(run.getGroup()), run.getCreatedAt(), run.getQueued());
    return true;
  });
  if (turns_.waiting() > 0) {
    set_timer(turns_timer, runtime::duration{1});  // those that an earlier life had not come to
  }
  look_for_old_runs();
  return {};
}

// The version of a run that this pipeline has.
async<std::optional<std::uint32_t>> pipeline_actor::version_of(std::string run) {
  const auto row = newest_first(run);
  if (const auto known = active_.get(row)) {
    co_return known->getVersion();
  }
  const auto ended = co_await runs_.get(row);
  co_return ended ? std::optional{ended->read().getVersion()} : std::nullopt;
}

namespace {

// The tasks that are asked for, of what may ask for some.
template <class Params>
std::vector<std::string> only_of(const Params& params) {
  std::vector<std::string> names;
  if constexpr (requires { params.read().getOnly(); }) {
    for (const auto each : params.read().getOnly()) {
      names.emplace_back(each.cStr(), each.size());
    }
  }
  return names;
}

}  // namespace

// Stores the run and sends it off.
template <class Params>
runtime::result<void> pipeline_actor::begin_run(const Params& params, const std::string& run,
                                                const run_starter& of, const chosen_version& with) {
  if (!is_known()) {
    return unknown();
  }
  if (auto refused = refusal_of(params.labels(), params.params())) {
    return *std::move(refused);
  }
  if (auto known = with.older ? runtime::result<void>{} : compile_stored(with.number); !known) {
    return std::move(known).error();
  }
  std::int64_t priority = -1;  // the pipeline's
  if constexpr (requires { params.priority(); }) {
    priority = params.priority();
  }
  if (priority > std::int64_t{priority_max} || priority < -1) {
    return error{errc::invalid_argument,
                 std::to_string(priority) + " is no priority: " + std::string{priority_hint}};
  }
  const auto compiled = with.older ? with.older->read().getCompiled()
                                   : versions_.get(version_row(with.number))->getCompiled();
  schemas::run_interface::begin_params begin;
  auto made = begin.build();
  set_labels(compiled.getLabels(), params.labels(), made);
  const auto signature = signature_of(compiled);
  if (!signature) {
    return error{signature.error()};
  }
  const auto bound = bind_params_json(*signature, params.params());
  if (!bound) {
    return all_of(bound.diagnostics);
  }
  const auto only = only_of(params);
  if (!only.empty()) {
    const auto definition = definition_of(compiled);
    const auto selected = definition ? select_tasks(*definition, only) : definition.error();
    if (!selected) {
      return error{selected.error()};
    }
  }
  auto its_turn = turn_of(bound, run);
  if (!its_turn) {
    return std::move(its_turn).error();
  }
  const auto created = nanoseconds(now());
  auto record = active_.edit(newest_first(run));
  record.setId(run.c_str());
  record.setVersion(with.number);
  record.setState(schemas::RunState::RUNNING);
  record.setCreatedAt(created);
  record.setQueued(!its_turn->waits_for.empty());
  record.setGroup(its_turn->group.c_str());
  record.setLabels(made.asReader().getLabels());
  turns_.add(run, its_turn->group, created, !its_turn->waits_for.empty());
  made.setProject(project().c_str());
  made.setPipeline(pipeline().c_str());
  made.setVersion(with.number);
  made.setCompiled(compiled);
  made.setParams(to_json(bound).c_str());
  made.setCreatedAt(created);
  made.setSchedule(of.schedule.c_str());
  made.setScheduledAt(of.scheduled_at);
  made.setBackfill(of.backfill.c_str());
  made.setQueued(its_turn->waits_for.c_str());
  made.setRerunOf(params.read().getRerunOf());
  made.setParent(of.parent.c_str());
  made.setParentTask(of.parent_task.c_str());
  made.setDepth(of.depth);
  made.setPriority(priority);
  made.setTriggeredBy(of.triggered_by.c_str());
  made.setWebhook(of.webhook.c_str());
  made.setWatch(of.watch.c_str());
  if (!only.empty()) {
    auto names = made.initOnly(static_cast<unsigned>(only.size()));
    for (unsigned at = 0; at < names.size(); ++at) {
      names.set(at, only[at].c_str());
    }
    made.getCompiled().setFormat(std::max(made.getCompiled().getFormat(), parts_format));
  }
  if constexpr (requires { params.no_cache(); }) {
    made.setNoCache(params.no_cache());
  }
  if (const auto place = of.place ? of.place : trace()) {
    store_place(*place, made.initTrace());
  }
  if constexpr (requires { params.scheduled_at(); }) {
    made.setScheduledAt(of.scheduled_at != 0 ? of.scheduled_at : params.scheduled_at());
  }
  if constexpr (requires { params.source(); }) {
    made.setSource(params.read().getSource());
  }
  send(ref<schemas::Run>(run).begin(std::move(begin)));
  return {};
}

template runtime::result<void> pipeline_actor::begin_run(const submit_params& params,
                                                         const std::string& run,
                                                         const run_starter& of,
                                                         const chosen_version& with);

async<> pipeline_actor::limit_runs(limit_runs_params params) {
  if (state().getLatestVersion() > 0) {
    edit().setMaxQueuedRuns(params.max_queued_runs());
  }
  return {};
}

// Those on the way are not counted yet, so a burst may bring a few more; nor are those of other
// pipelines that wait for their turn.
async<std::optional<error>> pipeline_actor::refusal_by_quota() {
  const auto most = state().getMaxQueuedRuns();
  if (most == 0) {
    co_return std::nullopt;
  }
  const auto queued =
      co_await as_result(ref<schemas::Pool>(std::string{pool_key}).queued_runs(project()));
  if (!queued) {
    co_return queued.error();
  }
  const auto for_turn = turns_.waiting();
  const auto waiting = queued->runs() + for_turn;
  if (waiting < most) {
    co_return std::nullopt;
  }
  constexpr std::chrono::seconds again_in{5};
  co_return error{errc::overloaded,
                  "the project '" + project() + "' has " + std::to_string(waiting) +
                      " runs that wait (" + std::to_string(queued->runs()) +
                      " while nothing of them has a slot, " + std::to_string(for_turn) +
                      " of this pipeline for their turn), and may have " + std::to_string(most) +
                      "; submit it when some have gone on, or cancel some",
                  again_in};
}

async<pipeline_actor::submit_results> pipeline_actor::submit(submit_params params) {
  if (!is_known()) {
    co_return unknown();
  }
  auto run = std::string{params.run()};
  if (run.empty()) {
    run = run_ids_.next(now());
  } else if (!is_run_id(run)) {
    co_return error{errc::invalid_argument, "'" + run + "' is no run id"};
  } else if (const auto known = co_await version_of(run)) {
    co_return submit_results{run, *known};
  } else if (const auto other = co_await as_result(ref<schemas::Run>(run).status());
             other || other.error().code() != errc::not_found) {
    co_return other ? error{errc::conflict, "the id '" + run +
                                                "' is that of another run; leave it out, or take a "
                                                "fresh one"}
                    : error{other.error()};
  } else if (const auto meanwhile = co_await version_of(run)) {
    co_return submit_results{run, *meanwhile};  // two at once, of one id
  }
  if (auto refused = co_await refusal_by_quota()) {
    co_return *std::move(refused);
  }
  const auto with = co_await version_numbered(params.version());
  if (active_.contains(newest_first(run))) {
    co_return submit_results{run, active_.get(newest_first(run))->getVersion()};
  }
  if (auto begun = begin_run(params, run, run_starter{}, with); !begun) {
    co_return std::move(begun).error();
  }
  // Whoever reads the answer may ask for the run. It is stored here, so whatever this says, it
  // begins.
  std::ignore = co_await as_result(ref<schemas::Run>(run).events(0, run_begin_wait_ms, 1));
  co_return submit_results{run, with.number};
}

// A turn that has stored something and waits for others cannot begin again where its actor moves
// to, so this one does not wait.
async<pipeline_actor::submit_new_results> pipeline_actor::submit_new(submit_new_params params) {
  if (!is_known()) {
    co_return unknown();
  }
  auto run = std::string{params.run()};
  if (params.again()) {
    if (const auto known = co_await version_of(run)) {
      co_return submit_new_results{run, *known};
    }
  } else if (run.empty()) {
    run = run_ids_.next(now());
  }
  if (auto refused = co_await refusal_by_quota()) {
    co_return *std::move(refused);
  }
  const std::string webhook{params.webhook()};
  const auto latest = state().getLatestVersion();
  if (!webhook.empty() && params.version() != 0 && params.version() != latest) {
    co_return error{errc::unavailable,
                    "the pipeline '" + pipeline() + "' has just changed; send it again",
                    std::chrono::seconds{1}};
  }
  const auto with = co_await version_numbered(params.version());
  // What was asked first may come last.
  if (const auto known = active_.get(newest_first(run))) {
    co_return submit_new_results{run, known->getVersion()};
  }
  if (has_started_for(webhook, params.once_for())) {
    co_return submit_new_results{std::string{}, with.number};
  }
  const run_starter of{.webhook = webhook};
  if (auto begun = begin_run(params, run, of, with); !begun) {
    co_return std::move(begun).error();
  }
  note_started_for(of.webhook, std::string{params.once_for()});
  co_return submit_new_results{run, with.number};
}

// By what the latest version says of the schedule.
runtime::result<void> pipeline_actor::begin_scheduled(const run_starter& of,
                                                      const std::string& run) {
  if (!is_known()) {
    return unknown();
  }
  const auto latest = state().getLatestVersion();
  const auto stored = *versions_.get(version_row(latest));
  for (const auto each : stored.getCompiled().getSchedules()) {
    if (text_of(each.getName()) == of.schedule) {
      submit_params params;
      params.build().setParams(each.getParams());
      return begin_run(params, run, of, {.number = latest});
    }
  }
  if (const auto watch = watch_of_latest(of.schedule)) {
    return begin_check(of, run, *watch);
  }
  return error{errc::not_found, "version " + std::to_string(latest) + " of the pipeline has no " +
                                    "schedule '" + of.schedule + "'"};
}

async<> pipeline_actor::submit_scheduled(submit_scheduled_params params) {
  const run_starter of{.schedule = std::string{params.schedule()},
                       .scheduled_at = params.scheduled_at(),
                       .backfill = std::string{params.backfill()}};
  if (const auto begun = begin_scheduled(of, std::string{params.run()}); !begun) {
    send(ref<schemas::Schedule>(key()).run_told(params.run(), of.schedule, of.scheduled_at,
                                                schemas::RunState::FAILED, begun.error().text(),
                                                of.backfill));
  }
  return {};
}

async<> pipeline_actor::submit_child(submit_child_params params) {
  const run_starter of{.parent = std::string{params.parent()},
                       .parent_task = std::string{params.parent_task()},
                       .depth = params.depth(),
                       .place = place_of(params.read().getTrace())};
  const std::string run{params.run()};
  const auto begun = begin_run(params, run, of, {.number = state().getLatestVersion()});
  if (!begun) {
    schemas::run_interface::child_told_params told;
    auto made = told.build();
    made.setTask(of.parent_task.c_str());
    made.setRun(run.c_str());
    made.setState(schemas::RunState::FAILED);
    made.setReason(begun.error().text().c_str());
    send(ref<schemas::Run>(of.parent).child_told(std::move(told)));
  }
  return {};
}

async<> pipeline_actor::withdraw_child(withdraw_child_params params) {
  const std::string run{params.run()};
  if (active_.contains(newest_first(run))) {
    send(ref<schemas::Run>(run).withdraw(params.reason(), params.force()));
  }
  return {};
}

// A page of the list of runs while it is put together.
struct pipeline_actor::run_page {
  std::optional<schemas::RunState> wanted;
  bool is_queued = false;  // only those that have not begun; with `running`, only others
  std::string before;      // row; empty: the list's start
  std::size_t limit = 0;
  label_filter labels = {};
  std::map<std::string, summary> rows = {};
  std::string looked_to = {};  // row; nothing behind it has been looked at; empty: all has

  bool add(std::string_view row, schemas::RunSummary::Reader run) {
    if (row > before && (!wanted || (run.getState() == *wanted && run.getQueued() == is_queued)) &&
        has_labels(run.getLabels(), labels)) {
      rows.insert_or_assign(std::string{row}, summary{run});
      return true;
    }
    return false;
  }
};

void pipeline_actor::add_active(run_page& page) const {
  auto left = page.limit + 2;  // `before` itself, and one that tells that there are more
  active_.for_each(
      [&](std::string_view row, schemas::RunSummary::Reader run) {
        left -= page.add(row, run) ? 1 : 0;
        return left > 0;
      },
      page.before);
}

async<> pipeline_actor::add_ended(run_page& page) {
  std::string from = page.before.empty() ? std::string{} : page.before + '\0';
  std::uint32_t looked = 0;
  const auto is_part = page.wanted || !page.labels.empty();
  while (page.wanted != schemas::RunState::RUNNING) {
    auto read = co_await runs_.page(from, is_part ? page_max : page.limit + 1);
    for (auto& each : read.entries) {
      page.add(each.key, each.content.read());
    }
    looked += static_cast<std::uint32_t>(read.entries.size());
    if (!read.more) {
      break;
    }
    from = read.entries.back().key + '\0';
    if (page.rows.size() > page.limit || looked >= page_look_max) {
      page.looked_to = read.entries.back().key;
      break;
    }
  }
}

async<pipeline_actor::runs_results> pipeline_actor::runs(runs_params params) {
  if (!is_known()) {
    co_return unknown();
  }
  const auto is_queued = params.state() == "queued";
  const auto wanted =
      is_queued ? std::optional{schemas::RunState::RUNNING} : run_state_named(params.state());
  if (!wanted && !params.state().empty()) {
    co_return error{errc::invalid_argument,
                    "'" + std::string{params.state()} +
                        "' is no state of a run; they are: queued, running, succeeded, failed, "
                        "cancelled, timed_out"};
  }
  const auto labels = parse_label_filter(params.label());
  if (!labels) {
    co_return error{labels.error()};
  }
  run_page page{wanted, is_queued, newest_first(params.cursor()), page_of(params.limit()), *labels};
  // Before and after: a run may end, or be taken up again, while those that have ended are read.
  add_active(page);
  co_await add_ended(page);
  add_active(page);
  auto& rows = page.rows;
  if (!page.looked_to.empty()) {
    rows.erase(rows.upper_bound(page.looked_to), rows.end());
  }
  auto next = page.looked_to;
  if (rows.size() > page.limit) {
    rows.erase(std::next(rows.begin(), static_cast<std::ptrdiff_t>(page.limit)), rows.end());
    next = rows.rbegin()->first;
  }
  runs_results results;
  auto list = results.build().initRuns(static_cast<unsigned>(rows.size()));
  unsigned at = 0;
  for (const auto& [row, run] : rows) {
    list.setWithCaveats(at, run.read());
    list[at++].setPipeline(pipeline().c_str());
  }
  results.build().setNextCursor(newest_first(next).c_str());  // twice inverted: the id
  co_return results;
}

async<> pipeline_actor::run_ended(run_ended_params params) {
  if (!params.check().empty()) {
    co_await check_ended(std::move(params));
    co_return;
  }
  const std::string run{params.run()};
  const auto row = newest_first(run);
  summary told;
  auto made = told.build();
  made.setId(run.c_str());
  made.setVersion(params.version());
  made.setState(params.state());
  made.setCreatedAt(params.created_at());
  made.setFinishedAt(params.finished_at());
  if (params.state() == schemas::RunState::RUNNING) {  // again, without a turn
    if (const auto before = co_await runs_.get(row)) {
      made.setGroup(before->read().getGroup());
      made.setLabels(before->read().getLabels());
    }
    active_.put(row, told.read());
    turns_.add(run, text_of(told.read().getGroup()), params.created_at(), false);
    runs_.erase(row);
    ended_.erase(ended_row(params.ended_before(), run));
    const auto count = state().getEndedRuns();
    edit().setEndedRuns(count - std::min<std::uint64_t>(count, 1));
    expiring_.erase(run);
    co_return;
  }
  // Of some tasks alone: it is listed, and neither counts for its version nor starts anything.
  const auto is_partial = params.version() == 0;
  if (const auto before = active_.get(row)) {
    made.setGroup(before->getGroup());
    made.setLabels(before->getLabels());
    made.setVersion(is_partial ? before->getVersion() : params.version());
  }
  active_.erase(row);
  runs_.put(row, told);
  summary indexed;
  indexed.build().setId(run.c_str());
  ended_.put(ended_row(params.finished_at(), run), indexed);
  const auto count = state().getEndedRuns();
  edit().setEndedRuns(count + 1);
  const auto kept = retention();
  if (kept.runs && count + 1 > *kept.runs) {
    look_for_old_runs();
  }
  if (kept.age && reminder_due(retention_timer) == runtime::wall_time{}) {
    look_again_at(runtime::wall_time{runtime::duration{params.finished_at()}} + *kept.age);
  }
  turns_.remove(run);
  begin_waiting();
  if (!is_partial) {
    judge_version(params.version(), params.state());
    tell_subscribers(params);
  }
}

async<> pipeline_actor::run_removed(run_removed_params params) {
  const auto row = newest_first(params.run());
  active_.erase(row);
  turns_.remove(std::string{params.run()});
  begin_waiting();
  if (params.finished_at() != 0) {
    runs_.erase(row);
    ended_.erase(ended_row(params.finished_at(), params.run()));
    const auto count = state().getEndedRuns();
    edit().setEndedRuns(count - std::min<std::uint64_t>(count, 1));
  }
  expiring_.erase(std::string{params.run()});
  return {};
}

}  // namespace millrace::actors
