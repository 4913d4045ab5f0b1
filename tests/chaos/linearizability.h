// SPDX-License-Identifier: MIT
// Linearizability: whether operations can have happened one after the other, each at an instant
// between its begin and its end, as a model says that they answer (Herlihy and Wing 1990).
//
// The search is that of Wing and Gong (1993) as Lowe (2017) has it: it takes an operation that
// could be next, goes on as long as the model agrees, and goes back otherwise; what it has seen, a
// state together with the set of those that have happened, it does not try again. An operation of
// which nobody knows whether it has happened may come at any place after its begin, or at none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chaos/history.h"

namespace chaos {

/// What a kind of object answers, and what it then is. States are texts that are equal when the
/// objects are.
class model {
public:
  model() = default;
  model(const model&) = delete;
  model& operator=(const model&) = delete;
  virtual ~model() = default;

  [[nodiscard]] virtual std::string initial() const = 0;
  /// The next state; nothing when the object could not have answered so. One that nobody knows the
  /// answer of may have answered anything.
  [[nodiscard]] virtual std::optional<std::string> step(const std::string& state,
                                                        const operation& one) const = 0;

  /// What it leaves that nothing else does; empty: there is no such thing.
  [[nodiscard]] virtual std::string leaves(const operation& /*one*/) const { return {}; }
  /// What it has seen of the things that others leave.
  [[nodiscard]] virtual std::vector<std::string> sees(const operation& /*one*/) const { return {}; }
  /// Whether it changes nothing, whatever it answers.
  [[nodiscard]] virtual bool only_reads(const operation& one) const = 0;
};

enum class verdict : std::uint8_t {
  linearizable,
  violated,
  undecided,  ///< The search has reached a bound.
};

struct search_limits {
  std::uint64_t steps_max = 20'000'000;           ///< Of the model; some 10 s.
  std::size_t bytes_max = std::size_t{1} << 30U;  ///< Of what has been seen.
};

struct finding {
  verdict is = verdict::linearizable;
  std::string why;  ///< Of a violation: how far it went, and what could not follow.
  std::uint64_t steps = 0;
};

/// Searches the operations of one object, which are in the order of their begins.
///
/// First it settles what nobody knows, where the model tells what operations leave: what was seen
/// has happened before who saw it ended, and what nobody ever saw makes no difference.
/// Cost: small while few operations run at a time; exponential in their number at worst.
[[nodiscard]] finding search(const model& of, std::vector<operation> operations,
                             const search_limits& limits = {});

}  // namespace chaos
