// SPDX-License-Identifier: MIT
// Definitions: what loads, and what is said about what does not.
#include <doctest/doctest.h>

#include <chrono>

#include "millrace/actors/definition.h"

namespace millrace::actors {
namespace {

std::vector<std::string> mistakes(std::string_view text) {
  std::vector<std::string> lines;
  for (const auto& each : load_definition(text, "p.yaml").diagnostics) {
    lines.push_back(to_string(each));
  }
  return lines;
}

void check_one(std::string_view text, const std::string& expected) {
  CAPTURE(text);
  const auto found = mistakes(text);
  REQUIRE(found.size() == 1);
  CHECK(found[0] == expected);
}

constexpr std::string_view word_frequency = R"(name: word-frequency
description: The most frequent words.
params:
  directory: /usr/share/common-licenses
  top: {type: int, default: 10}
tasks:
  - name: list
    run: ls "$MILLRACE_PARAM_DIRECTORY"
    outputs: [files]
  - name: count
    needs: [list]
    for_each: ${{ tasks.list.outputs.files }}
    run: wc -w "$MILLRACE_ITEM"
    retry: {max_attempts: 3, delay: 1s}
  - name: top
    needs: count
    run: sort
    when: ${{ params.top > 0 }}
)";

TEST_CASE("a word of other systems is known though it is mistyped") {
  const auto made =
      load_definition("name: p\ntasks: [{name: a, run: x, retry: {limt: 3}}]\n", "p.yaml");
  REQUIRE(made.diagnostics.size() == 1);
  CHECK(to_string(made.diagnostics[0]) ==
        "p.yaml:2:35: error: unknown key `limt` in `retry` (write `max_attempts`, "
        "which counts the first attempt too)");
}

TEST_CASE("a definition is read whole") {
  const auto loaded = load_definition(word_frequency, "p.yaml");
  for (const auto& each : loaded.diagnostics) {
    MESSAGE(to_string(each));
  }
  REQUIRE(loaded);
  const auto& made = *loaded.definition;
  CHECK(made.name == "word-frequency");
  REQUIRE(made.params.size() == 2);
  CHECK(made.params[0].type == param_type::text);
  CHECK(made.params[1].fallback == make_value(10));
  REQUIRE(made.tasks.size() == 3);
  CHECK(made.tasks[1].retry.max_attempts == 3);
  CHECK(made.tasks[2].needs == std::vector<std::string>{"count"});
}

TEST_CASE("the canonical form reads back as the same definition") {
  const auto made = *load_definition(word_frequency, "p.yaml").definition;
  const auto again = from_json(to_json(made));
  REQUIRE(again);
  CHECK(*again == made);
  CHECK(to_json(*again) == to_json(made));
}

TEST_CASE("every mistake is reported at once, in the order of the text") {
  const auto found = mistakes(R"(name: Bad Name
tsks: []
tasks:
  - name: a
    run: echo ${{ params.x }}
    needs: [b, c]
    timeout: 5 parsecs
  - name: b
    comand: [x]
  - name: b
    command: [echo, "${{ params.nope }}"]
)");
  REQUIRE(found.size() == 9);
  CHECK(found[0].starts_with("p.yaml:1:7: error: the name `Bad Name` is not allowed"));
  CHECK(found[1] == "p.yaml:2:1: error: unknown key `tsks` in a pipeline (did you mean `tasks`?)");
  CHECK(found[2].starts_with("p.yaml:5:15: error: an expression in shell text is refused"));
  CHECK(found[3].starts_with("p.yaml:6:16: error: there is no task `c`"));
  CHECK(found[4].starts_with("p.yaml:7:14: error: `timeout`"));
  CHECK(
      found[5].starts_with("p.yaml:8:5: error: the task has no `run`, `command`, `pipeline`, "
                           "`actor`, `approval` or `callback`"));
  CHECK(found[6] == "p.yaml:9:5: error: unknown key `comand` in a task (did you mean `command`?)");
  CHECK(found[7] ==
        "p.yaml:10:11: error: there are two tasks called `b` (the first one is on "
        "line 8; rename one of them)");
  CHECK(found[8].find("nope") != std::string::npos);
}

TEST_CASE("needs in a circle are refused with the path") {
  check_one(R"(name: p
tasks:
  - {name: a, run: x, needs: [c]}
  - {name: b, run: x, needs: [a]}
  - {name: c, run: x, needs: [b]}
)",
            "p.yaml:3:12: error: tasks need each other in a circle: `a` -> `c` -> `b` -> `a` "
            "(remove one of these needs)");
}

TEST_CASE("what other systems call a key is explained") {
  check_one("name: p\ntasks:\n  - {name: a, script: x, run: y}\n",
            "p.yaml:3:15: error: unknown key `script` in a task (write `run`)");
}

TEST_CASE("a key given twice is refused") {
  check_one("name: p\nname: q\ntasks: [{name: a, run: x}]\n",
            "p.yaml:2:1: error: the key `name` is given twice (first given on line 1)");
}

TEST_CASE("values that can be read in two ways want quotes") {
  check_one("name: p\nenv: {A: yes}\ntasks: [{name: a, run: x}]\n",
            "p.yaml:2:10: error: `A`: `yes` can be read in two ways (write `\"yes\"` for text, or "
            "a plain `true` or `false`)");
  check_one("name: p\nenv: {A: 012}\ntasks: [{name: a, run: x}]\n",
            "p.yaml:2:10: error: `A`: `012` can be read in two ways (write `\"012\"` for text, or "
            "a plain decimal number)");
  CHECK(mistakes("name: p\nenv: {A: 3.10}\ntasks: [{name: a, run: x}]\n").size() == 1);
}

TEST_CASE("broken texts are refused with their place") {
  CHECK(mistakes("").at(0).find("the definition is empty") != std::string::npos);
  CHECK(mistakes("name: p\ntasks:\n\t- a\n").at(0).find("spaces, not tabs") != std::string::npos);
  CHECK(mistakes("name: \xff\n").at(0).starts_with("p.yaml:1:7: error: the text is not UTF-8"));
  CHECK(mistakes("- a\n").at(0).find("must be a map") != std::string::npos);
  CHECK(mistakes(std::string(definition_bytes_max + 1, ' ')).size() == 1);
}

TEST_CASE("a merge brings keys and own keys win") {
  const auto loaded = load_definition(R"(name: p
x-common: &common {timeout: 5s, env: {A: one}}
tasks:
  - <<: *common
    name: a
    run: x
    timeout: 9s
)",
                                      "p.yaml");
  REQUIRE(loaded);
  CHECK(loaded.definition->tasks[0].timeout == time_limit{std::chrono::seconds{9}});
  CHECK(loaded.definition->tasks[0].env.at("A") == "one");
}

TEST_CASE("expressions are checked against what is known before a run") {
  const auto with = [](std::string_view when) {
    return "name: p\nparams: {n: 1}\ntasks:\n  - {name: a, run: x, outputs: [out]}\n"
           "  - {name: b, run: x, needs: [a], when: \"" +
           std::string{when} + "\"}\n";
  };
  CHECK(mistakes(with("${{ params.n > 3 }}")).empty());
  CHECK(mistakes(with("${{ tasks.a.outputs.out == 'x' }}")).empty());
  CHECK(mistakes(with("${{ params.n }}")).at(0).find("must be a boolean") != std::string::npos);
  CHECK(mistakes(with("${{ params.m > 3 }}")).at(0).find("did you mean `n`") != std::string::npos);
  CHECK(mistakes(with("${{ tasks.a.outputs.oot == 'x' }}")).at(0).find("has no output") !=
        std::string::npos);
  CHECK(mistakes(with("${{ tasks.b.status == 'x' }}")).at(0).find("has not ended yet") !=
        std::string::npos);
  CHECK(mistakes(with("${{ params.n > }}")).size() == 1);
  CHECK(mistakes(with("params.n > 3")).at(0).find("must be one expression") != std::string::npos);
}

TEST_CASE("ten thousand tasks in a chain load in time") {
  std::string text = "name: p\ntasks:\n";
  for (int index = 0; index < 10'000; ++index) {
    text += "  - {name: t" + std::to_string(index) + ", run: x" +
            (index == 0 ? "" : ", needs: [t" + std::to_string(index - 1) + "]") + "}\n";
  }
  const auto start = std::chrono::steady_clock::now();
  const auto loaded = load_definition(text, "p.yaml");
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds{10});
  REQUIRE(loaded);
  CHECK(graph_of(*loaded.definition).order.size() == 10'000);
}

}  // namespace
}  // namespace millrace::actors
