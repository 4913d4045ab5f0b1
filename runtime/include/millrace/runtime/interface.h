// SPDX-License-Identifier: MIT
// Interfaces: what the schema compiler tells the runtime about an actor type.
//
// One `interface_info` exists per actor interface, generated as a constant. It carries what is
// needed to route a call (type, partition group), to admit it (read-only, reentrant), and the
// schemas of its messages, from which json.h speaks JSON to any method of any type.
#pragma once

#include "millrace/runtime/clock.h"

#include <capnp/schema.h>

#include <cstdint>
#include <span>
#include <string_view>

namespace millrace::runtime {

/// How a method shares its activation with other calls.
enum class method_admission : std::uint8_t {
  exclusive,  ///< Alone, from its first instruction to its end.
  read_only,  ///< Beside other read-only methods; may not change state.
  reentrant,  ///< Whenever the activation is suspended.
};

/// Where the actors of a type live.
enum class actor_placement : std::uint8_t {
  partition,   ///< With their durable state. The others have none.
  stateless,   ///< Anywhere; several activations of one key at a time.
  silo_bound,  ///< On the silo that the key names: up to its first '/', or all of it.
  labels,      ///< On a silo that has all of the type's labels.
};

/// One method of an actor interface.
struct method_info {
  std::string_view name;       ///< snake_case, as in URLs.
  std::uint16_t ordinal;       ///< The schema's `@n`.
  method_admission admission;  ///< Beside what it runs.
  bool one_way;                ///< The caller gets no answer.
  bool internal;               ///< For other actors only; the HTTP API refuses it.
  std::uint32_t timeout_ms;    ///< The deadline of a call that names none.

  capnp::StructSchema (*params)();   ///< For JSON and introspection.
  capnp::StructSchema (*results)();  ///< The empty struct when there are none.
};

/// One actor interface.
struct interface_info {
  std::string_view type;          ///< The actor type's name.
  std::string_view group;         ///< Partition group; the type unless the schema says otherwise.
  std::string_view affinity;      ///< Delimiter of the affinity key; empty: the whole key.
  std::uint32_t idle_timeout_ms;  ///< Of its activations; 0: what the silo's options say.
  actor_placement placement;      ///< `partition` unless the schema says otherwise.
  std::uint16_t workers_max;      ///< Of `stateless`, a key and silo; 0: one a thread.
  std::string_view labels;        ///< Of `labels`; joined by ','.
  std::span<const method_info> methods;  ///< By ordinal, without gaps.

  /// The method of that snake_case name; null when there is none.
  [[nodiscard]] const method_info* find(std::string_view method_name) const noexcept {
    for (const auto& each : methods) {
      if (each.name == method_name) {
        return &each;
      }
    }
    return nullptr;
  }
};

/// The deadline of calls to methods whose schema names none.
inline constexpr std::uint32_t call_timeout_ms_default = 30'000;

}  // namespace millrace::runtime
