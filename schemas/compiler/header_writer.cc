// SPDX-License-Identifier: MIT
#include "compiler/header_writer.h"

// NOLINTBEGIN(performance-inefficient-string-concatenation): text of a build step

namespace millrace::schemas::compiler {

namespace {

constexpr const char* runtime = "::millrace::runtime::";

std::string parameter_list(const method_message& message) {
  std::string list;
  for (const auto& each : message.fields) {
    list += (list.empty() ? "" : ", ") + each.type + " " + each.name;
  }
  return list;
}

std::string argument_list(const method_message& message) {
  std::string list;
  for (const auto& each : message.fields) {
    list += (list.empty() ? "" : ", ") + each.name;
  }
  return list;
}

std::string wrapper_name(const actor_method& method, bool params) {
  return method.name + (params ? "_params" : "_results");
}

std::string results_type(const actor_method& method, const std::string& scope) {
  return method.results.empty ? "void" : scope + wrapper_name(method, false);
}

void write_message(std::string& out, const std::string& name, const method_message& message) {
  const auto base = runtime + ("message<" + message.cpp_type + ">");
  out += "  struct " + name + " : " + base + " {\n    using " + base + "::message;\n";
  if (message.constructible()) {
    out += "    " + name + "() = default;\n    explicit " + name + "(" + parameter_list(message) +
           ") {\n      auto builder = build();\n";
    for (const auto& each : message.fields) {
      if (each.is_text) {
        out += "      ::std::copy(" + each.name + ".begin(), " + each.name + ".end(), builder." +
               each.setter + "(static_cast<unsigned>(" + each.name + ".size())).begin());\n";
      } else {
        out += "      builder." + each.setter + "(" + each.name + ");\n";
      }
    }
    out += "    }\n";
  }
  for (const auto& each : message.fields) {
    if (each.is_text) {
      out += "    [[nodiscard]] std::string_view " + each.name +
             "() const {\n      const auto text = read()." + each.getter +
             "();\n      return {text.begin(), text.size()};\n    }\n";
    } else {
      out += "    [[nodiscard]] auto " + each.name + "() const { return read()." + each.getter +
             "(); }\n";
    }
  }
  out += "  };\n";
}

void write_interface(std::string& out, const actor_interface& one) {
  out += "/// The messages of " + one.cpp_type + " and its description for the runtime.\n";
  out += "struct " + one.name + "_interface {\n";
  for (const auto& method : one.methods) {
    if (!method.params.empty) {
      write_message(out, wrapper_name(method, true), method.params);
    }
    if (!method.results.empty) {
      write_message(out, wrapper_name(method, false), method.results);
    }
  }
  out += "  [[nodiscard]] static const " + std::string{runtime} +
         "interface_info& info() noexcept {\n    using admission = " + runtime +
         "method_admission;\n    static constexpr " + runtime + "method_info methods[] = {\n";
  for (const auto& method : one.methods) {
    const auto schema = [](const method_message& message) {
      return "[] { return ::capnp::StructSchema{::capnp::Schema::from<" + message.cpp_type +
             ">()}; }";
    };
    out += "        {\"" + method.name + "\", " + std::to_string(method.ordinal) +
           ", admission::" + method.admission + ", " + (method.one_way ? "true" : "false") + ", " +
           (method.internal ? "true" : "false") + ", " + std::to_string(method.timeout_ms) +
           ",\n         " + schema(method.params) + ",\n         " + schema(method.results) +
           "},\n";
  }
  out += "    };\n    static constexpr " + std::string{runtime} + "interface_info one{\"" +
         one.type + "\", \"" + one.group + "\", \"" + one.affinity + "\", " +
         std::to_string(one.idle_timeout_ms) + ", " + std::string{runtime} +
         "actor_placement::" + one.placement + ", " + std::to_string(one.workers_max) + ", \"" +
         one.labels + "\", methods};\n    return one;\n  }\n};\n\n";
}

void write_base(std::string& out, const actor_interface& one) {
  const auto scope = one.name + "_interface::";
  out += "/// Base of the implementations of " + one.cpp_type +
         "; State is the struct of its durable root.\n";
  out += "template <class State = " + std::string{runtime} + "no_state>\nclass " + one.name +
         "_base : public " + runtime + "actor<State> {\npublic:\n  using interface = " + one.name +
         "_interface;\n";
  if (one.placement != "partition") {
    out += "  static_assert(std::is_same_v<State, " + std::string{runtime} +
           "no_state>, \"actors of type " + one.type + " have no durable state\");\n";
  }
  for (const auto& method : one.methods) {
    for (const auto params : {true, false}) {
      if (!(params ? method.params : method.results).empty) {
        const auto name = wrapper_name(method, params);
        out += "  using " + name + " = " + scope + name + ";\n";
      }
    }
  }
  out += "\n  [[nodiscard]] static const " + std::string{runtime} +
         "interface_info& interface_of() noexcept { return interface::info(); }\n\n";
  for (const auto& method : one.methods) {
    const auto parameter =
        method.params.empty ? std::string{} : wrapper_name(method, true) + " params";
    out += "  virtual " + std::string{runtime} + "async<" + results_type(method, "") + "> " +
           method.name + "(" + parameter + ") = 0;\n";
  }
  out += "\n  [[nodiscard]] " + std::string{runtime} +
         "detail::pending_method dispatch(std::uint16_t ordinal, " + runtime +
         "any_message params) final {\n    switch (ordinal) {\n";
  for (const auto& method : one.methods) {
    const auto argument =
        method.params.empty ? std::string{} : wrapper_name(method, true) + "{std::move(params)}";
    out += "      case " + std::to_string(method.ordinal) + ":\n        return " + method.name +
           "(" + argument + ");\n";
  }
  out += "      default:\n        break;\n    }\n    " + std::string{runtime} +
         "assertion_failed(\"an unknown method was dispatched\", __FILE__, __LINE__);\n  }\n};\n\n";
}

void write_reference(std::string& out, const actor_interface& one) {
  const auto scope = (one.cpp_namespace.empty() ? "::" : "::" + one.cpp_namespace + "::") +
                     one.name + "_interface";
  out += "/// A reference to one actor of type `" + one.type + "`.\n";
  out += "template <>\nclass actor_ref<" + one.cpp_type +
         "> {\npublic:\n  using interface = " + scope +
         ";\n\n  explicit actor_ref(std::string key) : key_(std::move(key)) {}\n" +
         "  [[nodiscard]] const std::string& key() const noexcept { return key_; }\n\n";
  for (const auto& method : one.methods) {
    const auto type = "call<" + results_type(method, "interface::") + ">";
    const auto ordinal = std::to_string(method.ordinal);
    const auto wrapper = "interface::" + wrapper_name(method, true);
    if (method.params.empty) {
      out += "  [[nodiscard]] " + type + " " + method.name + "() const { return make<" + type +
             ">(" + ordinal + ", any_message{}); }\n";
      continue;
    }
    if (method.params.constructible()) {
      out += "  [[nodiscard]] " + type + " " + method.name + "(" + parameter_list(method.params) +
             ") const {\n    return this->" + method.name + "(" + wrapper + "{" +
             argument_list(method.params) + "});\n  }\n";
    }
    out += "  [[nodiscard]] " + type + " " + method.name + "(" + wrapper +
           " params) const {\n    return make<" + type + ">(" + ordinal +
           ", std::move(params).take());\n  }\n";
  }
  out += R"(
private:
  template <class Call>
  [[nodiscard]] Call make(std::uint16_t method, any_message params) const {
    call_spec spec;
    spec.interface = &interface::info();
    spec.key = key_;
    spec.method = method;
    spec.params = std::move(params);
    return Call{std::move(spec)};
  }

  std::string key_;
};

)";
}

}  // namespace

std::string actor_header(const std::string& schema_file,
                         const std::vector<actor_interface>& interfaces) {
  const auto base = schema_file.substr(schema_file.rfind('/') + 1);
  std::string out =
      "// Generated by capnpc-millrace from " + base + ". Do not edit.\n" +
      "#pragma once\n\n#include <algorithm>\n#include <cstdint>\n#include <string>\n" +
      "#include <string_view>\n#include <utility>\n\n#include \"" + base +
      ".h\"\n#include \"millrace/runtime/actor.h\"\n\n";
  for (const auto& one : interfaces) {
    if (!one.cpp_namespace.empty()) {
      out += "namespace " + one.cpp_namespace + " {\n\n";
    }
    write_interface(out, one);
    write_base(out, one);
    if (!one.cpp_namespace.empty()) {
      out += "}  // namespace " + one.cpp_namespace + "\n\n";
    }
    out += "namespace millrace::runtime {\n\n";
    write_reference(out, one);
    out += "}  // namespace millrace::runtime\n\n";
  }
  return out;
}

}  // namespace millrace::schemas::compiler

// NOLINTEND(performance-inefficient-string-concatenation)
