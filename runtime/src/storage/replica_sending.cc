// SPDX-License-Identifier: MIT
// What copies tell those of other silos.
#include <algorithm>

#include "storage/replica_driver.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

// Of one partition's log before others have their turn.
constexpr std::size_t turn_bytes_max = std::size_t{256} << 10U;
constexpr std::size_t frame_items_max = 4096;
// What is larger has a frame for itself, which is as large as a commit may be.
constexpr std::size_t frame_bytes_max = std::size_t{1} << 20U;
constexpr std::size_t item_overhead_bytes = 256;  // at most, without the payload
// As a link keeps what it could not send while it connects again.
constexpr duration lost_after = std::chrono::seconds{10};

std::size_t bytes_of(const replica_message& message) {
  if (const auto* prepare = std::get_if<prepare_message>(&message)) {
    return prepare->entry.size() + item_overhead_bytes;
  }
  if (const auto* behind = std::get_if<behind_message>(&message)) {
    return behind->lineage.size() * sizeof behind->lineage.front() + item_overhead_bytes;
  }
  const auto* range = std::get_if<range_message>(&message);
  return (range != nullptr ? range->rows.size() : 0) + item_overhead_bytes;
}

}  // namespace

void replica_driver::queue(partition_id partition, const placed_copy& to, replica_message message) {
  auto& box = std::holds_alternative<range_message>(message) ? bulk_ : outbox_;
  box[to.silo].push_back({partition, to.id, std::move(message)});
}

const peer* replica_driver::peer_at(partition_id partition, const placed_copy& copy) {
  const auto& peers = copy_of(partition).peers().all();
  const auto found = std::find_if(peers.begin(), peers.end(),
                                  [&](const peer& each) { return is_same(each.copy, copy); });
  return found != peers.end() ? &*found : nullptr;
}

replica_lane replica_driver::lane_of(partition_id partition, const placed_copy& copy) {
  const auto* const there = peer_at(partition, copy);
  const bool is_waited_for = there != nullptr && (there->counts || there->may_lead);
  return is_waited_for ? replica_lane::system : replica_lane::bulk;
}

catch_up_queue& replica_driver::queue_of(const std::string& silo, replica_lane lane) {
  const catch_up_queue none{lost_after};
  const auto found = catch_up_.try_emplace(silo, std::array{none, none}).first;
  return found->second[lane == replica_lane::system ? 0 : 1];
}

void replica_driver::forget(const catch_up_queue::place& whom) {
  for (const auto lane : {replica_lane::system, replica_lane::bulk}) {
    queue_of(whom.copy.silo, lane).forget(whom, now_);
  }
}

// What is being written now, and commits wait for, goes out at once, unless something before it
// waits.
void replica_driver::ship(partition_id partition, const replica_effects::shipment& what) {
  const auto& log = copy_of(partition).log();
  const catch_up_queue::place to{partition, what.to};
  auto& bulk = queue_of(what.to.silo, replica_lane::bulk);
  // Who lacks what was trimmed meanwhile asks, and gets the rows; who gets them takes no entries.
  if (what.first_seq <= log.base().seq || bulk.has_rows_for(to)) {
    return;
  }
  const auto own = lane_of(partition, what.to);
  const auto lane = bulk.is_busy_with(to) ? replica_lane::bulk : own;
  auto& waiting = queue_of(what.to.silo, lane);
  const bool is_being_written = !parts_.group.find(log.position_of(what.first_seq)).empty();
  if (is_being_written && own == replica_lane::system && !waiting.holds(to)) {
    send_entries(partition, what, lane, SIZE_MAX);
  } else {
    waiting.add_entries(to, what.first_seq, what.last_seq, now_);
  }
}

replica_driver::sent_entries replica_driver::send_entries(partition_id partition,
                                                          const replica_effects::shipment& what,
                                                          replica_lane lane,
                                                          std::size_t bytes_max) {
  const auto& copy = copy_of(partition);
  const auto& log = copy.log();
  auto& box = (lane == replica_lane::bulk ? bulk_ : outbox_)[what.to.silo];
  sent_entries done;
  const auto last = std::min(what.last_seq, log.tail().seq);
  for (auto seq = what.first_seq; seq <= last && done.bytes < bytes_max; ++seq) {
    prepare_message message{
        self(partition), copy.state().data_loss_no, copy.record().epoch, copy.committed(), {}};
    const auto position = log.position_of(seq);
    MILLRACE_ASSERT(position != 0);  // a new primary's promise is flushed first, with its entries
    if (const auto staged = parts_.group.find(position); !staged.empty()) {
      message.entry = staged;
    } else if (auto read = parts_.entries.read(position,
                                               [&](std::string_view entry) -> result<void> {
                                                 message.entry = entry;
                                                 return {};
                                               });
               !read) {
      storage_lost(read.error().text());
    }
    done.bytes += message.entry.size();
    done.last_seq = seq;
    box.push_back({partition, what.to.id, std::move(message)});
  }
  return done;
}

void replica_driver::note_progress(partition_id partition, const replica_message& message) {
  const auto epoch = copy_of(partition).record().epoch;
  if (const auto* told = std::get_if<prepared_message>(&message); told && told->epoch == epoch) {
    for (const auto lane : {replica_lane::system, replica_lane::bulk}) {
      queue_of(told->from.silo, lane).acknowledged({partition, told->from}, told->tail.seq, now_);
    }
  } else if (const auto* behind = std::get_if<behind_message>(&message);
             behind && behind->epoch == epoch) {
    queue_of(behind->from.silo, replica_lane::bulk).end_rows({partition, behind->from}, now_);
  } else if (const auto* refused = std::get_if<refused_message>(&message)) {
    forget({partition, refused->from});  // it drops what comes
  }
}

void replica_driver::catch_up(steady_time now) {
  now_ = now;
  for (auto& [silo, queues] : catch_up_) {
    for (const auto lane : {replica_lane::system, replica_lane::bulk}) {
      auto& queue = queue_of(silo, lane);
      while (const auto turn = queue.next(now_)) {
        take_turn(queue, *turn, lane);
      }
    }
  }
}

void replica_driver::take_turn(catch_up_queue& of, const catch_up_queue::turn& turn,
                               replica_lane lane) {
  const auto partition = turn.to.partition;
  if (peer_at(partition, turn.to.copy) == nullptr) {
    return;
  }
  if (turn.rows) {
    send_range(of, turn);
    settle(partition);
    return;
  }
  const auto& log = copy_of(partition).log();
  const replica_effects::shipment what{turn.to.copy, turn.first_seq, turn.last_seq};
  if (what.first_seq <= log.base().seq || what.first_seq > log.tail().seq) {
    return;
  }
  const auto done = send_entries(partition, what, lane, turn_bytes_max);
  of.sent(turn, done.last_seq, done.bytes, now_);
  if (done.last_seq < turn.last_seq) {
    of.add_entries(turn.to, done.last_seq + 1, turn.last_seq, now_);
  }
}

void replica_driver::send() {
  const auto post = [this](auto& boxes, replica_lane lane) {
    for (auto& box : boxes) {
      auto& items = box.second;
      std::size_t begin = 0;
      std::size_t bytes = 0;
      const auto end_frame = [&](std::size_t end) {
        if (begin < end) {
          host_.send(box.first, lane, encode(std::span{items}.subspan(begin, end - begin)));
        }
        begin = end;
        bytes = 0;
      };
      for (std::size_t next = 0; next < items.size(); ++next) {
        const auto more = bytes_of(items[next].message);
        if (next - begin >= frame_items_max || bytes + more > frame_bytes_max) {
          end_frame(next);
        }
        bytes += more;
      }
      end_frame(items.size());
      items.clear();
    }
  };
  post(outbox_, replica_lane::system);
  post(bulk_, replica_lane::bulk);
}

}  // namespace millrace::runtime
