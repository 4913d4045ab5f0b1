// SPDX-License-Identifier: MIT
// The versions of a pipeline: applying, going back to one, and the one that a run begins with.
#include "pipeline/pipeline_actor.h"

#include "definition/compiled.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/name_rule.h"
#include "millrace/schedule.capnp.actor.h"
#include "pipeline/pipeline_rows.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;

namespace {
// Of older versions, in one commit, which takes 64 MiB; the rest follows with the next apply.
constexpr std::size_t put_away_words_max = std::size_t{1} << 20U;
}  // namespace

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
    const auto stored = versions_.get(version_row(latest));
    if (stored && text_of(stored->getDefinition()) == canonical) {
      co_return apply_results{latest, false};
    }
  }
  take(*definition, canonical, {});
  co_return apply_results{latest + 1, true};
}

// Makes it the latest version. `origin`: why, unless it was applied.
void pipeline_actor::take(const pipeline_definition& definition, const std::string& canonical,
                          const std::string& origin) {
  const auto latest = state().getLatestVersion();
  tell_triggers(definition.triggers);
  forget_started_for(definition.webhooks);
  settle_watches(definition.watches);
  auto root = edit();
  root.setLatestVersion(latest + 1);
  root.setFailedInRow(0);
  set_idle_timeout(std::nullopt);
  definition_retention_.reset();
  look_for_old_runs();
  auto record = versions_.edit(version_row(latest + 1));
  record.setVersion(latest + 1);
  record.setAppliedAt(nanoseconds(now()));
  record.setDefinition(canonical.c_str());
  record.setOrigin(origin.c_str());
  compile(definition, record.initCompiled());
  put_older_versions_away();
  const auto schedules =
      static_cast<std::uint32_t>(definition.schedules.size() + definition.watches.size());
  if (latest == 0 || schedules != state().getSchedules()) {
    send(ref<schemas::Project>(project()).add(pipeline(), schedules));
  }
  tell_schedules();
  begin_waiting();  // more may go on than before
}

// Where there are some, or have been; those of watches among them.
void pipeline_actor::tell_schedules() {
  const auto compiled = versions_.get(version_row(state().getLatestVersion()))->getCompiled();
  const auto schedules = compiled.getSchedules();
  const auto watches = compiled.getWatches();
  if (schedules.size() + watches.size() + state().getSchedules() == 0) {
    return;
  }
  schemas::schedule_interface::apply_params params;
  auto told = params.build().initSchedules(schedules.size() + watches.size());
  for (unsigned at = 0; at < told.size(); ++at) {
    told.setWithCaveats(
        at, at < schedules.size() ? schedules[at] : watches[at - schedules.size()].getSchedule());
  }
  edit().setSchedules(told.size());
  send(ref<schemas::Schedule>(key()).apply(std::move(params)));
}

async<pipeline_actor::describe_results> pipeline_actor::describe(describe_params params) {
  if (!is_known()) {
    co_return unknown();
  }
  const auto latest = state().getLatestVersion();
  const auto version = params.version() == 0 ? latest : params.version();
  const auto stored = co_await stored_version(version);
  if (!stored) {
    co_return no_version(version);
  }
  describe_results results;
  auto made = results.build();
  made.setProject(project().c_str());
  made.setName(pipeline().c_str());
  made.setVersion(version);
  made.setLatestVersion(latest);
  made.setAppliedAt(stored->read().getAppliedAt());
  made.setDefinition(stored->read().getDefinition());
  made.setOrigin(stored->read().getOrigin());
  co_return results;
}

// A submission needs the latest only. Those that an older program left here go as well.
void pipeline_actor::put_older_versions_away() {
  const auto latest = version_row(state().getLatestVersion());
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
  const auto row = version_row(version);
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

// --- another version than the latest -------------------------------------------------------------

error pipeline_actor::no_version(std::uint32_t version) const {
  return {errc::not_found, "pipeline '" + pipeline() + "' has no version " +
                               std::to_string(version) + "; the latest is " +
                               std::to_string(state().getLatestVersion())};
}

async<std::optional<pipeline_actor::version_record>> pipeline_actor::stored_version(
    std::uint32_t version) {
  const auto row = version_row(version);
  if (const auto known = versions_.get(row)) {
    co_return version_record{known->reader()};
  }
  co_return co_await older_versions_.get(row);
}

// What a run is begun with; 0: the latest.
async<pipeline_actor::chosen_version> pipeline_actor::version_numbered(std::uint32_t version) {
  const auto latest = state().getLatestVersion();
  if (version == 0 || version == latest) {
    co_return chosen_version{.number = latest};
  }
  auto older = co_await stored_version(version);
  if (!older) {
    co_return no_version(version);
  }
  if (!older->read().hasCompiled()) {
    const auto definition = from_json(text_of(older->read().getDefinition()));
    if (!definition) {
      co_return error{definition.error()};
    }
    compile(*definition, older->build().initCompiled());
  }
  co_return chosen_version{version, std::move(older)};
}

async<pipeline_actor::compiled_results> pipeline_actor::compiled(compiled_params params) {
  if (!is_known()) {
    co_return unknown();
  }
  const auto chosen = co_await version_numbered(params.version());
  compiled_results told;
  auto made = told.build();
  made.setVersion(chosen.number);
  if (chosen.older) {
    made.setCompiled(chosen.older->read().getCompiled());
    co_return told;
  }
  const auto latest = *versions_.get(version_row(chosen.number));
  if (latest.hasCompiled()) {
    made.setCompiled(latest.getCompiled());
    co_return told;
  }
  const auto definition = from_json(text_of(latest.getDefinition()));
  if (!definition) {
    co_return error{definition.error()};
  }
  compile(*definition, made.initCompiled());
  co_return told;
}

// Makes a new version of what an earlier one says. Changes nothing before it knows that it can.
async<std::uint32_t> pipeline_actor::go_back_to(std::uint32_t version, std::string why) {
  const auto earlier = co_await stored_version(version);
  if (!earlier) {
    co_return no_version(version);
  }
  const auto canonical = text_of(earlier->read().getDefinition());
  const auto latest = state().getLatestVersion();
  if (text_of(versions_.get(version_row(latest))->getDefinition()) == canonical) {
    co_return error{errc::failed_precondition,
                    "version " + std::to_string(version) + " of pipeline '" + pipeline() +
                        "' says the same as its latest, " + std::to_string(latest)};
  }
  const auto definition = from_json(canonical);
  if (!definition) {
    co_return error{definition.error()};
  }
  take(*definition, canonical, why + "version " + std::to_string(version) + " again");
  co_return latest + 1;
}

async<pipeline_actor::rollback_results> pipeline_actor::rollback(rollback_params params) {
  if (!is_known()) {
    co_return unknown();
  }
  const auto version = params.version() == 0 ? state().getGoodVersion() : params.version();
  if (version == 0) {
    co_return error{errc::failed_precondition,
                    "no run of pipeline '" + pipeline() +
                        "' has succeeded yet; name the version to go back to"};
  }
  if (params.version() == 0 && version == state().getLatestVersion()) {
    co_return error{errc::failed_precondition,
                    "a run of the latest version of pipeline '" + pipeline() + "', " +
                        std::to_string(version) +
                        ", has succeeded; name the earlier one to go back to"};
  }
  co_return rollback_results{co_await go_back_to(version, "rolled back: ")};
}

// Of a run that has ended: counts for and against the version that it ran.
void pipeline_actor::judge_version(std::uint32_t version, schemas::RunState end) {
  const auto latest = state().getLatestVersion();
  const auto failed = end == schemas::RunState::FAILED || end == schemas::RunState::TIMED_OUT;
  if (end == schemas::RunState::SUCCEEDED && version > state().getGoodVersion()) {
    edit().setGoodVersion(version);
  }
  if (version != latest || !is_known()) {
    return;
  }
  if (end == schemas::RunState::SUCCEEDED && state().getFailedInRow() > 0) {
    edit().setFailedInRow(0);
  } else if (failed) {
    const auto in_row = state().getFailedInRow() + 1;
    edit().setFailedInRow(in_row);
    const auto stored = versions_.get(version_row(latest));
    const auto after = stored ? stored->getCompiled().getRevertAfter() : 0;
    if (after > 0 && in_row >= after && state().getGoodVersion() > 0) {
      send(ref<schemas::Pipeline>(key()).revert(latest));
    }
  }
}

async<> pipeline_actor::revert(revert_params params) {
  const auto latest = state().getLatestVersion();
  if (!is_known() || params.version() != latest || state().getGoodVersion() == latest) {
    co_return;
  }
  const auto count = state().getFailedInRow();
  const auto why = "version " + std::to_string(latest) + " failed " + std::to_string(count) +
                   (count == 1 ? " time; " : " times in a row; ");
  const auto made = co_await as_result(go_back_to(state().getGoodVersion(), "reverted: " + why));
  if (log_) {
    log_("pipeline " + key() + ": " + why +
         (made ? "its version " + std::to_string(*made) + " is version " +
                     std::to_string(state().getGoodVersion()) + " again"
               : "it stays: " + made.error().text()));
  }
}

}  // namespace millrace::actors
