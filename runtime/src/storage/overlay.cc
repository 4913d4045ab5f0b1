// SPDX-License-Identifier: MIT
#include "storage/overlay.h"

#include <algorithm>
#include <array>

#include "byte_order.h"
#include "millrace/runtime/storage.h"

namespace millrace::runtime {
namespace {

// What a row costs beside its key and value: the tree's node.
constexpr std::size_t row_overhead_bytes = 88;

// The first bytes of a key in two parts.
std::uint64_t head_of(std::string_view base, std::string_view rest) noexcept {
  std::array<char, sizeof(std::uint64_t)> first{};
  base = base.substr(0, first.size());
  auto* const to = std::copy(base.begin(), base.end(), first.data());
  rest = rest.substr(0, first.size() - base.size());
  std::copy(rest.begin(), rest.end(), to);
  return load_big<std::uint64_t>(first.data());
}

// The arena's first block; later ones grow.
constexpr std::size_t arena_bytes_first = std::size_t{64} << 10U;

}  // namespace

overlay_generation::overlay_generation(std::uint16_t partition_count) : arena_(arena_bytes_first) {
  for (std::uint16_t index = 0; index < partition_count; ++index) {
    shards_.emplace_back(&arena_);
  }
}

overlay_generation::row_key::row_key(std::string_view key) noexcept
    : head(head_of(key, {})), whole(key) {}

overlay_generation::key_parts::key_parts(std::string_view first, std::string_view behind) noexcept
    : head(head_of(first, behind)), base(first), rest(behind) {}

char* overlay_generation::keep(std::string_view bytes) {
  auto* to = static_cast<char*>(arena_.allocate(bytes.size(), 1));
  std::copy(bytes.begin(), bytes.end(), to);
  return to;
}

// What the arena has grown by.
std::size_t overlay_generation::write(stored_row& to, const row_op& op) {
  to.erased = op.kind == row_op_kind::erase;
  to.size = static_cast<std::uint32_t>(op.value.size());
  if (to.size <= to.capacity) {
    std::copy_n(op.value.data(), to.size, to.value);
    return 0;
  }
  // Room to grow, since what is abandoned stays in the arena; not for the first value.
  to.capacity = std::max(to.size, 2 * to.capacity);
  to.value = static_cast<char*>(arena_.allocate(to.capacity, 1));
  std::copy(op.value.begin(), op.value.end(), to.value);
  return to.capacity;
}

void overlay_generation::apply(partition_id partition, std::string_view ops) {
  auto& shard = shards_[static_cast<std::size_t>(partition)];
  row_op_cursor cursor{ops};
  row_op op;
  std::size_t added = 0;
  {
    const std::lock_guard lock{shard.mutex};
    while (cursor.next(op)) {
      auto at = shard.rows.lower_bound(row_key{op.key});
      if (at == shard.rows.end() || at->first.whole != op.key) {
        at = shard.rows.emplace_hint(at, row_key{{keep(op.key), op.key.size()}}, stored_row{});
        added += op.key.size() + row_overhead_bytes;
      }
      added += write(at->second, op);
    }
  }
  MILLRACE_ASSERT(cursor.well_formed());
  bytes_.fetch_add(added, std::memory_order_relaxed);
}

void overlay_generation::clear(partition_id partition) {
  auto& shard = shards_[static_cast<std::size_t>(partition)];
  const std::lock_guard lock{shard.mutex};
  shard.rows.clear();
}

void overlay_generation::collect(partition_id partition, std::span<const key_range> ranges,
                                 range_rows& rows) const {
  const auto& shard = shards_[static_cast<std::size_t>(partition)];
  const std::lock_guard lock{shard.mutex};
  const auto base = ranges.front().base;
  auto each = shard.rows.end();
  std::string_view rest;  // of its key, behind the base
  const auto is_below_base = [&] {
    const bool is_there = each != shard.rows.end() && each->first.whole.starts_with(base);
    rest = is_there ? each->first.whole.substr(base.size()) : std::string_view{};
    return is_there;
  };
  for (const auto& range : ranges) {
    if (&range == ranges.data() || rest < range.first()) {
      each = shard.rows.lower_bound(key_parts{base, range.first()});
      if (!is_below_base()) {
        return;  // nor is any that is behind it
      }
    }
    std::size_t live = 0;
    while (live < range.limit && range.holds(rest)) {
      const auto& [key, slot] = *each;
      const auto [at, added] = rows.try_emplace(std::string{key.whole});
      if (added && !slot.erased) {
        at->second.emplace(range.cut({slot.value, slot.size}));
        ++live;
      }
      ++each;
      if (!is_below_base()) {
        return;
      }
    }
  }
}

std::shared_ptr<overlay_generation> overlay_generation::copy() const {
  auto made = std::make_shared<overlay_generation>(static_cast<std::uint16_t>(shards_.size()));
  row_ops ops;
  for (const auto& each : changes()) {
    ops.clear();
    if (each.erased) {
      ops.erase(each.key);
    } else {
      ops.put(each.key, each.value);
    }
    made->apply(each.partition, ops.encoded());
  }
  return made;
}

std::vector<checkpoint_change> overlay_generation::changes() const {
  std::vector<checkpoint_change> changes;
  std::size_t count = 0;
  for (const auto& shard : shards_) {
    count += shard.rows.size();
  }
  changes.reserve(count);
  for (std::size_t index = 0; index < shards_.size(); ++index) {
    for (const auto& [key, slot] : shards_[index].rows) {
      checkpoint_change change;
      change.partition = static_cast<partition_id>(index);
      change.key = key.whole;
      change.erased = slot.erased;
      change.value = {slot.value, slot.size};
      changes.push_back(change);
    }
  }
  return changes;
}

overlay::overlay(std::uint16_t partition_count)
    : partition_count_(partition_count),
      active_(std::make_shared<overlay_generation>(partition_count)) {}

overlay_view overlay::view() const {
  const std::lock_guard lock{mutex_};
  return {active_, frozen_};
}

bool overlay::is_active(const overlay_generation* seen) const {
  const std::lock_guard lock{mutex_};
  return active_.get() == seen;
}

std::shared_ptr<const overlay_generation> overlay::freeze(checkpoint_progress progress) {
  auto fresh = std::make_shared<overlay_generation>(partition_count_);
  const std::lock_guard lock{mutex_};
  MILLRACE_ASSERT(frozen_ == nullptr);
  active_->progress = std::move(progress);
  frozen_ = std::move(active_);
  active_ = std::move(fresh);
  return frozen_;
}

void overlay::drop_frozen() {
  std::shared_ptr<const overlay_generation> last;  // freed outside the lock
  const std::lock_guard lock{mutex_};
  last.swap(frozen_);
}

bool overlay::has_frozen() const {
  const std::lock_guard lock{mutex_};
  return frozen_ != nullptr;
}

std::size_t overlay::bytes() const {
  const std::lock_guard lock{mutex_};
  return active_->bytes() + (frozen_ == nullptr ? 0 : frozen_->bytes());
}

std::size_t overlay::active_bytes() const {
  const std::lock_guard lock{mutex_};
  return active_->bytes();
}

}  // namespace millrace::runtime
