// SPDX-License-Identifier: MIT
// Inspection: what an operator may see of the actors of one silo, without waiting for a turn.
//
// What lives is read beside its turns, a moment at a time. What is stored is read as it was
// committed, whether the actor is active or not, and activates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/clock.h"

namespace millrace::runtime {

/// Which part of a list is wanted.
struct list_page {
  std::string prefix = {};  ///< Only keys that start so.
  std::string cursor = {};  ///< The `next` of the page before; empty: from the start.
  std::size_t limit = 100;  ///< At least 1.
};

/// Where an activation is in its life.
enum class activation_phase : std::uint8_t {
  loading,       ///< Waits for its rows.
  activating,    ///< In `on_activate`.
  active,        ///< Serves.
  deactivating,  ///< In `on_deactivate`, or its last commit is on its way.
  failing,       ///< Has failed; a commit is still on its way.
  gone,          ///< About to leave the directory.
};
/// Its name, as in the enumeration.
[[nodiscard]] std::string_view to_string(activation_phase phase) noexcept;

/// One activation.
struct activation_info {
  std::string key;           ///< Of its actor.
  activation_phase phase{};  ///< Where it is in its life.
  std::uint32_t queued = 0;  ///< Calls that wait for their turn; deliveries of sends do not count.
  std::string_view method;   ///< That has been running or waiting for longest; empty: none.
  duration busy{};           ///< Since that one began.
  duration idle{};           ///< Since the latest call ended; zero while one runs.
  std::size_t bytes = 0;     ///< That it holds, about; 0 in a silo without a memory budget.
};

/// Activations of one type, in no order that means anything; a stateless actor may have several,
/// all with its key. One that comes or goes while pages are
/// read may be missing.
struct activation_list {
  std::vector<activation_info> items;  ///< Of this page.
  std::string next;                    ///< The cursor of the next page; empty: this was the last.
};

/// One actor that has something stored.
struct stored_actor {
  std::string key;              ///< Without its type.
  bool active = false;          ///< Has an activation.
  std::uint64_t version = 0;    ///< Of the commit that wrote its root last.
  std::size_t state_bytes = 0;  ///< Of its root; maps are extra.
};

/// Stored actors of one type, in the order of storage; in a cluster, those that the silo leads. A
/// page may be short, even empty, while
/// `next` says that there is more.
struct stored_list {
  std::vector<stored_actor> items;  ///< Of this page.
  std::string next;                 ///< As in `activation_list`.
};

/// Which part of an actor's state is wanted.
struct state_request {
  std::string map = {};     ///< Only this one, and no root; empty: root and all maps.
  std::string after = {};   ///< Of that map, only records with a greater key.
  std::size_t limit = 100;  ///< Records of each map; at least 1.
};

/// A part of a map.
struct map_state {
  /// One record.
  struct record {
    std::string key;   ///< In the map.
    std::string json;  ///< An object.
  };
  std::string name;             ///< As its class calls it.
  std::vector<record> records;  ///< In the order of their keys.
  bool more = false;            ///< There are records behind the last one.
};

/// What one actor has stored. What the schema marks as secret is `"***"`.
struct actor_state {
  std::string root_json;        ///< Empty: it was not asked for, or the type has none.
  std::vector<map_state> maps;  ///< Those of its class. Each is from one moment; two may not be.
};

}  // namespace millrace::runtime
