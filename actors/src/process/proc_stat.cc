// SPDX-License-Identifier: MIT
#include "process/proc_stat.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <system_error>

#include "process/each_process.h"

namespace millrace::actors::process_detail {
namespace {

using runtime::unique_fd;

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
  const unique_fd file{::open(proc_path{pid, "stat"}.c_str(), O_RDONLY | O_CLOEXEC)};
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

process_marks marks_of(pid_t pid) noexcept {
  rlimit limit{};
  if (::prlimit(pid, RLIMIT_LOCKS, nullptr, &limit) != 0) {
    return {};
  }
  const auto mark = [](rlim_t bound) { return bound == RLIM_INFINITY ? process_mark{0} : bound; };
  return {mark(limit.rlim_cur), mark(limit.rlim_max)};
}

// Below the hard limit, which a soft one cannot pass, and not 0.
process_mark first_mark(std::uint64_t bits) noexcept {
  constexpr process_mark highest = process_mark{1} << 62U;
  const auto outer = marks_of(0).outer;
  const auto families =
      std::max((outer == 0 ? highest : std::min(outer, highest)) >> 32U, process_mark{2}) - 1;
  return (1 + bits % families) << 32U;
}

void bear_mark(process_mark mark) noexcept {
  rlimit limit{};
  if (mark != 0 && ::syscall(SYS_prlimit64, 0, RLIMIT_LOCKS, nullptr, &limit) == 0) {
    limit.rlim_cur = mark;
    limit.rlim_max = limit.rlim_max == RLIM_INFINITY ? mark : limit.rlim_max;
    ::syscall(SYS_prlimit64, 0, RLIMIT_LOCKS, &limit, nullptr);
  }
}

std::string_view token_of_process(pid_t pid, token_buffer& buffer) noexcept {
  return variable_of_process(pid, "MILLRACE_TOKEN=", buffer);
}

std::string_view variable_of_process(pid_t pid, std::string_view variable,
                                     std::span<char> buffer) noexcept {
  const unique_fd file{::open(proc_path{pid, "environ"}.c_str(), O_RDONLY | O_CLOEXEC)};
  std::array<char, 4096> piece;
  std::size_t matched = 0;  // bytes of `variable` that this entry begins with
  std::size_t taken = 0;    // bytes of its value
  auto matches = true;
  for (;;) {
    const auto got = file ? ::read(file.get(), piece.data(), piece.size()) : -1;
    if (got <= 0) {
      return {};
    }
    for (const auto byte : std::string_view{piece.data(), static_cast<std::size_t>(got)}) {
      if (byte == '\0') {
        if (matches && matched == variable.size() && taken < buffer.size()) {
          return {buffer.data(), taken};
        }
        matched = 0;
        taken = 0;
        matches = true;
      } else if (matches && matched < variable.size()) {
        matches = byte == variable[matched];
        ++matched;
      } else if (matches && taken < buffer.size()) {
        buffer[taken] = byte;
        ++taken;
      }
    }
  }
}

unique_fd find_living_member(const group_identity& identity) {
  unique_fd found;
  each_pid([&](pid_t pid) {
    const auto process = read_proc_stat(pid);
    if (process && pid != identity.group && !is_dead(*process) &&
        (process->group == identity.group || marks_of(pid).has(identity.mark))) {
      found = open_pidfd(pid);
    }
    return !found;
  });
  return found;
}

unsigned kill_each(const std::function<bool(pid_t)>& is_wanted) noexcept {
  unsigned killed = 0;
  each_pid([&](pid_t pid) {
    const auto process = is_wanted(pid) ? read_proc_stat(pid) : std::nullopt;
    const auto target = process && !is_dead(*process) ? open_pidfd(pid) : unique_fd{};
    if (target && is_wanted(pid)) {
      ::syscall(SYS_pidfd_send_signal, target.get(), SIGKILL, nullptr, 0);
      ++killed;
    }
    return true;
  });
  return killed;
}

// Through a pidfd, so that the number cannot be given to another process between look and signal.
void signal_strays(const group_identity& identity, int signal) noexcept {
  each_pid([&](pid_t pid) {
    if (!marks_of(pid).has(identity.mark) || ::getpgid(pid) == identity.group) {
      return true;
    }
    const auto process = open_pidfd(pid);
    if (process && marks_of(pid).has(identity.mark)) {
      ::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0);
    }
    return true;
  });
}

namespace {

// Kills what `is_wanted`, and waits until every process found is dead. Again while a pass finds
// some: a process may fork before it hears of its end.
fence_outcome fence(const std::function<bool(pid_t, const proc_stat&)>& is_wanted, int timeout_ms) {
  constexpr int passes_max = 16;
  auto outcome = fence_outcome::gone;
  for (int pass = 0; pass < passes_max; ++pass) {
    std::vector<unique_fd> dying;
    each_pid([&](pid_t pid) {
      const auto process = read_proc_stat(pid);
      if (!process || is_dead(*process)) {
        return true;
      }
      if (auto found = is_wanted(pid, *process) ? open_pidfd(pid) : unique_fd{}) {
        ::syscall(SYS_pidfd_send_signal, found.get(), SIGKILL, nullptr, 0);
        dying.push_back(std::move(found));
      }
      return true;
    });
    if (dying.empty()) {
      return outcome;
    }
    if (!await_deaths(dying, timeout_ms)) {
      return fence_outcome::survived;
    }
    outcome = fence_outcome::fenced;
  }
  return outcome;
}

}  // namespace

// While a member lives its group number cannot be given away, so a leaderless group of our session
// that is younger than the attempt is the attempt's: our session had no other groups that young but
// those in the table, and a silo's own session is not where people start programs.
fence_outcome fence_group(const group_identity& identity, int timeout_ms) {
  const auto has_group = identity.group > 1 && find_leader(identity) != leader_state::stranger;
  const auto is_stray = [&](pid_t pid) {
    token_buffer buffer;
    return identity.mark != 0 &&
           (marks_of(pid).has(identity.mark) || token_of_process(pid, buffer) == identity.token);
  };
  return fence(
      [&](pid_t pid, const proc_stat& process) {
        const auto member =
            has_group && process.group == identity.group && process.session == identity.session;
        return process.birth_ticks >= identity.born_not_before && (member || is_stray(pid));
      },
      timeout_ms);
}

fence_outcome fence_attempts(const std::string& directory,
                             const std::set<std::string, std::less<>>& tokens, int timeout_ms) {
  std::vector<char> buffer(directory.size() + PATH_MAX);
  std::set<process_mark> marks;
  return fence(
      [&](pid_t pid, const proc_stat&) {
        const auto found = marks_of(pid);
        if (marks.contains(found.inner) || marks.contains(found.outer)) {
          return true;
        }
        auto output = variable_of_process(pid, "MILLRACE_OUTPUT=", buffer);
        if (pid == ::getpid() || !output.starts_with(directory)) {
          return false;
        }
        output.remove_prefix(directory.size());
        const auto is_known = tokens.contains(output.substr(0, output.find('/')));
        if (is_known && found.inner != 0) {
          marks.insert(found.inner);
        }
        return is_known;
      },
      timeout_ms);
}

}  // namespace millrace::actors::process_detail
