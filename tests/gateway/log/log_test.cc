// SPDX-License-Identifier: MIT
#include "log/log.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include <vector>

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

TEST_CASE("words for formats and levels are known or not") {
  CHECK(log_format_of("json") == log_format::json);
  CHECK_FALSE(log_format_of("yaml"));
  CHECK(log_level_of("warn") == spdlog::level::warn);
  CHECK_FALSE(log_level_of("warning"));
  CHECK_FALSE(log_level_of(""));
}

}  // namespace millrace::gateway
