# SPDX-License-Identifier: MIT
# What silos tell each other about calls. Append only: a field is never renumbered or given another
# meaning, and a reader takes what it does not know for absent.
@0xc3f7a1d85e9240b6;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("millrace::schemas");

struct RoutedCallId {
  # Names a call among all that ever left a silo for another; all zero: a call that has not.
  origin @0 :UInt64;
  # The incarnation of the silo that made it.
  number @1 :UInt64;
  # Among those of that incarnation; from 1, never used again.
}

struct RoutedCall {
  # A call, a one-way message or a delivery on its way to the silo of its actor.
  kind @0 :Kind;
  id @1 :RoutedCallId;
  # Zero for what wants no answer.
  type @2 :Text;
  # The actor type's name.
  key @3 :Text;
  # The actor's key.
  method @4 :UInt16;
  # The method's ordinal; 0 for `forget`.
  params @5 :Data;
  # The flat form; empty: default values.
  timeLeft @6 :UInt64 = 0xffffffffffffffff;
  # Nanoseconds until the deadline, when it left; the default: no deadline.
  idempotencyKey @7 :Text;
  # Empty: none.
  context @8 :List(ContextEntry);
  # The call's context, by name.
  delivery @9 :Delivery;
  # Of a durable send; absent for other calls.
  chain @10 :List(ChainLink);
  # The calls in whose turns it was made, the nearest first.
  mayReturn @11 :Bool;
  # The turn that made it lets its own chain come back.
  forwards @12 :UInt8;
  # What wants no answer: how many silos it came to that have sent it on.

  enum Kind {
    call @0;
    # Wants an answer.
    oneWay @1;
    # Wants none.
    forget @2;
    # The sender of `delivery` will never repeat it.
  }
}

struct ContextEntry {
  # One entry of a call's context.
  name @0 :Text;
  # Not empty, used once.
  value @1 :Text;
  # May be empty.
}

struct Delivery {
  # Which of its sender's durable sends a call is.
  senderHigh @0 :UInt64;
  # The upper half of the hash of the sender's id.
  senderLow @1 :UInt64;
  # The lower half.
  number @2 :UInt64;
  # Among those of the sender.
  partition @3 :UInt16;
  # The sender's.
  epoch @4 :UInt64;
  # In which that was led when it was sent; 0: not said.
  again @5 :Bool;
  # An activation of the sender before the one that sends this may have sent it, too.
}

struct ChainLink {
  # A call further up the chain.
  id @0 :RoutedCallId;
  # Zero: it never left its silo.
  type @1 :Text;
  # Of the actor that serves it.
  key @2 :Text;
  # The same.
}

struct RoutedAnswer {
  # The outcome of a call that wanted one.
  id @0 :RoutedCallId;
  # Of the call. Its origin may be an earlier life of who receives this.
  union {
    results @1 :Data;
    # The flat form; empty: none.
    failure @2 :Failure;
    # Why there are none.
  }
  settled @3 :Bool;
  # Of a delivery that failed: the receiver remembers that it did.
  livesOn @4 :Text;
  # Of a call that came to the wrong silo: the name of the one where its actor lives, as far as this
  # one knows; empty: not said.
}

struct Failure {
  # An error.
  code @0 :UInt16;
  # Its fixed number; one that the reader does not know counts as `internal`.
  text @1 :Text;
  # For people.
  retryAfter @2 :UInt64;
  # Nanoseconds after which to try again; 0: not said.
}

struct RoutedCancel {
  # The caller of a call no longer waits for it; or a probe follows one.
  id @0 :RoutedCallId;
  # Of the call; absent beside a probe, so that a reader that does not know these takes it for a
  # call that it does not serve.
  probe @1 :WaitProbe;
  # Absent: the call is cancelled.
}

struct WaitProbe {
  # Follows what turns and calls wait for over silos, to find those that wait for each other.
  call @0 :RoutedCallId;
  # Which it follows: one of its sender, which its receiver serves.
  turn @1 :WaitMark;
  # The turn whose search it is.
  passed @2 :UInt64;
  # A digest of the turns and calls that it has passed in this round.
  firstRound @3 :UInt64;
  # In the second round: the digest of the first; 0: this is the first.
  left @4 :UInt16;
  # How many probes it may still become.
  path @5 :Text;
  # The chain of the first call that it found kept out; empty: of none yet.
  met @6 :UInt16;
  # How many turns that keep calls out it has met in this round.
  remembered @7 :WaitMark;
  # One of these: the probe ends when it meets it again.
}

struct WaitMark {
  # Names a turn among all of a cluster; the one that is less, field by field, is older.
  since @0 :Int64;
  # When its silo had it, in nanoseconds of that silo's time of day since 1970.
  origin @1 :UInt64;
  # The incarnation of that silo.
  number @2 :UInt64;
  # Among those of that incarnation; from 1, never used again.
}
