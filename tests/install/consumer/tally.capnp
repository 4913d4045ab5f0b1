# SPDX-License-Identifier: MIT
@0xa4b1d09c37e2f586;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("shop");

struct TallyState {
  total @0 :Int64;
  # What was added since the tally was first named.
}

interface Tally $Actor.actor("tally") {
  add @0 (amount :Int64) -> (total :Int64);
  get @1 () -> (total :Int64) $Actor.readOnly;
}
