// SPDX-License-Identifier: MIT
#include "storage/journal_writer.h"

#include <pthread.h>

#include "millrace/runtime/call_batch.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

// A queued request occupies this much beside its operations.
constexpr std::size_t request_overhead_bytes = 128;

// Requests that are answered before those who asked are woken, which costs a lock each time.
constexpr unsigned answers_together = 32;

// Trimming rides on appends: enough to keep up, little enough not to be felt by a lone commit.
constexpr std::size_t trim_beside_append_min = 64;
constexpr std::size_t trim_per_append = 2;
// What is left is trimmed once the journal has been quiet for a while, in short transactions.
constexpr duration quiet_time = std::chrono::milliseconds{20};
constexpr std::size_t idle_trim_entries = 2048;
constexpr duration trim_retry_interval = std::chrono::seconds{1};
constexpr duration sleep_max = std::chrono::hours{1};
constexpr duration room_look_interval = std::chrono::milliseconds{10};
constexpr duration room_retry_interval = std::chrono::milliseconds{100};
constexpr duration space_measure_interval = std::chrono::milliseconds{250};

std::size_t queued_bytes(const commit_request& request) {
  return request.ops.encoded().size() + request_overhead_bytes;
}

std::uint64_t quota_bytes_of(const storage_options& options) {
  return options.disk_quota_bytes == 0 ? options.map_bytes
                                       : std::min(options.disk_quota_bytes, options.map_bytes);
}

}  // namespace

journal_writer::journal_writer(const journal_writer_parts& parts, const storage_options& options)
    : parts_(parts),
      options_(options),
      clock_(*options.time),
      quota_(parts.entries, parts.rows, quota_bytes_of(options), options.directory),
      leases_(parts.copies.size()),
      group_(parts.entries),
      appended_(parts.copies.size()),
      active_empty_(parts.recent.active_bytes() == 0),
      checkpoint_writer_(
          parts.rows, parts.recent, [this] { return parts_.proof.wait_for_all(); },
          [this](const std::vector<partition_tail>& reached) {
            {
              const std::lock_guard lock{reached_mutex_};
              reached_.insert(reached_.end(), reached.begin(), reached.end());
              for (const auto& each : std::exchange(digests_wanted_, {})) {
                digests_found_.push_back({each, parts_.rows.digest_of(each.partition)});
              }
            }
            queue_.wake();
          }) {
  active_since_ = clock_.steady();
  counters_.lag_batches = parts.copies.lag();
  // What goes now has to be known to have gone.
  for (std::uint16_t index = 0; index < parts.copies.size(); ++index) {
    const auto& copy = parts.copies.at(partition_id{index});
    if (copy.log().base().seq < copy.state().checkpointed.seq) {
      group_.put_state(partition_id{index}, copy.state());
    }
  }
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

std::optional<error> journal_writer::refusal() const {
  const auto missing = quota_.now();
  return missing == shortage::none ? std::nullopt : std::optional{quota_.text_of(missing)};
}

bool journal_writer::saturated() const noexcept {
  return overlay_full_.load(std::memory_order_relaxed) ||
         counters_.backlog_bytes.load(std::memory_order_relaxed) +
                 waiting_bytes_.load(std::memory_order_relaxed) >
             options_.backlog_bytes_max;
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
    take_reached();
    receive_inputs();
    const bool stopping = stopping_;
    if (!stopping && pending_.empty() && driver_ == nullptr) {
      wait_for_company();
    }
    pending_.append(stopping ? queue_.close() : queue_.take());
    const bool has_copies_work =
        driver_ != nullptr && !stopping && driver_->has_disk_work(clock_.steady());
    if (pending_.empty() && !has_copies_work) {
      if (stopping) {
        end_waiting();
        return;
      }
      freeze_if_due(false);
      if (const auto sleep = idle_work(); sleep > duration::zero()) {
        ++rounds_;
        queue_.wait(sleep);
        ++rounds_;
      }
      continue;
    }
    switch (make_room()) {
      case room::there:
        write_group();
        freeze_if_due(out_of_space_);
        if (out_of_space_) {
          trim(trim_beside_append_min);  // the trim that rode on the failed append was lost with it
        }
        break;
      case room::later:
        queue_.wait(room_look_interval);
        break;
      case room::none:
        refuse_pending();
        if (driver_ != nullptr) {
          driver_->block(clock_.steady() + room_retry_interval);
        }
        break;
    }
  }
}

void journal_writer::wait_for_company() {
  const auto queued = queue_.size();
  if (queued == 0) {
    return;  // it sleeps until somebody comes
  }
  if (const auto wait = company_.next(queued); wait.count > 0) {
    queue_.wait_for(wait.count, wait.limit);
    company_.waited(queue_.size());
  }
}

// In a cluster it is not waited for: others have to hear of this silo meanwhile.
journal_writer::room journal_writer::make_room() {
  while (parts_.recent.bytes() > options_.overlay_bytes_max) {
    overlay_full_.store(true, std::memory_order_relaxed);
    freeze_if_due(true);
    if (driver_ != nullptr && !stopping_ &&
        checkpoint_writer_.current() == checkpoint_writer::state::writing) {
      return room::later;
    }
    if (checkpoint_writer_.wait_while_writing() == checkpoint_writer::state::stalled) {
      return room::none;
    }
  }
  overlay_full_.store(false, std::memory_order_relaxed);
  return room::there;
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
  if (driver_ != nullptr) {
    driver_->send();  // others write it meanwhile
  }
  if (group_.entries() > 0 || (driver_ != nullptr && driver_->has_group())) {
    if (flush_group()) {
      commit_group();
    } else {
      withdraw_group();
    }
  }
  answer_refused();
  if (driver_ != nullptr) {
    driver_->send();
  }
}

void journal_writer::gather_group() {
  out_of_space_ = false;
  busy_at_ = clock_.steady();
  if (driver_ != nullptr) {
    driver_->stage(busy_at_);
  }
  if (auto measured = quota_.refresh(busy_at_, parts_.recent.bytes()); !measured) {
    storage_lost(measured.error().text());
  }
  touched_.clear();
  std::size_t taken = 0;
  while (!pending_.empty()) {
    const auto bytes = pending_.front().ops.encoded().size() + journal_entry_overhead_bytes;
    if (group_.entries() > 0 && group_.bytes().size() + bytes > options_.commit_bytes_max) {
      break;
    }
    auto* request = pending_.pop();
    taken += queued_bytes(*request);
    if (auto admitted = admit(*request)) {
      append(*request);
    } else {
      refused_.push_back({request, admitted.error()});
    }
  }
  counters_.backlog_bytes.fetch_sub(taken, std::memory_order_relaxed);
}

void journal_writer::append(commit_request& request) {
  const auto partition = request.partition;
  const auto position = group_.next_position();
  auto& copy = parts_.copies.at(partition);
  copy.append(request.ops.encoded(), position, group_.bytes(),
              driver_ != nullptr ? driver_->effects_of(partition) : effects_);
  group_.end_entry();
  parts_.copies.added(partition, position);
  request.seq_ = copy.log().tail().seq;
  auto& own = appended_[static_cast<std::size_t>(partition)];
  if (own.group_begin == 0) {
    own.group_begin = request.seq_;
    touched_.push_back(partition);
  }
  own.waiting.push(&request);
  if (driver_ != nullptr) {
    waiting_bytes_.fetch_add(queued_bytes(request), std::memory_order_relaxed);
    driver_->appended(partition);
  }
}

result<void> journal_writer::admit(const commit_request& request) {
  const auto& ops = request.ops.encoded();
  if (static_cast<unsigned>(request.partition) >= parts_.copies.size()) {
    return error{errc::invalid_argument, "a commit names a partition that does not exist"};
  }
  if (ops.size() > commit_bytes_limit) {
    return error{errc::too_large, "a commit has " + std::to_string(ops.size()) +
                                      " bytes; at most " + std::to_string(commit_bytes_limit) +
                                      " are allowed"};
  }
  if (driver_ != nullptr) {
    if (auto led = driver_->admit(request); !led) {
      return led;
    }
  } else if (options_.in_cluster) {
    return error{errc::not_primary, "the silo has not joined its cluster yet"};
  }
  if (const auto missing = quota_.admit(ops); missing != shortage::none) {
    out_of_space_ = true;
    return quota_.text_of(missing);
  }
  return {};
}

void journal_writer::gather_erasures(std::size_t entries_max) {
  if (group_.erasures() < entries_max) {
    parts_.copies.forget(entries_max - group_.erasures(),
                         [this](std::uint64_t position) { group_.erase(position); });
  }
}

// Errors: `out_of_space`; on a broken disk it does not return.
result<void> journal_writer::flush_group() {
  gather_erasures(std::max(trim_beside_append_min, group_.entries() * trim_per_append));
  const auto began = clock_.steady();
  const auto entries = group_.entries();
  const auto bytes = group_.bytes().size();
  auto flushed = group_.flush();
  if (!flushed) {
    if (flushed.error().code() != errc::out_of_space) {
      storage_lost(flushed.error().text());
    }
    return flushed;
  }
  has_rested_ = false;
  counters_.commits.fetch_add(entries, std::memory_order_relaxed);
  counters_.group_commits.fetch_add(1, std::memory_order_relaxed);
  counters_.written_bytes.add(bytes);
  const auto took = clock_.steady() - began;
  counters_.flush_time.add(took);
  company_.flushed(entries, queue_.size(), took);
  counters_.journal_bytes.store(parts_.entries.bytes_used_at_most(), std::memory_order_relaxed);
  return {};
}

void journal_writer::withdraw_group() {
  out_of_space_ = true;
  parts_.copies.removed_from(group_.next_position());
  for (const auto partition : touched_) {
    auto& own = appended_[static_cast<std::size_t>(partition)];
    auto& copy = parts_.copies.at(partition);
    const auto begin = std::exchange(own.group_begin, 0);
    if (!copy.is_alone()) {
      continue;  // others may have what could not be written here
    }
    // A copy that is alone has committed all that it wrote before: only the group waits.
    copy.withdraw_above(begin - 1);
    while (!own.waiting.empty()) {
      refused_.push_back({own.waiting.pop(), quota_.text_of(shortage::disk)});
    }
  }
  if (driver_ != nullptr) {
    driver_->write_failed(clock_.steady());
  }
}

void journal_writer::commit_group() {
  call_batch together;
  answer_time_ = clock_.steady();
  for (const auto partition : touched_) {
    appended_[static_cast<std::size_t>(partition)].group_begin = 0;
    if (driver_ == nullptr) {
      parts_.copies.at(partition).durable(effects_);
      advance(partition);
    }
  }
  if (driver_ != nullptr) {
    driver_->durable();
  }
  counters_.lag_batches.store(parts_.copies.lag(), std::memory_order_relaxed);
}

void journal_writer::answer(commit_request* request, result<void> outcome) {
  counters_.commit_time.add(answer_time_ - request->queued_at_);
  if (driver_ != nullptr && request->seq_ != 0) {
    waiting_bytes_.fetch_sub(queued_bytes(*request), std::memory_order_relaxed);
  }
  request->done(std::move(outcome));
  if (++answered_ % answers_together == 0) {
    if (auto* const together = call_batch::current()) {
      together->flush();
    }
  }
}

void journal_writer::answer_refused() {
  answer_time_ = clock_.steady();
  for (auto& each : refused_) {
    answer(each.request, std::move(each.why));
  }
  refused_.clear();
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
  start_checkpoint();
}

void journal_writer::start_checkpoint() {
  checkpoint_progress progress;
  progress.tails = parts_.copies.take_applied();
  checkpoint_writer_.start(parts_.recent.freeze(std::move(progress)));
  active_empty_ = true;
}

void journal_writer::take_reached() {
  std::vector<partition_tail> reached;
  std::vector<rows_digest> digests;
  {
    const std::lock_guard lock{reached_mutex_};
    reached.swap(reached_);
    digests.swap(digests_found_);
  }
  for (const auto& each : reached) {
    if (parts_.copies.checkpointed(each)) {
      // With it, or before it, the entries below are deleted: so the journal knows what it lacks.
      put_state(each.partition);
    }
  }
  for (const auto& each : digests) {
    tell_digest(each);
  }
  counters_.lag_batches.store(parts_.copies.lag(), std::memory_order_relaxed);
}

duration journal_writer::idle_work() {
  const auto now = clock_.steady();
  auto sleep =
      driver_ != nullptr ? std::max<duration>(driver_->tick_due() - now, duration{1}) : sleep_max;
  // Short of room, the level that `refusal` tells falls as the checkpoint and trimming proceed.
  if (quota_.used_permille() >= add_permille_max) {
    if (auto measured = quota_.refresh(now, parts_.recent.bytes()); !measured) {
      storage_lost(measured.error().text());
    }
    sleep = std::min(sleep, space_measure_interval);
  }
  if (!active_empty_ && checkpoint_writer_.current() == checkpoint_writer::state::idle) {
    const auto due = active_since_ + std::chrono::milliseconds{options_.checkpoint_interval_ms};
    sleep = std::min(sleep, std::max<duration>(due - now, std::chrono::milliseconds{1}));
  }
  if (!has_rested_) {
    const auto due = busy_at_ + quiet_before_rest;
    has_rested_ = now >= due;
    if (has_rested_) {
      parts_.entries.rest();
    } else {
      sleep = std::min<duration>(sleep, due - now);
    }
  }
  if (!parts_.copies.may_forget() && !group_.has_more()) {
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
  gather_erasures(entries_max);
  if (!group_.has_more()) {
    return;
  }
  has_rested_ = false;
  if (auto trimmed = group_.flush(); !trimmed) {
    if (trimmed.error().code() != errc::out_of_space) {
      storage_lost(trimmed.error().text());
    }
    trim_failed_at_ = clock_.steady();
  }
}

}  // namespace millrace::runtime
