// SPDX-License-Identifier: MIT
#include "coordination/coordination_store.h"

namespace millrace::runtime {

// A record of a lower version than was expected is what a store shows that has gone back: nothing
// follows from it.
cas_fate fate_of(const stored_partition& wanted, const std::optional<stored_partition>& found) {
  if (!found || found->version <= wanted.version) {
    return cas_fate::unknown;
  }
  return found->nonce == wanted.nonce ? cas_fate::succeeded : cas_fate::lost;
}

std::uint64_t mint_nonce() {
  rng random;
  std::uint64_t nonce = 0;
  while (nonce == 0) {
    nonce = random.next();
  }
  return nonce;
}

}  // namespace millrace::runtime
