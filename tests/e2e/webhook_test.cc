// SPDX-License-Identifier: MIT
// Webhooks of the real program.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "e2e/process.h"
#include "gateway/http/webhook_signature.h"
#include "gateway/http/wire.h"
#include "http/client.h"

namespace millrace::testing {
namespace {

namespace http = gateway::http;
using json = nlohmann::json;

const std::string key = "the-key-of-the-hook";

// A folder with a server's keys, and a pipeline that is started by a webhook.
struct hooked_folder {
  temporary_folder top;
  std::filesystem::path path = top.path;
  std::vector<std::string> options{"--slots",       "4",
                                   "--secrets-key", (path / "keys").string(),
                                   "--root-token",  (path / "token").string()};

  hooked_folder() {
    const auto made = millrace({"secret", "key"});
    REQUIRE(made.status == 0);
    std::ofstream{path / "keys"} << made.output;
    REQUIRE(::chmod((path / "keys").c_str(), 0600) == 0);
    std::ofstream{path / "pipeline.yaml"} << R"(name: hooked
params: {commit: {required: true}}
triggers:
  webhook: github
  signature: {secret: hook-key}
  params: {commit: "${{ trigger.body.after }}"}
tasks: [{name: a, run: echo "$MILLRACE_PARAM_COMMIT"}]
)";
    server_process server = started();
    REQUIRE(ask(server, {"secret", "set", "hook-key"}, key + "\n").status == 0);
    REQUIRE(ask(server, {"apply", (path / "pipeline.yaml").string()}).status == 0);
    CHECK(server.stop() == 0);
  }
  server_process started() const { return server_process{path / "data", "127.0.0.1:0", options}; }
  finished_command ask(const server_process& server, std::vector<std::string> arguments,
                       const std::string& input = {}) const {
    arguments.insert(arguments.end(),
                     {"--server", server.url(), "--token-file", (path / "token").string()});
    return millrace(arguments, input);
  }
};

// The run that it starts; nothing where there was no answer.
std::optional<std::string> deliver(const std::string& url, const std::string& commit) {
  const runtime::system_clock clock;
  http::client_options options;
  options.base = *http::parse_url(url);
  const auto body = json{{"after", commit}}.dump();
  const auto told = http::client{options, clock}.send(
      http::method::post, "/api/v1/projects/default/pipelines/hooked/webhooks/github", body,
      {{"X-Hub-Signature-256", http::webhook_signature(body, key)},
       {"X-GitHub-Delivery", "of-" + commit},
       {"Content-Type", "application/json"}});
  if (!told) {
    return std::nullopt;
  }
  CAPTURE(told->body);
  CHECK(told->status == 201);
  return json::parse(told->body)["id"].get<std::string>();
}

// Goal: what was taken starts its run, and only one, though the server dies in between.
// Method: the server is killed as soon as it has answered, and at random moments of an answer that
// is on its way. Each delivery is sent again to the next server, under its name, as its sender
// does.
TEST_CASE("a delivery starts one run, however often the server is killed with it") {
  const hooked_folder folder;
  std::set<std::string> runs;
  std::mt19937 random{5};
  std::string told_before;
  for (int kills = 0; kills < 6; ++kills) {
    const auto commit = std::to_string(kills);
    std::optional<std::string> first;
    {
      server_process server = folder.started();
      if (kills > 0) {
        CHECK(deliver(server.url(), std::to_string(kills - 1)) == told_before);
      }
      if (kills % 2 == 0) {
        first = deliver(server.url(), commit);
        CHECK(first.has_value());
        server.kill();
      } else {
        auto pending = std::async(std::launch::async, deliver, server.url(), commit);
        // Not a wait for something to happen: the moment of the kill is the input of this test.
        ::usleep(static_cast<useconds_t>(random() % 6'000));
        server.kill();
        first = pending.get();
      }
    }
    server_process server = folder.started();
    const auto again = deliver(server.url(), commit);
    REQUIRE(again.has_value());
    CHECK((!first || first == again));
    CHECK(runs.insert(*again).second);
    CHECK(folder.ask(server, {"watch", *again}).status == 0);
    CHECK(folder.ask(server, {"logs", *again, "a"}).output == commit + "\n");
    told_before = *again;
  }
  server_process server = folder.started();
  const auto listed = folder.ask(server, {"list", "runs", "hooked", "-o", "json"});
  CHECK(json::parse(listed.output).size() == runs.size());
}

TEST_CASE("what is signed and does not say how long it is is not read") {
  const hooked_folder folder;
  server_process server = folder.started();
  const auto& url = server.url();
  http::wire client{static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)))};
  REQUIRE(
      client.send("POST /api/v1/projects/default/pipelines/hooked/webhooks/github HTTP/1.1\r\n"
                  "Host: here\r\nTransfer-Encoding: chunked\r\n"
                  "X-Hub-Signature-256: sha256=00\r\n\r\n"));
  CHECK(client.read_until("\r\n") == "HTTP/1.1 411 Length Required\r\n");
}

}  // namespace
}  // namespace millrace::testing
