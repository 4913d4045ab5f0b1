# SPDX-License-Identifier: MIT
# Access: the tokens by which people and programs are known, and what each may do.
#
# Append-only: never renumber.
@0xb3d07f5a91c4e628;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("millrace::schemas");

enum AccessRole {
  # Each may do what those before it may.
  none @0;   # Nothing.
  read @1;   # Look.
  run @2;    # Start runs of what is there, cancel and retry them; call actors.
  admin @3;  # Change definitions, which are commands that run here; remove; make tokens.
}

struct AccessGrant {
  project @0 :Text;      # `*`: all of them, and what belongs to none: silos, actors, backups.
  role @1 :AccessRole;
}

struct AccessToken {
  # Record of the map "tokens", by name.
  name @0 :Text $Actor.json("id");     # Unique; who it is, in logs.
  grants @1 :List(AccessGrant);        # One a project.
  createdAt @2 :Int64 $Actor.time;
  expiresAt @3 :Int64 $Actor.time;     # From then on it is nobody's; 0: never.
  createdBy @4 :Text;                  # The name of the token that made it.
  digest @5 :Data $Actor.secret;       # SHA-256 of its text, which is stored nowhere.
}

struct AccessState {
  version @0 :UInt64;  # Grows with each change.
}

struct NewToken {
  # What a gateway is asked for, as JSON.
  name @0 :Text $Actor.json("id");
  grants @1 :List(AccessGrant);
  expiresIn @2 :Text;  # A duration, such as `90d`; empty: it never expires.
}

interface Access $Actor.actor("access") $Actor.internal {
  # One actor has all tokens; its key is `tokens`. What they may do is for gateways to check.
  add @0 (token :AccessToken) -> ();
  # `conflict`: the name is taken, or there is one with that digest. `failed_precondition`: there
  # are as many as there may be.
  revoke @1 (name :Text, digest :Data) -> ();
  # `not_found`, also where the name is another token's by now.
  tokens @2 (known :UInt64, waitMs :UInt32) -> (version :UInt64, tokens :List(AccessToken))
      $Actor.reentrant;
  # All, by name; once the version is not `known` any more, or after waitMs. 2^64-1 is none.
}
