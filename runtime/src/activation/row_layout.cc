// SPDX-License-Identifier: MIT
#include "activation/row_layout.h"

#include "byte_order.h"

namespace millrace::runtime::detail {

namespace {

void store_hash(char* to, const actor_hash& hash) {
  store_big(to, hash.high);
  store_big(to + 8, hash.low);
}

}  // namespace

std::string hash_bytes(const actor_hash& hash) {
  std::string bytes(16, '\0');
  store_hash(bytes.data(), hash);
  return bytes;
}

std::string number_bytes(std::uint64_t number) {
  std::string bytes(8, '\0');
  store_big(bytes.data(), number);
  return bytes;
}

std::string partition_bytes(partition_id partition) {
  std::string bytes(partition_key_bytes, '\0');
  store_big(bytes.data(), static_cast<std::uint16_t>(partition));
  return bytes;
}

std::string actor_prefix(const actor_hash& hash) {
  std::string key(actor_prefix_bytes, '\0');
  store_hash(key.data() + 1, hash);
  return key;
}

void append_actor_row(std::string& key, const actor_hash& hash, row_table table,
                      std::string_view rest) {
  const auto begin = key.size();
  key.resize(begin + actor_prefix_bytes);
  store_hash(key.data() + begin + 1, hash);
  key += static_cast<char>(table);
  key += rest;
}

std::string actor_row(const actor_hash& hash, row_table table, std::string_view rest) {
  std::string key;
  key.reserve(actor_prefix_bytes + 1 + rest.size());
  append_actor_row(key, hash, table, rest);
  return key;
}

std::string map_row_rest(std::string_view name, std::string_view key) {
  std::string rest(1, static_cast<char>(name.size()));
  rest += name;
  rest += key;
  return rest;
}

std::string reminder_index_row(const actor_hash& hash, wall_time due, std::string_view name) {
  std::string key{reminder_index_prefix};
  key += number_bytes(static_cast<std::uint64_t>(due.time_since_epoch().count()));
  key += hash_bytes(hash);
  key += name;
  return key;
}

std::optional<reminder_index_key> parse_reminder_index(std::string_view key) {
  constexpr std::size_t fixed = 1 + 8 + 16;
  if (key.size() < fixed) {
    return std::nullopt;
  }
  const auto due = static_cast<std::int64_t>(load_big<std::uint64_t>(key.data() + 1));
  return reminder_index_key{wall_time{duration{due}}, std::string{key.substr(fixed)}};
}

std::string outbox_index_row(const actor_hash& hash) {
  return std::string{outbox_index_prefix} + hash_bytes(hash);
}

std::string dead_index_row(const actor_hash& hash, std::uint64_t number) {
  return std::string{dead_index_prefix} + hash_bytes(hash) + number_bytes(number);
}

std::string paged_row(const actor_hash& hash, std::string_view map, std::string_view key) {
  return "\5" + hash_bytes(hash) + map_row_rest(map, key);
}

void append_id(std::string& out, std::string_view type, std::string_view key) {
  out += static_cast<char>(type.size());
  out += type;
  out += static_cast<char>(key.size());
  out += key;
}

std::string_view value_reader::bytes(std::size_t count) noexcept {
  if (count > rest_.size()) {
    ok_ = false;
    rest_ = {};
    return {};
  }
  const auto taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

std::uint64_t value_reader::u64() noexcept {
  const auto taken = bytes(8);
  return taken.empty() ? 0 : load_little<std::uint64_t>(taken.data());
}

std::uint32_t value_reader::u32() noexcept {
  const auto taken = bytes(4);
  return taken.empty() ? 0 : load_little<std::uint32_t>(taken.data());
}

std::uint16_t value_reader::u16() noexcept {
  const auto taken = bytes(2);
  return taken.empty() ? std::uint16_t{0} : load_little<std::uint16_t>(taken.data());
}

actor_id value_reader::id() {
  const auto text = [this] {
    const auto size = bytes(1);
    return std::string{bytes(size.empty() ? 0 : static_cast<unsigned char>(size[0]))};
  };
  auto type = text();
  auto key = text();
  return {std::move(type), std::move(key)};
}

}  // namespace millrace::runtime::detail
