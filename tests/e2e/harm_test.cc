// SPDX-License-Identifier: MIT
// Tasks that do harm, through the whole program: the server goes on, ends when told to, and starts
// again on what they left.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <fstream>

#include "e2e/process.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;

// $D is the directory of the attempt.
constexpr const char* harms[] = {
    "rm -f \"$MILLRACE_OUTPUT\"; mkfifo \"$MILLRACE_OUTPUT\"",
    "rm -f \"$D/stdout\" \"$D/stderr\"; mkfifo \"$D/stdout\" \"$D/stderr\"; echo said",
    "ln -sf /etc/passwd \"$MILLRACE_OUTPUT\"",
    "rm -r \"$D\"; mkfifo \"$D\"",
    "cd /; rm -r \"$MILLRACE_WORKSPACE\"; ln -s / \"$MILLRACE_WORKSPACE\"",
    "cd /; rm -r \"$MILLRACE_WORKSPACE\"; mkfifo \"$MILLRACE_WORKSPACE\"",
    "cd /; rm -r \"$MILLRACE_WORKSPACE\"; : > \"$MILLRACE_WORKSPACE\"",
    "cd /; rm -r \"$MILLRACE_WORKSPACE\"; mknod \"$MILLRACE_WORKSPACE\" c 1 5",
    "cd /; rm -r \"$MILLRACE_WORKSPACE\"; "
    "python3 -c 'import os, socket; socket.socket(1).bind(os.environ[\"MILLRACE_WORKSPACE\"])'",
    ": > \"$D/../../executor/attempts\"",
    "cd \"$D/../../executor\"; rm attempts name; mkfifo attempts name name.new",
    "truncate -s 1T \"$MILLRACE_OUTPUT\" \"$D/stdout\"",
    "setsid sleep 600 & exit 0",
    "chmod 000 \"$D\" \"$MILLRACE_WORKSPACE\"",
};

// Method: each harm is done in a run of its own, and two of them by tasks that still run when the
// server is told to stop, and when it is killed. A run beside them must always go well.
TEST_CASE("a server outlasts what tasks do to their files and processes") {
  temporary_folder folder;
  const auto data = folder.path / "data";
  std::size_t count = 0;
  const auto apply = [&](const std::string& name, const std::string& text, const std::string& url) {
    const auto file = folder.path / (name + ".yaml");
    std::ofstream{file} << "name: " << name
                        << "\ntasks:\n  - name: a\n    timeout: 60s\n    run: |\n"
                        << "      D=$(dirname \"$MILLRACE_OUTPUT\")\n      " << text << "\n";
    REQUIRE(millrace({"apply", file.string(), "--server", url}).status == 0);
  };
  const auto goes_on = [&](const std::string& url) {
    const auto name = "well" + std::to_string(++count);
    apply(name, "echo well", url);
    const auto ran = millrace({"submit", name, "--logs", "--server", url});
    CAPTURE(ran.errors);
    CHECK(ran.status == 0);
    CHECK(ran.output.find("well\n") != std::string::npos);
  };
  // Still there when the server ends, and started again by the next one.
  const auto leave_running = [&](const std::string& harm, const std::string& url) {
    const auto name = "left" + std::to_string(++count);
    apply(name, harm + "; echo begun; sleep 600", url);
    const auto run = millrace({"submit", name, "--server", url}).output;
    background_command following{
        {"logs", run.substr(0, run.size() - 1), "a", "-f", "--server", url}};
    following.read_until("begun");
  };
  {
    server_process server{data};
    for (const auto* harm : harms) {
      CAPTURE(harm);
      const auto name = "harm" + std::to_string(++count);
      apply(name, harm, server.url());
      CHECK(millrace({"submit", name, "--wait", "--server", server.url()}).status <= 1);
      goes_on(server.url());
    }
    leave_running(harms[0], server.url());
    const auto begun = std::chrono::steady_clock::now();
    CHECK(server.stop() == 0);
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds{28});
  }
  {
    server_process server{data};
    leave_running(harms[1], server.url());
    leave_running("cd \"$D/../../executor\"; rm -f attempts; mkfifo attempts", server.url());
    server.kill();
  }
  server_process server{data};
  goes_on(server.url());
  CHECK(server.stop() == 0);
}

}  // namespace
}  // namespace millrace::testing
