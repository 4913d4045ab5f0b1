# SPDX-License-Identifier: MIT
# The actors of the torture test: everything that workers are asked for leaves an effect that can be
# counted; the others pass calls on.
@0xcf8a31e70d5b9264;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("torture");

struct WorkerState {
  effects @0 :UInt64;
  # How often an effect was made: the sum of `times` over the map.
  gaps @1 :UInt64;
  # Deliveries that came out of order or twice.
}

struct EffectRecord {
  times @0 :UInt32;
}

struct LaneRecord {
  last @0 :UInt64;
  # The number of the last delivery to one receiver, or from one sender.
}

struct SlotRecord {
  value @0 :UInt64;
}

struct ChainRecord {
  left @0 :UInt32;
  # How often the reminder sets itself again.
  delayMs @1 :UInt32;
  renamed @2 :Bool;
}

struct Named {
  name @0 :Text;
  value @1 :UInt64;
}

struct Stop {
  # See tour.h.
  actor @0 :Text;
  number @1 :UInt64;
  reads @2 :Bool;
  scoped @3 :Bool;
  together @4 :Bool;
  tolerant @5 :Bool;
  offloads @6 :Bool;
  fails @7 :Bool;
  limitMs @8 :UInt32;
  next @9 :List(Stop);
}

interface Worker $Actor.actor("worker") {
  apply @0 (effect :UInt64) -> (times :UInt32);
  # Makes the effect. `times`: how often it has been made.
  relay @1 (to :Text, own :UInt64, other :UInt64) -> ();
  # Calls `apply` of another worker, then makes its own effect.
  post @2 (to :Text, own :UInt64, other :UInt64, slow :Bool) -> ();
  # Makes its own effect and sends the other.
  deliver @3 (from :Text, number :UInt64, effect :UInt64, slow :Bool) -> ();
  # The effect of `post`. If `slow` it first asks another worker for something.
  remind @4 (effect :UInt64, delayMs :UInt32, chain :UInt32, renamed :Bool) -> ();
  # Makes the effect and sets a reminder that makes the next one 1 + chain times. If `renamed` it
  # goes on under another name each time.
  put @5 (slot :Text, value :UInt64) -> ();
  # 0 erases the slot.
  leave @6 () -> ();
  linger @7 (effect :UInt64, limitMs :UInt32) -> () $Actor.reentrant;
  # Makes the effect once it is woken, or its time is up.
  rouse @8 () -> ();
  peek @9 () -> (effects :UInt64) $Actor.readOnly;
  dump @10 () -> (effects :List(Named), slots :List(Named), total :UInt64, gaps :UInt64)
      $Actor.readOnly;
  tick @11 (effect :UInt64, delayMs :UInt32, chain :UInt32) -> ();
  # Makes the effect and sets a timer that makes the next one 1 + chain times, if it lives.
  entrust @12 (to :Text, own :UInt64, other :UInt64, waitMs :UInt32) -> ();
  # Makes its own effect and sends the other to a method that others run beside.
  deposit @13 (effect :UInt64, waitMs :UInt32) -> () $Actor.reentrant;
  # The effect of `entrust`, made as `linger` does.
  visit @14 (stop :Stop, above :List(UInt64)) -> ();
  # Makes the effect of the stop, goes on, and makes the next one.
  look @15 (stop :Stop, above :List(UInt64)) -> () $Actor.readOnly;
  handOn @16 (to :Text, helper :Text, own :UInt64, other :UInt64) -> ();
  # Makes its own effect and sends the other by a helper.
  stumble @17 (effect :UInt64, way :UInt8, times :UInt32, pauses :Bool) -> (times :UInt32);
  # Makes the effect, then the next one (if `pauses`, after it was suspended), and fails so many
  # times: way 0 by an exception, 1 by `fail`, 2 by a returned error.
  postStumble @18 (to :Text, own :UInt64, other :UInt64, way :UInt8, times :UInt32) -> ();
  # Makes its own effect and sends the other to `stumble`.
}

interface Helper $Actor.actor("helper") $Actor.stateless(2) {
  pass @0 (stop :Stop, above :List(UInt64)) -> ();
  forward @1 (to :Text, effect :UInt64) -> ();
}

interface Anchor $Actor.actor("anchor") $Actor.siloBound {
  pass @0 (stop :Stop, above :List(UInt64)) -> ();
}
