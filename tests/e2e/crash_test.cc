// SPDX-License-Identifier: MIT
// The silo killed in the midst of runs.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <random>

#include "e2e/process.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;

// Goal: a run goes on after kill -9 of the silo; no task is lost, no finished task runs again.
// Method: each task appends a line when it starts and when it ends. The server is killed after
// ever different times and started again, until the run has ended. Every task must have ended, and
// none may start after a line of its own end whose report was stored, that is, at most the
// attempts that were running at a kill may be doubled: fewer than the slots for each kill.
TEST_CASE("a run survives kill -9 of its silo at any time") {
  constexpr int width = 60;
  temporary_folder folder;
  const auto journal = folder.path / "journal.log";
  const auto file = folder.path / "pipeline.yaml";
  std::ofstream{file} << "name: crash\ntasks:\n"
                      << "  - name: work\n    for_each: [";
  {
    std::ofstream out{file, std::ios::app};
    for (int at = 0; at < width; ++at) {
      out << (at == 0 ? "" : ",") << at;
    }
    out << "]\n    env: {JOURNAL: " << journal.string() << "}\n"
        << "    run: |\n      echo \"start $MILLRACE_ITEM $MILLRACE_ATTEMPT\" >> \"$JOURNAL\"\n"
        << "      sleep 0.02\n      echo \"end $MILLRACE_ITEM $MILLRACE_ATTEMPT\" >> \"$JOURNAL\"\n"
        << "  - {name: join, needs: [work], run: echo joined}\n";
  }
  std::string run;
  {
    server_process server{folder.path / "data"};
    REQUIRE(millrace({"apply", file.string(), "--server", server.url()}).status == 0);
    const auto submitted = millrace({"submit", "crash", "--server", server.url()});
    REQUIRE(submitted.status == 0);
    run = submitted.output.substr(0, submitted.output.size() - 1);
    server.kill();  // just acknowledged: it must be there
  }
  std::mt19937 random{7};
  int kills = 1;
  for (; kills < 8; ++kills) {
    server_process server{folder.path / "data"};
    // Not a wait for something to happen: the point in time of the kill is the input of this test.
    ::usleep(static_cast<useconds_t>(5'000 + random() % 120'000));
  }
  server_process server{folder.path / "data"};
  const auto watched = millrace({"watch", run, "--server", server.url()});
  CHECK(watched.status == 0);

  std::vector<int> starts(width);
  std::vector<int> ends(width);
  std::ifstream lines{journal};
  std::string what;
  int item = 0;
  int attempt = 0;
  while (lines >> what >> item >> attempt) {
    ++(what == "start" ? starts : ends).at(static_cast<std::size_t>(item));
  }
  int repeated = 0;
  for (std::size_t at = 0; at < width; ++at) {
    CHECK(starts[at] >= 1);
    CHECK(ends[at] >= 1);
    repeated += starts[at] - 1;
  }
  CHECK(repeated <= kills * 4);  // four slots
  CHECK(millrace({"logs", run, "join", "--server", server.url()}).output == "joined\n");
}

// Method: the silo is killed and forgets its processes, so nobody can say how the attempt ended.
TEST_CASE("what a lost attempt wrote is shown though nobody reported its end") {
  temporary_folder folder;
  const auto gate = folder.path / "gate";
  REQUIRE(::mkfifo(gate.c_str(), 0600) == 0);
  const auto file = folder.path / "pipeline.yaml";
  std::ofstream{file} << "name: gated\ntasks:\n  - name: wait\n    retry: never\n"
                      << "    run: echo begun; echo the trouble >&2; cat " << gate.string() << "\n";
  std::string run;
  {
    server_process server{folder.path / "data"};
    REQUIRE(millrace({"apply", file.string(), "--server", server.url()}).status == 0);
    const auto submitted = millrace({"submit", "gated", "--server", server.url()});
    run = submitted.output.substr(0, submitted.output.size() - 1);
    background_command following{{"logs", run, "wait", "-f", "--stderr", "--server", server.url()}};
    following.read_until("the trouble");
    server.kill();
  }
  fs::remove_all(folder.path / "data" / "executor");
  server_process server{folder.path / "data"};
  const auto watched = millrace({"watch", run, "--server", server.url()});
  CHECK(watched.status == 1);
  CHECK(watched.errors.find("`\nbegun\nthe trouble\n") != std::string::npos);
  CHECK(watched.errors.find("task `wait` lost") != std::string::npos);
  const auto shown = millrace({"get", run, "wait", "-o", "json", "--server", server.url()}).output;
  CHECK(shown.find(R"("stdout_tail": "begun\n")") != std::string::npos);
  CHECK(shown.find(R"("stderr_tail": "the trouble\n")") != std::string::npos);
  CHECK(shown.find(R"("stderr_bytes": 12)") != std::string::npos);
}

}  // namespace
}  // namespace millrace::testing
