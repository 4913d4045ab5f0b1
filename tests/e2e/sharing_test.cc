// SPDX-License-Identifier: MIT
// Goal: how attempts share a server: priorities, preemption, resources, locks, projects, and the
// reason of each that waits. Method: a server, and the program as a person calls it; a task ends
// once the test lets it.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "e2e/process.h"
#include "folders.h"

namespace millrace::testing {

namespace {

struct shared_server {
  explicit shared_server(std::vector<std::string> more) : options(std::move(more)) {
    REQUIRE(::mkfifo(gate.c_str(), S_IRUSR | S_IWUSR) == 0);
    apply("hold", "  - {name: h, run: 'read x < " + gate +
                      "', synchronization: {mutexes: [prod]}, resources: {gpu: 1}}\n");
    apply("push", "  - {name: p, run: 'true', synchronization: {mutexes: [prod]}}\n");
    apply("mark", "  - {name: m, run: 'echo $MILLRACE_PARAM_WHO >> " + marks + "'}\n",
          "params: {who: nobody}\n");
  }

  void apply(const std::string& name, const std::string& tasks, const std::string& more = {}) {
    std::ofstream{file} << "name: " << name << '\n' << more << "tasks:\n" << tasks;
    const auto applied = (*this)({"apply", file});
    REQUIRE_MESSAGE(applied.status == 0, applied.errors);
  }
  finished_command operator()(std::vector<std::string> words) const {
    words.insert(words.end(), {"--server", server->url()});
    return millrace(words);
  }
  std::string submit(std::vector<std::string> words) const {
    words.insert(words.begin(), "submit");
    auto submitted = (*this)(std::move(words));
    REQUIRE_MESSAGE(submitted.status == 0, submitted.errors);
    submitted.output.pop_back();
    return submitted.output;
  }
  // Asks until `text` is in the answer.
  void until(const std::vector<std::string>& words, const std::string& text) const {
    auto all = words;
    all.insert(all.end(), {"--server", server->url()});
    until_prints(all, text);
  }
  // Lets the task of a run of `hold` end.
  void release() const { std::ofstream{gate} << "go\n"; }
  void restart() {
    server->kill();
    server.emplace(folder.path / "data", "127.0.0.1:0", options);
  }
  [[nodiscard]] std::string marked() const {
    std::stringstream all;
    all << std::ifstream{marks}.rdbuf();
    return all.str();
  }

  temporary_folder folder;
  const std::string gate = (folder.path / "gate").string();
  const std::string marks = (folder.path / "marks").string();
  const std::string file = (folder.path / "pipeline.yaml").string();
  const std::vector<std::string> options;
  std::optional<server_process> server{std::in_place, folder.path / "data", "127.0.0.1:0", options};
};

}  // namespace

TEST_CASE("what waits says for what, also after a restart in mid-run") {
  shared_server at_server{{"--slots", "3", "--resources", "gpu=2"}};
  at_server.apply("train", "  - {name: t, run: 'true', resources: {gpu: 2}}\n");
  at_server.apply("huge", "  - {name: t, run: 'true', resources: {gpu: 3}}\n");
  at_server.apply("odd", "  - {name: t, run: 'true', resources: {licence: 1}}\n");
  const auto holds = at_server.submit({"hold"});
  at_server.until({"get", holds, "h"}, "running");
  const auto pushes = at_server.submit({"push"});
  const auto trains = at_server.submit({"train"});
  const auto huge = at_server.submit({"huge"});
  const auto odd = at_server.submit({"odd"});
  at_server.until({"get", pushes, "p"},
                  "waits for the mutex 'prod', which is held by 'h' of run " + holds);
  at_server.until({"get", trains, "t"}, "wants 2 gpu; ");
  at_server.until({"get", trains, "t"}, " has 1 of 2 free");
  at_server.until({"pool", "status"}, "gpu 1/2");
  for (const auto again : {false, true}) {  // a server's end is that of its commands: they run anew
    if (again) {
      at_server.restart();
    }
    at_server.until({"get", huge, "t"}, "wants 3 gpu; the largest executor, ");
    at_server.until({"get", huge, "t"}, ", offers 2");
    at_server.until({"get", odd, "t"}, "wants 1 licence; no executor offers any");
  }
  CHECK(at_server.submit({"mark", "--wait"}).size() > 0);  // what waits keeps nobody else waiting
  CHECK(at_server.marked() == "nobody\n");
  at_server.release();
  for (const auto& each : {holds, pushes, trains}) {
    CHECK(at_server({"watch", each}).status == 0);
  }
  at_server.until({"pool", "status"}, "gpu 2/2");
  CHECK(at_server({"cancel", huge}).status == 0);
  CHECK(at_server({"watch", huge}).status == 3);
}

TEST_CASE("the highest priority goes first, then the oldest") {
  shared_server at_server{{"--slots", "1", "--resources", "gpu=2"}};
  const auto holds = at_server.submit({"hold"});
  at_server.until({"get", holds, "h"}, "running");
  // What is granted ahead of the slot goes by priority as well.
  std::vector<std::string> runs;
  for (const auto* priority : {"low", "normal", "low", "critical", "1000000000"}) {
    runs.push_back(at_server.submit({"mark", "-p",
                                     "who=" + std::string{priority} + std::to_string(runs.size()),
                                     "--priority", priority}));
  }
  at_server.until({"pool", "status"}, "5 attempts wait");
  at_server.until({"get", runs[2], "m"}, "1 slot is taken");
  at_server.release();
  for (const auto& each : runs) {
    CHECK(at_server({"watch", each}).status == 0);
  }
  CHECK(at_server.marked() == "10000000004\ncritical3\nnormal1\nlow0\nlow2\n");
  const auto too_high = at_server({"submit", "mark", "--priority", "2000000000"});
  CHECK(too_high.status == 2);
  CHECK_MESSAGE(too_high.errors.find("--priority") != std::string::npos, too_high.errors);
}

TEST_CASE("an urgent task ends one of lower priority, also through a kill of the server") {
  shared_server at_server{{"--slots", "1"}};
  const auto told = (at_server.folder.path / "told").string();
  at_server.apply("slow", "  - {name: s, priority: low, grace_period: 60s, run: 'test ! -e " +
                              told + " || exit 0; trap \"touch " + told + "\" TERM; touch " + told +
                              ".up; while :; do sleep 0.05 || :; done'}\n");
  const auto slow = at_server.submit({"slow"});
  at_server.until({"get", slow, "s"}, "running");
  const auto until_there = [&](const std::string& file) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
    while (!std::filesystem::exists(file)) {
      REQUIRE_MESSAGE(std::chrono::steady_clock::now() < end, file);
    }
  };
  until_there(told + ".up");
  const auto waits = at_server.submit({"mark", "-p", "who=waits", "--priority", "critical"});
  at_server.until({"get", waits, "m"}, "is next at ");  // nobody may preempt yet
  CHECK(at_server({"project", "set", "default", "--preempts-from", "high"})
            .output.find("preempts_from") != std::string::npos);
  const auto urgent = at_server.submit({"mark", "-p", "who=urgent", "--priority", "2000000"});
  at_server.until({"get", urgent, "m"}, "waits for the end of 's' of run " + slow + " at ");
  at_server.until({"pool", "status"}, "of what runs makes way, ");
  until_there(told);
  at_server.restart();
  for (const auto& each : {urgent, waits, slow}) {
    CHECK(at_server({"watch", each}).status == 0);
  }
  // Which is first is not said: after a restart a task may answer what it runs before the other.
  const auto marked = at_server.marked();
  CHECK((marked == "urgent\nwaits\n" || marked == "waits\nurgent\n"));
  at_server.until({"pool", "status"}, "0 of 1 slots are taken, 0 attempts wait");
  const auto refused = at_server({"project", "set", "default", "--preempts-from", "soon"});
  CHECK(refused.status == 2);
  CHECK_MESSAGE(refused.errors.find("--preempts-from 'soon': write a number") != std::string::npos,
                refused.errors);
  CHECK(at_server({"project", "set", "default", "--preempts-from", "none"})
            .output.find("preempts_from:   -") != std::string::npos);
}

TEST_CASE("a task of a paused run makes way, and waits until its run is resumed") {
  shared_server at_server{{"--slots", "1"}};
  CHECK(at_server({"project", "set", "default", "--preempts-from", "high"}).status == 0);
  const auto told = (at_server.folder.path / "told").string();
  at_server.apply("slow", "  - {name: s, priority: low, run: 'test ! -e " + told +
                              " || exit 0; trap \"touch " + told + "; exit 1\" TERM; touch " +
                              told + ".up; while :; do sleep 0.05 || :; done'}\n");
  const auto slow = at_server.submit({"slow"});
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
  while (!std::filesystem::exists(told + ".up")) {
    REQUIRE(std::chrono::steady_clock::now() < end);
  }
  at_server.until({"get", slow, "s"}, "running");
  CHECK(at_server({"pause", "run", slow}).status == 0);
  const auto urgent = at_server.submit({"mark", "-p", "who=urgent", "--priority", "high"});
  CHECK(at_server({"watch", urgent}).status == 0);
  at_server.until({"get", slow, "s"}, "its run is paused");
  at_server.until({"get", slow, "s"}, "preempted by 'm' of run " + urgent + ", priority 100");
  CHECK(at_server({"resume", "run", slow}).status == 0);
  CHECK(at_server({"watch", slow}).status == 0);
}

TEST_CASE("what would pass its project's quota waits for it with the reason, also through a kill") {
  shared_server at_server{{"--slots", "8", "--resources", "cpu=8,memory=16Gi,gpu=9"}};
  const auto folder = at_server.folder.path;
  const auto hold_by = [&](const std::string& name, const std::string& resources) {
    at_server.apply(name, "  - {name: t, resources: {" + resources + "}, run: 'head -c 2000000 " +
                              "/dev/zero > file; until test -e " + (folder / name).string() +
                              "; do sleep 0.05; done'}\n");
    return at_server.submit({name});
  };
  const auto let_go = [&](const std::string& name) { std::ofstream{folder / name}; };
  CHECK(at_server({"project", "set", "default", "--max-cpu", "4", "--max-memory", "4Gi"})
            .output.find("max_memory:      4Gi\n") != std::string::npos);
  const auto first = hold_by("first", "memory: 3Gi, cpu: 1500m");
  at_server.until({"get", first, "t"}, "running");
  const auto second = hold_by("second", "memory: 2Gi");
  const auto why =
      "waits for memory: the project 'default' uses 3Gi of 4Gi, and this task wants 2Gi";
  at_server.until({"get", second, "t"}, why);
  const auto third = hold_by("third", "memory: 1Gi");  // which fits
  at_server.until({"get", third, "t"}, "running");
  at_server.until({"project", "get", "default"}, "max_memory:      4Gi (4Gi used)");
  let_go("third");
  CHECK(at_server({"watch", third}).status == 0);
  at_server.until({"project", "get", "default"}, "max_cpu:         4 (1500m used)");
  at_server.until({"project", "list"}, "1500m/4");
  at_server.restart();
  // What ran has ended with the server and waits behind what was there before; it counts once.
  at_server.until({"get", first, "t"},
                  "waits for memory: the project 'default' uses 2Gi of 4Gi, "
                  "and this task wants 3Gi");
  at_server.until({"project", "get", "default"}, "max_memory:      4Gi (2Gi used)");
  const auto large = hold_by("large", "cpu: 5");
  CHECK(at_server({"watch", large}).status == 1);
  at_server.until({"get", large, "t"},
                  "wants 5 cpu; the project 'default' may have 4 at a time: ask for less");
  CHECK(at_server({"project", "set", "default", "--max-memory", "5Gi"}).status == 0);
  at_server.until({"get", first, "t"}, "running");
  for (const auto* name : {"first", "second"}) {
    let_go(name);
  }
  CHECK(at_server({"watch", first}).status == 0);
  CHECK(at_server({"watch", second}).status == 0);
  at_server.until({"project", "get", "default"}, "max_memory:      5Gi (0 used)");
  for (const auto& words :
       std::vector<std::vector<std::string>>{{"--max-cpu", "0"},
                                             {"--max-cpu", "-1"},
                                             {"--max-cpu", "4Gi"},
                                             {"--max-memory", "many"},
                                             {"--max-memory", "1e9"},
                                             {"--max-storage", ""},
                                             {"--max-storage", "99999999999999Ti"}}) {
    auto all = words;
    all.insert(all.begin(), {"project", "set", "default"});
    const auto wrong = at_server(all);
    CHECK_MESSAGE(wrong.status == 2, words[1]);
    CHECK_MESSAGE(wrong.errors.find(words[0] + " '" + words[1] + "': write ") != std::string::npos,
                  wrong.errors);
  }
  CHECK(at_server({"project", "usage"}).status == 2);
  CHECK(at_server({"project", "usage", "default", "--max-cpu", "2"}).status == 2);
}

// Executors look at one run at a time, so a run counts some seconds after it wrote.
TEST_CASE("a project whose runs hold its storage starts nothing more until some of it is free") {
  shared_server at_server{{"--slots", "4"}};
  const auto over = at_server.folder.path / "over";
  at_server.apply("writes", "  - {name: w, run: 'head -c 2000000 /dev/zero > file; until test -e " +
                                over.string() + "; do sleep 0.05; done'}\n");
  const auto writes = at_server.submit({"writes"});
  CHECK(at_server({"project", "set", "default", "--max-storage", "1M"}).status == 0);
  at_server.until({"project", "usage", "default"}, "1956Ki  1M");
  at_server.until({"project", "get", "default"}, "max_storage:     1M (1956Ki used)");
  const auto mark = at_server.submit({"mark"});
  const auto full = "waits for storage: runs of the project 'default' hold ";
  at_server.until({"get", mark, "m"}, full);
  { std::ofstream{over}; }
  CHECK(at_server({"watch", writes}).status == 0);  // what runs goes on
  at_server.restart();
  at_server.until({"get", mark, "m"}, full);
  CHECK(at_server({"delete", "run", writes}).status == 0);
  CHECK(at_server({"watch", mark}).status == 0);
}

TEST_CASE("a project has its bounds") {
  shared_server at_server{{"--slots", "4", "--resources", "gpu=9"}};
  CHECK(at_server({"project", "set", "default", "--max-running", "1", "--max-queued-runs", "2"})
            .output.find("max_queued_runs") != std::string::npos);
  const auto holds = at_server.submit({"hold"});
  at_server.until({"get", holds, "h"}, "running");
  const auto first = at_server.submit({"mark"});
  at_server.until({"get", first, "m"},
                  "the project 'default' has 1 task that runs, and may have 1 at a time");
  const auto second = at_server.submit({"mark"});
  at_server.until({"get", second, "m"}, "may have 1 at a time");
  auto refused = at_server({"submit", "mark"});  // a few on the way may come with those before
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
  while (refused.status == 0 && std::chrono::steady_clock::now() < end) {
    refused = at_server({"submit", "mark"});
  }
  CHECK(refused.status == 7);
  CHECK_MESSAGE(refused.errors.find("the project 'default' has") != std::string::npos,
                refused.errors);
  CHECK_MESSAGE(refused.errors.find(" while nothing of them has a slot, 0 of this pipeline for "
                                    "their turn), and may have 2;") != std::string::npos,
                refused.errors);
  CHECK(at_server({"project", "set", "default", "--max-queued-runs", "none"})
            .output.find("\nmax_queued_runs: -\n") != std::string::npos);
  CHECK(at_server.submit({"mark"}).size() > 0);
  CHECK(at_server({"pause", "run", second}).status == 0);
  at_server.until({"get", second, "m"}, "its run is paused");
  at_server.restart();  // settings and pauses are as they were
  CHECK(at_server({"project", "get", "default"}).output.find("max_running:     1") !=
        std::string::npos);
  at_server.until({"get", second, "m"}, "its run is paused");
  at_server.release();
  CHECK(at_server({"watch", holds}).status == 0);
  CHECK(at_server({"watch", first}).status == 0);
  at_server.until({"get", second, "m"}, "its run is paused");
  CHECK(at_server({"resume", "run", second}).status == 0);
  CHECK(at_server({"watch", second}).status == 0);
  for (const auto& words : std::vector<std::vector<std::string>>{{"--weight", "0"},
                                                                 {"--weight", "none"},
                                                                 {"--max-running", "-1"},
                                                                 {"--max-priority", "highest"}}) {
    auto all = words;
    all.insert(all.begin(), {"project", "set", "default"});
    const auto wrong = at_server(all);
    CHECK_MESSAGE(wrong.status == 2, words[1]);
    CHECK_MESSAGE(wrong.errors.size() > 0, words[1]);
  }
  CHECK(at_server({"project", "set", "default", "--max-priority", "low"}).status == 0);
}

}  // namespace millrace::testing
