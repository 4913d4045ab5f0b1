# SPDX-License-Identifier: MIT
@0xd8a5c3e1f2b49670;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("demo");

struct CounterState {
  total @0 :Int64;
}

interface Counter $Actor.actor("counter") {
  add @0 (amount :Int64) -> (total :Int64);
  get @1 () -> (total :Int64) $Actor.readOnly;
  moveTo @2 (other :Text, amount :Int64) -> (total :Int64);
}
