// SPDX-License-Identifier: MIT
// Blob store: the bytes of artifacts on this machine, by their digests.
//
//   blobs/DIGEST       every blob, once
//   runs/RUN/DIGEST    another name of it, for each run that has it
//   incoming/N         one that is being written; emptied at each start
//
// The file system counts who needs a blob: when a run goes so do its names, and a blob that has one
// name left is nobody's. So there is no count that a crash could make wrong, and what a crash
// leaves behind is seen as nobody's at the next start. A name is given only to bytes that are on
// the disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/actors/artifact.h"
#include "millrace/actors/executor.h"
#include "millrace/runtime/result.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::actors {

/// Threading: any thread. Cost: blocks on the disk.
class blob_store {
public:
  /// A blob that has been written, or is being, and has no name yet. Goes when it is dropped.
  class draft {
  public:
    draft(draft&& other) noexcept
        : store_(other.store_),
          file_(std::move(other.file_)),
          name_(std::exchange(other.name_, {})),
          sum_(std::move(other.sum_)),
          digest_(std::move(other.digest_)),
          size_(other.size_) {}
    draft& operator=(draft&&) = delete;
    draft(const draft&) = delete;
    draft& operator=(const draft&) = delete;
    ~draft();

    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    /// Requires: it has been closed.
    [[nodiscard]] const std::string& digest() const noexcept { return digest_; }

    /// Errors: `out_of_space`, also where the disk's reserve begins; `storage_failed`.
    [[nodiscard]] runtime::result<void> write(std::string_view bytes);
    /// Nothing more comes. Call it once.
    void close();

  private:
    friend class blob_store;
    draft(const blob_store& store, runtime::unique_fd file, std::string name)
        : store_(&store), file_(std::move(file)), name_(std::move(name)) {}

    const blob_store* store_;
    runtime::unique_fd file_;
    std::string name_;  // in `incoming`; empty: it has been moved away
    digest_of_stream sum_;
    std::string digest_;
    std::uint64_t size_ = 0;
  };

  /// Makes the directory where missing, and forgets what an earlier life did not finish.
  /// `disk_reserve_bytes` stay free. Errors: `storage_failed`, `out_of_space`.
  [[nodiscard]] static runtime::result<std::unique_ptr<blob_store>> open(
      const std::filesystem::path& path, std::uint64_t disk_reserve_bytes);
  blob_store(const blob_store&) = delete;
  blob_store& operator=(const blob_store&) = delete;
  ~blob_store() = default;

  /// Errors: `out_of_space` where the disk's reserve begins before so many bytes more.
  [[nodiscard]] runtime::result<void> check_room(std::uint64_t bytes = 0) const;

  [[nodiscard]] runtime::result<draft> begin();

  /// Copies a file to its present end. Errors: those of `draft::write`; `too_large` past
  /// `bytes_max`; `cancelled` once `wanted` says no.
  [[nodiscard]] runtime::result<draft> copy(int file, std::uint64_t bytes_max,
                                            const std::function<bool()>& wanted);

  /// Gives them to the run: after that they survive a crash of the machine. Requires: closed.
  [[nodiscard]] runtime::result<void> keep(std::string_view run, std::vector<draft> made);

  /// Whether the run has it, or has it now, because another one does.
  [[nodiscard]] bool has(std::string_view run, std::string_view digest);

  /// Gives the run an artifact that another one has: its list by that digest, and its files. After
  /// that they survive a crash of the machine. Idempotent. Errors: `not_found` where not all of it
  /// is there; `storage_failed`.
  [[nodiscard]] runtime::result<void> keep_artifact(std::string_view run, std::string_view digest);

  /// The same of one blob.
  [[nodiscard]] runtime::result<void> keep_blob(std::string_view run, std::string_view digest);

  /// Takes a damaged blob from the run, and from those that would get it from here later.
  void forget(std::string_view run, std::string_view digest);

  /// Errors: `not_found` where the run has none of that digest; `storage_failed`.
  [[nodiscard]] runtime::result<runtime::unique_fd> open_blob(std::string_view run,
                                                              std::string_view digest) const;
  /// The whole of a small one. Errors: as above; `too_large`.
  [[nodiscard]] runtime::result<std::string> text_of(std::string_view run, std::string_view digest,
                                                     std::size_t bytes_max) const;
  /// The whole of one that has so many bytes, and is what its digest says. Errors: as `open_blob`,
  /// `storage_failed` also where it is damaged.
  [[nodiscard]] runtime::result<std::string> whole_text(std::string_view run,
                                                        std::string_view digest,
                                                        std::size_t bytes) const;
  /// At most `blob_piece_bytes_max`. Errors: as `open_blob`.
  [[nodiscard]] runtime::result<blob_piece> read(std::string_view run, std::string_view digest,
                                                 std::uint64_t offset) const;

  /// Takes everything from the run; of what nobody else has, the bytes go too. What a crash leaves
  /// of it, the next call or the next start removes.
  [[nodiscard]] runtime::result<void> remove_run(std::string_view run);

private:
  blob_store() = default;
  void sweep();
  [[nodiscard]] runtime::result<void> take_known(std::string_view run, std::string_view digest);
  [[nodiscard]] runtime::result<void> flush_names(std::string_view run) const;
  [[nodiscard]] runtime::result<void> name_one(int run, const draft& made);
  void drop_if_nobodys(const std::string& digest);
  // As `has`, with what stands against it.
  [[nodiscard]] runtime::result<bool> take(std::string_view run, std::string_view digest);

  runtime::unique_fd blobs_;
  runtime::unique_fd runs_;
  runtime::unique_fd incoming_;
  std::uint64_t disk_reserve_bytes_ = 0;
  std::mutex mutex_;  // over what gives and takes names
  std::uint64_t drafts_ = 0;
};

}  // namespace millrace::actors
