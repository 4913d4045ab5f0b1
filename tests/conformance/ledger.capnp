# SPDX-License-Identifier: MIT
# An actor with a root and a map, for what the conformance suite says of stored state.
@0xd3a6f17b2c94e058;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("millrace::conformance");

struct LedgerState {
  total @0 :Int64;
}

struct LedgerEntry {
  amount @0 :Int64;
  pad @1 :Data;
}

interface Ledger $Actor.actor("ledger") {
  add @0 (amount :Int64) -> (total :Int64);
  get @1 () -> (total :Int64, version :UInt64) $Actor.readOnly;
  setIf @2 (total :Int64, version :UInt64) -> (version :UInt64);
  entry @3 (name :Text) -> (amount :Int64, version :UInt64) $Actor.readOnly;
  # All zero when there is none.
  keepIf @4 (name :Text, amount :Int64, version :UInt64, padBytes :UInt32) -> (version :UInt64);
  # Writes an entry that is at that version.
  dropIf @5 (name :Text, version :UInt64) -> ();
  keepAll @6 (names :List(Text), amount :Int64) -> ();
  pay @7 (to :Text, amount :Int64) -> ();
  # Takes it from here, and sends it there.
  remind @8 (name :Text, inMs :Int64) -> ();
  # The hook counts the total up and writes the new total into the entry of that name. "fails twice"
  # fails twice before that.
  remindOther @9 (to :Text, name :Text, inMs :Int64) -> ();
  # Sends that to another.
  takeBack @10 (name :Text) -> ();
  nest @11 (depth :UInt32) -> (depth :UInt32) $Actor.reentrant;
  # Calls itself so many times.
  nestExclusively @12 (depth :UInt32) -> (depth :UInt32);
  clear @13 (payTo :Text, amount :Int64, total :Int64) -> ();
  # Erases its state; then sends that there, and sets its total, where they are not zero. With a
  # negative total it notes something and fails.
  note @14 (names :List(Text), padBytes :UInt32) -> (there :UInt64);
  # Puts a note of each name; how many there are, as the method sees it after that.
  notes @15 (from :Text, limit :UInt32) -> (names :List(Text), more :Bool) $Actor.readOnly;
  hasNote @16 (name :Text) -> (bytes :Int64) $Actor.readOnly;
  # Of its pad; -1: it is not there.
  dropNote @17 (name :Text) -> ();
}
