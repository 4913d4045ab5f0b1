// SPDX-License-Identifier: MIT
// What the journal thread does with the copies of partitions: it applies what they have committed,
// and in a cluster feeds their driver.
#include <xxhash.h>

#include <array>

#include "millrace/runtime/call_batch.h"
#include "storage/journal_writer.h"

namespace millrace::runtime {
namespace {

// What other silos have sent and waits for the journal thread.
constexpr std::size_t input_bytes_max = std::size_t{64} << 20U;

}  // namespace

bool journal_writer::join(replication_host& host, const replication_settings& settings) {
  return between_groups([&] {
    const replica_driver_parts parts{parts_.entries, parts_.copies, parts_.recent, parts_.rows,
                                     parts_.proof,   group_,        leases_,       *this};
    driver_ = std::make_unique<replica_driver>(parts, host, settings, clock_.steady());
  });
}

void journal_writer::post(copies_input what, std::size_t bytes) {
  {
    const std::lock_guard lock{inputs_mutex_};
    if (bytes > 0 && input_bytes_ + bytes > input_bytes_max) {
      return;
    }
    input_bytes_ += bytes;
    inputs_.push_back(std::move(what));
  }
  queue_.wake();
}

std::vector<copy_status> journal_writer::copies() {
  std::vector<copy_status> all;
  between_groups([&] {
    if (driver_ != nullptr) {
      all = driver_->status(clock_.steady());
    }
  });
  return all;
}

// The order counts: what is to be done is looked at before the thread that takes it.
std::optional<std::uint64_t> journal_writer::rounds_if_idle() {
  {
    const std::lock_guard lock{visit_mutex_};
    if (visits_refused_) {
      return rounds_;  // it has stopped
    }
  }
  if (checkpoint_writer_.current() == checkpoint_writer::state::writing) {
    return std::nullopt;
  }
  {
    const std::lock_guard lock{reached_mutex_};
    if (!reached_.empty() || !digests_found_.empty()) {
      return std::nullopt;
    }
  }
  {
    const std::lock_guard lock{inputs_mutex_};
    if (!inputs_.empty()) {
      return std::nullopt;
    }
  }
  const auto queued = queue_.size();
  const auto rounds = rounds_.load();
  return queued == 0 && rounds % 2 == 1 ? std::optional{rounds} : std::nullopt;
}

void journal_writer::receive_inputs() {
  if (!options_.in_cluster) {
    return;  // nobody has a way to post any
  }
  std::vector<copies_input> inputs;
  {
    const std::lock_guard lock{inputs_mutex_};
    inputs.swap(inputs_);
    input_bytes_ = 0;
  }
  if (driver_ == nullptr || stopping_) {
    return;
  }
  call_batch together;
  for (const auto& each : inputs) {
    answer_time_ = clock_.steady();
    each(*driver_, answer_time_);
  }
  answer_time_ = clock_.steady();
  driver_->tick(answer_time_);
  const auto written = checkpoint_writer_.current();
  if (driver_->has_digests_due() && written != checkpoint_writer::state::writing) {
    take_reached();
    driver_->take_digests(written == checkpoint_writer::state::idle);
  }
  driver_->catch_up(answer_time_);
  driver_->send();
  counters_.lag_batches.store(parts_.copies.lag(), std::memory_order_relaxed);
}

void journal_writer::advance(partition_id partition) {
  auto& copy = parts_.copies.at(partition);
  auto& waiting = appended_[static_cast<std::size_t>(partition)].waiting;
  for (auto seq = parts_.copies.applied(partition) + 1; seq <= copy.committed(); ++seq) {
    if (driver_ != nullptr && driver_->waits_for_digest(partition)) {
      return;  // it goes on once a checkpoint has begun with what is applied
    }
    auto* const request = waiting.empty() || waiting.front().seq_ != seq ? nullptr : waiting.pop();
    if (request != nullptr) {
      parts_.recent.apply(partition, request->ops.encoded());
      changed_overlay();
    } else {
      driver_->apply(partition, seq);
    }
    parts_.copies.applied(partition, seq);
    if (request != nullptr) {
      answer(request, {});
    }
  }
}

void journal_writer::outcome_unknown(partition_id partition) {
  auto& waiting = appended_[static_cast<std::size_t>(partition)].waiting;
  while (!waiting.empty()) {
    answer(waiting.pop(),
           error{errc::outcome_unknown,
                 "this silo stopped leading the partition of the actor before the change was known "
                 "to be on enough disks"});
  }
}

void journal_writer::end_waiting() {
  for (std::uint16_t index = 0; index < parts_.copies.size(); ++index) {
    outcome_unknown(partition_id{index});
  }
}

void journal_writer::changed_overlay() {
  if (active_empty_) {
    active_empty_ = false;
    active_since_ = busy_at_;
  }
}

bool journal_writer::checkpoint_is_idle() {
  if (checkpoint_writer_.current() != checkpoint_writer::state::idle) {
    return false;
  }
  take_reached();
  return true;
}

void journal_writer::checkpoint_now(std::vector<partition_id> digests) {
  std::vector<partition_tail> wanted;
  for (const auto partition : digests) {
    const auto seq = parts_.copies.applied(partition);
    wanted.push_back({partition, parts_.copies.at(partition).log().at(seq)});
  }
  if (!active_empty_) {
    {
      const std::lock_guard lock{reached_mutex_};
      digests_wanted_ = std::move(wanted);
    }
    start_checkpoint();
    return;
  }
  for (const auto& each : wanted) {
    tell_digest({each, parts_.rows.digest_of(each.partition)});
  }
}

// The number of rows, and the sum of their checksums, in one number.
void journal_writer::tell_digest(const rows_digest& found) {
  const std::array<std::uint64_t, 2> both{found.digest.count, found.digest.sum};
  driver_->digested(found.at.partition, found.at.tail.seq, XXH3_64bits(both.data(), sizeof both));
}

void journal_writer::put_state(partition_id partition) {
  if (driver_ != nullptr) {
    driver_->put_state(partition);
  } else {
    group_.put_state(partition, parts_.copies.at(partition).state());
  }
}

}  // namespace millrace::runtime
