// SPDX-License-Identifier: MIT
// What is said of the sets of copies that are in step: who came, who went, why.
#include <utility>

#include "cluster/cluster_book.h"
#include "cluster/cluster_words.h"
#include "cluster/placement.h"

namespace millrace::runtime {

namespace {

// The silos of those in `some` that are not in `others`.
std::vector<std::string> missing(const std::vector<placed_copy>& some,
                                 const std::vector<placed_copy>& others) {
  std::vector<std::string> silos;
  for (const auto& each : some) {
    if (!contains(others, each)) {
      silos.push_back(each.silo);
    }
  }
  return silos;
}

std::string names_of(const std::vector<placed_copy>& copies) {
  std::string names;
  for (const auto& each : copies) {
    names += (names.empty() ? "" : ",") + each.silo;
  }
  return names;
}

}  // namespace

// The silo that leads tells, and nobody else.
void cluster_book::compare_sets(const stored_partition& before, const stored_partition& after,
                                set_changes& changes) {
  if (primary_of(after) != settings_.silo) {
    return;
  }
  const auto note = [&](const std::string& what, const std::string& silo, const std::string& why) {
    changes[what + " silo=" + silo + " in_sync=" + names_of(after.in_sync) + " why=" + why]
        .push_back(after.partition);
  };
  for (const auto& silo : missing(before.in_sync, after.in_sync)) {
    ++counts_.ejections;
    const auto* row = find(silo);
    std::string why = "it did not answer in time, or could not write";
    if (row == nullptr) {
      why = "it is gone";
    } else if (!is_alive(*row)) {
      why = "its process has ended";
    } else if (before.epoch != after.epoch && primary_of(before) == silo) {
      why = "it led, and this silo has taken over";
    } else if (before.in_sync.size() > settings_.copies) {
      why = "its copy has moved";
    }
    note("copies have left their in-sync set", silo, why);
  }
  for (const auto& silo : missing(after.in_sync, before.in_sync)) {
    ++counts_.joins;
    note("copies have joined their in-sync set", silo, "they have caught up");
  }
}

void cluster_book::tell(const set_changes& changes, cluster_effects& effects) {
  for (const auto& [what, partitions] : changes) {
    effects.log.push_back(what + counted(partitions));
  }
}

// Once they are as many as a tick ago. Where a cluster begins there is one copy of everything for
// a moment; nobody is told of that, nor of those who are the last to stop.
void cluster_book::tell_single_copies(cluster_effects& effects) {
  std::vector<partition_id> single;
  for (const auto& each : partitions_) {
    if (each.led_epoch != 0 && each.was_shared && each.record.in_sync.size() == 1) {
      single.push_back(each.record.partition);
    }
  }
  const bool is_steady = std::exchange(single_copies_, single.size()) == single.size();
  if (!is_steady || are_single_told_ != single.empty() || settings_.copies == 1 ||
      presence_ == presence::leaving) {
    return;
  }
  are_single_told_ = !single.empty();
  if (are_single_told_) {
    effects.warnings.push_back(
        "single copy: what is acknowledged is on the disk of this silo only; bring another one "
        "back, or start one silo=" +
        settings_.silo + counted(single));
  } else {
    effects.log.push_back("no single copy any more silo=" + settings_.silo);
  }
}

}  // namespace millrace::runtime
