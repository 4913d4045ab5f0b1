// SPDX-License-Identifier: MIT
// A cluster of this machine as its user sees it: `millrace dev --silos 3`.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "e2e/dev_cluster.h"
#include "runtime/coordination/etcd_server.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;

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
  const auto tells_of_it = [&] {
    return millrace(asked({"silos"})).output.find("draining") != std::string::npos;
  };
  CHECK(tells_of_it());
  CHECK(millrace(asked({"submit", "nightly", "--wait"})).status == 0);
  // It leads nothing; the server that is asked hears of this only a little later.
  for (int time = 0; time < 3; ++time) {
    CHECK(millrace(asked({"drain", "b", "--undo"})).status == 0);
    CHECK(millrace(asked({"drain", "b"})).status == 0);
    CHECK(tells_of_it());
  }
  CHECK(millrace(asked({"drain", "b", "--decommission", "--undo"})).status == 2);
  CHECK(
      millrace(asked({"drain", "b", "--decommission"})).errors ==
      "silo b is draining\nits copies move to others: stop it once `millrace silos` shows that it "
      "has none, and `millrace cluster health` is ok\nsilo b leads nothing any more\n");
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
  CHECK(becomes(asked({"cluster", "health", "-o", "name"}), "under_replicated"));
  CHECK(millrace(asked({"cluster", "health"})).status == 0);
  CHECK(millrace(asked({"cluster", "health", "--wait", "1s"})).status == 1);
  CHECK(becomes(asked({"silos", "-o", "name"}), "a\nc\ngateway\n"));

  cluster.interrupt();
  CHECK(cluster.wait().status == 0);
}

// Goal: a machine that was asleep, or too busy, has its cluster back.
// Method: the gateway is stopped until another one finds that the silos went on without it.
TEST_CASE("a process that its cluster on this machine went on without is started again") {
  temporary_folder folder;
  const auto data = (folder.path / "d").string();
  background_command cluster{{"dev", "--silos", "1", "--listen", "127.0.0.1:0", "--data", data}};
  cluster.read_until("silo a pid ");
  cluster.read_until("\n");
  auto lines = parse(cluster.printed());
  background_command other{{"gateway", "--name", "other", "--data", data + "/other",
                            "--coordination", "local:" + data + "/coordination", "--listen",
                            "127.0.0.1:0"}};
  other.read_until("serving on ");
  other.read_until(", data in ");
  const auto from = other.said().find("http://");
  const auto url = other.said().substr(from, other.said().find(',', from) - from);
  ::kill(lines.pids["gateway"], SIGSTOP);
  CHECK(becomes({"silos", "-o", "name", "--server", url}, "a\nother\n"));
  ::kill(lines.pids["gateway"], SIGCONT);
  cluster.read_until(") was not heard of for too long; it starts again as pid ");
  CHECK(becomes({"silos", "-o", "name", "--server", lines.url}, "a\ngateway\nother\n"));
  other.interrupt();
  CHECK(other.wait().status == 0);
  cluster.interrupt();
  CHECK(cluster.wait().status == 0);
}

// Goal: a partition begins empty only where no copy could be had, and that is seen as a loss.
// Method: b misses what a has noted alone (that b is out); then a's disk is lost, then b's, too.
TEST_CASE("a partition of which no copy is left begins empty, and not before") {
  temporary_folder folder;
  const auto data = folder.path / "d";
  const auto start = [&] {
    auto begun = std::make_unique<background_command>(std::vector<std::string>{
        "dev", "--silos", "2", "--listen", "127.0.0.1:0", "--data", data.string()});
    begun->read_until("silo b pid ");
    begun->read_until("\n");
    return begun;
  };
  auto cluster = start();
  auto lines = parse(cluster->printed());
  const auto asked = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", lines.url});
    return millrace(words);
  };
  const auto glass = [&](const char* silo, std::vector<std::string> more) {
    more.insert(more.begin(), {"cluster", "break-glass", "--partition", "0", "--silo", silo,
                               "--reason", "both disks are gone"});
    return asked(more);
  };
  const auto end = [&] {  // a gateway that is told to stop waits for silos that do not come
    for (const auto& [name, pid] : lines.pids) {
      if (pid > 0) {
        ::kill(pid, SIGKILL);
      }
    }
    cluster->interrupt();
    CHECK(cluster->wait().status == 0);
  };
  const auto restart_without = [&](const char* silo) {
    end();
    std::filesystem::remove_all(data / silo);
    cluster = start();
    lines = parse(cluster->printed());
  };
  REQUIRE(asked({"cluster", "health", "--wait", "1m"}).status == 0);
  CHECK(glass("a", {"--empty"}).errors.find("is led by silo '") != std::string::npos);
  ::kill(lines.pids["b"], SIGKILL);
  cluster->read_until("silo --name b");  // it has ended: its pid may be another's from now on
  lines.pids["b"] = 0;
  const std::vector<std::string> sets{"partitions", "-o", "json", "--server", lines.url};
  const auto has_b = [&] {
    const auto seen = millrace(sets).output;
    return seen.find("\"b\"") != std::string::npos || seen.empty();
  };
  until([&] { return !has_b(); });

  restart_without("a");
  const auto refused = glass("a", {"--empty"});
  CHECK(refused.status != 0);
  CHECK_MESSAGE(refused.errors.find("silo 'b' has a copy of partition 0") != std::string::npos,
                refused.errors);
  CHECK(glass("b", {"--empty"}).errors.find("silo 'b' has a copy of partition 0") !=
        std::string::npos);

  restart_without("b");
  CHECK(glass("a", {}).errors.find("silo 'a' has nothing of partition 0") != std::string::npos);
  const auto begun = glass("a", {"--empty"});
  CHECK_MESSAGE(begun.status == 0, begun.errors);
  CHECK(begun.errors.find("partition 0 begins empty on silo 'a'") != std::string::npos);
  CHECK(becomes({"partitions", "-o", "json", "--server", lines.url},
                "\"reason\": \"begun empty: both disks are gone\""));
  const auto health = asked({"cluster", "health"});
  CHECK(health.status == 1);
  CHECK(health.errors.find("begun empty: both disks are gone") != std::string::npos);
  CHECK(glass("a", {"--empty"}).errors.find("is led by silo 'a'") != std::string::npos);
  CHECK(asked({"cluster", "acknowledge", "--partition", "0"}).status == 0);
  CHECK(asked({"cluster", "health"}).errors.find("begun empty") == std::string::npos);
  end();
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

// Goal: what runs on one silo goes on when another one is lost that manages its task.
// Method: runs are begun until one has its command elsewhere than its task, and its own actor on
// either; the silo of the task is killed, and the command ends afterwards.
TEST_CASE("a running command survives the loss of the silo that manages its task") {
  temporary_folder folder;
  const auto definition = folder.path / "p.yaml";
  const auto at = folder.path.string();
  std::ofstream{definition} << "name: long\ntasks:\n  - {name: t, run: 'echo $$ >> " << at
                            << "/$MILLRACE_RUN; until test -e " << at
                            << "/go; do sleep 0.05; done'}\n";
  background_command cluster{
      {"dev", "--silos", "3", "--listen", "127.0.0.1:0", "--data", (folder.path / "d").string()}};
  cluster.read_until("silo c pid ");
  cluster.read_until("\n");
  const auto lines = parse(cluster.printed());
  const auto asked = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", lines.url});
    return millrace(words);
  };
  const auto json_of = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"-o", "json"});
    return nlohmann::json::parse(asked(words).output, nullptr, false);
  };
  const auto text_of = [](const std::filesystem::path& file) {
    std::ifstream stream{file};
    return std::string{std::istreambuf_iterator<char>{stream}, {}};
  };
  REQUIRE(asked({"apply", definition.string()}).status == 0);
  REQUIRE(asked({"cluster", "health", "--wait", "1m"}).status == 0);
  const auto silo_of = [&](const std::string& type, const std::string& run) {
    for (const auto& each : json_of({"actor", "list", type})) {
      if (each["key"].get<std::string>().starts_with(run)) {
        return each["silo"].get<std::string>();
      }
    }
    return std::string{};
  };
  std::string run;
  std::string manager;
  for (int tries = 0; tries < 30 && manager.empty(); ++tries) {
    run = asked({"submit", "long", "-o", "name"}).output;
    run = run.substr(run.find_last_of(" /", run.size() - 2) + 1);
    run.pop_back();
    REQUIRE(becomes({"get", run, "t", "-o", "json", "--server", lines.url}, "\"running\""));
    const auto here = json_of({"get", run, "t"})["attempts"][0]["executor"].get<std::string>();
    manager = silo_of("task", run);
    const auto leader = silo_of("run", run);
    if (manager == here || (leader != here && leader != manager)) {
      manager.clear();
      CHECK(asked({"cancel", run}).status == 0);
    }
  }
  REQUIRE_FALSE(manager.empty());
  const auto file = folder.path / run;
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (text_of(file).empty() && std::chrono::steady_clock::now() < end) {
  }
  const auto pid = std::stoi(text_of(file));
  ::kill(lines.pids.at(manager), SIGKILL);
  cluster.read_until("was ended by signal 9; it starts again with: millrace silo --name " +
                     manager);
  // Another silo has its task by now.
  REQUIRE(becomes({"get", run, "t", "-o", "json", "--server", lines.url}, "\"running\""));
  CHECK(silo_of("task", run) != manager);
  CHECK(::kill(pid, 0) == 0);
  std::ofstream{folder.path / "go"}.close();
  REQUIRE(becomes({"get", run, "-o", "json", "--server", lines.url}, "\"state\": \"succeeded\""));
  const auto attempts = json_of({"get", run, "t"})["attempts"];
  REQUIRE(attempts.size() == 1);
  CHECK(attempts[0]["end"] == "exited");
  CHECK(attempts[0]["exit_code"] == 0);
  CHECK(text_of(file) == std::to_string(pid) + "\n");  // it has begun once
  cluster.interrupt();
  CHECK(cluster.wait().status == 0);
}

// The process that is started meanwhile has a PID namespace of its own, as on another machine:
// others cannot end it, or see that it has ended. Needs the right to make one.
class pids_apart {
public:
  pids_apart() : own_(::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC)) {
    is_permitted_ = ::unshare(CLONE_NEWPID) == 0;
    if (!is_permitted_) {
      MESSAGE("skipped: making a PID namespace is not permitted here");
    }
  }
  pids_apart(const pids_apart&) = delete;
  pids_apart& operator=(const pids_apart&) = delete;
  ~pids_apart() {
    CHECK(::setns(own_, CLONE_NEWPID) == 0);
    ::close(own_);
  }
  [[nodiscard]] bool permitted() const { return is_permitted_; }

private:
  int own_;
  bool is_permitted_;
};

// Goal: who was out of it for longer than its session ends by itself, so that a service manager
// starts it again, and has then what the others have done without it.
TEST_CASE("a silo that its cluster went on without ends with status 75, and comes back") {
  temporary_folder folder;
  etcd_server etcd;
  const auto definition = folder.path / "p.yaml";
  std::ofstream{definition} << "name: meanwhile\ntasks:\n  - {name: one, run: echo hello}\n";
  background_command cluster{{"dev", "--silos", "1", "--coordination", etcd.url(), "--listen",
                              "127.0.0.1:0", "--data", (folder.path / "d").string()}};
  cluster.read_until("silo a pid ");
  const auto url = parse(cluster.printed()).url;
  const auto asked = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", url});
    return words;
  };
  const auto start = [&]() -> std::unique_ptr<background_command> {
    const pids_apart apart;
    return !apart.permitted()
               ? nullptr
               : std::make_unique<background_command>(std::vector<std::string>{
                     "silo", "--name", "b", "--coordination", etcd.url(), "--roles", "state",
                     "--data", (folder.path / "b").string(), "--log-level", "warn"});
  };
  auto b = start();
  if (!b) {
    return;
  }
  REQUIRE(becomes(asked({"silos", "-o", "name"}), "a\nb\ngateway\n"));
  REQUIRE(millrace(asked({"cluster", "health", "--wait", "2m"})).status == 0);

  b->signal(SIGSTOP);
  REQUIRE(becomes(asked({"silos", "-o", "name"}), "a\ngateway\n"));
  CHECK(millrace(asked({"apply", definition.string()})).status == 0);
  b->signal(SIGCONT);
  const auto ended = b->wait();
  CHECK(ended.status == 75);
  CHECK_MESSAGE(ended.errors.find("silo 'b' is not in the cluster any more") != std::string::npos,
                ended.errors);

  b = start();
  REQUIRE(becomes(asked({"silos", "-o", "name"}), "a\nb\ngateway\n"));
  REQUIRE(millrace(asked({"cluster", "health", "--wait", "2m"})).status == 0);
  REQUIRE(millrace(asked({"drain", "a"})).status == 0);
  CHECK(millrace(asked({"list", "pipelines", "-o", "name"})).output == "meanwhile\n");
  b->interrupt();
  CHECK(b->wait().status == 0);
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

// Goal: tokens are of the cluster, as durable as what it runs, and nothing that waits for them
// holds up its end.
TEST_CASE("a cluster asks for tokens, and knows them again when it is started anew") {
  temporary_folder folder;
  const auto data = (folder.path / "d").string();
  const auto root = (folder.path / "root").string();
  const auto mine = folder.path / "mine";
  const auto begin = [&](const char* silos) {
    auto cluster = std::make_unique<background_command>(std::vector<std::string>{
        "dev", "--silos", silos, "--listen", "127.0.0.1:0", "--data", data, "--root-token", root});
    cluster->read_until("silo b pid ");
    cluster->read_until("\n");
    return cluster;
  };
  const auto end = [](background_command& cluster) {
    const auto begun = std::chrono::steady_clock::now();
    cluster.interrupt();
    CHECK(cluster.wait().status == 0);
    CHECK(std::chrono::steady_clock::now() - begun < 15s);
  };
  auto cluster = begin("2");
  auto url = parse(cluster->printed()).url;
  const auto asked = [&](std::vector<std::string> words, const std::string& token) {
    words.insert(words.end(), {"--server", url});
    if (!token.empty()) {
      words.insert(words.end(), {"--token-file", token});
    }
    return millrace(words);
  };
  CHECK(asked({"list"}, {}).status == 4);
  CHECK(asked({"list"}, root).status == 0);
  REQUIRE(asked({"token", "create", "me", "--grant", "default=read", "--to", mine.string()}, root)
              .status == 0);
  CHECK(becomes(
      {"list", "--server", url, "--token-file", mine.string(), "--no-headers", "-o", "json"},
      "[]"));
  CHECK(asked({"silos"}, mine.string()).status == 4);
  end(*cluster);

  cluster = begin("2");
  url = parse(cluster->printed()).url;
  CHECK(becomes({"list", "--server", url, "--token-file", mine.string(), "-o", "json"}, "[]"));
  REQUIRE(asked({"token", "revoke", "me"}, root).status == 0);
  until([&] { return asked({"list"}, mine.string()).status == 4; });
  end(*cluster);
}

// Goal: SIGTERM ends a process within its limit, whatever it waits for. Method: a gateway that is
// stopped hears of nothing, and a task may take longer over its end than `millrace run` has.
TEST_CASE("SIGTERM ends `dev --silos` and `run` within their limit") {
  const temporary_folder folder;
  background_command cluster{
      {"dev", "--silos", "1", "--listen", "127.0.0.1:0", "--data", (folder.path / "d").string()}};
  cluster.read_until("silo a pid");
  const auto lines = parse(cluster.printed());
  const auto begun = folder.path / "begun";
  REQUIRE(::mkfifo(begun.c_str(), 0600) == 0);
  const auto definition = folder.path / "p.yaml";
  std::ofstream{definition} << "name: p\ntasks:\n  - name: a\n    grace_period: 10m\n    run: |\n"
                            << "      trap '' TERM\n      echo > " << begun.string()
                            << "\n      while :; do sleep 1; done\n";
  background_command run{{"run", definition.string(), "--data", (folder.path / "r").string()}};
  std::string line;
  std::getline(std::ifstream{begun}, line);
  REQUIRE(::kill(lines.pids.at("gateway"), SIGSTOP) == 0);

  run.signal(SIGTERM);
  cluster.signal(SIGTERM);
  const auto ran = run.wait();
  CHECK(ran.status == 130);
  CHECK(ran.errors.find("millrace: not stopped within 29 s, ending now") != std::string::npos);
  const auto ended = cluster.wait();
  CHECK(ended.status == 0);
  CHECK(ended.errors.find("millrace: gateway (pid " + std::to_string(lines.pids.at("gateway")) +
                          ") has not stopped in time and is killed\n") != std::string::npos);
}

}  // namespace
}  // namespace millrace::testing
