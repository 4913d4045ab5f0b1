// SPDX-License-Identifier: MIT
// Goal: of calls that wait for each other over silos one is refused, and no call that does not.
// Method: a model of actors, turns and calls on some silos. Each call from silo to silo takes its
// time; probes are lost and doubled as well. The model sees all waits at once, so it knows which
// calls were in a cycle when.
#include "activation/wait_probe.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <utility>
#include <vector>

namespace millrace::runtime {
namespace {

constexpr wait_mark old_turn{1, 9, 5};
constexpr wait_mark young_turn{2, 1, 1};

TEST_CASE("a probe passes turns that are younger than the one that searches, and no others") {
  const auto probe = wait_probe::of(old_turn);
  CHECK(probe.meets(young_turn).fate == probe_fate::goes_on);
  CHECK(wait_probe::of(young_turn).meets(old_turn).fate == probe_fate::ends);
  // Of the same instant the silo decides, then the number.
  CHECK(probe.meets({1, 9, 6}).fate == probe_fate::goes_on);
  CHECK(probe.meets({1, 8, 6}).fate == probe_fate::ends);
}

TEST_CASE("a cycle is one when two rounds have passed the same") {
  const wait_mark call{3, 4, 5};
  auto first = wait_probe::of(old_turn).past(call);
  first.path = "path";
  first.left = 7;
  const auto back = first.meets(old_turn);
  REQUIRE(back.fate == probe_fate::goes_on);
  CHECK(back.on.path == "path");
  CHECK(back.on.left == first.left);  // both rounds are one search
  CHECK(back.on.past(call).meets(old_turn).fate == probe_fate::cycle);
  CHECK(back.on.past({3, 4, 6}).meets(old_turn).fate == probe_fate::ends);
  CHECK(back.on.past({3, 5, 5}).meets(old_turn).fate == probe_fate::ends);
  CHECK(back.on.past(call).past(call).meets(old_turn).fate == probe_fate::ends);
  CHECK(back.on.meets(old_turn).fate == probe_fate::ends);
  // What it passes counts in its order.
  const auto other_way = wait_probe::of(old_turn).past(young_turn).past(call);
  CHECK(other_way.passed != wait_probe::of(old_turn).past(call).past(young_turn).passed);
}

// Method: an old turn waits for a ring of younger ones, which it is not part of.
TEST_CASE("a probe ends when it goes round in a cycle that its turn is not part of") {
  for (std::uint64_t size = 1; size <= 40; ++size) {
    CAPTURE(size);
    auto probe = wait_probe::of(old_turn);
    std::uint64_t met = 0;
    for (;; ++met) {
      const auto next = probe.meets({2, 1, 1 + met % size});
      if (next.fate != probe_fate::goes_on) {
        break;
      }
      probe = next.on;
    }
    CHECK(met >= size);  // it has seen all
    CHECK(met <= 3 * size);
  }
}

TEST_CASE("a search sends so many probes and no more, along however many calls") {
  std::size_t sent = 0;
  const std::function<void(const wait_probe&)> go = [&](const wait_probe& probe) {
    for (std::size_t call = 0; call < 3; ++call) {
      if (const auto on = probe.along(3)) {
        ++sent;
        go(*on);
      }
    }
  };
  go(wait_probe::of(old_turn));
  CHECK(sent <= wait_probes_max);
  CHECK(sent > wait_probes_max / 4);
  CHECK_FALSE(wait_probe::of(old_turn).along(0));
}

using tick = std::int64_t;
constexpr tick interval = 50;

struct hazards {
  unsigned lost = 0;     // probes between silos, of 100
  unsigned doubled = 0;  // the same
  unsigned expire = 0;   // open calls, of 10,000 in each tick
  tick delay_max = 10;   // between silos
};

class model {
public:
  using call_number = std::size_t;
  static constexpr call_number nobody = ~std::size_t{0};

  model(std::uint64_t seed, std::size_t silos, std::size_t actors, hazards what)
      : random_(seed), silos_(silos), actors_(actors), hazards_(what) {
    for (std::size_t at = 0; at < actors; ++at) {
      actors_[at].silo = at % silos;
    }
    for (std::size_t at = 0; at < silos; ++at) {
      silos_[at].clock_is_off_by = static_cast<tick>(random_() % 200);
    }
  }

  /// Gives its number. A turn that makes it waits for it.
  call_number make(std::size_t at, call_number parent, bool is_reentrant = false) {
    const auto number = calls_.size();
    auto& one = calls_.emplace_back();
    one.actor = at;
    one.parent = parent;
    one.is_reentrant = is_reentrant;
    if (parent != nobody) {
      calls_[parent].open.push_back(number);
    }
    after(parent == nobody ? 0 : way(silo_of(parent), silo_of(number)),
          [this, number] { arrive(number); });
    return number;
  }
  void end_turn(call_number turn) {
    auto& one = calls_[turn];
    auto& here = actors_[one.actor];
    one.is = state::over;
    std::erase(here.running, turn);
    answer(turn);
    pump(one.actor);
  }
  /// A tick: what is due happens, and calls that have waited for long are searched for.
  void pass() {
    ++now_;
    while (!due_.empty() && due_.begin()->first <= now_) {
      auto what = std::move(due_.begin()->second);
      due_.erase(due_.begin());
      what();
      look();
    }
    for (auto& each : actors_) {
      search(each);
    }
    if (hazards_.expire > 0) {
      expire();
    }
  }
  /// Turns begin, call and end as they like.
  void do_something() {
    if (one_in(4) && running() < 25) {
      make(random_() % actors_.size(), nobody, one_in(8));
    }
    for (std::size_t at = 0; at < actors_.size(); ++at) {
      for (const auto turn : std::vector{actors_[at].running}) {
        if (calls_[turn].open.empty() && one_in(15)) {
          act(turn);
        }
      }
    }
    look();
  }
  void end_all_turns() {
    for (std::size_t at = 0; at < actors_.size(); ++at) {
      for (const auto turn : std::vector{actors_[at].running}) {
        if (calls_[turn].open.empty()) {
          end_turn(turn);
        }
      }
    }
  }
  void heal() { hazards_.lost = hazards_.expire = 0; }

  [[nodiscard]] bool any_cycle() {
    for (call_number at = 0; at < calls_.size(); ++at) {
      if (calls_[at].is == state::waits && is_in_cycle(at)) {
        return true;
      }
    }
    return false;
  }
  [[nodiscard]] std::size_t unfinished() const {
    return static_cast<std::size_t>(std::count_if(
        calls_.begin(), calls_.end(), [](const auto& each) { return each.is != state::over; }));
  }
  [[nodiscard]] bool was_refused(call_number number) const { return calls_[number].was_refused; }
  [[nodiscard]] bool waits(call_number number) const { return calls_[number].is == state::waits; }

  std::size_t refused = 0;
  std::size_t refused_without_cycle = 0;
  std::size_t probes = 0;

private:
  enum class state { travels, waits, runs, over };
  struct call {
    std::size_t actor = 0;
    call_number parent = nobody;
    bool is_reentrant = false;
    bool is_open = true;  // its caller waits for it
    state is = state::travels;
    std::vector<call_number> open;  // as a turn: what it waits for
    wait_mark mark;
    bool was_in_cycle = false;
    bool was_refused = false;
    tick made = 0;
  };
  struct actor {
    std::size_t silo = 0;
    std::deque<call_number> waiting;
    std::vector<call_number> running;
    tick next_search = 0;
  };
  struct silo {
    tick clock_is_off_by = 0;
    std::uint64_t marks = 0;
  };

  bool one_in(unsigned count) { return random_() % count == 0; }
  bool chance(unsigned of_100) { return random_() % 100 < of_100; }
  std::size_t silo_of(call_number number) const { return actors_[calls_[number].actor].silo; }
  std::size_t running() const {
    std::size_t count = 0;
    for (const auto& each : actors_) {
      count += each.running.size() + each.waiting.size();
    }
    return count;
  }
  tick way(std::size_t from, std::size_t to) {
    const auto longest = static_cast<std::uint64_t>(from == to ? 1 : hazards_.delay_max);
    return 1 + static_cast<tick>(random_() % longest);
  }
  void after(tick delay, std::function<void()> what) {
    due_.emplace(now_ + delay, std::move(what));
  }

  // --- calls and turns ---

  void act(call_number turn) {
    const auto depth = depth_of(turn);
    if (depth >= 5 || one_in(3)) {
      end_turn(turn);
      return;
    }
    for (auto count = 1 + random_() % (one_in(3) ? 3 : 1); count > 0; --count) {
      make(random_() % actors_.size(), turn, one_in(8));
    }
  }
  std::size_t depth_of(call_number number) const {
    std::size_t depth = 0;
    for (auto at = number; at != nobody; at = calls_[at].parent) {
      ++depth;
    }
    return depth;
  }
  void arrive(call_number number) {
    auto& one = calls_[number];
    if (one.is == state::over) {
      return;  // withdrawn
    }
    one.made = now_;
    auto& here = actors_[one.actor];
    if (one.is_reentrant) {
      begin(number);
    } else if (is_keeping_out(here, number) || !here.waiting.empty()) {
      if (comes_from(here, number)) {
        one.is = state::over;
        answer(number);
        return;
      }
      one.is = state::waits;
      here.waiting.push_back(number);
    } else {
      begin(number);
    }
  }
  void begin(call_number number) {
    calls_[number].is = state::runs;
    actors_[calls_[number].actor].running.push_back(number);
  }
  void pump(std::size_t at) {
    auto& here = actors_[at];
    while (!here.waiting.empty() && !is_keeping_out(here, here.waiting.front())) {
      const auto next = here.waiting.front();
      here.waiting.pop_front();
      begin(next);
    }
  }
  bool holds_up(call_number turn) const { return !calls_[turn].is_reentrant; }
  bool is_keeping_out(const actor& here, call_number /*number*/) const {
    return std::any_of(here.running.begin(), here.running.end(),
                       [this](auto turn) { return holds_up(turn); });
  }
  // Whether its chain returns to a turn here that waits for it.
  bool comes_from(const actor& here, call_number number) const {
    for (auto below = number; calls_[below].parent != nobody; below = calls_[below].parent) {
      const auto above = calls_[below].parent;
      if (calls_[below].is_open && holds_up(above) &&
          std::count(here.running.begin(), here.running.end(), above) > 0) {
        return true;
      }
    }
    return false;
  }
  void answer(call_number number) {
    const auto parent = calls_[number].parent;
    if (parent != nobody) {
      after(way(silo_of(number), silo_of(parent)), [this, number] { close(number); });
    }
  }
  void close(call_number number) {
    calls_[number].is_open = false;
    std::erase(calls_[calls_[number].parent].open, number);
  }
  // Callers give up, and those they have called hear of it later.
  void expire() {
    for (call_number at = 0; at < calls_.size(); ++at) {
      auto& one = calls_[at];
      if (one.parent == nobody || !one.is_open || random_() % 10'000 >= hazards_.expire) {
        continue;
      }
      close(at);
      after(way(silo_of(one.parent), silo_of(at)), [this, at] { withdraw(at); });
    }
  }
  void withdraw(call_number number) {
    auto& one = calls_[number];
    if (one.is == state::runs) {
      return;  // it ends by itself
    }
    std::erase(actors_[one.actor].waiting, number);
    one.is = state::over;
  }

  // --- probes, as an activation handles them ---

  wait_mark mark_of(call_number number) {
    auto& one = calls_[number];
    auto& at = silos_[actors_[one.actor].silo];
    if (one.mark.number == 0) {
      one.mark = {one.made + at.clock_is_off_by, actors_[one.actor].silo + 1, ++at.marks};
    }
    return one.mark;
  }
  void search(actor& here) {
    const auto is_due = std::any_of(here.waiting.begin(), here.waiting.end(), [this](auto each) {
      return calls_[each].parent != nobody && calls_[each].made + interval <= now_;
    });
    if (!is_due || here.next_search > now_) {
      return;
    }
    here.next_search = now_ + interval;
    for (const auto turn : here.running) {
      if (holds_up(turn)) {
        follow(wait_probe::of(mark_of(turn)), turn);
      }
    }
  }
  void follow(const wait_probe& probe, call_number turn) {
    const auto each = probe.along(calls_[turn].open.size());
    if (!each) {
      return;
    }
    for (const auto number : calls_[turn].open) {
      const auto from = silo_of(turn);
      const auto to = silo_of(number);
      const auto is_far = from != to;
      if (is_far && chance(hazards_.lost)) {
        continue;
      }
      for (auto times = is_far && chance(hazards_.doubled) ? 2 : 1; times > 0; --times) {
        ++probes;
        after(way(from, to), [this, number, on = *each] { probed(on, number); });
      }
    }
  }
  void probed(const wait_probe& probe, call_number number) {
    const auto& one = calls_[number];
    if (one.is == state::runs) {
      follow(probe.past(mark_of(number)), number);
    } else if (one.is == state::waits) {
      chase(probe.past(mark_of(number)), number);
    }
  }
  void chase(const wait_probe& probe, call_number number) {
    for (const auto turn : actors_[calls_[number].actor].running) {
      if (!holds_up(turn)) {
        continue;
      }
      const auto met = probe.meets(mark_of(turn));
      if (met.fate == probe_fate::cycle) {
        refuse(number);
        return;
      }
      if (met.fate == probe_fate::goes_on) {
        follow(met.on, turn);
      }
    }
  }
  void refuse(call_number number) {
    auto& one = calls_[number];
    ++refused;
    refused_without_cycle += one.was_in_cycle ? 0U : 1U;
    one.was_refused = true;
    one.is = state::over;
    std::erase(actors_[one.actor].waiting, number);
    answer(number);
  }

  // --- what is true ---

  void look() {
    for (call_number at = 0; at < calls_.size(); ++at) {
      auto& one = calls_[at];
      if (one.is == state::waits && !one.was_in_cycle) {
        one.was_in_cycle = is_in_cycle(at);
      }
    }
  }
  bool is_in_cycle(call_number number) const {
    std::vector<bool> seen(calls_.size());
    std::vector<call_number> turns;
    const auto wait_for_holders_of = [&](call_number kept_out) {
      for (const auto turn : actors_[calls_[kept_out].actor].running) {
        if (holds_up(turn) && !seen[turn]) {
          seen[turn] = true;
          turns.push_back(turn);
        }
      }
    };
    wait_for_holders_of(number);
    while (!turns.empty()) {
      const auto turn = turns.back();
      turns.pop_back();
      for (const auto next : calls_[turn].open) {
        if (next == number) {
          return true;
        }
        if (calls_[next].is == state::runs && !seen[next]) {
          seen[next] = true;
          turns.push_back(next);
        } else if (calls_[next].is == state::waits) {
          wait_for_holders_of(next);
        }
      }
    }
    return false;
  }

  std::mt19937_64 random_;
  std::vector<silo> silos_;
  std::vector<actor> actors_;
  hazards hazards_;
  tick now_ = 0;
  std::multimap<tick, std::function<void()>> due_;
  std::vector<call> calls_;
};

// One turn on each silo, each of which calls the next one's actor.
struct ring {
  ring(std::uint64_t seed, std::size_t size, hazards what) : of(seed, size, size, what) {
    for (std::size_t at = 0; at < size; ++at) {
      turns.push_back(of.make(at, model::nobody));
      of.pass();
    }
    for (std::size_t at = 0; at < size; ++at) {
      calls.push_back(of.make((at + 1) % size, turns[at]));
    }
  }
  void pass(tick ticks) {
    for (; ticks > 0; --ticks) {
      of.pass();
    }
  }
  std::size_t refused() const {
    return static_cast<std::size_t>(std::count_if(
        calls.begin(), calls.end(), [this](auto each) { return of.was_refused(each); }));
  }
  model of;
  std::vector<model::call_number> turns;
  std::vector<model::call_number> calls;
};

TEST_CASE("of a ring over silos exactly one call is refused, however clocks are and probes come") {
  for (std::size_t size = 2; size <= 6; ++size) {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      CAPTURE(size);
      CAPTURE(seed);
      const tick delay = 10;
      ring waits{seed, size, {.doubled = 50, .delay_max = delay}};
      waits.pass(interval);
      CHECK(waits.refused() == 0);  // it has just begun
      // The next search, and two rounds.
      waits.pass(interval + delay + 2 * static_cast<tick>(size) * delay + 1);
      CHECK(waits.refused() == 1);
      CHECK_FALSE(waits.of.any_cycle());
      waits.pass(10 * interval);
      CHECK(waits.refused() == 1);
      CHECK(waits.of.refused == 1);
    }
  }
}

TEST_CASE("a ring is found although every third probe is lost") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    ring waits{seed, 3, {.lost = 33, .doubled = 20}};
    waits.pass(200 * interval);
    CHECK(waits.refused() == 1);
  }
}

TEST_CASE("whatever turns call, expire and lose, cycles end, and no call is refused without one") {
  const auto* const given = std::getenv("MILLRACE_SEEDS");
  const std::uint64_t seeds = given != nullptr ? std::strtoull(given, nullptr, 10) : 60;
  std::size_t refused = 0;
  std::size_t probes = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    CAPTURE(seed);
    hazards what;
    what.lost = seed % 3 == 0 ? 30 : 0;
    what.doubled = seed % 2 == 0 ? 20 : 0;
    what.expire = seed % 4 == 0 ? 0 : 40;
    what.delay_max = seed % 5 == 0 ? 80 : 10;
    model one{seed, 2 + seed % 3, 5 + seed % 6, what};
    for (tick at = 0; at < 1'500; ++at) {
      one.pass();
      one.do_something();
    }
    // No turn calls any more: what waits in cycles now has to be found in one search each.
    one.heal();
    for (tick at = 0; at < 2 * interval + 40 * what.delay_max; ++at) {
      one.pass();
    }
    CHECK_FALSE(one.any_cycle());
    for (tick at = 0; at < 20 * interval + 100 * what.delay_max; ++at) {
      one.end_all_turns();
      one.pass();
    }
    CHECK(one.unfinished() == 0);
    CHECK(one.refused_without_cycle == 0);
    refused += one.refused;
    probes += one.probes;
  }
  CHECK(refused > seeds);
  MESSAGE("calls refused: " << refused << ", probes: " << probes);
}

}  // namespace
}  // namespace millrace::runtime
