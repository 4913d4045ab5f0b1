// SPDX-License-Identifier: MIT
#include "cluster/cluster_entry.h"

namespace millrace::runtime {
namespace {

error refused(std::string why) {
  return {errc::failed_precondition, std::move(why)};
}

std::string directory_of(const entry_facts& facts) {
  return "the data directory of silo '" + facts.silo + "'";
}

// The silo is the one that a new cluster is to begin with.
bool is_founder(const entry_facts& facts) {
  return facts.now->founder == facts.allocation_id;
}

error of_another(const entry_facts& facts) {
  return refused(directory_of(facts) + " belongs to the cluster " + facts.mark->cluster_id + " (" +
                 facts.file + "), the coordination store at " + facts.where +
                 " is that of the cluster " + facts.now->cluster_id +
                 "; name the store of the first, or start with an empty directory");
}

error store_is_empty(const entry_facts& facts) {
  return refused(directory_of(facts) + " belongs to the cluster " + facts.mark->cluster_id + " (" +
                 facts.file + "), the coordination store at " + facts.where +
                 " is empty: it was lost, or it is another one. Restore it, or name the right one. "
                 "If it is lost for good: stop all silos, start the one that has most with "
                 "--found-anew, the others with empty directories; what only they had is lost");
}

error two_sources(const entry_facts& facts) {
  return refused(directory_of(facts) + " has the data of a silo by itself, the cluster " +
                 facts.now->cluster_id + " at " + facts.where +
                 " has its own, which would take their place; start with an empty directory, or "
                 "let this silo be the first of a new cluster");
}

error other_partitions(const entry_facts& facts) {
  return refused("the cluster at " + facts.where + " has " +
                 std::to_string(facts.now->partition_count) + " partitions, " +
                 directory_of(facts) + " has " + std::to_string(facts.partition_count) +
                 "; use a new directory with as many as the cluster");
}

}  // namespace

result<std::optional<cluster_settings>> enter_cluster(const entry_facts& facts,
                                                      const std::string& cluster_id) {
  if (facts.mark && facts.mark->silo != facts.silo) {
    return refused("the data directory is that of silo '" + facts.mark->silo + "' (" + facts.file +
                   "), not of '" + facts.silo +
                   "'; start it by that name, or with an empty directory");
  }
  if (!facts.now) {
    if (facts.mark && !facts.founds_anew) {
      return store_is_empty(facts);
    }
    return std::optional{cluster_settings{cluster_id, facts.partition_count,
                                          facts.has_data ? facts.allocation_id : std::string{}}};
  }
  const bool is_its_own = facts.mark && facts.mark->cluster_id == facts.now->cluster_id;
  if (facts.mark && !is_its_own && !(facts.founds_anew && is_founder(facts))) {
    return of_another(facts);
  }
  if (!facts.mark && facts.has_data && !is_founder(facts)) {
    return two_sources(facts);
  }
  if (facts.now->partition_count != facts.partition_count) {
    return other_partitions(facts);
  }
  return std::optional<cluster_settings>{};
}

result<void> check_incarnation(const entry_facts& facts, std::uint64_t incarnation) {
  if (!facts.mark || incarnation > facts.mark->incarnation) {
    return {};
  }
  return refused("the coordination store at " + facts.where + " has gone back: silo '" +
                 facts.silo + "' was number " + std::to_string(facts.mark->incarnation) +
                 " there (" + facts.file + "), and would be " + std::to_string(incarnation) +
                 " now. It is older than what the silos have acknowledged, so that it may name "
                 "copies that have been left behind; restore a newer one");
}

}  // namespace millrace::runtime
