# SPDX-License-Identifier: MIT
# Audit: who did what by a gateway.
#
# Append-only: never renumber.
@0xd5a1c8e3f2074b96;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("millrace::schemas");

struct AuditEntry {
  # Record of the map "entries", by number.
  number @0 :UInt64 $Actor.json("id");  # In the order in which they were stored, from 1.
  at @1 :Int64 $Actor.time;             # When it was answered, by the server's clock.
  who @2 :Text;                         # The token's name; empty: it was nobody's.
  address @3 :Text;                     # Of who asked.
  method @4 :Text;
  target @5 :Text;                      # Decoded where that is plain text; 1,024 bytes of it.
  status @6 :UInt16;                    # 499: who asked left before the answer.
  made @7 :Text;                        # The path of what was made; empty: nothing was.
  server @8 :Text;                      # The silo or gateway that was asked.
  operation @9 :Text;                   # What that is called in /openapi.json; empty: nothing.
}

struct AuditState {
  first @0 :UInt64;  # The lowest number that is kept.
  next @1 :UInt64;
}

interface Audit $Actor.actor("audit") $Actor.internal {
  # One actor has them all; its key is `log`.
  append @0 (entries :List(AuditEntry)) -> ();
  # Numbers them; the oldest make room. `invalid_argument`: too many at once.
  page @1 (cursor :UInt64, limit :UInt32) -> (entries :List(AuditEntry), nextCursor :Text)
      $Actor.readOnly;
  # The newest below `cursor`, the newest first; 0: from the end. `nextCursor`: where it goes on;
  # empty: that was all.
}
