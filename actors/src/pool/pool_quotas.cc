// SPDX-License-Identifier: MIT
// What projects may have of a pool together: of the resources that attempts ask for, and of disks.
#include <algorithm>

#include "pool/pool_queue.h"

namespace millrace::actors {

bool pool_queue::set_storage(std::string_view executor, std::string_view project,
                             std::uint64_t bytes) {
  const auto at = executors_.find(executor);
  if (at == executors_.end()) {
    return false;
  }
  auto& share = shares_.of(project);
  const auto was_full = share.is_full();
  auto& storage = at->second.storage;
  auto& sum = share.storage;
  if (const auto was = storage.find(project); was != storage.end()) {
    sum -= was->second;
    storage.erase(was);
  }
  if (bytes > 0) {
    sum += bytes;
    storage.emplace(project, bytes);
  }
  return was_full && !share.is_full();
}

pool_queue::storage_by_project pool_queue::storage_of(std::string_view executor) const {
  const auto at = executors_.find(executor);
  return at != executors_.end() ? at->second.storage : storage_by_project{};
}

void pool_queue::forget_storage(offer& at) {
  for (const auto& [project, bytes] : at.storage) {
    shares_.of(project).storage -= bytes;
  }
  at.storage.clear();
}

// What the ticket's project may have that is kept for another which comes before it.
pool_queue::kept_quota pool_queue::kept_of_quota(const ticket_shape& of,
                                                 std::uint64_t number) const {
  const auto* other = keeper_of_quota(of.project);
  if (other == nullptr ||
      (other->priority != of.priority ? other->priority < of.priority : other->number >= number)) {
    return {};
  }
  kept_quota kept{other->wish.gang ? other->wish.gang->ranks : 0};
  for (const auto& [name, amount] : other->wish.resources) {
    kept.resources[name] = amount * std::max(kept.ranks, 1U);
  }
  return kept;
}

// Null: nothing is kept of it.
const pool_ticket* pool_queue::keeper_of_quota(const std::string& project) const {
  const auto at = quota_kept_for_.find(project);
  const auto ticket = at != quota_kept_for_.end() ? tickets_.find(at->second) : tickets_.end();
  return ticket != tickets_.end() ? &ticket->second : nullptr;
}

// Whether the project may have what the first of these asks for, all of a gang. Of one that has
// waited long it is kept until then, but first the lock that it lacks besides: or those that want
// only the one would take it in turn with those that want only the other.
bool pool_queue::look_at_quota(shape_at at, runtime::wall_time now) {
  const auto& shape = at->first;
  const auto& share = *shares_.find(shape.project);
  const auto& first = first_of(at);
  const auto count = std::max(shape.ranks, 1U);
  const auto kept = kept_of_quota(shape, first.number);
  if (share.may_run(count + kept.ranks) &&
      share.lacks(shape.resources, count, kept.resources) == nullptr) {
    return true;
  }
  ++looks_;
  if (now - first.queued_at >= patience && could_go(shape)) {
    if (const auto* missing = locks_.missing(first)) {
      locks_.keep(*missing, first);
    } else {
      quota_kept_for_.try_emplace(shape.project, first.number);
    }
  }
  return false;
}

}  // namespace millrace::actors
