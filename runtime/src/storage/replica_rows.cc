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
      partition, {{}, wanted.first, range_rows_max},
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

// In this order: the journal says that the rows are neither old nor new and has no entries any
// more; the rows; and, with the group that follows, that they are whole. So a copy whose snapshot
// was cut short begins anew. False when the disk is full.
bool replica_driver::take_rows(steady_time now) {
  std::vector<partition_id> changed;
  std::vector<partition_id> cleared;
  for (const auto partition : unstaged_) {
    const auto& wanted = at(partition).effects;
    if (wanted.clear_rows || !wanted.rows.empty()) {
      changed.push_back(partition);
    }
    if (wanted.clear_rows) {
      cleared.push_back(partition);
    }
  }
  if (changed.empty()) {
    return true;
  }
  mark_void(cleared);
  bool is_written = !is_full(parts_.group.flush()) && parts_.writer.wait_for_checkpoint() &&
                    parts_.proof.wait_for_all();
  for (const auto partition : cleared) {
    parts_.recent.clear(partition);
    parts_.copies.replaced(partition);
    at(partition).unapplied.clear();
  }
  for (const auto partition : changed) {
    is_written = is_written && !is_full(write_rows(partition));
    auto& own = at(partition);
    const auto is_whole =
        own.effects.rows.empty() || copy_of(partition).state().checkpointed.seq != 0;
    own.is_void = !is_whole || !is_written;
    own.effects.persist = true;
    own.effects.clear_rows = !is_written;  // what is there is of no use, and is not forgotten
    own.effects.rows.clear();
    if (is_written) {
      parts_.copies.replaced(partition);
    } else {
      copy_of(partition).write_failed(now, own.effects);
    }
  }
  return is_written;
}

void replica_driver::mark_void(const std::vector<partition_id>& partitions) {
  for (const auto partition : partitions) {
    auto& own = at(partition);
    own.is_void = true;
    for (const auto position : std::exchange(own.effects.erased, {})) {
      parts_.group.erase(position);
      parts_.copies.erased(position);
    }
    put_state(partition);
  }
}

result<void> replica_driver::write_rows(partition_id partition) {
  const auto& wanted = at(partition).effects;
  std::map<std::string, std::optional<std::string>> changes;
  if (wanted.clear_rows) {
    if (auto renewed = snapshot_->renew(); !renewed) {
      return renewed;
    }
    auto scanned = snapshot_->scan(partition, {}, {}, [&](std::string_view key, std::string_view) {
      changes.emplace(key, std::nullopt);
      return true;
    });
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
