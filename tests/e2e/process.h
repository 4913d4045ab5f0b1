// SPDX-License-Identifier: MIT
// The real program as a child process, for end-to-end tests.
#pragma once

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/types.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "folders.h"

namespace millrace::testing {

/// What a command that has ended left.
struct finished_command {
  int status = -1;  ///< Exit code; 128 + signal when killed.
  std::string output;
  std::string errors;
};

/// Runs the `millrace` of this build to its end.
[[nodiscard]] finished_command millrace(const std::vector<std::string>& arguments,
                                        const std::string& input = {});

/// Asks until it is so, for what comes a moment later, or takes real time; a minute is more than
/// anything here takes.
template <class Condition>
void until(const Condition& is_so) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
  while (!is_so()) {
    REQUIRE(std::chrono::steady_clock::now() < end);
  }
}

/// The same: whether `text` is in what the command prints.
inline void until_prints(const std::vector<std::string>& command, const std::string& text) {
  finished_command told;
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
  while (told.output.find(text) == std::string::npos) {
    REQUIRE_MESSAGE(std::chrono::steady_clock::now() < end,
                    text << " is not in: " << told.output << told.errors);
    told = millrace(command);
  }
}

/// A command that runs while the test goes on; killed when destroyed.
class background_command {
public:
  explicit background_command(const std::vector<std::string>& arguments,
                              const std::string& input = {});
  background_command(const background_command&) = delete;
  background_command& operator=(const background_command&) = delete;
  ~background_command();

  /// Waits until `text` stands in what it printed, on either stream. Fails the test when it ends
  /// without.
  void read_until(const std::string& text);
  /// What it has printed to standard output so far, as far as it was read.
  [[nodiscard]] const std::string& printed() const noexcept { return printed_.output; }
  /// The same of standard error.
  [[nodiscard]] const std::string& said() const noexcept { return printed_.errors; }
  void signal(int number) const;
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// Ctrl-C.
  void interrupt() const { signal(SIGINT); }
  /// Its end, with all that it printed.
  [[nodiscard]] finished_command wait();

private:
  // Reads once. False when both streams are closed.
  bool read_some();

  pid_t pid_ = -1;
  std::array<int, 2> streams_{-1, -1};
  finished_command printed_;
};

/// `millrace dev` on a port of the kernel's choice; killed when destroyed.
class server_process {
public:
  explicit server_process(const std::filesystem::path& data,
                          const std::string& listen = "127.0.0.1:0",
                          const std::vector<std::string>& options = {"--slots", "4"});
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;
  ~server_process();

  [[nodiscard]] const std::string& url() const noexcept { return url_; }
  /// `127.0.0.1:PORT`.
  [[nodiscard]] std::string address() const { return url_.substr(url_.rfind('/') + 1); }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  /// SIGKILL, and waits until it is gone.
  void kill();
  /// SIGTERM, and waits; the exit code.
  int stop();

private:
  void end();

  pid_t pid_ = -1;
  int errors_ = -1;
  std::string url_;
  std::thread reader_;  // of what it tells afterwards: a full pipe would stop it
};

/// A server that gives one and the same answer, whatever it is asked, until destroyed.
class canned_server {
public:
  explicit canned_server(std::string answer);
  canned_server(const canned_server&) = delete;
  canned_server& operator=(const canned_server&) = delete;
  ~canned_server();

  [[nodiscard]] const std::string& url() const noexcept { return url_; }

private:
  void serve();

  std::string answer_;
  int listening_ = -1;
  std::string url_;
  std::thread thread_;
};

}  // namespace millrace::testing
