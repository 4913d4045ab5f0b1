// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "meter.h"
#include "millrace/runtime/metrics.h"

namespace millrace::runtime {
namespace {

using namespace std::chrono_literals;

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

histogram of(std::initializer_list<duration> lengths) {
  detail::meter_histogram meter;
  for (const auto each : lengths) {
    meter.add(each);
  }
  histogram all;
  meter.add_to(all);
  return all;
}

}  // namespace

TEST_CASE("a length falls into the first bucket whose bound it does not pass") {
  for (std::size_t at = 0; at < histogram_bounds_ns.size(); ++at) {
    const duration bound{histogram_bounds_ns[at]};
    CHECK(of({bound}).counts[at] == 1);
    CHECK(of({bound + 1ns}).counts[at + 1] == 1);
  }
  CHECK(of({0ns}).counts[0] == 1);
  CHECK(of({-5ns}).counts[0] == 1);  // a clock that went back
  CHECK(of({duration::max()}).counts.back() == 1);
  CHECK(histogram_bounds_ns.back() == duration{100s}.count());
}

TEST_CASE("a quantile lies in the bucket that has it") {
  CHECK(of({}).quantile(0.5) == 0ns);
  const auto times = of({3us, 3us, 3us, 40ms});
  CHECK(times.count() == 4);
  CHECK(times.sum == 40ms + 9us);
  CHECK(times.quantile(0.5) == 4us);  // two of three on the way from 2 us to 5 us
  CHECK(times.quantile(0.99) > 20ms);
  CHECK(times.quantile(0.99) <= 50ms);
  CHECK(of({200s}).quantile(0.5) == 100s);
}

TEST_CASE("text has a head a family, and labels that cannot break out") {
  metrics_text text;
  text.counter("a_total", "What\nit is.");
  text.add({{"type", "q\"\\\n"}, {"method", "m"}}, std::uint64_t{7});
  text.gauge("b_ratio", "Part.");
  text.add({}, 0.25);
  CHECK(text.text() ==
        "# HELP a_total What\\nit is.\n# TYPE a_total counter\n"
        "a_total{type=\"q\\\"\\\\\\n\",method=\"m\"} 7\n"
        "# HELP b_ratio Part.\n# TYPE b_ratio gauge\nb_ratio 0.25\n");
}

TEST_CASE("a histogram is written with growing counts, in seconds") {
  metrics_text text;
  text.of_times("t_seconds", "Time.");
  text.add({{"type", "x"}}, of({1us, 1500ns, 3ms}));
  CHECK(has(text.text(), "# TYPE t_seconds histogram\n"));
  CHECK(has(text.text(), "t_seconds_bucket{type=\"x\",le=\"1e-06\"} 1\n"));
  CHECK(has(text.text(), "t_seconds_bucket{type=\"x\",le=\"2e-06\"} 2\n"));
  CHECK(has(text.text(), "t_seconds_bucket{type=\"x\",le=\"100\"} 3\n"));
  CHECK(has(text.text(), "t_seconds_bucket{type=\"x\",le=\"+Inf\"} 3\n"));
  CHECK(has(text.text(), "t_seconds_sum{type=\"x\"} 0.0030025\n"));
  CHECK(has(text.text(), "t_seconds_count{type=\"x\"} 3\n"));
}

TEST_CASE("the text of a silo names types, methods and outcomes") {
  silo_metrics figures;
  type_metrics type;
  type.type = "counter";
  type.methods = {{"add", {}}, {"get", {}}};
  type.methods[0].ended[0] = 5;
  type.methods[0].ended[static_cast<std::size_t>(errc::overloaded)] = 2;
  type.deactivations.memory = 3;
  figures.types.push_back(type);
  figures.storage.checkpoint_lag_batches = 9;
  const auto text = to_prometheus_text(figures);
  const std::string calls = "millrace_runtime_calls_total{type=\"counter\",method=";
  CHECK(has(text, calls + "\"add\",outcome=\"ok\"} 5\n"));
  CHECK(has(text, calls + "\"add\",outcome=\"overloaded\"} 2\n"));
  CHECK(has(text, calls + "\"get\",outcome=\"ok\"} 0\n"));
  CHECK_FALSE(has(text, calls + "\"get\",outcome=\"overloaded\"}"));
  CHECK(has(text, "millrace_runtime_deactivations_total{type=\"counter\",reason=\"memory\"} 3\n"));
  CHECK(has(text, "millrace_storage_checkpoint_lag_batches 9\n"));
}

}  // namespace millrace::runtime
