// SPDX-License-Identifier: MIT
// Watches of a real server.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "e2e/process.h"

namespace millrace::testing {
namespace {

using json = nlohmann::json;

struct watched_folder {
  temporary_folder top;
  std::filesystem::path path = top.path;

  // Its checks take as long as they like; each line of `versions` is one.
  explicit watched_folder(const std::string& every) {
    std::ofstream{path / "pipeline.yaml"} << R"(name: watching
params: {version: {required: true}}
retention: {runs: 1000}
triggers:
  watch: source
  every: )" << every << R"(
  first: all
  run: 'cat "$VERSIONS"'
  env: {VERSIONS: ')" << (path / "versions").string()
                                          << R"('}
  params: {version: "${{ trigger.version }}"}
tasks: [{name: a, run: echo "$MILLRACE_PARAM_VERSION"}]
)";
  }
  void add(const std::string& version) const {
    std::ofstream{path / "versions", std::ios::app} << version << '\n';
  }
  static finished_command ask(const server_process& server, std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--server", server.url()});
    return millrace(arguments);
  }
  // Runs by their version.
  static std::map<std::string, int> started(const server_process& server) {
    const auto told = ask(server, {"list", "runs", "watching", "--limit", "1000", "-o", "json"});
    REQUIRE_MESSAGE(told.status == 0, told.errors);
    std::map<std::string, int> runs;
    for (const auto& each : json::parse(told.output)) {
      const auto run = ask(server, {"get", "run", each.at("id"), "-o", "json"});
      if (run.status == 0) {  // else its begin is on the way
        runs[json::parse(run.output).at("params").at("version")] += 1;
      }
    }
    return runs;
  }
};

}  // namespace

// Goal: each new version starts exactly one run, whenever the server dies between the check that
// has found it and the run.
// Method: it looks each second, and something is new each time; the server is killed after ever
// different times, so in a check, between its end and the starts, and in these.
TEST_CASE("a watch survives kill -9: no version is lost, none starts two runs") {
  const watched_folder folder{"1s"};
  std::mt19937 random{7};
  int count = 0;
  const auto add_some = [&] {
    for (int each = 0; each < 5; ++each) {
      folder.add("v" + std::to_string(count++));
    }
  };
  add_some();
  {
    server_process server{folder.path / "data"};
    const auto applied = folder.ask(server, {"apply", (folder.path / "pipeline.yaml").string()});
    REQUIRE_MESSAGE(applied.status == 0, applied.errors);
  }
  for (int kills = 0; kills < 6; ++kills) {
    add_some();
    server_process server{folder.path / "data"};
    // Not a wait for something to happen: the point in time of the kill is the input of this test.
    ::usleep(static_cast<useconds_t>(700'000 + random() % 900'000));
  }
  add_some();
  server_process server{folder.path / "data"};
  until([&] { return folder.started(server).size() == static_cast<std::size_t>(count); });
  REQUIRE(folder.ask(server, {"schedule", "pause", "watching", "source"}).status == 0);
  for (const auto& [version, runs] : folder.started(server)) {
    CAPTURE(version);
    CHECK(runs == 1);
  }
}

// What Concourse calls `passed`.
TEST_CASE("only versions that have passed one pipeline go on to the next") {
  const temporary_folder folder;
  const auto versions = folder.path / "versions";
  const auto add = [&versions](const std::string& version) {
    std::ofstream{versions, std::ios::app} << version << '\n';
  };
  std::ofstream{folder.path / "build.yaml"} << R"(name: build
params: {version: {required: true}}
triggers:
  watch: source
  every: 365d
  first: all
  run: 'cat "$VERSIONS"'
  env: {VERSIONS: ')" << versions.string() << R"('}
  params: {version: "${{ trigger.version }}"}
tasks: [{name: check, run: test "$MILLRACE_PARAM_VERSION" != v2}]
)";
  std::ofstream{folder.path / "deploy.yaml"} << R"(name: deploy
params: {version: {required: true}}
triggers:
  pipeline: build
  params: {version: "${{ trigger.params.version }}"}
  once_for: ${{ trigger.params.version }}
tasks: [{name: a, run: echo "$MILLRACE_PARAM_VERSION"}]
)";
  server_process server{folder.path / "data"};
  const auto ask = [&server](std::vector<std::string> words) {
    return watched_folder::ask(server, std::move(words));
  };
  const auto deployed = [&ask] {
    std::vector<std::string> found;
    const auto told = ask({"list", "runs", "deploy", "--state", "succeeded", "-o", "json"});
    REQUIRE_MESSAGE(told.status == 0, told.errors);
    for (const auto& each : json::parse(told.output)) {
      const auto run = ask({"get", "run", each.at("id"), "-o", "json"});
      REQUIRE_MESSAGE(run.status == 0, run.errors);
      found.push_back(json::parse(run.output).at("params").at("version"));
    }
    std::sort(found.begin(), found.end());
    return found;
  };
  add("v1");
  add("v2");
  add("v3");
  REQUIRE(ask({"apply", (folder.path / "deploy.yaml").string()}).status == 0);
  REQUIRE(ask({"apply", (folder.path / "build.yaml").string()}).status == 0);
  REQUIRE(ask({"schedule", "trigger", "build", "source"}).status == 0);
  until([&] { return deployed().size() == 2; });
  CHECK(deployed() == std::vector<std::string>{"v1", "v3"});
  // What comes later would come after v2.
  until([&ask] {
    return json::parse(ask({"list", "runs", "build", "--state", "failed", "-o", "json"}).output)
               .size() == 1;
  });
  add("v4");
  REQUIRE(ask({"schedule", "trigger", "build", "source"}).status == 0);
  until([&] { return deployed().size() == 3; });
  CHECK(deployed() == std::vector<std::string>{"v1", "v3", "v4"});
}

TEST_CASE("a watch looks when it is told to, and says what it has found and why it has failed") {
  const watched_folder folder{"365d"};
  server_process server{folder.path / "data"};
  REQUIRE(folder.ask(server, {"apply", (folder.path / "pipeline.yaml").string()}).status == 0);
  const auto describe = [&] {
    const auto told = folder.ask(server, {"describe", "pipeline", "watching"});
    REQUIRE_MESSAGE(told.status == 0, told.errors);
    return told.output;
  };
  until([&] {  // the schedule is told a moment after the apply
    return describe().find("  source  watch every 8760h  next ") != std::string::npos;
  });
  CHECK(describe().find("  source  not checked yet  0 new so far, last version none\n") !=
        std::string::npos);

  // It fails: there is no file yet.
  const auto failed =
      folder.ask(server, {"schedule", "trigger", "watching", "source", "-o", "name"});
  REQUIRE_MESSAGE(failed.status == 0, failed.errors);
  const auto run = failed.output.substr(0, failed.output.find('\n'));
  until([&] { return describe().find("  failed in run " + run + ": ") != std::string::npos; });
  CHECK(describe().find("No such file or directory") != std::string::npos);
  CHECK(folder.started(server).empty());
  CHECK(folder.ask(server, {"logs", run}).output.find("No such file") != std::string::npos);
  const auto looked = folder.ask(server, {"describe", "run", run}).output;
  CHECK(looked.find("Started by:   watch source, which it looks for\n") != std::string::npos);
  CHECK(looked.find("millrace schedule trigger watching source ") != std::string::npos);
  CHECK(looked.find("millrace rerun") == std::string::npos);
  CHECK(folder.ask(server, {"describe", "task", run, "check"}).output.find("millrace retry") ==
        std::string::npos);
  const auto again = folder.ask(server, {"rerun", run});
  CHECK(again.status != 0);
  CHECK(again.errors.find("a check of a watch") != std::string::npos);

  folder.add("v1");
  folder.add("v2");
  until([&] {  // one look at a time
    const auto shown =
        folder.ask(server, {"schedule", "show", "watching", "source", "-o", "json"}).output;
    return json::parse(shown).at("schedule").at("running") == 0;
  });
  REQUIRE(folder.ask(server, {"schedule", "trigger", "watching"}).status == 0);
  until([&] { return folder.started(server).size() == 2; });
  until([&] { return describe().find("  2 new so far, last version v2\n") != std::string::npos; });
  CHECK(describe().find("failed in run") == std::string::npos);
  const auto listed = folder.ask(server, {"schedule", "list", "watching"});
  CHECK(listed.output.find("watch every 8760h") != std::string::npos);
  const auto backfill = folder.ask(
      server, {"schedule", "backfill", "watching", "--from", "2026-01-01", "--to", "2026-01-02"});
  CHECK(backfill.status != 0);
  CHECK(backfill.errors.find("'source' is a watch") != std::string::npos);
  CHECK(millrace({"schedule", "next", (folder.path / "pipeline.yaml").string(), "-n", "1"})
            .output.find("source") != std::string::npos);
}

}  // namespace millrace::testing
