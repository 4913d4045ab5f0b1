// SPDX-License-Identifier: MIT
#include "coordination/process_identity.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>

namespace millrace::runtime {
namespace {

// In /proc/PID/stat, counted from the state, which follows the name in its brackets (proc(5)).
constexpr int fields_before_start = 19;

}  // namespace

std::optional<std::uint64_t> start_ticks_of(std::int32_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
  std::string line;
  if (!std::getline(file, line)) {
    return std::nullopt;
  }
  // A name may have spaces and brackets of its own.
  const auto name_end = line.rfind(')');
  if (name_end == std::string::npos) {
    return std::nullopt;
  }
  std::istringstream fields{line.substr(name_end + 1)};
  std::string skipped;
  for (int at = 0; at < fields_before_start; ++at) {
    fields >> skipped;
  }
  std::uint64_t ticks = 0;
  if (!(fields >> ticks)) {
    return std::nullopt;
  }
  return ticks;
}

result<process_identity> this_process() {
  process_identity self;
  std::ifstream{"/proc/sys/kernel/random/boot_id"} >> self.boot_id;
  struct stat info {};
  const auto found = ::stat("/proc/self/ns/pid", &info);
  self.pid = ::getpid();
  const auto ticks = start_ticks_of(self.pid);
  if (self.boot_id.empty() || found != 0 || !ticks) {
    return error{errc::failed_precondition,
                 "/proc does not say which boot, PID namespace and process this is; mount it"};
  }
  self.pid_namespace = info.st_ino;
  self.start_ticks = *ticks;
  return self;
}

bool share_pids(const process_identity& one, const process_identity& other) {
  return one.boot_id == other.boot_id && one.pid_namespace == other.pid_namespace;
}

result<std::optional<process_handle>> process_handle::open(std::int32_t pid,
                                                           std::uint64_t start_ticks) {
  unique_fd fd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  if (!fd && errno != ESRCH) {
    return error{errc::unavailable, "cannot open the pidfd of process " + std::to_string(pid) +
                                        ": " + std::strerror(errno)};
  }
  if (!fd) {
    return std::optional<process_handle>{};
  }
  process_handle handle{std::move(fd)};
  // Read after the descriptor is there. If the pid is given anew in between, the descriptor is that
  // of a process that has ended, which is what it says.
  const auto ticks = start_ticks_of(pid);
  if (handle.has_ended({})) {
    return std::optional<process_handle>{};
  }
  if (!ticks) {
    return error{errc::unavailable,
                 "/proc does not say when process " + std::to_string(pid) + " has started"};
  }
  if (static_cast<std::uint32_t>(*ticks) != static_cast<std::uint32_t>(start_ticks)) {
    return std::optional<process_handle>{};
  }
  return std::optional<process_handle>{std::move(handle)};
}

result<void> process_handle::kill() const {
  if (::syscall(SYS_pidfd_send_signal, fd_.get(), SIGKILL, nullptr, 0) != 0 && errno != ESRCH) {
    return error{errc::permission_denied,
                 std::string{"cannot kill a process: "} + std::strerror(errno)};
  }
  return {};
}

bool process_handle::has_ended(duration patience) const {
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(patience).count();
  pollfd ended{fd_.get(), POLLIN, 0};
  const auto ready =
      ::poll(&ended, 1,
             static_cast<int>(std::clamp<std::int64_t>(wait, 0, std::numeric_limits<int>::max())));
  return ready > 0 && (ended.revents & POLLIN) != 0;
}

result<bool> has_ended(const process_identity& process, const process_identity& self) {
  if (!share_pids(process, self) || process == self) {
    return false;
  }
  const auto handle = process_handle::open(process.pid, process.start_ticks);
  return handle ? result{!handle->has_value()} : handle.error();
}

result<void> end_process(const process_identity& process, const process_identity& self,
                         duration patience) {
  if (!share_pids(process, self) || process == self) {
    return error{errc::failed_precondition,
                 "process " + std::to_string(process.pid) + " is not one that can be ended here"};
  }
  auto handle = process_handle::open(process.pid, process.start_ticks);
  if (!handle) {
    return handle.error();
  }
  if (!handle->has_value()) {
    return {};
  }
  if (auto killed = (*handle)->kill(); !killed) {
    return killed.error();
  }
  if (!(*handle)->has_ended(patience)) {
    return error{errc::deadline_exceeded,
                 "process " + std::to_string(process.pid) + " was killed and has not ended yet"};
  }
  return {};
}

}  // namespace millrace::runtime
