// SPDX-License-Identifier: MIT
// etcd store: the coordination store of silos on many machines, in an etcd v3 cluster.
//
//   PREFIXsettings           the settings
//   PREFIXsilos/NAME         a silo's row; it hangs on the lease of its session
//   PREFIXpartitions/00042   a partition's record
//
// The revision is etcd's; a record's version is its key's mod_revision, a silo's incarnation its
// key's create_revision: higher than all before, and gone for ever with the key. What is read is
// read in transactions; what is decided is one transaction, sent once. A watch is only a hint: it
// begins behind a read, and is begun anew at least every 30 s.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "coordination/coordination_store.h"
#include "coordination/http_exchange.h"

namespace millrace::runtime {

/// Where etcd is, and as whom to come.
struct etcd_options {
  std::vector<std::string>
      endpoints;  ///< `http://host:port` or `https://host:port`, of one cluster.
  std::string prefix = "/millrace/";  ///< Of all keys; another for each cluster of silos.
  std::string user = {};              ///< Empty: none. Not over http to another machine.
  std::string password = {};
  tls_files tls = {};  ///< For https. Servers are always verified.
};

/// Opens the store; asks a server at once, at most until `deadline`.
///
/// etcd 3.4.32, 3.5.14 or newer; older ones with a warning, 3.5.0 to 3.5.2 not at all.
/// `ensure_dead` kills a process whose pid means something here; else the proof is that the kernel
/// refuses connections to the silo's address. Requires: `clock` outlives the store; the session's
/// time to live is 2 s at least. Errors: `invalid_argument`, `failed_precondition` for TLS files
/// that cannot be used, `unavailable`, `unauthenticated`.
[[nodiscard]] result<std::unique_ptr<coordination_store>> open_etcd_store(
    etcd_options etcd, const clock& clock, steady_time deadline, coordination_options options = {});

}  // namespace millrace::runtime
