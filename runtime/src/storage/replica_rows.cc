// SPDX-License-Identifier: MIT
// Rows of snapshots: out to a copy that is too far behind, and in.
#include <algorithm>

#include "storage/replay.h"
#include "storage/replica_driver.h"
#include "storage/row_reader.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

constexpr std::size_t range_bytes_max = std::size_t{1} << 20U;
constexpr std::size_t range_rows_max = 4096;
// Of old rows that go in one transaction, and partitions whose rows are written before others are
// heard again: a large partition is replaced in steps of some milliseconds.
constexpr std::size_t cleared_rows_max = 8192;
constexpr std::size_t rows_partitions_max = 2;

error range_is_full() {
  return {errc::too_large, {}};
}

// Ends the process, but for a full disk.
void expect_full(const error& why) {
  if (why.code() != errc::out_of_space) {
    storage_lost(why.text());
  }
}

}  // namespace

// --- rows out ------------------------------------------------------------------------------------

// Nothing is committed meanwhile: the view is that of what is applied.
void replica_driver::send_range(catch_up_queue& of, const catch_up_queue::turn& turn) {
  const auto partition = turn.to.partition;
  const auto& wanted = *turn.rows;
  auto& own = at(partition);
  if (!parts_.proof.is_done()) {
    return;  // nobody waits for that on this thread: the copy asks again
  }
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
  view.close();
  if (!read && read.error().code() != errc::too_large) {
    return cannot_copy(partition, read.error());
  }
  copy_of(partition).send_range(wanted, rows.encoded(), next, parts_.copies.applied(partition),
                                own.effects);
  for (auto& each : std::exchange(own.effects.messages, {})) {
    if (const auto* range = std::get_if<range_message>(&each.message)) {
      const auto through = range->next.empty() ? range->base.seq : catch_up_queue::next_request;
      of.sent(turn, through, range->rows.size(), now_);
    }
    queue(partition, each.to, std::move(each.message));
  }
}

// A row is damaged: whoever else has all of it leads instead, and gives its rows. Where nobody else
// has, what can be read is served, and no other copy can be made.
void replica_driver::cannot_copy(partition_id partition, const error& why) {
  auto& own = at(partition);
  auto& copy = copy_of(partition);
  if (!std::exchange(own.cannot_copy, true)) {
    host_.cannot_copy(partition, why);
  }
  const auto& set = copy.record().in_sync;
  const auto other = std::find_if(
      set.begin(), set.end(), [&](const placed_copy& each) { return each.id != copy.state().id; });
  if (copy.role() == replica_role::primary && other != set.end()) {
    copy.hand_over(other->id, now_, own.effects);
  }
}

// --- rows in -------------------------------------------------------------------------------------

// What rows wait for is not waited for: others have to hear of this silo meanwhile.
bool replica_driver::rows_may_come(steady_time now) const {
  return !rows_waiting_.empty() && now >= blocked_until_ && parts_.proof.is_done() &&
         parts_.writer.checkpoint_is_idle();
}

// In this order: the journal says that the rows are neither old nor new and has no entries any
// more; the old rows go, some at a time, and the new ones come; and, with the group that follows,
// the state says that they are whole. So a copy whose snapshot was cut short begins anew. Gives the
// partitions whose effects may be staged now.
std::vector<partition_id> replica_driver::take_rows(steady_time now) {
  std::vector<partition_id> ready;
  for (const auto partition : std::exchange(unstaged_, {})) {
    if (const auto& wanted = at(partition).effects; wanted.clear_rows || !wanted.rows.empty()) {
      rows_waiting_.push_back(partition);
    } else {
      ready.push_back(partition);
    }
  }
  if (!rows_may_come(now)) {
    return ready;
  }
  bool is_written = mark_void();
  for (auto count = std::min(rows_waiting_.size(), rows_partitions_max); count > 0; --count) {
    const auto partition = rows_waiting_.front();
    rows_waiting_.pop_front();
    const auto rows = is_written ? write_rows(partition) : rows_written::failed;
    is_written = rows != rows_written::failed;
    if (!is_written) {
      refill(partition, now);
    } else if (rows == rows_written::some) {
      rows_waiting_.push_back(partition);
    } else {
      auto& own = at(partition);
      own.is_void = copy_of(partition).is_being_filled();
      own.was_replaced = own.was_replaced || !own.effects.rows.empty();
      own.effects.rows.clear();
      own.effects.clear_rows = false;
      own.effects.persist = true;
      parts_.copies.replaced(partition);
      ready.push_back(partition);
    }
  }
  return ready;
}

// Its rows could not be written: what is there is of no use, and has to go when there is room.
void replica_driver::refill(partition_id partition, steady_time now) {
  auto& own = at(partition);
  copy_of(partition).write_failed(now, own.effects);
  own.effects.clear_rows = own.effects.persist = true;
  own.effects.rows.clear();
  own.effects.entries.clear();
  own.unapplied.clear();
  parts_.copies.replaced(partition);
  rows_waiting_.push_back(partition);
  block(now + blocked_for);
}

bool replica_driver::mark_void() {
  std::map<partition_id, std::vector<std::uint64_t>> marked;  // and what is erased with the mark
  for (const auto partition : rows_waiting_) {
    auto& own = at(partition);
    if (own.effects.clear_rows && !std::exchange(own.is_void, true)) {
      marked[partition] = own.effects.erased;
      erase_cut(partition);
      put_state(partition);
    }
  }
  if (marked.empty()) {
    return true;
  }
  const auto flushed = parts_.group.flush_whole();
  if (!flushed) {
    expect_full(flushed.error());
    // The disk does not say so. Half of it must not get there with another group, either.
    for (auto& [partition, erased] : marked) {
      auto& own = at(partition);
      own.is_void = false;
      parts_.group.take_back(partition, erased);
      own.effects.erased.insert(own.effects.erased.begin(), erased.begin(), erased.end());
    }
  }
  return flushed.has_value();
}

replica_driver::rows_written replica_driver::write_rows(partition_id partition) {
  const auto& wanted = at(partition).effects;
  std::map<std::string, std::optional<std::string>> changes;
  bool is_whole = true;
  result<void> done;
  if (wanted.clear_rows) {
    parts_.recent.clear(partition);
    done = snapshot_->renew();
    if (done) {
      done = snapshot_->scan_keys(partition, [&](std::string_view key) {
        is_whole = changes.size() < cleared_rows_max;
        if (is_whole) {
          changes.emplace(key, std::nullopt);
        }
        return is_whole;
      });
      snapshot_->release();
    }
  }
  for (auto each = wanted.rows.begin(); done && is_whole && each != wanted.rows.end(); ++each) {
    done = row_ops::for_each(
        *each,
        [&](std::string_view key, std::string_view value) {
          changes.insert_or_assign(std::string{key}, std::string{value});
        },
        [](std::string_view) {});
  }
  std::vector<checkpoint_change> sorted;
  sorted.reserve(changes.size());
  for (const auto& [key, value] : changes) {
    sorted.push_back({partition, key, value ? *value : std::string_view{}, !value});
  }
  checkpoint_progress progress;
  progress.tails = {{partition, copy_of(partition).state().checkpointed}};
  if (done) {
    done = parts_.rows.write(sorted, is_whole ? &progress : nullptr);
  }
  if (!done) {
    expect_full(done.error());
    return rows_written::failed;
  }
  return is_whole ? rows_written::all : rows_written::some;
}

}  // namespace millrace::runtime
