// SPDX-License-Identifier: MIT
// What an operator sees of activations and of stored actors.
#include <set>

#include "folders.h"
#include "runtime/silo/fixture.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;

void store(test_silo& in, const std::string& key, std::int64_t total) {
  REQUIRE(in.call(ref<Counter>(key).add(total)));
}

// The keys of all pages, each of at most `limit`; every one once.
template <class Page>
std::set<std::string> keys_of(const Page& page_of, list_page page) {
  std::set<std::string> keys;
  do {
    const auto list = page_of(page);
    REQUIRE(list);
    CHECK(list->items.size() <= page.limit);
    for (const auto& each : list->items) {
      CHECK(keys.insert(each.key).second);
    }
    page.cursor = list->next;
  } while (!page.cursor.empty());
  return keys;
}

}  // namespace

TEST_CASE("activations and stored actors are listed in pages, each once") {
  counter_silo silo;
  std::set<std::string> all;
  std::set<std::string> stored;
  for (int at = 0; at < 150; ++at) {
    const auto key = (at % 3 == 0 ? "x/" : "y/") + std::to_string(at);
    all.insert(key);
    if (at % 2 == 0) {
      store(silo, key, at);
      stored.insert(key);
    } else {
      CHECK(silo.total(key) == 0);
    }
  }
  const auto active = [&](const list_page& page) {
    return silo.here().activations("counter", page);
  };
  const auto kept = [&](const list_page& page) {
    return silo.here().stored_actors("counter", page);
  };
  CHECK(keys_of(active, {.limit = 7}) == all);
  CHECK(keys_of(active, {.limit = 1'000}) == all);
  CHECK(keys_of(active, {.prefix = "x/", .limit = 7}).size() == 50);
  CHECK(keys_of(kept, {.limit = 7}) == stored);
  CHECK(keys_of(kept, {.prefix = "x/", .limit = 1'000}).size() == 25);
  CHECK(keys_of(kept, {.prefix = "z", .limit = 7}).empty());
  CHECK(kept({.limit = 1})->items[0].active);
  CHECK(kept({.limit = 1})->items[0].state_bytes > 0);
}

TEST_CASE("an actor with many rows does not hide the next ones from the list") {
  counter_silo silo{make_memory_storage(1)};
  for (int at = 0; at < 1'500; ++at) {
    REQUIRE(silo.call(ref<Counter>("fat").mark(std::to_string(at))));
  }
  std::set<std::string> all{"fat"};
  for (int at = 0; at < 20; ++at) {
    all.insert("k" + std::to_string(at));
    store(silo, "k" + std::to_string(at), 1);
  }
  const auto kept = [&](const list_page& page) {
    return silo.here().stored_actors("counter", page);
  };
  CHECK(keys_of(kept, {.limit = 3}) == all);
}

TEST_CASE("an activation tells what it does and for how long") {
  counted_silo silo;
  const auto seen = [&] { return silo.here().activations("counter")->items.at(0); };
  REQUIRE(silo.call(ref<Counter>("a").add(1)));
  silo.clock().move(7s);
  CHECK(seen().key == "a");
  CHECK(seen().phase == activation_phase::active);
  CHECK(seen().idle == 7s);
  CHECK(seen().method.empty());

  auto pausing = silo.begin(ref<Counter>("a").pause(20'000, false));
  auto waiting = silo.begin(ref<Counter>("a").add(1));
  silo.settle();
  silo.clock().move(5s);
  CHECK(seen().method == "pause");
  CHECK(seen().busy == 5s);
  CHECK(seen().idle == 0s);
  CHECK(seen().queued == 1);
  silo.advance(15s);
  CHECK(pausing.answer());
  CHECK(waiting.answer());
}

TEST_CASE("state is read as it was committed, without activating its actor") {
  temporary_folder folder;
  const auto open = [&] { return *open_storage({.directory = folder.path.string()}); };
  {
    counter_silo silo{open()};
    store(silo, "a", 5);
    REQUIRE(silo.call(ref<Counter>("a").set_pin("1234")));
    for (const auto* name : {"m1", "m2", "m3"}) {
      REQUIRE(silo.call(ref<Counter>("a").mark(name)));
    }
  }
  counter_silo silo{open()};
  auto state = silo.here().state_of({"counter", "a"}, {.limit = 2});
  REQUIRE(state);
  CHECK(state->root_json == R"({"total":5,"note":"","pin":"***"})");
  REQUIRE(state->maps.size() == 1);
  const auto& marks = state->maps[0];
  CHECK(marks.name == "marks");
  REQUIRE(marks.records.size() == 2);
  CHECK(marks.records[0].key == "m1");
  CHECK(marks.records[1].json == R"({"total":5,"pad":""})");
  CHECK(marks.more);
  state = silo.here().state_of({"counter", "a"}, {.map = "marks", .after = "m2", .limit = 2});
  REQUIRE(state);
  CHECK(state->root_json.empty());
  REQUIRE(state->maps[0].records.size() == 1);
  CHECK(state->maps[0].records[0].key == "m3");
  CHECK_FALSE(state->maps[0].more);
  CHECK(silo.here().stats().activations_total == 0);
}

TEST_CASE("large state is shown though it is stored compressed") {
  counter_silo silo;
  const std::string note(10'000, 'x');
  REQUIRE(silo.call(ref<Counter>("a").set_note(note)));
  CHECK(silo.here().stored_actors("counter")->items.at(0).version == 1);
  const auto state = silo.here().state_of({"counter", "a"});
  REQUIRE(state);
  CHECK(state->root_json == R"({"total":0,"note":")" + note + R"(","pin":"***"})");
}

TEST_CASE("what is not committed yet is not shown") {
  counter_silo silo;
  store(silo, "a", 1);
  silo.rows().hold_commits();
  auto adding = silo.begin(ref<Counter>("a").add(1));
  CHECK(silo.here().state_of({"counter", "a"})->root_json.starts_with(R"({"total":1,)"));
  silo.rows().release_commits();
  REQUIRE(adding.answer());
  CHECK(silo.here().state_of({"counter", "a"})->root_json.starts_with(R"({"total":2,)"));
}

TEST_CASE("an operator asks an activation to leave, and it does when it has nothing to do") {
  counted_silo silo;
  CHECK(*silo.here().deactivate({"counter", "a"}) == false);
  REQUIRE(silo.call(ref<Counter>("a").add(1)));
  auto pausing = silo.begin(ref<Counter>("a").pause(20'000, false));
  silo.settle();
  CHECK(*silo.here().deactivate({"counter", "a"}));
  silo.settle();
  CHECK(silo.counters().activations == 1);
  silo.advance(20s);
  CHECK(pausing.answer());
  CHECK(silo.counters().activations == 0);
  CHECK(silo.call(ref<Counter>("a").add(1))->total() == 2);
}

TEST_CASE("what cannot be inspected is refused with the remedy") {
  counter_silo silo;
  store(silo, "a", 1);
  const auto code_of = [](const auto& outcome) {
    REQUIRE_FALSE(outcome);
    return outcome.error().code();
  };
  auto& here = silo.here();
  CHECK(code_of(here.activations("nobody")) == errc::unimplemented);
  CHECK(code_of(here.stored_actors("nobody")) == errc::unimplemented);
  CHECK(code_of(here.state_of({"nobody", "a"})) == errc::unimplemented);
  CHECK(code_of(here.deactivate({"nobody", "a"})) == errc::unimplemented);
  CHECK(code_of(here.deactivate({"counter", ""})) == errc::invalid_argument);
  CHECK(code_of(here.state_of({"counter", "b"})) == errc::not_found);
  const auto no_map = here.state_of({"counter", "a"}, {.map = "other"});
  CHECK(code_of(no_map) == errc::not_found);
  CHECK(no_map.error().text().ends_with("it has: marks"));
  CHECK(
      code_of(here.state_of({"counter", "a"}, {.map = "marks", .after = std::string(401, 'x')})) ==
      errc::invalid_argument);
  for (const auto* cursor : {"x", "00", "zz000000000000000000000000000000", "0"}) {
    CHECK(code_of(here.activations("counter", {.cursor = cursor})) == errc::invalid_argument);
    CHECK(code_of(here.stored_actors("counter", {.cursor = cursor})) == errc::invalid_argument);
  }
}

}  // namespace millrace::testing
