// SPDX-License-Identifier: MIT
#include "cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/terminal_text.h"
#include "millrace/pipeline.capnp.h"
#include "millrace/runtime/json.h"

namespace millrace::gateway::cli {

namespace {

constexpr std::size_t tty_columns_min = 40;  // a line that is drawn again says nothing in fewer
constexpr std::chrono::seconds total_holds{1};
constexpr std::chrono::seconds no_total_holds{10};  // asking again would hold up events

bool is_end(const std::string& state) {
  return state != "waiting" && state != "queued" && state != "running" && state != "backing_off";
}

std::string seconds(std::chrono::nanoseconds whole) {
  const auto length = std::chrono::duration<double>(whole).count();
  return length < 60 ? fmt::format("{:.1f}s", length)
                     : fmt::format("{}m{:02}s", static_cast<int>(length) / 60,
                                   static_cast<int>(length) % 60);
}

std::size_t columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// A variable that says something as https://no-color.org and its like have it: not by being empty.
bool is_set(const char* variable) {
  const auto* const text = std::getenv(variable);
  return text != nullptr && *text != '\0';
}

std::string spaced(std::string word) {
  for (auto& each : word) {
    each = each == '_' ? ' ' : each;
  }
  return word;
}

// Nanoseconds since 1970; 0 for what is no time.
std::int64_t time_of(const nlohmann::json& text) {
  const auto parsed = runtime::from_json(capnp::Schema::from<schemas::RunEvent>(),
                                         nlohmann::json{{"at", text}}.dump());
  return parsed ? parsed->reader<schemas::RunEvent>().getAt() : 0;
}

}  // namespace

std::optional<progress_mode> progress_mode_of(const std::string& word) {
  if (word == "auto") {
    const auto* terminal = std::getenv("TERM");
    const auto able = terminal != nullptr && std::string_view{terminal} != "dumb";
    const auto fits = columns() >= tty_columns_min;
    return ::isatty(STDERR_FILENO) != 0 && able && fits ? progress_mode::tty : progress_mode::plain;
  }
  if (word == "tty") {
    return progress_mode::tty;
  }
  if (word == "plain") {
    return progress_mode::plain;
  }
  if (word == "json") {
    return progress_mode::json;
  }
  return word == "quiet" ? std::optional{progress_mode::quiet} : std::nullopt;
}

std::optional<progress_event> event_from_json(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("run_state")) {
    return std::nullopt;
  }
  progress_event made;
  made.json = text;
  made.name = printable(json.value("task", ""));
  made.state = json.value("state", "");
  made.run_state = json.value("run_state", "");
  made.label = printable(json.value("label", ""));
  made.reason = printable(json.value("reason", ""));
  made.attempt = json.value("attempt", 0U);
  made.at = std::chrono::nanoseconds{time_of(json.value("at", nlohmann::json{}))};
  return made;
}

progress::progress(progress_mode mode)
    : mode_(mode),
      color_(is_set("CLICOLOR_FORCE") || (mode == progress_mode::tty && !is_set("NO_COLOR"))),
      start_(std::chrono::steady_clock::now()) {}

progress::~progress() {
  clear();
}

std::string progress::colored(const std::string& state) const {
  if (!color_) {
    return spaced(state);
  }
  const auto* code = state == "succeeded"                                                ? "32"
                     : state == "skipped" || state == "cancelled"                        ? "33"
                     : state == "running" || state == "queued" || state == "backing_off" ? "36"
                                                                                         : "31";
  return fmt::format("\x1b[{}m{}\x1b[0m", code, spaced(state));
}

void progress::clear() {
  if (drawn_) {
    std::cerr << "\r\x1b[K";
    drawn_ = false;
  }
}

void progress::draw() {
  if (mode_ != progress_mode::tty) {
    return;
  }
  clear();
  std::string text =
      fmt::format("[{}] {}{} done, {} running", seconds(std::chrono::steady_clock::now() - start_),
                  ended_.size(), total_ > 0 ? fmt::format(" of {}", total_) : "", running_.size());
  for (const auto& name : running_) {
    if (text.size() + name.size() + 8 > columns()) {
      text += " ...";
      break;
    }
    text += (text.find(':') == std::string::npos ? ": " : ", ") + name;
  }
  std::cerr << text.substr(0, columns() - 1) << std::flush;
  drawn_ = true;
}

void progress::tick() {
  draw();
}

bool progress::wants_total() const {
  return mode_ == progress_mode::tty &&
         (!total_holds_until_ || std::chrono::steady_clock::now() >= *total_holds_until_);
}

void progress::set_total(std::optional<std::size_t> tasks) {
  total_ = tasks.value_or(total_);
  total_holds_until_ = std::chrono::steady_clock::now() + (tasks ? total_holds : no_total_holds);
}

void progress::line(const std::string& text) {
  clear();
  std::cerr << text << '\n';
  draw();
}

void progress::begin(const std::string& pipeline, const std::string& run) {
  if (for_people()) {
    line("run " + run + " of " + pipeline);
  }
}

void progress::event(const progress_event& what) {
  if (mode_ == progress_mode::json) {
    std::cerr << what.json << std::endl;
    return;
  }
  if (mode_ == progress_mode::quiet) {
    return;
  }
  first_at_ = first_at_.value_or(what.at);
  elapsed_ = what.at - *first_at_;
  start_ = std::min(start_, std::chrono::steady_clock::now() - elapsed_);
  if (what.name.empty()) {
    if (what.run_state == "running" && !what.reason.empty()) {
      line(fmt::format("{:>7}  run: {}", seconds(elapsed_), what.reason));
    }
    return;
  }
  if (is_end(what.state)) {
    ended_.insert(what.name);
  } else {
    ended_.erase(what.name);  // it starts again
  }
  if (what.state == "running") {
    running_.insert(what.name);
    started_at_[what.name] = what.at;
    draw();
    if (mode_ == progress_mode::plain && started_at_.size() == begun_told_max + 1) {
      line(
          fmt::format("more than {} tasks: from here on only their ends are told", begun_told_max));
    }
    if (mode_ == progress_mode::tty || started_at_.size() > begun_told_max) {
      return;  // the last line of a terminal shows it
    }
  }
  constexpr std::size_t state_columns = 16;  // colours take bytes and no columns
  const std::string padding(state_columns - std::min(state_columns, what.state.size()), ' ');
  std::string text =
      fmt::format("{:>7}  {}{} {}", seconds(elapsed_), colored(what.state), padding, what.name);
  if (!what.label.empty()) {
    text += " (" + what.label + ")";
  }
  if (what.attempt > 1) {
    text += fmt::format(" attempt {}", what.attempt);
  }
  if (is_end(what.state) || what.state == "backing_off") {
    running_.erase(what.name);
    if (const auto found = started_at_.find(what.name); found != started_at_.end()) {
      text += " in " + seconds(what.at - found->second);
    }
  }
  if (!what.reason.empty()) {
    text += ": " + what.reason;
  }
  line(text);
}

void progress::end(const std::string& state, const std::string& reason, const std::string& tasks) {
  if (!for_people()) {
    return;
  }
  clear();
  std::cerr << fmt::format("{:>7}  run {}{}{}\n", seconds(elapsed_), colored(state),
                           reason.empty() ? "" : ": " + printable(reason),
                           tasks.empty() ? "" : " (" + tasks + ")");
  mode_ = progress_mode::quiet;
}

}  // namespace millrace::gateway::cli
