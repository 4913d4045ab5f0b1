// SPDX-License-Identifier: MIT
// Timers are in memory, reminders are not.
#include <filesystem>

#include "conformance/probe.h"

namespace millrace::conformance {
namespace {

// A folder for a silo that starts again.
struct folder {
  folder() {
    std::string pattern = "/tmp/millrace-conformance-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::unique_ptr<storage> rows() const {
    auto opened = open_storage({.directory = path, .map_bytes = std::size_t{256} << 20U});
    REQUIRE(opened);
    return *std::move(opened);
  }
  std::string path;
};

TEST_CASE("timers fire beside each other, and a new period replaces the old one") {
  probe_silo silo;
  REQUIRE(silo.here->call(ref<Probe>("a").every_ms("fast", 10, 10)));
  REQUIRE(silo.here->call(ref<Probe>("a").every_ms("slow-going", 1'000, 1'000)));
  silo.move(10ms);
  REQUIRE(silo.events.has("fast"));
  REQUIRE(silo.here->call(ref<Probe>("a").every_ms("fast", 500, 500)));
  silo.move(400ms);
  CHECK(silo.here->call(ref<Probe>("a").get()));
  CHECK(silo.events.count("fast") == 1);
  silo.move(100ms);
  REQUIRE(silo.events.has("fast", 2));
  CHECK(silo.events.count("slow-going") == 0);
  silo.move(490ms);
  CHECK(silo.events.has("slow-going"));
}

TEST_CASE("a reminder that its own hook sets for the very same instant fires again") {
  probe_silo silo;
  REQUIRE(silo.here->call(ref<Probe>("a").remind("twice at once", 1'000, 0, "", "", "")));
  silo.move(1s);
  CHECK(silo.events.has("twice at once at 1 s", 2));
  REQUIRE(silo.here->call(ref<Probe>("a").get()));
  CHECK(silo.here->call(ref<Probe>("a").list_reminders())->names().size() == 0);
}

TEST_CASE("a timer may be cancelled, also by its own hook, and set again by it") {
  probe_silo silo;
  REQUIRE(silo.here->call(ref<Probe>("a").every_ms("never", 10, 10)));
  REQUIRE(silo.here->call(ref<Probe>("a").stop("never")));
  REQUIRE(silo.here->call(ref<Probe>("a").every_ms("stops itself", 10, 10)));
  REQUIRE(silo.here->call(ref<Probe>("a").every_ms("once, then again", 10, 0)));
  for (int at = 0; at < 5; ++at) {
    silo.move(10ms);
    CHECK(silo.here->call(ref<Probe>("a").get()));
  }
  CHECK(silo.events.has("again"));
  CHECK(silo.events.count("stops itself") == 1);
  CHECK(silo.events.count("once, then again") == 1);
  CHECK(silo.events.count("never") == 0);
}

TEST_CASE("a timer does not overlap itself") {
  probe_silo silo;
  REQUIRE(silo.here->call(ref<Probe>("a").every_ms("slow", 10, 10)));
  silo.move(10ms);
  REQUIRE(silo.events.has("slow"));
  silo.move(100ms);
  REQUIRE(silo.here->call(ref<Probe>("a").raise()));
  REQUIRE(silo.events.has("slow ends"));
  CHECK(silo.events.count("slow") <= 2);
}

TEST_CASE("reminders are set, listed and cancelled by name") {
  probe_silo silo;
  REQUIRE(silo.here->call(ref<Probe>("a").remind("one", 60'000, 0, "", "", "")));
  REQUIRE(silo.here->call(ref<Probe>("a").remind("two", 120'000, 1'000, "", "", "")));
  auto listed = silo.here->call(ref<Probe>("a").list_reminders());
  REQUIRE(listed->names().size() == 2);
  CHECK(listed->names()[0] == "one");
  CHECK(listed->due()[0] == (silo.time.wall() + 1min).time_since_epoch() / 1ms);
  REQUIRE(silo.here->call(ref<Probe>("a").forget("one")));
  REQUIRE(silo.here->call(ref<Probe>("a").forget("never set")));
  silo.move(61s);
  REQUIRE(silo.here->call(ref<Probe>("a").forget("two")));
  silo.move(1h);
  CHECK(silo.here->call(ref<Probe>("a").list_reminders())->names().size() == 0);
  CHECK(silo.events.all().empty());
}

TEST_CASE("a reminder that its own hook moved stays where it was moved to") {
  probe_silo silo;
  REQUIRE(silo.here->call(ref<Probe>("a").remind("moves itself", 1'000, 1'000, "", "", "")));
  silo.move(1s);
  REQUIRE(silo.events.has("moves itself at 1 s"));
  REQUIRE(silo.here->call(ref<Probe>("a").get()));
  silo.move(59min);
  CHECK(silo.here->call(ref<Probe>("a").list_reminders())->due()[0] ==
        1'577'836'800'000 + 1'000 + 3'600'000);
  CHECK(silo.events.all().size() == 1);
}

TEST_CASE("after an hour of downtime a reminder fires once, for none, or for all it has missed") {
  folder data;
  {
    probe_silo silo{{}, data.rows()};
    for (const auto* policy : {"once", "skip", "all"}) {
      REQUIRE(silo.here->call(ref<Probe>(policy).remind(policy, 600'000, 600'000, "", "", policy)));
    }
    silo.here->stop();
  }
  probe_silo silo{{}, data.rows()};
  silo.move(1h + 1min + 1s);
  for (int at = 1; at <= 6; ++at) {
    REQUIRE(silo.events.has("all at " + std::to_string(at * 600) + " s"));
  }
  REQUIRE(silo.events.has("once at 600 s"));
  CHECK(silo.here->call(ref<Probe>("skip").list_reminders())->due()[0] ==
        1'577'836'800'000 + 7 * 600'000);
  CHECK(silo.events.all().size() == 7);
  silo.move(9min);
  for (const auto* policy : {"once", "skip", "all"}) {
    CHECK(silo.events.has(policy + std::string{" at 4200 s"}));
  }
  CHECK(silo.events.all().size() == 10);
}

TEST_CASE("a cron reminder keeps to the clocks of its time zone") {
  probe_silo silo;  // it is 2020-01-01T00:00:00Z
  REQUIRE(
      silo.here->call(ref<Probe>("a").remind("lunch", -1, 0, "30 12 * * *", "Europe/Berlin", "")));
  silo.move(11h + 30min);
  REQUIRE(silo.events.has("lunch at 41400 s"));
  REQUIRE(silo.here->call(ref<Probe>("a").get()));  // the next one is set now
  silo.time.set_wall(wall_time{1'585'476'000s});    // 2020-03-29T10:00:00Z, the day clocks change
  silo.move(11s);
  REQUIRE(silo.events.has("lunch at 127800 s"));  // the next day's, for all that were missed
  REQUIRE(silo.here->call(ref<Probe>("a").get()));
  silo.move(29min + 49s);
  CHECK(silo.events.has("lunch at " + std::to_string(1'585'477'800 - 1'577'836'800) + " s"));
}

TEST_CASE("schedules that cannot be are refused with the place") {
  probe_silo silo;
  const auto refused = [&](std::int64_t every_ms, const char* cron, const char* zone) {
    const auto answer = silo.here->call(ref<Probe>("a").remind("r", -1, every_ms, cron, zone, ""));
    REQUIRE_FALSE(answer);
    return answer.error();
  };
  CHECK(refused(0, "61 * * * *", "").code() == errc::invalid_argument);
  CHECK(refused(0, "0 0 30 2 *", "").code() == errc::invalid_argument);
  CHECK(refused(0, "0 0 * * *", "Mars/Olympus").code() == errc::not_found);
  CHECK(refused(5, "0 0 * * *", "").text() ==
        "a reminder's schedule: it has both `every` and `cron`; choose one");
  CHECK(silo.here->call(ref<Probe>("a").list_reminders())->names().size() == 0);
}

}  // namespace
}  // namespace millrace::conformance
