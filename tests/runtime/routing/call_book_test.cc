// SPDX-License-Identifier: MIT
#include "routing/call_book.h"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace millrace::runtime::detail {
namespace {

constexpr std::uint64_t self = 7;

struct dropped {
  void operator()(envelope* one) const { drop(one); }
};
using counted = std::unique_ptr<envelope, dropped>;

counted make(std::optional<send_mark> send = {}) {
  counted made{new envelope{envelope_kind::call}};
  if (send) {
    made->send = *send;
  }
  return made;
}

send_mark delivery(std::uint64_t number, std::uint64_t epoch) {
  return {.sender = {1, 2}, .number = number, .epoch = epoch};
}

std::unique_ptr<call_book> begun() {
  auto book = std::make_unique<call_book>();
  book->begin(self);
  return book;
}

// All zero where it is not opened.
call_id opened(call_book& book, envelope& one, const char* silo, sent_before before) {
  const auto id = book.next_id(one);
  return book.open(one, id, silo, before) ? id : call_id{};
}

TEST_CASE("an open call is found by its id until it is closed, once, by the silo that has it") {
  const auto book = begun();
  std::vector<counted> calls;
  std::set<call_id> ids;
  for (int count = 0; count < 100; ++count) {
    calls.push_back(make());
    const auto id = opened(*book, *calls.back(), "b", {.redirects = 1, .repeats = 2});
    CHECK(id.origin == self);
    CHECK(ids.insert(id).second);
    CHECK(book->id_of(*calls.back()) == id);
  }
  CHECK(book->open_count() == 100);
  for (const auto& each : calls) {
    const auto id = book->id_of(*each);
    const counted found{book->find(id)};
    CHECK(found == each);
    CHECK(book->whereabouts(*each) == std::pair{std::string{"b"}, id});
    CHECK_FALSE(book->close(id, "c"));
    CHECK_FALSE(book->close({self + 1, id.number}, "b"));
    const auto closed = book->close(id, "b");
    REQUIRE(closed);
    CHECK(closed->call == each.get());
    CHECK(closed->before.repeats == 2);
    drop(closed->call);
    CHECK_FALSE(book->close(id, "b"));
    CHECK_FALSE(book->whereabouts(*each));
    CHECK(book->find(id) == nullptr);
  }
  CHECK(book->open_count() == 0);
}

TEST_CASE("a call that stays here after all has no id") {
  const auto book = begun();
  const auto call = make();
  const auto id = opened(*book, *call, "b", {});
  drop(book->close(id, "b")->call);
  book->forget_id(*call);
  CHECK_FALSE(call->routed());
}

TEST_CASE("probes know each call by a number of its own, which stays") {
  const auto book = begun();
  const auto first = make();
  const auto second = make();
  const auto number = book->wait_number_of(*first);
  CHECK(number > 0);
  CHECK(book->wait_number_of(*second) > number);
  book->serve(*first, {9, 33});
  CHECK(book->wait_number_of(*first) == number);
  CHECK(first->routed() == call_id{9, 33});
  drop(book->end_serving({9, 33}));
}

TEST_CASE("the answer to a send that is under way is for the one that stands in for it") {
  const auto book = begun();
  const auto before = make(delivery(5, 1));
  const auto id = opened(*book, *before, "b", {});
  auto* const after = make(delivery(5, 1)).release();
  SUBCASE("in the same epoch") {
    REQUIRE(book->stand_in(*after));
    CHECK(book->id_of(*after) == id);
    CHECK(book->whereabouts(*after).has_value());
    CHECK_FALSE(book->whereabouts(*before));
    const auto closed = book->close(id, "b");
    REQUIRE(closed);
    CHECK(closed->call == after);
    CHECK_FALSE(book->stand_in(*after));  // nothing is under way any more
  }
  SUBCASE("but not that of another") {
    after->send->epoch = 2;
    CHECK_FALSE(book->stand_in(*after));
    CHECK_FALSE(after->routed());
    CHECK(book->open_count() == 1);
  }
  SUBCASE("nor another send") {
    after->send->number = 6;
    CHECK_FALSE(book->stand_in(*after));
  }
  drop(after);
}

TEST_CASE("all calls to a silo can be closed, and the sends among them are not under way then") {
  const auto book = begun();
  std::vector<counted> calls;
  for (std::uint64_t count = 0; count < 40; ++count) {
    calls.push_back(make(delivery(count, 1)));
    static_cast<void>(opened(*book, *calls.back(), count % 2 == 0 ? "b" : "c", {}));
  }
  const auto closed = book->close_if([](const open_call& each) { return each.silo == "b"; });
  CHECK(closed.size() == 20);
  CHECK(book->open_count() == 20);
  for (const auto& each : closed) {
    CHECK_FALSE(book->stand_in(*each.call));
    drop(each.call);
  }
}

TEST_CASE("a served call is found by its id until it ends, and is kept until then") {
  const auto book = begun();
  const auto call = make();
  book->serve(*call, {9, 33});
  CHECK(call->references == 2);
  CHECK(call->routed() == call_id{9, 33});
  const auto twice = make();
  book->serve(*twice, {9, 33});
  CHECK(twice->references == 1);
  CHECK(counted{book->served({9, 33})} == call);
  CHECK(counted{book->find({9, 33})} == call);
  CHECK(book->find({9, 34}) == nullptr);
  CHECK(counted{book->end_serving({9, 33})} == call);
  CHECK(book->end_serving({9, 33}) == nullptr);
  CHECK(call->references == 1);
}

TEST_CASE("what is under way when the silo ends is dropped") {
  const auto open = make();
  const auto served = make();
  {
    const auto book = begun();
    static_cast<void>(opened(*book, *open, "b", {}));
    book->serve(*served, {9, 1});
  }
  CHECK(open->references == 1);
  CHECK(served->references == 1);
}

// Method: one thread opens calls, one answers whatever is open, one cancels, one loses the silo.
TEST_CASE("each open call is closed exactly once, whoever is quicker") {
  const auto book = begun();
  constexpr int count = 20'000;
  std::vector<counted> calls;
  for (int at = 0; at < count; ++at) {
    calls.push_back(make(at % 4 == 0 ? std::optional{delivery(static_cast<std::uint64_t>(at), 1)}
                                     : std::nullopt));
  }
  std::atomic<int> opened_count{0};
  std::atomic<int> closed{0};
  std::thread opener{[&] {
    for (const auto& each : calls) {
      static_cast<void>(opened(*book, *each, "b", {}));
      ++opened_count;
    }
  }};
  std::thread answerer{[&] {
    for (int at = 0; at < count;) {
      if (at < opened_count) {
        if (const auto done = book->close(book->id_of(*calls[static_cast<std::size_t>(at)]), "b")) {
          ++closed;
          drop(done->call);
        }
        ++at;
      }
    }
  }};
  std::thread canceller{[&] {
    while (opened_count < count) {
      if (const int at = opened_count; at > 0) {
        const auto sent = book->whereabouts(*calls[static_cast<std::size_t>(at - 1)]);
        CHECK((!sent || sent->second.origin == self));
      }
    }
  }};
  std::thread loser{[&] {
    while (opened_count < count) {
      for (const auto& each : book->close_if([](const open_call&) { return true; })) {
        ++closed;
        drop(each.call);
      }
    }
  }};
  for (auto* each : {&opener, &answerer, &canceller, &loser}) {
    each->join();
  }
  for (const auto& each : book->close_if([](const open_call&) { return true; })) {
    ++closed;
    drop(each.call);
  }
  CHECK(closed == count);
  for (const auto& each : calls) {
    CHECK(each->references == 1);
  }
}

}  // namespace
}  // namespace millrace::runtime::detail
