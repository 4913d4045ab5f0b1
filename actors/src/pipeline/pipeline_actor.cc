// SPDX-License-Identifier: MIT
#include "pipeline/pipeline_actor.h"

#include <map>
#include <tuple>

#include "definition/compiled.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/name_rule.h"
#include "millrace/actors/params.h"
#include "millrace/actors/run_id.h"
#include "millrace/actors/submission.h"
#include "millrace/schedule.capnp.actor.h"
#include "pipeline/names.h"
#include "run/run_graph.h"
#include "run/run_spans.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;

namespace {

constexpr std::uint32_t page_default = 100;
constexpr std::uint32_t page_max = 1'000;
// Runs that a page is chosen from: what bounds a search for rare ones.
constexpr std::uint32_t page_look_max = 10'000;
constexpr unsigned version_digits = 10;
// Of older versions, in one commit, which takes 64 MiB; the rest follows with the next apply.
constexpr std::size_t put_away_words_max = std::size_t{1} << 20U;
constexpr unsigned time_digits = 20;
constexpr const char* retention_timer = "retention";
constexpr runtime::duration removal_retry = std::chrono::seconds{30};  // after a restart

std::uint32_t page_of(std::uint32_t limit) {
  return limit == 0 ? page_default : std::min(limit, page_max);
}

std::optional<schemas::RunState> run_state_named(std::string_view name) {
  const auto count = capnp::Schema::from<schemas::RunState>().getEnumerants().size();
  for (unsigned at = 0; at < count; ++at) {
    if (const auto state = static_cast<schemas::RunState>(at); to_string(state) == name) {
      return state;
    }
  }
  return std::nullopt;
}

// The row of a run: its id with each hexadecimal digit inverted. Ids sort by time, so rows sort
// the newest first, and a page of them is read without passing over the others. Of an empty id the
// row is empty: the start of the list. Of a row it is the id.
std::string newest_first(std::string_view run) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string row{run};
  for (auto& each : row) {
    if (const auto at = digits.find(each); at != std::string_view::npos) {
      each = digits[digits.size() - 1 - at];
    }
  }
  return row;
}

// The row of a run in the order in which runs have ended.
std::string ended_row(std::int64_t finished_at, std::string_view run) {
  return padded(static_cast<std::uint64_t>(finished_at), time_digits) + std::string{run};
}

error all_of(const std::vector<diagnostic>& mistakes) {
  std::string text;
  for (const auto& each : mistakes) {
    text +=
        (text.empty() ? "" : "; ") + each.text + (each.hint.empty() ? "" : " (" + each.hint + ")");
  }
  return {errc::invalid_argument, std::move(text)};
}

}  // namespace

async<> project_actor::on_activate() {
  if (pipelines_.empty()) {
    set_idle_timeout(runtime::duration{});  // nobody knows it: asking leaves nothing
  }
  return {};
}

async<> project_actor::add(add_params params) {
  if (!pipelines_.contains(params.pipeline())) {
    auto record = pipelines_.edit(params.pipeline());
    record.setName(params.read().getPipeline());
    record.setRegisteredAt(nanoseconds(now()));
    set_idle_timeout(std::nullopt);
  }
  pipelines_.edit(params.pipeline()).setSchedules(params.schedules());
  return {};
}

async<> project_actor::remove(remove_params params) {
  pipelines_.erase(params.pipeline());
  return {};
}

async<project_actor::pipelines_results> project_actor::pipelines(pipelines_params params) {
  std::vector<schemas::ProjectPipeline::Reader> page;
  std::string next;
  const auto limit = page_of(params.limit());
  const std::string after{params.after()};
  pipelines_.for_each(
      [&](std::string_view name, schemas::ProjectPipeline::Reader record) {
        if (name == after) {
          return true;
        }
        if (page.size() == limit) {
          next = text_of(page.back().getName());
          return false;
        }
        page.push_back(record);
        return true;
      },
      after);
  pipelines_results results;
  auto list = results.build().initPipelines(static_cast<unsigned>(page.size()));
  for (unsigned at = 0; at < page.size(); ++at) {
    list.setWithCaveats(at, page[at]);
  }
  results.build().setNext(next.c_str());
  co_return results;
}

error pipeline_actor::unknown() const {
  return {errc::not_found, "there is no pipeline '" + pipeline() + "' in project '" + project() +
                               "'; apply its definition first"};
}

// Why the conditions of an apply do not hold.
std::optional<error> pipeline_actor::refusal(const apply_params& params) const {
  const auto latest = state().getLatestVersion();
  const auto wanted = params.if_version();
  if (state().getRemoving()) {
    return error{errc::failed_precondition,
                 "pipeline '" + pipeline() + "' is being removed; apply it again when it has gone"};
  }
  if (latest == 0) {
    if (wanted == 0 && params.only_if() != schemas::ApplyOnlyIf::PRESENT) {
      return std::nullopt;
    }
    return error{errc::conflict, "there is no pipeline '" + pipeline() + "' in project '" +
                                     project() + "'; apply without a condition to make it"};
  }
  if (params.only_if() == schemas::ApplyOnlyIf::ABSENT) {
    return error{errc::conflict, "pipeline '" + pipeline() + "' exists, its latest version is " +
                                     std::to_string(latest) +
                                     "; to change it, apply with that version as the condition, "
                                     "or without one"};
  }
  if (wanted != 0 && wanted != latest) {
    return error{errc::conflict, "the latest version of pipeline '" + pipeline() + "' is " +
                                     std::to_string(latest) + ", not " + std::to_string(wanted) +
                                     "; get it, merge and apply again with that version"};
  }
  return std::nullopt;
}

async<pipeline_actor::apply_results> pipeline_actor::apply(apply_params params) {
  if (key().find('/') == std::string::npos) {
    co_return error{errc::invalid_argument,
                    "the key of a pipeline is PROJECT/NAME, not '" + shown_name(key()) + "'"};
  }
  auto named = check_name("project", project(), name_rule::thing);
  if (named) {
    named = check_name("pipeline", pipeline(), name_rule::thing);
  }
  if (!named) {
    co_return error{errc::invalid_argument,
                    "the key of a pipeline is PROJECT/NAME; " + named.error().text()};
  }
  const auto definition = from_json(params.definition());
  if (!definition) {
    co_return error{definition.error()};
  }
  if (definition->name != pipeline()) {
    co_return error{errc::invalid_argument, "the definition is called '" + definition->name +
                                                "', the pipeline '" + shown_name(pipeline()) + "'"};
  }
  const auto latest = state().getLatestVersion();
  if (const auto refused = refusal(params)) {
    co_return error{*refused};
  }
  const auto canonical = to_json(*definition);
  if (latest > 0) {
    const auto stored = versions_.get(padded(latest, version_digits));
    if (stored && text_of(stored->getDefinition()) == canonical) {
      co_return apply_results{latest, false};
    }
  }
  edit().setLatestVersion(latest + 1);
  set_idle_timeout(std::nullopt);
  definition_retention_.reset();
  look_for_old_runs();
  auto record = versions_.edit(padded(latest + 1, version_digits));
  record.setVersion(latest + 1);
  record.setAppliedAt(nanoseconds(now()));
  record.setDefinition(canonical.c_str());
  compile(*definition, record.initCompiled());
  put_older_versions_away();
  const auto schedules = static_cast<std::uint32_t>(definition->schedules.size());
  if (latest == 0 || schedules != state().getSchedules()) {
    send(ref<schemas::Project>(project()).add(pipeline(), schedules));
  }
  tell_schedules(definition->schedules);
  co_return apply_results{latest + 1, true};
}

// Where there are some, or have been.
void pipeline_actor::tell_schedules(const std::vector<schedule_definition>& schedules) {
  if (schedules.empty() && state().getSchedules() == 0) {
    return;
  }
  edit().setSchedules(static_cast<std::uint32_t>(schedules.size()));
  schemas::schedule_interface::apply_params params;
  params.build().setSchedules(versions_.get(padded(state().getLatestVersion(), version_digits))
                                  ->getCompiled()
                                  .getSchedules());
  send(ref<schemas::Schedule>(key()).apply(std::move(params)));
}

async<pipeline_actor::describe_results> pipeline_actor::describe(describe_params params) {
  if (!is_known()) {
    co_return unknown();
  }
  const auto latest = state().getLatestVersion();
  const auto version = params.version() == 0 ? latest : params.version();
  const auto row = padded(version, version_digits);
  std::optional<runtime::message<schemas::PipelineVersion>> stored;
  if (const auto known = versions_.get(row)) {
    stored.emplace(*known);
  } else if (version != 0 && version < latest) {
    stored = co_await older_versions_.get(row);
  }
  if (!stored) {
    co_return error{errc::not_found,
                    "pipeline '" + pipeline() + "' has no version " + std::to_string(version)};
  }
  describe_results results;
  auto made = results.build();
  made.setProject(project().c_str());
  made.setName(pipeline().c_str());
  made.setVersion(version);
  made.setLatestVersion(latest);
  made.setAppliedAt(stored->read().getAppliedAt());
  made.setDefinition(stored->read().getDefinition());
  co_return results;
}

// A submission needs the latest only. Those that an older program left here go as well.
void pipeline_actor::put_older_versions_away() {
  const auto latest = padded(state().getLatestVersion(), version_digits);
  std::vector<std::string> older;
  std::size_t words = 0;
  versions_.for_each([&](std::string_view row, schemas::PipelineVersion::Reader record) {
    if (row == latest || words > put_away_words_max) {
      return false;
    }
    words += record.totalSize().wordCount;
    older_versions_.put(row, runtime::message<schemas::PipelineVersion>{record});
    older.emplace_back(row);
    return true;
  });
  for (const auto& row : older) {
    versions_.erase(row);
  }
}

// What an older version applied is compiled when it is first run again.
runtime::result<void> pipeline_actor::compile_stored(std::uint32_t version) {
  const auto row = padded(version, version_digits);
  if (versions_.get(row)->hasCompiled()) {
    return {};
  }
  const auto definition = from_json(text_of(versions_.get(row)->getDefinition()));
  if (!definition) {
    return definition.error();
  }
  compile(*definition, versions_.edit(row).initCompiled());
  return {};
}

// --- runs ----------------------------------------------------------------------------------------

async<> pipeline_actor::on_activate() {
  if (state().getLatestVersion() == 0) {
    set_idle_timeout(runtime::duration{});  // nobody knows it: asking leaves nothing
  } else {
    look_for_old_runs();
  }
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

// Stores the run and sends it off.
template <class Params>
runtime::result<void> pipeline_actor::begin_run(const Params& params, const std::string& run,
                                                const firing& of) {
  const auto latest = state().getLatestVersion();
  if (auto compiled = compile_stored(latest); !compiled) {
    return std::move(compiled).error();
  }
  const auto compiled = versions_.get(padded(latest, version_digits))->getCompiled();
  const auto signature = signature_of(compiled);
  if (!signature) {
    return error{signature.error()};
  }
  const auto bound = bind_params_json(*signature, params.params());
  if (!bound) {
    return all_of(bound.diagnostics);
  }
  const auto created = nanoseconds(now());
  auto record = active_.edit(newest_first(run));
  record.setId(run.c_str());
  record.setVersion(latest);
  record.setState(schemas::RunState::RUNNING);
  record.setCreatedAt(created);
  schemas::run_interface::begin_params begin;
  auto made = begin.build();
  made.setProject(project().c_str());
  made.setPipeline(pipeline().c_str());
  made.setVersion(latest);
  made.setCompiled(compiled);
  made.setParams(to_json(bound).c_str());
  made.setLabels(params.labels());
  made.setCreatedAt(created);
  made.setSchedule(of.schedule.c_str());
  made.setScheduledAt(of.scheduled_at);
  made.setBackfill(of.backfill.c_str());
  if (const auto place = trace()) {
    store_place(*place, made.initTrace());
  }
  if constexpr (requires { params.source(); }) {
    made.setSource(params.read().getSource());
  }
  send(ref<schemas::Run>(run).begin(std::move(begin)));
  return {};
}

std::optional<error> pipeline_actor::refusal_to(capnp::List<schemas::Label>::Reader labels,
                                                std::string_view params) const {
  return is_known() ? refusal_of(labels, params) : std::optional{unknown()};
}

async<pipeline_actor::submit_results> pipeline_actor::submit(submit_params params) {
  if (auto refused = refusal_to(params.labels(), params.params())) {
    co_return *std::move(refused);
  }
  auto run = std::string{params.run()};
  if (run.empty()) {
    run = make_run_id(now(), random_);
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
  const auto version = state().getLatestVersion();
  if (auto begun = begin_run(params, run, firing{}); !begun) {
    co_return std::move(begun).error();
  }
  // Whoever reads the answer may ask for the run. It is stored here, so whatever this says, it
  // begins.
  std::ignore = co_await as_result(ref<schemas::Run>(run).events(0, run_begin_wait_ms, 1));
  co_return submit_results{run, version};
}

// A turn that has stored something and waits for others cannot begin again where its actor moves
// to, so this one does not wait.
async<pipeline_actor::submit_new_results> pipeline_actor::submit_new(submit_new_params params) {
  if (auto refused = refusal_to(params.labels(), params.params())) {
    co_return *std::move(refused);
  }
  auto run = std::string{params.run()};
  if (params.again()) {
    if (const auto known = co_await version_of(run)) {
      co_return submit_new_results{run, *known};
    }
  } else if (run.empty()) {
    run = make_run_id(now(), random_);
  }
  // What was asked first may come last.
  if (const auto known = active_.get(newest_first(run))) {
    co_return submit_new_results{run, known->getVersion()};
  }
  const auto version = state().getLatestVersion();
  if (auto begun = begin_run(params, run, firing{}); !begun) {
    co_return std::move(begun).error();
  }
  co_return submit_new_results{run, version};
}

// By what the latest version says of the schedule.
runtime::result<void> pipeline_actor::begin_scheduled(const firing& of, const std::string& run) {
  if (!is_known()) {
    return unknown();
  }
  const auto latest = state().getLatestVersion();
  const auto stored = *versions_.get(padded(latest, version_digits));
  for (const auto each : stored.getCompiled().getSchedules()) {
    if (text_of(each.getName()) == of.schedule) {
      submit_params params;
      params.build().setParams(each.getParams());
      return begin_run(params, run, of);
    }
  }
  return error{errc::not_found, "version " + std::to_string(latest) + " of the pipeline has no " +
                                    "schedule '" + of.schedule + "'"};
}

async<> pipeline_actor::submit_scheduled(submit_scheduled_params params) {
  const firing of{std::string{params.schedule()}, params.scheduled_at(),
                  std::string{params.backfill()}};
  if (const auto begun = begin_scheduled(of, std::string{params.run()}); !begun) {
    send(ref<schemas::Schedule>(key()).run_told(params.run(), of.schedule, of.scheduled_at,
                                                schemas::RunState::FAILED, begun.error().text(),
                                                of.backfill));
  }
  return {};
}

// A page of the list of runs while it is put together.
struct pipeline_actor::run_page {
  std::optional<schemas::RunState> wanted;
  std::string before;  // row; empty: the list's start
  std::size_t limit = 0;
  std::map<std::string, summary> rows = {};
  std::string looked_to = {};  // row; nothing behind it has been looked at; empty: all has

  void add(std::string_view row, schemas::RunSummary::Reader run) {
    if (row > before && (!wanted || run.getState() == *wanted)) {
      rows.insert_or_assign(std::string{row}, summary{run});
    }
  }
};

void pipeline_actor::add_active(run_page& page) const {
  auto left = page.limit + 2;  // `before` itself, and one that tells that there are more
  active_.for_each(
      [&](std::string_view row, schemas::RunSummary::Reader run) {
        page.add(row, run);
        return --left > 0;
      },
      page.before);
}

async<> pipeline_actor::add_ended(run_page& page) {
  std::string from = page.before.empty() ? std::string{} : page.before + '\0';
  std::uint32_t looked = 0;
  while (page.wanted != schemas::RunState::RUNNING) {
    auto read = co_await runs_.page(from, page.wanted ? page_max : page.limit + 1);
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
  const auto wanted = run_state_named(params.state());
  if (!wanted && !params.state().empty()) {
    co_return error{errc::invalid_argument,
                    "'" + std::string{params.state()} +
                        "' is no state of a run; they are: running, succeeded, failed, "
                        "cancelled, timed_out"};
  }
  run_page page{wanted, newest_first(params.before()), page_of(params.limit())};
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
  results.build().setNext(newest_first(next).c_str());  // twice inverted: the id
  co_return results;
}

async<> pipeline_actor::run_ended(run_ended_params params) {
  const auto row = newest_first(params.run());
  summary told;
  auto made = told.build();
  made.setId(std::string{params.run()}.c_str());
  made.setVersion(params.version());
  made.setState(params.state());
  made.setCreatedAt(params.created_at());
  made.setFinishedAt(params.finished_at());
  const auto count = state().getEndedRuns();
  if (params.state() == schemas::RunState::RUNNING) {  // again
    active_.put(row, told.read());
    runs_.erase(row);
    ended_.erase(ended_row(params.ended_before(), params.run()));
    edit().setEndedRuns(count - std::min<std::uint64_t>(count, 1));
    expiring_.erase(std::string{params.run()});
    return {};
  }
  active_.erase(row);
  runs_.put(row, told);
  summary indexed;
  indexed.build().setId(std::string{params.run()}.c_str());
  ended_.put(ended_row(params.finished_at(), params.run()), indexed);
  edit().setEndedRuns(count + 1);
  const auto kept = retention();
  if (kept.runs && count + 1 > *kept.runs) {
    look_for_old_runs();
  }
  if (kept.age && reminder_due(retention_timer) == runtime::wall_time{}) {
    look_again_at(runtime::wall_time{runtime::duration{params.finished_at()}} + *kept.age);
  }
  return {};
}

async<> pipeline_actor::run_removed(run_removed_params params) {
  const auto row = newest_first(params.run());
  active_.erase(row);
  if (params.finished_at() != 0) {
    runs_.erase(row);
    ended_.erase(ended_row(params.finished_at(), params.run()));
    const auto count = state().getEndedRuns();
    edit().setEndedRuns(count - std::min<std::uint64_t>(count, 1));
  }
  expiring_.erase(std::string{params.run()});
  return {};
}

// --- retention -----------------------------------------------------------------------------------

run_retention pipeline_actor::retention() const {
  if (!definition_retention_) {
    const auto stored = versions_.get(padded(state().getLatestVersion(), version_digits));
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

async<> pipeline_actor::on_timer(std::string) {
  co_await expire_old_runs();
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
    const auto finished_at = std::stoll(each.key.substr(0, time_digits));
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

async<> pipeline_actor::remove() {
  if (!is_known()) {
    co_await runtime::fail(unknown());
  }
  if (!active_.empty()) {
    co_await runtime::fail(
        errc::failed_precondition,
        "pipeline '" + pipeline() + "' has runs that have not ended; cancel them first");
  }
  edit().setRemoving(true);
  if (state().getSchedules() > 0) {
    edit().setSchedules(0);
    send(ref<schemas::Schedule>(key()).apply(schemas::schedule_interface::apply_params{}));
  }
  send(ref<schemas::Project>(project()).remove(pipeline()));
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
    const auto versions = co_await older_versions_.page({}, page_max);
    for (const auto& each : versions.entries) {
      older_versions_.erase(each.key);
    }
    is_left = versions.more;
  }
  if (is_left) {
    remove_later();
    co_return;
  }
  erase_state();
  definition_retention_.reset();
}

}  // namespace millrace::actors
