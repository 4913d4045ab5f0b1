// SPDX-License-Identifier: MIT
// What a person asks of runs, and of the machine: following all of a run, lists by time, the exit
// code of a task, what may be the matter.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "e2e/process.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/rfc3339.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path written(const temporary_folder& folder, const std::string& text) {
  const auto file = folder.path / "pipeline.yaml";
  std::ofstream{file} << text;
  return file;
}

// A server with a pipeline.
struct serving {
  explicit serving(const temporary_folder& folder, const std::string& definition)
      : server(std::make_unique<server_process>(folder.path / "served")) {
    const auto applied = ask({"apply", written(folder, definition).string()});
    REQUIRE_MESSAGE(applied.status == 0, applied.errors);
  }
  std::vector<std::string> here(std::vector<std::string> words) const {
    words.insert(words.end(), {"--server", server->url()});
    return words;
  }
  finished_command ask(std::vector<std::string> words) const {
    return millrace(here(std::move(words)));
  }

  std::unique_ptr<server_process> server;
};

// Lines of a whole run without the blanks before the bar.
std::multiset<std::string> lines_of(const std::string& text) {
  std::multiset<std::string> lines;
  std::istringstream all{text};
  for (std::string line; std::getline(all, line);) {
    const auto bar = line.find(" | ");
    REQUIRE_MESSAGE(bar != std::string::npos, line);
    lines.insert(line.substr(0, line.find_last_not_of(' ', bar) + 1) + line.substr(bar));
  }
  return lines;
}

using lines = std::multiset<std::string>;

// Method: one task has ended before it is followed, one goes on until the test writes to a named
// pipe, and the others come after that.
TEST_CASE("the logs of a whole run are followed to its end, and each line comes once") {
  temporary_folder folder;
  const auto gate = folder.path / "gate";
  REQUIRE(::mkfifo(gate.c_str(), 0600) == 0);
  const serving at{folder, R"(name: f
tasks:
  - {name: first, run: 'echo one; printf half'}
  - {name: gate, needs: first, run: 'echo begun; cat )" +
                               gate.string() + R"(; echo last >&2'}
  - {name: count, needs: gate, for_each: [a, b], run: 'echo $MILLRACE_ITEM'}
  - {name: retried, needs: count, run: 'echo try $MILLRACE_ATTEMPT; test $MILLRACE_ATTEMPT = 2',
     retry: {max_attempts: 2, delay: 1ms}}
)"};
  REQUIRE(at.ask({"submit", "f"}).status == 0);
  background_command following{at.here({"logs", "@latest", "-f"})};
  following.read_until("| begun");
  background_command stopped{at.here({"logs", "@latest", "-f", "--grep", "half|go|try 2"})};
  stopped.read_until("| half");
  std::ofstream{gate} << "go\n";
  const auto left = following.wait();
  CAPTURE(left.errors);
  CHECK(left.status == 0);
  const lines all{"first | one",  "first | half",    "gate | begun",
                  "gate | go",    "gate | last",     "count[0] | a",
                  "count[1] | b", "retried | try 1", "retried attempt 2 | try 2"};
  CHECK(lines_of(left.output) == all);
  CHECK(lines_of(stopped.wait().output) ==
        lines{"first | half", "gate | go", "retried attempt 2 | try 2"});

  // Of one that has ended it is the same.
  const auto again = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"logs", "@latest"});
    words.emplace_back("-f");
    return lines_of(at.ask(words).output);
  };
  CHECK(again({}) == all);
  CHECK(again({"count"}) == lines{"count[0] | a", "count[1] | b"});
  CHECK(again({"--stderr"}) == lines{"gate | last"});
  CHECK(again({"--attempt", "2"}) == lines{"retried attempt 2 | try 2"});
  CHECK(again({"--tail", "1"}).count("first | one") == 0);
  CHECK(at.ask({"logs", "@latest", "counter", "-f"}).status == 5);
  CHECK(at.ask({"logs", "@latest", "-f", "--timestamps"}).status == 2);
  CHECK(at.ask({"logs", "01234567-89ab-7000-8000-000000000000", "-f"}).status == 5);
}

// Goal: `--tail` leaves out what was written before, and nothing that comes.
TEST_CASE("what begins while a run is followed is told whole, whatever the tail") {
  temporary_folder folder;
  const auto gate = folder.path / "gate";
  REQUIRE(::mkfifo(gate.c_str(), 0600) == 0);
  const serving at{folder, R"(name: f
tasks:
  - {name: gate, run: 'echo one; echo two; cat )" +
                               gate.string() + R"('}
  - {name: late, needs: gate, for_each: [1, 2, 3, 4], run: 'echo three; echo four'}
)"};
  REQUIRE(at.ask({"submit", "f"}).status == 0);
  background_command whole{at.here({"logs", "@latest", "-f"})};
  whole.read_until("| two");
  background_command following{at.here({"logs", "@latest", "-f", "--tail", "1"})};
  following.read_until("| two");
  std::ofstream{gate} << "";
  lines all{"gate | two"};
  for (const auto* each : {"0", "1", "2", "3"}) {
    all.insert(
        {"late[" + std::string{each} + "] | three", "late[" + std::string{each} + "] | four"});
  }
  CHECK(lines_of(following.wait().output) == all);
  all.insert("gate | one");
  CHECK(lines_of(whole.wait().output) == all);
}

TEST_CASE("the followed logs of a run go on when the server comes back, with the next attempt") {
  temporary_folder folder;
  const auto gate = folder.path / "gate";
  REQUIRE(::mkfifo(gate.c_str(), 0600) == 0);
  serving at{folder,
             "name: f\ntasks: [{name: wait, run: 'echo begun; cat " + gate.string() + "'}]\n"};
  REQUIRE(at.ask({"submit", "f"}).status == 0);
  background_command following{at.here({"logs", "@latest", "-f"})};
  following.read_until("wait | begun");
  const auto address = at.server->address();
  at.server->kill();
  at.server = std::make_unique<server_process>(folder.path / "served", address);
  following.read_until("wait attempt 2 | begun");
  std::ofstream{gate} << "go\n";
  const auto left = following.wait();
  CAPTURE(left.errors);
  CHECK(left.status == 0);
  CHECK(lines_of(left.output) ==
        lines{"wait | begun", "wait attempt 2 | begun", "wait attempt 2 | go"});
}

// More tasks at a time than outputs are followed at a time: the rest comes once others have ended.
TEST_CASE("all of a wide run is followed") {
  temporary_folder folder;
  const serving at{folder, R"(name: wide
tasks: [{name: each, for_each: "${{ range(0, 100) }}", run: 'echo "$MILLRACE_ITEM"; echo e >&2'}]
)"};
  const auto run = at.ask({"submit", "wide"}).output;
  const auto left = at.ask({"logs", run.substr(0, run.size() - 1), "-f"});
  CAPTURE(left.errors);
  CHECK(left.status == 0);
  const auto found = lines_of(left.output);
  CHECK(found.size() == 200);
  CHECK(found.count("each[99] | 99") == 1);
  CHECK(found.count("each[0] | e") == 1);
}

TEST_CASE("runs are listed by when they were submitted") {
  temporary_folder folder;
  const serving at{folder, "name: f\ntasks: [{name: a, run: 'true'}]\n"};
  const auto submitted = [&] { return at.ask({"submit", "f", "--wait"}).output; };
  const auto first = submitted();
  std::string between;
  runtime::append_rfc3339(between, runtime::system_clock{}.wall().time_since_epoch().count());
  const auto second = submitted();
  const auto listed = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"list", "runs", "-o", "name"});
    return at.ask(words).output;
  };
  for (const auto& of : {std::vector<std::string>{}, {"f"}}) {
    const auto with = [&](std::vector<std::string> words) {
      words.insert(words.begin(), of.begin(), of.end());
      return listed(words);
    };
    CHECK(with({"--since", between}) == second);
    CHECK(with({"--until", between}) == first);
    CHECK(with({"--since", "1h"}) == second + first);
    CHECK(with({"--since", "1h", "--limit", "1"}) == second);
    CHECK(with({"--until", "1h"}).empty());
    CHECK(with({"--since", "1h", "--until", between}) == first);
    CHECK(with({"--since", "2200-01-01T00:00:00Z"}).empty());
  }
  CHECK(at.ask({"list", "runs", "--since", between}).errors.empty());  // not that there are more
  CHECK(at.ask({"list", "runs", "--since", ""}).status == 2);          // of an unset variable
  CHECK(at.ask({"list", "runs", "--until", "noon"}).errors.find("--until must be a time") !=
        std::string::npos);
  CHECK(at.ask({"list", "runs", "--since", "1h", "--until", "2h"}).errors ==
        "millrace: --until must be later than --since\n");
  CHECK(at.ask({"list", "--since", "1h"}).status == 2);
  CHECK(at.ask({"list", "tasks", "@latest", "--until", "1h"}).status == 2);
}

TEST_CASE("a command that waits for a run ends with the exit code of a task") {
  temporary_folder folder;
  const std::string definition = R"(name: f
params: {code: {type: string, default: "7"}, other: {type: string, default: "0"}}
tasks:
  - {name: work, allow_failures: true, run: 'exit $MILLRACE_PARAM_CODE'}
  - {name: other, run: 'exit $MILLRACE_PARAM_OTHER'}
  - {name: killed, allow_failures: true, run: 'kill -TERM $$'}
  - name: each
    allow_failures: true
    for_each: [0, 5]
    fail_fast: false
    run: exit $MILLRACE_ITEM
)";
  const serving at{folder, definition};
  const auto file = (folder.path / "pipeline.yaml").string();
  const auto data = (folder.path / "data").string();
  const auto both = [&](std::vector<std::string> words) {
    auto here = words;
    here.insert(here.begin(), {"run", file});
    here.insert(here.end(), {"--data", data});
    words.insert(words.begin(), {"submit", "f", "--wait"});
    return std::pair{millrace(here), at.ask(words)};
  };
  const auto codes = [&](const std::vector<std::string>& words) {
    const auto [here, there] = both(words);
    CAPTURE(here.errors);
    CAPTURE(there.errors);
    return std::pair{here.status, there.status};
  };
  using pair = std::pair<int, int>;
  CHECK(codes({}) == pair{0, 0});
  CHECK(codes({"--exit-code-from", "work"}) == pair{7, 7});
  CHECK(codes({"--exit-code-from", "work", "-p", "code=0"}) == pair{0, 0});
  CHECK(codes({"--exit-code-from", "work", "-p", "code=0", "-p", "other=3"}) == pair{1, 1});
  CHECK(codes({"--exit-code-from", "killed"}) == pair{143, 143});
  CHECK(codes({"--exit-code-from", "each[1]"}) == pair{5, 5});
  CHECK(codes({"--exit-code-from", "each[0]"}) == pair{0, 0});
  CHECK(codes({"--exit-code-from", "work", "--only", "other"}) == pair{0, 0});

  // There is no such instance, which a run that has failed does not hide.
  CHECK(codes({"--exit-code-from", "each[7]"}) == pair{5, 5});
  CHECK(codes({"--exit-code-from", "each[7]", "-p", "other=3"}) == pair{1, 1});

  for (const auto& [task, why] :
       {std::pair{"wrok", "'wrok': the pipeline has no such task; did you mean 'work'?"},
        {"each", "'each': the task has several instances: name one of them, such as 'each[0]'"},
        {"work[0]", "'work[0]': the task has no instances: name it alone"}}) {
    const auto [here, there] = both({"--exit-code-from", task});
    CHECK(here.status == 2);
    CHECK(here.errors == "millrace: --exit-code-from " + std::string{why} + "\n");
    CHECK(there.status == 2);
    CHECK(there.errors == here.errors);
  }
  CHECK(at.ask({"submit", "f", "--exit-code-from", "work"}).errors ==
        "millrace: --exit-code-from goes with --wait, --watch or --logs\n");
  CHECK(at.ask({"submit", "f", "--batch", "-", "--exit-code-from", "work"}).status == 2);
  CHECK(millrace({"run", file, "--resume", "--exit-code-from", "work", "--data", data}).status ==
        2);
}

// What doctor says, by check.
std::map<std::string, json> told_by(const finished_command& doctor) {
  std::map<std::string, json> rows;
  const auto all = json::parse(doctor.output, nullptr, false);
  REQUIRE_MESSAGE(all.is_array(), doctor.output, doctor.errors);
  auto fails = false;
  for (const auto& each : all) {
    rows[each.at("check")] = each;
    fails |= each.at("state") == "fail";
    if (each.at("state") == "ok") {
      CHECK(each.at("remedy") == "");
    }
  }
  CHECK(doctor.status == (fails ? 1 : 0));
  return rows;
}

TEST_CASE("doctor says what is well of a server and its machine") {
  temporary_folder folder;
  const server_process server{folder.path / "data"};
  const std::vector<std::string> words{"doctor", "--server", server.url(), "--data",
                                       (folder.path / "data").string()};
  auto as_json = words;
  as_json.insert(as_json.end(), {"-o", "json"});
  const auto rows = told_by(millrace(as_json));
  for (const auto* each : {"server", "clock", "access", "readiness", "cluster", "data directory"}) {
    CAPTURE(each);
    REQUIRE(rows.contains(each));
    CHECK(rows.at(each).at("state") == "ok");
  }
  for (const auto* each : {"disk", "open files", "processes"}) {
    CHECK(rows.contains(each));
  }
  CHECK(rows.at("server").at("found").get<std::string>().find(server.url()) != std::string::npos);
  CHECK(rows.at("data directory").at("found") ==
        (folder.path / "data").string() + ", in use by process " + std::to_string(server.pid()));
  const auto table = millrace(words);
  CHECK(
      table.output.find("ok    access          project 'default' can be read without a token\n") !=
      std::string::npos);
  CHECK(std::count(table.output.begin(), table.output.end(), '\n') == 9);
}

TEST_CASE("doctor says what is wrong with a server, and what to do") {
  temporary_folder folder;
  const auto data = (folder.path / "data").string();
  const auto asked = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"doctor", "-o", "json", "--data", data});
    return millrace(words);
  };
  const auto nobody = told_by(asked({"--server", "http://127.0.0.1:1"}));
  CHECK(nobody.at("server").at("state") == "fail");
  CHECK(nobody.at("server").at("remedy").get<std::string>().find("--server") != std::string::npos);
  CHECK_FALSE(nobody.contains("access"));
  CHECK(nobody.at("data directory").at("found") == data + " is made when it is needed");

  const auto token = folder.path / "token";
  std::ofstream{token} << "a-root-token-of-more-than-enough-letters\n";
  fs::permissions(token, fs::perms::owner_read);
  {
    const server_process closed{data, "127.0.0.1:0", {"--root-token", token.string()}};
    const auto stranger = told_by(asked({"--server", closed.url()}));
    CHECK(stranger.at("access").at("state") == "fail");
    CHECK(stranger.at("access").at("found") == "the server asks for a token");
    CHECK(stranger.at("cluster").at("found") == "who shows no token may not look at it");
    const auto known = told_by(asked({"--server", closed.url(), "--token-file", token.string()}));
    CHECK(known.at("access").at("found") == "project 'default' can be read with the token");
  }

  canned_server other{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};
  CHECK(told_by(asked({"--server", other.url()}))
            .at("server")
            .at("found")
            .get<std::string>()
            .find("something else answers there") != std::string::npos);
  for (const std::string answer : {R"({"version":{}})", R"({"version":2.15})"}) {
    canned_server foreign{"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(answer.size()) +
                          "\r\n\r\n" + answer};
    CHECK(told_by(asked({"--server", foreign.url()}))
              .at("server")
              .at("found")
              .get<std::string>()
              .find("something else answers there") != std::string::npos);
  }
  canned_server old{
      "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\nContent-Length: 19\r\n\r\n"
      "{\"version\":\"0.0.1\"}"};
  const auto differs = told_by(asked({"--server", old.url()}));
  CHECK(differs.at("server").at("state") == "warn");
  CHECK(differs.at("server").at("remedy").get<std::string>().starts_with("this program is "));
  CHECK(differs.at("clock").at("state") == "warn");
  CHECK(differs.at("clock").at("found").get<std::string>().ends_with(
      " s ahead of that of the server"));
  canned_server ahead{
      "HTTP/1.1 200 OK\r\nDate: Sun, 01 Jan 2200 00:00:00 GMT\r\nContent-Length: 19\r\n\r\n"
      "{\"version\":\"0.0.1\"}"};
  CHECK(told_by(asked({"--server", ahead.url()}))
            .at("clock")
            .at("found")
            .get<std::string>()
            .ends_with(" s behind that of the server"));
}

TEST_CASE("doctor looks at the directory, the limits and the store that it is told of") {
  temporary_folder folder;
  const auto asked = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"doctor", "-o", "json", "--server", "http://127.0.0.1:1"});
    return told_by(millrace(words));
  };
  std::ofstream{folder.path / "file"} << "none\n";
  const auto file = asked({"--data", (folder.path / "file").string()}).at("data directory");
  CHECK(file.at("state") == "fail");
  CHECK(file.at("found") == (folder.path / "file").string() + " is not a directory");
  CHECK(file.at("remedy") == "name another with --data");
  fs::create_directory(folder.path / "open");
  fs::permissions(folder.path / "open", fs::perms::all);
  const auto open = asked({"--data", (folder.path / "open").string()}).at("data directory");
  CHECK(open.at("state") == "warn");
  CHECK(open.at("remedy").get<std::string>().starts_with("chmod 700"));

  const auto with = [&](const std::string& where) {
    return asked({"--data", (folder.path / "data").string(), "--coordination", where})
        .at("coordination");
  };
  CHECK(with("local:" + folder.path.string()).at("state") == "ok");
  CHECK(with("local:" + (folder.path / "file").string()).at("state") == "fail");
  canned_server etcd{"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"health\":\"true\"}"};
  canned_server sick{"HTTP/1.1 503 No\r\nContent-Length: 18\r\n\r\n{\"health\":\"false\"}"};
  CHECK(with(etcd.url()).at("found") == "1 of 1 members of the etcd are healthy");
  CHECK(with(sick.url()).at("state") == "fail");
  CHECK(with(etcd.url() + "," + etcd.url() + "," + sick.url()).at("state") == "warn");
  CHECK(with("http://127.0.0.1:1").at("state") == "fail");
  for (const auto* none : {"etcd:2379", "local:"}) {
    CHECK(with(none).at("found") == "'" + std::string{none} + "' names no place for it");
  }

  for (const auto& [limit, state] : {std::pair{"300", "warn"}, {"200", "fail"}}) {
    const auto printed = folder.path / "printed";
    const auto status = std::system(
        ("ulimit -n " + std::string{limit} +
         " && " MILLRACE_PROGRAM " doctor -o json --server http://127.0.0.1:1 >" + printed.string())
            .c_str());
    std::ostringstream text;
    text << std::ifstream{printed}.rdbuf();
    const auto rows = told_by({WEXITSTATUS(status), text.str(), ""});
    CHECK(rows.at("open files").at("state") == state);
    CHECK(rows.at("open files").at("remedy").get<std::string>().find("ulimit -n") !=
          std::string::npos);
  }
}

}  // namespace
}  // namespace millrace::testing
