// SPDX-License-Identifier: MIT
// The program as a user meets it.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "e2e/process.h"
#include "millrace/runtime/rfc3339.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& file) {
  std::stringstream text;
  text << std::ifstream{file}.rdbuf();
  return text.str();
}

fs::path written(const temporary_folder& folder, const std::string& text) {
  const auto file = folder.path / "pipeline.yaml";
  std::ofstream{file} << text;
  return file;
}

// A pipeline `gated` of one task that says `begun` and reads a named pipe: it ends when a test
// writes to it.
struct gated_pipeline {
  explicit gated_pipeline(const temporary_folder& folder) : gate(folder.path / "gate") {
    REQUIRE(::mkfifo(gate.c_str(), 0600) == 0);
    file = written(folder, "name: gated\ntasks:\n  - name: wait\n    run: echo begun; cat " +
                               gate.string() + "\n");
  }
  void open() const { std::ofstream{gate} << "go\n"; }
  fs::path gate;
  fs::path file;
};

TEST_CASE("help, versions and mistakes in the command line have their codes") {
  CHECK(millrace({"--help"}).status == 0);
  CHECK(millrace({"--help"}).output.starts_with("Runs pipelines"));
  CHECK(millrace({"version"}).output.starts_with("millrace "));
  for (const auto* each :
       {"run",          "dev",        "validate", "apply",  "submit",   "list",      "get",
        "logs",         "watch",      "cancel",   "retry",  "approve",  "delete",    "actor",
        "dead-letters", "completion", "version",  "top",    "pki",      "silo",      "gateway",
        "silos",        "partitions", "cluster",  "config", "schedule", "plan",      "pause",
        "project",      "pool",       "resume",   "rerun",  "rollback", "artifacts", "cache",
        "describe",     "schema",     "doctor",   "example"}) {
    const auto help = millrace({each, "--help"});
    CHECK(help.status == 0);
    CHECK(help.output.find("Examples:") != std::string::npos);
  }
  CHECK(millrace({}).status == 2);
  CHECK(millrace({"rnu"}).errors ==
        "millrace: there is no command 'rnu'; did you mean 'run'? `millrace --help` lists them "
        "all\n");
  CHECK(millrace({"frob"}).errors ==
        "millrace: there is no command 'frob'; `millrace --help` lists them all\n");
  CHECK(millrace({"--data", "x", "dev"}).errors ==
        "millrace: the command comes first, options behind it: `millrace dev --data ...`; see "
        "`millrace --help`\n");
  CHECK(millrace({"--data", "x", "frob"}).status == 2);
  CHECK(millrace({"run"}).status == 2);
  CHECK(millrace({"get", ""}).status == 2);
  CHECK(millrace({"get", "pipeline", ""}).status == 2);
  CHECK(millrace({"run", "x.yaml", "--nonsense"}).status == 2);
  CHECK(millrace({"run", "no-such-file.yaml"}).errors.find("cannot read 'no-such-file.yaml'") !=
        std::string::npos);
  CHECK(millrace({"list", "--server", "http://127.0.0.1:1"}).status == 7);
  CHECK(millrace({"dev", "--listen", "0.0.0.0:0"}).status == 2);
}

TEST_CASE("a definition with mistakes starts nothing") {
  temporary_folder folder;
  const auto file = written(folder, "name: x\ntaks: []\n");
  const auto data = folder.path / "data";
  const auto run = millrace({"run", file.string(), "--data", data.string()});
  CHECK(run.status == 2);
  CHECK(run.errors.find("pipeline.yaml:2:1: error: unknown key `taks`") != std::string::npos);
  CHECK_FALSE(fs::exists(data));
  CHECK(millrace({"validate", file.string()}).status == 2);
  CHECK(millrace({"validate", "-"}, "name: x\ntasks: [{name: a, run: x}]\n").status == 0);
}

TEST_CASE("the schema of definitions is in the program") {
  const auto schema = contents(fs::path{MILLRACE_SOURCE} / "docs/reference/pipeline.schema.json");
  CHECK(millrace({"schema"}).output == schema);
}

TEST_CASE("validate tells programs of each file what is wrong, in one piece of JSON") {
  temporary_folder folder;
  const auto good = folder.path / "a.yaml";
  const auto wrong = folder.path / "b.yaml";
  std::ofstream{good} << "name: x\ntasks: [{name: a, run: x}]\n";
  const auto alone = millrace({"validate", folder.path.string(), "-o", "json"});
  CHECK(alone.status == 0);
  CHECK(nlohmann::json::parse(alone.output).at(0).at("name") == "x");
  std::ofstream{wrong} << "name: y\ntaks: []\ntasks: [{name: a, run: x}]\n";
  const auto both = millrace({"validate", folder.path.string(), "-o", "json"});
  CHECK(both.status == 2);
  CHECK(both.errors.find("b.yaml:2:1: error: unknown key `taks`") != std::string::npos);
  const auto told = nlohmann::json::parse(both.output);
  REQUIRE(told.size() == 2);
  CHECK(told[0].at("name") == "x");
  CHECK(told[1].at("valid") == false);
  const auto mistake = told[1].at("errors").at(0);
  CHECK(mistake.at("file") == wrong.string());
  CHECK(mistake.at("pointer") == "/taks");
  CHECK(mistake.at("line") == 2);
  CHECK(mistake.at("column") == 1);
  CHECK(mistake.at("detail").get<std::string>().find("`tasks`") != std::string::npos);
  const auto one = millrace({"validate", wrong.string(), "-o", "json"});
  CHECK(one.status == 2);
  CHECK(nlohmann::json::parse(one.output) == told[1]);
  CHECK(millrace({"validate", good.string(), wrong.string(), "-o", "name"}).output == "x\n");
  const auto missing = millrace({"validate", (folder.path / "c").string(), "-o", "json"});
  CHECK(missing.status == 2);
  CHECK(nlohmann::json::parse(missing.output).at("valid") == false);

  fs::remove(wrong);
  server_process server{folder.path / "server"};
  const auto applied = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"-o", "json", "--server", server.url()});
    return nlohmann::json::parse(millrace(words).output);
  };
  CHECK(applied({"apply", "-f", folder.path.string()}).at(0).at("id") == "x");
  CHECK(applied({"apply", good.string(), good.string()}).at(1).at("changed") == false);
  CHECK(applied({"apply", good.string()}).at("id") == "x");
}

TEST_CASE("what is no definition is refused at once and by its name") {
  const auto folder = millrace({"run", "."});
  CHECK(folder.status == 2);
  CHECK(folder.errors == "millrace: cannot read '.': Is a directory\n");
  const auto endless = millrace({"validate", "/dev/zero"});
  CHECK(endless.status == 2);
  CHECK(endless.errors ==
        "millrace: cannot read '/dev/zero': it has more than 1048576 bytes, which is the most\n");
  CHECK(millrace({"validate", "-", "-o", "name"}, "name: x\ntasks: [{name: a, run: x}]\n").output ==
        "x\n");
}

TEST_CASE("tasks that are runs of other pipelines run where the definitions of these are named") {
  temporary_folder folder;
  const auto main = folder.path / "main.yaml";
  const auto other = folder.path / "other.yaml";
  std::ofstream{main} << "name: m\ntasks:\n  - {name: sub, pipeline: o}\n"
                         "  - {name: end, needs: [sub], run: echo done}\n";
  std::ofstream{other} << "name: o\ntriggers: [{pipeline: m, on: end}]\n"
                          "tasks: [{name: a, run: 'true'}]\n";
  const auto data = (folder.path / "data").string();
  const auto refused = millrace({"run", main.string(), "--data", data});
  CHECK(refused.status == 2);
  CHECK_MESSAGE(refused.errors.find("the task 'sub' is a run of the pipeline 'o', which is not "
                                    "known here: name its definition too") != std::string::npos,
                refused.errors);
  CHECK(millrace({"run", main.string(), other.string(), "--data", data}).output == "done\n");
  CHECK(millrace({"run", main.string(), "--data", data}).output == "done\n");  // it is known now
  const auto twice = millrace({"run", main.string(), main.string(), "--data", data});
  CHECK(twice.errors == "millrace: two of the definitions are called 'm'\n");
  std::ofstream{other} << "name: o\ntasks: [{name: b, approval: 'Really?'}]\n";
  CHECK(millrace({"run", main.string(), other.string(), "--data", data})
            .errors.find("waits for approval") != std::string::npos);
}

TEST_CASE("a definition comes back from every form that validate prints it in") {
  for (const auto& each : fs::directory_iterator{MILLRACE_EXAMPLES}) {
    if (each.path().extension() != ".yaml") {
      continue;
    }
    CAPTURE(each.path().string());
    const auto json = millrace({"validate", each.path().string(), "-o", "json"});
    REQUIRE(json.status == 0);
    for (const auto* form : {"json", "jsonl", "yaml"}) {
      const auto printed = millrace({"validate", each.path().string(), "-o", form});
      const auto again = millrace({"validate", "-", "-o", "json"}, printed.output);
      CHECK(again.errors.empty());
      CHECK(again.output == json.output);
    }
  }
}

TEST_CASE("settings are shown with where they come from, and nothing starts") {
  temporary_folder folder;
  const auto file = (folder.path / "silo.yaml").string();
  const auto write = [&](const std::string& text) { std::ofstream{file} << text; };
  const auto view = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"config", "view", "silo", "--config", file, "-o", "json"});
    return millrace(more);
  };
  const auto has = [](const finished_command& shown, const std::string& setting,
                      const std::string& value, const std::string& from) {
    CAPTURE(shown.output);
    return shown.output.find("\"setting\": \"" + setting + "\",\n    \"value\": " + value +
                             ",\n    \"from\": \"" + from + "\"\n") != std::string::npos;
  };
  write("name: from-file\n\ncopies: 5\nslots: 2\nplain-links: false\ndata: " +
        (folder.path / "data").string() + "\n");
  ::setenv("MILLRACE_COPIES", "3", 1);
  ::setenv("MILLRACE_ETCD_PASSWORD", "hush", 1);
  const auto shown = view({"--slots", "7", "--coordination", "local:/x"});
  ::unsetenv("MILLRACE_COPIES");
  ::unsetenv("MILLRACE_ETCD_PASSWORD");
  CHECK(shown.status == 0);
  CHECK(shown.errors.empty());
  CHECK(has(shown, "slots", "\"7\"", "command line"));
  CHECK(has(shown, "copies", "\"3\"", "MILLRACE_COPIES"));
  CHECK(has(shown, "name", "\"from-file\"", file + ":1"));
  CHECK(has(shown, "plain-links", "false", file + ":5"));
  CHECK(has(shown, "keep-age", "\"90d\"", "default"));
  CHECK(has(shown, "log-level", "\"info\"", "default"));
  CHECK(has(shown, "key", "null", "default"));
  CHECK(has(shown, "etcd-password", "\"(hidden)\"", "MILLRACE_ETCD_PASSWORD"));
  CHECK(shown.output.find("\"output\"") == std::string::npos);
  CHECK_FALSE(fs::exists(folder.path / "data"));

  // A value that is refused is shown, for its origin is what one wants to know.
  const auto refused = view({"--slots", "many", "--coordination", "local:/x"});
  CHECK(refused.status == 2);
  CHECK(has(refused, "slots", "\"many\"", "command line"));
  CHECK(
      refused.errors ==
      millrace({"silo", "--config", file, "--slots", "many", "--coordination", "local:/x"}).errors);

  for (const auto* mistake : {"name: a\nnmae: b\n", "output: json\n", "plain-links: maybe\n"}) {
    write(mistake);
    const auto told = view({});
    CHECK(told.status == 2);
    CHECK(told.output.empty());
    CHECK(told.errors.find(file + ":") != std::string::npos);
    CHECK(told.errors == millrace({"silo", "--config", file}).errors);
  }
  CHECK(millrace({"config", "view", "silo", "--nmae", "x"}).errors ==
        millrace({"silo", "--nmae", "x"}).errors);
  CHECK(millrace({"config", "view", "list", "--project", "x"}).errors ==
        "millrace: config view: 'list' is no command with settings, such as silo\n");
  CHECK(millrace({"config", "view"}).status == 2);
}

TEST_CASE("bash completes commands and their options") {
  const auto completed = [](const std::string& words, int at) {
    temporary_folder folder;
    const auto file = folder.path / "printed";
    const auto script = "eval \"$(" MILLRACE_PROGRAM " completion bash)\"; COMP_WORDS=(millrace " +
                        words + "); COMP_CWORD=" + std::to_string(at) +
                        "; _millrace; echo \"${COMPREPLY[@]}\"";
    CHECK(std::system(("bash -c '" + script + "' >" + file.string()).c_str()) == 0);
    return contents(file);
  };
  CHECK(completed("su", 1) == "submit\n");
  CHECK(completed("c", 1) == "cancel cluster cache check context config completion\n");
  CHECK(completed("submit --w", 2) == "--wait --watch\n");
  CHECK(completed("cancel RUN --r", 3) == "--reason\n");
  CHECK(completed("des", 1) == "describe\n");
  CHECK(completed("describe --p", 2) == "--project\n");
  CHECK(completed("submit --o", 2) == "--output --only\n");
  CHECK(millrace({"completion", "tcsh"}).status == 2);
}

TEST_CASE("the manual and the completions have every command of the help") {
  std::istringstream help{millrace({"--help"}).output};
  const auto manual = millrace({"man"}).output;
  const auto fish = millrace({"completion", "fish"}).output;
  const auto zsh = millrace({"completion", "zsh"}).output;
  std::size_t commands = 0;
  std::string line;
  while (std::getline(help, line) && line != "Commands:") {
  }
  while (std::getline(help, line) && !line.empty()) {
    ++commands;
    std::string name;
    std::istringstream{line} >> name;
    CAPTURE(name);
    CHECK(manual.find("\n.SS " + name + "\n") != std::string::npos);
    CHECK(fish.find(" -a " + name + " -d ") != std::string::npos);
    CHECK(zsh.find("\n    " + name + ")\n") != std::string::npos);
  }
  CHECK(commands > 25);
  CHECK(manual.find("\\fB\\-p\\fR, \\fB\\-\\-param\\fR \\fINAME=VALUE\\fR\n") != std::string::npos);
  const auto settings = millrace({"man", "millrace.yaml"}).output;
  CHECK(settings.find("\\fBlinks:\\fR \\fIADDRESS:PORT\\fR\n") != std::string::npos);
  CHECK(settings.find("notify") == std::string::npos);
  CHECK(millrace({"man", "silo.yaml"}).status == 2);
}

TEST_CASE("the word count finds the most frequent words and leaves a result file") {
  temporary_folder folder;
  const auto run = millrace({"run", MILLRACE_EXAMPLES "/01-word-frequency.yaml", "-p", "top=3",
                             "--data", folder.path.string(), "--progress", "json"});
  CHECK(run.status == 0);
  CHECK(run.output.find(" license\n") != std::string::npos);
  auto results = 0;
  for (const auto& each : fs::recursive_directory_iterator{folder.path / "workspaces"}) {
    if (each.path().filename() == "result.txt") {
      CHECK(contents(each.path()) == run.output);
      ++results;
    }
  }
  CHECK(results == 1);
}

TEST_CASE("a failing run tells what failed and why") {
  temporary_folder folder;
  const auto file = written(folder, R"(name: f
tasks:
  - {name: a, run: "echo the reason >&2; exit 3"}
  - {name: b, run: x, needs: a}
)");
  const auto run = millrace({"run", file.string(), "--data", (folder.path / "d").string()});
  CHECK(run.status == 1);
  CHECK(run.errors.find("exit code 3") != std::string::npos);
  CHECK(run.errors.find("the reason") != std::string::npos);
  CHECK(run.errors.find("upstream failed  b") != std::string::npos);
}

// Goal: what a compiler or a test says is seen without another command, and all of it with one
// more. Method: the command that the last words name is run as it stands, with a server and
// without.
TEST_CASE("a failed task's last words come from both streams, with the command for the rest") {
  temporary_folder folder;
  const auto file = written(folder, R"(name: f
tasks:
  - name: it
    for_each: [0, 1]
    run: seq 30; echo "$MILLRACE_ITEM failed"; echo why >&2; exit 1
)");
  server_process server{folder.path / "served"};
  REQUIRE(millrace({"apply", file.string(), "--server", server.url()}).status == 0);
  ::setenv("MILLRACE_SERVER", server.url().c_str(), 1);
  for (const auto& left :
       {millrace({"run", file.string(), "--slots", "1", "--data", (folder.path / "d").string()}),
        millrace({"submit", "f", "--watch"})}) {
    CAPTURE(left.errors);
    CHECK(left.status == 1);
    const auto at = left.errors.find("--- it[");
    REQUIRE(at != std::string::npos);
    const auto from = left.errors.find('`', at) + 1;
    const auto command = left.errors.substr(from, left.errors.find('`', from) - from);
    const auto words = left.errors.substr(left.errors.find('\n', at) + 1);
    CHECK(words.starts_with("12\n13\n"));
    CHECK(words.find("30\n" + left.errors.substr(at + 7, 1) + " failed\nwhy\n") !=
          std::string::npos);
    const auto all = folder.path / "all";
    CHECK(std::system(
              (MILLRACE_PROGRAM + command.substr(command.find(' ')) + " >" + all.string() + " 2>&1")
                  .c_str()) == 0);
    CHECK(contents(all).starts_with("1\n2\n"));
    CHECK(contents(all).ends_with("failed\nwhy\n"));
  }
  ::unsetenv("MILLRACE_SERVER");
}

// Method: in the order of their names, in case that the clock of the files is too coarse.
TEST_CASE("the logs of a run are printed whole, with a server and without") {
  temporary_folder folder;
  const auto file = written(folder, R"(name: f
tasks:
  - {name: a-first, run: 'echo one; printf half'}
  - {name: count, needs: a-first, for_each: [a, b], max_parallel: 1, run: 'echo $MILLRACE_ITEM'}
  - {name: counts, needs: count, run: 'echo other >&2'}
  - {name: retried, needs: counts, run: 'echo try $MILLRACE_ATTEMPT; test $MILLRACE_ATTEMPT = 2',
     retry: {max_attempts: 2, delay: 1ms}}
)");
  const auto data = (folder.path / "data").string();
  std::vector<std::string> how;
  const auto logs = [&how](std::vector<std::string> words) {
    words.insert(words.begin(), "logs");
    words.insert(words.end(), how.begin(), how.end());
    return millrace(words);
  };
  const auto check = [&] {
    CHECK(logs({"@latest"}).output ==
          "a-first           | one\na-first           | half\ncount[0]          | a\n"
          "count[1]          | b\ncounts            | other\nretried           | try 1\n"
          "retried attempt 2 | try 2\n");
    CHECK(logs({"@latest", "--stderr"}).output.find("counts            | other\n") == 0);
    CHECK(logs({"@latest", "--attempt", "2"}).output == "retried attempt 2 | try 2\n");
    CHECK(logs({"@latest", "count"}).output == "count[0] | a\ncount[1] | b\n");
    CHECK(logs({"@latest", "count", "--attempt", "1"}).output == "count[0] | a\ncount[1] | b\n");
    const auto ninth = logs({"@latest", "count", "--attempt", "9"});
    CHECK(ninth.status == 5);
    CHECK(ninth.errors == "millrace: no instance of task 'count' has had attempt 9\n");
    CHECK(logs({"@latest", "--attempt", "9"}).status == 5);
    CHECK(logs({"@latest", "count[1]"}).output == "b\n");
    CHECK(logs({"@latest", "retried"}).output == "try 2\n");
    CHECK(logs({"@latest", "retried", "--attempt", "1"}).output == "try 1\n");
    CHECK(logs({"@latest", "a-first", "--tail", "1"}).output == "half");
    const auto one = logs({"@latest", "counts"});
    CHECK(one.output.empty());
    CHECK(one.errors == "other\n");
    CHECK(logs({"@latest", "counts", "--stderr"}).output == "other\n");
    CHECK(logs({"@latest", "cou"}).status == 5);
  };
  {
    server_process server{data};
    REQUIRE(millrace({"apply", file.string(), "--server", server.url()}).status == 0);
    REQUIRE(millrace({"submit", "f", "--wait", "--server", server.url()}).status == 0);
    how = {"--server", server.url()};
    check();
    how = {"--data", data};  // while a server has the directory
    check();
    CHECK(server.stop() == 0);
  }
  check();
  const auto run = millrace({"logs", "@latest", "--data", (folder.path / "no").string()});
  CHECK(run.status == 5);
  CHECK(run.errors.find("there is no data directory") != std::string::npos);
}

// Method: each step waits for the one of the other task, and until the silo has noted when the last
// line was written.
TEST_CASE("lines of tasks that run at the same time alternate in the logs of their run") {
  temporary_folder folder;
  const auto file = written(folder, R"yaml(name: pair
workspace: run
defaults:
  env:
    STEP: |
      say() {
        echo "$1"
        times="$(dirname "$MILLRACE_OUTPUT")/stdout.times"
        until grep -q "$(printf %015d "$2")" "$times" 2>/dev/null; do sleep 0.01; done
        touch "said-$1"
      }
      after() { until test -e "said-$1"; do sleep 0.01; done; }
tasks:
  - {name: a, run: 'eval "$STEP"; say 1 2; after 2; say 3 4; after 4; echo 5 >&2'}
  - {name: b, run: 'eval "$STEP"; after 1; say 2 2; after 3; say 4 4'}
)yaml");
  const auto data = (folder.path / "data").string();
  const std::string merged = "a | 1\nb | 2\na | 3\nb | 4\na | 5\n";
  std::string run;
  {
    server_process server{data};
    const auto asked = [&](std::vector<std::string> words) {
      words.insert(words.begin(), "logs");
      words.insert(words.end(), {"--server", server.url()});
      return millrace(words);
    };
    REQUIRE(millrace({"apply", file.string(), "--server", server.url()}).status == 0);
    const auto submitted = millrace({"submit", "pair", "--wait", "--server", server.url()});
    run = millrace({"list", "runs", "-o", "name", "--server", server.url()}).output;
    REQUIRE_MESSAGE(run.size() > 1, submitted.errors);
    run.pop_back();
    CHECK(asked({run}).output == merged);
    std::istringstream lines{asked({run, "--timestamps"}).output};
    std::string last;
    std::string without;
    for (std::string line; std::getline(lines, line);) {
      const auto time = line.substr(0, line.find(' '));
      CHECK(runtime::from_rfc3339(time).value_or(0) >= runtime::from_rfc3339(last).value_or(0));
      last = time;
      without += line.substr(time.size() + 1) + "\n";
    }
    CHECK(without == merged);
    const auto one = asked({run, "a", "--timestamps"});
    CHECK(one.output.find(" 1\n") != std::string::npos);
    CHECK(one.errors.ends_with("Z 5\n"));
    CHECK(asked({run, "--grep", "[24]"}).output == "b | 2\nb | 4\n");
    CHECK(asked({run, "--since", last}).output.ends_with("a | 5\n"));
    CHECK(asked({run, "--since", "1h"}).output == merged);
    CHECK(asked({run, "--since", "2200-01-01T00:00:00Z"}).output.empty());
    CHECK(asked({run, "--since", "yesterday"}).errors.find("--since") != std::string::npos);
    CHECK(asked({run, "a", "-f", "--timestamps"}).status == 2);
    CHECK(server.stop() == 0);
  }
  CHECK(millrace({"logs", run, "--data", data}).output == merged);
  CHECK(millrace({"logs", run, "--since", "2200-01-01T00:00:00Z", "--data", data}).output.empty());
}

// Also of folders that a task has made: their content is as secret as what the task was given.
TEST_CASE("what millrace makes in its data directory is for its owner only") {
  temporary_folder folder;
  const auto file = written(folder, "name: x\ntasks: [{name: a, run: echo text}]\n");
  const auto before = ::umask(022);
  const auto data = folder.path / "new" / "data";
  CHECK(millrace({"run", file.string(), "--data", data.string() + "/"}).status == 0);
  const auto is_private = [](const fs::path& made) {
    return (fs::status(made).permissions() & (fs::perms::group_all | fs::perms::others_all)) ==
           fs::perms::none;
  };
  CHECK(is_private(data));
  CHECK_FALSE(is_private(data.parent_path()));  // it holds nothing else
  auto seen = 0;
  for (const auto& each : fs::recursive_directory_iterator{data}) {
    if (each.is_directory()) {
      CAPTURE(each.path().string());
      CHECK(is_private(each.path()));
      ++seen;
    }
  }
  CHECK(seen >= 6);
  // One that is there stays as its owner has it.
  const auto shared = folder.path / "shared";
  fs::create_directory(shared);
  CHECK(millrace({"run", file.string(), "--data", shared.string()}).status == 0);
  CHECK_FALSE(is_private(shared));
  CHECK(is_private(shared / "logs"));
  ::umask(before);
}

TEST_CASE("a data directory in use is refused with the process that has it") {
  temporary_folder folder;
  server_process server{folder.path};
  const auto second = millrace({"dev", "--listen", "127.0.0.1:0", "--data", folder.path.string()});
  CHECK(second.status == 6);
  CHECK(second.errors.find("in use by process " + std::to_string(server.pid())) !=
        std::string::npos);
  const auto port = server.url().substr(server.url().rfind(':'));
  temporary_folder other;
  const auto taken =
      millrace({"dev", "--listen", "127.0.0.1" + port, "--data", other.path.string()});
  CHECK(taken.status == 6);
  CHECK(taken.errors.find("another program uses this port") != std::string::npos);
  CHECK(server.stop() == 0);
}

TEST_CASE("a pipeline is applied, submitted, watched, listed and read through the server") {
  temporary_folder folder;
  server_process server{folder.path / "data"};
  const auto file = written(folder, R"(name: hello
params: {who: world, times: 2}
tasks:
  - {name: say, run: 'echo "hello $MILLRACE_PARAM_WHO"', for_each: [1, 2]}
  - {name: end, needs: [say], run: printf 'done\ncaf\303\251 \377\n'}
)");
  const auto at_server = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", server.url()});
    return millrace(words);
  };
  CHECK(at_server({"apply", file.string()}).output == "pipeline hello version 1\n");
  CHECK(at_server({"apply", file.string()}).output == "pipeline hello version 1 (unchanged)\n");
  CHECK(at_server({"submit", "hello", "-p", "whom=x"}).status == 2);
  CHECK(at_server({"submit", "helo"}).status == 5);
  const auto submitted = at_server({"submit", "hello", "-p", "who=you", "--wait"});
  REQUIRE(submitted.status == 0);
  const auto run = submitted.output.substr(0, submitted.output.size() - 1);
  CHECK(at_server({"list", "-o", "name"}).output == "hello\n");
  CHECK(at_server({"list", "runs", "hello", "-o", "name"}).output == run + "\n");
  // The list hears of a run's end a moment later.
  until_prints({"list", "runs", "--server", server.url()}, run + "  hello     succeeded  1 ");
  CHECK(at_server({"list", "runs"}).output.starts_with("ID "));
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"list", "runs", "--state", "succeeded"},
        {"list", "runs", "--pipeline", "hello", "--state", "succeeded", "--limit", "1"}}) {
    auto named = words;
    named.insert(named.end(), {"-o", "name"});
    CHECK(at_server(named).output == run + "\n");
  }
  CHECK(at_server({"list", "runs", "--state", "failed", "-o", "name"}).output.empty());
  CHECK(at_server({"list", "runs", "helo"}).status == 5);
  const auto wrong = at_server({"list", "runs", "--state", "faild"});
  CHECK(wrong.status == 2);
  CHECK(wrong.errors.find(
            "expected one of: running, queued, succeeded, failed, cancelled, timed_out") !=
        std::string::npos);
  CHECK(at_server({"get", run}).output.find("succeeded") != std::string::npos);
  CHECK(at_server({"logs", run, "say[1]"}).output == "hello you\n");
  CHECK(at_server({"logs", run, "end", "--tail", "1"}).output == "caf\303\251 \377\n");
  CHECK(at_server({"logs", run, "end", "-f"}).output.starts_with("done\n"));
  CHECK(at_server({"logs", run, "nope"}).status == 5);
  CHECK(at_server({"get", run, "end"}).output.find("caf\303\251") != std::string::npos);
  CHECK(at_server({"watch", run}).status == 0);
  CHECK(at_server({"cancel", run}).status == 6);
  const auto retried = at_server({"retry", run});
  CHECK(retried.status == 6);
  CHECK(retried.errors.find("nothing to retry") != std::string::npos);
  const auto again = at_server({"retry", run, "--from", "end", "--dry-run"});
  CHECK(again.output == "end\n");
  CHECK(again.errors == "would retry 1 task instance of run " + run + "\n");
  CHECK(at_server({"get", run}).output.find("succeeded") != std::string::npos);
  CHECK(at_server({"retry", run, "--from", "nope"}).status == 5);
  CHECK(at_server({"retry", run, "--from", "end"}).status == 0);
  CHECK(at_server({"watch", run}).status == 0);
  CHECK(at_server({"actor", "call", "run", run, "status"}).output.find("\"succeeded\"") !=
        std::string::npos);
  const auto logs = at_server({"submit", "hello", "--logs"});
  CHECK(logs.output.starts_with("done\n"));
  CHECK(server.stop() == 0);
}

TEST_CASE("runs and tasks are shown with what a person asks next, and pipelines are deleted") {
  temporary_folder folder;
  const auto served = (folder.path / "data").string();
  background_command server{{"dev", "--listen", "127.0.0.1:0", "--data", served}};
  server.read_until("; stop with");
  const auto start = server.said().find("http://");
  const auto url = server.said().substr(start, server.said().find(',', start) - start);
  const auto at_server = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", url});
    return millrace(words);
  };
  const auto definitions = folder.path / "definitions";
  fs::create_directory(definitions);
  std::ofstream{definitions / "a.yaml"} << "name: a\ntasks: [{name: ok, run: echo}]\n";
  std::ofstream{definitions / "b.yml"}
      << "name: b\ntasks: [{name: bad, run: exit 3}, {name: later, needs: bad, run: x}]\n";
  std::ofstream{definitions / "notes.txt"} << "none\n";
  CHECK(at_server({"apply", "-f", definitions.string()}).output ==
        "pipeline a version 1\npipeline b version 1\n");
  CHECK(at_server({"apply", "-f", (definitions / "a.yaml").string(), "-f",
                   (definitions / "b.yml").string()})
            .output == "pipeline a version 1 (unchanged)\npipeline b version 1 (unchanged)\n");
  CHECK(at_server({"apply"}).status == 2);
  CHECK(at_server({"apply", "-f", served}).status == 2);

  const auto ended = at_server({"submit", "b", "--wait", "-o", "json"});
  CHECK(ended.status == 1);
  CHECK(ended.output.find(R"("state": "failed")") != std::string::npos);
  CHECK(ended.output.find(R"("finished_at": "20)") != std::string::npos);
  CHECK(std::count(ended.output.begin(), ended.output.end(), '{') >= 2);
  const auto got = at_server({"get", "@latest"}).output;
  CHECK(got.find("tasks:          2 tasks: 1 failed, 1 not started\n") != std::string::npos);
  CHECK(got.find("\n\nID     STATE            ATTEMPT  DURATION  EXIT_CODE  SIGNAL  LABEL  REASON\n"
                 "bad    failed           1        0.") != std::string::npos);
  CHECK(got.find("\nlater  upstream_failed  0        -         -") != std::string::npos);
  CHECK(at_server({"get", "@latest", "-o", "json"}).output.find("DURATION") == std::string::npos);
  CHECK(at_server({"list", "tasks", "@latest"}).output.find("  DURATION  ") != std::string::npos);
  until_prints({"list", "runs", "--server", url}, "  failed  ");  // a moment later
  const auto wide = at_server({"list", "runs", "-o", "wide"}).output;
  for (const auto* each : {"DURATION", "REASON", "LABELS", "PARAMS", "FINISHED_AT",
                           "2 tasks: 1 failed, 1 not started", "task `bad` failed"}) {
    CAPTURE(each);
    CHECK(wide.find(each) != std::string::npos);
  }
  const auto pipelines = at_server({"list"}).output;
  CHECK_MESSAGE(pipelines.starts_with("ID  VERSION  PAUSED  LATEST_RUN  REGISTERED_AT\n"),
                pipelines);
  CHECK_MESSAGE(pipelines.find("\nb   1        -       failed      20") != std::string::npos,
                pipelines);
  server.read_until("run ended run=");
  server.read_until(" pipeline=default/b state=failed tasks=2 failed=1 seconds=");
  server.read_until(".");
  server.read_until(" reason=\"task `bad` failed\"\n");

  CHECK(at_server({"delete", "pipeline", "nothing", "b"}).status == 5);
  CHECK(at_server({"list", "-o", "name"}).output == "a\n");
  CHECK(at_server({"submit", "b"}).status == 5);
  CHECK(at_server({"delete", "pipeline", "b"}).status == 5);
  CHECK(at_server({"delete", "pipeline"}).status == 2);
  server.interrupt();
  CHECK(server.wait().status == 0);
}

// Goal: nobody is surprised by work that an earlier command has left.
// Method: a run is killed while its task waits at a named pipe.
TEST_CASE("run says what is unfinished in its directory, and finishes or cancels it as told") {
  for (const std::string how : {"--resume", "--new"}) {
    CAPTURE(how);
    temporary_folder folder;
    const gated_pipeline gated{folder};
    const auto data = (folder.path / "data").string();
    const std::vector<std::string> words{"run", gated.file.string(), "--data", data};
    const auto with = [&words](std::vector<std::string> more) {
      auto all = words;
      all.insert(all.end(), more.begin(), more.end());
      return all;
    };
    CHECK(millrace(with({"--resume"})).errors ==
          "millrace: there is no unfinished run in " + data + "\n");
    std::string run;
    {
      background_command first{words};
      first.read_until("running");
      run = first.said().substr(4, 36);
      first.signal(SIGKILL);
      static_cast<void>(first.wait());
    }
    const auto asked = millrace(words);
    CHECK(asked.status == 6);
    CHECK(asked.errors == "millrace: " + data + " has 1 unfinished run:\n  " + run +
                              " of gated\n  --resume finishes what is unfinished and starts no new "
                              "run, --new cancels it first\n");
    CHECK(millrace(with({"--resume", "--new"})).status == 2);
    CHECK(millrace(with({"--resume", "-p", "a=b"})).status == 2);
    background_command again{with({how})};
    again.read_until("run " + run + " of gated\n");
    if (how == "--new") {
      again.read_until("run cancelled: a new run was wanted instead");
      again.read_until("running          wait\n");
    }
    gated.open();
    const auto left = again.wait();
    CAPTURE(left.errors);
    CHECK(left.status == 0);
    CHECK(left.output.ends_with("go\n"));
    CHECK(left.errors.find("succeeded        wait" +
                           std::string{how == "--resume" ? " attempt 2" : ""}) !=
          std::string::npos);
    CHECK(millrace(with({"--resume"})).status == 5);
  }
}

TEST_CASE("a task finds the folder of its definition under run") {
  temporary_folder folder;
  fs::create_directory(folder.path / "with files");
  const auto file = folder.path / "with files" / "p.yaml";
  std::ofstream{folder.path / "with files" / "data.txt"} << "beside\n";
  std::ofstream{file} << "name: p\ntasks: [{name: a, run: 'cat \"$MILLRACE_SOURCE/data.txt\"'}]\n";
  const auto data = (folder.path / "data").string();
  CHECK(millrace({"run", file.string(), "--data", data}).output == "beside\n");
  CHECK(millrace({"run", "-", "--data", data},
                 "name: p\ntasks: [{name: a, run: 'echo ${MILLRACE_SOURCE-none}'}]\n")
            .output == "none\n");
}

TEST_CASE("a run is submitted for each line of a file, and what is refused is named by its line") {
  temporary_folder folder;
  server_process server{folder.path / "data"};
  const auto file = written(folder, R"(name: quick
params: {who: world}
tasks: [{name: none, for_each: [], run: x}]
)");
  const auto at_server = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", server.url()});
    return millrace(words);
  };
  const auto line_count = [](const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  };
  const auto batch = (folder.path / "runs.jsonl").string();
  const auto write = [&](const std::string& text) { std::ofstream{batch} << text; };
  REQUIRE(at_server({"apply", file.string()}).status == 0);
  write("{\"params\": {\"who\": \"a\"}}\n\n{\"params\": {\"whom\": \"b\"}}\n{}\n");
  const auto told = at_server({"submit", "quick", "--batch", batch, "--idempotency-key", "k"});
  CHECK(told.status == 2);
  CHECK(told.errors ==
        "millrace: line 3: the pipeline has no parameter `whom` (did you mean `who`?)\n");
  CHECK(line_count(told.output) == 2);
  const auto run = told.output.substr(0, told.output.find('\n'));
  CHECK(at_server({"get", run, "-o", "json"}).output.find("\"who\": \"a\"") != std::string::npos);
  CHECK(at_server({"submit", "quick", "--batch", batch, "--idempotency-key", "k"}).output ==
        told.output);
  const auto json = at_server({"submit", "quick", "--batch", batch, "-o", "json"});
  CHECK(line_count(json.output) == 3);
  CHECK(json.output.find("\"line\":3,\"error\":{") != std::string::npos);

  // More than one request takes.
  std::string many;
  for (int line = 0; line < 150; ++line) {
    many += "{\"params\": {\"who\": \"" + std::string(30'000, 'x') + "\"}}\n";
  }
  write(many + "{\"params\": {\"whom\": \"b\"}}\n");
  const auto large = at_server({"submit", "quick", "--batch", batch});
  CHECK(large.errors ==
        "millrace: line 151: the pipeline has no parameter `whom` (did you mean `who`?)\n");
  CHECK(line_count(large.output) == 150);

  CHECK(at_server({"submit", "quick", "--batch", folder.path.string()}).status == 2);
  CHECK(at_server({"submit", "quick", "--batch", "/nowhere"}).status == 2);
  CHECK(at_server({"submit", "quick", "--batch", batch, "--wait"})
            .errors.find("--wait does not go with --batch") != std::string::npos);
  CHECK(at_server({"submit", "slow", "--batch", batch}).status == 5);
  CHECK(server.stop() == 0);
}

TEST_CASE("a list is given as JSON or by a file, an empty one is done, a wrong one is explained") {
  temporary_folder folder;
  server_process server{folder.path / "data"};
  const auto file = written(folder, R"(name: greet
params: {names: [ada], strict: {type: map}, day: {type: string, default: ""}}
tasks:
  - {name: each, for_each: "${{ params.names }}", run: 'echo "$MILLRACE_PARAM_DAY $MILLRACE_ITEM"'}
)");
  std::ofstream{folder.path / "names.json"} << R"(["from a file", 2])";
  const auto at_server = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", server.url()});
    return millrace(words);
  };
  const auto greeted = [&](const std::string& names) {
    return at_server({"submit", "greet", "--logs", "-p", "names=" + names, "-p", "day=007"});
  };
  CHECK(at_server({"apply", file.string()}).status == 0);
  CHECK(greeted(R"(["b c"])").output == "007 b c\n");
  CHECK(greeted("@" + (folder.path / "names.json").string()).output == "007 from a file\n007 2\n");
  const auto none = greeted("[]");
  CHECK(none.status == 0);
  CHECK(none.output.empty());
  CHECK(none.errors.find("each: 0 of 0: its list is empty") != std::string::npos);
  const auto wrong = greeted("a,b");
  CHECK(wrong.status == 2);
  CHECK(wrong.errors.find("write it as JSON: `-p names='[") != std::string::npos);
  CHECK(greeted("@/no/such/file").status == 2);
  CHECK(server.stop() == 0);
}

TEST_CASE("dev serves on localhost and says which addresses it understands") {
  temporary_folder folder;
  server_process server{folder.path, "localhost:0"};
  CHECK(server.url().starts_with("http://127.0.0.1:"));
  CHECK(server.stop() == 0);
  for (const auto* bad :
       {"nowhere:0", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1"}) {
    const auto left = millrace({"dev", "--listen", bad, "--data", folder.path.string()});
    CHECK(left.status == 2);
    CHECK(left.errors.starts_with("millrace: --listen '" + std::string{bad} + "': "));
  }
}

// The second mark comes before the run has heard of itself, so that its first cancel is refused.
TEST_CASE("Ctrl-C cancels a run at any time") {
  for (const auto* mark : {"running", "run ", "run ", "run "}) {
    temporary_folder folder;
    const gated_pipeline gated{folder};
    background_command running{
        {"run", gated.file.string(), "--data", (folder.path / "data").string()}};
    running.read_until(mark);
    running.interrupt();
    const auto left = running.wait();
    CAPTURE(left.errors);
    CHECK(left.status == 130);
    CHECK(left.errors.find("cancelling") != std::string::npos);
    CHECK(left.errors.find("run cancelled: interrupted") != std::string::npos);
  }
}

TEST_CASE("a cancelled run tidies up first, unless it is forced to end") {
  temporary_folder folder;
  const auto file = written(folder, R"(name: tidy
params: {command: {required: true}}
tasks:
  - {name: work, run: sleep 600}
  - {name: tidy, needs: [work], run_on: always, run: $MILLRACE_PARAM_COMMAND}
)");
  server_process server{folder.path / "data"};
  const auto program = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", server.url()});
    return millrace(words);
  };
  REQUIRE(program({"apply", file.string()}).status == 0);
  const auto submitted = [&](const std::string& command) {
    const auto made = program({"submit", "tidy", "-p", "command=" + command}).output;
    const auto run = made.substr(0, made.size() - 1);
    // A run that has just been stored has not begun; to watch one waits for that.
    CHECK(program({"watch", run, "--timeout", "1s"}).status == 8);
    return run;
  };
  const auto run = submitted("echo tidied");
  CHECK(program({"cancel", run}).status == 0);
  CHECK(program({"watch", run}).status == 3);
  CHECK(program({"logs", run, "tidy"}).output == "tidied\n");
  CHECK(program({"delete", "run", "no-such-run", run}).status == 5);
  CHECK(program({"delete", "run", run}).status == 5);
  CHECK(program({"delete", run}).status == 2);

  const auto forced = submitted("sleep 600");
  CHECK(program({"delete", "run", forced}).status == 6);
  CHECK(program({"cancel", forced}).status == 0);
  CHECK(program({"cancel", forced, "--force"}).status == 0);
  CHECK(program({"watch", forced}).status == 3);
}

// Goal: a restart of the server is not the end of a watch.
// Method: the task reads a named pipe, so it ends when the test writes to it: after the restart.
TEST_CASE("watch goes on when the server comes back") {
  temporary_folder folder;
  const gated_pipeline gated{folder};
  auto server = std::make_unique<server_process>(folder.path / "data");
  const auto address = server->address();
  REQUIRE(millrace({"apply", gated.file.string(), "--server", server->url()}).status == 0);
  background_command watching{{"submit", "gated", "--watch", "--server", server->url()}};
  watching.read_until("running");
  CHECK(server->stop() == 0);
  server = std::make_unique<server_process>(folder.path / "data", address);
  gated.open();
  const auto left = watching.wait();
  CAPTURE(left.errors);
  CHECK(left.status == 0);
  CHECK(left.errors.find("run succeeded") != std::string::npos);
}

TEST_CASE("Ctrl-C ends a watch, and says that the run goes on") {
  temporary_folder folder;
  const gated_pipeline gated{folder};
  server_process server{folder.path / "data"};
  REQUIRE(millrace({"apply", gated.file.string(), "--server", server.url()}).status == 0);
  background_command watching{{"submit", "gated", "--watch", "--server", server.url()}};
  watching.read_until("running");
  watching.interrupt();
  const auto left = watching.wait();
  CHECK(left.status == 130);
  const auto run = left.output.substr(0, left.output.size() - 1);
  CHECK(left.errors.ends_with("millrace: run " + run + " goes on; `millrace watch " + run +
                              "` shows it, `millrace cancel " + run + "` ends it\n"));
  gated.open();
  const auto again = millrace({"watch", run, "--server", server.url()});
  CHECK(again.status == 0);
  CHECK(again.errors.find("run succeeded (1 task: 1 succeeded)") != std::string::npos);
}

TEST_CASE("a run on a server ends with the same words as one here") {
  temporary_folder folder;
  const auto file = written(folder, R"(name: f
tasks:
  - {name: a, run: "echo the reason >&2; exit 3"}
  - {name: b, run: x, needs: a}
)");
  const auto here = millrace({"run", file.string(), "--data", (folder.path / "d").string()});
  server_process server{folder.path / "data"};
  REQUIRE(millrace({"apply", file.string(), "--server", server.url()}).status == 0);
  const auto there = millrace({"submit", "f", "--watch", "--server", server.url()});
  CHECK(there.status == 1);
  CHECK(there.errors.find(" a`\nthe reason\n") != std::string::npos);
  const auto last = [](const std::string& text) { return text.substr(text.find("run failed: ")); };
  CHECK(last(there.errors) == last(here.errors));
  CHECK(last(there.errors) == "run failed: task `a` failed (2 tasks: 1 failed, 1 not started)\n");
}

// Goal: neither a restart of the server nor a new attempt ends what follows a log.
// Method: the server is killed, and with it the attempt; the next life makes a second one.
TEST_CASE("a followed log goes on when the server comes back, and with the next attempt") {
  temporary_folder folder;
  const gated_pipeline gated{folder};
  auto server = std::make_unique<server_process>(folder.path / "data");
  const auto address = server->address();
  REQUIRE(millrace({"apply", gated.file.string(), "--server", server->url()}).status == 0);
  REQUIRE(millrace({"submit", "gated", "--server", server->url()}).status == 0);
  background_command following{{"logs", "@latest", "wait", "-f", "--server", server->url()}};
  following.read_until("begun");
  server->kill();
  server = std::make_unique<server_process>(folder.path / "data", address);
  following.read_until("millrace: attempt 2 begins\n");
  gated.open();
  const auto left = following.wait();
  CAPTURE(left.errors);
  CHECK(left.status == 0);
  CHECK(left.output == "begun\nbegun\ngo\n");
}

TEST_CASE("a server tells machines of itself in JSON when asked to") {
  temporary_folder folder;
  background_command serving{{"dev", "--listen", "127.0.0.1:0", "--data", folder.path.string(),
                              "--log-format", "json", "--log-level", "debug"}};
  serving.read_until("stop with Ctrl-C");
  serving.interrupt();
  const auto left = serving.wait();
  CHECK(left.status == 0);
  std::stringstream lines{left.errors};
  auto count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    CAPTURE(line);
    CHECK(line.starts_with(R"({"time":"20)"));
    CHECK(line.find(R"(","level":"info","logger":"gateway","message":")") != std::string::npos);
    CHECK(line.ends_with("\"}"));
  }
  CHECK(count == 2);
  CHECK(millrace({"dev", "--log-format", "xml"}).status == 2);
  CHECK(millrace({"dev", "--log-level", "loud"}).status == 2);
}

TEST_CASE("output that cannot be written has a code and a message of its own") {
  temporary_folder folder;
  const auto errors = folder.path / "errors";
  for (const auto* command : {"--help", "version", "validate - -o json"}) {
    CAPTURE(command);
    for (const auto& [where, why] :
         {std::pair{">/dev/full", "No space left on device"}, {">&-", "Bad file descriptor"}}) {
      const auto status =
          std::system(("echo '{name: x, tasks: [{name: a, run: x}]}' | " MILLRACE_PROGRAM " " +
                       std::string{command} + " " + where + " 2>" + errors.string())
                          .c_str());
      CHECK(WEXITSTATUS(status) == 74);
      CHECK(contents(errors) ==
            "millrace: not all of the output could be written: " + std::string{why} + "\n");
    }
  }
}

// Goal: what is printed never comes into a data file.
// Method: the program starts with closed descriptors, which the kernel would give to the first
// files that it opens; then its data is used again.
TEST_CASE("closed standard descriptors do no harm to the data") {
  temporary_folder folder;
  const auto file = written(folder, "name: x\ntasks: [{name: a, run: echo text}]\n");
  const auto run = std::string{MILLRACE_PROGRAM} + " run " + file.string() + " --data " +
                   (folder.path / "data").string();
  for (const auto* closed : {"<&- >&- 2>&-", ">&- 2>&-", "<&-", ">&-"}) {
    CAPTURE(closed);
    const auto status = std::system((run + " " + closed + " 2>/dev/null").c_str());
    REQUIRE(WIFEXITED(status));
    CHECK(std::system((run + " >/dev/null 2>&1").c_str()) == 0);
  }
}

// Method: a named pipe whose reader has closed it; the second output is longer than any buffer.
TEST_CASE("a reader that has left ends the program quietly") {
  temporary_folder folder;
  const auto errors = folder.path / "errors";
  const auto pipe = (folder.path / "pipe").string();
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const auto file = written(folder, "name: x\ndescription: " + std::string(300'000, 'd') +
                                        "\ntasks: [{name: a, run: x}]\n");
  for (const auto& command : {std::string{"--help"}, "validate -o json " + file.string()}) {
    CAPTURE(command);
    const auto status =
        std::system(("exec 3<>" + pipe + " 4>" + pipe + " 3<&-; " MILLRACE_PROGRAM " " + command +
                     " >&4 2>" + errors.string())
                        .c_str());
    CHECK(WEXITSTATUS(status) == 141);
    CHECK(contents(errors).empty());
  }
}

// Method: forty commands fill the disk, after they have written outputs that take more together
// than storage has in reserve.
TEST_CASE("a run ends with the reason when its results find no room on the disk") {
  temporary_folder folder;
  const small_disk disk{folder.path / "disk"};
  if (!disk.mounted()) {
    return;
  }
  const auto file = written(folder, R"yaml(name: full
tasks:
  - name: fill
    outputs: [big]
    for_each: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
               20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39]
    run: |
      { printf big=; head -c 60000 /dev/zero | tr '\0' x; echo; } >> $MILLRACE_OUTPUT
      touch ready.$MILLRACE_INDEX
      until test "$(ls ready.* | wc -l)" = 40; do sleep 0.05; done
      cat /dev/zero > ballast.$MILLRACE_INDEX || true
)yaml");
  const auto data = disk.path() / "data";
  const auto run = millrace({"run", file.string(), "--data", data.string(), "--slots", "40"});
  CAPTURE(run.errors);
  CHECK(run.status == 1);
  CHECK(run.errors.find("millrace: disk full: ") != std::string::npos);
  CHECK(run.errors.find(data.string()) != std::string::npos);
}

TEST_CASE("environment files are read where the definition is, and no server looks for them") {
  temporary_folder folder;
  std::ofstream{folder.path / "more.env"} << "MODE=fast  # not safe\nTITLE='two words'\n";
  const auto file = written(folder,
                            "name: files\nenv_file: more.env\nenv: {MODE: safe}\n"
                            "tasks: [{name: show, run: 'echo \"$MODE $TITLE\"'}]\n");
  const auto data = (folder.path / "data").string();
  CHECK(millrace({"run", file.string(), "--data", data}).output == "safe two words\n");
  server_process server{folder.path / "served"};
  REQUIRE(millrace({"apply", file.string(), "--server", server.url()}).status == 0);
  fs::remove(folder.path / "more.env");
  const auto told = millrace({"submit", "files", "--wait", "--logs", "--server", server.url()});
  CHECK(told.output.find("safe two words\n") != std::string::npos);
  const auto gone = millrace({"validate", file.string()});
  CHECK(gone.status == 2);
  CHECK(gone.errors.find("more.env': No such file or directory") != std::string::npos);
}

TEST_CASE("an answer of another shape ends the program with one line, not by a signal") {
  canned_server strange{"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"run\":[1,2]}"};
  temporary_folder folder;
  const auto file = written(folder, "name: x\ntasks: [{name: a, run: x}]\n");
  const auto apply = millrace({"apply", file.string(), "--server", strange.url()});
  CHECK(apply.status == 1);
  CHECK(apply.errors.starts_with("millrace: unexpected error: "));
  CHECK(std::count(apply.errors.begin(), apply.errors.end(), '\n') == 1);
}

}  // namespace
}  // namespace millrace::testing
