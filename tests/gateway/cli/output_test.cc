// SPDX-License-Identifier: MIT
#include "cli/output.h"

#include <doctest/doctest.h>

#include "command_line.h"

namespace millrace::gateway::cli {
namespace {

std::string printed(const output_style& form, const char* rows) {
  std::stringstream output;
  auto* const real = std::cout.rdbuf(output.rdbuf());
  print_rows(form, ordered_json::parse(rows), {"id", "state"}, "id");
  std::cout.rdbuf(real);
  return output.str();
}

std::string printed_one(output_form form, const char* object) {
  std::stringstream output;
  auto* const real = std::cout.rdbuf(output.rdbuf());
  print_one(form, ordered_json::parse(object), "id");
  std::cout.rdbuf(real);
  return output.str();
}

}  // namespace

TEST_CASE("rows have their columns in a table, and all that they have in a wide one") {
  const auto* const rows = R"([{"id":"a","state":"ok","n":1},{"id":"bcd","why":{"x":2}}])";
  CHECK(printed(output_form::table, rows) == "ID   STATE\na    ok\nbcd  -\n");
  CHECK(printed(output_form::wide, rows) ==
        "ID   STATE  N  WHY\na    ok     1  -\nbcd  -      -  {\"x\":2}\n");
  CHECK(printed(output_form::wide, "[]") == "ID  STATE\n");
  CHECK(printed(output_form::name, rows) == "a\nbcd\n");
  CHECK(printed(output_form::jsonl, rows) ==
        "{\"id\":\"a\",\"state\":\"ok\",\"n\":1}\n{\"id\":\"bcd\",\"why\":{\"x\":2}}\n");
}

TEST_CASE("a table may be without its titles, and gives way in its last column") {
  const auto* const rows = R"([{"id":"a","state":"a long text for people"},
                               {"id":"bcd","state":"\u6f22\u5b57\u6f22\u5b57\u6f22\u5b57"}])";
  output_style bare{output_form::table};
  bare.has_titles = false;
  CHECK(printed(bare, R"([{"id":"a","state":"ok"}])") == "a  ok\n");
  CHECK(printed(bare, "[]").empty());
  output_style narrow{output_form::table};
  narrow.columns_max = 15;
  CHECK(printed(narrow, rows) ==
        "ID   STATE\na    a long te\u2026\nbcd  \u6f22\u5b57\u6f22\u5b57\u2026\n");
  narrow.columns_max = 3;  // no table: it is as narrow as it can be read
  CHECK(printed(narrow, rows) == "ID   STATE\na    a long \u2026\nbcd  \u6f22\u5b57\u6f22\u2026\n");
  narrow.columns_max = 200;
  CHECK(printed(narrow, R"([{"id":"a","state":"ok"}])") == "ID  STATE\na   ok\n");
}

TEST_CASE("cells are only shown, and columns stand under their titles") {
  CHECK(printed(output_form::table,
                R"([{"id":"漢字","state":"\u001b[31m"},{"id":"cafe\u0301","state":"\u009bx\ny"},
                    {"id":"plain","state":[]}])") ==
        "ID     STATE\n"
        "漢字    [31m\n"
        "cafe\u0301    x y\n"
        "plain  -\n");
}

TEST_CASE("an object in a table has a line a key, and no JSON") {
  CHECK(printed_one(output_form::table,
                    R"({"id":"a","exit_code":null,"none":{},
                        "params":{"day":"no","text":"x\u009by","exit_code":-1},
                        "attempts":[{"id":1,"exit_code":null,"tail":"a\nb\n"}]})") ==
        "id:             a\n"
        "exit_code:      -\n"
        "none:           -\n"
        "params:\n"
        "  day: \"no\"\n"
        "  text: \"x y\"\n"
        "  exit_code: -1\n"
        "attempts:\n"
        "  - id: 1\n"
        "    exit_code: null\n"
        "    tail: |\n"
        "      a\n"
        "      b\n");
}

TEST_CASE("YAML quotes what would mean something else") {
  CHECK(printed(output_form::yaml, R"([{"id":"no","state":"plain-word","n":1,"t":true,"o":{},
    "list":["1",["x"]],"lines":"a\n\n b\n","tail":"a\nb","a b":null}])") == R"(---
- id: "no"
  state: plain-word
  "n": 1
  t: true
  o: {}
  list:
    - "1"
    - - x
  lines: |
    a

     b
  tail: "a\nb"
  "a b": null
)");
  CHECK(printed(output_form::yaml, "[]") == "--- []\n");
}

}  // namespace millrace::gateway::cli
