// SPDX-License-Identifier: MIT
// Goal: tasks run on silos of their pool, wait with words while the only one is away, and go on
// when it is back. Method: real silos of different pools, one of which is killed.
#include <doctest/doctest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "e2e/process.h"
#include "folders.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;

// A silo with the state, of the pool `default`, and one that runs tasks, of others.
class two_pools {
public:
  two_pools() {
    cluster_.read_until("silo a pid ");
    const auto& printed = cluster_.printed();
    const auto at = printed.find("http://");
    url_ = printed.substr(at, printed.find(' ', at) - at);
  }
  void start(const std::string& pools) {
    other_ = std::make_unique<background_command>(std::vector<std::string>{
        "silo", "--name", "b", "--roles", "execute", "--slots", "2", "--pools", pools, "--links",
        "127.0.0.1:0", "--coordination", "local:" + (folder_.path / "d/coordination").string(),
        "--data", (folder_.path / "b").string()});
    other_->read_until("silo is active");
  }
  void kill() {
    other_->signal(SIGKILL);
    CHECK(other_->wait().status == 128 + SIGKILL);
  }
  [[nodiscard]] finished_command ask(std::vector<std::string> words) const {
    words.insert(words.end(), {"--server", url_});
    return millrace(words);
  }
  [[nodiscard]] std::string submit(const std::string& tasks) const {
    const auto file = folder_.path / "p.yaml";
    std::ofstream{file} << "name: p\nworkspace: task\ntasks:\n" << tasks;
    const auto applied = ask({"apply", file.string()});
    REQUIRE_MESSAGE(applied.status == 0, applied.errors);
    auto submitted = ask({"submit", "p"});
    REQUIRE_MESSAGE(submitted.status == 0, submitted.errors);
    submitted.output.pop_back();
    return submitted.output;
  }
  /// Asks until what it prints has that text.
  void until(const std::vector<std::string>& words, const std::string& text) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{2};
    for (auto told = ask(words); told.output.find(text) == std::string::npos; told = ask(words)) {
      REQUIRE_MESSAGE(std::chrono::steady_clock::now() < end, told.output << told.errors);
    }
  }
  [[nodiscard]] nlohmann::json json_of(std::vector<std::string> words) const {
    words.insert(words.end(), {"-o", "json"});
    const auto told = ask(words);
    REQUIRE_MESSAGE(told.status == 0, told.errors);
    return nlohmann::json::parse(told.output);
  }

private:
  temporary_folder folder_;
  background_command cluster_{
      {"dev", "--silos", "1", "--listen", "127.0.0.1:0", "--data", (folder_.path / "d").string()}};
  std::unique_ptr<background_command> other_;
  std::string url_;
};

TEST_CASE("tasks of a pool wait while its only silo is away, and go on when it is back") {
  two_pools here;
  here.start("gpu");
  const auto both =
      here.submit("  - {name: plain, run: 'true'}\n  - {name: train, pool: gpu, run: 'true'}\n");
  CHECK(here.ask({"watch", both}).status == 0);
  CHECK(here.json_of({"get", both, "plain"}).at("attempts").at(0).at("executor") == "a");
  const auto train = here.json_of({"get", both, "train"});
  CHECK(train.at("attempts").at(0).at("executor") == "b");
  CHECK(train.at("pool") == "gpu");
  here.until({"pool", "status"}, "gpu");

  here.kill();
  const auto run = here.submit(
      "  - {name: train, pool: gpu, run: 'true'}\n"
      "  - {name: plain, run: 'true'}\n");
  here.until({"get", run, "train"}, "waits for pool gpu: b belongs to it, and is away");
  here.until({"get", run, "plain"}, "succeeded");  // nothing holds it up
  here.start("gpu");
  CHECK(here.ask({"watch", run}).status == 0);

  // With other pools it gets no more of the one that it has left.
  here.kill();
  here.start("disk");
  const auto last = here.submit("  - {name: train, pool: gpu, run: 'true'}\n");
  here.until({"get", last, "train"}, "waits for pool gpu: no executor of a silo belongs to it");
  const auto pools = here.json_of({"pool", "status"}).at("pools");
  REQUIRE(pools.size() == 3);
  CHECK(pools.at(1).at("id") == "disk");
  CHECK(pools.at(1).at("slots") == 2);
  CHECK(pools.at(2).at("id") == "gpu");
  CHECK(pools.at(2).at("slots") == 0);
  CHECK(pools.at(2).at("waiting") == 1);
}

TEST_CASE("a silo refuses a pool that is no name") {
  temporary_folder folder;
  const auto refused =
      millrace({"dev", "--listen", "127.0.0.1:0", "--data", folder.path.string(), "--pools", "A"});
  CHECK(refused.status == 2);
  CHECK(refused.errors.find("--pools 'A': the name `A` is not allowed for a pool") !=
        std::string::npos);
}

}  // namespace
}  // namespace millrace::testing
