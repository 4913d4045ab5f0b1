// SPDX-License-Identifier: MIT
// Logs: the output files of attempts, whole, their end, or as they grow. Who follows one that has
// not started waits for it. `Log-Attempt` and `Log-Offset` of an answer say where it begins, so
// that a client can go on after what it has.
#include <fmt/format.h>

#include "api/api.h"
#include "api/respond.h"
#include "millrace/actors/process_log.h"
#include "millrace/pipeline.capnp.actor.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::errc;
using runtime::ref;

namespace {

// How long one look for a start, or for more from an executor elsewhere, waits; below the call's
// own deadline.
constexpr std::uint32_t start_wait_ms = 20'000;
constexpr std::uint32_t more_wait_ms = 5'000;
constexpr std::size_t chunk_bytes = std::size_t{64} << 10U;
constexpr std::uint64_t tail_lines_max = 100'000;
constexpr std::size_t tail_bytes_max = std::size_t{8} << 20U;

struct wanted_log {
  std::string run;
  std::string task;
  std::uint64_t attempt;  // 0: the latest
  std::uint64_t tail_lines;
  bool from_end;
  std::uint64_t offset;  // Of the first byte, without a tail.
  bool follow;
  bool errors;  // the standard error
};

bool has_ended(schemas::TaskStatus::Reader task) {
  return task.getFinishedAt() != 0;
}

// The number of the wanted attempt once it has been started.
std::optional<std::uint32_t> started(schemas::TaskStatus::Reader task, const wanted_log& wanted) {
  const auto latest = task.getAttempt();
  const auto number = wanted.attempt == 0 ? latest : static_cast<std::uint32_t>(wanted.attempt);
  const auto queued = number == latest && task.getState() == schemas::TaskState::QUEUED;
  return number == 0 || number > latest || queued ? std::nullopt : std::optional{number};
}

// Sends one file, and goes on as it grows when asked to.
class log_sender : public std::enable_shared_from_this<log_sender> {
public:
  using piece = schemas::executor_interface::log_results;

  log_sender(const api_parts& parts, const wanted_log& wanted, reply answer)
      : parts_(parts), wanted_(wanted), answer_(std::move(answer)), offset_(wanted.offset) {}

  void begin(std::uint32_t attempt) {
    attempt_ = attempt;
    token_ = actors::pipeline_host::token_of(wanted_.run, wanted_.task, attempt);
    parts_.silo.call_then<schemas::task_interface::describe_results>(
        ref<schemas::Task>(wanted_.run + "/" + wanted_.task).describe(),
        [self = shared_from_this()](auto found) { self->find_executor(std::move(found)); });
  }

  void wait_for_start() {
    wanted_.from_end = false;  // nothing has been written that could be left out
    open();
    look();
  }

private:
  // Who had the attempt has its output; of one that nobody tells of, this process's own may.
  void find_executor(runtime::result<schemas::task_interface::describe_results> found) {
    if (!found) {
      give_up(found.error());
      return;
    }
    for (auto attempt : found->attempts()) {
      if (attempt.getNumber() != attempt_) {
        continue;
      }
      if (attempt.getEnd() == schemas::AttemptEnd::CACHED) {
        give_up({errc::not_found, fmt::format("the task's command has not run: its result is that "
                                              "of run {0}; see `millrace logs {0}`",
                                              found->cached_from())});
        return;
      }
      if (const auto end = attempt.getEnd(); end == schemas::AttemptEnd::ANSWERED ||
                                             end == schemas::AttemptEnd::REFUSED ||
                                             end == schemas::AttemptEnd::UNANSWERED) {
        give_up({errc::not_found, "the task calls an actor, which writes no log"});
        return;
      }
      executor_ = attempt.getExecutor().cStr();
    }
    if (parts_.host != nullptr && (executor_.empty() || executor_ == parts_.host->executor_id())) {
      executor_.clear();
    } else if (executor_.empty()) {
      give_up({errc::not_found, "no executor is known to have run the attempt"});
      return;
    }
    const auto posted = parts_.files.post([self = shared_from_this()] { self->send(); });
    if (posted) {
      return;
    }
    give_up(posted.error());
  }

  void give_up(const runtime::error& why) {
    if (answer_) {
      answer_.fail(why);
    } else {
      break_off();
    }
  }

  // --- from an executor elsewhere ---

  void pull() {
    schemas::executor_interface::log_params params;
    auto made = params.build();
    made.setToken(token_.c_str());
    made.setErrors(wanted_.errors);
    made.setOffset(offset_);
    made.setTail(wanted_.from_end);
    made.setTailLines(static_cast<std::uint32_t>(wanted_.tail_lines));
    made.setWaitMs(wanted_.follow ? more_wait_ms : 0);
    parts_.silo.call_then<piece>(
        ref<schemas::Executor>(executor_).log(std::move(params)),
        [self = shared_from_this()](runtime::result<piece> got) {
          const auto shared = std::make_shared<runtime::result<piece>>(std::move(got));
          self->parts_.files.go_on([self, shared] { self->take_piece(*shared); });
        });
  }

  // On the file thread.
  void take_piece(const runtime::result<piece>& got) {
    if (!got && got.error().code() == errc::not_found && answer_) {
      open();
      finish();  // there is none of what has written nothing, wherever it is asked for
      return;
    }
    if (!got || closed_) {
      got ? finish() : give_up(got.error());
      return;
    }
    const auto from = got->read();
    if (std::exchange(wanted_.from_end, false)) {
      offset_ = from.getOffset();
    }
    open();
    const auto bytes = from.getBytes();
    if (bytes.size() == 0 && from.getDropped() == 0) {
      from.getEnded() || !wanted_.follow ? finish() : pull();
      return;
    }
    offset_ = from.getNextOffset();
    lagging_ = true;
    const auto text =
        (from.getDropped() > 0 ? actors::dropped_text(from.getDropped()) : std::string{}) +
        std::string{reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
    if (out_.write(text) != http::write_status::full && lagging_.exchange(false)) {
      pull();
    }  // else `on_drained` comes back, or is already coming
  }

  // --- before it has started ---

  void look() {
    parts_.silo.call_then<schemas::run_interface::events_results>(
        ref<schemas::Run>(wanted_.run).events(after_, start_wait_ms, 0),
        [self = shared_from_this()](auto page) { self->take(std::move(page)); });
  }

  void take(runtime::result<schemas::run_interface::events_results> page) {
    if (!page || closed_) {
      break_off();
      return;
    }
    auto concerned = page->ended();
    for (auto event : page->events()) {
      after_ = event.getSequence();
      concerned = concerned || event.getName() == wanted_.task.c_str();
    }
    concerned ? ask() : look();
  }

  void ask() {
    parts_.silo.call_then<schemas::run_interface::task_results>(
        ref<schemas::Run>(wanted_.run).task(wanted_.task), [self = shared_from_this()](auto found) {
          const auto attempt =
              found ? started(found->task(), self->wanted_) : std::optional<std::uint32_t>{};
          if (attempt) {
            self->begin(*attempt);
          } else if (!found) {
            self->break_off();
          } else if (has_ended(found->task())) {
            self->finish();
          } else {
            self->look();
          }
        });
  }

  // --- from this process's executor ---

  // On the file thread.
  void send() {
    if (!executor_.empty()) {
      pull();
      return;
    }
    if (wanted_.from_end) {
      const auto log = open_log();
      const auto tail =
          log ? log->tail_lines(static_cast<std::size_t>(wanted_.tail_lines), tail_bytes_max)
              : log.error();
      if (!tail && tail.error().code() != errc::not_found && answer_) {
        answer_.fail(tail.error());
        return;
      }
      if (tail) {
        offset_ = tail->offset;  // in pieces: it may fill any queue
      }
    }
    open();
    go_on();
  }

  void open() {
    if (!answer_) {
      return;
    }
    start_ = offset_;
    http::header_list headers{{"Content-Type", "text/plain; charset=utf-8"},
                              {"X-Content-Type-Options", "nosniff"},
                              {"Cache-Control", "no-store"},
                              {"Log-Offset", std::to_string(offset_)}};
    if (attempt_ != 0) {
      headers.add("Log-Attempt", std::to_string(attempt_));
    }
    out_ = answer_.open(200, std::move(headers));
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
        self->stop_waiting();
      }
    });
    self_ = shared_from_this();
  }

  void go_on() {
    if (!executor_.empty() && !closed_) {
      pull();
      return;
    }
    while (!closed_) {
      const auto log = open_log();
      const auto chunk = log ? log->read(offset_, chunk_bytes) : log.error();
      // There is none of what has written nothing; else it has been removed meanwhile.
      if (!chunk && (chunk.error().code() != errc::not_found || offset_ > start_)) {
        break_off();
        return;
      }
      if (chunk && (!chunk->bytes.empty() || chunk->dropped > 0)) {
        offset_ = chunk->next_offset;
        lagging_ = true;
        const auto text =
            (chunk->dropped > 0 ? actors::dropped_text(chunk->dropped) : std::string{}) +
            chunk->bytes;
        if (out_.write(text) == http::write_status::full) {
          return;  // `on_drained` comes back
        }
        if (!lagging_.exchange(false)) {
          return;  // it was drained meanwhile, and is already coming back
        }
        continue;
      }
      if (wanted_.follow && !last_) {
        wait_for_more();
        return;
      }
      break;
    }
    finish();
  }

  void wait_for_more() {
    const auto watched = parts_.host->attempts().watch_log(
        token_, stream(), offset_, [self = shared_from_this()](actors::log_event what) {
          self->last_ = what == actors::log_event::ended;
          self->parts_.files.go_on([self] { self->go_on(); });
        });
    if (!watched) {
      break_off();
      return;
    }
    waiter_ = static_cast<std::uint64_t>(*watched);
    if (closed_) {
      stop_waiting();  // it left between the look and the wait
    }
  }

  // The client has left: nothing more is waited for. What the waiter held goes with it.
  void stop_waiting() {
    if (const auto waiter = waiter_.exchange(0); waiter != 0) {
      parts_.host->attempts().forget_waiter(actors::log_waiter_id{waiter});
      parts_.files.go_on([self = shared_from_this()] { self->finish(); });
    }
  }

  [[nodiscard]] actors::output_stream stream() const {
    return wanted_.errors ? actors::output_stream::standard_error
                          : actors::output_stream::standard_output;
  }

  [[nodiscard]] runtime::result<actors::log_file> open_log() const {
    return parts_.host->attempts().open_log(token_, stream());
  }

  void finish() {
    out_.close();
    self_.reset();
  }

  // There may be more, so that whoever reads it asks again, or says that it is not all.
  void break_off() {
    out_.cut();
    self_.reset();
  }

  const api_parts& parts_;
  wanted_log wanted_;
  std::string token_;
  std::string executor_;  // elsewhere; empty: this process's own
  reply answer_;
  http::stream out_;
  std::uint64_t after_ = 0;    // the last event of the run that was seen
  std::uint64_t start_ = 0;    // of the answer's first byte
  std::uint64_t offset_;       // of the next byte
  std::uint32_t attempt_ = 0;  // once it has started
  bool last_ = false;          // the attempt has ended: what is there is all
  std::atomic<bool> lagging_{false};
  std::atomic<bool> closed_{false};
  std::atomic<std::uint64_t> waiter_{0};  // 0: none
  std::shared_ptr<log_sender> self_;
};

void logs(const api_parts& parts, request& received, reply answer) {
  const auto attempt = number_in_query(received, "attempt", 0, UINT32_MAX);
  const auto tail = number_in_query(received, "tail", 0, tail_lines_max);
  const auto offset = number_in_query(received, "offset", 0, INT64_MAX);
  if (!offset || (received.query("offset") && received.query("tail"))) {
    answer.fail(offset ? runtime::error{errc::invalid_argument,
                                        "'tail' and 'offset' both say where to begin: give one"}
                       : offset.error());
    return;
  }
  const auto stream = received.query("stream").value_or("stdout");
  if (!attempt || !tail) {
    answer.fail(attempt ? tail.error() : attempt.error());
    return;
  }
  if (stream != "stdout" && stream != "stderr") {
    answer.fail({errc::invalid_argument, "query parameter 'stream' must be stdout or stderr"});
    return;
  }
  const auto follow = received.query("follow").value_or("false");
  if (follow != "true" && follow != "false") {
    answer.fail({errc::invalid_argument, "query parameter 'follow' must be true or false"});
    return;
  }
  wanted_log wanted{std::string{received.param("id")},
                    std::string{received.param("name")},
                    *attempt,
                    *tail,
                    received.query("tail").has_value(),
                    *offset,
                    follow == "true",
                    stream == "stderr"};
  auto shared = std::make_shared<reply>(std::move(answer));
  parts.silo.call_then<
      schemas::run_interface::
          task_results>(ref<schemas::Run>(wanted.run).task(wanted.task), [&parts, wanted, shared](
                                                                             auto found) mutable {
    if (!found) {
      shared->fail(found.error());
      return;
    }
    const auto task = found->task();
    const auto begun = started(task, wanted);
    if (task.getAttempt() == 0 && task.getStartedAt() > 0) {
      shared->fail({errc::failed_precondition, "the task runs no command, so that it has no log: " +
                                                   std::string{task.getReason()}});
    } else if (!begun && !has_ended(task) && !wanted.follow) {
      shared->fail({errc::failed_precondition, "it has not started yet; follow=true waits for it"});
    } else if (!begun && has_ended(task)) {
      shared->fail(
          {errc::not_found, task.getAttempt() == 0
                                ? "the task was never started: " + std::string{task.getReason()}
                                : "its latest attempt is " + std::to_string(task.getAttempt())});
    } else {
      const auto sender = std::make_shared<log_sender>(parts, wanted, std::move(*shared));
      begun ? sender->begin(*begun) : sender->wait_for_start();
    }
  });
}

}  // namespace

void add_log_routes(api_routes& routes) {
  routes.add(
      method::get, "/api/v1/runs/{id}/tasks/{name}/logs", of_run(role::READ),
      {.id = "read_log",
       .tag = "runs",
       .summary = "The output of an attempt, as it grows if wanted",

       .query = {word_key("stream", {"stdout", "stderr"}, "Which; `stdout` without."),
                 number_key("attempt", UINT32_MAX, "0: the latest."),
                 number_key("tail", tail_lines_max, "Only that many last lines."),
                 number_key("offset", INT64_MAX, "From this byte on; not with `tail`."),
                 flag_key("follow", "Wait for a start, and for more until the attempt's end.")},
       .answers = {{.status = 200,
                    .text = "The bytes.",
                    .body = plain_text(),
                    .headers = {{"Log-Offset", "Of the first byte."},
                                {"Log-Attempt", "Whose it is, once the task has started.",
                                 false}}}},
       .problems = {404, 409}},
      logs);
}

}  // namespace millrace::gateway
