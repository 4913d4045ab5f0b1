// SPDX-License-Identifier: MIT
#include "bench/basp.h"

#include <atomic>
#include <caf/all.hpp>
#include <caf/io/all.hpp>
#include <chrono>
#include <string>

#include "bench/measure.h"

namespace millrace::bench {
namespace {

caf::behavior echo(caf::event_based_actor*) {
  return {[](const std::string& key) { return key; }};
}

struct progress {
  const int total;
  int begun = 0;
  int answered = 0;
  std::atomic<bool> done{false};
};

void ask(caf::event_based_actor* self, const caf::actor& server, progress& all) {
  ++all.begun;
  self->request(server, std::chrono::seconds{30}, std::string{"k12345"})
      .then([self, server, &all](const std::string&) {
        ++all.answered;
        if (all.begun < all.total) {
          ask(self, server, all);
        } else if (all.answered == all.total) {
          all.done = true;
          all.done.notify_one();
        }
      });
}

struct with_network : caf::actor_system_config {
  with_network() { load<caf::io::middleman>(); }
};

}  // namespace

double basp_calls(int total, int window) {
  with_network serving_config;
  with_network calling_config;
  caf::actor_system serving{serving_config};
  caf::actor_system calling{calling_config};
  const auto server = serving.spawn(echo);
  const auto port = serving.middleman().publish(server, 0, "127.0.0.1");
  require(static_cast<bool>(port), "publish");
  const auto remote = calling.middleman().remote_actor("127.0.0.1", *port);
  require(static_cast<bool>(remote), "remote_actor");
  progress all{.total = total};
  const auto start = now();
  calling.spawn([&](caf::event_based_actor* self) {
    for (int at = 0; at < window; ++at) {
      ask(self, *remote, all);
    }
  });
  all.done.wait(false);
  const auto rate = total / (now() - start);
  caf::anon_send_exit(server, caf::exit_reason::kill);
  return rate;
}

}  // namespace millrace::bench
