// SPDX-License-Identifier: MIT
// Durable state as it comes from its rows.
#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "activation/durable_state.h"
#include "byte_order.h"

namespace millrace::runtime::detail {

namespace {

// The words of a root or a record; nothing when they are damaged. Ownership: a view of `stored` or
// of `unpacked`, which it fills if need be.
std::optional<std::string_view> words_of(std::string_view stored, bool compressed,
                                         std::string& unpacked) {
  if (!compressed) {
    return stored.size() % sizeof(capnp::word) == 0 ? std::optional{stored} : std::nullopt;
  }
  auto content = decompress_words(stored);
  if (!content) {
    return std::nullopt;
  }
  unpacked = *std::move(content);
  return unpacked;
}

}  // namespace

stored_send read_send(value_reader& from) {
  stored_send what;
  what.method = from.u16();
  what.timeout_ms = from.u32();
  auto target = from.id();
  what.type = std::move(target.type);
  what.key = std::move(target.key);
  what.params = from.bytes(from.u32());
  return what;
}

std::span<const row_range> durable_state::rows_to_load() {
  static const auto parts = [] {
    std::array<row_range, 3> made;
    auto& answers = made[1];
    answers.prefix = static_cast<char>(row_table::keyed);
    answers.limit = keyed_answers::first_rows;
    answers.value_bytes_max = keyed_answers::first_bytes;
    made[0].until = answers.prefix;
    made[2].from = static_cast<char>(static_cast<char>(row_table::keyed) + 1);
    return made;
  }();
  return parts;
}

result<void> durable_state::load(std::vector<row>&& rows, wall_time now) {
  std::vector<row> answers;
  for (auto& each : rows) {
    const std::string_view key = each.key;
    if (key.size() > actor_prefix_bytes + 2 &&
        key[actor_prefix_bytes] == static_cast<char>(row_table::keyed)) {
      answers.push_back(std::move(each));
      continue;
    }
    if (key.size() <= actor_prefix_bytes || each.value.size() < 8 ||
        !load_row(static_cast<row_table>(key[actor_prefix_bytes]),
                  key.substr(actor_prefix_bytes + 1), each.value)) {
      return error{errc::storage_failed, "a stored row of " + std::string{type_} + "/" + key_ +
                                             " cannot be read; was it written by a newer version?"};
    }
  }
  if (auto understood = load_answers(answers, now); !understood) {
    return understood;
  }
  if (extras_) {
    extras_->loaded_version = version_;
  }
  // The first commit of an actor writes its root, so rows without one have lost it.
  if (!rows.empty() && !stored_) {
    return error{errc::storage_failed, "the root of " + std::string{type_} + "/" + key_ +
                                           " is missing under rows that exist; `millrace check` "
                                           "says what else is, `millrace restore` puts back a "
                                           "backup"};
  }
  untidy_ = untidy_ || may_vanish();
  return {};
}

bool durable_state::load_row(row_table table, std::string_view rest, std::string_view value) {
  value_reader from{value};
  const auto start = from.u64();
  const auto row_version = start & ~compressed_flag;
  const auto compressed = start != row_version;
  if (compressed && table != row_table::root && table != row_table::map) {
    return false;
  }
  version_ = std::max(version_, row_version);
  switch (table) {
    case row_table::root:
      return load_root(from, compressed);
    case row_table::map:
      return load_record(rest, from.rest(), compressed, row_version);
    case row_table::reminder:
      return load_reminder(rest, from);
    case row_table::outbox:
    case row_table::dead:
      return load_send(table, rest, from);
    case row_table::version:
      return from.ok();
    case row_table::inbox:
      return load_received(rest, from);
    case row_table::keyed:
      return false;  // one without a key; the others are `keyed_answers`'
  }
  return false;
}

bool durable_state::load_root(value_reader& from, bool compressed) {
  const auto id = from.id();
  stored_ = true;
  if (from.rest() == erased_mark) {
    erased_ = true;
    return id.type == type_ && id.key == key_;
  }
  std::string unpacked;
  const auto flat = words_of(from.rest(), compressed, unpacked);
  if (id.type != type_ || id.key != key_ || !flat) {
    return false;
  }
  if (!flat->empty()) {
    root_bytes_ = flat->size();
    root_ = message_body::from_flat(*flat);
    recount(root_counted_, sizeof(message_body) + root_bytes_);
  }
  return from.ok();
}

bool durable_state::load_record(std::string_view rest, std::string_view stored, bool compressed,
                                std::uint64_t row_version) {
  const auto name_size = rest.empty() ? std::size_t{0} : static_cast<unsigned char>(rest[0]);
  std::string unpacked;
  const auto flat = words_of(stored, compressed, unpacked);
  if (rest.size() < 1 + name_size || !flat) {
    return false;
  }
  const auto name = rest.substr(1, name_size);
  for (auto* map = maps_; map != nullptr; map = map->next_map_) {
    if (map->name_ == name) {
      map_base::record loaded;
      loaded.committed = flat->empty() ? content_ref{} : content_ref::of_words(*flat);
      loaded.version = row_version;
      recount(loaded.counted, entry_bytes + rest.size() + flat->size());
      map->records_.emplace_hint(map->records_.end(), rest.substr(1 + name_size),
                                 std::move(loaded));
      ++map->live_;
      return true;
    }
  }
  // A map that the class no longer has is kept as it is.
  bytes_ += entry_bytes + rest.size();
  more().strangers.emplace_back(rest);
  return true;
}

bool durable_state::load_reminder(std::string_view rest, value_reader& from) {
  stored_reminder one;
  one.due = wall_time{duration{from.i64()}};
  one.every = duration{from.i64()};
  if (!from.rest().empty()) {  // earlier rows end here
    one.catch_up = static_cast<catch_up>(from.u16());
    one.time_zone = from.bytes(from.u16());
    one.cron = from.rest();
  }
  bytes_ += entry_bytes;
  more().reminders[std::string{rest}] = std::move(one);
  extras_->duties = true;
  return from.ok();
}

bool durable_state::load_send(row_table table, std::string_view rest, value_reader& from) {
  auto what = read_send(from);
  if (rest.size() != 8 || !from.ok()) {
    return false;
  }
  const auto number = load_big<std::uint64_t>(rest.data());
  bytes_ += bytes_of(what);
  if (table == row_table::dead) {
    more().dead.emplace(number, stored_dead_letter{std::move(what), std::string{from.rest()}});
  } else {
    more().outbox.emplace(number, std::move(what));
    extras_->outbox_indexed = extras_->duties = true;
  }
  return true;
}

bool durable_state::load_received(std::string_view rest, value_reader& from) {
  if (rest.size() == partition_key_bytes) {
    bytes_ += entry_bytes;
    more().sender_epochs[partition_id{load_big<std::uint16_t>(rest.data())}] = from.u64();
    return from.ok();
  }
  received_mark what{from.u64(), std::string{from.rest()}};
  bytes_ += entry_bytes + what.failure.size();
  more().inbox[std::string{rest}] = std::move(what);
  return from.ok();
}

}  // namespace millrace::runtime::detail
