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
  std::uint64_t seed;               ///< That found it last.
  std::string_view says;            ///< What is said then: it has to be found for the right reason.
  std::string_view or_says = says;  ///< Or that, where the same breaks two promises.

  [[nodiscard]] bool is_found_by(std::string_view violated) const {
    return violated.find(says) != std::string_view::npos ||
           violated.find(or_says) != std::string_view::npos;
  }
};

inline constexpr std::string_view lacks = "is listed as complete and lacks";
inline constexpr std::string_view both_answer = "two copies may answer at once";
inline constexpr std::string_view stale_read = "had been seen before";
inline constexpr std::string_view differ = "two copies committed different entries";
inline constexpr std::string_view wrong_row = "is not what was written last";
inline constexpr std::string_view wrong_read = "a read shows a value that nobody wrote";

inline constexpr std::array known_bugs{
    known_bug{bug::sets_list_silos, "sets_list_silos", 28, "is asked into the set"},
    known_bug{bug::w2_accepts_lower_epochs, "w2_accepts_lower_epochs", 3, lacks},
    known_bug{bug::w2_skips_previous, "w2_skips_previous", 3, differ},
    known_bug{bug::w3_acknowledges_at_once, "w3_acknowledges_at_once", 2, lacks},
    known_bug{bug::w4_commits_without_one, "w4_commits_without_one", 1, lacks},
    known_bug{bug::w4_commits_without_own, "w4_commits_without_own", 1, lacks},
    known_bug{bug::w4_counts_any_epoch, "w4_counts_any_epoch", 60, lacks},
    known_bug{bug::w4_ignores_minimum, "w4_ignores_minimum", 3, lacks},
    known_bug{bug::r1_lease_from_answer, "r1_lease_from_answer", 31, both_answer},
    known_bug{bug::r2_one_grant_suffices, "r2_one_grant_suffices", 1, both_answer},
    known_bug{bug::r3_no_wait, "r3_no_wait", 1, both_answer},
    known_bug{bug::r3_no_wait_after_restart, "r3_no_wait_after_restart", 8, both_answer},
    known_bug{bug::r3_believes_any_proof, "r3_believes_any_proof", 389, both_answer},
    known_bug{bug::r3_stander_grants, "r3_stander_grants", 639, both_answer},
    known_bug{bug::r5_answers_before_barrier, "r5_answers_before_barrier", 7, stale_read},
    known_bug{bug::s1_drops_before_known, "s1_drops_before_known", 2, lacks},
    known_bug{bug::s1_excuses_every_gap, "s1_excuses_every_gap", 17,
              "a dead copy stays in the set"},
    known_bug{bug::s2_forgets_unknown_changes, "s2_forgets_unknown_changes", 54, lacks},
    known_bug{bug::s3_adds_before_required, "s3_adds_before_required", 10, lacks},
    known_bug{bug::s3_takes_silo_for_copy, "s3_takes_silo_for_copy", 467, lacks},
    known_bug{bug::s3_keeps_verdicts, "s3_keeps_verdicts", 212, "is asked into the set"},
    known_bug{bug::s3_refills_lost, "s3_refills_lost", 171, "and would not see that by the record"},
    known_bug{bug::s4_keeps_eligible, "s4_keeps_eligible", 3, lacks},
    known_bug{bug::t1_ignores_floor, "t1_ignores_floor", 4, "a copy leads that lacks"},
    known_bug{bug::t3_forgets_promise, "t3_forgets_promise", 206, lacks},
    known_bug{bug::t6_resumes_epoch, "t6_resumes_epoch", 1, both_answer},
    known_bug{bug::c2_cuts_to_own_commit, "c2_cuts_to_own_commit", 1, lacks},
    known_bug{bug::c4_skips_digest, "c4_skips_digest", 24, wrong_row, wrong_read},
};
static_assert(known_bugs.size() + 1 == static_cast<std::size_t>(bug::count));

}  // namespace millrace::sim
