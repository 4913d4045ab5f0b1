# SPDX-License-Identifier: MIT
@0xe4b17c5a90d3f826;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("demo");

struct AccountState {
  balance @0 :Int64;
  opened @1 :Bool;
  transfers @2 :UInt64;
  # Made from this account.
  deposits @3 :UInt64;
  # Transfers that have arrived here.
}

interface Account $Actor.actor("account") {
  open @0 (balance :Int64) -> ();
  # The first time only.
  transfer @1 (to :Text, amount :Int64) -> (balance :Int64);
  deposit @2 (amount :Int64) -> ();
  get @3 () -> (balance :Int64, transfers :UInt64, deposits :UInt64) $Actor.readOnly;
}
