// SPDX-License-Identifier: MIT
// Processes of builds whose versions differ, in one cluster; see docs/operations.md, "Upgrade".
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include "chaos/load.h"
#include "folders.h"

namespace chaos {
namespace {

using millrace::testing::temporary_folder;

constexpr const char* now_program = MILLRACE_CHAOS_SILO;
constexpr const char* later_program = MILLRACE_CHAOS_SILO_LATER;
constexpr const char* far_program = MILLRACE_CHAOS_SILO_FAR;

std::string text_of(const std::filesystem::path& file) {
  std::ifstream stream{file};
  return {std::istreambuf_iterator<char>{stream}, {}};
}

// As an operator asks: `millrace cluster health`; its exit code.
int health(cluster& of, const std::vector<std::string>& more, std::string& said) {
  std::vector<std::string> words{MILLRACE_PROGRAM, "cluster", "health", "--server",
                                 of.clients().pick(0)};
  words.insert(words.end(), more.begin(), more.end());
  return run_command(words, &said);
}

void replace(cluster& in, std::size_t number, const char* program) {
  const auto name = in.at(number).name;
  CAPTURE(name);
  CHECK(in.end(number) == 0);
  in.at(number).words.front() = program;
  in.start(number);
  REQUIRE(in.becomes_served(60s));
  std::string said;
  REQUIRE_MESSAGE(health(in, {"--wait", "2m"}, said) == 0, said);
}

// Runs that program in the place of a silo or gateway that does not run, to its end.
int try_in_place(cluster& in, std::size_t number, const char* program, std::string& said) {
  auto words = in.at(number).words;
  words.front() = program;
  const auto notify = std::find(words.begin(), words.end(), "--notify-fd");
  words.erase(notify, notify + 2);
  return run_command(words, &said);
}

void check_judged(const recorder& seen) {
  const auto events = seen.events();
  const auto judged = check(events);
  std::string mistakes;
  for (const auto* each : {&judged.violations, &judged.undecided}) {
    for (const auto& one : *each) {
      mistakes += one + "\n";
    }
  }
  CHECK_MESSAGE(mistakes.empty(), mistakes);
  const auto runs = std::count_if(events.begin(), events.end(), [](const event& each) {
    return each.f == "outcome" && each.type == event_type::ok;
  });
  CHECK(runs > 0);
}

// Goal: an upgrade is no outage, may be taken back while it lasts, and leaves nobody locked out
// who understands the others.
// Method: clients ask two gateways all the time; every answer but the right one counts, also what
// is repeated. Silos go in the order of a StatefulSet.
TEST_CASE("a cluster goes over to a later build, process by process, and no request fails") {
  const temporary_folder folder;
  recorder seen{folder.path / "history.jsonl"};
  {
    cluster whole{{.silos_answer = false, .room = folder.path, .program = now_program}};
    load asking{{.clients = 8, .pause = 1ms}, whole.clients(), seen};
    constexpr std::size_t a = 0, b = 1, c = 2, g1 = 3, g2 = 4;
    replace(whole, c, later_program);
    replace(whole, b, later_program);
    replace(whole, b, now_program);
    replace(whole, b, later_program);
    replace(whole, a, later_program);
    for (const auto gateway : {g1, g2}) {
      replace(whole, gateway, later_program);
    }
    const auto log_of_b = text_of(whole.at(b).log);
    CHECK(log_of_b.find("a link speaks an older protocol than this build could peer=silo.a "
                        "version=1 newest=2") != std::string::npos);
    replace(whole, a, now_program);

    // Who has dropped what a speaks does not come in.
    CHECK(whole.end(c) == 0);
    std::string said;
    CHECK(try_in_place(whole, c, far_program, said) != 0);
    const std::string range_of_a = "silo.a speaks versions 1 to 1 of the link protocol";
    const std::string range_of_c = "silo.c speaks versions 2 to 3 of the link protocol";
    for (const auto& text : {said, text_of(whole.at(a).log)}) {
      CHECK_MESSAGE(text.find(range_of_a) != std::string::npos, text);
      CHECK_MESSAGE(text.find(range_of_c) != std::string::npos, text);
      CHECK_MESSAGE(text.find(": upgrade silo.a") != std::string::npos, text);
    }
    said.clear();
    CHECK(health(whole, {}, said) == 0);
    CHECK_MESSAGE(said.find("under_replicated") != std::string::npos, said);
    whole.start(c);
    CHECK(whole.becomes_whole(60s));

    asking.end(10s);
    std::vector<std::string> missing;
    asking.read_all(60s, missing);
    CHECK_MESSAGE(missing.empty(), (missing.empty() ? "" : missing.front()));
    CHECK(asking.figures().ok > 1'000);
    std::string refusals;
    for (const auto& each : asking.refusals()) {
      refusals += each + "\n";
    }
    CHECK_MESSAGE(refusals.empty(), refusals);
    CHECK(whole.ended_alone() == 0);
  }
  check_judged(seen);
}

TEST_CASE("a cluster that a later build has made says to an older one what to do") {
  const temporary_folder folder;
  cluster whole{{.silos = 1, .gateways = 1, .room = folder.path, .program = later_program}};
  CHECK(whole.end(1) == 0);
  std::string said;
  CHECK(try_in_place(whole, 1, now_program, said) != 0);
  CHECK_MESSAGE(said.find("protocol version 2, this build knows up to 1; use a newer build") !=
                    std::string::npos,
                said);
  whole.start(1);
  CHECK(whole.becomes_served(60s));
}

}  // namespace
}  // namespace chaos
