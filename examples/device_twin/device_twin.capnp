# SPDX-License-Identifier: MIT
@0xa96e20d1c7f85b34;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("demo");

struct DeviceState {
  online @0 :Bool;
  lastSeen @1 :Int64 $Actor.time;
  desired @2 :Text;
  # The configuration that the device should have.
  desiredVersion @3 :UInt64;
  # Grows by one with each of them.
}

struct ReportedValue {
  value @0 :Text;
  at @1 :Int64 $Actor.time;
}

struct NamedValue {
  name @0 :Text;
  value @1 :Text;
}

interface DeviceTwin $Actor.actor("device_twin") {
  report @0 (name :Text, value :Text) -> ();
  describe @1 () -> (online :Bool, lastSeen :Int64 $Actor.time, reported :List(NamedValue),
                     desired :Text, version :UInt64) $Actor.readOnly;
  configure @2 (desired :Text) -> (version :UInt64);
  awaitConfig @3 (known :UInt64) -> (desired :Text, version :UInt64)
      $Actor.reentrant $Actor.timeout(60000);
  # Answers when there is a configuration newer than `known`, or with the present one after a while.
}
