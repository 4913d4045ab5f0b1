// SPDX-License-Identifier: MIT
// What the copies of a cluster have on the disk, and what is committed of it. Rows that come and go
// as snapshots: replica_rows.cc.
#include "storage/replay.h"
#include "storage/replica_driver.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {
// --- entries and state ---------------------------------------------------------------------------

void replica_driver::stage(steady_time now) {
  now_ = now;
  take_rows(now);
  for (const auto partition : std::exchange(unstaged_, {})) {
    auto& own = at(partition);
    own.is_unstaged = false;
    if (!std::exchange(own.is_in_group, true)) {
      in_group_.push_back(partition);
    }
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
  for (const auto position : std::exchange(own.effects.erased, {})) {
    parts_.group.erase(position);
    parts_.copies.erased(position);
  }
  auto entries = std::exchange(own.effects.entries, {});
  const auto before = copy.log().tail().seq - entries.size();
  while (!own.unapplied.empty() && own.last_unapplied > before) {  // they were cut
    own.unapplied.pop_back();
    --own.last_unapplied;
  }
  copy.place(parts_.group.next_position(), entries.size());
  for (auto& each : entries) {
    const auto position = parts_.group.next_position();
    parts_.group.bytes() += each;
    parts_.group.end_entry();
    parts_.copies.added(partition, position);
    own.unapplied.push_back(std::move(each));
  }
  own.last_unapplied = copy.log().tail().seq;
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

void replica_driver::appended(partition_id partition) {
  auto& own = at(partition);
  if (!std::exchange(own.is_in_group, true)) {
    in_group_.push_back(partition);
  }
  carry_out(partition);
}

void replica_driver::durable() {
  for (const auto partition : std::exchange(in_group_, {})) {
    at(partition).is_in_group = false;
    copy_of(partition).durable(at(partition).effects);
    settle(partition);
  }
}

void replica_driver::write_failed(steady_time now) {
  for (const auto partition : std::exchange(in_group_, {})) {
    auto& own = at(partition);
    own.is_in_group = false;
    copy_of(partition).write_failed(now, own.effects);
    const auto tail = copy_of(partition).log().tail().seq;
    while (!own.unapplied.empty() && own.last_unapplied > tail) {
      own.unapplied.pop_back();
      --own.last_unapplied;
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
  while (!own.unapplied.empty() && own.last_unapplied - own.unapplied.size() + 1 < seq) {
    own.unapplied.pop_front();
  }
  const auto take = [&](std::string_view encoded) -> result<void> {
    const auto entry = decode_entry(encoded);
    if (!entry) {
      return entry.error();
    }
    parts_.recent.apply(partition, entry->ops);
    return {};
  };
  result<void> applied;
  if (!own.unapplied.empty() && own.last_unapplied - own.unapplied.size() + 1 == seq) {
    applied = take(own.unapplied.front());
    own.unapplied.pop_front();
  } else {
    applied = parts_.entries.read(copy_of(partition).log().position_of(seq), take);
  }
  if (!applied) {
    storage_lost(applied.error().text());
  }
  parts_.writer.changed_overlay();
}

bool replica_driver::wants_digest(partition_id partition) const {
  const auto& wanted = at(partition).digest_at;
  return wanted && *wanted == parts_.copies.applied(partition);
}

void replica_driver::take_digests() {
  std::vector<partition_id> due;
  for (const auto partition : std::exchange(digests_due_, {})) {
    if (wants_digest(partition)) {
      at(partition).digest_at.reset();
      due.push_back(partition);
    }
  }
  if (!due.empty() && parts_.writer.wait_for_checkpoint()) {
    parts_.writer.checkpoint_now(std::move(due));
  }
}

void replica_driver::digested(partition_id partition, std::uint64_t seq, std::uint64_t digest) {
  copy_of(partition).digested(seq, digest, at(partition).effects);
  settle(partition);
}

}  // namespace millrace::runtime
