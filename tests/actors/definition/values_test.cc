// SPDX-License-Identifier: MIT
// Durations, expressions, fan-outs, parameters and retry delays.
#include <doctest/doctest.h>

#include <ctime>

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
  CHECK_FALSE(decided("${{ params.n < '5' }}"));
  CHECK_FALSE(decided("${{ params.missing }}"));
  CHECK(*fill("n is ${{ params.n }}, $${{ stays }}", scope) == "n is 4, ${{ stays }}");
  CHECK(*fill_value("${{ params.n }}", scope) == make_value(4));
}

// Goal: what can never be true is told, instead of a task that is quietly skipped.
TEST_CASE("a comparison that can never hold and an output that is not there are errors") {
  map_scope scope;
  scope.params["n"] = make_value(4);
  scope.params["none"] = make_value();
  scope.params["list"] = make_value(value::list{make_value("a"), make_value("b")});
  scope.outputs["g"]["n"] = make_value("1");
  scope.exit_codes["g"] = make_value(3);
  const auto decided = [&](std::string_view text) { return decide(text, scope); };
  const auto said = [&](std::string_view text) {
    const auto made = decided(text);
    return made ? std::string{"decided"} : made.error().text();
  };
  CHECK(said("${{ tasks.g.outputs.n == 1 }}") ==
        "`==` compares the string `1` with the int `1`, which are never equal; convert the string: "
        "`int(...)`");
  CHECK(said("${{ 0.5 != tasks.g.outputs.n }}").ends_with("`float(...)`"));
  CHECK(said("${{ params.n == true }}") ==
        "`==` compares the int `4` with the bool `true`, which are never equal");
  CHECK(said("${{ contains(params.list, 1) }}") ==
        "`contains` compares the string `a` with the int `1`, which are never equal; convert the "
        "string: `int(...)`");
  CHECK(said("${{ tasks.g.outputs.typo == 'x' }}") ==
        "`tasks.g.outputs.typo` has no value here: `g` has succeeded and wrote no output `typo`; "
        "write it, or declare it with a `default`");
  CHECK_FALSE(*decided("${{ params.none == 1 }}"));
  CHECK(*decided("${{ params.none != 'x' }}"));
  CHECK(*decided("${{ params.n == 4.0 }}"));
  CHECK(*decided("${{ contains(params.list, 'b') }}"));
  CHECK_FALSE(*decided("${{ contains(params.list, 'c') }}"));
  CHECK(*decided("${{ tasks.g.exit_code == 3 }}"));
}

TEST_CASE("texts that are numbers are not ordered as texts where that is another order") {
  map_scope scope;
  scope.outputs["g"]["n"] = make_value("10");
  scope.outputs["g"]["day"] = make_value("20261201");
  scope.outputs["g"]["half"] = make_value("-0.5");
  const auto said = [&](std::string_view text) {
    const auto made = decide(text, scope);
    return made ? std::string{*made ? "yes" : "no"} : made.error().text();
  };
  CHECK(said("${{ tasks.g.outputs.n < '9' }}") ==
        "`<` compares the string `10` with the string `9`, which are ordered otherwise as numbers; "
        "convert both: `int(...)` or `float(...)`");
  CHECK(said("${{ '9' >= tasks.g.outputs.n }}").starts_with("`>=` compares the string `9`"));
  CHECK(said("${{ tasks.g.outputs.half > '-0.25' }}").ends_with("`float(...)`"));
  CHECK(said("${{ int(tasks.g.outputs.n) < int('9') }}") == "no");
  CHECK(said("${{ tasks.g.outputs.day > '20261130' }}") == "yes");
  // More digits than a number of floating point has.
  CHECK(said("${{ '20261201093000123' < '20261201093000124' }}") == "yes");
  CHECK(said("${{ '20261201093000124' <= '20261201093000123' }}") == "no");
  CHECK(said("${{ '1.0' <= '1' }}").starts_with("`<=` compares the string `1.0`"));
  CHECK(said("${{ tasks.g.outputs.n < '1x' }}") == "yes");
  CHECK(said("${{ tasks.g.outputs.n <= '10' }}") == "yes");
}

TEST_CASE("lists are made of texts and numbers, and texts of lists") {
  map_scope scope;
  scope.params["csv"] = make_value("a,b,,c,");
  scope.params["empty"] = make_value("");
  const auto made = [&](const std::string& text) {
    const auto filled = fill_value("${{ " + text + " }}", scope);
    return filled ? to_text(*filled) : filled.error().text();
  };
  CHECK(made("split(params.csv, ',')") == R"(["a","b","","c",""])");
  CHECK(made("split(params.csv, 'b,,')") == R"(["a,","c,"])");
  CHECK(made("split(params.empty, ',')") == "[]");
  CHECK(made("split(params.csv, '')") == "`split` takes a separator that is not empty");
  CHECK(made("join(split(params.csv, ','), ' ')") == "a b  c ");
  CHECK(made("range(2, 5)") == "[2,3,4]");
  CHECK(made("length(range(5, 2))") == "0");
  CHECK(made("length(range(0, 100000))") == "100000");
  CHECK(made("range(0, 100001)") == "`range` makes at most 100000 numbers");
  CHECK(made("range(-9223372036854775807, 9223372036854775807)") ==
        "`range` makes at most 100000 numbers");
  CHECK(made("range(0, 'x')") == "`range` takes whole numbers, not string `x`");
  CHECK(made("length(join(range(0, 100000), 'a separator of some length'))") ==
        "`join` makes at most 1048576 bytes");
  CHECK(made("length(split(join(range(0, 60000), 'aa'), 'a'))") ==
        "`split` makes at most 100000 parts");
  CHECK(made("join('x', ',')") == "`join` takes a list first, not string `x`");
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

// Goal: an item that is a record is told by its fields, wherever the list comes from.
TEST_CASE("a fan-out over records has their fields in expressions, variables and labels") {
  const auto made = loaded(R"(name: p
params:
  servers: [{host: a, port: 1}, {host: "b c", port: 2, note: x}]
  name: web
tasks:
  - {name: t, run: x, for_each: "${{ params.servers }}"}
  - {name: u, run: x, for_each: [{host: "${{ params.name }}-1", port: 80, b-c: true}, plain]}
  - {name: v, run: x, for_each: "${{ params.name }}"}
)");
  map_scope scope;
  const auto bound = bind_params(made, {});
  scope.params = {bound.values.begin(), bound.values.end()};
  auto all = *expand(made.tasks[0], scope);
  REQUIRE(all.size() == 2);
  CHECK(all[0].label == "host=a, port=1");
  CHECK(all[1].label == "host=b c, note=x, port=2");
  CHECK(environment_of(all[1]) == std::map<std::string, std::string>{
                                      {"MILLRACE_ITEM", R"({"host":"b c","note":"x","port":2})"},
                                      {"MILLRACE_ITEM_HOST", "b c"},
                                      {"MILLRACE_ITEM_NOTE", "x"},
                                      {"MILLRACE_ITEM_PORT", "2"}});

  scope.item_value = all[0].item;
  CHECK(*fill("${{ item.host }}:${{ item['port'] }}", scope) == "a:1");
  CHECK(*fill("${{ item }}", scope) == R"({"host":"a","port":1})");
  CHECK(*fill_value("${{ item.port }}", scope) == make_value(1));
  CHECK(*decide("${{ item.port == 1 && !contains(item, 'note') }}", scope));
  const auto why = [&](const std::string& text) { return fill(text, scope).error().text(); };
  CHECK(
      why("${{ item.hots }}") ==
      "`item.hots` has no value here: the map `{\"host\":\"a\",\"port\":1}` has no `hots`; did you "
      "mean `host`?");
  CHECK(why("${{ item.note.x }}") ==
        "`item.note.x` has no value here: the map `{\"host\":\"a\",\"port\":1}` has no `note`");
  CHECK(why("${{ item.host.x }}") ==
        "`item.host.x` has no value here: the string `a` has no fields");

  all = *expand(made.tasks[1], scope);
  REQUIRE(all.size() == 2);
  CHECK(all[0].label == "b-c=true, host=web-1, port=80");
  CHECK(environment_of(all[0]).at("MILLRACE_ITEM_B_C") == "true");
  CHECK(environment_of(all[1]).size() == 1);

  // What a task has written, with whatever JSON has.
  scope.params["name"] =
      make_value(R"([{"host": "a", "ports": [1, 2], "at": {"x": null}, "": 1, "\u00fc": 2}, [1]])");
  all = *expand(made.tasks[2], scope);
  REQUIRE(all.size() == 2);
  CHECK(environment_of(all[0]).at("MILLRACE_ITEM_PORTS") == "[1,2]");
  CHECK(environment_of(all[0]).at("MILLRACE_ITEM_AT") == R"({"x":null})");
  CHECK(environment_of(all[0]).size() == 4);
  scope.item_value = all[0].item;
  CHECK(*decide("${{ item.at.x == null && join(item.ports, '+') == '1+2' }}", scope));
  scope.params["name"] = make_value(R"([{}, {"a-b": 1, "a_b": 2}])");
  CHECK(expand(made.tasks[2], scope).error().text() ==
        "the item 1 of `for_each`: `a_b` and `a-b` would both be `$MILLRACE_ITEM_A_B`");
}

TEST_CASE("lists side by side are one of records") {
  map_scope scope;
  scope.params["a"] = make_value(value::list{make_value("x"), make_value(2)});
  scope.params["b"] = make_value("[true, {\"c\": 1}]");
  scope.params["lines"] = make_value("1\n2\n3\n");
  const auto made = [&](const std::string& text) {
    const auto filled = fill_value("${{ " + text + " }}", scope);
    return filled ? to_text(*filled) : filled.error().text();
  };
  CHECK(made("zip(n=params.a, m = params.b)") == R"([{"m":true,"n":"x"},{"m":{"c":1},"n":2}])");
  CHECK(made("zip(n=params.a, m=params.lines)") ==
        "`zip` takes lists of one length: `n` has 2 and `m` has 3");
  CHECK(made("zip(n=range(0, 0))") == "[]");
  CHECK(made("zip(n=params.a, m=4)") == "`zip`: m: is of type `int`, not a list");
  CHECK(made("zip(a=range(0, 100000), b=range(0, 100000), c=range(0, 100000), "
             "d=range(0, 100000), e=range(0, 100000))") ==
        "`zip` makes at most 400000 fields in all");
}

TEST_CASE("patterns are looked for anywhere, and give their first group") {
  map_scope scope;
  scope.params["tag"] = make_value("refs/tags/v1.20.3");
  scope.params["none"] = make_value();
  scope.params["long"] = make_value(std::string(65'536, 'x'));
  const auto made = [&](const std::string& text) {
    const auto filled = fill_value("${{ " + text + " }}", scope);
    return filled ? to_json(*filled) : filled.error().text();
  };
  CHECK(made("matches(params.tag, 'v[0-9]')") == "true");
  CHECK(made("matches(params.tag, '^v[0-9]')") == "false");
  CHECK(made(R"(extract(params.tag, 'v(\d+)\.(\d+)'))") == R"("1")");
  CHECK(made(R"(extract(params.tag, '[^/]+$'))") == R"("v1.20.3")");
  CHECK(made("extract(params.tag, '^w')") == "null");
  CHECK(made("extract(params.tag, 'refs(x)?')") == "null");
  CHECK(made("extract('äöü', '.$')") == "\"ü\"");
  CHECK(made("matches('\"}}\"', '}}')") == "true");
  CHECK(made("matches(params.none, 'x')") == "`matches` takes a string first, not null ``");
  // What backtracks elsewhere, and the bound of what does not.
  CHECK(made("matches(params.long, '(x+x+)+y')") == "false");
  CHECK(made("matches(params.long, '[a-z]{900}y')").find("takes at most ") != std::string::npos);
}

TEST_CASE("a text that is JSON has parts") {
  map_scope scope;
  scope.params["p"] = make_value(
      R"({"hosts": [{"name": "a", "port": 1}, {"name": "b"}], "none": null, "a.b": {"0": true}})");
  scope.params["big"] = make_value("[" + std::string(std::size_t{1} << 20U, ' ') + "1]");
  const auto made = [&](const std::string& text) {
    const auto filled = fill_value("${{ " + text + " }}", scope);
    return filled ? to_json(*filled) : filled.error().text();
  };
  CHECK(made("json(params.p).hosts.0.name") == R"("a")");
  CHECK(made("json(params.p).hosts.1['name']") == R"("b")");
  CHECK(made("json(params.p).hosts.0.port < 2") == "true");
  CHECK(made("json(params.p)['a.b']['0']") == "true");
  CHECK(made("json(params.p).none == null") == "true");
  CHECK(made("json('[1, 2.5, \"x\"]')") == R"([1,2.5,"x"])");
  CHECK(made("length(json(params.p).hosts)") == "2");
  CHECK(made("json('\"text\"')") == R"("text")");
  CHECK(made("join(json('[1,2]'), '+')") == R"("1+2")");
  // What is not there, and what is none.
  CHECK(
      made("json(params.p).host.0") ==
      R"(`json().host.0` has no value here: the map `{"a.b":{"0":true},"hosts":[{"name":"a","port")"
      R"(:1},{"name":"b"}],"none":null}` has no `host`; did you mean `hosts`?)");
  CHECK(made("json('[1,2]').2") ==
        "`json().2` has no value here: the list `[1,2]` has no element `2`");
  CHECK(made("json('[1,2]')[0]").find("write `json(...).NAME`, `json(...).0`") !=
        std::string::npos);
  CHECK(made("json('[1,2]').x") ==
        "`json().x` has no value here: the list `[1,2]` has no element `x`");
  CHECK(made("json('1').x") == "`json().x` has no value here: the int `1` has no fields");
  CHECK(made("json('{')") == "`json` is given a text that is none: the string `{`: it is no JSON");
  CHECK(made("json(3)") == "`json` takes a string, not int `3`");
  CHECK(made("json('{\"a\":1,\"a\":2}')") ==
        "`json` is given a text that is none: the string `{\"a\":1,\"a\":2}`: the key `a` is given "
        "twice");
  CHECK(made("int('1').x") == "in an expression: expected an operator or the end before `.x `");
  // Each look at it is work, whatever is taken of it.
  std::string often = "json(params.big).0 == 1";
  for (int at = 0; at < 70; ++at) {
    often += " && json(params.big).0 == 1";
  }
  CHECK(made(often).find("too much work") != std::string::npos);
}

// Goal: one text of a definition holds up nobody, whatever it is made of. Method: many cheap parts
// on a text of 1 MiB, which are too much together, beside few that are not.
TEST_CASE("what an expression may cost is bounded as a whole") {
  map_scope scope;
  scope.params["long"] = make_value(std::string(std::size_t{1} << 20U, 'a'));
  const auto why = [&](const std::string& part, int times, const std::string& between) {
    std::string text = "${{ " + part;
    for (int at = 1; at < times; ++at) {
      text += between + part;
    }
    const auto made = fill_value(text + " }}", scope);
    return made ? "" : made.error().text();
  };
  const std::string too_much =
      "too much work: long texts, long lists and large patterns count; have a command do it";
  CHECK(why("contains(params.long, 'b')", 100, " || ").empty());
  CHECK(why("matches(params.long, 'b+c')", 2, " || ").empty());
  CHECK(why("matches(params.long, 'b+c')", 100, " || ") == too_much);
  CHECK(why("length(range(0, 99999)) == 1", 50, " || ").empty());
  CHECK(why("length(range(0, 99999)) == 1", 100, " || ") == too_much);
  CHECK(why("length(params.long)", 500, " }} ${{ ").empty());
  CHECK(why("length(params.long)", 1'100, " }} ${{ ") == too_much);
}

// Method: a search that goes back after each half of a match takes ten seconds and more.
TEST_CASE("a part is looked for in time linear in the text") {
  map_scope scope;
  scope.params["whole"] = make_value(std::string(std::size_t{1} << 20U, 'a'));
  scope.params["part"] = make_value(std::string(std::size_t{1} << 19U, 'a') + "b");
  const auto start = std::clock();
  CHECK_FALSE(*decide("${{ contains(params.whole, params.part) }}", scope));
  CHECK(*decide("${{ length(split(params.whole, params.part)) == 1 }}", scope));
  CHECK(std::clock() - start < std::clock_t{2} * CLOCKS_PER_SEC);
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
  const auto twice = bind_params_json(definition, R"({"a": "x", "b": {"c": 1, "c": 2}})");
  REQUIRE(twice.diagnostics.size() == 1);
  CHECK(twice.diagnostics[0].text == "`params` must be a JSON object: the key `c` is given twice");
  const auto bound = bind_params_json(
      definition, "{\"a\": " + std::string(500'000, '[') + std::string(500'000, ']') + "}");
  REQUIRE(bound.diagnostics.size() == 1);
  CHECK(bound.diagnostics[0].text == "`params` must be a JSON object: it nests more than 64 deep");
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

TEST_CASE("a matrix of combinations alone has these and no others") {
  const auto made = loaded(R"(name: p
tasks:
  - {name: t, run: x, matrix: {include: [{os: a, cc: gcc}, {cc: clang, os: a}]}}
)");
  const auto all = *expand(made.tasks[0], map_scope{});
  REQUIRE(all.size() == 2);
  CHECK(all[0].label == "os=a, cc=gcc");
  CHECK(all[1].label == "os=a, cc=clang");
  CHECK(*from_json(to_json(made)) == made);
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

// What is said about one parameter given as text.
std::string complaint(const pipeline_definition& made, const char* name, const std::string& text) {
  const auto bound = bind_params(made, {{name, text}});
  REQUIRE(bound.diagnostics.size() <= 1);
  return bound ? to_json(bound.values.at(name))
               : bound.diagnostics[0].text + (bound.diagnostics[0].hint.empty()
                                                  ? ""
                                                  : " (" + bound.diagnostics[0].hint + ")");
}

TEST_CASE("a text is read as the parameter's type says, numbers as in YAML") {
  const auto made = loaded(R"(name: p
params: {s: "", i: 0, f: 0.5, b: false}
tasks: [{name: t, run: x}]
)");
  CHECK(complaint(made, "s", "007") == R"("007")");
  CHECK(complaint(made, "i", "7") == "7");
  CHECK(complaint(made, "i", "-7") == "-7");
  CHECK(complaint(made, "f", "7") == "7.0");
  CHECK(complaint(made, "f", "1e3") == "1000.0");
  CHECK(complaint(made, "f", "0.50") == "0.5");
  for (const auto* text : {"007", "-01", "0x1F", "1_000"}) {
    CHECK(complaint(made, "i", text) ==
          "the parameter `i` must be of type `int`, `" + std::string{text} +
              "` can be read in two ways (write a plain decimal number; a text keeps its zeros: "
              "`type: string`)");
  }
  CHECK(complaint(made, "f", "01.5").find("can be read in two ways") != std::string::npos);
  CHECK(complaint(made, "i", "99999999999999999999") ==
        "the parameter `i` must be of type `int`, `99999999999999999999` does not fit 64 bits");
  for (const auto* text : {"", "x", "1.5", "yes", " 1"}) {
    CHECK(complaint(made, "i", text) ==
          "the parameter `i` must be of type `int`, found `" + std::string{text} + "`");
  }
  CHECK(complaint(made, "b", "yes") ==
        "the parameter `b` must be of type `bool`, found `yes` (write `true` or `false`)");
}

TEST_CASE("lists and maps are given as JSON and reach commands as JSON") {
  const auto made = loaded(R"(name: p
params:
  names: [a, "b c"]
  none: {type: list}
  limits: {default: {memory: 512, strict: true}}
  some: {type: list, enum: [u, v]}
tasks:
  - {name: t, run: x, for_each: "${{ params.names }}"}
  - {name: u, run: x, for_each: "${{ params.limits.memory }}", when: "${{ params.none == null }}"}
)");
  const auto bound =
      bind_params(made, {{"names", R"( ["x", 2, true, 0.5] )"}, {"some", R"(["v"])"}});
  REQUIRE(bound);
  map_scope scope;
  scope.params = {bound.values.begin(), bound.values.end()};
  const auto instances = *expand(made.tasks[0], scope);
  REQUIRE(instances.size() == 4);
  CHECK(environment_of(instances[0]).at("MILLRACE_ITEM") == "x");
  CHECK(environment_of(instances[3]).at("MILLRACE_ITEM") == "0.5");
  const auto variables = environment_of(bound);
  CHECK(variables.at("MILLRACE_PARAM_NAMES") == R"(["x",2,true,0.5])");
  CHECK(variables.at("MILLRACE_PARAM_LIMITS") == R"({"memory":512,"strict":true})");
  CHECK_FALSE(variables.contains("MILLRACE_PARAM_NONE"));

  CHECK(*fill("${{ params.limits.memory }}/${{ params.limits['nope'] }}", scope) == "512/");
  CHECK(*decide("${{ contains(params.limits, 'strict') && length(params.limits) == 2 }}", scope));
  CHECK(*decide("${{ params.none == null && params.none.k == null }}", scope));
  CHECK_FALSE(expand(made.tasks[1], scope));  // a number is no list

  // What a run pins binds again to the same, and is the same in the canonical form.
  const auto again = bind_params_json(made, to_json(bound));
  REQUIRE(again);
  CHECK(again.values == bound.values);
  CHECK(*from_json(to_json(made)) == made);
}

TEST_CASE("what does not fit a list or map is refused with place and remedy") {
  const auto made = loaded(R"(name: p
params: {names: [a], limits: {type: map}, some: {type: list, enum: [u, v]}}
tasks: [{name: t, run: x}]
)");
  CHECK(
      complaint(made, "names", "a,b") ==
      "the parameter `names` must be of type `list`, found `a,b`: it is no JSON (write it as JSON: "
      "`-p names='[\"a\", \"b\"]'`, or `-p names=@FILE`)");
  CHECK(complaint(made, "names", R"({"a": 1})").find("must be of type `list`") !=
        std::string::npos);
  CHECK(complaint(made, "limits", "[1]").find("`-p limits='{\"a\": 1}'`") != std::string::npos);
  CHECK(complaint(made, "limits", R"({"a": 1, "a": 2})").find("the key `a` is given twice") !=
        std::string::npos);
  CHECK(complaint(made, "some", R"(["u", "z"])") ==
        "the parameter `some` may hold only `u`, `v`, found the string `z`");

  const auto place = [&](const std::string& json) {
    const auto bound = bind_params_json(made, json);
    REQUIRE(bound.diagnostics.size() == 1);
    return bound.diagnostics[0].pointer + ": " + bound.diagnostics[0].text;
  };
  CHECK(place(R"({"names": "a"})") ==
        "/params/names: the parameter `names` must be of type `list`, found the string `a`");
  CHECK(place(R"({"names": ["a", null]})") ==
        "/params/names/1: the parameter `names` must be of type `list`, found null at `/1`");
  CHECK(
      place(R"({"names": ["a", ["b"]]})") ==
      "/params/names/1: the parameter `names` must be of type `list`, found the list `[\"b\"]` at "
      "`/1`");
  CHECK(place(R"({"names": ["a", {"b": 1}, {"b": 1, "c": []}]})") ==
        "/params/names/2/c: the parameter `names` must be of type `list`, found the list `[]` at "
        "`/2/c`");
  CHECK(place(R"({"limits": {"a/b": {}}})") ==
        "/params/limits/a~1b: the parameter `limits` must be of type `map`, found the map `{}` at "
        "`/a~1b`");
  CHECK(place(R"({"some": ["u", 1]})") ==
        "/params/some/1: the parameter `some` may hold only `u`, `v`, found the int `1`");
  CHECK(place(R"({"names": ["a\u0000b"]})") ==
        "/params/names: the parameter `names` holds a NUL character");
  CHECK(place("{\"names\": [\"" + std::string(70'000, 'x') + "\"]}") ==
        "/params/names: the parameter `names` is longer than 64 KiB");
  CHECK(bind_params_json(made, R"({"names": null})").values.at("names") ==
        make_value(value::list{make_value("a")}));
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
