// SPDX-License-Identifier: MIT
#include "millrace/actors/params.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

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

template <class Number>
std::optional<value> number_of(const std::string& text) {
  Number number{};
  const auto* end = text.data() + text.size();
  const auto [after, failure] = std::from_chars(text.data(), end, number);
  if (failure != std::errc{} || after != end) {
    return std::nullopt;
  }
  return make_value(number);
}

std::optional<value> from_text(param_type type, const std::string& text) {
  switch (type) {
    case param_type::text:
      return make_value(text);
    case param_type::integer:
      return number_of<std::int64_t>(text);
    case param_type::floating:
      return number_of<double>(text);
    case param_type::boolean:
      return text == "true" || text == "false" ? std::optional{make_value(text == "true")}
                                               : std::nullopt;
  }
  return std::nullopt;
}

std::optional<value> from_value(param_type type, const value& given) {
  const auto* whole = given.integer();
  switch (type) {
    case param_type::text:
      return given.text() != nullptr ? std::optional{given} : std::nullopt;
    case param_type::integer:
      return whole != nullptr ? std::optional{given} : std::nullopt;
    case param_type::floating:
      return whole != nullptr              ? std::optional{make_value(static_cast<double>(*whole))}
             : given.floating() != nullptr ? std::optional{given}
                                           : std::nullopt;
    case param_type::boolean:
      return given.boolean() != nullptr ? std::optional{given} : std::nullopt;
  }
  return std::nullopt;
}

class binder {
public:
  explicit binder(const pipeline_definition& definition) : definition_(definition) {}

  void complain(const std::string& name, std::string text, std::string hint = {}) {
    bound_.diagnostics.push_back({"", 0, 0, "/params/" + name, std::move(text), std::move(hint)});
  }

  // `read` makes a value of the parameter's type from what was given, or nothing.
  template <class Given, class Read>
  bound_params bind(const Given& given, const Read& read) {
    for (const auto& [name, content] : given) {
      check_known(name);
    }
    for (const auto& param : definition_.params) {
      const auto found = given.find(param.name);
      if (found == given.end()) {
        if (param.required) {
          complain(param.name, "the parameter `" + param.name + "` is required",
                   "give it with `-p " + param.name + "=...`");
        }
        bound_.values[param.name] = param.fallback.value_or(value{});
        continue;
      }
      auto content = read(param.type, found->second);
      if (!content) {
        complain(param.name, "the parameter `" + param.name + "` must be of type `" +
                                 std::string{to_string(param.type)} + "`");
      } else {
        check_content(param, *content);
        bound_.values[param.name] = std::move(*content);
      }
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

  void check_content(const param_definition& param, const value& content) {
    const auto text = to_text(content);
    if (text.size() > param_value_bytes_max) {
      complain(param.name, "the parameter `" + param.name + "` is longer than 64 KiB",
               "pass the name of a file");
    } else if (text.find('\0') != std::string::npos) {
      complain(param.name, "the parameter `" + param.name + "` holds a NUL character");
    }
    if (!param.choices.empty() &&
        std::find(param.choices.begin(), param.choices.end(), content) == param.choices.end()) {
      std::string all;
      for (const auto& each : param.choices) {
        all += (all.empty() ? "`" : ", `") + to_text(each) + "`";
      }
      complain(param.name, "the parameter `" + param.name + "` must be one of " + all);
    }
  }

  const pipeline_definition& definition_;
  bound_params bound_;
};

}  // namespace

bound_params bind_params(const pipeline_definition& definition,
                         const std::map<std::string, std::string>& given) {
  return binder{definition}.bind(given, from_text);
}

bound_params bind_params_json(const pipeline_definition& definition, std::string_view json_object) {
  std::map<std::string, value> given;
  if (!json_object.empty()) {
    const auto json = parse_json(json_object);
    if (!json || !json->is_object()) {
      bound_params refused;
      refused.diagnostics.push_back({"", 0, 0, "/params", "`params` must be a JSON object", ""});
      return refused;
    }
    for (const auto& [name, content] : json->items()) {
      given.emplace(name, from_json_value(content));
    }
  }
  return binder{definition}.bind(given, from_value);
}

std::string param_variable(std::string_view name) {
  return variable("MILLRACE_PARAM_", name);
}
std::string matrix_variable(std::string_view axis) {
  return variable("MILLRACE_MATRIX_", axis);
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
