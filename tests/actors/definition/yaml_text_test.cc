// SPDX-License-Identifier: MIT
// Texts as files have them: encodings, line ends, anchors and merges, and texts that try to cost
// more than they are worth.
#include <doctest/doctest.h>

#include <chrono>
#include <ctime>
#include <string>
#include <vector>

#include "definition/yaml_tree.h"
#include "millrace/actors/definition.h"

namespace millrace::actors {
namespace {

constexpr std::string_view one_task = "tasks: [{name: a, run: x}]\n";

std::vector<std::string> mistakes(std::string_view text) {
  std::vector<std::string> lines;
  for (const auto& each : load_definition(text, "").diagnostics) {
    lines.push_back(to_string(each));
  }
  return lines;
}

void check_one(std::string_view text, const std::string& expected) {
  CAPTURE(text.substr(0, 200));
  const auto found = mistakes(text);
  REQUIRE(found.size() == 1);
  CHECK(found[0] == expected);
}

pipeline_definition loaded(std::string_view text) {
  CAPTURE(text.substr(0, 200));
  auto made = load_definition(text, "");
  for (const auto& each : made.diagnostics) {
    MESSAGE(to_string(each));
  }
  REQUIRE(made);
  return *std::move(made.definition);
}

TEST_CASE("a byte order mark is no part of the text") {
  CHECK(loaded("\xEF\xBB\xBFname: p\n" + std::string{one_task}).name == "p");
  const auto text = "\xEF\xBB\xBFname: P\n" + std::string{one_task};
  const auto found = load_definition(text, "").diagnostics;
  REQUIRE(found.size() == 1);
  CHECK(found[0].line == 1);
  CHECK(found[0].column == 7);
  CHECK(render(found[0], text).ends_with("   1 | name: P\n     |       ^\n"));
  CHECK(mistakes("\xEF\xBB\xBF").at(0) ==
        "1:1: error: the definition is empty (start with `name:` and `tasks:`)");
}

TEST_CASE("lines may end as on Windows") {
  const auto made = loaded(
      "name: p\r\ndescription: \"x\r\n  y\"\r\ntasks:\r\n  - name: a\r\n    run: |\r\n"
      "      one\r\n      two\r\n");
  CHECK(made.description == "x y");
  CHECK(made.tasks[0].run == "one\ntwo\n");
  check_one("name: p\r\ntasks:\r\n  - name: a\r\n    run: x\r\n    env: {A: yes}\r\n",
            "5:14: error: `A`: `yes` can be read in two ways (write `\"yes\"` for text, or a plain "
            "`true` or `false`)");
}

TEST_CASE("tabs separate, and do not indent") {
  CHECK(loaded("name:\tp\ntasks: [{name:\ta,\trun: x}]\n").tasks[0].name == "a");
  CHECK(
      loaded(
          "{\n\t\"name\": \"p\",\n\t\"tasks\": [\n\t\t{\"name\": \"a\", \"run\": \"x\"}\n\t]\n}\n")
          .name == "p");
  check_one("name: p\ntasks:\n\t- name: a\n",
            "3:2: error: broken YAML: illegal block entry (indent with spaces, not tabs)");
  check_one("name: p\ntasks:\n  - name: a\n    run: |\n      a\n\tb\n",
            "6:1: error: broken YAML: illegal tab when looking for indentation (indent with "
            "spaces, not tabs)");
}

TEST_CASE("columns count characters, not bytes") {
  check_one("name: p\nenv: {A: \"\xC3\xA4\xF0\x9F\x98\x80\", B: yes}\n" + std::string{one_task},
            "2:19: error: `B`: `yes` can be read in two ways (write `\"yes\"` for text, or a plain "
            "`true` or `false`)");
}

TEST_CASE("what is not UTF-8 is refused at its first bad byte") {
  const std::string expected = " error: the text is not UTF-8 here (save the file as UTF-8)";
  const std::string shown = "name: \xff\x9b\n";
  CHECK(render(load_definition(shown, "").diagnostics.at(0), shown)
            .ends_with("   1 | name: \xEF\xBF\xBD\xEF\xBF\xBD\n     |       ^\n"));
  check_one("name: p\ndescription: \xE4\n", "2:14:" + expected);            // Latin-1
  check_one("name: p\ndescription: \xC3\xA4\xFF\n", "2:15:" + expected);    // after a good one
  check_one("name: p\ndescription: \xC0\xAF\n", "2:14:" + expected);        // overlong
  check_one("name: p\ndescription: \xED\xA0\x80\n", "2:14:" + expected);    // surrogate
  check_one("name: p\ndescription: \xF4\x90\x80\x80", "2:14:" + expected);  // beyond U+10FFFF
  check_one("name: p\ndescription: \xE2\x82", "2:14:" + expected);          // cut off
  check_one(std::string_view{"\xFF\xFEn\0a\0", 6}, "1:1:" + expected);      // UTF-16
  check_one("name: p\ndescription: a\x04\n",
            "2:15: error: a control character stands here (remove it)");
  check_one(std::string_view{"name: p\0", 8},
            "1:8: error: a control character stands here (remove it)");
}

TEST_CASE("JSON may write characters as pairs of escapes") {
  const auto made = loaded(
      R"({"name": "p", "description": "\ud83d\ude00 \\ud83d\\ude00",
          "tasks": [{"name": "a", "run": "x"}]})");
  CHECK(made.description == "\xF0\x9F\x98\x80 \\ud83d\\ude00");
  // What follows on the line keeps its place.
  check_one(
      R"({"description": "\ud83d\ude00\uD83D\uDE01", "name": "P",
          "tasks": [{"name": "a", "run": "x"}]})",
      "1:53: error: the name `P` is not allowed (use a-z, 0-9, `_`, `.` and `-`, starting "
      "with a letter or digit, at most 63)");
  check_one(R"({"name": "p", "description": "\ud83d", "tasks": [{"name": "a", "run": "x"}]})",
            "1:37: error: broken YAML: invalid unicode: 55357 (write the character itself)");
  // Outside JSON these are twelve characters of text.
  CHECK(loaded("name: p\ndescription: '\\ud83d\\ude00'\n" + std::string{one_task}).description ==
        "\\ud83d\\ude00");
}

TEST_CASE("anchors repeat scalars, lists and maps") {
  const auto made = loaded(R"(name: &n p
x-env: &env {A: one}
x-values: &values [1, two]
labels: {name: *n}
tasks:
  - {name: *n, run: x, env: *env, for_each: *values}
  - {name: b, run: x, env: *env, for_each: *values}
)");
  CHECK(made.labels.at("name") == "p");
  CHECK(made.tasks[0].name == "p");
  CHECK(made.tasks[1].env.at("A") == "one");
  CHECK(made.tasks[1].for_each == made.tasks[0].for_each);
}

TEST_CASE("a mistake that an alias brings twice is reported once, where it is written") {
  check_one(
      "name: p\nx-e: &e {1A: x}\ntasks:\n  - {name: a, run: x, env: *e}\n"
      "  - {name: b, run: x, env: *e}\n",
      "2:10: error: the name `1A` is not allowed (use letters, digits and `_`, not starting "
      "with a digit)");
}

TEST_CASE("own keys win over merged ones wherever they stand, and earlier maps over later ones") {
  const auto made = loaded(R"(name: p
x-a: &a {timeout: 1s, priority: 1}
x-b: &b {timeout: 2s, priority: 2, description: b}
x-c: &c {<<: *b, priority: 5}
tasks:
  - {<<: [*a, *b], name: a, run: x, priority: 3}
  - {name: b, run: x, priority: 4, <<: *b}
  - {<<: *c, name: c, run: x, env: {<<: {A: one, B: two}, A: own}}
)");
  CHECK(made.tasks[0].timeout == time_limit{std::chrono::seconds{1}});
  CHECK(made.tasks[0].priority == 3);
  CHECK(made.tasks[0].description == "b");
  CHECK(made.tasks[1].timeout == time_limit{std::chrono::seconds{2}});
  CHECK(made.tasks[1].priority == 4);
  CHECK(made.tasks[2].timeout == time_limit{std::chrono::seconds{2}});
  CHECK(made.tasks[2].priority == 5);
  CHECK(made.tasks[2].env == std::map<std::string, std::string>{{"A", "own"}, {"B", "two"}});
}

TEST_CASE("the extent of a tree is what its aliases stand for") {
  const auto extent = [](std::string_view text) {
    const auto tree = parse_yaml(text);
    REQUIRE(tree.usable);
    return std::pair{tree.extent.values, tree.extent.bytes};
  };
  CHECK(extent("{a: b}") == std::pair<std::size_t, std::size_t>{3, 2});
  CHECK(extent("{a: &x [bb, cc], d: *x}") == std::pair<std::size_t, std::size_t>{9, 10});
  CHECK(extent("{x-a: &x [bb, cc], d: *x}") == std::pair<std::size_t, std::size_t>{6, 8});
  CHECK(extent("[&x [b], *x, *x]") == std::pair<std::size_t, std::size_t>{7, 3});
}

TEST_CASE("a key given twice is refused in JSON too") {
  check_one(R"({"name": "p", "tasks": [{"name": "a", "run": "x", "run": "y"}]})",
            "1:51: error: the key `run` is given twice (first given on line 1)");
  check_one(R"({"name": "p", "n\u0061me": "q", "tasks": [{"name": "a", "run": "x"}]})",
            "1:15: error: the key `name` is given twice (first given on line 1)");
}

TEST_CASE("a quoted `<<` is a key like any other") {
  CHECK(loaded("name: p\nlabels: {\"<<\": x}\n" + std::string{one_task}).labels.at("<<") == "x");
}

TEST_CASE("texts for commands, environments and labels stay as they were written") {
  const auto made = loaded(
      "name: p\nlabels: {a: 1e3, b: -0, c: 2026-01-31}\nenv: {A: 1.5e5, B: 12:30:00, C: 7}\n"
      "tasks: [{name: a, command: [x, 1E2, 0.5, true, \"\"]}]\n");
  CHECK(made.labels.at("a") == "1e3");
  CHECK(made.labels.at("b") == "-0");
  CHECK(made.labels.at("c") == "2026-01-31");
  CHECK(made.env.at("A") == "1.5e5");
  CHECK(made.env.at("B") == "12:30:00");
  CHECK(made.tasks[0].command == std::vector<std::string>{"x", "1E2", "0.5", "true", ""});
}

// Goal: no text of the largest size costs more than moments, or the stack.
// Method: texts that made some part of the loader square, cubic or recursive. The limit is far
// above what they take, and far below what square costs.
class costly_texts {
public:
  static std::string repeated(std::string_view unit, std::size_t count) {
    std::string text;
    for (std::size_t each = 0; each < count; ++each) {
      text += unit;
    }
    return text;
  }

  // `head`, then as many units as fit, then `tail`; `#` in a unit is its number.
  static std::string filled(std::string head, std::string_view unit, std::string_view tail,
                            std::size_t bytes_max = definition_bytes_max) {
    const auto hole = unit.find('#');
    for (std::size_t each = 0;; ++each) {
      std::string next{unit};
      if (hole != std::string_view::npos) {
        next.replace(hole, 1, std::to_string(each));
      }
      if (head.size() + next.size() + tail.size() > bytes_max) {
        return head + std::string{tail};
      }
      head += next;
    }
  }
};

void check_quick(const std::string& text, std::string_view first_mistake) {
  CAPTURE(text.substr(0, 100));
  REQUIRE(text.size() <= definition_bytes_max);
  const auto start = std::clock();  // of the processor: a busy machine is not at fault
  const auto found = mistakes(text);
  CHECK(std::clock() - start < 10 * CLOCKS_PER_SEC);
  CHECK(found.size() <= diagnostics_max);
  if (first_mistake.empty()) {
    CHECK(found.empty());
  } else {
    REQUIRE(!found.empty());
    CHECK(found[0].find(first_mistake) != std::string::npos);
  }
}

TEST_CASE_FIXTURE(costly_texts, "the largest text loads, and one byte more does not") {
  const auto comment = "name: p\n" + std::string{one_task} + "#";
  const auto largest = comment + std::string(definition_bytes_max - comment.size(), 'x');
  CHECK(loaded(largest).name == "p");
  check_one(largest + "x",
            "1:1: error: the definition is larger than 1 MiB (use `for_each` for tasks that "
            "differ by a value)");
  CHECK(loaded(filled("name: p\ntasks:\n - name: a\n   run: |\n", "     echo\n", "")).name == "p");
}

TEST_CASE_FIXTURE(costly_texts, "deep nesting is refused, and never exhausts the stack") {
  const std::string head = "name: p\nx-a: ";
  const std::string_view mistake = "lists and maps are nested too deeply";
  CHECK(
      loaded(head + repeated("[", 400) + repeated("]", 400) + "\n" + std::string{one_task}).name ==
      "p");
  check_quick(head + repeated("[", 500'000) + repeated("]", 500'000) + "\n", mistake);
  check_quick(head + repeated("{a: ", 200'000), mistake);
  check_quick(repeated("- ", 500'000), mistake);
  check_quick(repeated("? ", 500'000), mistake);
}

TEST_CASE_FIXTURE(costly_texts, "merges of merges are bounded") {
  const auto chain = [](int length) {
    std::string text = "name: p\nx-0: &0 {timeout: 9s}\n";
    for (int each = 1; each < length; ++each) {
      text += "x-" + std::to_string(each) + ": &" + std::to_string(each) + " {<<: *" +
              std::to_string(each - 1) + "}\n";
    }
    return text + "tasks: [{name: a, run: x, <<: *" + std::to_string(length - 1) + "}]\n";
  };
  CHECK(loaded(chain(64)).tasks[0].timeout == time_limit{std::chrono::seconds{9}});
  check_one(chain(65),
            "2:6: error: `<<` goes through more than 64 maps (merge fewer maps into each other)");
  check_quick(chain(30'000), "`<<` goes through more than 64 maps");
}

TEST_CASE_FIXTURE(costly_texts,
                  "what aliases stand for is counted, and nothing written out first") {
  std::string bomb = "name: p\nx-a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 9; ++level) {
    const auto below = "*a" + std::to_string(level - 1) + ", ";
    bomb += "x-a" + std::to_string(level) + ": &a" + std::to_string(level) + " [" +
            repeated(below, 10) + "]\n";
  }
  check_quick(bomb + std::string{one_task}, "");  // never written out

  const std::string_view grows = "the definition grows too large when its aliases are written out";
  std::string list = filled("name: p\nx-l: &l [", "#,", "]\n", 400'000) + "tasks:\n";
  for (int each = 0; each < 20; ++each) {
    list += "  - {name: t" + std::to_string(each) + ", run: x, for_each: *l}\n";
  }
  list += "  - {name: t, run: x, timeout: 5 parsecs}\n";
  const auto found = mistakes(list);
  REQUIRE(found.size() == 1);  // the parsecs were not looked at
  CHECK(found[0].starts_with("4:"));
  CHECK(found[0].find(grows) != std::string::npos);
  const auto tree = parse_yaml(list);
  CHECK(tree.nodes.size() < 100'000);
  CHECK(tree.extent.values > 1'048'576);

  // Few nodes with long texts.
  auto texts = "name: p\nx-t: &t " + std::string(500'000, 't') + "\ntasks:\n";
  for (int each = 0; each < 100; ++each) {
    texts += "  - {name: t" + std::to_string(each) + ", run: *t}\n";
  }
  check_quick(texts, grows);
}

TEST_CASE_FIXTURE(costly_texts, "names without number are compared in time") {
  const std::string task = "name: p\ntasks: [{name: a, run: x, ";
  check_quick(filled(task + "needs: [", "n#,", "]}]\n"), "there is no task `n0`");
  check_quick(filled(task + "outputs: [", "o#,", "]}]\n"), "a task has at most 256 outputs");
  check_quick(filled(task + "matrix: {", "o#: [1],", "}}]\n"), "a matrix has at most 32 axes");
  check_quick(filled("name: p\nparams: {", "o#: 1,", "}\n" + std::string{one_task}),
              "a pipeline has at most 1000 parameters");
  check_quick(filled("name: p\n", "k#: 1\n", one_task), "unknown key `k0` in a pipeline");
  check_quick(filled(task + "env: {A: \"", "${{x}}", "\"}}]\n"), "unknown name `x`");

  std::string params = "name: p\nparams: {";
  for (int each = 0; each < 1'000; ++each) {
    params += "parameter" + std::to_string(each) + ": 1,";
  }
  params += "}\ntasks: [{name: a, run: x, env: {A: \"";
  check_quick(filled(params, "${{params.parameter999}}", "\"}}]\n"), "");
  check_quick(filled(params, "${{params.qarameter#}}", "\"}}]\n"), "did you mean `parameter0`?");
}

TEST_CASE_FIXTURE(costly_texts, "needs without number are followed in time") {
  std::string wrong = "name: p\nx-n: &n [" + filled("", "zq#,", "]\ntasks:\n", 100'000);
  std::string circles = "name: p\ntasks:\n";
  std::string before = "name: p\nx-n: &n [" + filled("", "t#,", "]\ntasks:\n", 300);
  for (int each = 0; each < 10'000; ++each) {
    const auto task = "- {name: t" + std::to_string(each) + ",run: x";
    wrong += task + (each < 10 ? ",needs: *n}\n" : "}\n");
    circles +=
        task + ",needs: [t" + std::to_string((each + 1) % 10'000) + (each > 1 ? ",t1]}\n" : "]}\n");
    before += task + (each < 100 ? "}\n" : ",needs: *n,when: \"${{tasks.t1.status=='lost'}}\"}\n");
  }
  check_quick(wrong, "there is no task `zq0`");
  check_quick(circles, "tasks need each other in a circle: `t0` -> `t1`");
  check_quick(before, "");
}

}  // namespace
}  // namespace millrace::actors
