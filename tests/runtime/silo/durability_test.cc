// SPDX-License-Identifier: MIT
// State, maps, reminders, sends and keyed calls across restarts and kill -9.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <random>
#include <semaphore>
#include <thread>

#include "folders.h"
#include "millrace/runtime/dead_letter_list.h"
#include "runtime/silo/fixture.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;

using folder = temporary_folder;

std::unique_ptr<storage> rows_in(const std::string& path) {
  auto rows = open_storage({.directory = path, .map_bytes = std::size_t{256} << 20U});
  REQUIRE_MESSAGE(rows, (rows ? "" : rows.error().text()));
  return *std::move(rows);
}

TEST_CASE("state and maps are there after a restart") {
  folder data;
  {
    counter_silo silo{rows_in(data.path)};
    REQUIRE(silo.call(ref<Counter>("a").add(5)));
    CHECK(silo.call(ref<Counter>("a").mark("one"))->marks() == 1);
    CHECK(silo.call(ref<Counter>("a").mark("two"))->marks() == 2);
    CHECK(silo.call(ref<Counter>("a").unmark("one"))->marks() == 1);
    REQUIRE(silo.call(ref<Counter>("only_marks").mark("m")));
    REQUIRE(silo.call(ref<Counter>("only_marks").unmark("m")));
    silo.stop();
  }
  counter_silo silo{rows_in(data.path)};
  CHECK(silo.total("a") == 5);
  CHECK(silo.call(ref<Counter>("a").mark("three"))->marks() == 2);
  CHECK(silo.call(ref<Counter>("only_marks").mark("m"))->marks() == 1);
}

// The largest row of an actor that `silo` has stored.
std::size_t largest_row(counter_silo& silo) {
  std::size_t largest = 0;
  for (std::uint16_t at = 0; at < silo.here().rows().partition_count(); ++at) {
    REQUIRE(silo.here().rows().scan(partition_id{at}, std::string(1, '\0'), std::string(1, '\0'),
                                    100, [&](const row& one) {
                                      largest = std::max(largest, one.value.size());
                                      return true;
                                    }));
  }
  return largest;
}

TEST_CASE("state that is edited over and over does not grow") {
  folder data;
  counter_silo silo{rows_in(data.path)};
  std::minstd_rand random;
  for (int at = 0; at < 3'000; ++at) {
    std::string note(500, '\0');  // that does not compress
    std::generate(note.begin(), note.end(), [&] { return static_cast<char>(33 + random() % 94); });
    REQUIRE(silo.call(ref<Counter>("a").set_note(note)));
  }
  // Without collecting what edits orphan, the root would be 1.5 MB by now.
  CHECK(largest_row(silo) < 8'000);
}

TEST_CASE("large state is small on the disk and whole after a restart") {
  folder data;
  const auto note = [](char last) { return std::string(1U << 20U, 'x') + last; };
  {
    counter_silo silo{rows_in(data.path)};
    REQUIRE(silo.call(ref<Counter>("a").set_note(note('1'))));
    REQUIRE(silo.call(ref<Counter>("a").set_note(note('2'))));
    CHECK(largest_row(silo) < 10'000);
    silo.stop();
  }
  counter_silo silo{rows_in(data.path)};
  CHECK(silo.call(ref<Counter>("a").get_note())->note() == note('2').c_str());
}

TEST_CASE("a map's record that does not compress is whole after a restart") {
  folder data;
  {
    counter_silo silo{rows_in(data.path)};
    REQUIRE(silo.call(ref<Counter>("a").fill(1, 100'000)));
    CHECK(largest_row(silo) > 100'000);
    silo.stop();
  }
  counter_silo silo{rows_in(data.path)};
  const auto found = silo.call(ref<Counter>("a").fill(0, 0));
  REQUIRE(found);
  const auto first = found->read().getFirst();
  std::minstd_rand random;
  REQUIRE(first.size() == 100'000);
  CHECK(std::all_of(first.begin(), first.end(),
                    [&](auto byte) { return byte == static_cast<kj::byte>(random() >> 8U); }));
}

TEST_CASE("state over the limit of a record fails the call and keeps the old state") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").add(3)));
  const auto refused = silo.call(ref<Counter>("a").set_note(std::string(17U << 20U, 'x')));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::too_large);
  CHECK(refused.error().text() ==
        "the state of counter/a has 17825832 bytes; one record holds at most 16776192; split it "
        "over several records of a map");
  CHECK(silo.total("a") == 3);
  CHECK(silo.warnings().size() == 1);
}

TEST_CASE("a record over the limit is named with its map, and the one before it is kept") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").fill(1, 10)));
  const auto refused = silo.call(ref<Counter>("a").fill(2, 17U << 20U));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::too_large);
  CHECK(refused.error().text().starts_with("record '0' of map 'marks' of counter/a has 178258"));
  CHECK(refused.error().text().find("one record holds at most 16776192") != std::string::npos);
  CHECK(silo.call(ref<Counter>("a").fill(0, 0))->read().getFirst().size() == 10);
}

TEST_CASE("changes over the limit of a commit fail together") {
  counter_silo silo;
  const auto refused = silo.call(ref<Counter>("a").fill(5, 15U << 20U));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::too_large);
  CHECK(refused.error().text().starts_with("the changes of counter/a have 7864"));
  CHECK(refused.error().text().find("one commit holds at most 67108864") != std::string::npos);
  CHECK(silo.call(ref<Counter>("a").mark("only"))->marks() == 1);
}

TEST_CASE("a send whose parameters are over the limit of a record fails the method") {
  counter_silo silo;
  const auto refused = silo.call(ref<Counter>("a").post_fail("b", std::string(17U << 20U, 'x')));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::too_large);
  CHECK(refused.error().text().starts_with(
      "the parameters of a send of counter/a to counter/b have 17825"));
}

TEST_CASE("a send arrives once, after a restart too") {
  folder data;
  {
    counter_silo silo{rows_in(data.path)};
    REQUIRE(silo.call(ref<Counter>("a").post_to("b", 10)));
    CHECK(silo.total("b") == 10);
    CHECK(silo.total("a") == -10);
    silo.stop();
  }
  counter_silo silo{rows_in(data.path)};
  CHECK(silo.total("b") == 10);
  CHECK(silo.total("a") == -10);
}

TEST_CASE("sends to an actor itself and in both directions arrive") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").post_to("a", 1)));
  for (int at = 0; at < 200; ++at) {
    REQUIRE(silo.call(ref<Counter>("x").post_to("y", 1)));
    REQUIRE(silo.call(ref<Counter>("y").post_to("x", 1)));
  }
  CHECK(silo.total("a") == 0);
  CHECK(silo.total("x") == 0);
  CHECK(silo.total("y") == 0);
  CHECK(silo.here().stats().sends_pending == 0);
}

TEST_CASE("a reminder fires when it is due, repeats on its grid and survives a restart") {
  folder data;
  {
    counter_silo silo{rows_in(data.path)};
    REQUIRE(silo.call(ref<Counter>("once").remind_in(1'000, 0)));
    REQUIRE(silo.call(ref<Counter>("often").remind_in(1'000, 500)));
    CHECK(silo.here().stats().reminders == 2);
    silo.advance(999ms);
    CHECK(silo.total("once") == 0);
    silo.advance(2ms);
    CHECK(silo.total("once") == 1'000);
    CHECK(silo.total("often") == 1'000);
    silo.stop();
  }
  counter_silo silo{rows_in(data.path)};
  silo.advance(1'499ms);
  CHECK(silo.total("once") == 1'000);
  CHECK(silo.total("often") == 1'000);
  silo.advance(2ms);
  CHECK(silo.total("often") == 2'000);
  silo.stop();
  silo.advance(5s);  // ten are missed: they fire once
  silo.start();
  CHECK(silo.total("often") == 3'000);
  silo.advance(499ms);
  CHECK(silo.total("often") == 4'000);
}

TEST_CASE("a reminder that is moved waits once") {
  counter_silo silo;
  for (int at = 1; at <= 100; ++at) {
    REQUIRE(silo.call(ref<Counter>("a").remind_in(at * 1'000, 0)));
  }
  CHECK(silo.here().stats().reminders == 1);
  silo.advance(99'999ms);
  CHECK(silo.total("a") == 0);
  silo.advance(1ms);
  CHECK(silo.total("a") == 1'000);
}

TEST_CASE("a reminder that is due waits for the wall clock when that is set back") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").remind_in(1'000, 0)));
  const auto start = silo.clock().wall();
  silo.clock().set_wall(start - 1h);
  silo.advance(2s);
  CHECK(silo.total("a") == 0);
  silo.clock().set_wall(start);
  silo.advance(11s);  // the clock is looked at every ten seconds
  CHECK(silo.total("a") == 1'000);
}

TEST_CASE("a reminder is not lost when its actor fails to activate") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("flaky").remind_in(1'000, 0)));
  REQUIRE(silo.call(ref<Counter>("flaky").leave()));
  CHECK(silo.here().stats().activations == 0);
  REQUIRE(silo.call(ref<Counter>("b").fail_activations(2)));
  REQUIRE(silo.call(ref<Counter>("b").leave()));
  CHECK(silo.here().stats().activations == 0);
  silo.advance(1s);
  CHECK(silo.warnings().size() == 1);
  silo.advance(5s);
  CHECK(silo.warnings().size() == 2);
  silo.advance(10s);
  CHECK(silo.total("flaky") == 1'000);
  CHECK(silo.here().stats().reminders == 0);
}

TEST_CASE("a reminder is not lost when the commit of its hook fails") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").remind_in(1'000, 0)));
  silo.rows().fail_commits({errc::out_of_space, "planned"});
  silo.advance(1s);
  CHECK(silo.warnings().size() == 1);
  CHECK(silo.here().stats().reminders_fired_total == 1);
  silo.advance(5s);
  CHECK(silo.total("a") == 1'000);
  CHECK(silo.here().stats().reminders_fired_total == 2);
}

TEST_CASE("names of reminders that cannot be are refused") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").remind_as(std::string(64, 'n'))));
  CHECK(silo.call(ref<Counter>("a").remind_as(std::string(65, 'n'))).error().code() ==
        errc::invalid_argument);
  CHECK(silo.call(ref<Counter>("a").remind_as("")).error().code() == errc::invalid_argument);
}

TEST_CASE("sends go on by themselves after their sender's activation has failed") {
  counter_silo silo;
  silo.rows().fail_commits({errc::out_of_space, "planned"}, 1, 1);  // the receiver's
  REQUIRE(silo.call(ref<Counter>("a").post_to("b", 10)));
  CHECK(silo.warnings().size() == 1);
  silo.rows().fail_commits({errc::out_of_space, "planned"});
  CHECK(silo.call(ref<Counter>("a").add(1)).error().code() == errc::out_of_space);
  silo.advance(5s);
  CHECK(silo.total("b") == 10);
  CHECK(silo.total("a") == -10);
}

TEST_CASE("a change is refused when what it was based on has changed") {
  folder data;
  std::uint64_t version = 0;
  std::uint64_t mark = 0;
  {
    counter_silo silo{rows_in(data.path)};
    version = silo.call(ref<Counter>("a").add_if(1, 0))->version();
    const auto stale = silo.call(ref<Counter>("a").add_if(1, 0));
    CHECK(stale.error().code() == errc::conflict);
    CHECK(stale.error().text() == "counter/a is at version 1, not 0; read it again");
    mark = silo.call(ref<Counter>("a").mark_if("m", 0))->version();
    CHECK(mark == version + 1);
    CHECK(silo.call(ref<Counter>("a").mark_if("m", 0)).error().code() == errc::conflict);
    REQUIRE(silo.call(ref<Counter>("a").add(1)));
    silo.stop();
  }
  counter_silo silo{rows_in(data.path)};
  CHECK(silo.call(ref<Counter>("a").add_if(1, version)).error().code() == errc::conflict);
  mark = silo.call(ref<Counter>("a").mark_if("m", mark))->version();  // others do not count
  CHECK(silo.call(ref<Counter>("a").mark_if("m", mark)));
  CHECK(silo.total("a") == 2);
}

TEST_CASE("a send that fails for good is kept as a dead letter, to be retried or dropped") {
  folder data;
  actor_id sender{"counter", "a"};
  {
    counter_silo silo{rows_in(data.path)};
    CHECK(silo.here().dead_letters()->empty());
    REQUIRE(silo.call(ref<Counter>("a").post_fail("b", "no")));
    REQUIRE(silo.call(ref<Counter>("a").post_fail("c", "never")));
    silo.advance(10s);  // it is tried a few times
    CHECK(silo.here().dead_letters()->size() == 2);
    silo.stop();
  }
  counter_silo silo{rows_in(data.path)};
  const auto all = *silo.here().dead_letters();
  REQUIRE(all.size() == 2);
  CHECK(silo.here().dead_letters(1)->size() == 1);
  const auto first = *dead_letters_behind(silo.here(), "", 1);
  REQUIRE(first.size() == 1);
  const auto behind = *dead_letters_behind(silo.here(), first[0].place, 9);
  REQUIRE(behind.size() == 1);
  CHECK(behind[0].letter.number == all[1].number);
  CHECK(dead_letters_behind(silo.here(), behind[0].place, 9)->empty());
  for (const auto* each : {"x", "00", "zz00"}) {
    CHECK(dead_letters_behind(silo.here(), each, 9).error().code() == errc::invalid_argument);
  }
  CHECK(all[0].sender == sender);
  CHECK(all[0].target == actor_id{"counter", "b"});
  CHECK(all[0].method == "fail");
  CHECK(all[0].params == R"({"text":"no"})");
  CHECK(all[0].error_text == "failed_precondition: no");

  REQUIRE(silo.here().drop_dead_letter(sender, all[1].number));
  CHECK(silo.here().drop_dead_letter(sender, all[1].number).error().code() == errc::not_found);
  CHECK(silo.here().dead_letters()->size() == 1);
  CHECK(dead_letters_behind(silo.here(), behind[0].place, 9)->empty());  // also when it has gone
  REQUIRE(silo.here().retry_dead_letter(sender, all[0].number));
  CHECK(silo.here().stats().sends_pending == 1);
  silo.advance(10s);
  REQUIRE(silo.here().dead_letters()->size() == 1);
  CHECK(silo.here().dead_letters()->front().number > all[0].number);
  CHECK(silo.here().retry_dead_letter({"nobody", "a"}, 1).error().code() == errc::unimplemented);
}

TEST_CASE("when stopping takes too long callers are told, and nothing is left behind") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").add(1)));
  silo.rows().hold_commits();
  auto waiting = silo.begin(ref<Counter>("a").add(1).timeout(1h));
  auto through = silo.begin(ref<Counter>("b").relay("c", 1).timeout(1h));
  CHECK(silo.rows().commits() == 3);
  silo.here().stop(1ms);
  CHECK(waiting.answer().error().code() == errc::outcome_unknown);
  CHECK(through.answer().error().code() == errc::outcome_unknown);
}

TEST_CASE("a keyed call takes effect once, after a restart too") {
  folder data;
  {
    counter_silo silo{rows_in(data.path)};
    CHECK(silo.call(ref<Counter>("a").add(5).keyed("k"))->total() == 5);
    CHECK(silo.call(ref<Counter>("a").add(1))->total() == 6);
    CHECK(silo.call(ref<Counter>("a").add(5).keyed("k"))->total() == 5);
    CHECK(silo.call(ref<Counter>("a").add(6).keyed("k")).error().code() == errc::conflict);
    silo.stop();
  }
  counter_silo silo{rows_in(data.path)};
  CHECK(silo.call(ref<Counter>("a").add(5).keyed("k"))->total() == 5);
  CHECK(silo.total("a") == 6);
  silo.advance(25h);
  CHECK(silo.call(ref<Counter>("a").add(5).keyed("k"))->total() == 11);
  CHECK(silo.call(ref<Counter>("a").add(1).keyed(std::string(201, 'k'))).error().code() ==
        errc::invalid_argument);
}

// A child that adds and sends as fast as it can and writes down what was acknowledged.
[[noreturn]] void work_until_killed(const std::string& path, int acknowledged) {
  auto rows = open_storage({.directory = path, .map_bytes = std::size_t{256} << 20U});
  if (!rows) {
    ::_exit(9);
  }
  silo here{*std::move(rows)};
  here.add<counter>();
  if (!here.start()) {
    ::_exit(9);
  }
  std::atomic<int> open{0};
  for (std::uint32_t at = 0;; ++at) {
    const auto actor = std::to_string(at % 16);
    ++open;
    here.call_then<counter_interface::add_results>(
        ref<Counter>("sum" + actor).add(1), [&open, actor, acknowledged](auto answer) {
          if (answer) {
            const auto line = "sum" + actor + " " + std::to_string(answer->total()) + "\n";
            if (::write(acknowledged, line.data(), line.size()) < 0) {
              ::_exit(9);
            }
          }
          --open;
          open.notify_one();
        });
    here.tell(ref<Counter>("from" + actor).post_to("to" + actor, 1));
    for (int now = open; now > 64; now = open) {
      open.wait(now);
    }
  }
}

// Goal: whatever instant the process dies at, acknowledged changes are there, each change is there
// wholly or not at all, and sends go on until they have arrived, once.
// Method: a child is killed at random points; the next one recovers what it left. At the end, every
// counter is at least what was acknowledged, and what `from` has lost `to` has won.
TEST_CASE("nothing acknowledged is lost by kill -9") {
  const auto* wanted = std::getenv("MILLRACE_KILLS");
  const auto kills = wanted != nullptr ? std::atoi(wanted) : 200;
  folder data;
  std::mt19937 random{42};
  std::map<std::string, std::int64_t> acknowledged;
  for (int kill = 0; kill < kills; ++kill) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::close(ends[0]);
      work_until_killed(data.path, ends[1]);
    }
    ::close(ends[1]);
    std::FILE* lines = ::fdopen(ends[0], "r");
    char name[32];
    long long total = 0;
    // The point of the kill is so many acknowledgements away; 0 is during recovery.
    auto left = static_cast<int>(random() % 400);
    while (left-- > 0 && std::fscanf(lines, "%31s %lld", name, &total) == 2) {
      auto& known = acknowledged[name];
      known = std::max<std::int64_t>(known, total);
    }
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    while (std::fscanf(lines, "%31s %lld", name, &total) == 2) {
      auto& known = acknowledged[name];
      known = std::max<std::int64_t>(known, total);
    }
    std::fclose(lines);
  }
  counter_silo silo{rows_in(data.path)};
  for (int at = 0; at < 16; ++at) {
    static_cast<void>(silo.total("from" + std::to_string(at)));  // loaded: its sends are counted
  }
  CHECK(silo.here().stats().sends_pending == 0);
  std::int64_t adds = 0;
  for (const auto& [name, least] : acknowledged) {
    CAPTURE(name);
    CHECK(silo.total(name) >= least);
    adds += least;
  }
  std::int64_t moved = 0;
  for (int at = 0; at < 16; ++at) {
    const auto to = silo.total("to" + std::to_string(at));
    CHECK(silo.total("from" + std::to_string(at)) == -to);
    moved += to;
  }
  CHECK(adds > 0);
  CHECK(moved > 0);
  MESSAGE(kills << " kills, " << adds << " acknowledged adds, " << moved << " sends");
}

// Goal: a delivery takes effect once, however late its first copy is.
// Method: the first copy waits in the mailbox of an activation that is failing; it is held up there
// while the sender is loaded again and repeats the send, and while that is answered and forgotten.
TEST_CASE("a send takes effect once when its first delivery is held up in a failing receiver") {
  hand_clock time;
  auto faults = std::make_unique<faulty_storage>(make_memory_storage());
  auto& rows = *faults;
  std::binary_semaphore failing{0};  // the receiver's activation says that it ends
  std::binary_semaphore go_on{0};
  std::binary_semaphore leaving{0};  // it has left the directory
  std::binary_semaphore redeliver{0};
  std::atomic<bool> first{true};
  silo_options options;
  options.threads = 4;
  options.warn = [&](std::string_view line) {
    if (line.ends_with("counter/b")) {
      counter::on_gone = [&] {
        if (first.exchange(false)) {
          leaving.release();
          redeliver.acquire();
        }
      };
      failing.release();
      go_on.acquire();
    }
  };
  {
    silo here{std::move(faults), std::move(options), time};
    here.add<counter>();
    REQUIRE(here.start());
    const auto a = ref<Counter>("a");
    const auto b = ref<Counter>("b");
    REQUIRE(here.call(a.get()));
    rows.fail_commits({errc::out_of_space, "planned"});
    std::promise<bool> failed;
    here.call_then<counter_interface::add_results>(b.add(0),
                                                   [&](auto answer) { failed.set_value(!answer); });
    failing.acquire();
    REQUIRE(here.call(a.post_to("b", 10)));
    REQUIRE(here.call(a.get()));  // the first delivery is in b's mailbox
    go_on.release();
    leaving.acquire();
    rows.fail_commits({errc::out_of_space, "planned"});
    REQUIRE_FALSE(here.call(a.add(1)));
    while (here.call(b.get())->total() != 10) {
      REQUIRE(here.call(a.get()));  // loaded: it sends again
    }
    while (here.stats().sends_pending > 0) {
      std::this_thread::yield();
    }
    for (int round = 0; round < 100; ++round) {  // the number is forgotten
      REQUIRE(here.call(a.get()));
      REQUIRE(here.call(b.add(0)));
    }
    redeliver.release();
    REQUIRE(failed.get_future().get());
    for (int round = 0; round < 100; ++round) {
      REQUIRE(here.call(b.add(0)));
    }
    CHECK(here.call(b.get())->total() == 10);
  }
  counter::on_gone = nullptr;
}

}  // namespace
}  // namespace millrace::testing
