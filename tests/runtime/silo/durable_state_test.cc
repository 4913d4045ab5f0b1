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
    REQUIRE(state.load(std::move(found)));
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

}  // namespace
}  // namespace millrace::runtime::detail
