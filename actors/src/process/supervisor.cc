// SPDX-License-Identifier: MIT
// The thread's side: what happens to a running attempt.
#include "process/supervisor.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "millrace/actors/process_outputs.h"
#include "process/failure.h"

namespace millrace::actors {

using process_detail::slot_state;
using process_detail::unique_fd;
using runtime::duration;
using runtime::steady_time;

namespace {

// How long what got SIGKILL may take to be gone, unless it waits for a device.
constexpr auto sweep_max = std::chrono::seconds{10};

// What epoll tells of: a slot index, a `pipe_tag`, or one of these.
constexpr std::uint64_t tag_wake = ~std::uint64_t{0};
constexpr std::uint64_t tag_guard = tag_wake - 1;
constexpr std::uint64_t tag_logs = tag_wake - 2;

duration to_duration(const timeval& time) {
  return std::chrono::seconds{time.tv_sec} + std::chrono::microseconds{time.tv_usec};
}

// What has let go of its attempt may still write to its files.
process_detail::attempt_store::reuse reuse_of(const process_spec& spec) {
  using reuse = process_detail::attempt_store::reuse;
  return spec.detach == detach_policy::allowed ? reuse::no : reuse::yes;
}

}  // namespace

// The tail begins with the first byte that can begin a character.
process_stream process_detail::ended_stream(const log_file& log, std::size_t tail_max) {
  process_stream stream;
  stream.bytes = log.size();
  stream.dropped = log.dropped();
  const auto tail = log.tail_bytes(tail_max);
  if (!tail) {
    return stream;
  }
  constexpr std::size_t continuations_max = 3;
  std::size_t skip = 0;
  while (tail->offset > 0 && skip < std::min(tail->bytes.size(), continuations_max) &&
         (static_cast<unsigned char>(tail->bytes[skip]) & 0xc0U) == 0x80U) {
    ++skip;
  }
  stream.tail = to_utf8(std::string_view{tail->bytes}.substr(skip));
  return stream;
}

void process_supervisor::impl::listen(int fd, std::uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  MILLRACE_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
}

// Closing alone is not enough: a child between clone and exec holds a copy of every descriptor, and
// while it does epoll goes on telling of the old process under a tag that may have a new owner.
void process_supervisor::impl::forget(const unique_fd& fd) {
  if (fd) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
  }
}

runtime::result<void> process_supervisor::impl::run() {
  epoll_ = unique_fd{::epoll_create1(EPOLL_CLOEXEC)};
  wake_ = unique_fd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  no_input_ = process_detail::open_file("/dev/null", O_RDONLY);
  if (!epoll_ || !wake_ || !no_input_) {
    return process_detail::file_failure("cannot set up the process supervisor", errno);
  }
  auto guard = process_detail::guard::start(table_);
  if (!guard) {
    return std::move(guard).error();
  }
  guard_.emplace(std::move(guard).value());
  // After the fork: the guard must not become the parent of anything.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const auto own = std::to_string(::getpid());
  children_ =
      process_detail::open_file(("/proc/" + own + "/task/" + own + "/children").c_str(), O_RDONLY);
  guard_pid_ = guard_->pid();
  listen(wake_.get(), tag_wake);
  listen(guard_->pidfd(), tag_guard);
  if (logs_.fd() >= 0) {
    listen(logs_.fd(), tag_logs);
  }
  // Signals of the host are for the host's threads.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::jthread{[this] { loop(); }};
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return {};
}

void process_supervisor::impl::loop() {
  ::pthread_setname_np(::pthread_self(), "process");
  std::array<epoll_event, 64> events;
  for (;;) {
    const auto timeout_ms = wait_ms();
    const auto count =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
    {
      const std::lock_guard lock{mutex_};
      busy_since_ = clock_.steady();
    }
    for (int index = 0; index < count; ++index) {
      handle_event(events[static_cast<std::size_t>(index)].data.u64);
    }
    handle_requests();
    handle_deadlines();
    measure();
    const std::lock_guard lock{mutex_};
    if (stopping_ && active_ == 0 && log_requests_.empty()) {
      break;
    }
  }
  logs_.end_all();
}

int process_supervisor::impl::wait_ms() {
  const std::lock_guard lock{mutex_};
  busy_since_.reset();
  log_waiting_ = logs_.waiting();
  if (!cancellations_.empty() || !log_requests_.empty() || !forgotten_waiters_.empty() ||
      (stopping_ && active_ == 0)) {
    return 0;
  }
  wakes_at_.reset();
  if (!deadlines_.empty()) {
    wakes_at_ = deadlines_.begin()->first;
  }
  if (active_ > 0) {
    wakes_at_ = std::min(wakes_at_.value_or(next_measure_), next_measure_);
  }
  if (!wakes_at_) {
    return -1;
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*wakes_at_ - clock_.steady());
  constexpr std::int64_t longest_ms = 3'600'000;
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, longest_ms));
}

void process_supervisor::impl::handle_event(std::uint64_t tag) {
  if (tag == tag_wake) {
    std::uint64_t count = 0;
    static_cast<void>(::read(wake_.get(), &count, sizeof count) == 0);
  } else if (tag == tag_guard) {
    handle_guard_death();
  } else if (tag == tag_logs) {
    logs_.handle_readable();
  } else if (auto* named = find(static_cast<std::uint32_t>(tag)); named == nullptr) {
    return;  // it ended in this round
  } else if (const auto pipe = tag >> pipe_shift; pipe > 0) {
    handle_pipe(*named, pipe - 1);
  } else {
    handle_exit(*named);
  }
}

void process_supervisor::impl::handle_pipe(attempt& writer, std::size_t pipe) {
  if (!writer.pipes) {
    return;  // of one that had the slot before
  }
  using flow = process_detail::masked_pipes::flow;
  switch (writer.pipes->pass_on(pipe)) {
    case flow::goes_on:
      break;
    case flow::ended:
      forget(writer.pipes->reading_end(pipe));
      break;
    case flow::disk_full:
      terminate(writer, process_outcome::disk_full);
      break;
  }
}

// A guard that somebody killed is not replaced: a fork of what we are now may be expensive, and the
// attempt table still fences at the next start. `stats` tells.
void process_supervisor::impl::handle_guard_death() {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, guard_->pidfd(), nullptr);
  guard_.reset();
  const std::lock_guard lock{mutex_};
  guard_pid_ = 0;
}

void process_supervisor::impl::handle_requests() {
  std::vector<cancellation> cancellations;
  std::vector<log_request> log_requests;
  std::vector<log_waiter_id> forgotten;
  {
    const std::lock_guard lock{mutex_};
    cancellations.swap(cancellations_);
    log_requests.swap(log_requests_);
    forgotten.swap(forgotten_waiters_);
  }
  for (const auto& each : cancellations) {
    auto* target = find(each.index);
    if (target == nullptr || target->spec.token != each.token) {
      continue;
    }
    if (each.how == urgency::over_limit) {
      end_over_limit(*target);
      continue;
    }
    terminate(*target, process_outcome::cancelled);
    if (each.how == urgency::none) {
      end_grace(*target);
    }
  }
  for (auto& each : log_requests) {
    add_waiter(std::move(each));
  }
  for (const auto each : forgotten) {
    logs_.forget(each);
  }
}

void process_supervisor::impl::add_waiter(log_request request) {
  const attempt* writer = nullptr;
  {
    const std::lock_guard lock{mutex_};
    const auto found = tokens_.find(request.token);
    writer = found != tokens_.end() ? attempts_[found->second].get() : nullptr;
  }
  if (writer == nullptr) {
    request.on_event(log_event::ended);
    return;
  }
  logs_.add(writer->files.stream(request.stream), request.id, request.offset,
            std::move(request.on_event));
}

void process_supervisor::impl::handle_deadlines() {
  for (;;) {
    attempt* due = nullptr;
    {
      const std::lock_guard lock{mutex_};
      if (deadlines_.empty() || deadlines_.begin()->first > clock_.steady()) {
        return;
      }
      due = attempts_[deadlines_.begin()->second].get();
    }
    set_deadline(*due, std::nullopt);
    switch (due->now) {
      case phase::running:
        look_after(*due);
        break;
      case phase::terminating:
      case phase::draining:
        end_grace(*due);
        break;
      case phase::sweeping:
        warn("processes of an attempt survive SIGKILL attempt=" + due->spec.token);
        finish(*due);
        break;
      case phase::killed:
        break;
    }
  }
}

void process_supervisor::impl::terminate(attempt& target, process_outcome why) {
  const auto now = clock_.steady();
  const auto stopping = [this] {
    const std::lock_guard lock{mutex_};
    return stopping_;
  }();
  if (target.now != phase::running) {
    if (stopping && target.deadline) {
      set_deadline(target, std::min(*target.deadline, now + options_.stop_grace_max));
    }
    return;
  }
  target.ended_by_us = why;
  const auto grace =
      stopping ? std::min(target.spec.grace, options_.stop_grace_max) : target.spec.grace;
  if (grace <= duration::zero()) {
    kill_group(target);
    return;
  }
  target.now = phase::terminating;
  for (const auto signal : {SIGTERM, SIGCONT}) {  // a stopped process handles nothing
    ::kill(-target.group, signal);
    process_detail::signal_strays(table_.at(target.index).identity(), signal);
  }
  set_deadline(target, runtime::time_after(now, grace));
}

// What was told to end has had its time.
void process_supervisor::impl::end_grace(attempt& target) {
  if (target.now == phase::terminating) {
    target.forced = true;
    kill_group(target);
  } else if (target.now == phase::draining) {
    target.forced = true;
    sweep(target);
  }
}

void process_supervisor::impl::kill_group(attempt& target) {
  target.now = phase::killed;
  set_deadline(target, std::nullopt);
  ::kill(-target.group, SIGKILL);
}

void process_supervisor::impl::handle_exit(attempt& ended) {
  switch (ended.now) {
    case phase::running:
    case phase::killed:
      sweep(ended);
      break;
    case phase::terminating:
      ended.now = phase::draining;
      forget(ended.pidfd);
      drain(ended);
      break;
    case phase::draining:
      drain(ended);
      break;
    case phase::sweeping:
      sweep(ended);
      break;
  }
}

// A shell dies of SIGTERM at once, while the command it ran may still be putting things in order.
void process_supervisor::impl::drain(attempt& target) {
  forget(target.member);
  target.member = process_detail::find_living_member(table_.at(target.index).identity());
  if (target.member) {
    listen(target.member.get(), target.index);
  } else {
    sweep(target);
  }
}

// Ends what is left of the attempt beside its leader, which is a zombie, and finishes it then.
void process_supervisor::impl::sweep(attempt& target) {
  if (target.now != phase::sweeping) {
    target.now = phase::sweeping;
    ::kill(-target.group, SIGKILL);
    forget(target.pidfd);
    set_deadline(target, clock_.steady() + sweep_max);
  }
  forget(target.member);
  target.member = kill_strays(target);
  if (target.member) {
    listen(target.member.get(), target.index);
  } else {
    finish(target);
  }
}

bool process_supervisor::impl::is_stray_of(const attempt& target, pid_t pid) const {
  if (pid == target.group || pid == guard_pid_) {
    return false;
  }
  const auto marks = process_detail::marks_of(pid);
  process_detail::token_buffer buffer;
  return marks.has(target.mark) ||
         (marks.inner == 0 && process_detail::token_of_process(pid, buffer) == target.spec.token);
}

// Kills those of our children that are the attempt's and answers one that is not dead yet. The
// children of what dies become ours, so it takes another look then.
unique_fd process_supervisor::impl::kill_strays(const attempt& target) {
  unique_fd living;
  if (target.spec.detach == detach_policy::allowed) {
    return living;
  }
  for (bool was_reaped = true; was_reaped && !living;) {
    was_reaped = false;  // its children have become ours meanwhile
    for (const auto pid : adopted()) {
      if (!is_stray_of(target, pid)) {
        continue;
      }
      ::kill(pid, SIGKILL);  // a child that was not waited for keeps its number
      siginfo_t info{};
      if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG) != 0) {
        continue;
      }
      if (info.si_pid != 0) {
        was_reaped = true;
      } else if (!living) {
        living = unique_fd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
      }
    }
  }
  return living;
}

// Children by adoption that have ended while their attempt goes on, or was let go of.
void process_supervisor::impl::reap_adopted() {
  for (const auto pid : adopted()) {
    const auto marks = process_detail::marks_of(pid);
    const auto is_ours = [this](process_detail::process_mark mark) {
      return mark >> 32U == first_mark_ >> 32U;
    };
    if (!is_ours(marks.inner) && !is_ours(marks.outer)) {
      continue;  // the host's own
    }
    const auto mark = is_ours(marks.inner) ? marks.inner : marks.outer;
    const auto is_leader = [&] {
      const std::lock_guard lock{mutex_};
      const auto found = marks_.find(mark);
      const auto* owner = found != marks_.end() ? attempts_[found->second].get() : nullptr;
      return found != marks_.end() && (owner == nullptr || owner->group == pid);
    };
    if (!is_leader()) {
      siginfo_t info{};
      ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG);
    }
  }
}

// Our children as the kernel lists them: those of the main thread, to whom orphans are given.
std::vector<pid_t> process_supervisor::impl::adopted() const {
  std::vector<pid_t> pids;
  std::array<char, 4096> text;
  pid_t pid = 0;
  off_t offset = 0;
  for (;;) {
    const auto got = ::pread(children_.get(), text.data(), text.size(), offset);
    if (got <= 0) {
      return pids;
    }
    offset += got;
    for (const auto each : std::string_view{text.data(), static_cast<std::size_t>(got)}) {
      if (each != ' ') {
        pid = pid * 10 + (each - '0');
      } else if (pid != 0) {
        pids.push_back(std::exchange(pid, 0));
      }
    }
  }
}

// What is left in the pipes, before the files are looked at.
runtime::result<void> process_supervisor::impl::finish_pipes(attempt& target) {
  if (!target.pipes) {
    return {};
  }
  for (std::size_t at = 0; at < process_detail::masked_pipes::count; ++at) {
    forget(target.pipes->reading_end(at));
  }
  return target.pipes->finish();
}

process_exit process_supervisor::impl::reap(attempt& target) {
  const auto piped = finish_pipes(target);
  siginfo_t info{};
  rusage usage{};
  while (::syscall(SYS_waitid, P_PIDFD, target.pidfd.get(), &info, WEXITED, &usage) != 0 &&
         errno == EINTR) {
  }
  process_exit report;
  report.token = target.spec.token;
  report.started_at = target.started_at;
  report.ended_at = clock_.wall();
  report.elapsed = clock_.steady() - target.started;
  report.user_time = to_duration(usage.ru_utime);
  report.system_time = to_duration(usage.ru_stime);
  const auto peak_kib = static_cast<std::uint64_t>(usage.ru_maxrss);
  const auto of_one = peak_kib > target.own_peak_rss_kib ? peak_kib << 10U : 0;
  if (const auto peak = std::max(of_one, memory_.remove(target.spec.token)); peak > 0) {
    report.max_memory = peak;
  }
  if (info.si_code == CLD_EXITED) {
    report.exit_code = info.si_status;
  } else {
    report.signal = info.si_status;
  }
  const auto by_itself = report.signal ? process_outcome::signalled : process_outcome::exited;
  const bool is_cut = !piped && piped.error().code() == runtime::errc::out_of_space;
  report.outcome = target.ended_by_us.value_or(is_cut ? process_outcome::disk_full : by_itself);
  if (report.outcome == process_outcome::memory_limit && report.signal != SIGKILL) {
    report.outcome = by_itself;  // before our signal
  }
  report.forced = target.forced;
  for (const auto which : process_detail::both_streams) {
    static_cast<void>(drop_middle(target, which));
  }
  report.standard_output = stream_of(target, output_stream::standard_output);
  report.standard_error = stream_of(target, output_stream::standard_error);
  if (report.outcome == process_outcome::exited) {
    report.output =
        piped ? process_detail::attempt_store::read_output(target.files, large_output_bytes_max)
              : runtime::result<std::string>{piped.error()};
  }
  return report;
}

process_stream process_supervisor::impl::stream_of(const attempt& target,
                                                   output_stream which) const {
  const log_file log{unique_fd{::fcntl(target.files.stream(which), F_DUPFD_CLOEXEC, 3)}};
  return process_detail::ended_stream(log, options_.tail_bytes_max);
}

void process_supervisor::impl::finish(attempt& target) {
  auto& slot = table_.at(target.index);
  slot.group = 0;  // from the reaping on the number may be somebody else's
  auto report = reap(target);
  slot.outcome = report.outcome;
  slot.exit_code = report.exit_code.value_or(-1);
  slot.signal = report.signal.value_or(0);
  set_deadline(target, std::nullopt);
  forget(target.pidfd);
  forget(target.member);
  for (const auto which : process_detail::both_streams) {
    logs_.end(target.files.stream(which));
  }
  store_->keep_logs(target.files, target.spec.token);
  std::unique_ptr<attempt> ended;
  int unsaved = 0;
  {
    const std::lock_guard lock{mutex_};
    slot.state = slot_state::ended;
    marks_.erase(target.mark);
    ended = std::move(attempts_[target.index]);
    unsaved = table_.save(ended->index);
  }
  tell_unsaved(unsaved);
  // What has outputs is kept until they are stored elsewhere.
  if (report.output && report.output->empty()) {
    store_->give_back(std::move(ended->files), ended->spec.token, reuse_of(ended->spec));
  }
  const auto on_exit = std::move(ended->on_exit);
  ended.reset();
  on_exit(std::move(report));
  const std::lock_guard lock{mutex_};
  --active_;
}

void process_supervisor::impl::set_deadline(attempt& target, std::optional<steady_time> at) {
  const std::lock_guard lock{mutex_};
  if (target.deadline) {
    deadlines_.erase({*target.deadline, target.index});
  }
  target.deadline = at;
  if (at) {
    deadlines_.emplace(*at, target.index);
  }
}

void process_supervisor::impl::warn(const std::string& line) const {
  if (options_.warn) {
    options_.warn(line);
  }
}

process_supervisor::impl::attempt* process_supervisor::impl::find(std::uint32_t index) {
  const std::lock_guard lock{mutex_};
  return attempts_[index].get();
}

}  // namespace millrace::actors
