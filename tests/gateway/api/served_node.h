// SPDX-License-Identifier: MIT
// A whole node behind a server, for tests of the API.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/api.h"
#include "http/client.h"
#include "node/node.h"

namespace millrace::gateway {

using http::method;
using nlohmann::json;

inline constexpr const char* hello = R"(name: hello
params: {who: world}
tasks:
  - {name: say, run: 'echo "hello $MILLRACE_PARAM_WHO"'}
)";

// Asks until it is so, for what is on its way.
inline void until(const std::function<bool()>& is_so) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
  while (!is_so()) {
    REQUIRE(std::chrono::steady_clock::now() < end);
  }
}

// A node behind a server, and a client of it.
class served_node {
public:
  /// Whether the API knows the executor of its own process, or there is one elsewhere only.
  enum class executor : std::uint8_t { own, elsewhere };

  /// `root`: the token that may do everything; empty: nobody is asked for one.
  explicit served_node(executor where = executor::own, const std::string& root = {},
                       request_rates rates = {.a_second = 0, .wrong_tokens = 100'000}) {
    std::string pattern = "/tmp/millrace-api-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    using keyring = actors::secret_keyring;
    const auto keys = std::make_shared<const keyring>(std::vector<keyring::key>{{1, 2, 3}});
    auto opened = node::open(
        {.data_directory = folder_, .slots = 2, .secrets = {.directory = {}, .keys = keys}});
    REQUIRE(opened);
    node_ = *std::move(opened);
    parts_.emplace(api_parts{node_->silo(),
                             where == executor::own ? &node_->host() : nullptr,
                             files_,
                             bodies_,
                             strangers_,
                             inspections_,
                             {},
                             nullptr});
    if (!root.empty()) {
      tokens_.emplace(node_->silo(), root, [](const std::string& line) { MESSAGE(line); });
    }
    guard_.emplace(node_->silo(), tokens_ ? &*tokens_ : nullptr, rates);
    parts_->guard = &*guard_;
    parts_->tokens = tokens_ ? &*tokens_ : nullptr;
    parts_->keyring = node_->keyring();
    rows = add_api(routes_, *parts_);
    http::server_options listen;
    listen.asks_who = tokens_.has_value();
    listen.is_valid = [this](const principal& who) { return !tokens_ || tokens_->holds(who); };
    listen.refuse_body = [this, accesses = accesses_of(rows)](http::request& received) {
      return refuse_body(routes_, accesses, *guard_, received);
    };
    server_.emplace(listen, routes_.as_handler(), clock_);
    const auto port = server_->start();
    REQUIRE(port);
    parts_->probe = [this] { return server_->probe(); };
    options_.base = {"127.0.0.1", *port, ""};
    client.emplace(options_, clock_);
  }
  served_node(const served_node&) = delete;
  served_node& operator=(const served_node&) = delete;
  ~served_node() {
    server_->stop(std::chrono::milliseconds{100});
    tokens_.reset();
    node_->stop();
    std::filesystem::remove_all(folder_);
  }

  http::client another_client() { return http::client{options_, clock_}; }

  http::client_response send(method verb, const std::string& target, const std::string& body = {},
                             const http::header_list& headers = {}) {
    auto answer = client->send(verb, target, body, headers);
    REQUIRE_MESSAGE(answer, (answer ? "" : answer.error().text()));
    return *std::move(answer);
  }
  json ask(method verb, const std::string& target, int status, const std::string& body = {},
           const http::header_list& headers = {}) {
    const auto answer = send(verb, target, body, headers);
    CAPTURE(answer.body);
    CHECK(answer.status == status);
    return json::parse(answer.body);
  }
  // Applies and submits `hello`, and waits for its end.
  std::string finished_run() {
    ask(method::put, "/api/v1/projects/p/pipelines/hello", 201, hello);
    return finished_run("hello");
  }
  // Submits a pipeline and waits for its end on the event stream.
  std::string finished_run(const std::string& pipeline) {
    const std::string run =
        ask(method::post, "/api/v1/projects/p/pipelines/" + pipeline + "/runs", 201)["id"];
    auto ended = false;
    const auto stream = client->events("/api/v1/runs/" + run + "/events", "",
                                       [&](const http::received_event& event) {
                                         ended = event.name == "end";
                                         return ended ? http::flow::stop : http::flow::more;
                                       });
    REQUIRE(stream);
    CHECK(ended);
    return run;
  }

  // Gives a request to the routes without a socket.
  void handle(http::request& received, http::reply answer) {
    routes_.handle(received, std::move(answer));
  }

  const std::filesystem::path& folder() const { return folder_; }
  std::uint16_t port() const { return options_.base.port; }

  std::optional<http::client> client;
  std::vector<api_routes::row> rows;

private:
  std::filesystem::path folder_;
  runtime::system_clock clock_;
  std::unique_ptr<node> node_;
  file_thread files_{"logs", clock_};
  file_thread bodies_{"bodies", clock_};
  file_thread strangers_{"strangers", clock_};
  file_thread inspections_{"inspections", clock_};
  std::optional<token_list> tokens_;
  std::optional<guard> guard_;
  std::optional<api_parts> parts_;
  http::router routes_;
  std::optional<http::server> server_;
  http::client_options options_;
};

}  // namespace millrace::gateway
