// SPDX-License-Identifier: MIT
// See worker.capnp.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>

#include "millrace/runtime/silo.h"
#include "millrace/runtime/state_map.h"
#include "torture/tour.h"
#include "worker.capnp.actor.h"

namespace torture {

/// Outside tours they call only those after them, so that no two wait for each other.
inline constexpr unsigned workers = 6;

inline std::string worker_name(unsigned number) {
  return "w" + std::to_string(number);
}

inline unsigned number_of(const std::string& worker_name) {
  return static_cast<unsigned>(std::stoul(worker_name.substr(1)));
}

inline std::string effect_name(std::uint64_t effect) {
  return std::to_string(effect);
}

class worker final : public tour_guide<worker_base<WorkerState>> {
public:
  explicit worker(witness& seen) : tour_guide{seen, "worker", 1} {}

private:
  using enum presence::kind;

  async<apply_results> apply(apply_params params) override {
    const presence here{inside_, writes};
    co_return apply_results{make(params.effect())};
  }

  async<> relay(relay_params params) override {
    const presence here{inside_, writes};
    co_await ref<Worker>(std::string{params.to()}).apply(params.other());
    make(params.own());
  }

  async<> post(post_params params) override {
    const presence here{inside_, writes};
    make(params.own());
    auto lane = sent_.edit(params.to());
    lane.setLast(lane.getLast() + 1);
    send(ref<Worker>(std::string{params.to()})
             .deliver(key(), lane.getLast(), params.other(), params.slow()));
    co_return;
  }

  async<> deliver(deliver_params params) override {
    const presence here{inside_, writes};
    if (params.slow() && key() != worker_name(workers - 1)) {
      static_cast<void>(co_await as_result(ref<Worker>(worker_name(number_of(key()) + 1)).peek()));
    }
    auto lane = received_.edit(params.from());
    if (params.number() != lane.getLast() + 1) {
      edit().setGaps(state().getGaps() + 1);
    }
    lane.setLast(params.number());
    make(params.effect());
  }

  async<> remind(remind_params params) override {
    const presence here{inside_, writes};
    make(params.effect());
    const auto name = effect_name(params.effect() + 1);
    auto chain = chains_.edit(name);
    chain.setLeft(params.chain());
    chain.setDelayMs(params.delay_ms());
    chain.setRenamed(params.renamed());
    set_reminder(name, now() + std::chrono::milliseconds{params.delay_ms()});
    co_return;
  }

  async<> on_reminder(std::string name) override {
    const presence here{inside_, writes};
    const auto effect = std::stoull(name);
    make(effect);
    const auto chain = chains_.get(effect_name(effect));
    if (chain && chain->getLeft() > 0) {
      const auto delay = std::chrono::milliseconds{chain->getDelayMs()};
      const auto next =
          chain->getRenamed() ? effect_name(effect) + "/" + std::to_string(chain->getLeft()) : name;
      chains_.edit(effect_name(effect)).setLeft(chain->getLeft() - 1);
      set_reminder(next, now() + delay);
    } else {
      chains_.erase(effect_name(effect));
    }
    co_return;
  }

  async<> put(put_params params) override {
    const presence here{inside_, writes};
    if (params.value() == 0) {
      slots_.erase(params.slot());
    } else {
      slots_.edit(params.slot()).setValue(params.value());
    }
    co_return;
  }

  async<> leave() override {
    const presence here{inside_, writes};
    deactivate_when_idle();
    co_return;
  }

  async<> linger(linger_params params) override {
    co_await wait("rouse", std::chrono::milliseconds{params.limit_ms()});
    make(params.effect());
  }

  async<> tick(tick_params params) override {
    const presence here{inside_, writes};
    make(params.effect());
    const std::chrono::milliseconds delay{params.delay_ms()};
    set_timer(effect_name(params.effect() + 1) + "/" + std::to_string(params.chain()), delay,
              delay);
    co_return;
  }

  async<> on_timer(std::string name) override {
    const presence here{inside_, writes};
    const auto chain = std::stoul(name.substr(name.find('/') + 1));
    if (make(std::stoull(name)) > chain) {
      cancel_timer(name);
    }
    co_return;
  }

  async<> entrust(entrust_params params) override {
    const presence here{inside_, writes};
    make(params.own());
    send(ref<Worker>(std::string{params.to()}).deposit(params.other(), params.wait_ms()));
    co_return;
  }

  async<> deposit(deposit_params params) override {
    co_await wait("rouse", std::chrono::milliseconds{params.wait_ms()});
    make(params.effect());
  }

  async<> rouse() override {
    const presence here{inside_, writes};
    notify("rouse");
    co_return;
  }

  async<peek_results> peek() override {
    const presence here{inside_, reads};
    co_return peek_results{state().getEffects()};
  }

  async<dump_results> dump() override {
    const presence here{inside_, reads};
    dump_results results;
    auto into = results.build();
    into.setTotal(state().getEffects());
    into.setGaps(state().getGaps());
    auto effects = into.initEffects(static_cast<unsigned>(effects_.size()));
    unsigned at = 0;
    effects_.for_each([&](std::string_view name, EffectRecord::Reader one) {
      effects[at].setName(std::string{name});
      effects[at++].setValue(one.getTimes());
      return true;
    });
    auto slots = into.initSlots(static_cast<unsigned>(slots_.size()));
    at = 0;
    slots_.for_each([&](std::string_view name, SlotRecord::Reader one) {
      slots[at].setName(std::string{name});
      slots[at++].setValue(one.getValue());
      return true;
    });
    co_return results;
  }

  async<> visit(visit_params params) override {
    const auto what = stop_from(params.read().getStop());
    auto before = above(params);
    presence here{inside_, writes, what.number, before};
    make(what.number);
    co_await go_on(what, std::move(before), here);
    make(what.number + 1);
  }

  async<> look(look_params params) override {
    const auto what = stop_from(params.read().getStop());
    auto before = above(params);
    presence here{inside_, reads, what.number, before};
    co_await go_on(what, std::move(before), here);
  }

  async<> hand_on(hand_on_params params) override {
    const presence here{inside_, writes};
    make(params.own());
    send(ref<Helper>(std::string{params.helper()}).forward(params.to(), params.other()));
    co_return;
  }

  async<stumble_results> stumble(stumble_params params) override {
    const presence here{inside_, writes};
    const auto effect = params.effect();
    const auto fails = seen_.stumbles(effect) <= params.times();
    const auto times = make(effect);
    if (params.pauses()) {
      co_await offload([] {});
    }
    make(effect + 1);
    if (fails && params.way() == 0) {
      throw std::runtime_error{"planned"};
    }
    if (fails && params.way() == 1) {
      co_await fail(errc::unavailable, "planned");
    }
    if (fails) {
      co_return error{errc::conflict, "planned"};
    }
    co_return stumble_results{times};
  }

  async<> post_stumble(post_stumble_params params) override {
    const presence here{inside_, writes};
    make(params.own());
    send(ref<Worker>(std::string{params.to()})
             .stumble(params.other(), params.way(), params.times(), false));
    co_return;
  }

  // Counts it in the root and in a record of its own, which are committed together or not at all.
  std::uint32_t make(std::uint64_t effect) {
    auto record = effects_.edit(effect_name(effect));
    record.setTimes(record.getTimes() + 1);
    edit().setEffects(state().getEffects() + 1);
    return record.getTimes();
  }

  state_map<EffectRecord> effects_{*this, "effects"};
  state_map<LaneRecord> sent_{*this, "sent"};
  state_map<LaneRecord> received_{*this, "received"};
  state_map<SlotRecord> slots_{*this, "slots"};
  state_map<ChainRecord> chains_{*this, "chains"};
};

}  // namespace torture
