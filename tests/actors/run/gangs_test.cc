// SPDX-License-Identifier: MIT
// Tasks with ranks: they start together, and begin again together.
#include <algorithm>
#include <array>
#include <random>

#include "actors/run/played_run.h"

namespace millrace::actors {
namespace {

using namespace std::chrono_literals;

const names all{"train[0]", "train[1]", "train[2]"};

std::string gang(const std::string& more = {}) {
  return "{name: p, tasks: [{name: train, ranks: 3, run: x" + more +
         "}, {name: report, needs: [train], run: y}]}";
}

// The others have been cancelled for the first failure.
void end_others(played_run& run, const std::string& failed) {
  for (const auto& each : all) {
    if (each != failed && run.running().contains(each)) {
      run.end(each, task_state::CANCELLED, {}, "cancelled");
    }
  }
}

TEST_CASE("all ranks start at once, and the task has succeeded when all have") {
  played_run run{gang()};
  CHECK(run.running() == all);
  run.end("train[1]", task_state::SUCCEEDED, {{"loss", "1"}});
  run.end("train[0]", task_state::SUCCEEDED, {{"loss", "0"}});
  CHECK(run.running() == names{"train[2]"});
  run.come_back();
  run.end("train[2]", task_state::SUCCEEDED, {{"loss", "2"}});
  CHECK(run.running() == names{"report"});
  run.end("report", task_state::SUCCEEDED);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::SUCCEEDED);
  CHECK(run.graph_.gang(0) == gang_row{});
}

TEST_CASE("the first rank that fails ends the others") {
  played_run run{gang()};
  run.end("train[0]", task_state::SUCCEEDED);
  run.end("train[2]", task_state::FAILED, {}, "exit code 3", 3);
  CHECK(run.cancelled_ == names{"train[1]"});
  CHECK(run.reasons_.at("train[1]") == "rank 2 of the gang has failed: exit code 3");
  CHECK_FALSE(run.ended_);
  run.come_back();
  run.end("train[1]", task_state::CANCELLED);
  CHECK(run.again_.empty());
  CHECK(run.settled_.at("report") == task_state::UPSTREAM_FAILED);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::FAILED);
}

TEST_CASE("a gang begins again as a whole after its delay, as often as its policy says") {
  played_run run{gang(", retry: {max_attempts: 3, delay: 10s, backoff: 2, jitter: 0}")};
  run.end("train[1]", task_state::SUCCEEDED, {{"loss", "1"}});
  run.end("train[2]", task_state::FAILED, {}, "exit code 3", 3);
  run.end("train[0]", task_state::CANCELLED);
  REQUIRE(run.again_.size() == 1);
  CHECK(run.again_[0].delay == 10s);
  CHECK(run.again_[0].reason == "rank 2 of the gang has failed: exit code 3");
  CHECK(run.running().empty());
  CHECK_FALSE(run.ended_);
  CHECK(run.graph_.gang(0) == gang_row{1, 1, {}});
  CHECK(run.graph_.active() == 0);
  run.come_back();
  CHECK(run.graph_.is_backing_off(0));
  CHECK(run.graph_.active() == 0);
  run.round_is_due("train");
  CHECK(run.running() == all);  // also the one that had succeeded
  CHECK(run.graph_.active() == 3);
  run.round_is_due("train");
  CHECK(run.graph_.active() == 3);
  run.end("train[0]", task_state::TIMED_OUT, {}, "timed out after 1 s");
  end_others(run, "train[0]");
  REQUIRE(run.again_.size() == 2);
  CHECK(run.again_[1].delay == 20s);
  CHECK(run.again_[1].reason == "rank 0 of the gang has timed out: timed out after 1 s");
  run.round_is_due("train");
  run.end("train[1]", task_state::ERRORED, {}, "no such program");
  end_others(run, "train[1]");
  CHECK(run.again_.size() == 2);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::FAILED);
}

TEST_CASE("the exit code of the rank that failed first decides") {
  for (const auto survives_restart : {false, true}) {
    for (const std::int32_t code : {75, 3}) {
      CAPTURE(code);
      played_run run{gang(", retry: {max_attempts: 2, on_exit: [75], delay: 0s}")};
      run.end("train[2]", task_state::FAILED, {}, "exit code", code);
      if (survives_restart) {
        run.come_back();
      }
      run.end("train[0]", task_state::FAILED, {}, "exit code", code == 75 ? 3 : 75);
      run.end("train[1]", task_state::CANCELLED);
      CHECK(run.again_.size() == (code == 75 ? 1 : 0));
      CHECK(run.running() == (code == 75 ? all : names{}));  // at once
      CHECK(run.ended_ == (code == 3));
    }
  }
}

TEST_CASE("a lost rank begins the gang again at once, without counting") {
  played_run run{gang()};
  for (int round = 1; round <= 5; ++round) {
    // The others notice before anybody knows why.
    run.end("train[0]", task_state::FAILED, {}, "exit code 1", 1);
    run.end("train[2]", task_state::CANCELLED);
    run.end("train[1]", task_state::LOST, {}, "its executor went away");
    REQUIRE(run.again_.size() == static_cast<std::size_t>(round));
    CHECK(run.again_.back().delay == 0s);
    CHECK(run.again_.back().reason == "rank 1 of the gang was lost");
    CHECK(run.running() == all);
    CHECK(run.graph_.gang(0) == gang_row{static_cast<std::uint32_t>(round), 0, {}});
  }
  for (const auto& each : all) {
    run.end(each, task_state::SUCCEEDED);
  }
  CHECK(run.running() == names{"report"});
}

TEST_CASE("a lost rank of a gang that may never be repeated is the end of it") {
  played_run run{gang(", retry: never")};
  run.end("train[1]", task_state::LOST, {}, "its executor went away");
  CHECK(run.reasons_.at("train[0]") == "rank 1 of the gang was lost: its executor went away");
  end_others(run, "train[1]");
  CHECK(run.again_.empty());
  CHECK(run.ended_);
}

TEST_CASE("a run that is stopped does not begin its gang again") {
  SUBCASE("while it runs") {
    played_run run{gang(", retry: {max_attempts: 3, delay: 10s}")};
    run.stop();
    CHECK(run.cancelled_ == all);
    run.end("train[0]", task_state::FAILED, {}, "exit code 3", 3);
    run.end("train[1]", task_state::CANCELLED);
    run.end("train[2]", task_state::CANCELLED);
    CHECK(run.again_.empty());
    CHECK(run.ended_);
  }
  SUBCASE("while it waits for its next round") {
    played_run run{gang(", retry: {max_attempts: 3, delay: 10s}")};
    run.end("train[0]", task_state::FAILED, {}, "exit code 3", 3);
    end_others(run, "train[0]");
    CHECK(run.again_.size() == 1);
    run.stop();
    for (const auto& each : all) {
      CHECK(run.settled_.at(each) == task_state::CANCELLED);
    }
    CHECK(run.ended_);
    run.round_is_due("train");
    CHECK(run.running().empty());
  }
}

TEST_CASE("a round that is due while the run is paused begins when it is resumed") {
  played_run run{gang(", retry: {max_attempts: 3, delay: 10s}")};
  run.end("train[0]", task_state::FAILED, {}, "exit code 3", 3);
  end_others(run, "train[0]");
  run.graph_.pause();
  run.round_is_due("train");
  CHECK(run.running().empty());
  run.take(run.graph_.resume());
  CHECK(run.running() == all);
}

TEST_CASE("a retry of the run begins all of the gang again, as another round") {
  played_run run{gang(", retry: {max_attempts: 2, delay: 0s}")};
  for (int round = 0; round < 2; ++round) {
    run.end("train[1]", task_state::SUCCEEDED);
    run.end("train[0]", task_state::FAILED, {}, "exit code 3", 3);
    run.end("train[2]", task_state::CANCELLED);
  }
  REQUIRE(run.ended_);
  CHECK(run.graph_.gang(0).round == 1);
  run.retry();
  CHECK(run.running() == all);
  CHECK(run.graph_.gang(0) == gang_row{2, 0, {}});
  CHECK(run.rows_.at("train[1]").state == task_state::QUEUED);
}

TEST_CASE("a gang whose files are lost begins again as a whole") {
  played_run run{gang()};
  run.end("train[1]", task_state::SUCCEEDED);
  run.lose_files();
  CHECK(run.cancelled_ == names{"train[0]", "train[2]"});
  run.end("train[0]", task_state::LOST);
  CHECK(run.running() == names{"train[2]"});
  run.end("train[2]", task_state::CANCELLED);
  CHECK(run.running() == all);
  CHECK(run.again_.empty());
  CHECK(run.graph_.gang(0).round == 1);
}

TEST_CASE("a gang starts when the bound of the run lets all of it, and is not passed meanwhile") {
  played_run run{
      "{name: p, max_parallel: 3, tasks: [{name: a, run: x}, {name: train, ranks: 3, run: x},"
      " {name: b, run: x}]}"};
  CHECK(run.running() == names{"a"});
  run.end("a", task_state::SUCCEEDED);
  CHECK(run.running() == all);
  run.end("train[0]", task_state::SUCCEEDED);
  CHECK(run.running() == names{"b", "train[1]", "train[2]"});
}

// Goal: a round that has not started leaves no rows, by which a restart would take it for begun.
TEST_CASE("a round that is to begin when the files are lost waits for what it needs") {
  const auto goes_on = [](bool is_paused, bool can_begin) {
    played_run run{
        "{name: p, tasks: [{name: before, run: x}, {name: train, needs: [before], ranks: 3, run: x,"
        " retry: {max_attempts: 3, delay: 10s}}]}"};
    run.end("before", task_state::SUCCEEDED);
    if (is_paused) {
      run.end("train[0]", task_state::FAILED, {}, "exit code 3", 3);
      end_others(run, "train[0]");
      run.graph_.pause();
      run.round_is_due("train");
      run.lose_files();
      run.take(run.graph_.resume());
    } else {  // that a rank is lost is known before the files are
      run.end("train[0]", task_state::LOST);
      run.lose_files();
      run.end("train[1]", task_state::LOST);
      run.end("train[2]", task_state::CANCELLED);
    }
    CHECK(run.running() == names{"before"});
    CHECK(std::none_of(run.rows_.begin(), run.rows_.end(),
                       [](const auto& row) { return row.first.starts_with("train"); }));
    run.come_back();
    run.end("before", can_begin ? task_state::SUCCEEDED : task_state::FAILED);
    CHECK(run.running() == (can_begin ? all : names{}));
    CHECK(run.ended_ == !can_begin);
    CHECK(run.graph_.gang(1).round == 2);
  };
  for (const auto can_begin : {false, true}) {
    goes_on(false, can_begin);
    goes_on(true, can_begin);
  }
}

// Goal: a run that is cancelled and loses an executor is cancelled, hooks too.
TEST_CASE("a rank that is lost while it is withdrawn is cancelled") {
  played_run run{gang()};
  const auto rank = *run.graph_.instance_named("train[0]");
  CHECK(run.graph_.counted_as(rank, task_state::LOST) == task_state::LOST);
  run.stop();
  CHECK(run.graph_.counted_as(rank, task_state::LOST) == task_state::CANCELLED);
  CHECK(run.graph_.counted_as(rank, task_state::FAILED) == task_state::FAILED);
  CHECK(run.graph_.counted_as({1, 0}, task_state::LOST) == task_state::LOST);
  played_run once{gang(", retry: never")};
  once.stop();
  CHECK(once.graph_.counted_as(rank, task_state::LOST) == task_state::LOST);
}

TEST_CASE("a gang waits for no window that nobody has set, and hooks pass one that waits") {
  SUBCASE("without a bound") {
    played_run run{
        "{name: p, tasks: [{name: serve, run: x}, {name: train, ranks: 1000, run: x},"
        " {name: other, ranks: 2, run: x}, {name: last, run: x}]}"};
    CHECK(run.running().size() == 1'003);
    CHECK_FALSE(run.running().contains("last"));
  }
  SUBCASE("with one") {
    played_run run{
        "{name: p, max_parallel: 3, tasks: [{name: serve, run: x},"
        " {name: a, run: x, on_success: {run: h}},"
        " {name: train, ranks: 3, run: x}, {name: b, run: x}]}"};
    run.end("a", task_state::SUCCEEDED);
    CHECK(run.running() == names{"a.on_success", "serve"});
  }
}

TEST_CASE("what no task of the run asks for is not looked for") {
  const auto text =
      "{name: p, tasks: [{name: build, run: x, resources: {gpu: 1}, on_failure: {run: h}},"
      " {name: train, ranks: 3, run: x, resources: {gpu: 2, big: 1}}]}";
  const played_run everything{text};
  CHECK(everything.graph_.most_ranks() == 3);
  CHECK(everything.graph_.most_resources() == resource_amounts{{"big", 3}, {"gpu", 6}});
  const played_run part{text, {"build"}};
  CHECK(part.graph_.most_ranks() == 0);
  CHECK(part.graph_.most_resources() == resource_amounts{{"gpu", 1}});
}

TEST_CASE("a rank that could not be asked of anybody is the end of its gang, as of a task") {
  for (const auto tried : {attempted::never, attempted::no}) {
    played_run run{gang(", retry: {max_attempts: 3, delay: 0s}")};
    run.end("train[1]", task_state::ERRORED, {}, "no value", no_exit_code, tried);
    run.come_back();
    end_others(run, "train[1]");
    CHECK(run.again_.size() == (tried == attempted::never ? 0 : 1));
    CHECK(run.ended_ == (tried == attempted::never));
  }
}

TEST_CASE("the outputs of a gang are a list by rank") {
  played_run run{
      "{name: p, tasks: [{name: train, ranks: 2, outputs: [loss], run: x},"
      " {name: show, needs: [train], run: y, env: {L: \"${{ tasks.train.outputs.loss }}\"}}]}"};
  run.end("train[1]", task_state::SUCCEEDED, {{"loss", "b"}});
  run.end("train[0]", task_state::SUCCEEDED, {{"loss", "a"}});
  CHECK(run.environment("show").at("L") == R"(["a","b"])");
}

// Goal: whatever ends how, ranks start all together or none, never two rounds at once, and it ends.
// Method: random ends, losses of files, restarts and retries; each rank counts its starts.
TEST_CASE("a gang at random starts as a whole, and comes to an end") {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    const auto below = [&](std::uint32_t limit) { return random() % limit; };
    played_run run{gang(below(2) == 0 ? ", retry: {max_attempts: 4, delay: 0s}"
                                      : ", retry: {max_attempts: 4, delay: 1s}")};
    const auto of_gang = [&] {
      names ranks;
      for (const auto& each : run.running()) {
        if (each != "report") {
          ranks.insert(each);
        }
      }
      return ranks;
    };
    auto round = run.graph_.gang(0).round;
    for (int step = 0; step < 300 && !run.ended_; ++step) {
      const auto before = of_gang();
      const auto what = below(20);
      if (what == 0) {
        run.come_back();
      } else if (what == 1) {
        run.lose_files();
      } else if (what == 2) {
        run.round_is_due("train");
      } else if (const auto all_running = run.running(); !all_running.empty()) {
        const auto name = *std::next(
            all_running.begin(),
            static_cast<std::ptrdiff_t>(below(static_cast<std::uint32_t>(all_running.size()))));
        constexpr std::array ends{task_state::SUCCEEDED, task_state::SUCCEEDED, task_state::FAILED,
                                  task_state::TIMED_OUT, task_state::LOST};
        run.end(name, run.graph_.held() || below(3) == 0 ? task_state::CANCELLED : ends[below(5)],
                {}, "r", 1);
      }
      const auto now = of_gang();
      const auto next = run.graph_.gang(0).round;
      CHECK(next >= round);
      if (next > round) {
        CHECK((now.empty() || now == all));
      } else {
        CHECK((now == all || std::includes(before.begin(), before.end(), now.begin(), now.end())));
        CHECK((now != all || before == all || before.empty()));
      }
      round = next;
      CHECK(run.graph_.gang(0).failures < 4);
    }
    for (int step = 0; step < 50 && !run.ended_; ++step) {
      run.round_is_due("train");
      for (const auto& name : run.running()) {
        if (run.running().contains(name)) {
          run.end(name, task_state::SUCCEEDED);
        }
      }
    }
    CHECK(run.ended_);
  }
}

TEST_CASE("the hook of a gang follows its last round") {
  played_run run{
      "{name: p, tasks: [{name: train, ranks: 2, run: x, retry: {max_attempts: 2, delay: 0s},"
      " on_failure: {run: h}, on_success: {run: s}}]}"};
  run.end("train[0]", task_state::FAILED, {}, "exit code 3", 3);
  run.end("train[1]", task_state::CANCELLED);
  CHECK(run.running() == names{"train[0]", "train[1]"});
  run.end("train[0]", task_state::SUCCEEDED);
  run.end("train[1]", task_state::SUCCEEDED);
  CHECK(run.running() == names{"train.on_success"});
}

}  // namespace
}  // namespace millrace::actors
