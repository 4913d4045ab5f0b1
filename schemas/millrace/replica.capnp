# SPDX-License-Identifier: MIT
# What the storages of two silos tell each other about the copies of partitions that they hold.
#
# Append-only: never renumber. `protocol` grows when a reader that does not know what is new would
# decide wrongly: such a reader refuses the frame.
@0xdf8172513ffd6c12;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("millrace::schemas");

struct ReplicaFrame {
  # Messages that left together. Whose they are is what the link has proven.
  protocol @0 :UInt32;
  # 1.
  items @1 :List(ReplicaItem);
  # In the order in which they were said.
}

struct ReplicaItem {
  # One message of a copy, or several in a row that are alike but for their entries.
  partition @0 :UInt16;
  # Whose copies these are.
  fromHigh @1 :UInt64;
  # The upper half of the id of the copy that says it.
  fromLow @2 :UInt64;
  # The lower half. Both are never zero.
  toHigh @3 :UInt64;
  # Of the copy that is told.
  toLow @4 :UInt64;
  # The same.
  epoch @5 :UInt64;
  # In which it was said; of `fenced`: the one that was promised.
  union {
    # Of a primary up to `discard`, to a primary from `prepared` on.
    prepare @6 :ReplicaPrepare;
    # Entries to write.
    beacon @7 :ReplicaBeacon;
    # The primary is here.
    release @8 :ReplicaRelease;
    # It has stopped being primary.
    snapshot @9 :ReplicaLogTail;
    # The receiver's tail: the log does not have any more what follows it.
    range @10 :ReplicaRange;
    # Rows of a snapshot.
    compare @11 :UInt64;
    # The digest is wanted of all rows as they are when this entry is the last in them.
    discard @12 :Void;
    # What the receiver has is not what the primary has: begin anew.
    prepared @13 :ReplicaPrepared;
    # Entries are on the disk.
    behind @14 :ReplicaBehind;
    # What the sender has.
    fenced @15 :Void;
    # A higher epoch was promised.
    grant @16 :ReplicaGrant;
    # The answer to a beacon.
    refused @17 :Void;
    # The sender cannot write.
    fetch @18 :ReplicaFetch;
    # The sender needs rows of a snapshot.
    compared @19 :ReplicaCompared;
    # The answer to `compare`.
  }
  comparison @20 :UInt64;
  # Of `compare` and `compared`: the number of the question, which comes back with the answer.
}

struct ReplicaLogTail {
  # The last entry of a log; all zero before the first.
  epoch @0 :UInt64;
  # Of the entry.
  seq @1 :UInt64;
  # Its number.
  digest @2 :UInt64;
  # Of the entry, and so of all before.
}

struct ReplicaPrepare {
  # Entries in a row.
  dataLossNo @0 :UInt64;
  # Of the partition, as the primary knows it.
  committed @1 :UInt64;
  # The primary has committed up to there.
  entries @2 :List(Data);
  # In the encoding of the journal; at least one.
}

struct ReplicaBeacon {
  # The primary is here, and asks for the promise of its epoch and for a lease.
  dataLossNo @0 :UInt64;
  # Of the partition, as the primary knows it.
  recordVersion @1 :UInt64;
  # Of the partition's record in the coordination store, as the primary knows it.
  committed @2 :UInt64;
  # The primary has committed up to there.
  tail @3 :ReplicaLogTail;
  # Of the primary's log.
  sentAt @4 :Int64;
  # Nanoseconds on the primary's clock; means nothing to anybody else.
}

struct ReplicaRelease {
  # The sender answers nothing any more.
  successorHigh @0 :UInt64;
  # The upper half of the id of the copy that should stand at once; all zero: anybody.
  successorLow @1 :UInt64;
  # The lower half.
}

struct ReplicaRange {
  # A range of the partition's rows, in key order.
  dataLossNo @0 :UInt64;
  # Of the partition, as the primary knows it.
  base @1 :ReplicaLogTail;
  # The log goes on from here: what the rows held when the first was read.
  applied @2 :UInt64;
  # The last entry in these.
  first @3 :Data;
  # The key from which on it was read.
  next @4 :Data;
  # Where the next range begins; empty: this was the last.
  rows @5 :Data;
  # In the encoding of the journal's operations.
}

struct ReplicaPrepared {
  # What is on the sender's disk.
  committed @0 :UInt64;
  # So much of it is known to be committed.
  tail @1 :ReplicaLogTail;
  # Everything up to there is on the disk.
}

struct ReplicaBehind {
  # Something did not fit, or the sender wants to become a copy.
  tail @0 :ReplicaLogTail;
  # Of the sender's log.
  lineage @1 :List(ReplicaLineageStep);
  # The epochs of its entries, oldest first.
}

struct ReplicaLineageStep {
  # From which entry on an epoch's entries lie in a log.
  epoch @0 :UInt64;
  # Greater than that of the step before.
  firstSeq @1 :UInt64;
  # The number of its first entry.
}

struct ReplicaGrant {
  # The sender was of the beacon's epoch when it answered.
  beaconSentAt @0 :Int64;
  # As the beacon said.
  lease @1 :Bool;
  # It takes part in no takeover for a while, which counts from then.
}

struct ReplicaFetch {
  # Rows are wanted.
  base @0 :ReplicaLogTail;
  # Of the snapshot that the sender has begun.
  first @1 :Data;
  # The key from which on; empty: from the beginning, of a new snapshot.
}

struct ReplicaCompared {
  # What all rows were when an entry was the last in them.
  seq @0 :UInt64;
  # Not used any more: the question, which is named beside, says which entry that was.
  digest @1 :UInt64;
  # Of all rows.
}
