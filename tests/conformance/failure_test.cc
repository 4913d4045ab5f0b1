// SPDX-License-Identifier: MIT
// Methods that fail: what they leave behind, and what their callers are told.
//
// What a method changed and let out since it last suspended is dropped; what it changed before that
// stays, and is not done again.
#include "conformance/clerk.h"

namespace millrace::conformance {
namespace {

// The ways to fail, in a plan.
const std::vector<std::string> ways{"throw", "fail", "return"};
// The ways to suspend.
const std::vector<std::string> pauses{"wait", "offload", "call o edit"};

// Follows a plan and raises what it waits for.
auto follow(clerk_silo& silo, const std::string& key, const std::string& plan) {
  auto call = silo.begin(ref<Clerk>(key).follow(plan));
  static_cast<void>(silo.call(ref<Clerk>(key).raise()));
  return call.answer();
}

partition_id partition_of_clerk(const std::string& key) {
  return partition_of("clerk", key, "", 256);
}

bool warned(clerk_silo& silo, std::string_view what) {
  const auto all = silo.warnings();
  return std::any_of(all.begin(), all.end(),
                     [&](const auto& each) { return each.find(what) != std::string::npos; });
}

// --- in one go -----------------------------------------------------------------------------------

TEST_CASE("a method that fails leaves nothing of what it has changed and let out") {
  for (const auto& way : ways) {
    CAPTURE(way);
    clerk_silo silo;
    REQUIRE(silo.call(ref<Clerk>("a").follow("edit;put kept;put dropped;remind")));
    const auto before = silo.read("a");
    const auto commits = silo.rows().commits();
    const auto failed = silo.call(ref<Clerk>("a").follow(
        "edit;put kept;drop dropped;put new;put passing;drop passing;forget;send b;tell c;" + way +
        " 1"));
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code() == (way == "throw" ? errc::internal : errc::unavailable));
    CHECK(silo.rows().commits() == commits);
    for (int life = 0; life < 2; ++life) {
      CHECK(silo.total("a") == 1);
      CHECK(silo.entries("a") == "dropped=1 kept=1");
      CHECK(silo.read("a")->reminders() == 1);
      CHECK(silo.read("a")->version() == before->version());
      CHECK(silo.total("b") == 0);
      CHECK(silo.total("c") == 0);
      silo.restart();
    }
    silo.advance(2h);
    CHECK(silo.total("a") == 2);  // the reminder still is
  }
}

TEST_CASE("a root of several segments is what it was after a method that failed") {
  clerk_silo silo;
  REQUIRE(silo.call(ref<Clerk>("a").follow("edit;widen")));
  CHECK_FALSE(silo.call(ref<Clerk>("a").follow("widen;edit;fail 1")));
  CHECK_FALSE(silo.call(ref<Clerk>("a").follow("edit;widen;throw 1")));
  CHECK(silo.call(ref<Clerk>("a").follow("edit"))->total() == 2);
  silo.restart();
  CHECK(silo.total("a") == 2);
}

TEST_CASE("what a coroutine of a method has done stays if the method goes on without it") {
  clerk_silo silo;
  CHECK(silo.call(ref<Clerk>("a").follow("try edit,fail 1;edit"))->total() == 2);
  CHECK(silo.call(ref<Clerk>("a").follow("try edit,throw 1;edit"))->total() == 4);
}

// Method: what came before waits for the disk, so that changes that stay and changes that do not
// are of the same records and for the same commit.
TEST_CASE("only its own changes are dropped, not those that wait for the same commit") {
  for (const auto& way : ways) {
    CAPTURE(way);
    clerk_silo silo;
    silo.rows().hold_commits();
    auto first = silo.begin(ref<Clerk>("a").follow("edit"));
    auto second = silo.begin(ref<Clerk>("a").follow("edit;put x;put y;remind;send b"));
    auto failing =
        silo.begin(ref<Clerk>("a").follow("edit;put x;drop y;put z;forget;send b;" + way + " 1"));
    auto other = silo.begin(ref<Clerk>("a").follow("drop y"));
    auto again = silo.begin(ref<Clerk>("a").follow("put y;drop x;" + way + " 1"));
    silo.rows().release_commits();
    CHECK(first.answer()->total() == 1);
    CHECK(second.answer()->total() == 2);
    CHECK_FALSE(failing.answer());
    CHECK(other.answer());
    CHECK_FALSE(again.answer());
    for (int life = 0; life < 2; ++life) {
      CHECK(silo.total("a") == 2);
      CHECK(silo.entries("a") == "x=1");
      CHECK(silo.read("a")->reminders() == 1);
      CHECK(silo.total("b") == 1);
      silo.restart();
    }
  }
}

TEST_CASE("a send whose receiver fails takes effect once") {
  for (const auto& way : ways) {
    CAPTURE(way);
    clerk_silo silo;
    const auto plan = "edit;send c;" + way + " 3";
    REQUIRE(silo.call(ref<Clerk>("a").order("b", plan)));
    silo.advance(1h);
    CHECK(silo.begun(plan) == 4);
    CHECK(silo.total("b") == 1);
    CHECK(silo.total("c") == 1);
  }
}

TEST_CASE("a keyed call that fails may be made again and takes effect once") {
  for (const auto& way : ways) {
    CAPTURE(way);
    clerk_silo silo;
    const auto plan = "edit;put x;" + way + " 2";
    const auto ask = [&] { return silo.call(ref<Clerk>("a").follow(plan).keyed("k")); };
    CHECK_FALSE(ask());
    CHECK_FALSE(ask());
    CHECK(ask()->total() == 1);
    CHECK(ask()->total() == 1);
    CHECK(silo.begun(plan) == 3);
    CHECK(silo.entries("a") == "x=1");
  }
}

TEST_CASE("a reminder that fails takes effect once, and so does a timer") {
  for (const auto& way : ways) {
    CAPTURE(way);
    clerk_silo silo;
    const auto plan = "edit;put x;" + way + " 3";
    REQUIRE(silo.call(ref<Clerk>("a").remind(plan)));
    silo.advance(1h);
    CHECK(silo.begun(plan) == 4);
    CHECK(silo.total("a") == 1);
    REQUIRE(silo.call(ref<Clerk>("b").tick(plan + ";edit")));
    silo.advance(1s);
    CHECK(silo.begun(plan + ";edit") == 1);
    CHECK(silo.total("b") == 0);
  }
}

TEST_CASE("a hook that fails at the end of an activation keeps nothing") {
  clerk_silo silo;
  REQUIRE(silo.call(ref<Clerk>("fails at the end").follow("edit")));
  silo.restart();
  CHECK(silo.total("fails at the end") == 1);
}

// --- having suspended ----------------------------------------------------------------------------

TEST_CASE("what a method changed before it suspended stays when it fails, and its caller is told") {
  for (const auto& way : ways) {
    for (const auto& pause : pauses) {
      CAPTURE(way);
      CAPTURE(pause);
      clerk_silo silo;
      const auto failed =
          follow(silo, "a", "edit;put x;" + pause + ";edit;put y;send b;" + way + " 1");
      REQUIRE_FALSE(failed);
      CHECK(failed.error().code() == (way == "throw" ? errc::internal : errc::outcome_unknown));
      CHECK(failed.error().text().find("planned") != std::string::npos);
      for (int life = 0; life < 2; ++life) {
        CHECK(silo.total("a") == 1);
        CHECK(silo.entries("a") == "x=1");
        CHECK(silo.total("b") == 0);
        silo.restart();
      }
    }
  }
}

TEST_CASE("a method that has suspended and done nothing says so when it fails") {
  for (const auto& way : ways) {
    for (const std::string pause : {"wait", "call o try"}) {
      CAPTURE(way);
      CAPTURE(pause);
      clerk_silo silo;
      const auto failed = follow(silo, "a", pause + ";edit;" + way + " 1");
      const auto told = pause == "wait" ? errc::unavailable : errc::outcome_unknown;
      CHECK(failed.error().code() == (way == "throw" ? errc::internal : told));
      CHECK(silo.total("a") == 0);
    }
  }
}

// What an exception is told as does not say that nothing was done, so it stays what it is.
TEST_CASE("a callee that fails before it does anything leaves the caller its word") {
  for (const auto& way : ways) {
    CAPTURE(way);
    clerk_silo silo;
    const bool threw = way == "throw";
    CHECK(follow(silo, "a", "call b edit," + way + " 1").error().code() ==
          (threw ? errc::internal : errc::unavailable));
    CHECK(follow(silo, "a", "edit;call b edit," + way + " 9").error().code() ==
          (threw ? errc::internal : errc::outcome_unknown));
    CHECK(silo.total("a") == 1);
    CHECK(silo.total("b") == 0);
  }
}

TEST_CASE("a keyed call that fails having suspended is not done again") {
  for (const auto& way : ways) {
    for (const auto& pause : pauses) {
      CAPTURE(way);
      CAPTURE(pause);
      clerk_silo silo;
      const auto plan = "edit;" + pause + ";edit;" + way + " 1";
      const auto ask = [&] {
        auto call = silo.begin(ref<Clerk>("a").follow(plan).keyed("k"));
        static_cast<void>(silo.call(ref<Clerk>("a").raise()));
        return call.answer();
      };
      CHECK_FALSE(ask());
      for (int life = 0; life < 2; ++life) {
        const auto again = ask();
        REQUIRE_FALSE(again);
        CHECK(again.error().code() == errc::outcome_unknown);
        CHECK(again.error().text().find("planned") != std::string::npos);
        silo.restart();
      }
      CHECK(silo.begun(plan) == 1);
      CHECK(silo.total("a") == 1);
    }
  }
}

TEST_CASE("a keyed call that a crash has cut in two is not done again") {
  clerk_silo silo;
  const std::string plan = "edit;wait;edit";
  auto call = silo.begin(ref<Clerk>("a").follow(plan).keyed("k"));
  auto same = silo.begin(ref<Clerk>("a").follow_beside("wait"));
  silo.crash();
  CHECK(call.answer().error().code() == errc::outcome_unknown);
  silo.start();
  CHECK(silo.call(ref<Clerk>("a").follow(plan).keyed("k")).error().code() == errc::outcome_unknown);
  CHECK(silo.begun(plan) == 1);
  CHECK(silo.total("a") == 1);
}

TEST_CASE("a keyed call that suspends between changes is answered from memory when it has ended") {
  clerk_silo silo;
  const auto ask = [&] { return silo.begin(ref<Clerk>("a").follow("edit;wait;edit").keyed("k")); };
  auto first = ask();
  auto second = ask();
  REQUIRE(silo.call(ref<Clerk>("a").raise()));
  CHECK(first.answer()->total() == 2);
  CHECK(second.answer()->total() == 2);
  silo.restart();
  CHECK(ask().answer()->total() == 2);
}

TEST_CASE("a send whose receiver fails having suspended is a dead letter at once") {
  for (const auto& way : ways) {
    CAPTURE(way);
    clerk_silo silo;
    const auto plan = "edit;offload;edit;" + way + " 1";
    REQUIRE(silo.call(ref<Clerk>("a").order("b", plan)));
    REQUIRE(silo.call(ref<Clerk>("a").order("b", "put later")));
    silo.restart();
    silo.advance(1h);
    CHECK(silo.begun(plan) == 1);
    CHECK(silo.total("b") == 1);
    CHECK(silo.entries("b") == "later=1");
    const auto letters = silo.here().dead_letters(10);
    REQUIRE(letters);
    REQUIRE(letters->size() == 1);
    CHECK(letters->front().error_text.find("planned") != std::string::npos);
  }
}

// Goal: a failed delivery is known as one when its answer is lost.
// Method: the sender cannot write down that it was answered; it sends again after the crash.
TEST_CASE("a failed delivery that its sender did not hear of is a dead letter, not a success") {
  clerk_silo silo;
  const std::string plan = "edit;wait;fail 1";
  REQUIRE(silo.call(ref<Clerk>("a").order("b", plan)));
  REQUIRE(silo.call(ref<Clerk>("c").get()));
  silo.rows().fail_commits({errc::storage_failed, "planned"}, 1, 1);  // after the receiver's
  REQUIRE(silo.call(ref<Clerk>("b").raise()));
  silo.restart();
  silo.advance(1h);
  CHECK(silo.begun(plan) == 1);
  CHECK(silo.total("b") == 1);
  CHECK(silo.here().dead_letters(10)->size() == 1);
}

TEST_CASE("a reminder that fails having suspended is over") {
  for (const auto& way : ways) {
    CAPTURE(way);
    clerk_silo silo;
    const auto plan = "edit;offload;edit;" + way + " 9";
    REQUIRE(silo.call(ref<Clerk>("a").remind(plan)));
    silo.advance(1h);
    silo.restart();
    silo.advance(1h);
    CHECK(silo.begun(plan) == 1);
    CHECK(silo.total("a") == 1);
    CHECK(silo.read("a")->reminders() == 0);
    CHECK(warned(silo, "planned"));
  }
}

TEST_CASE("a stop in the middle of a method is told as what it is") {
  clerk_silo silo;
  auto changed = silo.begin(ref<Clerk>("a").follow("edit;wait"));
  auto unchanged = silo.begin(ref<Clerk>("b").follow("wait"));
  silo.stop();
  CHECK(changed.answer().error().code() == errc::outcome_unknown);
  CHECK(unchanged.answer().error().code() == errc::unavailable);
  silo.start();
  CHECK(silo.total("a") == 1);
}

// --- beside each other ---------------------------------------------------------------------------

TEST_CASE("a method that fails takes back nothing of those it is interleaved with") {
  for (const auto& way : {"fail", "return"}) {
    clerk_silo silo;
    auto waiting = silo.begin(ref<Clerk>("a").follow_beside("edit;put x;wait;edit;put x"));
    CHECK_FALSE(
        silo.call(ref<Clerk>("a").follow_beside("edit;put x;put y;" + std::string{way} + " 1")));
    CHECK(silo.total("a") == 1);
    CHECK(silo.entries("a") == "x=1");
    REQUIRE(silo.call(ref<Clerk>("a").raise()));
    CHECK(waiting.answer()->total() == 2);
    silo.restart();
    CHECK(silo.entries("a") == "x=2");
  }
}

TEST_CASE("after an exception the activation ends, and who waits goes to a fresh one") {
  clerk_silo silo;
  auto changed = silo.begin(ref<Clerk>("a").follow_beside("edit;wait"));
  auto unchanged = silo.begin(ref<Clerk>("a").follow_beside("wait"));
  auto throwing = silo.begin(ref<Clerk>("a").follow("wait;edit;throw 1"));
  auto kept_out = silo.begin(ref<Clerk>("a").follow("edit"));
  CHECK_FALSE(kept_out.answered());
  // Both that wait go on when it is raised, and one has ended then; so one more is begun.
  auto beside = silo.begin(ref<Clerk>("a").follow_beside("put x;throw 1"));
  CHECK(beside.answer().error().code() == errc::internal);
  CHECK(changed.answer().error().code() == errc::outcome_unknown);
  CHECK(unchanged.answer().error().code() == errc::unavailable);
  CHECK(throwing.answer().error().code() == errc::unavailable);
  CHECK(kept_out.answer()->total() == 2);
  CHECK(silo.entries("a").empty());
  CHECK(warned(silo, "planned"));
  CHECK(warned(silo, "actor=clerk/a"));
  CHECK(warned(silo, "method=follow_beside"));
}

// Goal: `unavailable` and `not_primary` say that nothing was done, by others neither.
TEST_CASE("who waits and has asked something of others is told that it may have been done") {
  for (const std::string asks : {"call b edit,wait", "tell b;wait"}) {
    for (const std::string end : {"exception", "loss"}) {
      CAPTURE(asks);
      CAPTURE(end);
      clerk_silo silo;
      auto waits = silo.begin(ref<Clerk>("a").follow_beside(asks));
      auto idle = silo.begin(ref<Clerk>("a").follow_beside("wait"));
      if (end == "loss") {
        silo.discard(partition_of_clerk("a"));
      } else {
        CHECK_FALSE(silo.call(ref<Clerk>("a").follow_beside("throw 1")));
      }
      CHECK(waits.answer().error().code() == errc::outcome_unknown);
      CHECK(retry_of(idle.answer().error().code()) == retry_class::safe);
      CHECK(silo.total("b") == 1);
    }
  }
}

TEST_CASE("a call that has not left when its caller's partition is lost never does") {
  clerk_silo silo;
  silo.rows().hold_commits();
  auto changes = silo.begin(ref<Clerk>("a").follow_beside("edit"));
  auto calls = silo.begin(ref<Clerk>("a").follow_beside("call b edit"));  // waits for that commit
  silo.discard(partition_of_clerk("a"));
  CHECK(calls.answer().error().code() == errc::not_primary);
  silo.rows().release_commits();
  silo.settle();
  CHECK(changes.answer());
  CHECK(silo.total("b") == 0);
}

TEST_CASE("an exception loses nothing of what others have done in the same batch") {
  clerk_silo silo;
  silo.rows().hold_commits();
  auto first = silo.begin(ref<Clerk>("a").follow("edit;send b"));
  auto second = silo.begin(ref<Clerk>("a").follow("edit;send b"));
  auto failing = silo.begin(ref<Clerk>("a").follow("edit;throw 1"));
  auto third = silo.begin(ref<Clerk>("a").follow("edit"));
  silo.rows().release_commits();
  CHECK(first.answer()->total() == 1);
  CHECK(second.answer()->total() == 2);
  CHECK_FALSE(failing.answer());
  CHECK(third.answer()->total() == 3);
  silo.advance(1h);
  CHECK(silo.total("b") == 2);
}

}  // namespace
}  // namespace millrace::conformance
