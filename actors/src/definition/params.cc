// SPDX-License-Identifier: MIT
#include "millrace/actors/params.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "definition/message_text.h"
#include "definition/param_values.h"
#include "definition/value_json.h"
#include "millrace/actors/suggestion.h"

namespace millrace::actors {

namespace {

std::string variable(std::string_view prefix, std::string_view name) {
  std::string made{prefix};
  for (const char each : name) {
    made += each == '-' || each == '.'   ? '_'
            : each >= 'a' && each <= 'z' ? static_cast<char>(each - 'a' + 'A')
                                         : each;
  }
  return made;
}

class binder {
public:
  explicit binder(const pipeline_definition& definition) : definition_(definition) {}

  void complain(const std::string& name, const std::string& text, const std::string& hint = {},
                const std::string& place = {}) {
    // The name may be anything that somebody sent.
    bound_.diagnostics.push_back(
        {"", 0, 0, "/params/" + name + place, visible(text), visible(hint)});
  }

  // `read` makes a value of the parameter's type from what was given. What is null was not given.
  template <class Given, class Read>
  bound_params bind(const Given& given, const Read& read) {
    for (const auto& [name, content] : given) {
      check_known(name);
    }
    for (const auto& param : definition_.params) {
      const auto found = given.find(param.name);
      if (found == given.end() || is_nothing(found->second)) {
        if (param.required) {
          complain(param.name, "the parameter `" + param.name + "` is required",
                   "give it with `-p " + param.name + "=...`");
        }
        bound_.values[param.name] = param.fallback.value_or(value{});
        continue;
      }
      auto reading = read(param, found->second);
      if (reading.content) {
        reading = check_param_value(param, *std::move(reading.content));
      }
      if (!reading.content) {
        complain(param.name, "the parameter `" + param.name + "` " + reading.text, reading.hint,
                 reading.place);
        continue;
      }
      bound_.values[param.name] = *std::move(reading.content);
    }
    return std::move(bound_);
  }

private:
  void check_known(const std::string& name) {
    suggestion near{name};
    for (const auto& param : definition_.params) {
      if (param.name == name) {
        return;
      }
      near.consider(param.name);
    }
    complain(name, "the pipeline has no parameter `" + name + "`",
             near.best().empty() ? "" : "did you mean `" + std::string{near.best()} + "`?");
  }

  static bool is_nothing(const std::string&) { return false; }
  static bool is_nothing(const value& given) { return given.is_null(); }

  const pipeline_definition& definition_;
  bound_params bound_;
};

}  // namespace

bound_params bind_params(const pipeline_definition& definition,
                         const std::map<std::string, std::string>& given) {
  return binder{definition}.bind(given, read_param_text);
}

bound_params bind_params_json(const pipeline_definition& definition, std::string_view json_object) {
  std::map<std::string, value> given;
  if (!json_object.empty()) {
    const auto json = parse_json(json_object);
    if (!json || !json->is_object()) {
      bound_params refused;
      refused.diagnostics.push_back(
          {"", 0, 0, "/params",
           "`params` must be a JSON object" + (json ? "" : ": " + json.error().text()), ""});
      return refused;
    }
    for (const auto& [name, content] : json->items()) {
      given.emplace(name, from_json_value(content));
    }
  }
  return binder{definition}.bind(given, read_param_value);
}

std::string to_json(const bound_params& params) {
  return to_json(make_value(value::map{params.values.begin(), params.values.end()}));
}

std::string param_variable(std::string_view name) {
  return variable("MILLRACE_PARAM_", name);
}
std::string matrix_variable(std::string_view axis) {
  return variable("MILLRACE_MATRIX_", axis);
}
std::string item_field_variable(std::string_view field) {
  return variable("MILLRACE_ITEM_", field);
}

std::map<std::string, std::string> environment_of(const bound_params& params) {
  std::map<std::string, std::string> environment;
  for (const auto& [name, content] : params.values) {
    if (!content.is_null()) {
      environment[param_variable(name)] = to_text(content);
    }
  }
  return environment;
}

}  // namespace millrace::actors
