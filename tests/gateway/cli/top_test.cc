// SPDX-License-Identifier: MIT
#include "cli/top.h"

#include "command_line.h"
#include "served_counters.h"

namespace millrace::gateway::cli {

using http::has;
using nlohmann::json;
using testing::Counter;

namespace {

// Figures of a server that has been up for so long, with one busy type and one that sleeps.
ordered_json figures(double uptime_ms, std::uint64_t calls) {
  std::vector<std::uint64_t> counts(26);
  counts[1] = calls;  // from 1 to 2 us
  const ordered_json times{{"sum_ms", static_cast<double>(calls) * 0.5}, {"counts", counts}};
  const ordered_json none{{"sum_ms", 0}, {"counts", std::vector<std::uint64_t>(26)}};
  const auto type = [&](const char* name, std::uint64_t total, const ordered_json& length) {
    return ordered_json{
        {"id", name},  {"activations", 3}, {"calls_total", total}, {"errors_total", total / 2},
        {"queued", 4}, {"queued_max", 2},  {"latency", length},    {"turns", length}};
  };
  return {{"uptime_ms", uptime_ms},
          {"activations", 6},
          {"memory_bytes", 3 << 20},
          {"threads", 2},
          {"threads_busy", 1},
          {"sends_pending", 5},
          {"offload", {{"queued", 0}}},
          {"storage",
           {{"commits_total", calls},
            {"commit", times},
            {"flush", none},
            {"journal_backlog_bytes", 100},
            {"checkpoint_lag_batches", 7},
            {"checkpoint_lag_bytes", 2'048},
            {"used_permille", 15}}},
          {"types", {type("asleep", 0, none), type("counter", calls, times)}}};
}

}  // namespace

TEST_CASE("top shows what happened between two looks, the busiest type first") {
  const auto top = top_of(figures(10'000, 100), figures(12'000, 300));
  REQUIRE(top);
  const auto& busy = top->at("types")[0];
  CHECK(busy["id"] == "counter");
  CHECK(busy["calls_per_second"] == 100);
  CHECK(busy["errors_per_second"] == 50);
  CHECK(busy["p50_ms"].get<double>() == doctest::Approx(0.0015));
  CHECK(busy["threads"].get<double>() == doctest::Approx(0.05));
  CHECK(top->at("types")[1]["p50_ms"].is_null());
  CHECK(top->at("commits_per_second") == 100);
  CHECK(top->at("flush_p99_ms").is_null());
  const auto text = top_text(*top);
  CHECK(has(text, "up 12s  activations 6 in 3.0 MiB  threads 1/2 busy"));
  CHECK(has(text, "commits 100/s"));
  CHECK(has(text, "checkpoint lag 7 batches, 2.0 KiB  used 1.5%"));
  CHECK(has(text, "\ncounter                3     100.0     50.0     2us"));
}

TEST_CASE("after a restart of the server top counts from its start") {
  const auto top = top_of(figures(90'000, 5'000), figures(1'000, 300));
  REQUIRE(top);
  CHECK(top->at("commits_per_second") == 300);
  CHECK(top->at("types")[0]["calls_per_second"] == 300);
}

TEST_CASE("top refuses what it cannot show, and says how to ask") {
  CHECK_FALSE(top_of({}, ordered_json::object()));
  for (const auto* interval : {"0", "-1", "x", "3601", ""}) {
    CAPTURE(interval);
    const auto refused = command_line({"top", "-d", interval});
    CHECK(refused.code == exit_code::usage);
  }
  CHECK(command_line({"top", "-o", "name"}).code == exit_code::usage);
  CHECK(command_line({"top", "--server", "http://127.0.0.1:1"}).code == exit_code::unreachable);
}

TEST_CASE("top looks once, without a terminal") {
  served_counters here;
  REQUIRE(here.counters.call(runtime::ref<Counter>("a").add(1)));
  const auto table = command_line(*here.server, {"top", "--once", "-d", "0.001"});
  CHECK(table.code == exit_code::ok);
  CHECK(table.output.starts_with("silo "));
  CHECK_FALSE(has(table.output, "\x1b"));
  const auto top = json::parse(
      command_line(*here.server, {"top", "--once", "-d", "0.001", "-o", "json"}).output);
  CHECK(top["types"][0]["id"] == "counter");
  CHECK(top["types"][0]["activations"] == 1);
}

}  // namespace millrace::gateway::cli
