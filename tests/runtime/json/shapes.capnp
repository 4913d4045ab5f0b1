# SPDX-License-Identifier: MIT
# Every shape that JSON has to carry.
@0x9f2c41d7b08e6a35;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("millrace::testing");

enum Mood { calm @0; veryAngry @1; }

struct Point {
  x @0 :Int32;
  y @1 :Int32 = 7;
}

struct Shapes {
  flag @0 :Bool;
  small @1 :Int8;
  large @2 :Int64;
  unsignedLarge @3 :UInt64;
  real @4 :Float64;
  someText @5 :Text;
  bytes @6 :Data;
  mood @7 :Mood;
  point @8 :Point;
  points @9 :List(Point);
  numbers @10 :List(List(UInt16));
  at @11 :Int64 $Actor.time;
  raw @12 :Text $Actor.rawJson;
  either :union {
    nothing @13 :Void;
    number @14 :Int32;
    word @15 :Text;
  }
  code @16 :Int32 $Actor.absent(-1);
  killedBy @17 :Int32 $Actor.signal;
  name @18 :Text $Actor.json("id");
  level @19 :Float64 $Actor.absent(0);
}
