// SPDX-License-Identifier: MIT
// Goal: who may run beside whom, and who waits for whom, without an activation.
// Method: calls made by hand. `here` and `elsewhere` stand for activations: they are compared only.
#include "activation/turn_queue.h"

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace millrace::runtime::detail {
namespace {

using place = turn_queue::place;
constexpr auto exclusive = method_admission::exclusive;
constexpr auto reader = method_admission::read_only;
constexpr auto reentrant = method_admission::reentrant;

alignas(std::max_align_t) std::array<std::byte, 2 * alignof(std::max_align_t)> marks;
activation* const here = reinterpret_cast<activation*>(marks.data());
activation* const elsewhere = reinterpret_cast<activation*>(marks.data() + marks.size() / 2);

method_info method_with(method_admission admission) {
  return {"method", 0, admission, false, false, 0, nullptr, nullptr};
}
const std::array methods{method_with(exclusive), method_with(reader), method_with(reentrant)};
const interface_info interface {
  "type", "type", {}, 0, actor_placement::partition, 0, {}, methods
};

struct dropper {
  void operator()(envelope* one) const noexcept { drop(one); }
};
// What a test holds of a call, beside the queue.
using held = std::unique_ptr<envelope, dropper>;

held call(method_admission admission, envelope* parent = nullptr) {
  held one{new envelope{envelope_kind::call}};
  one->interface = &interface;
  one->method = static_cast<std::uint16_t>(admission);
  one->admission = admission;
  one->parent = parent;
  if (parent != nullptr) {
    keep(*parent);
  }
  return one;
}

place arrive(turn_queue& queue, envelope& one, bool open = true) {
  one.serving = here;
  const auto where = queue.arrive(&one, open);
  if (where == place::waits || where == place::returns) {
    keep(one);  // the queue's
  }
  return where;
}

void begin(turn_queue& queue, envelope& one) {
  keep(one);
  one.serving = here;
  queue.begin(&one);
}

void end(turn_queue& queue, envelope& one) {
  queue.end(one);
  drop(&one);
}

// Takes out the next and lets it run.
envelope* run_next(turn_queue& queue) {
  auto* one = queue.next();
  if (one != nullptr) {
    queue.begin(one);
  }
  return one;
}

TEST_CASE("an exclusive turn keeps out all but reentrant ones") {
  turn_queue queue{here};
  const auto running = call(exclusive);
  CHECK(arrive(queue, *running) == place::begins);
  begin(queue, *running);
  CHECK(queue.runs(running.get()));
  const auto passes = call(reentrant);
  CHECK(arrive(queue, *passes) == place::begins);
  for (const auto what : {exclusive, reader}) {
    const auto waits = call(what);
    CHECK(arrive(queue, *waits) == place::waits);
  }
  CHECK(queue.any_waits());
  CHECK(queue.next() == nullptr);
  end(queue, *running);
  CHECK(queue.running().empty());
  CHECK_FALSE(queue.empty());
}

TEST_CASE("order of arrival is kept: a reader does not pass by a writer that waits") {
  turn_queue queue{here};
  const auto first = call(reader);
  begin(queue, *first);
  const auto beside = call(reader);
  CHECK(arrive(queue, *beside) == place::begins);
  const auto writer = call(exclusive);
  CHECK(arrive(queue, *writer) == place::waits);
  const auto late = call(reader);
  CHECK(arrive(queue, *late) == place::waits);
  CHECK(queue.next() == nullptr);

  end(queue, *first);
  CHECK(run_next(queue) == writer.get());
  CHECK(queue.next() == nullptr);
  end(queue, *writer);
  CHECK(run_next(queue) == late.get());
  end(queue, *late);
  CHECK(queue.empty());
}

TEST_CASE("while turns do not begin, everything waits in order") {
  turn_queue queue{here};
  const auto first = call(reentrant);
  const auto second = call(exclusive);
  CHECK(arrive(queue, *first, false) == place::waits);
  CHECK(arrive(queue, *second, false) == place::waits);
  auto all = queue.take_waiting();
  CHECK(all.front() == first.get());
  CHECK(queue.empty());
}

struct chain {
  held turn = call(exclusive);               // runs here
  held below = call(exclusive, turn.get());  // its call, served elsewhere
  held back = call(exclusive, below.get());  // and what that calls
  waiter where;

  chain() {
    below->serving = elsewhere;
    below->where = &where;
  }
};

TEST_CASE("a call whose chain comes from a turn that is busy here is a cycle") {
  turn_queue queue{here};
  chain one;
  begin(queue, *one.turn);
  CHECK(arrive(queue, *one.back) == place::cycle);
  CHECK_FALSE(queue.any_waits());
  end(queue, *one.turn);
}

TEST_CASE("where the turn has allowed it, a call that returns passes by its own chain only") {
  turn_queue queue{here};
  chain one;
  one.below->may_return = true;
  begin(queue, *one.turn);
  const auto other = call(exclusive);
  REQUIRE(arrive(queue, *other) == place::waits);
  CHECK(arrive(queue, *one.back) == place::returns);
  CHECK(queue.may_begin_returned(*one.back));
  CHECK(run_next(queue) == one.back.get());
  CHECK(queue.next() == nullptr);  // the other still waits for both
  end(queue, *one.back);
  CHECK(queue.next() == nullptr);
  end(queue, *one.turn);
  CHECK(run_next(queue) == other.get());
  end(queue, *other);
}

TEST_CASE("what returns waits for a turn of another chain, and keeps out none behind it") {
  turn_queue queue{here};
  chain one;
  chain two;
  one.below->may_return = two.below->may_return = true;
  begin(queue, *one.turn);
  begin(queue, *two.turn);  // as when it has come back while the first one waited
  const auto inner = call(reader, one.below.get());
  begin(queue, *inner);
  CHECK(arrive(queue, *two.back) == place::returns);
  CHECK_FALSE(queue.may_begin_returned(*two.back));
  CHECK(arrive(queue, *one.back) == place::returns);
  CHECK_FALSE(queue.may_begin_returned(*one.back));
  CHECK(queue.next() == nullptr);
  end(queue, *two.turn);
  end(queue, *inner);
  CHECK(run_next(queue) == one.back.get());
  end(queue, *one.back);
  end(queue, *one.turn);
  CHECK(run_next(queue) == two.back.get());
  end(queue, *two.back);
}

TEST_CASE("a chain whose caller no longer waits is none") {
  turn_queue queue{here};
  chain one;
  one.below->where = nullptr;
  begin(queue, *one.turn);
  CHECK(call_towards(*one.turn, *one.back) == nullptr);
  CHECK(arrive(queue, *one.back) == place::waits);
  end(queue, *one.turn);
}

TEST_CASE("what returns while turns do not begin would wait for ever") {
  turn_queue queue{here};
  chain one;
  one.below->may_return = true;
  begin(queue, *one.turn);
  CHECK(arrive(queue, *one.back, false) == place::cycle);
  end(queue, *one.turn);
}

TEST_CASE("a reader behind a writer waits for what keeps the writer out") {
  turn_queue queue{here};
  const auto running = call(reader);
  begin(queue, *running);
  const auto writer = call(exclusive);
  const auto behind = call(reader);
  REQUIRE(arrive(queue, *writer) == place::waits);
  REQUIRE(arrive(queue, *behind) == place::waits);
  CHECK(queue.holds_up(*running, *writer));
  CHECK(queue.holds_up(*running, *behind));
  const auto stranger = call(reader);
  CHECK_FALSE(queue.holds_up(*running, *stranger));
  end(queue, *running);
}

TEST_CASE("of the calls that wait the oldest that a turn has made is known") {
  turn_queue queue{here};
  const auto running = call(exclusive);
  begin(queue, *running);
  CHECK(queue.oldest_call() == steady_time::max());
  const auto caller = call(exclusive);
  std::vector<held> waiting;
  const auto waits_since = [&](envelope* parent, int second) {
    waiting.push_back(call(exclusive, parent));
    waiting.back()->made = steady_time{std::chrono::seconds{second}};
    REQUIRE(arrive(queue, *waiting.back()) == place::waits);
    CHECK(queue.waits(waiting.back().get()));
  };
  waits_since(nullptr, 1);
  CHECK(queue.oldest_call() == steady_time::max());  // nobody's turn waits for it
  waits_since(caller.get(), 3);
  waits_since(caller.get(), 2);
  CHECK(queue.oldest_call() == steady_time{std::chrono::seconds{2}});
  CHECK_FALSE(queue.waits(running.get()));
  end(queue, *running);
}

TEST_CASE("a call that waits can be taken out, one that does not cannot") {
  turn_queue queue{here};
  const auto running = call(exclusive);
  begin(queue, *running);
  const auto waits = call(exclusive);
  const auto stays = call(exclusive);
  REQUIRE(arrive(queue, *waits) == place::waits);
  REQUIRE(arrive(queue, *stays) == place::waits);
  const held taken{queue.take_out(waits.get())};
  CHECK(taken.get() == waits.get());
  CHECK(queue.take_out(running.get()) == nullptr);
  end(queue, *running);
  CHECK(run_next(queue) == stays.get());
  end(queue, *stays);
}

}  // namespace
}  // namespace millrace::runtime::detail
