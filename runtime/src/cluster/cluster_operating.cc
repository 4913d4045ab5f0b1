// SPDX-License-Identifier: MIT
// What an operator may do with a silo's part in its cluster, and the figures of it.
#include "cluster/cluster_node.h"
#include "cluster/cluster_setup.h"
#include "silo/silo_core.h"

namespace millrace::runtime::detail {

namespace {

// For what an operator asks for: a person waits.
constexpr duration operating_patience = std::chrono::seconds{5};
constexpr duration look_again_after = std::chrono::milliseconds{100};
constexpr std::size_t reason_bytes_max = 1000;  // it is in the partition's record
const std::string begun_empty = "begun empty: ";

error refused(std::string why) {
  return {errc::failed_precondition, std::move(why)};
}

std::string name_of(partition_id partition) {
  return "partition " + std::to_string(static_cast<unsigned>(partition));
}

}  // namespace

result<void> cluster_node::take_part(presence how) {
  const std::lock_guard operates{operating_};
  if (how == presence::draining && asked_ == presence::decommissioned) {
    return {};  // it drains: whoever stops it asks so, and it is to go for good all the same
  }
  if (how == presence::active && is_full_) {
    asked_ = how;
    if (auto done = become(presence::draining, "it is not to go for good"); !done) {
      return done;
    }
    return refused("the disk of silo '" + own_.name +
                   "' is full: it takes part again once there is room");
  }
  auto done = become(how, "an operator has asked for it");
  asked_ = done ? how : asked_;
  return done;
}

// Others can write what this silo leads.
void cluster_node::note_disk(const std::optional<error>& refusal) {
  const std::unique_lock operates{operating_, std::try_to_lock};  // whoever ends this has it
  if (!operates || refusal.has_value() == is_full_) {
    return;
  }
  const auto how = refusal && asked_ == presence::active ? presence::draining : asked_;
  const auto why = refusal ? refusal->text() : "there is room on the disk again";
  if (become(how, why)) {
    is_full_ = refusal.has_value();
    home_.warn(refusal ? "the disk is full: others lead what this silo led silo=" + own_.name +
                             " why=" + why
                       : why + " silo=" + own_.name);
  }
}

// Requires: `operating_`.
result<void> cluster_node::become(presence how, const std::string& why) {
  const auto deadline = time_after(time_.steady(), operating_patience);
  {
    const std::lock_guard lock{mutex_};
    if (!book_ || stopping_ || is_out_ || !store_ || book_->takes_part() == presence::leaving) {
      return refused("silo '" + own_.name + "' is stopping, or is not in its cluster");
    }
    if (book_->takes_part() == how) {
      return {};
    }
  }
  auto row = own_;
  row.state = how == presence::active ? silo_state::active : silo_state::draining;
  row.is_decommissioned = how == presence::decommissioned;
  if (auto told = store_->update(row, deadline); !told) {
    return told;
  }
  const std::lock_guard lock{mutex_};
  book_->take_part(how);
  is_hinted_ = true;
  changed_.notify_all();
  home_.log(std::string{how == presence::active     ? "takes part again"
                        : how == presence::draining ? "drains"
                                                    : "drains for good"} +
            " silo=" + own_.name + " why=" + why);
  return {};
}

// --- break-glass ---------------------------------------------------------------------------------

result<void> cluster_node::check_operable(partition_id partition) const {
  if (!store_ || !book_ || is_out_) {
    return refused("silo '" + own_.name + "' is not in its cluster");
  }
  if (static_cast<std::size_t>(partition) >= cluster_.partition_count) {
    return error{errc::invalid_argument, "there is no " + name_of(partition) +
                                             "; there are those from 0 to " +
                                             std::to_string(cluster_.partition_count - 1)};
  }
  return {};
}

result<void> cluster_node::check_breakable(partition_id partition, const std::string& reason,
                                           glass_content from) {
  {
    const std::lock_guard lock{mutex_};
    if (auto operable = check_operable(partition); !operable) {
      return operable;
    }
    if (reason.empty() || reason.size() > reason_bytes_max) {
      return error{errc::invalid_argument, "a reason is needed, of at most 1000 bytes"};
    }
    if (is_store_lost_) {
      return error{errc::unavailable,
                   "silo '" + own_.name +
                       "' cannot reach the coordination store: it knows neither who is in nor "
                       "when it would be done"};
    }
    if (const auto leader = book_->leader(partition); !leader.empty()) {
      return refused(name_of(partition) + " is led by silo '" + std::string{leader} +
                     "', which is in; if that one cannot serve it, stop it first");
    }
    if (book_->record(partition).version == 0) {
      return refused(name_of(partition) + " has not been begun: nothing can be lost");
    }
  }
  if (side_ == nullptr) {
    return refused("silo '" + own_.name + "' keeps no copies of partitions");
  }
  const auto here = side_->copies().at(static_cast<std::size_t>(partition));
  if (!here.is_filled) {
    return refused("the rows of " + name_of(partition) + " on silo '" + own_.name +
                   "' were being replaced: they are neither old nor new; choose another silo");
  }
  if (from == glass_content::copy && here.tail == 0) {
    return refused("silo '" + own_.name + "' has nothing of " + name_of(partition));
  }
  if (from == glass_content::nothing && here.tail != 0) {
    return refused("silo '" + own_.name + "' has a copy of " + name_of(partition) +
                   ": it can go on from that one");
  }
  return {};
}

result<bool> cluster_node::has_copy(partition_id partition) {
  {
    const std::lock_guard lock{mutex_};
    if (auto operable = check_operable(partition); !operable) {
      return operable.error();
    }
  }
  if (side_ == nullptr) {
    return false;
  }
  const auto here = side_->copies().at(static_cast<std::size_t>(partition));
  return here.tail != 0 && here.is_filled;
}

// An empty copy leads as any other one does that was chosen: its log ends where the record says.
result<void> cluster_node::break_glass(partition_id partition, const std::string& reason,
                                       glass_content from) {
  const std::lock_guard operates{operating_};
  if (auto breakable = check_breakable(partition, reason, from); !breakable) {
    return breakable;
  }
  const bool is_empty = from == glass_content::nothing;
  const auto deadline = time_after(time_.steady(), operating_patience);
  const auto at_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(time_.wall().time_since_epoch())
          .count();
  std::unique_lock lock{mutex_};
  const lost_content decided{book_->record(partition).data_loss_no + 1,
                             {own_.name, (is_empty ? begun_empty : "") + reason, at_ms, false}};
  losses_[partition] = decided;
  std::string away;  // who may come back with a copy, and give it up
  for (const auto* all : {&book_->record(partition).in_sync, &book_->record(partition).eligible}) {
    for (const auto& each : *all) {
      if (book_->find(each.silo) == nullptr && away.find(each.silo) == std::string::npos) {
        away += (away.empty() ? "" : ",") + each.silo;
      }
    }
  }
  lock.unlock();
  home_.warn(
      std::string{"breaks glass: "} +
      (is_empty ? "no copy is left, it begins empty " : "what only other copies have is lost ") +
      name_of(partition) + " silo=" + own_.name +
      (away.empty() ? "" : " had_copies_and_are_not_in=" + away) + " why=" + reason);
  side_->host(partition, true);
  side_->break_glass(partition);
  lock.lock();
  const auto is_decided = [&] {
    return is_out_ || stopping_ || book_->record(partition).data_loss_no >= decided.number;
  };
  while (!is_decided() && time_.steady() < deadline) {
    changed_.wait_for(lock, look_again_after);
  }
  const auto& record = book_->record(partition);
  if (record.data_loss_no == decided.number && record.loss == decided.note) {
    return {};
  }
  return error{errc::conflict, name_of(partition) +
                                   " has not come to this silo: its record has changed meanwhile, "
                                   "or the coordination store does not answer: then it may still "
                                   "come; look again"};
}

// The nonce stays: it says which change made the primary, and that is not this one. So only what is
// read afterwards tells whether it was done.
result<void> cluster_node::acknowledge_loss(partition_id partition) {
  const std::lock_guard operates{operating_};
  {
    const std::lock_guard lock{mutex_};
    if (auto operable = check_operable(partition); !operable) {
      return operable;
    }
  }
  const auto deadline = time_after(time_.steady(), operating_patience);
  while (time_.steady() < deadline) {
    auto found = store_->read_partition(partition, deadline);
    if (!found) {
      return found.error();
    }
    if (!*found || (*found)->data_loss_no == 0) {
      return refused("nothing was lost of " + name_of(partition));
    }
    if ((*found)->loss.acknowledged) {
      tell(**found);
      return {};
    }
    (*found)->loss.acknowledged = true;
    static_cast<void>(store_->compare_and_set(**found, deadline));
  }
  return error{errc::deadline_exceeded, "the coordination store did not answer in time"};
}

// --- figures -------------------------------------------------------------------------------------

void cluster_node::add_copies(cluster_metrics& all) {
  const auto copies = side_ != nullptr ? side_->copies() : std::vector<copy_status>{};
  for (const auto& each : copies) {
    const auto& set = each.record.in_sync;
    const bool is_in =
        !each.is_aside && std::any_of(set.begin(), set.end(),
                                      [&](const placed_copy& one) { return one.id == each.id; });
    all.copies += is_in ? 1 : 0;
    all.copies_behind += each.is_hosted && !is_in ? 1 : 0;
    all.rejoins_by_tail_total += each.rejoins_by_tail;
    all.rejoins_by_snapshot_total += each.rejoins_by_snapshot;
    if (each.role != replica_role::primary) {
      continue;
    }
    ++all.partitions_led;
    all.in_sync_min = all.in_sync_min == 0 ? set.size() : std::min(all.in_sync_min, set.size());
    all.partitions_below_copies += set.size() < options_.copies ? 1 : 0;
    all.partitions_single_copy += set.size() == 1 && options_.copies > 1 ? 1 : 0;
    all.partitions_below_minimum += set.size() < each.record.in_sync_min ? 1 : 0;
    all.lag_entries_max = std::max(all.lag_entries_max, each.lag_entries);
    all.lag_max = std::max(all.lag_max, each.lag);
  }
}

// Requires: the mutex.
void cluster_node::add_links(cluster_metrics& all) const {
  all.links_up = up_.size();
  for (const auto& each : book_->view().silos) {
    const bool is_called = each.name != own_.name && !each.address.empty() &&
                           !is_only_gateway(each.roles) && !up_.contains(each.name);
    all.links_down += is_called ? 1 : 0;
  }
}

cluster_metrics cluster_node::metrics() {
  cluster_metrics all;
  add_copies(all);
  all.store_reachable = !is_store_lost_;
  const std::lock_guard lock{mutex_};
  if (!book_) {
    return all;
  }
  add_links(all);
  for (std::uint16_t index = 0; index < cluster_.partition_count; ++index) {
    const auto& record = book_->record(partition_id{index});
    const bool is_led =
        !book_->leader(partition_id{index}).empty() && record.state == partition_state::active;
    all.partitions_without_leader += is_led ? 0 : 1;
    all.losses_unacknowledged += record.data_loss_no > 0 && !record.loss.acknowledged ? 1 : 0;
  }
  const auto& counts = book_->counts();
  all.epoch_changes_total = counts.epoch_changes;
  all.takeovers_total = counts.takeovers;
  all.hand_overs_total = counts.hand_overs;
  all.leaderless = counts.leaderless;
  all.ejections_total = counts.ejections;
  all.joins_total = counts.joins;
  all.draining = book_->takes_part() != presence::active;
  return all;
}

}  // namespace millrace::runtime::detail
