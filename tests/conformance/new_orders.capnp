# SPDX-License-Identifier: MIT
# The actor type of old_orders.capnp after some years: structs have grown, a union and an enum have
# new members, methods have new parameters and there is a new one. Nothing is renumbered.
@0xe1f4c60b7a3d9285;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("millrace::conformance::after");

enum Mood { calm @0; cross @1; furious @2; }

struct Address {
  street @0 :Text;
  city @1 :Text;
  floor @2 :Int64 = 7;
}

struct OrderState {
  total @0 :Int64;
  mood @1 :Mood;
  address @2 :Address;
  lines @3 :List(Address);
  payment :union {
    cash @4 :Void;
    card @5 :Text;
    invoice @6 :Text;
  }
  discount @7 :Int64 = 5;
  tags @8 :List(Text);
  note @9 :Text;
}

struct Item {
  count @0 :Int64;
  colour @1 :Text;
  weight @2 :Int64;
}

interface Order $Actor.actor("order") {
  put @0 (amount :Int64, street :Text, city :Text, bonus :Int64 = 0)
      -> (total :Int64, discount :Int64);
  show @1 () -> (total :Int64, street :Text, lines :UInt32, mood :UInt16, payment :UInt16,
                 city :Text, floor :Int64, discount :Int64, tags :UInt32, note :Text,
                  lineCity :Text) $Actor.readOnly;
  putItem @2 (name :Text, count :Int64, colour :Text)
      -> (count :Int64, colour :Text, weight :Int64);
  sendTo @3 (key :Text, amount :Int64) -> ();
  remind @4 (name :Text, inMs :Int64) -> ();
  copyItem @5 (name :Text, to :Text) -> ();
  clearAddress @6 () -> ();
  decorate @7 (note :Text) -> ();
  # Fills in all that is new: furious, by invoice, with tags, a discount of 50 and the note.
  sendDecorate @8 (key :Text, note :Text) -> ();
}
