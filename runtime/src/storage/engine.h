// SPDX-License-Identifier: MIT
// Storage engine: journal, overlay and checkpoint put together as one `storage`.
//
// A commit goes to the journal thread (`journal_writer`), which makes it durable, asks the copy of
// its partition (`replica`) what is committed, and puts that into the overlay; the checkpoint
// thread (`checkpoint_writer`) brings the overlay into the checkpoint; the reader thread
// (`row_reader`) answers from both. At start the journal behind the checkpoint is replayed into the
// overlay.
#pragma once

#include <memory>
#include <optional>

#include "millrace/runtime/storage.h"
#include "storage/checkpoint.h"
#include "storage/data_directory.h"
#include "storage/journal.h"

namespace millrace::runtime {

/// What an engine is made of.
struct engine_parts {
  std::optional<data_directory> directory;  ///< Holds the lock; absent in memory.
  data_format format;
  std::unique_ptr<journal> entries;
  std::unique_ptr<checkpoint> rows;
};

/// Replays the journal, makes this silo's copies primary, and starts the threads.
/// Requires: the journal has copies (`make_copies`). Errors: `storage_failed` when journal and
/// checkpoint are corrupt or do not belong together.
[[nodiscard]] result<std::unique_ptr<storage>> make_engine(engine_parts parts,
                                                           const storage_options& options);

}  // namespace millrace::runtime
