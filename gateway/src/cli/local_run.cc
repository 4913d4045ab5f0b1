// SPDX-License-Identifier: MIT
#include "cli/local_run.h"

#include <iostream>
#include <set>

#include "cli/command.h"
#include "millrace/actors/process_log.h"
#include "millrace/runtime/json.h"

namespace millrace::gateway::cli {

using runtime::ref;
using runtime::result;

namespace {

constexpr std::uint32_t look_ms = 250;  // between two looks at the clock and at Ctrl-C
constexpr std::size_t failure_lines = 20;

std::string count_of(const char* what, unsigned count) {
  return std::to_string(count) + " " + what;
}

std::string task_summary(schemas::TaskCounts::Reader counts) {
  std::string text = count_of(counts.getTotal() == 1 ? "task" : "tasks", counts.getTotal());
  const auto add = [&](unsigned count, const char* what) {
    if (count > 0) {
      text += (text.find(':') == std::string::npos ? ": " : ", ") + count_of(what, count);
    }
  };
  add(counts.getSucceeded(), "succeeded");
  add(counts.getFailed(), "failed");
  add(counts.getUpstreamFailed(), "not started");
  add(counts.getSkipped(), "skipped");
  add(counts.getCancelled(), "cancelled");
  return text;
}

std::string state_name(schemas::RunState state) {
  constexpr const char* words[] = {"running", "succeeded", "failed", "cancelled", "timed_out"};
  return words[static_cast<std::size_t>(state)];
}

}  // namespace

result<void> local_run::submit(const std::string& params) {
  const auto pipeline = ref<schemas::Pipeline>("default/" + definition_.name);
  if (auto applied = here_.silo().call(
          pipeline.apply(actors::to_json(definition_), 0, schemas::ApplyOnlyIf::ANY));
      !applied) {
    return std::move(applied).error();
  }
  schemas::pipeline_interface::submit_params submission;
  submission.build().setParams(params.c_str());
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
      view_.line(asked == 1 ? "cancelling; press Ctrl-C again to end tasks that run always too"
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
    for (auto event : page->events()) {
      after = event.getSequence();
      if (const auto known = event_from_json(runtime::to_json_text(event))) {
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
  const auto run = status->run();
  const auto failed = run.getState() != schemas::RunState::SUCCEEDED;
  if (failed) {
    show_failures();
  }
  view_.end(state_name(run.getState()), run.getReason().cStr(), task_summary(run.getTasks()));
  if (!failed) {
    print_answers();
    return exit_code::ok;
  }
  return interrupted                                      ? exit_code::interrupted
         : run.getState() == schemas::RunState::CANCELLED ? exit_code::cancelled
                                                          : exit_code::run_failed;
}

void local_run::for_each_task(const std::function<void(schemas::TaskStatus::Reader)>& visit) {
  std::string after;
  do {
    const auto page = here_.silo().call(ref<schemas::Run>(run_).tasks(after, 0));
    if (!page) {
      return;
    }
    for (auto task : page->tasks()) {
      visit(task);
    }
    after = page->next();
  } while (!after.empty());
}

// The end of what failed tasks wrote to their standard error.
void local_run::show_failures() {
  for_each_task([this](schemas::TaskStatus::Reader task) {
    const auto state = task.getState();
    const auto bad = state == schemas::TaskState::FAILED || state == schemas::TaskState::ERRORED ||
                     state == schemas::TaskState::TIMED_OUT;
    if (!bad || task.getAttempt() == 0) {
      return;
    }
    const auto logs = here_.host().logs_of(run_, task.getName().cStr(), task.getAttempt());
    const auto tail =
        actors::tail_log_lines(logs.standard_error, failure_lines, std::size_t{64} << 10U);
    if (tail && !tail->bytes.empty()) {
      view_.line("--- " + std::string{task.getName().cStr()} + ": end of standard error (" +
                 logs.standard_error.string() + ")");
      auto text = actors::to_utf8(tail->bytes);
      if (text.ends_with('\n')) {
        text.pop_back();
      }
      view_.line(text);
    }
  });
}

// What the last tasks wrote to their standard output is the answer of the pipeline.
void local_run::print_answers() {
  std::set<std::string, std::less<>> needed;
  for (const auto& task : definition_.tasks) {
    needed.insert(task.needs.begin(), task.needs.end());
  }
  for_each_task([&](schemas::TaskStatus::Reader task) {
    if (task.getState() != schemas::TaskState::SUCCEEDED ||
        needed.contains(std::string_view{task.getTask().cStr()})) {
      return;
    }
    const auto file =
        here_.host().logs_of(run_, task.getName().cStr(), task.getAttempt()).standard_output;
    std::uint64_t offset = 0;
    for (;;) {
      const auto chunk = actors::read_log(file, offset, std::size_t{64} << 10U);
      if (!chunk || chunk->bytes.empty()) {
        break;
      }
      offset = chunk->next_offset;
      std::cout << chunk->bytes;
    }
  });
  std::cout.flush();
}

}  // namespace millrace::gateway::cli
