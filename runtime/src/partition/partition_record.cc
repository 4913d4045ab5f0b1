// SPDX-License-Identifier: MIT
#include "partition/partition_record.h"

#include <algorithm>

#include "partition/planted_bug.h"

namespace millrace::runtime {
bool is_same(const placed_copy& one, const placed_copy& other) {
  if (planted(bug::sets_list_silos)) {
    return one.silo == other.silo;
  }
  return one.id == other.id;
}

bool contains(const std::vector<placed_copy>& set, const placed_copy& copy) {
  return std::any_of(set.begin(), set.end(),
                     [&](const placed_copy& each) { return is_same(each, copy); });
}

bool is_complete(const partition_record& record, const placed_copy& copy) {
  return contains(record.in_sync, copy) || contains(record.eligible, copy);
}

void remove(partition_record& record, const std::vector<placed_copy>& copies) {
  std::vector<placed_copy> removed;
  for (const auto& copy : copies) {
    if (std::erase_if(record.in_sync, [&](const auto& each) { return is_same(each, copy); }) != 0) {
      removed.push_back(copy);
    }
  }
  if (record.in_sync.size() < record.in_sync_min) {
    record.eligible.insert(record.eligible.end(), removed.begin(), removed.end());
  }
}

void add(partition_record& record, const placed_copy& copy) {
  std::erase_if(record.eligible, [&](const placed_copy& each) { return is_same(each, copy); });
  record.in_sync.push_back(copy);
  if (record.in_sync.size() >= record.in_sync_min && !planted(bug::s4_keeps_eligible)) {
    record.eligible.clear();
  }
}

// The old primary goes: whether it is still there is not known, and it would have to be fenced
// before anything could be committed.
partition_record with_primary(const partition_record& record, const placed_copy& copy,
                              std::uint64_t epoch) {
  auto wanted = record;
  wanted.epoch = std::max(record.epoch + 1, epoch);
  wanted.primary = copy.id;
  wanted.state = partition_state::recovering;
  if (!contains(wanted.in_sync, copy)) {
    std::erase_if(wanted.eligible, [&](const placed_copy& each) { return is_same(each, copy); });
    wanted.in_sync.push_back(copy);
  }
  const auto old = std::find_if(wanted.in_sync.begin(), wanted.in_sync.end(),
                                [&](const auto& each) { return each.id == record.primary; });
  if (old != wanted.in_sync.end() && old->id != copy.id) {
    remove(wanted, {*old});
  }
  return wanted;
}

partition_record with_data_lost(const partition_record& record, const placed_copy& copy,
                                std::uint64_t epoch) {
  auto wanted = record;
  ++wanted.data_loss_no;
  wanted.epoch = std::max(record.epoch + 1, epoch);
  wanted.primary = copy.id;
  wanted.state = partition_state::recovering;
  wanted.in_sync = {copy};
  wanted.eligible.clear();
  wanted.commit_floor = 0;  // it goes on from what the copy has
  return wanted;
}

}  // namespace millrace::runtime
