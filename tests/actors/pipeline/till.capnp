# SPDX-License-Identifier: MIT
# An actor that tasks call, and that does what goes wrong with calls.
@0xf08e3b52c9d6a417;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("millrace::testing");

struct TillState {
  total @0 :Int64;
  calls @1 :UInt32;
}

struct Slip {
  text @0 :Text;
  sums @1 :List(Int64);
}

interface Till $Actor.actor("till") {
  add @0 (amount :Int64, note :Text) -> (total :Int64, note :Text, exact :Bool, slip :Slip);
  total @1 () -> (total :Int64, calls :UInt32) $Actor.readOnly;
  fail @2 (code :Text) -> ();
  # With the error of that name.
  failAtFirst @3 (times :UInt32, code :Text) -> (calls :UInt32);
  # So often; counted for all calls.
  hold @4 (amount :Int64) -> (total :Int64) $Actor.reentrant;
  # Adds once `letGo` has been called.
  letGo @5 () -> ();
  addAndFail @6 (amount :Int64) -> ();
  # When the sum is stored: nobody who asks can know that it is.
  fill @7 (bytes :UInt32) -> (text :Text);
  close @8 () -> () $Actor.internal;
  # For others.
  addAndHold @9 (amount :Int64) -> ();
  # When the sum is stored: waits for the end of the silo.
}
