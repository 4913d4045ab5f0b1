// SPDX-License-Identifier: MIT
#include "storage/backup_stream.h"

#include <xxhash.h>

#include <array>

#include "byte_order.h"
#include "millrace/runtime/storage.h"

namespace millrace::runtime {
namespace {

constexpr std::string_view magic = "millrace-backup 1\n";
constexpr std::string_view magic_of_any_version = "millrace-backup ";
constexpr std::size_t head_bytes = 1 + 4 + 8;
constexpr std::size_t row_head_bytes = 2 + 2 + 4;
constexpr std::size_t chunk_bytes = std::size_t{1} << 18U;
// A chunk ends with the row that fills it.
constexpr std::size_t chunk_bytes_max =
    chunk_bytes + row_head_bytes + row_key_bytes_max + row_value_bytes_max;

std::uint64_t chain_of(char kind, std::string_view payload, std::uint64_t before) {
  return XXH3_64bits_withSeed(payload.data(), payload.size(),
                              before + static_cast<unsigned char>(kind));
}

error broken(std::string what) {
  return error{errc::storage_failed,
               "the backup is damaged: " + std::move(what) + "; use another one"};
}

// Fills `to` to the end; false when the source ended before its first byte.
result<bool> fill(const byte_source& source, char* to, std::size_t size) {
  for (std::size_t have = 0; have < size;) {
    const auto got = source(to + have, size - have);
    if (!got) {
      return got.error();
    }
    if (*got == 0) {
      if (have == 0) {
        return false;
      }
      return broken("it ends within a piece, so it was cut short");
    }
    have += *got;
  }
  return true;
}

class reader {
public:
  explicit reader(const byte_source& source) : source_(source) {}

  result<void> read_magic() {
    std::array<char, magic.size()> found{};
    const auto got = fill(source_, found.data(), found.size());
    const std::string_view text{found.data(), found.size()};
    if (got && *got && text == magic) {
      return {};
    }
    if (got && *got && text.starts_with(magic_of_any_version)) {
      return error{errc::invalid_argument,
                   "the backup is of a newer version; use the program that wrote it"};
    }
    return got || got.error().code() == errc::storage_failed
               ? error{errc::invalid_argument, "this is no backup of millrace"}
               : got.error();
  }

  // The next chunk's kind; its payload is in `payload`.
  result<char> next() {
    std::array<char, head_bytes> head{};
    const auto got = fill(source_, head.data(), head.size());
    if (!got) {
      return got.error();
    }
    if (!*got) {
      return broken("its end is missing, so it was cut short");
    }
    const auto size = load_little<std::uint32_t>(head.data() + 1);
    if (size > chunk_bytes_max) {
      return broken("a piece is larger than one can be");
    }
    payload.resize(size);
    const auto rest = fill(source_, payload.data(), size);
    if (!rest) {
      return rest.error();
    }
    chain_ = chain_of(head[0], payload, chain_);
    if ((size > 0 && !*rest) || chain_ != load_little<std::uint64_t>(head.data() + 5)) {
      return broken("a piece does not match its checksum");
    }
    return head[0];
  }

  result<void> parse_rows(std::uint16_t partition_count, std::vector<backup_row>& rows) const {
    rows.clear();
    std::string_view rest = payload;
    while (!rest.empty()) {
      if (rest.size() < row_head_bytes) {
        return broken("a row is cut short");
      }
      const auto partition = load_little<std::uint16_t>(rest.data());
      const std::size_t key_bytes = load_little<std::uint16_t>(rest.data() + 2);
      const std::size_t value_bytes = load_little<std::uint32_t>(rest.data() + 4);
      rest.remove_prefix(row_head_bytes);
      if (partition >= partition_count || key_bytes > row_key_bytes_max ||
          rest.size() < key_bytes || rest.size() - key_bytes < value_bytes) {
        return broken("a row has an impossible size or partition");
      }
      rows.push_back({static_cast<partition_id>(partition), rest.substr(0, key_bytes),
                      rest.substr(key_bytes, value_bytes)});
      rest.remove_prefix(key_bytes + value_bytes);
    }
    return {};
  }

  std::string payload;

private:
  const byte_source& source_;
  std::uint64_t chain_ = 0;
};

}  // namespace

bool ends_a_backup(std::string_view last) noexcept {
  return last.size() == backup_end_bytes && last[0] == 'E' &&
         load_little<std::uint32_t>(last.data() + 1) == 16;
}

result<void> backup_writer::flush(char kind) {
  chain_ = chain_of(kind, payload_, chain_);
  std::string head(1, kind);
  append_little(head, static_cast<std::uint32_t>(payload_.size()));
  append_little(head, chain_);
  if (auto sent = sink_(head); !sent) {
    return sent;
  }
  if (auto sent = sink_(payload_); !sent) {
    return sent;
  }
  payload_.clear();
  return {};
}

result<void> backup_writer::begin(std::uint16_t partition_count) {
  if (auto sent = sink_(magic); !sent) {
    return sent;
  }
  append_little(payload_, partition_count);
  return flush('H');
}

result<void> backup_writer::add(partition_id partition, std::string_view key,
                                std::string_view value) {
  append_little(payload_, static_cast<std::uint16_t>(partition));
  append_little(payload_, static_cast<std::uint16_t>(key.size()));
  append_little(payload_, static_cast<std::uint32_t>(value.size()));
  payload_.append(key);
  payload_.append(value);
  ++rows_;
  bytes_ += key.size() + value.size();
  return payload_.size() < chunk_bytes ? result<void>{} : flush('R');
}

result<void> backup_writer::finish() {
  if (!payload_.empty()) {
    if (auto sent = flush('R'); !sent) {
      return sent;
    }
  }
  append_little(payload_, rows_);
  append_little(payload_, bytes_);
  return flush('E');
}

result<restored_rows> read_backup(
    const byte_source& source, const std::function<result<void>(std::uint16_t)>& begin,
    const std::function<result<void>(const std::vector<backup_row>&)>& take) {
  reader from{source};
  if (auto ours = from.read_magic(); !ours) {
    return ours.error();
  }
  auto kind = from.next();
  if (!kind) {
    return kind.error();
  }
  restored_rows found;
  if (*kind == 'H' && from.payload.size() == 2) {
    found.partition_count = load_little<std::uint16_t>(from.payload.data());
  }
  if (found.partition_count == 0) {
    return broken("it does not begin as one");
  }
  if (auto begun = begin(found.partition_count); !begun) {
    return begun.error();
  }
  std::vector<backup_row> rows;
  for (kind = from.next(); kind && *kind == 'R'; kind = from.next()) {
    if (auto parsed = from.parse_rows(found.partition_count, rows); !parsed) {
      return parsed.error();
    }
    for (const auto& each : rows) {
      ++found.rows;
      found.bytes += each.key.size() + each.value.size();
    }
    if (auto taken = take(rows); !taken) {
      return taken.error();
    }
  }
  if (!kind) {
    return kind.error();
  }
  if (*kind != 'E' || from.payload.size() != 16 ||
      load_little<std::uint64_t>(from.payload.data()) != found.rows ||
      load_little<std::uint64_t>(from.payload.data() + 8) != found.bytes) {
    return broken("it has other rows than its end says");
  }
  return found;
}

}  // namespace millrace::runtime
