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
  drain @0 (undo :Bool) -> ();
  # It hands over what it leads, and takes neither partitions nor tasks, until that is undone or it
  # starts again.
  breakGlass @1 (partition :UInt16, reason :Text) -> ();
  # Its copy leads the partition, whatever it lacks.
}

struct BreakGlassRequest {
  # What a gateway is asked, as JSON.
  silo @0 :Text;
  # Whose copy is to lead.
  reason @1 :Text;
  # For who looks at it later.
}
