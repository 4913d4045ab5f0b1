// SPDX-License-Identifier: MIT
#include "sim_disk.h"

#include "partition/journal_entry.h"
#include "sim_assert.h"

namespace millrace::sim {

void sim_disk::write(const disk_batch& batch, std::size_t steps) {
  if (steps-- == 0) {
    return;
  }
  if (batch.clears_rows) {
    put({});
  }
  if (steps-- == 0) {
    return;
  }
  if (batch.clears_rows) {
    put({batch.rows.values, {}});  // the last range says what all of them are of
  }
  if (steps-- == 0) {
    return;
  }
  if (batch.has_rows) {
    put(batch.rows);
  }
  if (steps-- == 0) {
    return;
  }
  write_journal(batch);
}

void sim_disk::put(const row_image& image) {
  if (rotten_key && image.values[*rotten_key] != rows.values[*rotten_key]) {
    rotten_key.reset();  // written anew
  }
  rows = image;
}

void sim_disk::write_journal(const disk_batch& batch) {
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
