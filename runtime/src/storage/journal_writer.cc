// SPDX-License-Identifier: MIT
#include "storage/journal_writer.h"

#include <pthread.h>

#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

// One silo holds all its partitions alone until partitions are replicated.
constexpr std::uint64_t only_epoch = 1;

// A queued request occupies this much beside its operations.
constexpr std::size_t request_overhead_bytes = 128;

// Trimming rides on appends: enough to keep up, little enough not to be felt by a lone commit.
constexpr std::size_t trim_beside_append_min = 64;
constexpr std::size_t trim_per_append = 2;
// What is left is trimmed once the journal has been quiet for a while, in short transactions.
constexpr duration quiet_time = std::chrono::milliseconds{20};
constexpr std::size_t idle_trim_entries = 2048;
constexpr duration trim_retry_interval = std::chrono::seconds{1};
constexpr duration sleep_max = std::chrono::hours{1};
constexpr duration space_measure_interval = std::chrono::milliseconds{250};

std::size_t queued_bytes(const commit_request& request) {
  return request.ops.encoded().size() + request_overhead_bytes;
}

std::uint64_t quota_bytes_of(const storage_options& options) {
  return options.disk_quota_bytes == 0 ? options.map_bytes
                                       : std::min(options.disk_quota_bytes, options.map_bytes);
}

}  // namespace

journal_writer::journal_writer(const journal_writer_parts& parts, const storage_options& options,
                               std::uint64_t applied)
    : parts_(parts),
      options_(options),
      quota_(parts.entries, parts.rows, quota_bytes_of(options), options.directory),
      applied_(applied),
      index_trimmed_(applied),
      active_empty_(parts.recent.active_bytes() == 0),
      checkpoint_writer_(
          parts.rows, parts.recent, [this] { return parts_.proof.wait_for_all(); },
          [this](std::uint64_t position) {
            applied_.store(position, std::memory_order_release);
            queue_.wake();
          }) {
  active_since_ = clock_.steady();
  counters_.last_position = parts.entries.last();
  thread_ = std::jthread{[this] { run(); }};
}

void journal_writer::commit(commit_request* request) {
  const auto bytes = queued_bytes(*request);
  counters_.backlog_bytes.fetch_add(bytes, std::memory_order_relaxed);
  request->queued_at_ = clock_.steady();
  if (!queue_.push(request)) {
    counters_.backlog_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    request->done(error{errc::unavailable, "storage has stopped"});
  }
}

std::uint64_t journal_writer::lag_batches() const noexcept {
  const auto applied = applied_.load(std::memory_order_acquire);
  const auto last = counters_.last_position.load(std::memory_order_relaxed);
  return last > applied ? last - applied : 0;
}

std::optional<error> journal_writer::refusal() const {
  const auto missing = quota_.now();
  return missing == shortage::none ? std::nullopt : std::optional{quota_.text_of(missing)};
}

bool journal_writer::saturated() const noexcept {
  return overlay_full_.load(std::memory_order_relaxed) ||
         counters_.backlog_bytes.load(std::memory_order_relaxed) > options_.backlog_bytes_max;
}

bool journal_writer::between_groups(const std::function<void()>& work) {
  visit mine{&work};
  std::unique_lock lock{visit_mutex_};
  visit_ended_.wait(lock, [this] { return visit_ == nullptr || visits_refused_; });
  if (visits_refused_) {
    return false;
  }
  visit_ = &mine;
  queue_.wake();
  visit_ended_.wait(lock, [&] { return visit_ != &mine; });
  return mine.done;
}

void journal_writer::receive_visit() {
  const std::lock_guard lock{visit_mutex_};
  if (visit_ != nullptr) {
    (*visit_->work)();
    visit_->done = true;
    visit_ = nullptr;
    visit_ended_.notify_all();
  }
}

void journal_writer::stop() {
  const std::lock_guard lock{stop_mutex_};
  stopping_ = true;
  queue_.wake();
  if (thread_.joinable()) {
    thread_.join();
  }
  {
    const std::lock_guard visit_lock{visit_mutex_};
    visits_refused_ = true;
    visit_ = nullptr;
    visit_ended_.notify_all();
  }
  checkpoint_writer_.stop();
}

void journal_writer::run() {
  ::pthread_setname_np(::pthread_self(), "journal");
  for (;;) {
    receive_visit();
    const bool stopping = stopping_;
    pending_.append(stopping ? queue_.close() : queue_.take());
    if (pending_.empty()) {
      if (stopping) {
        return;
      }
      freeze_if_due(false);
      if (const auto sleep = idle_work(); sleep > duration::zero()) {
        queue_.wait(sleep);
      }
      continue;
    }
    if (make_room()) {
      write_group();
      freeze_if_due(out_of_space_);
      if (out_of_space_) {
        trim(trim_beside_append_min);  // the trim that rode on the failed append was lost with it
      }
    } else {
      refuse_pending();
    }
  }
}

bool journal_writer::make_room() {
  while (parts_.recent.bytes() > options_.overlay_bytes_max) {
    overlay_full_.store(true, std::memory_order_relaxed);
    freeze_if_due(true);
    if (checkpoint_writer_.wait_while_writing() == checkpoint_writer::state::stalled) {
      return false;
    }
  }
  overlay_full_.store(false, std::memory_order_relaxed);
  return true;
}

void journal_writer::refuse_pending() {
  while (!pending_.empty()) {
    auto* request = pending_.pop();
    counters_.backlog_bytes.fetch_sub(queued_bytes(*request), std::memory_order_relaxed);
    request->done(quota_.text_of(shortage::disk));  // the checkpoint waits for room
  }
}

void journal_writer::write_group() {
  gather_group();
  append_group();
  answer_group();
}

void journal_writer::gather_group() {
  out_of_space_ = false;
  busy_at_ = clock_.steady();
  if (auto measured = quota_.refresh(busy_at_, parts_.recent.bytes()); !measured) {
    storage_lost(measured.error().text());
  }
  group_.clear();
  group_bytes_.clear();
  group_ends_.clear();
  std::size_t taken = 0;
  auto position = parts_.entries.last();
  while (!pending_.empty()) {
    const auto& ops = pending_.front().ops.encoded();
    const auto bytes = ops.size() + journal_entry_overhead_bytes;
    if (!group_ends_.empty() && group_bytes_.size() + bytes > options_.commit_bytes_max) {
      break;
    }
    auto* request = pending_.pop();
    taken += queued_bytes(*request);
    group_.push_back({request, admit(*request)});
    if (group_.back().outcome) {
      parts_.log.append(request->partition, only_epoch, ++position, ops, group_bytes_);
      group_ends_.push_back(group_bytes_.size());
    }
  }
  counters_.backlog_bytes.fetch_sub(taken, std::memory_order_relaxed);
}

result<void> journal_writer::admit(const commit_request& request) {
  const auto& ops = request.ops.encoded();
  if (static_cast<unsigned>(request.partition) >= parts_.log.partition_count()) {
    return error{errc::invalid_argument, "a commit names a partition that does not exist"};
  }
  if (ops.size() > commit_bytes_limit) {
    return error{errc::too_large, "a commit has " + std::to_string(ops.size()) +
                                      " bytes; at most " + std::to_string(commit_bytes_limit) +
                                      " are allowed"};
  }
  if (const auto missing = quota_.admit(ops); missing != shortage::none) {
    out_of_space_ = true;
    return quota_.text_of(missing);
  }
  return {};
}

void journal_writer::append_group() {
  if (group_ends_.empty()) {
    return;
  }
  group_entries_.clear();
  std::size_t begin = 0;
  for (const auto end : group_ends_) {
    group_entries_.emplace_back(group_bytes_.data() + begin, end - begin);
    begin = end;
  }
  const auto began = clock_.steady();
  auto appended = parts_.entries.append(group_entries_, next_trim(group_entries_.size()));
  if (!appended) {
    if (appended.error().code() != errc::out_of_space) {
      storage_lost(appended.error().text());
    }
    parts_.log.undo();
    for (auto& each : group_) {
      if (each.outcome) {
        each.outcome = quota_.text_of(shortage::disk);
      }
    }
    out_of_space_ = true;
    return;
  }
  parts_.log.keep();
  if (active_empty_) {
    active_empty_ = false;
    active_since_ = busy_at_;
  }
  for (const auto& each : group_) {
    if (each.outcome) {
      parts_.recent.apply(each.request->partition, each.request->ops.encoded());
    }
  }
  counters_.commits.fetch_add(group_entries_.size(), std::memory_order_relaxed);
  counters_.group_commits.fetch_add(1, std::memory_order_relaxed);
  counters_.last_position.store(parts_.entries.last(), std::memory_order_relaxed);
  counters_.written_bytes.add(group_bytes_.size());
  counters_.flush_time.add(clock_.steady() - began);
  counters_.journal_bytes.store(parts_.entries.bytes_used_at_most(), std::memory_order_relaxed);
}

void journal_writer::answer_group() {
  const auto now = clock_.steady();
  for (auto& each : group_) {
    counters_.commit_time.add(now - each.request->queued_at_);
    each.request->done(std::move(each.outcome));
  }
  if (group_bytes_.capacity() > 2 * options_.commit_bytes_max) {
    group_bytes_ = {};  // a lone large commit does not keep its memory
  }
}

void journal_writer::freeze_if_due(bool overlay_is_full) {
  if (active_empty_ || checkpoint_writer_.current() != checkpoint_writer::state::idle) {
    return;
  }
  const auto interval = std::chrono::milliseconds{options_.checkpoint_interval_ms};
  if (!overlay_is_full && parts_.recent.active_bytes() < options_.checkpoint_bytes &&
      clock_.steady() - active_since_ < interval) {
    return;
  }
  checkpoint_progress progress;
  progress.applied = parts_.entries.last();
  progress.tails = parts_.log.take_changed_tails();
  checkpoint_writer_.start(parts_.recent.freeze(std::move(progress)));
  active_empty_ = true;
}

// The entry at `applied` stays: it proves at start that journal and checkpoint belong together.
journal_trim journal_writer::next_trim(std::size_t appended) const {
  journal_trim trim;
  trim.before = applied_.load(std::memory_order_acquire);
  trim.entries_max = std::max(trim_beside_append_min, appended * trim_per_append);
  return trim;
}

duration journal_writer::idle_work() {
  const auto applied = applied_.load(std::memory_order_acquire);
  if (applied != index_trimmed_) {
    parts_.log.trim(applied);
    index_trimmed_ = applied;
  }
  const auto now = clock_.steady();
  auto sleep = sleep_max;
  // Short of room, the level that `refusal` tells falls as the checkpoint and trimming proceed.
  if (quota_.used_permille() >= add_permille_max) {
    if (auto measured = quota_.refresh(now, parts_.recent.bytes()); !measured) {
      storage_lost(measured.error().text());
    }
    sleep = space_measure_interval;
  }
  if (!active_empty_ && checkpoint_writer_.current() == checkpoint_writer::state::idle) {
    const auto due = active_since_ + std::chrono::milliseconds{options_.checkpoint_interval_ms};
    sleep = std::min(sleep, std::max<duration>(due - now, std::chrono::milliseconds{1}));
  }
  if (parts_.entries.first() >= std::min(applied, parts_.entries.last())) {
    return sleep;
  }
  const auto due = std::max(busy_at_ + quiet_time, trim_failed_at_ + trim_retry_interval);
  if (now < due) {
    return std::min<duration>(sleep, due - now);
  }
  trim(idle_trim_entries);
  return duration::zero();
}

void journal_writer::trim(std::size_t entries_max) {
  const auto before = applied_.load(std::memory_order_acquire);
  if (parts_.entries.first() >= std::min(before, parts_.entries.last())) {
    return;
  }
  if (auto trimmed = parts_.entries.append({}, {before, entries_max}); !trimmed) {
    if (trimmed.error().code() != errc::out_of_space) {
      storage_lost(trimmed.error().text());
    }
    trim_failed_at_ = clock_.steady();
  }
}

}  // namespace millrace::runtime
