// SPDX-License-Identifier: MIT
#include "log/log.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "millrace/runtime/assert.h"

namespace millrace::gateway {
namespace {

struct caught {
  explicit caught(log_format format, spdlog::level::level_enum level = spdlog::level::info)
      : all{format, level, [this](std::string_view line) { lines.emplace_back(line); }} {}
  std::vector<std::string> lines;
  logs all;
};

}  // namespace

TEST_CASE("a person is told plainly, and of trouble when and by whom") {
  caught here{log_format::text};
  here.all.of("gateway.http")->info("serving on {}", "http://127.0.0.1:1");
  here.all.of("runtime")->warn("a turn keeps others waiting actor={}", "a/b");
  here.all.log_of("runtime")("silo is active silo=b");
  REQUIRE(here.lines.size() == 3);
  CHECK(here.lines[0] == "millrace: serving on http://127.0.0.1:1\n");
  CHECK(here.lines[2].starts_with("millrace: 20"));
  CHECK(here.lines[2].ends_with("Z info: runtime: silo is active silo=b\n"));
  CHECK(here.lines[1].starts_with("millrace: 20"));
  CHECK(here.lines[1].ends_with("Z warning: runtime: a turn keeps others waiting actor=a/b\n"));
}

TEST_CASE("a machine is told in an object a line, whatever the text is") {
  caught here{log_format::json};
  here.all.of("actors")->warn("a \"text\"\nof {}", "others \xff\x01");
  REQUIRE(here.lines.size() == 1);
  CHECK(std::count(here.lines[0].begin(), here.lines[0].end(), '\n') == 1);
  const auto read = nlohmann::json::parse(here.lines[0]);
  CHECK(read["level"] == "warn");
  CHECK(read["logger"] == "actors");
  CHECK(read["message"] == "a \"text\"\nof others \xEF\xBF\xBD\x01");
  const std::string time = read["time"];
  CHECK(time.size() == sizeof "2026-01-31T08:00:00.000Z" - 1);
  CHECK(time.ends_with("Z"));
}

TEST_CASE("what is below the level is not written") {
  caught here{log_format::text, spdlog::level::warn};
  here.all.of("a")->debug("1");
  here.all.of("a")->info("2");
  here.all.of("a")->warn("3");
  here.all.of("b")->error("4");
  CHECK(here.lines.size() == 2);
  CHECK(here.all.of("a") == here.all.of("a"));
}

TEST_CASE("a line stays one line, and a terminal only shows it") {
  caught here{log_format::text};
  here.all.of("gateway")->info("one\ntwo \x1b[2J");
  CHECK(here.lines[0] == "millrace: one two  [2J\n");
}

// A text of others is no format.
TEST_CASE("a layer below warns through its module's logger") {
  caught here{log_format::text};
  const auto warn = here.all.warn_of("runtime");
  warn("the key is {} {0} %s");
  REQUIRE(here.lines.size() == 1);
  CHECK(here.lines[0].ends_with(" warning: runtime: the key is {} {0} %s\n"));
}

// Method: a child, whose standard error is read. It has more lines to tell than its thread has told
// when the assertion fails.
TEST_CASE("what was logged before a failed assertion is written, and before its words") {
  constexpr int lines = 50;
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const auto child = ::fork();
  if (child == 0) {
    ::signal(SIGABRT, SIG_DFL);  // not the test's own report
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[1]);
    logs told{log_format::text, spdlog::level::info};
    const auto logger = told.of("m");
    for (int at = 0; at < lines; ++at) {
      logger->warn("line {}", at);
    }
    MILLRACE_ASSERT(child != 0);
  }
  REQUIRE(child > 0);
  ::close(ends[1]);
  std::string all;
  std::array<char, 4096> part{};
  for (ssize_t count = 0; (count = ::read(ends[0], part.data(), part.size())) > 0;) {
    all.append(part.data(), static_cast<std::size_t>(count));
  }
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
  CAPTURE(all);
  const auto last = all.find("m: line " + std::to_string(lines - 1) + "\n");
  REQUIRE(last != std::string::npos);
  CHECK(all.find("assertion failed: child != 0") > last);
}

TEST_CASE("words for formats and levels are known or not") {
  CHECK(log_format_of("json") == log_format::json);
  CHECK_FALSE(log_format_of("yaml"));
  CHECK(log_level_of("warn") == spdlog::level::warn);
  CHECK_FALSE(log_level_of("warning"));
  CHECK_FALSE(log_level_of(""));
}

}  // namespace millrace::gateway
