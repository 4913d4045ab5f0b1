# SPDX-License-Identifier: MIT
# What the coordination store of a cluster holds. Each record stands alone, and is followed by the
# XXH3-64 (seed 0, little endian) of its bytes.
#
# Append-only: never renumber. `protocol` stands first in each record and grows when a reader that
# does not know what is new would decide wrongly: such a reader refuses the record.
@0xc3a95d2e8b6f1047;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("millrace::schemas");

struct ClusterSettings {
  # Fixed when the cluster is created.
  protocol @0 :UInt32;
  # 1.
  clusterId @1 :Text;
  # 32 hexadecimal digits, minted by the creator.
  partitionCount @2 :UInt16;
  # 1 to 65535.
  founder @3 :Text;
  # The allocation id of the data directory whose rows the cluster begins with: that silo alone
  # begins partitions. Empty: whoever is preferred does, since nobody had any.
}

struct SiloRow {
  # A silo process that is in the cluster. It lives as long as its session.
  protocol @0 :UInt32;
  # 1.
  name @1 :Text;
  # Unique in the cluster.
  address @2 :Text;
  # host:port of its links.
  roles @3 :Roles;
  # What it does.
  labels @4 :List(Label);
  # In order of the keys.
  state @5 :State;
  # How far it is.
  process @6 :Process;
  # Which process of which machine.
  types @7 :List(Text);
  # Of the actors that it hosts, sorted.
  zone @8 :Text;
  # What it shares with others that may fail together, such as a rack; empty: none is named. Zones
  # count once every silo with copies names one: so never beside a build that does not know them.
  decommissioned @9 :Bool;
  # It drains to go for good: its copies belong on other silos, and nobody waits for it.
  rowDigest @10 :UInt64;
  # In a local store: the XXH3-64 (seed 0) of the row's key and of what stands before the record in
  # its value. 0: not told, as by etcd and by older builds.

  enum State {
    joining @0;   # Says hello to the others; holds nothing yet.
    active @1;    # Takes part.
    draining @2;  # Hands over what it holds.
  }
}

struct Roles {
  # Of one silo.
  state @0 :Bool;
  # Hosts partitions.
  execute @1 :Bool;
  # Runs tasks.
  gateway @2 :Bool;
  # Answers HTTP.
}

struct Label {
  # For placement.
  key @0 :Text;
  # Unique in the silo.
  value @1 :Text;
  # Any text.
}

struct Process {
  # Names one process for as long as the machine is up.
  bootId @0 :Text;
  # Of the machine's kernel.
  pidNamespace @1 :UInt64;
  # The inode of the namespace in which the pid holds.
  pid @2 :Int32;
  # In that namespace.
  startTicks @3 :UInt64;
  # When it started, in clock ticks since boot.
}

struct PartitionRecord {
  # Who holds one partition.
  protocol @0 :UInt32;
  # 1.
  partition @1 :UInt16;
  # The key's.
  state @2 :State;
  # Whether the primary of the epoch has recovered.
  dataLossNo @3 :UInt64;
  # Of the last time that data was given up on purpose.
  epoch @4 :UInt64;
  # Grows with every change of the primary.
  primary @5 :CopyId;
  # One of `inSync`.
  inSync @6 :List(Copy);
  # Those that have everything that was committed.
  inSyncMin @7 :UInt32;
  # With fewer members nothing is committed.
  eligible @8 :List(Copy);
  # Out of the set, and complete all the same: nothing was committed since.
  commitFloor @9 :UInt64;
  # A number that was committed.
  nonce @10 :UInt64;
  # Of the compare-and-set that made this record.
  lossSilo @11 :Text;
  # Whose copy the partition went on from when data was given up last; empty: never.
  lossReason @12 :Text;
  # Why, as an operator said.
  lossAtMs @13 :Int64;
  # When, since 1970.
  lossAcknowledged @14 :Bool;
  # Somebody has seen it.
  rowDigest @15 :UInt64;
  # As of a `SiloRow`.

  enum State {
    recovering @0;  # Nothing is answered yet.
    active @1;      # The barrier of the epoch is committed.
  }
}

struct CopyId {
  # 128 random bits.
  high @0 :UInt64;
  # The first eight bytes.
  low @1 :UInt64;
  # The last eight.
}

struct Copy {
  # A copy of a partition, and where it lies.
  id @0 :CopyId;
  # Its own.
  silo @1 :Text;
  # The name of the silo.
}
