// SPDX-License-Identifier: MIT
// Schedules of a real server.
#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "e2e/process.h"

namespace millrace::testing {
namespace {

using json = nlohmann::json;

json shown(const std::string& server, std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"-o", "json", "--server", server});
  const auto told = millrace(arguments);
  CAPTURE(told.errors);
  REQUIRE(told.status == 0);
  return json::parse(told.output);
}

const std::string ticking =
    "name: ticking\n"
    "schedule: {every: 1s, overlap: allow, catchup: all}\n"
    "tasks: [{name: a, run: 'test -n \"$MILLRACE_SCHEDULED_AT\"'}]\n";

// How often it has fired, at least so often.
std::uint64_t until_fired(const std::string& server, std::uint64_t count) {
  std::uint64_t fired = 0;
  until([&] {
    const auto told = millrace({"schedule", "show", "ticking", "-o", "json", "--server", server});
    if (told.status == 0) {  // else its silo has just died
      fired = json::parse(told.output).at("schedule").at("fired").get<std::uint64_t>();
    }
    return fired >= count;
  });
  return fired;
}

// Pauses it; then the nominal times of its runs are consecutive seconds, none twice.
void check_each_fired_once(const std::string& server, std::uint64_t fired) {
  CHECK(millrace({"schedule", "pause", "ticking", "--server", server}).errors ==
        "paused ticking: default\n");
  const auto told = shown(server, {"schedule", "show", "ticking"});
  CHECK(told.at("schedule").at("fired") >= fired);
  CHECK(told.at("schedule").at("missed") == 0);

  std::set<std::string> times;
  json runs;  // the last are on their way
  until([&] {
    runs = shown(server, {"list", "runs", "ticking"});
    return runs.size() >= told.at("schedule").at("fired").get<std::size_t>();
  });
  for (const auto& each : runs) {
    // Also until it has begun.
    CHECK(millrace({"watch", each.at("id"), "--server", server}).status == 0);
    const auto run = shown(server, {"get", "run", each.at("id")});
    CHECK(run.at("schedule") == "default");
    CAPTURE(run.at("scheduled_at").get<std::string>());
    CHECK(times.insert(run.at("scheduled_at")).second);
  }
  CHECK(runs.size() == told.at("schedule").at("fired").get<std::size_t>());
  // Consecutive seconds: as many as from the first to the last.
  REQUIRE_FALSE(times.empty());
  const auto second_of = [](const std::string& text) {
    return std::stoi(text.substr(11, 2)) * 3600 + std::stoi(text.substr(14, 2)) * 60 +
           std::stoi(text.substr(17, 2));
  };
  const auto span =
      (second_of(*times.rbegin()) - second_of(*times.begin()) + 24 * 3600) % (24 * 3600);
  CHECK(times.size() == static_cast<std::size_t>(span) + 1);
}

// Goal: each firing starts exactly one run, whenever the server dies.
// Method: a schedule fires each second; the server is killed after ever different times. With
// `catchup: all` the nominal times of the runs must be consecutive seconds in the end, none twice.
TEST_CASE("a schedule survives kill -9: no firing is lost, none starts two runs") {
  temporary_folder folder;
  const auto file = folder.path / "ticking.yaml";
  std::ofstream{file} << ticking;
  std::mt19937 random{11};
  {
    server_process server{folder.path / "data"};
    REQUIRE(millrace({"apply", file.string(), "--server", server.url()}).status == 0);
    server.kill();  // just acknowledged: it must be there
  }
  for (int kills = 0; kills < 5; ++kills) {
    server_process server{folder.path / "data"};
    // Not a wait for something to happen: the point in time of the kill is the input of this test.
    ::usleep(static_cast<useconds_t>(600'000 + random() % 900'000));
  }
  server_process server{folder.path / "data"};
  check_each_fired_once(server.url(), until_fired(server.url(), 6));
}

// As above, but another silo takes over.
TEST_CASE("a schedule goes on elsewhere when its silo is killed, and each firing starts one run") {
  temporary_folder folder;
  const auto file = folder.path / "ticking.yaml";
  std::ofstream{file} << ticking;
  background_command cluster{
      {"dev", "--silos", "3", "--listen", "127.0.0.1:0", "--data", (folder.path / "d").string()}};
  cluster.read_until("silo c pid ");
  cluster.read_until("\n");
  const auto word_behind = [&cluster](const std::string& text) {
    const auto& printed = cluster.printed();
    const auto from = printed.find(text);
    REQUIRE(from != std::string::npos);
    const auto begin = from + text.size();
    return printed.substr(begin, printed.find_first_of(" \n", begin) - begin);
  };
  const auto server = word_behind("gateway ");
  REQUIRE(millrace({"cluster", "health", "--wait", "1m", "--server", server}).status == 0);
  REQUIRE(millrace({"apply", file.string(), "--server", server}).status == 0);
  const auto before = until_fired(server, 2);
  const auto actors = shown(server, {"actor", "list", "schedule"});
  REQUIRE(actors.size() == 1);
  const auto silo = actors.at(0).at("silo").get<std::string>();
  ::kill(std::stoi(word_behind("silo " + silo + " pid ")), SIGKILL);
  check_each_fired_once(server, until_fired(server, before + 4));
  cluster.interrupt();
  CHECK(cluster.wait().status == 0);
}

TEST_CASE("a run without a server leaves no schedule behind") {
  temporary_folder folder;
  const auto file = folder.path / "ticking.yaml";
  std::ofstream{file} << ticking;
  const auto data = (folder.path / "data").string();
  REQUIRE(millrace({"run", file.string(), "--data", data}).status == 1);  // it has no nominal time
  server_process server{data};
  CHECK(millrace({"get", "pipeline", "ticking", "--server", server.url()}).status == 0);
  CHECK(millrace({"schedule", "list", "-o", "name", "--server", server.url()}).output.empty());
}

TEST_CASE("the example of a schedule does what its comments say") {
  const std::string file = MILLRACE_EXAMPLES "/06-schedule.yaml";
  const auto offline = millrace({"schedule", "next", file, "-n", "2"});
  REQUIRE(offline.status == 0);
  CHECK(offline.output.starts_with("LOCAL "));
  CHECK(std::count(offline.output.begin(), offline.output.end(), '\n') == 5);
  CHECK(millrace({"schedule", "next", file, "workdays", "-n", "1", "-o", "json"})
            .output.find("T06:30:00+0") != std::string::npos);
  CHECK(millrace({"schedule", "next", file, "nothing"}).status == 5);

  temporary_folder folder;
  server_process server{folder.path / "data"};
  const auto at = [&server](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--server", server.url()});
    return millrace(arguments);
  };
  REQUIRE(at({"apply", file}).status == 0);
  // Told a moment after the apply.
  until([&] { return at({"schedule", "list", "-o", "name"}).output == "often\nworkdays\n"; });
  CHECK(at({"schedule", "show", "timed-report"}).status == 2);  // which of the two?
  const auto listed = at({"schedule", "list", "timed-report"}).output;
  CHECK(listed.find("30 6 * * MON-FRI Europe/Berlin") != std::string::npos);
  CHECK(listed.find("every 15m") != std::string::npos);
  const auto run = at({"schedule", "trigger", "timed-report", "often", "-o", "name"}).output;
  const auto id = run.substr(0, run.size() - 1);
  CHECK(at({"watch", id}).status == 0);
  CHECK(at({"logs", id, "report"}).output.starts_with("a short report for 2"));
  CHECK(at({"schedule", "pause", "timed-report"}).errors ==
        "paused timed-report: often, workdays\n");
  CHECK(at({"schedule", "next", "timed-report", "-n", "1"}).errors ==
        "millrace: schedule often is paused\nmillrace: schedule workdays is paused\n");
  CHECK(at({"schedule", "resume", "timed-report", "often"}).errors ==
        "resumed timed-report: often\n");
}

// Method: each run leaves a line with its time. The server is killed when some have been.
TEST_CASE("a backfill runs each time once, over a kill -9 too") {
  temporary_folder folder;
  const auto lines = folder.path / "lines";
  const auto file = folder.path / "daily.yaml";
  std::ofstream{file} << "name: daily\n"
                         "schedule: {cron: '0 9 * * *', timezone: Europe/Berlin}\n"
                         "tasks:\n  - name: a\n    env: {LINES_FILE: "
                      << lines.string()
                      << "}\n    run: echo $MILLRACE_SCHEDULED_AT >> \"$LINES_FILE\"\n";
  const std::vector<std::string> march{"schedule",   "backfill", "daily",     "--from",
                                       "2026-03-28", "--to",     "2026-04-06"};
  const auto at = [](const server_process& server, std::vector<std::string> arguments,
                     const std::vector<std::string>& more = {}) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.insert(arguments.end(), {"--server", server.url()});
    return millrace(arguments);
  };
  {
    server_process server{folder.path / "data"};
    REQUIRE(at(server, {"apply", file.string()}).status == 0);
    const auto dry = at(server, march, {"--dry-run"});
    CHECK(dry.errors == "10 times, 0 of them are passed over\n");
    // Clocks change there on March 29.
    CHECK(dry.output.find("2026-03-28T09:00:00+01:00  2026-03-28T08:00:00Z\n"
                          "2026-03-29T09:00:00+02:00  2026-03-29T07:00:00Z\n") !=
          std::string::npos);
    REQUIRE(at(server, march, {"--max-parallel", "2"}).output == "1\n");
    until([&] { return std::filesystem::exists(lines); });
    server.kill();
  }
  server_process server{folder.path / "data"};
  json told;
  until([&] {
    told = shown(server.url(), {"schedule", "backfills", "daily"}).at(0);
    return told.at("state") != "running";
  });
  CHECK(told.at("state") == "done");
  CHECK(told.at("succeeded") == 10);
  CHECK(shown(server.url(), {"list", "runs", "daily"}).size() == 10);
  std::set<std::string> times;
  std::ifstream in{lines};
  for (std::string line; std::getline(in, line);) {
    times.insert(line);
  }
  CHECK(times.size() == 10);
  CHECK(*times.begin() == "2026-03-28T08:00:00Z");
  CHECK(*times.rbegin() == "2026-04-06T07:00:00Z");
  CHECK(at(server, march).errors == "10 times, 10 of them are passed over\n");
  CHECK(at(server, march, {"--reprocess", "all", "--dry-run"}).errors ==
        "10 times, 0 of them are passed over\n");
  const auto decade = at(server, {"schedule", "backfill", "daily", "--from", "2016-04-01", "--to",
                                  "2026-03-31", "--dry-run", "-o", "json"});
  CHECK(decade.errors ==
        "3652 times, 4 of them are passed over; of the others, the first 1000 are shown\n");
  CHECK(json::parse(decade.output).size() == 1000);
  CHECK(at(server, {"schedule", "backfill", "daily", "--from", "1970-01-01", "--to", "2026-03-31"})
            .errors.find("a backfill needs `from` and `to`, after 1970-01-01T00:00:00Z") !=
        std::string::npos);
  CHECK(at(server, {"schedule", "cancel-backfill", "daily", "1"}).errors == "backfill 1 is done\n");
  CHECK(at(server, {"schedule", "cancel-backfill", "daily", "7"}).status == 5);
  CHECK(at(server, {"schedule", "backfill", "daily", "--from", "2026-03-28"}).status == 2);
  CHECK(at(server, {"schedule", "backfill", "daily", "--from", "march", "--to", "april"}).status ==
        2);
  CHECK(at(server, {"schedule", "backfill", "daily", "--from", "2999-01-01", "--to", "2999-01-02"})
            .status == 2);
}

TEST_CASE("schedule: nonsense is refused, and says what is wrong") {
  CHECK(millrace({"schedule"}).status == 2);
  CHECK(millrace({"schedule", "show"}).status == 2);
  CHECK(millrace({"schedule", "stop", "x"}).status == 2);
  CHECK(millrace({"schedule", "next", "/nowhere/x.yaml"}).status == 2);
  CHECK(millrace({"schedule", "show", "x", "-n", "3"}).status == 2);
  CHECK(millrace({"schedule", "next", "x.yaml", "-n", "0"}).status == 2);
  temporary_folder folder;
  server_process server{folder.path / "data"};
  for (const auto* verb : {"show", "next", "pause", "resume", "trigger"}) {
    CAPTURE(verb);
    CHECK(millrace({"schedule", verb, "nothing", "--server", server.url()}).status == 5);
  }
  const auto listed = millrace({"schedule", "list", "nothing", "--server", server.url()});
  CHECK(listed.status == 5);
}

}  // namespace
}  // namespace millrace::testing
