// SPDX-License-Identifier: MIT
// Shapes: JSON Schemas (2020-12), put together of parts. What is made from a message has its shape
// from the message's schema; what a handler writes by hand has it beside the handler.
//
// An object has all keys of its shape, and no others, so that a key more or less in either is seen.
#pragma once

#include <capnp/schema.h>

#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "millrace/runtime/json.h"

namespace millrace::gateway {

struct json_shape {
  nlohmann::ordered_json schema = nlohmann::ordered_json::object();
  std::map<std::string, nlohmann::ordered_json> named = {};  ///< What it refers to.
};

namespace shape {

/// Where shapes are by their names.
inline constexpr std::string_view names = "#/components/schemas/";

[[nodiscard]] json_shape any(std::string_view about = {});
[[nodiscard]] json_shape flag();
/// Not negative.
[[nodiscard]] json_shape count();
[[nodiscard]] json_shape real();
[[nodiscard]] json_shape text(std::string_view about = {});
[[nodiscard]] json_shape time();
/// One of these texts.
[[nodiscard]] json_shape word(std::initializer_list<std::string_view> words);
[[nodiscard]] json_shape list(json_shape each);
/// An object with any keys.
[[nodiscard]] json_shape map(json_shape each);
[[nodiscard]] json_shape object(
    std::initializer_list<std::pair<std::string_view, json_shape>> members);
[[nodiscard]] json_shape or_null(json_shape what);
[[nodiscard]] json_shape any_of(std::initializer_list<json_shape> shapes);

/// The same shape under a name. Requires: it has none, and no other shape has this one.
[[nodiscard]] json_shape named(std::string name, json_shape what);

/// An object without some of its keys, or with keys that need not be there; another one, without a
/// name. Requires: it has the keys.
[[nodiscard]] json_shape without(json_shape object, std::initializer_list<std::string_view> keys);
[[nodiscard]] json_shape with_optional(json_shape object,
                                       std::initializer_list<std::string_view> keys);

[[nodiscard]] json_shape of(capnp::StructSchema schema, runtime::json_side side);

/// Of a message as it is written.
template <class Struct>
[[nodiscard]] json_shape of() {
  return of(capnp::Schema::from<Struct>(), runtime::json_side::written);
}

}  // namespace shape
}  // namespace millrace::gateway
