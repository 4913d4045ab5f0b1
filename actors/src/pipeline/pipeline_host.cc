// SPDX-License-Identifier: MIT
#include "millrace/actors/pipeline_host.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "executor/workspaces.h"
#include "millrace/actors/duration_text.h"
#include "millrace/actors/process_outputs.h"
#include "millrace/actors/run_id.h"
#include "pipeline/executor_actor.h"
#include "pipeline/names.h"
#include "pipeline/pipeline_actor.h"
#include "pipeline/pool_actor.h"
#include "pipeline/run_actor.h"
#include "pipeline/task_actor.h"
#include "pool/start_queue.h"
#include "process/failure.h"

namespace millrace::actors {

namespace fs = std::filesystem;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using schemas::AttemptEnd;
using report_params = schemas::task_interface::attempt_finished_params;

namespace {

// Of each stream, kept in the state of a task; the whole is in the file.
constexpr std::size_t tail_bytes = 4096;

// How long a report waits before it is made again, at first and at most, and a start that was
// refused for want of room.
constexpr auto report_retry = std::chrono::milliseconds{200};
constexpr runtime::duration report_retry_max = std::chrono::seconds{10};
constexpr auto start_retry = std::chrono::milliseconds{100};

// A start is refused for this long before the attempt ends as not started: 30 s.
constexpr unsigned start_tries_max = 300;

// Tries to report what an earlier life left before a report that fails is put aside: 10 s.
constexpr unsigned recovery_tries_max = 50;

// With less free than this, a refusal for want of room is the disk's and not the quota's.
constexpr std::uintmax_t disk_full_bytes = std::uintmax_t{16} << 20U;

AttemptEnd end_of(process_outcome outcome) {
  switch (outcome) {
    case process_outcome::exited:
      return AttemptEnd::EXITED;
    case process_outcome::signalled:
      return AttemptEnd::SIGNALLED;
    case process_outcome::timed_out:
      return AttemptEnd::TIMED_OUT;
    case process_outcome::cancelled:
      return AttemptEnd::CANCELLED;
    case process_outcome::log_limit:
      return AttemptEnd::LOG_LIMIT;
    case process_outcome::disk_full:
      return AttemptEnd::DISK_FULL;
  }
  return AttemptEnd::LOST;
}

// What cron gives: of the account that runs the silo, and of each what the definition does not set.
void add_account(std::vector<std::string>& environment) {
  const auto user = ::geteuid();
  std::array<char, 4096> buffer;
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found);
  const auto name = found != nullptr ? std::string{found->pw_name} : std::to_string(user);
  const std::pair<std::string, std::string> account[] = {
      {"HOME=", found != nullptr ? found->pw_dir : "/"},
      {"USER=", name},
      {"LOGNAME=", name},
      {"SHELL=", "/bin/sh"}};
  for (const auto& [variable, value] : account) {
    const auto given = std::any_of(
        environment.begin(), environment.end(),
        [&variable = variable](const auto& each) { return each.starts_with(variable); });
    if (!given) {
      environment.push_back(variable + value);
    }
  }
}

void set_text(auto&& builder_setter, std::string_view text) {
  std::string clean{text};
  std::replace(clean.begin(), clean.end(), '\0', ' ');
  builder_setter(clean.c_str());
}

}  // namespace

class pipeline_host::impl final : public attempt_runner {
public:
  impl(pipeline_host_options options, runtime::silo& home)
      : options_(with_slots(std::move(options))), home_(home), starts_(options_.slots) {
    incarnation_ = static_cast<std::uint64_t>(nanoseconds(home.time().wall()));
  }
  impl(const impl&) = delete;
  impl& operator=(const impl&) = delete;

  ~impl() override { stop(); }

  result<void> open() {
    process_options processes;
    processes.state_directory = options_.data_directory / "executor";
    processes.tail_bytes_max = tail_bytes;
    processes.disk_reserve_bytes = options_.disk_reserve_bytes;
    processes.attempt_directory = options_.data_directory / "attempts";
    processes.log_directory = options_.data_directory / "logs";
    processes.warn = [this](std::string_view line) { warn(line); };
    if (auto made = make_directory(processes.state_directory); !made) {
      return made;
    }
    auto rooms = workspaces::open(options_.data_directory / "workspaces");
    if (!rooms) {
      return std::move(rooms).error();
    }
    workspaces_.emplace(*std::move(rooms));
    auto opened = process_supervisor::open(processes, home_.time());
    if (!opened) {
      return std::move(opened).error();
    }
    supervisor_ = *std::move(opened);
    home_.add<project_actor>();
    home_.add<pipeline_actor>([kept = options_.retention]() -> std::unique_ptr<pipeline_actor> {
      return std::make_unique<pipeline_actor>(kept);
    });
    home_.add<run_actor>();
    home_.add<task_actor>();
    home_.add<pool_actor>();
    home_.add<executor_actor>([this]() -> std::unique_ptr<executor_actor> {
      return std::make_unique<executor_actor>(*this);
    });
    return {};
  }

  // What cannot be stored now is tried again in the background, so that one bad attempt, or a disk
  // without room, keeps nobody from asking and from deleting.
  result<void> join() {
    auto joined = try_join(bad_report::ends_it);
    if (!joined && is_final(joined.error())) {
      return joined;
    }
    if (!joined) {
      note(with_remedy(joined.error()));
    }
    worker_ = std::thread{[this, is_joined = joined.has_value()] {
      if (is_joined || join_at_last()) {
        work();
      }
    }};
    return {};
  }

  void stop() {
    {
      const std::lock_guard lock{mutex_};
      if (std::exchange(stopping_, true)) {
        return;
      }
      changed_.notify_all();
    }
    if (worker_.joinable()) {
      worker_.join();
    }
    if (supervisor_) {
      supervisor_->stop();
    }
  }

  // --- attempt_runner: only queues, because starting a process takes its time ---

  void start(runtime::message<schemas::AttemptSpec> attempt) override {
    auto shared = std::make_shared<runtime::message<schemas::AttemptSpec>>(std::move(attempt));
    post([this, shared] { admit(shared); });
  }

  void cancel(std::string_view token) override {
    post([this, text = std::string{token}] {
      if (const auto waiting = starts_.remove(text)) {
        report_unstarted((*waiting)->read(), AttemptEnd::CANCELLED, {});
        return;
      }
      refused_.erase(text);
      // Not found: it has ended, or belonged to an earlier life; its report is on its way.
      static_cast<void>(supervisor_->cancel(text));
    });
  }

  // What cannot be removed is not tried for ever, which would hold up all later removals: after a
  // few tries the send that asks for it becomes a dead letter.
  result<void> remove_run(std::string_view run) override {
    result<void> done;
    for (const auto* folder : {"logs", "workspaces"}) {
      auto removed = is_run_id(run) ? supervisor_->remove(options_.data_directory / folder / run)
                                    : result<void>{};
      done = removed ? std::move(done) : std::move(removed);
    }
    return done;
  }

  attempt_logs logs_of(std::string_view run, std::string_view task, std::uint32_t attempt) const {
    const auto stem = (options_.data_directory / "logs" / run / attempt_token(run, task, attempt));
    return {stem.string() + ".stdout", stem.string() + ".stderr"};
  }
  fs::path workspace_of(std::string_view run) const {
    return options_.data_directory / "workspaces" / run;
  }
  process_supervisor& processes() { return *supervisor_; }
  runtime::duration busy() const {
    const auto processes = supervisor_->stats().busy;
    const std::lock_guard lock{mutex_};
    return std::max(processes,
                    busy_since_ ? home_.time().steady() - *busy_since_ : runtime::duration{});
  }
  std::optional<error> trouble() const {
    const std::lock_guard lock{mutex_};
    return trouble_;
  }

private:
  using attempt_message = std::shared_ptr<runtime::message<schemas::AttemptSpec>>;

  static pipeline_host_options with_slots(pipeline_host_options options) {
    if (options.slots == 0) {
      options.slots = std::max(2U, std::thread::hardware_concurrency());
    }
    return options;
  }

  void post(std::function<void()> job, runtime::duration after = {}) {
    const std::lock_guard lock{mutex_};
    if (after > runtime::duration{}) {
      later_.emplace(std::chrono::steady_clock::now() + after, std::move(job));
    } else {
      jobs_.push_back(std::move(job));
    }
    changed_.notify_one();
  }

  void work() {
    std::unique_lock lock{mutex_};
    while (!stopping_) {
      while (!later_.empty() && later_.begin()->first <= std::chrono::steady_clock::now()) {
        jobs_.push_back(std::move(later_.begin()->second));
        later_.erase(later_.begin());
      }
      if (!jobs_.empty()) {
        const auto job = std::move(jobs_.front());
        jobs_.pop_front();
        busy_since_ = home_.time().steady();
        lock.unlock();
        job();
        lock.lock();
        busy_since_.reset();
      } else if (!later_.empty()) {
        changed_.wait_until(lock, later_.begin()->first);
      } else {
        changed_.wait(lock);
      }
    }
  }

  process_spec spec_of(schemas::AttemptSpec::Reader attempt) const {
    process_spec spec;
    spec.token = text_of(attempt.getToken());
    for (auto word : attempt.getArgv()) {
      spec.argv.push_back(text_of(word));
    }
    spec.working_directory = workspaces_->path_of(text_of(attempt.getWorkspace()));
    for (auto variable : attempt.getEnvironment()) {
      spec.environment.push_back(text_of(variable.getName()) + "=" + text_of(variable.getValue()));
    }
    add_account(spec.environment);
    spec.environment.push_back("MILLRACE_ATTEMPT=" + std::to_string(attempt.getNumber()));
    spec.environment.push_back("MILLRACE_TOKEN=" + spec.token);
    spec.environment.push_back("MILLRACE_WORKSPACE=" + spec.working_directory.string());
    if (attempt.getTimeoutNs() > 0) {
      spec.timeout = runtime::duration{attempt.getTimeoutNs()};
    }
    spec.grace = runtime::duration{attempt.getGraceNs()};
    spec.detach = attempt.getDetach() ? detach_policy::allowed : detach_policy::forbidden;
    return spec;
  }

  // For its owner only, as are those above it that are missing: what tasks write may be secret.
  static result<void> make_directory(const fs::path& wanted) {
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

  void admit(const attempt_message& message) {
    const auto attempt = message->read();
    if (attempt.getIncarnation() != incarnation_) {
      report_unstarted(attempt, end_of_strangers_, {});  // the pool may have told the task
      return;
    }
    starts_.add(text_of(attempt.getToken()), attempt.getPriority(), message);
    start_more();
  }

  void start_more() {
    while (const auto message = starts_.next()) {
      start_now(*message, 1);
    }
  }

  // Keeps its slot, or gives it back when nothing runs and nothing will.
  void start_now(const attempt_message& message, unsigned tries) {
    const auto attempt = message->read();
    const auto token = text_of(attempt.getToken());
    const auto number = attempt.getNumber();
    const auto task = text_of(attempt.getTask());
    const auto spec = spec_of(attempt);
    const auto workspace = text_of(attempt.getWorkspace());
    const auto entered = workspaces_->enter(workspace);
    auto started = entered ? result<void>{} : entered.error();
    if (started) {
      const auto grace = spec.grace;
      started =
          supervisor_->start(spec, [this, task, number, grace, workspace](process_exit ended) {
            auto shared = std::make_shared<process_exit>(std::move(ended));
            post([this, task, number, grace, workspace, shared] {
              workspaces_->leave(workspace);
              ended_now(task, number, grace, *shared);
            });
          });
      if (!started) {
        workspaces_->leave(workspace);
      }
    }
    const auto started_at = nanoseconds(home_.time().wall());
    if (started) {
      home_.tell(ref<schemas::Task>(task).attempt_started(number, started_at));
      return;
    }
    if (started.error().code() == errc::conflict) {
      starts_.free_slot();
      return;  // the same start again: it runs
    }
    if (runtime::retry_of(started.error().code()) == runtime::retry_class::safe &&
        tries < start_tries_max) {
      refused_.insert(token);
      post(
          [this, message, token, tries] {
            if (refused_.erase(token) == 1) {
              start_now(message, tries + 1);
            } else {
              starts_.free_slot();
              report_unstarted(message->read(), AttemptEnd::CANCELLED, {});
            }
            start_more();
          },
          start_retry);
      return;
    }
    starts_.free_slot();
    report_unstarted(attempt, AttemptEnd::NOT_STARTED,
                     "could not start: " + started.error().text());
  }

  void report_unstarted(schemas::AttemptSpec::Reader attempt, AttemptEnd end,
                        std::string_view why) {
    const auto now = nanoseconds(home_.time().wall());
    report_params params;
    auto report = params.build().initReport();
    report.setNumber(attempt.getNumber());
    report.setEnd(end);
    if (end == AttemptEnd::NOT_STARTED) {
      report.setStartedAt(now);  // that was tried
    }
    report.setFinishedAt(now);
    set_text([&](const char* text) { report.setText(text); }, why);
    deliver(text_of(attempt.getTask()), std::make_shared<report_params>(std::move(params)),
            text_of(attempt.getToken()));
  }

  void ended_now(const std::string& task, std::uint32_t number, runtime::duration grace,
                 const process_exit& ended) {
    {
      const std::lock_guard lock{mutex_};
      if (stopping_) {
        return;  // the next life finds it in the table
      }
    }
    starts_.free_slot();
    start_more();
    report_params params;
    auto report = params.build().initReport();
    report.setNumber(number);
    report.setEnd(end_of(ended.outcome));
    report.setExitCode(ended.exit_code.value_or(-1));
    report.setSignal(ended.signal.value_or(0));
    report.setStartedAt(nanoseconds(ended.started_at));
    report.setFinishedAt(nanoseconds(ended.ended_at));
    explain(report);
    if (ended.forced) {
      report.setText(
          ("and needed a KILL " + format_duration(grace) + " later (grace_period)").c_str());
    }
    set_streams(report, ended.standard_output, ended.standard_error);
    take_outputs(report, ended.output);
    deliver(task, std::make_shared<report_params>(std::move(params)), ended.token);
  }

  static void set_streams(schemas::AttemptReport::Builder report, const process_stream& output,
                          const process_stream& errors) {
    set_text([&](const char* text) { report.setStdoutTail(text); }, output.tail);
    set_text([&](const char* text) { report.setStderrTail(text); }, errors.tail);
    report.setStdoutBytes(output.bytes);
    report.setStderrBytes(errors.bytes);
    report.setStdoutDropped(output.dropped);
    report.setStderrDropped(errors.dropped);
  }

  // What only this machine knows of an end.
  void explain(schemas::AttemptReport::Builder report) const {
    if (report.getEnd() == AttemptEnd::DISK_FULL) {
      report.setText(("disk full: the output of the task was stopped, with less than " +
                      std::to_string(options_.disk_reserve_bytes >> 20U) + " MiB free for " +
                      options_.data_directory.string() + "; make room there, then retry the run")
                         .c_str());
    }
  }

  static void take_outputs(schemas::AttemptReport::Builder report,
                           const result<std::string>& text) {
    if (report.getEnd() != AttemptEnd::EXITED || report.getExitCode() != 0) {
      return;
    }
    const auto refuse = [&](const std::string& why) {
      report.setEnd(AttemptEnd::BAD_OUTPUTS);
      set_text([&](const char* clean) { report.setText(clean); }, why);
    };
    if (!text) {
      refuse(text.error().text());
      return;
    }
    const auto outputs = parse_outputs(*text);
    if (!outputs) {
      refuse("$MILLRACE_OUTPUT: " + outputs.error().text());
      return;
    }
    auto list = report.initOutputs(static_cast<unsigned>(outputs->size()));
    for (unsigned at = 0; at < outputs->size(); ++at) {
      list[at].setName((*outputs)[at].first.c_str());
      list[at].setValue((*outputs)[at].second.c_str());
    }
  }

  // Makes the report until the task has stored it; then the attempt may be forgotten here.
  void deliver(const std::string& task, std::shared_ptr<report_params> params, std::string token,
               runtime::duration retry = report_retry) {
    auto copy = report_params{};
    copy.build().setReport(params->report());
    home_.call_then<void>(
        ref<schemas::Task>(task).attempt_finished(std::move(copy)),
        [this, task, params, token = std::move(token), retry](result<void> stored) {
          if (stored || runtime::retry_of(stored.error().code()) == runtime::retry_class::never) {
            note(std::nullopt);
            post([this, token] { forget(token); });
          } else {
            note(with_remedy(std::move(stored).error()));
            const auto longer = std::min<runtime::duration>(2 * retry, report_retry_max);
            post([this, task, params, token, longer] { deliver(task, params, token, longer); },
                 retry);
          }
        });
  }

  // Storage refuses both for its quota and for a full disk.
  error with_remedy(error refused) const {
    std::error_code unknown;
    const auto free = fs::space(options_.data_directory, unknown).available;
    if (refused.code() != errc::out_of_space || unknown || free > disk_full_bytes) {
      return refused;
    }
    return {refused.code(),
            "disk full: " + std::to_string(free >> 10U) + " KiB are free for " +
                options_.data_directory.string() + "; make room there",
            refused.retry_after()};
  }

  // Says once that results cannot be stored, and once that they are again.
  void note(std::optional<error> trouble) {
    std::string line = "the results of attempts are stored again";
    {
      const std::lock_guard lock{mutex_};
      if (trouble.has_value() == trouble_.has_value() || stopping_) {
        return;
      }
      if (trouble) {
        line = "the results of attempts cannot be stored, will try again error=" + trouble->text();
      }
      trouble_ = std::move(trouble);
    }
    warn(line);
  }

  void warn(std::string_view line) const {
    if (options_.warn) {
      options_.warn(line);
    } else {
      std::fprintf(stderr, "millrace: %.*s\n", static_cast<int>(line.size()), line.data());
    }
  }

  void forget(const std::string& token) {
    // Not found: it was never started.
    static_cast<void>(supervisor_->acknowledge(token));
  }

  enum class bad_report : std::uint8_t { ends_it, is_put_aside };

  static bool is_final(const error& failed) {
    return runtime::retry_of(failed.code()) == runtime::retry_class::never;
  }

  // The pool tells of what never started, once it knows that what had started was reported: an
  // attempt that was put aside makes it call all of them lost. Starts wait for it: an earlier
  // life's that comes again is reported, which must not overtake how that attempt ended.
  result<void> try_join(bad_report bad) {
    const auto pool = ref<schemas::Pool>(std::string{default_pool});
    if (auto left = home_.call(pool.leave(options_.executor_id)); !left) {
      return left;
    }
    const auto& left = supervisor_->recovered();
    for (; reported_ < left.size(); ++reported_) {
      auto reported = report_recovered(left[reported_]);
      if (!reported && bad == bad_report::ends_it) {
        return reported;
      }
      if (!reported) {
        put_aside(left[reported_], reported.error());
      }
    }
    const auto joined = home_.call(pool.join(options_.executor_id, incarnation_, options_.slots,
                                             put_aside_ > 0 ? 0 : supervisor_->lineage()));
    if (!joined) {
      return joined.error();
    }
    end_of_strangers_ = joined->same_lineage() ? AttemptEnd::DROPPED : AttemptEnd::LOST;
    return {};
  }

  // False when it is to stop.
  bool join_at_last() {
    for (unsigned tries = 1;; ++tries) {
      {
        std::unique_lock lock{mutex_};
        if (changed_.wait_for(lock, report_retry, [this] { return stopping_; })) {
          return false;
        }
      }
      const auto joined =
          try_join(tries < recovery_tries_max ? bad_report::ends_it : bad_report::is_put_aside);
      if (joined) {
        note(std::nullopt);
        return true;
      }
    }
  }

  void put_aside(const recovered_attempt& left, const error& why) {
    warn("an attempt of an earlier life is put aside attempt=" + left.token +
         " error=" + why.text());
    ++put_aside_;
    const auto parsed = parse_token(left.token);
    auto params = std::make_shared<report_params>(recovered_report(left, *parsed));
    deliver(parsed->task_key, std::move(params), left.token, report_retry_max);
  }

  // What an earlier life left: an attempt that ended has its result, the others are lost.
  result<void> report_recovered(const recovered_attempt& left) {
    if (const auto parsed = parse_token(left.token)) {
      auto stored = home_.call(
          ref<schemas::Task>(parsed->task_key).attempt_finished(recovered_report(left, *parsed)));
      if (!stored && !is_final(stored.error())) {
        return stored;
      }
    }
    forget(left.token);
    return {};
  }

  report_params recovered_report(const recovered_attempt& left, const parsed_token& parsed) {
    report_params params;
    auto report = params.build().initReport();
    report.setNumber(parsed.attempt);
    const auto known =
        left.found == recovered_attempt::state::ended && left.outcome != process_outcome::cancelled;
    report.setEnd(known ? end_of(left.outcome) : AttemptEnd::LOST);
    report.setExitCode(left.exit_code.value_or(-1));
    report.setSignal(left.signal.value_or(0));
    report.setFinishedAt(nanoseconds(home_.time().wall()));
    explain(report);
    set_streams(report, left.standard_output, left.standard_error);
    take_outputs(report, left.output);
    return params;
  }

  pipeline_host_options options_;
  runtime::silo& home_;
  std::uint64_t incarnation_ = 0;
  std::unique_ptr<process_supervisor> supervisor_;
  std::optional<workspaces> workspaces_;  // the worker's
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::multimap<std::chrono::steady_clock::time_point, std::function<void()>> later_;
  std::optional<runtime::steady_time> busy_since_;
  bool stopping_ = false;
  std::optional<error> trouble_;
  AttemptEnd end_of_strangers_ = AttemptEnd::LOST;  // granted by another life
  std::size_t reported_ = 0;                        // of the recovered attempts
  unsigned put_aside_ = 0;                          // of these
  // The worker's own:
  start_queue<attempt_message> starts_;
  std::set<std::string> refused_;  // tokens that hold a slot and will be tried again
  std::thread worker_;
};

pipeline_host::pipeline_host(std::unique_ptr<impl> body) : impl_(std::move(body)) {}
pipeline_host::~pipeline_host() = default;

result<std::unique_ptr<pipeline_host>> pipeline_host::open(pipeline_host_options options,
                                                           runtime::silo& home) {
  auto body = std::make_unique<impl>(std::move(options), home);
  if (auto opened = body->open(); !opened) {
    return std::move(opened).error();
  }
  return std::unique_ptr<pipeline_host>(new pipeline_host{std::move(body)});
}

result<void> pipeline_host::join() {
  return impl_->join();
}
void pipeline_host::stop() {
  impl_->stop();
}
std::string pipeline_host::token_of(std::string_view run, std::string_view task_instance,
                                    std::uint32_t attempt) {
  return attempt_token(run, task_instance, attempt);
}
attempt_logs pipeline_host::logs_of(std::string_view run, std::string_view task_instance,
                                    std::uint32_t attempt) const {
  return impl_->logs_of(run, task_instance, attempt);
}
fs::path pipeline_host::workspace_of(std::string_view run) const {
  return impl_->workspace_of(run);
}
process_supervisor& pipeline_host::processes() {
  return impl_->processes();
}
runtime::duration pipeline_host::busy() const {
  return impl_->busy();
}
std::optional<error> pipeline_host::trouble() const {
  return impl_->trouble();
}

}  // namespace millrace::actors
