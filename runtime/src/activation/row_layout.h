// SPDX-License-Identifier: MIT
// Row layout: how an actor's state lies in the rows of its partition. Part of the disk contract.
//
// Keys (`hash` is the 16 bytes of the actor's hash, numbers in keys are big-endian):
//
//     0 hash R                      root       version, id, words (see record_words.h); a zero byte
//                                              in their place: erased, see actor_base::erase_state
//     0 hash M u8 name-bytes name k map        version, words of record k
//     0 hash T name                 reminder   version, due, every, u16 catch-up, u16 zone-bytes,
//                                              zone, cron
//     0 hash O u64 number           outbox     version, method, timeout, target, flat words
//     0 hash D u64 number           dead       as outbox, then the error
//     0 hash I sender-hash          inbox      version, number of the last delivery
//     0 hash I u16 partition        inbox      version, epoch of that partition: what its actors
//                                              have sent under an earlier one is over
//     0 hash K u16 method key       keyed call version, request hash, expiry, flat words
//     0 hash K u16 zero             mark       version, zeros for hash and expiry, and where the
//                                              next pass goes on: see docs/architecture/0058
//     0 hash V                      version    version, when a commit writes none of the above
//     1 u64 due, hash, name         reminders by time    id
//     2 hash                        actors with an outbox  id
//     3 hash u64 number             dead letters  id
//     4                             version that no actor which was erased was above
//     5 hash u8 name-bytes name k   paged map  version, words of record k
//
// An activation reads what lies below `0 hash`, of keyed calls the first rows only; the others it
// reads one by one, and page by page to erase what has expired. Sections 1, 2 and 4 are read when a
// silo starts, section 3 when somebody asks, section 5 page by page. Every value of section 0
// starts with the version of the commit that wrote it; the actor's version is the highest of them.
// A commit that writes an answer of a keyed call writes the version elsewhere, too. An id is
// `u8 type-bytes, type, u8 key-bytes, key`; other numbers in values are little-endian.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/ids.h"

namespace millrace::runtime::detail {

enum class row_table : char {
  root = 'R',
  map = 'M',
  reminder = 'T',
  outbox = 'O',
  dead = 'D',
  inbox = 'I',
  keyed = 'K',
  version = 'V',
};

inline constexpr std::size_t actor_prefix_bytes = 17;

/// What a record, a reminder, a send or a remembered answer takes in memory beside its content: a
/// node of a map with its key.
inline constexpr std::size_t entry_bytes = 128;

/// Instead of the words of a root. Words are whole.
inline constexpr std::string_view erased_mark{"\0", 1};

[[nodiscard]] std::string actor_prefix(const actor_hash& hash);
void append_actor_row(std::string& key, const actor_hash& hash, row_table table,
                      std::string_view rest = {});
[[nodiscard]] std::string actor_row(const actor_hash& hash, row_table table,
                                    std::string_view rest = {});
/// What follows `M` for record `key` of a map.
[[nodiscard]] std::string map_row_rest(std::string_view name, std::string_view key);
[[nodiscard]] std::string hash_bytes(const actor_hash& hash);
[[nodiscard]] std::string number_bytes(std::uint64_t number);
/// Its size tells it from the hash of a sender.
[[nodiscard]] std::string partition_bytes(partition_id partition);
inline constexpr std::size_t partition_key_bytes = 2;

inline constexpr std::string_view reminder_index_prefix{"\1", 1};
inline constexpr std::string_view outbox_index_prefix{"\2", 1};
[[nodiscard]] std::string reminder_index_row(const actor_hash& hash, wall_time due,
                                             std::string_view name);
[[nodiscard]] std::string outbox_index_row(const actor_hash& hash);

inline constexpr std::string_view dead_index_prefix{"\3", 1};
[[nodiscard]] std::string dead_index_row(const actor_hash& hash, std::uint64_t number);

inline constexpr std::string_view version_floor_row{"\4", 1};

/// Record `key` of a paged map; of an empty key what all of its keys begin with.
[[nodiscard]] std::string paged_row(const actor_hash& hash, std::string_view map,
                                    std::string_view key);

/// A parsed `reminder_index_row`.
struct reminder_index_key {
  wall_time due;
  std::string name;
};
[[nodiscard]] std::optional<reminder_index_key> parse_reminder_index(std::string_view key);

void append_id(std::string& out, std::string_view type, std::string_view key);

/// Reads values front to back. After a read past the end `ok()` is false and reads give zeros.
class value_reader {
public:
  explicit value_reader(std::string_view value) noexcept : rest_(value) {}
  [[nodiscard]] std::uint64_t u64() noexcept;
  [[nodiscard]] std::int64_t i64() noexcept { return static_cast<std::int64_t>(u64()); }
  [[nodiscard]] std::uint32_t u32() noexcept;
  [[nodiscard]] std::uint16_t u16() noexcept;
  [[nodiscard]] actor_id id();
  [[nodiscard]] std::string_view bytes(std::size_t count) noexcept;
  [[nodiscard]] std::string_view rest() const noexcept { return rest_; }
  [[nodiscard]] bool ok() const noexcept { return ok_; }

private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace millrace::runtime::detail
