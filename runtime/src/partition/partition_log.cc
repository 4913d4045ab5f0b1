// SPDX-License-Identifier: MIT
#include "partition/partition_log.h"

namespace millrace::runtime {
namespace {

error broken(partition_id partition, std::uint64_t seq, std::string_view what) {
  return error{errc::storage_failed, "the journal of partition " +
                                         std::to_string(static_cast<unsigned>(partition)) + " " +
                                         std::string{what} + " at entry " + std::to_string(seq)};
}

}  // namespace

partition_log::partition_log(std::uint16_t partition_count) : chains_(partition_count) {}

partition_log::chain& partition_log::at(partition_id partition) {
  const auto index = static_cast<std::size_t>(partition);
  MILLRACE_ASSERT(index < chains_.size());
  return chains_[index];
}

log_tail partition_log::tail_of(partition_id partition) const {
  return chains_.at(static_cast<std::size_t>(partition)).tail;
}

const std::deque<std::uint64_t>& partition_log::positions_of(partition_id partition) const {
  return chains_.at(static_cast<std::size_t>(partition)).positions;
}

void partition_log::append(partition_id partition, std::uint64_t epoch, std::uint64_t position,
                           std::string_view ops, std::string& out) {
  auto& links = at(partition);
  provisional_.emplace_back(partition, links.tail);
  journal_entry entry;
  entry.partition = partition;
  entry.epoch = epoch;
  entry.seq = links.tail.seq + 1;
  entry.prev_epoch = links.tail.epoch;
  entry.prev_digest = links.tail.digest;
  entry.ops = ops;
  entry.digest = encode_entry(entry, out);
  links.tail = entry.tail();
  links.positions.push_back(position);
}

void partition_log::keep() {
  for (const auto& [partition, before] : provisional_) {
    auto& links = at(partition);
    if (!links.changed) {
      links.changed = true;
      changed_.push_back(partition);
    }
  }
  provisional_.clear();
}

void partition_log::undo() {
  for (auto each = provisional_.rbegin(); each != provisional_.rend(); ++each) {
    auto& links = at(each->first);
    links.tail = each->second;
    links.positions.pop_back();
  }
  provisional_.clear();
}

std::vector<partition_tail> partition_log::take_changed_tails() {
  std::vector<partition_tail> tails;
  tails.reserve(changed_.size());
  for (const auto partition : changed_) {
    auto& links = at(partition);
    links.changed = false;
    tails.push_back({partition, links.tail});
  }
  changed_.clear();
  return tails;
}

void partition_log::trim(std::uint64_t position) {
  for (auto& links : chains_) {
    while (!links.positions.empty() && links.positions.front() < position) {
      links.positions.pop_front();
    }
  }
}

result<void> partition_log::restore_tail(const partition_tail& stored) {
  if (static_cast<std::size_t>(stored.partition) >= chains_.size()) {
    return error{errc::storage_failed, "the checkpoint holds the tail of an unknown partition"};
  }
  auto& links = at(stored.partition);
  links.tail = stored.tail;
  links.stored = stored.tail;
  return {};
}

result<void> partition_log::recover(const journal_entry& entry, std::uint64_t position,
                                    std::uint64_t applied) {
  if (static_cast<std::size_t>(entry.partition) >= chains_.size()) {
    return error{errc::storage_failed, "the journal holds an entry of an unknown partition"};
  }
  auto& links = at(entry.partition);
  const bool below = position <= applied;
  // At or below `applied` the journal may begin anywhere in the chain; above, it must go on from
  // the tail.
  const auto& before = below ? links.recovered : links.tail;
  const bool chain_known = !below || before.seq != 0;
  if (chain_known && (entry.seq != before.seq + 1 || entry.prev_epoch != before.epoch ||
                      entry.prev_digest != before.digest || entry.epoch < before.epoch)) {
    return broken(entry.partition, entry.seq, "does not continue its chain");
  }
  if (below) {
    if (entry.seq > links.stored.seq ||
        (entry.seq == links.stored.seq && entry.tail() != links.stored)) {
      return broken(entry.partition, entry.seq, "contradicts the checkpoint");
    }
    links.recovered = entry.tail();
  } else {
    links.tail = entry.tail();
    if (!links.changed) {
      links.changed = true;
      changed_.push_back(entry.partition);
    }
  }
  links.positions.push_back(position);
  return {};
}

result<void> partition_log::finish_recovery() {
  for (std::size_t index = 0; index < chains_.size(); ++index) {
    const auto& links = chains_[index];
    if (links.recovered.seq != 0 && links.recovered != links.stored) {
      return broken(static_cast<partition_id>(index), links.recovered.seq,
                    "ends before the checkpoint's tail");
    }
  }
  return {};
}

}  // namespace millrace::runtime
