// SPDX-License-Identifier: MIT
#include "cli/run_follow.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <iostream>
#include <limits>
#include <map>
#include <mutex>
#include <thread>

#include "cli/follow.h"
#include "cli/terminal_text.h"
#include "cli/watch.h"

namespace millrace::gateway::cli {

using actors::output_stream;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

// Every line is in it: so the filter gives whole lines.
actors::text_pattern any_line() {
  actors::text_pattern::mistake none;
  return *actors::text_pattern::make("", none);
}

// What has ended is asked for once, in the order of the times; every other attempt is read from its
// beginning, so that each line is printed once, wherever it comes from.
//
// Threading: the run's events on the thread that calls, each output on one of its own.
class run_follower {
public:
  run_follower(remote& server, std::string run, const log_request& what)
      : server_(server), run_(std::move(run)), what_(what) {
    what_.grep = what.grep ? what.grep : any_line();
  }
  run_follower(const run_follower&) = delete;
  run_follower& operator=(const run_follower&) = delete;
  ~run_follower() { finish(); }

  exit_code follow() {
    if (const auto looked = look(); !looked) {
      return report(looked.error());
    }
    if (const auto printed = print_ended(); !printed) {
      return report(printed.error());
    }
    for (const auto& [task, attempt] : running_) {
      begin(task, attempt, what_.tail);
    }
    waiting_note note{"run " + run_};
    note.goes_on();
    const auto ended =
        follow_events(server_, run_, note, runtime::steady_time::max(), [this](const auto& event) {
          if (event.attempt > 0 && event.state != "queued" && event.state != "waiting") {
            begin(event.name, event.attempt, 0);  // all that it writes comes from now on
          }
        });
    finish();
    return ended ? code_ : report(ended.error());
  }

private:
  struct output {
    std::string task;
    std::uint32_t attempt = 0;
    output_stream stream = output_stream::standard_output;
    std::uint32_t tail = 0;  // 0: all
  };

  [[nodiscard]] bool is_wanted(const std::string& task) const {
    return what_.task.empty() || task == what_.task || task.starts_with(what_.task + "[");
  }

  // Which attempts there are.
  result<void> look() {
    const auto more = server_.for_each_row(
        "/api/v1/runs/" + escaped(run_) + "/tasks", "tasks",
        std::numeric_limits<std::size_t>::max(), [&](const ordered_json& row) -> result<void> {
          const auto task = row.value("id", "");
          const auto latest = row.value("attempt", 0U);
          const auto state = row.value("state", "");
          if (!is_wanted(task) || latest == 0) {
            return {};
          }
          const auto is_over = state != "running" && state != "queued" && state != "waiting";
          begun_[task] = is_over ? latest : latest - 1;
          columns_ = std::max(columns_, shown_name(task, latest).size());
          if (state == "running") {
            running_.emplace_back(task, latest);
          }
          return {};
        });
    return more ? result<void>{} : more.error();
  }

  result<void> print_ended() {
    remote_logs there{server_};
    line_filter wanted{what_.grep};
    auto printed = there.lines(run_, what_, [&](const log_line& line) {
      const auto known = begun_.find(line.task);
      if (known == begun_.end() || line.attempt > known->second) {
        return true;
      }
      const output from{line.task, line.attempt, line.stream};
      if (!line.error.empty()) {
        miss(from, printable(line.error));
        return true;
      }
      return wanted.add(line.text + '\n', [&](std::string_view text) { return print(from, text); });
    });
    // An attempt that is asked for may come yet.
    const auto may_come =
        what_.attempt > 0 && !printed && printed.error().code() == errc::not_found;
    return may_come ? result<void>{} : printed;
  }

  // This attempt, and those before it that nobody has told of.
  void begin(const std::string& task, std::uint32_t attempt, std::uint32_t tail) {
    if (!is_wanted(task)) {
      return;
    }
    auto& begun = begun_[task];
    while (begun < attempt) {
      ++begun;
      if (what_.attempt != 0 && what_.attempt != begun) {
        continue;
      }
      for (const auto stream : {output_stream::standard_output, output_stream::standard_error}) {
        if (!what_.only_errors || stream == output_stream::standard_error) {
          add({task, begun, stream, tail});
        }
      }
    }
  }

  void add(output wanted) {
    const std::lock_guard lock{mutex_};
    wanted_.push_back(std::move(wanted));
    if (wanted_.size() > idle_ && readers_.size() < followed_outputs_max) {
      readers_.emplace_back([this, own = server_.again()]() mutable { read_all(own); });
    }
    changed_.notify_one();
  }

  void read_all(remote& server) {
    std::unique_lock lock{mutex_};
    for (;;) {
      ++idle_;
      changed_.wait(lock, [this] { return !wanted_.empty() || is_over_; });
      --idle_;
      if (wanted_.empty()) {
        return;
      }
      const auto next = std::move(wanted_.front());
      wanted_.pop_front();
      lock.unlock();
      read(server, next);
      lock.lock();
    }
  }

  void read(remote& server, const output& from) {
    waiting_note note{"run " + run_, waiting_note::voice::silent};  // the events' reader says it
    note.goes_on();
    const log_choice which{run_,         from.task, from.stream == output_stream::standard_error,
                           from.attempt, from.tail, what_.grep};
    const auto whole =
        read_log(server, which, note, [&](std::string_view text) { return print(from, text); });
    // One that ran no command, or whose files are gone with its run.
    if (!whole && whole.error().code() != errc::not_found &&
        whole.error().code() != errc::failed_precondition) {
      miss(from, whole.error().text());
    }
  }

  bool print(const output& from, std::string_view text) {
    const std::lock_guard lock{print_mutex_};
    const auto name = shown_name(from.task, from.attempt);
    columns_ = std::max(columns_, name.size());
    std::cout << fmt::format("{:<{}} | ", name, std::min(columns_, names_columns_max)) << text
              << (text.ends_with('\n') ? "" : "\n") << std::flush;
    if (!std::cout) {
      // The others wait for a server, maybe for long, and there is nothing to tidy up.
      ::_exit(static_cast<int>(flush_output(exit_code::ok)));
    }
    return true;
  }

  void miss(const output& from, const std::string& why) {
    const std::lock_guard lock{print_mutex_};
    code_ =
        report(error{errc::unavailable,
                     fmt::format("the {} of '{}', attempt {}, cannot be read: {}",
                                 from.stream == output_stream::standard_error ? "stderr" : "stdout",
                                 printable(from.task), from.attempt, why)});
  }

  void finish() {
    {
      const std::lock_guard lock{mutex_};
      is_over_ = true;
    }
    changed_.notify_all();
    for (auto& each : readers_) {
      each.join();
    }
    readers_.clear();
  }

  remote& server_;
  const std::string run_;
  log_request what_;
  std::map<std::string, std::uint32_t> begun_;  // the latest attempt that is printed or read
  std::vector<std::pair<std::string, std::uint32_t>> running_;
  std::vector<std::thread> readers_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<output> wanted_;  // by nobody yet
  std::size_t idle_ = 0;
  bool is_over_ = false;  // nothing more is added

  std::mutex print_mutex_;
  std::size_t columns_ = 0;
  exit_code code_ = exit_code::ok;
};

}  // namespace

exit_code follow_run_logs(remote& server, const std::string& run, const log_request& what) {
  return run_follower{server, run, what}.follow();
}

}  // namespace millrace::gateway::cli
