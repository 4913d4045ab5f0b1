// SPDX-License-Identifier: MIT
#include "process/spawn.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstddef>

#include "process/failure.h"

// The child runs on a stack of its own choosing, which AddressSanitizer takes for an error.
#define MILLRACE_CHILD_SIDE __attribute__((no_sanitize("address", "undefined")))

namespace millrace::actors::process_detail {
namespace {

using runtime::errc;
using runtime::error;
using runtime::result;

// exec itself needs a few hundred bytes of stack; the rest is for the compiler's temporaries.
constexpr std::size_t child_stack_bytes = std::size_t{16} << 10U;

constexpr std::string_view default_path = "/usr/local/bin:/usr/bin:/bin";

enum class step : std::uint8_t { setup, record, directory, exec };

// What the child reads and, if it fails, writes.
struct child_plan {
  const char* const* programs;  // to try in turn, up to a null
  char* const* argv;
  char* const* environment;
  const char* directory;
  standard_streams streams;
  attempt_table* table;
  std::uint32_t index;
  process_mark mark;
  step failed_step = step::setup;
  int failed_errno = 0;
};

MILLRACE_CHILD_SIDE void reset_signals() {
  // The kernel's struct sigaction, all zero: default action, no flags, empty mask.
  const std::array<unsigned long, 8> default_action{};
  constexpr int signal_max = 64;
  constexpr std::size_t mask_bytes = 8;
  for (int number = 1; number <= signal_max; ++number) {
    ::syscall(SYS_rt_sigaction, number, default_action.data(), nullptr, mask_bytes);
  }
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, default_action.data(), nullptr, mask_bytes);
}

MILLRACE_CHILD_SIDE int fail(child_plan& plan, step where) {
  plan.failed_step = where;
  plan.failed_errno = errno;
  return 127;  // clone() exits with what the child function returns
}

MILLRACE_CHILD_SIDE int child_main(void* argument) {
  auto& plan = *static_cast<child_plan*>(argument);
  if (::setpgid(0, 0) != 0) {
    return fail(plan, step::setup);
  }
  auto& slot = plan.table->at(plan.index);
  slot.born_not_after = boot_ticks();
  slot.group.store(static_cast<pid_t>(::syscall(SYS_getpid)), std::memory_order_release);
  if (const auto failed = plan.table->save(plan.index); failed != 0) {
    errno = failed;
    return fail(plan, step::record);
  }
  bear_mark(plan.mark);
  if (::dup2(plan.streams.input, STDIN_FILENO) < 0 ||
      ::dup2(plan.streams.output, STDOUT_FILENO) < 0 ||
      ::dup2(plan.streams.error, STDERR_FILENO) < 0) {
    return fail(plan, step::setup);
  }
  if (::chdir(plan.directory) != 0) {
    return fail(plan, step::directory);
  }
  close_from(STDERR_FILENO + 1);
  reset_signals();
  // As execvp: a directory of the path without the program is passed over, one with a program that
  // may not run is remembered.
  int refused = 0;
  for (const auto* program = plan.programs; *program != nullptr; ++program) {
    ::execve(*program, plan.argv, plan.environment);
    if (errno == EACCES) {
      refused = errno;
    } else if (errno != ENOENT && errno != ENOTDIR) {
      return fail(plan, step::exec);
    }
  }
  errno = refused != 0 ? refused : ENOENT;
  return fail(plan, step::exec);
}

std::vector<std::string> program_candidates(const process_spec& spec) {
  const auto& program = spec.argv.front();
  if (program.find('/') != std::string::npos) {
    return {program};
  }
  std::string_view path = default_path;
  for (const auto& each : spec.environment) {
    if (each.starts_with("PATH=")) {
      path = std::string_view{each}.substr(5);
    }
  }
  std::vector<std::string> candidates;
  while (!path.empty()) {
    const auto end = path.find(':');
    const auto directory = path.substr(0, end);
    candidates.push_back((directory.empty() ? "." : std::string{directory}) + "/" + program);
    path = end == std::string_view::npos ? std::string_view{} : path.substr(end + 1);
  }
  return candidates;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const auto& each : texts) {
    out.push_back(const_cast<char*>(each.c_str()));
  }
  out.push_back(nullptr);
  return out;
}

error resource_failure(const std::string& what, int number) {
  switch (number) {
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return {errc::overloaded, what + ": " + describe_errno(number)};
    default:
      return {errc::internal, what + ": " + describe_errno(number)};
  }
}

error directory_failure(const process_spec& spec, int number) {
  const auto name = "working directory " + spec.working_directory.string();
  if (number == ENOENT) {
    return {errc::not_found, name + " does not exist"};
  }
  return {errc::invalid_argument, name + ": " + describe_errno(number)};
}

// Which of them the kernel refuses.
std::string too_large(const process_spec& spec) {
  const auto bound = std::to_string(argument_bytes_max - 1);
  std::size_t all = 0;
  for (std::size_t at = 0; at < spec.argv.size(); ++at) {
    all += spec.argv[at].size() + 1;
    if (spec.argv[at].size() >= argument_bytes_max) {
      return "argument " + std::to_string(at) + " of " + spec.argv.front().substr(0, 100) +
             " has " + std::to_string(spec.argv[at].size()) + " bytes, and the system takes " +
             bound + "; pass it by a file";
    }
  }
  for (const auto& each : spec.environment) {
    all += each.size() + 1;
    if (each.size() >= argument_bytes_max) {
      return "the variable " + each.substr(0, std::min<std::size_t>(each.find('='), 100)) +
             " has " + std::to_string(each.size()) + " bytes with its name, and the system takes " +
             bound + "; pass it by a file";
    }
  }
  return "the arguments and the environment have " + std::to_string(all) +
         " bytes in all, more than the system takes (" + std::to_string(::sysconf(_SC_ARG_MAX)) +
         "); pass what is large by a file";
}

error exec_failure(const process_spec& spec, int number) {
  const auto& program = spec.argv.front();
  const auto searched = program.find('/') == std::string::npos;
  switch (number) {
    case ENOENT: {
      const auto place = spec.working_directory / program;  // an absolute program stands alone
      if (!searched && ::access(place.c_str(), F_OK) == 0) {
        return {errc::not_found, "the interpreter of command " + program + " does not exist"};
      }
      return {errc::not_found,
              "command " + program + " does not exist" + (searched ? " in the task's PATH" : "")};
    }
    case EACCES:
    case EISDIR:
      return {errc::invalid_argument, "command " + program + " is not executable"};
    case ENOEXEC:
      return {errc::invalid_argument,
              "command " + program + " is neither a program for this machine nor a #! script"};
    case E2BIG:
      return {errc::too_large, too_large(spec)};
    case ETXTBSY:
      return {errc::unavailable, "command " + program + " is being written",
              std::chrono::milliseconds{100}};
    case ENOMEM:
    case EAGAIN:
    case EMFILE:
    case ENFILE:
      return resource_failure("cannot execute " + program, number);
    default:
      return {errc::invalid_argument, "cannot execute " + program + ": " + describe_errno(number)};
  }
}

// No handler of ours may run in the child, on our memory: everything is blocked until exec.
spawned clone_child(child_plan& plan) {
  alignas(16) std::array<std::byte, child_stack_bytes> stack;
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  spawned child;
  child.pid = ::clone(child_main, stack.data() + stack.size(),
                      CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &plan, &pidfd);
  const auto failed = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = failed;
  child.pidfd = unique_fd{pidfd};
  return child;
}

}  // namespace

MILLRACE_CHILD_SIDE void close_from(int first) noexcept {
  ::syscall(SYS_close_range, static_cast<unsigned>(first), ~0U, 0U);
}

result<void> check_size(const process_spec& spec) {
  std::size_t all = 0;
  bool fits = true;
  for (const auto* texts : {&spec.argv, &spec.environment}) {
    for (const auto& each : *texts) {
      all += each.size() + 1;
      fits = fits && each.size() < argument_bytes_max;
    }
  }
  if (!fits || all > static_cast<std::size_t>(::sysconf(_SC_ARG_MAX))) {
    return error{errc::too_large, too_large(spec)};
  }
  return {};
}

result<spawned> spawn(const process_spec& spec, standard_streams streams, process_mark mark,
                      attempt_table& table, std::uint32_t index) {
  const auto candidates = program_candidates(spec);
  const auto programs = pointers(candidates);
  const auto argv = pointers(spec.argv);
  const auto environment = pointers(spec.environment);
  child_plan plan{.programs = programs.data(),
                  .argv = argv.data(),
                  .environment = environment.data(),
                  .directory = spec.working_directory.c_str(),
                  .streams = streams,
                  .table = &table,
                  .index = index,
                  .mark = mark};
  auto& slot = table.at(index);
  slot.session = ::getsid(0);
  slot.born_not_before = boot_ticks();
  auto child = clone_child(plan);
  if (child.pid < 0) {
    return resource_failure("cannot start a process", errno);
  }
  if (plan.failed_errno == 0) {
    return child;
  }
  slot.group = 0;
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &info, WEXITED) != 0 &&
         errno == EINTR) {
  }
  switch (plan.failed_step) {
    case step::record:
      return file_failure("cannot write to the attempt table", plan.failed_errno);
    case step::directory:
      return directory_failure(spec, plan.failed_errno);
    case step::exec:
      return exec_failure(spec, plan.failed_errno);
    case step::setup:
      break;
  }
  return resource_failure("cannot set up a process", plan.failed_errno);
}

}  // namespace millrace::actors::process_detail
