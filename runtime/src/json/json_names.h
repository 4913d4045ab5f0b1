// SPDX-License-Identifier: MIT
// What reading and writing JSON share: names and the annotations that change a field's form.
#pragma once

#include <capnp/dynamic.h>
#include <capnp/schema.capnp.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::runtime {

/// `maxAttempts` -> `max_attempts`, appended to `out`.
inline void append_snake_case(std::string& out, std::string_view camel_case) {
  const auto start = out.size();
  for (const char each : camel_case) {
    if (each >= 'A' && each <= 'Z') {
      if (out.size() > start) {
        out += '_';
      }
      out += static_cast<char>(each - 'A' + 'a');
    } else {
      out += each;
    }
  }
}

inline std::string snake_case(std::string_view camel_case) {
  std::string out;
  append_snake_case(out, camel_case);
  return out;
}

/// Whether it is marked $secret in /millrace/actor.capnp.
inline bool is_secret(capnp::StructSchema::Field field) {
  for (auto each : field.getProto().getAnnotations()) {
    if (each.getId() == 0xe2b59f17c4a60d83) {
      return true;
    }
  }
  return false;
}

enum class field_form : std::uint8_t { plain, time, raw_json, signal };

/// From $time, $rawJson and $signal of /millrace/actor.capnp.
inline field_form form_of(capnp::StructSchema::Field field) {
  for (auto each : field.getProto().getAnnotations()) {
    switch (each.getId()) {
      case 0x8f4ab7c2d1e09563:
        return field_form::time;
      case 0x97d0c3e5b8a1f426:
        return field_form::raw_json;
      case 0xb80e6d2c915fa73b:
        return field_form::signal;
      default:
        break;
    }
  }
  return field_form::plain;
}

/// The number that means none, from $absent of /millrace/actor.capnp.
inline std::optional<std::int64_t> absent_of(capnp::StructSchema::Field field) {
  for (auto each : field.getProto().getAnnotations()) {
    if (each.getId() == 0xcab5103f7e82d946) {
      return each.getValue().getInt64();
    }
  }
  return std::nullopt;
}

/// The key of a field, appended to `out`: its $json of /millrace/actor.capnp, or its name.
inline void append_key(std::string& out, capnp::StructSchema::Field field) {
  for (auto each : field.getProto().getAnnotations()) {
    if (each.getId() == 0xf1d62b08e97c3a54) {
      const auto key = each.getValue().getText();
      out.append(key.begin(), key.size());
      return;
    }
  }
  const auto name = field.getProto().getName();
  append_snake_case(out, {name.begin(), name.size()});
}

inline std::string key_of(capnp::StructSchema::Field field) {
  std::string key;
  append_key(key, field);
  return key;
}

inline bool in_union(capnp::StructSchema::Field field) {
  return field.getProto().getDiscriminantValue() != capnp::schema::Field::NO_DISCRIMINANT;
}

}  // namespace millrace::runtime
