// SPDX-License-Identifier: MIT
#include <cstring>
#include <utility>

#include "byte_order.h"
#include "millrace/runtime/storage.h"
#include "storage/row_codec.h"

namespace millrace::runtime {
namespace {

constexpr std::size_t op_head_bytes = 1 + 2 + 4;

// Appends head and key, and room for the value; returns where the value goes.
char* append_op(std::string& out, row_op_kind kind, std::string_view key, std::size_t value_bytes) {
  MILLRACE_ASSERT(key.size() <= row_key_bytes_max);
  MILLRACE_ASSERT(value_bytes <= row_value_bytes_max);
  const auto start = out.size();
  out.resize(start + op_head_bytes + key.size() + value_bytes);
  auto* at = out.data() + start;
  *at = static_cast<char>(kind);
  store_little(at + 1, static_cast<std::uint16_t>(key.size()));
  store_little(at + 3, static_cast<std::uint32_t>(value_bytes));
  if (!key.empty()) {
    std::memcpy(at + op_head_bytes, key.data(), key.size());
  }
  return at + op_head_bytes + key.size();
}

}  // namespace

row_range row_range::one(std::string key) {
  row_range range;
  range.from = key;
  range.until = key + '\0';  // the next key that there can be
  range.prefix = std::move(key);
  range.limit = 1;
  return range;
}

void row_ops::put(std::string_view key, std::string_view value) {
  auto* at = append_op(encoded_, row_op_kind::put, key, value.size());
  if (!value.empty()) {
    std::memcpy(at, value.data(), value.size());
  }
}

void row_ops::erase(std::string_view key) {
  append_op(encoded_, row_op_kind::erase, key, 0);
}

char* row_ops::put_uninitialized(std::string_view key, std::size_t size) {
  return append_op(encoded_, row_op_kind::put, key, size);
}

result<void> row_ops::for_each(std::string_view encoded,
                               const std::function<void(std::string_view, std::string_view)>& put,
                               const std::function<void(std::string_view)>& erase) {
  row_op_cursor cursor{encoded};
  row_op op;
  while (cursor.next(op)) {
    if (op.kind == row_op_kind::put) {
      put(op.key, op.value);
    } else {
      erase(op.key);
    }
  }
  if (!cursor.well_formed()) {
    return error{errc::storage_failed, "the encoded rows of a commit are malformed"};
  }
  return {};
}

bool row_op_cursor::next(row_op& op) noexcept {
  if (rest_.empty() || !well_formed_) {
    return false;
  }
  well_formed_ = false;
  if (rest_.size() < op_head_bytes) {
    return false;
  }
  const auto kind = static_cast<row_op_kind>(rest_[0]);
  const std::size_t key_bytes = load_little<std::uint16_t>(rest_.data() + 1);
  const std::size_t value_bytes = load_little<std::uint32_t>(rest_.data() + 3);
  if ((kind != row_op_kind::put && kind != row_op_kind::erase) || key_bytes > row_key_bytes_max ||
      value_bytes > row_value_bytes_max || (kind == row_op_kind::erase && value_bytes != 0) ||
      rest_.size() - op_head_bytes < key_bytes + value_bytes) {
    return false;
  }
  op.kind = kind;
  op.key = rest_.substr(op_head_bytes, key_bytes);
  op.value = rest_.substr(op_head_bytes + key_bytes, value_bytes);
  rest_.remove_prefix(op_head_bytes + key_bytes + value_bytes);
  well_formed_ = true;
  return true;
}

}  // namespace millrace::runtime
