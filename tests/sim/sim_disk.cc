// SPDX-License-Identifier: MIT
#include "sim_disk.h"

#include "partition/journal_entry.h"
#include "sim_assert.h"

namespace millrace::sim {

void sim_disk::write(const disk_batch& batch) {
  if (batch.has_rows) {
    rows = batch.rows;
  }
  for (const auto& each : batch.journal) {
    if (const auto* erased = std::get_if<disk_batch::erasure>(&each)) {
      const auto found = entries.find(erased->position);
      if (found == entries.end()) {
        throw violation{"an entry was erased that had not been written"};
      }
      digests.erase(numbers[erased->position]);
      numbers.erase(erased->position);
      entries.erase(found);
    } else {
      const auto& put = std::get<disk_batch::entry>(each);
      const auto entry = runtime::decode_entry(put.bytes);
      numbers[put.position] = entry->seq;
      digests[entry->seq] = entry->digest;
      entries[put.position] = put.bytes;
    }
  }
  if (batch.has_state) {
    state = batch.state;
  }
}

}  // namespace millrace::sim
