// SPDX-License-Identifier: MIT
// Durations, expressions, fan-outs, parameters and retry delays.
#include <doctest/doctest.h>

#include "millrace/actors/duration_text.h"
#include "millrace/actors/expansion.h"
#include "millrace/actors/expression.h"
#include "millrace/actors/params.h"

namespace millrace::actors {
namespace {

using namespace std::chrono_literals;

pipeline_definition loaded(std::string_view text) {
  auto made = load_definition(text, "p.yaml");
  for (const auto& each : made.diagnostics) {
    MESSAGE(to_string(each));
  }
  REQUIRE(made);
  return *std::move(made.definition);
}

TEST_CASE("durations are read and written") {
  CHECK(parse_duration("1h30m").length == 90min);
  CHECK(parse_duration("250ms").length == 250ms);
  CHECK(format_duration(90min) == "1h30m");
  CHECK(parse_duration("5 parsecs").hint == "write it like `90s`, `5m`, `1h30m` or `250ms`");
  CHECK(parse_duration("5 minutes").hint == "write `5m`");
  CHECK_FALSE(parse_duration("90").length);
  CHECK_FALSE(parse_duration("").length);
  CHECK_FALSE(parse_duration("-1s").length);
  CHECK_FALSE(parse_duration("1y").length);
  for (const runtime::duration length : {1ms, 999ms, 1001ms, 86'400'000ms}) {
    CHECK(parse_duration(format_duration(length)).length == length);
  }
}

TEST_CASE("expressions compute without silent conversions") {
  map_scope scope;
  scope.params["n"] = make_value(4);
  scope.params["mode"] = make_value("full");
  scope.outputs["a"]["k"] = make_value("7");
  scope.statuses["a"] = "succeeded";
  const auto decided = [&](std::string_view text) { return decide(text, scope); };
  CHECK(*decided("${{ params.n > 3 && params.mode == 'full' }}"));
  CHECK(*decided("${{ !(params.n < 3) || false }}"));
  CHECK(*decided("${{ int(tasks.a.outputs.k) == 7 }}"));
  CHECK(*decided("${{ tasks.a.status == 'succeeded' }}"));
  CHECK_FALSE(*decided("${{ params.n == '4' }}"));
  CHECK_FALSE(decided("${{ params.n < '5' }}"));
  CHECK_FALSE(decided("${{ params.missing }}"));
  CHECK(*fill("n is ${{ params.n }}, $${{ stays }}", scope) == "n is 4, ${{ stays }}");
  CHECK(*fill_value("${{ params.n }}", scope) == make_value(4));
}

TEST_CASE("a fan-out over values, lines and JSON makes one instance each") {
  map_scope scope;
  task_definition task;
  task.name = "count";
  task.for_each = std::vector<value>{make_value("a"), make_value(2)};
  auto made = *expand(task, scope);
  REQUIRE(made.size() == 2);
  CHECK(display_name(task, made[1]) == "count[1]");
  CHECK(environment_of(made[1]).at("MILLRACE_ITEM") == "2");

  scope.outputs["list"]["files"] = make_value("x\ny z\n\n");
  task.for_each = std::string{"${{ tasks.list.outputs.files }}"};
  made = *expand(task, scope);
  REQUIRE(made.size() == 2);
  CHECK(made[1].item == make_value("y z"));

  scope.outputs["list"]["files"] = make_value(R"(["x", "y"])");
  CHECK(expand(task, scope)->size() == 2);
  scope.outputs["list"]["files"] = make_value("");
  CHECK(expand(task, scope)->empty());
  scope.outputs["list"]["files"] = make_value("[broken");
  CHECK_FALSE(expand(task, scope));
  scope.outputs["list"]["files"] = make_value(4);
  CHECK_FALSE(expand(task, scope));
}

TEST_CASE("JSON from outside may nest only so deep") {
  task_definition task;
  task.for_each = fan_values{std::string{"${{ params.list }}"}};
  map_scope scope;
  const auto nested = [](std::size_t depth) {
    return "[\"[]{}\\\"[\", " + std::string(depth - 1, '[') + std::string(depth, ']');
  };
  scope.params["list"] = make_value(nested(64));
  CHECK(expand(task, scope));
  scope.params["list"] = make_value(nested(65));
  CHECK(expand(task, scope).error().code() == runtime::errc::invalid_argument);
  scope.params["list"] = make_value(std::string(100'000, '['));
  CHECK(expand(task, scope).error().code() == runtime::errc::invalid_argument);

  pipeline_definition definition;
  definition.params.push_back({"a", param_type::text, {}, {}, "", false});
  CHECK(bind_params_json(definition, R"({"a": "[[[["})"));
  const auto bound = bind_params_json(
      definition, "{\"a\": " + std::string(500'000, '[') + std::string(500'000, ']') + "}");
  REQUIRE(bound.diagnostics.size() == 1);
  CHECK(bound.diagnostics[0].text == "`params` must be a JSON object");
}

TEST_CASE("a matrix is the product of its axes, less exclude, plus include") {
  const auto made = loaded(R"(name: p
tasks:
  - name: t
    run: x
    matrix:
      os: [a, b]
      python: ["3.10", "3.11"]
      exclude: [{os: b, python: "3.10"}]
      include: [{os: c, python: "3.12"}]
)");
  const auto all = *expand(made.tasks[0], map_scope{});
  REQUIRE(all.size() == 4);
  CHECK(all[0].label == "os=a, python=3.10");
  CHECK(all[1].label == "os=a, python=3.11");
  CHECK(all[2].label == "os=b, python=3.11");
  CHECK(all[3].label == "os=c, python=3.12");
  CHECK(environment_of(all[3]).at("MILLRACE_MATRIX_OS") == "c");
}

TEST_CASE("twenty thousand instances are made, more than the limit are refused") {
  map_scope scope;
  task_definition task;
  task.for_each = std::vector<value>(20'000, make_value("x"));
  CHECK(expand(task, scope)->size() == 20'000);
  task.for_each = std::vector<value>(task_instances_max + 1, make_value("x"));
  CHECK(expand(task, scope).error().code() == runtime::errc::too_large);
}

TEST_CASE("parameters bind by type and every mistake is told") {
  const auto made = loaded(R"(name: p
params:
  day: {type: string, required: true}
  count: {type: int, default: 3}
  mode: {type: string, enum: [full, quick], default: full}
tasks: [{name: t, run: x}]
)");
  const auto good = bind_params(made, {{"day", "monday"}, {"count", "5"}});
  REQUIRE(good);
  CHECK(good.values.at("count") == make_value(5));
  CHECK(environment_of(good).at("MILLRACE_PARAM_MODE") == "full");

  const auto bad = bind_params(made, {{"cuont", "5"}, {"count", "x"}, {"mode", "slow"}});
  REQUIRE(bad.diagnostics.size() == 4);
  CHECK(bad.diagnostics[0].hint == "did you mean `count`?");

  CHECK(bind_params_json(made, R"({"day": "x", "count": 4})"));
  CHECK_FALSE(bind_params_json(made, R"({"day": "x", "count": "4"})"));
  CHECK_FALSE(bind_params_json(made, "[1]"));
}

TEST_CASE("retry delays grow, stay below their bound and end") {
  retry_policy policy;
  policy.max_attempts = 4;
  policy.delay = 1s;
  policy.backoff = 3;
  policy.max_delay = 5s;
  policy.jitter = 0.5;
  CHECK(next_delay(policy, 1, 0) == 1s);
  CHECK(next_delay(policy, 2, 0) == 3s);
  CHECK(next_delay(policy, 3, 0) == 5s);
  CHECK(next_delay(policy, 2, 0.5) == 2250ms);
  CHECK_FALSE(next_delay(policy, 4, 0));
}

}  // namespace
}  // namespace millrace::actors
