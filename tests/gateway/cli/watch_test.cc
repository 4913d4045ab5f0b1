// SPDX-License-Identifier: MIT
#include "cli/watch.h"

#include <doctest/doctest.h>

#include <atomic>
#include <numeric>

#include "cli/reconnects.h"
#include "command_line.h"
#include "http/sse.h"
#include "mute_server.h"

namespace millrace::gateway::cli {
namespace {

using namespace std::chrono_literals;
using http::has;

const auto ended_run = R"({"id":"r","state":"succeeded","tasks":{"total":1}})";

// Ends `streams` streams as `cut` likes before the one that brings the run's end.
struct restarting {
  explicit restarting(int streams, void (*cut)(http::reply))
      : on{[this, streams, cut](http::request& asked, http::reply answer) {
          if (!asked.path().ends_with("/events")) {
            answer.send(http::json(200, ended_run));
          } else if (asked_for++ < streams) {
            cut(std::move(answer));
          } else {
            auto out = http::event_stream::open(std::move(answer));
            out.event("1", "end", "{}");
            out.raw().close();
          }
        }} {}
  std::atomic<int> asked_for{0};
  http::running on;
};

}  // namespace

TEST_CASE("the waits between reconnects grow, and end after half a minute of nothing") {
  reconnects tried;
  std::vector<std::chrono::milliseconds> waits;
  while (const auto wait = tried.after(pass::nothing, 0ms)) {
    waits.push_back(*wait);
  }
  REQUIRE(waits.size() > 6);
  CHECK(waits[0] == 100ms);
  CHECK(waits[1] == 200ms);
  CHECK(waits[4] == 1600ms);
  CHECK(waits[5] == 2000ms);
  CHECK(waits[6] == 2000ms);
  CHECK(std::accumulate(waits.begin(), waits.end(), 0ms) == reconnects::patience);
  CHECK_FALSE(tried.after(pass::nothing, 0ms));
  CHECK(tried.after(pass::something, 9s) == 100ms);
  CHECK(tried.after(pass::nothing, 0ms) == 200ms);
}

TEST_CASE("passes that bring nothing count among what is waited, however long they take") {
  reconnects tried;
  CHECK(tried.after(pass::nothing, 10s) == 100ms);
  CHECK(tried.after(pass::nothing, 10s) == 200ms);
  CHECK(tried.after(pass::nothing, 9'650ms) == 50ms);
  CHECK_FALSE(tried.after(pass::nothing, 0ms));
}

// Goal: a server that is going down, and what stands before it, do not end a watch or spin it.
// Method: three streams end at once in each of the ways; the pauses after them are 0.1, 0.2 and 0.4
// s.
TEST_CASE("watch comes back after a pause, however its stream ended") {
  for (auto* const cut :
       {+[](http::reply answer) { http::event_stream::open(std::move(answer)).raw().close(); },
        +[](http::reply answer) {
          answer.fail({runtime::errc::unavailable, "stopping"});
        },
        +[](http::reply answer) { answer.send(http::text(502, "proxy")); }}) {
    restarting server{3, cut};
    const auto start = std::chrono::steady_clock::now();
    const auto left = command_line(server.on, {"watch", "r"});
    CHECK(left.code == exit_code::ok);
    CHECK(server.asked_for == 4);
    CHECK(std::chrono::steady_clock::now() - start >= 700ms);
  }
}

TEST_CASE("watch does not come back to a run that is not there, to another program, or to nobody") {
  restarting missing{1'000, [](http::reply answer) {
                       answer.fail({runtime::errc::not_found, "no such run"});
                     }};
  CHECK(command_line(missing.on, {"watch", "r"}).code == exit_code::not_found);
  CHECK(missing.asked_for == 1);
  restarting page{1'000, [](http::reply answer) { answer.send(http::text(200, "hello")); }};
  const auto left = command_line(page.on, {"watch", "r"});
  CHECK(left.code == exit_code::unreachable);
  CHECK(has(left.errors, "no millrace server at"));
  CHECK(page.asked_for == 1);
  const auto nobody = command_line({"watch", "r", "--server", "http://127.0.0.1:1"});
  CHECK(nobody.code == exit_code::unreachable);
  CHECK_FALSE(has(nobody.errors, "gave up"));
}

// Goal: who waits for a run whose partition lost its copies is told so, once, and when it goes on.
// Method: the refusals that a gateway answers while it is so; in between the cluster is asked.
TEST_CASE("a wait says that it waits for the cluster, for what, and that it goes on") {
  const std::string health = R"({"health":"down","partitions":256,"partitions_down":84,)"
                             R"("partitions_data_lost":0,"partitions_refusing_writes":0,)"
                             R"("partitions_single_copy":0,"partitions_under_replicated":0,)"
                             R"("copies":3,"silos_for_copies":1,"losses":[]})";
  using runtime::errc;
  const std::vector<std::pair<errc, std::string>> refusals{
      {errc::not_enough_replicas, "the partition has 1 of at least 2 copies"},
      {errc::deadline_exceeded, "the cluster is not whole: 84 of 256 partitions have no leader"}};
  for (const auto& [code, words] : refusals) {
    std::atomic<int> refused = 0;
    http::running on{[&, code = code](http::request& asked, http::reply answer) {
      if (asked.path() == "/api/v1/cluster/health") {
        answer.send(http::json(200, health));
      } else if (refused++ < 2) {
        answer.fail({code, "the partition has 1 of at least 2 copies"});
      } else if (!asked.path().ends_with("/events")) {
        answer.send(http::json(200, ended_run));
      } else {
        auto out = http::event_stream::open(std::move(answer));
        out.event("1", "end", "{}");
        out.raw().close();
      }
    }};
    const auto left = command_line(on, {"watch", "r", "--progress", "quiet"});
    CHECK(left.code == exit_code::ok);
    const auto all = "millrace: waiting for run r: " + words + "\nmillrace: run r goes on\n";
    CHECK(left.errors.substr(0, all.size()) == all);
  }
}

TEST_CASE("a wait with a timeout ends in time, whether the server is quiet or away") {
  for (auto* const cut : {+[](http::reply answer) {
                            auto kept = std::make_shared<http::event_stream>(
                                http::event_stream::open(std::move(answer)));
                            kept->raw().on_closed([kept] {});  // open until the client leaves
                          },
                          +[](http::reply answer) {
                            answer.fail({runtime::errc::unavailable, "stopping"});
                          }}) {
    restarting server{1'000, cut};
    const auto left = command_line(server.on, {"watch", "r", "--timeout", "300ms"});
    CHECK(left.code == exit_code::wait_timed_out);
    CHECK(has(left.errors, "run r has not ended within 300ms; it goes on"));
  }
}

// Goal: that the number of tasks is asked for does not outlast the wait.
// Method: the run is told once; then its events come, and nothing else.
TEST_CASE("a wait on a terminal ends in time when the server tells no total") {
  std::atomic<int> asked_for = 0;
  http::running on{[&](http::request& asked, http::reply answer) {
    if (asked.path().ends_with("/events")) {
      auto kept = std::make_shared<http::event_stream>(http::event_stream::open(std::move(answer)));
      kept->event("1", "task", R"({"run_state":"running","task":"t","state":"running"})");
      kept->raw().on_closed([kept] {});  // open until the client leaves
    } else if (asked_for++ == 0) {
      answer.send(http::json(200, ended_run));
    } else {
      auto kept = std::make_shared<http::event_stream>(http::event_stream::open(std::move(answer)));
      kept->raw().on_closed([kept] {});
    }
  }};
  const auto start = std::chrono::steady_clock::now();
  const auto left = command_line(on, {"watch", "r", "--progress", "tty", "--timeout", "1s"});
  CHECK(left.code == exit_code::wait_timed_out);
  CHECK(asked_for == 2);
  CHECK(std::chrono::steady_clock::now() - start < 9s);  // an answer is waited for for ten
}

// Method: the last one opens what might be a stream.
TEST_CASE("watch ends after one pass when somebody listens and nobody answers") {
  for (const auto* begin : {"", "HTTP/1.1 200 OK\r\nX-Pad: ", "HTTP/1.1 200 OK\r\n\r\n"}) {
    const mute_server there{begin};
    auto server = there.asked();
    CHECK(watch(server, "r", progress_mode::quiet, std::nullopt) == exit_code::unreachable);
    CHECK(there.connections(2) == 2);  // for the run, and for how the cluster is
  }
}

TEST_CASE("a timeout is refused before anything is asked for") {
  restarting server{0, nullptr};
  for (const auto& words :
       std::vector<std::vector<std::string>>{{"watch", "r", "--timeout", "5"},
                                             {"watch", "r", "--timeout", "-1s"},
                                             {"submit", "p", "--wait", "--timeout", "soon"},
                                             {"submit", "p", "--timeout", "5s"}}) {
    const auto left = command_line(server.on, words);
    CHECK(left.code == exit_code::usage);
    CHECK(has(left.errors, "--timeout"));
  }
  CHECK(server.asked_for == 0);
}

}  // namespace millrace::gateway::cli
