// SPDX-License-Identifier: MIT
#include "executor/process_executor.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "artifact/artifact_collection.h"
#include "artifact/kept_texts.h"
#include "definition/exit_codes.h"
#include "executor/attempt_command.h"
#include "millrace/actors/run_id.h"
#include "pipeline/names.h"
#include "process/failure.h"
#include "process/task_file.h"
#include "run/run_spans.h"

namespace millrace::actors {

namespace fs = std::filesystem;
using runtime::errc;
using runtime::error;
using runtime::result;
using schemas::AttemptEnd;

namespace {

// Of each stream, kept in the state of a task; the whole is in the file.
constexpr std::size_t tail_bytes = 4096;

// A start that was refused for want of room is tried again after this, and for 30 s; then the
// attempt ends as not started.
constexpr auto start_retry = std::chrono::milliseconds{100};
constexpr unsigned start_tries_max = 300;

// Where the disk is full attempts are given back, after the pool member has twice looked and told
// the pool, so that they do not come again.
constexpr runtime::duration give_back_after = std::chrono::seconds{2};

// How often artifacts are asked for that cannot be reached, and for how long: a machine that is
// started anew takes less.
constexpr runtime::duration fetch_retry = std::chrono::seconds{1};
constexpr runtime::duration fetch_patience = std::chrono::minutes{5};

// How often what runs is looked at for what it holds on the disk.
constexpr runtime::duration look_interval = std::chrono::seconds{10};

// For its owner only, as are those above it that are missing: what tasks write may be secret.
result<void> make_directory(const fs::path& wanted) {
  const auto made = [&] { return ::mkdir(wanted.c_str(), 0700) == 0 || errno == EEXIST; };
  if (made()) {
    return {};
  }
  if (errno == ENOENT && wanted.has_relative_path()) {
    if (auto above = make_directory(wanted.parent_path()); !above) {
      return above;
    }
    if (made()) {
      return {};
    }
  }
  return process_detail::file_failure("cannot make " + wanted.string(), errno);
}

process_executor_options with_slots(process_executor_options options) {
  if (options.slots == 0) {
    options.slots = std::max(2U, std::thread::hardware_concurrency());
  }
  return options;
}

std::uint64_t reserve_of(const process_executor_options& options) {
  std::error_code unknown;
  const auto whole = fs::space(options.data_directory, unknown).capacity;
  return unknown ? options.disk_reserve_bytes
                 : std::min(options.disk_reserve_bytes, whole / disk_reserve_part);
}

}  // namespace

process_executor::process_executor(process_executor_options options, const runtime::clock& time,
                                   worker& jobs, workspaces rooms,
                                   std::unique_ptr<blob_store> blobs,
                                   std::unique_ptr<storage_meter> meter,
                                   std::unique_ptr<process_supervisor> supervisor)
    : options_(std::move(options)),
      time_(time),
      jobs_(jobs),
      supervisor_(std::move(supervisor)),
      blobs_(std::move(blobs)),
      meter_(std::move(meter)),
      incarnation_(static_cast<std::uint64_t>(nanoseconds(time.wall()))),
      ledger_(incarnation_),
      workspaces_(std::move(rooms)),
      starts_(options_.slots),
      delivery_(*blobs_, time, options_.elsewhere),
      files_(time) {
  files_.run();
  for (const auto& left : supervisor_->recovered()) {
    ledger_.restore(left.token, attempt_stage::ended);
  }
}

result<std::unique_ptr<process_executor>> process_executor::open(process_executor_options options,
                                                                 const runtime::clock& time,
                                                                 worker& jobs) {
  process_options processes;
  processes.state_directory = options.data_directory / "executor";
  processes.tail_bytes_max = tail_bytes;
  processes.attempt_directory = options.data_directory / "attempts";
  processes.log_directory = options.data_directory / "logs";
  processes.warn = options.warn;
  if (auto made = make_directory(processes.state_directory); !made) {
    return std::move(made).error();
  }
  options.disk_reserve_bytes = reserve_of(options);
  processes.disk_reserve_bytes = options.disk_reserve_bytes;
  auto rooms = workspaces::open(options.data_directory / "workspaces");
  if (!rooms) {
    return std::move(rooms).error();
  }
  auto blobs = blob_store::open(options.data_directory / "artifacts", options.disk_reserve_bytes);
  if (!blobs) {
    return std::move(blobs).error();
  }
  auto meter = storage_meter::open(options.data_directory, time);
  if (!meter) {
    return std::move(meter).error();
  }
  auto supervisor = process_supervisor::open(processes, time);
  if (!supervisor) {
    return std::move(supervisor).error();
  }
  return std::unique_ptr<process_executor>{
      new process_executor{with_slots(std::move(options)), time, jobs, *std::move(rooms),
                           *std::move(blobs), *std::move(meter), *std::move(supervisor)}};
}

std::vector<adopted_attempt> process_executor::adopt(attempt_listener& listener) {
  listener_ = &listener;
  std::vector<adopted_attempt> left;
  for (const auto& each : supervisor_->recovered()) {
    const auto parsed = parse_token(each.token);
    auto report = report_of(each, parsed ? parsed->attempt : 0, time_.wall(), disk_full_text());
    add_stdout(report, open_log(each.token, output_stream::standard_output));  // it may be wanted
    left.push_back({each.token, std::move(report)});
  }
  return left;
}

result<void> process_executor::take(const attempt_ticket& ticket) {
  if (jobs_.stopping()) {
    return error{errc::unavailable, "the executor is stopping"};
  }
  const std::lock_guard lock{mutex_};
  return ledger_.take(ticket);
}

void process_executor::keep_slot(std::string_view token) {
  const std::lock_guard lock{mutex_};
  if (ledger_.stage_of(token) == attempt_stage::taken) {
    jobs_.post([this, text = std::string{token}] { starts_.reserve(text); });
  }
}

result<void> process_executor::start(runtime::message<schemas::AttemptSpec> attempt) {
  if (jobs_.stopping()) {
    return error{errc::unavailable, "the executor is stopping"};
  }
  const std::lock_guard lock{mutex_};
  auto ticket = ledger_.give(text_of(attempt.read().getToken()));
  if (!ticket) {
    return std::move(ticket).error();
  }
  jobs_.post(
      [this, ticket = *std::move(ticket),
       shared = std::make_shared<runtime::message<schemas::AttemptSpec>>(std::move(attempt))] {
        const auto told = shared->read();
        meter_->own(run_of(text_of(told.getTask())), text_of(told.getProject()));
        if (told.getNeedsArtifacts().size() > 0 || told.hasLargeInputs()) {
          const auto wanted = std::make_shared<std::atomic<bool>>(true);
          preparing_[ticket.token] = {wanted, ticket};
          prepare(shared, wanted, time_.steady());
          return;
        }
        starts_.add(ticket.token, ticket.priority, ticket.grant, shared);
        start_more();
      });
  return {};
}

// --- artifacts -----------------------------------------------------------------------------------

std::function<bool()> process_executor::asks(const wanted_flag& flag) const {
  return [this, flag] { return *flag && !jobs_.stopping(); };
}

// Gets the artifacts that an attempt needs, and puts them into its workspace; and the large outputs
// that go into its inputs.
void process_executor::prepare(const attempt_message& message, const wanted_flag& wanted,
                               runtime::steady_time since) {
  const auto workspace = text_of(message->read().getWorkspace());
  if (const auto entered = workspaces_.enter(workspace); !entered) {
    prepared(message, wanted, since, entered.error());
    return;
  }
  files_.post([this, message, wanted, since, workspace] {
    const auto attempt = message->read();
    const auto run = run_of(text_of(attempt.getTask()));
    const auto token = text_of(attempt.getToken());
    auto done = delivery_.fetch(token, run, attempt.getNeedsArtifacts(), asks(wanted));
    if (done) {
      done = delivery_.fetch_texts(token, run, attempt.getLargeInputs().getTexts(), asks(wanted));
    }
    if (done && attempt.getNeedsArtifacts().size() > 0) {
      const auto room = process_detail::open_directory(AT_FDCWD, workspaces_.path_of(workspace));
      done = room ? delivery_.place(run, attempt.getNeedsArtifacts(), room->get(), asks(wanted))
                  : result<void>{room.error()};
    }
    jobs_.post([this, message, wanted, since, workspace, done] {
      workspaces_.leave(workspace);
      prepared(message, wanted, since, done);
    });
  });
}

void process_executor::prepared(const attempt_message& message, const wanted_flag& wanted,
                                runtime::steady_time since, const result<void>& done) {
  const auto token = text_of(message->read().getToken());
  const auto give_up = [this, token] { files_.post([this, token] { delivery_.give_up(token); }); };
  if (!*wanted) {
    give_up();
    return;  // its end has been told
  }
  if (!done && done.error().code() == errc::unavailable &&
      time_.steady() - since < fetch_patience) {
    listener_->waits(token, "waits for " + done.error().text());
    jobs_.post([this, message, wanted, since,
                give_up] { *wanted ? prepare(message, wanted, since) : give_up(); },
               fetch_retry);
    return;
  }
  const auto ticket = preparing_.extract(token).mapped().ticket;
  if (!done) {
    give_up();
    end_unstarted(token, AttemptEnd::NOT_STARTED,
                  "could not start without what it needs: " + done.error().text());
    return;
  }
  starts_.add(token, ticket.priority, ticket.grant, message);
  start_more();
}

// Keeps the artifacts and large outputs of an attempt that has succeeded; it holds its slot
// meanwhile.
void process_executor::collect(const attempt_message& message, const std::string& token,
                               const std::shared_ptr<attempt_report>& report,
                               std::vector<large_output> large) {
  const auto wanted = std::make_shared<std::atomic<bool>>(true);
  collecting_[token] = wanted;
  files_.post([this, message, token, report, wanted, large = std::move(large)] {
    const auto attempt = message->read();
    const auto run = run_of(text_of(attempt.getTask()));
    std::vector<std::string_view> texts;
    texts.reserve(large.size());
    for (const auto& each : large) {
      texts.push_back(each.text);
    }
    set_kept(*report, large, keep_texts(texts, run, *blobs_, asks(wanted)));
    if (attempt.getArtifacts().size() > 0 && report->read().getEnd() == AttemptEnd::EXITED) {
      const auto room = process_detail::open_directory(
          AT_FDCWD, workspaces_.path_of(text_of(attempt.getWorkspace())));
      set_artifacts(*report, room ? collect_artifacts(attempt.getArtifacts(), room->get(), run,
                                                      *blobs_, asks(wanted))
                                  : room.error());
    }
    jobs_.post([this, message, token, report] {
      collecting_.erase(token);
      tell_end(message, token, *report);
    });
  });
}

void process_executor::start_more() {
  while (const auto message = starts_.next()) {
    start_now(*message, {});
  }
}

// Holds a slot, and gives it back when nothing runs and nothing will.
void process_executor::start_now(const attempt_message& message, past_tries before) {
  const auto token = text_of(message->read().getToken());
  if (is_fenced(token)) {
    starts_.free_slot();
    end_unstarted(token, AttemptEnd::DROPPED, {});
    return;
  }
  {
    const std::lock_guard lock{mutex_};
    ledger_.run(token);
  }
  if (const auto why = refusal(); !why.empty()) {
    const auto now = time_.steady();
    before.full_since = before.full_since.value_or(now);
    if (now - *before.full_since < give_back_after) {
      try_again(message, before);
      return;
    }
    starts_.free_slot();
    end_unstarted(token, AttemptEnd::DROPPED, why);
    return;
  }
  const auto started = launch(message);
  if (started) {
    listener_->started(token, time_.wall());
    if (is_fenced(token)) {
      static_cast<void>(supervisor_->kill(token));  // or it has ended
    }
  } else if (runtime::retry_of(started.error().code()) == runtime::retry_class::safe &&
             ++before.refused < start_tries_max) {
    before.full_since.reset();
    try_again(message, before);
  } else {
    starts_.free_slot();
    end_unstarted(token, AttemptEnd::NOT_STARTED, "could not start: " + started.error().text());
  }
}

// What starts with less is ended at its first output.
std::string process_executor::refusal() const {
  std::error_code unknown;
  const auto free = fs::space(options_.data_directory, unknown).available;
  return unknown || free >= options_.disk_reserve_bytes
             ? std::string{}
             : "disk full: less than " + reserve_text() + " are free for " +
                   options_.data_directory.string() + "; make room there";
}

void process_executor::try_again(const attempt_message& message, past_tries before) {
  const auto token = text_of(message->read().getToken());
  refused_.insert(token);
  jobs_.post(
      [this, message, token, before] {
        if (refused_.erase(token) == 1) {
          start_now(message, before);
        } else {
          starts_.free_slot();
          end_unstarted(token, is_fenced(token) ? AttemptEnd::DROPPED : AttemptEnd::CANCELLED, {});
        }
        start_more();
      },
      start_retry);
}

result<void> process_executor::launch(const attempt_message& message) {
  const auto workspace = text_of(message->read().getWorkspace());
  auto command = command_of(message->read(), workspaces_.path_of(workspace));
  if (auto added = add_secrets(message->read(), options_.secrets, command); !added) {
    return added;
  }
  if (const auto attempt = message->read(); attempt.hasLargeInputs()) {
    auto inputs =
        whole_inputs(attempt.getLargeInputs(), run_of(text_of(attempt.getTask())), *blobs_);
    if (!inputs) {
      return std::move(inputs).error();
    }
    command.inputs = *std::move(inputs);
  }
  const auto entered = workspaces_.enter(workspace);
  if (!entered) {
    return entered.error();
  }
  // One of its own, which nobody else could make before; an absolute one is somebody's.
  const fs::path workdir{text_of(message->read().getWorkdir())};
  auto made = workdir.is_relative() && !workdir.empty() ? make_directory(command.working_directory)
                                                        : result<void>{};
  if (!made) {
    workspaces_.leave(workspace);
    return made;
  }
  auto started = supervisor_->start(std::move(command), [this, message](process_exit ended) {
    jobs_.post([this, message, shared = std::make_shared<process_exit>(std::move(ended))] {
      process_ended(message, *shared);
    });
  });
  if (!started) {
    workspaces_.leave(workspace);
  }
  return started;
}

void process_executor::process_ended(const attempt_message& message, const process_exit& ended) {
  const auto attempt = message->read();
  if (jobs_.stopping()) {
    workspaces_.leave(text_of(attempt.getWorkspace()));
    return;  // the next life finds it in the table
  }
  std::vector<large_output> large;
  auto report = report_of(ended, attempt, disk_full_text(), large);
  if (attempt.getWantsStdout()) {
    add_stdout(report, open_log(ended.token, output_stream::standard_output), attempt, large);
  }
  const auto told = report.read();
  if ((attempt.getArtifacts().size() > 0 || !large.empty()) &&
      told.getEnd() == AttemptEnd::EXITED &&
      is_success(told.getExitCode(), codes_of(attempt.getSuccessExitCodes()))) {
    collect(message, ended.token, std::make_shared<attempt_report>(std::move(report)),
            std::move(large));
  } else {
    tell_end(message, ended.token, report);
  }
}

void process_executor::tell_end(const attempt_message& message, const std::string& token,
                                attempt_report& report) {
  const auto attempt = message->read();
  workspaces_.leave(text_of(attempt.getWorkspace()));
  meter_->leave(run_of(text_of(attempt.getTask())));
  starts_.free_slot();
  start_more();
  {
    const std::lock_guard lock{mutex_};
    ledger_.end(token);
  }
  if (report.read().getEnd() == AttemptEnd::CANCELLED && is_fenced(token)) {
    report.build().setEnd(AttemptEnd::LOST);
  }
  if (options_.spans != nullptr && attempt.getTrace().getSampled()) {
    options_.spans->ended(span_of_command(attempt, report.read()));
  }
  listener_->ended(token, std::move(report));
}

void process_executor::end_unstarted(const std::string& token, AttemptEnd end,
                                     std::string_view why) {
  {
    const std::lock_guard lock{mutex_};
    ledger_.end(token);
  }
  const auto parsed = parse_token(token);
  meter_->leave(run_of(parsed->task_key));  // it may have got artifacts
  listener_->ended(token, unstarted_report(parsed->attempt, end, why, time_.wall()));
  if (starts_.forget(token)) {
    start_more();
  }
}

void process_executor::cancel(std::string_view token) {
  const std::lock_guard lock{mutex_};
  if (ledger_.stage_of(token) == attempt_stage::taken) {
    ledger_.end(token);  // now, so that its command comes too late
    jobs_.post(
        [this, text = std::string{token}] { end_unstarted(text, AttemptEnd::CANCELLED, {}); });
  } else {
    jobs_.post([this, text = std::string{token}] { withdraw(text, AttemptEnd::CANCELLED); });
  }
}

// What runs is killed here and now, whatever the worker is at; what the worker is just starting is
// killed by itself when it has.
void process_executor::fence() {
  const std::lock_guard lock{mutex_};
  incarnation_ = std::max(incarnation_ + 1, static_cast<std::uint64_t>(nanoseconds(time_.wall())));
  ledger_.begin_life(incarnation_);
  for (const auto& each : ledger_.list()) {
    if (each.stage == attempt_stage::taken) {
      ledger_.end(each.token);  // now, so that its command comes too late
      jobs_.post([this, token = each.token] { end_unstarted(token, AttemptEnd::DROPPED, {}); });
    } else if (each.stage != attempt_stage::ended) {
      static_cast<void>(supervisor_->kill(each.token));  // or it has not started
      jobs_.post([this, token = each.token] { withdraw(token, AttemptEnd::DROPPED); });
    }
  }
}

std::uint64_t process_executor::incarnation() const {
  const std::lock_guard lock{mutex_};
  return incarnation_;
}

bool process_executor::is_fenced(std::string_view token) const {
  const std::lock_guard lock{mutex_};
  return !ledger_.is_of_this_life(token);
}

// Takes it out of what waits; what runs is told to end.
void process_executor::withdraw(const std::string& token, AttemptEnd end) {
  if (starts_.remove(token)) {
    end_unstarted(token, end, {});
    return;
  }
  if (const auto found = preparing_.extract(token)) {
    *found.mapped().wanted = false;
    end_unstarted(token, end, {});
    return;
  }
  if (const auto found = collecting_.find(token); found != collecting_.end()) {
    *found->second = false;
    return;
  }
  refused_.erase(token);
  // Not found: it has ended, or belonged to an earlier life; its report is on its way.
  static_cast<void>(supervisor_->cancel(token));
}

std::vector<listed_attempt> process_executor::list() const {
  const std::lock_guard lock{mutex_};
  return ledger_.list();
}

// In this order: what the table still has must stay listed.
void process_executor::acknowledge(std::string_view token) {
  {
    const std::lock_guard lock{mutex_};
    if (ledger_.stage_of(token) != attempt_stage::ended) {
      return;
    }
  }
  // Not found: it was never started.
  static_cast<void>(supervisor_->acknowledge(token));
  const std::lock_guard lock{mutex_};
  ledger_.acknowledge(token);
}

result<log_file> process_executor::open_log(std::string_view token, output_stream stream) const {
  return supervisor_->open_log(token, stream);
}

result<log_waiter_id> process_executor::watch_log(std::string_view token, output_stream stream,
                                                  std::uint64_t offset, log_callback on_event) {
  return supervisor_->watch_log(token, stream, offset, std::move(on_event));
}

void process_executor::forget_waiter(log_waiter_id waiter) {
  supervisor_->forget_waiter(waiter);
}

result<blob_piece> process_executor::read_blob(std::string_view run, std::string_view digest,
                                               std::uint64_t offset) const {
  return is_run_id(run) ? blobs_->read(run, digest, offset)
                        : error{errc::not_found, "that is no run's id"};
}

result<void> process_executor::keep_for(std::string_view run, std::string_view digest,
                                        std::string_view project, kept_thing what) {
  if (!is_run_id(run)) {
    return error{errc::not_found, "that is no run's id"};
  }
  meter_->own(run, project);
  auto kept = what == kept_thing::text ? blobs_->keep_blob(run, digest)
                                       : blobs_->keep_artifact(run, digest);
  meter_->leave(run);
  return kept;
}

// What runs grows.
std::optional<storage_by_project> process_executor::storage() {
  std::vector<listed_attempt> running;
  {
    const std::lock_guard lock{mutex_};  // turns wait for it
    if (const auto now = time_.steady(); now - looked_at_ >= look_interval) {
      looked_at_ = now;
      running = ledger_.list();
    }
  }
  for (const auto& each : running) {
    if (const auto parsed = parse_token(each.token)) {
      meter_->look_at(run_of(parsed->task_key));
    }
  }
  return meter_->by_project();
}

result<void> process_executor::remove_run(std::string_view run) {
  result<void> done;
  for (const auto* folder : {"logs", "workspaces"}) {
    auto removed = is_run_id(run) ? supervisor_->remove(options_.data_directory / folder / run)
                                  : result<void>{};
    done = removed ? std::move(done) : std::move(removed);
  }
  auto removed = is_run_id(run) ? blobs_->remove_run(run) : result<void>{};
  done = removed ? std::move(done) : std::move(removed);
  if (done) {
    meter_->forget(run);
  } else {
    meter_->look_at(run);
  }
  return done;
}

void process_executor::stop() {
  files_.stop();
  meter_->stop();
  supervisor_->stop();
}

// What only this machine knows of such an end.
std::string process_executor::disk_full_text() const {
  return "disk full: the output of the task was stopped, with less than " + reserve_text() +
         " free for " + options_.data_directory.string() + "; make room there, then retry the run";
}

std::string process_executor::reserve_text() const {
  return std::to_string(options_.disk_reserve_bytes >> 20U) + " MiB";
}

}  // namespace millrace::actors
