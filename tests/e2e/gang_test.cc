// SPDX-License-Identifier: MIT
// Goal: the ranks of a gang start together on several silos, find each other, and begin again
// together when one of the silos is killed. Method: real silos, each with an address of its own,
// and ranks that talk over TCP.
#include <doctest/doctest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "e2e/process.h"
#include "folders.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;

// Rank 0 listens; rank 1 comes from its own address and says so. In the first round it then stays
// until it is killed, which rank 0 sees as a broken connection.
constexpr const char* talk = R"(
import os, socket, sys, time
folder, attempt = sys.argv[1], os.environ["MILLRACE_ATTEMPT"]
rank, hosts = int(os.environ["MILLRACE_RANK"]), os.environ["MILLRACE_HOSTS"].split(",")
port = f"{folder}/port.{attempt}"
stays = attempt == "1" and os.path.exists(folder + "/stay")
if rank == 0:
    with socket.create_server((hosts[0], 0)) as server:
        with open(port + ".new", "w") as file:
            file.write(str(server.getsockname()[1]))
        os.rename(port + ".new", port)
        peer = server.accept()[0]
        print("heard", peer.recv(100).decode(), flush=True)
        open(f"{folder}/heard.{attempt}", "w").close()
        peer.recv(1)
        sys.exit("the connection broke" if stays else 0)
while not os.path.exists(port):
    time.sleep(0.01)
there = (hosts[0], int(open(port).read()))
with socket.create_connection(there, source_address=(hosts[1], 0)) as peer:
    said = f"rank 1 of {os.environ['MILLRACE_RANKS']} at {peer.getsockname()[0]}"
    peer.sendall(said.encode())
    time.sleep(600 if stays else 0)
)";

// A cluster of a silo that has the state, and others that only run tasks, one at a time, each at
// its own address.
class seats {
public:
  explicit seats(const std::vector<std::string>& names) {
    cluster_.read_until("silo a pid ");
    std::ofstream{folder.path / "talk.py"} << talk;
    for (const auto& name : names) {
      const auto address = "127.0.0." + std::to_string(2 + silos_.size());
      silos_[name] = std::make_unique<background_command>(std::vector<std::string>{
          "silo", "--name", name, "--roles", "execute", "--slots", "1", "--resources", "seat=1",
          "--links", address + ":0", "--coordination",
          "local:" + (folder.path / "d/coordination").string(), "--data",
          (folder.path / name).string()});
      silos_[name]->read_until("silo is active");
      addresses[name] = address;
    }
    const auto& printed = cluster_.printed();
    const auto at = printed.find("http://");
    url_ = printed.substr(at, printed.find(' ', at) - at);
  }
  finished_command ask(std::vector<std::string> words) const {
    words.insert(words.end(), {"--server", url_});
    return millrace(words);
  }
  std::string submit(const std::string& tasks) const {
    const auto file = folder.path / "p.yaml";
    std::ofstream{file} << "name: p\nworkspace: task\ntasks:\n" << tasks;
    const auto applied = ask({"apply", file.string()});
    REQUIRE_MESSAGE(applied.status == 0, applied.errors);
    auto submitted = ask({"submit", "p"});
    REQUIRE_MESSAGE(submitted.status == 0, submitted.errors);
    submitted.output.pop_back();
    return submitted.output;
  }
  std::string talking() const {
    return "  - {name: t, ranks: 2, resources: {seat: 1}, command: [python3, " +
           (folder.path / "talk.py").string() + ", " + folder.path.string() + "]}\n";
  }
  // Where the attempts of a rank were.
  std::vector<std::string> places(const std::string& run, const std::string& rank) const {
    const auto told = ask({"get", run, rank, "-o", "json"});
    REQUIRE_MESSAGE(told.status == 0, told.errors);
    std::vector<std::string> all;
    const auto task = nlohmann::json::parse(told.output);
    for (const auto& each : task.at("attempts")) {
      all.push_back(each.value("executor", ""));
    }
    return all;
  }
  void kill(const std::string& name) {
    silos_[name]->signal(SIGKILL);
    CHECK(silos_[name]->wait().status == 128 + SIGKILL);
  }
  void wait_for(const fs::path& file) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
    while (!fs::exists(file)) {
      REQUIRE_MESSAGE(std::chrono::steady_clock::now() < end, file.string() << " is not there");
    }
  }

  temporary_folder folder;
  std::map<std::string, std::string> addresses;

private:
  background_command cluster_{
      {"dev", "--silos", "1", "--listen", "127.0.0.1:0", "--data", (folder.path / "d").string()}};
  std::map<std::string, std::unique_ptr<background_command>> silos_;
  std::string url_;
};

TEST_CASE("ranks on several silos find each other by their hosts") {
  seats here{{"x", "y"}};
  const auto run = here.submit(here.talking());
  const auto watched = here.ask({"watch", run});
  CHECK_MESSAGE(watched.status == 0, watched.errors);
  const auto first = here.places(run, "t[0]");
  const auto second = here.places(run, "t[1]");
  REQUIRE(first.size() == 1);
  REQUIRE(second.size() == 1);
  CHECK(first[0] != second[0]);
  CHECK(here.ask({"logs", run, "t[0]"}).output ==
        "heard rank 1 of 2 at " + here.addresses.at(second[0]) + "\n");
}

TEST_CASE("a gang begins again as a whole when one of its silos is killed") {
  seats here{{"x", "y", "z"}};
  std::ofstream{here.folder.path / "stay"}.close();
  const auto run = here.submit(here.talking());
  here.wait_for(here.folder.path / "heard.1");
  const auto dead = here.places(run, "t[1]").at(0);
  here.kill(dead);
  const auto watched = here.ask({"watch", run});
  CHECK_MESSAGE(watched.status == 0, watched.output << watched.errors);
  CHECK((watched.output + watched.errors).find("begin again") != std::string::npos);
  for (const auto* rank : {"t[0]", "t[1]"}) {
    const auto places = here.places(run, rank);
    REQUIRE(places.size() == 2);
    CHECK(places[1] != dead);
  }
  CHECK(here.ask({"logs", run, "t[0]"})
            .output.find("heard rank 1 of 2 at " +
                         here.addresses.at(here.places(run, "t[1]")[1])) != std::string::npos);
}

// Goal: the documented way to start an MPI program works, over hosts of which each has one place.
// Method: in place of ssh a script that notes where it was asked to run something, and runs it
// here; Open MPI takes 127.0.0.2 and the like for other machines, and talks over the loopback
// interface alone: others come and go with other tests. The program adds what each rank has.
TEST_CASE("mpirun starts a program at the places of a gang") {
  seats here{{"x", "y", "z"}};
  const auto agent = here.folder.path / "agent";
  std::ofstream{agent} << R"(#!/bin/sh
echo "$1" >> "$AT/asked"
export TMPDIR="$AT/$1"  # of that machine: daemons that begin at once in one fall over each other
mkdir "$TMPDIR"
shift
exec sh -c "$*"
)";
  fs::permissions(agent, fs::perms::owner_all);
  std::ofstream{here.folder.path / "sum.py"} << R"(from mpi4py import MPI
world = MPI.COMM_WORLD
total = world.allreduce(10 * world.rank + 1)
if world.rank == 0:
    print(f"{total} of {world.size}", flush=True)
)";
  const auto run = here.submit(
      "  - {name: t, ranks: 3, resources: {seat: 1}, env: {AT: " + here.folder.path.string() + R"(,
     OMPI_ALLOW_RUN_AS_ROOT: 1, OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: 1, PMIX_MCA_gds: hash,
     OMPI_MCA_oob_tcp_if_include: lo, OMPI_MCA_btl_tcp_if_include: lo},
     run: 'if test "$MILLRACE_RANK" = 0; then
             echo "$MILLRACE_HOSTS" | tr , "\n" > hosts;
             mpirun --mca plm_rsh_agent "$AT/agent" --hostfile hosts -n "$MILLRACE_RANKS"
               python3 "$AT/sum.py";
             touch "$AT/done";
           else
             until test -e "$AT/done"; do sleep 0.02; done;
           fi'}
)");
  const auto watched = here.ask({"watch", run});
  CHECK_MESSAGE(watched.status == 0, watched.output << watched.errors);
  CHECK(here.ask({"logs", run, "t[0]"}).output == "33 of 3\n");
  std::multiset<std::string> asked;
  std::ifstream hosts{here.folder.path / "asked"};
  for (std::string host; std::getline(hosts, host);) {
    asked.insert(host);
  }
  CHECK(asked == std::multiset<std::string>{"127.0.0.2", "127.0.0.3", "127.0.0.4"});
}

TEST_CASE("a gang waits for all of its places, among small tasks, and goes on after a kill -9") {
  temporary_folder folder;
  const auto data = folder.path / "data";
  const auto path = [&](const char* name) { return (folder.path / name).string(); };
  auto server = std::make_unique<server_process>(data, "127.0.0.1:0",
                                                 std::vector<std::string>{"--slots", "3"});
  const auto ask = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", server->url()});
    return millrace(words);
  };
  const auto submit = [&](const std::string& name, const std::string& task) {
    std::ofstream{path("p.yaml")} << "name: " << name << "\ntasks:\n  - " << task << '\n';
    REQUIRE(ask({"apply", path("p.yaml")}).status == 0);
    auto submitted = ask({"submit", name});
    REQUIRE_MESSAGE(submitted.status == 0, submitted.errors);
    submitted.output.pop_back();
    return submitted.output;
  };
  const auto until_told = [&](const std::vector<std::string>& words, const std::string& text) {
    auto all = words;
    all.insert(all.end(), {"--server", server->url()});
    until_prints(all, text);
  };
  const auto starts = [&] {
    std::ifstream file{path("starts")};
    return std::count(std::istreambuf_iterator<char>{file}, {}, '\n');
  };
  const auto small = submit("small", "{name: s, for_each: [1, 2], run: 'until test -e " +
                                         path("go") + "; do sleep 0.02; done'}");
  until_told({"get", small}, "2 running");
  const auto gang =
      submit("gang", "{name: t, ranks: 3, run: 'echo x >> " + path("starts") + "; until test -e " +
                         path("end") + "; do sleep 0.02; done'}");
  until_told({"get", gang, "t[1]"}, "a gang of 3 ranks: 1 place is free");
  const auto passing = submit("passing", "{name: a, run: 'true'}");
  CHECK(ask({"watch", passing}).status == 0);  // it finds room beside them
  CHECK_FALSE(fs::exists(path("starts")));
  const auto large = submit("large", "{name: t, ranks: 4, run: 'true'}");
  until_told({"get", large, "t[3]"}, "there are 3 places for them");
  std::ofstream{path("go")}.close();
  until_told({"get", gang}, "3 running");
  until([&] { return starts() == 3; });
  server->kill();
  server = std::make_unique<server_process>(data, "127.0.0.1:0",
                                            std::vector<std::string>{"--slots", "3"});
  until_told({"get", gang, "t[2]"}, "running");
  std::ofstream{path("end")}.close();
  const auto watched = ask({"watch", gang});
  CHECK_MESSAGE(watched.status == 0, watched.output);
  CHECK(starts() == 6);
  CHECK(ask({"cancel", large}).status == 0);
}

}  // namespace
}  // namespace millrace::testing
