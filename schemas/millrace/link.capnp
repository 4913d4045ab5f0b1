# SPDX-License-Identifier: MIT
# What two ends of a link say to each other before anything else. Everything after it is frames with
# a fixed head and an opaque body: runtime/src/link/frame.h.
@0xc5ee4f950c7b037e;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("millrace::schemas");

enum LinkRole {
  silo @0;     # Hosts actors; links to every other silo, and is linked to by gateways.
  gateway @1;  # Hosts none; it links to silos and nobody links to it.
}

struct LinkHello {
  # The connector sends the first, the acceptor answers with its own. Whoever does not like the
  # other's sends a goodbye that says why.

  clusterId @0 :Text;
  # The cluster that the sender belongs to; another one's is refused.

  versionMin @1 :UInt16;
  # The oldest protocol version that the sender speaks. Both use the newest that both speak.

  versionMax @2 :UInt16;
  # The newest one.

  role @3 :LinkRole;
  # With the name: who the sender is. Over TLS its certificate says the same.

  name @4 :Text;
  # Of the silo or gateway; 1 to 64 letters, digits and any of -_.

  incarnation @5 :UInt64;
  # One life of the sender's process; not 0, and greater than those of its earlier lives, which may
  # no longer take a later one's place.

  connection @6 :UInt64;
  # From the connector: grows with each connection of this incarnation, so that one that was held up
  # on its way does not replace a newer one. From the acceptor: 0.

  session @7 :UInt64;
  # From the connector: the session that it would go on with; 0: none. From the acceptor: the
  # session that this connection carries. If that is the connector's, both send again what the
  # other has not received; else both begin at number 1, and what was not acknowledged is lost.

  lanes @8 :List(Lane);
  # By number of the lane. A lane that is missing grants nothing.

  messageBytesMax @9 :UInt64;
  # The largest message that the sender takes; 0: it does not say.

  struct Lane {
    received @0 :UInt64;
    # The number of the last frame that has arrived in this session; 0: none.

    credit @1 :UInt64;
    # How many bytes the other end may have sent in this session.
  }
}
