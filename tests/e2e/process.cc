// SPDX-License-Identifier: MIT
#include "e2e/process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

extern char** environ;

namespace millrace::testing {

namespace {

// No command is quiet for so long unless something is wrong.
constexpr int silence_max_ms = 150'000;

struct pipe_pair {
  pipe_pair() { REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0); }
  std::array<int, 2> ends{};
};

pid_t spawn(const std::vector<std::string>& arguments, int input, int output, int errors) {
  std::vector<char*> words;
  std::string program = MILLRACE_PROGRAM;
  words.push_back(program.data());
  auto copies = arguments;
  for (auto& each : copies) {
    words.push_back(each.data());
  }
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  posix_spawn_file_actions_adddup2(&actions, errors, 2);
  pid_t child = -1;
  REQUIRE(posix_spawn(&child, program.c_str(), &actions, nullptr, words.data(), environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  return child;
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

finished_command millrace(const std::vector<std::string>& arguments, const std::string& input) {
  return background_command{arguments, input}.wait();
}

background_command::background_command(const std::vector<std::string>& arguments,
                                       const std::string& input) {
  pipe_pair in;
  pipe_pair out;
  pipe_pair err;
  pid_ = spawn(arguments, in.ends[0], out.ends[1], err.ends[1]);
  streams_ = {out.ends[0], err.ends[0]};
  ::close(in.ends[0]);
  ::close(out.ends[1]);
  ::close(err.ends[1]);
  REQUIRE(::write(in.ends[1], input.data(), input.size()) ==
          static_cast<ssize_t>(input.size()));  // tests write less than a pipe holds
  ::close(in.ends[1]);
}

background_command::~background_command() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    wait_for(pid_);
  }
  for (const auto each : streams_) {
    if (each >= 0) {
      ::close(each);
    }
  }
}

bool background_command::read_some() {
  if (streams_[0] < 0 && streams_[1] < 0) {
    return false;
  }
  std::array<pollfd, 2> waiting{{{streams_[0], POLLIN, 0}, {streams_[1], POLLIN, 0}}};
  int ready = 0;
  while ((ready = ::poll(waiting.data(), waiting.size(), silence_max_ms)) < 0 && errno == EINTR) {
  }
  REQUIRE_MESSAGE(ready > 0,
                  "it says nothing more; so far: " << printed_.output << printed_.errors);
  const std::array<std::string*, 2> into{&printed_.output, &printed_.errors};
  for (std::size_t at = 0; at < waiting.size(); ++at) {
    if (streams_[at] < 0 || waiting[at].revents == 0) {
      continue;
    }
    std::array<char, 65536> chunk;
    const auto size = ::read(streams_[at], chunk.data(), chunk.size());
    if (size <= 0) {
      ::close(std::exchange(streams_[at], -1));
    } else {
      into[at]->append(chunk.data(), static_cast<std::size_t>(size));
    }
  }
  return true;
}

void background_command::read_until(const std::string& text) {
  while (printed_.output.find(text) == std::string::npos &&
         printed_.errors.find(text) == std::string::npos) {
    REQUIRE_MESSAGE(read_some(), printed_.errors);
  }
}

void background_command::signal(int number) const {
  ::kill(pid_, number);
}

finished_command background_command::wait() {
  while (read_some()) {
  }
  printed_.status = wait_for(std::exchange(pid_, -1));
  return printed_;
}

server_process::server_process(const std::filesystem::path& data, const std::string& listen,
                               const std::vector<std::string>& options) {
  pipe_pair err;
  const auto none = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  std::vector<std::string> words{"dev", "--listen", listen, "--data", data.string()};
  words.insert(words.end(), options.begin(), options.end());
  pid_ = spawn(words, none, none, err.ends[1]);
  ::close(none);
  ::close(err.ends[1]);
  errors_ = err.ends[0];
  std::string text;
  std::array<char, 4096> chunk;
  while (text.find("; stop with") == std::string::npos) {
    const auto size = ::read(errors_, chunk.data(), chunk.size());
    REQUIRE_MESSAGE(size > 0, text);
    text.append(chunk.data(), static_cast<std::size_t>(size));
  }
  const auto start = text.find("http://");
  url_ = text.substr(start, text.find(',', start) - start);
  reader_ = std::thread{[this] {
    std::array<char, 4096> more;
    while (::read(errors_, more.data(), more.size()) > 0) {
    }
  }};
}

void server_process::end() {
  reader_.join();  // nobody writes any more
  ::close(std::exchange(errors_, -1));
}

server_process::~server_process() {
  kill();
}

void server_process::kill() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    wait_for(std::exchange(pid_, -1));
    end();
  }
}

int server_process::stop() {
  ::kill(pid_, SIGTERM);
  const auto status = wait_for(std::exchange(pid_, -1));
  end();
  return status;
}

canned_server::canned_server(std::string answer)
    : answer_(std::move(answer)), listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof where;
  REQUIRE(::bind(listening_, reinterpret_cast<sockaddr*>(&where), size) == 0);
  REQUIRE(::listen(listening_, 8) == 0);
  ::getsockname(listening_, reinterpret_cast<sockaddr*>(&where), &size);
  url_ = "http://127.0.0.1:" + std::to_string(ntohs(where.sin_port));
  thread_ = std::thread{[this] { serve(); }};
}

canned_server::~canned_server() {
  ::shutdown(listening_, SHUT_RDWR);  // wakes `accept`
  thread_.join();
  ::close(listening_);
}

void canned_server::serve() {
  for (int client = 0; (client = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
    std::string request;
    std::array<char, 4096> chunk;
    while (request.find("\r\n\r\n") == std::string::npos) {
      const auto got = ::recv(client, chunk.data(), chunk.size(), 0);
      if (got <= 0) {
        break;
      }
      request.append(chunk.data(), static_cast<std::size_t>(got));
    }
    ::send(client, answer_.data(), answer_.size(), MSG_NOSIGNAL);
    ::close(client);
  }
}

}  // namespace millrace::testing
