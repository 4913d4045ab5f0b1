// SPDX-License-Identifier: MIT
// What the copies of a cluster have on the disk, and what is committed of it. Rows that come and go
// as snapshots: replica_rows.cc.
#include <algorithm>

#include "storage/replay.h"
#include "storage/replica_driver.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {

// --- entries and state ---------------------------------------------------------------------------

void replica_driver::stage(steady_time now) {
  now_ = now;
  for (const auto partition : take_rows(now)) {
    auto& own = at(partition);
    own.is_unstaged = false;
    join_group(partition);
    stage_entries(partition);
    if (std::exchange(own.wants_barrier, false) &&
        copy_of(partition).role() == replica_role::recovering) {
      append_barrier(partition);
    }
    if (std::exchange(own.effects.persist, false)) {
      put_state(partition);
    }
  }
}

void replica_driver::stage_entries(partition_id partition) {
  auto& own = at(partition);
  auto& copy = copy_of(partition);
  erase_cut(partition);
  auto entries = std::exchange(own.effects.entries, {});
  const auto before = copy.log().tail().seq - entries.size();
  own.unapplied.cut_above(before);
  if (!entries.empty() && !own.unapplied.ends_at(before)) {
    own.unapplied.clear();  // it has appended entries of its own since: the journal has them all
  }
  copy.place(parts_.group.next_position(), entries.size());
  auto seq = before;
  for (auto& each : entries) {
    const auto position = parts_.group.next_position();
    parts_.group.bytes() += each;
    parts_.group.end_entry();
    parts_.copies.added(partition, position);
    own.unapplied.push(++seq, std::move(each));
  }
}

void replica_driver::erase_cut(partition_id partition) {
  for (const auto position : std::exchange(at(partition).effects.erased, {})) {
    parts_.group.erase_with_this(position);
    parts_.copies.erased(position);
  }
}

void replica_driver::put_state(partition_id partition) {
  auto state = copy_of(partition).state();
  if (at(partition).is_void) {
    state.checkpointed = void_tail;
  }
  parts_.group.put_state(partition, state);
}

void replica_driver::append_barrier(partition_id partition) {
  const auto position = parts_.group.next_position();
  copy_of(partition).append({}, position, parts_.group.bytes(), at(partition).effects);
  parts_.group.end_entry();
  parts_.copies.added(partition, position);
  carry_out(partition);
}

void replica_driver::join_group(partition_id partition) {
  if (!std::exchange(at(partition).is_in_group, true)) {
    in_group_.push_back(partition);
  }
}

void replica_driver::appended(partition_id partition) {
  join_group(partition);
  carry_out(partition);
}

void replica_driver::durable() {
  for (const auto partition : std::exchange(in_group_, {})) {
    at(partition).is_in_group = false;
    copy_of(partition).durable(at(partition).effects);
    settle(partition);
  }
}

// Who is alone has withdrawn what could not be written. Nobody has to be told, or to lead instead.
void replica_driver::write_failed(steady_time now) {
  blocked_until_ = now + blocked_for;
  for (const auto partition : std::exchange(in_group_, {})) {
    auto& own = at(partition);
    auto& copy = copy_of(partition);
    own.is_in_group = false;
    if (copy.is_alone() && copy.role() == replica_role::primary) {
      own.effects.persist = true;
      unstage(partition);
      continue;
    }
    copy.write_failed(now, own.effects);
    own.unapplied.cut_above(copy.log().tail().seq);
    if (copy.committed() < parts_.copies.applied(partition)) {
      own.is_void = true;  // rows that came whole, as nothing on the disk says
      own.effects.clear_rows = true;
      own.effects.entries.clear();
    }
    settle(partition);
  }
}

result<void> replica_driver::admit(const commit_request& request) const {
  const auto& copy = parts_.copies.at(request.partition);
  const auto& lease = parts_.leases[static_cast<std::size_t>(request.partition)];
  if (request.epoch == 0 || lease.epoch() != request.epoch ||
      copy.role() != replica_role::primary || copy.record().epoch != request.epoch) {
    return error{errc::not_primary, "this silo no longer leads the partition of the actor"};
  }
  if (request.ops.encoded().size() > commit_bytes_limit_in_cluster) {
    return error{errc::too_large, "a commit has " + std::to_string(request.ops.encoded().size()) +
                                      " bytes; in a cluster at most " +
                                      std::to_string(commit_bytes_limit_in_cluster) +
                                      " are allowed"};
  }
  if (const auto& record = copy.record(); record.in_sync.size() < record.in_sync_min) {
    return error{errc::not_enough_replicas,
                 "the partition has " + std::to_string(record.in_sync.size()) + " of at least " +
                     std::to_string(record.in_sync_min) +
                     " copies; it goes on when another silo with one is back",
                 std::chrono::seconds{1}};
  }
  if (!copy.may_append()) {
    return error{errc::not_primary, "the partition of the actor is about to move"};
  }
  return {};
}

// --- what is committed ---------------------------------------------------------------------------

void replica_driver::apply(partition_id partition, std::uint64_t seq) {
  auto& own = at(partition);
  const auto take = [&](std::string_view encoded) -> result<void> {
    const auto entry = decode_entry(encoded);
    if (!entry) {
      return entry.error();
    }
    parts_.recent.apply(partition, entry->ops);
    return {};
  };
  result<void> applied;
  if (const auto cached = own.unapplied.take(seq)) {
    applied = take(*cached);
  } else {
    applied = parts_.entries.read(copy_of(partition).log().position_of(seq), take);
  }
  if (!applied) {
    storage_lost(applied.error().text());
  }
  parts_.writer.changed_overlay();
}

bool replica_driver::digest_is_due(partition_id partition) const {
  return at(partition).digest_at == parts_.copies.applied(partition);
}

bool replica_driver::waits_for_digest(partition_id partition) {
  const bool is_due = digest_is_due(partition);
  if (is_due &&
      std::find(digests_due_.begin(), digests_due_.end(), partition) == digests_due_.end()) {
    digests_due_.push_back(partition);
  }
  return is_due;
}

void replica_driver::take_digests(bool can) {
  const auto due = std::exchange(digests_due_, {});
  std::vector<partition_id> wanted;
  for (const auto partition : due) {
    if (digest_is_due(partition)) {
      at(partition).digest_at.reset();
      wanted.push_back(partition);
    }
  }
  if (can && !wanted.empty()) {
    parts_.writer.checkpoint_now(std::move(wanted));
  }
  for (const auto partition : due) {
    settle(partition);  // it goes on
  }
}

void replica_driver::digested(partition_id partition, std::uint64_t seq, std::uint64_t digest) {
  copy_of(partition).digested(seq, digest, at(partition).effects);
  settle(partition);
}

}  // namespace millrace::runtime
