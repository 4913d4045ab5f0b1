// SPDX-License-Identifier: MIT
#include "process/log_watch.h"

#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

namespace millrace::actors::process_detail {

log_watch::log_watch() : inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {}

void log_watch::add(int log, log_waiter_id id, std::uint64_t offset, callback on_event) {
  logs_[log].waiters.push_back({id, offset, std::move(on_event)});
  waits_for_[id] = log;
  arm(log);
  fire_grown(log);  // after arming: growth in between is seen by one or the other
}

void log_watch::forget(log_waiter_id id) {
  const auto waits = waits_for_.find(id);
  if (waits == waits_for_.end()) {
    return;
  }
  const auto found = logs_.find(waits->second);
  waits_for_.erase(waits);
  std::erase_if(found->second.waiters, [id](const waiter& each) { return each.id == id; });
  if (found->second.waiters.empty()) {
    stop_watching(found);
  }
}

void log_watch::arm(int log) {
  auto& entry = logs_[log];
  if (entry.descriptor < 0 && inotify_) {
    const auto path = "/proc/self/fd/" + std::to_string(log);
    entry.descriptor = ::inotify_add_watch(inotify_.get(), path.c_str(), IN_MODIFY | IN_ONESHOT);
    if (entry.descriptor >= 0) {
      armed_[entry.descriptor] = log;
    }
  }
}

void log_watch::stop_watching(watched_logs::iterator found) {
  if (found->second.descriptor >= 0) {
    armed_.erase(found->second.descriptor);
    ::inotify_rm_watch(inotify_.get(), found->second.descriptor);
  }
  logs_.erase(found);
}

void log_watch::fire_grown(int log) {
  const auto found = logs_.find(log);
  struct stat status {};
  if (found == logs_.end() || ::fstat(log, &status) != 0) {
    return;
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  auto& waiters = found->second.waiters;
  const auto grown = std::stable_partition(waiters.begin(), waiters.end(),
                                           [&](const waiter& each) { return each.offset >= size; });
  std::vector<waiter> firing{std::move_iterator{grown}, std::move_iterator{waiters.end()}};
  waiters.erase(grown, waiters.end());
  if (waiters.empty()) {
    stop_watching(found);
  }
  for (auto& each : firing) {
    waits_for_.erase(each.id);
    each.on_event(log_event::grown);
  }
}

void log_watch::handle_readable() {
  alignas(inotify_event) std::array<char, 4096> buffer;
  for (;;) {
    const auto size = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (size <= 0) {
      return;
    }
    for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      at += sizeof event + event.len;
      const auto armed = armed_.find(event.wd);
      if (armed == armed_.end()) {
        continue;
      }
      const auto log = armed->second;
      armed_.erase(armed);
      logs_[log].descriptor = -1;
      arm(log);
      fire_grown(log);
    }
  }
}

void log_watch::end(int log) {
  const auto found = logs_.find(log);
  if (found == logs_.end()) {
    return;
  }
  auto waiters = std::move(found->second.waiters);
  stop_watching(found);
  for (auto& each : waiters) {
    waits_for_.erase(each.id);
    each.on_event(log_event::ended);
  }
}

void log_watch::end_all() {
  while (!logs_.empty()) {
    const auto log = logs_.begin()->first;
    end(log);
  }
}

}  // namespace millrace::actors::process_detail
