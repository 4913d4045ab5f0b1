// SPDX-License-Identifier: MIT
#include "cli/health.h"

#include <doctest/doctest.h>

#include <atomic>

#include "command_line.h"

namespace millrace::gateway::cli {
namespace {

using http::has;

std::string health(const std::string& word, int under_replicated = 0, int losses = 0) {
  ordered_json loss{{"silo", "b"}, {"at", "2026-01-01T00:00:00Z"}, {"reason", "fire"}};
  auto list = ordered_json::array();
  for (int each = 0; each < losses; ++each) {
    list.push_back({{"id", "7"}, {"data_loss", loss}});
  }
  return ordered_json{{"health", word},
                      {"silos", 4},
                      {"silos_for_copies", 3},
                      {"copies", 3},
                      {"partitions", 256},
                      {"partitions_down", 0},
                      {"partitions_refusing_writes", 0},
                      {"partitions_single_copy", 0},
                      {"partitions_under_replicated", under_replicated},
                      {"partitions_below_copies", under_replicated},
                      {"partitions_data_lost", losses},
                      {"losses", list}}
      .dump();
}

const std::vector<std::string> asked{"cluster", "health"};
const std::vector<std::string> waits{"cluster", "health", "--wait", "1s"};

}  // namespace

TEST_CASE("health says how the cluster is, and fails for what is not served, lost or not known") {
  const std::vector<std::pair<std::string, exit_code>> words{{"ok", exit_code::ok},
                                                             {"under_replicated", exit_code::ok},
                                                             {"degraded", exit_code::ok},
                                                             {"unknown", exit_code::run_failed},
                                                             {"down", exit_code::run_failed}};
  for (const auto& each : words) {
    const auto& word = each.first;
    CAPTURE(word);
    http::running on{[&](http::request& got, http::reply answer) {
      CHECK(got.path() == "/api/v1/cluster/health");
      answer.send(http::json(200, health(word, 3)));
    }};
    const auto left = command_line(on, asked);
    CHECK(left.code == each.second);
    CHECK(has(left.output, word));
    CHECK(has(left.output, "partitions_under_replicated: 3"));
    CHECK(left.errors.empty());
  }
  http::running lost{[](http::request&, http::reply answer) {
    answer.send(http::json(200, health("data_lost", 0, 1)));
  }};
  const auto left = command_line(lost, asked);
  CHECK(left.code == exit_code::run_failed);
  CHECK(has(left.errors, "partition 7 has gone on from silo 'b' since 2026-01-01T00:00:00Z"));
  CHECK_FALSE(has(left.output, "losses"));
}

TEST_CASE("health --wait comes back as soon as it is ok, over a server that is away meanwhile") {
  std::atomic<int> looks = 0;
  http::running on{[&](http::request&, http::reply answer) {
    switch (looks++) {
      case 0:
        answer.send(http::json(200, health("under_replicated", 12)));
        break;
      case 1:
        answer.fail({runtime::errc::unavailable, "stopping"});
        break;
      default:
        answer.send(http::json(200, health("ok")));
    }
  }};
  const auto left = command_line(on, {"cluster", "health", "--wait", "1m"});
  CHECK(left.code == exit_code::ok);
  CHECK(looks == 3);
  CHECK(has(left.output, "ok"));
  CHECK(left.errors ==
        "millrace: waiting up to 1m for the cluster to be ok: 12 of 256 partitions lack copies: "
        "3 are wanted, and silos that could have one: 3\n");
}

TEST_CASE("health --wait fails with what is missing when its time is over") {
  for (const auto* word : {"under_replicated", "degraded"}) {
    http::running on{[&](http::request&, http::reply answer) {
      answer.send(http::json(200, health(word, 12)));
    }};
    const auto left = command_line(on, waits);
    CHECK(left.code == exit_code::run_failed);
    CHECK(has(left.errors, "the cluster is not ok after 1s: 12 of 256 partitions lack copies"));
    CHECK(has(left.output, word));
  }
  http::running none{[](http::request&, http::reply answer) {
    answer.fail({runtime::errc::unavailable, "stopping"});
  }};
  CHECK(command_line(none, waits).code == exit_code::unreachable);
}

TEST_CASE("health --wait does not wait where that cannot help") {
  std::atomic<int> looks = 0;
  http::running on{[&](http::request&, http::reply answer) {
    ++looks;
    answer.fail({runtime::errc::unauthenticated, "who are you"});
  }};
  CHECK(command_line(on, {"cluster", "health", "--wait", "1h"}).code == exit_code::unauthenticated);
  CHECK(looks == 1);
  CHECK(command_line({"cluster", "health", "--wait", "soon"}).code == exit_code::usage);
  CHECK(command_line({"cluster", "health", "--silo", "a"}).code == exit_code::usage);
  CHECK(command_line({"cluster", "acknowledge", "--partition", "1", "--wait", "1s"}).code ==
        exit_code::usage);
}

}  // namespace millrace::gateway::cli
