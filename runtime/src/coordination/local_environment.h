// SPDX-License-Identifier: MIT
// Local environment: the database and the shared page of a local store, and who may write.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordination/coordination_store.h"
#include "coordination/local_rows.h"
#include "coordination/shared_page.h"
#include "storage/lmdb_env.h"

namespace millrace::runtime {

/// One process's hold on the directory.
///
/// Threading: any thread. Ownership: `clock` outlives it.
class local_environment {
public:
  /// Errors: as `open_local_store`.
  [[nodiscard]] static result<std::unique_ptr<local_environment>> open(
      const std::string& directory, const process_identity& self, const clock& clock,
      std::function<void(std::string_view)> warn);

  /// Opens it as `open` does, hands all that it holds to `look` and lets go of it. Meanwhile nobody
  /// comes in or writes. Errors: as `open`; `not_found`.
  [[nodiscard]] static result<void> look_at(const std::string& directory,
                                            const process_identity& self, const clock& clock,
                                            const std::function<void(const local_rows&)>& look);

  /// A write transaction under the lock of all processes. Given up unless it is committed: nothing
  /// but compare, put and commit may happen while it is there.
  class writer {
  public:
    writer(local_environment& of, std::unique_lock<std::timed_mutex> turn)
        : of_(of), turn_(std::move(turn)), section_(*of.env_) {}
    writer(const writer&) = delete;
    writer& operator=(const writer&) = delete;
    ~writer();

    [[nodiscard]] result<void> begin();
    [[nodiscard]] local_rows rows(std::uint32_t newest) const noexcept {
      return {*of_.env_, txn_.get(), of_.table_, newest};
    }
    [[nodiscard]] result<void> commit();

  private:
    local_environment& of_;
    std::unique_lock<std::timed_mutex> turn_;
    lmdb_section section_;
    lmdb_txn txn_;
  };

  /// What was committed last, seen at one instant.
  class reader {
  public:
    reader(local_environment& of, lmdb_txn txn)
        : of_(of), section_(*of.env_), txn_(std::move(txn)) {}
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;
    ~reader() { of_.keep(std::move(txn_)); }
    [[nodiscard]] std::uint64_t revision() const noexcept { return mdb_txn_id(txn_.get()); }
    [[nodiscard]] local_rows rows(std::uint32_t newest) const noexcept {
      return {*of_.env_, txn_.get(), of_.table_, newest};
    }

  private:
    local_environment& of_;
    lmdb_section section_;
    lmdb_txn txn_;
  };

  /// Errors: `deadline_exceeded` when others write all the time.
  [[nodiscard]] result<std::unique_ptr<writer>> begin_write(steady_time deadline);
  /// Needs the lock for a moment when there are more readers in this process than ever before.
  /// Errors: `deadline_exceeded` then, as above.
  [[nodiscard]] result<std::unique_ptr<reader>> begin_read(steady_time deadline);

  /// The number of the last transaction that a read sees. Nothing when that cannot be told at once.
  /// Cost: no system call.
  [[nodiscard]] std::optional<std::uint64_t> last_revision();

  /// Lets go of what processes were reading when they died: it would stay in the file.
  void clear_dead_readers() noexcept { env_->check_readers(); }

  /// Where sessions are.
  [[nodiscard]] shared_page& page() noexcept { return *page_; }

private:
  local_environment(const clock& clock, std::function<void(std::string_view)> warn)
      : clock_(clock), warn_(std::move(warn)) {}
  result<void> open_lmdb(const std::string& directory);
  result<void> prepare();
  // A read that is about to begin: one that was kept, or a new one.
  result<lmdb_txn> take_read(steady_time deadline);
  void keep(lmdb_txn ended) noexcept;
  result<void> clear_silos();

  const clock& clock_;
  std::function<void(std::string_view)> warn_;
  std::unique_ptr<shared_page> page_;
  std::unique_ptr<lmdb_env> env_;
  MDB_dbi table_ = 0;
  std::timed_mutex turn_;  // of this process's threads
  std::mutex reads_mutex_;
  std::vector<lmdb_txn> reads_;  // that have ended, and keep their places among LMDB's readers
};

}  // namespace millrace::runtime
