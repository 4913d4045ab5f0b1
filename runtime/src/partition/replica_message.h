// SPDX-License-Identifier: MIT
// Replica messages: what the copies of one partition tell each other.
//
// Each names its sender and the epoch in which it was sent. They may be lost, doubled, late and
// out of order; nothing but the sender is taken on trust from a link.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "millrace/runtime/clock.h"
#include "partition/partition_log.h"
#include "partition/partition_record.h"

namespace millrace::runtime {

// --- of a primary --------------------------------------------------------------------------------

/// An entry, and how far the primary has committed.
struct prepare_message {
  placed_copy from;
  std::uint64_t data_loss_no = 0;
  std::uint64_t epoch = 0;
  std::uint64_t committed = 0;
  std::string entry;  ///< Encoded.
};

/// The primary is here: the first of an epoch asks for the promise, each asks for the leave to
/// answer reads for a while. Answered by `prepared`, `behind`, `grant` or `fenced`.
struct beacon_message {
  placed_copy from;
  std::uint64_t data_loss_no = 0;
  std::uint64_t epoch = 0;
  std::uint64_t record_version = 0;
  std::uint64_t committed = 0;
  log_tail tail;
  steady_time sent_at{};  ///< On the primary's clock; comes back as it is.
};

/// It has stopped being primary and answers nothing any more: nobody needs to wait for its leases.
struct release_message {
  placed_copy from;
  std::uint64_t epoch = 0;
  copy_id successor;  ///< Who should stand at once; all zero: anybody.
};

/// A range of the partition's rows.
struct range_message {
  placed_copy from;
  std::uint64_t data_loss_no = 0;
  std::uint64_t epoch = 0;
  log_tail base;  ///< The log goes on from here: what the rows held when the first was read.
  std::uint64_t applied = 0;  ///< The last entry in these.
  std::string first;          ///< The key from which on it was read.
  std::string next;           ///< Where the next range begins; empty: this was the last.
  std::string rows;           ///< `row_ops`, at most 1 MiB.
};

/// The log does not have any more what follows `tail`: fetch the rows instead.
struct snapshot_message {
  placed_copy from;
  std::uint64_t epoch = 0;
  log_tail tail;  ///< As the receiver told it.
};

/// Tell the digest of all rows as they are when `seq` is the last entry in them.
struct compare_message {
  placed_copy from;
  std::uint64_t epoch = 0;
  std::uint64_t comparison = 0;  ///< A number that the primary uses for no other in this epoch.
  std::uint64_t seq = 0;
};

/// What is there is not what the primary has, and is not in the set: begin anew.
struct discard_message {
  placed_copy from;
  std::uint64_t epoch = 0;
};

// --- to a primary --------------------------------------------------------------------------------

/// Everything up to there is on the sender's disk, and some of it is known to be committed.
struct prepared_message {
  placed_copy from;
  std::uint64_t epoch = 0;
  std::uint64_t committed = 0;
  log_tail tail;
};

/// Something did not fit, or the sender wants to become a copy: this is what it has.
struct behind_message {
  placed_copy from;
  std::uint64_t epoch = 0;
  log_tail tail;
  std::vector<lineage_step> lineage;
};

/// A higher epoch was promised.
struct fenced_message {
  placed_copy from;
  std::uint64_t promised_epoch = 0;
};

/// The sender was of that epoch when it answered the beacon; with `lease`, it also takes part in no
/// takeover for a while, which counts from when the beacon was sent.
struct grant_message {
  placed_copy from;
  std::uint64_t epoch = 0;
  steady_time beacon_sent_at{};
  bool lease = false;
};

/// The sender cannot write.
struct refused_message {
  placed_copy from;
  std::uint64_t epoch = 0;
};

/// The sender needs the rows from `first` on; from the beginning: a new snapshot.
struct fetch_message {
  placed_copy from;
  std::uint64_t epoch = 0;
  log_tail base;  ///< Of the snapshot that it has begun.
  std::string first;
};

/// The answer to `compare`.
struct compared_message {
  placed_copy from;
  std::uint64_t epoch = 0;
  std::uint64_t comparison = 0;
  std::uint64_t digest = 0;
};

using replica_message =
    std::variant<prepare_message, beacon_message, release_message, snapshot_message, range_message,
                 compare_message, discard_message, prepared_message, behind_message, fenced_message,
                 grant_message, refused_message, fetch_message, compared_message>;

}  // namespace millrace::runtime
