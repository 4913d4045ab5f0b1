// SPDX-License-Identifier: MIT
// The program as a service: what it tells whoever started it.
#include <doctest/doctest.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "e2e/process.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;

// The end of a service manager; what starts while it is there is told of it.
class notify_socket {
public:
  notify_socket() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const auto path = (folder.path / "notify").string();
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), where.sun_path);
    REQUIRE(::bind(socket_, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    ::setenv("WATCHDOG_USEC", "400000", 1);
  }
  notify_socket(const notify_socket&) = delete;
  notify_socket& operator=(const notify_socket&) = delete;
  ~notify_socket() {
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
    ::close(socket_);
  }

  // What is told next; empty when nothing is for `longest_s`.
  std::string next(int longest_s) {
    const timeval limit{longest_s, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char text[512];
    const auto size = ::recv(socket_, text, sizeof text, 0);
    return size < 0 ? "" : std::string(text, static_cast<std::size_t>(size));
  }

  temporary_folder folder;

private:
  int socket_;
};

// All threads of a child but its first, and the one that writes its log, stand still until the end
// of this.
class stopped_threads {
public:
  explicit stopped_threads(pid_t child) {
    for (const auto& each : fs::directory_iterator{"/proc/" + std::to_string(child) + "/task"}) {
      const pid_t thread = std::stoi(each.path().filename());
      std::string name;
      std::getline(std::ifstream{each.path() / "comm"}, name);
      if (thread != child && name != "log" &&
          ::ptrace(PTRACE_SEIZE, thread, nullptr, nullptr) == 0) {
        threads_.push_back(thread);
        REQUIRE(::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr) == 0);
        REQUIRE(::waitpid(thread, nullptr, __WALL) == thread);
      }
    }
    REQUIRE(threads_.size() > 3);
  }
  stopped_threads(const stopped_threads&) = delete;
  stopped_threads& operator=(const stopped_threads&) = delete;
  ~stopped_threads() {
    for (const auto each : threads_) {
      ::ptrace(PTRACE_DETACH, each, nullptr, nullptr);
    }
  }

private:
  std::vector<pid_t> threads_;
};

constexpr int long_s = 30;

TEST_CASE("a service manager is told when the server serves, that it is well, and when it stops") {
  notify_socket manager;
  background_command server{
      {"dev", "--listen", "127.0.0.1:0", "--data", (manager.folder.path / "data").string()}};
  CHECK(manager.next(long_s).starts_with("READY=1\nSTATUS=serves as http://127.0.0.1:"));
  CHECK(manager.next(long_s) == "WATCHDOG=1");
  CHECK(manager.next(long_s) == "WATCHDOG=1");
  server.signal(SIGTERM);
  auto last = manager.next(long_s);
  while (last == "WATCHDOG=1") {
    last = manager.next(long_s);
  }
  CHECK(last == "STOPPING=1");
  CHECK(server.wait().status == 0);
  CHECK(manager.next(1).empty());
}

// Method: the thread that tells of it goes on, and all others stand still. A watchdog of a timer's
// own would be content with that.
TEST_CASE("the watchdog hears nothing while threads of the server are stuck") {
  notify_socket manager;
  background_command server{
      {"dev", "--listen", "127.0.0.1:0", "--data", (manager.folder.path / "data").string()}};
  CHECK(manager.next(long_s).starts_with("READY=1"));
  {
    const stopped_threads still{server.pid()};
    server.read_until("the watchdog is not told that this process is well: the HTTP server has");
    while (manager.next(1) == "WATCHDOG=1") {  // until then
    }
    CHECK(manager.next(1).empty());
  }
  CHECK(manager.next(long_s) == "WATCHDOG=1");
  server.signal(SIGTERM);
  CHECK(server.wait().status == 0);
}

TEST_CASE("a server takes its settings from a file") {
  temporary_folder folder;
  const auto file = folder.path / "millrace.yaml";
  std::ofstream{file} << "listen: 127.0.0.1:0\ndata: " << (folder.path / "here").string() << "\n";
  background_command server{{"dev", "--config", file.string()}};
  server.read_until("data in " + (folder.path / "here").string());
  server.interrupt();
  CHECK(server.wait().status == 0);
  std::ofstream{file} << "listn: 127.0.0.1:0\n";
  const auto refused = millrace({"dev", "--config", file.string()});
  CHECK(refused.status == 2);
  CHECK(refused.errors.find("did you mean 'listen'?") != std::string::npos);
}

}  // namespace
// Goal: a limit of open files that is lower than what clients may take is told, not met.
TEST_CASE("a server says at the start when its clients do not fit the limit of open files") {
  temporary_folder folder;
  const auto none = millrace({"dev", "--connections", "0", "--data", folder.path.string()});
  CHECK(none.status == 2);
  CHECK(none.errors.find("--connections '0'") != std::string::npos);
  const auto said_with = [&](const std::string& connections) {
    background_command server{{"dev", "--listen", "127.0.0.1:0", "--connections", connections,
                               "--data", (folder.path / "data").string()}};
    server.read_until("serving on ");
    server.interrupt();
    return server.wait().errors;
  };
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit low{1'024, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);  // a server inherits it
  const std::string told = " connections do not fit the limit of 1024 open files: raise that to ";
  CHECK(said_with("10000").find("10000" + told + "10500") != std::string::npos);
  CHECK(said_with("500").find(told) == std::string::npos);
  CHECK(::setrlimit(RLIMIT_NOFILE, &before) == 0);
}

}  // namespace millrace::testing
