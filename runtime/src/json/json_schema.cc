// SPDX-License-Identifier: MIT
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "json/json_names.h"
#include "millrace/runtime/json.h"

namespace millrace::runtime {

namespace {

using nlohmann::ordered_json;
using which = capnp::schema::Type::Which;

template <class Number>
ordered_json whole() {
  ordered_json made{{"type", "integer"}};
  if constexpr (sizeof(Number) == 8) {
    made["format"] = std::is_signed_v<Number> ? "int64" : "uint64";
  }
  if constexpr (!std::is_signed_v<Number> || sizeof(Number) < 8) {
    made["minimum"] = std::numeric_limits<Number>::min();
  }
  if constexpr (sizeof(Number) < 8) {
    made["maximum"] = std::numeric_limits<Number>::max();
  }
  return made;
}

class schema_writer {
public:
  schema_writer(json_side side, std::string_view refs) : side_(side), refs_(refs) {}

  // Adds it, and those in it, unless they are there.
  void add(capnp::StructSchema schema) {
    const auto name = json_schema_name(schema, side_);
    if (!made_.contains(name)) {
      made_[name] = nullptr;  // one that has itself in it is not looked at twice
      made_[name] = object_of(schema);
    }
  }
  [[nodiscard]] std::string text() const { return made_.dump(); }

private:
  ordered_json object_of(capnp::StructSchema schema) {
    auto properties = ordered_json::object();
    auto required = ordered_json::array();
    auto one_of = ordered_json::array();
    for (auto field : schema.getFields()) {
      const auto key = key_of(field);
      properties[key] = schema_of(field);
      if (in_union(field)) {
        one_of.push_back({{"required", ordered_json::array({key})}});
      } else {
        required.push_back(key);
      }
    }
    ordered_json made{
        {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
    if (side_ == json_side::written && !required.empty()) {
      made["required"] = std::move(required);
    }
    if (side_ == json_side::written && !one_of.empty()) {
      made["oneOf"] = std::move(one_of);
    }
    return made;
  }

  ordered_json schema_of(capnp::StructSchema::Field field) {
    switch (form_of(field)) {
      case field_form::time:
        return {{"type", {"string", "null"}}, {"format", "date-time"}};
      case field_form::signal:
        return {{"type", {"string", "null"}}, {"pattern", "^SIG"}};
      case field_form::raw_json:
        return {{"description", "Any JSON."}};
      case field_form::plain:
        break;
    }
    const auto type = field.getType();
    if (field.getProto().isGroup()) {
      return nullable(object_of(type.asStruct()), side_ == json_side::read);
    }
    return nullable(schema_of(type),
                    side_ == json_side::read || type.isStruct() || absent_of(field).has_value());
  }

  ordered_json schema_of(capnp::Type type) {
    switch (type.which()) {
      case which::VOID:
        return {{"type", "null"}};
      case which::BOOL:
        return {{"type", "boolean"}};
      case which::INT8:
        return number(whole<std::int8_t>());
      case which::INT16:
        return number(whole<std::int16_t>());
      case which::INT32:
        return number(whole<std::int32_t>());
      case which::INT64:
        return number(whole<std::int64_t>());
      case which::UINT8:
        return number(whole<std::uint8_t>());
      case which::UINT16:
        return number(whole<std::uint16_t>());
      case which::UINT32:
        return number(whole<std::uint32_t>());
      case which::UINT64:
        return number(whole<std::uint64_t>());
      case which::FLOAT32:
      case which::FLOAT64:
        // What is no number, or not finite, is written as null.
        return nullable({{"type", "number"}}, side_ == json_side::written);
      case which::TEXT:
        return {{"type", "string"}};
      case which::DATA:
        return {{"type", "string"}, {"contentEncoding", "base64"}};
      case which::LIST:
        return {{"type", "array"}, {"items", schema_of(type.asList().getElementType())}};
      case which::ENUM: {
        auto words = ordered_json::array();
        for (auto each : type.asEnum().getEnumerants()) {
          words.push_back(snake_case(each.getProto().getName().cStr()));
        }
        return {{"type", "string"}, {"enum", std::move(words)}};
      }
      case which::STRUCT:
        add(type.asStruct());
        return {{"$ref", refs_ + json_schema_name(type.asStruct(), side_)}};
      default:
        return {{"type", "null"}};  // as it is written
    }
  }

  // 64-bit numbers do not survive every JSON library, so texts are read too.
  [[nodiscard]] ordered_json number(ordered_json made) const {
    if (side_ == json_side::read) {
      made["type"] = {"integer", "string"};
      made["pattern"] = "^-?[0-9]+$";
    }
    return made;
  }

  static ordered_json nullable(ordered_json made, bool is_so) {
    if (!is_so) {
      return made;
    }
    if (made.contains("$ref")) {
      return {{"anyOf", {std::move(made), {{"type", "null"}}}}};
    }
    auto& type = made["type"];
    if (type.is_string()) {
      type = ordered_json::array({type});
    }
    if (std::find(type.begin(), type.end(), "null") == type.end()) {
      type.push_back("null");
      if (made.contains("enum")) {
        made["enum"].push_back(nullptr);
      }
    }
    return made;
  }

  const json_side side_;
  const std::string refs_;
  ordered_json made_ = ordered_json::object();
};

}  // namespace

std::string json_schema_name(capnp::StructSchema schema, json_side side) {
  std::string name{schema.getProto().getDisplayName().cStr()};
  name.erase(0, name.rfind(':') + 1);
  std::string made;
  auto begins_word = true;
  for (const char each : name) {  // `Run.tasks$Results`
    if (each == '.' || each == '$') {
      begins_word = true;
      continue;
    }
    made += begins_word && each >= 'a' && each <= 'z' ? static_cast<char>(each - 'a' + 'A') : each;
    begins_word = false;
  }
  return side == json_side::read ? made + "Input" : made;
}

std::string json_schemas(capnp::StructSchema schema, json_side side, std::string_view refs) {
  schema_writer writer{side, refs};
  writer.add(schema);
  return writer.text();
}

}  // namespace millrace::runtime
