// SPDX-License-Identifier: MIT
// Which runs of a pipeline go on and which wait: its pause, and its bound on runs.
#include "pipeline/pipeline_actor.h"

#include "definition/compiled.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/expression.h"
#include "pipeline/pipeline_rows.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;

namespace {

// That begin in one commit; the rest follows at once.
constexpr std::size_t begun_at_once = 1'000;

std::string bound_text(std::uint32_t limit, const std::string& group) {
  return "at most " + std::to_string(limit) + (limit == 1 ? " run goes" : " runs go") +
         " on at a time" + (group.empty() ? "" : " in group '" + group + "'");
}

}  // namespace

std::optional<concurrency_definition> pipeline_actor::concurrency() const {
  const auto stored = versions_.get(version_row(state().getLatestVersion()));
  return stored ? concurrency_of(stored->getCompiled()) : std::nullopt;
}

// Of a run that is about to be stored. Errors: it is refused.
runtime::result<pipeline_actor::turn> pipeline_actor::turn_of(const bound_params& params,
                                                              const std::string& run) {
  turn made;
  const auto bound = concurrency();
  if (bound && !bound->group.empty()) {
    map_scope scope;
    scope.params.insert(params.values.begin(), params.values.end());
    scope.run_values = {{"id", make_value(run)}, {"pipeline", make_value(pipeline())}};
    auto group = fill(bound->group, scope);
    if (!group) {
      return error{errc::invalid_argument,
                   "the group of `concurrency` has no value: " + group.error().text()};
    }
    made.group = *std::move(group);
  }
  if (made.group.size() > concurrency_group_bytes_max) {
    return error{errc::too_large, "the group of `concurrency` has " +
                                      std::to_string(made.group.size()) + " bytes, and may have " +
                                      std::to_string(concurrency_group_bytes_max) +
                                      "; a hash of the parameter would do"};
  }
  if (bound && bound->on_limit == at_limit::reject && turns_.count(made.group) >= bound->limit) {
    return error{errc::conflict, bound_text(bound->limit, made.group) + " of pipeline '" +
                                     pipeline() + "'; submit it again when one has ended"};
  }
  if (bound && bound->on_limit == at_limit::cancel_oldest) {
    for (const auto& old : turns_.pushed_out(made.group, bound->limit)) {
      send(ref<schemas::Run>(old).withdraw(
          "run " + run + " took its place: " + bound_text(bound->limit, made.group), false));
    }
  }
  if (state().getPaused()) {
    const auto by = text_of(state().getPausedBy());
    made.waits_for =
        "waits: when it came its pipeline was paused" + (by.empty() ? "" : " by " + by);
  } else if (bound && turns_.has_to_wait(made.group, bound->limit)) {
    made.waits_for = "waits for its turn: " + bound_text(bound->limit, made.group);
  }
  return made;
}

// Those whose turn has come.
void pipeline_actor::begin_waiting() {
  if (state().getPaused() || state().getRemoving() || turns_.waiting() == 0) {
    return;
  }
  const auto bound = concurrency();
  const auto begun = turns_.take(bound ? std::optional{bound->limit} : std::nullopt, begun_at_once);
  for (const auto& run : begun) {
    active_.edit(newest_first(run)).setQueued(false);
    send(ref<schemas::Run>(run).proceed());
  }
  if (begun.size() == begun_at_once) {
    set_timer(turns_timer, runtime::duration{1});
  }
}

async<pipeline_actor::activity_results> pipeline_actor::activity() {
  if (!is_known()) {
    co_return unknown();
  }
  activity_results results;
  auto made = results.build();
  made.setPaused(state().getPaused());
  made.setPausedBy(state().getPausedBy());
  made.setActiveRuns(static_cast<std::uint32_t>(active_.size()));
  made.setQueuedRuns(static_cast<std::uint32_t>(turns_.waiting()));
  made.setGoodVersion(state().getGoodVersion());
  made.setFailedInRow(state().getFailedInRow());
  show_watches(results);
  co_return results;
}

async<> pipeline_actor::pause(pause_params params) {
  if (!is_known()) {
    co_await runtime::fail(unknown());
  }
  if (!state().getPaused()) {
    edit().setPaused(true);
    edit().setPausedBy(std::string{params.by()}.c_str());
  }
}

async<> pipeline_actor::resume() {
  if (!is_known()) {
    co_await runtime::fail(unknown());
  }
  if (state().getPaused()) {
    edit().setPaused(false);
    edit().setPausedBy("");
    begin_waiting();
  }
}

}  // namespace millrace::actors
