// SPDX-License-Identifier: MIT
// What the expressions of one task can see; private to the run graph.
#pragma once

#include <algorithm>

#include "millrace/actors/callback.h"
#include "millrace/actors/expression.h"
#include "run/run_graph.h"

namespace millrace::actors {

/// Of one instance when the task has one. Must not outlive the graph.
class run_graph::scope final : public expression_scope {
public:
  scope(const run_graph& graph, std::uint32_t task, const task_instance* instance)
      : graph_(graph), task_(task), instance_(instance) {}

  std::optional<value> param(std::string_view name) const override {
    const auto found = graph_.params_.values.find(name);
    return found != graph_.params_.values.end() ? std::optional{found->second} : std::nullopt;
  }
  std::optional<value> matrix(std::string_view axis) const override {
    if (instance_ != nullptr) {
      for (const auto& [name, cell] : instance_->matrix) {
        if (name == axis) {
          return cell;
        }
      }
    }
    return std::nullopt;
  }
  std::optional<value> item() const override {
    return instance_ != nullptr ? instance_->item : std::nullopt;
  }
  std::optional<value> output(std::string_view task, std::string_view key) const override {
    const auto at = graph_.find(task);
    if (!at) {
      return std::nullopt;
    }
    return of_instances(*at, [&](const slot& one) { return output_of(*at, one, key); });
  }
  std::string refusal_of_output(std::string_view task, std::string_view key) const override {
    const auto at = graph_.find(task);
    for (const auto id : at ? read_of(*at) : std::vector<instance_id>{}) {
      if (const auto* large = large_of(id, key)) {
        return (graph_.fans_out(*at) ? "of '" + graph_.name_of(id) + "' " : std::string{}) +
               "has " + std::to_string(large->size) +
               " bytes, which are kept apart and cannot be read here; have a command read it, by "
               "`inputs` with this expression alone (`when`, `for_each`, `matrix` and the outputs "
               "of the run read 1 MiB of a task without a fan-out)";
      }
    }
    return {};
  }

  /// Which instances of `at` are read; with a fan-out, unless it is one alone, as a list.
  [[nodiscard]] std::vector<instance_id> read_of(std::uint32_t at) const {
    const auto element = element_of(at);
    if (element || !graph_.fans_out(at)) {
      return {{at, static_cast<std::uint32_t>(element.value_or(0))}};
    }
    std::vector<instance_id> all;
    all.reserve(graph_.nodes_[at].instances.size());
    for (std::uint32_t index = 0; index < graph_.nodes_[at].instances.size(); ++index) {
      all.push_back({at, index});
    }
    return all;
  }
  [[nodiscard]] bool reads_list(std::uint32_t at) const {
    return graph_.fans_out(at) && !element_of(at);
  }
  /// Null: it has no such output that is kept apart.
  [[nodiscard]] const kept_output* large_of(instance_id id, std::string_view key) const {
    const auto& slots = graph_.nodes_[id.task].slots;
    const auto left = graph_.large_.find(id);
    if (left == graph_.large_.end() || id.index >= slots.size() ||
        slots[id.index].state != task_state::SUCCEEDED) {
      return nullptr;
    }
    const auto found = std::find_if(left->second.begin(), left->second.end(),
                                    [key](const auto& each) { return each.name == key; });
    return found != left->second.end() ? &*found : nullptr;
  }
  /// Of one instance that is read. Nothing: it should be there, or is kept apart.
  [[nodiscard]] std::optional<value> output_of(instance_id id, std::string_view key) const {
    const auto& slots = graph_.nodes_[id.task].slots;
    return id.index < slots.size() ? output_of(id.task, slots[id.index], key) : std::nullopt;
  }
  std::optional<value> exit_code(std::string_view task) const override {
    const auto at = graph_.find(task);
    return at ? of_instances(*at,
                             [](const slot& one) -> std::optional<value> {
                               return one.exit_code == no_exit_code
                                          ? value{}
                                          : make_value(std::int64_t{one.exit_code});
                             })
              : std::nullopt;
  }
  std::optional<value> artifact(std::string_view task, std::string_view key) const override {
    const auto at = graph_.find(task);
    return at ? of_instances(
                    *at,
                    [&](const slot& one) -> std::optional<value> {
                      const auto index =
                          static_cast<std::uint32_t>(&one - graph_.nodes_[*at].slots.data());
                      const auto left = graph_.artifacts_.find({*at, index});
                      if (one.state == task_state::SUCCEEDED && left != graph_.artifacts_.end()) {
                        for (const auto& each : left->second) {
                          if (each.name == key) {
                            return make_value(each.digest);
                          }
                        }
                      }
                      return value{};
                    })
              : std::nullopt;
  }
  std::optional<value> callback(std::string_view task) const override {
    const auto at = graph_.find(task);
    const auto token = at ? graph_.callback_token(*at) : std::string{};
    return token.empty() ? std::nullopt
                         : std::optional{make_value(std::string{callback_path} + token)};
  }
  std::optional<value> status(std::string_view task) const override {
    const auto at = graph_.find(task);
    if (!at) {
      return std::nullopt;
    }
    const auto element = element_of(*at);
    return make_value(std::string{to_string(element ? graph_.nodes_[*at].slots[*element].state
                                                    : graph_.nodes_[*at].outcome)});
  }
  std::optional<value> run(std::string_view name) const override {
    if (name == "id") {
      return make_value(graph_.run_id_);
    }
    if (name == "scheduled_at") {
      return graph_.scheduled_at_.empty() ? value{} : make_value(graph_.scheduled_at_);
    }
    if (name == "state") {
      return make_value(std::string{to_string(graph_.outcome())});
    }
    if (name == "reason") {
      return make_value(graph_.outcome_text());
    }
    if (name == "failed_tasks") {
      value::list names;
      for (auto& each : graph_.failed_tasks()) {
        names.push_back(make_value(std::move(each)));
      }
      return make_value(std::move(names));
    }
    return name == "pipeline" ? std::optional{make_value(graph_.definition_.name)} : std::nullopt;
  }
  std::optional<bool> needs_succeeded() const override {
    return std::all_of(needs().begin(), needs().end(),
                       [this](auto need) { return graph_.passes(need); });
  }
  std::optional<bool> needs_failed() const override {
    return std::any_of(needs().begin(), needs().end(),
                       [this](auto need) { return graph_.fails(need); });
  }

private:
  std::optional<value> output_of(std::uint32_t at, const slot& one, std::string_view key) const {
    for (const auto& [name, text] : one.outputs) {
      if (name == key) {
        return make_value(text);
      }
    }
    if (one.state != task_state::SUCCEEDED) {
      return value{};
    }
    const auto index = static_cast<std::uint32_t>(&one - graph_.nodes_[at].slots.data());
    if (large_of({at, index}, key) != nullptr) {
      return std::nullopt;
    }
    const auto& declared = graph_.definition_.tasks[at].outputs;
    const auto found = std::find_if(declared.begin(), declared.end(),
                                    [key](const auto& each) { return each.name == key; });
    return found != declared.end() && found->fallback ? std::optional{make_value(*found->fallback)}
                                                      : std::nullopt;
  }

  // What `of` makes of a task's one instance, or the list of what it makes of each of a fan-out.
  template <class Of>
  std::optional<value> of_instances(std::uint32_t at, const Of& of) const {
    const auto& node = graph_.nodes_[at];
    if (!graph_.fans_out(at)) {
      return node.slots.empty() ? std::nullopt : of(node.slots[0]);
    }
    if (const auto element = element_of(at)) {
      return of(node.slots[*element]);
    }
    value::list all;
    for (std::size_t index = 0; index < node.instances.size(); ++index) {
      auto one = of(node.slots[index]);
      if (!one) {
        return std::nullopt;
      }
      all.push_back(*std::move(one));
    }
    return make_value(std::move(all));
  }

  // Which instance of `at` is needed, if not all are.
  std::optional<std::size_t> element_of(std::uint32_t at) const {
    if (instance_ == nullptr || !graph_.needs_element(task_, at)) {
      return std::nullopt;
    }
    const auto index = static_cast<std::size_t>(instance_ - graph_.nodes_[task_].instances.data());
    return index < graph_.nodes_[at].slots.size() ? std::optional{index} : std::nullopt;
  }

  const std::vector<std::uint32_t>& needs() const { return graph_.graph_.needs[task_]; }
  const run_graph& graph_;
  std::uint32_t task_;
  const task_instance* instance_;
};

}  // namespace millrace::actors
