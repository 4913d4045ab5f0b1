// SPDX-License-Identifier: MIT
#include "cli/follow.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <thread>

#include "cli/health.h"
#include "cli/terminal_text.h"
#include "millrace/actors/duration_text.h"

namespace millrace::gateway::cli {

using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

// A proxy whose server is away, a server that is stopping, or one that is busy.
bool may_pass(int status) {
  return status >= 500 || status == 429;
}

// A primary is awaited, or another copy; by a server that is well itself.
bool waits_itself(errc code) {
  return code == errc::not_enough_replicas || code == errc::not_primary ||
         code == errc::deadline_exceeded;
}

// How a cluster is its server knows by itself.
constexpr std::chrono::seconds health_patience{2};

// A server waits longer for a primary than this program for an answer, so it cannot say so.
void ask_why(remote& server, passed& ended) {
  if (!ended.is_waiting || ended.why->code() != errc::deadline_exceeded) {
    return;
  }
  const auto answer = server.client().stream(http::method::get, "/api/v1/cluster/health", {}, {},
                                             nullptr, server.now() + health_patience);
  const auto seen = ordered_json::parse(answer ? answer->body : "", nullptr, false);
  ended.has_answer = ended.has_answer || answer;
  ended.is_waiting = answer && answer->status < 400 && seen.is_object() && seen.contains("losses");
  if (ended.is_waiting) {
    const auto missing = missing_in(seen);
    ended.why = error{errc::deadline_exceeded,
                      missing.empty() ? ended.why->text() : "the cluster is not whole: " + missing};
  }
}

bool has_ended(const std::string& state) {
  return state != "waiting" && state != "queued" && state != "running" && state != "backing_off";
}

// Where a reader of a task's log is.
class log_reader {
public:
  log_reader(remote& server, const log_choice& which, waiting_note& note,
             const line_filter::sink& to)
      : server_(server),
        which_(which),
        note_(note),
        to_(to),
        task_(fmt::format("/api/v1/runs/{}/tasks/{}", escaped(which.run), escaped(which.task))),
        attempt_(which.attempt),
        wanted_(which.grep) {}

  // Prints the end of what there is, and goes on after it.
  result<void> begin_at_tail() {
    const auto query = fmt::format("&tail={}{}", which_.tail,
                                   attempt_ == 0 ? "" : fmt::format("&attempt={}", attempt_));
    const auto answer = server_.client().send(http::method::get, target() + query);
    if (!answer) {
      return answer.error();
    }
    if (answer->status == 409) {
      return {};  // it has not started, so there is nothing to leave out
    }
    if (answer->status >= 400) {
      return server_.problem_of(*answer);
    }
    is_left_ = !wanted_.add(answer->body, to_);
    offset_ = answer->body.size() + number_in(*answer, "Log-Offset");
    attempt_ = static_cast<std::uint32_t>(number_in(*answer, "Log-Attempt"));
    return {};
  }

  // The task's word first: it knows which attempts there are.
  passed once() {
    if (is_left_) {
      return {.is_done = true};
    }
    const auto looked = server_.client().send(http::method::get, task_);
    if (!looked || looked->status >= 400) {
      return passed_of(server_, looked, pass::nothing);
    }
    note_.goes_on();
    const auto task = ordered_json::parse(looked->body, nullptr, false);
    if (!task.is_object() || !task.contains("attempts")) {
      return {.is_final = true, .why = server_.not_ours()};
    }
    const auto& attempts = task["attempts"];
    const auto latest = attempts.empty() ? 0U : attempts.back().value("id", 0U);
    if (is_whole_ &&
        (which_.attempt != 0 || (has_ended(task.value("state", "")) && latest <= attempt_))) {
      return {.is_done = true};
    }
    if (attempt_ == 0) {
      attempt_ = std::max(latest, 1U);
    } else if (is_whole_) {
      ++attempt_;
      offset_ = 0;
      is_told_ = false;
    }
    is_whole_ = false;
    return read();
  }

private:
  [[nodiscard]] std::string target() const {
    return task_ + "/logs?stream=" + (which_.is_errors ? "stderr" : "stdout");
  }

  static std::uint64_t number_in(const http::client_response& answer, const char* name) {
    const std::string text{answer.headers.find(name).value_or("0")};
    return std::strtoull(text.c_str(), nullptr, 10);
  }

  passed read() {
    auto brought = pass::nothing;
    const auto answer = server_.client().stream(
        http::method::get,
        fmt::format("{}&attempt={}&offset={}&follow=true", target(), attempt_, offset_), {}, {},
        [&](std::string_view piece) {
          brought = pass::something;
          tell();
          offset_ += piece.size();
          is_left_ = !wanted_.add(piece, to_);
          return is_left_ ? http::flow::stop : http::flow::more;
        });
    if (is_left_) {
      return {.is_done = true};
    }
    if (answer && answer->status < 400) {
      has_read_ = true;
      tell();
    }
    // 404: there is no such attempt and will be none, so the one before was the last.
    if (answer && (answer->status < 400 || (answer->status == 404 && has_read_))) {
      is_whole_ = true;
      is_left_ = !wanted_.end(to_);
      return once();
    }
    auto ended = passed_of(server_, answer, brought);
    ended.has_answer = true;  // to the look before
    return ended;
  }

  // That it is another attempt than the one before.
  void tell() {
    if (!std::exchange(is_told_, true)) {
      std::cerr << "millrace: attempt " << attempt_ << " begins\n";
    }
  }

  remote& server_;
  const log_choice& which_;
  waiting_note& note_;
  const line_filter::sink& to_;
  const std::string task_;
  std::uint32_t attempt_;  // 0: not known yet
  line_filter wanted_;
  std::uint64_t offset_ = 0;  // of the next byte
  bool is_whole_ = false;     // its end has come
  bool is_left_ = false;      // nobody wants more
  bool has_read_ = false;     // one, at least
  bool is_told_ = true;       // not of the first one
};

}  // namespace

waiting_note::waiting_note(std::string what, voice how) : what_(std::move(what)), how_(how) {}

void waiting_note::waits_for(const error& why) {
  if (!std::exchange(is_told_, true) && how_ == voice::aloud) {
    std::cerr << "millrace: waiting for " << printable(what_) << ": " << printable(why.text())
              << std::endl;
  }
}

void waiting_note::goes_on() {
  has_gone_on_ = true;
  if (std::exchange(is_told_, false) && how_ == voice::aloud) {
    std::cerr << "millrace: " << printable(what_) << " goes on" << std::endl;
  }
}

passed passed_of(const remote& server, const result<http::client_response>& answer, pass brought) {
  passed made{.has_answer = answer || brought == pass::something, .brought = brought};
  if (!answer) {
    made.why = answer.error();
    made.is_waiting = waits_itself(made.why->code());  // unless there is nobody: `ask_why`
  } else if (answer->status >= 400) {
    made.why = server.problem_of(*answer);
    made.is_final = !may_pass(answer->status);
    made.is_waiting = waits_itself(made.why->code());
  } else {
    made.why = error{errc::unavailable, server.url() + " ended its answer before its time"};
  }
  return made;
}

result<bool> follow(remote& server, runtime::steady_time latest, waiting_note& note,
                    const std::function<passed()>& once) {
  auto reached = note.has_gone_on();
  for (reconnects tries;;) {
    const auto began = server.now();
    auto ended = once();
    if (ended.is_done) {
      return true;
    }
    const auto now = server.now();
    if (now >= latest) {
      return false;
    }
    // What is quiet may outlast what a proxy, or this program, allows one stream.
    if (now - began >= reconnects::patience) {
      ended.brought = pass::something;
      ended.has_answer = true;
      ended.is_waiting = false;
    } else {
      ask_why(server, ended);
    }
    reached = reached || ended.has_answer;
    if (ended.is_final || !reached) {
      return *ended.why;
    }
    if (ended.brought == pass::nothing && (ended.is_waiting || !ended.has_answer)) {
      note.waits_for(*ended.why);
    }
    if (ended.is_waiting) {
      tries = {};
    }
    const auto spent = ended.has_answer ? runtime::duration{0} : server.now() - began;
    const auto wait = ended.is_waiting ? reconnects::wait_most : tries.after(ended.brought, spent);
    if (!wait) {
      return error{errc::unavailable, ended.why->text() + "; gave up after " +
                                          actors::format_duration(reconnects::patience)};
    }
    std::this_thread::sleep_for(std::min<runtime::duration>(*wait, latest - now));
  }
}

result<void> read_log(remote& server, const log_choice& which, waiting_note& note,
                      const line_filter::sink& to) {
  log_reader reader{server, which, note, to};
  if (which.tail > 0) {
    if (auto begun = reader.begin_at_tail(); !begun) {
      return begun;
    }
  }
  const auto ended =
      follow(server, runtime::steady_time::max(), note, [&reader] { return reader.once(); });
  return ended ? result<void>{} : ended.error();
}

exit_code follow_log(remote& server, const log_choice& which) {
  waiting_note note{"run " + which.run};
  const auto ended = read_log(server, which, note, [](std::string_view text) {
    std::cout << text << std::flush;
    return static_cast<bool>(std::cout);
  });
  return ended ? exit_code::ok : report(ended.error());
}

}  // namespace millrace::gateway::cli
