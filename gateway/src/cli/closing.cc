// SPDX-License-Identifier: MIT
#include "cli/closing.h"

#include <fmt/format.h>

#include "cli/terminal_text.h"

namespace millrace::gateway::cli {

namespace {

using nlohmann::ordered_json;

constexpr std::size_t failures_shown = 10;
constexpr std::uint32_t failure_lines = 20;

}  // namespace

std::string task_summary(const ordered_json& counts) {
  const auto total = counts.value("total", 0U);
  auto text = fmt::format("{} {}", total, total == 1 ? "task" : "tasks");
  const auto* before = ": ";
  constexpr std::string_view succeeded = "succeeded";
  for (const auto& [key, what] : {std::pair{"succeeded", "succeeded"},
                                  {"failed", "failed"},
                                  {"upstream_failed", "not started"},
                                  {"skipped", "skipped"},
                                  {"cancelled", "cancelled"},
                                  {"running", "running"},
                                  {"backing_off", "backing off"},
                                  {"queued", "queued"},
                                  {"waiting", "waiting"}}) {
    if (const auto count = counts.value(key, 0U); count > 0) {
      text += fmt::format("{}{} {}", std::exchange(before, ", "), count, what);
      if (const auto cached = counts.value("cached", 0U); what == succeeded && cached > 0) {
        text += fmt::format(" ({} cached)", cached);
      }
    }
  }
  return text;
}

std::string cached_text(const std::string& task, const std::string& run) {
  return printable(task) + " is cached: what it wrote is in run " + printable(run);
}

void closing::add(const ordered_json& task) {
  const auto state = task.value("state", "");
  const auto attempt = task.value("attempt", 0U);
  if (attempt == 0 ||
      (state != "failed" && state != "errored" && state != "timed_out" && state != "lost")) {
    return;
  }
  if (failed_.size() < failures_shown) {
    failed_.emplace_back(task.value("id", ""), attempt);
  } else {
    ++more_;
  }
}

void closing::show_failures(progress& view, const tail_reader& tail) const {
  for (const auto& [name, attempt] : failed_) {
    const auto found = tail(name, attempt, failure_lines);
    if (!found || (found->output.empty() && found->errors.empty())) {
      continue;
    }
    // Compilers and tests tell what is wrong on the one, shells and most others on the other.
    view.line("--- " + printable(name) + ": the end of what it wrote; all: `" +
              printable(found->command) + "`");
    for (const auto* each : {&found->output, &found->errors}) {
      auto text = printable_lines(*each);
      if (text.ends_with('\n')) {
        text.pop_back();
      }
      if (!text.empty()) {
        view.line(text);
      }
    }
  }
  if (more_ > 0) {
    view.line(fmt::format("--- and {} more that failed", more_));
  }
}

exit_code closing::show(progress& view, const ordered_json& run, const tail_reader& tail) const {
  if (view.for_people()) {
    show_failures(view, tail);
  }
  const auto state = run.value("state", "");
  view.end(state, run.value("reason", ""),
           task_summary(run.value("tasks", ordered_json::object())));
  return state == "succeeded"   ? exit_code::ok
         : state == "cancelled" ? exit_code::cancelled
                                : exit_code::run_failed;
}

}  // namespace millrace::gateway::cli
