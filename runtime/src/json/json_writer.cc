// SPDX-License-Identifier: MIT
#include <charconv>
#include <cmath>

#include "json/base64.h"
#include "json/json_names.h"
#include "json/signal_name.h"
#include "millrace/runtime/json.h"
#include "millrace/runtime/rfc3339.h"

namespace millrace::runtime {

namespace {

// The length of the well-formed UTF-8 sequence at `at` (RFC 3629), 0 for none.
std::size_t sequence_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t offset) {
    return at + offset < text.size() ? static_cast<unsigned char>(text[at + offset]) : 0U;
  };
  const auto tail = [&](std::size_t offset) { return (byte(offset) & 0xC0U) == 0x80U; };
  const auto lead = byte(0);
  if (lead < 0x80) {
    return 1;
  }
  if (lead >= 0xC2 && lead <= 0xDF) {
    return tail(1) ? 2 : 0;
  }
  if ((lead & 0xF0U) == 0xE0U) {
    const auto good = !(lead == 0xE0 && byte(1) < 0xA0) && !(lead == 0xED && byte(1) > 0x9F);
    return good && tail(1) && tail(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const auto good = !(lead == 0xF0 && byte(1) < 0x90) && !(lead == 0xF4 && byte(1) > 0x8F);
    return good && tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

void write_text(std::string_view text, std::string& out) {
  constexpr const char* hex = "0123456789abcdef";
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const auto each = static_cast<unsigned char>(text[at]);
    if (each >= 0x80) {
      const auto size = sequence_at(text, at);
      out += size == 0 ? std::string_view{"\xEF\xBF\xBD"} : text.substr(at, size);
      at += size == 0 ? 1 : size;
      continue;
    }
    switch (each) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (each < 0x20) {
          out += "\\u00";
          out += hex[each >> 4U];
          out += hex[each & 0xFU];
        } else {
          out += static_cast<char>(each);
        }
    }
    ++at;
  }
  out += '"';
}

template <class Number>
void write_number(Number number, std::string& out) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

bool is_number(capnp::StructSchema::Field field, const capnp::DynamicStruct::Reader& from,
               std::int64_t number) {
  const auto value = from.get(field);
  switch (value.getType()) {
    case capnp::DynamicValue::UINT:
      return number >= 0 && value.as<std::uint64_t>() == static_cast<std::uint64_t>(number);
    case capnp::DynamicValue::INT:
      return value.as<std::int64_t>() == number;
    case capnp::DynamicValue::FLOAT:
      return value.as<double>() == static_cast<double>(number);
    default:
      return false;
  }
}

void write_value(const capnp::DynamicValue::Reader& value, std::string& out, json_secrets secrets);

void write_field(capnp::StructSchema::Field field, const capnp::DynamicStruct::Reader& from,
                 std::string& out, json_secrets secrets) {
  const auto form = form_of(field);
  if (secrets == json_secrets::masked && is_secret(field)) {
    out += R"("***")";
  } else if (form == field_form::time) {
    const auto time = from.get(field).as<std::int64_t>();
    if (time == 0) {
      out += "null";
    } else {
      out += '"';
      append_rfc3339(out, time);
      out += '"';
    }
  } else if (form == field_form::raw_json) {
    const auto text = from.get(field).as<capnp::Text>();
    out +=
        text.size() == 0 ? std::string_view{"null"} : std::string_view{text.begin(), text.size()};
  } else if (form == field_form::signal) {
    const auto number = from.get(field).as<std::int32_t>();
    out += number == 0 ? "null" : '"' + signal_name(number) + '"';
  } else if (const auto absent = absent_of(field);
             (absent && is_number(field, from, *absent)) ||
             (field.getType().isStruct() && !field.getProto().isGroup() && !from.has(field))) {
    out += "null";
  } else {
    write_value(from.get(field), out, secrets);
  }
}

void write_struct(const capnp::DynamicStruct::Reader& from, std::string& out,
                  json_secrets secrets) {
  out += '{';
  const auto start = out.size();
  const auto write = [&](capnp::StructSchema::Field field) {
    out += out.size() > start ? ",\"" : "\"";
    append_key(out, field);
    out += "\":";
    write_field(field, from, out, secrets);
  };
  for (auto field : from.getSchema().getFields()) {
    if (!in_union(field)) {
      write(field);
    }
  }
  KJ_IF_MAYBE (chosen, from.which()) {
    write(*chosen);
  }
  out += '}';
}

void write_value(const capnp::DynamicValue::Reader& value, std::string& out, json_secrets secrets) {
  switch (value.getType()) {
    case capnp::DynamicValue::BOOL:
      out += value.as<bool>() ? "true" : "false";
      return;
    case capnp::DynamicValue::INT:
      write_number(value.as<std::int64_t>(), out);
      return;
    case capnp::DynamicValue::UINT:
      write_number(value.as<std::uint64_t>(), out);
      return;
    case capnp::DynamicValue::FLOAT: {
      const auto number = value.as<double>();
      std::isfinite(number) ? write_number(number, out) : static_cast<void>(out += "null");
      return;
    }
    case capnp::DynamicValue::TEXT: {
      const auto text = value.as<capnp::Text>();
      write_text({text.begin(), text.size()}, out);
      return;
    }
    case capnp::DynamicValue::DATA: {
      const auto data = value.as<capnp::Data>();
      out += '"';
      append_base64(out, {reinterpret_cast<const char*>(data.begin()), data.size()});
      out += '"';
      return;
    }
    case capnp::DynamicValue::LIST: {
      auto separator = '[';
      for (auto each : value.as<capnp::DynamicList>()) {
        out += separator;
        separator = ',';
        write_value(each, out, secrets);
      }
      out += separator == '[' ? "[]" : "]";
      return;
    }
    case capnp::DynamicValue::ENUM: {
      const auto word = value.as<capnp::DynamicEnum>();
      KJ_IF_MAYBE (enumerant, word.getEnumerant()) {
        const auto name = enumerant->getProto().getName();
        out += '"';
        append_snake_case(out, {name.begin(), name.size()});
        out += '"';
      } else {
        write_number(word.getRaw(), out);  // of a newer schema
      }
      return;
    }
    case capnp::DynamicValue::STRUCT:
      write_struct(value.as<capnp::DynamicStruct>(), out, secrets);
      return;
    default:
      out += "null";
  }
}

}  // namespace

void to_json(capnp::DynamicStruct::Reader content, std::string& out, json_secrets secrets) {
  write_struct(content, out, secrets);
}

void to_json(capnp::StructSchema schema, const any_message& content, std::string& out,
             json_secrets secrets) {
  if (auto* body = content.body()) {
    write_struct(body->getRoot<capnp::DynamicStruct>(schema).asReader(), out, secrets);
    return;
  }
  message_body none;
  write_struct(none.initRoot<capnp::DynamicStruct>(schema).asReader(), out, secrets);
}

}  // namespace millrace::runtime
