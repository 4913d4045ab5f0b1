// SPDX-License-Identifier: MIT
// Watches: runs that look for new versions, what they have found, and the runs which that starts.
//
// A check is a run of a definition of its own. It is in none of the lists of this pipeline's runs:
// what is known of it is the record of its watch.
#include <algorithm>

#include "definition/compiled.h"
#include "definition/fill_values.h"
#include "millrace/actors/definition.h"
#include "pipeline/pipeline_actor.h"
#include "pipeline/pipeline_rows.h"
#include "pipeline/watch_versions.h"
#include "run/run_spans.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;
using schemas::RunState;

namespace {

// Of each watch, with their logs.
constexpr std::size_t checks_kept_max = 10;

std::optional<schemas::CompiledWatch::Reader> watch_named(schemas::CompiledPipeline::Reader from,
                                                          std::string_view name) {
  for (const auto each : from.getWatches()) {
    if (text_of(each.getSchedule().getName()) == name) {
      return each;
    }
  }
  return std::nullopt;
}

// Errors: what is wrong with what the check has printed.
runtime::result<std::vector<std::string>> versions_of(
    capnp::List<schemas::Variable>::Reader outputs) {
  std::string printed;
  for (const auto each : outputs) {
    if (text_of(each.getName()) == check_output) {
      printed = text_of(each.getValue());
    }
  }
  auto found = versions_in(printed);
  return found ? std::move(found)
               : error{errc::invalid_argument, "it has printed " + found.error().text()};
}

// Whether both find versions alike.
bool same_command(const task_definition& a, const task_definition& b) {
  return a.run == b.run && a.command == b.command && a.shell == b.shell && a.env == b.env;
}

}  // namespace

std::optional<schemas::CompiledWatch::Reader> pipeline_actor::watch_of_latest(
    std::string_view name) const {
  const auto stored = versions_.get(version_row(state().getLatestVersion()));
  return stored ? watch_named(stored->getCompiled(), name) : std::nullopt;
}

// Of a version that is about to become the latest.
void pipeline_actor::settle_watches(const std::vector<watch_definition>& wanted) {
  std::vector<std::string> known;
  watches_.for_each([&known](std::string_view name, const auto& /*record*/) {
    known.emplace_back(name);
    return true;
  });
  for (const auto& name : known) {
    const auto is_it = [&](const auto& each) { return each.schedule.name == name; };
    const auto now = std::find_if(wanted.begin(), wanted.end(), is_it);
    const auto compiled = watch_of_latest(name);
    const auto before = compiled ? watch_of(*compiled) : error{errc::not_found, {}};
    if (now != wanted.end() && before && same_command(before->check, now->check)) {
      continue;
    }
    const auto record = *watches_.get(name);
    if (record.getChecking().size() > 0) {
      send(ref<schemas::Run>(text_of(record.getChecking()))
               .withdraw("its watch has changed", false));
    }
    if (now != wanted.end()) {
      auto changed = watches_.edit(name);
      changed.setChecking("");
      changed.setKnown(false);
      continue;
    }
    for (const auto check : record.getChecks()) {
      send(ref<schemas::Run>(text_of(check)).expire());
    }
    watches_.erase(name);
    seen_.erase(name);
  }
}

runtime::result<void> pipeline_actor::begin_check(const run_starter& of, const std::string& run,
                                                  schemas::CompiledWatch::Reader watch) {
  if (state().getPaused()) {
    return error{errc::failed_precondition, "the pipeline is paused"};
  }
  auto record = watches_.edit(of.schedule);
  record.setChecking(run.c_str());
  schemas::run_interface::begin_params begin;
  auto made = begin.build();
  made.setProject(project().c_str());
  made.setPipeline(pipeline().c_str());
  made.setVersion(state().getLatestVersion());
  made.setCompiled(watch.getCheck());
  const value::map params{{std::string{check_param}, make_value(text_of(record.getLastVersion()))}};
  made.setParams(to_json(make_value(params)).c_str());
  made.setCreatedAt(nanoseconds(now()));
  made.setSchedule(of.schedule.c_str());
  made.setScheduledAt(of.scheduled_at);
  made.setWatch(of.schedule.c_str());
  made.setCheck(true);
  if (const auto place = trace()) {
    store_place(*place, made.initTrace());
  }
  send(ref<schemas::Run>(run).begin(std::move(begin)));
  return {};
}

// What is new is noted in the commit that stores the sends by which it starts runs: both are there
// or neither.
async<> pipeline_actor::check_ended(run_ended_params params) {
  const std::string name{params.check()};
  const std::string run{params.run()};
  const auto ended_well = params.state() == RunState::SUCCEEDED;
  auto found = ended_well ? versions_of(params.read().getOutputs())
                          : error{errc::internal, std::string{params.reason()}};
  if (ended_well && params.params().empty()) {  // they are too long to be told
    const auto asked = co_await as_result(ref<schemas::Run>(run).status());
    if (!asked && asked.error().code() != errc::not_found) {
      co_await runtime::fail(asked.error());  // this is told again
    }
    found = asked ? versions_of(asked->run().getOutputs()) : asked.error();
  }
  const auto watch = is_known() ? watch_of_latest(name) : std::nullopt;
  const auto known = watches_.get(name);
  if (!watch || !known || text_of(known->getChecking()) != run) {
    send(ref<schemas::Run>(run).expire());  // of a watch that is no more, or looks otherwise now
    co_return;
  }
  const auto reason = found                          ? std::string{}
                      : found.error().text().empty() ? std::string{"it did not end well"}
                                                     : found.error().text();
  std::vector<std::string> fresh;
  if (found) {
    const auto before = seen_.get(name);
    const auto had = before ? text_of(before->getDigests()) : std::string{};
    auto seen = had;
    fresh = take_new(*found, known->getKnown() ? check_order::later : check_order::first,
                     watch->getAll() ? first_versions::all : first_versions::newest, seen);
    if (seen != had) {
      seen_.edit(name).setDigests(seen.c_str());
    }
  }
  std::vector<std::string> checks;
  checks.reserve(known->getChecks().size() + 1);
  for (const auto each : known->getChecks()) {
    checks.push_back(text_of(each));
  }
  checks.push_back(run);
  for (; checks.size() > checks_kept_max; checks.erase(checks.begin())) {
    send(ref<schemas::Run>(checks.front()).expire());
  }
  auto record = watches_.edit(name);
  record.setChecking("");
  auto kept = record.initChecks(static_cast<unsigned>(checks.size()));
  for (unsigned at = 0; at < kept.size(); ++at) {
    kept.set(at, checks[at].c_str());
  }
  record.setCheckedAt(nanoseconds(now()));
  record.setReason(reason.c_str());
  if (found) {
    record.setKnown(true);
    record.setFound(record.getFound() + fresh.size());
    if (!found->empty()) {
      record.setLastVersion(found->back().c_str());
    }
  }
  for (const auto& version : fresh) {
    send(ref<schemas::Pipeline>(key()).version_found(name, version));
  }
  if (figures_ != nullptr) {
    figures_->add_check(found ? check_end::succeeded : check_end::failed, fresh.size());
  }
}

async<> pipeline_actor::version_found(version_found_params params) {
  const std::string name{params.watch()};
  const std::string version{params.version()};
  const auto watch = is_known() ? watch_of_latest(name) : std::nullopt;
  if (!watch) {
    return {};  // of a version of the definition that is no more
  }
  const auto filled = fill_values(values_of(watch->getParams()), version_scope{version}, "params");
  auto begun = filled ? runtime::result<void>{} : filled.error();
  if (filled) {
    submit_params submission;
    submission.build().setParams(to_json(*filled).c_str());
    begun = begin_run(submission, run_ids_.next(now()), {.watch = name},
                      {.number = state().getLatestVersion()});
  }
  if (!begun && watches_.contains(name)) {
    watches_.edit(name).setRefusal((version + ": " + begun.error().text()).c_str());
  }
  if (!begun && log_) {
    log_("pipeline " + key() + ": watch " + name + " starts nothing for " + version + ": " +
         begun.error().text());
  }
  return {};
}

void pipeline_actor::show_watches(activity_results& into) const {
  const auto stored = versions_.get(version_row(state().getLatestVersion()));
  const auto watches = stored->getCompiled().getWatches();
  auto list = into.build().initWatches(watches.size());
  for (unsigned at = 0; at < list.size(); ++at) {
    const auto name = text_of(watches[at].getSchedule().getName());
    list[at].setId(name.c_str());
    const auto record = watches_.get(name);
    if (!record) {
      continue;
    }
    list[at].setChecking(record->getChecking());
    if (const auto checks = record->getChecks(); checks.size() > 0) {
      list[at].setLastCheck(checks[checks.size() - 1]);
    }
    list[at].setCheckedAt(record->getCheckedAt());
    list[at].setReason(record->getReason());
    list[at].setLastVersion(record->getLastVersion());
    list[at].setFound(record->getFound());
    list[at].setRefusal(record->getRefusal());
  }
}

}  // namespace millrace::actors
