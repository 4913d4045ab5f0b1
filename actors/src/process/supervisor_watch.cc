// SPDX-License-Identifier: MIT
// The thread's side: what is looked at of an attempt while it runs.
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>

#include "process/supervisor.h"

namespace millrace::actors {

using runtime::duration;
using runtime::steady_time;

namespace {

constexpr auto measure_interval = std::chrono::milliseconds{250};

// What the clock of files is behind the others at most: a jiffy, of a kernel with few of them.
constexpr auto file_clock_tick = std::chrono::milliseconds{10};
// That it looks for a heartbeat later than this is due to more than other work.
constexpr auto late_max = std::chrono::seconds{1};

std::uint64_t file_bytes(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

// What we may still write on the disk of the file; everything if the kernel does not tell.
std::uint64_t free_bytes(int fd) {
  struct statvfs status {};
  return ::fstatvfs(fd, &status) == 0 ? std::uint64_t{status.f_bavail} * status.f_frsize
                                      : ~std::uint64_t{0};
}

}  // namespace

steady_time process_supervisor::impl::beat_due(steady_time from, duration longest) {
  return runtime::time_after(runtime::time_after(from, longest), file_clock_tick);
}

// When it has run too long, or may have been silent for too long.
std::optional<steady_time> process_supervisor::impl::next_look(const attempt& target) {
  if (!target.spec.timeout) {
    return target.next_beat;
  }
  const auto end = runtime::time_after(target.started, *target.spec.timeout);
  return target.next_beat ? std::min(end, *target.next_beat) : end;
}

void process_supervisor::impl::look_after(attempt& target) {
  const auto now = clock_.steady();
  if (target.spec.timeout && now >= runtime::time_after(target.started, *target.spec.timeout)) {
    terminate(target, process_outcome::timed_out);
  } else if (is_silent(target, now)) {
    terminate(target, process_outcome::no_heartbeat);
  } else {
    set_deadline(target, next_look(target));
  }
}

// Only a beat that is new counts. When it was, the wall clock says where that can be true: it may
// have been set. Where we are late ourselves, the command may have been held up too: the machine
// has slept.
bool process_supervisor::impl::is_silent(attempt& target, steady_time now) const {
  if (!target.next_beat || now < *target.next_beat) {
    return false;
  }
  const auto longest = *target.spec.heartbeat;
  const auto has_slept = now - *target.next_beat > std::min<duration>(longest / 4, late_max);
  const auto beat = process_detail::attempt_store::last_beat(target.files);
  if (beat && beat != target.last_beat) {
    const auto ago = clock_.wall() - *beat;
    const auto is_possible =
        ago >= duration::zero() && ago <= now - target.looked_at + file_clock_tick;
    target.next_beat = beat_due(is_possible ? now - ago : now, longest);
  }
  if (has_slept) {
    target.next_beat = beat_due(now, longest);
  }
  target.last_beat = beat;
  target.looked_at = now;
  return *target.next_beat <= now;
}

// What the attempts write, four times a second.
void process_supervisor::impl::measure() {
  const auto now = clock_.steady();
  if (now < next_measure_) {
    return;
  }
  next_measure_ = now + measure_interval;
  reap_adopted();
  std::vector<attempt*> running;
  {
    const std::lock_guard lock{mutex_};
    for (const auto& [time, index] : tokens_) {
      if (auto* each = attempts_[index].get(); each != nullptr && each->now == phase::running) {
        running.push_back(each);
      }
    }
  }
  for (auto* each : running) {
    measure_logs(*each);
  }
}

// From the watch's thread.
void process_supervisor::impl::tell_over_limit(const std::string& token) {
  const std::lock_guard lock{mutex_};
  if (const auto found = tokens_.find(token); found != tokens_.end() && attempts_[found->second]) {
    cancellations_.push_back({found->second, token, urgency::over_limit});
    wake();
  }
}

// Also of one that is told to end: it would go on growing for as long as it may.
void process_supervisor::impl::end_over_limit(attempt& target) {
  if (target.now == phase::running) {
    target.ended_by_us = process_outcome::memory_limit;
    kill_group(target);
    process_detail::signal_strays(table_.at(target.index).identity(), SIGKILL);
  } else {
    end_grace(target);
  }
}

void process_supervisor::impl::measure_logs(attempt& target) {
  auto grows = false;
  auto bounded = true;
  for (const auto which : process_detail::both_streams) {
    grows = note_growth(target, which) || grows;
    bounded = drop_middle(target, which) && bounded;
  }
  if (!bounded) {
    terminate(target, process_outcome::log_limit);
  } else if (grows && free_bytes(target.files.directory.get()) < options_.disk_reserve_bytes) {
    terminate(target, process_outcome::disk_full);
  }
}

// Whether it has. When is noted less often the longer the attempt runs, so that there are never
// many times: 8192, and as many again each time that it has run three times as long.
bool process_supervisor::impl::note_growth(attempt& target, output_stream which) {
  constexpr int times_per_age = 8192;
  auto& seen = target.logged[static_cast<std::size_t>(which)];
  struct stat status {};
  if (::fstat(target.files.stream(which), &status) != 0) {
    return false;
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size <= std::exchange(seen.bytes, size)) {
    return false;
  }
  const auto now = clock_.steady();
  if (now >= seen.next_time) {
    seen.next_time = now + (now - target.started) / times_per_age;
    // A task may set the time of the file to any.
    seen.noted_at = std::clamp(process_detail::time_of(status.st_mtim), seen.noted_at,
                               std::max(seen.noted_at, clock_.wall()));
    auto& times = target.files.times[static_cast<std::size_t>(which)];
    if (!times) {
      auto made = process_detail::attempt_store::make_times(target.files, which);
      const std::lock_guard lock{mutex_};  // who opens the log looks for them
      times = std::move(made);
    }
    if (const auto line = time_line({size, seen.noted_at}); times) {
      static_cast<void>(::write(times.get(), line.data(), line.size()));  // else: a coarser time
    }
  }
  return true;
}

// Keeps the first and the last quarter of what an attempt may keep. Offsets stay what they are: the
// blocks in between are given back to the file system. False if it cannot do that.
bool process_supervisor::impl::drop_middle(attempt& target, output_stream which) {
  constexpr std::uint64_t block = 4096;
  const auto fd = target.files.stream(which);
  const auto kept = std::max(options_.log_bytes_max / 4 / block, std::uint64_t{1}) * block;
  const auto size = file_bytes(fd);
  auto& done = target.dropped_to[static_cast<std::size_t>(which)];
  const auto from = std::max(done, kept);
  const auto to = size > kept ? (size - kept) / block * block : 0;
  if (to <= from) {
    return true;
  }
  done = to;
  return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from),
                     static_cast<off_t>(to - from)) == 0 ||
         errno == EINTR;
}

}  // namespace millrace::actors
