// SPDX-License-Identifier: MIT
// Random pipelines, played in random order, beside a model that tells the rules a second time.
#include "run_model.h"

#include <random>

#include "played_run.h"

namespace millrace::actors {
namespace {

using condition = modelled_task::condition;

class dice {
public:
  explicit dice(std::uint32_t seed) : numbers_(seed) {}

  std::size_t below(std::size_t bound) { return numbers_() % bound; }
  bool one_in(std::size_t bound) { return below(bound) == 0; }
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    return all[below(all.size())];
  }

private:
  std::mt19937 numbers_;
};

std::vector<hook_event> random_hooks(dice& roll) {
  std::vector<hook_event> made;
  if (roll.one_in(3)) {
    for (const auto on :
         {hook_event::success, hook_event::failure, hook_event::cancel, hook_event::any}) {
      if (roll.one_in(2)) {
        made.push_back(on);
      }
    }
  }
  return made;
}

modelled_pipeline random_pipeline(dice& roll) {
  modelled_pipeline made;
  made.fail_fast = roll.one_in(4);
  made.max_parallel = roll.one_in(3) ? std::optional{1 + roll.below(4)} : std::nullopt;
  made.tasks.resize(1 + roll.below(10));
  for (std::size_t at = 0; at < made.tasks.size(); ++at) {
    auto& task = made.tasks[at];
    task.name = "t" + std::to_string(at);
    for (std::size_t need = 0; need < at; ++need) {
      if (roll.one_in(3)) {
        task.needs.push_back(need);
      }
    }
    if (!task.needs.empty() && roll.one_in(2)) {
      task.rule = roll.one_of<trigger_rule>({trigger_rule::failure, trigger_rule::always,
                                             trigger_rule::any, trigger_rule::no_failure});
    }
    if (roll.one_in(3)) {
      task.width = roll.below(5);
      task.max_parallel = roll.one_in(2) ? std::optional{1 + roll.below(2)} : std::nullopt;
      task.allow_failures = roll.one_in(2) ? roll.below(3) : 0;
      task.fail_fast = roll.one_in(3);
    }
    if (roll.one_in(4)) {
      task.when = task.width           ? condition::other_items
                  : task.needs.empty() ? condition::never
                                       : condition::first_need_succeeded;
    }
    task.asks = roll.one_in(4);
    task.allow_failures = task.asks ? 0 : task.allow_failures;  // which approvals have not
    task.hooks = random_hooks(roll);
  }
  made.hooks = random_hooks(roll);
  return made;
}

std::string text_of(trigger_rule rule) {
  return std::map<trigger_rule, std::string>{{trigger_rule::success, "success"},
                                             {trigger_rule::failure, "failure"},
                                             {trigger_rule::always, "always"},
                                             {trigger_rule::any, "any"},
                                             {trigger_rule::no_failure, "no_failure"}}
      .at(rule);
}

std::string list_of(std::size_t count, const std::function<std::string(std::size_t)>& text) {
  std::string made = "[";
  for (std::size_t at = 0; at < count; ++at) {
    made += (at == 0 ? "" : ", ") + text(at);
  }
  return made + "]";
}

std::string yaml_of(const std::vector<hook_event>& hooks, const std::string& indent) {
  std::string text;
  for (const auto on : hooks) {
    text.append(indent).append(to_string(on)).append(": x\n");
  }
  return text;
}

std::string yaml_of(const modelled_pipeline& of) {
  std::string text = "name: random\n" + yaml_of(of.hooks, "");
  text += of.fail_fast ? "fail_fast: true\n" : "";
  text += of.max_parallel ? "max_parallel: " + std::to_string(*of.max_parallel) + "\n" : "";
  text += "tasks:\n";
  for (const auto& task : of.tasks) {
    text += "  - name: " + task.name + (task.asks ? "\n    approval: x" : "\n    run: x") +
            "\n    run_on: " + text_of(task.rule) + "\n" + yaml_of(task.hooks, "    ");
    text += "    needs: " +
            list_of(task.needs.size(), [&](auto at) { return of.tasks[task.needs[at]].name; }) +
            "\n";
    if (task.width) {
      text +=
          "    for_each: " + list_of(*task.width, [](auto at) { return std::to_string(at + 1); }) +
          "\n";
    }
    if (task.max_parallel) {
      text += "    max_parallel: " + std::to_string(*task.max_parallel) + "\n";
    }
    text += task.allow_failures > 0
                ? "    allow_failures: " + std::to_string(task.allow_failures) + "\n"
                : "";
    if (task.width) {
      text += task.fail_fast ? "    fail_fast: true\n" : "    fail_fast: false\n";
    }
    switch (task.when) {
      case condition::none:
        break;
      case condition::never:
        text += "    when: false\n";
        break;
      case condition::first_need_succeeded:
        text +=
            "    when: ${{ tasks." + of.tasks[task.needs[0]].name + ".status == 'succeeded' }}\n";
        break;
      case condition::other_items:
        text += "    when: ${{ item != 2 }}\n";
        break;
    }
  }
  return text;
}

run_model::rows ended_rows(const played_run& run) {
  run_model::rows made;
  for (const auto& [name, row] : run.rows_) {
    if (is_terminal(row.state)) {
      made[name] = row.state;
    }
  }
  return made;
}

std::string text_of(const run_model::rows& rows) {
  std::string text;
  for (const auto& [name, state] : rows) {
    text.append(name).append(" ").append(to_string(state)).append("\n");
  }
  return text;
}

// A run and its model, side by side.
class compared_run {
public:
  compared_run(const modelled_pipeline& of, dice& roll)
      : roll_(roll), of_(of), run_(yaml_of(of)), model_(of) {
    compare();
  }

  void play_to_the_end() {
    for (int steps = 0; !run_.ended_; ++steps) {
      REQUIRE(steps < 1'000);
      REQUIRE_FALSE(run_.running_.empty());
      step();
    }
    CHECK(model_.over());
    CHECK(run_.graph_.outcome() == model_.outcome());
  }

  void retry() {
    std::set<std::size_t> from;
    std::vector<std::uint32_t> positions;
    for (std::size_t at = 0; at < of_.tasks.size(); ++at) {
      if (roll_.one_in(4)) {
        from.insert(at);
        positions.push_back(*run_.graph_.find(of_.tasks[at].name));
      }
    }
    run_.retry(positions);
    model_.retry(from);
    compare();
  }

private:
  void step() {
    if (roll_.one_in(4)) {
      run_.come_back();
    }
    if (roll_.one_in(30)) {
      const auto reach = roll_.one_in(3) ? stop_reach::everything : stop_reach::ordinary;
      const auto end = run_.stopping_    ? run_.stop_end_  // of the first stop
                       : roll_.one_in(3) ? run_state::TIMED_OUT
                                         : run_state::CANCELLED;
      run_.stop(reach, end);
      model_.stop(reach, end);
    } else {
      const auto names = run_.running();
      const auto name =
          *std::next(names.begin(), static_cast<std::ptrdiff_t>(roll_.below(names.size())));
      const auto state = roll_.one_in(3)
                             ? roll_.one_of<task_state>({task_state::FAILED, task_state::ERRORED,
                                                         task_state::TIMED_OUT, task_state::LOST,
                                                         task_state::CANCELLED})
                             : task_state::SUCCEEDED;
      const auto tried = state == task_state::CANCELLED && roll_.one_in(2)
                             ? attempted::no  // in a queue
                             : attempted::yes;
      known_.erase(name);
      run_.end(name, state, {}, {}, no_exit_code, tried);
      model_.ended(name, state, tried);
    }
    compare();
  }

  void compare() {
    for (const auto& name : run_.running()) {
      if (known_.insert(name).second) {
        model_.started(name);
      }
    }
    REQUIRE(text_of(ended_rows(run_)) == text_of(model_.ended()));
    CHECK_FALSE(model_.forgets());
    CHECK(run_.ended_ == model_.over());
  }

  dice& roll_;
  const modelled_pipeline& of_;
  played_run run_;
  run_model model_;
  names known_;  // those that the model knows to run
};

TEST_CASE("random runs do what the model says, through restarts, stops and retries") {
  for (std::uint32_t seed = 0; seed < 3'000; ++seed) {
    dice roll{seed};
    const auto pipeline = random_pipeline(roll);
    const auto text = yaml_of(pipeline);
    CAPTURE(seed);
    CAPTURE(text);
    compared_run run{pipeline, roll};
    run.play_to_the_end();
    for (auto tries = roll.below(3); tries > 0; --tries) {
      run.retry();
      run.play_to_the_end();
    }
  }
}

}  // namespace
}  // namespace millrace::actors
