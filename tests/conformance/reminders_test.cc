// SPDX-License-Identifier: MIT
// Timers are in memory, reminders are not.
#include "conformance/probe.h"

namespace millrace::conformance {
namespace {

TEST_CASE("timers fire beside each other, and a new period replaces the old one") {
  probe_silo silo;
  REQUIRE(silo.call(ref<Probe>("a").every_ms("fast", 10, 10)));
  REQUIRE(silo.call(ref<Probe>("a").every_ms("slow-going", 1'000, 1'000)));
  silo.advance(10ms);
  REQUIRE(silo.events.has("fast"));
  REQUIRE(silo.call(ref<Probe>("a").every_ms("fast", 500, 500)));
  silo.advance(400ms);
  CHECK(silo.call(ref<Probe>("a").get()));
  CHECK(silo.events.count("fast") == 1);
  silo.advance(100ms);
  REQUIRE(silo.events.has("fast", 2));
  CHECK(silo.events.count("slow-going") == 0);
  silo.advance(490ms);
  CHECK(silo.events.has("slow-going"));
}

TEST_CASE("a reminder that its own hook sets for the very same instant fires again") {
  probe_silo silo;
  REQUIRE(silo.call(ref<Probe>("a").remind("twice at once", 1'000, 0, "", "", "")));
  silo.advance(1s);
  CHECK(silo.events.has("twice at once at 1 s", 2));
  REQUIRE(silo.call(ref<Probe>("a").get()));
  CHECK(silo.call(ref<Probe>("a").list_reminders())->names().size() == 0);
}

TEST_CASE("a timer may be cancelled, also by its own hook, and set again by it") {
  probe_silo silo;
  REQUIRE(silo.call(ref<Probe>("a").every_ms("never", 10, 10)));
  REQUIRE(silo.call(ref<Probe>("a").stop("never")));
  REQUIRE(silo.call(ref<Probe>("a").every_ms("stops itself", 10, 10)));
  REQUIRE(silo.call(ref<Probe>("a").every_ms("once, then again", 10, 0)));
  for (int at = 0; at < 5; ++at) {
    silo.advance(10ms);
    CHECK(silo.call(ref<Probe>("a").get()));
  }
  CHECK(silo.events.has("again"));
  CHECK(silo.events.count("stops itself") == 1);
  CHECK(silo.events.count("once, then again") == 1);
  CHECK(silo.events.count("never") == 0);
}

TEST_CASE("a timer does not overlap itself") {
  probe_silo silo;
  REQUIRE(silo.call(ref<Probe>("a").every_ms("slow", 10, 10)));
  silo.advance(10ms);
  REQUIRE(silo.events.has("slow"));
  silo.advance(100ms);
  REQUIRE(silo.call(ref<Probe>("a").raise()));
  REQUIRE(silo.events.has("slow ends"));
  CHECK(silo.events.count("slow") <= 2);
}

TEST_CASE("reminders are set, listed and cancelled by name") {
  probe_silo silo;
  REQUIRE(silo.call(ref<Probe>("a").remind("one", 60'000, 0, "", "", "")));
  REQUIRE(silo.call(ref<Probe>("a").remind("two", 120'000, 1'000, "", "", "")));
  auto listed = silo.call(ref<Probe>("a").list_reminders());
  REQUIRE(listed->names().size() == 2);
  CHECK(listed->names()[0] == "one");
  CHECK(listed->due()[0] == (silo.clock().wall() + 1min).time_since_epoch() / 1ms);
  REQUIRE(silo.call(ref<Probe>("a").forget("one")));
  REQUIRE(silo.call(ref<Probe>("a").forget("never set")));
  silo.advance(61s);
  REQUIRE(silo.call(ref<Probe>("a").forget("two")));
  silo.advance(1h);
  CHECK(silo.call(ref<Probe>("a").list_reminders())->names().size() == 0);
  CHECK(silo.events.all().empty());
}

TEST_CASE("a reminder that its own hook moved stays where it was moved to") {
  probe_silo silo;
  REQUIRE(silo.call(ref<Probe>("a").remind("moves itself", 1'000, 1'000, "", "", "")));
  silo.advance(1s);
  REQUIRE(silo.events.has("moves itself at 1 s"));
  REQUIRE(silo.call(ref<Probe>("a").get()));
  silo.advance(59min);
  CHECK(silo.call(ref<Probe>("a").list_reminders())->due()[0] ==
        1'577'836'800'000 + 1'000 + 3'600'000);
  CHECK(silo.events.all().size() == 1);
}

// Goal: what was removed or moved does not come back by what an older instant knew of it.
// Method: both fall due while a call holds their actor up, so that their firings arrive behind the
// removal and the move; then everything is read again.
TEST_CASE("a firing that comes late does not bring back a reminder that was removed or moved") {
  probe_silo silo{{.stuck_after = 60s}};
  REQUIRE(silo.call(ref<Probe>("a").remind("removed", 1'000, 0, "", "", "")));
  REQUIRE(silo.call(ref<Probe>("a").remind("moved", 1'000, 0, "", "", "")));
  auto held = silo.begin(ref<Probe>("a").hold("work", 3'000'000));
  auto removing = silo.begin(ref<Probe>("a").forget("removed"));
  auto moving = silo.begin(ref<Probe>("a").remind("moved", 3'600'000, 0, "", "", ""));
  silo.advance(10s);
  REQUIRE(silo.call(ref<Probe>("a").raise()));
  CHECK(held.answer());
  CHECK(removing.answer());
  CHECK(moving.answer());
  CHECK(silo.events.all() == std::vector<std::string>{"work begins", "work ends"});
  silo.restart();
  CHECK(silo.call(ref<Probe>("a").list_reminders())->names().size() == 1);
  silo.advance(2h);
  CHECK(silo.events.count("moved at 3610 s") == 1);
  CHECK(silo.events.all().size() == 3);
}

TEST_CASE("after an hour of downtime a reminder fires once, for none, or for all it has missed") {
  probe_silo silo;
  for (const auto* policy : {"once", "skip", "all"}) {
    REQUIRE(silo.call(ref<Probe>(policy).remind(policy, 600'000, 600'000, "", "", policy)));
  }
  silo.stop();
  silo.advance(1h + 1min + 1s);
  silo.start();
  for (int at = 1; at <= 6; ++at) {
    CHECK(silo.events.has("all at " + std::to_string(at * 600) + " s"));
  }
  REQUIRE(silo.events.has("once at 600 s"));
  CHECK(silo.call(ref<Probe>("skip").list_reminders())->due()[0] ==
        1'577'836'800'000 + 7 * 600'000);
  CHECK(silo.events.all().size() == 7);
  silo.advance(9min);
  for (const auto* policy : {"once", "skip", "all"}) {
    CHECK(silo.events.has(policy + std::string{" at 4200 s"}));
  }
  CHECK(silo.events.all().size() == 10);
}

TEST_CASE("a cron reminder keeps to the clocks of its time zone") {
  probe_silo silo;  // it is 2020-01-01T00:00:00Z
  REQUIRE(silo.call(ref<Probe>("a").remind("lunch", -1, 0, "30 12 * * *", "Europe/Berlin", "")));
  silo.advance(11h + 30min);
  REQUIRE(silo.events.has("lunch at 41400 s"));
  REQUIRE(silo.call(ref<Probe>("a").get()));         // the next one is set now
  silo.clock().set_wall(wall_time{1'585'476'000s});  // 2020-03-29T10:00:00Z, the day clocks change
  silo.advance(11s);
  REQUIRE(silo.events.has("lunch at 127800 s"));  // the next day's, for all that were missed
  REQUIRE(silo.call(ref<Probe>("a").get()));
  silo.advance(29min + 49s);
  CHECK(silo.events.has("lunch at " + std::to_string(1'585'477'800 - 1'577'836'800) + " s"));
}

TEST_CASE("schedules that cannot be are refused with the place") {
  probe_silo silo;
  const auto refused = [&](std::int64_t every_ms, const char* cron, const char* zone) {
    const auto answer = silo.call(ref<Probe>("a").remind("r", -1, every_ms, cron, zone, ""));
    REQUIRE_FALSE(answer);
    return answer.error();
  };
  CHECK(refused(0, "61 * * * *", "").code() == errc::invalid_argument);
  CHECK(refused(0, "0 0 30 2 *", "").code() == errc::invalid_argument);
  CHECK(refused(0, "0 0 * * *", "Mars/Olympus").code() == errc::not_found);
  CHECK(refused(5, "0 0 * * *", "").text() ==
        "a reminder's schedule: it has both `every` and `cron`; choose one");
  CHECK(silo.call(ref<Probe>("a").list_reminders())->names().size() == 0);
}

}  // namespace
}  // namespace millrace::conformance
