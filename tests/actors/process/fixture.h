// SPDX-License-Identifier: MIT
// A supervisor over a scratch directory, and waiting for what it reports without sleeping.
#pragma once

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <future>
#include <memory>
#include <set>
#include <string>

#include "millrace/actors/process.h"
#include "millrace/actors/process_log.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::actors::testing {

using namespace std::chrono_literals;
using runtime::errc;
using runtime::unique_fd;

/// Long enough for a loaded machine; no test takes that long unless it fails.
inline constexpr auto patience = 60s;

/// A new empty directory, removed with its owner.
class scratch_directory {
public:
  scratch_directory() {
    std::string name = (std::filesystem::temp_directory_path() / "millrace-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  ~scratch_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
};

/// The value, or a failed test after `patience`.
template <class T>
T await(std::future<T> future) {
  REQUIRE(future.wait_for(patience) == std::future_status::ready);
  return future.get();
}

/// A running process that is not a child of ours; tells of its death.
class witness {
public:
  explicit witness(pid_t pid) : pidfd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}

  [[nodiscard]] bool found() const { return static_cast<bool>(pidfd_); }
  /// Waits up to `limit`; a process that was not found is dead.
  [[nodiscard]] bool dies_within(std::chrono::milliseconds limit = patience) const {
    pollfd waiting{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    return !found() || ::poll(&waiting, 1, static_cast<int>(limit.count())) == 1;
  }

private:
  unique_fd pidfd_;
};

/// The children of this process, dead or alive.
inline std::set<pid_t> children_of_ours() {
  std::set<pid_t> pids;
  for (const auto& task : std::filesystem::directory_iterator{"/proc/self/task"}) {
    std::ifstream list{task.path() / "children"};
    for (pid_t pid = 0; list >> pid;) {
      pids.insert(pid);
    }
  }
  return pids;
}

struct fixture {
  scratch_directory directory;
  runtime::system_clock clock;
  std::unique_ptr<process_supervisor> supervisor;

  fixture() { open(); }

  void open(process_options options = {}) {
    supervisor.reset();
    options.state_directory = directory.path() / "state";
    auto opened = process_supervisor::open(std::move(options), clock);
    REQUIRE(opened);
    supervisor = std::move(opened).value();
  }

  process_spec spec(std::string token, std::vector<std::string> argv) const {
    process_spec made;
    made.token = std::move(token);
    made.argv = std::move(argv);
    made.environment = {"PATH=/usr/bin:/bin"};
    made.working_directory = directory.path();
    return made;
  }

  process_spec shell(std::string token, std::string text) const {
    return spec(std::move(token), shell_command(std::move(text), {"/bin/sh", "-c"}));
  }

  std::future<process_exit> start(process_spec what) const {
    auto promise = std::make_shared<std::promise<process_exit>>();
    const auto started = supervisor->start(
        std::move(what), [promise](process_exit report) { promise->set_value(std::move(report)); });
    if (!started) {
      FAIL(started.error().to_string());
    }
    return promise->get_future();
  }

  process_exit run(process_spec what) const { return await(start(std::move(what))); }

  runtime::error refusal(process_spec what) const {
    const auto started = supervisor->start(std::move(what), [](process_exit) {});
    REQUIRE_FALSE(started);
    return started.error();
  }

  log_file log(const std::string& token,
               output_stream stream = output_stream::standard_output) const {
    auto opened = supervisor->open_log(token, stream);
    if (!opened) {
      FAIL(opened.error().to_string());
    }
    return *std::move(opened);
  }

  /// The first `count` bytes of a standard output that is being written.
  std::string read_growing(const std::string& token, std::size_t count) const {
    std::string bytes;
    while (bytes.size() < count) {
      auto promise = std::make_shared<std::promise<log_event>>();
      REQUIRE(supervisor->watch_log(token, output_stream::standard_output, bytes.size(),
                                    [promise](log_event event) { promise->set_value(event); }));
      const auto event = await(promise->get_future());
      const auto chunk = log(token).read(bytes.size(), count - bytes.size());
      REQUIRE(chunk);
      bytes += chunk->bytes;
      if (event == log_event::ended) {
        break;
      }
    }
    return bytes;
  }

  /// The process id that a running command prints with `printf '%8d'`.
  pid_t printed_pid(const process_spec& what) const {
    return std::stoi(read_growing(what.token, 8));
  }
};

}  // namespace millrace::actors::testing
