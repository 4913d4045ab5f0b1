// SPDX-License-Identifier: MIT
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "definition/expression_tree.h"
#include "definition/message_text.h"
#include "definition/value_json.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/suggestion.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::result;

std::optional<value> expression_scope::param(std::string_view) const {
  return std::nullopt;
}
std::optional<value> expression_scope::matrix(std::string_view) const {
  return std::nullopt;
}
std::optional<value> expression_scope::item() const {
  return std::nullopt;
}
std::optional<value> expression_scope::output(std::string_view, std::string_view) const {
  return std::nullopt;
}
std::string expression_scope::refusal_of_output(std::string_view, std::string_view) const {
  return {};
}
std::optional<value> expression_scope::status(std::string_view) const {
  return std::nullopt;
}
std::optional<value> expression_scope::artifact(std::string_view, std::string_view) const {
  return std::nullopt;
}
std::optional<value> expression_scope::exit_code(std::string_view) const {
  return std::nullopt;
}
std::optional<value> expression_scope::callback(std::string_view) const {
  return std::nullopt;
}
std::optional<value> expression_scope::run(std::string_view) const {
  return std::nullopt;
}
std::optional<value> expression_scope::trigger(std::string_view,
                                               const std::vector<std::string>&) const {
  return std::nullopt;
}
std::optional<bool> expression_scope::needs_succeeded() const {
  return std::nullopt;
}
std::optional<bool> expression_scope::needs_failed() const {
  return std::nullopt;
}

namespace {

std::optional<value> find_in(const map_scope::names& names, std::string_view name) {
  const auto found = names.find(name);
  return found == names.end() ? std::nullopt : std::optional{found->second};
}

// `params.day`
std::string dotted(std::string name, const std::vector<std::string>& path) {
  for (const auto& step : path) {
    name.append(".").append(step);
  }
  return name;
}

error wrong_type(std::string_view where, std::string_view wanted, const value& found) {
  return {errc::invalid_argument, "`" + std::string{where} + "` takes " + std::string{wanted} +
                                      ", not " + std::string{to_string(found.type())} + " `" +
                                      to_text(found).substr(0, 80) + "`"};
}

bool is_number(const value& content) {
  return content.integer() != nullptr || content.floating() != nullptr;
}

double number_of(const value& content) {
  return content.integer() != nullptr ? static_cast<double>(*content.integer())
                                      : *content.floating();
}

bool same(const value& a, const value& b) {
  if (is_number(a) && is_number(b) && a.type() != b.type()) {
    return number_of(a) == number_of(b);
  }
  if (a.items() != nullptr && b.items() != nullptr) {
    return std::equal(a.items()->begin(), a.items()->end(), b.items()->begin(), b.items()->end(),
                      same);
  }
  return a == b;
}

// Whether one may be equal to the other: a type that never is tells of a mistake. A list or map may
// hold anything.
bool may_be_same(const value& a, const value& b) {
  return a.is_null() || b.is_null() || a.type() == b.type() || (is_number(a) && is_number(b));
}

std::string shown(const value& each) {
  constexpr std::size_t shown_bytes_max = 80;
  return "the " + std::string{to_string(each.type())} + " `" +
         one_line(to_text(each), shown_bytes_max) + "`";
}

error never_equal(std::string_view where, const value& a, const value& b) {
  const auto* number = is_number(a) ? &a : is_number(b) ? &b : nullptr;
  const auto with_text = a.text() != nullptr || b.text() != nullptr;
  return {errc::invalid_argument,
          "`" + std::string{where} + "` compares " + shown(a) + " with " + shown(b) +
              ", which are never equal" +
              (number != nullptr && with_text
                   ? "; convert the string: `" + std::string{to_string(number->type())} + "(...)`"
                   : "")};
}

error misordered(std::string_view where, const value& a, const value& b) {
  return {errc::invalid_argument, "`" + std::string{where} + "` compares " + shown(a) + " with " +
                                      shown(b) +
                                      ", which are ordered otherwise as numbers; convert both: "
                                      "`int(...)` or `float(...)`"};
}

// What `join` makes; a text of a definition has as much.
constexpr std::size_t joined_bytes_max = std::size_t{1} << 20U;

// What `zip` makes, which is a hundred bytes a field.
constexpr std::size_t zipped_values_max = 4 * task_instances_max;

// Of an operation by itself, and of an element of what it makes.
constexpr std::uint64_t operation_steps = 8;
// So many bytes of a text are a step.
constexpr std::size_t bytes_a_step = 16;

std::uint64_t steps_to_make(const value& made) {
  std::uint64_t steps = operation_steps;
  if (const auto* text = made.text()) {
    steps += text->size() / bytes_a_step;
  } else if (const auto* items = made.items()) {
    for (const auto& each : *items) {
      steps += steps_to_make(each);
    }
  } else if (const auto* entries = made.entries()) {
    for (const auto& [name, content] : *entries) {
      steps += name.size() / bytes_a_step + steps_to_make(content);
    }
  }
  return steps;
}

error too_much_work() {
  return {errc::too_large,
          "too much work: long texts, long lists and large patterns count; have a command do it"};
}

// The first place of a part, by an algorithm that is linear however both are made.
std::size_t place_of(std::string_view part, std::string_view whole) {
  const auto* found =
      static_cast<const char*>(::memmem(whole.data(), whole.size(), part.data(), part.size()));
  return found != nullptr ? static_cast<std::size_t>(found - whole.data()) : std::string_view::npos;
}

class evaluator {
public:
  evaluator(const expression_scope& scope, evaluation_budget& budget)
      : scope_(scope), budget_(budget) {}

  [[nodiscard]] result<value> of(const expression_node& node) const {
    if (budget_.is_spent()) {
      return too_much_work();
    }
    auto made = value_of(node);
    return !made || budget_.spend(steps_to_make(*made)) ? std::move(made) : too_much_work();
  }

private:
  [[nodiscard]] result<value> value_of(const expression_node& node) const {
    switch (node.what) {
      case operation::literal:
        return node.literal;
      case operation::reference:
        return reference(node);
      case operation::negation:
      case operation::both:
      case operation::either:
        return logic(node);
      case operation::equal:
      case operation::unequal:
      case operation::less:
      case operation::less_equal:
      case operation::greater:
      case operation::greater_equal:
        return comparison(node);
      case operation::call:
        return call(node);
    }
    return error{errc::internal, "unknown operation"};
  }

  [[nodiscard]] std::optional<value> find(const expression_node& node) const {
    switch (node.refers_to) {
      case reference_kind::param:
        return scope_.param(node.name);
      case reference_kind::matrix:
        return scope_.matrix(node.name);
      case reference_kind::item:
        return scope_.item();
      case reference_kind::output:
        return scope_.output(node.name, node.key);
      case reference_kind::status:
        return scope_.status(node.name);
      case reference_kind::exit_code:
        return scope_.exit_code(node.name);
      case reference_kind::artifact:
        return scope_.artifact(node.name, node.key);
      case reference_kind::callback:
        return scope_.callback(node.name);
      case reference_kind::run:
        return scope_.run(node.name);
      case reference_kind::trigger:
        return scope_.trigger(node.name, node.path);
    }
    return std::nullopt;
  }

  static std::string name_in_messages(const expression_node& node) {
    if (node.what == operation::call) {
      return dotted(std::string{name_of(node.function)} + "()", node.path);
    }
    switch (node.refers_to) {
      case reference_kind::param:
        return "params." + node.name;
      case reference_kind::matrix:
        return dotted("matrix." + node.name, node.path);
      case reference_kind::item:
        return dotted("item", node.path);
      case reference_kind::output:
        return "tasks." + node.name + ".outputs." + node.key;
      case reference_kind::status:
        return "tasks." + node.name + ".status";
      case reference_kind::exit_code:
        return "tasks." + node.name + ".exit_code";
      case reference_kind::artifact:
        return "tasks." + node.name + ".artifacts." + node.key;
      case reference_kind::callback:
        return "tasks." + node.name + ".callback";
      case reference_kind::run:
        return "run." + node.name;
      case reference_kind::trigger:
        return "trigger." + dotted(node.name, node.path);
    }
    return {};
  }

  [[nodiscard]] result<value> reference(const expression_node& node) const {
    const auto found = find(node);
    const auto why = !found && node.refers_to == reference_kind::output
                         ? scope_.refusal_of_output(node.name, node.key)
                         : std::string{};
    if (!why.empty()) {
      return error{errc::too_large, "`" + name_in_messages(node) + "` " + why};
    }
    if (!found) {
      return error{errc::failed_precondition,
                   "`" + name_in_messages(node) + "` has no value here" +
                       (node.refers_to == reference_kind::output
                            ? ": `" + node.name + "` has succeeded and wrote no output `" +
                                  node.key + "`; write it, or declare it with a `default`"
                            : "")};
    }
    const auto has_fields =
        node.refers_to == reference_kind::item || node.refers_to == reference_kind::matrix;
    return node.has_key ? entry(*found, node)
           : has_fields ? field(*found, node)
                        : result<value>{*found};
  }

  // An element of a list by its number from 0; null: it is no list, or has none.
  static const value* element(const value& whole, const std::string& step) {
    const auto* items = whole.items();
    std::size_t index = 0;
    const auto* end = step.data() + step.size();
    const auto parsed = std::from_chars(step.data(), end, index);
    return items != nullptr && parsed.ec == std::errc{} && parsed.ptr == end &&
                   index < items->size() && (step.size() == 1 || step.front() != '0')
               ? &(*items)[index]
               : nullptr;
  }

  // Of a record, or in JSON; what it does not have is a mistake, since nothing says so earlier.
  static result<value> field(const value& whole, const expression_node& node) {
    const auto* at = &whole;
    for (const auto& step : node.path) {
      if (const auto* one = element(*at, step)) {
        at = one;
        continue;
      }
      const auto no_value = "`" + name_in_messages(node) + "` has no value here: " + shown(*at);
      if (at->items() != nullptr) {
        return error{errc::failed_precondition,
                     no_value + " has no element `" + shown_name(step) + "`"};
      }
      if (at->entries() == nullptr) {
        return error{errc::failed_precondition, no_value + " has no fields"};
      }
      const auto found = at->entries()->find(step);
      if (found == at->entries()->end()) {
        suggestion near{step};
        for (const auto& [name, content] : *at->entries()) {
          near.consider(name);
        }
        return error{
            errc::failed_precondition,
            no_value + " has no `" + shown_name(step) + "`" +
                (near.best().empty() ? "" : "; did you mean `" + shown_name(near.best()) + "`?")};
      }
      at = &found->second;
    }
    return *at;
  }

  // Of a map; what is not there reads as null.
  static result<value> entry(const value& whole, const expression_node& node) {
    if (whole.is_null()) {
      return whole;
    }
    if (whole.entries() == nullptr) {
      return error{errc::invalid_argument, "`" + name_in_messages(node) + "` is of type `" +
                                               std::string{to_string(whole.type())} +
                                               "` and has no parts"};
    }
    const auto found = whole.entries()->find(node.key);
    return found == whole.entries()->end() ? make_value() : found->second;
  }

  [[nodiscard]] result<value> logic(const expression_node& node) const {
    for (const auto& each : node.operands) {
      auto operand = of(*each);
      if (!operand) {
        return operand;
      }
      const bool* decided = operand->boolean();
      if (decided == nullptr) {
        return wrong_type(symbol_of(node.what), "booleans", *operand);
      }
      if (node.what == operation::negation) {
        return make_value(!*decided);
      }
      if (*decided == (node.what == operation::either)) {
        return make_value(*decided);
      }
    }
    return make_value(node.what == operation::both);
  }

  [[nodiscard]] result<value> comparison(const expression_node& node) const {
    auto left = of(*node.operands[0]);
    if (!left) {
      return left;
    }
    auto right = of(*node.operands[1]);
    if (!right) {
      return right;
    }
    if (node.what == operation::equal || node.what == operation::unequal) {
      if (!may_be_same(*left, *right)) {
        return never_equal(symbol_of(node.what), *left, *right);
      }
      return make_value(same(*left, *right) == (node.what == operation::equal));
    }
    if (left->integer() != nullptr && right->integer() != nullptr) {
      return make_value(ordered(node.what, *left->integer(), *right->integer()));
    }
    if (is_number(*left) && is_number(*right)) {
      return make_value(ordered(node.what, number_of(*left), number_of(*right)));
    }
    if (left->text() != nullptr && right->text() != nullptr) {
      const auto as_texts = ordered(node.what, *left->text(), *right->text());
      const auto first = to_float(*left);
      const auto second = to_float(*right);
      // Nobody means '10' < '9'; dates and names of one length are the same either way, also where
      // they have more digits than a number of floating point.
      const auto as_numbers =
          first && second ? ordered(node.what, number_of(*first), number_of(*second)) : as_texts;
      const auto may_be_rounded = first && second && number_of(*first) == number_of(*second) &&
                                  left->text()->size() == right->text()->size();
      if (as_numbers != as_texts && !may_be_rounded) {
        return misordered(symbol_of(node.what), *left, *right);
      }
      return make_value(as_texts);
    }
    const bool left_fits = is_number(*left) || left->text() != nullptr;
    return wrong_type(symbol_of(node.what), "two numbers or two strings",
                      left_fits ? *right : *left);
  }

  template <class Operand>
  static bool ordered(operation what, const Operand& left, const Operand& right) {
    switch (what) {
      case operation::less:
        return left < right;
      case operation::less_equal:
        return left <= right;
      case operation::greater:
        return left > right;
      default:
        return left >= right;
    }
  }

  [[nodiscard]] result<value> call(const expression_node& node) const {
    std::vector<value> operands;
    for (const auto& each : node.operands) {
      auto operand = of(*each);
      if (!operand) {
        return operand;
      }
      operands.push_back(*std::move(operand));
    }
    switch (node.function) {
      case function_name::contains:
        return contains(operands[0], operands[1]);
      case function_name::starts_with:
      case function_name::ends_with:
        return edge(node.function, operands[0], operands[1]);
      case function_name::length:
        return length(operands[0]);
      case function_name::to_int:
        return to_int(operands[0]);
      case function_name::to_float:
        return to_float(operands[0]);
      case function_name::to_string:
        return make_value(to_text(operands[0]));
      case function_name::split:
        return split(operands[0], operands[1]);
      case function_name::join:
        return join(operands[0], operands[1]);
      case function_name::range:
        return range(operands[0], operands[1]);
      case function_name::zip:
        return zip(node.operand_names, operands);
      case function_name::matches:
      case function_name::extract:
        return match(node, operands[0]);
      case function_name::from_json:
        return json(operands[0], node);
      case function_name::success:
        return known(scope_.needs_succeeded(), "success()");
      case function_name::failure:
        return known(scope_.needs_failed(), "failure()");
      case function_name::always:
        return make_value(true);
    }
    return error{errc::internal, "unknown function"};
  }

  static result<value> known(std::optional<bool> decided, std::string_view name) {
    if (!decided) {
      return error{errc::failed_precondition, "`" + std::string{name} + "` has no value here"};
    }
    return make_value(*decided);
  }

  static result<value> contains(const value& whole, const value& part) {
    if (const auto* items = whole.items()) {
      if (std::any_of(items->begin(), items->end(),
                      [&](const value& each) { return same(each, part); })) {
        return make_value(true);
      }
      const auto odd = std::find_if(items->begin(), items->end(),
                                    [&](const value& each) { return !may_be_same(each, part); });
      if (odd != items->end()) {
        return never_equal("contains", *odd, part);
      }
      return make_value(false);
    }
    if (whole.entries() != nullptr && part.text() != nullptr) {
      return make_value(whole.entries()->contains(*part.text()));
    }
    if (whole.text() == nullptr) {
      return wrong_type("contains", "a string, a list or a map first", whole);
    }
    if (part.text() == nullptr) {
      return wrong_type("contains", "a string in a string", part);
    }
    return make_value(place_of(*part.text(), *whole.text()) != std::string::npos);
  }

  static result<value> edge(function_name function, const value& whole, const value& part) {
    for (const auto* each : {&whole, &part}) {
      if (each->text() == nullptr) {
        return wrong_type(name_of(function), "strings", *each);
      }
    }
    return make_value(function == function_name::starts_with
                          ? whole.text()->starts_with(*part.text())
                          : whole.text()->ends_with(*part.text()));
  }

  // The value that the text is, or what the path leads to in it.
  result<value> json(const value& text, const expression_node& node) const {
    if (text.text() == nullptr) {
      return wrong_type("json", "a string", text);
    }
    if (!budget_.spend(text.text()->size())) {
      return too_much_work();
    }
    const auto read = parse_json(*text.text());
    if (!read) {
      return error{errc::invalid_argument, "`json` is given a text that is none: " + shown(text) +
                                               ": " + read.error().text()};
    }
    auto whole = from_json_value(*read);
    return field(whole, node);
  }

  // The parts between the separators; nothing of an empty text.
  static result<value> split(const value& whole, const value& separator) {
    for (const auto* each : {&whole, &separator}) {
      if (each->text() == nullptr) {
        return wrong_type("split", "strings", *each);
      }
    }
    if (separator.text()->empty()) {
      return error{errc::invalid_argument, "`split` takes a separator that is not empty"};
    }
    value::list parts;
    std::string_view left = *whole.text();
    while (!left.empty()) {
      if (parts.size() >= task_instances_max) {
        return error{errc::invalid_argument,
                     "`split` makes at most " + std::to_string(task_instances_max) + " parts"};
      }
      const auto end = std::min(place_of(*separator.text(), left), left.size());
      parts.push_back(make_value(std::string{left.substr(0, end)}));
      if (end == left.size()) {
        break;
      }
      left.remove_prefix(end + separator.text()->size());
      if (left.empty()) {
        parts.push_back(make_value(""));  // after the last separator
      }
    }
    return make_value(std::move(parts));
  }

  static result<value> join(const value& parts, const value& separator) {
    if (parts.items() == nullptr) {
      return wrong_type("join", "a list first", parts);
    }
    if (separator.text() == nullptr) {
      return wrong_type("join", "a string second", separator);
    }
    std::string whole;
    for (const auto& each : *parts.items()) {
      if (whole.size() > joined_bytes_max) {
        return error{errc::invalid_argument,
                     "`join` makes at most " + std::to_string(joined_bytes_max) + " bytes"};
      }
      whole += (&each == &parts.items()->front() ? "" : *separator.text()) + to_text(each);
    }
    return make_value(std::move(whole));
  }

  // The whole numbers from the first, without the second.
  static result<value> range(const value& first, const value& end) {
    for (const auto* each : {&first, &end}) {
      if (each->integer() == nullptr) {
        return wrong_type("range", "whole numbers", *each);
      }
    }
    const auto from = *first.integer();
    const auto to = *end.integer();
    const auto width = static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from);
    if (from < to && width > task_instances_max) {
      return error{errc::invalid_argument,
                   "`range` makes at most " + std::to_string(task_instances_max) + " numbers"};
    }
    value::list numbers;
    for (auto each = from; each < to; ++each) {
      numbers.push_back(make_value(each));
    }
    return make_value(std::move(numbers));
  }

  // Records of the elements of one index.
  static result<value> zip(const std::vector<std::string>& names, std::vector<value>& operands) {
    std::vector<value::list> lists;
    lists.reserve(operands.size());
    for (auto& each : operands) {
      auto found = fan_list_of(std::move(each));
      if (!found) {
        return error{errc::invalid_argument,
                     "`zip`: " + names[lists.size()] + ": " + found.error().text()};
      }
      if (!lists.empty() && found->size() != lists[0].size()) {
        return error{errc::invalid_argument, "`zip` takes lists of one length: `" + names[0] +
                                                 "` has " + std::to_string(lists[0].size()) +
                                                 " and `" + names[lists.size()] + "` has " +
                                                 std::to_string(found->size())};
      }
      lists.push_back(*std::move(found));
    }
    if (lists[0].size() * lists.size() > zipped_values_max) {
      return error{errc::invalid_argument,
                   "`zip` makes at most " + std::to_string(zipped_values_max) + " fields in all"};
    }
    value::list records;
    records.reserve(lists[0].size());
    for (std::size_t at = 0; at < lists[0].size(); ++at) {
      value::map record;
      for (std::size_t each = 0; each < names.size(); ++each) {
        record.emplace(names[each], std::move(lists[each][at]));
      }
      records.push_back(make_value(std::move(record)));
    }
    return make_value(std::move(records));
  }

  [[nodiscard]] result<value> match(const expression_node& node, const value& whole) const {
    if (whole.text() == nullptr) {
      return wrong_type(name_of(node.function), "a string first", whole);
    }
    if (const auto steps = node.pattern->steps_for(*whole.text());
        steps <= pattern_steps_max && !budget_.spend(steps)) {
      return too_much_work();
    }
    if (node.function == function_name::matches) {
      const auto found = node.pattern->is_in(*whole.text());
      return found ? result<value>{make_value(*found)} : found.error();
    }
    auto part = node.pattern->find_in(*whole.text());
    if (!part) {
      return std::move(part).error();
    }
    return *part ? make_value(**std::move(part)) : value{};
  }

  // Characters of a string, elements of a list or map.
  static result<value> length(const value& operand) {
    if (operand.items() != nullptr) {
      return make_value(static_cast<std::int64_t>(operand.items()->size()));
    }
    if (operand.entries() != nullptr) {
      return make_value(static_cast<std::int64_t>(operand.entries()->size()));
    }
    if (operand.text() == nullptr) {
      return wrong_type("length", "a string, a list or a map", operand);
    }
    std::int64_t count = 0;
    for (const char c : *operand.text()) {
      count += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U ? 1 : 0;
    }
    return make_value(count);
  }

  static result<value> to_int(const value& operand) {
    if (operand.integer() != nullptr) {
      return operand;
    }
    if (const auto* real = operand.floating()) {
      constexpr double limit = 9'007'199'254'740'992.0;  // 2^53: exact up to here
      if (std::trunc(*real) == *real && std::abs(*real) <= limit) {
        return make_value(static_cast<std::int64_t>(*real));
      }
    }
    if (const auto* text = operand.text()) {
      std::int64_t number = 0;
      const auto* limit = text->data() + text->size();
      const auto [after, failure] = std::from_chars(text->data(), limit, number);
      if (failure == std::errc{} && after == limit) {
        return make_value(number);
      }
    }
    return wrong_type("int", "a whole number", operand);
  }

  static result<value> to_float(const value& operand) {
    if (is_number(operand)) {
      return make_value(number_of(operand));
    }
    if (const auto* text = operand.text()) {
      double number = 0;
      const auto* limit = text->data() + text->size();
      const auto [after, failure] = std::from_chars(text->data(), limit, number);
      if (failure == std::errc{} && after == limit && std::isfinite(number)) {
        return make_value(number);
      }
    }
    return wrong_type("float", "a number", operand);
  }

  const expression_scope& scope_;
  evaluation_budget& budget_;
};

}  // namespace

std::optional<value> map_scope::param(std::string_view name) const {
  return find_in(params, name);
}
std::optional<value> map_scope::matrix(std::string_view axis) const {
  return find_in(matrix_values, axis);
}
std::optional<value> map_scope::item() const {
  return item_value;
}
std::optional<value> map_scope::output(std::string_view task, std::string_view key) const {
  const auto found = outputs.find(task);
  return found == outputs.end() ? std::nullopt : find_in(found->second, key);
}
std::optional<value> map_scope::status(std::string_view task) const {
  const auto found = statuses.find(task);
  return found == statuses.end() ? std::nullopt : std::optional{make_value(found->second)};
}
std::optional<value> map_scope::exit_code(std::string_view task) const {
  return find_in(exit_codes, task);
}
std::optional<value> map_scope::run(std::string_view name) const {
  return find_in(run_values, name);
}
std::optional<value> map_scope::trigger(std::string_view name,
                                        const std::vector<std::string>& path) const {
  return find_in(trigger_values, dotted(std::string{name}, path));
}
std::optional<bool> map_scope::needs_succeeded() const {
  return all_succeeded;
}
std::optional<bool> map_scope::needs_failed() const {
  return one_failed;
}

result<value> evaluate(const expression& formula, const expression_scope& scope,
                       evaluation_budget& budget) {
  return evaluator{scope, budget}.of(formula.root());
}

result<value> evaluate(const expression& formula, const expression_scope& scope) {
  evaluation_budget budget;
  return evaluate(formula, scope, budget);
}

}  // namespace millrace::actors
