// SPDX-License-Identifier: MIT
// etcd wire: what is asked of etcd's JSON gateway, and what its answers say. Pure.
//
// Keys and values are base64, 64-bit integers are strings, fields with their zero value are left
// out (the JSON form of etcd's v3 API, api/etcdserverpb/rpc.proto). All reads and writes of keys
// are transactions without the `serializable` flag: linearizable.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// Which state of which cluster an answer comes from.
struct etcd_header {
  std::uint64_t cluster_id = 0;
  std::uint64_t revision = 0;
  std::uint64_t raft_term = 0;
  friend bool operator==(const etcd_header&, const etcd_header&) = default;
};

/// A key that is there.
struct etcd_row {
  std::string key;
  std::string value;
  std::uint64_t create_revision = 0;
  std::uint64_t mod_revision = 0;
  std::uint64_t lease = 0;
};

/// One condition: the key's revision is that one (0: there is no such key).
struct etcd_compare {
  enum class target : std::uint8_t { create_revision, mod_revision };
  target what;
  std::string key;
  std::uint64_t revision;
};

/// One step of a transaction.
struct etcd_step {
  enum class kind : std::uint8_t { get, put, remove };
  kind what;
  std::string key;
  std::string range_end = {};  ///< Of a get: all keys from `key` to before it; empty: one key.
  std::string value = {};
  std::uint64_t lease = 0;
  std::uint64_t changed_after = 0;  ///< Of a get: only keys with a higher mod_revision.
};

struct etcd_transaction {
  std::vector<etcd_compare> compares;
  std::vector<etcd_step> then;
  std::vector<etcd_step> otherwise;
};

struct etcd_answer {
  etcd_header header;
  bool succeeded = false;                     ///< All compares held; `then` was done.
  std::vector<std::vector<etcd_row>> ranges;  ///< One a step, empty for other steps than gets.
};

struct etcd_lease {
  etcd_header header;
  std::uint64_t id = 0;
  std::uint64_t ttl_seconds = 0;  ///< 0: there is no such lease.
};

/// A line of a watch.
struct etcd_event {
  bool has_changes = false;
  bool is_over = false;  ///< The watch was cancelled, or failed.
};

/// The least key after all that begin with `prefix`. Requires: it ends with no 0xff.
[[nodiscard]] std::string end_of_prefix(std::string prefix);

[[nodiscard]] std::string to_json(const etcd_transaction& transaction);
[[nodiscard]] std::string grant_request(std::uint64_t ttl_seconds);
[[nodiscard]] std::string lease_request(std::uint64_t lease);
[[nodiscard]] std::string watch_request(std::string_view prefix, std::uint64_t from_revision);
[[nodiscard]] std::string login_request(std::string_view user, std::string_view password);

// Errors: `outcome_unknown` for what is no such answer: whoever sent it, something may be done.
[[nodiscard]] result<etcd_answer> read_answer(std::string_view body);
/// Also of a keep-alive, where the lease stands in `result`.
[[nodiscard]] result<etcd_lease> read_lease(std::string_view body);
[[nodiscard]] result<std::string> read_token(std::string_view body);
[[nodiscard]] etcd_event read_event(std::string_view line);

/// What an answer with that status is: `unauthenticated`, `permission_denied`, `invalid_argument`
/// and `not_found` (a lease), when nothing was done; else `outcome_unknown`. The text is etcd's.
[[nodiscard]] error etcd_failure(int status, std::string_view body);

/// Whether a server of that version may be used: etcd lost acknowledged writes in 3.5.0 to 3.5.2,
/// and could answer wrongly in others until 3.4.32 and 3.5.14.
enum class etcd_fitness : std::uint8_t { fit, old, refused };
/// The version in the answer to `GET /version`, and what to think of it.
struct etcd_version {
  std::string text;
  etcd_fitness fitness = etcd_fitness::refused;
};
/// Errors: `failed_precondition` for what is no answer of etcd.
[[nodiscard]] result<etcd_version> read_version(std::string_view body);

}  // namespace millrace::runtime
