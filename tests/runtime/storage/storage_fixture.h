// SPDX-License-Identifier: MIT
// What the storage tests share: directories that go away, and calls that wait for their answer.
#pragma once

#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "millrace/runtime/storage.h"

namespace millrace::runtime::testing {

/// A directory name below the temporary directory, removed with all it holds.
class scratch_directory {
public:
  scratch_directory() {
    std::string name =
        (std::filesystem::temp_directory_path() / "millrace-storage-XXXXXX").string();
    MILLRACE_ASSERT(::mkdtemp(name.data()) != nullptr);
    root_ = name;
  }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  ~scratch_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  /// A path that does not exist yet, unless a test made it.
  [[nodiscard]] std::string data() const { return root_ + "/data"; }
  [[nodiscard]] const std::string& root() const { return root_; }

private:
  std::string root_;
};

/// A commit whose outcome goes to a function; deletes itself.
class commit_call final : public commit_request {
public:
  explicit commit_call(std::function<void(result<void>)> told) : told_(std::move(told)) {}
  void done(result<void> outcome) override {
    const std::unique_ptr<commit_call> self{this};
    told_(std::move(outcome));
  }

private:
  std::function<void(result<void>)> told_;
};

/// A read whose rows go to a function; deletes itself.
class read_call final : public read_request {
public:
  read_call(std::vector<row_range> wanted, std::function<void(result<std::vector<row>>)> told)
      : wanted_(std::move(wanted)), told_(std::move(told)) {
    ranges = wanted_;
  }
  void done(result<std::vector<row>> rows) override {
    const std::unique_ptr<read_call> self{this};
    told_(std::move(rows));
  }

private:
  const std::vector<row_range> wanted_;
  std::function<void(result<std::vector<row>>)> told_;
};

inline row_ops put_row(std::string_view key, std::string_view value) {
  row_ops ops;
  ops.put(key, value);
  return ops;
}

inline row_ops erase_row(std::string_view key) {
  row_ops ops;
  ops.erase(key);
  return ops;
}

/// Queues a commit.
inline void commit_async(storage& to, unsigned partition, row_ops ops,
                         std::function<void(result<void>)> told) {
  auto call = std::make_unique<commit_call>(std::move(told));
  call->partition = static_cast<partition_id>(partition);
  call->ops = std::move(ops);
  to.commit(std::move(call));
}

/// Commits and waits for the answer.
inline result<void> commit_now(storage& to, unsigned partition, row_ops ops) {
  std::promise<result<void>> answered;
  commit_async(to, partition, std::move(ops),
               [&](result<void> outcome) { answered.set_value(std::move(outcome)); });
  return answered.get_future().get();
}

/// Reads and waits for the answer.
inline result<std::vector<row>> read_now(storage& from, unsigned partition,
                                         std::vector<row_range> ranges, std::string base = {}) {
  std::promise<result<std::vector<row>>> answered;
  auto call = std::make_unique<read_call>(std::move(ranges), [&](result<std::vector<row>> rows) {
    answered.set_value(std::move(rows));
  });
  call->partition = static_cast<partition_id>(partition);
  call->prefix = std::move(base);
  from.read(std::move(call));
  return answered.get_future().get();
}

inline result<std::vector<row>> read_now(storage& from, unsigned partition,
                                         std::string_view prefix) {
  row_range range;
  range.prefix = prefix;
  return read_now(from, partition, std::vector{std::move(range)});
}

/// `key=value` of each row, separated by spaces; `error: text` for a failure.
inline std::string rows_text(const result<std::vector<row>>& rows) {
  if (!rows) {
    return rows.error().to_string();
  }
  std::string text;
  for (const auto& each : *rows) {
    text += (text.empty() ? "" : " ") + each.key + "=" + each.value;
  }
  return text;
}

/// The same of a scan.
inline std::string scan_text(storage& from, unsigned partition, std::string_view prefix,
                             std::string_view start = {}, std::size_t limit = SIZE_MAX) {
  std::vector<row> rows;
  auto scanned =
      from.scan(static_cast<partition_id>(partition), prefix, start, limit, [&](const row& each) {
        rows.push_back(each);
        return true;
      });
  return scanned ? rows_text(rows) : scanned.error().to_string();
}

/// Counts answers and waits for all of them.
class tally {
public:
  /// Requires: called once for each expected answer.
  std::function<void(result<void>)> expect() {
    const std::lock_guard lock{mutex_};
    ++expected_;
    return [this](result<void> outcome) {
      const std::lock_guard answer_lock{mutex_};
      outcome ? ++succeeded_ : ++failed_;
      changed_.notify_all();
    };
  }
  void wait() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return succeeded_ + failed_ == expected_; });
  }
  [[nodiscard]] std::size_t succeeded() const { return succeeded_; }
  [[nodiscard]] std::size_t failed() const { return failed_; }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t expected_ = 0;
  std::size_t succeeded_ = 0;
  std::size_t failed_ = 0;
};

/// Keeps committing to an otherwise unused row until `reached` holds: the checkpoint and the
/// trimming move only as commits and time pass, and every round here waits for a flush.
inline void commit_until(storage& to, const std::function<bool()>& reached) {
  for (int round = 0; !reached(); ++round) {
    MILLRACE_ASSERT(round < 100'000);
    (void)commit_now(to, 0, put_row("~pacer", std::to_string(round)));
  }
}

/// Options for a small directory.
inline storage_options small_options(const std::string& directory) {
  storage_options options;
  options.directory = directory;
  options.partition_count = 16;
  options.map_bytes = std::size_t{1} << 30U;
  return options;
}

}  // namespace millrace::runtime::testing
