// SPDX-License-Identifier: MIT
// etcd client: asks the servers of one etcd cluster, and believes no answer that goes back.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "coordination/etcd_endpoints.h"
#include "coordination/etcd_store.h"
#include "coordination/etcd_wire.h"
#include "coordination/http_exchange.h"

namespace millrace::runtime {

/// Errors: `unavailable` when no server could be reached, or none of a version that may be used:
/// nothing was done; `outcome_unknown` when a request was sent and its answer did not come or could
/// not be believed; those of `etcd_failure`; `cancelled` after `stop`.
/// Threading: any thread. Calls block until their deadline at most.
class etcd_client {
public:
  /// Connects to nothing yet. Requires: `clock` outlives it.
  /// Errors: `invalid_argument` for endpoints that are none, and for a password that would go to
  /// another machine in the clear; `failed_precondition` for TLS files.
  [[nodiscard]] static result<std::unique_ptr<etcd_client>> make(
      const etcd_options& options, const clock& clock, std::function<void(std::string_view)> warn);

  /// A transaction that changes nothing: asked of one server after the other.
  [[nodiscard]] result<etcd_answer> read(const etcd_transaction& transaction, steady_time deadline);
  /// One that may change something: sent once, to the first server that can be reached.
  [[nodiscard]] result<etcd_answer> write(const etcd_transaction& transaction,
                                          steady_time deadline);

  [[nodiscard]] result<etcd_lease> grant(std::uint64_t ttl_seconds, steady_time deadline);
  /// The lease has a time to live of 0 when it has ended.
  [[nodiscard]] result<etcd_lease> keep_alive(std::uint64_t lease, steady_time deadline);
  /// With the lease go the keys that hang on it. One that has ended is a success.
  result<void> revoke(std::uint64_t lease, steady_time deadline);

  /// Calls `changed` whenever keys with that prefix have changed since `from_revision`, until the
  /// deadline or until the server ends it, which is success.
  [[nodiscard]] result<void> watch(std::string_view prefix, std::uint64_t from_revision,
                                   steady_time deadline, const std::function<void()>& changed);

  /// Ends all calls, and those to come. Threading: any thread.
  void stop();

private:
  // Whether a request may be sent again when nobody knows what became of it.
  enum class effect : std::uint8_t { none, some };
  class running;  // an exchange that `stop` ends

  etcd_client(etcd_options options, std::vector<http_endpoint> endpoints,
              std::shared_ptr<const tls_settings> tls, const clock& clock,
              std::function<void(std::string_view)> warn);

  template <class Parse>
  auto ask(const std::string& target, const std::string& body, effect what, steady_time deadline,
           Parse parse, etcd_endpoints::freshness wanted = etcd_endpoints::freshness::as_seen)
      -> decltype(parse(std::string_view{}));
  // The body of the answer. Until `ready_by` it must be known that the server may be asked.
  result<std::string> ask_one(std::size_t at, const std::string& target, const std::string& body,
                              steady_time ready_by, steady_time deadline);
  result<http_answer> exchange(std::size_t at, const http_request& request, steady_time deadline);
  // Asks for its version, unless that is known to be good.
  result<void> check(std::size_t at, steady_time deadline);
  // The token of the user, or nothing without one.
  result<std::string> log_in(std::size_t at, steady_time deadline);

  const etcd_options options_;
  const std::vector<http_endpoint> addresses_;
  const std::shared_ptr<const tls_settings> tls_;
  const clock& clock_;
  const std::function<void(std::string_view)> warn_;

  std::mutex mutex_;
  etcd_endpoints endpoints_;
  std::vector<std::string> versions_;  // that were warned of, by endpoint
  std::string token_;
  std::set<http_exchange*> running_;
  bool is_stopped_ = false;
};

}  // namespace millrace::runtime
