// SPDX-License-Identifier: MIT
// What a gateway tells whose process has no executor: the output lies elsewhere.
#include <sys/stat.h>

#include <fstream>

#include "gateway/api/served_node.h"

namespace millrace::gateway {
namespace {

TEST_CASE("a gateway without an executor reads logs where the attempts ran") {
  served_node here{served_node::executor::elsewhere};
  const auto logs = "/api/v1/runs/" + here.finished_run() + "/tasks/say/logs";
  const auto whole = here.send(method::get, logs);
  CHECK(whole.status == 200);
  CHECK(whole.body == "hello world\n");
  CHECK(whole.headers.find("Log-Attempt") == "1");
  CHECK(here.send(method::get, logs + "?follow=true").body == "hello world\n");
  CHECK(here.send(method::get, logs + "?stream=stderr").body.empty());
  CHECK(here.send(method::get, logs + "?offset=6").body == "world\n");
  CHECK(here.send(method::get, logs + "?tail=1").body == "hello world\n");
  CHECK(here.send(method::get, logs + "?tail=0").body.empty());
  CHECK(here.send(method::get, "/readyz").status == 200);
  const auto metrics = here.send(method::get, "/metrics").body;
  CHECK(metrics.find("millrace_executor") == std::string::npos);
  CHECK(metrics.find("millrace_gateway_files_busy_seconds") != std::string::npos);
}

TEST_CASE("a long log comes in pieces from elsewhere, and so does its end") {
  served_node here{served_node::executor::elsewhere};
  here.ask(method::put, "/api/v1/projects/p/pipelines/long", 201,
           "name: long\ntasks: [{name: a, run: 'echo first; head -c 1000000 /dev/zero | tr "
           "\\\\0 x'}]\n");
  const auto logs = "/api/v1/runs/" + here.finished_run("long") + "/tasks/a/logs";
  CHECK(here.send(method::get, logs).body == "first\n" + std::string(1'000'000, 'x'));
  const auto tail = here.send(method::get, logs + "?tail=1");
  CHECK(tail.headers.find("Log-Offset") == "6");
  CHECK(tail.body == std::string(1'000'000, 'x'));
}

// Method: once the first of it has come the log is removed, and then becomes unreadable; much of it
// is still to come.
TEST_CASE("a log that breaks off does not look whole, from here and from elsewhere") {
  for (const auto where : {served_node::executor::own, served_node::executor::elsewhere}) {
    served_node here{where};
    here.ask(method::put, "/api/v1/projects/p/pipelines/long", 201,
             "name: long\ntasks: [{name: a, run: 'head -c 40000000 /dev/zero | tr \\\\0 x'}]\n");
    const auto run = here.finished_run("long");
    // What has written nothing is whole, from wherever it is asked for.
    const auto none =
        here.send(method::get, "/api/v1/runs/" + run + "/tasks/a/logs?stream=stderr&offset=5");
    CHECK(none.status == 200);
    CHECK(none.body.empty());
    const auto folder = here.folder() / "logs" / run;
    std::size_t got = 0;
    auto client = here.another_client();
    const auto read = client.stream(method::get, "/api/v1/runs/" + run + "/tasks/a/logs", {}, {},
                                    [&](std::string_view piece) {
                                      if (std::exchange(got, got + piece.size()) == 0) {
                                        const auto log = folder / (run + ".a.A1.stdout");
                                        CHECK(std::filesystem::remove(log));
                                        std::filesystem::create_symlink(log, log);
                                      }
                                      return http::flow::more;
                                    });
    CHECK_FALSE(read);
    CHECK(got > 0);
    CHECK(got < 40'000'000);
  }
}

// Method: the command says a word when the test has read the one before, so the reader must wait
// for each where it is written.
TEST_CASE("a log elsewhere is followed as it grows, to its end") {
  served_node here{served_node::executor::elsewhere};
  const auto gate = here.folder() / "gate";
  REQUIRE(::mkfifo(gate.c_str(), 0600) == 0);
  here.ask(
      method::put, "/api/v1/projects/p/pipelines/slow", 201,
      "name: slow\ntasks: [{name: a, run: 'echo one; cat " + gate.string() + "; echo three'}]\n");
  const std::string run =
      here.ask(method::post, "/api/v1/projects/p/pipelines/slow/runs", 201)["id"];
  std::string text;
  auto told = false;
  auto client = here.another_client();
  const auto done = client.stream(method::get, "/api/v1/runs/" + run + "/tasks/a/logs?follow=true",
                                  {}, {}, [&](std::string_view piece) {
                                    text += piece;
                                    if (text == "one\n" && !std::exchange(told, true)) {
                                      std::ofstream{gate} << "two\n";
                                    }
                                    return http::flow::more;
                                  });
  REQUIRE(done);
  CHECK(text == "one\ntwo\nthree\n");
}

}  // namespace
}  // namespace millrace::gateway
