# SPDX-License-Identifier: MIT
# An actor type as its first version declares it; new_orders.capnp is what it becomes.
@0xb8e05d2a91c7f364;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("millrace::conformance::before");

enum Mood { calm @0; cross @1; }

struct Address {
  street @0 :Text;
}

struct OrderState {
  total @0 :Int64;
  mood @1 :Mood;
  address @2 :Address;
  lines @3 :List(Address);
  payment :union {
    cash @4 :Void;
    card @5 :Text;
  }
}

struct Item {
  count @0 :Int64;
}

interface Order $Actor.actor("order") {
  put @0 (amount :Int64, street :Text) -> (total :Int64);
  # Adds, pays by card, and writes that street everywhere.
  show @1 () -> (total :Int64, street :Text, lines :UInt32, mood :UInt16, payment :UInt16)
      $Actor.readOnly;
  putItem @2 (name :Text, count :Int64) -> (count :Int64);
  # Adds to a map record.
  sendTo @3 (key :Text, amount :Int64) -> ();
  # Sends `put` to another.
  remind @4 (name :Text, inMs :Int64) -> ();
  # The hook puts 1000.
  copyItem @5 (name :Text, to :Text) -> ();
  # Puts the one record as the other.
  clearAddress @6 () -> ();
}
