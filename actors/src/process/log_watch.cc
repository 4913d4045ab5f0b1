// SPDX-License-Identifier: MIT
#include "process/log_watch.h"

#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace millrace::actors::process_detail {

log_watch::log_watch() : inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {}

void log_watch::add(const std::string& file, std::uint64_t offset, callback on_event) {
  files_[file].waiters.push_back({offset, std::move(on_event)});
  arm(file);
  fire_grown(file);  // after arming: growth in between is seen by one or the other
}

void log_watch::arm(const std::string& file) {
  auto& entry = files_[file];
  if (entry.descriptor < 0 && inotify_) {
    entry.descriptor = ::inotify_add_watch(inotify_.get(), file.c_str(), IN_MODIFY | IN_ONESHOT);
    if (entry.descriptor >= 0) {
      names_[entry.descriptor] = file;
    }
  }
}

void log_watch::fire_grown(const std::string& file) {
  const auto found = files_.find(file);
  struct stat status {};
  if (found == files_.end() || ::stat(file.c_str(), &status) != 0) {
    return;
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  auto& waiters = found->second.waiters;
  const auto grown = std::stable_partition(waiters.begin(), waiters.end(),
                                           [&](const waiter& each) { return each.offset >= size; });
  std::vector<waiter> firing{std::move_iterator{grown}, std::move_iterator{waiters.end()}};
  waiters.erase(grown, waiters.end());
  if (waiters.empty()) {
    if (found->second.descriptor >= 0) {
      names_.erase(found->second.descriptor);
      ::inotify_rm_watch(inotify_.get(), found->second.descriptor);
    }
    files_.erase(found);
  }
  for (auto& each : firing) {
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
      const auto name = names_.find(event.wd);
      if (name == names_.end()) {
        continue;
      }
      const auto file = name->second;
      names_.erase(name);
      files_[file].descriptor = -1;
      arm(file);
      fire_grown(file);
    }
  }
}

void log_watch::end(const std::string& file) {
  const auto found = files_.find(file);
  if (found == files_.end()) {
    return;
  }
  auto ending = std::move(found->second);
  files_.erase(found);
  if (ending.descriptor >= 0) {
    names_.erase(ending.descriptor);
    ::inotify_rm_watch(inotify_.get(), ending.descriptor);
  }
  for (auto& each : ending.waiters) {
    each.on_event(log_event::ended);
  }
}

void log_watch::end_all() {
  while (!files_.empty()) {
    const auto file = files_.begin()->first;
    end(file);
  }
}

}  // namespace millrace::actors::process_detail
