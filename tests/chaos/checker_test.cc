// SPDX-License-Identifier: MIT
// The checker itself: histories that can be, and such that a broken system would leave.
#include <doctest/doctest.h>

#include <sstream>

#include "chaos/models.h"

namespace chaos {
namespace {

// A history in short: `process f value` begins, `process! value` is acknowledged, `process- ` has
// failed, `process?` is unknown. All of one key.
history events_of(const std::string& key, const std::vector<std::string>& lines) {
  history made;
  std::map<std::uint64_t, std::string> asked;
  for (const auto& line : lines) {
    std::istringstream words{line};
    event one;
    one.key = key;
    one.t = static_cast<std::int64_t>(made.size());
    char mark = ' ';
    words >> one.process;
    words.get(mark);
    if (mark == '!' || mark == '-' || mark == '?') {
      one.type = mark == '!' ? event_type::ok : mark == '-' ? event_type::fail : event_type::info;
      one.f = asked[one.process];
    } else {
      words >> one.f;
      asked[one.process] = one.f;
    }
    std::string value;
    std::getline(words >> std::ws, value);
    one.value = value.empty() ? json{} : json::parse(value);
    made.push_back(one);
  }
  return made;
}

bool is_good(const std::string& key, const std::vector<std::string>& lines) {
  const auto found = check(events_of(key, lines));
  REQUIRE(found.undecided.empty());
  return found.violations.empty();
}

TEST_CASE("a register shows the last write, or one that runs beside the read") {
  const auto good = [](const std::vector<std::string>& lines) {
    return is_good("register/r", lines);
  };
  CHECK(good({"1 read", "1! 0", "1 write 1", "1!", "2 read", "2! 1"}));
  CHECK(good({"1 write 1", "2 read", "2! 0", "3 read", "3! 1", "1!"}));
  CHECK(good({"1 write 1", "2 write 2", "1!", "2!", "3 read", "3! 1"}));
  CHECK(good(
      {"1 write 1", "1!", "1 cas [1,2]", R"(1! {"swapped":true,"found":1})", "2 read", "2! 2"}));
  CHECK(good({"1 cas [1,2]", R"(1! {"swapped":false,"found":0})", "2 read", "2! 0"}));

  CHECK_FALSE(good({"1 write 1", "1!", "2 read", "2! 0"}));                     // stale
  CHECK_FALSE(good({"1 write 1", "2 read", "2! 1", "3 read", "3! 0", "1!"}));   // goes back
  CHECK_FALSE(good({"1 write 1", "1!", "1 write 2", "1!", "2 read", "2! 1"}));  // a lost write
  CHECK_FALSE(good({"1 write 1", "1-", "2 read", "2! 1"}));  // what failed has happened
  CHECK_FALSE(good({"2 read", "2! 7"}));                     // from nowhere
  CHECK_FALSE(good({"2 read", "2! 1", "1 write 1", "1!"}));  // before it was asked
  CHECK_FALSE(good({"1 cas [0,1]", "2 cas [0,2]", R"(1! {"swapped":true,"found":0})",
                    R"(2! {"swapped":true,"found":0})"}));  // both have won
  CHECK_FALSE(good({"1 write 1", "1!", "1 cas [1,2]", R"(1! {"swapped":false,"found":0})"}));
}

TEST_CASE("what nobody knows may have happened, at any time, or not") {
  const auto good = [](const std::vector<std::string>& lines) {
    return is_good("register/r", lines);
  };
  CHECK(good({"1 write 1", "1?", "2 read", "2! 0"}));
  CHECK(good({"1 write 1", "1?", "2 read", "2! 1"}));
  CHECK(good({"1 write 1", "1?", "2 read", "2! 0", "2 read", "2! 1"}));
  CHECK(good({"1 write 1", "2 read", "2! 1"}));  // it has no end
  CHECK(good({"1 write 1", "1?", "1 cas [1,2]", "1?", "2 read", "2! 2"}));
  CHECK(good({"1 write 1", "1?", "1 write 2", "1!", "2 read", "2! 1"}));  // it comes late
  CHECK_FALSE(good({"1 write 1", "1?", "2 read", "2! 1", "2 read", "2! 0"}));
  CHECK_FALSE(good({"1 cas [5,1]", "1?", "2 read", "2! 1"}));  // there never was a 5
  CHECK_FALSE(good({"2 read", "2! 1", "1 write 1", "1?"}));
}

TEST_CASE("a set keeps what was added") {
  const auto good = [](const std::vector<std::string>& lines) { return is_good("set/s", lines); };
  CHECK(good({"1 add 2", "1!", "2 add 1", "2!", "1 read", "1! [1,2]"}));
  CHECK(good({"1 add 2", "2 read", "2! []", "1?", "2 read", "2! [2]"}));
  CHECK(good({"1 add 10", "1!", "1 add 9", "1!", "1 read", "1! [9,10]"}));
  CHECK_FALSE(good({"1 add 2", "1!", "2 read", "2! []"}));
  CHECK_FALSE(good({"1 add 2", "1?", "2 read", "2! [2]", "2 read", "2! []"}));
  CHECK_FALSE(good({"1 add 2", "1-", "2 read", "2! [2]"}));
  CHECK_FALSE(good({"1 add 1", "2 add 2", "3 read", "4 read", "3! [1]", "4! [2]", "1!", "2!"}));
}

TEST_CASE("a counter counts each increment once") {
  const auto good = [](const std::vector<std::string>& lines) {
    return is_good("counter/c", lines);
  };
  CHECK(good({"1 add 1", "2 add 1", "2! 1", "1! 2", "3 read", "3! 2"}));
  CHECK(good({"1 add 1", "1?", "3 read", "3! 0", "3 add 1", "3! 2"}));
  CHECK_FALSE(good({"1 add 1", "1! 1", "3 read", "3! 2"}));   // twice
  CHECK_FALSE(good({"1 add 1", "2 add 1", "1! 1", "2! 1"}));  // one is lost
  CHECK_FALSE(good({"1 add 1", "1! 1", "2 add 1", "2-", "3 read", "3! 2"}));
  CHECK_FALSE(good({"1 add 1", "1?", "2 add 1", "2! 3"}));
}

TEST_CASE("a list keeps its order") {
  const auto good = [](const std::vector<std::string>& lines) { return is_good("list/l", lines); };
  CHECK(good({"1 append 2", "2 append 1", "1!", "2!", "3 read", "3! [1,2]", "3 read", "3! [1,2]"}));
  CHECK(good({"1 append 1", "1?", "1 append 2", "1!", "2 read", "2! [2]", "2 read", "2! [2,1]"}));
  CHECK_FALSE(
      good({"1 append 2", "2 append 1", "1!", "2!", "3 read", "3! [1,2]", "3 read", "3! [2,1]"}));
  CHECK_FALSE(good({"1 append 1", "1!", "2 read", "2! [1,1]"}));
  CHECK_FALSE(good({"1 append 1", "1!", "1 append 2", "1!", "2 read", "2! [2]"}));
}

// A sum over two purses in which `transfer` was asked for as told.
bool is_sound(const std::string& end, int of_a, int of_b, int sent, int received) {
  auto events = events_of("purse/a", {R"(1 transfer {"to":"b","amount":5})", end, "1 audit",
                                      R"(1! {"balance":)" + std::to_string(of_a) + R"(,"sent":)" +
                                          std::to_string(sent) + R"(,"received":0})"});
  const auto other = events_of(
      "purse/b", {"1 audit", R"(1! {"balance":)" + std::to_string(of_b) +
                                 R"(,"sent":0,"received":)" + std::to_string(received) + "}"});
  events.insert(events.end(), other.begin(), other.end());
  return check(events).is_clean();
}

TEST_CASE("money is neither made nor lost, and a transfer arrives once") {
  CHECK(is_sound("1!", 995, 1005, 1, 1));
  CHECK(is_sound("1?", 995, 1005, 1, 1));
  CHECK(is_sound("1?", 1000, 1000, 0, 0));
  CHECK(is_sound("1-", 1000, 1000, 0, 0));
  CHECK_FALSE(is_sound("1!", 1000, 1000, 0, 0));  // lost
  CHECK_FALSE(is_sound("1!", 995, 1000, 1, 0));   // has not arrived
  CHECK_FALSE(is_sound("1!", 995, 1005, 1, 0));   // has not arrived, and something else has
  CHECK_FALSE(is_sound("1!", 995, 1010, 1, 2));   // has arrived twice
  CHECK_FALSE(is_sound("1!", 990, 1010, 2, 2));   // was made twice
  CHECK_FALSE(is_sound("1-", 995, 1005, 1, 1));   // was made though it failed
  CHECK_FALSE(is_sound("1!", 2005, -5, 1, 1));    // below zero
}

// One attempt: how it ended, and where.
std::string attempt(int id, const std::string& end, const std::string& executor,
                    const std::string& printed = "") {
  return json{{"id", id},
              {"end", end},
              {"exit_code", end == "exited" ? json(0) : json{}},
              {"executor", executor},
              {"stdout_tail", printed}}
      .dump();
}

history run_with(const std::string& state, const std::vector<std::string>& first,
                 const std::string& list, const std::string& printed = "first=1\n") {
  std::string attempts;
  for (const auto& each : first) {
    attempts += (attempts.empty() ? "" : ",") + each;
  }
  return events_of(
      "run/p", {"1 submit", R"(1! "r1")", R"(1 outcome "r1")",
                R"(1! {"state":")" + state +
                    R"(","tasks":[{"name":"first","state":"succeeded","attempts":[)" + attempts +
                    R"(]},{"name":"last","state":"succeeded","attempts":[)" +
                    attempt(1, "exited", "a", printed) + "]}]}",
                "1 list", "1! " + list});
}

TEST_CASE("a run ends, and adopts one result of each task") {
  const std::vector<std::string> once{attempt(1, "exited", "a")};
  const std::vector<std::string> again{attempt(1, "lost", "a"), attempt(2, "exited", "a")};
  const std::vector<std::string> moved{attempt(1, "exited", "a"), attempt(2, "exited", "b")};
  const std::vector<std::string> twice{attempt(1, "exited", "a"), attempt(2, "exited", "a")};
  const std::string list = R"(["r1"])";
  const auto good = [](const history& events) { return check(events).is_clean(); };
  CHECK(good(run_with("succeeded", once, list)));
  CHECK(good(run_with("succeeded", again, list, "first=2\n")));
  CHECK(good(run_with("succeeded", moved, list, "first=2\n")));
  CHECK_FALSE(good(run_with("running", once, list)));
  CHECK_FALSE(good(run_with("succeeded", once, "[]")));
  CHECK_FALSE(good(run_with("succeeded", once, R"(["r1","r2"])")));
  CHECK_FALSE(good(run_with("succeeded", twice, list)));
  CHECK_FALSE(good(run_with("succeeded", again, list, "first=1\n")));  // of one that was lost
  CHECK_FALSE(good(run_with("succeeded", {attempt(1, "lost", "a")}, list)));
  CHECK_FALSE(good(run_with("succeeded", {}, list)));
}

TEST_CASE("keys are judged one by one") {
  auto events = events_of("register/a", {"1 write 1", "1!"});
  const auto other = events_of("register/b", {"1 read", "1! 0"});
  events.insert(events.end(), other.begin(), other.end());
  CHECK(check(events).is_clean());
  CHECK(check(events).keys >= 2);
}

TEST_CASE("what is no history is refused") {
  CHECK_FALSE(is_good("register/a", {"1 write 1", "1 write 2"}));
  CHECK_FALSE(is_good("register/a", {"1! 1"}));
  CHECK_FALSE(is_good("abacus/a", {"1 write 1"}));
  CHECK_FALSE(event_of("{}"));
  CHECK_FALSE(event_of("x"));
  CHECK_FALSE(event_of(R"({"t":1,"process":1,"type":"maybe","f":"read","key":"k"})"));
}

TEST_CASE("an event is the same after a line and back") {
  const event one{5, 3, event_type::info, "cas", "register/r", json::array({1, 2})};
  const auto again = event_of(line_of(one));
  REQUIRE(again);
  CHECK(line_of(*again) == line_of(one));
  std::istringstream lines{line_of(one) + "\n" + line_of(one) + "\n"};
  CHECK(read_history(lines).size() == 2);
  std::istringstream broken{line_of(one) + "\nx\n"};
  CHECK_THROWS(static_cast<void>(read_history(broken)));
}

// Goal: it answers, whatever it is given.
// Method: many increments of which nobody knows anything, and a total that fits no choice of them.
TEST_CASE("a search that would run for ever says that it is undecided") {
  std::vector<std::string> lines;
  for (int process = 1; process <= 40; ++process) {
    lines.push_back(std::to_string(process) + " add " + std::to_string(1000 + 2 * process));
  }
  lines.emplace_back("99 read");
  lines.emplace_back("99! 7");
  const auto events = events_of("counter/c", lines);
  const auto by_steps = check(events, {.steps_max = 10'000, .bytes_max = SIZE_MAX});
  CHECK(by_steps.violations.empty());
  CHECK(by_steps.undecided.size() == 1);
  CHECK(check(events, {.bytes_max = 100'000}).undecided.size() == 1);
}

// Goal: a history of the length of a campaign's takes no time.
TEST_CASE("a thousand operations by eight processes are judged at once") {
  std::vector<std::string> lines;
  int last = 0;
  for (int round = 1; round <= 125; ++round) {
    for (int process = 1; process <= 8; ++process) {
      lines.push_back(std::to_string(process) + " write " + std::to_string(round * 10 + process));
    }
    for (int process = 8; process >= 1; --process) {
      lines.push_back(std::to_string(process) + (round % 3 == 0 ? "?" : "!"));
    }
    last = round * 10 + 4;
    if (round % 3 != 0) {
      lines.emplace_back("9 read");
      lines.push_back("9! " + std::to_string(last));
    }
  }
  CHECK(is_good("register/r", lines));
  lines.emplace_back("9 read");
  lines.emplace_back("9! 11");
  CHECK_FALSE(is_good("register/r", lines));
}

}  // namespace
}  // namespace chaos
