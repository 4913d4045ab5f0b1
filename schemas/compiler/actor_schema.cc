// SPDX-License-Identifier: MIT
#include "compiler/actor_schema.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

namespace millrace::schemas::compiler {

namespace {

// Ids of the annotations in /millrace/actor.capnp and of the C++ namespace annotation.
constexpr std::uint64_t actor_annotation = 0xf3a1c86be4d2907b;
constexpr std::uint64_t group_annotation = 0xc0b7d1f24e83a965;
constexpr std::uint64_t affinity_annotation = 0xa8e2573d90c4b1f6;
// StreamResult of /capnp/stream.capnp.
constexpr std::uint64_t stream_result = 0x995f9a3377c0b16e;

constexpr std::uint64_t read_only_annotation = 0xb94d60e7f3a2c815;
constexpr std::uint64_t reentrant_annotation = 0x9c35e8a0d7b1f264;
constexpr std::uint64_t one_way_annotation = 0xe61fb2d8a94c3075;
constexpr std::uint64_t internal_annotation = 0xc5e0a92f7d1b6834;
constexpr std::uint64_t timeout_annotation = 0xd27c94b1e6f80a3d;
constexpr std::uint64_t idle_timeout_annotation = 0xb1d7e84c2f6a9035;
constexpr std::uint64_t stateless_annotation = 0xa4c96e1b35d7f082;
constexpr std::uint64_t silo_bound_annotation = 0x9e0d57b8c24a1f63;
constexpr std::uint64_t labels_annotation = 0xd8b36f9a7051ce24;
constexpr std::uint64_t cxx_namespace_annotation = 0xb9c6f99ebf805f2c;

constexpr std::uint32_t timeout_ms_default = 30'000;
constexpr std::size_t constructor_fields_max = 6;
constexpr std::size_t type_bytes_max = 64;
constexpr std::uint16_t workers_max = 256;

// Names that a generated member would collide with, or a path of the HTTP API.
constexpr auto taken =
    std::to_array<std::string_view>({"id",           "info",          "interface",
                                     "interface_of", "key",           "now",
                                     "send",         "tell",          "wait",
                                     "notify",       "version",       "state",
                                     "edit",         "dispatch",      "set_timer",
                                     "cancel_timer", "set_reminder",  "cancel_reminder",
                                     "reminder_due", "reminders",     "require_version",
                                     "stay_active",  "offload",       "cancelled",
                                     "context",      "on_activate",   "on_deactivate",
                                     "on_timer",     "on_reminder",   "deactivate_when_idle",
                                     "deactivate",   "allow_reentry", "and",
                                     "auto",         "bool",          "break",
                                     "case",         "catch",         "char",
                                     "class",        "const",         "continue",
                                     "default",      "delete",        "do",
                                     "double",       "else",          "enum",
                                     "explicit",     "export",        "extern",
                                     "false",        "final",         "float",
                                     "for",          "friend",        "goto",
                                     "if",           "inline",        "int",
                                     "long",         "mutable",       "namespace",
                                     "new",          "not",           "operator",
                                     "or",           "private",       "protected",
                                     "public",       "register",      "requires",
                                     "return",       "short",         "signed",
                                     "sizeof",       "static",        "struct",
                                     "switch",       "template",      "this",
                                     "throw",        "true",          "try",
                                     "typedef",      "typename",      "union",
                                     "unsigned",     "using",         "virtual",
                                     "void",         "volatile",      "while",
                                     "xor"});

// Accessors share a struct with these.
constexpr auto taken_by_messages =
    std::to_array<std::string_view>({"read", "build", "content", "take", "schema", "arrow"});

template <class Annotations>
std::optional<capnp::schema::Value::Reader> find(Annotations&& annotations, std::uint64_t id) {
  for (auto each : annotations) {
    if (each.getId() == id) {
      return each.getValue();
    }
  }
  return std::nullopt;
}

std::string capitalized(std::string text) {
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string own_name(capnp::Schema schema) {
  const auto proto = schema.getProto();
  return proto.getDisplayName().slice(proto.getDisplayNamePrefixLength()).cStr();
}

bool is_type_name(std::string_view name) {
  return !name.empty() && name.size() <= type_bytes_max && name[0] >= 'a' && name[0] <= 'z' &&
         std::all_of(name.begin(), name.end(), [](char each) {
           return (each >= 'a' && each <= 'z') || (each >= '0' && each <= '9') || each == '_';
         });
}

// What a caller gives for a field; empty when it has to be built in place.
std::string value_type(capnp::Type type, schema_names& names);

// Of a list without its reader.
std::string list_type(capnp::Type type, schema_names& names) {
  const auto of = [&](capnp::Type element) -> std::string {
    switch (element.which()) {
      case capnp::schema::Type::LIST:
        return list_type(element, names);
      case capnp::schema::Type::STRUCT:
        return names.cpp_name(element.asStruct());
      case capnp::schema::Type::TEXT:
        return "::capnp::Text";
      case capnp::schema::Type::DATA:
        return "::capnp::Data";
      case capnp::schema::Type::VOID:
        return "::capnp::Void";
      default:
        return value_type(element, names);
    }
  };
  return "::capnp::List<" + of(type.asList().getElementType()) + ">";
}

std::string value_type(capnp::Type type, schema_names& names) {
  switch (type.which()) {
    case capnp::schema::Type::LIST:
      return list_type(type, names) + "::Reader";
    case capnp::schema::Type::STRUCT:
      return names.cpp_name(type.asStruct()) + "::Reader";
    case capnp::schema::Type::DATA:
      return "::capnp::Data::Reader";
    case capnp::schema::Type::BOOL:
      return "bool";
    case capnp::schema::Type::INT8:
      return "std::int8_t";
    case capnp::schema::Type::INT16:
      return "std::int16_t";
    case capnp::schema::Type::INT32:
      return "std::int32_t";
    case capnp::schema::Type::INT64:
      return "std::int64_t";
    case capnp::schema::Type::UINT8:
      return "std::uint8_t";
    case capnp::schema::Type::UINT16:
      return "std::uint16_t";
    case capnp::schema::Type::UINT32:
      return "std::uint32_t";
    case capnp::schema::Type::UINT64:
      return "std::uint64_t";
    case capnp::schema::Type::FLOAT32:
      return "float";
    case capnp::schema::Type::FLOAT64:
      return "double";
    case capnp::schema::Type::TEXT:
      return "std::string_view";
    case capnp::schema::Type::ENUM:
      return names.cpp_name(type.asEnum());
    default:
      return {};
  }
}

// Reads one interface; holds the words that every error starts with.
class interface_reader {
public:
  interface_reader(capnp::InterfaceSchema schema, schema_names& names)
      : schema_(schema), names_(names), place_(names.file_name(schema) + ": " + own_name(schema)) {}

  actor_interface read() {
    actor_interface one;
    const auto annotations = schema_.getProto().getAnnotations();
    one.cpp_namespace = names_.cpp_namespace(schema_);
    one.cpp_type = names_.cpp_name(schema_);
    one.name = snake_case(own_name(schema_));
    one.type = find(annotations, actor_annotation)->getText().cStr();
    if (!is_type_name(one.type)) {
      refuse("$actor(\"" + one.type + "\") is not a type name",
             "use lower-case words joined by '_', such as $actor(\"" + one.name + "\")");
    }
    const auto text = [&](std::uint64_t id, std::string fallback) {
      const auto found = find(annotations, id);
      return found ? std::string{found->getText().cStr()} : std::move(fallback);
    };
    one.group = text(group_annotation, one.type);
    one.affinity = text(affinity_annotation, "");
    if (const auto idle = find(annotations, idle_timeout_annotation)) {
      one.idle_timeout_ms = idle->getUint32();
      if (one.idle_timeout_ms == 0) {
        refuse("$idleTimeout is 0", "give milliseconds, or leave it out for the silo's default");
      }
    }
    read_placement(annotations, one);
    if (schema_.getProto().getIsGeneric()) {
      refuse("is generic", "an actor interface has no type parameters");
    }
    if (schema_.getSuperclasses().size() > 0) {
      refuse("extends another interface", "list all methods in one interface");
    }
    if (schema_.getMethods().size() == 0) {
      refuse("has no methods", "an actor needs at least one");
    }
    for (auto method : schema_.getMethods()) {
      one.methods.push_back(read_method(method));
    }
    return one;
  }

private:
  [[noreturn]] void refuse(const std::string& what, const std::string& remedy,
                           const std::string& method = {}) const {
    throw schema_error{place_ + (method.empty() ? "" : "." + method) + ": " + what + "; " + remedy};
  }

  template <class Annotations>
  void read_placement(Annotations&& annotations, actor_interface& one) {
    const auto workers = find(annotations, stateless_annotation);
    const auto labels = find(annotations, labels_annotation);
    const auto silo_bound = find(annotations, silo_bound_annotation).has_value();
    if ((workers ? 1 : 0) + (labels ? 1 : 0) + (silo_bound ? 1 : 0) > 1) {
      refuse("has more than one of $stateless, $siloBound and $labels", "choose one");
    }
    if (workers) {
      one.placement = "stateless";
      one.workers_max = workers->getUint16();
      if (one.workers_max > workers_max) {
        refuse("$stateless is over 256", "a silo looks at each activation when it chooses one");
      }
    } else if (silo_bound) {
      one.placement = "silo_bound";
    } else if (labels) {
      one.placement = "labels";
      one.labels = labels->getText().cStr();
      if (one.labels.empty()) {
        refuse("$labels is empty", "name at least one label, or leave it out");
      }
      if (("," + one.labels + ",").find(",,") != std::string::npos) {
        refuse("$labels has an empty part", "join words by single ','");
      }
      if (one.labels.find_first_of("\"\\ \n") != std::string::npos) {
        refuse("$labels has a quote, backslash or space", "join plain words by ','");
      }
    }
    if (one.placement != "partition" &&
        (find(annotations, group_annotation) || find(annotations, affinity_annotation))) {
      refuse("has $group or $affinity but no durable state", "drop them: they choose a partition");
    }
  }

  actor_method read_method(capnp::InterfaceSchema::Method method) {
    const auto proto = method.getProto();
    const std::string written = proto.getName().cStr();
    const auto annotations = proto.getAnnotations();
    const auto of_interface = schema_.getProto().getAnnotations();
    actor_method one;
    one.name = snake_case(written);
    if (std::find(taken.begin(), taken.end(), one.name) != taken.end()) {
      refuse("the name '" + one.name + "' is taken in C++ or by the actor API", "choose another",
             written);
    }
    one.ordinal = static_cast<std::uint16_t>(method.getIndex());
    const auto read_only = find(annotations, read_only_annotation).has_value();
    const auto reentrant =
        find(annotations, reentrant_annotation) || find(of_interface, reentrant_annotation);
    if (read_only && find(annotations, reentrant_annotation)) {
      refuse("is both $readOnly and $reentrant", "choose one", written);
    }
    one.admission = read_only ? "read_only" : reentrant ? "reentrant" : "exclusive";
    one.one_way = find(annotations, one_way_annotation).has_value();
    one.internal =
        find(annotations, internal_annotation) || find(of_interface, internal_annotation);
    auto timeout = find(annotations, timeout_annotation);
    timeout = timeout ? timeout : find(of_interface, timeout_annotation);
    one.timeout_ms = timeout ? timeout->getUint32() : timeout_ms_default;
    if (one.timeout_ms == 0) {
      refuse("$timeout is 0", "give milliseconds, or leave it out for 30,000", written);
    }
    if (method.getResultType().getProto().getId() == stream_result) {
      refuse("returns 'stream'", "calls of an actor are not streams: give results, or () for none",
             written);
    }
    one.params = read_message(method.getParamType(), capitalized(written) + "Params", written);
    one.results = read_message(method.getResultType(), capitalized(written) + "Results", written);
    if (one.one_way && !one.results.empty) {
      refuse("is $oneWay but has results", "drop the one or the other", written);
    }
    return one;
  }

  method_message read_message(capnp::StructSchema schema, const std::string& implicit_name,
                              const std::string& method) {
    method_message one;
    one.cpp_type = schema.getProto().getScopeId() == 0
                       ? names_.cpp_name(schema_) + "::" + implicit_name
                       : names_.cpp_name(schema);
    for (auto field : schema.getFields()) {
      const std::string written = field.getProto().getName().cStr();
      const auto type = field.getType();
      if (type.isInterface() || type.isAnyPointer()) {
        refuse("field '" + written + "' is a capability or AnyPointer",
               "messages hold data: pass the actor's key as Text", method);
      }
      if (type.isVoid() || field.getProto().isGroup() ||
          field.getProto().getDiscriminantValue() != capnp::schema::Field::NO_DISCRIMINANT) {
        one.plain = false;
        continue;  // reached through read()
      }
      message_field made;
      made.name = snake_case(written);
      if (std::find(taken_by_messages.begin(), taken_by_messages.end(), made.name) !=
              taken_by_messages.end() ||
          (std::find(taken.begin(), taken.end(), made.name) != taken.end() &&
           std::find(taken.begin(), taken.end(), made.name) - taken.begin() >= keywords_at)) {
        made.name += "_";
      }
      made.is_text = type.isText();
      made.getter = "get" + capitalized(written);
      made.setter = (made.is_text ? "init" : "set") + capitalized(written);
      made.type = value_type(type, names_);
      one.fields.push_back(std::move(made));
    }
    one.empty = schema.getFields().size() == 0;
    return one;
  }

  static constexpr std::ptrdiff_t keywords_at = 32;  // in `taken`
  capnp::InterfaceSchema schema_;
  schema_names& names_;
  std::string place_;
};

static_assert(taken[32] == "and");

}  // namespace

bool method_message::constructible() const {
  return plain && !fields.empty() && fields.size() <= constructor_fields_max &&
         std::all_of(fields.begin(), fields.end(),
                     [](const auto& each) { return !each.type.empty(); });
}

std::string snake_case(std::string_view camel_case) {
  std::string out;
  for (const char each : camel_case) {
    if (each >= 'A' && each <= 'Z') {
      if (!out.empty()) {
        out += '_';
      }
      out += static_cast<char>(each - 'A' + 'a');
    } else {
      out += each;
    }
  }
  return out;
}

capnp::Schema schema_names::file_of(capnp::Schema schema) {
  while (schema.getProto().getScopeId() != 0) {
    schema = loader_.get(schema.getProto().getScopeId());
  }
  return schema;
}

std::string schema_names::file_name(capnp::Schema schema) {
  return file_of(schema).getProto().getDisplayName().cStr();
}

std::string schema_names::cpp_namespace(capnp::Schema schema) {
  const auto found = find(file_of(schema).getProto().getAnnotations(), cxx_namespace_annotation);
  return found ? std::string{found->getText().cStr()} : std::string{};
}

std::string schema_names::cpp_name(capnp::Schema schema) {
  const auto scope = schema.getProto().getScopeId();
  const auto own = "::" + own_name(schema);
  const auto outer = loader_.get(scope);
  if (!outer.getProto().isFile()) {
    return cpp_name(outer) + own;
  }
  const auto name = cpp_namespace(schema);
  return (name.empty() ? "" : "::" + name) + own;
}

bool is_actor(capnp::InterfaceSchema schema) {
  return find(schema.getProto().getAnnotations(), actor_annotation).has_value();
}

actor_interface read_actor(capnp::InterfaceSchema schema, schema_names& names) {
  return interface_reader{schema, names}.read();
}

}  // namespace millrace::schemas::compiler
