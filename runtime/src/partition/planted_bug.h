// SPDX-License-Identifier: MIT
// Planted bugs: each leaves out one rule that carries the safety of replication.
//
// The simulator builds the core a second time with MILLRACE_PLANTED_BUGS, chooses one bug, and has
// to find it. Everywhere else `planted` is a constant, and nothing of this is compiled.
#pragma once

#include <cstdint>

namespace millrace::runtime {

enum class bug : std::uint8_t {
  none,
  sets_list_silos,             ///< A copy is known by its silo: a wiped one is in the set again.
  w2_accepts_lower_epochs,     ///< A backup follows an older primary after a newer one.
  w2_skips_previous,           ///< An entry is taken whatever the one before it is.
  w3_acknowledges_at_once,     ///< Before the entry is on the disk.
  w4_commits_without_one,      ///< One member of the set may be missing.
  w4_commits_without_own,      ///< Before the primary's own disk has it.
  w4_counts_any_epoch,         ///< What a copy has of an older epoch counts in this one.
  w4_ignores_minimum,          ///< However small the set is, it commits.
  r1_lease_from_answer,        ///< A lease counts from when the answer came.
  r2_one_grant_suffices,       ///< A read needs the leave of one other copy.
  r3_no_wait,                  ///< Who granted a lease stands before its end.
  r3_no_wait_after_restart,    ///< Nor for the end of those that it has forgotten.
  r3_believes_any_proof,       ///< The death of who never led its epoch ends other waits.
  r3_stander_grants,           ///< Who stands for primary grants leases to the old one.
  r5_answers_before_barrier,   ///< A new primary answers at once.
  s1_drops_before_known,       ///< A copy stops counting when its removal is asked for.
  s1_excuses_every_gap,        ///< Nobody leaves the set of a primary whose disk is slow.
  s2_forgets_unknown_changes,  ///< A change that has not happened yet is taken for failed.
  s3_adds_before_required,     ///< A copy joins the set before commits have waited for it.
  s3_takes_silo_for_copy,      ///< What one copy acknowledged counts for the next on its silo.
  s3_keeps_verdicts,           ///< What a learner has shown counts, whatever it has since.
  s3_refills_lost,             ///< Who has lost something gets some of it while asked in.
  s4_keeps_eligible,           ///< Those out of the set are complete for ever.
  t1_ignores_floor,            ///< A copy that has lost what was committed may lead.
  t3_forgets_promise,          ///< The promise is kept in memory only, and not read back.
  t6_resumes_epoch,            ///< A primary goes on in its epoch after a restart.
  c2_cuts_to_own_commit,       ///< Who follows a new primary first drops what it cannot prove.
  c4_skips_digest,             ///< A copy joins whatever its rows are.
  count,
};

#ifdef MILLRACE_PLANTED_BUGS
extern bug planted_bug;  // the simulator's
[[nodiscard]] inline bool planted(bug which) noexcept {
  return planted_bug == which;
}
#else
[[nodiscard]] constexpr bool planted(bug /*which*/) noexcept {
  return false;
}
#endif

}  // namespace millrace::runtime
