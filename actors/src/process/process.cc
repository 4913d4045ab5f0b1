// SPDX-License-Identifier: MIT
// The callers' side: how an attempt is checked, started and found.
#include "millrace/actors/process.h"

#include <sys/epoll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "process/failure.h"
#include "process/supervisor.h"

namespace millrace::actors {

using process_detail::file_failure;
using process_detail::open_file;
using process_detail::slot_state;
using process_detail::unique_fd;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

bool is_token(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !text.empty() && text.size() <= attempt_token_bytes_max && text.front() != '.' &&
         std::all_of(text.begin(), text.end(), allowed);
}

bool has_nul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

result<void> validate(const process_spec& spec) {
  const auto refuse = [](std::string text) {
    return error{errc::invalid_argument, std::move(text)};
  };
  if (!is_token(spec.token)) {
    return refuse(
        "an attempt token is 1 to 128 of A-Z a-z 0-9 . _ - and does not begin with a dot");
  }
  if (spec.argv.empty() || spec.argv.front().empty()) {
    return refuse("attempt " + spec.token + " has no command");
  }
  if (spec.working_directory.empty() || spec.log_directory.empty()) {
    return refuse("attempt " + spec.token + " needs a working directory and a log directory");
  }
  if (std::any_of(spec.argv.begin(), spec.argv.end(), has_nul) ||
      std::any_of(spec.environment.begin(), spec.environment.end(), has_nul) ||
      has_nul(spec.working_directory.native()) || has_nul(spec.log_directory.native())) {
    return refuse("attempt " + spec.token + " has a NUL byte in its command, environment or paths");
  }
  for (const auto& each : spec.environment) {
    if (each.find('=') == std::string::npos || each.front() == '=') {
      return refuse("an environment entry is KEY=value, not " + each);
    }
  }
  if (spec.timeout && *spec.timeout <= runtime::duration::zero()) {
    return refuse("attempt " + spec.token + " has a timeout that is not positive");
  }
  return {};
}

result<unique_fd> open_log(const std::filesystem::path& file) {
  constexpr int flags = O_RDWR | O_CREAT | O_APPEND;
  constexpr mode_t mode = 0640;
  auto opened = open_file(file.c_str(), flags, mode);
  if (!opened && errno == ENOENT) {
    std::error_code ignored;  // the second attempt to open tells
    std::filesystem::create_directories(file.parent_path(), ignored);
    opened = open_file(file.c_str(), flags, mode);
  }
  if (opened) {
    return opened;
  }
  auto failed = file_failure("cannot open log file " + file.string(), errno);
  if (failed.code() == errc::not_found) {  // which is kept for the command and its directory
    return error{errc::storage_failed, failed.text()};
  }
  return failed;
}

}  // namespace

std::vector<std::string> shell_command(std::string text) {
  return {"/bin/sh", "-c", std::move(text)};
}

std::filesystem::path stdout_file(const process_spec& spec) {
  return spec.log_directory / (spec.token + ".stdout");
}

std::filesystem::path stderr_file(const process_spec& spec) {
  return spec.log_directory / (spec.token + ".stderr");
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
  }
  return "unknown";
}

process_supervisor::impl::impl(process_options options, const runtime::clock& clock,
                               process_detail::attempt_table table)
    : options_(std::move(options)), clock_(clock), table_(std::move(table)) {
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
  slot.state = slot_state::running;
  return index;
}

void process_supervisor::impl::release(std::uint32_t index) {
  const std::lock_guard lock{mutex_};
  auto& slot = table_.at(index);
  tokens_.erase(std::string{slot.name()});
  slot.state = slot_state::free;
  free_.push_back(index);
}

result<void> process_supervisor::impl::launch(attempt& starting) {
  auto output = open_log(stdout_file(starting.spec));
  if (!output) {
    return std::move(output).error();
  }
  auto errors = open_log(stderr_file(starting.spec));
  if (!errors) {
    return std::move(errors).error();
  }
  starting.output = std::move(output).value();
  starting.error = std::move(errors).value();
  starting.started_at = clock_.wall();
  starting.started = clock_.steady();
  auto child = process_detail::spawn(starting.spec,
                                     {no_input_.get(), starting.output.get(), starting.error.get()},
                                     table_.at(starting.index));
  if (!child) {
    return std::move(child).error();
  }
  rusage own{};
  ::getrusage(RUSAGE_SELF, &own);
  starting.own_peak_rss_kib = static_cast<std::uint64_t>(own.ru_maxrss);
  starting.group = child->pid;
  starting.pidfd = std::move(child->pidfd);
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
  writers_[stdout_file(entered.spec).string()] = entered.index;
  writers_[stderr_file(entered.spec).string()] = entered.index;
  ++started_;
  bool must_wake = !wakes_at_;  // it sleeps without an end, and now there are logs to measure
  if (entered.spec.timeout) {
    entered.deadline = entered.started + *entered.spec.timeout;
    deadlines_.emplace(*entered.deadline, entered.index);
    must_wake = must_wake || *entered.deadline < *wakes_at_;
  }
  if (stopping_) {
    cancellations_.push_back({entered.index, entered.spec.token});
    must_wake = true;
  }
  listen(entered.pidfd.get(), entered.index);
  if (must_wake) {
    wake();
  }
}

void process_supervisor::impl::wake() {
  const std::uint64_t one = 1;
  static_cast<void>(::write(wake_.get(), &one, sizeof one) == sizeof one);
}

result<void> process_supervisor::impl::cancel(std::string_view token) {
  const std::string name{token};
  const std::lock_guard lock{mutex_};
  const auto found = tokens_.find(name);
  if (found == tokens_.end()) {
    return error{errc::not_found, "no attempt " + name};
  }
  if (!attempts_[found->second]) {
    return error{errc::failed_precondition, "attempt " + name + " does not run"};
  }
  cancellations_.push_back({found->second, name});
  wake();
  return {};
}

result<void> process_supervisor::impl::acknowledge(std::string_view token) {
  const std::string name{token};
  const std::lock_guard lock{mutex_};
  const auto found = tokens_.find(name);
  if (found == tokens_.end()) {
    return error{errc::not_found, "no attempt " + name};
  }
  auto& slot = table_.at(found->second);
  if (slot.state == slot_state::running) {
    return error{errc::failed_precondition, "attempt " + name + " runs"};
  }
  slot.state = slot_state::free;
  free_.push_back(found->second);
  tokens_.erase(found);
  return {};
}

result<void> process_supervisor::impl::watch_log(std::filesystem::path file, std::uint64_t offset,
                                                 log_callback on_event) {
  const std::lock_guard lock{mutex_};
  if (stopping_) {
    return error{errc::unavailable, "the process supervisor is stopping"};
  }
  log_requests_.push_back({file.string(), offset, std::move(on_event)});
  wake();
  return {};
}

process_stats process_supervisor::impl::stats() const {
  const std::lock_guard lock{mutex_};
  const auto known = static_cast<std::uint32_t>(tokens_.size());
  return {active_, known - std::min(known, active_), started_, refused_, guard_pid_};
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
        cancellations_.push_back({each->index, each->spec.token});
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
      static_cast<std::uint64_t>(clock.wall().time_since_epoch().count()));
  if (!table) {
    return std::move(table).error();
  }
  auto body = std::make_unique<impl>(std::move(options), clock, std::move(table).value());
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
  return impl_->cancel(token);
}

result<void> process_supervisor::acknowledge(std::string_view token) {
  return impl_->acknowledge(token);
}

result<void> process_supervisor::watch_log(std::filesystem::path file, std::uint64_t offset,
                                           log_callback on_event) {
  return impl_->watch_log(std::move(file), offset, std::move(on_event));
}

process_stats process_supervisor::stats() const {
  return impl_->stats();
}

void process_supervisor::stop() {
  impl_->stop();
}

}  // namespace millrace::actors
