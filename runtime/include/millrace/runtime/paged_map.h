// SPDX-License-Identifier: MIT
// `paged_map<T>`: a named map of structs that is read by page, for what grows without end.
//
// A member of the actor, like a `state_map`, and its records are committed with the other changes
// of a turn. But they are not loaded with the activation and not kept in memory: a read goes to
// storage, so the actor waits for it, and its cost depends on the page and not on the map.
//
//     class journal final : public journal_base<JournalState> {
//       paged_map<Entry> entries_{*this, "entries"};
//       ... const auto page = co_await entries_.page("2026-11", 100);
//     };
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/runtime/actor.h"

namespace millrace::runtime {

class storage;

namespace detail {

/// The untyped half of a paged map.
class paged_map_base {
public:
  using schema_source = capnp::StructSchema (*)();
  paged_map_base(actor_base& owner, std::string name, schema_source schema);

  void put(std::string_view key, std::string_view flat);
  void erase(std::string_view key);

  /// Where its rows lie, for a read on another thread.
  struct place {
    storage* rows;
    partition_id partition;
    std::string prefix;
  };
  [[nodiscard]] place where() const;

private:
  void check_key(std::string_view key) const;
  std::string name_;
  activation* activation_;
};

/// Records as they are stored.
struct paged_rows {
  std::vector<std::pair<std::string, std::string>> rows;  ///< Key, words.
  bool more = false;
};

/// Blocks. Errors, thrown: those of storage; `storage_failed` for what cannot be read.
[[nodiscard]] paged_rows read_page(const paged_map_base::place& where, const std::string& from,
                                   std::size_t limit);

}  // namespace detail

/// See above. Threading: as the actor.
template <class T>
class paged_map {
public:
  /// The most bytes of records in one page; it may be passed by the last one.
  static constexpr std::size_t page_bytes_max = std::size_t{4} << 20U;

  /// A record with its key.
  struct entry {
    std::string key;     ///< In the map.
    message<T> content;  ///< The record.
  };
  /// A part of the map.
  struct page_of_entries {
    std::vector<entry> entries;  ///< In key order.
    bool more = false;           ///< There are records behind the last of them.
  };

  /// `name`: as for `state_map`, and no other map of the actor has it.
  paged_map(actor_base& owner, std::string name)
      : base_(owner, std::move(name),
              [] { return capnp::StructSchema{capnp::Schema::from<T>()}; }) {}

  /// Makes the record `content`, whether or not there was one; stored with this turn's changes.
  /// Requires: key is 1 to `map_key_bytes_max` bytes. Errors: `too_large` ends the coroutine.
  void put(std::string_view key, const message<T>& content) {
    base_.put(key, content.content().flat());
  }
  /// No effect when absent; with this turn's changes.
  void erase(std::string_view key) { base_.erase(key); }

  /// `co_await map.get(key)`: the record, with what this actor has changed by now; nothing when it
  /// is absent. Errors and cost: those of `offload`, and of a read from storage.
  [[nodiscard]] async<std::optional<message<T>>> get(std::string key) {
    auto found = co_await offload(&detail::read_page, base_.where(), key, std::size_t{1});
    std::optional<message<T>> content;
    if (!found.rows.empty() && found.rows.front().first == key) {
      content.emplace(any_message::from_flat(found.rows.front().second));
    }
    co_return content;
  }

  /// `co_await map.page(from, limit)`: at most `limit` records with keys >= `from`.
  [[nodiscard]] async<page_of_entries> page(std::string from, std::size_t limit) {
    auto found = co_await offload(&detail::read_page, base_.where(), std::move(from), limit);
    page_of_entries made;
    made.more = found.more;
    for (auto& [key, words] : found.rows) {
      made.entries.push_back({std::move(key), message<T>{any_message::from_flat(words)}});
    }
    co_return made;
  }

private:
  detail::paged_map_base base_;
};

}  // namespace millrace::runtime
