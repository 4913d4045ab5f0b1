// SPDX-License-Identifier: MIT
// Actor interfaces as the generator sees them: names resolved, annotations read, rules checked.
#pragma once

#include <capnp/schema-loader.h>
#include <capnp/schema.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace millrace::schemas::compiler {

/// What is wrong with a schema: `file: Interface.method: what; remedy`.
class schema_error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// One field of a parameter or result struct.
struct message_field {
  std::string name;    ///< snake_case
  std::string getter;  ///< `getAmount`
  std::string setter;  ///< `setAmount`; `initAmount` for texts
  std::string type;    ///< The C++ type of a value, by which it is set: a reader, a view, a scalar.
  bool is_text = false;
};

/// Parameters or results of a method.
struct method_message {
  std::string cpp_type;               ///< `::demo::Counter::AddParams`
  std::vector<message_field> fields;  ///< Without groups, Void and members of unions.
  bool plain = true;                  ///< `fields` is all there is.
  bool empty = false;

  /// Whether it may be made from its fields: they are few enough to read at a call.
  [[nodiscard]] bool constructible() const;
};

struct actor_method {
  std::string name;  ///< snake_case
  std::uint16_t ordinal;
  std::string admission;  ///< An enumerator of method_admission.
  bool one_way = false;
  bool internal = false;
  std::uint32_t timeout_ms;
  method_message params;
  method_message results;
};

struct actor_interface {
  std::string cpp_namespace;  ///< `demo`; may be empty
  std::string cpp_type;       ///< `::demo::Counter`
  std::string name;           ///< `counter`: the stem of generated names
  std::string type;
  std::string group;
  std::string affinity;
  std::uint32_t idle_timeout_ms = 0;    ///< 0: none given.
  std::string placement = "partition";  ///< An enumerator of actor_placement.
  std::uint16_t workers_max = 0;
  std::string labels;
  std::vector<actor_method> methods;
};

/// C++ names of schema nodes.
class schema_names {
public:
  explicit schema_names(capnp::SchemaLoader& loader) : loader_(loader) {}

  /// With namespace and enclosing scopes.
  [[nodiscard]] std::string cpp_name(capnp::Schema schema);
  [[nodiscard]] std::string cpp_namespace(capnp::Schema schema);
  [[nodiscard]] std::string file_name(capnp::Schema schema);

private:
  [[nodiscard]] capnp::Schema file_of(capnp::Schema schema);
  capnp::SchemaLoader& loader_;
};

[[nodiscard]] std::string snake_case(std::string_view camel_case);

[[nodiscard]] bool is_actor(capnp::InterfaceSchema schema);

/// Errors: schema_error.
[[nodiscard]] actor_interface read_actor(capnp::InterfaceSchema schema, schema_names& names);

}  // namespace millrace::schemas::compiler
