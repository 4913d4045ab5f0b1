// SPDX-License-Identifier: MIT
// Filter chain: one call on its way through a silo's filters to its method.
#pragma once

#include <vector>

#include "activation/envelope.h"
#include "millrace/runtime/filter.h"

namespace millrace::runtime::detail {

/// Lives in the frame of the turn's bottom coroutine.
class filter_chain {
public:
  /// The coroutine that serves `turn`. What it is given outlives the turn.
  [[nodiscard]] static async<any_message> run(const std::vector<call_filter>& filters,
                                              actor_base& object, envelope& turn);

  /// The filter after the one that asks, or the method.
  [[nodiscard]] async<any_message> proceed(incoming_call& call);

private:
  filter_chain(const std::vector<call_filter>& filters, actor_base& object)
      : filters_(filters), object_(object) {}

  const std::vector<call_filter>& filters_;
  actor_base& object_;
  std::size_t at_ = 0;
};

}  // namespace millrace::runtime::detail
