// SPDX-License-Identifier: MIT
// The canonical form: what a run pins must be what was loaded, whatever was written.
#include <capnp/message.h>
#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <functional>
#include <set>
#include <string>

#include "actors/definition/every_key.h"
#include "definition/compiled.h"
#include "definition/keys.h"
#include "millrace/actors/definition.h"
#include "millrace/runtime/clock.h"

namespace millrace::actors {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::every_key;

pipeline_definition loaded(std::string_view text) {
  auto made = load_definition(text, "p.yaml");
  for (const auto& each : made.diagnostics) {
    MESSAGE(to_string(each));
  }
  REQUIRE(made);
  return *std::move(made.definition);
}

void check_round_trip(const pipeline_definition& made) {
  const auto text = to_json(made);
  CAPTURE(text.substr(0, 2'000));
  const auto again = from_json(text);
  if (!again) {
    FAIL(again.error().to_string());
  }
  CHECK(*again == made);
  CHECK(to_json(*again) == text);

  capnp::MallocMessageBuilder message;
  auto compiled = message.initRoot<schemas::CompiledPipeline>();
  compile(made, compiled);
  const auto opened = definition_of(compiled);
  if (!opened) {
    FAIL(opened.error().to_string());
  }
  CHECK(to_json(*opened) == text);
  CHECK(*opened == made);
  CHECK(signature_of(compiled)->params == made.params);
}

// A key that is not in the text above would be lost by the compiled form without a word.
TEST_CASE("the text with every key has every key that the loader knows, each known once") {
  for (const auto* table :
       {&pipeline_keys(), &schedule_keys(), &defaults_keys(), &param_keys(), &task_keys(),
        &need_keys(), &hook_body_keys(), &retry_keys(), &output_keys(), &secret_keys(),
        &artifact_keys(), &concurrency_keys(), &trigger_keys(), &signature_keys(), &callback_keys(),
        &revert_keys(), &retention_keys(), &synchronization_keys(), &semaphore_keys()}) {
    for (const auto key : table->keys) {
      CAPTURE(key);
      if (std::string_view{key} == "env_file") {
        continue;  // which no definition has once it is read
      }
      CHECK(every_key.find(std::string{key} + ":") != std::string_view::npos);
    }
    std::set<std::string_view> words{table->keys.begin(), table->keys.end()};
    for (const auto& foreign : table->foreign) {  // of two hints the second would never be said
      CAPTURE(foreign.word);
      CHECK(words.insert(foreign.word).second);
    }
  }
}

TEST_CASE("every key reaches the definition") {
  const auto made = loaded(every_key);
  CHECK(made.name == "every-key");
  CHECK(made.description == "All of them: \"quoted\", ünïcode, tab\tand line\nends.");
  CHECK(made.labels ==
        std::map<std::string, std::string>{{"team", "data"}, {"tier", "1"}, {"a/b", "yes"}});
  REQUIRE(made.params.size() == 10);
  CHECK(made.params[0] == param_definition{"day",
                                           param_type::text,
                                           make_value("today"),
                                           {make_value("today"), make_value("yesterday")},
                                           "Which day.",
                                           false});
  CHECK(made.params[1].choices ==
        std::vector<value>{make_value(-3), make_value(INT64_MAX), make_value(INT64_MIN)});
  CHECK(made.params[2].fallback == make_value(1.0));
  CHECK(made.params[3].fallback == make_value(false));
  CHECK(made.params[4] == param_definition{"region", param_type::text, std::nullopt, {}, "", true});
  CHECK(made.params[5] == param_definition{"note", param_type::text, std::nullopt, {}, "", false});
  CHECK(made.params[6].fallback == make_value("text"));
  CHECK(made.params[7].fallback ==
        make_value(value::list{make_value("a"), make_value("b c"), make_value(3)}));
  CHECK(to_json(*made.params[8].fallback) == R"([{"name":"a","port":1},"plain"])");
  CHECK(made.params[9].fallback ==
        make_value(value::map{{"memory", make_value(0.5)}, {"strict", make_value(true)}}));
  CHECK(made.env == std::map<std::string, std::string>{
                        {"A", "one"}, {"E", "${{ params.day }}"}, {"EMPTY", ""}, {"D", "default"}});
  CHECK(made.timeout == minutes{90});
  CHECK(made.concurrency ==
        concurrency_definition{"${{ params.day }}", 3, at_limit::cancel_oldest});
  CHECK(made.revert_after == 2);
  REQUIRE(made.triggers.size() == 2);
  CHECK(made.triggers[0].on == trigger_event::end);
  CHECK(made.triggers[0].params.at("count") == make_value(1));
  CHECK(made.triggers[1] ==
        trigger_definition{"other", trigger_event::success, {{"region", make_value("us")}}, {}});
  CHECK(made.triggers[0].once_for == "${{ trigger.outputs.all }}");
  REQUIRE(made.webhooks.size() == 2);
  CHECK(made.webhooks[0] ==
        webhook_definition{"github",
                           "github-key",
                           "${{ trigger.headers.x-github-event == 'push' }}",
                           {{"day", make_value("${{ trigger.body.head['a.b'].0 }}")},
                            {"region", make_value("eu")}},
                           "${{ trigger.body.after }}"});
  CHECK(made.webhooks[1] ==
        webhook_definition{"bare", "", "false", {{"region", make_value("us")}}, ""});
  REQUIRE(made.watches.size() == 2);
  const auto& source = made.watches[0];
  CHECK(source.schedule.name == "source");
  CHECK(source.schedule.cron == "*/5 * * * *");
  CHECK(source.schedule.time_zone == "Europe/Berlin");
  CHECK(source.schedule.jitter == seconds{30});
  CHECK(source.schedule.paused);
  CHECK(source.check.name == check_task_name);
  CHECK(source.check.command == std::vector<std::string>{"list", "a b"});
  CHECK(source.check.env == std::map<std::string, std::string>{{"LC_ALL", "C"}});
  CHECK(source.check.secrets == secret_map{{"TOKEN", {secret_source::project, "api-token"}}});
  CHECK(source.check.timeout == time_limit{seconds{30}});
  CHECK(source.first == first_versions::all);
  CHECK(source.params.at("day") == make_value("${{ trigger.version.name['a.b'].0 }}"));
  CHECK(made.watches[1].schedule.every == minutes{1});
  CHECK(made.watches[1].check.run == "echo 1");
  CHECK(made.watches[1].check.shell == std::vector<std::string>{"bash", "-c"});
  CHECK(made.watches[1].check.timeout == time_limit{check_timeout_default});
  CHECK(made.watches[1].first == first_versions::newest);
  CHECK(made.outputs == std::map<std::string, std::string>{
                            {"all", "${{ tasks.each.status }} of ${{ run.id }}"}, {"none", ""}});
  CHECK(made.grace_period == seconds{0});
  CHECK(made.workspace == workspace_mode::task);
  CHECK(made.max_parallel == 7);
  CHECK(made.priority == 10);
  CHECK(made.pool == "big");
  CHECK(made.retention == run_retention{50, std::chrono::hours{720}});
  REQUIRE(made.schedules.size() == 2);
  const auto& nightly = made.schedules[0];
  CHECK(nightly.cron == "0 3 * * MON-FRI");
  CHECK(nightly.time_zone == "Europe/Berlin");
  CHECK(nightly.end == runtime::wall_time{milliseconds{1'801'382'400'500}});
  CHECK(nightly.start == runtime::wall_time{seconds{1'769'842'800}});
  CHECK(nightly.overlap == overlap_policy::replace);
  CHECK(nightly.catchup == catchup_policy::all);
  CHECK(nightly.params.size() == 5);
  CHECK(nightly.paused);
  CHECK(made.schedules[1].every == seconds{90});
}

TEST_CASE("every key reaches the tasks, and defaults are filled in") {
  const auto made = loaded(every_key);
  REQUIRE(made.tasks.size() == 18);
  const auto& list = made.tasks[0];
  CHECK(list.run == "echo \"a: b\"  # no comment\necho 'c'\n");
  CHECK(list.retry == retry_policy{2, seconds{3}, 1.5, minutes{1}, 0, lost_attempt::start_again});
  CHECK(list.timeout == time_limit{minutes{10}});
  CHECK(list.success_exit_codes == std::vector<std::uint8_t>{0, 3});
  CHECK(list.heartbeat == time_limit{seconds{1}});
  CHECK(list.memory_limit == std::uint64_t{1536} << 20U);
  CHECK(list.stdout_output == "said");
  CHECK(list.artifacts == std::vector<artifact_definition>{
                              {"tool", {"bin/tool"}},
                              {"report", {"out/*.xml", "${{ params.day }}/**"}, 10U << 20U, true}});
  CHECK(list.shell == std::vector<std::string>{"bash", "-euo", "pipefail", "-c"});
  CHECK(list.workdir == "a/${{ params.day }}");
  CHECK(list.inputs.at("flag") == make_value(true));
  CHECK(list.inputs.at("list") ==
        make_value(value::list{make_value(1), make_value("two"),
                               value{value::map{{"three", make_value("${{ params.names }}")}}}}));
  CHECK(made.tasks[1].shell.empty());  // a command has none
  CHECK(made.tasks[4].shell.empty());  // that of no word
  CHECK(made.tasks[4].workdir == "/srv");
  CHECK(list.outputs == std::vector<output_definition>{{"files", "The files.", {}},
                                                       {"count", "How many.", {}},
                                                       {"rest", "", "none"},
                                                       {"said", "", {}}});
  CHECK(list.priority == 0);
  CHECK(list.pool == "gpu-1");
  CHECK(pool_of(made, list) == "gpu-1");
  CHECK(made.tasks[4].pool.empty());
  CHECK(pool_of(made, made.tasks[4]) == "big");
  CHECK(list.resources == resource_amounts{{"cpu", 500}, {"gpu", 2}, {"memory", 512U << 20U}});
  CHECK_FALSE(made.tasks[4].priority);
  CHECK(list.secrets == secret_map{{"TOKEN", {secret_source::project, "api-token"}},
                                   {"PASSWORD", {secret_source::file, "database/password"}},
                                   {"_other", {secret_source::environment, "OTHER"}}});
  const auto& each = made.tasks[1];
  CHECK(each.command ==
        std::vector<std::string>{"printf", "%s", "${{ item }}", "", " padded ", "true"});
  CHECK(each.needs == std::vector<std::string>{"list.all_1"});
  CHECK(each.run_on == trigger_rule::always);
  CHECK(each.env == std::map<std::string, std::string>{{"A", "over"}, {"N", "1e3"}});
  CHECK(each.timeout == time_limit{milliseconds{250}});
  CHECK(each.start_timeout == time_limit{"${{ item }}s"});
  CHECK(each.outputs == std::vector<output_definition>{{"list", "", {}}, {"more", "", {}}});
  CHECK(each.success_exit_codes.empty());
  CHECK(each.grace_period == seconds{5});
  CHECK(each.priority == priority_max);
  CHECK(each.mutexes == std::vector<std::string>{"deploy ${{ item }}", "site"});
  CHECK(each.semaphores == std::vector<semaphore_definition>{{"database", 3}});
  CHECK(each.retry.on_lost == lost_attempt::give_up);
  CHECK(each.retry.max_attempts == 1);
  CHECK(each.for_each == fan_values{std::string{"${{ tasks['list.all_1'].outputs.files }}"}});
  CHECK(each.max_parallel == 2);
  CHECK_FALSE(each.fail_fast);
  CHECK(each.on_empty == empty_fan_out::fail);
  CHECK(each.allow_failures == failure_allowance{10, true});
  const auto& pairs = made.tasks[2];
  CHECK(pairs.when == "true");
  CHECK(pairs.retry ==
        retry_policy{
            1'000, minutes{10}, 1.5, minutes{10}, 1, lost_attempt::start_again, {1, 75, 255}, {2}});
  CHECK(pairs.retry_command == command_definition{"", {"resume", "${{ matrix.os }}", ""}, {}});
  CHECK(pairs.timeout == time_limit{"${{ params.note }}"});
  CHECK(made.tasks[4].retry_command == command_definition{"go on", {}, {"sh", "-c"}});
  CHECK(made.tasks[4].start_timeout == time_limit{minutes{10}});
  CHECK(made.tasks[4].heartbeat == time_limit{"${{ params.note }}"});
  CHECK(made.tasks[4].success_exit_codes == std::vector<std::uint8_t>{255});
  CHECK(pairs.allow_failures == failure_allowance{100, true});
  CHECK(made.tasks[4].allow_failures == failure_allowance{3, false});
  REQUIRE(pairs.matrix);
  REQUIRE(pairs.matrix->axes.size() == 3);
  CHECK(pairs.matrix->axes[0].values ==
        fan_values{std::vector<value>{make_value("debian"), make_value("12"), make_value(12),
                                      make_value(1.5), make_value(true),
                                      make_value("${{ params.day }}")}});
  CHECK(pairs.matrix->include.at(0).at("extra") == make_value(1));
  CHECK(pairs.matrix->exclude.at(1).at("os") == make_value(true));
  CHECK(made.tasks[3].approval == "Go on with ${{ params.day }}?");
  CHECK(made.tasks[3].retry == retry_policy{});
  CHECK(made.tasks[8].callback == "Of ${{ params.day }}");
  CHECK(made.tasks[8].timeout == time_limit{minutes{60}});
  CHECK(made.tasks[9].callback == "");
  CHECK_FALSE(made.tasks[9].timeout);
  CHECK(made.tasks[9].retry == retry_policy{});
  CHECK(to_json(make_value(std::get<value::list>(*made.tasks[10].for_each))) ==
        R"([{"host":"${{ params.day }}","port":1.5},{},2])");
  CHECK(made.tasks[12].matrix->include.size() == 2);
  CHECK(made.tasks[12].ranks == 0);
  CHECK(made.tasks[13].ranks == 3);
  const auto& called = made.tasks[14];
  CHECK(called.actor == actor_call_definition{"counter", "of ${{ params.day }}/a", "add_up"});
  CHECK(called.params.at("amount") == make_value("${{ item }}"));
  CHECK(called.retry.max_attempts == 3);
  CHECK(called.timeout == time_limit{std::chrono::seconds{5}});
  CHECK(called.labels ==
        std::map<std::string, std::string>{{"a/b", "yes"}, {"team", "data"}, {"tier", "1"}});
  CHECK(made.tasks[7].pipeline == "every-key");
  CHECK(made.tasks[7].params.at("count") == make_value("${{ item }}"));
  CHECK(made.tasks[7].params.size() == 3);
  CHECK(made.tasks[7].retry == retry_policy{});
  CHECK_FALSE(made.tasks[7].timeout);
  CHECK(made.tasks[4].for_each ==
        fan_values{std::vector<value>{make_value(1), make_value(2.0), make_value("no it is"),
                                      make_value(false)}});
}

TEST_CASE("a variable that several levels have is that of the nearest") {
  const auto made = loaded(R"(name: p
env: {A: pipeline, B: pipeline, C: pipeline}
defaults: {env: {B: defaults, C: defaults, D: defaults}}
tasks: [{name: a, run: x, env: {C: task}}]
)");
  CHECK(made.env ==
        std::map<std::string, std::string>{
            {"A", "pipeline"}, {"B", "defaults"}, {"C", "defaults"}, {"D", "defaults"}});
  CHECK(made.tasks[0].env == std::map<std::string, std::string>{{"C", "task"}});
}

TEST_CASE("a hook is a task behind the one that it belongs to, those of the pipeline come last") {
  const auto made = loaded(every_key);
  const auto& cancel = made.tasks[5];
  CHECK(cancel.name == "last.on_cancel");
  CHECK(cancel.hook == hook_definition{hook_event::cancel, "last"});
  CHECK(cancel.run == "echo gone");
  CHECK(cancel.shell == std::vector<std::string>{"bash", "-euo", "pipefail", "-c"});
  CHECK(cancel.timeout == time_limit{hook_timeout_default});  // not that of `defaults`
  CHECK(cancel.retry == retry_policy{});
  const auto& tidy = made.tasks[6];
  CHECK(tidy.name == "last.finally");
  CHECK(tidy.command == std::vector<std::string>{"rm", "${{ tasks.last.status }}"});
  CHECK(tidy.timeout == time_limit{minutes{60}});
  CHECK(tidy.retry_command == command_definition{"again", {}, {"bash", "-euo", "pipefail", "-c"}});
  CHECK(tidy.retry.max_attempts == 2);
  CHECK(made.tasks[15].name == "on_success");
  CHECK(made.tasks[15].hook == hook_definition{hook_event::success, ""});
  CHECK(made.tasks[17].name == "finally");
  const auto graph = graph_of(made);
  CHECK(graph.needs[5] == std::vector<std::uint32_t>{4});
  CHECK(graph.needs[6] == std::vector<std::uint32_t>{4, 5});
  CHECK(graph.needs[15] ==
        std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14});
  CHECK(graph.needs[17] ==
        std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 15});

  capnp::MallocMessageBuilder message;
  auto compiled = message.initRoot<schemas::CompiledPipeline>();
  compile(made, compiled);
  CHECK(compiled.getFormat() == 10);
  CHECK(compiled.getTasks()[10].getNeeds().size() == 0);
}

TEST_CASE("a need of single instances goes through every form") {
  const auto made = loaded(R"(name: p
fail_fast: true
tasks:
  - {name: a, run: x, for_each: [1]}
  - {name: b, run: x}
  - {name: c, run: x, for_each: [1], needs: [b, {task: a, instances: same}]}
  - {name: d, run: x, needs: [c], run_on: no_failure}
)");
  CHECK(made.fail_fast);
  CHECK(made.tasks[2].needs == std::vector<std::string>{"b", "a"});
  CHECK(made.tasks[2].element_needs == std::vector<std::string>{"a"});
  CHECK(made.tasks[3].run_on == trigger_rule::no_failure);
  CHECK(graph_of(made).element_needs[2] == std::vector<std::uint32_t>{0});
  check_round_trip(made);
}

// The shell of a later command is that of the first unless it says otherwise, plain `sh` too.
TEST_CASE("commands of later attempts keep their shells through every form") {
  const auto made = loaded(R"(name: p
defaults: {retry: 2, shell: bash}
tasks:
  - {name: a, run: x, retry: {run: z}}
  - {name: b, run: x, retry: {run: z, shell: sh}}
  - {name: c, run: x, shell: sh, retry: {run: z}}
  - {name: d, command: [x], retry: {run: z}}
  - {name: e, command: [x], retry: {run: z, shell: sh}}
  - {name: f, run: x, retry: {command: [z]}}
)");
  const std::vector<std::string> bash{"bash", "-e", "-o", "pipefail", "-c"};
  const std::array<std::vector<std::string>, 6> shells{bash, {}, {}, bash, {}, {}};
  REQUIRE(made.tasks.size() == shells.size());
  for (std::size_t at = 0; at < shells.size(); ++at) {
    CAPTURE(made.tasks[at].name);
    REQUIRE(made.tasks[at].retry_command);
    CHECK(made.tasks[at].retry_command->shell == shells[at]);
  }
  check_round_trip(made);
}

TEST_CASE("a hook has the priority of its task") {
  const auto made = loaded("name: p\ntasks:\n  - {name: a, run: x, priority: 90, finally: x}\n");
  CHECK(made.tasks[1].priority == 90);
}

TEST_CASE("a hook goes to the pool of its task, and one of the pipeline to that of the pipeline") {
  const auto made = loaded(
      "name: p\ntasks:\n  - {name: a, run: x, pool: gpu, finally: x}\nfinally: x\n"
      "defaults: {pool: big}\n");
  REQUIRE(made.tasks.size() == 3);
  CHECK(made.pool == "big");
  CHECK(made.tasks[1].pool == "gpu");
  CHECK(pool_of(made, made.tasks[2]) == "big");
  CHECK(pool_of({}, {}) == "default");
  check_round_trip(made);
}

TEST_CASE("every key goes to JSON and back") {
  check_round_trip(loaded(every_key));
}

TEST_CASE("secrets of the pipeline and of the defaults are one, and go to JSON and back") {
  const auto made = loaded(R"(
name: p
secrets: {A: {from: project, key: a}, B: {from: file, key: b}}
defaults: {secrets: {C: {from: env, key: c}}}
tasks: [{name: a, run: x, secrets: {A: {from: env, key: own}}}]
)");
  CHECK(made.secrets == secret_map{{"A", {secret_source::project, "a"}},
                                   {"B", {secret_source::file, "b"}},
                                   {"C", {secret_source::environment, "c"}}});
  CHECK(made.tasks[0].secrets == secret_map{{"A", {secret_source::environment, "own"}}});
  check_round_trip(made);
}

// Goal: a silo that is older than secrets refuses a definition with some, and runs others.
TEST_CASE("only a definition with secrets has the format that older versions refuse") {
  const auto format_of = [](std::string_view text) {
    capnp::MallocMessageBuilder message;
    auto compiled = message.initRoot<schemas::CompiledPipeline>();
    compile(loaded(text), compiled);
    return compiled.getFormat();
  };
  CHECK(format_of("{name: p, tasks: [{name: a, run: x}]}") == 1);
  CHECK(format_of("{name: p, tasks: [{name: a, run: x, secrets: {}}]}") == 1);
  CHECK(format_of("{name: p, tasks: [{name: a, run: x, secrets: {A: {from: env, key: a}}}]}") == 2);
  CHECK(format_of("{name: p, secrets: {A: {from: env, key: a}}, tasks: [{name: a, run: x}]}") == 2);
}

TEST_CASE("a task's own retry lifts the `never` of the defaults") {
  const auto made = loaded(R"(name: p
defaults: {retry: never}
tasks:
  - {name: a, run: x}
  - {name: b, run: x, retry: 3}
  - {name: c, run: x, retry: {delay: 5s}}
)");
  CHECK(made.tasks[0].retry.on_lost == lost_attempt::give_up);
  CHECK(made.tasks[1].retry.on_lost == lost_attempt::start_again);
  CHECK(made.tasks[1].retry.max_attempts == 3);
  CHECK(made.tasks[2].retry.on_lost == lost_attempt::start_again);
  check_round_trip(made);
}

TEST_CASE("jitter may be nothing or all of a delay") {
  const auto with = [](std::string_view jitter) {
    return loaded("name: p\ntasks: [{name: a, run: x, retry: {jitter: " + std::string{jitter} +
                  "}}]\n");
  };
  for (const auto* text : {"0", "0.0", "1", "1.0", "1e-9", "0.999999999999999999"}) {
    CAPTURE(text);
    const auto made = with(text);
    const auto jitter = made.tasks[0].retry.jitter;
    CHECK(jitter >= 0);
    CHECK(jitter <= 1);
    check_round_trip(made);
    // The shortest wait is what jitter leaves, and is never negative.
    const auto least = next_delay(made.tasks[0].retry, 1, 0.999999);
    REQUIRE_FALSE(least);  // one attempt: no retry at all
  }
  retry_policy policy;
  policy.max_attempts = 2;
  policy.jitter = 1;
  CHECK(next_delay(policy, 1, 0) == seconds{1});
  CHECK(*next_delay(policy, 1, 0.999999999) >= seconds{0});
  CHECK(*next_delay(policy, 1, 0.999999999) < milliseconds{1});
  policy.jitter = 0;
  CHECK(next_delay(policy, 1, 0.999999999) == seconds{1});
}

TEST_CASE("a task's environment is its own; the run lays it over the pipeline's") {
  const auto made = loaded(
      "name: p\nenv: {A: pipeline, B: pipeline}\n"
      "tasks: [{name: a, run: x, env: {A: task}}]\n");
  CHECK(made.env.at("A") == "pipeline");
  CHECK(made.tasks[0].env == std::map<std::string, std::string>{{"A", "task"}});
  check_round_trip(made);
}

TEST_CASE("a canonical text may be longer than what a person may write") {
  std::string text = "name: p\nx-n: &n [";
  for (int each = 0; each < 60; ++each) {
    text += "task-with-a-name-" + std::to_string(each) + ",";
  }
  text += "]\ntasks:\n";
  for (int each = 0; each < 2'000; ++each) {
    text += "  - {name: task-with-a-name-" + std::to_string(each) + ", run: x" +
            (each < 60 ? "}\n" : ", needs: *n}\n");
  }
  const auto made = loaded(text);
  CHECK(to_json(made).size() > definition_bytes_max);
  check_round_trip(made);
}

TEST_CASE("a definition whose canonical text would be too long is refused") {
  // A character of four bytes here is six in JSON, and each alias writes it out.
  std::string text = "name: p\nx-t: &t \"";
  for (int each = 0; each < 200'000; ++each) {
    text += "\\x01";
  }
  text += "\"\ntasks:\n";
  for (int each = 0; each < 20; ++each) {
    text += "  - {name: t" + std::to_string(each) + ", run: x, description: *t}\n";
  }
  const auto refused = load_definition(text, "p.yaml");
  CHECK_FALSE(refused.definition.has_value());
  REQUIRE(refused.diagnostics.size() == 1);
  CHECK(to_string(refused.diagnostics[0]) ==
        "p.yaml:1:1: error: the definition grows too large when it is written out (use fewer "
        "aliases, or `for_each`)");
}

// Texts of characters that YAML, JSON or UTF-8 treat in a way of their own.
std::string random_text(runtime::rng& random) {
  constexpr std::array pieces{
      std::string_view{"a"},        std::string_view{" "},       std::string_view{"\n"},
      std::string_view{"\t"},       std::string_view{"\r"},      std::string_view{"\""},
      std::string_view{"'"},        std::string_view{"\\"},      std::string_view{"#"},
      std::string_view{": "},       std::string_view{"- "},      std::string_view{"{"},
      std::string_view{"}"},        std::string_view{"["},       std::string_view{","},
      std::string_view{"&a"},       std::string_view{"*a"},      std::string_view{"!"},
      std::string_view{"%"},        std::string_view{"@"},       std::string_view{"`"},
      std::string_view{"|"},        std::string_view{">"},       std::string_view{"---\n"},
      std::string_view{"...\n"},    std::string_view{"\x01"},    std::string_view{"\x7F"},
      std::string_view{"\u0085"},   std::string_view{"\u00A0"},  std::string_view{"\u2028"},
      std::string_view{"\uFEFF"},   std::string_view{"\uFFFF"},  std::string_view{"\U0001F600"},
      std::string_view{"\\ud83d"},  std::string_view{"\\ude00"}, std::string_view{"\\n"},
      std::string_view{"yes"},      std::string_view{"012"},     std::string_view{"~"},
      std::string_view{"<<"},       std::string_view{"? "},      std::string_view{"1e3"},
      std::string_view{"$${{ x"},   std::string_view{"\x1B[0m"}, std::string_view{"/"},
      std::string_view{"\b\f\v\a"}, std::string_view{"\u00E4"},  std::string_view{"=: "}};
  std::string text;
  for (auto left = random.next() % 12; left > 0; --left) {
    text += pieces[random.next() % pieces.size()];
  }
  return text;
}

TEST_CASE("any text goes to JSON and back") {
  runtime::rng random{20260131};
  for (int round = 0; round < 3'000; ++round) {
    auto made = loaded("name: p\nparams: {t: {default: x}}\ntasks: [{name: a, run: x}]\n");
    auto& task = made.tasks[0];
    made.description = random_text(random);
    made.labels["l"] = random_text(random);
    made.params[0].fallback = make_value(random_text(random));
    made.params[0].choices = {*made.params[0].fallback, make_value(random_text(random))};
    made.env["A"] = random_text(random);
    task.run = "x" + random_text(random);
    if (task.run.find("${{") != std::string::npos) {
      task.run = "x";  // refused in shell text, also when it is escaped
    }
    task.for_each = fan_values{std::vector<value>{make_value(random_text(random))}};
    task.outputs = {{"o", random_text(random), random_text(random)}};
    check_round_trip(made);
  }
}

// Goal: no text ends the process, and whatever loads is a whole definition.
// Method: the text with every key, with a few bytes changed, doubled or taken away.
TEST_CASE("a damaged text is refused or loads whole") {
  constexpr std::string_view strange = "\"'{}[]:,-?&*!|>#%@`\n\t \\$~<x0\xC3\x01";
  runtime::rng random{42};
  for (int round = 0; round < 3'000; ++round) {
    std::string text{every_key};
    for (auto left = 1 + random.next() % 4; left > 0; --left) {
      const auto at = random.next() % text.size();
      const auto size = random.next() % 20;
      switch (random.next() % 4) {
        case 0:
          text[at] = strange[random.next() % strange.size()];
          break;
        case 1:
          text.insert(at, 1, strange[random.next() % strange.size()]);
          break;
        case 2:
          text.erase(at, size);
          break;
        default:
          text.insert(random.next() % text.size(), text.substr(at, size));
      }
    }
    CAPTURE(text);
    const auto made = load_definition(text, "");
    CHECK(made.definition.has_value() == made.diagnostics.empty());
    if (made) {
      check_round_trip(*made.definition);
      CHECK(graph_of(*made.definition).order.size() == made.definition->tasks.size());
    }
    for (const auto& each : made.diagnostics) {
      CHECK(each.line > 0);
      CHECK(each.column > 0);
      CHECK(render(each, text).ends_with("\n"));
    }
  }
}

TEST_CASE("any number goes to JSON and back") {
  runtime::rng random{7};
  for (int round = 0; round < 3'000; ++round) {
    auto made = loaded("name: p\ntasks: [{name: a, run: x, for_each: [1]}]\n");
    const auto whole = static_cast<std::int64_t>(random.next() >> (random.next() % 64));
    auto real = std::bit_cast<double>(random.next());
    real = std::isfinite(real) ? real : 0.5;
    made.tasks[0].for_each = fan_values{
        std::vector<value>{make_value(whole), make_value(-(whole / 2)), make_value(real),
                           make_value(random.fraction()), make_value(static_cast<double>(whole)),
                           make_value(random.next() % 2 == 0)}};
    made.tasks[0].retry = {2,
                           milliseconds{random.next() % 1'000'000},
                           1 + 99 * random.fraction(),
                           milliseconds{random.next() % 10'000'000'000},
                           random.fraction(),
                           lost_attempt::start_again};
    check_round_trip(made);
  }
}

// Goal: a silo that is older than what it finds refuses to run it, rather than run something else.
TEST_CASE("a compiled definition that this version cannot run is refused") {
  const auto made = loaded("name: p\ntasks: [{name: a, run: x}, {name: b, run: x, needs: [a]}]\n");
  const auto refusal = [&](const std::function<void(schemas::CompiledPipeline::Builder)>& change) {
    capnp::MallocMessageBuilder message;
    auto compiled = message.initRoot<schemas::CompiledPipeline>();
    compile(made, compiled);
    change(compiled);
    const auto opened = definition_of(compiled);
    return opened ? std::string{} : opened.error().text();
  };
  CHECK(refusal([](auto) {}).empty());
  CHECK(refusal([](auto all) { all.setFormat(compiled_format + 1); }) ==
        "the definition was compiled by a newer version (format " +
            std::to_string(compiled_format + 1) + ")");
  CHECK(refusal([](auto all) { all.getTasks()[1].getStep().initContainer(); }) ==
        "the task `b` is of a kind that this version cannot run; a newer one applied it");
  CHECK(refusal([](auto all) {
          all.getTasks()[1].setHook(schemas::CompiledTask::Hook::FINALLY);
          all.getTasks()[1].setHookOf(1);
        }) == "the task `b` is a hook of what comes after it");
  CHECK(refusal([](auto all) { all.getTasks()[1].getNeeds()[0].setTask(2); }) ==
        "the task `b` has an edge that this version cannot follow");
  CHECK(refusal([](auto all) {
          all.getTasks()[1].getNeeds()[0].setInstances(static_cast<schemas::Edge::Instances>(2));
        }) == "the task `b` has an edge that this version cannot follow");
}

// Goal: an earlier version, which would run something else, refuses it by its format.
TEST_CASE("what an earlier version would pass over has a later format") {
  const auto format = [](const std::string& keys) {
    capnp::MallocMessageBuilder message;
    auto compiled = message.initRoot<schemas::CompiledPipeline>();
    compile(loaded("name: p\ntasks: [{name: a, run: x" + keys + "}]\n"), compiled);
    return compiled.getFormat();
  };
  CHECK(format(", retry: 3, outputs: [k], for_each: [1]") == 1);
  for (const auto* keys :
       {", shell: bash", ", workdir: a", ", inputs: {a: 1}", ", allow_failures: true",
        ", retry: {on_exit: 3}", ", retry: {not_on_exit: 3}", ", outputs: {k: {default: x}}"}) {
    CAPTURE(keys);
    CHECK(format(keys) == 2);
  }
  for (const auto* keys :
       {", start_timeout: 1s", ", heartbeat: 1s", ", timeout: \"${{ run.id }}\"", ", stdout: k",
        ", success_exit_codes: 3", ", retry: {max_attempts: 2, run: z}"}) {
    CAPTURE(keys);
    CHECK(format(keys) == 5);
  }
  for (const auto* keys :
       {", preemptible: requeue", ", preemptible: cancel, stdout: k", ", for_each: [{a: 1}]",
        ", for_each: \"${{ zip(a=split('x', ',')) }}\"",
        ", for_each: [\"${{ extract('x', 'x') }}\"]",
        ", for_each: \"${{ run.id }}\", env: {A: \"${{ item.b }}\"}",
        ", when: \"${{ matches('x', 'x') }}\"", ", timeout: \"${{ extract('1s', '.*') }}\"",
        ", retry: {max_attempts: 2, command: [\"${{ extract('x', 'x') }}\"]}",
        ", synchronization: {mutexes: [\"${{ extract('x', 'x') }}\"]}",
        "}]\nparams: {p: [{a: 1}]}\nenv: {A: x}\nx-a: [{b: c",
        "}]\nenv: {A: \"${{ extract('x', 'x') }}\"}\nx-a: [{b: c"}) {
    CAPTURE(keys);
    CHECK(format(keys) == 6);
  }
  CHECK(format(", limits: {memory: 1Mi}") == 8);
  CHECK(format(", limits: {memory: 1Mi}, pool: gpu") == 9);
  CHECK(format("}]\ndefaults: {pool: gpu}\nx-a: [{b: c") == 9);
  CHECK(format(", ranks: 2, limits: {memory: 1Mi}") == 8);
  CHECK(format(", env: {A: \"${{ json('[1]').0 }}\"}") == 8);
  CHECK(format(", artifacts: {a: \"${{ json('[1]').0 }}\"}") == 8);
  CHECK(format(", retry: {max_attempts: 2, command: [\"${{ json(run.id) }}\"]}") == 8);
  CHECK(format(", ranks: 2") == 7);
  CHECK(format(", ranks: 2, artifacts: {a: b}") == 7);
  CHECK(format(", success_exit_codes: 0, timeout: 1s") == 1);
  CHECK(format(", artifacts: {a: b}, heartbeat: 1s") == 6);
  CHECK(format(", cache: true}]\nworkspace: task\nx-a: [{b: c") == 7);
  CHECK(format(", matrix: {include: [{os: a}]}") == 1);
  CHECK(format("}]\nparams: {p: {type: map, default: {a: 1}}}\nenv: {A: \"${{ params.p.a "
               "}}\"}\nx-a: [{b: c") == 1);
  CHECK(format("}]\ntriggers: [{webhook: w") == 5);
  CHECK(format("}]\ntriggers: [{watch: w, every: 1m, run: x") == 8);
  CHECK(format(", labels: {}") == 1);
  CHECK(format(", labels: {team: data}") == 10);
  CHECK(format("}, {name: b, actor: counter/x, method: add") == 10);
}

}  // namespace
}  // namespace millrace::actors
