// SPDX-License-Identifier: MIT
// A real etcd on loopback, as a child process.
#pragma once

#include <sys/types.h>

#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "folders.h"

namespace millrace::testing {

/// A port of the kernel's choice, kept for as long as this lives, also while nobody listens there:
/// otherwise a connection to it could come from the same port, and meet itself.
class reserved_port {
public:
  reserved_port();
  reserved_port(const reserved_port&) = delete;
  reserved_port& operator=(const reserved_port&) = delete;
  ~reserved_port();
  [[nodiscard]] const std::string& number() const { return number_; }

private:
  int socket_ = -1;
  std::string number_;
};

/// One server with a directory of its own. A test that cannot start it fails.
class etcd_server {
public:
  /// `more`: further options of etcd.
  explicit etcd_server(std::vector<std::string> more = {}, std::string scheme = "http");
  /// A member of several, which has not started: `join` it, then `launch` all, then `await` each.
  struct member_tag {};
  etcd_server(member_tag, std::string name);
  etcd_server(const etcd_server&) = delete;
  etcd_server& operator=(const etcd_server&) = delete;
  ~etcd_server();

  [[nodiscard]] std::string url() const { return scheme_ + "://localhost:" + port_.number(); }

  /// `NAME=URL`, by which the others know it.
  [[nodiscard]] std::string peer() const {
    return name_ + "=http://127.0.0.1:" + peer_port_.number();
  }
  /// `all`: the peers, with commas.
  void join(std::string all) { members_ = std::move(all); }

  /// Waits until it serves.
  void start() {
    launch();
    await();
  }
  void launch();
  void await();
  /// SIGKILL, and waits for its end.
  void kill();
  void pause() const;
  void resume() const;

private:
  void drain(int log);

  temporary_folder folder_;
  reserved_port port_;
  reserved_port peer_port_;
  std::vector<std::string> more_;
  std::string scheme_ = "http";
  std::string name_ = "one";
  std::string members_;
  pid_t pid_ = -1;
  std::thread drain_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string log_;
  bool is_serving_ = false;
  bool has_ended_ = false;
};

/// Three servers, which serve as long as two of them do.
class etcd_cluster {
public:
  etcd_cluster();
  /// With commas.
  [[nodiscard]] std::string urls() const;
  [[nodiscard]] etcd_server& at(std::size_t number) { return *servers_.at(number); }

private:
  std::array<std::unique_ptr<etcd_server>, 3> servers_;
};

/// One for the tests that do it no harm; each takes a prefix of its own.
[[nodiscard]] etcd_server& shared_etcd();

}  // namespace millrace::testing
