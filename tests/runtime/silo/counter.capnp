# SPDX-License-Identifier: MIT
# Actors for the tests of the runtime: small, and able to do everything that goes wrong.
@0xb5d2f1c6a7e34a52;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("millrace::testing");

struct CounterState {
  total @0 :Int64;
  note @1 :Text;
  pin @2 :Text $Actor.secret;
}

struct CounterMark {
  total @0 :Int64;
  pad @1 :Data;
}

enum Mood { calm @0; veryAngry @1; }

interface Counter $Actor.actor("counter") {
  add @0 (amount :Int64) -> (total :Int64);
  get @1 () -> (total :Int64) $Actor.readOnly;
  relay @2 (to :Text, amount :Int64) -> (total :Int64);
  # Calls `add` of another counter.
  postTo @3 (to :Text, amount :Int64) -> ();
  # Sends `add` to another counter.
  await @4 (limitMs :Int64) -> (raised :Bool) $Actor.reentrant;
  raise @5 () -> ();
  remindIn @6 (delayMs :Int64, everyMs :Int64) -> ();
  callBack @7 (to :Text) -> ();
  # Calls `callBack` of another counter, which calls this one.
  cheat @8 () -> () $Actor.readOnly;
  # Changes state though it may not.
  fail @9 (text :Text) -> ();
  mark @10 (name :Text) -> (marks :UInt32);
  unmark @11 (name :Text) -> (marks :UInt32);
  spin @12 (to :Text, times :UInt32) -> () $Actor.timeout(60000);
  # Calls `get` of another counter so many times.
  setNote @13 (note :Text) -> ();
  fan @14 (to :List(Text), amount :Int64) -> (totals :List(Int64), failed :UInt32);
  toldAdd @15 (amount :Int64) -> () $Actor.oneWay;
  tick @16 (afterMs :Int64, everyMs :Int64) -> ();
  leave @17 () -> ();
  express @18 (mood :Mood, loud :Bool) -> (mood :Mood);
  throwIt @19 () -> ();
  pause @20 (limitMs :Int64, thenCancel :Bool) -> ();
  # Waits while nothing else is admitted, then cancels the timer.
  remindAs @21 (name :Text) -> ();
  failActivations @22 (count :UInt32) -> ();
  # So many activations of counters named "flaky" fail from now on.
  addIf @23 (amount :Int64, version :UInt64) -> (version :UInt64);
  # Adds when this actor is at that version.
  markIf @24 (name :Text, version :UInt64) -> (version :UInt64);
  # Marks when the mark is at that version; gives the actor's version that the mark will have.
  stay @25 (forMs :Int64) -> ();
  postFail @26 (to :Text, text :Text) -> ();
  # Sends `fail` to another counter.
  slowAdd @27 (amount :Int64) -> () $Actor.reentrant;
  # Waits for `raise`, then adds.
  postSlow @28 (to :Text, amount :Int64) -> ();
  # Sends `slowAdd` to another counter.
  fill @29 (marks :UInt32, bytes :UInt32) -> (first :Data);
  # Makes so many marks, each with so many bytes that do not compress; gives what the first had.
  getNote @30 () -> (note :Text) $Actor.readOnly;
  setPin @31 (pin :Text $Actor.secret) -> ();
  addAndWait @32 (amount :Int64) -> () $Actor.reentrant;
  # Adds, then waits for `raise`.
  work @33 () -> ();
  # Calls `on_work` on another thread.
}
