// SPDX-License-Identifier: MIT
// What copies tell those of other silos.
#include "storage/replica_driver.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

// What is sent of a log at once; who lacks more asks again when it has that.
constexpr std::size_t shipment_bytes_max = std::size_t{4} << 20U;
constexpr std::size_t frame_items_max = 4096;
// What is larger has a frame for itself, which is as large as a commit may be.
constexpr std::size_t frame_bytes_max = std::size_t{1} << 20U;
constexpr std::size_t item_overhead_bytes = 256;  // at most, without the payload

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

void replica_driver::ship(partition_id partition, const replica_effects::shipment& what) {
  const auto& copy = copy_of(partition);
  const auto& log = copy.log();
  std::size_t bytes = 0;
  const auto last = std::min(what.last_seq, log.tail().seq);
  for (auto seq = what.first_seq; seq <= last && bytes < shipment_bytes_max; ++seq) {
    if (seq <= log.base().seq) {
      return;  // trimmed meanwhile: who lacks it asks, and gets the rows
    }
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
    bytes += message.entry.size();
    queue(partition, what.to, std::move(message));
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
