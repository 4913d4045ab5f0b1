// SPDX-License-Identifier: MIT
// Names of the planted bugs, and a seed that finds each: where a test looks first.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "partition/planted_bug.h"

namespace millrace::sim {

using runtime::bug;

struct known_bug {
  bug which;
  std::string_view name;
  std::uint64_t seed;  ///< That found it last.
};

inline constexpr std::array known_bugs{
    known_bug{bug::sets_list_silos, "sets_list_silos", 1},
    known_bug{bug::w2_accepts_lower_epochs, "w2_accepts_lower_epochs", 12},
    known_bug{bug::w2_skips_previous, "w2_skips_previous", 3},
    known_bug{bug::w3_acknowledges_at_once, "w3_acknowledges_at_once", 2},
    known_bug{bug::w4_commits_without_one, "w4_commits_without_one", 1},
    known_bug{bug::w4_commits_without_own, "w4_commits_without_own", 1},
    known_bug{bug::w4_counts_any_epoch, "w4_counts_any_epoch", 9},
    known_bug{bug::w4_ignores_minimum, "w4_ignores_minimum", 3},
    known_bug{bug::r1_lease_from_answer, "r1_lease_from_answer", 75},
    known_bug{bug::r2_one_grant_suffices, "r2_one_grant_suffices", 18},
    known_bug{bug::r3_no_wait, "r3_no_wait", 2},
    known_bug{bug::r3_no_wait_after_restart, "r3_no_wait_after_restart", 25},
    known_bug{bug::r5_answers_before_barrier, "r5_answers_before_barrier", 3},
    known_bug{bug::s1_drops_before_known, "s1_drops_before_known", 2},
    known_bug{bug::s2_forgets_unknown_changes, "s2_forgets_unknown_changes", 424},
    known_bug{bug::s3_adds_before_required, "s3_adds_before_required", 63},
    known_bug{bug::s3_takes_silo_for_copy, "s3_takes_silo_for_copy", 31},
    known_bug{bug::t1_ignores_floor, "t1_ignores_floor", 41},
    known_bug{bug::t3_forgets_promise, "t3_forgets_promise", 357},
    known_bug{bug::c2_cuts_to_own_commit, "c2_cuts_to_own_commit", 2},
};
static_assert(known_bugs.size() + 1 == static_cast<std::size_t>(bug::count));

}  // namespace millrace::sim
