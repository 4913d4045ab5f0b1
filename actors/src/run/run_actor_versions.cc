// SPDX-License-Identifier: MIT
// A retry with another version of the definition.
#include <algorithm>
#include <iterator>

#include "definition/compiled.h"
#include "millrace/actors/callback.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/params.h"
#include "millrace/actors/selection.h"
#include "pipeline/names.h"
#include "run/changed_tasks.h"
#include "run/run_actor.h"

namespace millrace::actors {

using runtime::as_result;
using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;

// With what has succeeded in tasks that do the same.
result<run_actor::other_version> run_actor::with_version(
    std::uint32_t number, schemas::CompiledPipeline::Reader compiled) const {
  const auto before = pinned_.get(pinned_row)->reader();
  runtime::message<schemas::RunPinned> pinned{before};
  pinned.build().setCompiled(compiled);
  if (before.getOnly().size() > 0) {
    auto of = pinned.build().getCompiled();
    of.setFormat(std::max(of.getFormat(), parts_format));
  }
  pinned.build().setDefinition("");
  for (const auto task : compiled.getTasks()) {
    if (task.getStep().isCallback() && before.getCallbackKey().size() == 0) {
      const auto made = make_callback_key();
      pinned.build().setCallbackKey({reinterpret_cast<const kj::byte*>(made.data()), made.size()});
      break;
    }
  }
  auto graph = graph_of_pinned(pinned.read());
  if (!graph) {
    return error{errc::failed_precondition, "the run cannot go on with version " +
                                                std::to_string(number) + ": " +
                                                graph.error().text()};
  }
  const auto& after = graph->definition();
  pinned.build().setParams(to_json(bind_params_json(after, text_of(before.getParams()))).c_str());
  // Of what this version cannot read nothing holds.
  const auto known = definition_in(before);
  const auto of = known ? *known : pipeline_definition{};
  auto changed = changed_tasks(of, after, differently_asked_for(of, after));
  restore(*graph, changed);
  graph->restore_stopping(text_of(state().getReason()), stop_reach::everything, state().getState());
  auto judged = graph->begin();  // what has no result is withdrawn, and so starts again
  const auto is_same = changed.empty() && of.outputs == after.outputs;
  return other_version{number,  std::move(pinned),         std::move(changed),
                       is_same, std::move(judged.settled), *std::move(graph)};
}

// Tasks that were not asked for and now are, or the other way round, and those without an end, of a
// run that ended because it could not be read.
std::set<std::string> run_actor::differently_asked_for(const pipeline_definition& before,
                                                       const pipeline_definition& after) const {
  std::vector<std::string> only;
  for (const auto each : pinned_.get(pinned_row)->reader().getOnly()) {
    only.push_back(text_of(each));
  }
  const auto asked_for = [&only](const pipeline_definition& in) {
    std::set<std::string> names;
    const auto selected = select_tasks(in, only);
    for (std::size_t at = 0; selected && at < in.tasks.size(); ++at) {
      if (selected->empty() || (*selected)[at]) {
        names.insert(in.tasks[at].name);
      }
    }
    return names;
  };
  std::set<std::string> different;
  if (!only.empty()) {
    const auto then = asked_for(before);
    const auto now = asked_for(after);
    std::set_symmetric_difference(then.begin(), then.end(), now.begin(), now.end(),
                                  std::inserter(different, different.end()));
  }
  instances_.for_each([&](std::string_view, schemas::TaskStatus::Reader row) {
    if (!is_terminal(row.getState())) {
      different.insert(text_of(row.getTask()));
    }
    return true;
  });
  return different;
}

// The rows of what has changed go before the others are looked at: the new graph may not know them.
void run_actor::take_over(other_version& with) {
  std::vector<std::string> rows;
  instances_.for_each([&](std::string_view row, schemas::TaskStatus::Reader status) {
    const auto task = text_of(status.getTask());
    if (with.changed.contains(task) || !with.graph.find(task)) {
      rows.emplace_back(row);
    }
    return true;
  });
  for (const auto& row : rows) {
    callbacks_.erase(text_of(instances_.get(row)->getName()));
    forget_row(row);
  }
  pinned_.put(pinned_row, with.pinned.read());
  edit().setVersion(with.number);
}

async<run_actor::retry_with_results> run_actor::retry_with(retry_with_params params) {
  const std::string from{params.from()};
  const auto is_dry = params.dry_run();
  if (auto may = may_start_again(from, true); !may) {
    co_return may.error();
  }
  const auto of = text_of(state().getProject()) + "/" + text_of(state().getPipeline());
  const auto asked = params.version();
  const auto version = co_await as_result(ref<schemas::Pipeline>(of).compiled(asked));
  if (!version) {
    co_return version.error();
  }
  auto with = with_version(version->version(), version->read().getCompiled());
  if (!with) {
    co_return with.error();
  }
  if (state().getState() == schemas::RunState::SUCCEEDED && from.empty() && with->is_same) {
    co_return error{errc::failed_precondition, "the run has succeeded, and version " +
                                                   std::to_string(with->number) +
                                                   " changes nothing of it; name the task to "
                                                   "start from"};
  }
  const auto again = start_again(from, is_dry, &*with);
  if (!again) {
    co_return again.error();
  }
  retry_with_results told;
  told.build().setTasks(again->tasks());
  told.build().setNames(again->read().getNames());
  told.build().setVersion(version->version());
  co_return told;
}

}  // namespace millrace::actors
