# SPDX-License-Identifier: MIT
# Actors that live on several silos, for the tests of this folder.
@0xb2d1c94e7f60a835;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("millrace::testing");

struct FerryState {
  total @0 :Int64;
}

interface Ferry $Actor.actor("ferry") {
  add @0 (amount :Int64) -> (total :Int64);
  get @1 () -> (total :Int64) $Actor.readOnly;
  carry @2 (path :List(Text), amount :Int64) -> (total :Int64);
  # Has the first of `path` carry it along the rest; the last adds it.
  hold @3 () -> () $Actor.timeout(3600000);
  # Until `release`, or until it is cancelled.
  post @4 (to :Text, amount :Int64) -> ();
  # Sends it: durable.
  tenant @5 (name :Text) -> (value :Text) $Actor.readOnly;
  # That entry of the call's context.
  refuse @6 (text :Text) -> ();
  release @7 () -> () $Actor.reentrant;
  # Ends `hold`.
  land @8 (at :Text, amount :Int64) -> ();
  # Sends it to that quay: durable.
}

interface Quay $Actor.actor("quay") $Actor.group("ferry") {
  # Only `b` hosts it.
  unload @0 (amount :Int64) -> (total :Int64);
  stored @1 () -> (total :Int64) $Actor.readOnly;
}

interface Desk $Actor.actor("desk") $Actor.siloBound {
  name @0 () -> (silo :Text);
}

interface Press $Actor.actor("press") $Actor.labels("gpu") {
  name @0 () -> (silo :Text);
}
