// SPDX-License-Identifier: MIT
// Campaign: a cluster under load and faults for a while, and what its clients saw judged.
#pragma once

#include <map>

#include "chaos/load.h"
#include "chaos/models.h"
#include "chaos/nemesis.h"

namespace chaos {

struct campaign_wishes {
  std::uint64_t seed = 1;
  std::size_t silos = 3;
  std::chrono::milliseconds time{60'000};  ///< In which rounds of faults begin.
  std::size_t rounds_max = SIZE_MAX;
  /// It goes on without faults until there are so many and a run has begun, for a minute at most.
  std::uint64_t answers_min = 0;
  fault_names faults{"kill", "stop"};
  std::chrono::milliseconds fault_max{60'000};  ///< As `nemesis::wishes`.
  bool has_etcd = false;
  bool has_runs = true;
  std::filesystem::path room = {};  ///< For data, logs and the history.
  std::string program = {};
};

struct campaign_result {
  std::vector<std::string> mistakes;          ///< Empty: it is as it should be.
  std::map<std::string, std::size_t> faults;  ///< Done, by name.
  report judged;
  std::uint64_t ok = 0;
  std::uint64_t failed = 0;
  std::uint64_t unknown = 0;
  std::size_t ended_alone = 0;  ///< Processes.
  std::size_t runs = 0;
};

/// Errors: throws `std::runtime_error` where it cannot begin.
[[nodiscard]] campaign_result run_campaign(const campaign_wishes& wishes);

}  // namespace chaos
