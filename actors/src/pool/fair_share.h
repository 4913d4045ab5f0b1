// SPDX-License-Identifier: MIT
// Fair share: which project is served next among those that want something at one priority.
//
// A pure core. What a project uses is the time that its attempts are granted to executors, each
// counted as one slot or as the processors that it asks for, whichever is more. It is forgotten by
// half in each half-life: with rate r of use, dU/dt = r - U ln 2 / half-life (as the fair-share
// factors of Slurm and HTCondor do it). The project with the least (U + r * provision) / weight
// is next, so that also what has been granted a moment ago counts, by a provision.
//
// Beside that it counts, for each project, what runs and waits, what it has asked for and what it
// holds on disks, and keeps its limits.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/actors/resources.h"
#include "millrace/runtime/clock.h"

namespace millrace::actors {

/// A night's work weighs little in the morning, and an hour's in the next counts.
inline constexpr runtime::duration share_half_life = std::chrono::hours{1};

/// What a granted attempt counts at once: several grants of one moment are shared by it. About as
/// long as the tasks are between which history is to matter less than who has how many slots.
inline constexpr runtime::duration share_provision = std::chrono::minutes{1};

/// How much of the machines a project may have.
struct project_limits {
  std::uint32_t weight = 1;                        ///< At least 1.
  std::uint32_t max_running = 0;                   ///< Attempts at a time; 0: no bound.
  std::uint32_t max_queued_runs = 0;               ///< Kept for others to ask; 0: no bound.
  std::optional<std::uint32_t> max_priority = {};  ///< What is above counts as this.
  /// Its attempts of this priority or a higher one may have those of lower ones ended; nothing:
  /// none may.
  std::optional<std::uint32_t> preempts_from = {};
  resource_amounts resources = {};  ///< Of what is granted, the most of each that is in it.
  std::uint64_t max_storage = 0;    ///< Bytes, with which nothing more is granted; 0: no bound.

  friend bool operator==(const project_limits&, const project_limits&) = default;
};

/// One project as a pool sees it.
struct project_share {
  project_limits limits = {};
  double usage = 0;  ///< Seconds, at `at`.
  runtime::wall_time at = {};
  double rate = 0;                ///< Of what is granted: slots or processors.
  std::uint32_t running = 0;      ///< Attempts that are granted.
  std::uint32_t waiting = 0;      ///< Attempts that are not.
  std::uint32_t queued_runs = 0;  ///< Runs of which some attempts wait and none is granted.
  resource_amounts taken = {};    ///< What the granted ones have asked for.
  std::uint64_t storage = 0;      ///< Bytes that its runs hold on the disks of executors.

  /// Whether its runs hold as much as they may: nothing more is granted.
  [[nodiscard]] bool is_full() const {
    return limits.max_storage != 0 && storage >= limits.max_storage;
  }

  /// Whether it may be granted so many more, whatever they ask for.
  [[nodiscard]] bool may_run(std::uint32_t more = 1) const {
    return !is_full() &&
           (limits.max_running == 0 || std::uint64_t{running} + more <= limits.max_running);
  }

  /// The first of what `count` attempts ask for, each of them `wanted`, that it may not have beside
  /// what is granted and `kept`; null: it may have all.
  [[nodiscard]] const resource_amounts::value_type* lacks(const resource_amounts& wanted,
                                                          std::uint32_t count = 1,
                                                          const resource_amounts& kept = {}) const;

  /// The same if nothing was granted: what it never may have.
  [[nodiscard]] static const resource_amounts::value_type* never_has(const project_limits& limits,
                                                                     const resource_amounts& wanted,
                                                                     std::uint32_t count = 1);
};

/// Threading: none of its own. Time: the wall clock of the pool's silo; one that goes back counts
/// as standing still. Cost: O(log n) in the number of projects.
class fair_share {
public:
  using projects = std::map<std::string, project_share, std::less<>>;

  [[nodiscard]] const projects& all() const { return projects_; }
  /// A project that nobody knows has the defaults.
  [[nodiscard]] project_share& of(std::string_view project);
  [[nodiscard]] const project_share* find(std::string_view project) const;

  /// An attempt of so many slots or processors, which asks for `wanted`, is granted, or has ended.
  void granted(std::string_view project, double size, const resource_amounts& wanted,
               runtime::wall_time now);
  void ended(std::string_view project, double size, const resource_amounts& wanted,
             runtime::wall_time now);

  /// What it has used, in seconds, as it counts now.
  [[nodiscard]] static double usage(const project_share& project, runtime::wall_time now);
  /// The lowest is served first.
  [[nodiscard]] static double rank(const project_share& project, runtime::wall_time now);

private:
  static void advance(project_share& project, runtime::wall_time now);

  projects projects_;
};

}  // namespace millrace::actors
