// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <nlohmann/json.hpp>

#include "command_line.h"
#include "http/sse.h"

namespace millrace::gateway::cli {
namespace {

using http::has;

std::size_t number_in(const http::request& asked, std::string_view name, std::size_t fallback) {
  const auto text = asked.query(name).value_or("");
  std::size_t number = fallback;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// A server with one run of `count` tasks `t0`, `t1`, ... that have ended; the log of each is its
// name. It gives at most 1,000 tasks at a time, as the real one does of pipelines and runs.
struct with_tasks {
  explicit with_tasks(std::size_t count)
      : on{[this, count](http::request& asked, http::reply answer) {
          const auto path = std::string{asked.path()};
          ++requests;
          if (path.ends_with("/r/logs")) {
            http::response lines;
            lines.content_type = "application/x-ndjson";
            lines.body = log_of_all(count);
            answer.send(std::move(lines));
          } else if (path.ends_with("/logs")) {
            const auto name = std::string{asked.segment(asked.segment_count() - 2)};
            name == missing_log ? answer.fail({runtime::errc::not_found, "the log is gone"})
                                : answer.send(http::text(200, name + "\n"));
          } else if (path.ends_with("/tasks")) {
            answer.send(http::json(
                200, page(count, number_in(asked, "cursor", 0),
                          std::min<std::size_t>(number_in(asked, "limit", 1'000), 1'000))));
          } else if (path.ends_with("/events")) {
            auto out = http::event_stream::open(std::move(answer));
            out.event("1", "end", "{}");
            out.raw().close();
          } else if (path.ends_with("/pipelines/p")) {
            answer.send(
                http::json(200, R"({"definition":{"name":"p","tasks":[{"name":"t","run":"x"}]}})"));
          } else {
            answer.send(http::json(200, R"({"id":"r","state":"succeeded","tasks":{}})"));
          }
        }} {}

  static std::string page(std::size_t count, std::size_t from, std::size_t limit) {
    std::string rows;
    const auto end = std::min(count, from + limit);
    for (auto at = from; at < end; ++at) {
      const auto name = "t" + std::to_string(at);
      rows += (rows.empty() ? "" : ",") +
              (R"({"state":"succeeded","attempt":1,"name":"t","id":")" + name) + "\"}";
    }
    return R"({"tasks":[)" + rows + R"(],"next_cursor":")" +
           (end < count ? std::to_string(end) : std::string{}) + "\"}";
  }

  std::string log_of_all(std::size_t count) const {
    std::string lines;
    for (std::size_t at = 0; at < count; ++at) {
      const auto name = "t" + std::to_string(at);
      lines += nlohmann::json{{"task", name},
                              {"attempt", 1},
                              {"stream", "stderr"},
                              {"time", "2026-01-31T08:00:00Z"},
                              {name == missing_log ? "error" : "text", name}}
                   .dump() +
               "\n";
    }
    return lines;
  }

  std::string missing_log;
  std::atomic<int> requests = 0;
  http::running on;
};

auto lines_of(const std::string& text) {
  return std::count(text.begin(), text.end(), '\n');
}

}  // namespace

TEST_CASE("a list of an older server has the columns that it knows, and other refusals stay") {
  std::atomic<int> asked_for = 0;
  std::atomic<bool> is_old = true;
  http::running on{[&](http::request& asked, http::reply answer) {
    ++asked_for;
    if (asked.query("details")) {
      answer.fail({runtime::errc::invalid_argument,
                   is_old ? "unknown query parameter 'details'; known are: cursor, limit"
                          : "query parameter 'limit' is wrong"});
    } else {
      answer.send(http::json(
          200,
          R"({"pipelines":[{"id":"p","registered_at":"2026-01-01T00:00:00Z"}],"next_cursor":""})"));
    }
  }};
  const auto old = command_line(on, {"list", "pipelines"});
  CHECK(old.code == exit_code::ok);
  CHECK(has(old.errors, "the server is older"));
  CHECK(has(old.output, "REGISTERED"));
  CHECK_FALSE(has(old.output, "VERSION"));
  CHECK_FALSE(has(old.output, "LATEST"));
  CHECK(asked_for == 2);
  is_old = false;
  const auto wrong = command_line(on, {"list", "pipelines"});
  CHECK(has(wrong.errors, "'limit' is wrong"));
  CHECK(asked_for == 3);
}

TEST_CASE("a list that comes back to the same page is not read for ever") {
  http::running on{[](http::request&, http::reply answer) {
    answer.send(http::json(200, R"({"tasks":[{"id":"t","state":"failed"}],"next_cursor":"t"})"));
  }};
  const auto all = command_line(on, {"list", "tasks", "r", "--limit", "100000"});
  CHECK(has(all.errors, "the list of the server does not go on after 't'"));
  CHECK(all.code != exit_code::ok);
}

TEST_CASE("list shows a thousand rows, says when there are more, and pages up to the limit") {
  with_tasks some{1'000};
  const auto all = command_line(some.on, {"list", "tasks", "r", "-o", "name"});
  CHECK(all.code == exit_code::ok);
  CHECK(lines_of(all.output) == 1'000);
  CHECK(all.errors.empty());

  with_tasks many{2'500};
  const auto first = command_line(many.on, {"list", "tasks", "r", "-o", "name"});
  CHECK(first.code == exit_code::ok);
  CHECK(lines_of(first.output) == 1'000);
  CHECK(first.errors == "millrace: there are more than 1000; --limit N shows more\n");
  const auto whole = command_line(many.on, {"list", "tasks", "r", "-o", "name", "--limit", "2500"});
  CHECK(lines_of(whole.output) == 2'500);
  CHECK(whole.output.ends_with("t2499\n"));
  CHECK(whole.errors.empty());
  const auto few = command_line(many.on, {"list", "tasks", "r", "-o", "name", "--limit", "2"});
  CHECK(few.output == "t0\nt1\n");
  CHECK(has(few.errors, "more than 2"));
  CHECK(has(command_line({"list", "--help"}).output, "(default: 1000)"));
}

TEST_CASE("submit --logs prints the logs of every last task, and tells when one cannot be had") {
  with_tasks many{1'001};
  const auto all = command_line(many.on, {"submit", "p", "--logs"});
  CHECK(all.code == exit_code::ok);
  CHECK(lines_of(all.output) == 1'001);
  CHECK(all.output.ends_with("t1000\n"));

  with_tasks gone{2};
  gone.missing_log = "t0";
  const auto part = command_line(gone.on, {"submit", "p", "--logs"});
  CHECK(part.code == exit_code::not_found);
  CHECK(has(part.errors, "the log is gone"));
}

TEST_CASE("logs of a run are asked for once, and an output that cannot be read hides no other") {
  with_tasks many{1'500};
  const auto all = command_line(many.on, {"logs", "r", "--stderr"});
  CHECK(all.code == exit_code::ok);
  CHECK(lines_of(all.output) == 1'500);
  CHECK(all.output.starts_with("t0    | t0\n"));
  CHECK(many.requests == 3);  // two pages of names, for their width
  const auto timed = command_line(many.on, {"logs", "r", "--timestamps"});
  CHECK(timed.output.starts_with("2026-01-31T08:00:00Z t0    | t0\n"));
  many.missing_log = "t7";
  const auto part = command_line(many.on, {"logs", "r"});
  CHECK(part.code == exit_code::unreachable);
  CHECK(lines_of(part.output) == 1'499);
  CHECK(part.errors == "millrace: the stderr of 't7', attempt 1, cannot be read: t7\n");
  many.missing_log.clear();
  const auto some = command_line(many.on, {"logs", "r", "--stderr", "--grep", "t14.9$"});
  CHECK(some.code == exit_code::ok);
  CHECK(lines_of(some.output) == 10);
  CHECK(has(some.output, "t1429"));
  CHECK(command_line(many.on, {"logs", "r", "--grep", "never"}).code == exit_code::ok);
  const auto wrong = command_line(many.on, {"logs", "r", "--grep", "("});
  CHECK(wrong.code == exit_code::usage);
  CHECK(has(wrong.errors, "--grep: the pattern is no regular expression"));
}

TEST_CASE("get names what it takes") {
  for (const auto& words : {std::vector<std::string>{"run"}, {"runs"}, {"tasks", "r"}}) {
    auto typed = words;
    typed.insert(typed.begin(), "get");
    const auto told = command_line(typed);
    CHECK(told.code == exit_code::usage);
    CHECK(has(told.errors, "get what?"));
  }
  with_tasks some{1};
  CHECK(command_line(some.on, {"get", "run", "r"}).code == exit_code::ok);
  for (const auto& words :
       {std::vector<std::string>{"get", ""}, {"get", "r", ""}, {"cancel", ""}}) {
    CHECK(has(command_line(some.on, words).errors, "a word is empty"));
  }
}

}  // namespace millrace::gateway::cli
