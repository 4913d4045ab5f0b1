// SPDX-License-Identifier: MIT
// Principal: who asks, and what they may do; access: what a route wants of who asks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/access.capnp.h"
#include "millrace/runtime/clock.h"

namespace millrace::gateway {

/// Roles are ordered: each may do what those below it may.
using role = schemas::AccessRole;

/// `read`: how a role is called.
[[nodiscard]] std::string_view to_string(role which) noexcept;

/// Stands for all projects, and for what belongs to none.
inline constexpr std::string_view all_projects = "*";
/// Stands for the figures of servers, and nothing else; no project can have that name.
inline constexpr std::string_view metrics_alone = "/metrics";

struct grant {
  std::string project;  ///< Or `all_projects`, or `metrics_alone`.
  gateway::role role = role::NONE;
};

struct principal {
  std::string name;
  std::vector<grant> grants;
  runtime::wall_time expires_at = runtime::wall_time::max();
  std::string digest = {};  ///< Of its token.

  [[nodiscard]] role role_in(std::string_view project) const noexcept;
  /// In all projects.
  [[nodiscard]] role role_everywhere() const noexcept { return role_in(all_projects); }
  /// In the project where it may do most.
  [[nodiscard]] role role_somewhere() const noexcept;
};

/// What a route wants of who asks: a role, and where.
struct access {
  enum class place : std::uint8_t {
    probe,       ///< Anybody may ask, as often as he likes.
    nowhere,     ///< Anybody may ask; who shows no good token, as often as with a wrong one.
    somewhere,   ///< In any project; the handler sees to the rest.
    path,        ///< In the project that the path names, as `{project}`.
    webhook,     ///< So too, unless the request is signed: the handler sees to the signature.
    path_token,  ///< With whoever the path lets in: the handler sees to the token in it.
    query,       ///< In the project of the query's `project`, else `default`.
    run,         ///< In the project of the run that the path names, as `{id}`.
    everywhere,  ///< In all projects.
    actor,       ///< So too; of `{type}`s that pipelines are made of, `admin`: they have all of it.
    actor_state,  ///< So too; of `{type}`s that are for other actors only, `admin`.
    metrics,      ///< So too, or for `metrics_alone`.
  };
  place where = place::everywhere;
  role least = role::ADMIN;
};

}  // namespace millrace::gateway
