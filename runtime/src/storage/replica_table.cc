// SPDX-License-Identifier: MIT
#include "storage/replica_table.h"

#include <algorithm>

namespace millrace::runtime {
namespace {

constexpr std::uint16_t nobody = UINT16_MAX;  // no partition has that number

}  // namespace

// Positions of the journal come in the order of each partition's entries, so all of them are put in
// order by going through the partitions' positions.
replica_table::replica_table(std::vector<replica> copies)
    : copies_(std::move(copies)),
      applied_(copies_.size()),
      counted_(copies_.size()),
      in_checkpoint_(copies_.size()) {
  std::vector<std::pair<std::uint64_t, std::uint16_t>> found;
  for (std::uint16_t index = 0; index < size(); ++index) {
    const auto& log = copies_[index].log();
    for (auto seq = log.base().seq + 1; seq <= log.tail().seq; ++seq) {
      found.emplace_back(log.position_of(seq), index);
    }
    counted_[index] = in_checkpoint_[index] = copies_[index].state().checkpointed.seq;
  }
  std::sort(found.begin(), found.end());
  for (const auto& [position, index] : found) {
    added(partition_id{index}, position);
  }
  next_ = first_;
  for (std::uint16_t index = 0; index < size(); ++index) {
    checkpointed({partition_id{index}, copies_[index].state().checkpointed});
  }
}

void replica_table::added(partition_id partition, std::uint64_t position) {
  if (owners_.empty()) {
    first_ = position;
    next_ = std::max(next_, position);
  }
  while (first_ + owners_.size() < position) {
    owners_.push_back(nobody);
  }
  owners_.push_back(static_cast<std::uint16_t>(partition));
}

void replica_table::erased(std::uint64_t position) {
  owners_[position - first_] = nobody;
}

void replica_table::removed_from(std::uint64_t position) {
  while (!owners_.empty() && first_ + owners_.size() > position) {
    owners_.pop_back();
  }
}

void replica_table::applied(partition_id partition, std::uint64_t seq) {
  const auto index = static_cast<std::size_t>(partition);
  if (applied_[index] == 0) {
    changed_.push_back(partition);
  }
  applied_[index] = seq;
  lag_ += seq - counted_[index];
  counted_[index] = seq;
}

std::vector<partition_tail> replica_table::take_applied() {
  std::vector<partition_tail> tails;
  tails.reserve(changed_.size());
  for (const auto partition : changed_) {
    if (const auto seq = std::exchange(applied_[static_cast<std::size_t>(partition)], 0);
        seq != 0) {
      tails.push_back({partition, at(partition).log().at(seq)});
    }
  }
  changed_.clear();
  return tails;
}

void replica_table::replaced(partition_id partition) {
  const auto index = static_cast<std::size_t>(partition);
  const auto has = copies_[index].state().checkpointed.seq;
  lag_ -= counted_[index] - in_checkpoint_[index];
  counted_[index] = in_checkpoint_[index] = has;
  applied_[index] = 0;
}

bool replica_table::checkpointed(const partition_tail& reached) {
  auto& copy = at(reached.partition);
  const auto& log = copy.log();
  const auto& tail = reached.tail;
  if (tail.seq < log.base().seq || tail.seq > copy.committed() || log.at(tail.seq) != tail) {
    return false;
  }
  copy.checkpointed(tail);
  auto& before = in_checkpoint_[static_cast<std::size_t>(reached.partition)];
  lag_ -= tail.seq - std::exchange(before, tail.seq);
  if (log.base().seq < reached.tail.seq) {
    next_ = std::min(next_, log.position_of(log.base().seq + 1));
    reached_ = std::max(reached_, log.position_of(reached.tail.seq) + 1);
  }
  return true;
}

void replica_table::look_again(partition_id partition) {
  const auto& copy = at(partition);
  const auto& log = copy.log();
  if (log.base().seq < copy.forgettable()) {
    next_ = std::min(next_, log.position_of(log.base().seq + 1));
  }
}

bool replica_table::may_go(std::uint64_t position) {
  const auto owner = owners_[position - first_];
  if (owner == nobody) {
    return false;
  }
  const auto& copy = copies_[owner];
  const auto& log = copy.log();
  return log.base().seq < copy.forgettable() && log.position_of(log.base().seq + 1) == position;
}

// It is the oldest of its partition: those before it were looked at before.
void replica_table::go(std::uint64_t position) {
  auto& owner = owners_[position - first_];
  auto& copy = copies_[owner];
  MILLRACE_ASSERT(copy.log().position_of(copy.log().base().seq + 1) == position);
  copy.forget_through(copy.log().base().seq + 1);
  owner = nobody;
}

void replica_table::drop_front() {
  while (!owners_.empty() && owners_.front() == nobody && first_ < next_) {
    owners_.pop_front();
    ++first_;
  }
}

}  // namespace millrace::runtime
