// SPDX-License-Identifier: MIT
// Dev cluster: silos and a gateway on this machine, each a process of its own.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::gateway::cli {

struct dev_cluster_options {
  std::size_t silos = 3;
  std::string data;                          ///< Holds a directory for each of them.
  std::string coordination;                  ///< As `--coordination`.
  std::string listen;                        ///< Of the gateway.
  std::vector<std::string> arguments;        ///< Of the silos, besides.
  std::vector<std::string> front_arguments;  ///< Of the gateway, besides.
};

/// Threading: one thread, and no other in the process when it starts.
class dev_cluster {
public:
  explicit dev_cluster(dev_cluster_options options);
  dev_cluster(const dev_cluster&) = delete;
  dev_cluster& operator=(const dev_cluster&) = delete;
  /// Stops.
  ~dev_cluster();

  /// Starts all of them and waits until they serve; prints the gateway's address and each one's
  /// name and pid. Errors: `unavailable` when one does not come up: it has said why.
  [[nodiscard]] runtime::result<void> start();

  /// Waits for an interrupt; tells of each one that ends before. Whom the others went on without
  /// (see `exit_code::expelled`: this machine was asleep or too busy) is started again, as a
  /// service manager does, after a second where it had not lived for five. Nobody else is: what a
  /// cluster does then is what it is for.
  void wait();

  /// Ends the gateway, then the silos, and waits for them, `stop_longest` in all: what has not
  /// ended by then is killed, with a line.
  void stop();

private:
  struct child {
    std::string name;
    std::vector<std::string> arguments;
    pid_t pid = -1;
    std::chrono::steady_clock::time_point began;
    std::optional<std::chrono::steady_clock::time_point> begins_again;  // in place of `expelled`
    pid_t expelled = -1;
    runtime::unique_fd ended;     // becomes readable when it has
    runtime::unique_fd notified;  // and this when it serves
  };

  void add_silo(const std::string& name);
  void add_gateway();
  runtime::result<void> spawn(child& one);
  [[nodiscard]] std::optional<std::string> wait_for(child& one);
  void see_end(child& one);
  void begin_again(child& one);
  static int reap(child& one);  // waits; how it ended
  // False when it has not ended by then.
  [[nodiscard]] static bool wait_for_end(child& one, std::chrono::steady_clock::time_point latest);

  const dev_cluster_options options_;
  std::vector<child> children_;  // the gateway is the last
};

}  // namespace millrace::gateway::cli
