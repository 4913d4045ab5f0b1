// SPDX-License-Identifier: MIT
// A counter behind the HTTP API, for tests/bench/http. Prints its port, serves until standard input
// ends.
#include <unistd.h>

#include <cstdio>

#include "api/api.h"
#include "runtime/silo/counter.h"

int main() {
  using namespace millrace;
  runtime::silo here{runtime::make_memory_storage(), {.threads = 1}};
  here.add<testing::counter>();
  char pattern[] = "/tmp/millrace-bench-http-XXXXXX";
  if (::mkdtemp(pattern) == nullptr) {
    return 1;
  }
  auto host = actors::pipeline_host::open({.data_directory = pattern}, here);
  if (!host || !here.start()) {
    return 1;
  }
  const runtime::system_clock clock_for_files;
  gateway::file_thread files{"logs", clock_for_files};
  gateway::file_thread bodies{"bodies", clock_for_files};
  gateway::file_thread inspections{"inspections", clock_for_files};
  gateway::api_parts parts{here, host->get(), files, bodies, bodies, inspections, {}};
  gateway::http::router routes;
  gateway::api_routes into{routes, parts};
  gateway::add_actor_routes(into);
  const runtime::system_clock clock;
  gateway::http::server server{{}, routes.as_handler(), clock};
  const auto port = server.start();
  if (!port) {
    return 1;
  }
  std::printf("%u\n", *port);
  std::fflush(stdout);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  server.stop(std::chrono::milliseconds{100});
  here.stop();
  std::filesystem::remove_all(pattern);
}
