// SPDX-License-Identifier: MIT
// Following logs over whatever ends a stream before its time.
#include "cli/follow.h"

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <vector>

#include "command_line.h"
#include "mute_server.h"

namespace millrace::gateway::cli {
namespace {

using http::has;

// A server whose task is in the state that `task` says, and whose log requests `logs` answers.
struct log_server {
  std::function<std::string()> task;
  std::function<void(const http::request&, http::reply)> logs;
  std::mutex mutex;
  std::vector<std::string> asked;  // of the log, in order
  http::running on{[this](http::request& received, http::reply answer) {
    if (!received.path().ends_with("/logs")) {
      answer.send(http::json(200, task()));
      return;
    }
    {
      const std::lock_guard lock{mutex};
      asked.emplace_back(received.target().substr(received.target().find('?')));
    }
    logs(received, std::move(answer));
  }};
};

std::string task_in(const std::string& state, int attempts) {
  std::string list;
  for (int each = 1; each <= attempts; ++each) {
    list += (list.empty() ? "" : ",") + (R"({"id":)" + std::to_string(each)) + "}";
  }
  return R"({"id":"t","state":")" + state + R"(","attempts":[)" + list + "]}";
}

void whole(const std::string& text, http::reply answer) {
  auto out = answer.open(200, {});
  out.write(text);
}

}  // namespace

// Method: the first stream is cut off because it is written more than a client may have queued, the
// second is refused; nothing is to be printed twice or missing.
TEST_CASE("a followed log goes on where it was when its stream breaks off") {
  log_server server;
  const std::string text = "one\ntwo\nthree\n";
  std::atomic<int> streams = 0;
  server.task = [&] { return task_in(streams < 3 ? "running" : "succeeded", 1); };
  server.logs = [&](const http::request& received, http::reply answer) {
    const auto from = std::stoul(std::string{received.query("offset").value_or("0")});
    switch (++streams) {
      case 1: {
        const auto out = std::make_shared<http::stream>(answer.open(200, {}));
        out->write(text.substr(from, 5));
        // Two turns of the loop later, when that has left.
        server.on.served.post([&server, out] {
          server.on.served.post([out] { out->write(std::string(2 << 20, 'x')); });
        });
        return;
      }
      case 2:
        answer.fail({runtime::errc::unavailable, "stopping"});
        return;
      default:
        whole(text.substr(from), std::move(answer));
    }
  };
  const auto left = command_line(server.on, {"logs", "r", "t", "-f"});
  CHECK(left.code == exit_code::ok);
  CHECK(left.output == text);
  CHECK(left.errors.empty());
  CHECK(streams == 3);
  CHECK(server.asked.back() == "?stream=stdout&attempt=1&offset=5&follow=true");
}

TEST_CASE("a followed log that breaks off before its first byte goes on") {
  log_server server;
  std::atomic<int> streams = 0;
  server.task = [&] { return task_in(streams < 2 ? "running" : "succeeded", 1); };
  server.logs = [&](const http::request&, http::reply answer) {
    if (++streams == 1) {
      answer.open(200, {}).write(std::string(2 << 20, 'x'));
    } else {
      whole("late\n", std::move(answer));
    }
  };
  const auto left = command_line(server.on, {"logs", "r", "t", "-f"});
  CHECK(left.code == exit_code::ok);
  CHECK(left.output == "late\n");
}

TEST_CASE("a followed log goes on with the next attempt, and says so") {
  log_server server;
  std::atomic<int> streams = 0;
  server.task = [&] {
    return streams == 0   ? task_in("running", 1)
           : streams == 1 ? task_in("backing_off", 1)
                          : task_in("succeeded", 2);
  };
  server.logs = [&](const http::request& received, http::reply answer) {
    ++streams;
    whole("of " + std::string{received.query("attempt").value_or("")} + "\n", std::move(answer));
  };
  const auto left = command_line(server.on, {"logs", "r", "t", "-f", "--stderr"});
  CHECK(left.code == exit_code::ok);
  CHECK(left.output == "of 1\nof 2\n");
  CHECK(left.errors == "millrace: attempt 2 begins\n");
  CHECK(server.asked == std::vector<std::string>{"?stream=stderr&attempt=1&offset=0&follow=true",
                                                 "?stream=stderr&attempt=2&offset=0&follow=true"});
}

TEST_CASE("one attempt is followed to its end and no further") {
  log_server server;
  server.task = [] { return task_in("succeeded", 3); };
  server.logs = [](const http::request&, http::reply answer) { whole("x\n", std::move(answer)); };
  const auto left = command_line(server.on, {"logs", "r", "t", "-f", "--attempt", "2"});
  CHECK(left.code == exit_code::ok);
  CHECK(left.output == "x\n");
  CHECK(server.asked.size() == 1);
}

TEST_CASE("the end of a log is followed from where it ends") {
  log_server server;
  server.task = [] { return task_in("succeeded", 2); };
  server.logs = [](const http::request& received, http::reply answer) {
    if (received.query("tail")) {
      auto out = answer.open(200, {{"Log-Offset", "100"}, {"Log-Attempt", "2"}});
      out.write("last\n");
    } else {
      whole("more\n", std::move(answer));
    }
  };
  const auto left = command_line(server.on, {"logs", "r", "t", "-f", "--tail", "1"});
  CHECK(left.code == exit_code::ok);
  CHECK(left.output == "last\nmore\n");
  CHECK(server.asked ==
        std::vector<std::string>{"?stream=stdout&tail=1",
                                 "?stream=stdout&attempt=2&offset=105&follow=true"});
}

TEST_CASE("a log that there never was, or another program, is not waited for") {
  log_server server;
  server.task = [] { return task_in("skipped", 0); };
  server.logs = [](const http::request&, http::reply answer) {
    answer.fail({runtime::errc::not_found, "the task was never started: no need"});
  };
  const auto left = command_line(server.on, {"logs", "r", "t", "-f"});
  CHECK(left.code == exit_code::not_found);
  CHECK(has(left.errors, "never started"));
  server.task = [] { return std::string{"hello"}; };
  CHECK(command_line(server.on, {"logs", "r", "t", "-f"}).code == exit_code::unreachable);
  CHECK(command_line({"logs", "r", "t", "-f", "--server", "http://127.0.0.1:1"}).code ==
        exit_code::unreachable);
}

TEST_CASE("a log is not followed after one pass when somebody listens and nobody answers") {
  for (const auto* begin : {"", "HTTP/1.1 200 OK\r\nX-Pad: ", "HTTP/1.1 200 OK\r\n\r\n"}) {
    const mute_server there{begin};
    auto server = there.asked();
    CHECK(follow_log(server, {.run = "r", .task = "t"}) == exit_code::unreachable);
    CHECK(there.connections(2) == 2);  // for the task, and for how the cluster is
  }
}

// --- which run a person means --------------------------------------------------------------------

TEST_CASE("a run may be named by the beginning of its id, or as the latest") {
  const std::string a = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
  const std::string b = "0197a1b2-c3d4-7e5f-8a9b-000000000000";
  std::string listed;
  std::string asked;
  http::running on{[&](http::request& received, http::reply answer) {
    if (received.path() == "/api/v1/runs") {
      listed = received.target();
      answer.send(http::json(200, R"({"runs":[{"pipeline":"p","state":"failed","id":")" + a +
                                      R"("},{"id":")" + b + R"("}],"next_cursor":""})"));
    } else if (received.path().ends_with("/tasks")) {
      answer.send(http::json(200, R"({"tasks":[],"next_cursor":""})"));
    } else {
      asked = received.path();
      answer.send(http::json(200, R"({"id":"x","state":"succeeded"})"));
    }
  }};
  CHECK(command_line(on, {"get", "@latest"}).code == exit_code::ok);
  CHECK(listed == "/api/v1/runs?project=default&limit=1");
  CHECK(asked == "/api/v1/runs/" + a);
  CHECK(command_line(on, {"get", "0197a1b2-c3d4-7e5f-8a9b-0c", "--project", "p"}).code ==
        exit_code::ok);
  CHECK(listed == "/api/v1/runs?project=p&limit=11&cursor=0197a1b2-c3d4-7e5f-8a9b-0cffffffffff");
  CHECK(asked == "/api/v1/runs/" + a);

  asked.clear();
  const auto several = command_line(on, {"cancel", "0197"});
  CHECK(several.code == exit_code::usage);
  CHECK(has(several.errors, "more than one run begins with '0197':\n  " + a + "  p  failed"));
  CHECK(has(several.errors, "\n  " + b));
  const auto none = command_line(on, {"retry", "beef"});
  CHECK(none.code == exit_code::not_found);
  CHECK(has(none.errors, "no run of project 'default' begins with 'beef'"));
  CHECK(asked.empty());

  CHECK(command_line(on, {"get", "@last"}).code == exit_code::usage);
  CHECK(asked.empty());

  CHECK(command_line(on, {"cancel", "@latest"}).errors == "cancelling run " + a + "\n");
  CHECK(command_line(on, {"delete", "run", "@latest"}).errors == "deleted run " + a + "\n");

  listed.clear();
  CHECK(command_line(on, {"get", a}).code == exit_code::ok);  // whole: nothing to look for
  CHECK(asked == "/api/v1/runs/" + a);
  CHECK(command_line(on, {"get", "run", "nightly"}).code == exit_code::ok);
  CHECK(listed.empty());
}

}  // namespace millrace::gateway::cli
