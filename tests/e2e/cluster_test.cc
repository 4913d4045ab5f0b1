// SPDX-License-Identifier: MIT
// A cluster of this machine as its user sees it: `millrace dev --silos 3`.
#include <doctest/doctest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <map>
#include <sstream>

#include "process.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;

// What `dev --silos` has printed of each of its processes.
struct dev_lines {
  std::string url;
  std::map<std::string, pid_t> pids;
};

dev_lines parse(const std::string& printed) {
  dev_lines lines;
  std::istringstream words{printed};
  std::string word;
  while (words >> word) {
    std::string name;
    std::string pid;
    if (word == "gateway") {
      words >> lines.url >> pid >> lines.pids["gateway"];
    } else if (word == "silo") {
      words >> name >> pid;
      words >> lines.pids[name];
    }
  }
  return lines;
}

// Asks until the answer has that text; a minute is more than any takeover takes.
bool becomes(const std::vector<std::string>& asked, const std::string& text) {
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (std::chrono::steady_clock::now() < end) {
    if (millrace(asked).output.find(text) != std::string::npos) {
      return true;
    }
  }
  return false;
}

TEST_CASE("a cluster on this machine goes on when one of its silos is killed") {
  temporary_folder folder;
  const auto definition = folder.path / "p.yaml";
  std::ofstream{definition} << "name: nightly\ntasks:\n  - {name: one, run: echo hello}\n";
  background_command cluster{
      {"dev", "--silos", "3", "--listen", "127.0.0.1:0", "--data", (folder.path / "d").string()}};
  cluster.read_until("silo c pid ");
  cluster.read_until("\n");
  auto lines = parse(cluster.printed());
  REQUIRE(lines.pids.size() == 4);
  const auto asked = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", lines.url});
    return words;
  };
  CHECK(millrace(asked({"apply", definition.string()})).status == 0);
  CHECK(millrace(asked({"submit", "nightly", "--wait"})).status == 0);
  REQUIRE(millrace(asked({"cluster", "health", "--wait", "1m"})).status == 0);
  const auto silos = millrace(asked({"silos", "-o", "name"}));
  CHECK(silos.output == "a\nb\nc\ngateway\n");

  const auto executors = millrace(asked({"actor", "list", "executor", "--active", "--no-headers"}));
  CHECK(executors.errors.empty());
  const auto runs = millrace(asked({"actor", "list", "run", "-o", "json"})).output;
  CHECK(runs.find("\"silo\"") != std::string::npos);
  CHECK(millrace(asked({"actor", "list", "run", "--silo", "x"})).status == 5);
  CHECK(millrace(asked({"drain", "b"})).errors ==
        "silo b is draining\nsilo b leads nothing any more\n");
  CHECK(millrace(asked({"silos"})).output.find("draining") != std::string::npos);
  CHECK(millrace(asked({"submit", "nightly", "--wait"})).status == 0);
  CHECK(millrace(asked({"drain", "b", "--undo"})).errors == "silo b takes part again\n");
  const auto unknown = millrace(asked({"drain", "x"}));
  CHECK(unknown.status == 5);
  CHECK(unknown.errors.find("There are: a, b, c") != std::string::npos);
  CHECK(millrace(asked({"drain", "gateway"})).errors.find("is a gateway") != std::string::npos);
  const auto glass = [&](const std::string& partition, const std::string& silo) {
    return millrace(asked(
        {"cluster", "break-glass", "--partition", partition, "--silo", silo, "--reason", "a try"}));
  };
  CHECK(glass("0", "a").errors.find("partition 0 is led by silo '") != std::string::npos);
  CHECK(glass("999", "a").errors.find("there is no partition 999") != std::string::npos);
  CHECK(glass("x", "a").status == 5);
  CHECK(glass("0", "x").status == 5);
  CHECK(millrace(asked({"cluster", "break-glass", "--partition", "0"})).status == 2);
  CHECK(millrace(asked({"cluster", "acknowledge", "--partition", "0"}))
            .errors.find("nothing was lost of partition 0") != std::string::npos);
  CHECK(millrace(asked({"cluster", "acknowledge", "--silo", "a"})).status == 2);
  CHECK(millrace(asked({"backup", "--to", (folder.path / "copy").string()}))
            .errors.find("a gateway has no rows") != std::string::npos);

  ::kill(lines.pids["b"], SIGKILL);
  for (int number = 0; number < 5; ++number) {
    const auto submitted = millrace(asked({"submit", "nightly"}));
    CHECK_MESSAGE(submitted.status == 0, submitted.errors);
  }
  cluster.read_until("was ended by signal 9; it starts again with: millrace silo --name b");
  CHECK(becomes(asked({"cluster", "health"}), "under_replicated"));
  CHECK(millrace(asked({"cluster", "health"})).status == 0);
  CHECK(millrace(asked({"cluster", "health", "--wait", "1s"})).status == 1);
  CHECK(millrace(asked({"silos", "-o", "name"})).output == "a\nc\ngateway\n");

  cluster.interrupt();
  CHECK(cluster.wait().status == 0);
}

// Goal: whoever follows a run does not notice that the gateway is another one.
// Method: the gateway is killed while a run waits, and started again as `dev` says.
TEST_CASE("a run is followed to its end although the gateway is killed and started again") {
  temporary_folder folder;
  const auto definition = folder.path / "p.yaml";
  const auto go = (folder.path / "go").string();
  std::ofstream{definition} << "name: waits\ntasks:\n  - {name: a, run: 'until test -e " << go
                            << "; do sleep 0.05; done'}\n  - {name: b, needs: [a], run: echo b}\n";
  background_command cluster{
      {"dev", "--silos", "2", "--listen", "127.0.0.1:0", "--data", (folder.path / "d").string()}};
  cluster.read_until("silo b pid ");
  cluster.read_until("\n");
  auto lines = parse(cluster.printed());
  CHECK(millrace({"apply", definition.string(), "--server", lines.url}).status == 0);
  background_command follower{{"submit", "waits", "--watch", "--server", lines.url}};
  follower.read_until("running          a");

  ::kill(lines.pids["gateway"], SIGKILL);
  const auto address = lines.url.substr(lines.url.find("://") + 3);
  cluster.read_until("it starts again with: millrace gateway");
  cluster.read_until("--listen " + address);
  const auto data = (folder.path / "d").string();
  background_command gateway{{"gateway", "--name", "gateway", "--data", data + "/gateway",
                              "--coordination", "local:" + data + "/coordination", "--listen",
                              address}};
  gateway.read_until("serving on http://" + address);
  std::ofstream{go}.close();
  const auto ended = follower.wait();
  CHECK_MESSAGE(ended.status == 0, ended.errors);
  for (const auto* each : {"running          a", "succeeded        a", "running          b",
                           "succeeded        b", "run succeeded"}) {
    const auto first = ended.errors.find(each);
    CHECK_MESSAGE(first != std::string::npos, ended.errors);
    CHECK_MESSAGE(ended.errors.find(each, first + 1) == std::string::npos, ended.errors);
  }
  gateway.interrupt();
  CHECK(gateway.wait().status == 0);
  cluster.interrupt();
  CHECK(cluster.wait().status == 0);
}

TEST_CASE("what is no cluster is refused, with what to write") {
  temporary_folder folder;
  const auto data = folder.path.string();
  CHECK(millrace({"dev", "--silos", "0"}).status == 2);
  CHECK(millrace({"dev", "--silos", "3", "--name", "a"}).errors ==
        "millrace: --name is not for `dev --silos`\n");
  CHECK(millrace({"silo", "--name", "a"}).errors.find("with --coordination local:DIR") !=
        std::string::npos);
  CHECK(millrace({"gateway"}).status == 2);
  CHECK(millrace({"silo", "--coordination", "nowhere", "--data", data}).status == 2);
  CHECK(millrace({"silo", "--coordination", "local:" + data, "--roles", "king"}).errors ==
        "millrace: --roles 'king': it must be state, execute, or both with a comma\n");
  CHECK(millrace({"dev", "--links", "127.0.0.1:0"}).status == 2);
}

}  // namespace
}  // namespace millrace::testing
