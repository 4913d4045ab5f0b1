# SPDX-License-Identifier: MIT
# Results of tasks that are kept for later runs.
#
# Append-only: never renumber. Times are nanoseconds since 1970-01-01T00:00:00Z.
@0xb3e07c5d9a126f48;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
using Pipeline = import "/millrace/pipeline.capnp";
$Cxx.namespace("millrace::schemas");

struct CachePart {
  # One of the things that a result depends on.
  name @0 :Text;     # For people: `command`, `env MODE`, `artifact set of fetch`.
  digest @1 :UInt64; # The first eight bytes of its SHA-256.
}

struct KeptResult {
  # Record of the map "results" of a cache, by `task/key`.
  key @0 :Text $Actor.json("id");  # SHA-256 over its parts, in hex.
  task @1 :Text;           # Its name in the definition.
  name @2 :Text;           # Of the instance.
  label @3 :Text;          # Of the instance: its item or matrix cells.
  run @4 :Text;            # That has made it.
  keptAt @5 :Int64 $Actor.time;     # When it was made.
  outputs @6 :List(Pipeline.Variable);
  artifacts @7 :List(Pipeline.Artifact);
  parts @8 :List(CachePart);
  exitCode @9 :Int32;
}

struct ResultPlace {
  # Record of two maps of a cache: "latest", by the name of an instance, and "ages", by when a
  # result was kept in 20 digits, and its place: the order in which they make room. Of one that
  # another has replaced since there is an age still.
  place @0 :Text;           # Key in the map "results".
  keptAt @1 :Int64 $Actor.time;  # Of the result.
  bytes @2 :UInt64;         # That it has.
}

struct CacheState {
  # Root of a cache.
  ages @0 :UInt64;     # Records of that map.
  bytes @1 :UInt64;    # All of them together.
  makingRoom @2 :Bool; # The oldest are going.
}

interface ResultCache $Actor.actor("cache") {
  # Key: `project/name` of the pipeline.
  find @0 (task :Text, name :Text, key :Text, parts :List(CachePart), ttlNs :Int64)
      -> (found :Bool, result :KeptResult, missed :Text)
      $Actor.readOnly $Actor.internal;
  # From a task, whose instance `name` is: what it may use, if it was made at most `ttlNs` ago; 0:
  # whenever. Not `found`: `missed` says why, for a person.
  keep @1 (result :KeptResult) -> () $Actor.internal;
  # From a task. What there was by that key makes room.
  list @2 (cursor :Text, limit :UInt32) -> (results :List(KeptResult), nextCursor :Text)
      $Actor.readOnly;
  # By task and key, those after the page that ended with this cursor; `nextCursor` is empty at the
  # end. limit 0: 100; at most 1,000. Without outputs, artifacts and parts.
  clear @3 (task :Text) -> ();
  # Forgets what is kept by now; of one task, if it says so. Answers when that is certain to happen.
  clearMore @4 (task :Text, until :Int64, from :Text) -> () $Actor.internal;
  # From itself: the next step, from that key of the map "results" on.
  makeRoom @5 () -> () $Actor.internal;
  # From itself: some of the oldest go.
}
