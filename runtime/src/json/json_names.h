// SPDX-License-Identifier: MIT
// What reading and writing JSON share: names and the annotations that change a field's form.
#pragma once

#include <capnp/dynamic.h>
#include <capnp/schema.capnp.h>

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

enum class field_form : std::uint8_t { plain, time, raw_json };

/// From $time and $rawJson of /millrace/actor.capnp.
inline field_form form_of(capnp::StructSchema::Field field) {
  for (auto each : field.getProto().getAnnotations()) {
    if (each.getId() == 0x8f4ab7c2d1e09563) {
      return field_form::time;
    }
    if (each.getId() == 0x97d0c3e5b8a1f426) {
      return field_form::raw_json;
    }
  }
  return field_form::plain;
}

inline std::string_view name_of(capnp::StructSchema::Field field) {
  const auto name = field.getProto().getName();
  return {name.begin(), name.size()};
}

inline bool in_union(capnp::StructSchema::Field field) {
  return field.getProto().getDiscriminantValue() != capnp::schema::Field::NO_DISCRIMINANT;
}

}  // namespace millrace::runtime
