# SPDX-License-Identifier: MIT
# The actors of the chaos tests: the objects of models.h.
@0xd07be2c41a6f9835;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("chaos");

struct RegisterState {
  value @0 :Int32;
}

struct CounterState {
  total @0 :Int32;
}

struct SequenceState {
  values @0 :List(Int32);
}

struct ElementRecord {
  value @0 :Int32;
}

struct PurseState {
  spent @0 :Int32;
  # Sent less received: the balance is the opening one less this.
  sent @1 :Int32;
  received @2 :Int32;
  # Transfers.
  twice @3 :List(Text);
  # Transfers that have arrived again.
}

struct DepositRecord {
  made @0 :Text;
  # By whom, and when it arrived where.
}

interface Register $Actor.actor("register") {
  write @0 (value :Int32) -> ();
  read @1 () -> (value :Int32) $Actor.readOnly;
  cas @2 (from :Int32, to :Int32) -> (swapped :Bool, found :Int32);
}

interface Set $Actor.actor("set") {
  add @0 (value :Int32) -> ();
  read @1 () -> (values :List(Int32)) $Actor.readOnly;
}

interface Counter $Actor.actor("counter") {
  add @0 (amount :Int32) -> (total :Int32);
  read @1 () -> (total :Int32) $Actor.readOnly;
}

interface Sequence $Actor.actor("list") {
  append @0 (value :Int32) -> ();
  read @1 () -> (values :List(Int32)) $Actor.readOnly;
}

interface Purse $Actor.actor("purse") {
  transfer @0 (to :Text, amount :Int32) -> ();
  # Sends it: what was acknowledged arrives, some time later.
  deposit @1 (amount :Int32, mark :Text, made :Text) -> () $Actor.internal;
  # `mark`: of that transfer alone.
  audit @2 () -> (spent :Int32, sent :Int32, received :Int32, twice :List(Text)) $Actor.readOnly;
  # `twice`: transfers that have arrived again, and when.
}
