// SPDX-License-Identifier: MIT
// Outputs that are kept apart, as a run sees them.
#include "actors/run/played_run.h"

namespace millrace::actors {
namespace {

using names = std::set<std::string>;

const kept_output found{"found", std::string(64, 'a'), 5'000'000, "silo-1"};

void end_with_large(played_run& run, const std::string& task, output_list small = {}) {
  run.graph_.keep_large(run.running_.at(task), {found});
  run.end(task, task_state::SUCCEEDED, std::move(small));
}

TEST_CASE("a large output has its place in inputs, alone and in the list of a fan-out") {
  played_run run{R"(name: p
tasks:
  - {name: one, run: x, outputs: [found, small]}
  - {name: all, for_each: [a, b], run: x, outputs: [found]}
  - name: take
    needs: [one, all]
    run: x
    inputs:
      list: ["${{ tasks.one.outputs.found }}", 1, {}]
      every: ${{ tasks.all.outputs.found }}
      small: ${{ tasks.one.outputs.small }}
      more: {deep: "${{ tasks.one.outputs.found }}"}
)"};
  end_with_large(run, "one", {{"small", "s"}});
  end_with_large(run, "all[0]");
  run.end("all[1]", task_state::SUCCEEDED, {{"found", "little"}});
  REQUIRE(run.running() == names{"take"});
  const auto inputs = run.graph_.inputs(run.running_.at("take"));
  REQUIRE(inputs);
  CHECK(inputs->json == R"({"every":[,"little"],"list":[,1,{}],"more":{"deep":},"small":"s"})");
  REQUIRE(inputs->texts.size() == 3);
  CHECK(inputs->json.substr(inputs->texts[0].at).starts_with(",\"little\""));
  CHECK(inputs->texts[0].task == "all[0]");
  CHECK(inputs->json.substr(inputs->texts[1].at).starts_with(",1,{}]"));
  CHECK(inputs->texts[1].task == "one");
  CHECK(inputs->texts[1].output.digest == found.digest);
  CHECK(inputs->json.substr(inputs->texts[2].at).starts_with("},"));
}

TEST_CASE("inputs without large outputs are the JSON that they were") {
  played_run run{R"(name: p
tasks:
  - {name: one, run: x, outputs: [k]}
  - name: take
    needs: [one]
    run: x
    inputs: {a: "${{ tasks.one.outputs.k }}", b: [], c: {}, d: [1, "x ${{ run.id }}", true]}
)"};
  run.end("one", task_state::SUCCEEDED, {{"k", "\"v\""}});
  const auto inputs = run.graph_.inputs(run.running_.at("take"));
  REQUIRE(inputs);
  CHECK(inputs->json == R"({"a":"\"v\"","b":[],"c":{},"d":[1,"x r",true]})");
  CHECK(inputs->texts.empty());
}

TEST_CASE("what cannot hold a large output says which, how large it is, and what to do") {
  const std::string why =
      "`tasks.one.outputs.found` has 5000000 bytes, which are kept apart and cannot be read here; "
      "have a command read it, by `inputs` with this expression alone";
  played_run run{R"(name: p
tasks:
  - {name: one, run: x, outputs: {found: {default: none}}}
  - {name: all, for_each: [a], run: x}
  - {name: if, needs: [one], run: x, when: "${{ tasks.one.outputs.found == 'x' }}"}
  - {name: each, needs: [one], run: x, for_each: "${{ tasks.one.outputs.found }}"}
  - {name: env, needs: [one], run: x, env: {A: "${{ tasks.one.outputs.found }}"}}
  - {name: text, needs: [one], run: x, inputs: {a: "of ${{ tasks.one.outputs.found }}"}}
  - {name: list, needs: [all], run: x, env: {A: "${{ join(tasks.all.outputs.found, ' ') }}"}}
)"};
  end_with_large(run, "one");
  CHECK(run.reasons_.at("if").starts_with("`when`: " + why));
  CHECK(run.reasons_.at("each").starts_with(why));
  CHECK(run.settled_.at("each") == task_state::ERRORED);
  const auto env = run.graph_.environment(run.running_.at("env"));
  REQUIRE_FALSE(env);
  CHECK(env.error().code() == runtime::errc::too_large);
  CHECK(env.error().text().starts_with("env A: " + why));
  CHECK(run.graph_.inputs(run.running_.at("text")).error().text().starts_with("inputs a: " + why));
  end_with_large(run, "all[0]");
  CHECK(run.graph_.environment(run.running_.at("list"))
            .error()
            .text()
            .starts_with("env A: `tasks.all.outputs.found` of 'all[0]' has 5000000 bytes"));
}

TEST_CASE("the run knows which outputs it reads itself, and goes on from them") {
  played_run run{R"(name: p
outputs: {told: "${{ tasks.one.outputs.told }}"}
tasks:
  - {name: one, run: x, outputs: [found, told, other, asked, cell]}
  - {name: all, for_each: [a], run: x, outputs: [found]}
  - {name: each, needs: [one], run: x, for_each: "${{ split(tasks.one.outputs.found, ',') }}"}
  - {name: cells, needs: [one], run: x, matrix: {m: "${{ split(tasks.one.outputs.cell, ',') }}"}}
  - name: rest
    needs: [one, all]
    run: x
    when: "${{ tasks.one.outputs.asked != 'x' && length(tasks.all.outputs.found) > 0 }}"
    env: {OTHER: "${{ tasks.one.outputs.other }}"}
)"};
  CHECK(run.graph_.read_outputs(0) == std::vector<std::string>{"asked", "cell", "found", "told"});
  CHECK(run.graph_.read_outputs(1).empty());
  end_with_large(run, "one", {{"found", "a,b"}, {"cell", "c"}, {"asked", ""}, {"told", ""}});
  CHECK(run.running().contains("each[1]"));
  run.come_back();
}

TEST_CASE("inputs have a bound of large outputs") {
  played_run run{R"(name: p
tasks:
  - {name: one, run: x}
  - {name: take, needs: [one], run: x, inputs: {a: "${{ tasks.one.outputs.found }}"}}
)"};
  auto large = found;
  large.size = task_large_inputs_bytes_max + 1;
  run.graph_.keep_large(run.running_.at("one"), {large});
  run.end("one", task_state::SUCCEEDED);
  CHECK(run.graph_.inputs(run.running_.at("take")).error().text() ==
        "inputs: they have 1 large outputs with 67108865 bytes, and may have 10000 with 67108864; "
        "leave them in files, and name these in `artifacts`");
}

}  // namespace
}  // namespace millrace::actors
