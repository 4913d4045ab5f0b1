// SPDX-License-Identifier: MIT
// The whole API over a silo of counters, whose sends a test can have given up. Prints its address
// and serves until its standard input ends. Its argument: a folder for files.
#include <unistd.h>

#include <cstdio>

#include "api/api.h"
#include "http/server.h"
#include "runtime/silo/counter.h"

int main(int count, char** arguments) {
  using namespace millrace;
  if (count != 2) {
    return 2;
  }
  runtime::silo here{runtime::make_memory_storage()};
  here.add<testing::counter>();
  auto host = actors::pipeline_host::open({.data_directory = arguments[1]}, here);
  if (!host || !here.start()) {
    return 1;
  }
  const runtime::system_clock clock;
  gateway::file_thread files{"logs", clock};
  gateway::file_thread bodies{"bodies", clock};
  gateway::file_thread strangers{"strangers", clock};
  gateway::file_thread inspections{"inspections", clock};
  const gateway::api_parts parts{here, host->get(), files, bodies, strangers, inspections, {}};
  gateway::http::router routes;
  gateway::add_api(routes, parts);
  gateway::http::server server{{}, routes.as_handler(), clock};
  const auto port = server.start();
  if (!port) {
    return 1;
  }
  std::printf("http://127.0.0.1:%u\n", *port);
  std::fflush(stdout);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  server.stop(std::chrono::milliseconds{100});
  here.stop();
}
