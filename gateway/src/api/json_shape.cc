// SPDX-License-Identifier: MIT
#include "api/json_shape.h"

#include <algorithm>
#include <vector>

#include "millrace/runtime/assert.h"

namespace millrace::gateway::shape {

using nlohmann::ordered_json;

namespace {

json_shape plain(std::string_view type) {
  return {.schema = {{"type", type}}};
}

// The same without its name.
json_shape unnamed(json_shape what) {
  if (const auto ref = what.schema.find("$ref"); ref != what.schema.end()) {
    what.schema = what.named.extract(ref->get<std::string>().substr(names.size())).mapped();
  }
  return what;
}

void make_optional(ordered_json& object, std::string_view key) {
  MILLRACE_ASSERT(object.at("properties").contains(key));
  auto& required = object.at("required");
  required.erase(std::find(required.begin(), required.end(), key));
}

}  // namespace

json_shape any(std::string_view about) {
  json_shape made;
  if (!about.empty()) {
    made.schema["description"] = about;
  }
  return made;
}

json_shape flag() {
  return plain("boolean");
}

json_shape count() {
  return {.schema = {{"type", "integer"}, {"format", "uint64"}, {"minimum", 0}}};
}

json_shape real() {
  return plain("number");
}

json_shape text(std::string_view about) {
  auto made = plain("string");
  if (!about.empty()) {
    made.schema["description"] = about;
  }
  return made;
}

json_shape time() {
  return {.schema = {{"type", "string"}, {"format", "date-time"}}};
}

json_shape word(std::initializer_list<std::string_view> words) {
  return {.schema = {{"type", "string"}, {"enum", std::vector(words)}}};
}

json_shape list(json_shape each) {
  return {.schema = {{"type", "array"}, {"items", std::move(each.schema)}},
          .named = std::move(each.named)};
}

json_shape map(json_shape each) {
  return {.schema = {{"type", "object"}, {"additionalProperties", std::move(each.schema)}},
          .named = std::move(each.named)};
}

json_shape object(std::initializer_list<std::pair<std::string_view, json_shape>> members) {
  json_shape made;
  auto properties = ordered_json::object();
  auto required = ordered_json::array();
  for (const auto& [key, shape] : members) {
    properties[std::string{key}] = shape.schema;
    required.push_back(key);
    made.named.insert(shape.named.begin(), shape.named.end());
  }
  made.schema = {{"type", "object"},
                 {"properties", std::move(properties)},
                 {"additionalProperties", false},
                 {"required", std::move(required)}};
  return made;
}

json_shape or_null(json_shape what) {
  return any_of({std::move(what), plain("null")});
}

json_shape any_of(std::initializer_list<json_shape> shapes) {
  json_shape made;
  auto& list = made.schema["anyOf"] = ordered_json::array();
  for (const auto& each : shapes) {
    list.push_back(each.schema);
    made.named.insert(each.named.begin(), each.named.end());
  }
  return made;
}

json_shape named(std::string name, json_shape what) {
  json_shape made{.schema = {{"$ref", std::string{names} + name}}, .named = std::move(what.named)};
  made.named.insert_or_assign(std::move(name), std::move(what.schema));
  return made;
}

json_shape without(json_shape object, std::initializer_list<std::string_view> keys) {
  auto made = with_optional(std::move(object), keys);
  for (const auto key : keys) {
    made.schema["properties"].erase(std::string{key});
  }
  return made;
}

json_shape with_optional(json_shape object, std::initializer_list<std::string_view> keys) {
  auto made = unnamed(std::move(object));
  for (const auto key : keys) {
    make_optional(made.schema, key);
  }
  return made;
}

json_shape of(capnp::StructSchema schema, runtime::json_side side) {
  json_shape made;
  const auto all = ordered_json::parse(runtime::json_schemas(schema, side, names));
  for (const auto& [name, each] : all.items()) {
    made.named.emplace(name, each);
  }
  made.schema["$ref"] = std::string{names} + runtime::json_schema_name(schema, side);
  return made;
}

}  // namespace millrace::gateway::shape
