// SPDX-License-Identifier: MIT
// The callers' side: how an attempt is checked, started and found.
#include "millrace/actors/process.h"

#include <sys/epoll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "millrace/actors/process_outputs.h"
#include "process/failure.h"
#include "process/supervisor.h"

namespace millrace::actors {

using process_detail::attempt_store;
using process_detail::slot_state;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

bool has_nul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

result<void> validate(const process_spec& spec) {
  const auto refuse = [](std::string text) {
    return error{errc::invalid_argument, std::move(text)};
  };
  if (!is_attempt_token(spec.token)) {
    return refuse(
        "an attempt token is 1 to 128 of A-Z a-z 0-9 . _ - and does not begin with a dot");
  }
  if (spec.argv.empty() || spec.argv.front().empty()) {
    return refuse("attempt " + spec.token + " has no command");
  }
  if (spec.working_directory.empty()) {
    return refuse("attempt " + spec.token + " needs a working directory");
  }
  if (std::any_of(spec.argv.begin(), spec.argv.end(), has_nul) ||
      std::any_of(spec.environment.begin(), spec.environment.end(), has_nul) ||
      has_nul(spec.working_directory.native())) {
    return refuse("attempt " + spec.token + " has a NUL byte in its command, environment or paths");
  }
  for (const auto& each : spec.environment) {
    if (each.find('=') == std::string::npos || each.front() == '=') {
      return refuse("an environment entry of attempt " + spec.token + " is not KEY=value");
    }
  }
  if (!spec.secrets.empty() && spec.detach == detach_policy::allowed) {
    return refuse("attempt " + spec.token + " has secrets, so nothing of it may outlive it");
  }
  if (spec.timeout && *spec.timeout <= runtime::duration::zero()) {
    return refuse("attempt " + spec.token + " has a timeout that is not positive");
  }
  if (spec.heartbeat && *spec.heartbeat <= runtime::duration::zero()) {
    return refuse("attempt " + spec.token + " has a heartbeat that is not positive");
  }
  return {};
}

// A text that does not fit one argument goes by a file in the attempt's directory.
result<void> shorten(process_spec& spec, const process_detail::attempt_files& files,
                     const std::filesystem::path& directory) {
  auto& argv = spec.argv;
  if (argv.size() < 3 || argv.back().size() < argument_bytes_max) {
    return {};
  }
  auto& option = argv[argv.size() - 2];
  if (!option.starts_with('-') || option.starts_with("--") || !option.ends_with('c')) {
    return {};
  }
  if (auto written = attempt_store::write_file(files, attempt_store::script_name, argv.back());
      !written) {
    return written;
  }
  argv.back() = (directory / attempt_store::script_name).string();
  option.pop_back();
  if (option == "-") {
    argv.erase(argv.end() - 2);
  }
  return {};
}

void add_own_variables(process_spec& spec, const std::filesystem::path& directory) {
  if (!spec.inputs.empty()) {
    spec.environment.push_back("MILLRACE_INPUTS=" +
                               (directory / attempt_store::inputs_name).string());
  }
  if (spec.heartbeat) {
    spec.environment.push_back("MILLRACE_HEARTBEAT=" +
                               (directory / attempt_store::heartbeat_name).string());
  }
  const auto* output = spec.secrets.empty() ? "output" : process_detail::masked_pipes::output_name;
  spec.environment.push_back("MILLRACE_OUTPUT=" + (directory / output).string());
  const auto given = std::any_of(spec.environment.begin(), spec.environment.end(),
                                 [](const auto& each) { return each.starts_with("TMPDIR="); });
  if (!given) {
    spec.environment.push_back("TMPDIR=" + (directory / "tmp").string());
  }
}

}  // namespace

bool is_attempt_token(std::string_view text) noexcept {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !text.empty() && text.size() <= attempt_token_bytes_max && text.front() != '.' &&
         std::all_of(text.begin(), text.end(), allowed);
}

std::vector<std::string> shell_command(std::string text, std::vector<std::string> shell) {
  if (shell.empty()) {
    shell = {"/bin/sh", "-e", "-c"};
  }
  shell.push_back(std::move(text));
  return shell;
}

std::string_view to_string(process_outcome outcome) noexcept {
  switch (outcome) {
    case process_outcome::exited:
      return "exited";
    case process_outcome::signalled:
      return "signalled";
    case process_outcome::timed_out:
      return "timed_out";
    case process_outcome::cancelled:
      return "cancelled";
    case process_outcome::log_limit:
      return "log_limit";
    case process_outcome::disk_full:
      return "disk_full";
    case process_outcome::no_heartbeat:
      return "no_heartbeat";
    case process_outcome::memory_limit:
      return "memory_limit";
  }
  return "unknown";
}

process_supervisor::impl::impl(process_options options, const runtime::clock& clock,
                               process_detail::attempt_table table,
                               std::unique_ptr<attempt_store> store)
    : options_(std::move(options)),
      clock_(clock),
      table_(std::move(table)),
      store_(std::move(store)),
      first_mark_(process_detail::first_mark(runtime::rng{}.next())),
      memory_(clock, [this](const std::string& token) { tell_over_limit(token); }) {
  attempts_.resize(table_.size());
  const auto carried = static_cast<std::uint32_t>(table_.recovered().size());
  for (std::uint32_t index = table_.size(); index > 0; --index) {
    if (index > carried) {
      free_.push_back(index - 1);  // the lowest on top: few pages of the table are touched
    } else {
      tokens_[table_.recovered()[index - 1].token] = index - 1;
    }
  }
}

process_supervisor::impl::~impl() {
  stop();
}

// What the attempts of an earlier life wrote, as far as it is still what was made for them.
void process_supervisor::impl::recover_files() {
  std::vector<std::string> known;
  std::uint32_t index = 0;
  for (auto& each : table_.recovered()) {
    known.push_back(each.token);
    const auto files = store_->reopen(each.token, table_.at(index++).files);
    store_->keep_logs(files, each.token);
    if (each.found == recovered_attempt::state::ended && each.outcome == process_outcome::exited &&
        files.directory) {
      each.output = attempt_store::read_output(files, output_bytes_max);
    }
    const auto tail_of = [&](output_stream which) {
      const auto log = store_->open_log(each.token, which);
      return log ? process_detail::ended_stream(*log, options_.tail_bytes_max) : process_stream{};
    };
    each.standard_output = tail_of(output_stream::standard_output);
    each.standard_error = tail_of(output_stream::standard_error);
  }
  // Of a table that is gone or damaged.
  if (const auto unknown = store_->unknown(known); !unknown.empty()) {
    const auto fenced = process_detail::fence_attempts(store_->path_of({}).string(), unknown,
                                                       process_detail::fence_timeout_ms);
    if (fenced == process_detail::fence_outcome::survived) {
      warn("processes of attempts that the table does not know survive SIGKILL");
    }
  }
  store_->tidy(known);
}

result<std::uint32_t> process_supervisor::impl::claim(const std::string& token) {
  const std::lock_guard lock{mutex_};
  if (stopping_) {
    return error{errc::unavailable, "the process supervisor is stopping"};
  }
  if (tokens_.contains(token)) {
    return error{errc::conflict, "attempt " + token + " exists already"};
  }
  if (free_.empty()) {
    return error{errc::overloaded, "no room for another attempt: " + std::to_string(table_.size()) +
                                       " run or wait to be acknowledged"};
  }
  const auto index = free_.back();
  free_.pop_back();
  tokens_[token] = index;
  ++active_;
  auto& slot = table_.at(index);
  slot.group = 0;
  std::memset(slot.token, 0, sizeof slot.token);
  token.copy(slot.token, sizeof slot.token);
  const auto mark = first_mark_ + ++marks_given_;
  marks_[mark] = index;
  slot.mark = mark;
  slot.state = slot_state::running;
  return index;
}

void process_supervisor::impl::release(std::uint32_t index) {
  int failed = 0;
  {
    const std::lock_guard lock{mutex_};
    auto& slot = table_.at(index);
    tokens_.erase(std::string{slot.name()});
    std::erase_if(marks_, [index](const auto& each) { return each.second == index; });
    slot.state = slot_state::free;
    failed = table_.save(index);
    free_.push_back(index);
  }
  tell_unsaved(failed);
}

// Once is enough: the file stays as it is.
void process_supervisor::impl::tell_unsaved(int failed) {
  if (failed != 0 && !was_unsaved_.exchange(true)) {
    warn(
        "the attempt table cannot be written, so that the next start may take for lost what has "
        "ended error=" +
        process_detail::describe_errno(failed));
  }
}

result<void> process_supervisor::impl::launch(attempt& starting) {
  auto files = store_->take(starting.spec.token);
  if (!files) {
    return std::move(files).error();
  }
  starting.files = *std::move(files);
  auto& slot = table_.at(starting.index);
  slot.files = attempt_store::marks(starting.files);
  starting.mark = slot.mark;
  if (starting.spec.detach == detach_policy::allowed) {
    slot.mark = 0;  // neither the guard nor the next life looks for what has left
  }
  const auto directory = store_->path_of(starting.spec.token);
  add_own_variables(starting.spec, directory);
  auto fits = shorten(starting.spec, starting.files, directory);
  if (fits && !starting.spec.inputs.empty()) {
    fits =
        attempt_store::write_file(starting.files, attempt_store::inputs_name, starting.spec.inputs);
  }
  if (fits && starting.spec.heartbeat) {
    fits = attempt_store::write_file(starting.files, attempt_store::heartbeat_name, {});
    starting.last_beat = attempt_store::last_beat(starting.files);
  }
  if (fits) {
    fits = process_detail::check_size(starting.spec);  // before masks of it are made
  }
  if (!fits) {
    store_->give_back(std::move(starting.files), starting.spec.token, attempt_store::reuse::yes);
    return fits;
  }
  starting.started_at = clock_.wall();
  starting.started = clock_.steady();
  auto piped = open_pipes(starting);
  const auto stream = [&](output_stream which) {
    return starting.pipes ? starting.pipes->writing_end(which) : starting.files.stream(which);
  };
  auto child = piped
                   ? process_detail::spawn(starting.spec,
                                           {no_input_.get(), stream(output_stream::standard_output),
                                            stream(output_stream::standard_error)},
                                           starting.mark, table_, starting.index)
                   : result<process_detail::spawned>{piped.error()};
  if (!child) {
    store_->give_back(std::move(starting.files), starting.spec.token, attempt_store::reuse::yes);
    return std::move(child).error();
  }
  rusage own{};
  ::getrusage(RUSAGE_SELF, &own);
  starting.own_peak_rss_kib = static_cast<std::uint64_t>(own.ru_maxrss);
  starting.group = child->pid;
  starting.pidfd = std::move(child->pidfd);
  if (starting.pipes) {
    starting.pipes->close_writing_ends();
  }
  return {};
}

result<void> process_supervisor::impl::open_pipes(attempt& starting) {
  if (starting.spec.secrets.empty()) {
    return {};
  }
  auto opened = process_detail::masked_pipes::open(starting.files, starting.spec.secrets);
  if (!opened) {
    return std::move(opened).error();
  }
  starting.pipes = *std::move(opened);
  return {};
}

result<void> process_supervisor::impl::start(process_spec spec, exit_callback on_exit) {
  auto starting = std::make_unique<attempt>();
  auto done = validate(spec);
  if (done) {
    const auto index = claim(spec.token);
    if (!index) {
      done = index.error();
    } else {
      starting->index = *index;
      starting->spec = std::move(spec);
      starting->on_exit = std::move(on_exit);
      done = launch(*starting);
      if (!done) {
        release(*index);
        {
          const std::lock_guard lock{mutex_};
          --active_;
        }
        wake();
      }
    }
  }
  if (!done) {
    const std::lock_guard lock{mutex_};
    ++refused_;
    return done;
  }
  enter(std::move(starting));
  return {};
}

// From here on the attempt is the thread's. The mutex is held until epoll knows the process, so
// that neither an early exit nor `stop` meets it half entered.
void process_supervisor::impl::enter(std::unique_ptr<attempt> started) {
  const std::lock_guard lock{mutex_};
  auto& entered = *started;
  attempts_[entered.index] = std::move(started);
  ++started_;
  bool must_wake = !wakes_at_;  // it sleeps without an end, and now there are logs to measure
  if (entered.spec.heartbeat) {
    entered.looked_at = entered.started;
    entered.next_beat = beat_due(entered.started, *entered.spec.heartbeat);
  }
  if (entered.spec.memory_limit > 0) {
    memory_.add(entered.spec.token, {.group = entered.group,
                                     .mark = table_.at(entered.index).mark,
                                     .limit = entered.spec.memory_limit});
  }
  entered.deadline = next_look(entered);
  if (entered.deadline) {
    deadlines_.emplace(*entered.deadline, entered.index);
    must_wake = must_wake || *entered.deadline < *wakes_at_;
  }
  if (stopping_) {
    cancellations_.push_back({entered.index, entered.spec.token, urgency::grace});
    must_wake = true;
  }
  listen(entered.pidfd.get(), entered.index);
  for (std::size_t at = 0; entered.pipes && at < process_detail::masked_pipes::count; ++at) {
    listen(entered.pipes->reading_end(at).get(), pipe_tag(entered.index, at));
  }
  if (must_wake) {
    wake();
  }
}

void process_supervisor::impl::wake() {
  const std::uint64_t one = 1;
  static_cast<void>(::write(wake_.get(), &one, sizeof one) == sizeof one);
}

result<void> process_supervisor::impl::cancel(std::string_view token, urgency how) {
  const std::string name{token};
  const std::lock_guard lock{mutex_};
  const auto found = tokens_.find(name);
  if (found == tokens_.end()) {
    return error{errc::not_found, "no attempt " + name};
  }
  if (!attempts_[found->second]) {
    return error{errc::failed_precondition, "attempt " + name + " does not run"};
  }
  cancellations_.push_back({found->second, name, how});
  wake();
  return {};
}

result<void> process_supervisor::impl::acknowledge(std::string_view token) {
  const std::string name{token};
  std::unique_lock lock{mutex_};
  const auto found = tokens_.find(name);
  if (found == tokens_.end()) {
    return error{errc::not_found, "no attempt " + name};
  }
  auto& slot = table_.at(found->second);
  if (slot.state == slot_state::running) {
    return error{errc::failed_precondition, "attempt " + name + " runs"};
  }
  // Of what was let go, the mark is gone from the slot.
  store_->discard(name, slot.mark == 0 ? attempt_store::reuse::no : attempt_store::reuse::yes);
  slot.state = slot_state::free;
  const auto failed = table_.save(found->second);
  free_.push_back(found->second);
  tokens_.erase(found);
  lock.unlock();
  tell_unsaved(failed);
  return {};
}

result<log_file> process_supervisor::impl::open_log(std::string_view token,
                                                    output_stream stream) const {
  {
    const std::lock_guard lock{mutex_};
    const auto found = tokens_.find(std::string{token});
    const auto* running = found != tokens_.end() ? attempts_[found->second].get() : nullptr;
    if (running != nullptr) {
      runtime::unique_fd same{::fcntl(running->files.stream(stream), F_DUPFD_CLOEXEC, 3)};
      if (!same) {
        return process_detail::file_failure("cannot open a log", errno);
      }
      const auto& times = running->files.times[static_cast<std::size_t>(stream)];
      return log_file{std::move(same),
                      times ? runtime::unique_fd{::fcntl(times.get(), F_DUPFD_CLOEXEC, 3)}
                            : runtime::unique_fd{}};
    }
  }
  return store_->open_log(token, stream);
}

result<log_waiter_id> process_supervisor::impl::watch_log(std::string_view token,
                                                          output_stream stream,
                                                          std::uint64_t offset,
                                                          log_callback on_event) {
  const std::lock_guard lock{mutex_};
  if (stopping_) {
    return error{errc::unavailable, "the process supervisor is stopping"};
  }
  const log_waiter_id id{++log_waiters_};
  log_requests_.push_back({id, std::string{token}, stream, offset, std::move(on_event)});
  wake();
  return id;
}

void process_supervisor::impl::forget_waiter(log_waiter_id waiter) {
  const std::lock_guard lock{mutex_};
  forgotten_waiters_.push_back(waiter);
  wake();
}

process_stats process_supervisor::impl::stats() const {
  const std::lock_guard lock{mutex_};
  const auto known = static_cast<std::uint32_t>(tokens_.size());
  return {active_,
          known - std::min(known, active_),
          started_,
          refused_,
          guard_pid_,
          static_cast<std::uint32_t>(log_requests_.size()) + log_waiting_,
          busy_since_ ? clock_.steady() - *busy_since_ : runtime::duration{}};
}

void process_supervisor::impl::stop() {
  const std::lock_guard one_at_a_time{joining_};
  if (!thread_.joinable()) {
    return;
  }
  MILLRACE_ASSERT(std::this_thread::get_id() != thread_.get_id());
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    for (const auto& each : attempts_) {
      if (each) {
        cancellations_.push_back({each->index, each->spec.token, urgency::grace});
      }
    }
    wake();
  }
  thread_.join();
}

result<std::unique_ptr<process_supervisor>> process_supervisor::open(process_options options,
                                                                     const runtime::clock& clock) {
  if (options.state_directory.empty() || options.attempts_max == 0) {
    return error{errc::invalid_argument,
                 "a process supervisor needs a state directory and room for an attempt"};
  }
  auto table = process_detail::attempt_table::open(
      options.state_directory, options.attempts_max,
      static_cast<std::uint64_t>(clock.wall().time_since_epoch().count()), options.warn);
  if (!table) {
    return std::move(table).error();
  }
  const auto or_below = [&](const std::filesystem::path& chosen, const char* name) {
    return chosen.empty() ? options.state_directory / name : chosen;
  };
  auto store = attempt_store::open(or_below(options.attempt_directory, "files"),
                                   or_below(options.log_directory, "logs"), options.warn);
  if (!store) {
    return std::move(store).error();
  }
  auto body =
      std::make_unique<impl>(std::move(options), clock, *std::move(table), *std::move(store));
  body->recover_files();
  if (auto running = body->run(); !running) {
    return std::move(running).error();
  }
  return std::unique_ptr<process_supervisor>{new process_supervisor{std::move(body)}};
}

process_supervisor::process_supervisor(std::unique_ptr<impl> body) : impl_(std::move(body)) {}
process_supervisor::~process_supervisor() = default;

const std::vector<recovered_attempt>& process_supervisor::recovered() const {
  return impl_->recovered();
}

std::uint64_t process_supervisor::lineage() const {
  return impl_->lineage();
}

result<void> process_supervisor::start(process_spec spec, exit_callback on_exit) {
  return impl_->start(std::move(spec), std::move(on_exit));
}

result<void> process_supervisor::cancel(std::string_view token) {
  return impl_->cancel(token, impl::urgency::grace);
}

result<void> process_supervisor::kill(std::string_view token) {
  return impl_->cancel(token, impl::urgency::none);
}

result<void> process_supervisor::acknowledge(std::string_view token) {
  return impl_->acknowledge(token);
}

result<log_file> process_supervisor::open_log(std::string_view token, output_stream stream) const {
  return impl_->open_log(token, stream);
}

result<log_waiter_id> process_supervisor::watch_log(std::string_view token, output_stream stream,
                                                    std::uint64_t offset, log_callback on_event) {
  return impl_->watch_log(token, stream, offset, std::move(on_event));
}

void process_supervisor::forget_waiter(log_waiter_id waiter) {
  impl_->forget_waiter(waiter);
}

result<void> process_supervisor::remove(const std::filesystem::path& tree) {
  return impl_->remove(tree);
}

process_stats process_supervisor::stats() const {
  return impl_->stats();
}

void process_supervisor::stop() {
  impl_->stop();
}

}  // namespace millrace::actors
