// SPDX-License-Identifier: MIT
#include "process/guard.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>

#include "process/failure.h"
#include "process/spawn.h"

namespace millrace::actors::process_detail {
namespace {

// Only async-signal-safe calls from here on: other threads held locks when we were forked.
void keep_only(int lifeline) {
  constexpr int kept = STDERR_FILENO + 1;
  const int nowhere = ::open("/dev/null", O_RDWR);
  const int moved = ::fcntl(lifeline, F_DUPFD, kept);
  ::dup2(nowhere, STDIN_FILENO);
  ::dup2(nowhere, STDOUT_FILENO);
  ::dup2(nowhere, STDERR_FILENO);
  ::dup2(moved, kept);
  close_from(kept + 1);
}

bool is_stray(pid_t pid, attempt_table& table) {
  const auto marks = marks_of(pid);
  token_buffer buffer;
  const auto token = marks.inner == 0 ? token_of_process(pid, buffer) : std::string_view{};
  if (marks.inner == 0 && token.empty()) {
    return false;
  }
  for (std::uint32_t index = 0; index < table.size(); ++index) {
    const auto& slot = table.at(index);
    if (slot.state == slot_state::running && slot.mark != 0 &&
        (marks.has(slot.mark) || (!token.empty() && slot.name() == token))) {
      return true;
    }
  }
  return false;
}

// Those that have left their group, until a look finds none: one may have forked meanwhile.
void kill_strays(attempt_table& table) {
  constexpr int passes_max = 64;
  constexpr timespec between{.tv_sec = 0, .tv_nsec = 2'000'000};
  for (int pass = 0; pass < passes_max; ++pass) {
    const auto killed = kill_each([&table](pid_t pid) { return is_stray(pid, table); });
    if (killed == 0) {
      return;
    }
    ::nanosleep(&between, nullptr);
  }
}

[[noreturn]] void guard_main(int lifeline, attempt_table& table) {
  ::setsid();  // a terminal's Ctrl-C is not for us
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  ::prctl(PR_SET_NAME, "millrace-guard");
  keep_only(lifeline);
  static_cast<void>(::chdir("/") == 0);
  char byte = 0;
  while (::read(STDERR_FILENO + 1, &byte, 1) != 0) {
    if (errno != EINTR) {
      break;
    }
  }
  for (std::uint32_t index = 0; index < table.size(); ++index) {
    const auto identity = table.at(index).identity();
    // A leader that is gone died and was reaped just now, after ours: the number of its group, if
    // it has members, has not been given away.
    if (identity.group > 1 && find_leader(identity) != leader_state::stranger) {
      ::kill(-identity.group, SIGKILL);
    }
  }
  kill_strays(table);
  ::_exit(0);
}

}  // namespace

runtime::result<guard> guard::start(attempt_table& table) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return file_failure("cannot make the guard's pipe", errno);
  }
  const unique_fd reading{ends[0]};
  guard started;
  started.lifeline_ = unique_fd{ends[1]};
  started.pid_ = ::fork();
  if (started.pid_ < 0) {
    return file_failure("cannot start the guard process", errno);
  }
  if (started.pid_ == 0) {
    guard_main(ends[0], table);
  }
  started.pidfd_ = unique_fd{static_cast<int>(::syscall(SYS_pidfd_open, started.pid_, 0))};
  if (!started.pidfd_) {
    return file_failure("cannot open the guard's pidfd", errno);
  }
  return started;
}

guard::~guard() {
  if (pidfd_) {
    // Not by closing the lifeline: a fork that the host made may hold it open.
    siginfo_t info{};
    ::kill(pid_, SIGKILL);
    ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED);
  }
}

}  // namespace millrace::actors::process_detail
