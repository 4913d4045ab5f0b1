// SPDX-License-Identifier: MIT
// A server over a silo of counters.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "api/api.h"
#include "folders.h"
#include "gateway/http/wire.h"
#include "http/client.h"
#include "runtime/silo/fixture.h"

namespace millrace::gateway::cli {

/// A server over counters. Its host belongs to another silo: only runs need one.
struct served_counters {
  explicit served_counters() {
    api_routes into{routes, parts};
    add_dead_letter_routes(into);
    add_actor_routes(into);
    add_inspect_routes(into);
    server.emplace(routes.as_handler());
  }
  nlohmann::json ask(http::method verb, const std::string& target, int status) {
    http::client_options options;
    options.base = {"127.0.0.1", server->port, ""};
    const auto answer = http::client{std::move(options), server->clock}.send(verb, target);
    REQUIRE(answer);
    CHECK(answer->status == status);
    return nlohmann::json::parse(answer->body);
  }
  // Makes counter `from` send something that its receiver never takes.
  void give_up(const std::string& from) {
    REQUIRE(counters.call(runtime::ref<testing::Counter>(from).post_fail("b", "no")));
    counters.advance(std::chrono::seconds{10});
  }

  testing::temporary_folder folder;
  runtime::silo other{runtime::make_memory_storage()};
  std::unique_ptr<actors::pipeline_host> host =
      *actors::pipeline_host::open({.data_directory = folder.path}, other);
  testing::counter_silo counters;
  const runtime::system_clock clock_for_files;
  file_thread files{"logs", clock_for_files};
  file_thread bodies{"bodies", clock_for_files};
  file_thread inspections{"inspections", clock_for_files};
  api_parts parts{counters.here(), host.get(), files, bodies, bodies, inspections, {}};
  http::router routes;
  std::optional<http::running> server;
};

}  // namespace millrace::gateway::cli
