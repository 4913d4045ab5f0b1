// SPDX-License-Identifier: MIT
// Callbacks of the real program.
#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "e2e/process.h"
#include "http/client.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;
namespace http = gateway::http;

std::string content_of(const fs::path& file) {
  std::ostringstream content;
  content << std::ifstream{file}.rdbuf();
  return content.str();
}

// A server that asks for tokens and tells all it can.
struct telling_server {
  explicit telling_server(const fs::path& folder)
      : token((folder / "token").string()),
        running({"dev", "--listen", "127.0.0.1:0", "--data", (folder / "data").string(), "--slots",
                 "2", "--root-token", token, "--log-level", "debug"}) {
    running.read_until(", data in ");
    const auto& said = running.said();
    const auto from = said.find("http://");
    REQUIRE(from != std::string::npos);
    url = said.substr(from, said.find(',', from) - from);
  }
  finished_command ask(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--server", url, "--token-file", token});
    return millrace(arguments);
  }
  int call(const std::string& path, const std::string& body) const {
    const runtime::system_clock clock;
    http::client_options options;
    options.base = *http::parse_url(url);
    const auto told = http::client{options, clock}.send(http::method::post, path, body);
    REQUIRE(told);
    return told->status;
  }

  std::string token;
  background_command running;
  std::string url;
};

// Goal: the word of a foreign system is kept though the server dies with it, and what lets it in
// stands in no log.
TEST_CASE("a callback outlives kill -9, and its token is in no log") {
  temporary_folder folder;
  const auto file = folder.path / "url";
  std::ofstream{folder.path / "calls.yaml"}
      << "name: calls\ntasks:\n"
         "  - {name: start, env: {URL: '${{ tasks.wait.callback }}'}, "
         "run: 'echo \"$URL\"; printf %s \"$URL\" > "
      << file.string()
      << "'}\n  - {name: wait, needs: [start], callback: {}}\n"
         "  - {name: then, needs: [wait], run: 'echo \"$AT\"', "
         "env: {AT: '${{ tasks.wait.outputs.at }}'}}\n";
  std::string run;
  std::string path;
  std::string said;
  {
    telling_server server{folder.path};
    REQUIRE(server.ask({"apply", (folder.path / "calls.yaml").string()}).status == 0);
    const auto submitted = server.ask({"submit", "calls"});
    REQUIRE(submitted.status == 0);
    run = submitted.output.substr(0, submitted.output.size() - 1);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (server.ask({"get", run, "wait", "-o", "json"}).output.find("waits for callback") ==
           std::string::npos) {
      REQUIRE(std::chrono::steady_clock::now() < end);
    }
    path = content_of(file);
    CHECK(server.ask({"logs", run, "start"}).output == "/api/v1/callbacks/***\n");
    server.running.signal(SIGKILL);
    said += server.running.wait().errors;
  }
  {
    telling_server server{folder.path};
    CHECK(server.call(path, R"({"outputs": {"at": "last"}})") == 202);
    server.running.read_until(" status=202");  // a thread of its own writes the log
    server.running.signal(SIGKILL);            // just acknowledged: it must be there
    said += server.running.wait().errors;
  }
  telling_server server{folder.path};
  CHECK(server.call(path, R"({"outputs": {"at": "last"}})") == 200);
  CHECK(server.call(path, R"({"state": "failed"})") == 409);
  CHECK(server.ask({"watch", run}).status == 0);
  CHECK(server.ask({"logs", run, "then"}).output == "last\n");
  CHECK(said.find("target=/api/v1/callbacks/" + run + ".wait.*** status=202") != std::string::npos);

  // Told again it is no line of the audit: who has seen it sent could fill that.
  const auto next = server.ask({"submit", "calls"});
  REQUIRE(next.status == 0);
  const auto second = next.output.substr(0, next.output.size() - 1);
  const auto latest = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  while (server.ask({"get", second, "wait", "-o", "json"}).output.find("waits for callback") ==
         std::string::npos) {
    REQUIRE(std::chrono::steady_clock::now() < latest);
  }
  path = content_of(file);
  CHECK(server.call(path, "{}") == 202);
  CHECK(server.call(path, "{}") == 200);
  const auto shown = "/api/v1/callbacks/" + second + ".wait.***";
  std::string audit;  // stored a moment later
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  while (audit.find(shown) == std::string::npos) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    audit = server.ask({"audit", "-o", "json"}).output;
  }
  server.running.signal(SIGTERM);
  said += server.running.wait().errors;
  const auto secret = path.substr(path.size() - 32);
  CHECK(said.find(secret) == std::string::npos);
  CHECK(audit.find(secret) == std::string::npos);
  CHECK(said.find("target=" + shown + " status=202") != std::string::npos);
  CHECK(said.find("from=127.0.0.1 method=POST target=" + shown + " status=200") ==
        std::string::npos);
}

// Nobody could answer.
TEST_CASE("a run without a server refuses to wait for a callback") {
  temporary_folder folder;
  const auto file = folder.path / "calls.yaml";
  std::ofstream{file} << "name: calls\ntasks: [{name: wait, callback: {}}]\n";
  const auto told = millrace({"run", file.string()});
  CHECK(told.status == 2);
  CHECK(told.errors.find("the task 'wait' waits for a callback, and here nothing takes one") !=
        std::string::npos);
}

}  // namespace
}  // namespace millrace::testing
