// SPDX-License-Identifier: MIT
// What belongs to the program that embeds a silo, and must be as it was when the silo is gone.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <locale>
#include <new>
#include <sstream>
#include <string>

namespace shop {

inline void ignore_signal(int /*number*/) {}

/// Makes everything differ from a new process, so that a reset to the default is seen too.
inline void dress_host() {
  struct sigaction action {};
  action.sa_handler = ignore_signal;
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD, SIGPIPE, SIGUSR1, SIGUSR2}) {
    ::sigaction(number, &action, nullptr);
  }
  sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGWINCH);
  ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
  std::setlocale(LC_ALL, "C.UTF-8");
  std::locale::global(std::locale{std::locale::classic(), new std::ctype_byname<char>{"C.UTF-8"}});
  std::set_terminate([] { std::_Exit(70); });
  ::umask(027);
}

/// The process's globals in words; two of them are equal when nothing changed.
inline std::string host_state() {
  std::ostringstream out;
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) == 0) {
      out << "signal " << number << ": " << reinterpret_cast<void*>(action.sa_handler) << " flags "
          << action.sa_flags << '\n';
    }
  }
  sigset_t blocked;
  ::sigprocmask(SIG_BLOCK, nullptr, &blocked);
  for (int number = 1; number < NSIG; ++number) {
    if (::sigismember(&blocked, number) == 1) {
      out << "blocked " << number << '\n';
    }
  }
  const auto mask = ::umask(0);
  ::umask(mask);
  out << "C locale " << std::setlocale(LC_ALL, nullptr) << "\nC++ locale " << std::locale{}.name()
      << "\nterminate handler " << reinterpret_cast<void*>(std::get_terminate()) << "\nnew handler "
      << reinterpret_cast<void*>(std::get_new_handler()) << "\numask " << mask << "\nfolder "
      << std::filesystem::current_path().string() << "\nthreads "
      << std::distance(std::filesystem::directory_iterator{"/proc/self/task"}, {})
      << "\nopen files " << std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {})
      << '\n';
  return std::move(out).str();
}

/// While it lives, standard output and standard error go to a file.
class captured_output {
public:
  captured_output() {
    std::fflush(nullptr);
    const int file = ::open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    out_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    error_ = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    ::dup2(file, STDOUT_FILENO);
    ::dup2(file, STDERR_FILENO);
    ::close(file);
  }
  captured_output(const captured_output&) = delete;
  captured_output& operator=(const captured_output&) = delete;
  ~captured_output() {
    std::fflush(nullptr);
    ::dup2(out_, STDOUT_FILENO);
    ::dup2(error_, STDERR_FILENO);
    ::close(out_);
    ::close(error_);
  }

  /// What was printed so far.
  [[nodiscard]] static std::string text() {
    std::fflush(nullptr);
    std::string text(4096, '\0');
    const auto size = ::pread(STDOUT_FILENO, text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
  }

private:
  int out_ = -1;
  int error_ = -1;
};

}  // namespace shop
