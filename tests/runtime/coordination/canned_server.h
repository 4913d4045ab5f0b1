// SPDX-License-Identifier: MIT
// An HTTP server that gives canned answers by target, for what no real etcd does on demand.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace millrace::testing {

/// Threading: any thread. Serves one connection after the other.
class canned_server {
public:
  explicit canned_server(std::map<std::string, std::string> answers);
  canned_server(const canned_server&) = delete;
  canned_server& operator=(const canned_server&) = delete;
  ~canned_server();

  [[nodiscard]] const std::string& url() const { return url_; }
  void answer(const std::string& target, std::string body);
  /// How many requests had that text in them.
  [[nodiscard]] std::size_t requests_with(const std::string& text);
  /// From now on it takes connections, and answers nothing.
  void fall_silent();

private:
  void serve();
  void serve_one(int connection);

  std::mutex mutex_;
  std::map<std::string, std::string> answers_;
  std::vector<std::string> requests_;
  bool is_silent_ = false;
  int listening_ = -1;
  std::string url_;
  std::vector<int> silent_;
  std::thread thread_;
};

}  // namespace millrace::testing
