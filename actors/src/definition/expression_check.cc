// SPDX-License-Identifier: MIT
#include "definition/expression_check.h"

#include <algorithm>
#include <array>

#include "definition/expression_tree.h"
#include "millrace/actors/name_rule.h"
#include "millrace/actors/suggestion.h"
#include "millrace/actors/webhook.h"

namespace millrace::actors {
namespace {

constexpr std::array<std::string_view, 4> run_end_states{"succeeded", "failed", "cancelled",
                                                         "timed_out"};

bool is_number(value_type type) {
  return type == value_type::integer || type == value_type::floating;
}

// A value of a type, in a sentence.
std::string some(value_type type) {
  return (type == value_type::integer ? "an " : "a ") + std::string{to_string(type)};
}

class checker {
public:
  checker(const check_scope& scope, std::vector<expression_error>& failures)
      : scope_(scope), failures_(failures) {}

  known_type of(const expression_node& node) {
    switch (node.what) {
      case operation::literal:
        return node.literal.type();
      case operation::reference:
        return reference(node);
      case operation::negation:
      case operation::both:
      case operation::either:
        for (const auto& each : node.operands) {
          const auto type = of(*each);
          if (type && *type != value_type::boolean) {
            fail(*each,
                 "`" + std::string{symbol_of(node.what)} + "` takes booleans, not " + some(*type));
          }
        }
        return value_type::boolean;
      case operation::call:
        return call(node);
      default:
        comparison(node);
        return value_type::boolean;
    }
  }

private:
  void fail(const expression_node& node, std::string text, std::string hint = {}) {
    failures_.push_back({node.offset, std::move(text), std::move(hint)});
  }

  static std::string did_you_mean(std::string_view near) {
    return near.empty() ? std::string{} : "did you mean `" + std::string{near} + "`?";
  }

  known_type named(const expression_node& node, const check_scope::lookup& lookup,
                   std::string_view what, std::string_view absent, std::string_view remedy) {
    known_type type;
    std::string near;
    if (!lookup) {
      fail(node, std::string{absent}, std::string{remedy});
    } else if (!lookup(node.name, type, near)) {
      failures_.push_back({node.name_offset,
                           "unknown " + std::string{what} + " `" + node.name + "`",
                           near.empty() ? std::string{remedy} : did_you_mean(near)});
    }
    return type;
  }

  known_type entry(const expression_node& node, known_type whole) {
    if (whole && *whole != value_type::map) {
      failures_.push_back({node.key_offset,
                           "`params." + node.name + "` is of type `" +
                               std::string{to_string(*whole)} + "` and has no parts",
                           "declare it with `type: map`"});
    }
    return std::nullopt;
  }

  // Below what is known to be of type `whole`.
  known_type field(const expression_node& node, const std::string& name, known_type whole) {
    if (whole && *whole != value_type::map) {
      failures_.push_back(
          {node.key_offset,
           "`" + name + "` is of type `" + std::string{to_string(*whole)} + "` and has no fields",
           "an item with fields is written `{host: a, port: 1}`"});
    }
    return std::nullopt;
  }

  known_type item_field(const expression_node& node) {
    if (!scope_.item_field) {
      return field(node, "item", *scope_.item);
    }
    known_type type;
    std::string near;
    if (!scope_.item_field(node.path[0], type, near)) {
      failures_.push_back({node.key_offset,
                           "no item has a field `" + shown_name(node.path[0]) + "`",
                           near.empty() ? "the items of `for_each` say which fields there are"
                                        : did_you_mean(near)});
      return std::nullopt;
    }
    return node.path.size() == 1 ? type : field(node, "item." + node.path[0], type);
  }

  known_type trigger(const expression_node& node) {
    if (scope_.trigger == trigger_kind::none) {
      fail(node, "`trigger` is not available here", "it exists in the `params` of a trigger");
      return std::nullopt;
    }
    if (scope_.trigger == trigger_kind::request) {
      return request(node);
    }
    if (scope_.trigger == trigger_kind::version) {
      return version(node);
    }
    if (node.name == "params") {
      return std::nullopt;
    }
    if (node.name == "version" && !node.path.empty()) {
      failures_.push_back({node.key_offset, "`trigger.version` is a number and has no fields", {}});
    }
    if (node.name == "version") {
      return value_type::integer;
    }
    if (node.name != "run" && node.name != "pipeline" && node.name != "state" &&
        node.name != "outputs") {
      failures_.push_back({node.name_offset, "unknown name `trigger." + node.name + "`",
                           "write `trigger.run`, `trigger.pipeline`, `trigger.state`, "
                           "`trigger.version`, `trigger.params.NAME` or `trigger.outputs.NAME`"});
    }
    return value_type::text;
  }

  // Of a header that is not there it is null; of the body anything.
  known_type request(const expression_node& node) {
    if (node.name == "headers") {
      if (auto refused = refusal_of_webhook_header(node.path.front()); !refused.empty()) {
        failures_.push_back(
            {node.key_offset, "the header `" + node.path.front() + "` " + std::move(refused), {}});
      }
    } else if (node.name != "body") {
      failures_.push_back({node.name_offset, "unknown name `trigger." + node.name + "`",
                           "write `trigger.body.NAME` or `trigger.headers.NAME`"});
    }
    return std::nullopt;
  }

  // A text, or a record with any fields.
  known_type version(const expression_node& node) {
    if (node.name != "version") {
      failures_.push_back({node.name_offset, "unknown name `trigger." + node.name + "`",
                           "write `trigger.version`, or `trigger.version.NAME`"});
    }
    return std::nullopt;
  }

  known_type reference(const expression_node& node) {
    known_type type;
    switch (node.refers_to) {
      case reference_kind::param:
        type = named(node, scope_.param, "parameter", "parameters are not available here",
                     where_param());
        return node.has_key ? entry(node, type) : type;
      case reference_kind::matrix:
        type = named(node, scope_.matrix, "matrix axis", "`matrix` is not available here",
                     "it exists in the `env`, `command` and `when` of a task with `matrix`");
        return node.path.empty() ? type : field(node, "matrix." + node.name, type);
      case reference_kind::item:
        if (!scope_.item) {
          fail(node, "`item` is not available here",
               "it exists in the `env`, `command` and `when` of a task with `for_each`");
          return type;
        }
        return node.path.empty() ? *scope_.item : item_field(node);
      case reference_kind::run:
        return of_run(node);
      case reference_kind::trigger:
        return trigger(node);
      case reference_kind::output:
      case reference_kind::status:
      case reference_kind::exit_code:
      case reference_kind::artifact:
      case reference_kind::callback:
        if (!scope_.task) {
          fail(node, "results of tasks are not available here",
               "refer to them in a task that needs them");
        } else if (auto failure = scope_.task(node, type)) {
          failures_.push_back(*std::move(failure));
        }
        return type;
    }
    return type;
  }

  std::string_view where_param() const {
    switch (scope_.trigger) {
      case trigger_kind::run:
        return "write `trigger.params.NAME`, of the run that has ended";
      case trigger_kind::request:
        return "write `trigger.body.NAME`, of what has come";
      case trigger_kind::version:
        return "write `trigger.version`, of what was found";
      case trigger_kind::none:
        break;
    }
    return "declare it under `params` at the top";
  }

  known_type of_run(const expression_node& node) {
    if (!scope_.without_run.empty()) {
      fail(node, "`run` is not available here", std::string{scope_.without_run});
      return std::nullopt;
    }
    if (node.name == "scheduled_at") {
      return std::nullopt;  // text or null
    }
    if (node.name == "state" || node.name == "reason" || node.name == "failed_tasks") {
      if (!scope_.run_has_ended) {
        fail(node, "`run." + node.name + "` is not known yet when this is read",
             "it is in the hooks of the pipeline: `on_failure` or `finally` at the top");
      }
      return node.name == "failed_tasks" ? value_type::list : value_type::text;
    }
    if (node.name != "id" && node.name != "pipeline") {
      failures_.push_back({node.name_offset, "unknown name `run." + node.name + "`",
                           "write `run.id`, `run.pipeline` or `run.scheduled_at`"});
    }
    return value_type::text;
  }

  void comparison(const expression_node& node) {
    const auto left = of(*node.operands[0]);
    const auto right = of(*node.operands[1]);
    check_status_word(*node.operands[0], *node.operands[1]);
    check_status_word(*node.operands[1], *node.operands[0]);
    const auto symbol = "`" + std::string{symbol_of(node.what)} + "`";
    if (node.what == operation::equal || node.what == operation::unequal) {
      const bool differ = left && right && *left != *right && *left != value_type::null &&
                          *right != value_type::null && !(is_number(*left) && is_number(*right));
      if (differ) {
        failures_.push_back({node.name_offset,
                             symbol + " compares " + some(*left) + " with " + some(*right) +
                                 ", which are never equal",
                             conversion_hint(*left, *right)});
      }
      return;
    }
    for (std::size_t each = 0; each < 2; ++each) {
      const auto type = each == 0 ? left : right;
      if (type && !is_number(*type) && *type != value_type::text) {
        fail(*node.operands[each],
             symbol + " takes two numbers or two strings, not " + some(*type));
        return;
      }
    }
    if (left && right && is_number(*left) != is_number(*right)) {
      failures_.push_back({node.name_offset,
                           symbol + " takes two numbers or two strings, not " + some(*left) +
                               " and " + some(*right),
                           conversion_hint(*left, *right)});
    }
  }

  static std::string conversion_hint(value_type left, value_type right) {
    if (left != value_type::text && right != value_type::text) {
      return {};
    }
    const auto other = left == value_type::text ? right : left;
    if (is_number(other)) {
      return "convert the string: `" + std::string{to_string(other)} + "(...)`";
    }
    return other == value_type::boolean ? "compare with 'true' or 'false'" : "";
  }

  // `tasks.a.status == 'success'` would be false for ever.
  void check_status_word(const expression_node& status, const expression_node& word) {
    if (status.what != operation::reference || word.what != operation::literal ||
        word.literal.text() == nullptr) {
      return;
    }
    if (status.refers_to == reference_kind::status) {
      check_status_word(word, "task", task_statuses());
    } else if (status.refers_to == reference_kind::run && status.name == "state") {
      check_status_word(word, "run", run_end_states);
    }
  }

  template <class Words>
  void check_status_word(const expression_node& word, std::string_view of, const Words& known) {
    const auto& text = *word.literal.text();
    if (std::find(known.begin(), known.end(), text) != known.end()) {
      return;
    }
    suggestion near{text};
    std::string all;
    for (const auto each : known) {
      near.consider(each);
      all += (all.empty() ? "" : ", ") + std::string{each};
    }
    const auto best = text.starts_with("succe") ? std::string_view{"succeeded"} : near.best();
    fail(word,
         "no " + std::string{of} + " ever has the " + (of == "run" ? "state" : "status") + " `" +
             text + "`",
         best.empty() ? (of == "run" ? "states: " : "statuses: ") + all : did_you_mean(best));
  }

  known_type call(const expression_node& node) {
    std::vector<known_type> types;
    for (const auto& each : node.operands) {
      types.push_back(of(*each));
    }
    const auto name = "`" + std::string{name_of(node.function)} + "`";
    const auto want = [&](std::size_t operand, bool fits, std::string_view wanted) {
      if (types[operand] && !fits) {
        fail(*node.operands[operand],
             name + " takes " + std::string{wanted} + ", not " + some(*types[operand]));
      }
    };
    const auto is = [&](std::size_t operand, value_type type) { return types[operand] == type; };
    switch (node.function) {
      case function_name::contains:
        want(0, is(0, value_type::text) || is(0, value_type::list) || is(0, value_type::map),
             "a string, a list or a map first");
        return value_type::boolean;
      case function_name::starts_with:
      case function_name::ends_with:
        want(0, is(0, value_type::text), "strings");
        want(1, is(1, value_type::text), "strings");
        return value_type::boolean;
      case function_name::length:
        want(0, is(0, value_type::text) || is(0, value_type::list) || is(0, value_type::map),
             "a string, a list or a map");
        return value_type::integer;
      case function_name::to_int:
      case function_name::to_float:
        want(0,
             !is(0, value_type::boolean) && !is(0, value_type::null) && !is(0, value_type::list) &&
                 !is(0, value_type::map),
             "a number or a string");
        return node.function == function_name::to_int ? value_type::integer : value_type::floating;
      case function_name::to_string:
        return value_type::text;
      case function_name::split:
        want(0, is(0, value_type::text), "strings");
        want(1, is(1, value_type::text), "strings");
        return value_type::list;
      case function_name::join:
        want(0, is(0, value_type::list), "a list first");
        want(1, is(1, value_type::text), "a string second");
        return value_type::text;
      case function_name::range:
        want(0, is(0, value_type::integer), "whole numbers");
        want(1, is(1, value_type::integer), "whole numbers");
        return value_type::list;
      case function_name::zip:
        for (std::size_t each = 0; each < types.size(); ++each) {
          want(each, is(each, value_type::list) || is(each, value_type::text), "lists");
        }
        return value_type::list;
      case function_name::matches:
      case function_name::extract:
        want(0, is(0, value_type::text), "a string first");
        return node.function == function_name::matches ? value_type::boolean : value_type::text;
      case function_name::from_json:
        want(0, is(0, value_type::text), "a string");
        return std::nullopt;
      case function_name::success:
      case function_name::failure:
      case function_name::always:
        if (!scope_.needs_functions) {
          fail(node, "`" + std::string{name_of(node.function)} + "()` is not available here",
               "it judges the needed tasks: use it in `when`");
        }
        return value_type::boolean;
    }
    return std::nullopt;
  }

  const check_scope& scope_;
  std::vector<expression_error>& failures_;
};

}  // namespace

known_type check(const expression& formula, const check_scope& scope,
                 std::vector<expression_error>& failures) {
  return checker{scope, failures}.of(formula.root());
}

}  // namespace millrace::actors
