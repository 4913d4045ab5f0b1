// SPDX-License-Identifier: MIT
// `state_map<T>`: a named map of structs in an actor's durable state.
//
// A member of the actor. Each record is a row of its own, so changing one record writes one record,
// whatever the size of the map. Records are loaded with the activation and kept in memory in their
// flat form.
//
//     class run final : public run_base<RunState> {
//       state_map<TaskRecord> tasks_{*this, "tasks"};
//       ... tasks_.edit("compile").setState(TaskState::DONE);
//     };
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include <capnp/serialize.h>

#include "millrace/runtime/actor.h"
#include "millrace/runtime/record_content.h"

namespace millrace::runtime {

namespace detail {

/// The untyped half of a map: its records in memory and what changed since the last commit.
class map_base {
public:
  using schema_source = capnp::StructSchema (*)();
  map_base(actor_base& owner, std::string name, schema_source schema);
  map_base(const map_base&) = delete;
  map_base& operator=(const map_base&) = delete;
  ~map_base() = default;

  struct record {
    content_ref committed;      ///< Its words; none: default values, or never committed.
    content_ref edited;         ///< Set between an edit and the commit that takes it.
    std::uint64_t version = 0;  ///< Of the commit that wrote it; 0: none yet.
    std::size_t counted = 0;    ///< Its part of what the activation holds.
    bool dirty = false;
    bool listed = false;   ///< In `dirty_`, behind what is counted.
    bool erased = false;   ///< It is here until the next commit only.
    bool touched = false;  ///< By the turn that runs: what it was is kept, see state_undo.h.
  };
  /// By key.
  using record_map = std::map<std::string, record, std::less<>>;

  /// Live records only.
  [[nodiscard]] const record* find(std::string_view key) const;
  /// The message of the record to be changed, made if absent; `fresh` tells which. Checks the key
  /// and the turn.
  message_body& change(std::string_view key, bool& fresh);
  void erase(std::string_view key);
  void erase_all();
  void require_version(std::string_view key, std::uint64_t expected) const;
  [[nodiscard]] std::size_t size() const noexcept { return live_; }
  [[nodiscard]] const record_map& records() const noexcept { return records_; }

private:
  friend class activation;
  friend class durable_state;
  std::string name_;
  schema_source schema_;
  activation* activation_;
  map_base* next_map_ = nullptr;  // the activation's list
  void list_changed(record_map::iterator one);
  record_map records_;
  std::vector<record_map::iterator> dirty_;  // in order of change; some are there several times
  std::size_t counted_ = 0;                  // of `dirty_`, for the size of the next commit
  std::size_t live_ = 0;
};

}  // namespace detail

/// A reader of a record which keeps what it reads: the record as it was when it was got.
///
/// Valid as long as it or a copy of it lives, over suspensions too, whatever becomes of the record.
/// A plain `T::Reader` that is made from it, or got from it (a list, a text), lives as long as it.
template <class T>
class record_reader : public T::Reader {
public:
  /// For `state_map`.
  record_reader(typename T::Reader reader, detail::content_ref content) noexcept
      : T::Reader(reader), content_(std::move(content)) {}

  /// The plain reader. It lives as long as this, or as the record stays as it is.
  [[nodiscard]] const typename T::Reader& reader() const noexcept { return *this; }

private:
  detail::content_ref content_;
};

/// See above. Threading: as the actor.
template <class T>
class state_map {
public:
  /// `name`: stands in storage keys, so it never changes; at most `name_bytes_max` bytes.
  state_map(actor_base& owner, std::string name)
      : base_(owner, std::move(name),
              [] { return capnp::StructSchema{capnp::Schema::from<T>()}; }) {}

  /// The record as it is now, or nothing. It may be kept over a `co_await`: it does not change with
  /// the record.
  [[nodiscard]] std::optional<record_reader<T>> get(std::string_view key) const {
    const auto* found = base_.find(key);
    if (found == nullptr) {
      return std::nullopt;
    }
    return record_reader<T>{read(*found), found->edited ? found->edited : found->committed};
  }

  /// Whether the record is there. Cost: O(log n).
  [[nodiscard]] bool contains(std::string_view key) const { return base_.find(key) != nullptr; }

  /// The record to be changed, made with default values if absent. Call again after a `co_await`
  /// and after a `get` of the record. Requires: key is 1 to `map_key_bytes_max` bytes.
  [[nodiscard]] typename T::Builder edit(std::string_view key) {
    bool fresh = false;
    auto& body = base_.change(key, fresh);
    return fresh ? body.template initRoot<T>() : body.template getRoot<T>();
  }

  /// Makes the record, with default values, unless it is there: for a map that is a set of keys.
  /// Gives whether it was made. Requires: as for `edit`.
  bool insert(std::string_view key) {
    if (contains(key)) {
      return false;
    }
    std::ignore = edit(key);
    return true;
  }

  /// Makes the record a copy of `content`. Requires: as for `edit`.
  void put(std::string_view key, typename T::Reader content) {
    message_body copy;  // first: it may be a reader of this record
    copy.setRoot(content);
    bool fresh = false;
    base_.change(key, fresh).setRoot(copy.template getRoot<T>().asReader());
  }

  /// No effect when absent.
  void erase(std::string_view key) { base_.erase(key); }

  /// The actor's version with which the record was last committed; 0 when absent or new.
  [[nodiscard]] std::uint64_t version(std::string_view key) const {
    const auto* found = base_.find(key);
    return found != nullptr ? found->version : 0;
  }

  /// For callers that change what they have read: ends the coroutine with `conflict` unless the
  /// record still has this version; 0: unless it is absent or new.
  void require_version(std::string_view key, std::uint64_t expected) const {
    base_.require_version(key, expected);
  }

  /// How many records there are.
  [[nodiscard]] std::size_t size() const noexcept { return base_.size(); }
  /// Whether there is none.
  [[nodiscard]] bool empty() const noexcept { return base_.size() == 0; }

  /// Calls `visit(key, reader)` for every record with key >= `from`, in key order, while it
  /// returns true. Requires: `visit` does not add or erase records.
  template <class Visit>
  void for_each(Visit&& visit, std::string_view from = {}) const {
    const auto& all = base_.records();
    for (auto at = all.lower_bound(from); at != all.end(); ++at) {
      if (!at->second.erased && !visit(std::string_view{at->first}, read(at->second))) {
        return;
      }
    }
  }

private:
  [[nodiscard]] static typename T::Reader read(const detail::map_base::record& from) {
    if (from.edited) {
      return from.edited->body()->template getRoot<T>().asReader();
    }
    if (!from.committed) {
      return typename T::Reader{};
    }
    return capnp::readMessageUnchecked<T>(
        reinterpret_cast<const capnp::word*>(from.committed->words().data()));
  }

  detail::map_base base_;
};

}  // namespace millrace::runtime
