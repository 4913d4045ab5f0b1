// SPDX-License-Identifier: MIT
// Tasks that call actors of the program that the pipelines run in.
#include <atomic>
#include <string>

#include "actors/pipeline/till.capnp.actor.h"
#include "fixture.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;
using schemas::AttemptEnd;
using schemas::RunState;
using schemas::TaskState;

namespace {

// Failures are counted beside the state, which a failed method leaves as it was.
struct till_parts {
  std::atomic<std::uint32_t> failures{0};
  std::atomic<std::uint32_t> held{0};
  std::atomic<bool> lets_go{false};
};

class till final : public testing::till_base<testing::TillState> {
public:
  explicit till(till_parts& parts) : parts_(parts) {}

  async<add_results> add(add_params params) override {
    add_up(params.amount());
    add_results results;
    auto made = results.build();
    made.setTotal(state().getTotal());
    made.setNote(std::string{params.note()}.c_str());
    made.setExact(true);
    made.initSlip().setText("paid");
    auto sums = made.getSlip().initSums(2);
    sums.set(0, params.amount());
    sums.set(1, state().getTotal());
    co_return results;
  }
  async<total_results> total() override {
    co_return total_results{state().getTotal(), state().getCalls()};
  }
  async<> fail(fail_params params) override {
    ++parts_.failures;
    co_await runtime::fail(runtime::errc_from_string(params.code()), "as it was told");
  }
  async<fail_at_first_results> fail_at_first(fail_at_first_params params) override {
    if (++parts_.failures <= params.times()) {
      co_return error{runtime::errc_from_string(params.code()), "not yet"};
    }
    co_return fail_at_first_results{parts_.failures};
  }
  async<hold_results> hold(hold_params params) override {
    ++parts_.held;
    while (!parts_.lets_go) {
      std::ignore = co_await wait("open", std::chrono::seconds{1});
    }
    add_up(params.amount());
    co_return hold_results{state().getTotal()};
  }
  async<> let_go() override {
    parts_.lets_go = true;
    notify("open");
    return {};
  }
  async<> add_and_fail(add_and_fail_params params) override {
    ++parts_.failures;
    add_up(params.amount());
    std::ignore = co_await wait("", std::chrono::milliseconds{1});
    co_await runtime::fail(errc::unavailable, "gone");
  }
  async<> add_and_hold(add_and_hold_params params) override {
    add_up(params.amount());
    for (;;) {
      std::ignore = co_await wait("", std::chrono::milliseconds{1});
      ++parts_.held;  // it is stored
    }
  }
  async<fill_results> fill(fill_params params) override {
    fill_results results;
    results.build().setText(std::string(params.bytes(), 'x').c_str());
    co_return results;
  }
  async<> close() override { return {}; }

private:
  void add_up(std::int64_t amount) {
    edit().setTotal(state().getTotal() + amount);
    edit().setCalls(state().getCalls() + 1);
  }

  till_parts& parts_;
};

struct shop {
  explicit shop(const std::filesystem::path& data, till_parts& parts,
                std::set<std::string, std::less<>> callable = {"till", "run"})
      : here(data, {.data_directory = {}, .callable_types = std::move(callable)}, {},
             [&parts](runtime::silo& silo) {
               silo.add<till>(
                   [&parts]() -> std::unique_ptr<till> { return std::make_unique<till>(parts); });
             }) {}

  std::string submit(const std::string& tasks) { return here.submit("name: p\ntasks:\n" + tasks); }
  // Of a run that has ended.
  TaskState state_of(const std::string& run, const std::string& task) {
    return here.task(run, task).task().getState();
  }
  std::string reason_of(const std::string& run, const std::string& task) {
    return text_of(here.task(run, task).task().getReason());
  }
  std::string output_of(const std::string& run, const std::string& task, const char* name) {
    const auto told = here.task(run, task);
    for (const auto each : told.task().getOutputs()) {
      if (each.getName() == name) {
        return text_of(each.getValue());
      }
    }
    return "none";
  }
  testing::till_interface::total_results total(const std::string& key) {
    auto told = here.silo->call(ref<testing::Till>(key).total());
    REQUIRE(told);
    return *std::move(told);
  }

  node here;
};

}  // namespace

TEST_CASE("a task calls an actor, and the fields of the answer are its outputs") {
  temporary_folder data;
  till_parts parts;
  shop at{data.path, parts};
  const auto run = at.here.submit(R"yaml(name: p
params: {who: ann, sums: [3, 4]}
tasks:
  - name: pay
    actor: till/${{ params.who }}/main
    method: add
    params: {amount: 5, note: "of ${{ params.who }}"}
  - name: each
    needs: pay
    for_each: ${{ params.sums }}
    max_parallel: 1
    actor: till/${{ item }}
    method: add
    params: {amount: "${{ item }}"}
    outputs: [total]
  - name: told
    needs: each
    env: {EACH: "${{ join(tasks.each.outputs.total, ' ') }}"}
    run: test "$EACH" = "3 4"
  - name: part
    needs: pay
    command: [test, "${{ json(tasks.pay.outputs.slip).sums.0 }}", =, "5"]
)yaml");
  CHECK(at.here.wait(run) == RunState::SUCCEEDED);
  CHECK(at.output_of(run, "pay", "total") == "5");
  CHECK(at.output_of(run, "pay", "note") == "of ann");
  CHECK(at.output_of(run, "pay", "exact") == "true");
  CHECK(at.output_of(run, "pay", "slip") == R"({"text":"paid","sums":[5,5]})");
  CHECK(at.total("ann/main").calls() == 1);
  const auto pay = attempts_of(*at.here.silo, run, "pay");
  REQUIRE(pay.attempts().size() == 1);
  CHECK(pay.attempts()[0].getEnd() == AttemptEnd::ANSWERED);
  CHECK(pay.attempts()[0].getExecutor() == "");
  REQUIRE(pay.command().size() == 3);
  CHECK(pay.command()[0] == "till/ann/main");
  CHECK(at.here.task(run, "pay").task().getExitCode() == -1);
  node::eventually([&] { return at.here.silo->metrics().totals.sends_pending == 0; });
}

TEST_CASE("calls hold no slot, and a fan-out of them is bounded by its own max_parallel") {
  temporary_folder data;
  till_parts parts;
  shop at{data.path, parts};
  const auto run = at.here.submit(R"yaml(name: p
max_parallel: 1
tasks:
  - {name: each, for_each: [1, 2, 3], actor: "till/${{ item }}", method: hold, params: {amount: 1}}
  - {name: beside, run: "true"}
)yaml");
  REQUIRE(at.here.follow(run, [](auto event) {
    return event.getName() == "beside" && event.getState() == TaskState::SUCCEEDED;
  }));
  node::eventually([&] { return parts.held == 3; });
  for (const auto* key : {"1", "2", "3"}) {
    REQUIRE(at.here.silo->call(ref<testing::Till>(key).let_go()));
  }
  CHECK(at.here.wait(run) == RunState::SUCCEEDED);
}

TEST_CASE("a call is made once, whatever becomes of the silo while it goes on") {
  temporary_folder data;
  till_parts parts;
  std::string run;
  {
    shop at{data.path, parts};
    run = at.submit("  - {name: a, actor: till/x, method: hold, params: {amount: 7}, timeout: 1h}");
    node::eventually([&] { return parts.held == 1; });
  }
  shop at{data.path, parts};
  node::eventually([&] { return parts.held == 2; });
  REQUIRE(at.here.silo->call(ref<testing::Till>("x").let_go()));
  CHECK(at.here.wait(run) == RunState::SUCCEEDED);
  CHECK(at.output_of(run, "a", "total") == "7");
  CHECK(at.total("x").calls() == 1);
  CHECK(attempts_of(*at.here.silo, run, "a").attempts().size() == 1);
}

// The actor's turn was suspended behind a commit when its silo stopped.
TEST_CASE("a call that was cut off after it took effect is not made again") {
  temporary_folder data;
  till_parts parts;
  std::string run;
  {
    shop at{data.path, parts};
    run = at.submit(
        "  - {name: a, actor: till/x, method: add_and_hold, params: {amount: 7},\n"
        "     retry: never, timeout: 1h}");
    node::eventually([&] { return parts.held > 0; });
  }
  shop at{data.path, parts};
  CHECK(at.here.wait(run) == RunState::FAILED);
  CHECK(at.state_of(run, "a") == TaskState::LOST);
  CHECK(at.total("x").calls() == 1);
}

TEST_CASE("an error says by its class whether the call is tried again") {
  temporary_folder data;
  till_parts parts;
  shop at{data.path, parts};
  const auto retried = at.submit(
      "  - {name: a, actor: till/a, method: fail_at_first, params: {times: 2, code: overloaded},\n"
      "     retry: {max_attempts: 3, delay: 1ms}}");
  CHECK(at.here.wait(retried) == RunState::SUCCEEDED);
  CHECK(attempts_of(*at.here.silo, retried, "a").attempts().size() == 3);

  parts.failures = 0;
  const auto within = at.submit(
      "  - {name: a, actor: till/a, method: fail_at_first, params: {times: 2, code: unavailable}}");
  CHECK(at.here.wait(within) == RunState::SUCCEEDED);
  CHECK(attempts_of(*at.here.silo, within, "a").attempts().size() == 1);
  CHECK(parts.failures == 3);

  parts.failures = 0;
  const auto refused = at.submit(
      "  - {name: a, actor: till/a, method: fail, params: {code: conflict}, retry: 3}\n"
      "  - {name: b, actor: till/b, method: fail, params: {code: overloaded}}");
  CHECK(at.here.wait(refused) == RunState::FAILED);
  CHECK(at.state_of(refused, "a") == TaskState::FAILED);
  CHECK(at.reason_of(refused, "a").starts_with("conflict: as it was told"));
  CHECK(at.state_of(refused, "b") == TaskState::ERRORED);
  CHECK(at.reason_of(refused, "b") == "overloaded: as it was told");
  CHECK(parts.failures == 2);
  const auto attempts = attempts_of(*at.here.silo, refused, "a");
  REQUIRE(attempts.attempts().size() == 1);
  CHECK(attempts.attempts()[0].getEnd() == AttemptEnd::REFUSED);
}

TEST_CASE("a call of which nobody knows whether it took effect is lost, unless it may be again") {
  temporary_folder data;
  till_parts parts;
  shop at{data.path, parts};
  const auto never = at.submit(
      "  - {name: a, actor: till/a, method: add_and_fail, params: {amount: 1}, retry: never}");
  CHECK(at.here.wait(never) == RunState::FAILED);
  CHECK(at.state_of(never, "a") == TaskState::LOST);
  CHECK(at.reason_of(never, "a").starts_with("outcome_unknown: "));
  CHECK(parts.failures == 1);
  CHECK(at.total("a").calls() == 1);
  const auto again = at.submit(
      "  - {name: a, actor: till/b, method: add_and_fail, params: {amount: 1},\n"
      "     retry: {max_attempts: 3, delay: 1ms}}");
  CHECK(at.here.wait(again) == RunState::FAILED);
  CHECK(at.state_of(again, "a") == TaskState::LOST);
  CHECK(attempts_of(*at.here.silo, again, "a").attempts().size() == 3);
  CHECK(at.total("b").calls() == 3);
}

TEST_CASE("a call has a timeout, and is cancelled with its run") {
  temporary_folder data;
  till_parts parts;
  shop at{data.path, parts};
  const auto late =
      at.submit("  - {name: a, actor: till/x, method: hold, params: {amount: 1}, timeout: 50ms}");
  CHECK(at.here.wait(late) == RunState::FAILED);
  CHECK(at.state_of(late, "a") == TaskState::TIMED_OUT);
  CHECK(at.reason_of(late, "a").starts_with("no answer within 50ms"));
  const auto run = at.submit(
      "  - {name: a, actor: till/y, method: hold, params: {amount: 1}, timeout: 1h}\n"
      "  - {name: b, actor: till/z, method: fail, params: {code: overloaded},\n"
      "     retry: {max_attempts: 2, delay: 1h}}");
  at.here.wait_until_running(run, "a");
  REQUIRE(at.here.follow(run, [](auto event) {
    return event.getName() == "b" && event.getState() == TaskState::BACKING_OFF;
  }));
  REQUIRE(at.here.silo->call(ref<schemas::Run>(run).cancel("enough", false)));
  CHECK(at.here.wait(run) == RunState::CANCELLED);
  CHECK(at.state_of(run, "a") == TaskState::CANCELLED);
  CHECK(at.state_of(run, "b") == TaskState::CANCELLED);
}

TEST_CASE("a call that cannot be made is errored at its place, with what is near") {
  temporary_folder data;
  till_parts parts;
  shop at{data.path, parts};
  const auto run = at.submit(
      "  - {name: type, actor: tils/a, method: add}\n"
      "  - {name: method, actor: till/a, method: addd}\n"
      "  - {name: params, actor: till/a, method: add, params: {amont: 5}}\n"
      "  - {name: internal, actor: till/a, method: close}\n"
      "  - {name: own, actor: \"run/${{ run.id }}\", method: cancel}\n"
      "  - {name: key, actor: \"till/${{ join(split('', ','), '') }}\", method: add}\n"
      "  - {name: long, actor: till/a, method: add, timeout: 25h}\n"
      "  - {name: large, actor: till/a, method: fill, params: {bytes: 70000}}\n"
      "  - {name: lacks, actor: till/a, method: add, outputs: [sum]}\n");
  CHECK(at.here.wait(run) == RunState::FAILED);
  for (const auto* each : {"type", "method", "params", "internal", "own", "key", "long"}) {
    CAPTURE(std::string{each});
    CHECK(at.state_of(run, each) == TaskState::ERRORED);
  }
  CHECK(at.reason_of(run, "type") ==
        "actor: this silo has no actors of type 'tils'; did you mean 'till'?");
  CHECK(at.reason_of(run, "method") ==
        "method: actors of type 'till' have no 'addd'; did you mean 'add'?");
  CHECK(at.reason_of(run, "params").starts_with("params: "));
  CHECK(at.reason_of(run, "params").find("amont") != std::string::npos);
  CHECK(at.reason_of(run, "internal") == "method: 'till.close' is for other actors");
  CHECK(at.reason_of(run, "own") == "actor: tasks may not call actors of type 'run'");
  CHECK(at.reason_of(run, "key").starts_with("actor: a key has 1 to 255 bytes"));
  CHECK(at.reason_of(run, "long").starts_with("timeout: a call of an actor takes at most 24h"));
  CHECK(at.state_of(run, "large") == TaskState::FAILED);
  CHECK(at.reason_of(run, "large").find("outputs are at most 256 and 65536") != std::string::npos);
  CHECK(at.state_of(run, "lacks") == TaskState::FAILED);
  CHECK(at.reason_of(run, "lacks").find("\"sum\"") != std::string::npos);
}

TEST_CASE("tasks call actors of the types that the program names, and of no others") {
  temporary_folder data;
  till_parts parts;
  shop at{data.path, parts, {}};
  const auto run = at.submit("  - {name: a, actor: till/a, method: add, params: {amount: 1}}");
  CHECK(at.here.wait(run) == RunState::FAILED);
  CHECK(at.reason_of(run, "a") ==
        "actor: tasks may not call actors of type 'till'; its program names what they may call");
  CHECK(at.total("a").calls() == 0);
}

TEST_CASE("a retry of the run calls again what did not succeed, as a call of its own") {
  temporary_folder data;
  till_parts parts;
  shop at{data.path, parts};
  const auto run = at.submit(
      "  - {name: well, actor: till/a, method: add, params: {amount: 1}}\n"
      "  - {name: a, actor: till/b, method: fail_at_first, params: {times: 1, code: conflict}}");
  CHECK(at.here.wait(run) == RunState::FAILED);
  REQUIRE(at.here.silo->call(ref<schemas::Run>(run).retry()));
  CHECK(at.here.wait(run) == RunState::SUCCEEDED);
  CHECK(at.total("a").calls() == 1);
  CHECK(attempts_of(*at.here.silo, run, "a").attempts().size() == 2);
}

TEST_CASE("tasks have labels, and are listed by them") {
  temporary_folder data;
  till_parts parts;
  shop at{data.path, parts};
  const auto run = at.submit(
      "  - {name: a, run: 'true', labels: {team: data, tier: 1}}\n"
      "  - {name: b, run: 'true', labels: {team: web}, for_each: [1, 2]}\n"
      "  - {name: c, approval: 'Well?', labels: {team: data}}\n"
      "  - {name: d, run: 'true'}");
  const auto found = [&](const std::string& label, const std::string& after = {}) {
    auto told = at.here.silo->call(ref<schemas::Run>(run).tasks(after, 1, label));
    REQUIRE(told);
    return *std::move(told);
  };
  REQUIRE(at.here.follow(run, [](auto event) {
    return event.getName() == "b[1]" && event.getState() == TaskState::SUCCEEDED;
  }));
  auto page = found("team=data");
  REQUIRE(page.tasks().size() == 1);
  CHECK(page.tasks()[0].getName() == "a");
  REQUIRE(page.tasks()[0].getLabels().size() == 2);
  CHECK(page.tasks()[0].getLabels()[1].getName() == "tier");
  CHECK(page.tasks()[0].getLabels()[1].getValue() == "1");
  CHECK(page.next_cursor() == "a");
  page = found("team=data", "a");
  REQUIRE(page.tasks().size() == 1);
  CHECK(page.tasks()[0].getName() == "c");
  page = found("team=web", "b[0]");
  REQUIRE(page.tasks().size() == 1);
  CHECK(page.tasks()[0].getName() == "b[1]");
  CHECK(found("team=none").tasks().size() == 0);
  CHECK(at.here.task(run, "c").task().getLabels().size() == 1);
  const auto wrong = at.here.silo->call(ref<schemas::Run>(run).tasks("", 0, "=x"));
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().code() == errc::invalid_argument);
  REQUIRE(at.here.silo->call(ref<schemas::Run>(run).decide("c", true, "", "ann")));
  CHECK(at.here.wait(run) == RunState::SUCCEEDED);
}

}  // namespace millrace::actors
