// SPDX-License-Identifier: MIT
// Watches: which versions are new, and the runs that they start.
#include <algorithm>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "fixture.h"
#include "millrace/schedule.capnp.actor.h"
#include "pipeline/names.h"
#include "pipeline/watch_versions.h"

namespace millrace::actors {

using runtime::errc;
using runtime::ref;
using schemas::RunState;

namespace {

using versions = std::vector<std::string>;

versions found_in(std::string_view printed) {
  const auto found = versions_in(printed);
  REQUIRE_MESSAGE(found, (found ? "" : found.error().text()));
  return *found;
}

// What is known of a source, as a pipeline keeps it.
struct source {
  versions check(const versions& found, first_versions first = first_versions::newest) {
    auto fresh = take_new(found, order, first, seen);
    order = check_order::later;
    return fresh;
  }
  std::string seen;
  check_order order = check_order::first;
};

versions numbered(int from, int to) {
  versions made;
  for (int at = from; at < to; ++at) {
    made.push_back("v" + std::to_string(at));
  }
  return made;
}

}  // namespace

TEST_CASE("a version is a line, the newest last, and each is there once") {
  CHECK(found_in("").empty());
  CHECK(found_in("\n \r\n\t\n").empty());
  CHECK(found_in("one") == versions{"one"});
  CHECK(found_in("one\ntwo words \r\n\n  three\n") == versions{"one", "two words", "three"});
  CHECK(found_in("a\nb\na\n") == versions{"b", "a"});
}

TEST_CASE("a line that is a JSON object is told apart by what it says") {
  CHECK(found_in("{\"b\": 1, \"a\": [true, null]}\n{\"a\":[true,null],\"b\":1}\n") ==
        versions{"{\"a\":[true,null],\"b\":1}"});
  CHECK(found_in("[1, 2]\n\"x\"\n 7 \n{no json}") == versions{"[1, 2]", "\"x\"", "7", "{no json}"});
  // Two integers that a float would make the same.
  const versions big{"{\"id\": 99999999999999999998}", "{\"id\": 99999999999999999999}"};
  CHECK(found_in(big[0] + "\n" + big[1]) == big);
}

TEST_CASE("more versions, or longer ones, than a check may print are refused") {
  std::string many;
  for (const auto& each : numbered(0, 1'000)) {
    many += each + "\n";
  }
  CHECK(found_in(many).size() == 1'000);
  const auto refused = versions_in(many + "one more");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::invalid_argument);
  CHECK(refused.error().text() ==
        "1001 versions; a check may print 1000: those that came after $MILLRACE_LAST_VERSION "
        "would do");
  CHECK(found_in(std::string(4'096, 'x')).size() == 1);
  const auto longer = versions_in("a\n" + std::string(4'097, 'x'));
  REQUIRE_FALSE(longer);
  CHECK(longer.error().text() ==
        "line 2 has more than 4096 bytes; print what tells versions apart, such as a hash");
}

TEST_CASE("the first check starts the newest, or all, and each later one what is new") {
  source newest;
  CHECK(newest.check({"a", "b", "c"}) == versions{"c"});
  CHECK(newest.check({"a", "b", "c"}).empty());
  CHECK(newest.check({"c", "e", "d"}) == versions{"e", "d"});
  CHECK(newest.check({"b", "f"}) == versions{"f"});
  CHECK(newest.check({}).empty());

  source all;
  CHECK(all.check({"a", "b"}, first_versions::all) == versions{"a", "b"});
  CHECK(all.check({"a", "b", "c"}, first_versions::all) == versions{"c"});

  source none;
  CHECK(none.check({}).empty());
  CHECK(none.check({"a", "b"}) == versions{"a", "b"});
}

TEST_CASE("a first check with another command starts nothing that is known") {
  source changed;
  CHECK(changed.check({"a", "b"}) == versions{"b"});
  changed.order = check_order::first;
  CHECK(changed.check({"x", "b"}).empty());
  changed.order = check_order::first;
  CHECK(changed.check({"b", "y"}) == versions{"y"});
  CHECK(changed.check({"x", "y"}).empty());
}

// Goal: what a source prints again and again is never news, however much it is.
TEST_CASE("the newest thousand are known, and all that the latest check has found") {
  source full;
  CHECK(full.check(numbered(0, 1'000), first_versions::all).size() == 1'000);
  auto found = numbered(0, 1'000);
  for (int at = 1'000; at < 1'020; ++at) {  // one goes, from the middle; one comes, in front
    found.erase(found.begin() + 500);
    found.insert(found.begin(), "v" + std::to_string(at));
    CHECK(full.check(found) == versions{"v" + std::to_string(at)});
    CHECK(full.check(found).empty());
  }
  CHECK(full.seen.size() == 32'000);
  CHECK(full.check({"v500"}) == versions{"v500"});  // it was gone, and is forgotten
}

TEST_CASE("a version is a text, or a record with fields") {
  const version_scope text{"v1"};
  CHECK(text.trigger("version", {}) == make_value("v1"));
  CHECK(text.trigger("version", {"ref"}) == std::nullopt);
  CHECK(text.trigger("body", {}) == std::nullopt);
  const version_scope record{R"({"ref":{"a.b":[1,"x"]}})"};
  CHECK(record.trigger("version", {"ref", "a.b", "1"}) == make_value("x"));
  CHECK(record.trigger("version", {"ref", "a.b", "2"}) == std::nullopt);
  CHECK(record.trigger("version", {"no"}) == std::nullopt);
}

// --- with processes ------------------------------------------------------------------------------

namespace {

const std::string watching = R"yaml(name: build
params: {commit: {required: true}}
triggers:
  watch: source
  every: 365d
  run: |
    echo "last is '$MILLRACE_LAST_VERSION'" >&2
    cat SOURCE
  params: {commit: "${{ trigger.version }}"}
tasks: [{name: a, run: "true"}]
)yaml";

// The firing of a look; the schedule hears of its watch from the pipeline.
schemas::schedule_interface::trigger_results look_now(node& here) {
  auto told = here.silo->call(ref<schemas::Schedule>("default/build").trigger("source"));
  node::eventually([&] {
    told = told ? std::move(told)
                : here.silo->call(ref<schemas::Schedule>("default/build").trigger("source"));
    return told.has_value();
  });
  return *std::move(told);
}

// Looks once, when no other look goes on; answers the run that has looked.
std::string look(node& here) {
  const auto told = look_now(here);
  const auto run = text_of(told.firing().getRun());
  REQUIRE_FALSE(run.empty());
  node::eventually([&] {
    const auto now = here.silo->call(ref<schemas::Pipeline>("default/build").activity());
    return now && text_of(now->watches()[0].getLastCheck()) == run;
  });
  node::eventually([&] {  // it hears of the end by itself
    const auto now =
        here.silo->call(ref<schemas::Schedule>("default/build").describe("source", 1, 100));
    return now && now->running().size() == 0;
  });
  return run;
}

class watched {
public:
  explicit watched(pipeline_host_options options = {}) : here(data.path, std::move(options)) {}

  std::string with_source(std::string text) const {
    for (auto at = text.find("SOURCE"); at != std::string::npos; at = text.find("SOURCE")) {
      text.replace(at, 6, file());
    }
    return text;
  }
  [[nodiscard]] std::string file() const { return (data.path / "source").string(); }
  void write(const std::string& text) const { std::ofstream{file()} << text; }
  void apply(const std::string& text = watching) { here.apply(with_source(text)); }

  schemas::WatchStatus::Reader status() {
    auto told = here.silo->call(ref<schemas::Pipeline>("default/build").activity());
    REQUIRE(told);
    told_.emplace(*std::move(told));
    REQUIRE(told_->watches().size() == 1);
    return told_->watches()[0];
  }
  schemas::schedule_interface::describe_results schedule() {
    auto told = here.silo->call(ref<schemas::Schedule>("default/build").describe("source", 1, 100));
    REQUIRE(told);
    return *std::move(told);
  }
  std::string check() { return look(here); }
  // The parameter of each run, the oldest first.
  versions commits() {
    versions all;
    const auto told =
        here.silo->call(ref<schemas::Pipeline>("default/build").runs("", 1'000, "", ""));
    REQUIRE(told);
    for (const auto each : told->runs()) {
      const auto run = here.silo->call(ref<schemas::Run>(text_of(each.getId())).status());
      if (run) {  // else its begin is on the way
        CHECK(text_of(run->run().getWatch()) == "source");
        CHECK_FALSE(run->run().getCheck());
        all.insert(all.begin(), text_of(run->run().getParams()));
      }
    }
    return all;
  }
  void eventually_commits(const versions& wanted) {
    node::eventually([&] { return commits() == wanted; });
  }

  temporary_folder data;
  node here;

private:
  std::optional<schemas::pipeline_interface::activity_results> told_;
};

std::string given(const std::string& commit) {
  return R"({"commit":")" + commit + R"("})";
}

}  // namespace

TEST_CASE("each new version starts one run, and a check none of its own in the list") {
  watched p;
  p.write("one\ntwo\n");
  p.apply();
  CHECK(p.status().getLastCheck() == "");
  const auto first = p.check();
  p.eventually_commits({given("two")});
  p.check();
  p.write("two\nthree\nfour\n");
  const auto third = p.check();
  p.eventually_commits({given("two"), given("three"), given("four")});

  const auto status = p.status();
  CHECK(status.getId() == "source");
  CHECK(status.getLastVersion() == "four");
  CHECK(status.getFound() == 3);
  CHECK(status.getReason() == "");
  CHECK(status.getCheckedAt() > 0);
  const auto shown = p.schedule();
  CHECK(shown.schedule().getWatch());
  CHECK(shown.schedule().getFired() == 3);
  CHECK(shown.firings()[0].getState() == schemas::FiringState::SUCCEEDED);
  CHECK(shown.firings()[0].getRun() == third.c_str());

  const auto check = p.here.silo->call(ref<schemas::Run>(third).status());
  REQUIRE(check);
  CHECK(check->run().getCheck());
  CHECK(text_of(check->run().getParams()) == R"({"last_version":"two"})");
  const auto retried = p.here.silo->call(ref<schemas::Run>(first).retry());
  REQUIRE_FALSE(retried);
  CHECK(retried.error().text().starts_with("the run is a check of a watch; `millrace schedule "));
}

TEST_CASE("a check that fails, or prints what is no list of versions, starts nothing") {
  watched p;
  p.apply();
  p.check();
  CHECK(text_of(p.status().getReason()).starts_with("task `check` failed"));
  p.write(std::string(5'000, 'x'));
  p.check();
  CHECK(text_of(p.status().getReason()).starts_with("it has printed line 1 has more than 4096"));
  p.write("one\n");
  p.check();
  CHECK(p.status().getReason() == "");
  p.eventually_commits({given("one")});  // the first one that has succeeded
  const auto counts = p.here.host->schedules();
  CHECK(counts.checks_succeeded == 1);
  CHECK(counts.checks_failed == 2);
  CHECK(counts.versions_found == 1);
}

TEST_CASE("the output of a check that is too long to be told with its end is asked for") {
  watched p;
  p.write("");
  p.apply();
  p.check();
  std::string many;
  for (int at = 0; at < 15; ++at) {
    many += std::to_string(at) + std::string(4'000, 'x') + "\n";
  }
  p.write(many);
  p.check();
  node::eventually([&] { return p.commits().size() == 15; });
}

TEST_CASE("a version that no run can begin with is told, and the next one starts its own") {
  std::mutex lock;
  std::vector<std::string> lines;
  pipeline_host_options options;
  options.log = [&](std::string_view line) {
    const std::lock_guard guard{lock};
    lines.emplace_back(line);
  };
  watched p{std::move(options)};
  p.write("{\"n\": 1}\n{\"n\": \"x\"}\nnone\n{\"n\": 3}\n");
  auto text = watching;
  text.replace(text.find("commit: {required: true}"), 24, "commit: {type: int}");
  text.replace(text.find("{commit: \"${{ trigger.version }}\"}"), 34,
               "{commit: \"${{ trigger.version.n }}\"}\n  first: all");
  p.apply(text);
  p.check();
  p.eventually_commits({R"({"commit":1})", R"({"commit":3})"});
  CHECK(text_of(p.status().getRefusal()) ==
        "none: params commit: `trigger.version.n` has no value here");
  const std::lock_guard guard{lock};
  CHECK(std::count_if(lines.begin(), lines.end(), [](const auto& line) {
          return line.starts_with("pipeline default/build: watch source starts nothing for ");
        }) == 2);
}

TEST_CASE("a paused pipeline has no checks, and a version that was found before waits") {
  watched p;
  p.write("one\n");
  p.apply();
  REQUIRE(p.here.silo->call(ref<schemas::Pipeline>("default/build").pause("me")));
  look_now(p.here);
  node::eventually([&] { return p.schedule().schedule().getRefused() == 1; });
  const auto refused = p.schedule();
  CHECK(refused.firings()[0].getReason() == "the pipeline is paused");
  CHECK(p.status().getLastCheck() == "");
  REQUIRE(p.here.silo->call(ref<schemas::Pipeline>("default/build").resume()));
  p.check();
  p.eventually_commits({given("one")});
}

TEST_CASE("what has changed of a watch begins anew, and what has gone is forgotten") {
  watched p;
  p.write("one\n");
  p.apply();
  const auto first = p.check();
  p.eventually_commits({given("one")});

  // Another command: a first check again, which knows what was found.
  p.write("two\nthree\none\n");
  auto text = watching;
  text.replace(text.find("cat SOURCE"), 10, "cat < SOURCE");
  p.apply(text);
  p.check();
  CHECK(p.commits() == versions{given("one")});
  // Another time is none.
  p.write("three\nfour\nfive\n");
  text.replace(text.find("365d"), 4, "300d");
  p.apply(text);
  p.check();
  p.eventually_commits({given("one"), given("four"), given("five")});

  p.here.apply("name: build\ntasks: [{name: a, run: 'true'}]\n");
  node::eventually([&] {
    const auto gone = p.here.silo->call(ref<schemas::Run>(first).status());
    return !gone && gone.error().code() == errc::not_found;
  });
  node::eventually([&] {
    const auto told = p.here.silo->call(ref<schemas::Schedule>("default/build").list());
    return told && told->schedules().size() == 0;
  });
  p.apply();
  CHECK(p.status().getFound() == 0);
}

TEST_CASE("a check that goes on is no run that holds up a removal, and goes with it") {
  watched p;
  auto text = watching;
  text.replace(text.find("cat SOURCE"), 10, "exec sleep 1000");
  p.apply(text);
  const auto run = text_of(look_now(p.here).firing().getRun());
  p.here.wait_until_running(run, "check");
  // One at a time.
  CHECK(look_now(p.here).firing().getState() == schemas::FiringState::SKIPPED);

  REQUIRE(p.here.silo->call(ref<schemas::Pipeline>("default/build").remove(0)));
  node::eventually([&] {
    const auto gone = p.here.silo->call(ref<schemas::Run>(run).status());
    return !gone && gone.error().code() == errc::not_found;
  });
}

TEST_CASE("the latest ten checks are kept") {
  watched p;
  p.write("one\n");
  p.apply();
  versions runs;
  for (int count = 0; count < 12; ++count) {
    runs.push_back(p.check());
  }
  const auto is_there = [&](const std::string& run) {
    return p.here.silo->call(ref<schemas::Run>(run).status()).has_value();
  };
  node::eventually([&] { return !is_there(runs[0]) && !is_there(runs[1]); });
  CHECK(std::all_of(runs.begin() + 2, runs.end(), is_there));
  CHECK(p.commits().size() == 1);
}

TEST_CASE("what a watch knows outlives a restart") {
  temporary_folder data;
  const auto source = (data.path / "source").string();
  std::ofstream{source} << "one\n";
  auto text = watching;
  text.replace(text.find("SOURCE"), 6, source);
  const auto runs = [](node& here) {
    const auto told = here.silo->call(ref<schemas::Pipeline>("default/build").runs("", 0, "", ""));
    return told ? told->runs().size() : 0;
  };
  {
    node here{data.path};
    here.apply(text);
    look(here);
    node::eventually([&] { return runs(here) == 1; });
  }
  node here{data.path};
  look(here);
  std::ofstream{source} << "one\ntwo\n";
  look(here);
  node::eventually([&] { return runs(here) == 2; });
}

}  // namespace millrace::actors
