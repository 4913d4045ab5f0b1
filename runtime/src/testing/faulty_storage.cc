// SPDX-License-Identifier: MIT
#include "millrace/testing/faulty_storage.h"

#include <utility>

namespace millrace::testing {

using runtime::commit_request;
using runtime::error;
using runtime::read_request;

std::optional<error> faulty_storage::plan::next() {
  if (count == 0) {
    return std::nullopt;
  }
  if (skip > 0) {
    --skip;
    return std::nullopt;
  }
  --count;
  return why;
}

void faulty_storage::fail_commits(error why, unsigned count, unsigned skip) {
  const std::lock_guard lock{mutex_};
  commits_to_fail_ = {std::move(why), skip, count};
}

void faulty_storage::fail_reads(error why, unsigned count, unsigned skip) {
  const std::lock_guard lock{mutex_};
  reads_to_fail_ = {std::move(why), skip, count};
}

void faulty_storage::fail_scans(error why, unsigned count, unsigned skip) {
  const std::lock_guard lock{mutex_};
  scans_to_fail_ = {std::move(why), skip, count};
}

void faulty_storage::hold_commits() {
  const std::lock_guard lock{mutex_};
  holding_ = true;
}

void faulty_storage::release_commits() {
  std::vector<std::unique_ptr<commit_request>> held;
  {
    const std::lock_guard lock{mutex_};
    holding_ = false;
    held.swap(held_);
  }
  for (auto& each : held) {
    inner_->commit(std::move(each));
  }
}

void faulty_storage::fail_held(const error& why) {
  std::vector<std::unique_ptr<commit_request>> held;
  {
    const std::lock_guard lock{mutex_};
    holding_ = false;
    held.swap(held_);
  }
  for (auto& each : held) {
    each.release()->done(why);
  }
}

void faulty_storage::lose_held() {
  std::vector<std::unique_ptr<commit_request>> held;
  const std::lock_guard lock{mutex_};
  held.swap(held_);
}

std::uint64_t faulty_storage::commits() const {
  const std::lock_guard lock{mutex_};
  return commits_;
}

void faulty_storage::commit(std::unique_ptr<commit_request> request) {
  std::optional<error> failure;
  {
    const std::lock_guard lock{mutex_};
    ++commits_;
    failure = commits_to_fail_.next();
    if (!failure && holding_) {
      held_.push_back(std::move(request));
      return;
    }
  }
  if (failure) {
    request.release()->done(*std::move(failure));
  } else {
    inner_->commit(std::move(request));
  }
}

void faulty_storage::read(std::unique_ptr<read_request> request) {
  std::optional<error> failure;
  {
    const std::lock_guard lock{mutex_};
    failure = reads_to_fail_.next();
  }
  if (failure) {
    request.release()->done(*std::move(failure));
  } else {
    inner_->read(std::move(request));
  }
}

runtime::result<void> faulty_storage::scan(runtime::partition_id partition, std::string_view prefix,
                                           std::string_view from, std::size_t limit,
                                           const std::function<bool(const runtime::row&)>& visit) {
  std::optional<error> failure;
  {
    const std::lock_guard lock{mutex_};
    failure = scans_to_fail_.next();
  }
  if (failure) {
    return *std::move(failure);
  }
  return inner_->scan(partition, prefix, from, limit, visit);
}

void faulty_storage::stop() {
  fail_held({runtime::errc::unavailable, "storage has stopped"});
  inner_->stop();
}

}  // namespace millrace::testing
