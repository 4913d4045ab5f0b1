// SPDX-License-Identifier: MIT
// Local store: the coordination store of the silos of one machine, in a directory that they share.
//
//   data.mdb  LMDB; a key is a letter and a name:
//             s            the settings
//             n NAME       u64 incarnation, u64 slot of its session, the row
//             p PARTITION  u16, most significant byte first: u64 version, the record
//   lock.mdb  LMDB's own
//   LOCK      see shared_page.h
//
// The revision of the store is the number of LMDB's transaction. Sessions are times in the shared
// page (CLOCK_BOOTTIME of this boot), so that keeping one alive writes nothing; a silo whose
// process has ended is taken out at once, since its pidfd tells. Nobody is told of changes: each
// process looks at the number of the last transaction every 50 ms.
#pragma once

#include <memory>
#include <string>

#include "coordination/coordination_store.h"

namespace millrace::runtime {

/// Opens or makes the store in `directory`, whose parents must exist.
///
/// `ensure_dead` kills. A compare-and-set is unknown only when the disk fails or the lock does not
/// come in time. Stores of one directory in one process share what is open (LMDB's locks are the
/// process's), and with it the first one's `clock` and `warn`. Requires: these outlive all of them;
/// `clock` is `system_clock` but in tests.
/// Errors: `failed_precondition` when the directory is on a file system of several machines, or in
/// use in another boot or PID namespace; as LMDB's.
[[nodiscard]] result<std::unique_ptr<coordination_store>> open_local_store(
    const std::string& directory, const clock& clock, coordination_options options = {});

}  // namespace millrace::runtime
