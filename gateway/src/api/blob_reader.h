// SPDX-License-Identifier: MIT
// Blob reader: what a run has left in files, from the executor that keeps it, or from another that
// has it too, because one of its tasks took it there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/silo.h"

namespace millrace::gateway {

/// Threading: one call of `read` at a time; its answer comes on a thread of the silo.
class blob_reader : public std::enable_shared_from_this<blob_reader> {
public:
  using results = schemas::executor_interface::blob_results;
  using sink = std::function<void(const runtime::result<results>&)>;

  /// `executor`: that is asked first. Requires: `silo` outlives the reader.
  blob_reader(runtime::silo& silo, std::string run, std::string executor)
      : silo_(silo), run_(std::move(run)), executor_(std::move(executor)) {}

  /// A piece from `offset` of the blob with this digest. Errors: what the executor said that was
  /// asked first, where no other has it either. Time: some seconds for each that does not answer.
  void read(std::string digest, std::uint64_t offset, sink then);

  /// The one that answered last, and is asked first from now on.
  [[nodiscard]] const std::string& executor() const noexcept { return executor_; }

private:
  void ask(const std::string& executor);
  void take(const std::string& executor, const runtime::result<results>& piece);
  void find_others();

  runtime::silo& silo_;
  const std::string run_;
  std::string executor_;
  // Of the present call:
  std::string digest_;
  std::uint64_t offset_ = 0;
  sink then_;
  std::optional<runtime::error> refusal_;  // of the first
  std::vector<std::string> others_;        // that have not been asked
};

}  // namespace millrace::gateway
