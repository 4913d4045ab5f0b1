# SPDX-License-Identifier: MIT
# Secrets: what a project keeps for its tasks, sealed. Gateways seal and executors open; the actor
# opens one only to look whether something was signed with it.
#
# Append-only: never renumber.
@0xd1f6a2b74c9e3805;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("millrace::schemas");

struct SealedSecret {
  # Record of the map "secrets", by name.
  name @0 :Text $Actor.json("id");    # Unique in the project.
  sealed @1 :Data $Actor.secret;      # See secret_keyring.h; bound to the project and the name.
  createdAt @2 :Int64 $Actor.time;
  updatedAt @3 :Int64 $Actor.time;    # When its value was last set.
  updatedBy @4 :Text;                 # The name of the token that set it; empty: nobody was asked.
}

struct SecretsState {
  # Root of the secrets of a project: nothing, they are a map.
}

struct NewSecret {
  # What a gateway is asked for, as JSON.
  value @0 :Text $Actor.secret;  # 4 bytes to 64 KiB, without NUL.
}

interface Secrets $Actor.actor("secrets") $Actor.internal {
  # Key: the project's name.
  put @0 (secret :SealedSecret, ifUpdatedAt :Int64, ifThere :Bool) -> (created :Bool);
  # `failed_precondition`: there are as many as there may be. Idempotent but for times. `conflict`,
  # and nothing is changed, unless there is one of that `updatedAt`, or ifUpdatedAt is 0; with
  # `ifThere` there must be one at least.
  erase @1 (name :Text, ifUpdatedAt :Int64) -> ();
  # `not_found`. `conflict`, likewise.
  names @2 () -> (secrets :List(SealedSecret)) $Actor.readOnly;
  # All, by name, without what is sealed.
  sealed @3 (names :List(Text)) -> (secrets :List(SealedSecret)) $Actor.readOnly;
  # Of these those that there are. From an executor.
  verify @4 (name :Text, content :Data, signature :Text) -> (good :Bool) $Actor.readOnly;
  # From a gateway: whether `signature` is that of `content` by this secret, as of signature.h. One
  # that there is not, or that does not open here, has signed nothing.
}
