// SPDX-License-Identifier: MIT
// Paged maps: read in order and by page, with what the actor has just changed.
#include "conformance/ledger.h"

namespace millrace::conformance {
namespace {

std::uint64_t note(ledger_silo& silo, const std::vector<std::string>& names,
                   std::uint32_t pad_bytes = 0) {
  ledger_interface::note_params params;
  auto list = params.build().initNames(static_cast<unsigned>(names.size()));
  for (unsigned at = 0; at < list.size(); ++at) {
    list.set(at, names[at].c_str());
  }
  params.build().setPadBytes(pad_bytes);
  const auto answer = silo.call(ref<Ledger>("a").note(std::move(params)));
  REQUIRE(answer);
  return answer->there();
}

std::string page(ledger_silo& silo, const std::string& from, std::uint32_t limit) {
  const auto answer = silo.call(ref<Ledger>("a").notes(from, limit));
  REQUIRE(answer);
  std::string text;
  for (const auto name : answer->names()) {
    text += std::string{name.cStr()} + " ";
  }
  return text + (answer->more() ? "and more" : "");
}

TEST_CASE("records are read in the order of their keys, by page") {
  ledger_silo silo;
  CHECK(page(silo, "", 10).empty());
  CHECK(note(silo, {"d", "b", "a", "c"}) == 4);  // its own changes are there
  CHECK(page(silo, "", 10) == "a b c d ");
  CHECK(page(silo, "", 4) == "a b c d ");
  CHECK(page(silo, "", 3) == "a b c and more");
  CHECK(page(silo, "b", 2) == "b c and more");
  CHECK(page(silo, "b0", 2) == "c d ");
  CHECK(page(silo, "e", 2).empty());
  silo.restart();
  CHECK(page(silo, "c", 10) == "c d ");
}

TEST_CASE("a record is found by its key and by no prefix of it, and is gone when erased") {
  ledger_silo silo;
  note(silo, {"key", "key2"}, 5'000);
  CHECK(silo.call(ref<Ledger>("a").has_note("key"))->bytes() == 5'000);
  CHECK(silo.call(ref<Ledger>("a").has_note("ke"))->bytes() == -1);
  note(silo, {"key"}, 3);
  CHECK(silo.call(ref<Ledger>("a").has_note("key"))->bytes() == 3);
  REQUIRE(silo.call(ref<Ledger>("a").drop_note("key")));
  CHECK(silo.call(ref<Ledger>("a").has_note("key"))->bytes() == -1);
  CHECK(page(silo, "", 10) == "key2 ");
  silo.restart();
  CHECK(page(silo, "", 10) == "key2 ");
}

TEST_CASE("records of a paged map are not in memory, and other actors do not see them") {
  ledger_silo silo{make_memory_storage(), {.memory_budget_bytes = std::size_t{1} << 30U}};
  std::vector<std::string> names;
  for (int at = 0; at < 500; ++at) {
    names.push_back(std::to_string(1000 + at));
  }
  note(silo, names, 1'000);
  silo.restart();
  CHECK(page(silo, "1499", 10) == "1499 ");
  CHECK(silo.here().stats().memory_bytes < 10'000);
  CHECK(silo.call(ref<Ledger>("b").notes({}, 10))->names().size() == 0);
}

TEST_CASE("a page ends where its records become too many bytes") {
  ledger_silo silo;
  note(silo, {"a", "b", "c"}, 3U << 20U);
  CHECK(page(silo, "", 10) == "a b and more");
  CHECK(page(silo, "c", 10) == "c ");
}

TEST_CASE("a key that cannot be and a record that is too large end the method") {
  ledger_silo silo;
  ledger_interface::note_params params;
  params.build().initNames(1).set(0, std::string(401, 'x').c_str());
  CHECK(silo.call(ref<Ledger>("a").note(std::move(params))).error().code() ==
        errc::invalid_argument);
  ledger_interface::note_params large;
  large.build().initNames(1).set(0, "x");
  large.build().setPadBytes(17U << 20U);
  CHECK(silo.call(ref<Ledger>("a").note(std::move(large))).error().code() == errc::too_large);
}

TEST_CASE("changes of a paged map are committed with the others, or not at all") {
  ledger_silo silo;
  note(silo, {"a"});
  silo.rows().fail_commits({errc::out_of_space, "planned"});
  CHECK_FALSE(silo.call(ref<Ledger>("a").drop_note("a")));
  CHECK(page(silo, "", 10) == "a ");
}

TEST_CASE("the records of a paged map are shown with the state of their actor") {
  ledger_silo silo;
  note(silo, {"a", "b"});
  const auto state = silo.here().state_of({"ledger", "a"}, {.map = "notes", .limit = 1});
  REQUIRE(state);
  REQUIRE(state->maps.size() == 1);
  CHECK(state->maps[0].records.size() == 1);
  CHECK(state->maps[0].records[0].key == "a");
  CHECK(state->maps[0].more);
}

}  // namespace
}  // namespace millrace::conformance
