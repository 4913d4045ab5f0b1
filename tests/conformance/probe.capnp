# SPDX-License-Identifier: MIT
# The actors of the conformance suite: each method does one thing that a scenario speaks of.
@0xc7e19a04d5b8f263;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("millrace::conformance");

struct ProbeState {
  value @0 :Int64;
  pad @1 :Data;
}

interface Probe $Actor.actor("probe") {
  set @0 (value :Int64) -> (version :UInt64);
  get @1 () -> (value :Int64, version :UInt64) $Actor.readOnly;
  hold @2 (name :Text, limitMs :Int64) -> () $Actor.timeout(3600000);
  # Waits for `raise`; writes "NAME begins", then "NAME ends" or "NAME is cancelled" into the diary.
  holdReading @3 (name :Text, limitMs :Int64) -> () $Actor.readOnly $Actor.timeout(3600000);
  holdBeside @4 (name :Text, limitMs :Int64) -> () $Actor.reentrant $Actor.timeout(3600000);
  raise @5 () -> () $Actor.reentrant;
  holdOther @6 (key :Text, name :Text, limitMs :Int64) -> () $Actor.timeout(3600000);
  # Calls `hold` of another.
  callBack @7 (key :Text, then :Text) -> ();
  # Calls `callBack` of `key`, which calls `get` of `then`.
  leave @8 () -> ();
  stay @9 (forMs :Int64) -> ();
  block @10 (how :Text) -> (text :Text);
  # "inside": holds the thread until the test lets it go; "offload": the same, offloaded; "throw":
  # offloads what throws; "result": turns that into a text.
  everyMs @11 (name :Text, afterMs :Int64, everyMs :Int64) -> ();
  stop @12 (name :Text) -> ();
  remind @13 (name :Text, inMs :Int64, everyMs :Int64, cron :Text, zone :Text, catchUp :Text) -> ();
  listReminders @14 () -> (names :List(Text), due :List(Int64)) $Actor.readOnly;
  # `due` is in milliseconds since 1970.
  forget @15 (name :Text) -> ();
  setIf @16 (value :Int64, version :UInt64) -> (version :UInt64);
  tellContext @17 (name :Text, next :Text) -> (values :Text);
  # The value of that context entry here, then at `next` and back here.
  holdThenCall @18 (next :Text) -> ();
  # Waits a second, then calls `get` of another.
  linger @19 (forMs :Int64) -> ();
  # An idle timeout of its own from now on; negative: as its type has it.
}

interface Brief $Actor.actor("brief") $Actor.idleTimeout(1000) {
  # Collected after a second.
  touch @0 () -> ();
}

interface Worker $Actor.actor("worker") $Actor.stateless(3) $Actor.idleTimeout(1000) {
  hold @0 () -> ();
  # Offloads until the test opens the gate.
  touch @1 () -> ();
  callItself @2 () -> ();
  remember @3 () -> ();
  # Tries to set a reminder.
}

interface Loner $Actor.actor("loner") $Actor.stateless(1) {
  touch @0 () -> ();
  callItself @1 () -> ();
}

interface Gadget $Actor.actor("gadget") $Actor.siloBound {
  touch @0 () -> ();
}

interface Painter $Actor.actor("painter") $Actor.labels("gpu,big") {
  touch @0 () -> ();
}

interface Link $Actor.actor("link") {
  # One of a chain of calls.
  ask @0 (path :List(Text), scope :Text) -> (value :Int64);
  # Sets its value to 1, asks the first of `path` to ask the rest (the last is bumped), and gives
  # its value then. `scope`: "all": lets the chain return here, as do the others; "first": only this
  # one; "over": its scope has ended; "none".
  bump @1 () -> (value :Int64);
  bumpReading @2 () -> () $Actor.readOnly;
  # Breaks its promise.
  askReading @3 (to :Text) -> ();
  # Lets `to` come back to `bumpReading`.
  callBumpReading @4 (to :Text) -> ();
  bumpSlowly @5 () -> (value :Int64);
  # Reads its value, waits, and writes one more.
  callBumpSlowly @6 (to :Text) -> (value :Int64);
  askBoth @7 (one :Text, other :Text) -> (value :Int64);
  # Lets both come back to `bumpSlowly` at once, and gives its value then.
}

interface Walker $Actor.actor("walker") $Actor.timeout(3600000) {
  # Does what it is told, step by step.
  walk @0 (steps :List(Text)) -> ();
  # "say X": writes X into the diary; "wait X": until `raise` of X; "scope": from here on calls may
  # come back; "call K" and "read K": has K do the rest, "read" by `walkReading`; "both": makes two
  # calls at once, which "|" parts; "block": holds the thread until the test opens the gate.
  walkReading @1 (steps :List(Text)) -> () $Actor.readOnly;
  walkBeside @2 (steps :List(Text)) -> () $Actor.reentrant;
  raise @3 (name :Text) -> () $Actor.reentrant;
}
