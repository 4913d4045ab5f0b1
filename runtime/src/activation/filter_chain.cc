// SPDX-License-Identifier: MIT
#include "activation/filter_chain.h"

namespace millrace::runtime {

async<any_message> incoming_call::proceed() {
  return chain_.proceed(*this);
}

namespace detail {

async<any_message> filter_chain::run(const std::vector<call_filter>& filters, actor_base& object,
                                     envelope& turn) {
  static const request_context none;
  filter_chain chain{filters, object};
  incoming_call call{chain,
                     *turn.interface,
                     turn.interface->methods[turn.method],
                     turn.key,
                     turn.context ? *turn.context : none,
                     std::move(turn.content)};
  co_return co_await chain.proceed(call);
}

async<any_message> filter_chain::proceed(incoming_call& call) {
  const auto own = at_;
  if (own == filters_.size()) {
    // A copy, since a filter may proceed again.
    auto method =
        object_.dispatch(call.method().ordinal, any_message::from_flat(call.params().flat()));
    co_return co_await method;
  }
  ++at_;
  auto outcome = co_await as_result(filters_[own](call));
  at_ = own;
  co_return outcome;
}

}  // namespace detail

}  // namespace millrace::runtime
