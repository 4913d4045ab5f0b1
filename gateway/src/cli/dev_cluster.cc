// SPDX-License-Identifier: MIT
#include "cli/dev_cluster.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>

#include "cli/stop_limit.h"

namespace millrace::gateway::cli {

using runtime::result;

namespace {

constexpr const char* own_program = "/proc/self/exe";
constexpr int notify_descriptor = 3;
constexpr std::chrono::milliseconds look_interval{200};
constexpr std::chrono::seconds short_life{5};  // again at once would be a spin
constexpr std::chrono::seconds rest{1};

runtime::error failed(const std::string& what) {
  return {runtime::errc::unavailable, what + ": " + std::strerror(errno)};
}

std::string letter_name(std::size_t number) {
  return std::string(1, static_cast<char>('a' + number));
}

std::string line_of(const std::vector<std::string>& arguments) {
  std::string line = "millrace";
  for (const auto& each : arguments) {
    line += " " + each;
  }
  return line;
}

// In the child, between fork and exec: only what a signal's handler may do.
[[noreturn]] void become(std::vector<char*>& words, int notify, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) {
    ::_exit(1);
  }
  ::setpgid(0, 0);  // Ctrl-C is for the one that started it
  if (notify == notify_descriptor) {
    ::fcntl(notify, F_SETFD, 0);
  } else {
    ::dup2(notify, notify_descriptor);
  }
  ::execv(own_program, words.data());
  ::_exit(1);
}

}  // namespace

dev_cluster::dev_cluster(dev_cluster_options options) : options_(std::move(options)) {
  for (std::size_t number = 0; number < options_.silos; ++number) {
    add_silo(letter_name(number));
  }
  add_gateway();
}

dev_cluster::~dev_cluster() {
  stop();
}

void dev_cluster::add_silo(const std::string& name) {
  child one;
  one.name = name;
  one.arguments = {"silo",
                   "--name",
                   name,
                   "--data",
                   options_.data + "/" + name,
                   "--coordination",
                   options_.coordination};
  one.arguments.insert(one.arguments.end(), options_.arguments.begin(), options_.arguments.end());
  children_.push_back(std::move(one));
}

void dev_cluster::add_gateway() {
  child one;
  one.name = "gateway";
  one.arguments = {"gateway",
                   "--name",
                   "gateway",
                   "--data",
                   options_.data + "/gateway",
                   "--coordination",
                   options_.coordination,
                   "--listen",
                   options_.listen};
  one.arguments.insert(one.arguments.end(), options_.front_arguments.begin(),
                       options_.front_arguments.end());
  children_.push_back(std::move(one));
}

result<void> dev_cluster::spawn(child& one) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return failed("cannot make a pipe");
  }
  auto arguments = one.arguments;
  arguments.insert(arguments.begin(), "millrace");
  arguments.insert(arguments.end(), {"--notify-fd", std::to_string(notify_descriptor)});
  std::vector<char*> words;
  words.reserve(arguments.size() + 1);
  for (auto& each : arguments) {
    words.push_back(each.data());
  }
  words.push_back(nullptr);
  const auto parent = ::getpid();
  one.began = std::chrono::steady_clock::now();
  one.pid = ::fork();
  if (one.pid == 0) {
    become(words, ends[1], parent);
  }
  ::close(ends[1]);
  one.notified = runtime::unique_fd{ends[0]};
  if (one.pid < 0) {
    return failed("cannot start a process");
  }
  one.ended = runtime::unique_fd{static_cast<int>(::syscall(SYS_pidfd_open, one.pid, 0))};
  return {};
}

// What it says when it serves; nothing when it ends before, or is told to.
std::optional<std::string> dev_cluster::wait_for(child& one) {
  std::string line;
  while (interrupts() == 0) {
    pollfd ready{one.notified.get(), POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(look_interval.count())) <= 0) {
      continue;
    }
    char piece[256];
    const auto count = ::read(one.notified.get(), piece, sizeof piece);
    if (count <= 0) {
      return std::nullopt;
    }
    line.append(piece, static_cast<std::size_t>(count));
    if (line.ends_with('\n')) {
      line.pop_back();
      return line;
    }
  }
  return std::nullopt;
}

result<void> dev_cluster::start() {
  for (auto& each : children_) {
    if (auto spawned = spawn(each); !spawned) {
      return spawned;
    }
  }
  std::string lines;
  for (auto& each : children_) {
    const auto said = wait_for(each);
    if (!said) {
      return runtime::error{runtime::errc::unavailable,
                            interrupts() > 0 ? "interrupted before the cluster served"
                                             : "'" + each.name + "' did not come up"};
    }
    if (&each == &children_.back()) {
      // Started again it is where its clients look for it.
      *(std::find(each.arguments.begin(), each.arguments.end(), "--listen") + 1) =
          said->substr(said->find("://") + std::strlen("://"));
      lines.insert(0, "gateway " + *said + " pid " + std::to_string(each.pid) + "\n");
    } else {
      lines += "silo " + each.name + " pid " + std::to_string(each.pid) + "\n";
    }
  }
  std::cout << lines << std::flush;
  return {};
}

void dev_cluster::see_end(child& one) {
  const auto pid = one.pid;
  const auto status = reap(one);
  const bool is_expelled =
      WIFEXITED(status) && WEXITSTATUS(status) == static_cast<int>(exit_code::expelled);
  if (is_expelled) {
    const auto now = std::chrono::steady_clock::now();
    one.expelled = pid;
    one.begins_again = now - one.began < short_life ? now + rest : now;
    return;
  }
  const auto how = WIFSIGNALED(status) ? "was ended by signal " + std::to_string(WTERMSIG(status))
                                       : "ended with " + std::to_string(WEXITSTATUS(status));
  std::cerr << "millrace: " << one.name << " (pid " << pid << ") " << how
            << "; it starts again with: " << line_of(one.arguments) << '\n';
}

void dev_cluster::begin_again(child& one) {
  one.begins_again.reset();
  std::cerr << "millrace: " << one.name << " (pid " << one.expelled
            << ") was not heard of for too long; ";
  if (const auto spawned = spawn(one); spawned) {
    std::cerr << "it starts again as pid " << one.pid << '\n';
  } else {
    std::cerr << spawned.error().text() << "; it starts again with: " << line_of(one.arguments)
              << '\n';
  }
}

int dev_cluster::reap(child& one) {
  int status = 0;
  if (one.pid > 0) {
    while (::waitpid(one.pid, &status, 0) < 0 && errno == EINTR) {
    }
  }
  one.pid = -1;
  one.ended.reset();
  one.notified.reset();
  return status;
}

void dev_cluster::wait() {
  while (interrupts() == 0) {
    std::vector<pollfd> ends;
    for (const auto& each : children_) {
      ends.push_back({each.ended.get(), POLLIN, 0});  // one that has ended is passed over
    }
    ::poll(ends.data(), ends.size(), static_cast<int>(look_interval.count()));
    for (std::size_t at = 0; at < ends.size(); ++at) {
      if (children_[at].ended && (ends[at].revents & POLLIN) != 0) {
        see_end(children_[at]);
      }
      if (children_[at].begins_again &&
          *children_[at].begins_again <= std::chrono::steady_clock::now()) {
        begin_again(children_[at]);
      }
    }
    if (std::all_of(children_.begin(), children_.end(),
                    [](const child& each) { return each.pid < 0 && !each.begins_again; })) {
      return;
    }
  }
}

bool dev_cluster::wait_for_end(child& one, std::chrono::steady_clock::time_point latest) {
  while (one.ended) {
    const auto left = latest - std::chrono::steady_clock::now();
    const auto left_ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    pollfd end{one.ended.get(), POLLIN, 0};
    if (::poll(&end, 1, static_cast<int>(std::max<std::int64_t>(left_ms, 0))) > 0) {
      reap(one);
    } else if (left_ms <= 0) {
      return false;
    }
  }
  return true;
}

// One that is stopped, or waits for a disk, hears no SIGTERM.
void dev_cluster::stop() {
  const auto latest = std::chrono::steady_clock::now() + stop_longest;
  auto& gateway = children_.back();
  const auto end = [](const child& one, int signal) {
    if (one.pid > 0) {
      ::kill(one.pid, signal);
    }
  };
  end(gateway, SIGTERM);
  static_cast<void>(wait_for_end(gateway, latest - stop_longest / 2));
  for (const auto& each : children_) {
    end(each, SIGTERM);
  }
  for (auto& each : children_) {
    if (!wait_for_end(each, latest)) {
      std::cerr << "millrace: " << each.name << " (pid " << each.pid
                << ") has not stopped in time and is killed\n";
      end(each, SIGKILL);
      reap(each);
    }
  }
}

}  // namespace millrace::gateway::cli
