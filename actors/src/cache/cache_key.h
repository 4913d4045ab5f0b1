// SPDX-License-Identifier: MIT
// Cache key: what a result of a task depends on, as far as it can be known.
//
// It is all that the command gets: its words, directory, environment, inputs and artifacts, and
// what it is to leave. What differs from run to run by its nature is left out (the run's id, tokens
// of callbacks, values of secrets), and so is what nobody can see: files outside the workspace,
// the clock, the network. A definition that knows better says so by a key of its own, which then
// counts in place of what the command gets; of a fan-out, the item or the cells still do.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/cache.capnp.h"
#include "millrace/pipeline.capnp.h"

namespace millrace::actors {

/// One of the things that a result depends on.
struct cache_part {
  std::string name;          ///< For people: `command`, `env MODE`.
  std::uint64_t digest = 0;  ///< The first eight bytes of its SHA-256.

  friend bool operator==(const cache_part&, const cache_part&) = default;
};

/// The most parts; of a longer environment the variables are one part together.
inline constexpr std::size_t cache_parts_max = 200;

/// Equal keys have equal results.
struct cache_key {
  std::string digest;             ///< SHA-256 over the parts, in hex.
  std::vector<cache_part> parts;  ///< In order of what they are and of their names.
};

/// Cost: linear in what the command gets.
[[nodiscard]] cache_key cache_key_of(schemas::TaskSpec::Reader spec);

/// Which parts are not what they were, for a person: `command, env MODE`; empty: none.
[[nodiscard]] std::string changed_parts(capnp::List<schemas::CachePart>::Reader before,
                                        capnp::List<schemas::CachePart>::Reader now);

}  // namespace millrace::actors
