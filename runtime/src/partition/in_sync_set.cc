// SPDX-License-Identifier: MIT
#include "partition/in_sync_set.h"

#include "partition/planted_bug.h"

namespace millrace::runtime {

bool in_sync_set::learn(const partition_record& record) {
  if (record.version <= record_.version) {
    if (planted(bug::s2_forgets_unknown_changes)) {
      forget_changes();
    }
    return false;
  }
  record_ = record;
  forget_changes();  // they compared with an older version
  return true;
}

void in_sync_set::ask(const partition_record& change) {
  pending_ = change;
  for (const auto& each : change.in_sync) {
    if (!contains(asked_, each) && !planted(bug::s3_adds_before_required)) {
      asked_.push_back(each);
    }
  }
}

void in_sync_set::forget_changes() {
  asked_.clear();
  pending_.reset();
}

std::vector<placed_copy> in_sync_set::members() const {
  if (planted(bug::s1_drops_before_known) && pending_) {
    return pending_->in_sync;
  }
  auto members = record_.in_sync;
  for (const auto& each : asked_) {
    if (!contains(members, each)) {
      members.push_back(each);
    }
  }
  return members;
}

bool in_sync_set::counts(const placed_copy& copy) const {
  return contains(members(), copy);
}

bool in_sync_set::has_minimum() const noexcept {
  return record_.in_sync.size() >= record_.in_sync_min || planted(bug::w4_ignores_minimum);
}

}  // namespace millrace::runtime
