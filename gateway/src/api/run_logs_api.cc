// SPDX-License-Identifier: MIT
// Run logs: what all tasks of a run wrote, line by line in the order of the times.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <vector>

#include "api/api.h"
#include "api/respond.h"
#include "millrace/actors/log_merge.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/rfc3339.h"

namespace millrace::gateway {

using actors::merged_output;
using actors::output_stream;
using http::method;
using http::reply;
using http::request;
using runtime::errc;
using runtime::ref;
using runtime::wall_time;
using schemas::executor_interface;
using schemas::run_interface;
using schemas::task_interface;

namespace {

constexpr std::string_view ndjson = "application/x-ndjson";
constexpr std::uint64_t tail_lines_max = 100'000;
constexpr std::uint32_t tasks_of_page = 1'000;
constexpr std::size_t part_bytes_max = std::size_t{64} << 10U;  // of what is sent in one go
constexpr unsigned readers_max = 32;  // each may hold some times `merged_bytes_max`

constexpr std::array both_streams{output_stream::standard_output, output_stream::standard_error};

std::string_view name_of(output_stream stream) {
  return stream == output_stream::standard_error ? "stderr" : "stdout";
}

struct wanted_lines {
  std::string run;
  std::string task;       // an instance, or one with a fan-out; empty: all
  std::uint64_t attempt;  // 0: all
  std::uint64_t tail_lines;
  bool has_tail;
  std::optional<output_stream> stream;  // nothing: both
  wall_time since;                      // what was written before is left out
};

wall_time time_of(std::int64_t nanoseconds) {
  return wall_time{std::chrono::nanoseconds{nanoseconds}};
}

// Asks for the tasks, then for the attempts of each once lines may begin with what they wrote, and
// for a piece of an output once the next line depends on it.
//
// Threading: the answers of calls and the client's going go on on the file thread, one at a time.
// Ownership: of itself, until all has been told.
class run_log_sender : public std::enable_shared_from_this<run_log_sender> {
public:
  using piece = executor_interface::log_results;

  run_log_sender(const api_parts& parts, wanted_lines wanted, reply answer)
      : parts_(parts), wanted_(std::move(wanted)), answer_(std::move(answer)) {
    ++readers;
  }
  run_log_sender(const run_log_sender&) = delete;
  run_log_sender& operator=(const run_log_sender&) = delete;
  ~run_log_sender() { --readers; }

  static inline std::atomic<unsigned> readers{0};  // of this process

  void list(const std::string& cursor) {
    parts_.silo.call_then<run_interface::tasks_results>(
        ref<schemas::Run>(wanted_.run).tasks(cursor, tasks_of_page, ""),
        [self = shared_from_this()](runtime::result<run_interface::tasks_results> page) {
          const auto shared = std::make_shared<decltype(page)>(std::move(page));
          self->on_files([self, shared] { self->take_tasks(*shared); });
        });
  }

private:
  // What the merge calls an output: one stream of an attempt, or before its attempts are known, the
  // task that has them.
  struct source {
    std::string task;
    std::uint32_t attempt = 0;  // 0: the attempts are not known yet
    output_stream stream = output_stream::standard_output;
    std::string executor;
    wall_time last_time;  // where an older executor tells none
    std::uint64_t offset = 0;
    bool from_tail = false;
    bool ended = false;  // there is nothing behind what has been read
  };

  void on_files(std::function<void()> job) {
    if (admitted_) {
      parts_.files.go_on(std::move(job));
    } else if (const auto posted = parts_.files.post(std::move(job)); posted) {
      admitted_ = true;
    } else {
      answer_.fail(posted.error());
    }
  }

  void take_tasks(const runtime::result<run_interface::tasks_results>& page) {
    if (!page) {
      answer_.fail(page.error());
      return;
    }
    for (const auto each : page->tasks()) {
      const std::string_view name{each.getName().cStr()};
      if (!wanted_.task.empty() && wanted_.task != name && wanted_.task != each.getTask().cStr()) {
        continue;
      }
      is_known_ = true;
      const auto latest = each.getAttempt();
      if (latest == 0 || latest < wanted_.attempt || each.getCachedFrom().size() > 0) {
        continue;
      }
      had_attempt_ = true;
      // Of one that a retry of the run has begun anew, when it first began is not told.
      const auto begins = latest == 1 ? time_of(each.getStartedAt()) : wall_time{};
      merge_.add(begins);
      sources_.emplace_back().task = name;
    }
    if (const auto cursor = page->next_cursor(); !cursor.empty()) {
      list(std::string{cursor});
    } else if (!wanted_.task.empty() && !is_known_) {
      answer_.fail(
          {errc::not_found, fmt::format("the run has no task '{}'; see `millrace get run {}`",
                                        wanted_.task, wanted_.run)});
    } else if (wanted_.attempt > 0 && !had_attempt_) {
      answer_.fail(
          {errc::not_found,
           fmt::format("{} has had attempt {}",
                       wanted_.task.empty() ? std::string{"no task"}
                                            : fmt::format("no instance of task '{}'", wanted_.task),
                       wanted_.attempt)});
    } else {
      open();
      go_on();
    }
  }

  void open() {
    out_ = answer_.open(
        200,
        {{"Content-Type", ndjson}, {"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}});
    const auto again = [weak = weak_from_this()] {
      if (const auto self = weak.lock(); self && self->lagging_.exchange(false)) {
        self->parts_.files.go_on([self] { self->go_on(); });
      }
    };
    out_.on_drained(again);
    out_.on_closed([weak = weak_from_this(), again] {
      if (const auto self = weak.lock()) {
        self->closed_ = true;
        again();
      }
    });
    self_ = shared_from_this();
  }

  // On the file thread, as what follows.
  void go_on() {
    if (sent_ > 0 && !flush()) {
      return;
    }
    for (;;) {
      while (auto line = merge_.next_line()) {
        if (line->at < wanted_.since) {
          continue;
        }
        tell(sources_[line->output], line->at, "text", line->text);
        if (text_.size() >= part_bytes_max && !flush()) {
          return;
        }
      }
      const auto next = merge_.needs();
      if (!next || closed_) {
        break;
      }
      if (asks(*next)) {
        return;  // the answer goes on
      }
    }
    if (flush()) {
      out_.close();
      self_.reset();
    }
  }

  void tell(const source& of, wall_time at, const char* what, const std::string& text) {
    std::string time;
    const auto known = std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch());
    runtime::append_rfc3339(time, std::chrono::nanoseconds{known}.count());
    const nlohmann::ordered_json line{{"task", of.task},
                                      {"attempt", of.attempt},
                                      {"stream", name_of(of.stream)},
                                      {"time", std::move(time)},
                                      {what, actors::to_utf8(text)}};
    text_ += line.dump() + '\n';
  }

  // False: it goes on once the client has taken what there is, or is going on already.
  bool flush() {
    while (sent_ < text_.size()) {
      const auto part = std::string_view{text_}.substr(sent_, part_bytes_max);
      sent_ += part.size();
      lagging_ = true;
      const auto lags = out_.write(part) == http::write_status::full;
      if (lags || !lagging_.exchange(false)) {
        return false;
      }
    }
    text_.clear();
    sent_ = 0;
    return true;
  }

  // Whether an answer is to come; else there is no more of it.
  bool asks(merged_output which) {
    const auto& of = sources_[which];
    if (of.attempt == 0) {
      ask_attempts(which);
      return true;
    }
    if (of.ended) {
      merge_.end(which);
      return false;
    }
    auto executor = of.executor;
    if (executor.empty() && parts_.host != nullptr) {
      executor = parts_.host->executor_id();
    }
    if (executor.empty()) {
      give_up(which, "no executor is known to have run the attempt");
      return false;
    }
    if (const auto found = silent_.find(executor); found != silent_.end()) {
      give_up(which, found->second);
      return false;
    }
    ask_piece(which, executor);
    return true;
  }

  void ask_attempts(merged_output which) {
    parts_.silo.call_then<task_interface::describe_results>(
        ref<schemas::Task>(wanted_.run + "/" + sources_[which].task).describe(),
        [self = shared_from_this(), which](auto found) {
          const auto shared = std::make_shared<decltype(found)>(std::move(found));
          self->parts_.files.go_on([self, shared, which] {
            *shared ? self->take_attempts(which, **shared)
                    : self->give_up(which, shared->error().text());
            self->go_on();
          });
        });
  }

  void take_attempts(merged_output which, const task_interface::describe_results& found) {
    for (const auto each : found.attempts()) {
      const auto end = each.getEnd();
      const auto number = each.getNumber();
      if (end == schemas::AttemptEnd::QUEUED || end == schemas::AttemptEnd::CACHED ||
          (wanted_.attempt != 0 && wanted_.attempt != number)) {
        continue;
      }
      const auto last = each.getFinishedAt() != 0 ? each.getFinishedAt() : each.getStartedAt();
      for (const auto stream : both_streams) {
        const auto bytes =
            stream == output_stream::standard_error ? each.getStderrBytes() : each.getStdoutBytes();
        // Of one that was lost nobody has told.
        const auto is_silent =
            each.getFinishedAt() != 0 && end != schemas::AttemptEnd::LOST && bytes == 0;
        const auto is_old = each.getFinishedAt() != 0 && end != schemas::AttemptEnd::LOST &&
                            time_of(each.getFinishedAt()) < wanted_.since;
        if (is_silent || is_old || (wanted_.stream && stream != *wanted_.stream)) {
          continue;
        }
        merge_.add(time_of(each.getStartedAt()));
        sources_.push_back({sources_[which].task, number, stream, each.getExecutor().cStr(),
                            time_of(last), 0, wanted_.has_tail, false});
      }
    }
    merge_.end(which);
  }

  void ask_piece(merged_output which, const std::string& executor) {
    const auto& of = sources_[which];
    executor_interface::log_params params;
    auto made = params.build();
    made.setToken(actors::pipeline_host::token_of(wanted_.run, of.task, of.attempt));
    made.setErrors(of.stream == output_stream::standard_error);
    made.setOffset(of.offset);
    made.setTail(of.from_tail);
    made.setTailLines(static_cast<std::uint32_t>(wanted_.tail_lines));
    made.setLimit(static_cast<std::uint32_t>(merge_.piece_bytes_max()));
    made.setWantsTimes(true);
    parts_.silo.call_then<piece>(
        ref<schemas::Executor>(executor).log(std::move(params)),
        [self = shared_from_this(), which, executor](runtime::result<piece> got) {
          const auto shared = std::make_shared<runtime::result<piece>>(std::move(got));
          self->parts_.files.go_on([self, shared, which, executor] {
            *shared ? self->take_piece(which, **shared)
                    : self->miss_piece(which, executor, shared->error());
            self->go_on();
          });
        });
  }

  void take_piece(merged_output which, const piece& got) {
    auto& of = sources_[which];
    const auto from = got.read();
    const auto bytes = from.getBytes();
    if (bytes.size() == 0 && from.getDropped() == 0) {
      merge_.end(which);  // also where it is being written: what comes later is not waited for
      return;
    }
    std::vector<actors::log_time> times;
    times.reserve(from.getTimes().size());
    for (const auto each : from.getTimes()) {
      times.push_back({each.getEnd(), time_of(each.getAt())});
    }
    const auto* const first = reinterpret_cast<const char*>(bytes.begin());
    merge_.give(which, {from.getDropped(), from.getOffset(), {first, bytes.size()}}, times,
                of.last_time);
    of.offset = from.getNextOffset();
    of.from_tail = false;
    of.ended = from.getEnded();
  }

  void miss_piece(merged_output which, const std::string& executor, const runtime::error& why) {
    const auto wrote_nothing = why.code() == errc::not_found && sources_[which].offset == 0;
    if (wrote_nothing) {
      merge_.end(which);
      return;
    }
    const auto is_away = why.code() == errc::unavailable || why.code() == errc::deadline_exceeded ||
                         why.code() == errc::outcome_unknown;
    if (is_away) {  // it is not asked again: each time may take seconds
      silent_.emplace(executor, why.text());
    }
    give_up(which, why.text());
  }

  // The others are told all the same.
  void give_up(merged_output which, const std::string& why) {
    tell(sources_[which], sources_[which].last_time, "error", why);
    merge_.end(which);
  }

  const api_parts& parts_;
  const wanted_lines wanted_;
  reply answer_;
  http::stream out_;
  actors::log_merge merge_;
  std::vector<source> sources_;                // by what `merge_` calls them
  std::map<std::string, std::string> silent_;  // executors that did not answer, and why
  std::string text_;                           // that was not sent yet, from `sent_` on
  std::size_t sent_ = 0;
  bool admitted_ = false;  // to the file thread
  bool is_known_ = false;  // a task of that name
  bool had_attempt_ = false;
  std::atomic<bool> lagging_{false};
  std::atomic<bool> closed_{false};
  std::shared_ptr<run_log_sender> self_;
};

void run_logs(const api_parts& parts, request& received, reply answer) {
  const auto attempt = number_in_query(received, "attempt", 0, UINT32_MAX);
  const auto tail = number_in_query(received, "tail", 0, tail_lines_max);
  if (!attempt || !tail) {
    answer.fail(attempt ? tail.error() : attempt.error());
    return;
  }
  const auto word = text_in_query(received, "stream");
  std::optional<output_stream> stream;
  if (word == "stdout" || word == "stderr") {
    stream = word == "stdout" ? output_stream::standard_output : output_stream::standard_error;
  } else if (received.query("stream")) {
    answer.fail({errc::invalid_argument, "query parameter 'stream' must be stdout or stderr"});
    return;
  }
  const auto since = received.query("since");
  const auto from = since ? runtime::from_rfc3339(*since) : 0;
  if (!from) {
    answer.fail({errc::invalid_argument,
                 "query parameter 'since' must be a time, such as 2026-01-31T08:00:00Z"});
    return;
  }
  if (run_log_sender::readers >= readers_max) {
    answer.fail({errc::overloaded,
                 fmt::format("{} logs of runs are being read here; try again", readers_max)});
    return;
  }
  const auto sender = std::make_shared<run_log_sender>(
      parts,
      wanted_lines{std::string{received.param("id")}, text_in_query(received, "task"), *attempt,
                   *tail, received.query("tail").has_value(), stream, time_of(*from)},
      std::move(answer));
  sender->list({});
}

json_shape line_shape() {
  const auto with = [](const char* what) {
    return shape::object({{"task", shape::text()},
                          {"attempt", shape::count()},
                          {"stream", shape::word({"stdout", "stderr"})},
                          {"time", shape::time()},
                          {what, shape::text()}});
  };
  return shape::named("LogLine", shape::any_of({with("text"), with("error")}));
}

}  // namespace

void add_run_log_routes(api_routes& routes) {
  routes.add(
      method::get, "/api/v1/runs/{id}/logs", of_run(role::READ),
      {.id = "read_run_log",
       .tag = "runs",
       .summary = "What the tasks of a run wrote, in the order of time",
       .text = "A line of JSON for each line of an output: up to 1 MiB of it, less where many "
               "outputs were written side by side, without its newline, "
               "and U+FFFD for what is not UTF-8. `time`: when its first byte was written, to a "
               "quarter of a second while its attempt ran. Where an output cannot be read, a line "
               "with `error` says so, and the others go on. Ends with what there is.",
       .query = {text_key("task", "Only this instance, or the instances of this task."),
                 word_key("stream", {"stdout", "stderr"}, "Which; both without."),
                 number_key("attempt", UINT32_MAX, "Only this one; 0: all."),
                 number_key("tail", tail_lines_max, "Only that many last lines of each output."),
                 text_key("since", "Only what was written from this time on.")},
       .answers = {{.status = 200, .text = "The lines.", .body = {ndjson, line_shape()}}},
       .problems = {404}},
      run_logs);
}

}  // namespace millrace::gateway
