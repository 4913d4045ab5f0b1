# SPDX-License-Identifier: MIT
# An actor that changes what it keeps, suspends and fails as it is told, for what the conformance
# suite says of methods that fail.
@0xa4f1c2d97e3b6085;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("millrace::conformance");

struct ClerkState {
  total @0 :Int64;
  wide @1 :Data;
}

struct ClerkEntry {
  amount @0 :Int64;
}

interface Clerk $Actor.actor("clerk") $Actor.timeout(3600000) {
  follow @0 (plan :Text) -> (total :Int64);
  # Takes the steps of a plan, which ";" parts: see clerk.h.
  followBeside @1 (plan :Text) -> (total :Int64) $Actor.reentrant;
  get @2 () -> (total :Int64, entries :Text, reminders :Int64, version :UInt64) $Actor.readOnly;
  # `entries`: "a=1 b=2".
  raise @3 () -> () $Actor.reentrant;
  order @4 (to :Text, plan :Text) -> ();
  # Sends it.
  remind @5 (plan :Text) -> ();
  # A reminder that is due at once and follows the plan.
  tick @6 (plan :Text) -> ();
  # A timer.
}

interface Sleeper $Actor.actor("sleeper") {
  # Nothing of it runs beside a method that waits.
  sleep @0 (signal :Text) -> (raised :Bool);
  # For a second.
  listed @1 (names :List(Text), entry :ClerkEntry, data :Data)
      -> (names :List(Text), amount :Int64);
  # What it is given, and how long `data` is as the amount's second digit.
}
