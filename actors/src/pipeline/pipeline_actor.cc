// SPDX-License-Identifier: MIT
#include "pipeline/pipeline_actor.h"

#include "definition/compiled.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/name_rule.h"
#include "millrace/actors/params.h"
#include "millrace/actors/run_id.h"
#include "pipeline/names.h"
#include "run/run_graph.h"

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
// row is empty: the start of the list.
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

error all_of(const std::vector<diagnostic>& mistakes) {
  std::string text;
  for (const auto& each : mistakes) {
    text +=
        (text.empty() ? "" : "; ") + each.text + (each.hint.empty() ? "" : " (" + each.hint + ")");
  }
  return {errc::invalid_argument, std::move(text)};
}

}  // namespace

async<> project_actor::add(add_params params) {
  if (!pipelines_.contains(params.pipeline())) {
    auto record = pipelines_.edit(params.pipeline());
    record.setName(params.read().getPipeline());
    record.setRegisteredAt(nanoseconds(now()));
  }
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
  auto record = versions_.edit(padded(latest + 1, version_digits));
  record.setVersion(latest + 1);
  record.setAppliedAt(nanoseconds(now()));
  record.setDefinition(canonical.c_str());
  compile(*definition, record.initCompiled());
  if (latest == 0) {
    send(ref<schemas::Project>(project()).add(pipeline()));
  }
  co_return apply_results{latest + 1, true};
}

async<pipeline_actor::describe_results> pipeline_actor::describe(describe_params params) {
  const auto latest = state().getLatestVersion();
  const auto version = params.version() == 0 ? latest : params.version();
  const auto stored = versions_.get(padded(version, version_digits));
  if (!stored) {
    co_return latest == 0 ? unknown()
                          : error{errc::not_found, "pipeline '" + pipeline() + "' has no version " +
                                                       std::to_string(version)};
  }
  describe_results results;
  auto made = results.build();
  made.setProject(project().c_str());
  made.setName(pipeline().c_str());
  made.setVersion(version);
  made.setLatestVersion(latest);
  made.setAppliedAt(stored->getAppliedAt());
  made.setDefinition(stored->getDefinition());
  co_return results;
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

async<pipeline_actor::submit_results> pipeline_actor::submit(submit_params params) {
  const auto latest = state().getLatestVersion();
  if (!versions_.contains(padded(latest, version_digits))) {
    co_return unknown();
  }
  const auto run = params.run().empty() ? make_run_id(now(), random_) : std::string{params.run()};
  if (!is_run_id(run)) {
    co_return error{errc::invalid_argument, "'" + run + "' is no run id"};
  }
  const auto row = newest_first(run);
  if (const auto known = runs_.get(row)) {
    co_return submit_results{run, known->getVersion()};
  }
  if (auto compiled = compile_stored(latest); !compiled) {
    co_return std::move(compiled).error();
  }
  const auto compiled = versions_.get(padded(latest, version_digits))->getCompiled();
  const auto signature = signature_of(compiled);
  if (!signature) {
    co_return error{signature.error()};
  }
  const auto bound = bind_params_json(*signature, params.params());
  if (!bound) {
    co_return all_of(bound.diagnostics);
  }
  const auto created = nanoseconds(now());
  auto record = runs_.edit(row);
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
  send(ref<schemas::Run>(run).begin(std::move(begin)));
  co_return submit_results{run, latest};
}

async<pipeline_actor::runs_results> pipeline_actor::runs(runs_params params) {
  if (state().getLatestVersion() == 0) {
    co_return unknown();
  }
  const auto wanted = run_state_named(params.state());
  if (!wanted && !params.state().empty()) {
    co_return error{errc::invalid_argument,
                    "'" + std::string{params.state()} +
                        "' is no state of a run; they are: running, succeeded, failed, "
                        "cancelled, timed_out"};
  }
  const auto limit = page_of(params.limit());
  const std::string before{params.before()};
  std::vector<schemas::RunSummary::Reader> page;
  std::string last;
  std::string next;
  std::uint32_t looked = 0;
  runs_.for_each(
      [&](std::string_view, schemas::RunSummary::Reader record) {
        if (text_of(record.getId()) == before) {
          return true;
        }
        if (page.size() == limit || looked == page_look_max) {
          next = last;
          return false;
        }
        ++looked;
        last = text_of(record.getId());
        if (!wanted || record.getState() == *wanted) {
          page.push_back(record);
        }
        return true;
      },
      newest_first(before));
  runs_results results;
  auto list = results.build().initRuns(static_cast<unsigned>(page.size()));
  for (unsigned at = 0; at < page.size(); ++at) {
    list.setWithCaveats(at, page[at]);
    list[at].setPipeline(pipeline().c_str());
  }
  results.build().setNext(next.c_str());
  co_return results;
}

async<> pipeline_actor::run_ended(run_ended_params params) {
  if (const auto row = newest_first(params.run()); runs_.contains(row)) {
    auto record = runs_.edit(row);
    record.setState(params.state());
    record.setFinishedAt(params.finished_at());
  }
  return {};
}

async<> pipeline_actor::run_removed(run_removed_params params) {
  runs_.erase(newest_first(params.run()));
  return {};
}

}  // namespace millrace::actors
