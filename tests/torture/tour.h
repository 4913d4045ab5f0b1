// SPDX-License-Identifier: MIT
// Tours: chains of calls from actor to actor, as the seed has planned them.
//
// Each stop on the way calls the next ones, at once or in turn, and may let what it has called come
// back. So all that decides who may run beside whom is in the mix: exclusive and $readOnly methods,
// scopes of `allow_reentry`, several activations of one key, offloaded work.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "millrace/runtime/silo.h"
#include "torture/witness.h"
#include "worker.capnp.actor.h"

namespace torture {

using namespace millrace::runtime;

/// One call of a tour, and those it makes.
struct stop {
  std::string actor;         ///< Which: "w" a worker, "h" a helper; else an anchor.
  std::uint64_t number = 0;  ///< Its own; a worker's effect at its begin, with one more at its end.
  bool reads = false;        ///< By a worker's $readOnly method: it leaves no effects.
  bool scoped = false;       ///< What it calls may come back.
  bool together = false;     ///< It calls all of `next` at once.
  bool tolerant = false;     ///< It goes on when one of `next` fails.
  bool offloads = false;     ///< Before it calls anyone.
  bool fails = false;        ///< What it offloads fails.
  std::uint32_t limit_ms = 0;  ///< Of the call; 0: none of its own.
  std::vector<stop> next;

  /// Whether it leaves effects.
  [[nodiscard]] bool keeps() const { return actor[0] == 'w' && !reads; }
};

inline stop stop_from(Stop::Reader from) {
  stop one;
  one.actor = from.getActor();
  one.number = from.getNumber();
  one.reads = from.getReads();
  one.scoped = from.getScoped();
  one.together = from.getTogether();
  one.tolerant = from.getTolerant();
  one.offloads = from.getOffloads();
  one.fails = from.getFails();
  one.limit_ms = from.getLimitMs();
  for (const auto each : from.getNext()) {
    one.next.push_back(stop_from(each));
  }
  return one;
}

inline void write(const stop& one, Stop::Builder to) {
  to.setActor(one.actor);
  to.setNumber(one.number);
  to.setReads(one.reads);
  to.setScoped(one.scoped);
  to.setTogether(one.together);
  to.setTolerant(one.tolerant);
  to.setOffloads(one.offloads);
  to.setFails(one.fails);
  to.setLimitMs(one.limit_ms);
  auto next = to.initNext(static_cast<unsigned>(one.next.size()));
  for (unsigned at = 0; at < next.size(); ++at) {
    write(one.next[at], next[at]);
  }
}

template <class Params>
std::vector<std::uint64_t> above(const Params& params) {
  std::vector<std::uint64_t> numbers;
  for (const auto each : params.read().getAbove()) {
    numbers.push_back(each);
  }
  return numbers;
}

/// The call that makes a stop; `above`: the numbers of the stops that lead to it.
inline call<void> call_of(const stop& one, const std::vector<std::uint64_t>& above) {
  const auto filled = [&](auto params) {
    write(one, params.build().initStop());
    auto numbers = params.build().initAbove(static_cast<unsigned>(above.size()));
    for (unsigned at = 0; at < numbers.size(); ++at) {
      numbers.set(at, above[at]);
    }
    return params;
  };
  const auto plain = [&] {
    switch (one.actor[0]) {
      case 'w':
        return one.reads ? ref<Worker>(one.actor).look(filled(worker_interface::look_params{}))
                         : ref<Worker>(one.actor).visit(filled(worker_interface::visit_params{}));
      case 'h':
        return ref<Helper>(one.actor).pass(filled(helper_interface::pass_params{}));
      default:
        return ref<Anchor>(one.actor).pass(filled(anchor_interface::pass_params{}));
    }
  };
  auto made = plain();
  return one.limit_ms > 0 ? std::move(made).timeout(std::chrono::milliseconds{one.limit_ms})
                          : std::move(made);
}

/// An actor that tours come by.
template <class Base>
class tour_guide : public Base {
protected:
  tour_guide(witness& seen, std::string type, std::size_t activations_max)
      : seen_(seen), inside_(seen, std::move(type) + "/" + this->key(), activations_max) {}

  /// What every stop does.
  async<> go_on(stop what, std::vector<std::uint64_t> above, presence& here) {
    if (what.offloads) {
      co_await offload(
          [seen = &seen_, number = what.keeps() ? what.number : 0, fails = what.fails] {
            seen->outside(number);
            if (fails) {
              throw error{errc::conflict, "planned"};
            }
          });
    }
    above.push_back(what.number);
    if (what.scoped) {
      const auto scope = this->allow_reentry();
      here.lets_return = true;
      co_await call_next(what, above);
      here.lets_return = false;
    } else {
      co_await call_next(what, above);
    }
  }

  witness& seen_;
  visitors inside_;

private:
  static async<> call_next(stop what, std::vector<std::uint64_t> above) {
    if (what.together) {
      std::vector<call<void>> calls;
      for (const auto& each : what.next) {
        calls.push_back(call_of(each, above));
      }
      for (auto& each : co_await all(std::move(calls))) {
        if (!each && !what.tolerant) {
          co_await fail(each.error());
        }
      }
      co_return;
    }
    for (const auto& each : what.next) {
      auto done = co_await as_result(call_of(each, above));
      if (!done && !what.tolerant) {
        co_await fail(done.error());
      }
    }
  }
};

/// Several activations of one key.
class helper final : public tour_guide<helper_base<>> {
public:
  explicit helper(witness& seen) : tour_guide{seen, "helper", activations_max} {}

private:
  static constexpr std::size_t activations_max = 2;

  async<> pass(pass_params params) override {
    const auto what = stop_from(params.read().getStop());
    auto before = above(params);
    presence here{inside_, presence::kind::writes, what.number, before};
    co_await go_on(what, std::move(before), here);
  }

  // It has no outbox of its own: its caller's goes on until this has succeeded.
  async<> forward(forward_params params) override {
    presence here{inside_, presence::kind::writes, 0, {}};
    const auto effect = params.effect();
    auto done = co_await as_result(
        ref<Worker>(std::string{params.to()}).apply(effect).keyed("f" + std::to_string(effect)));
    if (!done) {
      co_await fail(errc::unavailable, done.error().text());
    }
  }
};

/// Lives where its key says.
class anchor final : public tour_guide<anchor_base<>> {
public:
  explicit anchor(witness& seen) : tour_guide{seen, "anchor", 1} {}

private:
  async<> pass(pass_params params) override {
    if (!key().starts_with(seen_.silo + "/")) {
      seen_.complain("anchor/" + key() + " lives on the silo " + seen_.silo);
    }
    const auto what = stop_from(params.read().getStop());
    auto before = above(params);
    presence here{inside_, presence::kind::writes, what.number, before};
    co_await go_on(what, std::move(before), here);
  }
};

}  // namespace torture
