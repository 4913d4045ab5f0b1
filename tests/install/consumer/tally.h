// SPDX-License-Identifier: MIT
// The one actor of this program.
#pragma once

#include <millrace/runtime/actor.h>

#include "tally.capnp.actor.h"

namespace shop {

/// Adds up. The tally "grumpy" fails when it is collected, which the runtime warns of.
class tally final : public tally_base<TallyState> {
  millrace::runtime::async<add_results> add(add_params params) override {
    edit().setTotal(state().getTotal() + params.amount());
    co_return add_results{state().getTotal()};
  }
  millrace::runtime::async<get_results> get() override {
    co_return get_results{state().getTotal()};
  }
  millrace::runtime::async<> on_deactivate(millrace::runtime::deactivation /*why*/) override {
    if (key() == "grumpy") {
      co_await millrace::runtime::fail(millrace::runtime::errc::internal,
                                       "grumpy does not like to go");
    }
  }
};

}  // namespace shop
