// SPDX-License-Identifier: MIT
// Filters: code around every call of a silo, for what all actor types share (authorization,
// tracing, limits).
//
//     here.add_filter([](incoming_call& call) -> async<any_message> {
//       if (call.method().name != "get" && !call.context().contains("tenant")) {
//         co_return error{errc::permission_denied, "no tenant"};
//       }
//       co_return co_await call.proceed();
//     });
//
// Filters run in the turn of the called actor, in the order in which they were added, around the
// method; each may change the parameters, answer itself, replace the results, fail, or proceed
// again. Sends and tells pass them too; timers, reminders and hooks do not.
#pragma once

#include <functional>

#include "millrace/runtime/actor.h"

namespace millrace::runtime {

namespace detail {
class filter_chain;
}

/// A call on its way into an actor.
///
/// Threading: the actor's turn.
class incoming_call {
public:
  /// Of the actor that is called.
  [[nodiscard]] const interface_info& interface() const noexcept { return interface_; }
  /// What is called.
  [[nodiscard]] const method_info& method() const noexcept { return method_; }
  /// Of the actor that is called.
  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  /// What came down the call chain.
  [[nodiscard]] const request_context& context() const noexcept { return context_; }
  /// What the method will be given; of the type that `method().params` describes.
  [[nodiscard]] any_message& params() noexcept { return params_; }

  /// The next filter, or the method. Gives its results, or ends this coroutine with its error; see
  /// `as_result`. May be called again after it has ended: the method then runs again.
  [[nodiscard]] async<any_message> proceed();

private:
  friend class detail::filter_chain;
  incoming_call(detail::filter_chain& chain, const interface_info& interface,
                const method_info& method, const std::string& key, const request_context& context,
                any_message&& params)
      : chain_(chain),
        interface_(interface),
        method_(method),
        key_(key),
        context_(context),
        params_(std::move(params)) {}

  detail::filter_chain& chain_;
  const interface_info& interface_;
  const method_info& method_;
  const std::string& key_;
  const request_context& context_;
  any_message params_;
};

/// The coroutine must not use captures after its first `co_await`, unless what it captures is kept
/// by the silo's filter itself (which lives as long as the silo).
using call_filter = std::function<async<any_message>(incoming_call&)>;

/// Looks at each call, send and tell that leaves an actor, before it does; may change it (its
/// context, its timeout), or throw an `error`, which ends the caller's coroutine.
using outgoing_filter = std::function<void(const actor_id& caller, call_spec&)>;

}  // namespace millrace::runtime
