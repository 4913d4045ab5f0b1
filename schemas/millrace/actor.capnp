# SPDX-License-Identifier: MIT
# Annotations that turn a Cap'n Proto interface into an actor type.
#
#   interface Counter $actor("counter") {
#     add @0 (amount :Int64) -> (total :Int64);
#     get @1 () -> (total :Int64) $readOnly;
#   }
@0xd9a1f0c6b7e34a52;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("millrace::schemas");

annotation actor @0xf3a1c86be4d2907b (interface) :Text;
# The actor type's name: lower-case words joined by `_`; it stands in ids, URLs and storage keys, so
# it never changes.

annotation group @0xc0b7d1f24e83a965 (interface) :Text;
# Types with one group and one affinity key share a partition. Default: the type's own name.

annotation affinity @0xa8e2573d90c4b1f6 (interface) :Text;
# A delimiter: the key up to its first occurrence is the affinity key. Default: the whole key.

annotation readOnly @0xb94d60e7f3a2c815 (method) :Void;
# Runs beside other read-only methods of the activation; it may not change state.

annotation reentrant @0x9c35e8a0d7b1f264 (interface, method) :Void;
# Runs beside anything, each time another method is suspended; on an interface: all its methods.

annotation oneWay @0xe61fb2d8a94c3075 (method) :Void;
# The caller gets no answer. Requires: the method has no results.

annotation internal @0xc5e0a92f7d1b6834 (interface, method) :Void;
# For other actors of the same system only: the HTTP API neither lists nor calls it. On an
# interface: all its methods.

annotation timeout @0xd27c94b1e6f80a3d (interface, method) :UInt32;
# The deadline of a call that names none, in milliseconds. Default: 30,000.

annotation idleTimeout @0xb1d7e84c2f6a9035 (interface) :UInt32;
# After how many milliseconds without a call an activation is collected. Default: what the silo's
# options say.

annotation stateless @0xa4c96e1b35d7f082 (interface) :UInt16;
# The actors have no durable state and a call may go to any of several activations: a silo makes as
# many of one key as calls need, up to this number (0: one a thread that runs turns), and collects
# idle ones.

annotation siloBound @0x9e0d57b8c24a1f63 (interface) :Void;
# The actors have no durable state and live on the silo that their key names: the key up to its
# first '/', or all of it.

annotation labels @0xd8b36f9a7051ce24 (interface) :Text;
# The actors have no durable state and live on a silo that has all of these labels, which are joined
# by ','.

annotation time @0x8f4ab7c2d1e09563 (field, param) :Void;
# On an Int64: nanoseconds since 1970-01-01T00:00:00Z. In JSON an RFC 3339 text in UTC, null for 0.

annotation secret @0xe2b59f17c4a60d83 (field, param) :Void;
# Operators who inspect states and messages see `"***"` in its place. Answers to calls carry it as
# it is.

annotation json @0xf1d62b08e97c3a54 (field, param) :Text;
# The key in JSON. Default: the field's name in snake_case.

annotation absent @0xcab5103f7e82d946 (field, param) :Int64;
# On a number: the value that says that there is none. In JSON it is null.

annotation signal @0xb80e6d2c915fa73b (field, param) :Void;
# On an Int32: the number of a signal of Linux, 0 for none. In JSON its name, such as "SIGKILL", or
# null.

annotation rawJson @0x97d0c3e5b8a1f426 (field, param) :Void;
# On a Text: a JSON value as it stands. In JSON it is embedded, not quoted; empty means null.
