// SPDX-License-Identifier: MIT
// The examples of the pipeline language say and do what stands beside them.
//
// Beside each definition, `NN-name.expected` is what a person sees who types what it says: `$` and
// a command, then what that prints to standard output, and `[exit N]` where it ends with another
// code than 0. `...` stands for any text within a line.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "e2e/process.h"
#include "http/client.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;
namespace http = gateway::http;

// The examples that ask a person, a foreign system or the project's secrets, or follow another
// pipeline: the case at the end is theirs.
constexpr std::array served_examples{"22-approval", "23-callback", "24-secrets", "29-report"};

std::string contents(const fs::path& file) {
  std::stringstream text;
  text << std::ifstream{file}.rdbuf();
  return text.str();
}

fs::path made_key(const fs::path& file) {
  std::ofstream{file} << millrace({"secret", "key"}).output;
  fs::permissions(file, fs::perms::owner_read);
  return file;
}

std::vector<fs::path> definitions() {
  std::vector<fs::path> found;
  for (const auto& each : fs::directory_iterator{MILLRACE_EXAMPLES}) {
    if (each.path().extension() == ".yaml") {
      found.push_back(each.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

// A command, and the lines that it is to print.
struct step {
  std::string command;
  std::vector<std::string> lines;
};

std::vector<step> steps_of(const fs::path& file) {
  std::vector<step> steps;
  std::ifstream text{file};
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("$ ")) {
      steps.push_back({line.substr(2), {}});
    } else {
      REQUIRE_FALSE(steps.empty());
      steps.back().lines.push_back(line);
    }
  }
  return steps;
}

bool is_as(std::string_view line, std::string_view expected) {
  const auto gap = expected.find("...");
  if (gap == std::string_view::npos) {
    return line == expected;
  }
  if (!line.starts_with(expected.substr(0, gap))) {
    return false;
  }
  for (auto from = gap; from <= line.size(); ++from) {
    if (is_as(line.substr(from), expected.substr(gap + 3))) {
      return true;
    }
  }
  return false;
}

// Types the commands into a shell whose folder has the examples and the program.
class typist {
public:
  explicit typist(bool wants_server) {
    fs::create_directory_symlink(MILLRACE_EXAMPLES, folder_.path / "examples");
    fs::create_directory(folder_.path / "bin");
    fs::create_symlink(MILLRACE_PROGRAM, folder_.path / "bin" / "millrace");
    if (wants_server) {
      server_ = std::make_unique<server_process>(folder_.path / "served");
    }
  }

  // What it prints, and how it ends, as lines.
  std::vector<std::string> type(const std::string& command) const {
    const auto script = folder_.path / "command";
    std::ofstream{script} << "cd '" << folder_.path.string() << "' && PATH=$PWD/bin:$PATH\n"
                          << (server_ ? "export MILLRACE_SERVER=" + server_->url() + "\n" : "")
                          << command << "\n";
    const auto printed = folder_.path / "printed";
    const auto status = std::system(("sh " + script.string() + " >" + printed.string() + " 2>" +
                                     (folder_.path / "errors").string() + " </dev/null")
                                        .c_str());
    std::vector<std::string> lines;
    std::ifstream text{printed};
    for (std::string line; std::getline(text, line);) {
      lines.push_back(line);
    }
    if (status != 0) {
      lines.push_back("[exit " + std::to_string(WEXITSTATUS(status)) + "]");
    }
    return lines;
  }
  [[nodiscard]] std::string errors() const { return contents(folder_.path / "errors"); }

private:
  temporary_folder folder_;
  std::unique_ptr<server_process> server_;
};

TEST_CASE("every example prints what stands beside it") {
  for (const auto& each : definitions()) {
    if (std::ranges::find(served_examples, each.stem()) != served_examples.end()) {
      continue;
    }
    CAPTURE(each.filename().string());
    const auto steps = steps_of(fs::path{each}.replace_extension(".expected"));
    REQUIRE_MESSAGE(!steps.empty(), "it has no expected output");
    const typist one{std::ranges::any_of(steps, [](const auto& step) {
      return step.command.find("millrace apply") != std::string::npos;
    })};
    for (const auto& step : steps) {
      CAPTURE(step.command);
      const auto lines = one.type(step.command);
      CAPTURE(one.errors());
      REQUIRE(lines.size() == step.lines.size());
      for (std::size_t at = 0; at < lines.size(); ++at) {
        CHECK_MESSAGE(is_as(lines[at], step.lines[at]), lines[at], " is not ", step.lines[at]);
      }
    }
  }
}

TEST_CASE("what stands beside an example is of one, and a gap fits any text") {
  for (const auto& each : fs::directory_iterator{MILLRACE_EXAMPLES}) {
    if (each.path().extension() == ".expected") {
      CHECK(fs::exists(fs::path{each.path()}.replace_extension(".yaml")));
    }
  }
  CHECK(is_as("a 1 b 2", "a ... b ..."));
  CHECK(is_as("ab", "a...b"));
  CHECK_FALSE(is_as("a 1 c", "a ... b"));
  CHECK_FALSE(is_as("a 1 b c", "a ... b"));
}

TEST_CASE("the program brings the examples along") {
  std::string names;
  for (const auto& each : definitions()) {
    const auto name = each.stem().string().substr(3);
    CAPTURE(name);
    CHECK(millrace({"example", name}).output == contents(each));
    names += name + "\n";
  }
  CHECK(millrace({"example", "35-batch.jsonl"}).output ==
        contents(fs::path{MILLRACE_EXAMPLES} / "35-batch.jsonl"));
  const auto listed = millrace({"example", "-o", "name"}).output;
  std::istringstream wanted{names};
  for (std::string name; std::getline(wanted, name);) {
    CHECK(("\n" + listed).find("\n" + name + "\n") != std::string::npos);
  }
  CHECK(listed.find(".expected") == std::string::npos);
  const auto table = millrace({"example"}).output;
  CHECK(table.find("An import whose success starts another pipeline, 29-report.yaml\n") !=
        std::string::npos);
  const auto wrong = millrace({"example", "fan-ou"});
  CHECK(wrong.status == 5);
  CHECK(wrong.errors ==
        "millrace: there is no example 'fan-ou'; did you mean 'fan-out'? `millrace example` lists "
        "them\n");
  CHECK(millrace({"example", "fan-out", "-o", "json"}).status == 2);
}

// A server of its own with the examples that want one, and the last one's upstream.
struct example_server {
  example_server() {
    for (const std::string name :
         {"22-approval", "23-callback", "24-secrets", "28-import", "29-report"}) {
      CHECK(ask({"apply", MILLRACE_EXAMPLES "/" + name + ".yaml"}).status == 0);
    }
  }
  std::vector<std::string> here(std::vector<std::string> words) const {
    words.insert(words.end(), {"--server", server.url()});
    return words;
  }
  finished_command ask(std::vector<std::string> words, const std::string& input = {}) const {
    return millrace(here(std::move(words)), input);
  }

  temporary_folder folder;
  server_process server{folder.path / "data",
                        "127.0.0.1:0",
                        {"--slots", "4", "--secrets-key", made_key(folder.path / "key").string()}};
};

TEST_CASE("every example that wants a server gives its answer on one") {
  const example_server at;
  static_assert(served_examples.size() == 4);  // Those below.

  background_command release{at.here({"submit", "approved-release", "--watch"})};
  release.read_until("waits for approval");
  CHECK(at.ask({"approve", "@latest", "gate", "--comment", "looks good"}).status == 0);
  CHECK(release.wait().status == 0);
  CHECK(at.ask({"logs", "@latest", "publish"})
            .output.ends_with(", as someone wanted (looks good)\n"));

  const auto& url = at.server.url();
  background_command job{at.here({"submit", "foreign-job", "-p", "server=" + url, "--watch"})};
  job.read_until("waits for callback");
  const auto run = job.printed().substr(0, job.printed().find('\n'));
  const auto request = contents(at.folder.path / "data" / "workspaces" / run / "request");
  REQUIRE(request.starts_with(url + "/api/v1/callbacks/"));
  const runtime::system_clock clock;
  http::client_options options;
  options.base = *http::parse_url(url);
  const auto told = http::client{options, clock}.send(
      http::method::post, request.substr(url.size(), request.size() - url.size() - 1),
      R"({"outputs": {"rows": "42"}})");
  REQUIRE(told);
  CHECK(told->status == 202);
  CHECK(job.wait().status == 0);
  CHECK(at.ask({"logs", run, "load"}).output == "loading 42 rows\n");

  CHECK(at.ask({"secret", "set", "shop-password"}, "correct-horse-battery\n").status == 0);
  CHECK(at.ask({"secret", "set", "deploy-token"}, "sesame-open-yourself\n").status == 0);
  CHECK(at.ask({"submit", "secretive", "--wait"}).status == 0);
  CHECK(at.ask({"logs", "@latest"}).output ==
        "dump   | the password has 21 letters\ndump   | by mistake: ***\n"
        "deploy | Authorization: Bearer ***\n");

  CHECK(at.ask({"submit", "import", "-p", "day=2026-01-31", "--wait"}).status == 0);
  std::string report;  // begins a moment after the end of what it follows
  until([&] {
    report = at.ask({"list", "runs", "report", "-o", "name"}).output;
    return !report.empty();
  });
  report.pop_back();
  CHECK(at.ask({"watch", report}).status == 0);
  CHECK(at.ask({"logs", report, "write"}).output == "6 rows on 2026-01-31\n");
}

}  // namespace
}  // namespace millrace::testing
