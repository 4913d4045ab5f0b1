// SPDX-License-Identifier: MIT
// The actor `access`: the tokens by which gateways know who asks.
#pragma once

#include "millrace/access.capnp.actor.h"
#include "millrace/runtime/state_map.h"

namespace millrace::actors {

/// Every gateway has a copy of all tokens, so they are few. One that has expired makes room for
/// others an hour later.
inline constexpr std::size_t tokens_max = 1'000;
/// Of these with a grant in one project: who administers one leaves room for the others.
inline constexpr std::size_t project_tokens_max = 200;

class access_actor final : public schemas::access_base<schemas::AccessState> {
public:
  runtime::async<> add(add_params params) override;
  runtime::async<> revoke(revoke_params params) override;
  runtime::async<tokens_results> tokens(tokens_params params) override;

private:
  static constexpr const char* changed_signal = "changed";

  void note_change();
  void forget_expired();
  std::string name_of(capnp::Data::Reader digest) const;
  std::size_t tokens_of(const std::string& project) const;

  runtime::state_map<schemas::AccessToken> tokens_{*this, "tokens"};
};

}  // namespace millrace::actors
