// SPDX-License-Identifier: MIT
// The second pass: what names, needs and expressions refer to.
#include <algorithm>
#include <functional>
#include <map>
#include <unordered_map>

#include "definition/expression_check.h"
#include "definition/expression_tree.h"
#include "definition/loader.h"
#include "millrace/actors/duration_text.h"
#include "millrace/actors/expansion.h"
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

// The most patterns of a definition: compiling one takes up to half a millisecond.
constexpr std::size_t patterns_max = 1'000;

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

// Whether a text there has a value for each instance.
bool is_of_instance(text_place place) {
  return place == text_place::instance || place == text_place::hidden || place == text_place::limit;
}

// The type that all of these values have.
known_type type_of(const std::vector<value>& listed) {
  if (listed.empty()) {
    return std::nullopt;
  }
  const auto first = listed.front().type();
  const auto alike = std::all_of(listed.begin(), listed.end(), [&](const value& each) {
    return each.type() == first && (each.text() == nullptr || !has_expression(*each.text()));
  });
  return alike ? known_type{first} : std::nullopt;
}

known_type type_of(const matrix_definition& matrix, const matrix_axis& axis) {
  const auto* listed = std::get_if<std::vector<value>>(&axis.values);
  std::vector<value> cells;  // one of the axis, and those of `include`
  if (listed != nullptr && !listed->empty() && type_of(*listed)) {
    cells.push_back(listed->front());
  } else if (listed == nullptr || !listed->empty()) {
    return std::nullopt;
  }
  for (const auto& row : matrix.include) {
    if (const auto cell = row.find(axis.name); cell != row.end()) {
      cells.push_back(cell->second);
    }
  }
  return type_of(cells);
}

// What is known of the items of a task.
struct item_facts {
  struct field {
    std::string name;
    known_type type;
  };
  known_type type;
  std::optional<std::vector<field>> fields;
};

item_facts facts_of_listed(const std::vector<value>& listed) {
  item_facts facts{type_of(listed), std::nullopt};
  if (facts.type != value_type::map) {
    return facts;
  }
  std::map<std::string_view, std::vector<const value*>> columns;
  for (const auto& each : listed) {
    for (const auto& [name, content] : *each.entries()) {
      columns[name].push_back(&content);
    }
  }
  auto& fields = facts.fields.emplace();
  for (const auto& [name, cells] : columns) {
    const auto type = cells[0]->type();
    const auto alike = std::all_of(cells.begin(), cells.end(), [type](const value* each) {
      return each->type() == type && (each->text() == nullptr || !has_expression(*each->text()));
    });
    fields.push_back({std::string{name}, alike ? known_type{type} : std::nullopt});
  }
  return facts;
}

item_facts facts_of(const fan_values& values) {
  if (const auto* listed = std::get_if<std::vector<value>>(&values)) {
    return facts_of_listed(*listed);
  }
  const auto cut = parse_template(std::get<std::string>(values));
  item_facts facts;
  if (cut.pieces.size() != 1 || !cut.pieces[0].formula) {
    return facts;
  }
  const auto& root = cut.pieces[0].formula->root();
  if (root.what != operation::call) {
    return facts;
  }
  if (root.function == function_name::range) {
    facts.type = value_type::integer;
  } else if (root.function == function_name::split) {
    facts.type = value_type::text;
  } else if (root.function == function_name::zip) {
    facts.type = value_type::map;
    auto& fields = facts.fields.emplace();
    for (const auto& name : root.operand_names) {
      fields.push_back({name, std::nullopt});
    }
  }
  return facts;
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
  void check_names() {
    for (std::size_t index = 0; index < tasks_.size(); ++index) {
      const auto& name = tasks_[index].name;
      if (name.empty()) {
        continue;
      }
      const auto [first, fresh] = by_name_.try_emplace(name, index);
      if (!fresh) {
        const auto& here = shape_.task_places[index];
        in_.report(here.node->place, here.pointer + (tasks_[index].hook ? "" : "/name"),
                   "there are two tasks called " + quoted(name),
                   "the first one is on line " +
                       std::to_string(shape_.task_places[first->second].node->place.line) +
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
      } else if (const auto& hook = tasks_[found->second].hook) {
        in_.report(use.node->place, use.pointer, quoted(name) + " is a hook, which nothing needs",
                   hook->of.empty() ? "remove it" : "need " + quoted(hook->of) + " instead");
      } else {
        needs_[use.task].push_back(static_cast<std::uint32_t>(found->second));
        if (use.is_of_element) {
          check_element_need(use, found->second);
        }
      }
    }
    add_hook_edges(tasks_, needs_);
    for (const auto& use : shape_.artifact_needs) {
      check_artifact_need(use);
    }
    for (const auto& use : shape_.caches) {
      if (shape_.definition.workspace == workspace_mode::run) {
        in_.report(use.node->place, use.pointer,
                   "the tasks of a run share one workspace, in which what a task leaves would be "
                   "missing where a kept result is used",
                   "write `workspace: task` at the top, or remove `cache`");
      }
    }
  }

  void check_artifact_need(const artifact_use& use) {
    const auto& task = tasks_[use.task];
    const auto found = by_name_.find(use.of);
    const auto wish = task.artifact_needs.find(use.of);
    if (found == by_name_.end() || wish == task.artifact_needs.end()) {
      return;  // that has been told, or nothing is taken
    }
    const auto complain = [&](const std::string& text, const std::string& hint) {
      in_.report(use.node->place, use.pointer, text, hint);
    };
    const auto& from = tasks_[found->second];
    if (shape_.definition.workspace == workspace_mode::run) {
      complain("the tasks of a run share one workspace, in which the files are already",
               "remove `artifacts`, or write `workspace: task` at the top");
    } else if (step_of(task) != step_kind::command) {
      complain("only a task with a command has a workspace that artifacts could go to",
               "remove `artifacts`");
    } else if (from.artifacts.empty()) {
      complain("the task " + quoted(use.of) + " leaves no artifacts", "write `artifacts` in it");
    } else if (const auto& name = wish->second;
               !name.empty() && std::none_of(from.artifacts.begin(), from.artifacts.end(),
                                             [&](const auto& each) { return each.name == name; })) {
      complain("the task " + quoted(use.of) + " leaves no artifact " + quoted(name),
               did_you_mean(nearest(in_, name, from.artifacts)));
    }
  }

  void check_element_need(const need_use& use, std::size_t needed) {
    const auto& task = tasks_[use.task];
    for (const auto* each : {&task, &tasks_[needed]}) {
      if (!fans_out(*each) || each->ranks > 0) {
        in_.report(use.node->place, use.pointer,
                   "`instances: same` is for two fan-outs, and " + quoted(each->name) +
                       (each->ranks > 0 ? " is a gang" : " is none"),
                   "need all of it: write " + quoted(use.node->text));
        return;
      }
    }
    const auto count = [](const task_definition& each) {
      const auto* listed =
          each.for_each ? std::get_if<std::vector<value>>(&*each.for_each) : nullptr;
      return listed != nullptr ? std::optional{listed->size()} : std::nullopt;
    };
    if (const auto here = count(task), there = count(tasks_[needed]);
        here && there && here != there) {
      in_.report(use.node->place, use.pointer,
                 quoted(use.node->text) + " has " + std::to_string(*there) +
                     " instances and the task " + std::to_string(*here) +
                     ": `instances: same` needs as many",
                 "fan out over the same list");
    }
    if (task.run_on != trigger_rule::success) {
      in_.report(use.node->place, use.pointer,
                 "`instances: same` has no meaning beside `run_on: " +
                     std::string{to_string(task.run_on)} + "`",
                 "need all of it: write " + quoted(use.node->text));
    }
    has_element_needs_ = true;
  }

  // Whether an instance of `task` needs one of `needed`, and not all of it.
  bool needs_element(std::size_t task, std::size_t needed) const {
    const auto& names = tasks_[task].element_needs;
    return std::find(names.begin(), names.end(), tasks_[needed].name) != names.end();
  }

  // Depth-first without recursion: a chain may be as long as the pipeline. Fills `order_`.
  bool check_cycles() {
    enum class mark { fresh, open, done };
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
        const std::size_t need = needs_[top.task][top.next++];
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
    const auto& here = shape_.task_places[first];
    in_.report(here.node->place, here.pointer + "/needs",
               "tasks need each other in a circle: " + text + quoted(tasks_[first].name),
               "remove one of these needs");
  }

  using bit_rows = std::vector<std::uint64_t>;
  static constexpr std::size_t bits = 64;

  void add_row(bit_rows& to, std::size_t task, const bit_rows& from, std::size_t other) const {
    const auto words = to.size() / tasks_.size();
    auto* row = to.data() + task * words;
    std::transform(row, row + words, from.data() + other * words, row, std::bit_or<>{});
  }

  // Whether `earlier` has ended when `task` starts, by way of needs. The first question computes
  // the answer for every pair, one row of bits for each task: O(edges * tasks / 64) once. What is
  // needed element by element has only ended with the task; of such needs, what these started
  // after.
  bool is_before(std::size_t earlier, std::size_t task) {
    const auto words = (tasks_.size() + bits - 1) / bits;
    if (before_.empty()) {
      before_.resize(words * tasks_.size());
      at_start_.resize(has_element_needs_ ? before_.size() : 0);
      for (const auto each : order_) {
        for (const auto need : needs_[each]) {
          const auto bit = std::uint64_t{1} << (need % bits);
          add_row(before_, each, before_, need);
          before_[each * words + need / bits] |= bit;
          if (!has_element_needs_) {
            continue;
          }
          if (needs_element(each, need)) {
            add_row(at_start_, each, at_start_, need);
          } else {
            add_row(at_start_, each, before_, need);
            at_start_[each * words + need / bits] |= bit;
          }
        }
      }
    }
    const auto& rows = has_element_needs_ ? at_start_ : before_;
    return (rows[task * words + earlier / bits] >> (earlier % bits) & 1U) != 0;
  }

  std::optional<expression_error> check_task(const expression_use& use, const expression_node& node,
                                             known_type& type) {
    const auto found = by_name_.find(node.name);
    if (found == by_name_.end()) {
      return expression_error{node.name_offset, "there is no task " + quoted(node.name),
                              near_task(node.name)};
    }
    const auto& task = tasks_[found->second];
    if (node.refers_to == reference_kind::callback) {
      type = value_type::text;
      return check_callback(use, node, found->second);
    }
    const auto of_element =
        use.task != no_task && is_of_instance(use.place) && needs_element(use.task, found->second);
    if (use.place != text_place::end &&
        (use.task == no_task || (!of_element && !is_before(found->second, use.task)))) {
      return expression_error{
          node.name_offset, quoted(node.name) + " has not ended yet when this is read",
          use.task == no_task ? "move it to a task's `env`" : "add it to `needs`"};
    }
    // Or null, which a task that did not succeed leaves.
    type = node.refers_to == reference_kind::exit_code ? value_type::integer : value_type::text;
    if (node.refers_to == reference_kind::status) {
      return std::nullopt;
    }
    type = fans_out(task) && !of_element ? value_type::list : type;
    if (node.refers_to == reference_kind::exit_code) {
      return std::nullopt;
    }
    if (node.refers_to == reference_kind::artifact) {
      const auto is_declared = [&](const auto& each) { return each.name == node.key; };
      return std::any_of(task.artifacts.begin(), task.artifacts.end(), is_declared)
                 ? std::nullopt
                 : std::optional{expression_error{
                       node.key_offset,
                       "the task " + quoted(node.name) + " leaves no artifact " + quoted(node.key),
                       did_you_mean(nearest(in_, node.key, task.artifacts))}};
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

  // Whoever has it may end the task, so that it is told where nobody is shown it, and to those who
  // may pass it on in time.
  std::optional<expression_error> check_callback(const expression_use& use,
                                                 const expression_node& node, std::size_t task) {
    if (!tasks_[task].callback) {
      return expression_error{node.name_offset, quoted(node.name) + " waits for no callback",
                              "a task with `callback` does"};
    }
    if (use.place != text_place::hidden || use.task == no_task) {
      return expression_error{node.name_offset, "`callback` is not available here",
                              "it is in the `env` and `inputs` of tasks, which nobody is shown"};
    }
    if (tasks_[use.task].cache) {
      return expression_error{node.name_offset,
                              "with a kept result nobody would be told of the callback",
                              "remove `cache`"};
    }
    if (!is_before(use.task, task)) {
      return expression_error{node.name_offset,
                              quoted(node.name) + " does not come after this task",
                              "add this one to its `needs`"};
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
    const bool of_instance = is_of_instance(use.place) || use.place == text_place::when;
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
      const auto [known, fresh] = items_.try_emplace(use.task);
      if (fresh) {
        known->second = facts_of(*task->for_each);
      }
      scope.item = known->second.type;
      if (const auto* fields = known->second.fields ? &*known->second.fields : nullptr) {
        scope.item_field = [this, fields](std::string_view name, known_type& type,
                                          std::string& near) {
          const auto found = std::find_if(fields->begin(), fields->end(),
                                          [&](const auto& each) { return each.name == name; });
          near = found == fields->end() ? nearest(in_, name, *fields) : "";
          type = found == fields->end() ? std::nullopt : found->type;
          return found != fields->end();
        };
      }
    }
    scope.needs_functions = use.place == text_place::when;
    if (use.place == text_place::webhook || use.place == text_place::webhook_when) {
      scope.param = nullptr;
      scope.without_run = "it has not begun: write `trigger.body.NAME`";
      scope.trigger = trigger_kind::request;
      return scope;
    }
    if (use.place == text_place::watch) {
      scope.param = nullptr;
      scope.without_run = "it has not begun: write `trigger.version`";
      scope.trigger = trigger_kind::version;
      return scope;
    }
    if (use.place == text_place::group) {
      scope.without_run = "use `params`: each run would be a group of its own";
    }
    if (use.place == text_place::trigger) {
      scope.trigger = trigger_kind::run;
      scope.param = nullptr;  // those of the run that is to begin
      scope.without_run = "write `trigger.run`, of the run that has ended";
      return scope;
    }
    scope.run_has_ended = task != nullptr && task->hook && task->hook->of.empty();
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
    const auto decides = use.place == text_place::when || use.place == text_place::webhook_when;
    if (decides && type != value_type::boolean) {
      complain({0, "`when` must be a boolean" + found,
                use.place == text_place::when
                    ? "compare it, as in `params.mode == 'full'`"
                    : "compare it, as in `trigger.body.action == 'opened'`"});
    } else if (use.place == text_place::fan_list && alone && type != value_type::list &&
               type != value_type::text) {
      complain({0, "a fan-out needs a list" + found,
                "write `[...]`, or declare a parameter with `type: list`"});
    } else if (use.place == text_place::limit && alone && type != value_type::text) {
      complain(
          {0, "a duration is a text such as `90s`" + found,
           "declare a parameter with `type: string` and write its unit, as in `default: 90s`"});
    }
  }

  // What is known to be no duration of a parameter that alone is one.
  std::string refusal_of_limit(const expression_node& node) {
    if (node.what != operation::reference || node.refers_to != reference_kind::param) {
      return {};
    }
    const auto fresh = !limit_refusals_.contains(node.name);
    auto& refusal = limit_refusals_[node.name];
    const auto& params = shape_.definition.params;
    const auto param = std::find_if(params.begin(), params.end(),
                                    [&](const auto& each) { return each.name == node.name; });
    if (!fresh || param == params.end() || param->type != param_type::text) {
      return refusal;
    }
    const auto judge = [&](const value& content, const char* what) {
      const auto parsed = parse_duration(*content.text());
      if (refusal.empty() && (!parsed.length || *parsed.length == runtime::duration::zero())) {
        refusal = std::string{what} + " of the parameter " + quoted(node.name) +
                  (parsed.length ? " is 0, which is no limit" : ": " + parsed.text);
      }
    };
    if (param->fallback) {
      judge(*param->fallback, "the default");
    }
    for (const auto& each : param->choices) {
      judge(each, "a value in `enum`");
    }
    return refusal;
  }

  // Whether no more patterns have been met than may be.
  bool count_patterns(const expression& formula) {
    walk(formula.root(), [this](const auto& node) { patterns_ += node.pattern ? 1 : 0; });
    return patterns_ <= patterns_max;
  }

  void check_text(const expression_use& use) {
    if (patterns_ > patterns_max) {
      return;
    }
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
      if (piece.formula && !count_patterns(*piece.formula)) {
        complain(piece.offset,
                 {0, "a definition has at most " + std::to_string(patterns_max) + " patterns",
                  "compute it in a task"});
        return;
      }
    }
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
      if (use.place == text_place::limit && cut.pieces.size() == 1 && failures.empty()) {
        if (const auto why = refusal_of_limit(piece.formula->root()); !why.empty()) {
          complain(piece.offset, {0, why, "write it like `90s`, `5m` or `1h30m`"});
        }
      }
    }
  }

  reader& in_;
  const loaded_shape& shape_;
  const std::vector<task_definition>& tasks_;
  std::vector<std::vector<std::uint32_t>> needs_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
  std::vector<std::size_t> order_;  // Every task after its needs, when there is no circle.
  bit_rows before_;                 // By task, a bit for each task that ends before it.
  bit_rows at_start_;               // The same for those that end before its first instance starts.
  std::unordered_map<std::string, std::string> limit_refusals_;  // by parameter
  std::unordered_map<std::size_t, item_facts> items_;            // by task
  std::size_t patterns_ = 0;
  bool has_element_needs_ = false;
  bool acyclic_ = true;
};

}  // namespace

void check_references(reader& in, const loaded_shape& shape) {
  reference_checker{in, shape}.run();
}

}  // namespace millrace::actors
