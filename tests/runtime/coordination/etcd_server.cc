// SPDX-License-Identifier: MIT
#include "etcd_server.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace millrace::testing {

reserved_port::reserved_port() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const int yes = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* at = reinterpret_cast<sockaddr*>(&address);
  REQUIRE(::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0);
  REQUIRE(::bind(socket_, at, size) == 0);
  REQUIRE(::getsockname(socket_, at, &size) == 0);
  number_ = std::to_string(ntohs(address.sin_port));
}

reserved_port::~reserved_port() {
  ::close(socket_);
}

etcd_server::etcd_server(std::vector<std::string> more, std::string scheme)
    : more_(std::move(more)), scheme_(std::move(scheme)), members_(peer()) {
  start();
}

// They may be slow to hear each other on a busy machine.
etcd_server::etcd_server(member_tag, std::string name)
    : more_{"--heartbeat-interval=50", "--election-timeout=500"}, name_(std::move(name)) {}

etcd_server::~etcd_server() {
  kill();
}

void etcd_server::launch() {
  const auto client = scheme_ + "://127.0.0.1:" + port_.number();
  const auto peer = "http://127.0.0.1:" + peer_port_.number();
  // A short election: there is one member, and after each start it waits for as long.
  std::vector<std::string> words{"etcd",
                                 "--name=" + name_,
                                 "--data-dir=" + (folder_.path / "data").string(),
                                 "--listen-client-urls=" + client,
                                 "--advertise-client-urls=" + client,
                                 "--listen-peer-urls=" + peer,
                                 "--initial-advertise-peer-urls=" + peer,
                                 "--initial-cluster=" + members_,
                                 "--heartbeat-interval=10",
                                 "--election-timeout=100",
                                 "--logger=zap"};
  words.insert(words.end(), more_.begin(), more_.end());
  std::vector<char*> arguments;
  for (auto& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);

  std::array<int, 2> log{};
  REQUIRE(::pipe2(log.data(), O_CLOEXEC) == 0);
  is_serving_ = has_ended_ = false;
  const auto parent = ::getpid();
  pid_ = ::fork();
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(log[1], STDOUT_FILENO);
    ::dup2(log[1], STDERR_FILENO);
    if (::getppid() == parent) {
      ::execvp(arguments[0], arguments.data());
      ::dprintf(STDERR_FILENO, "no etcd here: install Debian's etcd-server\n");
    }
    ::_exit(127);
  }
  ::close(log[1]);
  drain_ = std::thread{[this, end = log[0]] { drain(end); }};
}

void etcd_server::await() {
  std::unique_lock lock{mutex_};
  changed_.wait_for(lock, std::chrono::seconds{30}, [this] { return is_serving_ || has_ended_; });
  if (!is_serving_) {
    const auto text = log_;
    lock.unlock();
    kill();
    FAIL("etcd does not serve: " << text);
  }
}

void etcd_server::drain(int log) {
  std::array<char, 4096> piece{};
  for (ssize_t size = 0; (size = ::read(log, piece.data(), piece.size())) > 0;) {
    const std::lock_guard lock{mutex_};
    log_.append(piece.data(), static_cast<std::size_t>(size));
    if (log_.find("serving client traffic") != std::string::npos && !is_serving_) {
      is_serving_ = true;
      changed_.notify_all();
    }
  }
  ::close(log);
  const std::lock_guard lock{mutex_};
  has_ended_ = true;
  changed_.notify_all();
}

void etcd_server::kill() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  if (drain_.joinable()) {
    drain_.join();
  }
  log_.clear();
}

void etcd_server::pause() const {
  ::kill(pid_, SIGSTOP);
  ::waitpid(pid_, nullptr, WUNTRACED);
}

void etcd_server::resume() const {
  ::kill(pid_, SIGCONT);
}

etcd_cluster::etcd_cluster() {
  std::string all;
  for (std::size_t number = 0; number < servers_.size(); ++number) {
    auto& made = servers_.at(number);
    made = std::make_unique<etcd_server>(etcd_server::member_tag{}, "m" + std::to_string(number));
    all += (number == 0 ? "" : ",") + made->peer();
  }
  for (auto& each : servers_) {
    each->join(all);
    each->launch();
  }
  for (auto& each : servers_) {
    each->await();
  }
}

std::string etcd_cluster::urls() const {
  std::string all;
  for (const auto& each : servers_) {
    all += (all.empty() ? "" : ",") + each->url();
  }
  return all;
}

etcd_server& shared_etcd() {
  static etcd_server server;
  return server;
}

}  // namespace millrace::testing
