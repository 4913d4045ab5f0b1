// SPDX-License-Identifier: MIT
// What the rows of one actor say after its changes.
#include "activation/durable_state.h"

#include <doctest/doctest.h>

#include <map>

namespace millrace::runtime::detail {
namespace {

using namespace std::chrono_literals;

// An actor's rows, and what an activation would make of them.
struct stored_actor {
  std::string key = "a";
  actor_hash hash = hash_of("thing", "a");
  std::map<std::string, std::string> rows;

  void commit(durable_state& state) {
    row_ops ops;
    REQUIRE(state.changed());
    REQUIRE(state.encode(ops));
    REQUIRE(row_ops::for_each(
        ops.encoded(), [&](auto name, auto value) { rows[std::string{name}] = value; },
        [&](auto name) { rows.erase(std::string{name}); }));
  }
  durable_state fresh() const { return {"thing", key, hash}; }
  void load(durable_state& state) const {
    std::vector<row> found;
    for (const auto& [name, value] : rows) {
      if (name.starts_with(actor_prefix(hash))) {
        found.push_back({name, value});
      }
    }
    REQUIRE(state.load(std::move(found), {}));
  }
  std::vector<row> read(const row_range& range, const std::string& base = {}) const {
    std::vector<row> found;
    for (auto at = rows.lower_bound(base + std::max(range.prefix, range.from));
         at != rows.end() && found.size() < range.limit &&
         at->first.starts_with(base + range.prefix) &&
         (range.until.empty() || at->first < base + range.until);
         ++at) {
      found.push_back({at->first, at->second.substr(0, range.value_bytes_max)});
    }
    return found;
  }
};

stored_send to_b() {
  return {"thing", "b", 1, 0, {}};
}

TEST_CASE("a commit that makes a dead letter and drops it leaves its version") {
  stored_actor actor;
  auto state = actor.fresh();
  const auto number = state.add_send(to_b());
  actor.commit(state);
  state.end_send(number, "broken");
  state.drop_dead_letter(number);
  actor.commit(state);
  CHECK(state.version() == 2);
  auto again = actor.fresh();
  actor.load(again);
  CHECK(again.version() == 2);
}

// Goal: a commit that leaves nothing but deletes still counts, since the numbers of sends do.
TEST_CASE("every commit leaves its version in the rows") {
  stored_actor actor;
  auto state = actor.fresh();
  static_cast<void>(state.edit_root());
  actor.commit(state);
  const auto check_version = [&](std::uint64_t expected) {
    auto again = actor.fresh();
    actor.load(again);
    CHECK(again.version() == expected);
  };
  check_version(1);

  state.set_reminder("r", {.due = wall_time{1s}});
  state.cancel_reminder("r");
  actor.commit(state);
  check_version(2);

  const auto number = state.add_send(to_b());
  actor.commit(state);
  state.end_send(number);
  actor.commit(state);
  check_version(4);

  state.set_reminder("r", {.due = wall_time{1s}});
  actor.commit(state);
  state.cancel_reminder("r");
  actor.commit(state);
  check_version(6);
}

TEST_CASE("numbers of sends grow over a reload that found nothing to send") {
  stored_actor actor;
  auto state = actor.fresh();
  const auto first = state.add_send(to_b());
  actor.commit(state);
  state.end_send(first);
  actor.commit(state);
  auto again = actor.fresh();
  actor.load(again);
  CHECK(again.add_send(to_b()) > first);
}

TEST_CASE("a commit that only erases puts no more than a mark") {
  stored_actor actor;
  auto state = actor.fresh();
  state.edit_root().getRoot<capnp::AnyPointer>().initAsAnyStruct(100, 0);
  const auto number = state.add_send(to_b());
  actor.commit(state);
  state.end_send(number);
  row_ops ops;
  REQUIRE(state.encode(ops));
  CHECK(ops.encoded().size() < 120);
}

// --- answers of keyed calls ----------------------------------------------------------------------

TEST_CASE("however many pages have been read, the next commit writes the mark once") {
  stored_actor actor;
  auto first = actor.fresh();
  static_cast<void>(first.edit_root());
  for (int at = 0; at < 3'000; ++at) {
    first.remember_answer(1, "key " + std::to_string(at), {7, wall_time{24h}, {}}, 1);
  }
  actor.commit(first);
  auto state = actor.fresh();
  std::vector<row> rows;
  for (const auto& range : state.rows_to_load()) {
    for (auto& each : actor.read(range, state.rows_prefix())) {
      rows.push_back(std::move(each));
    }
  }
  REQUIRE(state.load(std::move(rows), {}));
  REQUIRE(state.is_loaded());
  CHECK_FALSE(state.changed());
  for (int page = 0; page < 4; ++page) {
    REQUIRE(state.take_answer_page(actor.read(state.begin_answer_page()), {}, 1));
  }
  CHECK(state.changed());
  CHECK_FALSE(state.untidy());
  CHECK(state.change_bytes() == 0);
  row_ops ops;
  REQUIRE(state.encode(ops));
  int marks = 0;
  REQUIRE(row_ops::for_each(
      ops.encoded(),
      [&](auto name, auto) { marks += name.ends_with(keyed_answers::mark_key) ? 1 : 0; },
      [](auto) {}));
  CHECK(marks == 1);
  CHECK_FALSE(state.changed());
}

TEST_CASE("an answer that a later program has written in another way is an error") {
  const stored_actor actor;
  const auto state = actor.fresh();
  std::string value;
  append_answer_head(value, {5 | compressed_flag, 7, wall_time{24h}});
  const auto read = state.read_answer({{"key", value}}, {});
  REQUIRE_FALSE(read);
  CHECK(read.error().code() == errc::storage_failed);
}

// --- large records -------------------------------------------------------------------------------

// A root whose content is `text`.
void set_text(durable_state& state, std::string_view text) {
  state.edit_root().initRoot<capnp::AnyPointer>().setAs<capnp::Text>(
      kj::StringPtr{text.data(), text.size()});
}

std::string text_of(const durable_state& state) {
  return state.root()->getRoot<capnp::AnyPointer>().getAs<capnp::Text>().cStr();
}

std::string& root_row(stored_actor& actor) {
  return actor.rows.at(actor_row(actor.hash, row_table::root));
}

result<void> load_again(const stored_actor& actor) {
  auto again = actor.fresh();
  return again.load({{actor_row(actor.hash, row_table::root),
                      actor.rows.at(actor_row(actor.hash, row_table::root))}},
                    {});
}

TEST_CASE("a root is stored compressed from the threshold on, and raw below it") {
  for (const auto size : {compressed_from_bytes / 2, 2 * compressed_from_bytes}) {
    stored_actor actor;
    auto state = actor.fresh();
    const std::string text(size, 'x');
    set_text(state, text);
    actor.commit(state);
    CHECK((root_row(actor).size() < size) == (size >= compressed_from_bytes));
    auto again = actor.fresh();
    actor.load(again);
    CHECK(text_of(again) == text);
    CHECK(again.version() == 1);
    set_text(again, "short");
    actor.commit(again);
    CHECK(again.version() == 2);
  }
}

// Goal: data directories from before there was compression open.
TEST_CASE("a large root that was stored raw is read") {
  stored_actor actor;
  auto state = actor.fresh();
  const std::string text(3 * compressed_from_bytes, 'x');
  set_text(state, text);
  actor.commit(state);
  auto& value = root_row(actor);
  value.assign(8, '\0');
  value[0] = 1;
  append_id(value, "thing", actor.key);
  value += state.root()->flat();
  auto again = actor.fresh();
  actor.load(again);
  CHECK(text_of(again) == text);
  CHECK(again.version() == 1);
}

// Goal: damage is no new beginning. Every first commit writes the root, whatever else it changes.
TEST_CASE("rows whose root is missing are refused") {
  stored_actor actor;
  auto state = actor.fresh();
  state.set_reminder("r", {.due = wall_time{1s}});
  actor.commit(state);
  REQUIRE(actor.rows.erase(actor_row(actor.hash, row_table::root)) == 1);
  std::vector<row> left;
  for (const auto& [name, value] : actor.rows) {
    if (name.starts_with(actor_prefix(actor.hash))) {
      left.push_back({name, value});
    }
  }
  REQUIRE_FALSE(left.empty());
  const auto loaded = actor.fresh().load(std::move(left), {});
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().code() == errc::storage_failed);
  CHECK(loaded.error().text().starts_with("the root of thing/a is missing"));
}

TEST_CASE("a damaged or shortened compressed root is refused, whatever byte it is") {
  stored_actor actor;
  auto state = actor.fresh();
  set_text(state, std::string(2 * compressed_from_bytes, 'x'));
  actor.commit(state);
  const auto whole = root_row(actor);
  const auto begin = 8 + 2 + std::string_view{"thing"}.size() + actor.key.size();
  for (auto size = begin; size < whole.size(); ++size) {
    root_row(actor) = whole.substr(0, size);
    CHECK(load_again(actor).error().code() == errc::storage_failed);
  }
  root_row(actor) = whole + "x";
  CHECK_FALSE(load_again(actor));
  root_row(actor) = whole;
  root_row(actor)[begin] ^= 1;  // the frame's magic number
  CHECK_FALSE(load_again(actor));
  root_row(actor) = whole;
  CHECK(load_again(actor));
}

TEST_CASE("a frame that says it holds more than a record may is refused before it is unpacked") {
  const auto frame = [](std::uint64_t size) {
    std::string one{"\x28\xb5\x2f\xfd\xe0", 5};  // magic; one segment, eight bytes of size
    for (unsigned shift = 0; shift < 64; shift += 8) {
      one += static_cast<char>(size >> shift);
    }
    return one + std::string{"\x01\x00\x00", 3};  // an empty last block
  };
  CHECK(decompress_words(frame(0)));
  CHECK_FALSE(decompress_words(frame(1)));
  CHECK_FALSE(decompress_words(frame(record_bytes_max + 8)));
  CHECK_FALSE(decompress_words(frame(std::uint64_t{1} << 62U)));
  CHECK_FALSE(decompress_words("no frame"));
  CHECK_FALSE(decompress_words({}));
}

TEST_CASE("a dead letter of the largest send keeps what fits of its error") {
  stored_actor actor;
  auto state = actor.fresh();
  const auto number = state.add_send({"thing", "b", 1, 0, std::string(record_bytes_max, 'x')});
  actor.commit(state);
  state.end_send(number, std::string(4'000, 'e'));
  actor.commit(state);
  auto again = actor.fresh();
  actor.load(again);
  CHECK(again.dead_letters().at(number).what.params.size() == record_bytes_max);
  CHECK(again.dead_letters().at(number).error_text.size() > 400);
}

// --- erasing -------------------------------------------------------------------------------------

TEST_CASE("a segment that erases and is taken back leaves what there was") {
  stored_actor actor;
  auto state = actor.fresh();
  set_text(state, "here");
  actor.commit(state);
  state_undo undo;
  state.begin_segment(undo);
  state.erase_root_and_records();
  state.take_back_segment();
  undo.clear();
  CHECK_FALSE(state.changed());

  // The next change is of an actor that was not erased, so nothing of it is.
  static_cast<void>(state.edit_root());
  actor.commit(state);
  CHECK_FALSE(state.vanished());
  auto again = actor.fresh();
  actor.load(again);
  REQUIRE(again.root() != nullptr);
}

// Goal: a commit of what is not state must not take the erasure that failed along.
TEST_CASE("after an erasure was taken back, a commit without state does not erase") {
  stored_actor actor;
  auto state = actor.fresh();
  state.remember_received(hash_of("thing", "b"), {1, {}});  // has a root row, but no state
  actor.commit(state);
  REQUIRE(state.stored());
  state_undo undo;
  state.begin_segment(undo);
  state.erase_root_and_records();
  state.take_back_segment();
  undo.clear();

  state.forget_received(hash_of("thing", "b"), 1);
  actor.commit(state);
  CHECK_FALSE(state.vanished());
  CHECK(state.stored());
}

TEST_CASE("erasing takes the rows of a map along that the class does not have any more") {
  stored_actor actor;
  auto before = actor.fresh();
  set_text(before, "here");
  actor.commit(before);
  const auto left = actor_row(actor.hash, row_table::map, map_row_rest("old", "k"));
  std::string value(8, '\0');
  value[0] = 1;
  actor.rows[left] = value;

  auto state = actor.fresh();
  actor.load(state);
  state.erase_root_and_records();
  actor.commit(state);
  CHECK(state.vanished());
  CHECK_FALSE(actor.rows.contains(left));
  auto again = actor.fresh();
  actor.load(again);
  CHECK_FALSE(again.stored());
}

TEST_CASE("rows of a map that the class does not have stay while an erasure is taken back") {
  stored_actor actor;
  auto before = actor.fresh();
  set_text(before, "here");
  actor.commit(before);
  const auto left = actor_row(actor.hash, row_table::map, map_row_rest("old", "k"));
  std::string value(8, '\0');
  value[0] = 1;
  actor.rows[left] = value;

  auto state = actor.fresh();
  actor.load(state);
  state_undo undo;
  state.begin_segment(undo);
  state.erase_root_and_records();
  state.take_back_segment();
  undo.clear();
  static_cast<void>(state.edit_root());
  actor.commit(state);
  CHECK(actor.rows.contains(left));

  state.erase_root_and_records();  // they are still known
  actor.commit(state);
  CHECK(state.vanished());
  CHECK_FALSE(actor.rows.contains(left));
}

}  // namespace
}  // namespace millrace::runtime::detail
