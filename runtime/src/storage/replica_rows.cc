// SPDX-License-Identifier: MIT
// Rows of snapshots: out to a copy that is too far behind, and in.
#include "storage/replay.h"
#include "storage/replica_driver.h"
#include "storage/row_reader.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

constexpr std::size_t range_bytes_max = std::size_t{1} << 20U;
constexpr std::size_t range_rows_max = 4096;
constexpr std::size_t write_changes_max = 65536;
// Partitions whose rows are written before others are heard again.
constexpr std::size_t rows_partitions_max = 8;

error range_is_full() {
  return {errc::too_large, {}};
}

// Ends the process, but for a full disk.
bool is_full(const result<void>& written) {
  if (written) {
    return false;
  }
  if (written.error().code() != errc::out_of_space) {
    storage_lost(written.error().text());
  }
  return true;
}

}  // namespace

// --- rows out ------------------------------------------------------------------------------------

// Nothing is committed meanwhile: the view is that of what is applied.
void replica_driver::send_range(partition_id partition, const replica_effects::range_read& wanted) {
  auto& own = at(partition);
  parts_.proof.need(partition);
  row_view view{parts_.recent, *snapshot_};
  if (auto opened = view.open(); !opened) {
    storage_lost(opened.error().text());
  }
  row_ops rows;
  std::string next;
  std::size_t count = 0;
  auto read = view.each_row(
      partition, {{}, wanted.first, range_rows_max + 1},
      [&](std::string_view key, std::string_view value) -> result<void> {
        if (count > 0 && (count == range_rows_max ||
                          rows.encoded().size() + key.size() + value.size() > range_bytes_max)) {
          next = key;
          return range_is_full();
        }
        rows.put(key, value);
        ++count;
        return {};
      });
  if (!read && read.error().code() != errc::too_large) {
    storage_lost(read.error().text());
  }
  view.close();
  copy_of(partition).send_range(wanted, rows.encoded(), next, parts_.copies.applied(partition),
                                own.effects);
  for (auto& each : std::exchange(own.effects.messages, {})) {
    queue(partition, each.to, std::move(each.message));
  }
}

// --- rows in -------------------------------------------------------------------------------------

// What rows wait for is not waited for: others have to hear of this silo meanwhile.
bool replica_driver::rows_may_come(steady_time now) const {
  return !rows_waiting_.empty() && now >= blocked_until_ && parts_.proof.is_done() &&
         parts_.writer.checkpoint_is_idle();
}

// In this order: the journal says that the rows are neither old nor new and has no entries any
// more; the rows; and, with the group that follows, that they are whole. So a copy whose snapshot
// was cut short begins anew. Gives the partitions whose effects may be staged now.
std::vector<partition_id> replica_driver::take_rows(steady_time now) {
  std::vector<partition_id> ready;
  for (const auto partition : std::exchange(unstaged_, {})) {
    const auto& wanted = at(partition).effects;
    auto& list = wanted.clear_rows || !wanted.rows.empty() ? rows_waiting_ : ready;
    list.push_back(partition);
  }
  if (!rows_may_come(now)) {
    return ready;
  }
  const auto count = std::min(rows_waiting_.size(), rows_partitions_max);
  const std::vector<partition_id> now_due{
      rows_waiting_.begin(), rows_waiting_.begin() + static_cast<std::ptrdiff_t>(count)};
  rows_waiting_.erase(rows_waiting_.begin(),
                      rows_waiting_.begin() + static_cast<std::ptrdiff_t>(count));
  bool is_written = mark_void(now_due);
  for (const auto partition : now_due) {
    if (at(partition).effects.clear_rows) {
      parts_.recent.clear(partition);
    }
    is_written = is_written && !is_full(write_rows(partition));
    auto& own = at(partition);
    own.effects.rows.clear();
    own.effects.persist = true;
    if (is_written) {
      own.is_void = copy_of(partition).is_being_filled();
      own.effects.clear_rows = false;
      parts_.copies.replaced(partition);
      ready.push_back(partition);
    } else {
      refill(partition, now);
    }
  }
  return ready;
}

// Its rows could not be written: what is there is of no use, and has to go when there is room.
void replica_driver::refill(partition_id partition, steady_time now) {
  auto& own = at(partition);
  copy_of(partition).write_failed(now, own.effects);
  own.is_void = own.effects.clear_rows = true;
  own.effects.entries.clear();
  own.unapplied.clear();
  parts_.copies.replaced(partition);
  rows_waiting_.push_back(partition);
  block(now + blocked_for);
}

bool replica_driver::mark_void(const std::vector<partition_id>& partitions) {
  bool is_needed = false;
  for (const auto partition : partitions) {
    auto& own = at(partition);
    if (own.effects.clear_rows && !std::exchange(own.is_void, true)) {
      is_needed = true;
    }
    erase_cut(partition);
    put_state(partition);
  }
  return !is_needed || !is_full(parts_.group.flush_whole());
}

result<void> replica_driver::write_rows(partition_id partition) {
  const auto& wanted = at(partition).effects;
  std::map<std::string, std::optional<std::string>> changes;
  if (wanted.clear_rows) {
    if (auto renewed = snapshot_->renew(); !renewed) {
      return renewed;
    }
    auto scanned = snapshot_->scan_keys(
        partition, [&](std::string_view key) { changes.emplace(key, std::nullopt); });
    snapshot_->release();
    if (!scanned) {
      return scanned;
    }
  }
  for (const auto& each : wanted.rows) {
    auto parsed = row_ops::for_each(
        each,
        [&](std::string_view key, std::string_view value) {
          changes.insert_or_assign(std::string{key}, std::string{value});
        },
        [](std::string_view) {});
    if (!parsed) {
      return parsed;
    }
  }
  std::vector<checkpoint_change> part;
  checkpoint_progress progress;
  progress.tails = {{partition, copy_of(partition).state().checkpointed}};
  auto next = changes.begin();
  do {
    part.clear();
    for (; next != changes.end() && part.size() < write_changes_max; ++next) {
      part.push_back({partition, next->first, next->second ? *next->second : std::string_view{},
                      !next->second});
    }
    const bool is_last = next == changes.end();
    if (auto written = parts_.rows.write(part, is_last ? &progress : nullptr); !written) {
      return written;
    }
  } while (next != changes.end());
  return {};
}

}  // namespace millrace::runtime
