// SPDX-License-Identifier: MIT
// Schemas of the JSON of messages: every shape, as it is written and as it is read.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "millrace/runtime/json.h"
#include "runtime/json/shapes.capnp.h"

namespace millrace::testing {
namespace {

using namespace runtime;
using nlohmann::json;

json schemas_of(json_side side) {
  return json::parse(json_schemas(capnp::Schema::from<Shapes>(), side, "#/$defs/"));
}

TEST_CASE("the schema of what is written has every key, and null where that may be") {
  const auto all = schemas_of(json_side::written);
  CHECK(all.size() == 2);
  CHECK(all["Point"] == json::parse(R"({
    "type": "object", "additionalProperties": false, "required": ["x", "y"],
    "properties": {
      "x": {"type": "integer", "minimum": -2147483648, "maximum": 2147483647},
      "y": {"type": "integer", "minimum": -2147483648, "maximum": 2147483647}}})"));
  CHECK(all["Shapes"] == json::parse(R"({
    "type": "object", "additionalProperties": false,
    "required": ["flag", "small", "large", "unsigned_large", "real", "some_text", "bytes", "mood",
                 "point", "points", "numbers", "at", "raw", "either", "code", "killed_by", "id",
                 "level"],
    "properties": {
      "flag": {"type": "boolean"},
      "small": {"type": "integer", "minimum": -128, "maximum": 127},
      "large": {"type": "integer", "format": "int64"},
      "unsigned_large": {"type": "integer", "format": "uint64", "minimum": 0},
      "real": {"type": ["number", "null"]},
      "some_text": {"type": "string"},
      "bytes": {"type": "string", "contentEncoding": "base64"},
      "mood": {"type": "string", "enum": ["calm", "very_angry"]},
      "point": {"anyOf": [{"$ref": "#/$defs/Point"}, {"type": "null"}]},
      "points": {"type": "array", "items": {"$ref": "#/$defs/Point"}},
      "numbers": {"type": "array", "items": {"type": "array", "items":
                  {"type": "integer", "minimum": 0, "maximum": 65535}}},
      "at": {"type": ["string", "null"], "format": "date-time"},
      "raw": {"description": "Any JSON."},
      "either": {
        "type": "object", "additionalProperties": false,
        "properties": {
          "nothing": {"type": "null"},
          "number": {"type": "integer", "minimum": -2147483648, "maximum": 2147483647},
          "word": {"type": "string"}},
        "oneOf": [{"required": ["nothing"]}, {"required": ["number"]}, {"required": ["word"]}]},
      "code": {"type": ["integer", "null"], "minimum": -2147483648, "maximum": 2147483647},
      "killed_by": {"type": ["string", "null"], "pattern": "^SIG"},
      "id": {"type": "string"},
      "level": {"type": ["number", "null"]}}})"));
}

TEST_CASE("the schema of what is read wants no key, and takes texts for numbers") {
  const auto all = schemas_of(json_side::read);
  const auto& shapes = all["ShapesInput"];
  CHECK_FALSE(shapes.contains("required"));
  CHECK(shapes["properties"]["large"] == json::parse(R"(
    {"type": ["integer", "string", "null"], "format": "int64", "pattern": "^-?[0-9]+$"})"));
  CHECK(shapes["properties"]["mood"] ==
        json::parse(R"({"type": ["string", "null"], "enum": ["calm", "very_angry", null]})"));
  CHECK(shapes["properties"]["points"] == json::parse(R"(
    {"type": ["array", "null"], "items": {"$ref": "#/$defs/PointInput"}})"));
  CHECK(shapes["properties"]["either"]["type"] == json::parse(R"(["object", "null"])"));
  CHECK_FALSE(shapes["properties"]["either"].contains("oneOf"));
}

TEST_CASE("schemas are called as what they are of") {
  CHECK(json_schema_name(capnp::Schema::from<Shapes>(), json_side::written) == "Shapes");
  CHECK(json_schema_name(capnp::Schema::from<Shapes>(), json_side::read) == "ShapesInput");
}

}  // namespace
}  // namespace millrace::testing
