// SPDX-License-Identifier: MIT
// Token list: this process's copy of all tokens, so that a request is checked without a call.
//
// It waits for changes at the actor that has them (`Access`): what is revoked is unknown here a
// moment later. While that actor cannot be reached, what was known last holds.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "access/principal.h"
#include "millrace/runtime/silo.h"

namespace millrace::gateway {

/// Key of the one `Access` actor.
inline constexpr const char* access_key = "tokens";
/// The version of a list that nobody has.
inline constexpr std::uint64_t no_tokens_known = UINT64_MAX;

/// Threading: any. Cost of `find`: a digest, a short lock, a lookup.
class token_list {
public:
  /// `root`: the text of a token that is not in the list and may do everything, as `(root)`.
  /// `warn`: told when the list cannot be had. Requires: `here` outlives it.
  token_list(runtime::silo& here, std::string_view root,
             std::function<void(const std::string&)> warn);
  token_list(const token_list&) = delete;
  token_list& operator=(const token_list&) = delete;
  ~token_list();

  /// Whose token it is; null for one that is nobody's, or nobody's any more.
  [[nodiscard]] std::shared_ptr<const principal> find(std::string_view token) const;
  /// Whether it was found by a token that still is somebody's. Cost: as `find`, without the digest.
  [[nodiscard]] bool holds(const principal& one) const;
  /// Whether the list has been had: else one that is not found may yet be somebody's.
  [[nodiscard]] bool is_known() const;
  /// How old what is known is: since the actor last gave the list, or said that it has not changed;
  /// since this was made while it has not been had. It says so every 20 s.
  [[nodiscard]] runtime::duration age() const;

private:
  struct shared;  // with answers that come when this has gone

  void run();
  std::shared_ptr<const principal> find_digest(const std::string& digest) const;

  runtime::silo& here_;
  const std::string root_digest_;
  const std::shared_ptr<const principal> root_;
  const std::function<void(const std::string&)> warn_;
  const std::shared_ptr<shared> shared_;
  std::thread thread_;
};

}  // namespace millrace::gateway
