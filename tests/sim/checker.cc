// SPDX-License-Identifier: MIT
#include "checker.h"

#include <algorithm>
#include <cstring>

#include "sim_assert.h"

namespace millrace::sim {
namespace {

// Until then a primary has missed a copy, or heard that it has less: what it said last may come
// three seconds later, and only then its silence begins.
constexpr duration notice_time_max = std::chrono::seconds{5};

}  // namespace

std::string write_of(std::size_t key, std::uint64_t value) {
  std::string ops(9, static_cast<char>(key));
  std::memcpy(ops.data() + 1, &value, sizeof value);
  return ops;
}

bool parse_write(std::string_view ops, std::size_t& key, std::uint64_t& value) {
  if (ops.size() != 9) {
    return false;
  }
  key = static_cast<unsigned char>(ops[0]);
  std::memcpy(&value, ops.data() + 1, sizeof value);
  return true;
}

void checker::committed(const replica& copy, const std::vector<const std::string*>& entries,
                        std::uint64_t first) {
  if (copy.state().data_loss_no != data_loss_no_) {
    return;
  }
  for (std::size_t index = 0; index < entries.size(); ++index) {
    const auto seq = first + index;
    const auto tail = copy.log().at(seq);
    const auto [at, fresh] = truth_.try_emplace(seq, tail);
    if (at->second != tail) {
      throw violation{"two copies committed different entries under number " + std::to_string(seq)};
    }
    if (!fresh) {
      continue;
    }
    std::size_t key = 0;
    std::uint64_t value = 0;
    const auto entry = runtime::decode_entry(*entries[index]);
    if (entry && parse_write(entry->ops, key, value)) {
      writes_of_[key].push_back({seq, value});
      seq_of_[value] = seq;
    }
  }
}

void checker::leads(const replica& copy) const {
  if (truth_.empty() || copy.state().data_loss_no != data_loss_no_) {
    return;
  }
  const auto& [seq, tail] = *truth_.rbegin();
  const auto& log = copy.log();
  if (seq > log.tail().seq || (seq >= log.base().seq && log.at(seq) != tail)) {
    throw violation{"a copy leads that lacks what was committed under number " +
                    std::to_string(seq)};
  }
}

void checker::sets(const partition_record& record,
                   const std::map<copy_id, const sim_disk*>& disks) const {
  if (truth_.empty() || record.data_loss_no != data_loss_no_) {
    return;
  }
  const auto& last = truth_.rbegin()->second;
  const auto check = [&](const runtime::placed_copy& each) {
    const auto found = disks.find(each.id);
    if (found != disks.end() && !is_lost(each.id) && !found->second->holds(last)) {
      throw violation{"copy " + std::to_string(each.id.high) + "." + std::to_string(each.id.low) +
                      " is listed as complete and lacks number " + std::to_string(last.seq) +
                      found->second->describe()};
    }
  };
  std::for_each(record.in_sync.begin(), record.in_sync.end(), check);
  std::for_each(record.eligible.begin(), record.eligible.end(), check);
}

void checker::lost_ones_notice(const partition_record& record,
                               const std::map<copy_id, const sim_disk*>& disks) const {
  if (truth_.empty() || record.data_loss_no != data_loss_no_) {
    return;
  }
  const auto& last = truth_.rbegin()->second;
  for (const auto& each : record.in_sync) {
    const auto found = disks.find(each.id);
    if (found != disks.end() && is_lost(each.id) && !found->second->holds(last) &&
        found->second->last() >= record.commit_floor) {
      throw violation{"a copy that was put back lacks number " + std::to_string(last.seq) +
                      ", and would not see that by the record" + found->second->describe()};
    }
  }
}

void checker::asks(const replica& primary, const partition_record& wanted,
                   const std::map<copy_id, const sim_disk*>& disks, steady_time runs_since,
                   steady_time now) const {
  const auto& log = primary.log();
  const auto seq = std::max(primary.committed(), log.base().seq);
  const auto& set = primary.record().in_sync;
  for (const auto& each : wanted.in_sync) {
    const auto lost = lost_.find(each.id);
    if (lost == lost_.end() || std::find(set.begin(), set.end(), each) != set.end() ||
        now <= std::max(lost->second, runs_since) + notice_time_max) {
      continue;
    }
    const auto disk = disks.find(each.id);
    if (disk == disks.end() || !disk->second->holds(log.at(seq))) {
      throw violation{"a copy is asked into the set that has lost number " + std::to_string(seq)};
    }
  }
}

// One whose disk went back, and that has everything again, is as good as any; one that was asked
// into the set before it had lost something is as if it had lost that in the set.
void checker::record_changes(const partition_record& before, const partition_record& after,
                             const std::map<copy_id, const sim_disk*>& disks,
                             const sim_disk* chosen) {
  for (const auto& each : after.in_sync) {
    const auto disk = disks.find(each.id);
    if (!truth_.empty() && disk != disks.end() && disk->second->holds(truth_.rbegin()->second) &&
        std::find(before.in_sync.begin(), before.in_sync.end(), each) == before.in_sync.end()) {
      lost_.erase(each.id);
    }
  }
  if (after.data_loss_no != data_loss_no_) {
    data_loss_no_ = after.data_loss_no;
    std::uint64_t kept = 0;
    for (const auto& [seq, tail] : truth_) {
      kept = chosen != nullptr && chosen->proves(tail) ? seq : kept;
    }
    forget_above(kept);
    is_truth_known_ = is_truth_known_ && chosen != nullptr;
    if (chosen != nullptr && chosen->rows.tail.seq > kept) {
      lose_track();  // it had been given up: its rows are of what was forgotten then
    }
  }
}

void checker::forget_above(std::uint64_t seq) {
  truth_.erase(truth_.upper_bound(seq), truth_.end());
  for (auto& each : writes_of_) {
    while (!each.empty() && each.back().seq > seq) {
      seq_of_.erase(each.back().value);
      each.pop_back();
    }
  }
  for (auto& each : seen_) {
    each = std::min(each, seq);
  }
}

// Any of the writes that are known may have been followed by one that is not.
void checker::lose_track() {
  is_truth_known_ = false;
  writes_of_ = {};
  seq_of_.clear();
  seen_ = {};
}

const checker::past_write* checker::newest(std::size_t key, std::uint64_t seq) const {
  const auto& written = writes_of_[key];
  const auto after = std::upper_bound(
      written.begin(), written.end(), seq,
      [](std::uint64_t number, const past_write& each) { return number < each.seq; });
  return after == written.begin() ? nullptr : &*(after - 1);
}

void checker::acknowledged(std::size_t key, std::uint64_t seq, std::uint64_t value) {
  ++writes_;
  const auto found = seq_of_.find(value);
  if (found == seq_of_.end() || found->second != seq) {
    throw violation{"an acknowledged write is not what was committed"};
  }
  seen_[key] = std::max(seen_[key], seq);
}

void checker::read(std::size_t key, std::uint64_t value, std::uint64_t floor) {
  ++reads_;
  ++reads_of_[key];
  const auto* const least = newest(key, floor);
  const auto found = seq_of_.find(value);
  if (found == seq_of_.end()) {
    if (is_truth_known_ ? value != 0 || least != nullptr : least != nullptr) {
      throw violation{"a read shows a value that nobody wrote, or none at all"};
    }
    return;
  }
  if (least != nullptr && least->seq > found->second) {
    throw violation{"a read of key " + std::to_string(key) + " shows write " +
                    std::to_string(found->second) + ", and write " + std::to_string(least->seq) +
                    " had been seen before"};
  }
  seen_[key] = std::max(seen_[key], found->second);
}

void checker::rows(const row_image& image) const {
  for (std::size_t key = 0; key < keys; ++key) {
    const auto* const last = newest(key, last_committed());
    if ((last != nullptr || is_truth_known_) &&
        image.values[key] != (last == nullptr ? 0 : last->value)) {
      throw violation{"the row of key " + std::to_string(key) + " is not what was written last"};
    }
  }
}

}  // namespace millrace::sim
