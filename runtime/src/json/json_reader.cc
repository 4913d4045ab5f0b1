// SPDX-License-Identifier: MIT
#include <charconv>
#include <nlohmann/json.hpp>

#include "json/base64.h"
#include "json/json_names.h"
#include "json/json_tree.h"
#include "json/signal_name.h"
#include "millrace/runtime/json.h"
#include "millrace/runtime/rfc3339.h"

namespace millrace::runtime {

namespace {

using nlohmann::json;
using which = capnp::schema::Type::Which;

// A mistake, and where it is: thrown within this file only.
struct mistake {
  std::string pointer;
  std::string text;
};

std::string describe(const json& value) {
  if (value.is_string()) {
    return "a string";
  }
  if (value.is_number()) {
    return "a number";
  }
  return value.is_boolean()  ? "a boolean"
         : value.is_array()  ? "an array"
         : value.is_object() ? "an object"
                             : "null";
}

[[noreturn]] void expected(const std::string& pointer, std::string_view what, const json& found) {
  throw mistake{pointer, "expected " + std::string{what} + ", found " + describe(found)};
}

class message_reader {
public:
  void read_struct(const json& from, capnp::DynamicStruct::Builder into,
                   const std::string& pointer) {
    if (!from.is_object()) {
      expected(pointer, "an object", from);
    }
    std::string chosen;
    for (const auto& [key, value] : from.items()) {
      const auto here = pointer + "/" + pointer_part(key);
      const auto field = find(into.getSchema(), key, here);
      if (value.is_null()) {
        if (const auto absent = absent_of(field)) {
          into.set(field, *absent);
        }
        continue;
      }
      if (in_union(field)) {
        if (!chosen.empty()) {
          chosen.insert(0, "only one of '").append("' and '").append(key).append("' may be given");
          throw mistake{here, chosen};
        }
        chosen = key;
      }
      read_field(field, value, into, here);
    }
  }

private:
  static capnp::StructSchema::Field find(capnp::StructSchema schema, const std::string& key,
                                         const std::string& here) {
    std::string known;
    for (auto field : schema.getFields()) {
      const auto name = key_of(field);
      if (name == key) {
        return field;
      }
      known += (known.empty() ? "" : ", ") + name;
    }
    throw mistake{here, known.empty() ? "unknown key; none are expected"
                                      : "unknown key; expected are: " + known};
  }

  void read_field(capnp::StructSchema::Field field, const json& value,
                  capnp::DynamicStruct::Builder into, const std::string& here) {
    const auto form = form_of(field);
    if (form == field_form::time) {
      const auto time = value.is_string() ? from_rfc3339(value.get_ref<const std::string&>())
                                          : std::optional<std::int64_t>{};
      if (!time) {
        throw mistake{here, "expected a time such as \"2026-01-31T08:00:00Z\""};
      }
      into.set(field, *time);
      return;
    }
    if (form == field_form::signal) {
      const auto number =
          value.is_string() ? signal_number(value.get_ref<const std::string&>()) : 0;
      if (number == 0) {
        throw mistake{here, "expected the name of a signal such as \"SIGTERM\""};
      }
      into.set(field, number);
      return;
    }
    if (form == field_form::raw_json) {
      set_text(field, value.dump(-1, ' ', false, json::error_handler_t::replace), into);
      return;
    }
    const auto type = field.getType();
    switch (type.which()) {
      case which::STRUCT: {
        auto child = field.getProto().isGroup() ? into.get(field).as<capnp::DynamicStruct>()
                                                : into.init(field).as<capnp::DynamicStruct>();
        read_struct(value, child, here);
        return;
      }
      case which::LIST:
        if (!value.is_array()) {
          expected(here, "an array", value);
        }
        read_list(value,
                  into.init(field, static_cast<unsigned>(value.size())).as<capnp::DynamicList>(),
                  here);
        return;
      case which::TEXT:
        set_text(field, text_in(value, here), into);
        return;
      case which::DATA: {
        const auto bytes = data_of(value, here);
        into.set(field, capnp::Data::Reader{reinterpret_cast<const kj::byte*>(bytes.data()),
                                            bytes.size()});
        return;
      }
      default:
        into.set(field, scalar(type, value, here));
    }
  }

  // Whoever reads it as a C string would see another text than whoever does not.
  static const std::string& text_in(const json& value, const std::string& here) {
    if (!value.is_string()) {
      expected(here, "a string", value);
    }
    const auto& text = value.get_ref<const std::string&>();
    if (text.find('\0') != std::string::npos) {
      throw mistake{here, "expected a text without NUL"};
    }
    return text;
  }

  static void set_text(capnp::StructSchema::Field field, const std::string& text,
                       capnp::DynamicStruct::Builder into) {
    auto room = into.init(field, static_cast<unsigned>(text.size())).as<capnp::Text>();
    std::copy(text.begin(), text.end(), room.begin());
  }

  static std::string data_of(const json& value, const std::string& here) {
    auto bytes = value.is_string() ? from_base64(value.get_ref<const std::string&>())
                                   : std::optional<std::string>{};
    if (!bytes) {
      throw mistake{here, "expected a string in base64"};
    }
    return *std::move(bytes);
  }

  void read_list(const json& from, capnp::DynamicList::Builder into, const std::string& pointer) {
    const auto type = into.getSchema().getElementType();
    for (unsigned at = 0; at < from.size(); ++at) {
      const auto& value = from[at];
      const auto here = pointer + "/" + std::to_string(at);
      switch (type.which()) {
        case which::STRUCT:
          read_struct(value, into[at].as<capnp::DynamicStruct>(), here);
          break;
        case which::LIST:
          if (!value.is_array()) {
            expected(here, "an array", value);
          }
          read_list(value,
                    into.init(at, static_cast<unsigned>(value.size())).as<capnp::DynamicList>(),
                    here);
          break;
        case which::TEXT: {
          const auto& text = text_in(value, here);
          auto room = into.init(at, static_cast<unsigned>(text.size())).as<capnp::Text>();
          std::copy(text.begin(), text.end(), room.begin());
          break;
        }
        case which::DATA: {
          const auto bytes = data_of(value, here);
          into.set(at, capnp::Data::Reader{reinterpret_cast<const kj::byte*>(bytes.data()),
                                           bytes.size()});
          break;
        }
        default:
          into.set(at, scalar(type, value, here));
      }
    }
  }

  template <class Number>
  static Number whole(const json& value, const std::string& here, std::int64_t least,
                      std::uint64_t most) {
    const auto range = [&]() -> mistake {
      return {here, "expected a whole number from " + std::to_string(least) + " to " +
                        std::to_string(most)};
    };
    if (value.is_string()) {  // 64-bit numbers do not survive every JSON library
      const auto& text = value.get_ref<const std::string&>();
      Number number{};
      const auto end = text.data() + text.size();
      const auto [after, failure] = std::from_chars(text.data(), end, number);
      if (failure != std::errc{} || after != end || text.empty()) {
        expected(here, "a whole number", value);
      }
      return number;
    }
    if (value.is_number_float()) {
      const auto number = value.get<double>();
      if (number != std::floor(number) || std::abs(number) > 9e15 ||
          number < static_cast<double>(least)) {
        throw range();
      }
      return static_cast<Number>(number);
    }
    if (!value.is_number()) {
      expected(here, "a whole number", value);
    }
    const auto good = value.is_number_unsigned() ? value.get<std::uint64_t>() <= most
                                                 : value.get<std::int64_t>() >= least;
    if (!good) {
      throw range();
    }
    return static_cast<Number>(value.is_number_unsigned()
                                   ? static_cast<Number>(value.get<std::uint64_t>())
                                   : static_cast<Number>(value.get<std::int64_t>()));
  }

  template <class Number>
  static std::int64_t narrow(const json& value, const std::string& here) {
    const auto number =
        whole<std::int64_t>(value, here, std::numeric_limits<Number>::min(),
                            static_cast<std::uint64_t>(std::numeric_limits<Number>::max()));
    if (number < static_cast<std::int64_t>(std::numeric_limits<Number>::min()) ||
        number > static_cast<std::int64_t>(std::numeric_limits<Number>::max())) {
      throw mistake{here, "out of range"};
    }
    return number;
  }

  static capnp::DynamicValue::Reader scalar(capnp::Type type, const json& value,
                                            const std::string& here) {
    switch (type.which()) {
      case which::BOOL:
        if (!value.is_boolean()) {
          expected(here, "true or false", value);
        }
        return value.get<bool>();
      case which::INT8:
        return narrow<std::int8_t>(value, here);
      case which::INT16:
        return narrow<std::int16_t>(value, here);
      case which::INT32:
        return narrow<std::int32_t>(value, here);
      case which::INT64:
        return whole<std::int64_t>(value, here, std::numeric_limits<std::int64_t>::min(),
                                   std::numeric_limits<std::int64_t>::max());
      case which::UINT8:
        return narrow<std::uint8_t>(value, here);
      case which::UINT16:
        return narrow<std::uint16_t>(value, here);
      case which::UINT32:
        return narrow<std::uint32_t>(value, here);
      case which::UINT64:
        return whole<std::uint64_t>(value, here, 0, std::numeric_limits<std::uint64_t>::max());
      case which::FLOAT32:
      case which::FLOAT64:
        if (!value.is_number()) {
          expected(here, "a number", value);
        }
        return value.get<double>();
      case which::VOID:
        return capnp::VOID;
      case which::ENUM:
        return enumerant(type.asEnum(), value, here);
      default:
        throw mistake{here, "a field of this type cannot be given"};
    }
  }

  static capnp::DynamicValue::Reader enumerant(capnp::EnumSchema schema, const json& value,
                                               const std::string& here) {
    std::string known;
    for (auto each : schema.getEnumerants()) {
      const auto written = each.getProto().getName();
      const auto word = snake_case({written.begin(), written.size()});
      if (value.is_string() && value.get_ref<const std::string&>() == word) {
        return capnp::DynamicEnum{each};
      }
      known += (known.empty() ? "" : ", ") + word;
    }
    throw mistake{here, "expected one of: " + known};
  }
};

}  // namespace

result<any_message> from_json(capnp::StructSchema schema, std::string_view text) {
  auto body = std::make_unique<message_body>();
  auto root = body->initRoot<capnp::DynamicStruct>(schema);
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return any_message{std::move(body)};
  }
  const auto tree = read_json(text);
  if (!tree) {
    return tree.error();
  }
  try {
    message_reader{}.read_struct(*tree, root, "");
  } catch (const mistake& wrong) {
    return error{errc::invalid_argument,
                 (wrong.pointer.empty() ? "the body" : wrong.pointer) + ": " + wrong.text};
  } catch (const kj::Exception& refused) {
    return error{errc::invalid_argument,
                 std::string{"refused: "} + refused.getDescription().cStr()};
  }
  return any_message{std::move(body)};
}

}  // namespace millrace::runtime
