// SPDX-License-Identifier: MIT
// Artifact delivery: gets artifacts of other tasks from the executors that keep them, and puts
// their files into a workspace.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/blob_store.h"
#include "millrace/pipeline.capnp.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// How other executors are reached. Empty functions: there is none.
struct blob_sources {
  /// As `blob_store::read`, of the store of that executor. Errors: also those of calls. Blocks.
  std::function<runtime::result<blob_piece>(const std::string& executor, const std::string& run,
                                            const std::string& digest, std::uint64_t offset)>
      read = {};
  /// Every executor that may be asked. Blocks.
  std::function<std::vector<std::string>()> executors = {};
};

using artifact_sources = capnp::List<schemas::ArtifactSource>::Reader;
using kept_inputs = capnp::List<schemas::KeptInput>::Reader;

/// How much longer than it was waited for an executor is left alone that did not answer: whoever
/// else needs the thread has most of it.
inline constexpr int silence_factor = 3;

/// Threading: one thread at a time. Cost: blocks on the disk and the network.
class artifact_delivery {
public:
  /// Requires: `store` and `time` outlive it.
  artifact_delivery(blob_store& store, const runtime::clock& time, blob_sources elsewhere)
      : store_(store), time_(time), elsewhere_(std::move(elsewhere)) {}

  /// Gets into the store what the run has not there yet: from the executor that made it, or any
  /// other that has it. What has come is kept for the next try of `attempt`; digests are checked.
  /// Errors: `unavailable` where another try may do better; `not_found` where everybody has
  /// answered and nobody has it; those of the store; `cancelled` once `wanted` says no.
  /// Time: waits for one executor that does not answer, and then for none again before
  /// `silence_factor` times as long has passed, whichever attempt asks.
  [[nodiscard]] runtime::result<void> fetch(const std::string& attempt, std::string_view run,
                                            artifact_sources sources,
                                            const std::function<bool()>& wanted);

  /// The same of texts. One that is damaged here is got anew. Requires: after `fetch`, of one try.
  [[nodiscard]] runtime::result<void> fetch_texts(const std::string& attempt, std::string_view run,
                                                  kept_inputs texts,
                                                  const std::function<bool()>& wanted);

  /// Forgets parts of what did not come for an attempt.
  void give_up(const std::string& attempt) { begun_.erase(attempt); }

  /// Puts the files into the directory `workspace`, in place of whatever stands there.
  /// Errors: `failed_precondition` where two sources have one path, naming both; `too_large` past
  /// taken_files_max; `out_of_space` where all of it does not fit beside the disk's reserve, then
  /// nothing is put; those of files; `cancelled` once `wanted` says no.
  /// Requires: they have been fetched.
  [[nodiscard]] runtime::result<void> place(std::string_view run, artifact_sources sources,
                                            int workspace,
                                            const std::function<bool()>& wanted) const;

private:
  struct wish;
  using drafts = std::map<std::string, blob_store::draft, std::less<>>;  // by digest
  [[nodiscard]] runtime::result<blob_piece> ask(const std::string& executor, const wish& wanted,
                                                std::uint64_t offset);
  [[nodiscard]] runtime::result<void> get(const wish& wanted);
  [[nodiscard]] runtime::result<void> get_from(const std::string& executor, const wish& wanted);
  [[nodiscard]] runtime::result<std::vector<artifact_file>> list_of(std::string_view run,
                                                                    std::string_view digest) const;

  blob_store& store_;
  const runtime::clock& time_;
  const blob_sources elsewhere_;
  std::map<std::string, drafts, std::less<>> begun_;                       // by attempt
  std::map<std::string, runtime::steady_time, std::less<>> silent_until_;  // by executor
  // Of the present try:
  std::vector<blob_store::draft> whole_;
  bool has_waited_ = false;  // in vain
};

}  // namespace millrace::actors
