// SPDX-License-Identifier: MIT
// Nemesis: harms a cluster, by a seed, and mends it again.
//
// At a time it harms fewer silos than a majority, and now and then, by a kill, all of them. It
// wipes the directory of a silo only while every partition has all its copies.
#pragma once

#include <map>
#include <random>
#include <set>
#include <string>

#include "chaos/cluster.h"

namespace chaos {

/// What it does, by name: kill, stop, partition, disk, etcd, wipe. Of full disks it counts also
/// those that their silo has noticed, "disk noticed": it looks every two seconds.
using fault_names = std::set<std::string>;

class nemesis {
public:
  struct wishes {
    std::uint64_t seed = 1;
    fault_names faults;
    std::chrono::milliseconds fault_max{60'000};  ///< The longest; each kind has its own, too.
    /// After which a cluster that was mended is said not to recover. Lives wait for their sessions.
    std::chrono::milliseconds served_within{120'000};
    /// How long a wipe waits for all copies: one that was away often waits 5 min to be let in
    /// again.
    std::chrono::milliseconds whole_within{400'000};
  };
  nemesis(wishes what, cluster& whom);
  nemesis(const nemesis&) = delete;
  nemesis& operator=(const nemesis&) = delete;

  /// Harms and mends once. False: the cluster did not serve again; `complaint` says it.
  bool round();
  /// Everything goes on.
  void mend_all();

  [[nodiscard]] const std::map<std::string, std::size_t>& counted() const { return counted_; }
  [[nodiscard]] const std::string& complaint() const { return complaint_; }

private:
  struct harm {
    std::string what;
    std::size_t machine;
    steady::time_point until;
    std::size_t told_before = 0;  // how often the silo had said that its disk is full
  };
  std::chrono::milliseconds between(std::chrono::milliseconds least,
                                    std::chrono::milliseconds most);
  std::chrono::milliseconds time_of_fault(std::chrono::milliseconds least,
                                          std::chrono::milliseconds most);
  std::size_t below(std::size_t bound) { return random_() % bound; }
  std::string next_fault();
  void harm_next();
  bool harm_one(const std::string& fault);
  void kill(std::size_t machine, const std::string& what);
  void stop_one(std::size_t machine);
  void part();
  void harm_etcd();
  void mend(const harm& one);
  void tell(const std::string& line);
  [[nodiscard]] std::size_t unharmed_silo();
  [[nodiscard]] std::size_t harmed_max() const { return (cluster_.silos() - 1) / 2; }

  const wishes wishes_;
  cluster& cluster_;
  std::mt19937_64 random_;
  const steady::time_point began_ = steady::now();
  std::vector<std::string> left_;  // of the faults, before they come again
  std::vector<harm> harms_;
  std::map<std::string, std::size_t> counted_;
  std::string complaint_;
};

}  // namespace chaos
