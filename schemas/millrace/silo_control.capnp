# SPDX-License-Identifier: MIT
# What operators tell one silo of a cluster, from any gateway.
#
# Append-only: never renumber.
@0xd41f6b0c93a7e258;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("millrace::schemas");

interface SiloControl $Actor.actor("silo_control") $Actor.internal $Actor.siloBound {
  # Key: the name of the silo. Errors as of `silo::drain` and the others.
  drain @0 (undo :Bool, decommission :Bool) -> ();
  # It hands over what it leads, and takes neither partitions nor tasks, until that is undone or it
  # starts again. `decommission`: its copies move to other silos, too, since it is to go for good.
  breakGlass @1 (partition :UInt16, reason :Text, empty :Bool) -> ();
  # Its copy leads the partition, whatever it lacks. `empty`: the partition begins with nothing;
  # refused unless every silo that is in says that it has no copy.
  list @2 (type :Text, active :Bool, prefix :Text, cursor :Text, limit :UInt32)
      -> (actors :List(ListedActor), nextCursor :Text) $Actor.readOnly;
  # A page of the actors of a type that live on the silo: of its activations (`active`), or of those
  # that are stored in partitions that it leads. None of a type that it does not host. Errors as of
  # `silo::activations`.
  hosts @3 (type :Text, key :Text) -> (silos :List(Text)) $Actor.readOnly;
  # Errors as of `silo::hosts_of`.
  stateOf @4 (type :Text, key :Text, map :Text, after :Text, limit :UInt32)
      -> (livesOn :Text, root :Text, maps :List(StoredMap)) $Actor.readOnly;
  # What an actor has stored, as JSON. Where it says that the actor lives on another silo, as it
  # does here and below, nothing was done. Errors as of `silo::state_of`.
  deactivateActor @5 (type :Text, key :Text) -> (livesOn :Text, wasActive :Bool) $Actor.readOnly;
  # Twice is the same as once. Errors as of `silo::deactivate`.
  deadLetters @6 (limit :UInt32, cursor :Text)
      -> (letters :List(ListedDeadLetter), more :Bool) $Actor.readOnly;
  # Of senders that the silo has; with a cursor, the `place` of a letter, those behind that. Errors
  # as of `silo::dead_letters`.
  tendDeadLetter @7 (type :Text, key :Text, number :UInt64, drop :Bool) -> (livesOn :Text)
      $Actor.reentrant;
  # Forgets it, or sends it again; others are answered meanwhile. Errors as of
  # `silo::retry_dead_letter`.
  types @8 () -> (types :List(HostedType)) $Actor.readOnly;
  # That have methods for anyone.
  hasCopy @9 (partition :UInt16) -> (found :Bool) $Actor.readOnly;
  # As `silo::has_copy`.
}

struct StoredMap {
  # A part of a map of one actor.
  name @0 :Text;
  # As its class calls it.
  records @1 :List(Record);
  # In the order of their keys.
  more @2 :Bool;
  # There are records behind the last one.
  struct Record {
    key @0 :Data;
    # Any bytes.
    json @1 :Text;
    # An object.
  }
}

struct ListedDeadLetter {
  # As `dead_letter`.
  senderType @0 :Text;
  senderKey @1 :Text;
  number @2 :UInt64;
  targetType @3 :Text;
  targetKey @4 :Text;
  method @5 :Text;
  params @6 :Text;
  # As JSON; empty: not known.
  error @7 :Text;
  # Of the last try.
  place @8 :Text;
  # The cursor of those behind it; empty: from an earlier version, which has none.
}

struct HostedType {
  id @0 :Text;
  # Its name.
  methods @1 :List(Text);
  # That anyone may call.
}

struct ListedActor {
  # One row of a list; all but the key are those of `activation_info` or of `stored_actor`.
  key @0 :Text;
  # Of the actor, without its type.
  phase @1 :Text;
  # By name.
  queued @2 :UInt32;
  # Calls.
  method @3 :Text;
  # Empty: none runs.
  busyNs @4 :Int64;
  # Since it began.
  idleNs @5 :Int64;
  # Since the last one ended.
  bytes @6 :UInt64;
  # Of memory, about.
  active @7 :Bool;
  # Has an activation.
  version @8 :UInt64;
  # Of the commit that wrote its root last.
  stateBytes @9 :UInt64;
  # Of its root.
}

struct BreakGlassRequest {
  # What a gateway is asked, as JSON.
  silo @0 :Text;
  # Whose copy is to lead.
  reason @1 :Text;
  # For who looks at it later.
  empty @2 :Bool;
  # No copy is left: the partition begins empty on that silo.
}
