// SPDX-License-Identifier: MIT
// Messages as JSON: every shape there and back, and every refusal with its place.
#include "millrace/runtime/json.h"

#include <doctest/doctest.h>

#include <limits>

#include "runtime/json/shapes.capnp.h"

namespace millrace::testing {
namespace {

using namespace runtime;

capnp::StructSchema shapes() {
  return capnp::Schema::from<Shapes>();
}

std::string there_and_back(std::string_view text) {
  const auto read = from_json(shapes(), text);
  REQUIRE_MESSAGE(read, (read ? "" : read.error().text()));
  std::string out;
  to_json(shapes(), *read, out);
  return out;
}

std::string refusal(std::string_view text) {
  const auto read = from_json(shapes(), text);
  REQUIRE_FALSE(read);
  CHECK(read.error().code() == errc::invalid_argument);
  return read.error().text();
}

constexpr std::string_view defaults =
    R"({"flag":false,"small":0,"large":0,"unsigned_large":0,"real":0,"some_text":"","bytes":"",)"
    R"("mood":"calm","point":null,"points":[],"numbers":[],"at":null,"raw":null,)"
    R"("either":{"nothing":null},"code":0,"killed_by":null,"id":"","level":null})";

TEST_CASE("nothing reads as the defaults, and all fields are written") {
  CHECK(there_and_back("") == defaults);
  CHECK(there_and_back("{}") == defaults);
  CHECK(there_and_back(R"({"flag":null,"points":null,"point":null})") == defaults);
  std::string out;
  to_json(shapes(), any_message{}, out);
  CHECK(out == defaults);
}

TEST_CASE("every shape comes back as it was") {
  constexpr std::string_view all =
      R"({"flag":true,"small":-128,"large":-9223372036854775808,)"
      R"("unsigned_large":18446744073709551615,"real":0.1,"some_text":"caf\u00e9 \"x\"\n",)"
      R"("bytes":"AP+A","mood":"very_angry","point":{"x":1,"y":2},"points":[{"x":3,"y":4}],)"
      R"("numbers":[[1,2],[],[65535]],"at":"2026-01-31T08:00:00.25Z","raw":{"any":[1,null]},)"
      R"("either":{"word":"w"}})";
  const auto out = there_and_back(all);
  CHECK(out.find("\"some_text\":\"caf\xC3\xA9 \\\"x\\\"\\n\"") != std::string::npos);
  CHECK(out.find(R"("at":"2026-01-31T08:00:00.250Z")") != std::string::npos);
  CHECK(out.find(R"("raw":{"any":[1,null]})") != std::string::npos);
  CHECK(out.find(R"("large":-9223372036854775808,"unsigned_large":18446744073709551615)") !=
        std::string::npos);
  CHECK(there_and_back(out) == out);
  CHECK(there_and_back(R"({"point":{"x":1}})").find(R"("point":{"x":1,"y":7})") !=
        std::string::npos);
}

TEST_CASE("64-bit numbers may be texts, whole floats are whole numbers") {
  CHECK(there_and_back(R"({"large":"-5"})").find(R"("large":-5)") != std::string::npos);
  CHECK(there_and_back(R"({"large":5.0})").find(R"("large":5)") != std::string::npos);
  CHECK(refusal(R"({"large":5.5})") ==
        "/large: expected a whole number from -9223372036854775808 to 9223372036854775807");
  CHECK(refusal(R"({"id":"a\u0000b"})") == "/id: expected a text without NUL");
  CHECK(refusal(R"({"large":"x"})") == "/large: expected a whole number, found a string");
}

TEST_CASE("mistakes are named with their place") {
  CHECK(refusal("[]") == "the body: expected an object, found an array");
  CHECK(refusal(R"({"flag":1})") == "/flag: expected true or false, found a number");
  CHECK(refusal(R"({"small":200})") == "/small: expected a whole number from -128 to 127");
  CHECK(refusal(R"({"small":-200})") == "/small: expected a whole number from -128 to 127");
  CHECK(refusal(R"({"unsigned_large":-1})").find("/unsigned_large") == 0);
  CHECK(refusal(R"({"points":[{"x":1},{"z":1}]})") ==
        "/points/1/z: unknown key; expected are: x, y");
  CHECK(refusal(R"({"mood":"angry"})") == "/mood: expected one of: calm, very_angry");
  CHECK(refusal(R"({"at":"yesterday"})").find("/at: expected a time") == 0);
  CHECK(refusal(R"({"at":"2026-02-30T08:00:00Z"})").find("/at: expected a time") == 0);
  CHECK(refusal(R"({"bytes":"A"})") == "/bytes: expected a string in base64");
  CHECK(refusal(R"({"either":{"number":1,"word":"x"}})") ==
        "/either/word: only one of 'number' and 'word' may be given");
  CHECK(refusal(std::string(100'000, '[')) == "the body: nested deeper than 64");
}

TEST_CASE("a number that says that there is none is null, and a signal has a name") {
  CHECK(there_and_back(R"({"code":null})").find(R"("code":null)") != std::string::npos);
  CHECK(there_and_back(R"({"code":-1})").find(R"("code":null)") != std::string::npos);
  CHECK(there_and_back(R"({"code":-2})").find(R"("code":-2)") != std::string::npos);
  CHECK(there_and_back(R"({"level":null})").find(R"("level":null)") != std::string::npos);
  CHECK(there_and_back(R"({"level":0})").find(R"("level":null)") != std::string::npos);
  CHECK(there_and_back(R"({"level":0.5})").find(R"("level":0.5)") != std::string::npos);
  for (const auto* name : {"SIGKILL", "SIGTERM", "SIGABRT", "SIGRTMIN+0", "SIGRTMIN+3"}) {
    const auto written = std::string{R"("killed_by":")"} + name + "\"";
    CHECK(there_and_back("{" + written + "}").find(written) != std::string::npos);
  }
  for (const auto* wrong : {"9", "\"KILL\"", "\"SIGNAL\"", "\"\""}) {
    CHECK(refusal(std::string{R"({"killed_by":)"} + wrong + "}") ==
          "/killed_by: expected the name of a signal such as \"SIGTERM\"");
  }
}

TEST_CASE("a field may have another key than its name") {
  CHECK(there_and_back(R"({"id":"x"})").find(R"("id":"x")") != std::string::npos);
  CHECK(refusal(R"({"name":"x"})").find("/name: unknown key; expected are: ") == 0);
}

TEST_CASE("what is no JSON is told by its line and column") {
  const auto mistake_in = [](std::string_view text) {
    const auto checked = check_json(text);
    return checked ? std::string{} : checked.error().text();
  };
  CHECK(mistake_in("{\n  \"large\": 5\n}").empty());
  CHECK(mistake_in("") == "not JSON: 1:1: the text ends here before it is whole");
  CHECK(refusal("{\n  `large`: 5}") ==
        "not JSON: 2:3: '`' does not belong here; keys and strings stand in double quotes, commas "
        "between values only");
  CHECK(mistake_in("[1,]").starts_with("not JSON: 1:4: ']' does not belong here"));
  CHECK(mistake_in("{}\n{}").starts_with("not JSON: 2:1: '{' does not belong here"));
  CHECK(mistake_in("{\"a\":1") == "not JSON: 1:7: the text ends here before it is whole");
  CHECK(mistake_in("\"a\nb\"").starts_with("not JSON: 1:3: a control character stands here"));
  CHECK(mistake_in("[\"\xff\"]").starts_with("not JSON: 1:3: a character stands here"));
  CHECK(mistake_in("[\n1, 1e999]") == "not JSON: 2:8: this number is out of range");
}

TEST_CASE("a key that stands twice is refused with its place, however it is written") {
  CHECK(refusal(R"({"large":1,"flag":true,"large":1})") == "/large: this key stands there twice");
  CHECK(refusal(R"({"large":1,"l\u0061rge":2})") == "/large: this key stands there twice");
  CHECK(refusal(R"({"points":[{"x":1},{"x":1,"x":1}]})") ==
        "/points/1/x: this key stands there twice");
  CHECK(refusal(R"({"raw":{"a/b":[0,[{"~":1,"~":{}}]]}})") ==
        "/raw/a~1b/1/0/~0: this key stands there twice");
  CHECK(there_and_back(R"({"raw":[{"a":1},{"a":1},{"b":{"a":1}}]})").find(R"({"b":{"a":1}})") !=
        std::string::npos);
}

TEST_CASE("what is embedded as it stands is no deeper than anything else") {
  const auto nested = [](std::size_t depth) {
    return R"({"raw":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  CHECK(there_and_back(nested(64)).find(std::string(64, '[')) != std::string::npos);
  CHECK(refusal(nested(65)) == "/raw: nested deeper than 64");
  CHECK(refusal(nested(1'000'000)) == "/raw: nested deeper than 64");
}

TEST_CASE("floats that are no numbers of the field's type are refused") {
  CHECK(refusal(R"({"unsigned_large":-5.0})").find("/unsigned_large: expected a whole number") ==
        0);
  CHECK(refusal(R"({"large":1e300})").find("/large: expected a whole number") == 0);
  CHECK(refusal(R"({"small":1e3})") == "/small: out of range");
}

TEST_CASE("what JSON cannot carry is written as something it can") {
  message<Shapes> content;
  auto made = content.build();
  made.setReal(std::numeric_limits<double>::infinity());
  made.setSomeText("a\x01\xff");
  const auto out = to_json_text(content.read());
  CHECK(out.find(R"("real":null)") != std::string::npos);
  CHECK(out.find("\"some_text\":\"a\\u0001\xEF\xBF\xBD\"") != std::string::npos);
}

TEST_CASE("times with an offset are read in UTC") {
  CHECK(there_and_back(R"({"at":"2026-01-31T09:00:00+01:00"})")
            .find(R"("at":"2026-01-31T08:00:00Z")") != std::string::npos);
  CHECK(there_and_back(R"({"at":"1969-12-31T23:59:59.999999999Z"})")
            .find(R"("at":"1969-12-31T23:59:59.999999999Z")") != std::string::npos);
}

}  // namespace
}  // namespace millrace::testing
