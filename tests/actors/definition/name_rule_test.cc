// SPDX-License-Identifier: MIT
// Names: what is allowed, and that a refusal shows what was given without becoming it.
#include "millrace/actors/name_rule.h"

#include <doctest/doctest.h>

#include <string>

#include "millrace/actors/definition.h"

namespace millrace::actors {
namespace {

TEST_CASE("names are plain words") {
  for (const auto* good : {"a", "nightly-report", "2026", "a.b_c-d", "0"}) {
    CHECK(check_name("project", good, name_rule::thing));
  }
  CHECK(check_name("project", std::string(63, 'a'), name_rule::thing));
  const std::string nul{"a\0b", 3};
  for (const std::string& bad :
       {std::string{}, std::string{"A"}, std::string{".."}, std::string{"-a"}, std::string{"a b"},
        std::string{"a/b"}, std::string{"a\r\nSet-Cookie: x"}, std::string{"$(id)"},
        std::string{"a;b"}, std::string{"a\xE2\x80\xAEgnp"}, std::string{"\xFF"}, std::string{"ä"},
        std::string(64, 'a'), nul}) {
    CAPTURE(bad);
    const auto refused = check_name("project", bad, name_rule::thing);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == runtime::errc::invalid_argument);
    CHECK(refused.error().text().find("starting with a letter or digit") != std::string::npos);
    // The message is one line that shows every character.
    CHECK(refused.error().text().find_first_of("\r\n") == std::string::npos);
    CHECK(refused.error().text().find("\xE2\x80\xAE") == std::string::npos);
    CHECK(refused.error().text().size() < 500);
  }
}

TEST_CASE("a name is shown with what nobody could see in it") {
  CHECK(shown_name("Bad Name") == "Bad Name");
  CHECK(shown_name("größe") == "größe");
  CHECK(shown_name("a\r\nb\x1b[31m") == "a\\u000d\\u000ab\\u001b[31m");
  CHECK(shown_name("a\xE2\x80\xAEgnp") == "a\\u202egnp");
  CHECK(shown_name("\xF3\xA0\x80\x81z") == "\\ue0001z");
  CHECK(shown_name("\xFF\xC3") == "\\xff\\xc3");
  CHECK(shown_name(std::string(1'000, 'x')) == std::string(60, 'x') + "...");
}

TEST_CASE("a definition's names are refused with what is allowed, and shown harmlessly") {
  const auto mistakes = load_definition(
                            "name: \"a\\r\\nb\"\n"
                            "params: {\"\\u202e\": 1}\n"
                            "env: {\"A\\nB\": 1}\n"
                            "tasks:\n"
                            "  - {name: $(id), run: x}\n"
                            "  - {name: ok, run: x, outputs: [\"o\\e[1m\"], needs: [\"x\\u202e\"], "
                            "matrix: {\"\\u202e\": [1]}}\n"
                            "\"k\\u202e\": 1\n",
                            "p.yaml")
                            .diagnostics;
  REQUIRE(mistakes.size() == 8);
  for (const auto& each : mistakes) {
    CAPTURE(to_string(each));
    CHECK(shown_name(each.text.substr(0, 60)) == each.text.substr(0, 60));
    CHECK(each.text.find("\xE2\x80\xAE") == std::string::npos);
    CHECK(each.text.find('\n') == std::string::npos);
  }
  CHECK(mistakes[0].text == "the name `a\\u000d\\u000ab` is not allowed");
  CHECK(mistakes[3].text == "the name `$(id)` is not allowed");
}

}  // namespace
}  // namespace millrace::actors
