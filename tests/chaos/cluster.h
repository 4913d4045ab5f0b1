// SPDX-License-Identifier: MIT
// Cluster: silos, gateways and, where it is wanted, an etcd, as processes that can be harmed.
#pragma once

#include <csignal>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "chaos/child.h"
#include "chaos/http_caller.h"
#include "chaos/network.h"

namespace chaos {

struct cluster_wishes {
  std::size_t silos = 3;
  std::size_t gateways = 2;
  bool has_network = false;  ///< Each in a name space of its own, see network.h.
  bool has_etcd = false;     ///< Else they share a directory.
  std::size_t disk_mib = 0;  ///< Of a file system of its own for each silo; 0: none.
  bool silos_answer = true;  ///< Clients ask silos, too, and not gateways only.
  std::filesystem::path room;
  std::string program;  ///< `millrace_chaos_silo`.
};

/// Where clients find somebody who answers. Threading: any.
class addresses {
public:
  void set(std::size_t machine, const std::string& url);
  [[nodiscard]] std::string pick(std::uint64_t random) const;
  /// All that serve.
  [[nodiscard]] std::vector<std::string> all() const;

private:
  mutable std::mutex mutex_;
  std::vector<std::string> urls_;
};

/// One process and its place. It starts again by itself when it ends by itself.
struct machine {
  std::string name;
  std::vector<std::string> words;
  std::filesystem::path data;
  std::filesystem::path log;
  child process;
  bool is_silo = false;
  bool is_wanted = false;   ///< It should run.
  bool is_stopped = false;  ///< By SIGSTOP.
  bool serves = false;
  steady::time_point started_at;
  steady::time_point tried_at;
};

struct cluster_health {
  bool is_known = false;
  std::size_t partitions = 0;
  std::size_t served = 0;  ///< Have an active primary.
  std::size_t whole = 0;   ///< And all copies.
  [[nodiscard]] bool is_served() const {
    return is_known && partitions > 0 && served == partitions;
  }
  [[nodiscard]] bool is_whole() const { return is_known && partitions > 0 && whole == partitions; }
};

/// Threading: one thread, but for `clients`.
class cluster {
public:
  /// Starts it. Errors: throws `std::runtime_error`.
  explicit cluster(cluster_wishes wishes);
  cluster(const cluster&) = delete;
  cluster& operator=(const cluster&) = delete;
  /// Ends all processes, and removes networks and file systems.
  ~cluster();

  /// Looks after the processes for so long: one that serves is found by clients, one that ended
  /// without being told to is started again.
  void attend(std::chrono::milliseconds time);
  /// The same until all processes serve, and all partitions; false after `limit`.
  bool becomes_served(std::chrono::milliseconds limit);
  /// The same until every partition has all its copies, too.
  bool becomes_whole(std::chrono::milliseconds limit);
  [[nodiscard]] cluster_health health();

  // Silos and gateways, by number, the silos first.
  [[nodiscard]] std::size_t size() const { return machines_.size(); }
  [[nodiscard]] std::size_t silos() const { return wishes_.silos; }
  [[nodiscard]] machine& at(std::size_t number) { return *machines_[number]; }
  void start(std::size_t number);
  void kill(std::size_t number);
  /// Clients ask it no more; what they have asked is answered. Then SIGTERM; its exit code, or 128
  /// and the signal that has ended it.
  int end(std::size_t number);
  void stop(std::size_t number);
  void go_on(std::size_t number);
  /// Requires: it does not run.
  void wipe(std::size_t number);
  void fill_disk(std::size_t number) const;
  void free_disk(std::size_t number) const;
  /// How often a silo has said that, in all its lives.
  [[nodiscard]] std::size_t has_said(std::size_t number, std::string_view what) const;

  [[nodiscard]] bool has_etcd() const { return wishes_.has_etcd; }
  void start_etcd();
  child& etcd() { return etcd_; }
  [[nodiscard]] network* net() { return network_.get(); }
  static constexpr const char* etcd_machine = "etcd";

  [[nodiscard]] addresses& clients() { return clients_; }
  /// How many ended by themselves, and the last of what they said.
  [[nodiscard]] std::size_t ended_alone() const { return ended_alone_; }
  [[nodiscard]] const std::vector<std::string>& ends() const { return ends_; }

private:
  void add(const std::string& name, bool is_silo);
  void look_after(std::size_t number);
  bool becomes(bool (cluster_health::*is)() const, std::chrono::milliseconds limit);
  [[nodiscard]] std::string host_of(const std::string& name) const;

  const cluster_wishes wishes_;
  std::unique_ptr<network> network_;
  std::string etcd_port_;
  child etcd_;
  std::vector<std::unique_ptr<machine>> machines_;
  std::vector<std::filesystem::path> mounts_;
  addresses clients_;
  http_caller caller_;
  std::size_t ended_alone_ = 0;
  std::vector<std::string> ends_;
};

}  // namespace chaos
