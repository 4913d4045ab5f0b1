// SPDX-License-Identifier: MIT
#include "chaos/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <utility>

namespace chaos {

namespace {

constexpr int notify_descriptor = 3;

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> made;
  made.reserve(words.size() + 1);
  for (auto& each : words) {
    made.push_back(each.data());
  }
  made.push_back(nullptr);
  return made;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

int run_command(const std::vector<std::string>& words, std::string* output) {
  auto copies = words;
  const auto arguments = pointers(copies);
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw std::runtime_error{"cannot make a pipe"};
  }
  const auto pid = ::fork();
  if (pid == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(ends[1], STDERR_FILENO);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  std::array<char, 4096> piece{};
  for (ssize_t size = 0; (size = ::read(ends[0], piece.data(), piece.size())) > 0;) {
    if (output != nullptr) {
      output->append(piece.data(), static_cast<std::size_t>(size));
    }
  }
  ::close(ends[0]);
  const auto status = wait_for(pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

child::~child() {
  end(SIGKILL);
}

void child::start(std::vector<std::string> words, const std::filesystem::path& log,
                  const std::string& network) {
  const auto arguments = pointers(words);
  const auto name_space = network.empty() ? std::string{} : "/run/netns/" + network;
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw std::runtime_error{"cannot make a pipe"};
  }
  const auto parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::setpgid(0, 0);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    ends[1] == notify_descriptor ? ::fcntl(ends[1], F_SETFD, 0)
                                 : ::dup2(ends[1], notify_descriptor);
    if (!name_space.empty()) {
      const int entry = ::open(name_space.c_str(), O_RDONLY | O_CLOEXEC);
      if (entry < 0 || ::setns(entry, CLONE_NEWNET) != 0) {
        ::_exit(126);
      }
    }
    if (::getppid() == parent) {
      ::execvp(arguments[0], arguments.data());
    }
    ::_exit(127);
  }
  ::close(ends[1]);
  if (pid_ < 0) {
    throw std::runtime_error{"cannot start " + words[0]};
  }
  notified_ = ends[0];
  ::fcntl(notified_, F_SETFL, O_NONBLOCK);
  line_.clear();
}

void child::signal(int number) const {
  if (pid_ > 0) {
    ::kill(pid_, number);
  }
}

void child::end(int number) {
  if (pid_ > 0) {
    ::kill(pid_, number);
    ::kill(pid_, SIGCONT);
    status_ = wait_for(std::exchange(pid_, -1));
  }
  if (notified_ >= 0) {
    ::close(std::exchange(notified_, -1));
  }
}

bool child::runs() {
  if (pid_ > 0 && ::waitpid(pid_, &status_, WNOHANG) == pid_) {
    pid_ = -1;
  }
  return pid_ > 0;
}

std::optional<std::string> child::said() {
  std::array<char, 256> piece{};
  ssize_t size = 0;
  while (notified_ >= 0 && (size = ::read(notified_, piece.data(), piece.size())) > 0) {
    line_.append(piece.data(), static_cast<std::size_t>(size));
  }
  const auto end = line_.find('\n');
  return end == std::string::npos ? std::nullopt : std::optional{line_.substr(0, end)};
}

}  // namespace chaos
