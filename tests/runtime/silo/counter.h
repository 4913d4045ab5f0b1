// SPDX-License-Identifier: MIT
// The actor of the runtime's tests.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <random>
#include <string>

#include "millrace/runtime/silo.h"
#include "millrace/runtime/state_map.h"
#include "runtime/silo/counter.capnp.actor.h"

namespace millrace::testing {

using namespace millrace::runtime;

/// See counter.capnp.
class counter final : public counter_base<CounterState> {
public:
  ~counter() override {
    if (on_gone) {
      on_gone();
    }
  }
  inline static std::function<void()> on_gone;  // called by whoever discards an activation

  // "flaky" ones fail to activate as often as they are told; "ring" ones call one that calls back.
  async<> on_activate() override {
    if (key() == "flaky" && activations_to_fail > 0) {
      --activations_to_fail;
      co_await runtime::fail(errc::unavailable, "flaky");
    }
    if (key() == "ring") {
      co_await ref<Counter>("b").relay(key(), 1);
    }
  }

  async<add_results> add(add_params params) override {
    edit().setTotal(state().getTotal() + params.amount());
    co_return add_results{state().getTotal()};
  }

  async<get_results> get() override { co_return get_results{state().getTotal()}; }

  async<relay_results> relay(relay_params params) override {
    auto answer = co_await ref<Counter>(std::string{params.to()}).add(params.amount());
    co_return relay_results{answer.total()};
  }

  async<> post_to(post_to_params params) override {
    send(ref<Counter>(std::string{params.to()}).add(params.amount()));
    edit().setTotal(state().getTotal() - params.amount());
    return {};
  }

  async<await_results> await(await_params params) override {
    const auto raised = co_await wait("go", std::chrono::milliseconds{params.limit_ms()});
    co_return await_results{raised};
  }

  async<> raise() override {
    notify("go");
    return {};
  }

  async<> remind_in(remind_in_params params) override {
    set_reminder("nag", now() + std::chrono::milliseconds{params.delay_ms()},
                 std::chrono::milliseconds{params.every_ms()});
    return {};
  }

  async<> on_reminder(std::string) override {
    edit().setTotal(state().getTotal() + 1000);
    return {};
  }

  async<> call_back(call_back_params params) override {
    co_await ref<Counter>(std::string{params.to()}).call_back(key());
  }

  async<> cheat() override {
    edit().setTotal(-1);
    co_return;
  }

  async<> fail(fail_params params) override {
    co_await runtime::fail(errc::failed_precondition, std::string{params.text()});
  }

  async<mark_results> mark(mark_params params) override {
    marks_.edit(params.name()).setTotal(state().getTotal());
    co_return mark_results{static_cast<std::uint32_t>(marks_.size())};
  }

  async<unmark_results> unmark(unmark_params params) override {
    marks_.erase(params.name());
    co_return unmark_results{static_cast<std::uint32_t>(marks_.size())};
  }

  async<> spin(spin_params params) override {
    const auto to = ref<Counter>(std::string{params.to()});
    for (std::uint32_t at = 0; at < params.times(); ++at) {
      co_await to.get();
    }
  }

  async<> set_note(set_note_params params) override {
    edit().setNote(params.read().getNote());
    co_return;
  }

  async<fan_results> fan(fan_params params) override {
    std::vector<call<add_results>> calls;
    for (auto to : params.to()) {
      calls.push_back(ref<Counter>(to.cStr()).add(params.amount()));
    }
    auto answers = co_await all(std::move(calls));
    fan_results results;
    auto totals = results.build().initTotals(static_cast<unsigned>(answers.size()));
    std::uint32_t failed = 0;
    for (unsigned at = 0; at < totals.size(); ++at) {
      answers[at] ? totals.set(at, answers[at]->total()) : static_cast<void>(++failed);
    }
    results.build().setFailed(failed);
    co_return results;
  }

  async<> told_add(told_add_params params) override {
    edit().setTotal(state().getTotal() + params.amount());
    return {};
  }

  async<> tick(tick_params params) override {
    set_timer("tick", std::chrono::milliseconds{params.after_ms()},
              std::chrono::milliseconds{params.every_ms()});
    return {};
  }

  async<> on_timer(std::string) override {
    edit().setTotal(state().getTotal() + 1);
    return {};
  }

  async<> leave() override {
    deactivate_when_idle();
    return {};
  }

  async<express_results> express(express_params params) override {
    co_return express_results{params.mood()};
  }

  async<> throw_it() override { throw std::runtime_error{"thrown"}; }

  async<> pause(pause_params params) override {
    co_await wait("go", std::chrono::milliseconds{params.limit_ms()});
    if (params.then_cancel()) {
      cancel_timer("tick");
    }
  }

  async<> remind_as(remind_as_params params) override {
    set_reminder(std::string{params.name()}, now() + std::chrono::hours{1});
    return {};
  }

  async<add_if_results> add_if(add_if_params params) override {
    require_version(params.version());
    edit().setTotal(state().getTotal() + params.amount());
    co_return add_if_results{version() + 1};
  }

  async<mark_if_results> mark_if(mark_if_params params) override {
    marks_.require_version(params.name(), params.version());
    marks_.edit(params.name()).setTotal(state().getTotal());
    co_return mark_if_results{version() + 1};
  }

  async<> stay(stay_params params) override {
    stay_active(std::chrono::milliseconds{params.for_ms()});
    return {};
  }

  async<> post_fail(post_fail_params params) override {
    send(ref<Counter>(std::string{params.to()}).fail(std::string{params.text()}));
    return {};
  }

  async<> slow_add(slow_add_params params) override {
    co_await wait("go", std::chrono::hours{1});
    edit().setTotal(state().getTotal() + params.amount());
  }

  async<> add_and_wait(add_and_wait_params params) override {
    edit().setTotal(state().getTotal() + params.amount());
    co_await wait("go", std::chrono::hours{1});
  }

  inline static std::function<void()> on_work;
  async<> work() override {
    co_await offload([] { on_work(); });
  }

  async<> post_slow(post_slow_params params) override {
    send(ref<Counter>(std::string{params.to()}).slow_add(params.amount()));
    return {};
  }

  async<get_note_results> get_note() override {
    get_note_results results;
    results.build().setNote(state().getNote());
    co_return results;
  }

  async<fill_results> fill(fill_params params) override {
    fill_results results;
    if (const auto first = marks_.get("0"); first) {
      results.build().setFirst(first->getPad());
    }
    std::minstd_rand random;
    for (std::uint32_t at = 0; at < params.marks(); ++at) {
      auto pad = marks_.edit(std::to_string(at)).initPad(params.bytes());
      std::generate(pad.begin(), pad.end(), [&] { return static_cast<kj::byte>(random() >> 8U); });
    }
    co_return results;
  }

  async<> set_pin(set_pin_params params) override {
    edit().setPin(params.read().getPin());
    co_return;
  }

  async<> fail_activations(fail_activations_params params) override {
    activations_to_fail = params.count();
    return {};
  }

private:
  inline static std::atomic<unsigned> activations_to_fail{0};
  state_map<CounterMark> marks_{*this, "marks"};
};

}  // namespace millrace::testing
