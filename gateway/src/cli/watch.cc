// SPDX-License-Identifier: MIT
#include "cli/watch.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <limits>

#include "cli/closing.h"
#include "cli/run_logs.h"
#include "cli/terminal_text.h"
#include "millrace/actors/duration_text.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::result;

namespace {

// What Ctrl-C says; made before, for a handler must not allocate.
std::string farewell;

extern "C" void say_farewell(int) {
  static_cast<void>(!::write(STDERR_FILENO, farewell.data(), farewell.size()));
  ::_exit(static_cast<int>(exit_code::interrupted));
}

// While it lives, Ctrl-C ends the program and says that the run goes on. One who started it with
// interrupts ignored (nohup, a shell's &) is not told either.
class interruptible {
public:
  interruptible(const std::string& run, progress_mode mode) {
    const auto shown = printable(run);
    farewell = (mode == progress_mode::tty ? "\r\x1b[K" : "") +
               fmt::format(
                   "millrace: run {} goes on; `millrace watch {}` shows it, `millrace "
                   "cancel {}` ends it\n",
                   shown, shown, shown);
    struct sigaction action {};
    action.sa_handler = say_farewell;
    ::sigaction(SIGINT, nullptr, &before_);
    if (before_.sa_handler != SIG_IGN) {
      ::sigaction(SIGINT, &action, nullptr);
    }
  }
  interruptible(const interruptible&) = delete;
  interruptible& operator=(const interruptible&) = delete;
  ~interruptible() { ::sigaction(SIGINT, &before_, nullptr); }

private:
  struct sigaction before_ {};
};

constexpr std::size_t failure_bytes = std::size_t{64} << 10U;

// The closing words of a run on a server.
result<exit_code> say_closing(remote& server, const std::string& run, progress& view) {
  const auto whole = "/api/v1/runs/" + escaped(run);
  const auto status = server.ask(http::method::get, whole);
  if (!status) {
    return status.error();
  }
  closing last_words;
  if (status->value("state", "") != "succeeded") {
    const auto more =
        server.for_each_row(whole + "/tasks", "tasks", std::numeric_limits<std::size_t>::max(),
                            [&](const ordered_json& task) -> result<void> {
                              last_words.add(task);
                              return {};
                            });
    if (!more) {
      return more.error();
    }
  }
  const auto tail = [&](const std::string& task, std::uint32_t attempt,
                        std::uint32_t lines) -> std::optional<output_tail> {
    const auto end_of = [&](const char* stream) {
      const auto answer = server.client().send(
          http::method::get, fmt::format("{}/tasks/{}/logs?stream={}&attempt={}&tail={}", whole,
                                         escaped(task), stream, attempt, lines));
      const auto text = answer && answer->status < 400 ? answer->body : std::string{};
      return text.substr(text.size() - std::min(text.size(), failure_bytes));
    };
    return output_tail{logs_command(run, task, attempt), end_of("stdout"), end_of("stderr")};
  };
  return last_words.show(view, *status, tail);
}

bool is_event_stream(const http::client_response& answer) {
  return answer.headers.find("Content-Type").value_or("").starts_with("text/event-stream");
}

constexpr std::chrono::seconds total_patience{1};  // meanwhile no event is shown

// Of how many tasks the run is; that it cannot be asked is for the events to tell.
void tell_total(remote& server, const std::string& run, progress& view,
                runtime::steady_time latest) {
  const auto answer =
      server.client().stream(http::method::get, "/api/v1/runs/" + escaped(run), {}, {}, nullptr,
                             std::min(latest, server.now() + total_patience));
  const auto now = ordered_json::parse(answer ? answer->body : "", nullptr, false);
  std::optional<std::size_t> total;
  if (now.is_object() && now.contains("tasks") && now["tasks"].is_object()) {
    total = now["tasks"].value("total", std::size_t{0});
  }
  view.set_total(total);
}

}  // namespace

void add_timeout_option(po::options_description& options) {
  options.add_options()("timeout", po::value<std::string>()->value_name("DURATION"),
                        "wait at most so long, such as 90s or 1h30m; the run goes on");
}

result<std::optional<runtime::duration>> timeout_of(const option_values& options) {
  return duration_of(options, "timeout");
}

result<bool> follow_events(remote& server, const std::string& run, waiting_note& note,
                           runtime::steady_time latest,
                           const std::function<void(const progress_event&)>& to) {
  std::string last;
  auto is_known = false;
  return follow(server, latest, note, [&]() -> passed {
    // The run first: its answer is whole in time, or there is nobody; of a stream only the head has
    // to be. And a run that is quiet would not show that it goes on.
    const auto looks = !is_known || note.is_told();
    if (looks) {
      const auto looked = server.client().stream(http::method::get, "/api/v1/runs/" + escaped(run),
                                                 {}, {}, nullptr, latest);
      if (!looked || looked->status >= 400) {
        return passed_of(server, looked, pass::nothing);
      }
      is_known = true;
      note.goes_on();
    }
    auto brought = pass::nothing;
    auto ended = false;
    const auto answer = server.client().events(
        "/api/v1/runs/" + escaped(run) + "/events", last,
        [&](const http::received_event& event) {
          brought = pass::something;
          last = event.id;
          ended = event.name == "end";
          if (const auto known = ended ? std::nullopt : event_from_json(event.data)) {
            to(*known);
          }
          return ended ? http::flow::stop : http::flow::more;
        },
        latest);
    if (ended) {
      return {.is_done = true};
    }
    if (answer && answer->status < 400 && !is_event_stream(*answer)) {
      return {.is_final = true, .has_answer = true, .why = server.not_ours()};
    }
    auto broken = passed_of(server, answer, brought);
    broken.has_answer = broken.has_answer || looks;  // to the look before
    return broken;
  });
}

exit_code watch(remote& server, const std::string& run, progress_mode mode,
                std::optional<runtime::duration> timeout) {
  progress view{mode};
  const auto latest = timeout ? server.now() + *timeout : runtime::steady_time::max();
  const auto ended = [&] {
    const interruptible while_following{run, mode};
    waiting_note note{"run " + run, mode == progress_mode::json ? waiting_note::voice::silent
                                                                : waiting_note::voice::aloud};
    return follow_events(server, run, note, latest, [&](const progress_event& each) {
      if (view.wants_total()) {
        tell_total(server, run, view, latest);
      }
      view.event(each);
    });
  }();
  if (!ended) {
    return report(ended.error());
  }
  if (!*ended) {
    return report(exit_code::wait_timed_out,
                  fmt::format("run {} has not ended within {}; it goes on: `millrace watch {}`",
                              run, actors::format_duration(*timeout), run));
  }
  const auto code = say_closing(server, run, view);
  return code ? *code : report(code.error());
}

}  // namespace millrace::gateway::cli
