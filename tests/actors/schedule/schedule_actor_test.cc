// SPDX-License-Identifier: MIT
// The actor: firings, pauses, outages, crashes.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/schedule/fixture.h"

namespace millrace::actors {
namespace {

using namespace std::chrono_literals;
using runtime::errc;
using schemas::RunState;

// Rows in memory that know the largest commit.
class measured_storage final : public runtime::storage {
public:
  explicit measured_storage(std::atomic<std::size_t>& largest) : largest_(largest) {}
  void commit(std::unique_ptr<runtime::commit_request> request) override {
    largest_ = std::max(largest_.load(), request->ops.encoded().size());
    inner_->commit(std::move(request));
  }
  void read(std::unique_ptr<runtime::read_request> request) override {
    inner_->read(std::move(request));
  }
  runtime::result<void> scan(runtime::partition_id partition, std::string_view prefix,
                             std::string_view from, std::size_t limit,
                             const std::function<bool(const runtime::row&)>& visit) override {
    return inner_->scan(partition, prefix, from, limit, visit);
  }
  [[nodiscard]] bool saturated() const noexcept override { return inner_->saturated(); }
  [[nodiscard]] std::string allocation_id() const override { return inner_->allocation_id(); }
  [[nodiscard]] std::uint16_t partition_count() const noexcept override {
    return inner_->partition_count();
  }
  [[nodiscard]] runtime::storage_stats stats() const override { return inner_->stats(); }
  void stop() override { inner_->stop(); }

private:
  std::unique_ptr<runtime::storage> inner_ = runtime::make_memory_storage();
  std::atomic<std::size_t>& largest_;
};

// A list of so many schedules, each with `keys`.
std::string schedules(int count, const std::string& keys) {
  std::string list = "schedule:\n";
  for (int at = 0; at < count; ++at) {
    list += "  - {name: s" + std::to_string(at) + ", " + keys + "}\n";
  }
  return list;
}

TEST_CASE("a schedule starts a run at each of its times, and the run knows which") {
  scheduled p;
  p.apply("schedule: {every: 10m, params: {day: monday}}\nparams: {day: {required: true}}\n" +
          ending);
  CHECK(p.runs().empty());
  p.silo.advance(10min - 1ns);
  CHECK(p.runs().empty());
  p.silo.advance(1ns);
  REQUIRE(p.runs().size() == 1);
  const auto told = p.silo.call(ref<schemas::Run>(p.runs()[0]).status());
  REQUIRE(told);
  CHECK(told->run().getSchedule() == "default");
  CHECK(told->run().getScheduledAt() == 1'577'837'400'000'000'000);
  CHECK(told->run().getParams() == R"({"day":"monday"})");
  CHECK(told->run().getState() == RunState::SUCCEEDED);
  p.silo.advance(20min);
  CHECK(p.firings() == std::vector<std::string>{"00:30:00Z succeeded", "00:20:00Z succeeded",
                                                "00:10:00Z succeeded"});
  CHECK(p.figures.counts().fired == 3);
  CHECK(p.figures.counts().late.count() == 3);
}

TEST_CASE("the next times are told in the schedule's zone and in UTC") {
  scheduled p;
  p.apply("schedule: {cron: '0 9 * * *', timezone: Asia/Kolkata}\n" + ending);
  const auto told = p.described();
  REQUIRE(told.next().size() == 3);
  CHECK(told.next()[0].getLocal() == "2020-01-01T09:00:00+05:30");
  CHECK(told.next()[0].getScheduledAt() == 1'577'849'400'000'000'000);
  CHECK(told.schedule().getNextAt() == 1'577'849'400'000'000'000);
  CHECK(told.schedule().getDefinition() ==
        R"({"name":"default","cron":"0 9 * * *","timezone":"Asia/Kolkata"})");
}

TEST_CASE("a new version changes schedules, adds and ends them") {
  scheduled p;
  p.apply("schedule: [{name: a, every: 10m}, {name: b, every: 15m}]\n" + ending);
  p.silo.advance(10min);
  p.apply("schedule: [{name: a, every: 20m}, {name: c, every: 1m, paused: true}]\n" + ending);
  CHECK(p.silo.call(p.schedule().describe("b", 1, 1)).error().text() ==
        "pipeline 'x' of project 'p' has no schedule 'b'; it has: a, c");
  p.silo.advance(15min);
  CHECK(p.firings("a") == std::vector<std::string>{"00:20:00Z succeeded", "00:10:00Z succeeded"});
  CHECK(p.firings("c").empty());
  CHECK(p.described("c").schedule().getPaused());
  p.apply(ending);
  p.silo.advance(1h);
  CHECK(p.runs().size() == 2);
  const auto listed = p.silo.call(p.schedule().list());
  REQUIRE(listed);
  CHECK(listed->schedules().size() == 0);
}

TEST_CASE("a version that leaves a schedule as it is does not move its times") {
  scheduled p;
  p.apply("schedule: {every: 10m}\n" + ending);
  p.silo.stop();
  p.silo.advance(25min);
  p.silo.start();
  // Before anything has looked: what is missed is still made up for.
  p.apply("schedule: {every: 10m}\ndescription: new\n" + ending);
  CHECK(p.firings() == std::vector<std::string>{"00:20:00Z succeeded", "00:10:00Z missed"});
}

TEST_CASE("a paused schedule does not fire, also after a restart, and makes up for nothing") {
  scheduled p;
  p.apply("schedule: [{name: a, every: 10m, catchup: all}, {name: b, every: 10m}]\n" + ending);
  REQUIRE(p.silo.call(p.schedule().pause("a", "too much")));
  p.silo.restart();
  p.silo.advance(35min);
  CHECK(p.firings("a").empty());
  CHECK(p.firings("b").size() == 3);
  CHECK(p.described("a").schedule().getPauseReason() == "too much");
  REQUIRE(p.silo.call(p.schedule().resume("a")));
  p.silo.advance(10min);
  CHECK(p.firings("a") == std::vector<std::string>{"00:40:00Z succeeded"});

  const auto both = p.silo.call(p.schedule().pause("", ""));
  REQUIRE(both);
  CHECK(both->schedules().size() == 2);
  p.silo.advance(1h);
  CHECK(p.firings("b").size() == 4);
  CHECK(p.silo.call(p.schedule().pause("c", "")).error().code() == errc::not_found);
}

// Goal: each firing starts one run, whatever happens between the two.
// Method: the silo dies after each of the commits around the firing: no later one is written.
TEST_CASE("a crash anywhere about a firing leaves exactly one run of it") {
  for (unsigned commits = 0; commits < 10; ++commits) {
    CAPTURE(commits);
    scheduled p;
    p.apply("schedule: {every: 10m}\n" + ending);
    p.silo.rows().fail_commits({errc::storage_failed, "the disk is gone"}, 10'000, commits);
    p.silo.advance(10min);
    p.silo.crash();
    p.silo.start();
    p.silo.advance(1min);
    CHECK(p.runs().size() == 1);
    CHECK(p.firings() == std::vector<std::string>{"00:10:00Z succeeded"});
  }
}

TEST_CASE("an outage is caught up on as the schedule says") {
  const auto after_outage = [](const std::string& policy) {
    scheduled p;
    p.apply("schedule: {every: 10m, overlap: allow, catchup: " + policy + "}\n" + ending);
    p.silo.stop();
    p.silo.advance(35min);
    p.silo.start();
    p.silo.advance(1s);
    return p.firings();
  };
  CHECK(after_outage("none") == std::vector<std::string>{"00:30:00Z missed"});
  CHECK(after_outage("last") ==
        std::vector<std::string>{"00:30:00Z succeeded", "00:20:00Z missed"});
  CHECK(after_outage("all") == std::vector<std::string>{"00:30:00Z succeeded",
                                                        "00:20:00Z succeeded",
                                                        "00:10:00Z succeeded"});
}

TEST_CASE("with overlap skip, what `catchup: all` makes up for waits for its turn") {
  scheduled p;
  p.apply("schedule: {every: 10m, catchup: all}\n" + lasting);
  p.silo.stop();
  p.silo.advance(35min);
  p.silo.start();
  p.silo.advance(1s);
  CHECK(p.firings() ==
        std::vector<std::string>{"00:30:00Z waiting", "00:20:00Z waiting", "00:10:00Z running"});
  p.silo.advance(5min);
  CHECK(p.firings()[0] == "00:40:00Z skipped");  // it is on time
  p.end(p.runs()[0]);
  CHECK(p.firings()[2] == "00:20:00Z running");
  p.end(p.runs()[1]);
  p.end(p.runs()[2]);
  p.silo.advance(10min);
  CHECK(p.firings()[0] == "00:50:00Z running");
}

// Goal: what one turn changes fits a commit, however much is due in all schedules together.
// Method: 600 runs begin, with 350 kB of rows. Turns may share a commit, seldom half of them.
TEST_CASE("what is due at once is seen to a part at a time, over all schedules") {
  std::size_t least = SIZE_MAX;
  for (int attempt = 0; attempt < 10 && least > 300'000; ++attempt) {
    std::atomic<std::size_t> largest = 0;
    scheduled p{std::make_unique<measured_storage>(largest)};
    p.apply(schedules(20, "every: 1m, overlap: allow, catchup: all") + ending);
    p.silo.stop();
    p.silo.advance(30min + 1s);
    largest = 0;
    p.silo.start();
    p.silo.advance(10s);
    REQUIRE(p.figures.counts().fired == 600);
    least = std::min(least, largest.load());
  }
  CHECK(least < 300'000);
}

// Of 4,000 rows a turn erases 1,000.
TEST_CASE("what schedules leave that have gone is erased, however much it is") {
  scheduled p;
  p.apply(schedules(10, "every: 1m, overlap: queue, catchup: all") + lasting);
  p.silo.stop();
  p.silo.advance(300min + 1s);
  p.silo.start();
  p.silo.advance(10s);
  REQUIRE(p.described("s0").schedule().getWaiting() == 299);
  p.apply(lasting);
  for (const auto& run : p.runs()) {
    p.end(run);
  }
  p.apply(schedules(10, "every: 1m, overlap: queue") + lasting);
  CHECK(p.described("s9").schedule().getWaiting() == 0);
  CHECK(p.firings("s9").empty());
}

TEST_CASE("a clock that is set back fires nothing twice") {
  scheduled p;
  p.apply("schedule: {every: 10m}\n" + ending);
  p.silo.advance(30min);
  p.silo.clock().set_wall(p.silo.clock().wall() - 25min);
  p.silo.settle();
  p.silo.advance(25min);
  CHECK(p.runs().size() == 3);
  p.silo.advance(10min);
  CHECK(p.runs().size() == 4);
}

TEST_CASE("what fired while the clock was ahead holds nothing up once it is resumed") {
  scheduled p;
  p.apply("schedule: {every: 10m}\n" + ending);
  p.silo.clock().set_wall(p.silo.clock().wall() + 24h * 365);
  p.silo.advance(10s);
  REQUIRE(p.runs().size() == 1);
  p.silo.clock().set_wall(p.silo.clock().wall() - 24h * 365);
  p.silo.settle();
  p.silo.advance(20min);
  REQUIRE(p.runs().size() == 1);
  REQUIRE(p.silo.call(p.schedule().resume("default")));
  p.silo.advance(10min);
  CHECK(p.runs().size() == 2);
}

TEST_CASE("a pause that the definition ends is made up for no more than another") {
  scheduled p;
  p.apply("schedule: {every: 1m, paused: true, catchup: all, overlap: allow}\n" + ending);
  p.silo.advance(15min);
  p.apply("schedule: {every: 1m, catchup: all, overlap: allow}\n" + ending);
  CHECK(p.firings().empty());
  p.silo.advance(1min);
  CHECK(p.firings() == std::vector<std::string>{"00:16:00Z succeeded"});
}

TEST_CASE("what waits begins when a new version lets it") {
  scheduled p;
  p.apply("schedule: {every: 10m, overlap: queue}\n" + lasting);
  p.silo.advance(30min);
  REQUIRE(p.silo.call(p.schedule().pause("default", "")));
  p.end(p.runs()[0]);
  REQUIRE(p.runs().size() == 1);
  p.apply("schedule: {every: 10m, overlap: skip, paused: true}\n" + lasting);
  CHECK(p.runs().size() == 1);
  p.apply("schedule: {every: 10m, overlap: skip}\n" + lasting);
  CHECK(p.firings() ==
        std::vector<std::string>{"00:30:00Z waiting", "00:20:00Z running", "00:10:00Z cancelled"});
}

TEST_CASE("a schedule that goes and comes back knows its runs") {
  scheduled p;
  p.apply("schedule: {every: 10m}\n" + lasting);
  p.silo.advance(10min);
  p.apply(lasting);
  CHECK(p.silo.call(p.schedule().list())->schedules().size() == 0);
  p.apply("schedule: {every: 10m}\n" + lasting);
  CHECK(p.described().schedule().getRunning() == 1);
  p.silo.advance(10min);
  CHECK(p.firings() == std::vector<std::string>{"00:20:00Z skipped"});
  p.end(p.runs()[0]);
  p.silo.advance(10min);
  CHECK(p.firings()[0] == "00:30:00Z running");
}

TEST_CASE("skip drops a firing while a run goes on, and says so") {
  scheduled p;
  p.apply("schedule: {every: 10m, overlap: skip}\n" + lasting);
  p.silo.advance(20min);
  REQUIRE(p.runs().size() == 1);
  CHECK(p.firings() == std::vector<std::string>{"00:20:00Z skipped", "00:10:00Z running"});
  CHECK(std::string{p.described().firings()[0].getReason().cStr()} ==
        "run " + p.runs()[0] + " had not ended");
  CHECK(p.described().schedule().getSkipped() == 1);
  CHECK(p.figures.counts().skipped == 1);
  p.end(p.runs()[0]);
  p.silo.advance(10min);
  CHECK(p.firings() ==
        std::vector<std::string>{"00:30:00Z running", "00:20:00Z skipped", "00:10:00Z cancelled"});
}

TEST_CASE("allow starts runs beside each other") {
  scheduled p;
  p.apply("schedule: {every: 10m, overlap: allow}\n" + lasting);
  p.silo.advance(30min);
  CHECK(p.runs().size() == 3);
  CHECK(p.described().schedule().getRunning() == 3);
}

TEST_CASE("queue starts one after the other, also after a crash") {
  scheduled p;
  p.apply("schedule: {every: 10m, overlap: queue}\n" + lasting);
  p.silo.advance(30min);
  REQUIRE(p.runs().size() == 1);
  CHECK(p.firings() ==
        std::vector<std::string>{"00:30:00Z waiting", "00:20:00Z waiting", "00:10:00Z running"});
  p.silo.crash();
  p.silo.start();
  p.end(p.runs()[0]);
  REQUIRE(p.runs().size() == 2);
  CHECK(p.firings()[1] == "00:20:00Z running");
  const auto told = p.silo.call(ref<schemas::Run>(p.runs()[1]).status());
  CHECK(told->run().getScheduledAt() == 1'577'838'000'000'000'000);
  REQUIRE(p.silo.call(p.schedule().pause("default", "")));
  CHECK(p.figures.counts().late.sum == 10min);
  p.silo.advance(3min);
  p.end(p.runs()[1]);
  CHECK(p.runs().size() == 2);  // what waits goes on waiting
  REQUIRE(p.silo.call(p.schedule().resume("default")));
  CHECK(p.runs().size() == 3);
  CHECK(p.figures.counts().late.sum == 3min + 10min);  // those of 00:30 and 00:20
}

TEST_CASE("replace cancels what runs, and the latest firing starts when that has ended") {
  scheduled p;
  p.apply("schedule: {every: 10m, overlap: replace}\n" + lasting);
  p.silo.advance(20min);
  REQUIRE(p.runs().size() == 2);
  CHECK(p.firings() == std::vector<std::string>{"00:20:00Z running", "00:10:00Z cancelled"});
  const auto told = p.silo.call(ref<schemas::Run>(p.runs()[0]).status());
  CHECK(told->run().getReason() == "a later firing of schedule 'default' replaces it");
}

TEST_CASE("a run that is to be withdrawn and has not begun, or is over, holds nothing up") {
  scheduled p;
  p.apply("schedule: {every: 10m, overlap: replace}\n" + ending);
  p.silo.advance(10min);
  CHECK(p.silo.call(ref<schemas::Run>(p.runs()[0]).withdraw("late", false)));
  const auto told = p.silo.call(ref<schemas::Run>(p.runs()[0]).status());
  CHECK(told->run().getState() == RunState::SUCCEEDED);
  const std::string other = "01a1fcac-bbbc-7552-bec8-2fcb32b306f6";
  CHECK(p.silo.call(ref<schemas::Run>(other).withdraw("early", false)).error().code() ==
        errc::unavailable);
  p.silo.advance(10min);
  CHECK(p.firings() == std::vector<std::string>{"00:20:00Z succeeded", "00:10:00Z succeeded"});
}

TEST_CASE("a run that was retried counts again") {
  scheduled p;
  p.apply("schedule: {every: 10m}\n" + lasting);
  p.silo.advance(10min);
  const auto run = p.runs().at(0);
  p.end(run);
  CHECK(p.firings() == std::vector<std::string>{"00:10:00Z cancelled"});
  REQUIRE(p.silo.call(ref<schemas::Run>(run).retry()));
  CHECK(p.firings() == std::vector<std::string>{"00:10:00Z running"});
  p.silo.advance(10min);
  CHECK(p.firings()[0] == "00:20:00Z skipped");
}

TEST_CASE("a firing that cannot begin is refused, told, and holds nothing up") {
  scheduled p;
  p.apply(lasting);
  // As if what the pipeline has told of its latest version were still on its way.
  schedule_interface::apply_params params;
  auto known = params.build().initSchedules(1);
  known[0].setName("default");
  known[0].setEvery(600'000'000'000);
  known[0].setOverlap(schemas::CompiledSchedule::Overlap::QUEUE);
  REQUIRE(p.silo.call(p.schedule().apply(std::move(params))));
  p.silo.advance(20min);
  CHECK(p.firings() == std::vector<std::string>{"00:20:00Z refused", "00:10:00Z refused"});
  CHECK(std::string{p.described().firings()[0].getReason().cStr()} ==
        "version 1 of the pipeline has no schedule 'default'");
  CHECK(p.described().schedule().getRefused() == 2);
  CHECK(p.described().schedule().getRunning() == 0);
  CHECK(p.runs().empty());
  p.apply("schedule: {every: 10m, overlap: queue}\n" + lasting);
  p.silo.advance(10min);
  CHECK(p.firings()[0] == "00:30:00Z running");
}

TEST_CASE("a trigger fires at once, also of a paused schedule, and overlap counts") {
  scheduled p;
  p.apply("schedule: {cron: '@yearly', paused: true}\n" + lasting);
  p.silo.advance(90s);
  const auto first = p.silo.call(p.schedule().trigger("default"));
  REQUIRE(first);
  CHECK(first->firing().getState() == FiringState::RUNNING);
  p.silo.advance(1s);
  const auto second = p.silo.call(p.schedule().trigger("default"));
  REQUIRE(second);
  CHECK(second->firing().getState() == FiringState::SKIPPED);
  CHECK(p.runs().size() == 1);
  CHECK(p.silo.call(p.schedule().trigger("x")).error().code() == errc::not_found);
}

TEST_CASE("what a trigger has waiting begins in its turn, also while the schedule is paused") {
  scheduled p;
  p.apply("schedule: {every: 10m, overlap: queue}\n" + lasting);
  p.silo.advance(20min);
  REQUIRE(p.silo.call(p.schedule().pause("default", "")));
  p.silo.advance(30s);
  REQUIRE(p.silo.call(p.schedule().trigger("default"))->firing().getState() ==
          FiringState::WAITING);
  p.end(p.runs()[0]);
  CHECK(p.firings() ==
        std::vector<std::string>{"00:20:30Z running", "00:20:00Z waiting", "00:10:00Z cancelled"});
  p.end(p.runs()[1]);
  CHECK(p.runs().size() == 2);  // what nobody asked for goes on waiting
}

TEST_CASE("a trigger of a paused schedule replaces what runs") {
  scheduled p;
  p.apply("schedule: {every: 10m, overlap: replace}\n" + lasting);
  p.silo.advance(10min);
  REQUIRE(p.silo.call(p.schedule().pause("default", "")));
  p.silo.advance(30s);
  REQUIRE(p.silo.call(p.schedule().trigger("default")));
  CHECK(p.firings() == std::vector<std::string>{"00:10:30Z running", "00:10:00Z cancelled"});
}

TEST_CASE("a pipeline that its schedules keep going cannot be deleted, and says what to do") {
  scheduled p;
  p.apply("schedule: {every: 10m}\n" + lasting);
  p.silo.advance(10min);
  const auto refused = p.silo.call(p.pipeline().remove(0));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text() ==
        "pipeline 'x' has runs that have not ended; cancel them first, after `millrace schedule "
        "pause x`, or others may begin meanwhile");
  REQUIRE(p.silo.call(p.schedule().pause("", "")));
  p.end(p.runs()[0]);
  p.silo.advance(10min);
  CHECK(p.silo.call(p.pipeline().remove(0)));
}

TEST_CASE("the latest hundred firings are shown") {
  scheduled p;
  p.apply("schedule: {every: 1m}\n" + ending);
  p.silo.advance(103min);
  const auto told = p.firings();
  REQUIRE(told.size() == firings_kept_max);
  CHECK(told.front() == "01:43:00Z succeeded");
  CHECK(told.back() == "00:04:00Z succeeded");
  CHECK(p.described().schedule().getFired() == 103);
}

}  // namespace
}  // namespace millrace::actors
