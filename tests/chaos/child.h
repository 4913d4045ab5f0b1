// SPDX-License-Identifier: MIT
// A process of the harness: a silo, a gateway, an etcd, or a short command.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace chaos {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

/// Runs a command to its end; what it printed goes to `output` if that is set. Its exit code.
int run_command(const std::vector<std::string>& words, std::string* output = nullptr);

/// Threading: one thread, which lives longer than the process: that ends with the thread.
class child {
public:
  child() = default;
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  /// SIGKILL.
  ~child();

  /// Starts it. Output and errors are added to the file `log`; `network`: the name of a network
  /// name space, or empty. Descriptor 3 of it is what `said` reads. Requires: it does not run.
  void start(std::vector<std::string> words, const std::filesystem::path& log,
             const std::string& network = {});
  void signal(int number) const;
  /// Sends a signal and waits for its end.
  void end(int number);
  /// Whether it has not ended by itself; its status is then `status()`.
  [[nodiscard]] bool runs();
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

  /// The line that it wrote to descriptor 3, as soon as it is there.
  [[nodiscard]] std::optional<std::string> said();

private:
  pid_t pid_ = -1;
  int status_ = 0;
  int notified_ = -1;
  std::string line_;
};

}  // namespace chaos
