// SPDX-License-Identifier: MIT
// Links between two silos of one process over the loopback, beside a raw TCP echo and CAF's own
// networking.
//
//   bench_link [--only NAME]
//
// Names: roundtrip, pipelined. Each figure is the median of several runs; ours and the yardstick
// take turns. With more than two processors both want to be run under `taskset -c 0,1`.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "bench/basp.h"
#include "bench/measure.h"
#include "bench/tcp_echo.h"
#include "link/link_hub.h"
#include "millrace/runtime/certificates.h"

namespace {

using namespace millrace::runtime;
using namespace millrace::bench;

constexpr int round_trips = 10'000;
constexpr int pipelined_calls = 1'000'000;
constexpr int window = 1'000;
const std::string body(64, 'x');

// --- links ---------------------------------------------------------------------------------------

// Answers each message with itself.
class echo_events : public link_events {
public:
  void link_up(const std::shared_ptr<peer_link>& /*link*/, std::uint64_t /*incarnation*/) override {
    is_up = true;
    is_up.notify_all();
  }
  void link_down(const std::shared_ptr<peer_link>& /*link*/, std::string_view /*why*/) override {}
  void session_ended(const std::shared_ptr<peer_link>& /*link*/, std::uint64_t lost) override {
    require(lost == 0, "the session ended");
  }
  void received(const std::shared_ptr<peer_link>& link, std::span<link_message> messages) override {
    for (const auto& each : messages) {
      on_message(*link, each);
    }
  }
  void refused(std::string_view /*address*/, std::string_view why) override {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(why.size()), why.data());
  }

  virtual void on_message(peer_link& link, const link_message& message) {
    require(link.send(message.lane, message.kind, message.body()) == link_send::queued, "answer");
  }

  std::atomic<bool> is_up = false;
};

class caller_events final : public echo_events {
public:
  void on_message(peer_link& link, const link_message& message) override {
    if (to_send > 0) {
      --to_send;
      echo_events::on_message(link, message);
    } else if (++answers == awaited) {
      answers.notify_all();
    }
  }

  std::atomic<int> answers = 0;
  std::atomic<int> awaited = 1;
  std::atomic<int> to_send = 0;  // calls that begin as earlier ones are answered
};

class pair_of_silos {
public:
  explicit pair_of_silos(const link_credentials* a = nullptr, const link_credentials* b = nullptr)
      : caller_(options("a", a), at_caller, time_, rng{1}),
        echo_(options("b", b), at_echo_, time_, rng{2}) {
    const auto port = echo_.start();
    require(port.has_value() && caller_.start().has_value(), "start");
    auto opened = caller_.open({link_role::silo, "b"}, "127.0.0.1", *port);
    require(opened.has_value(), "open");
    link_ = *std::move(opened);
    at_caller.is_up.wait(false);
  }

  // Microseconds a call, one at a time, from a thread that is neither's.
  double round_trip() {
    const auto start = now();
    for (int at = 0; at < round_trips; ++at) {
      at_caller.answers = 0;
      require(link_->send(link_lane::call, 1, body) == link_send::queued, "send");
      at_caller.answers.wait(0);
    }
    return (now() - start) * 1e6 / round_trips;
  }

  // Calls and their answers a second, with `window` of them open.
  double pipelined() {
    at_caller.answers = 0;
    at_caller.awaited = window;
    at_caller.to_send = pipelined_calls - window;
    const auto start = now();
    for (int at = 0; at < window; ++at) {
      require(link_->send(link_lane::call, 1, body) == link_send::queued, "send");
    }
    for (int seen = at_caller.answers; seen < window; seen = at_caller.answers) {
      at_caller.answers.wait(seen);
    }
    at_caller.awaited = 1;
    return pipelined_calls / (now() - start);
  }

private:
  static link_options options(const char* name, const link_credentials* credentials) {
    link_options made{.self = {.cluster_id = "bench", .name = {link_role::silo, name}},
                      .listen_address = "127.0.0.1"};
    if (credentials != nullptr) {
      made.credentials = *credentials;
    }
    return made;
  }

  system_clock time_;
  caller_events at_caller;
  echo_events at_echo_;
  link_hub caller_;
  link_hub echo_;
  std::shared_ptr<peer_link> link_;
};

link_credentials issue(const std::string& directory, const char* name) {
  const auto files =
      issue_certificate(directory, {.name = {link_role::silo, name}}, system_clock{}.wall());
  require(files.has_value(), "issue");
  return {directory + "/ca.pem", files->certificate, files->key};
}

void print(const char* name, const std::vector<double>& ours, double yardstick, const char* unit,
           const char* target) {
  std::printf("%-12s ours %12.0f  yardstick %12.0f %-14s ratio %6.2f  target %s\n", name,
              median(ours), yardstick, unit, median(ours) / yardstick, target);
  std::fflush(stdout);
}

void bench_round_trip(pair_of_silos& plain, pair_of_silos& tls) {
  std::vector<double> clear;
  std::vector<double> encrypted;
  std::vector<double> raw;
  for (int round = 0; round < rounds; ++round) {
    clear.push_back(plain.round_trip());
    raw.push_back(raw_round_trip(body));
    encrypted.push_back(tls.round_trip());
  }
  print("link call", clear, median(raw), "us (TCP echo)", "<= 3");
  print(" over TLS", encrypted, median(raw), "us (TCP echo)", "-");
}

void bench_pipelined(pair_of_silos& plain, pair_of_silos& tls) {
  std::vector<double> clear;
  std::vector<double> encrypted;
  std::vector<double> theirs;
  for (int round = 0; round < rounds; ++round) {
    clear.push_back(plain.pipelined());
    theirs.push_back(basp_calls(100'000, window));
    encrypted.push_back(tls.pipelined());
  }
  print("link calls", clear, median(theirs), "a second (CAF)", ">= 5");
  print(" over TLS", encrypted, median(theirs), "a second (CAF)", "-");
}

}  // namespace

int main(int count, char** arguments) {
  const bool has_name = count == 3 && std::strcmp(arguments[1], "--only") == 0;
  const std::string only = has_name ? arguments[2] : "";
  require(count == 1 || only == "roundtrip" || only == "pipelined",
          "usage: [--only roundtrip|pipelined]");
  std::string directory = "/tmp/millrace-bench-link-XXXXXX";
  require(::mkdtemp(directory.data()) != nullptr, "mkdtemp");
  require(make_authority(directory, authority_valid_for, system_clock{}.wall()).has_value(), "pki");
  const auto a = issue(directory, "a");
  const auto b = issue(directory, "b");
  {
    pair_of_silos plain;
    pair_of_silos tls{&a, &b};
    if (only != "pipelined") {
      bench_round_trip(plain, tls);
    }
    if (only != "roundtrip") {
      bench_pipelined(plain, tls);
    }
  }
  std::filesystem::remove_all(directory);
  return 0;
}
