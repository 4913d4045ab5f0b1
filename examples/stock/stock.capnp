# SPDX-License-Identifier: MIT
@0xc61d0f85b3a7e429;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("demo");

struct ShelfState {
  pieces @0 :UInt32;
}

interface Shelf $Actor.actor("shelf") {
  # What lies of one article.
  put @0 (pieces :UInt32) -> (pieces :UInt32);
  take @1 (pieces :UInt32) -> (taken :UInt32, left :UInt32);
  # `failed_precondition` where there are not so many.
}
