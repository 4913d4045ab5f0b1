// SPDX-License-Identifier: MIT
#include "process/proc_stat.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include <array>
#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>
#include <system_error>

namespace millrace::actors::process_detail {
namespace {

// USER_HZ is 100 on every architecture Debian ships; a part of the kernel's ABI.
constexpr std::uint64_t nanoseconds_per_tick = 1'000'000'000 / 100;

unique_fd open_pidfd(pid_t pid) {
  return unique_fd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
}

// The fields after the command name, which may hold spaces and parentheses: proc(5).
std::optional<proc_stat> parse(std::string_view text) noexcept {
  const auto name_end = text.rfind(')');
  if (name_end == std::string_view::npos || name_end + 3 >= text.size()) {
    return std::nullopt;
  }
  constexpr int state_field = 3;
  constexpr int group_field = 5;
  constexpr int session_field = 6;
  constexpr int birth_field = 22;
  proc_stat found;
  text.remove_prefix(name_end + 2);
  for (int field = state_field; field <= birth_field; ++field) {
    const auto end = text.find(' ');
    const auto word = text.substr(0, end);
    const auto* last = word.data() + word.size();
    if (field == state_field && !word.empty()) {
      found.state = word.front();
    } else if (field == group_field) {
      std::from_chars(word.data(), last, found.group);
    } else if (field == session_field) {
      std::from_chars(word.data(), last, found.session);
    } else if (field == birth_field) {
      const auto parsed = std::from_chars(word.data(), last, found.birth_ticks);
      return parsed.ec == std::errc{} ? std::optional{found} : std::nullopt;
    }
    if (end == std::string_view::npos) {
      return std::nullopt;
    }
    text.remove_prefix(end + 1);
  }
  return std::nullopt;
}

bool is_dead(const proc_stat& process) {
  return process.state == 'Z' || process.state == 'X';
}

// Calls `visit(pid, stat)` for every process until it returns false.
template <class Visit>
void each_process(Visit visit) {
  const auto close = [](DIR* directory) { ::closedir(directory); };
  const std::unique_ptr<DIR, decltype(close)> directory{::opendir("/proc"), close};
  while (const auto* entry = directory ? ::readdir(directory.get()) : nullptr) {
    pid_t pid = 0;
    const auto* last = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, last, pid).ptr != last || pid <= 0) {
      continue;
    }
    const auto process = read_proc_stat(pid);
    if (process && !visit(pid, *process)) {
      return;
    }
  }
}

// Whether every process of `dying` ends in time. A pidfd is readable once its process is dead.
bool await_deaths(const std::vector<unique_fd>& dying, int timeout_ms) {
  const auto deadline = boot_ticks() + static_cast<std::uint64_t>(timeout_ms) / 10;
  for (const auto& each : dying) {
    const auto now = boot_ticks();
    const auto left_ms = now < deadline ? static_cast<int>(deadline - now) * 10 : 0;
    pollfd waiting{.fd = each.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, left_ms) != 1) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::uint64_t boot_ticks() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const auto nanoseconds = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
                           static_cast<std::uint64_t>(now.tv_nsec);
  return nanoseconds / nanoseconds_per_tick;
}

std::optional<proc_stat> read_proc_stat(pid_t pid) noexcept {
  std::array<char, 32> path{"/proc/"};
  auto* end = std::to_chars(path.data() + 6, path.data() + path.size() - 6, pid).ptr;
  std::memcpy(end, "/stat", 6);
  const unique_fd file{::open(path.data(), O_RDONLY | O_CLOEXEC)};
  std::array<char, 1024> text;  // 52 numbers and a name of at most 64 bytes
  const auto size = file ? ::read(file.get(), text.data(), text.size()) : -1;
  return size > 0 ? parse({text.data(), static_cast<std::size_t>(size)}) : std::nullopt;
}

leader_state find_leader(const group_identity& identity) noexcept {
  const auto leader = read_proc_stat(identity.group);
  if (!leader) {
    return leader_state::gone;
  }
  const auto same = leader->birth_ticks >= identity.born_not_before &&
                    leader->birth_ticks <= identity.born_not_after;
  return same ? leader_state::ours : leader_state::stranger;
}

unique_fd find_living_member(pid_t group) {
  unique_fd found;
  each_process([&](pid_t pid, const proc_stat& process) {
    if (process.group == group && pid != group && !is_dead(process)) {
      found = open_pidfd(pid);
    }
    return !found;
  });
  return found;
}

// While a member lives its group number cannot be given away, so a leaderless group of our session
// that is younger than the attempt is the attempt's: our session had no other groups that young but
// those in the table, and a silo's own session is not where people start programs.
fence_outcome fence_group(const group_identity& identity, int timeout_ms) {
  if (identity.group <= 1 || find_leader(identity) == leader_state::stranger) {
    return fence_outcome::gone;
  }
  std::vector<unique_fd> members;
  each_process([&](pid_t pid, const proc_stat& process) {
    if (process.group == identity.group && process.session == identity.session &&
        process.birth_ticks >= identity.born_not_before && !is_dead(process)) {
      if (auto member = open_pidfd(pid)) {
        members.push_back(std::move(member));
      }
    }
    return true;
  });
  if (members.empty()) {
    return fence_outcome::gone;
  }
  ::kill(-identity.group, SIGKILL);
  return await_deaths(members, timeout_ms) ? fence_outcome::fenced : fence_outcome::survived;
}

}  // namespace millrace::actors::process_detail
