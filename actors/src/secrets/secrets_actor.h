// SPDX-License-Identifier: MIT
// The actor `secrets`: what a project keeps for its tasks, sealed.
#pragma once

#include "millrace/runtime/state_map.h"
#include "millrace/secrets.capnp.actor.h"

namespace millrace::actors {

/// Of a project; each may have 64 KiB.
inline constexpr std::size_t project_secrets_max = 1'000;

class secrets_actor final : public schemas::secrets_base<schemas::SecretsState> {
public:
  runtime::async<put_results> put(put_params params) override;
  runtime::async<> erase(erase_params params) override;
  runtime::async<names_results> names() override;
  runtime::async<sealed_results> sealed(sealed_params params) override;

private:
  runtime::state_map<schemas::SealedSecret> secrets_{*this, "secrets"};
};

}  // namespace millrace::actors
