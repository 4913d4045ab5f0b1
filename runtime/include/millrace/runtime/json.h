// SPDX-License-Identifier: MIT
// JSON of messages, by reflection on their schemas.
//
// Names are snake_case. Enums are lower-case words, `Data` is base64, a union is the one key that
// is present, `$time` is RFC 3339 in UTC (null for 0), `$rawJson` is embedded as it stands. 64-bit
// integers are numbers; texts of digits are accepted for them. Unknown keys are errors.
#pragma once

#include <capnp/dynamic.h>

#include <string>
#include <string_view>

#include "millrace/runtime/message.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// The deepest nesting that is read.
inline constexpr unsigned json_depth_max = 64;

/// Reads an object into a new message of `schema`. Empty text is an empty object; missing keys and
/// nulls keep the defaults.
/// Errors: as `check_json`; `invalid_argument` with the JSON pointer of the first mistake and a
/// remedy.
/// Cost: about 2 us for a small object; builds a tree of the text first.
[[nodiscard]] result<any_message> from_json(capnp::StructSchema schema, std::string_view json);

/// Whether a text is JSON that this library reads. Errors: `invalid_argument`: `not JSON:
/// line:column: reason`, both from 1, the column in bytes; or the JSON pointer of a key that stands
/// twice in its object (RFC 8259 leaves open which one would count), or of what is nested too
/// deeply.
[[nodiscard]] result<void> check_json(std::string_view text);

/// Whether fields that the schema marks $secret are written.
enum class json_secrets : std::uint8_t {
  shown,
  masked,  ///< As `"***"`.
};

/// Appends the compact JSON of a message. Every field is written, in the schema's order; text that
/// is not UTF-8 gets U+FFFD.
void to_json(capnp::StructSchema schema, const any_message& content, std::string& out,
             json_secrets secrets = json_secrets::shown);
/// The same for a reader.
void to_json(capnp::DynamicStruct::Reader content, std::string& out,
             json_secrets secrets = json_secrets::shown);

/// The same for a value of a generated type.
template <class Reader>
[[nodiscard]] std::string to_json_text(const Reader& content) {
  std::string out;
  to_json(capnp::DynamicStruct::Reader{content}, out);
  return out;
}

/// Which JSON a schema is of.
enum class json_side : std::uint8_t {
  written,  ///< What `to_json` makes: every key is there.
  read,     ///< What `from_json` takes: keys may be missing or null, 64-bit integers texts.
};

/// What a struct's JSON looks like, as JSON Schemas (2020-12): the text of an object of a schema
/// for the struct, the first, and for each one in it, by `json_schema_name`. They refer to each
/// other as `refs` and the name, such as `#/components/schemas/RunStatus`. Of a newer schema's enum
/// values, which are written as numbers, they say nothing.
[[nodiscard]] std::string json_schemas(capnp::StructSchema schema, json_side side,
                                       std::string_view refs);

/// `RunStatus`; of a method's results `RunTasksResults`; with `Input` behind it for what is read.
[[nodiscard]] std::string json_schema_name(capnp::StructSchema schema, json_side side);

}  // namespace millrace::runtime
