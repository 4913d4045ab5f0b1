// SPDX-License-Identifier: MIT
// The actor `secrets`: what a project keeps for its tasks, sealed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "millrace/actors/secret_keyring.h"
#include "millrace/runtime/state_map.h"
#include "millrace/secrets.capnp.actor.h"

namespace millrace::actors {

/// Of a project; each may have 64 KiB.
inline constexpr std::size_t project_secrets_max = 1'000;

/// Of a secret that something is signed with: 128 bits (RFC 2104, 3, wants as many as the digest
/// has; what people draw by `openssl rand` has them).
inline constexpr std::size_t signing_key_bytes_min = 16;

class secrets_actor final : public schemas::secrets_base<schemas::SecretsState> {
public:
  /// `keys`: of this silo; null: it opens none. `log` gets a line when it cannot open one that
  /// something is signed with, or that is too short for that: one a minute for each; may be empty.
  explicit secrets_actor(std::shared_ptr<const secret_keyring> keys = {},
                         std::function<void(std::string_view)> log = {})
      : keys_(std::move(keys)), log_(std::move(log)) {}

  runtime::async<put_results> put(put_params params) override;
  runtime::async<> erase(erase_params params) override;
  runtime::async<names_results> names() override;
  runtime::async<sealed_results> sealed(sealed_params params) override;
  runtime::async<verify_results> verify(verify_params params) override;

private:
  [[nodiscard]] runtime::result<void> is_still(const std::string& name,
                                               std::int64_t updated_at) const;
  [[nodiscard]] runtime::result<std::string> opened(const std::string& name) const;
  void cannot_verify(const std::string& name, const std::string& why);

  runtime::state_map<schemas::SealedSecret> secrets_{*this, "secrets"};
  const std::shared_ptr<const secret_keyring> keys_;
  const std::function<void(std::string_view)> log_;
  std::map<std::string, runtime::wall_time> told_;  // by name; when
};

}  // namespace millrace::actors
