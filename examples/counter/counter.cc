// SPDX-License-Identifier: MIT
// A program with a silo in it: counters that survive it. Run it twice.
#include <cstdio>

#include "counter.capnp.actor.h"
#include "millrace/runtime/silo.h"

using namespace millrace::runtime;

class counter final : public demo::counter_base<demo::CounterState> {
  async<add_results> add(add_params params) override {
    edit().setTotal(state().getTotal() + params.amount());
    co_return add_results{state().getTotal()};  // leaves only when the change is durable
  }
  async<get_results> get() override { co_return get_results{state().getTotal()}; }

  async<move_to_results> move_to(move_to_params params) override {
    if (state().getTotal() < params.amount()) {
      co_return error{errc::failed_precondition, "the counter would go below zero"};
    }
    edit().setTotal(state().getTotal() - params.amount());
    send(ref<demo::Counter>(std::string{params.other()}).add(params.amount()));  // never lost
    co_return move_to_results{state().getTotal()};
  }
};

int main(int count, char** arguments) {
  auto rows = open_storage({.directory = count > 1 ? arguments[1] : "counter-data"});
  if (!rows) {
    std::fprintf(stderr, "%s\n", rows.error().text().c_str());
    return 1;
  }
  silo here{*std::move(rows)};
  here.add<counter>();
  if (auto started = here.start(); !started) {
    std::fprintf(stderr, "%s\n", started.error().text().c_str());
    return 1;
  }
  const auto apples = ref<demo::Counter>("apples");
  const auto total = here.call(apples.add(5));
  const auto moved = here.call(apples.move_to("pears", 2));
  if (!total || !moved) {
    std::fprintf(stderr, "%s\n", (total ? moved.error() : total.error()).text().c_str());
    return 1;
  }
  std::printf("apples %lld, after the move %lld\n", static_cast<long long>(total->total()),
              static_cast<long long>(moved->total()));
  here.stop();
}
