// SPDX-License-Identifier: MIT
#include "cli/line_filter.h"

#include <doctest/doctest.h>

#include <vector>

namespace millrace::gateway::cli {
namespace {

line_pattern pattern(const std::string& text) {
  actors::text_pattern::mistake wrong;
  auto made = actors::text_pattern::make(text, wrong);
  REQUIRE(made);
  return made;
}

std::string filtered(line_pattern by, const std::vector<std::string>& pieces) {
  std::string passed;
  const line_filter::sink to = [&passed](std::string_view text) {
    passed += text;
    return true;
  };
  line_filter lines{std::move(by)};
  for (const auto& each : pieces) {
    CHECK(lines.add(each, to));
  }
  CHECK(lines.end(to));
  return passed;
}

}  // namespace

TEST_CASE("lines that hold the pattern pass, however they come") {
  CHECK(filtered({}, {"a\nb", "c"}) == "a\nbc");
  CHECK(filtered(pattern("b"), {"abc\nd\nb\n"}) == "abc\nb\n");
  CHECK(filtered(pattern("^bc$"), {"a\nb", "c", "\n", "bcd\n"}) == "bc\n");
  CHECK(filtered(pattern("d$"), {"a\nd"}) == "d\n");
  CHECK(filtered(pattern("(?i)ERR"), {"no\n\nErr\n"}) == "Err\n");
  CHECK(filtered(pattern("x"), {"a\nb\n"}).empty());
  CHECK(filtered(pattern("^$"), {"\n\na\n"}) == "\n\n");
  CHECK(filtered(pattern("b$"), {"ab\r\nbc\r\nb\r"}) == "ab\r\nb\r\n");
}

TEST_CASE("a line without end is looked at in parts, by the largest pattern too") {
  const std::string part(1'048'576, 'a');
  CHECK(filtered(pattern("b"), {part.substr(1) + "b"}) == part.substr(1) + "b\n");
  CHECK(filtered(pattern("b"), {part + part + "b"}) == "b\n");
  const auto several = part.substr(0, 65'536);
  CHECK(filtered(pattern("a{900}"), {several + "b\nc\n"}) == several + "b\n");
}

TEST_CASE("the parts of a line pass without a newline between them, and nothing is no part") {
  const std::string part(1'048'576, 'a');
  CHECK(filtered(pattern("a"), {part + part + "a\nb\n"}) == part + part + "a\n");
  CHECK(filtered(pattern("a"), {part + "b\n", "a\n"}) == part + "\na\n");
  CHECK(filtered(pattern("a"), {part, "\n"}) == part + "\n");
  CHECK(filtered(pattern("a"), {part}) == part + "\n");
  CHECK(filtered(pattern("^$"), {part, "\n\n"}) == "\n");
}

TEST_CASE("who wants no more is given no more") {
  line_filter lines{pattern("a")};
  int given = 0;
  const line_filter::sink once = [&given](std::string_view) { return ++given < 1; };
  CHECK_FALSE(lines.add("a\na\n", once));
  CHECK(given == 1);
}

}  // namespace millrace::gateway::cli
