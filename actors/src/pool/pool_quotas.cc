// SPDX-License-Identifier: MIT
// What projects may have of a pool together: of the resources that attempts ask for, and of disks.
#include <algorithm>

#include "pool/pool_queue.h"

namespace millrace::actors {

void pool_queue::set_storage(std::string_view executor, std::string_view project,
                             std::uint64_t bytes) {
  const auto at = executors_.find(executor);
  if (at == executors_.end()) {
    return;
  }
  auto& storage = at->second.storage;
  auto& sum = shares_.of(project).storage;
  if (const auto was = storage.find(project); was != storage.end()) {
    sum -= was->second;
    storage.erase(was);
  }
  if (bytes > 0) {
    sum += bytes;
    storage.emplace(project, bytes);
  }
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

// What the ticket's project may have that is kept for others which come before it.
resource_amounts pool_queue::kept_of_quota(const ticket_shape& of, std::uint64_t number) const {
  resource_amounts kept;
  const auto add = [&kept](const pool_ticket& ticket, std::uint32_t count) {
    for (const auto& [name, amount] : ticket.wish.resources) {
      kept[name] += amount * count;
    }
  };
  if (const auto* gang = kept_gang_of(of.project, of.priority);
      gang != nullptr && gang->number != number) {
    add(*gang, gang->wish.gang->ranks);
  }
  if (const auto at = quota_kept_for_.find(of.project); at != quota_kept_for_.end()) {
    const auto& other = tickets_.at(at->second);
    if (other.priority != of.priority ? other.priority > of.priority : other.number < number) {
      add(other, 1);
    }
  }
  return kept;
}

// Whether the project may have what the first of these asks for. Of one that has waited long it is
// kept until then.
bool pool_queue::has_quota(shape_at at, runtime::wall_time now) {
  const auto& shape = at->first;
  const auto& share = *shares_.find(shape.project);
  if (share.limits.resources.empty() || shape.ranks > 0) {
    return true;  // a gang is looked at as a whole
  }
  const auto& first = first_of(at);
  if (share.lacks(shape.resources, 1, kept_of_quota(shape, first.number)) == nullptr) {
    return true;
  }
  ++looks_;
  if (now - first.queued_at >= patience && could_go(shape) && locks_.missing(first) == nullptr) {
    quota_kept_for_.try_emplace(shape.project, first.number);
  }
  return false;
}

}  // namespace millrace::actors
