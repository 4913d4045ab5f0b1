// SPDX-License-Identifier: MIT
#include "partition/partition_log.h"

#include <algorithm>

#include "millrace/runtime/result.h"
#include "partition/planted_bug.h"

namespace millrace::runtime {
namespace {

// The last entry of the epoch of a step, in a log with that tail.
std::uint64_t last_seq_of(std::span<const lineage_step> steps, std::size_t index,
                          std::uint64_t tail_seq) {
  return index + 1 < steps.size() ? steps[index + 1].first_seq - 1 : tail_seq;
}

}  // namespace

partition_log::partition_log(partition_id partition, const log_tail& base)
    : partition_(partition), base_(base), tail_(base), lineage_{{base.epoch, base.seq}} {}

log_tail partition_log::at(std::uint64_t seq) const {
  MILLRACE_ASSERT(base_.seq <= seq && seq <= tail_.seq);
  if (seq == tail_.seq) {
    return tail_;
  }
  if (seq == base_.seq) {
    return base_;
  }
  auto step = lineage_.rbegin();
  while (step->first_seq > seq) {
    ++step;
  }
  return {step->epoch, seq, places_[seq - base_.seq - 1].digest};
}

std::uint64_t partition_log::position_of(std::uint64_t seq) const {
  MILLRACE_ASSERT(base_.seq < seq && seq <= tail_.seq);
  return places_[seq - base_.seq - 1].position;
}

void partition_log::place(std::uint64_t seq, std::uint64_t position) {
  MILLRACE_ASSERT(base_.seq < seq && seq <= tail_.seq);
  places_[seq - base_.seq - 1].position = position;
}

std::uint64_t partition_log::bytes_through(std::uint64_t seq) const {
  return seq == base_.seq ? base_bytes_ : places_[seq - base_.seq - 1].bytes;
}

std::uint64_t partition_log::bytes_above(std::uint64_t seq) const {
  MILLRACE_ASSERT(base_.seq <= seq && seq <= tail_.seq);
  return bytes_through(tail_.seq) - bytes_through(seq);
}

void partition_log::push(const journal_entry& entry, std::uint64_t position) {
  if (entry.epoch != tail_.epoch) {
    lineage_.push_back({entry.epoch, entry.seq});
  }
  const auto bytes = entry.ops.size() + journal_entry_overhead_bytes;
  places_.push_back({position, entry.digest, bytes_through(tail_.seq) + bytes});
  tail_ = entry.tail();
}

void partition_log::append(std::uint64_t epoch, std::uint64_t position, std::string_view ops,
                           std::string& out) {
  MILLRACE_ASSERT(epoch >= tail_.epoch);
  journal_entry entry;
  entry.partition = partition_;
  entry.epoch = epoch;
  entry.seq = tail_.seq + 1;
  entry.prev_epoch = tail_.epoch;
  entry.prev_digest = tail_.digest;
  entry.ops = ops;
  entry.digest = encode_entry(entry, out);
  push(entry, position);
}

entry_fit partition_log::fit(const journal_entry& entry) const {
  if (entry.seq > tail_.seq + 1) {
    return entry_fit::missing;
  }
  if (entry.seq == tail_.seq + 1) {
    const bool continues = (entry.prev_epoch == tail_.epoch && entry.prev_digest == tail_.digest &&
                            entry.epoch >= tail_.epoch) ||
                           planted(bug::w2_skips_previous);
    return continues ? entry_fit::next : entry_fit::missing;
  }
  if (entry.seq < base_.seq || entry.seq == 0) {
    return entry_fit::unknown;
  }
  return at(entry.seq) == entry.tail() ? entry_fit::known : entry_fit::conflict;
}

void partition_log::take(const journal_entry& entry, std::uint64_t position) {
  MILLRACE_ASSERT(entry.partition == partition_ && fit(entry) == entry_fit::next);
  push(entry, position);
}

void partition_log::cut_above(std::uint64_t seq) {
  tail_ = at(seq);
  places_.resize(seq - base_.seq);
  while (lineage_.size() > 1 && lineage_.back().first_seq > seq) {
    lineage_.pop_back();
  }
}

void partition_log::forget_through(std::uint64_t seq) {
  if (seq <= base_.seq) {
    return;
  }
  const auto base = at(seq);
  base_bytes_ = bytes_through(seq);
  places_.erase(places_.begin(), places_.begin() + static_cast<std::ptrdiff_t>(seq - base_.seq));
  base_ = base;
  const auto in_force = std::find_if(lineage_.begin() + 1, lineage_.end(),
                                     [seq](const auto& step) { return step.first_seq > seq; });
  lineage_.erase(lineage_.begin(), in_force - 1);
}

// One primary made all entries of an epoch, in order: where both logs have entries of an epoch they
// are the same ones, and so is everything before.
std::optional<std::uint64_t> partition_log::common_with(std::span<const lineage_step> theirs,
                                                        const log_tail& their_tail) const {
  for (auto mine = lineage_.size(); mine-- > 0;) {
    for (auto other = theirs.size(); other-- > 0;) {
      if (theirs[other].epoch != lineage_[mine].epoch) {
        continue;
      }
      const auto common = std::min(last_seq_of(lineage_, mine, tail_.seq),
                                   last_seq_of(theirs, other, their_tail.seq));
      if (common >= std::max(lineage_[mine].first_seq, theirs[other].first_seq) &&
          common >= base_.seq) {
        return common;
      }
    }
  }
  return std::nullopt;
}

}  // namespace millrace::runtime
