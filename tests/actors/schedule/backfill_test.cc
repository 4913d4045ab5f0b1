// SPDX-License-Identifier: MIT
// Backfills: which times get a run, how many at once, and that they go on over crashes.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "actors/schedule/fixture.h"

namespace millrace::actors {
namespace {

using namespace std::chrono_literals;
using runtime::errc;
using schemas::BackfillState;
using schemas::Reprocess;
using schemas::RunState;

constexpr std::int64_t minute = 60'000'000'000;
// 2020-01-01T00:00:00Z, where the clock of a test begins.
constexpr std::int64_t begin = 1'577'836'800'000'000'000;

class backfilled : public scheduled {
public:
  runtime::result<schedule_interface::backfill_results> backfill(
      std::int64_t from, std::int64_t to, std::uint32_t parallel = 1,
      Reprocess reprocess = Reprocess::NONE, bool dry = false) {
    schedule_interface::backfill_params params;
    auto made = params.build();
    made.setName("default");
    auto request = made.initRequest();
    request.setFrom(begin + from * minute);
    request.setTo(begin + to * minute);
    request.setMaxParallel(parallel);
    request.setReprocess(reprocess);
    request.setDryRun(dry);
    return silo.call(schedule().backfill(std::move(params)));
  }
  schedule_interface::backfills_results backfills() {
    auto told = silo.call(schedule().backfills());
    REQUIRE(told);
    return *std::move(told);
  }
  // Minutes since `begin` of the nominal times of all runs, in order of their start.
  std::vector<std::int64_t> minutes() {
    std::vector<std::int64_t> all;
    for (const auto& run : runs()) {
      const auto told = silo.call(ref<schemas::Run>(run).status());
      REQUIRE(told);
      all.push_back((told->run().getScheduledAt() - begin) / minute);
    }
    std::sort(all.begin(), all.end());
    return all;
  }
};

TEST_CASE("a backfill runs each time of its range, also from before the schedule was there") {
  backfilled p;
  p.apply("schedule: {every: 10m}\n" + ending);
  const auto made = p.backfill(-30, -10);
  REQUIRE(made);
  CHECK(made->backfill().getId() == "1");
  CHECK(made->backfill().getTotal() == 3);
  CHECK(made->times().size() == 3);
  CHECK(p.minutes() == std::vector<std::int64_t>{-30, -20, -10});
  const auto after = p.backfills();
  REQUIRE(after.backfills().size() == 1);
  CHECK(after.backfills()[0].getState() == BackfillState::DONE);
  CHECK(after.backfills()[0].getSucceeded() == 3);
  CHECK(after.backfills()[0].getFinishedAt() == begin);
  CHECK(p.firings().empty());  // those are the schedule's own
  const auto run = p.silo.call(ref<schemas::Run>(p.runs()[0]).status());
  CHECK(run->run().getBackfill() == "1");
  p.silo.advance(10min);
  CHECK(p.minutes().size() == 4);
}

TEST_CASE("a dry run starts nothing") {
  backfilled p;
  p.apply("schedule: {every: 10m}\n" + ending);
  const auto made = p.backfill(-20, 0, 1, Reprocess::NONE, true);
  REQUIRE(made);
  CHECK(made->backfill().getId() == "");
  REQUIRE(made->times().size() == 3);
  CHECK(made->times()[0].getLocal() == "2019-12-31T23:40:00+00:00");
  CHECK(p.runs().empty());
  CHECK(p.backfills().backfills().size() == 0);
}

TEST_CASE("no more runs go on at once than the backfill may have, whatever the overlap") {
  backfilled p;
  p.apply("schedule: {every: 10m, overlap: skip}\n" + lasting);
  REQUIRE(p.backfill(-40, 0, 2));
  CHECK(p.minutes() == std::vector<std::int64_t>{-40, -30});
  p.end(p.runs()[0]);
  CHECK(p.minutes() == std::vector<std::int64_t>{-40, -30, -20});
  const auto going = p.backfills();
  CHECK(going.backfills()[0].getRunning() == 2);
  CHECK(going.backfills()[0].getFailed() == 1);
  CHECK(going.backfills()[0].getState() == BackfillState::RUNNING);
}

TEST_CASE("a backfill goes on after a crash at any of its commits, and starts nothing twice") {
  for (unsigned commits = 0; commits < 30; commits += 3) {
    CAPTURE(commits);
    backfilled p;
    p.apply("schedule: {every: 10m}\n" + ending);
    // The first commit is that of the request itself, which is answered.
    p.silo.rows().fail_commits({errc::storage_failed, "the disk is gone"}, 10'000, commits + 1);
    REQUIRE(p.backfill(-60, -10, 3));
    p.silo.crash();
    p.silo.start();
    p.silo.advance(2min);
    CHECK(p.minutes() == std::vector<std::int64_t>{-60, -50, -40, -30, -20, -10});
    const auto over = p.backfills();
    CHECK(over.backfills()[0].getState() == BackfillState::DONE);
    CHECK(over.backfills()[0].getSucceeded() == 6);
  }
}

TEST_CASE("times that have had a run are passed over, unless they are to have another") {
  backfilled p;
  p.apply("schedule: {every: 10m, overlap: allow}\n" + lasting);
  p.silo.advance(30min);
  REQUIRE(p.runs().size() == 3);
  p.end(p.runs()[0]);  // at 10, and cancelled; the others go on
  const auto times = [&p](Reprocess reprocess) {
    const auto told = p.backfill(0, 30, 10, reprocess, true);
    REQUIRE(told);
    std::vector<std::int64_t> all;
    for (const auto each : told->times()) {
      all.push_back((each.getScheduledAt() - begin) / minute);
    }
    CHECK(told->backfill().getPassedOver() == 4 - all.size());
    return all;
  };
  CHECK(times(Reprocess::NONE) == std::vector<std::int64_t>{0});
  CHECK(times(Reprocess::FAILED) == std::vector<std::int64_t>{0, 10});
  CHECK(times(Reprocess::ALL) == std::vector<std::int64_t>{0, 10, 20, 30});

  REQUIRE(p.backfill(0, 30, 10, Reprocess::FAILED));
  CHECK(p.minutes() == std::vector<std::int64_t>{0, 10, 10, 20, 30});
  CHECK(p.backfills().backfills()[0].getPassedOver() == 2);
  CHECK(times(Reprocess::FAILED).empty());  // the latest run of 10 goes on

  // A run that is kept no more has not been.
  p.end(p.runs()[1]);
  REQUIRE(p.silo.call(ref<schemas::Run>(p.runs()[1]).remove()));
  CHECK(times(Reprocess::NONE) == std::vector<std::int64_t>{20});
}

TEST_CASE("a backfill that is cancelled starts nothing more, and ends its runs") {
  backfilled p;
  p.apply("schedule: {every: 10m}\n" + lasting);
  REQUIRE(p.backfill(-40, 0, 2));
  const auto told = p.silo.call(p.schedule().cancel_backfill("1"));
  REQUIRE(told);
  CHECK(told->backfill().getState() == BackfillState::CANCELLED);
  CHECK(p.runs().size() == 2);
  const auto run = p.silo.call(ref<schemas::Run>(p.runs()[0]).status());
  CHECK(run->run().getState() == RunState::CANCELLED);
  CHECK(run->run().getReason() == "backfill 1 was cancelled");
  CHECK(p.backfills().backfills()[0].getRunning() == 0);
  REQUIRE(p.silo.call(p.schedule().cancel_backfill("1")));
  for (const auto* id : {"2", "01", "x", ""}) {
    CHECK(p.silo.call(p.schedule().cancel_backfill(id)).error().code() == errc::not_found);
  }
}

TEST_CASE("a backfill ends with its schedule") {
  backfilled p;
  p.apply("schedule: [{every: 10m}, {name: other, every: 1h}]\n" + lasting);
  REQUIRE(p.backfill(-40, 0, 2));
  p.apply("schedule: {name: other, every: 1h}\n" + lasting);
  CHECK(p.backfills().backfills()[0].getState() == BackfillState::CANCELLED);
  CHECK(p.backfills().backfills()[0].getRunning() == 0);
  p.end(p.runs()[0]);
  CHECK(p.runs().size() == 2);
}

TEST_CASE("a run that failed while its schedule was gone is one that failed") {
  backfilled p;
  p.apply("schedule: {every: 10m}\n" + lasting);
  p.silo.advance(10min);
  p.apply(lasting);
  p.end(p.runs()[0]);
  p.apply("schedule: {every: 10m}\n" + lasting);
  const auto told = p.backfill(10, 10, 1, Reprocess::FAILED, true);
  REQUIRE(told);
  CHECK(told->times().size() == 1);
}

TEST_CASE("ranges that are none are refused, and so are too many") {
  backfilled p;
  p.apply("schedule: {every: 10m}\n" + lasting);
  CHECK(p.backfill(-10, -20).error().text() == "`to` is before `from`");
  CHECK(p.backfill(-10, 1).error().text().starts_with("`to` lies in the future"));
  CHECK(p.backfill(-9, -1).error().text() == "the schedule has no time from `from` to `to`");
  CHECK(p.backfill(-100'001, 0).error().text().starts_with("there are more than 10000 times"));
  CHECK(p.backfill(-10, 0, 101).error().text() == "`max_parallel` is at most 100");
  CHECK(p.silo.call(p.schedule().backfill(schedule_interface::backfill_params{})).error().code() ==
        errc::not_found);
  for (int at = 0; at < 10; ++at) {
    REQUIRE(p.backfill(-10 * at - 10, -10 * at - 10, 1, Reprocess::ALL));
  }
  CHECK(p.backfill(-10, 0).error().code() == errc::failed_precondition);
  REQUIRE(p.silo.call(p.schedule().cancel_backfill("3")));
  CHECK(p.backfill(-10, 0));
}

}  // namespace
}  // namespace millrace::actors
