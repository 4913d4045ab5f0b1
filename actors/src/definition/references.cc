// SPDX-License-Identifier: MIT
// The second pass: what names, needs and expressions refer to.
#include <algorithm>
#include <functional>
#include <unordered_map>

#include "definition/expression_check.h"
#include "definition/expression_tree.h"
#include "definition/loader.h"
#include "definition/suggest.h"

namespace millrace::actors {

namespace {

std::string quoted(std::string_view name) {
  return "`" + std::string{name} + "`";
}

std::string did_you_mean(std::string_view best) {
  return best.empty() ? std::string{} : "did you mean " + quoted(best) + "?";
}

bool fans_out(const task_definition& task) {
  return task.for_each || task.matrix;
}

class reference_checker {
public:
  reference_checker(reader& in, const loaded_shape& shape)
      : in_(in), shape_(shape), tasks_(shape.definition.tasks), needs_(tasks_.size()) {}

  void run() {
    check_names();
    check_needs();
    if (acyclic_ = check_cycles(); !acyclic_) {
      return;  // what comes before what is not known
    }
    for (const auto& use : shape_.expressions) {
      check_text(use);
    }
  }

private:
  static std::string task_pointer(std::size_t index) { return "/tasks/" + std::to_string(index); }

  void check_names() {
    for (std::size_t index = 0; index < tasks_.size(); ++index) {
      const auto& name = tasks_[index].name;
      if (name.empty()) {
        continue;
      }
      const auto [first, fresh] = by_name_.try_emplace(name, index);
      if (!fresh) {
        in_.report(shape_.task_places[index]->place, task_pointer(index) + "/name",
                   "there are two tasks called " + quoted(name),
                   "the first one is on line " +
                       std::to_string(shape_.task_places[first->second]->place.line) +
                       "; rename one of them");
      }
    }
  }

  std::string near_task(std::string_view wrong) const {
    suggestion near{wrong};
    for (const auto& each : tasks_) {
      near.consider(each.name);
    }
    return did_you_mean(near.best());
  }

  void check_needs() {
    for (const auto& use : shape_.needs) {
      const auto& name = use.node->text;
      const auto found = by_name_.find(name);
      if (found == by_name_.end()) {
        in_.report(use.node->place, use.pointer, "there is no task " + quoted(name),
                   near_task(name));
      } else if (found->second == use.task) {
        in_.report(use.node->place, use.pointer, "the task needs itself", "remove it");
      } else {
        needs_[use.task].push_back(found->second);
      }
    }
  }

  // Depth-first without recursion: a chain may be as long as the pipeline.
  bool check_cycles() {
    enum class mark : std::uint8_t { fresh, open, done };
    std::vector<mark> marks(tasks_.size(), mark::fresh);
    auto clean = true;
    struct frame {
      std::size_t task;
      std::size_t next;
    };
    for (std::size_t start = 0; start < tasks_.size(); ++start) {
      if (marks[start] != mark::fresh) {
        continue;
      }
      std::vector<frame> path{{start, 0}};
      marks[start] = mark::open;
      while (!path.empty()) {
        auto& top = path.back();
        if (top.next == needs_[top.task].size()) {
          marks[top.task] = mark::done;
          path.pop_back();
          continue;
        }
        const auto need = needs_[top.task][top.next++];
        if (marks[need] == mark::fresh) {
          marks[need] = mark::open;
          path.push_back({need, 0});
        } else if (marks[need] == mark::open) {
          clean = false;
          std::string text = quoted(tasks_[need].name);
          for (auto at = path.rbegin(); at != path.rend() && at->task != need; ++at) {
            text.insert(0, quoted(tasks_[at->task].name) + " -> ");
          }
          in_.report(
              shape_.task_places[need]->place, task_pointer(need) + "/needs",
              "tasks need each other in a circle: " + quoted(tasks_[need].name) + " -> " + text,
              "remove one of these needs");
        }
      }
    }
    return clean;
  }

  // Every task before `task`, by way of needs.
  const std::vector<bool>& before(std::size_t task) {
    auto& known = before_[task];
    if (!known.empty()) {
      return known;
    }
    std::vector<bool> reached(tasks_.size());
    std::vector<std::size_t> left{needs_[task]};
    while (!left.empty()) {
      const auto next = left.back();
      left.pop_back();
      if (!reached[next]) {
        reached[next] = true;
        left.insert(left.end(), needs_[next].begin(), needs_[next].end());
      }
    }
    return known = std::move(reached);
  }

  std::optional<expression_error> check_task(const expression_use& use, const expression_node& node,
                                             known_type& type) {
    const auto found = by_name_.find(node.name);
    if (found == by_name_.end()) {
      return expression_error{node.name_offset, "there is no task " + quoted(node.name),
                              near_task(node.name)};
    }
    const auto& task = tasks_[found->second];
    if (use.task == no_task || !before(use.task)[found->second]) {
      return expression_error{
          node.name_offset, quoted(node.name) + " has not ended yet when this is read",
          use.task == no_task ? "move it to a task's `env`" : "add it to `needs`"};
    }
    type = value_type::text;
    if (node.refers_to == reference_kind::status) {
      return std::nullopt;
    }
    const auto declared = std::any_of(task.outputs.begin(), task.outputs.end(),
                                      [&](const auto& each) { return each.name == node.key; });
    if (!declared && !task.outputs.empty()) {
      suggestion near{node.key};
      for (const auto& each : task.outputs) {
        near.consider(each.name);
      }
      return expression_error{
          node.key_offset, "the task " + quoted(node.name) + " has no output " + quoted(node.key),
          did_you_mean(near.best())};
    }
    type = fans_out(task) ? known_type{value_type::list} : known_type{};
    return std::nullopt;
  }

  check_scope scope_of(const expression_use& use) {
    check_scope scope;
    scope.param = [this](std::string_view name, known_type& type, std::string& near) {
      suggestion best{name};
      for (const auto& each : shape_.definition.params) {
        best.consider(each.name);
        if (each.name == name) {
          constexpr std::array types{value_type::text, value_type::integer, value_type::floating,
                                     value_type::boolean};
          const auto sure = each.fallback || each.required;  // else it may be null
          type = sure ? known_type{types[static_cast<std::size_t>(each.type)]} : known_type{};
          return true;
        }
      }
      near = best.best();
      return false;
    };
    const auto* task = use.task == no_task ? nullptr : &tasks_[use.task];
    if (task != nullptr && task->matrix && use.place != text_place::fan_out) {
      scope.matrix = [task](std::string_view name, known_type& type, std::string& near) {
        suggestion best{name};
        for (const auto& axis : task->matrix->axes) {
          best.consider(axis.name);
          if (axis.name == name) {
            type = known_type{};
            return true;
          }
        }
        near = best.best();
        return false;
      };
    }
    scope.item = task != nullptr && task->for_each && use.place != text_place::fan_out;
    scope.needs_functions = use.place == text_place::when;
    scope.task = [this, &use](const expression_node& node, known_type& type) {
      return check_task(use, node, type);
    };
    return scope;
  }

  void check_text(const expression_use& use) {
    const auto cut = parse_template(use.text);
    const auto complain = [&](std::size_t offset, const expression_error& failure) {
      in_.report(in_.place_in(*use.node, use.text, offset), use.pointer, failure.text,
                 failure.hint);
    };
    for (const auto& failure : cut.failures) {
      complain(failure.offset, failure);
    }
    const auto scope = scope_of(use);
    for (const auto& piece : cut.pieces) {
      if (!piece.formula) {
        continue;
      }
      std::vector<expression_error> failures;
      const auto type = check(*piece.formula, scope, failures);
      for (const auto& failure : failures) {
        complain(piece.offset + failure.offset, failure);
      }
      if (failures.empty() && use.place == text_place::when && type &&
          *type != value_type::boolean) {
        complain(piece.offset, {0,
                                "`when` must be a boolean, found a value of type `" +
                                    std::string{to_string(*type)} + "`",
                                "compare it, as in `params.mode == 'full'`"});
      }
    }
  }

  reader& in_;
  const loaded_shape& shape_;
  const std::vector<task_definition>& tasks_;
  std::vector<std::vector<std::size_t>> needs_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
  std::unordered_map<std::size_t, std::vector<bool>> before_;
  bool acyclic_ = true;
};

}  // namespace

void check_references(reader& in, const loaded_shape& shape) {
  reference_checker{in, shape}.run();
}

}  // namespace millrace::actors
