// SPDX-License-Identifier: MIT
// Every refusal of the loader: its place, its words and its remedy.
//
// Method: whole texts, and everything that is said about each, so that a mistake that hides another
// or brings a second one is seen too.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "millrace/actors/definition.h"

namespace millrace::actors {
namespace {

void check_refusal(std::string_view text, const std::vector<std::string>& expected) {
  CAPTURE(text);
  const auto loaded = load_definition(text, "");
  std::vector<std::string> found;
  for (const auto& each : loaded.diagnostics) {
    found.push_back(std::to_string(each.line) + ":" + std::to_string(each.column) + " " +
                    each.text + (each.hint.empty() ? "" : " (" + each.hint + ")"));
  }
  CHECK_FALSE(loaded.definition.has_value());
  for (std::size_t each = 0; each < std::max(found.size(), expected.size()); ++each) {
    CHECK((each < found.size() ? found[each] : "") ==
          (each < expected.size() ? expected[each] : ""));
  }
}

TEST_CASE("refused at their places: the text as a whole") {
  check_refusal(R"(# nothing
)",
                {"1:1 the definition is empty (start with `name:` and `tasks:`)"});
  check_refusal(R"(name: p
tasks: [{name: a, run: x}]
---
name: q
)",
                {"4:1 the text goes on after the end of the definition (one file holds one "
                 "definition: remove `---` and what follows)"});
  check_refusal(R"(- a
)",
                {"1:1 the definition must be a map, found a list (start with `name: my-pipeline` "
                 "and `tasks:`)"});
  check_refusal(R"(hello
)",
                {"1:1 the definition must be a map, found the text `hello` (start with `name: "
                 "my-pipeline` and `tasks:`)"});
  check_refusal(R"(name: p
)",
                {"1:1 the pipeline has no `tasks` (add a list of tasks under `tasks:`)"});
  check_refusal(R"(tasks: [{name: a, run: x}]
)",
                {"1:1 the pipeline has no `name` (add `name: my-pipeline`)"});
  check_refusal(R"(version: 2
name: p
tasks: [{name: a, run: x}]
)",
                {"1:10 `version` must be 1, found 2"});
  check_refusal(
      R"(version: "1"
name: P
tsks: []
description: [x]
labels: [x]
env: x
timeout: 0
grace_period: 0
max_parallel: 0
workspace: shared
tasks: [{name: a, run: x}]
)",
      {"1:10 `version` must be a whole number, found the text `\"1\"` (write `version: 1`)",
       "2:7 the name `P` is not allowed (use a-z, 0-9, `_`, `.` and `-`, starting with a letter or "
       "digit, at most 63)",
       "3:1 unknown key `tsks` in a pipeline (did you mean `tasks`?)",
       "4:14 `description` must be text, found a list (put the text in quotes)",
       "5:9 `labels` must be a map, found a list (write `labels: {team: data}`)",
       "6:6 `env` must be a map, found the text `x` (write `env: {NAME: value}`)",
       "7:10 `timeout` must be longer than 0 (leave the key out for no limit)",
       "9:15 `max_parallel` must be from 1 to 100000, found 0",
       "10:12 `workspace` must be one of `run`, `task`, found the text `shared`"});
  check_refusal(
      R"(name: [p]
steps: []
docs_url: here
timeout: 90
grace_period: [1s]
max_parallel: two
workspace: runn
labels: {a: , b: [c]}
tasks: []
)",
      {"1:7 `name` must be text, found a list (write it like `nightly-report`)",
       "2:1 unknown key `steps` in a pipeline (write `tasks`)",
       "3:1 unknown key `docs_url` in a pipeline (write it in `description`)",
       "4:10 `timeout`: `90` is not a duration (it needs a unit: write `90s`)",
       "5:15 `grace_period` must be a duration, found a list (write it like `90s`, `5m`, `1h30m` "
       "or `250ms`)",
       "6:15 `max_parallel` must be a whole number, found the text `two` (write it like `4`)",
       "7:12 `workspace` must be one of `run`, `task`, found the text `runn` (did you mean `run`?)",
       "8:10 `a` must be text, found nothing (write \"\" for an empty text)",
       "8:18 `b` must be text, found a list",
       "9:8 `tasks` must be a list with at least one task, found an empty list (write `- name: "
       "build` and `  run: make` below `tasks:`)"});
  check_refusal(R"(name:
timeout: 20000d
grace_period: 1m1h
max_parallel: 100001
workspace: [run]
tasks: {a: {run: x}}
)",
                {"1:1 `name` must be text, found nothing (write it like `nightly-report`)",
                 "2:10 `timeout`: `20000d` is not a duration (the longest duration is ten years)",
                 "3:15 `grace_period`: `1m1h` is not a duration (each unit may occur once, the "
                 "largest first: `1h30m`)",
                 "4:15 `max_parallel` must be from 1 to 100000, found 100001",
                 "5:12 `workspace` must be one of `run`, `task`, found a list",
                 "6:8 `tasks` must be a list with at least one task, found a map (write `- name: "
                 "build` and `  run: make` below `tasks:`)"});
  check_refusal(R"(name: p
timeout: 5 min
tasks: [x]
)",
                {"2:10 `timeout`: `5 min` is not a duration (write `5m`)",
                 "3:9 `tasks[0]` must be a map, found the text `x` (write `- name: build`)"});
}

TEST_CASE("refused at their places: YAML that does not parse") {
  check_refusal(R"(name: p
tasks: [{name: a, run: x}
)",
                {"3:1 broken YAML: end of sequence flow not found (a `,` or `]` is missing)"});
  check_refusal(R"(name: p
env:
  A: x: y
)",
                {"3:7 broken YAML: illegal map value (put quotes around text that holds `: `)"});
  check_refusal(R"(name: p
env: {A: "\d"}
)",
                {"2:13 broken YAML: unknown escape character: d (in double quotes write `\\\\`, or "
                 "use single quotes)"});
  check_refusal(R"(name: p
tasks:
  - name: a
   run: x
)",
                {"4:4 broken YAML: end of sequence not found (check the indentation of the list)"});
  check_refusal(R"(name: p
description: 'abc
tasks: []
)",
                {"2:14 a quote is never closed (add the closing quote)"});
  check_refusal(R"(name: @p
)",
                {"1:7 broken YAML: unknown token (put the text in quotes)"});
  check_refusal(R"(name: *x
)",
                {"1:7 broken YAML: the referenced anchor is not defined"});
  check_refusal(R"(name: p
tasks:
  - {name: a, command: [echo, ${{ params.x }}]}
)",
                {"3:32 broken YAML: end of sequence flow not found (put quotes around the text "
                 "with `${{ ... }}`)"});
  check_refusal(R"(name: p
tasks:
  - name: a
    run: x
    when: {{ params.x }}
)",
                {"5:11 `when` must be text, found a map (write `when: ${{ params.publish }}`)",
                 "5:12 a key must be plain text (put quotes around `${{ ... }}`)"});
}

TEST_CASE("refused at their places: what YAML allows and a definition does not") {
  check_refusal(
      R"(name: p
env: {A: !!int "3", B: !secret x, C: !!str 3}
tasks: [{name: a, run: x}]
)",
      {"2:10 tags such as `!!int` are not supported (remove the tag; put text in quotes)",
       "2:24 tags such as `!secret` are not supported (remove the tag; put text in quotes)"});
  check_refusal(R"(name: p
x-a: &a [*a]
tasks: [{name: a, run: x}]
)",
                {"2:10 an alias stands inside its own anchor"});
  check_refusal(
      R"(name: p
env: {A: "a\0b", B: "a\N"}
tasks: [{name: a, run: x}]
)",
      {"2:10 the text holds a NUL character",
       "2:21 the escapes `\\N` and `\\_` are not supported (write `\\u0085` or `\\u00a0`)"});
  check_refusal(R"(name: p
labels: {[a]: b, ~: c}
tasks: [{name: a, run: x}]
)",
                {"2:10 a key must be plain text", "2:18 a key must be plain text"});
  check_refusal(R"(name: p
"name": q
x-a: {b: 1, b: 2}
tasks:
  - name: a
    run: x
    env:
      A: 1
      A: 2
)",
                {"2:1 the key `name` is given twice (first given on line 1)",
                 "3:13 the key `b` is given twice (first given on line 3)",
                 "9:7 the key `A` is given twice (first given on line 8)"});
  check_refusal(R"(name: p
env: {A: .inf, B: 1e400, C: 1_000, D: 0b11, E: 0x1F, F: +5, G: 1.10}
labels: {h: 00, i: 0o7, j: off, k: 99999999999999999999, l: ~}
tasks: [{name: a, run: x}]
)",
                {"2:10 `A`: `.inf` can be read in two ways (write `\".inf\"` for text, or a plain "
                 "decimal number)",
                 "2:19 `B`: `1e400` does not fit 64 bits (put it in quotes)",
                 "2:29 `C`: `1_000` can be read in two ways (write `\"1_000\"` for text, or a "
                 "plain decimal number)",
                 "2:39 `D`: `0b11` can be read in two ways (write `\"0b11\"` for text, or a plain "
                 "decimal number)",
                 "2:48 `E`: `0x1F` can be read in two ways (write `\"0x1F\"` for text, or a plain "
                 "decimal number)",
                 "2:57 `F`: `+5` can be read in two ways (write `\"+5\"` for text, or a plain "
                 "decimal number)",
                 "2:64 `G`: `1.10` can be read in two ways (write `\"1.10\"` for text, or a plain "
                 "decimal number)",
                 "3:13 `h`: `00` can be read in two ways (write `\"00\"` for text, or a plain "
                 "decimal number)",
                 "3:20 `i`: `0o7` can be read in two ways (write `\"0o7\"` for text, or a plain "
                 "decimal number)",
                 "3:28 `j`: `off` can be read in two ways (write `\"off\"` for text, or a plain "
                 "`true` or `false`)",
                 "3:36 `k`: `99999999999999999999` does not fit 64 bits (put it in quotes)",
                 "3:58 `l` must be text, found nothing (write \"\" for an empty text)"});
  check_refusal(
      R"(name: p
tasks:
  - <<: 3
    name: a
    run: x
  - <<: [{run: x}, 3]
    name: b
  - {<<: {timeout: 1s}, <<: {timeout: 2s}, name: c, run: x}
)",
      {"3:9 `<<` must be a map or a list of maps, found the number `3` (write `<<: *anchor`)",
       "6:20 `<<` must be a map or a list of maps, found a list with the number `3` (write `<<: "
       "[*one, *two]`)",
       "8:25 the key `<<` is given twice (first given on line 8)"});
}

TEST_CASE("refused at their places: environments") {
  check_refusal(
      R"(name: p
env: {1A: x, MILLRACE_X: z, B: {}}
tasks: [{name: a, run: x, env: [A]}]
)",
      {"2:7 the name `1A` is not allowed (use letters, digits and `_`, not starting with a digit)",
       "2:14 variables that start with `MILLRACE_` are reserved (choose another name)",
       "2:32 `B` must be text, found an empty map",
       "3:32 `env` must be a map, found a list (write `env: {NAME: value}`)"});
  check_refusal(R"(name: p
defaults: {retries: 3, timeouts: 3s}
tasks: [{name: a, run: x}]
)",
                {"2:12 unknown key `retries` in `defaults` (write `retry`)",
                 "2:24 unknown key `timeouts` in `defaults` (did you mean `timeout`?)"});
  check_refusal(
      R"(name: p
defaults: 3
tasks: [{name: a, run: x}]
)",
      {"2:11 `defaults` must be a map, found the number `3` (write `defaults: {timeout: 5m}`)"});
}

TEST_CASE("refused at their places: secrets") {
  check_refusal(
      R"(name: p
secrets: {1A: {from: project, key: a}, MILLRACE_X: {from: project, key: a}, B: x}
tasks: [{name: a, run: x, secrets: [A], secret: {}}]
)",
      {"2:11 the name `1A` is not allowed (use letters, digits and `_`, not starting with a digit)",
       "2:40 variables that start with `MILLRACE_` are reserved (choose another name)",
       "2:80 `B` must be a map, found the text `x` (write `{from: project, key: api-token}`)",
       "3:36 `secrets` must be a map, found a list (write `secrets: {TOKEN: {from: project, key: "
       "api-token}}`)",
       "3:41 unknown key `secret` in a task (write `secrets`)"});
  check_refusal(
      R"(name: p
tasks:
  - name: a
    run: x
    secrets:
      A: {}
      B: {from: vault, key: a}
      C: {form: env, key: a}
      D: {from: project, value: hunter2}
      E: {from: project, key: a/b}
      F: {from: env, key: MILLRACE_SECRET_F}
      G: {from: env, key: a-b}
      H: {from: file, key: ../etc/passwd}
      I: {from: file, key: [a]}
)",
      {"6:10 the secret has no `from` (write `{from: project, key: api-token}`)",
       "6:10 the secret has no `key` (write `{from: project, key: api-token}`)",
       "7:17 `from` must be one of `file`, `env`, `project`, found the text `vault`",
       "8:10 the secret has no `from` (write `{from: project, key: api-token}`)",
       "8:11 unknown key `form` in a secret (did you mean `from`?)",
       "9:10 the secret has no `key` (write `{from: project, key: api-token}`)",
       "9:26 unknown key `value` in a secret (a definition is no place for it: store it by "
       "`millrace secret set`)",
       "10:31 `key` is the name of a secret of the project, which `a/b` cannot be (use letters, "
       "digits, `_` and `-`, starting with a letter, at most 63)",
       "11:27 `key` names the variable without `MILLRACE_SECRET_` (write `F`)",
       "12:27 `key` is the rest of a variable's name, found `a-b` (use letters, digits and `_`, "
       "not starting with a digit)",
       "13:28 `key` must be a path below the directory of secrets, found `../etc/passwd` (write "
       "it like `database/password`, without `..`)",
       "14:28 `key` must be text, found a list (write `key: api-token`)"});
}

TEST_CASE("refused at their places: variables that are secrets and are not") {
  check_refusal(
      R"(name: p
env: {A: x}
secrets: {A: {from: project, key: a}, B: {from: project, key: b}}
defaults:
  env: {B: x, C: x}
  secrets: {B: {from: project, key: b}, C: {from: project, key: c}}
tasks:
  - {name: a, run: x, env: {B: x, D: x}, secrets: {A: {from: env, key: a}, D: {from: env, key: d}}}
  - {name: b, run: x, detach: allowed}
)",
      {"3:11 `A` is in the pipeline's `env` too (remove one of them)",
       "3:39 `B` is in the pipeline's `env` too (remove one of them)",
       "6:13 `B` is in the pipeline's `env` too (remove one of them)",
       "6:13 `B` is in the pipeline's `secrets` too (remove one of them)",
       "6:41 `C` is in the pipeline's `env` too (remove one of them)",
       "8:29 `B` is in the pipeline's `secrets` too (remove one of them)",
       "8:52 `A` is in the pipeline's `env` too (remove one of them)",
       "8:76 `D` is in the task's `env` too (remove one of them)",
       "9:31 a task with secrets cannot have `detach: allowed` (what outlives its command would "
       "write what nobody masks any more)"});
}

TEST_CASE("refused at their places: parameters") {
  check_refusal(R"(name: p
params: [x]
tasks: [{name: a, run: x}]
)",
                {"2:9 `params` must be a map, found a list (write `params: {day: {type: string, "
                 "default: today}}`)"});
  check_refusal(
      R"(name: p
params: {1x: 3, a-b: 1, a_b: 2, c: [1, [2], null]}
tasks: [{name: a, run: x}]
)",
      {"2:10 the name `1x` is not allowed (use letters, digits, `_` and `-`, starting "
       "with a letter, at most 63)",
       "2:25 `a_b` and `a-b` would both be `$MILLRACE_PARAM_A_B` (rename one of them)",
       "2:40 `c[1]` must be a string, a number, a boolean or a map of these, found a list",
       "2:45 `c[2]` must be a string, a number, a boolean or a map of these, found nothing (write "
       "\"\" for "
       "an empty text)"});
  check_refusal(R"(name: p
params:
  a: {type: list, default: x}
  b: {type: map, default: [1]}
  c: {default: {k: {l: 1}}}
  d: {type: list, default: [a, 2], enum: [a, b]}
  e: {type: map, enum: [a]}
  f: {type: int, default: [1]}
  g: {type: list, enum: [[a]]}
  h: [yes]
tasks:
  - {name: a, run: x, for_each: "${{ params.e }}"}
  - {name: b, run: x, when: "${{ params.unknown.k }}", matrix: {m: "${{ params.other }}"}}
)",
                {"3:28 `default` must be of type `list`, found the text `x` (write a list of "
                 "strings, numbers, booleans or maps of these: `[\"a\", \"b\"]`)",
                 "4:27 `default` must be of type `map`, found a list (write a map of strings, "
                 "numbers or booleans: `{\"a\": 1}`)",
                 "5:20 `k` must be a string, a number or a boolean, found a map",
                 "6:28 the default may hold only `a`, `b`, found the int `2`",
                 "7:24 `enum` has no meaning for a map (remove it)",
                 "8:27 `default` must be of type `int`, found a list",
                 "9:26 `enum[0]` must be a value, found a list",
                 "10:7 `h[0]`: `yes` can be read in two ways (write `\"yes\"` for text, or a "
                 "plain `true` or `false`)",
                 "12:37 a fan-out needs a list, found a value of type `map` (write `[...]`, or "
                 "declare a parameter with `type: list`)",
                 "13:41 unknown parameter `unknown` (declare it under `params` at the top)",
                 "13:80 unknown parameter `other` (declare it under `params` at the top)"});
  check_refusal(R"(name: p
params: {e: {type: map, default: {k: 1}}, n: 3, t: text, l: [1]}
tasks:
  - {name: a, run: x, for_each: "${{ params.e }}"}
  - {name: b, run: x, matrix: {m: "${{ params.n }}"}}
  - {name: c, run: x, when: "${{ params.t.k == 1 }}"}
  - {name: d, run: x, for_each: "${{ params.t }}"}
  - {name: e, run: x, for_each: "${{ params.l }}", when: "${{ params.n == 03 }}"}
)",
                {"4:37 a fan-out needs a list, found a value of type `map` (write `[...]`, or "
                 "declare a parameter with `type: list`)",
                 "5:39 a fan-out needs a list, found a value of type `int` (write `[...]`, or "
                 "declare a parameter with `type: list`)",
                 "6:43 `params.t` is of type `string` and has no parts (declare it with `type: "
                 "map`)",
                 "8:75 `03` is not a number (write it without leading zeros, or put text in "
                 "quotes)"});
  check_refusal(
      R"(name: p
params:
  a: {type: integer}
  b: {type: int, default: x}
  c: {default: 3, enum: [4, x]}
  d: {required: true, default: 1}
  e: {required: yes}
  f: {enum: []}
  g: {type: string, default: 3}
  h: {type: bool, default: "true"}
  i: {type: float, default: 3, enum: [3, 4.5]}
  j: {type: float, default: .5}
  l: {pattern: x}
  m: {value: 3}
  o: {defalt: x}
tasks: [{name: a, run: x}]
)",
      {"3:13 `type` must be one of `string`, `int`, `float`, `bool`, `list`, `map`, found the text "
       "`integer`",
       "4:27 `default` must be of type `int`, found the text `x`", "5:16 the default must be `4`",
       "5:29 `enum[1]` must be of type `int`, found the text `x`",
       "6:32 a required parameter has no use for a default (remove `required` or `default`)",
       "7:17 `required` must be `true` or `false`, found the text `yes`",
       "8:13 `enum` must be a list of values, found an empty list (write `enum: [small, large]`)",
       "9:30 `default` must be of type `string`, found the number `3` (put it in quotes)",
       "10:28 `default` must be of type `bool`, found the text `\"true\"`",
       "12:29 `default` must be of type `float`, found the text `.5`",
       "13:7 `pattern` is not supported yet by this version",
       "14:7 unknown key `value` in a parameter (write `default`)",
       "15:7 unknown key `defalt` in a parameter (did you mean `default`?)"});
}

TEST_CASE("refused at their places: retries") {
  check_refusal(R"(name: p
tasks:
  - {name: a, run: x, retry: 0}
  - {name: b, run: x, retry: often}
  - {name: c, run: x, retry: [3]}
  - {name: d, run: x, retry: {max_attempts: 1001, delay: 1, max_delay: 1 s}}
  - {name: e, run: x, retry: {backof: 3, limit: 3, exit_code: [1]}}
  - {name: f, run: x, retry: {jitter: -0.1, backoff: 0.5}}
  - {name: g, run: x, retry: {jitter: 1.1, backoff: 100.5}}
  - {name: h, run: x, retry: {jitter: full, backoff: "2"}}
)",
                {"3:30 `retry` must be from 1 to 1000, found 0",
                 "4:30 `retry` must be a whole number, found the text `often` (write `retry: 3`, "
                 "`retry: never` or a map)",
                 "5:30 `retry` must be a number or a map, found a list (write `retry: 3`, `retry: "
                 "never` or a map)",
                 "6:45 `max_attempts` must be from 1 to 1000, found 1001",
                 "6:58 `delay`: `1` is not a duration (it needs a unit: write `1s`)",
                 "6:72 `max_delay`: `1 s` is not a duration (write `1s`)",
                 "7:31 unknown key `backof` in `retry` (did you mean `backoff`?)",
                 "7:42 unknown key `limit` in `retry` (write `max_attempts`, which counts the "
                 "first attempt too)",
                 "7:52 unknown key `exit_code` in `retry` (write `on_exit`)",
                 "8:39 `jitter` must be from 0.0 to 1.0, found -0.1",
                 "8:54 `backoff` must be from 1.0 to 100.0, found 0.5",
                 "9:39 `jitter` must be from 0.0 to 1.0, found 1.1",
                 "9:53 `backoff` must be from 1.0 to 100.0, found 100.5",
                 "10:39 `jitter` must be a number, found the text `full` (write it like `0.1`)",
                 "10:54 `backoff` must be a number, found the text `\"2\"` (write it like `2`)"});
}

TEST_CASE("refused at their places: attempts") {
  check_refusal(
      R"(name: p
params: {soon: soon, zero: {default: 10s, enum: [10s, 0s]}, number: 3, fine: {default: 5s}}
defaults: {retry: {run: x}, timeout: "${{ item }}"}
tasks:
  - {name: a, run: x, heartbeat: 200ms}
  - {name: b, run: x, timeout: "${{ params.soon }}"}
  - {name: c, run: x, start_timeout: "${{ params.zero }}"}
  - {name: d, run: x, timeout: "${{ params.number }}"}
  - {name: e, run: x, retry: {run: z}}
  - {name: f, run: x, retry: {max_attempts: 2, run: 'echo ${{ params.fine }}'}}
  - {name: g, run: x, success_exit_codes: [3, 75], retry: {max_attempts: 2, on_exit: 75}}
  - {name: h, run: x, stdout: k, outputs: {k: {default: none}}}
  - {name: i, run: x, stdout: "a b"}
  - {name: j, approval: Well, heartbeat: 1s, stdout: k}
  - {name: k, run: x, needs: h, env: {A: "${{ tasks.h.outputs.other }}"}}
  - {name: l, run: x, output: k, restart: z, heartbeat: "${{ params.fine }}"}
  - {name: m, run: x, limits: {memory: lots, cpu: 2}}
  - {name: n, run: x, limits: {}}
  - {name: o, approval: Well, limits: {memory: 1Gi}}
)",
      {"3:25 `defaults` has no command for attempts after the first (write it under `retry` of its "
       "task)",
       "3:43 `item` is not available here (it exists in the `env`, `command` and `when` of a task "
       "with `for_each`)",
       "5:34 `heartbeat` must be at least 1s (a machine that is busy would end what runs well)",
       "6:36 the default of the parameter `soon`: `soon` is not a duration (write it like `90s`, "
       "`5m` or `1h30m`)",
       "7:42 a value in `enum` of the parameter `zero` is 0, which is no limit (write it like "
       "`90s`, `5m` or `1h30m`)",
       "8:36 a duration is a text such as `90s`, found a value of type `int` (declare a parameter "
       "with `type: string` and write its unit, as in `default: 90s`)",
       "9:30 with one attempt, the command for those after the first never runs (add "
       "`max_attempts: 2`)",
       "10:59 an expression in shell text is refused: a value could become a command (use "
       "variables: `$MILLRACE_PARAM_NAME`, `$MILLRACE_ITEM`, or your own in `env`)",
       "11:43 the exit code 75 is a success, and `retry` says what follows it (remove it here or "
       "there)",
       "12:31 the output `k` has a `default`, which would never count (remove the `default`: a "
       "command that writes nothing gives an empty text)",
       "13:31 the name `a b` is not allowed (use letters, digits, `_` and `-`, starting with a "
       "letter, at most 63)",
       "14:42 `heartbeat` has no meaning beside `approval` (remove it, or do it in a task that "
       "needs this one)",
       "14:54 `stdout` has no meaning beside `approval` (remove it, or do it in a task that needs "
       "this one)",
       "15:63 the task `h` has no output `other`",
       "16:23 unknown key `output` in a task (write `outputs`, or `stdout: NAME` for what it "
       "writes to standard output)",
       "16:34 unknown key `restart` in a task (write `retry: {max_attempts: 3, run: ...}`)",
       "17:40 `lots` is no size (write it like `100Mi` or `2G`)",
       "17:46 unknown key `cpu` in `limits` (write `resources: {cpu: 2}`, by which tasks wait for "
       "each other)",
       "18:31 there is no limit in it (write `limits: {memory: 512Mi}`)",
       "19:39 `limits` has no meaning beside `approval` (remove it, or do it in a task that needs "
       "this one)"});
}

TEST_CASE("refused at their places: what to run") {
  check_refusal(
      R"(name: p
tasks:
  - {run: x}
  - {name: A, run: x}
  - {name: c}
  - {name: d, run: x, command: [y1]}
  - {name: e, run: [x]}
  - {name: f, run: "  "}
  - {name: g, command: x}
  - {name: h, command: []}
  - {name: i, command: [a, [b], 012]}
  - {name: j, command: [/bin/sh, -ec, "echo ${{ params.x }}"]}
  - {name: k, run: }
  - name: l
    run: |
      echo
      echo ${{ x }}
)",
      {"3:5 the task has no `name` (add `name: build`)",
       "4:12 the name `A` is not allowed (use a-z, 0-9, `_`, `.` and `-`, starting with a letter "
       "or digit, at most 63)",
       "5:5 the task has no `run`, `command`, `pipeline`, `actor`, `approval` or `callback` (add "
       "`run: echo hello`, or `command: [program, argument]`)",
       "6:32 a task has `run` or `command`, not both (remove one of them)",
       "7:20 `run` must be text, found a list (write shell text)",
       "8:20 `run` is empty (write shell text)",
       "9:24 `command` must be a list of program and arguments, found the text `x` (write "
       "`command: [program, argument]`, or `run` for shell text)",
       "10:24 `command` must be a list of program and arguments, found an empty list (write "
       "`command: [program, argument]`, or `run` for shell text)",
       "11:28 `command[1]` must be text, found a list",
       "11:33 `command[2]`: `012` can be read in two ways (write `\"012\"` for text, or a plain "
       "decimal number)",
       "12:45 an expression in shell text is refused: a value could become a command (use "
       "variables: `$MILLRACE_PARAM_NAME`, `$MILLRACE_ITEM`, or your own in `env`)",
       "13:15 `run` must be text, found nothing (write shell text)",
       "17:12 an expression in shell text is refused: a value could become a command (use "
       "variables: `$MILLRACE_PARAM_NAME`, `$MILLRACE_ITEM`, or your own in `env`)"});
}

TEST_CASE("refused at their places: needs") {
  check_refusal(
      R"(name: p
tasks:
  - {name: build, run: x, needs: {a: b}}
  - {name: b, run: x, needs: [biuld, "Build"]}
  - {name: c, run: x, needs: [b, b]}
  - {name: d, run: x, needs: d}
  - {name: e, run: x, needs: [[b]]}
  - {name: f, run: x, needs: zebra}
  - {name: f, run: y}
)",
      {"3:34 `needs` must be a list of task names, found a map (write `needs: [build]`)",
       "4:31 there is no task `biuld` (did you mean `build`?)",
       "4:38 there is no task `Build` (did you mean `build`?)",
       "5:34 `b` is needed twice (remove one of them)", "6:30 the task needs itself (remove it)",
       "7:31 `needs[0]` must be text, found a list (write the name of a task)",
       "8:30 there is no task `zebra`",
       "9:12 there are two tasks called `f` (the first one is on line 8; rename one of them)"});
}

TEST_CASE("refused at their places: needs of single instances") {
  check_refusal(
      R"(name: p
tasks:
  - {name: one, run: x}
  - {name: two, run: x, for_each: [1, 2]}
  - {name: a, run: x, needs: [{task: two, instances: same}]}
  - {name: b, run: x, for_each: [1, 2], needs: [{task: one, instances: same}]}
  - {name: c, run: x, for_each: [1], needs: [{task: two, instances: same}]}
  - {name: d, run: x, for_each: [1, 2], needs: [{task: two, instances: same}], run_on: always}
  - {name: e, run: x, needs: [{instances: all}, {task: two, instances: some}]}
  - name: f
    for_each: [1, 2]
    needs: [{task: two, instances: same}]
    when: "${{ tasks.two.status == 'failed' }}"
    env: {A: "${{ join(tasks.two.outputs.k, ',') }}", B: "${{ tasks.two.status }}"}
    run: x
  - {name: g, for_each: "${{ tasks.two.outputs.k }}", needs: [{task: f, instances: same}], run: x}
  - {name: h, for_each: "${{ tasks.two.outputs.k }}", needs: [f], run: x}
)",
      {"5:38 `instances: same` is for two fan-outs, and `a` is none (need all of it: write `two`)",
       "6:56 `instances: same` is for two fan-outs, and `one` is none (need all of it: write "
       "`one`)",
       "7:53 `two` has 2 instances and the task 1: `instances: same` needs as many (fan out over "
       "the same list)",
       "8:56 `instances: same` has no meaning beside `run_on: always` (need all of it: write "
       "`two`)",
       "9:31 the need names no `task` (write `{task: build, instances: same}`)",
       "9:72 `instances` must be one of `all`, `same`, found the text `some` (did you mean "
       "`same`?)",
       "13:22 `two` has not ended yet when this is read (add it to `needs`)",
       "14:24 `join` takes a list first, not a string",
       "16:36 `two` has not ended yet when this is read (add it to `needs`)"});
}

TEST_CASE("refused at their places: hooks") {
  const std::string long_name(55, 'n');
  check_refusal(
      R"(name: p
tasks:
  - {name: a, run: x, on_failure: "${{ run.id }}", finally: [x]}
  - {name: b, run: x, needs: [a.finally, finally], on_success: {env: {A: b}}}
  - {name: c, run: x, on_cancel: {run: x, command: [z], when: true, on_failure: z}}
  - {name: c.on_cancel, run: x}
  - {name: d, command: [x, "${{ run.state }}"], on_failure: {command: [x, "${{ run.reason }}"]}}
  - {name: )" +
          long_name + R"(, run: x, on_failure: x}
  - {name: e, run: x, ensure: y, on_failure: {command: [x, "${{ tasks.a.status }}"]}}
on_failure: {command: [x, "${{ run.state == 'success' }}"], timeout: 0}
finally: {env: {A: "${{ item }}"}}
)",
      {"3:36 an expression in shell text is refused: a value could become a command (use "
       "variables: `$MILLRACE_PARAM_NAME`, `$MILLRACE_ITEM`, or your own in `env`)",
       "3:61 `finally` must be a map, found a list (write `finally: ./tidy-up`, or a map with "
       "`run` or `command`)",
       "4:31 `a.finally` is a hook, which nothing needs (need `a` instead)",
       "4:42 `finally` is a hook, which nothing needs (remove it)",
       "4:64 the hook has no `run` or `command` (write `finally: ./tidy-up`, or a map with `run` "
       "or `command`)",
       "5:52 a task has `run` or `command`, not both (remove one of them)",
       "5:57 unknown key `when` in a hook (decide in the command, by `$MILLRACE_HOOK_STATE`)",
       "5:69 unknown key `on_failure` in a hook (hooks have no hooks)",
       "6:12 there are two tasks called `c.on_cancel` (the first one is on line 5; rename one of "
       "them)",
       "7:33 `run.state` is not known yet when this is read (it is in the hooks of the pipeline: "
       "`on_failure` or `finally` at the top)",
       "7:80 `run.reason` is not known yet when this is read (it is in the hooks of the pipeline: "
       "`on_failure` or `finally` at the top)",
       "8:89 the hook would be called `" + long_name +
           ".on_failure`, which is too long (shorten the name of the task)",
       "9:23 unknown key `ensure` in a task (write `finally`)",
       "9:71 `a` has not ended yet when this is read (add it to `needs`)",
       "10:45 no run ever has the state `success` (did you mean `succeeded`?)",
       "10:70 `timeout` must be longer than 0 (leave the key out for no limit)",
       "11:10 the hook has no `run` or `command` (write `finally: ./tidy-up`, or a map with `run` "
       "or `command`)",
       "11:25 `item` is not available here (it exists in the `env`, `command` and `when` of a task "
       "with `for_each`)"});
}

TEST_CASE("refused at their places: conditions") {
  check_refusal(R"(name: p
params: {publish: true}
tasks:
  - {name: a, run: x, run_on: sucess}
  - {name: b, run: x, run_on: [any]}
  - {name: c, run: x, when: [true]}
  - {name: d, run: x, when: yes}
  - {name: e, run: x, when: "${{ true }} "}
  - {name: f, run: x, when: "${{ 3 }}"}
  - {name: g, run: x, when: "${{ foo }}"}
  - {name: h, run: x, when: "${{ params.x"}
  - {name: i, run: x, when: params.publish}
)",
                {"4:31 `run_on` must be one of `success`, `failure`, `always`, `any`, "
                 "`no_failure`, found the text `sucess` (did you mean `success`?)",
                 "5:31 `run_on` must be one of `success`, `failure`, `always`, `any`, "
                 "`no_failure`, found a list",
                 "6:29 `when` must be text, found a list (write `when: ${{ params.publish }}`)",
                 "7:29 `when` must be one expression, `true` or `false` (write it like `${{ "
                 "params.publish }}`)",
                 "8:29 `when` must be one expression, `true` or `false` (write it like `${{ "
                 "params.publish }}`)",
                 "9:33 `when` must be a boolean, found a value of type `int` (compare it, as in "
                 "`params.mode == 'full'`)",
                 "10:34 unknown name `foo` (put text in quotes: 'foo')",
                 "11:30 `${{` is never closed (add `}}`)",
                 "12:29 `when` must be one expression, `true` or `false` (write `when: ${{ "
                 "params.publish }}`)"});
}

TEST_CASE("refused at their places: fan-outs") {
  check_refusal(
      R"(name: p
tasks:
  - {name: a, run: x, for_each: [1], matrix: {a: [1]}}
  - {name: b, run: x, for_each: abc}
  - {name: c, run: x, for_each: {a: b}}
  - {name: d, run: x, for_each: [[1]]}
  - {name: e, run: x, max_parallel: 2, fail_fast: true}
  - {name: f, run: x, for_each: [1], fail_fast: 1}
  - {name: g, run: x, matrix: [1]}
  - {name: h, run: x, matrix: {}}
  - {name: i, run: x, matrix: {1a: [1]}}
  - {name: j, run: x, matrix: {a-b: [1], a_b: [2]}}
  - {name: k, run: x, matrix: {a: [1], include: {a: 2}}}
  - {name: l, run: x, matrix: {a: [1], b: [1], include: [{a: 2}], exclude: [{c: 1}, 3]}}
  - {name: m, run: x, matrix: {a: 1}}
  - {name: n, run: x, matrix: {a: {b: c}}}
  - {name: o, run: x, matrix: {a: [x], exclude: [{a: [x]}]}}
)",
      {"3:46 a task has `for_each` or `matrix`, not both (remove one of them)",
       "4:33 `for_each` must be a list or an expression, found the text `abc` (write `[a, b]`, "
       "`${{ params.names }}` or `${{ tasks.list.outputs.files }}`)",
       "5:33 `for_each` must be a list or an expression, found a map (write `[a, b]`)",
       "6:34 `for_each[0]` must be a value, found a list",
       "7:37 `max_parallel` has a meaning only with a fan-out (add `for_each` or `matrix`, or "
       "remove it)",
       "7:51 `fail_fast` has a meaning only with a fan-out (add `for_each` or `matrix`, or remove "
       "it)",
       "8:49 `fail_fast` must be `true` or `false`, found the number `1`",
       "9:31 `matrix` must be a map of axes, found a list (write `matrix: {os: [a, b]}`)",
       "10:31 `matrix` has no axis (write `matrix: {os: [a, b]}`, or `matrix: {include: [{os: a}, "
       "{os: b}]}`)",
       "11:32 the name `1a` is not allowed (use letters, digits, `_` and `-`, starting with a "
       "letter, at most 63)",
       "12:42 `a_b` and `a-b` would both be `$MILLRACE_MATRIX_A_B` (rename one of them)",
       "13:49 `include` must be a list of maps, found a map (write `- {os: a, python: \"3.12\"}`)",
       "14:58 a combination in `include` must name every axis",
       "14:78 the matrix has no axis `c` (add it to the matrix, or to the first combination "
       "of one without axes)",
       "14:85 `exclude[1]` must be a map of cells, found the number `3` (write `{os: a}`)",
       "15:35 `a` must be a list or an expression, found the number `1` (write `[a, b]`, `${{ "
       "params.names }}` or `${{ tasks.list.outputs.files }}`)",
       "16:35 `a` must be a list or an expression, found a map (write `[a, b]`)",
       "17:54 `a` must be a value, found a list"});
}

TEST_CASE("refused at their places: gangs") {
  check_refusal(
      R"(name: p
max_parallel: 4
workspace: task
tasks:
  - {name: a, run: x, ranks: 1}
  - {name: b, run: x, ranks: 1001}
  - {name: c, run: x, ranks: 5}
  - {name: d, run: x, ranks: 2, for_each: [1], matrix: {a: [1]}}
  - {name: e, run: x, ranks: 2, max_parallel: 1, fail_fast: false, allow_failures: true}
  - {name: f, run: x, ranks: 2, on_empty: skip, cache: true, preemptible: requeue}
  - {name: g, run: x, ranks: 2, retry: {max_attempts: 2, run: y}}
  - {name: h, approval: Well, ranks: 2}
  - {name: i, callback: {}, ranks: 2}
  - {name: j, pipeline: q, ranks: 2}
  - {name: k, run: x, ranks: 2, on_failure: {run: y, ranks: 2}}
  - {name: l, run: x, ranks: 2, needs: [{task: m, instances: same}]}
  - {name: m, run: x, for_each: [1, 2], needs: [{task: k, instances: same}]}
  - {name: n, run: x, ranks: 2, preemptible: never, env: {A: "${{ item }}"}}
  - {name: o, run: x, ranks: "${{ params.n }}"}
  - {name: p, run: x, replicas: 2}
)",
      {"5:30 `ranks` must be from 2 to 1000, found 1",
       "6:30 `ranks` must be from 2 to 1000, found 1001",
       "7:30 the 5 ranks start together, and `max_parallel` of the pipeline is 4 (raise "
       "`max_parallel`, or remove it)",
       "8:30 a task has `ranks` or `for_each`, not both (remove one of them)",
       "8:30 a task has `ranks` or `matrix`, not both (remove one of them)",
       "8:56 a task has `for_each` or `matrix`, not both (remove one of them)",
       "9:47 `max_parallel` has no meaning beside `ranks` (remove it: a gang starts as a whole, "
       "and has failed when one rank has)",
       "9:61 `fail_fast` has no meaning beside `ranks` (remove it: a gang starts as a whole, and "
       "has failed when one rank has)",
       "9:84 `allow_failures` has no meaning beside `ranks` (remove it: a gang starts as a whole, "
       "and has failed when one rank has)",
       "10:43 `on_empty` has no meaning beside `ranks` (remove it: a gang starts as a whole, and "
       "has failed when one rank has)",
       "10:56 `cache` has no meaning beside `ranks` (remove it: a gang starts as a whole, and has "
       "failed when one rank has)",
       "10:75 a task with `ranks` does not make way for others (remove it, or write `preemptible: "
       "never`)",
       "11:40 a task with `ranks` has no other command for later attempts (decide in the command, "
       "by `$MILLRACE_ATTEMPT`)",
       "12:38 `ranks` has no meaning beside `approval` (remove it, or do it in a task that needs "
       "this one)",
       "13:36 `ranks` has no meaning beside `callback` (remove it, or do it in a task that needs "
       "this one)",
       "14:35 `ranks` has no meaning beside `pipeline` (remove it, or do it in a task that needs "
       "this one)",
       "15:54 unknown key `ranks` in a hook",
       "16:48 `instances: same` is for two fan-outs, and `l` is a gang (need all of it: write `m`)",
       "17:56 `instances: same` is for two fan-outs, and `k` is a gang (need all of it: write `k`)",
       "18:67 `item` is not available here (it exists in the `env`, `command` and `when` of a task "
       "with `for_each`)",
       "19:30 `ranks` must be a whole number, found the text `${{ params.n }}` (write it like "
       "`ranks: 4`)",
       "20:23 unknown key `replicas` in a task (write `ranks: 4`, or `for_each` for what need not "
       "run together)"});
}

TEST_CASE("refused at their places: other keys of a task") {
  check_refusal(
      R"(name: p
tasks:
  - {name: a, run: x, outputs: [x, x]}
  - {name: b, run: x, outputs: [1x]}
  - {name: c, run: x, outputs: {x: {descripton: y}}}
  - {name: d, run: x, outputs: {x: {type: int}, 1x: a, y: [z], z: }}
  - {name: e, run: x, outputs: x}
  - {name: f, run: x, priority: 1000000001}
  - {name: g, run: x, priority: higher}
  - {name: h, run: x, image: debian}
  - {name: i, run: x, dependsOn: a}
  - {name: j, run: x, qqqqqq: a}
  - {name: k, run: x, Needs: a}
  - {name: l, run: x, description: {a: b}, timeout: 0s}
)",
      {"3:36 the output `x` is given twice (remove one of them)",
       "4:33 the name `1x` is not allowed (use letters, digits, `_` and `-`, starting with a "
       "letter, at most 63)",
       "5:37 unknown key `descripton` in an output (did you mean `description`?)",
       "6:37 `type` is not supported yet by this version",
       "6:49 the name `1x` is not allowed (use letters, digits, `_` and `-`, starting with a "
       "letter, at most 63)",
       "6:59 `y` must be text, found a list (put the text in quotes)",
       "7:32 `outputs` must be a list of names, found the text `x` (write `outputs: [count, "
       "result]`)",
       "8:33 `1000000001` is no priority (write a number from 0 to 1000000000, or idle, low, "
       "normal, high or critical)",
       "9:33 `higher` is no priority (write a number from 0 to 1000000000, or idle, low, normal, "
       "high or critical)",
       "10:23 `image` is not supported yet by this version",
       "11:23 unknown key `dependsOn` in a task (write `needs`)",
       "12:23 unknown key `qqqqqq` in a task",
       "13:23 unknown key `Needs` in a task (did you mean `needs`?)",
       "14:36 `description` must be text, found a map (put the text in quotes)",
       "14:53 `timeout` must be longer than 0 (leave the key out for no limit)"});
}

TEST_CASE("refused at their places: pools") {
  constexpr auto allowed =
      " (use a-z, 0-9, `_`, `.` and `-`, starting with a letter or digit, at most 63)";
  check_refusal(
      R"(name: p
pool: Big
tasks:
  - {name: a, run: x, pool: "*"}
  - {name: b, run: x, pool: "${{ params.a }}"}
  - {name: c, run: x, pool: [gpu]}
  - {name: d, run: x, partition: gpu}
  - {name: e, approval: "Go?", pool: gpu}
  - {name: f, run: x, finally: {run: y, pool: gpu}}
)",
      {"2:7 the name `Big` is not allowed" + std::string{allowed},
       "4:29 the name `*` is not allowed" + std::string{allowed},
       "5:29 the name `${{ params.a }}` is not allowed" + std::string{allowed},
       "6:29 `pool` must be text, found a list (write it like `nightly-report`)",
       "7:23 unknown key `partition` in a task (write `pool: NAME`)",
       "8:38 `pool` has no meaning beside `approval` (remove it, or do it in a task that needs "
       "this one)",
       "9:41 unknown key `pool` in a hook"});
  check_refusal("name: p\npool: a\ndefaults: {pool: b}\ntasks: [{name: a, run: x}]\n",
                {"3:18 `pool` is at the top of the pipeline too (remove one of them)"});
}

TEST_CASE("refused at their places: what a task claims") {
  check_refusal(
      R"(name: p
priority: urgent
tasks:
  - {name: a, run: x, resources: {cpu: two, memory: 512MB, gpu: 0.5, licence: 0}}
  - {name: b, run: x, synchronization: {mutexes: [a, ""], semaphores: [{name: a, limit: 2}]}}
  - {name: c, run: x, synchronization: {semaphores: [{name: s, of: 3}]}}
  - {name: d, run: x, locks: [a], cpus: 2}
  - {name: e, approval: "Go?", resources: {gpu: 1}}
  - {name: f, run: x, preemptible: yes, requeue: true}
  - {name: g, callback: {}, preemptible: never}
)",
      {"2:11 `urgent` is no priority (write a number from 0 to 1000000000, or idle, low, normal, "
       "high or critical)",
       "4:40 `two` is no amount of `cpu`: write processors like `2`, `0.5` or `500m`",
       "4:53 `512MB` is no amount of `memory`: write a size like `512Mi` or `2G`",
       "4:65 `0.5` is no amount of `gpu`: write a whole number from 1",
       "4:79 `0` is no amount of `licence`: write a whole number from 1",
       "5:40 `a` comes twice (remove one of them)",
       "5:54 the name is empty (write a name like `deploy`)",
       "6:54 the semaphore has no `limit` (write `- {name: database, limit: 3}`)",
       "6:64 unknown key `of` in a semaphore (write `limit`)",
       "7:23 unknown key `locks` in a task (write `synchronization: {mutexes: [NAME]}`)",
       "7:35 unknown key `cpus` in a task (write `resources: {cpu: 2}`)",
       "8:43 `resources` has no meaning beside `approval` (remove it, or do it in a task that "
       "needs "
       "this one)",
       "9:36 `preemptible` must be one of `requeue`, `cancel`, `never`, found the text `yes`",
       "9:41 unknown key `requeue` in a task (write `preemptible: requeue`)",
       "10:42 `preemptible` has no meaning beside `callback` (remove it, or do it in a task that "
       "needs this one)"});
}

TEST_CASE("refused at their places: what no program can be started with") {
  const std::string large(131'072, 'x');
  check_refusal("name: p\ntasks:\n  - {name: a, command: [echo, " + large +
                    "]}\n  - {name: b, run: " + large + ", env: {A: " + large.substr(2) +
                    ", B: " + large.substr(3) + "}}\n",
                {"3:31 the argument has 131072 bytes; a program can be given at most 131071 in one "
                 "(write the text to a file first, and pass its name)",
                 "4:131103 the variable has 131072 bytes with its name; a program can be given at "
                 "most 131071 in one (write the text to a file first, and pass its name)"});
  check_refusal("name: p\ntasks: [{name: a, run: x, workdir: a/../../b}]\n",
                {"2:36 `workdir` 'a/../../b' leads out of the workspace (write `workdir: build`, "
                 "or an absolute path)"});
  check_refusal("name: p\ntasks: [{name: a, run: x, workdir: ''}]\n",
                {"2:36 `workdir` is empty (write `workdir: build`, or an absolute path)"});
  check_refusal(
      "name: p\ntasks: [{name: a, run: x, inputs: {1x: 1, y: '${{ params.no }}'}}]\n",
      {"2:36 the name `1x` is not allowed (use letters, digits, `_` and `-`, starting with a "
       "letter, at most 63)",
       "2:58 unknown parameter `no` (declare it under `params` at the top)"});
  check_refusal(
      "name: p\ntasks: [{name: a, run: x, shell: fish}, {name: b, command: [x], shell: "
      "[]}, {name: c, run: x, shell: []}]\n",
      {"2:34 there is no shell `fish` (write `sh`, `bash`, or a list that the text comes "
       "after: `[bash, -euo, pipefail, -c]`)",
       "2:72 `shell` is for `run`: a command has no shell (remove it)",
       "2:102 `shell` must be a shell, found an empty list (write `sh`, `bash`, or a list that "
       "the text comes after: `[bash, -euo, pipefail, -c]`)"});
  check_refusal("name: p\ntasks: [{name: a, run: x, detach: maybe}]\n",
                {"2:35 `detach` must be one of `forbidden`, `allowed`, found the text `maybe`"});
}

// Method: by an alias, since a text of that size would be too large itself; a variable of the
// pipeline that the task has too counts once.
TEST_CASE("refused at their places: more than a program can be given in all") {
  const auto definition = [](char last) {
    std::string env;
    for (char each = 'a'; each <= last; ++each) {
      env += std::string{"A"} + each + ": *big, ";
    }
    return "x-big: &big " + std::string(120'000, 'x') + "\nname: p\nenv: {Aa: *big}\ntasks:\n" +
           "  - {name: a, command: [echo, *big], env: {" + env + "}}\n";
  };
  CHECK(load_definition(definition('p'), "").definition.has_value());
  check_refusal(
      definition('q'),
      {"5:5 the arguments and variables have 2160226 bytes in all; a program can be given "
       "at most 2097152 (write what is large under `inputs`, which the command gets as a "
       "file)"});
}

TEST_CASE("refused at their places: expressions") {
  check_refusal(R"(name: p
params: {n: 1, s: x}
tasks:
  - {name: a, run: x, outputs: [out], env: {A: "${{ item }}"}}
  - {name: b, run: x, needs: [a], env: {A: "${{ tasks.a.outputs.oot }}", B: "${{ matrix.x }}"}}
  - {name: c, run: x, env: {A: "${{ tasks.a.outputs.out }}"}}
  - {name: d, run: x, matrix: {os: [a]}, env: {A: "${{ matrix.so }}"}}
  - {name: e, run: x, env: {A: "äö ${{ params.m }}"}}
  - {name: g, run: x, for_each: ["${{ item }}"]}
  - {name: h, run: x, needs: [a], env: {A: "${{ tasks.aa.status }}"}}
env: {E: "${{ tasks.a.status }}"}
)",
                {"4:53 `item` is not available here (it exists in the `env`, `command` and `when` "
                 "of a task with `for_each`)",
                 "5:65 the task `a` has no output `oot` (did you mean `out`?)",
                 "5:82 `matrix` is not available here (it exists in the `env`, `command` and "
                 "`when` of a task with `matrix`)",
                 "6:43 `a` has not ended yet when this is read (add it to `needs`)",
                 "7:63 unknown matrix axis `so` (did you mean `os`?)",
                 "8:47 unknown parameter `m` (did you mean `n`?)",
                 "9:39 `item` is not available here (it exists in the `env`, `command` and `when` "
                 "of a task with `for_each`)",
                 "10:55 there is no task `aa` (did you mean `a`?)",
                 "11:21 `a` has not ended yet when this is read (move it to a task's `env`)"});
}

TEST_CASE("refused at their places: records, lists side by side, combinations") {
  check_refusal(
      R"(name: p
params: {hosts: [{name: a, ports: [1]}], n: 3, l: [a, {b: c}, [d]]}
tasks:
  - {name: a, run: x, for_each: [{host: a}, {host: b, port: 1}], env: {A: "${{ item.hots }}"}}
  - {name: b, run: x, for_each: [{host: a}, {host: b, port: 1}], when: "${{ item.port == 'x' }}"}
  - {name: c, run: x, for_each: [a, b], env: {A: "${{ item.host }}"}}
  - {name: d, run: x, for_each: [{a-b: 1, a_b: 2}, {c d: 1}, {e: [1]}]}
  - {name: e, run: x, for_each: "${{ zip(h=params.hosts, p=split('1', ',')) }}", env: {A: "${{
     item.xyz }}", B: "${{ item.p }}"}}
  - {name: f, run: x, for_each: "${{ zip(params.hosts) }}"}
  - {name: g, run: x, for_each: "${{ zip(h=params.n) }}"}
  - {name: h, run: x, for_each: "${{ zip(h=params.hosts, h=params.hosts) }}"}
  - {name: i, run: x, for_each: "${{ zip() }}"}
  - {name: j, run: x, for_each: "${{ range(0, 3) }}", when: "${{ item == 'x' }}"}
  - {name: k, run: x, matrix: {include: [{os: a, cc: b}, {os: a}, {os: a, cc: b, d: e}]}}
  - {name: l, run: x, matrix: {include: []}}
  - {name: m, run: x, matrix: {include: [{os: a, cc: 1}]}, when: "${{ matrix.cc == 'x' }}",
     env: {A: "${{ matrix.os.x }}"}}
  - {name: n, run: x, for_each: [{host: a}], env: {A: "${{ item.host.x }}"}}
)",
      {"2:35 `ports` must be a string, a number or a boolean, found a list",
       "2:63 `l[2]` must be a string, a number, a boolean or a map of these, found a list",
       "4:85 no item has a field `hots` (did you mean `host`?)",
       "5:87 `==` compares an int with a string, which are never equal (convert the string: "
       "`int(...)`)",
       "6:60 `item` is of type `string` and has no fields (an item with fields is written `{host: "
       "a, port: 1}`)",
       "7:43 `a_b` and `a-b` would both be `$MILLRACE_ITEM_A_B` (rename one of them)",
       "7:53 the name `c d` is not allowed (use letters, digits, `_` and `-`, starting with a "
       "letter, at most 63)",
       "7:66 `e` must be a value, found a list",
       "8:92 no item has a field `xyz` (the items of `for_each` say which fields there are)",
       "10:42 `zip` takes each of its lists by a name (write `zip(host=params.hosts, "
       "port=params.ports)`)",
       "11:44 `zip` takes lists, not an int",
       "12:58 `zip` is given `h` twice (rename one of them)",
       "13:38 `zip` takes lists (write `zip(host=params.hosts, port=params.ports)`)",
       "14:71 `==` compares an int with a string, which are never equal (convert the string: "
       "`int(...)`)",
       "15:58 a combination in `include` must name every axis",
       "15:82 the matrix has no axis `d` (add it to the matrix, or to the first combination of one "
       "without axes)",
       "16:31 `matrix` has no axis (write `matrix: {os: [a, b]}`, or `matrix: {include: [{os: a}, "
       "{os: b}]}`)",
       "17:81 `==` compares an int with a string, which are never equal (convert the string: "
       "`int(...)`)",
       "18:30 `matrix.os` is of type `string` and has no fields (an item with fields is written "
       "`{host: a, port: 1}`)",
       "19:65 `item.host` is of type `string` and has no fields (an item with fields is written "
       "`{host: a, port: 1}`)"});
}

TEST_CASE("refused at their places: patterns") {
  check_refusal(
      R"(name: p
params: {p: x}
tasks:
  - {name: a, run: x, when: "${{ matches(params.p, '^v(1') }}"}
  - {name: b, run: x, when: "${{ matches(params.p, params.p) }}"}
  - {name: c, run: x, when: "${{ matches(3, '(?=x)') }}"}
  - {name: d, run: x, when: "${{ matches(3, 'x') }}"}
  - {name: e, run: x, when: "${{ extract(params.p, 'x') }}"}
  - {name: f, run: x, when: "${{ matches(params.p, '.{1000}') }}"}
  - {name: g, run: x, when: "${{ matches(params.p, '((a{100}){100}){100}') }}"}
  - {name: h, run: x, when: "${{ match(params.p, 'x') }}"}
  - {name: i, run: x, when: "${{ matches(params.p, '[z-a]') }}"}
)",
      {"4:53 the pattern is no regular expression: missing ): ^v(1 (patterns are those of RE2: no "
       "look-around, no back-references)",
       "5:52 a pattern is a text in quotes (it is checked with the definition: write it here, as "
       "in '^v[0-9]+$')",
       "6:46 the pattern is no regular expression: invalid perl operator: (?= (patterns are those "
       "of RE2: no look-around, no back-references)",
       "7:42 `matches` takes a string first, not an int",
       "8:33 `when` must be a boolean, found a value of type `string` (compare it, as in "
       "`params.mode == 'full'`)",
       "9:53 the pattern is too large: repetitions such as `{1,500}` count as written out "
       "(patterns are those of RE2: no look-around, no back-references)",
       "10:56 the pattern is no regular expression: invalid repetition size: {100} (patterns are "
       "those of RE2: no look-around, no back-references)",
       "11:34 unknown function `match` (functions: contains, starts_with, ends_with, length, int, "
       "float, string, split, join, range, zip, matches, extract, json, success, failure, always)",
       "12:54 the pattern is no regular expression: invalid character class range: z-a (patterns "
       "are those of RE2: no look-around, no back-references)"});
}

// Goal: what compiles patterns, at each load, is bounded.
TEST_CASE("a definition has a thousand patterns, and no more") {
  std::string text = "name: p\ntasks:\n  - {name: a, run: x, env: {";
  for (int at = 0; at < 1'000; ++at) {
    text += "A" + std::to_string(at) + ": \"${{ matches('x', 'x') }}\", ";
  }
  CHECK(load_definition(text + "}}\n", "p.yaml"));
  const auto more = load_definition(text + "B: \"${{ matches('x', 'x') }}\"}}\n", "p.yaml");
  REQUIRE(more.diagnostics.size() == 1);
  CHECK(more.diagnostics[0].text == "a definition has at most 1000 patterns");
}

TEST_CASE("refused at their places: schedules") {
  check_refusal(
      R"(name: p
schedule: "0 25 * * *"
tasks: [{name: a, run: x}]
)",
      {"2:11 cron expression, column 3, hour field: `25` is not allowed (write 0 to 23)"});
  check_refusal(
      R"(name: p
params: {day: {required: true}, size: {type: int, default: 1}}
schedule:
  - {cron: "0 3 * *", timezone: Europe/Berlyn, params: {dya: monday, size: big}}
  - {every: 500ms, params: {day: x}, start: 2026-01-31, overlap: forbid, catch_up: all}
  - {name: c, params: {day: x}}
  - {name: d, cron: "@daily", every: 1h, params: {day: x}}
  - {name: e, every: 1h, timezone: UTC, params: {day: x},
     start: 2027-01-01T00:00:00Z, end: 2026-01-01T00:00:00Z}
  - {name: e, every: 1h, params: {day: x}}
  - {name: f, start: 1700-01-01T00:00:00Z, every: 1h, params: {day: x}}
tasks: [{name: a, run: x}]
)",
      {"4:12 cron expression, column 1: expected 5 fields, or 6 with seconds, found 4 (write "
       "`minute hour day-of-month month day-of-week`, as in `30 4 * * MON-FRI`)",
       "4:33 there is no time zone `Europe/Berlyn` (did you mean `Europe/Berlin`?)",
       "4:56 the parameter `day` is required (give it under `params` of the schedule)",
       "4:62 the pipeline has no parameter `dya` (did you mean `day`?)",
       "4:76 the parameter `size` must be of type `int`, found the string `big`",
       "5:5 two schedules are called `default` (give each a `name` of its own)",
       "5:13 `every` must be at least 1s (leave what is faster to one run)",
       "5:45 `start`: `2026-01-31` is no time (write it like `2026-01-31T08:00:00Z`, with "
       "`Z` or an offset from UTC)",
       "5:66 `overlap` must be one of `allow`, `skip`, `queue`, `replace`, found the text "
       "`forbid`",
       "5:74 unknown key `catch_up` in a schedule (write `catchup`)",
       "6:5 a schedule has neither `cron` nor `every` (write `cron: \"0 3 * * *\"` or "
       "`every: 1h`)",
       "7:38 a schedule has `cron` or `every`, not both (remove one of them)",
       "8:36 `timezone` goes with `cron` (remove it: `every` counts elapsed time)",
       "9:40 `end` is before `start`",
       "10:5 two schedules are called `e` (give each a `name` of its own)",
       "11:22 `start`: `1700-01-01T00:00:00Z` is before 1970 (leave it out)"});
}

TEST_CASE("refused at their places: the time zone of the machine") {
  check_refusal(R"(name: p
schedule: {cron: "@daily", timezone: localtime}
tasks: [{name: a, run: x}]
)",
                {"2:38 `timezone`: `localtime` would be another on each machine (write it like "
                 "`Europe/Berlin`)"});
}

TEST_CASE("refused at their places: what is scheduled elsewhere") {
  check_refusal(R"(name: p
cron: "0 3 * * *"
overlap: skip
tasks: [{name: a, run: x}]
)",
                {"2:1 unknown key `cron` in a pipeline (write `schedule: {cron: \"0 3 * * *\"}`)",
                 "3:1 unknown key `overlap` in a pipeline (write it under `schedule`)"});
}

// Goal: a condition that can never hold is found before a run is green though nothing ran.
TEST_CASE("refused at their places: bounds on runs, and going back") {
  check_refusal(R"(name: p
concurrency: 0
revert: {after: 1001, failures: 2}
tasks: [{name: a, run: x}]
)",
                {"2:14 `concurrency` must be from 1 to 1000, found 0",
                 "3:17 `after` must be from 1 to 1000, found 1001",
                 "3:23 unknown key `failures` in `revert` (write `after`)"});
  check_refusal(R"(name: p
concurrency: {group: "${{ params.to }} ${{ tasks.a.status }}", limit: many, on_limit: cancel}
revert: {}
tasks: [{name: a, run: x}]
)",
                {"2:34 unknown parameter `to` (declare it under `params` at the top)",
                 "2:50 `a` has not ended yet when this is read (move it to a task's `env`)",
                 "2:71 `limit` must be a whole number, found the text `many` (write it like `1`)",
                 "2:87 `on_limit` must be one of `queue`, `cancel_oldest`, `reject`, found the "
                 "text `cancel`",
                 "3:9 `revert` has no `after` (write `revert: {after: 2}`)"});
  check_refusal(R"(name: p
concurrency: [1]
max_active_runs: 1
revert: 2
tasks: [{name: a, run: x}]
)",
                {"2:14 `concurrency` must be a number or a map, found a list (write `concurrency: "
                 "1`, or `{group: ..., limit: 1}`)",
                 "3:1 unknown key `max_active_runs` in a pipeline (write `concurrency: 1`)",
                 "4:9 `revert` must be a map, found the number `2` (write `revert: {after: 2}`)"});
}

TEST_CASE("refused at their places: comparisons of what is never equal") {
  const std::string never = ", which are never equal (convert the string: `int(...)`)";
  check_refusal(
      R"(name: p
params: {n: {type: int}}
tasks:
  - {name: g, run: x}
  - {name: f, run: x, for_each: [1, 2]}
  - {name: a, run: x, needs: [g], when: "${{ tasks.g.outputs.n == 1 }}"}
  - {name: b, run: x, needs: [f], when: "${{ tasks.f.outputs.n == '1' }}"}
  - {name: c, run: x, when: "${{ params.n == 'x' }}"}
  - {name: d, run: x, needs: [g], when: "${{ tasks.g.exit_code == '3' }}"}
  - {name: e, run: x, for_each: [a, b], when: "${{ item == 1 }}"}
  - {name: h, run: x, matrix: {os: [a, b]}, when: "${{ matrix.os == 1 }}"}
  - {name: i, run: x, matrix: {os: [a, b], include: [{os: 1}]}, when: "${{ matrix.os == 1 }}"}
  - {name: j, run: x, for_each: [a, "${{ params.n }}"], when: "${{ item == 1 }}"}
  - {name: k, run: x, needs: [g], when: "${{ tasks.g.outputs.n == null }}"}
  - {name: l, run: x, needs: [g], when: "${{ tasks.g.outputs.n }}"}
)",
      {"6:64 `==` compares a string with an int" + never,
       "7:64 `==` compares a list with a string, which are never equal",
       "8:43 `==` compares an int with a string" + never,
       "9:64 `==` compares an int with a string" + never,
       "10:57 `==` compares a string with an int" + never,
       "11:66 `==` compares a string with an int" + never,
       "15:45 `when` must be a boolean, found a value of type `string` (compare it, as in "
       "`params.mode == 'full'`)"});
}

TEST_CASE("refused at their places: approvals") {
  check_refusal(
      R"(name: p
tasks:
  - {name: a, approval: "Go?", run: x, retry: 3}
  - {name: b, approval: " "}
  - {name: c, approval: [x]}
  - {name: d, approval: "Go?"}
  - {name: e, needs: [d], run: x, env: {A: "${{ tasks.d.outputs.coment }}"}}
  - {name: f, approval: "${{ params.x }}"}
)",
      {"3:37 `run` has no meaning beside `approval` (remove it, or do it in a task that "
       "needs this one)",
       "3:47 `retry` has no meaning beside `approval` (remove it, or do it in a task that "
       "needs this one)",
       "4:25 `approval` is empty (write what the person is asked)",
       "5:25 `approval` must be text, found a list (write `approval: Release it?`)",
       "7:65 an approval has no output `coment` (it has `comment` and `by`)",
       "8:37 unknown parameter `x` (declare it under `params` at the top)"});
}

TEST_CASE("refused at their places: triggers") {
  check_refusal(
      R"(name: p
params: {day: x}
triggers:
  - {pipeline: p}
  - {pipeline: q, on: never, params: {day: "${{ params.day }} ${{ trigger.when }}"}}
  - {pipeline: q, params: {a b: "${{ tasks.a.status }}"}}
  - {on: end}
  - {pipeline: r, when: "true", signature: {secret: x}, name: x, secret: x}
tasks: [{name: a, run: x, env: {X: "${{ trigger.run }}"}}]
)",
      {"4:16 the pipeline would start itself without end (name another one, or use `schedule`)",
       "5:23 `on` must be one of `success`, `failure`, `end`, found the text `never`",
       "5:49 parameters are not available here (write `trigger.params.NAME`, of the run that has "
       "ended)",
       "5:75 unknown name `trigger.when` (write `trigger.run`, `trigger.pipeline`, "
       "`trigger.state`, `trigger.version`, `trigger.params.NAME` or `trigger.outputs.NAME`)",
       "6:16 there are two triggers by `q` (keep one of them; `on: end` takes every end)",
       "6:27 unknown parameter `a b` (declare it under `params` at the top)",
       "6:28 the name `a b` is not allowed (use letters, digits, `_` and `-`, starting with a "
       "letter, at most 63)",
       "6:38 results of tasks are not available here (refer to them in a task that needs them)",
       "7:5 the trigger has no `pipeline`, `webhook` or `watch` (write `triggers: {pipeline: "
       "other}`, `triggers: {webhook: github}` or `triggers: {watch: source, every: 1m, run: "
       "./versions}`)",
       "8:25 `when` is of a trigger by a `webhook` (remove it)",
       "8:44 `signature` is of a trigger by a `webhook` (remove it)",
       "8:57 unknown key `name` in a trigger (write `pipeline`, `webhook` or `watch`)",
       "8:66 unknown key `secret` in a trigger (write `signature: {secret: NAME}`)",
       "9:41 `trigger` is not available here (it exists in the `params` of a trigger)"});
}

TEST_CASE("refused at their places: webhooks") {
  check_refusal(
      R"(name: p
params: {day: x, must: {required: true}}
triggers:
  - {webhook: a, pipeline: q, on: end, params: {must: 1}}
  - {webhook: a, signature: x, params: {must: "${{ params.day }}", other: 1}}
  - {webhook: A b, signature: {}}
  - {webhook: c, signature: {secret: "a b", key: x}, when: "${{ trigger.body }} x"}
  - {webhook: d, params: {must: "${{ trigger.run }} ${{ trigger.params.x }} ${{ trigger.body. }}"}}
  - {webhook: e, params: {must: "${{ trigger.headers.Cookie }}${{ trigger.headers.cookie }}"}}
  - {webhook: f, params: {must: "${{ trigger.headers }}${{ trigger.headers.a.b }}"}}
  - {webhook: g, when: "${{ 3 }}", params: {must: "${{ run.id }}"}, once_for: "${{ item }}"}
  - {webhook: h, when: "${{ success() }}", params: {must: "${{ trigger['body']['a.b'].0 }}"}}
  - {pipeline: r, params: {must: "${{ trigger.body.x }}"}}
tasks: [{name: a, run: x, env: {X: "${{ trigger.body.x }}"}}]
)",
      {"4:28 a trigger is by a `pipeline` or by a `webhook` (make it two triggers)",
       "4:35 `on` is of a trigger by a `pipeline` (write `when: ${{ trigger.headers.x-github-event "
       "== 'push' }}`)",
       "5:15 there are two webhooks called `a` (rename one of them)",
       "5:29 `signature` must be a map, found the text `x` (write `signature: {secret: "
       "github-key}`)",
       "5:40 unknown parameter `other` (declare it under `params` at the top)",
       "5:52 parameters are not available here (write `trigger.body.NAME`, of what has come)",
       "6:15 the name `A b` is not allowed (use a-z, 0-9, `_`, `.` and `-`, starting with a letter "
       "or digit, at most 63)",
       "6:15 the parameter `must` is required (give it under `params` of the trigger)",
       "6:31 `signature` has no `secret` (write `signature: {secret: github-key}`)",
       "7:15 the parameter `must` is required (give it under `params` of the trigger)",
       "7:38 the name `a b` is not allowed (use letters, digits, `_` and `-`, starting with a "
       "letter, at most 63)",
       "7:45 unknown key `key` in `signature` (write `secret`, the name of one of the project)",
       "7:60 `when` must be one expression, `true` or `false` (write it like `${{ "
       "trigger.body.action == 'opened' }}`)",
       "8:46 unknown name `trigger.run` (write `trigger.body.NAME` or `trigger.headers.NAME`)",
       "8:65 unknown name `trigger.params` (write `trigger.body.NAME` or `trigger.headers.NAME`)",
       "8:94 the reference is not complete (write `trigger.run`, `trigger.params.NAME`, "
       "`trigger.body.NAME` or the like)",
       "9:54 the header `Cookie` is written in lower case here",
       "9:83 the header `cookie` says who asks, and cannot be read",
       "10:53 the reference is not complete (write `trigger.run`, `trigger.params.NAME`, "
       "`trigger.body.NAME` or the like)",
       "10:77 nothing can follow here (a value has no parts)",
       "11:28 `when` must be a boolean, found a value of type `int` (compare it, as in "
       "`trigger.body.action == 'opened'`)",
       "11:56 `run` is not available here (it has not begun: write `trigger.body.NAME`)",
       "11:84 `item` is not available here (it exists in the `env`, `command` and `when` of a task "
       "with `for_each`)",
       "12:29 `success()` is not available here (it judges the needed tasks: use it in `when`)",
       "13:47 unknown name `trigger.body` (write `trigger.run`, `trigger.pipeline`, "
       "`trigger.state`, `trigger.version`, `trigger.params.NAME` or `trigger.outputs.NAME`)",
       "14:41 `trigger` is not available here (it exists in the `params` of a trigger)"});
}

TEST_CASE("refused at their places: watches") {
  check_refusal(
      R"(name: p
params: {day: x, must: {required: true}}
schedule: {name: nightly, cron: "@daily", params: {must: x}}
watch: {}
triggers:
  - {watch: a, pipeline: q, on: end, signature: {secret: x}, when: "true", once_for: x}
  - {watch: a, every: 1ms, cron: "@daily", run: x, params: {must: "${{ trigger.body }}", no: 1}}
  - {watch: nightly, cron: "x", timezone: localtime, run: x, command: [z], params: {must: 1}}
  - watch: b
    every: 1m
    command: [x, "${{ params.day }}"]
    env: {A: "${{ run.id }}", MILLRACE_X: z}
    secrets: {A: {from: env, key: A}}
    timeout: 0
    first: some
    params: {must: "${{ trigger.version.a.0 }} ${{ params.day }} ${{ run.id }} ${{ trigger.run }}"}
  - {watch: c, webhook: d, every: 1m, shell: bash, retry: 3, passed: [x], check: z}
  - {webhook: e, every: 1m, run: x, params: {must: 1}}
  - {pipeline: r, first: all, params: {must: "${{ trigger.version }} ${{ trigger.version.a }}"}}
tasks: [{name: a, run: x}]
)",
      {"4:1 unknown key `watch` in a pipeline (write `triggers: {watch: NAME, every: 1m, run: "
       "COMMAND}`)",
       "6:5 a watch has neither `cron` nor `every` (write `cron: \"0 3 * * *\"` or `every: 1h`)",
       "6:13 the parameter `must` is required (give it under `params` of the trigger)",
       "6:13 the watch has no `run` or `command` (write `run: ./versions`, which prints one "
       "version a line, the oldest first)",
       "6:26 a trigger is by a `pipeline`, a `webhook` or a `watch` (make it two triggers)",
       "6:33 `on` is of a trigger by a `pipeline` (remove it)",
       "6:49 `signature` is of a trigger by a `webhook` (remove it)",
       "6:68 `when` is of a trigger by a `webhook` (remove it)",
       "6:86 a watch starts a run once for each version (have the command print what tells "
       "versions apart, and nothing else)",
       "7:13 there are two watches called `a` (rename one of them)",
       "7:23 `every` must be at least 1s (leave what is faster to one run)",
       "7:23 a watch has `cron` or `every`, not both (remove one of them)",
       "7:60 unknown parameter `no` (declare it under `params` at the top)",
       "7:80 unknown name `trigger.body` (write `trigger.version`, or `trigger.version.NAME`)",
       "8:13 a schedule of the pipeline is called `nightly` as well (rename one of them)",
       "8:28 cron expression, column 1: expected 5 fields, or 6 with seconds, found 1 (write "
       "`minute hour day-of-month month day-of-week`, as in `30 4 * * MON-FRI`)",
       "8:43 `timezone`: `localtime` would be another on each machine (write it like "
       "`Europe/Berlin`)",
       "8:71 a task has `run` or `command`, not both (remove one of them)",
       "11:18 expressions are not available in what a watch runs (the last version is "
       "`$MILLRACE_LAST_VERSION` there)",
       "12:14 expressions are not available in what a watch runs (the last version is "
       "`$MILLRACE_LAST_VERSION` there)",
       "12:31 variables that start with `MILLRACE_` are reserved (choose another name)",
       "13:15 `A` is in the watch's `env` too (remove one of them)",
       "14:14 `timeout` must be longer than 0 (leave the key out for 5 minutes)",
       "15:12 `first` must be one of `newest`, `all`, found the text `some`",
       "16:52 parameters are not available here (write `trigger.version`, of what was found)",
       "16:70 `run` is not available here (it has not begun: write `trigger.version`)",
       "16:92 unknown name `trigger.run` (write `trigger.version`, or `trigger.version.NAME`)",
       "17:13 the parameter `must` is required (give it under `params` of the trigger)",
       "17:13 the watch has no `run` or `command` (write `run: ./versions`, which prints one "
       "version a line, the oldest first)",
       "17:25 a trigger is by a `pipeline`, a `webhook` or a `watch` (make it two triggers)",
       "17:46 `shell` is for `run`: a command has no shell (remove it)",
       "17:52 unknown key `retry` in a trigger",
       "17:62 unknown key `passed` in a trigger (write `pipeline: NAME`: a run of it that succeeds "
       "starts one of this)",
       "17:75 unknown key `check` in a trigger (write `watch: NAME`, `every: 1m` and `run: "
       "COMMAND`)",
       "18:25 `every` is of a trigger by a `watch` (remove it)",
       "18:34 `run` is of a trigger by a `watch` (remove it)",
       "19:26 `first` is of a trigger by a `watch` (remove it)",
       "19:90 `trigger.version` is a number and has no fields"});
}

TEST_CASE("refused at their places: callbacks") {
  check_refusal(
      R"(name: p
env: {X: "${{ tasks.wait.callback }}"}
tasks:
  - name: start
    command: [a, "${{ tasks.wait.callback }}"]
    env: {A: "${{ tasks.wait.callback }}", B: "${{ tasks.start.callback }}"}
    inputs: {url: "${{ tasks.wait.callback }}", none: "${{ tasks.wait.callbak }}"}
  - {name: wait, needs: [start], callback: {prompt: "${{ foo }}", timeout: 1h}, timeout: 1h}
  - {name: late, needs: [wait], run: x, env: {A: "${{ tasks.wait.callback }}"}}
  - {name: alone, callback: x}
  - {name: beside, callback: {}, run: x, env: {A: b}, outputs: [x], for_each: [1], approval: x}
  - {name: child, pipeline: q, params: {x: "${{ tasks.wait.callback }}"}}
  - {name: none}
)",
      {"2:21 `callback` is not available here (it is in the `env` and `inputs` of tasks, which "
       "nobody is shown)",
       "5:29 `callback` is not available here (it is in the `env` and `inputs` of tasks, which "
       "nobody is shown)",
       "6:58 `start` waits for no callback (a task with `callback` does)",
       "7:71 a task has no `callbak` (write `tasks.NAME.outputs.KEY`, `tasks.NAME.artifacts.KEY`, "
       "`tasks.NAME.status` or `tasks.NAME.exit_code`)",
       "8:58 unknown name `foo` (put text in quotes: 'foo')",
       "8:67 unknown key `timeout` in `callback` (write `timeout` in the task)",
       "9:61 `wait` does not come after this task (add this one to its `needs`)",
       "10:29 `callback` must be a map, found the text `x` (write `callback: {}`)",
       "11:39 `run` has no meaning beside `callback` (remove it, or do it in a task that needs "
       "this one)",
       "11:47 `env` has no meaning beside `callback` (remove it, or do it in a task that needs "
       "this one)",
       "11:64 `outputs` has no meaning beside `callback` (remove it, or do it in a task that needs "
       "this one)",
       "11:79 `for_each` has no meaning beside `callback` (remove it, or do it in a task that "
       "needs this one)",
       "11:94 `approval` has no meaning beside `callback` (remove it, or do it in a task that "
       "needs this one)",
       "12:55 `callback` is not available here (it is in the `env` and `inputs` of tasks, which "
       "nobody is shown)",
       "13:5 the task has no `run`, `command`, `pipeline`, `actor`, `approval` or `callback` (add "
       "`run: echo hello`, or `command: [program, argument]`)"});
}

TEST_CASE("refused at their places: runs as tasks") {
  check_refusal(R"(name: p
outputs: {x: "${{ tasks.z.status }}", "a b": x, c: [x]}
tasks:
  - {name: a, pipeline: Other, retry: 2}
  - {name: b, pipeline: other, params: {"1": x, y: "${{ tasks.a.outputs.q }}"}}
  - {name: c, pipeline: other, run: x, approval: "Go?"}
  - {name: d, run: x, params: {y: 1}}
  - {name: e, approval: "Go?", params: {y: 1}}
  - {name: f, pipeline: other, params: [x]}
)",
                {"2:25 there is no task `z` (did you mean `a`?)",
                 "2:39 the name `a b` is not allowed (use letters, digits, `_` and `-`, starting "
                 "with a letter, at most 63)",
                 "2:52 `c` must be text, found a list",
                 "4:25 the name `Other` is not allowed (use a-z, 0-9, `_`, `.` and `-`, starting "
                 "with a letter or digit, at most 63)",
                 "4:39 `retry` has no meaning beside `pipeline` (remove it, or do it in a task "
                 "that needs this one)",
                 "5:41 the name `1` is not allowed (use letters, digits, `_` and `-`, starting "
                 "with a letter, at most 63)",
                 "5:63 `a` has not ended yet when this is read (add it to `needs`)",
                 "6:37 `run` has no meaning beside `pipeline` (remove it, or do it in a task that "
                 "needs this one)",
                 "6:50 `approval` has no meaning beside `pipeline` (remove it, or do it in a task "
                 "that needs this one)",
                 "7:31 `params` goes with `pipeline` and `actor` (parameters reach a command as "
                 "`$MILLRACE_PARAM_...`; declare them at the top)",
                 "8:40 `params` has no meaning beside `approval` (remove it, or do it in a task "
                 "that needs this one)",
                 "9:40 `params` must be a map, found a list (write `params: {day: monday}`)"});
}

TEST_CASE("refused at their places: calls of actors, and labels of tasks") {
  check_refusal(
      R"(name: p
defaults: {retry: {max_attempts: 2, on_exit: 3}}
tasks:
  - {name: a, actor: counter, method: add}
  - {name: b, actor: Counter/x, method: add-it}
  - {name: c, actor: counter/x, run: x, env: {A: b}, timeout: 1h}
  - {name: d, actor: counter/x, method: add, retry: {max_attempts: 2, not_on_exit: 3}}
  - {name: e, run: x, method: add}
  - {name: f, actor: "counter/${{ params.x }}", method: add, params: {amount: "${{ item }}"}}
  - {name: g, actor: counter/x, method: add, with: {amount: 1}}
  - {name: h, pipeline: q, method: add}
  - {name: i, actor: [x], method: {}}
  - {name: j, run: x, labels: {"a=b": c, d: [e]}}
  - {name: k, run: x, labels: team}
)",
      {"4:22 `actor` must be a type, a `/` and a key, found `counter` (write it like "
       "`counter/visits`; only the key may hold expressions)",
       "5:22 `actor` must be a type, a `/` and a key, found `Counter/x` (write it like "
       "`counter/visits`; only the key may hold expressions)",
       "5:41 `add-it` is no name of a method (write it in snake_case, as `millrace actor "
       "types` shows it)",
       "6:22 the task has an `actor` and no `method` (add `method: add`)",
       "6:38 `run` has no meaning beside `actor` (remove it, or do it in a task that "
       "needs this one)",
       "6:46 `env` has no meaning beside `actor` (remove it, or do it in a task that "
       "needs this one)",
       "7:53 a call of an actor has no exit code, and no command to try again with "
       "(remove `on_exit`, `not_on_exit`, `run` and `command`)",
       "8:31 `method` goes with `actor` (add `actor: TYPE/KEY`)",
       "9:42 unknown parameter `x` (declare it under `params` at the top)",
       "9:84 `item` is not available here (it exists in the `env`, `command` and `when` of a "
       "task with `for_each`)",
       "10:46 unknown key `with` in a task (write `params`, beside `actor` and `method`)",
       "11:36 `method` has no meaning beside `pipeline` (remove it, or do it in a task "
       "that needs this one)",
       "12:22 `actor` must be text, found a list (write `actor: TYPE/KEY`)",
       "12:35 `method` must be text, found an empty map (write `method: add`)",
       "13:39 the name of the label `a=b` has `=` or `,`, by which labels are looked for",
       "13:45 `d` must be text, found a list",
       "14:31 `labels` must be a map, found the text `team` (write `labels: {team: "
       "data}`)"});
}

TEST_CASE("refused at their places: exit codes and allowed failures") {
  check_refusal(R"(name: p
tasks:
  - {name: a, run: x, retry: {max_attempts: 2, on_exit: [0, 256, x], not_on_exit: []}}
  - {name: b, run: x, retry: {max_attempts: 2, on_exit: 3, not_on_exit: [1, 3]}}
  - {name: c, run: x, allow_failures: 3}
  - {name: d, run: x, for_each: [1], allow_failures: 101%}
  - {name: e, run: x, for_each: [1], allow_failures: most}
  - {name: f, run: x, for_each: [1], allow_failures: -1%}
  - {name: g, run: x, for_each: [1], allow_failures: "true"}
)",
                {"3:58 `on_exit[0]` must be from 1 to 255, found 0",
                 "3:61 `on_exit[1]` must be from 1 to 255, found 256",
                 "3:66 `on_exit[2]` must be a whole number, found the text `x` (write it like "
                 "`75`)",
                 "3:83 the list is empty (name exit codes, or remove it)",
                 "4:30 the exit code 3 is in `on_exit` and in `not_on_exit` (remove one of them)",
                 "5:39 without a fan-out `allow_failures` is `true` or `false` (write "
                 "`allow_failures: true`)",
                 "6:54 `101%` is no percentage (write it like `10%`)",
                 "7:54 `allow_failures` must be a whole number, found the text `most` (write "
                 "`true`, a number, or a percentage like `10%`)",
                 "8:54 `-1%` is no percentage (write it like `10%`)",
                 "9:54 `allow_failures` must be a whole number, found the text `\"true\"` (write "
                 "`true`, a number, or a percentage like `10%`)"});
}

TEST_CASE("refused at their places: artifacts") {
  check_refusal(
      R"(name: p
workspace: task
tasks:
  - {name: a, run: x, artifacts: {x: /etc, y: a/../b, "z z": b, w: []}}
  - {name: b, run: x, artifacts: {x: {max_size: big}, y: {path: a, optional: 1, expire_in: 1d}}}
  - {name: c, run: x, artifacts: out}
  - {name: d, run: x, needs: [{task: a, artifacts: maybe}, {task: c, artifacts: true}]}
  - {name: e, approval: Well, needs: [{task: a, artifacts: true}], artifacts: {x: y}}
  - {name: f, run: x, needs: [{task: a, artifacts: [x]}]}
  - {name: g, run: x, needs: [a], env: {A: "${{ tasks.a.artifacts.v }}"}}
  - {name: h, run: x, needs: [a], env: {A: "${{ tasks.a.artifacts }}"}}
)",
      {"4:38 the path `/etc` is absolute: write it below the workspace (write `out/report.html`, "
       "`out/*.xml` or `out/**`)",
       "4:47 the path `a/../b` leads out of the workspace (write `out/report.html`, `out/*.xml` or "
       "`out/**`)",
       "4:55 the name `z z` is not allowed (use letters, digits, `_` and `-`, starting with a "
       "letter, at most 63)",
       "4:68 an artifact has 1 to 64 paths (write `out/report.html`, `out/*.xml` or `out/**`)",
       "5:38 the artifact has no `path` (write `out/report.html`, `out/*.xml` or `out/**`)",
       "5:49 `big` is no size (write it like `100Mi` or `2G`)",
       "5:78 `optional` must be `true` or `false`, found the number `1`",
       "5:81 unknown key `expire_in` in an artifact (artifacts go with their run: write "
       "`retention` at the top)",
       "6:34 `artifacts` must be a map, found the text `out` (write `artifacts: {report: "
       "out/report.html}`)",
       "7:52 the task `a` leaves no artifact `maybe`",
       "7:81 the task `c` leaves no artifacts (write `artifacts` in it)",
       "8:60 only a task with a command has a workspace that artifacts could go to (remove "
       "`artifacts`)",
       "8:79 `artifacts` has no meaning beside `approval` (remove it, or do it in a task that "
       "needs this one)",
       "9:52 `artifacts` must be `true` or a name, found a list (write `artifacts: true`, or the "
       "name of one)",
       "10:67 the task `a` leaves no artifact `v` (did you mean `x`?)",
       "11:66 the reference is not complete (write `tasks.NAME.outputs.KEY`, "
       "`tasks.NAME.artifacts.KEY`, `tasks.NAME.status` or `tasks.NAME.exit_code`)"});
  check_refusal(
      "name: p\ntasks:\n  - {name: a, run: x, artifacts: {x: y}}\n"
      "  - {name: b, run: x, needs: [{task: a, artifacts: true}]}\n",
      {"4:52 the tasks of a run share one workspace, in which the files are already "
       "(remove `artifacts`, or write `workspace: task` at the top)"});
}

TEST_CASE("refused at their places: kept results") {
  check_refusal(
      R"(name: p
workspace: task
tasks:
  - {name: a, run: x, cache: always}
  - {name: b, run: x, cache: [a]}
  - {name: c, run: x, cache: {key: "", ttl: 0s}}
  - {name: d, run: x, cache: {key: "${{ params.x }}", paths: [a]}}
  - {name: e, approval: Well, cache: true}
  - {name: f, run: x, caches: [a]}
)",
      {"4:30 `cache` must be `true` or `false`, found the text `always`",
       "5:30 `cache` must be `true` or a map, found a list (write `cache: true`, or `cache: {key: "
       "..., ttl: 7d}`)",
       "6:36 the key is empty (write what the result depends on, or no `key`)",
       "6:45 `ttl` must be longer than 0 (leave the key out for no limit)",
       "7:48 unknown parameter `x` (declare it under `params` at the top)",
       "7:55 unknown key `paths` in `cache` (`cache` keeps results: leave files by `artifacts`)",
       "8:38 `cache` has no meaning beside `approval` (remove it, or do it in a task that needs "
       "this one)",
       "9:23 unknown key `caches` in a task (write `cache: true`)"});
  check_refusal(
      "name: p\ntasks:\n  - {name: a, run: x, cache: true}\n"
      "  - {name: b, run: x, cache: false}\n",
      {"3:30 the tasks of a run share one workspace, in which what a task leaves would "
       "be missing where a kept result is used (write `workspace: task` at the top, or "
       "remove `cache`)"});
  check_refusal(
      R"(name: p
workspace: task
tasks:
  - {name: a, run: x, cache: true, env: {T: "${{ tasks.b.callback }}"}}
  - {name: b, callback: {}, needs: [a]}
)",
      {"4:56 with a kept result nobody would be told of the callback (remove `cache`)"});
}

TEST_CASE("refused at their places: defaults of outputs") {
  check_refusal("name: p\ntasks: [{name: a, run: x, outputs: {k: {default: \"${{ 1 }}\"}}}]\n",
                {"2:50 expressions are not available here (write a text)"});
}

}  // namespace
}  // namespace millrace::actors
