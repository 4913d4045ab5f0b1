// SPDX-License-Identifier: MIT
#include "partition/journal_entry.h"

#include <xxhash.h>

#include <cstring>

#include "byte_order.h"

namespace millrace::runtime {
namespace {

constexpr std::size_t head_bytes = 2 + 4 * 8;
constexpr std::size_t digest_bytes = 8;
static_assert(head_bytes + digest_bytes == journal_entry_overhead_bytes);

}  // namespace

std::uint64_t encode_entry(const journal_entry& entry, std::string& out) {
  const auto start = out.size();
  out.resize(start + head_bytes);
  auto* at = out.data() + start;
  store_little(at, static_cast<std::uint16_t>(entry.partition));
  store_little(at + 2, entry.epoch);
  store_little(at + 10, entry.seq);
  store_little(at + 18, entry.prev_epoch);
  store_little(at + 26, entry.prev_digest);
  out.append(entry.ops);
  const std::uint64_t digest = XXH3_64bits(out.data() + start, out.size() - start);
  append_little(out, digest);
  return digest;
}

result<journal_entry> decode_entry(std::string_view encoded) {
  if (encoded.size() < journal_entry_overhead_bytes) {
    return error{errc::storage_failed, "a journal entry is shorter than its header"};
  }
  const auto covered = encoded.size() - digest_bytes;
  const auto* at = encoded.data();
  journal_entry entry;
  entry.digest = load_little<std::uint64_t>(at + covered);
  if (entry.digest != XXH3_64bits(at, covered)) {
    return error{errc::storage_failed, "a journal entry does not match its digest"};
  }
  entry.partition = static_cast<partition_id>(load_little<std::uint16_t>(at));
  entry.epoch = load_little<std::uint64_t>(at + 2);
  entry.seq = load_little<std::uint64_t>(at + 10);
  entry.prev_epoch = load_little<std::uint64_t>(at + 18);
  entry.prev_digest = load_little<std::uint64_t>(at + 26);
  entry.ops = encoded.substr(head_bytes, covered - head_bytes);
  return entry;
}

}  // namespace millrace::runtime
