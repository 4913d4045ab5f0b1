// SPDX-License-Identifier: MIT
// Cluster: silos that keep copies of each other's partitions and call each other's actors.
//
// A silo whose options have a `cluster` joins when it starts. The silos of a cluster find each
// other in a coordination store: a directory that the silos of one machine share, or etcd. Each
// partition is led by one of them at a time; its commits are on the disks of several before they
// are answered. When a silo goes, another one that has a copy leads, and calls that have not begun
// wait for it. Storage has to be opened for a cluster (`storage_options::in_cluster`).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/error.h"
#include "millrace/runtime/ids.h"

namespace millrace::runtime {

/// How far a silo is. One that has left, or is dead, is not in any more.
enum class silo_state : std::uint8_t {
  joining,   ///< Says hello to the others; holds nothing yet.
  active,    ///< Takes part.
  draining,  ///< Hands over what it holds.
};

/// `joining`, `active` or `draining`.
[[nodiscard]] std::string_view to_string(silo_state state) noexcept;

/// What a silo is drained for.
enum class drain_purpose : std::uint8_t {
  pause,         ///< It keeps its copies, and if it is stopped, it is expected back with them.
  decommission,  ///< It is to go for good: its copies move to others, and nobody waits for it.
};

/// What a silo does.
struct silo_roles {
  bool state = false;    ///< Has copies of partitions, and leads some.
  bool execute = false;  ///< Runs tasks.
  bool gateway = false;  ///< Answers HTTP. With this role alone it calls, and is not called.
  friend bool operator==(const silo_roles&, const silo_roles&) = default;
};

/// PEM files, as `millrace pki` makes them.
struct cluster_certificates {
  std::string authority;    ///< The certificate of the cluster's authority.
  std::string certificate;  ///< This silo's own; of the role `gateway` if it is nothing else.
  std::string key;          ///< Of that certificate.
};

/// How to reach an etcd that does not let everybody in.
struct etcd_access {
  std::string prefix = "/millrace/";  ///< Of all keys; another one for each cluster.
  std::string user = {};              ///< Empty: none.
  std::string password = {};          ///< Of that user.
  std::string authorities = {};       ///< PEM, for https; empty: those of the system.
  std::string certificate = {};       ///< PEM, this silo's own for etcd; empty: none.
  std::string key = {};               ///< Of that certificate.
};

/// What a silo is told about its cluster.
struct cluster_options {
  /// `local:DIRECTORY`, which the silos of one machine share, or `http://HOST:PORT` or
  /// `https://HOST:PORT`, of one or several servers of an etcd, with commas.
  std::string coordination;
  etcd_access etcd = {};  ///< Of no account with `local:`.

  std::string listen_address = "127.0.0.1";  ///< An address, not a name, for the links of others.
  std::uint16_t listen_port = 0;             ///< 0: the kernel picks a free one.
  /// Where others find it, `HOST` or `HOST:PORT`; empty: where it listens.
  std::string advertised_address = {};
  /// Absent: links are in the clear, and nobody proves who they are.
  std::optional<cluster_certificates> certificates = {};
  /// Links in the clear to other machines, too. For a network that nobody else is on.
  bool plain_links_anywhere = false;

  /// The coordination store is lost for good: this silo begins the cluster anew with what is in its
  /// data directory. What only other silos have is lost; they come with empty directories. Only
  /// of account while the store is empty.
  bool found_anew = false;
  std::size_t copies = 3;  ///< Of each partition, as far as there are silos; the same in all silos.
  silo_roles roles = {.state = true, .execute = true};  ///< What this silo does.
  /// What this silo shares with others that may fail together: a rack, a room. Copies of one
  /// partition are placed in different zones, as far as there are several, once every silo with the
  /// role `state` names one. At most 64 bytes.
  std::string zone = {};

  /// How long a silo that does not answer the store stays in. At least 2 s with etcd.
  duration session_ttl = std::chrono::seconds{5};
  /// How long `silo::start` waits for the store, for links to all others, and for an earlier life
  /// of this silo to be taken out.
  duration join_within = std::chrono::seconds{20};
  /// A silo that has had a copy for so long gets the partitions that it is preferred for.
  duration balance_after = std::chrono::seconds{5};
  /// How long a silo that died or stopped may be away before copies are made on others instead; at
  /// once where writes are refused for want of them. One that was decommissioned is not waited for.
  /// The same in all silos.
  duration replace_after = std::chrono::minutes{5};

  /// The others have taken this silo out: it has stopped serving, and never will again. Called
  /// once, on a thread of the silo; must not stop it there. Unset: a warning tells.
  std::function<void(const error& why)> on_expelled = {};
};

/// One silo, as another sees it.
struct cluster_silo {
  std::string name;                        ///< Unique in the cluster.
  std::uint64_t incarnation = 0;           ///< Which life of it: higher than all before.
  std::int32_t pid = 0;                    ///< On its machine.
  std::string address;                     ///< Of its links; empty: it is not called.
  std::string zone;                        ///< As it is named in its options; empty: it is not.
  silo_state state = silo_state::joining;  ///< How far it is.
  silo_roles roles;                        ///< What it does.
  std::vector<std::string> types;          ///< Of the actors that it hosts, sorted.
  bool decommissioned = false;             ///< It drains to go for good.
  std::size_t partitions_primary = 0;      ///< That it leads.
  std::size_t partitions_total = 0;        ///< Of which it has a copy in the in-sync set.
};

/// What a partition goes on from when glass is broken (`silo::break_glass`).
enum class glass_content : std::uint8_t {
  copy,     ///< What this silo has of it.
  nothing,  ///< It begins empty: no copy is left anywhere.
};

/// What a partition may have lost, by an operator's decision (`silo::break_glass`).
struct partition_loss {
  std::uint64_t number = 0;   ///< How often that was done to the partition; 0: never.
  std::string silo;           ///< Whose copy it went on from, the last time.
  std::string reason;         ///< The operator's.
  wall_time at{};             ///< When.
  bool acknowledged = false;  ///< Somebody has seen it (`silo::acknowledge_loss`).
};

/// One partition.
struct cluster_partition {
  partition_id partition{};          ///< Its number.
  std::uint64_t epoch = 0;           ///< 0: it has never had a primary.
  std::string primary;               ///< Who leads it in that epoch; empty: nobody.
  bool is_active = false;            ///< The primary answers.
  std::vector<std::string> in_sync;  ///< The silos that have all that was committed.
  std::size_t in_sync_min = 1;       ///< With fewer of them writes are refused.
  partition_loss loss;               ///< The last one.
};

/// A cluster as one silo sees it; it may be a moment old.
struct cluster_view {
  std::string cluster_id;                     ///< Empty: the silo is not in a cluster.
  bool is_outdated = false;                   ///< The coordination store does not answer it.
  std::vector<cluster_silo> silos;            ///< By name.
  std::vector<cluster_partition> partitions;  ///< By number.
  std::size_t copies = 0;                     ///< That a partition should have, by the options.
};

}  // namespace millrace::runtime
