// SPDX-License-Identifier: MIT
// Environment files: their lines, and what a definition makes of them.
#include "millrace/actors/env_file.h"

#include <doctest/doctest.h>

#include <map>
#include <string>

namespace millrace::actors {
namespace {

using entries = std::map<std::string, std::string>;

entries read(std::string_view text) {
  const auto file = parse_env_file(text);
  for (const auto& each : file.mistakes) {
    FAIL_CHECK("line " << each.line << ": " << each.text);
  }
  entries made;
  for (const auto& [name, value] : file.variables) {
    made[name] = value;
  }
  return made;
}

std::string mistake(std::string_view text) {
  const auto file = parse_env_file(text);
  std::string all;
  for (const auto& each : file.mistakes) {
    all += (all.empty() ? "" : "; ") + std::to_string(each.line) + " " + each.text;
  }
  return all;
}

TEST_CASE("lines of an environment file") {
  CHECK(read("").empty());
  CHECK(read("\xEF\xBB\xBF# only this\n\n   \n\t# and this").empty());
  CHECK(read("A=1\nB = two words \r\nexport C=3\nD=\nE==\n") ==
        entries{{"A", "1"}, {"B", "two words"}, {"C", "3"}, {"D", ""}, {"E", "="}});
  CHECK(read("A=1 # of A\nB=a#b\nC=# nothing\nD=x\t# tab") ==
        entries{{"A", "1"}, {"B", "a#b"}, {"C", ""}, {"D", "x"}});
  CHECK(read("A=1\nA=2") == entries{{"A", "2"}});
  CHECK(read("A=$HOME\nB=${A}") == entries{{"A", "$HOME"}, {"B", "${A}"}});
}

TEST_CASE("values in quotes") {
  CHECK(read("A='$HOME \\n \" #' # said\nB=\" a \"\nC=\"\"\nD=''") ==
        entries{{"A", "$HOME \\n \" #"}, {"B", " a "}, {"C", ""}, {"D", ""}});
  CHECK(read("A=\"a\\nb\\tc\\\"d\\\\e\\x\"") == entries{{"A", "a\nb\tc\"d\\ex"}});
  CHECK(read("KEY='-----BEGIN\nabc\n-----END'\nB=1") ==
        entries{{"KEY", "-----BEGIN\nabc\n-----END"}, {"B", "1"}});
}

TEST_CASE("mistakes have their lines") {
  CHECK(mistake("A=1\nnothing\n2B=1\n=x\nC D=1") ==
        "2 expected `NAME=VALUE`; 3 `2B` is no name of a variable; 4 `` is no name of a variable; "
        "5 `C D` is no name of a variable");
  CHECK(mistake("A='a\nb\n") == "1 the value that begins with ' has no end");
  CHECK(mistake("A='a\nb' c\nB=\"") ==
        "2 there is more behind the closing quote; 3 the value that begins with \" has no end");
  CHECK(mistake("A=\"\\") == "1 the value that begins with \" has no end");
}

load_result load(const std::string& text, const entries& files) {
  return load_definition(
      text, "p.yaml", [files](const std::string& path) -> runtime::result<std::string> {
        const auto found = files.find(path);
        return found == files.end() ? runtime::result<std::string>{runtime::error{
                                          runtime::errc::not_found, "cannot read '" + path + "'"}}
                                    : found->second;
      });
}

TEST_CASE("the files of a definition stand behind its `env`, the later before the earlier") {
  const auto made = load(
      "name: p\nenv_file: [a, b]\nenv: {X: own}\n"
      "tasks: [{name: t, run: x, env_file: c, env: {Y: task}}, {name: u, run: x}]",
      {{"a", "X=a\nY=a\nZ=a\nW=a"}, {"b", "Y=b\nE=${{ params.x }} $${{"}, {"c", "Y=c\nZ=c"}});
  REQUIRE(made);
  CHECK(made.definition->env ==
        entries{{"E", "$${{ params.x }} $$${{"}, {"W", "a"}, {"X", "own"}, {"Y", "b"}, {"Z", "a"}});
  CHECK(made.definition->tasks[0].env == entries{{"Y", "task"}, {"Z", "c"}});
  CHECK(made.definition->tasks[1].env.empty());
  const auto back = from_json(to_json(*made.definition));
  REQUIRE(back);
  CHECK(*back == *made.definition);
}

TEST_CASE("what is wrong with the files of a definition is said at its place") {
  const auto told = [](const load_result& made) {
    std::string all;
    for (const auto& each : made.diagnostics) {
      all += std::to_string(each.line) + ":" + std::to_string(each.column) + " " + each.text + "\n";
    }
    return all;
  };
  CHECK(told(load("name: p\nenv_file: [a, none, [b]]\ntasks: [{name: t, run: x, env_file: {}}]",
                  {{"a", "x\nMILLRACE_A=1\n1=2"}})) ==
        "2:12 `a`, MILLRACE_A: variables that start with `MILLRACE_` are reserved\n"
        "2:12 `a`, line 1: expected `NAME=VALUE`\n"
        "2:12 `a`, line 3: `1` is no name of a variable\n"
        "2:15 cannot read 'none'\n"
        "2:21 `env_file[2]` must be text, found a list\n"
        "3:37 `env_file` must be text, found an empty map\n");
  CHECK(told(load_definition("name: p\nenv_file: a\ntasks: [{name: t, run: x}]", "")) ==
        "2:11 `env_file` is read where the definition is written\n");
  CHECK(told(load("name: p\nenv_file: a\nsecrets: {A: {from: env, key: A}}\n"
                  "tasks: [{name: t, run: x}]",
                  {{"a", "A=1"}}))
            .find("`A`") != std::string::npos);
}

}  // namespace
}  // namespace millrace::actors
