// SPDX-License-Identifier: MIT
// The second pass: what names, needs and expressions refer to.
#include <algorithm>
#include <functional>
#include <unordered_map>

#include "definition/expression_check.h"
#include "definition/expression_tree.h"
#include "definition/loader.h"
#include "millrace/actors/suggestion.h"

namespace millrace::actors {

namespace {

std::string quoted(std::string_view name) {
  return "`" + std::string{name} + "`";
}

std::string did_you_mean(std::string_view best) {
  return best.empty() ? std::string{} : "did you mean " + quoted(best) + "?";
}

// The most circles that are reported, and the most names shown of each: one is enough to see the
// mistake, and a circle may be as long as the pipeline.
constexpr std::size_t circles_max = 10;
constexpr std::size_t circle_names_max = 12;

// The name that is near `wrong`, or nothing.
template <class Named>
std::string_view nearest(reader& in, std::string_view wrong, const std::vector<Named>& candidates) {
  if (!in.may_suggest(candidates.size())) {
    return {};
  }
  suggestion near{wrong};
  for (const auto& each : candidates) {
    near.consider(each.name);
  }
  return near.best();
}

bool fans_out(const task_definition& task) {
  return task.for_each || task.matrix;
}

// The type that all of these values have.
known_type type_of(const fan_values& values) {
  const auto* listed = std::get_if<std::vector<value>>(&values);
  if (listed == nullptr || listed->empty()) {
    return std::nullopt;
  }
  const auto first = listed->front().type();
  const auto alike = std::all_of(listed->begin(), listed->end(), [&](const value& each) {
    return each.type() == first && (each.text() == nullptr || !has_expression(*each.text()));
  });
  return alike ? known_type{first} : std::nullopt;
}

known_type type_of(const matrix_definition& matrix, const matrix_axis& axis) {
  const auto type = type_of(axis.values);
  const auto alike =
      std::all_of(matrix.include.begin(), matrix.include.end(), [&](const matrix_cells& each) {
        const auto cell = each.find(axis.name);
        return cell == each.end() || cell->second.type() == type;
      });
  return alike ? type : std::nullopt;
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
      if (in_.full()) {
        return;
      }
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
    return did_you_mean(nearest(in_, wrong, tasks_));
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

  // Depth-first without recursion: a chain may be as long as the pipeline. Fills `order_`.
  bool check_cycles() {
    enum class mark : std::uint8_t { fresh, open, done };
    std::vector<mark> marks(tasks_.size(), mark::fresh);
    std::size_t circles = 0;
    for (std::size_t start = 0; start < tasks_.size(); ++start) {
      if (marks[start] != mark::fresh) {
        continue;
      }
      std::vector<step> path{{start, 0}};
      marks[start] = mark::open;
      while (!path.empty()) {
        auto& top = path.back();
        if (top.next == needs_[top.task].size()) {
          marks[top.task] = mark::done;
          order_.push_back(top.task);
          path.pop_back();
          continue;
        }
        const auto need = needs_[top.task][top.next++];
        if (marks[need] == mark::fresh) {
          marks[need] = mark::open;
          path.push_back({need, 0});
        } else if (marks[need] == mark::open) {
          report_circle(need, path);
          if (++circles == circles_max) {
            return false;
          }
        }
      }
    }
    return circles == 0;
  }

  struct step {
    std::size_t task;
    std::size_t next;  // Position in its needs.
  };

  // The last of `path` needs `first`, which is on the path too.
  void report_circle(std::size_t first, const std::vector<step>& path) {
    std::string text;
    std::size_t shown = 0;
    for (auto at = std::find_if(path.begin(), path.end(),
                                [&](const step& each) { return each.task == first; });
         at != path.end(); ++at) {
      if (++shown > circle_names_max) {
        text += "... -> ";
        break;
      }
      text += quoted(tasks_[at->task].name) + " -> ";
    }
    in_.report(shape_.task_places[first]->place, task_pointer(first) + "/needs",
               "tasks need each other in a circle: " + text + quoted(tasks_[first].name),
               "remove one of these needs");
  }

  // Whether `earlier` comes before `task` by way of needs. The first question computes the answer
  // for every pair, one row of bits for each task: O(edges * tasks / 64) once.
  bool is_before(std::size_t earlier, std::size_t task) {
    constexpr std::size_t bits = 64;
    const auto words = (tasks_.size() + bits - 1) / bits;
    if (before_.empty()) {
      before_.resize(words * tasks_.size());
      for (const auto each : order_) {
        auto* row = before_.data() + each * words;
        for (const auto need : needs_[each]) {
          const auto* above = before_.data() + need * words;
          std::transform(row, row + words, above, row, std::bit_or<>{});
          row[need / bits] |= std::uint64_t{1} << (need % bits);
        }
      }
    }
    return (before_[task * words + earlier / bits] >> (earlier % bits) & 1U) != 0;
  }

  std::optional<expression_error> check_task(const expression_use& use, const expression_node& node,
                                             known_type& type) {
    const auto found = by_name_.find(node.name);
    if (found == by_name_.end()) {
      return expression_error{node.name_offset, "there is no task " + quoted(node.name),
                              near_task(node.name)};
    }
    const auto& task = tasks_[found->second];
    if (use.place != text_place::end &&
        (use.task == no_task || !is_before(found->second, use.task))) {
      return expression_error{
          node.name_offset, quoted(node.name) + " has not ended yet when this is read",
          use.task == no_task ? "move it to a task's `env`" : "add it to `needs`"};
    }
    // Or null, which a task that did not succeed leaves.
    type = node.refers_to == reference_kind::exit_code ? value_type::integer : value_type::text;
    if (node.refers_to == reference_kind::status) {
      return std::nullopt;
    }
    type = fans_out(task) ? value_type::list : type;
    if (node.refers_to == reference_kind::exit_code) {
      return std::nullopt;
    }
    if (!task.approval.empty() && std::find(approval_outputs.begin(), approval_outputs.end(),
                                            node.key) == approval_outputs.end()) {
      return expression_error{node.key_offset, "an approval has no output " + quoted(node.key),
                              "it has `comment` and `by`"};
    }
    const auto declared = std::any_of(task.outputs.begin(), task.outputs.end(),
                                      [&](const auto& each) { return each.name == node.key; });
    if (!declared && !task.outputs.empty()) {
      return expression_error{
          node.key_offset, "the task " + quoted(node.name) + " has no output " + quoted(node.key),
          did_you_mean(nearest(in_, node.key, task.outputs))};
    }
    return std::nullopt;
  }

  check_scope scope_of(const expression_use& use) {
    check_scope scope;
    scope.param = [this](std::string_view name, known_type& type, std::string& near) {
      for (const auto& each : shape_.definition.params) {
        if (each.name == name) {
          constexpr std::array types{value_type::text,    value_type::integer, value_type::floating,
                                     value_type::boolean, value_type::list,    value_type::map};
          type = types[static_cast<std::size_t>(each.type)];  // or null, if nothing is given
          return true;
        }
      }
      near = nearest(in_, name, shape_.definition.params);
      return false;
    };
    const auto* task = use.task == no_task ? nullptr : &tasks_[use.task];
    const bool of_instance = use.place == text_place::instance || use.place == text_place::when;
    if (task != nullptr && task->matrix && of_instance) {
      scope.matrix = [this, task](std::string_view name, known_type& type, std::string& near) {
        for (const auto& axis : task->matrix->axes) {
          if (axis.name == name) {
            type = type_of(*task->matrix, axis);
            return true;
          }
        }
        near = nearest(in_, name, task->matrix->axes);
        return false;
      };
    }
    if (task != nullptr && task->for_each && of_instance) {
      scope.item = type_of(*task->for_each);
    }
    scope.needs_functions = use.place == text_place::when;
    scope.trigger = use.place == text_place::trigger;
    if (scope.trigger) {
      scope.param = nullptr;  // those of the run that is to begin
      return scope;
    }
    scope.task = [this, &use](const expression_node& node, known_type& type) {
      return check_task(use, node, type);
    };
    return scope;
  }

  // What the place wants of a text that is one expression, `alone`.
  template <class Complain>
  static void check_whole(const expression_use& use, bool alone, value_type type,
                          const Complain& complain) {
    const auto found = ", found a value of type `" + std::string{to_string(type)} + "`";
    if (use.place == text_place::when && type != value_type::boolean) {
      complain(
          {0, "`when` must be a boolean" + found, "compare it, as in `params.mode == 'full'`"});
    } else if (use.place == text_place::fan_list && alone && type != value_type::list &&
               type != value_type::text) {
      complain({0, "a fan-out needs a list" + found,
                "write `[...]`, or declare a parameter with `type: list`"});
    }
  }

  void check_text(const expression_use& use) {
    const auto cut = parse_template(use.text);
    const auto complain = [&](std::size_t offset, const expression_error& failure) {
      in_.report(in_.place_in(*use.node, use.text, offset), use.pointer, failure.text,
                 failure.hint);
    };
    for (const auto& failure : cut.failures) {
      if (in_.full()) {
        return;
      }
      complain(failure.offset, failure);
    }
    const auto scope = scope_of(use);
    for (const auto& piece : cut.pieces) {
      if (in_.full()) {
        return;
      }
      if (!piece.formula) {
        continue;
      }
      std::vector<expression_error> failures;
      const auto type = check(*piece.formula, scope, failures);
      for (const auto& failure : failures) {
        complain(piece.offset + failure.offset, failure);
      }
      if (failures.empty() && type) {
        check_whole(use, cut.pieces.size() == 1, *type,
                    [&](const expression_error& failure) { complain(piece.offset, failure); });
      }
    }
  }

  reader& in_;
  const loaded_shape& shape_;
  const std::vector<task_definition>& tasks_;
  std::vector<std::vector<std::size_t>> needs_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
  std::vector<std::size_t> order_;     // Every task after its needs, when there is no circle.
  std::vector<std::uint64_t> before_;  // By task, a bit for each task that ends before it.
  bool acyclic_ = true;
};

}  // namespace

void check_references(reader& in, const loaded_shape& shape) {
  reference_checker{in, shape}.run();
}

}  // namespace millrace::actors
