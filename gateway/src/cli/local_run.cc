// SPDX-License-Identifier: MIT
#include "cli/local_run.h"

#include <algorithm>
#include <iostream>
#include <set>

#include "api/run_event.h"
#include "cli/closing.h"
#include "cli/command.h"
#include "cli/run_logs.h"
#include "millrace/actors/process_log.h"
#include "millrace/actors/selection.h"
#include "millrace/runtime/json.h"

namespace millrace::gateway::cli {

using nlohmann::ordered_json;
using runtime::ref;
using runtime::result;

namespace {

constexpr std::uint32_t look_ms = 250;  // between two looks at the clock and at Ctrl-C
constexpr std::size_t failure_bytes = std::size_t{64} << 10U;

template <class Reader>
ordered_json json_of(const Reader& shown) {
  return ordered_json::parse(runtime::to_json_text(shown));
}

actors::pipeline_definition without_starters(actors::pipeline_definition whole) {
  whole.schedules.clear();  // or they would fire during this run, and every later one here
  whole.triggers.clear();
  return whole;
}

// Whether a task is a run of a pipeline that is among `named` or stored.
result<void> check_known(runtime::silo& here, const actors::task_definition& task,
                         const std::set<std::string>& named) {
  if (task.pipeline.empty() || named.contains(task.pipeline)) {
    return {};
  }
  const auto known = here.call(ref<schemas::Pipeline>("default/" + task.pipeline).activity());
  if (known || known.error().code() != runtime::errc::not_found) {
    return known ? result<void>{} : known.error();
  }
  return runtime::error{runtime::errc::invalid_argument,
                        "the task '" + task.name + "' is a run of the pipeline '" + task.pipeline +
                            "', which is not known here: name its definition too, as in `millrace "
                            "run FILE OTHER`"};
}

// One that is stored, but for its schedules and triggers, keeps them.
result<void> apply_other(runtime::silo& here, const actors::pipeline_definition& other) {
  const auto pipeline = ref<schemas::Pipeline>("default/" + other.name);
  const auto wanted = actors::to_json(without_starters(other));
  const auto stored = here.call(pipeline.describe(0));
  if (!stored && stored.error().code() != runtime::errc::not_found) {
    return stored.error();
  }
  if (stored) {
    const auto read = actors::from_json(std::string{stored->definition()});
    if (read && actors::to_json(without_starters(*read)) == wanted) {
      return {};
    }
  }
  const auto applied = here.call(pipeline.apply(wanted, 0, schemas::ApplyOnlyIf::ANY));
  return applied ? result<void>{} : applied.error();
}

}  // namespace

result<std::vector<unfinished_run>> unfinished_runs(runtime::silo& here) {
  std::vector<unfinished_run> found;
  std::string after;
  do {
    const auto pipelines = here.call(ref<schemas::Project>("default").pipelines(after, 0));
    if (!pipelines) {
      return pipelines.error();
    }
    for (auto pipeline : pipelines->pipelines()) {
      const std::string name{pipeline.getName().cStr()};
      for (const auto* state : {"running", "queued"}) {
        std::string before;
        do {
          const auto runs =
              here.call(ref<schemas::Pipeline>("default/" + name).runs(before, 0, state, ""));
          if (!runs) {
            return runs.error();
          }
          for (auto run : runs->runs()) {
            found.push_back({run.getId().cStr(), name});
          }
          before = runs->next_cursor();
        } while (!before.empty());
      }
    }
    after = pipelines->next_cursor();
  } while (!after.empty());
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return found;
}

result<void> apply_beside(runtime::silo& here,
                          const std::vector<actors::pipeline_definition>& others,
                          const actors::pipeline_definition& definition,
                          const std::vector<bool>& selected) {
  std::set<std::string> named{definition.name};
  for (const auto& each : others) {
    named.insert(each.name);
  }
  for (std::size_t at = 0; at < definition.tasks.size(); ++at) {
    if (selected.empty() || selected[at]) {
      if (auto known = check_known(here, definition.tasks[at], named); !known) {
        return known;
      }
    }
  }
  for (const auto& each : others) {
    for (const auto& task : each.tasks) {
      if (auto known = check_known(here, task, named); !known) {
        return known;
      }
    }
  }
  for (const auto& each : others) {
    if (auto applied = apply_other(here, each); !applied) {
      return applied;
    }
  }
  return {};
}

result<void> local_run::take_up(const std::string& run) {
  const auto status = here_.silo().call(ref<schemas::Run>(run).status());
  if (!status) {
    return status.error();
  }
  const std::string pipeline{status->run().getPipeline().cStr()};
  const auto version = here_.silo().call(
      ref<schemas::Pipeline>("default/" + pipeline).describe(status->run().getVersion()));
  if (!version) {
    return version.error();
  }
  auto definition = actors::from_json(std::string{version->definition()});
  if (!definition) {
    return std::move(definition).error();
  }
  definition_ = *std::move(definition);
  run_ = run;
  view_.begin(pipeline, run_);
  return {};
}

result<void> local_run::submit(actors::pipeline_definition definition, const std::string& params,
                               const std::string& source, const std::vector<std::string>& only,
                               bool no_cache) {
  definition_ = std::move(definition);
  definition_.schedules.clear();  // or they would fire during this run, and every later one here
  const auto pipeline = ref<schemas::Pipeline>("default/" + definition_.name);
  if (auto applied = here_.silo().call(
          pipeline.apply(actors::to_json(definition_), 0, schemas::ApplyOnlyIf::ANY));
      !applied) {
    return std::move(applied).error();
  }
  schemas::pipeline_interface::submit_params submission;
  submission.build().setParams(params.c_str());
  submission.build().setSource(source.c_str());
  submission.build().setNoCache(no_cache);
  auto names = submission.build().initOnly(static_cast<unsigned>(only.size()));
  for (unsigned at = 0; at < names.size(); ++at) {
    names.set(at, only[at].c_str());
  }
  auto answer = here_.silo().call(pipeline.submit(std::move(submission)));
  if (!answer) {
    return std::move(answer).error();
  }
  run_ = answer->run();
  view_.begin(definition_.name, run_);
  return {};
}

exit_code local_run::follow() {
  std::uint64_t after = 0;
  auto told = 0;
  auto cancelled = 0;
  for (;;) {
    const auto asked = interrupts();
    if (asked > std::exchange(told, asked)) {
      view_.line(asked == 1
                     ? "cancelling; press Ctrl-C again to end hooks and tasks that run always too"
                     : "ending every task; press Ctrl-C again to leave at once");
    }
    // Again after a refusal: the run may not have heard of itself yet.
    if (asked > cancelled &&
        here_.silo().call(ref<schemas::Run>(run_).cancel("interrupted", asked > 1))) {
      cancelled = asked;
    }
    auto page = here_.silo().call(ref<schemas::Run>(run_).events(after, look_ms, 0));
    if (!page) {
      if (page.error().code() == runtime::errc::not_found) {
        continue;  // the run's first message is on its way
      }
      return report(page.error());
    }
    if (const auto trouble = here_.host().trouble()) {
      return report(*trouble);  // there may never be another event
    }
    if (view_.wants_total()) {
      const auto now = here_.silo().call(ref<schemas::Run>(run_).status());
      view_.set_total(now ? std::optional<std::size_t>{now->run().getTasks().getTotal()}
                          : std::nullopt);
    }
    for (auto event : page->events()) {
      after = event.getSequence();
      if (const auto known = event_from_json(event_json(event))) {
        view_.event(*known);
      }
    }
    if (page->ended()) {
      break;
    }
    view_.tick();
  }
  return finish(cancelled > 0);
}

exit_code local_run::finish(bool interrupted) {
  const auto status = here_.silo().call(ref<schemas::Run>(run_).status());
  if (!status) {
    return report(status.error());
  }
  const auto succeeded = status->run().getState() == schemas::RunState::SUCCEEDED;
  closing last_words;
  if (!succeeded) {
    for_each_task([&](schemas::TaskStatus::Reader task) { last_words.add(json_of(task)); });
  }
  const auto tail = [this](const std::string& task, std::uint32_t attempt,
                           std::uint32_t lines) -> std::optional<output_tail> {
    const auto end_of = [&](actors::output_stream stream) {
      const auto log =
          here_.host().attempts().open_log(here_.host().token_of(run_, task, attempt), stream);
      const auto end = log ? log->tail_lines(lines, failure_bytes) : log.error();
      return end ? end->bytes : std::string{};
    };
    return output_tail{logs_command(run_, task, attempt, here_.data_directory().string()),
                       end_of(actors::output_stream::standard_output),
                       end_of(actors::output_stream::standard_error)};
  };
  const auto code = last_words.show(view_, json_of(status->run()), tail);
  if (succeeded) {
    std::vector<std::string> only;
    for (const auto each : status->run().getOnly()) {
      only.emplace_back(each.cStr());
    }
    print_answers(only);
  }
  return !succeeded && interrupted ? exit_code::interrupted : code;
}

void local_run::for_each_task(const std::function<void(schemas::TaskStatus::Reader)>& visit) {
  std::string after;
  do {
    const auto page = here_.silo().call(ref<schemas::Run>(run_).tasks(after, 0, ""));
    if (!page) {
      return;
    }
    for (auto task : page->tasks()) {
      visit(task);
    }
    after = page->next_cursor();
  } while (!after.empty());
}

ordered_json local_run::task(const std::string& name) {
  auto found = ordered_json::object();
  for_each_task([&](schemas::TaskStatus::Reader each) {
    if (each.getName() == name.c_str()) {
      found = json_of(each);
    }
  });
  return found;
}

// What the last tasks wrote to their standard output is the answer of the pipeline.
void local_run::print_answers(const std::vector<std::string>& only) {
  const auto selected = actors::select_tasks(definition_, only);
  if (!selected) {
    return;
  }
  const auto last = actors::last_tasks(definition_, *selected);
  std::set<std::string> cached;
  for_each_task([&](schemas::TaskStatus::Reader task) {
    if (task.getState() != schemas::TaskState::SUCCEEDED ||
        !last.contains(std::string_view{task.getTask().cStr()})) {
      return;
    }
    if (task.getCachedFrom().size() > 0) {
      if (cached.insert(task.getTask().cStr()).second) {
        view_.line(cached_text(task.getTask().cStr(), task.getCachedFrom().cStr()));
      }
      return;
    }
    const auto log = here_.host().attempts().open_log(
        here_.host().token_of(run_, task.getName().cStr(), task.getAttempt()),
        actors::output_stream::standard_output);
    std::uint64_t offset = 0;
    while (log) {
      const auto chunk = log->read(offset, std::size_t{64} << 10U);
      if (!chunk || (chunk->bytes.empty() && chunk->dropped == 0)) {
        break;
      }
      offset = chunk->next_offset;
      std::cout << (chunk->dropped > 0 ? actors::dropped_text(chunk->dropped) : "") << chunk->bytes;
    }
  });
  std::cout.flush();
}

}  // namespace millrace::gateway::cli
