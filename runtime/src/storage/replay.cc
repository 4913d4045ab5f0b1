// SPDX-License-Identifier: MIT
#include "storage/replay.h"

#include <optional>
#include <string>

#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

std::string name_of(partition_id partition) {
  return "partition " + std::to_string(static_cast<unsigned>(partition));
}

error damaged(const std::string& what) {
  return error{errc::storage_failed, what + "; " + std::string{damage_remedy}};
}

// What the disk holds of one partition.
struct found_copy {
  std::optional<copy_state> state;  // of the journal
  log_tail checkpoint;
  std::optional<partition_log> log;  // absent as long as no entry was found
};

class recovery {
public:
  recovery(std::uint16_t partition_count, const checkpoint_progress& progress)
      : copies_(partition_count), progress_(progress) {}

  result<void> run(const journal& entries) {
    for (const auto& [partition, tail] : progress_.tails) {
      auto* const copy = find(partition);
      if (copy == nullptr) {
        return damaged("the checkpoint holds the tail of " + name_of(partition) +
                       ", which does not exist");
      }
      copy->checkpoint = tail;
    }
    auto scanned = entries.scan_states([this](partition_id partition, std::string_view bytes) {
      return take_state(partition, bytes);
    });
    if (scanned) {
      scanned = entries.scan([this](std::uint64_t position, std::string_view encoded) {
        return take_entry(position, encoded);
      });
    }
    for (std::uint16_t index = 0; index < copies_.size() && scanned; ++index) {
      scanned = check_ends(partition_id{index});
    }
    return scanned;
  }

  [[nodiscard]] std::vector<found_copy>& copies() noexcept { return copies_; }

private:
  found_copy* find(partition_id partition) {
    const auto index = static_cast<std::size_t>(partition);
    return index < copies_.size() ? &copies_[index] : nullptr;
  }

  result<void> take_state(partition_id partition, std::string_view bytes) {
    auto* const copy = find(partition);
    if (copy == nullptr) {
      return damaged("the journal holds the state of " + name_of(partition) +
                     ", which does not exist");
    }
    auto state = decode_copy_state(partition, bytes);
    if (!state) {
      return damaged(state.error().text());
    }
    copy->state = *state;
    return {};
  }

  result<void> take_entry(std::uint64_t position, std::string_view encoded) {
    const auto entry = decode_entry(encoded);
    if (!entry) {
      return damaged(entry.error().text() + " (position " + std::to_string(position) + ")");
    }
    auto* const copy = find(entry->partition);
    if (copy == nullptr) {
      return damaged("the journal holds an entry of " + name_of(entry->partition) +
                     ", which does not exist");
    }
    if (!copy->log) {
      // The first that is left: its chain begins with the entry before it.
      copy->log.emplace(entry->partition,
                        log_tail{entry->prev_epoch, entry->seq - 1, entry->prev_digest});
    }
    if (copy->log->fit(*entry) != entry_fit::next) {
      return damaged("the journal of " + name_of(entry->partition) +
                     " does not continue its chain at entry " + std::to_string(entry->seq));
    }
    copy->log->take(*entry, position);
    return {};
  }

  // Checkpoint and journal have to meet: neither may end before the other begins, and what both
  // name has to be the same.
  result<void> check_ends(partition_id partition) {
    auto& copy = *find(partition);
    if (copy.state && is_void(*copy.state)) {
      if (copy.log) {
        return damaged("the journal holds entries of " + name_of(partition) +
                       ", whose rows were being replaced");
      }
      copy.log.emplace(partition);
      copy.checkpoint = void_tail;
      return {};
    }
    if (!copy.log) {
      copy.log.emplace(partition, copy.state ? copy.state->checkpointed : copy.checkpoint);
    }
    const auto& log = *copy.log;
    const auto apart = [&](const log_tail& tail) {
      return tail.seq < log.base().seq || tail.seq > log.tail().seq || log.at(tail.seq) != tail;
    };
    const bool older = copy.state && copy.checkpoint.seq < copy.state->checkpointed.seq;
    if (older || apart(copy.checkpoint) || (copy.state && apart(copy.state->checkpointed))) {
      return damaged("the journal holds entries " + std::to_string(log.base().seq + 1) + " to " +
                     std::to_string(log.tail().seq) + " of " + name_of(partition) +
                     " but the checkpoint ends at " + std::to_string(copy.checkpoint.seq) +
                     "; they do not belong together");
    }
    return {};
  }

  std::vector<found_copy> copies_;
  const checkpoint_progress& progress_;
};

// Before version 3 one position of the journal stood for all partitions, and the entry there was
// kept.
result<void> check_position(const journal& entries, const checkpoint_progress& progress) {
  if (!progress.position) {
    return {};
  }
  std::uint64_t first = 0;
  auto scanned = entries.scan([&](std::uint64_t position, std::string_view) -> result<void> {
    first = first == 0 ? position : first;
    return {};
  });
  if (scanned && (entries.last() < *progress.position || first > *progress.position + 1)) {
    return damaged("the journal holds entries " + std::to_string(first) + " to " +
                   std::to_string(entries.last()) + " but the checkpoint ends at " +
                   std::to_string(*progress.position) + "; they do not belong together");
  }
  return scanned;
}

}  // namespace

result<void> make_copies(journal& entries, const checkpoint& rows, std::uint16_t partition_count) {
  const auto progress = rows.progress();
  if (!progress) {
    return progress.error();
  }
  if (auto checked = check_position(entries, *progress); !checked) {
    return checked;
  }
  recovery found{partition_count, *progress};
  if (auto done = found.run(entries); !done) {
    return done;
  }
  std::vector<std::string> encoded(partition_count);
  std::vector<journal_write::state> states;
  for (std::uint16_t index = 0; index < partition_count; ++index) {
    const auto& copy = found.copies()[index];
    auto state = copy.state.value_or(copy_state{mint_copy_id(), 0, 0, {}});
    state.checkpointed = copy.checkpoint;
    append_copy_state(partition_id{index}, state, encoded[index]);
    states.push_back({partition_id{index}, encoded[index]});
  }
  return entries.write({{}, {}, states});
}

result<std::vector<replica>> recover_copies(const journal& entries,
                                            const checkpoint_progress& progress,
                                            std::uint16_t partition_count, steady_time now) {
  recovery found{partition_count, progress};
  if (auto done = found.run(entries); !done) {
    return done.error();
  }
  std::vector<replica> copies;
  copies.reserve(partition_count);
  for (std::uint16_t index = 0; index < partition_count; ++index) {
    auto& copy = found.copies()[index];
    if (!copy.state) {
      return damaged("the journal lacks the state of " + name_of(partition_id{index}));
    }
    copy.state->checkpointed = copy.checkpoint;
    copies.emplace_back(*copy.state, *std::move(copy.log), replica_settings{}, now);
  }
  return copies;
}

result<void> apply_committed(const journal& entries, replica_table& copies,
                             const std::function<void(const journal_entry&)>& apply) {
  return entries.scan([&](std::uint64_t, std::string_view encoded) -> result<void> {
    const auto entry = decode_entry(encoded);
    if (!entry) {
      return entry.error();
    }
    const auto& copy = copies.at(entry->partition);
    if (entry->seq > copy.state().checkpointed.seq && entry->seq <= copy.committed()) {
      apply(*entry);
      copies.applied(entry->partition, entry->seq);
    }
    return {};
  });
}

}  // namespace millrace::runtime
