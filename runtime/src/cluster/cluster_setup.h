// SPDX-License-Identifier: MIT
// Cluster setup: what the options of a silo in a cluster come to, once they make sense.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "coordination/coordination_store.h"
#include "link/link_hub.h"
#include "millrace/runtime/silo.h"

namespace millrace::runtime {

/// Checks `options.cluster`. Errors: `invalid_argument`, which names the option and the remedy.
[[nodiscard]] result<void> check_cluster_options(const silo_options& options);

/// Opens the store that they name. Requires: checked. Errors: as `open_local_store` and
/// `open_etcd_store`.
[[nodiscard]] result<std::unique_ptr<coordination_store>> open_coordination(
    const cluster_options& cluster, const clock& time, steady_time deadline,
    coordination_options options);

/// Who the silo is on links, and how it makes them. Requires: checked.
[[nodiscard]] link_options links_of(const silo_options& options, const std::string& cluster_id,
                                    std::uint64_t incarnation);

/// Its row before it has joined. Requires: checked.
[[nodiscard]] silo_row row_of(const silo_options& options, std::vector<std::string> types);

/// Whether it calls and is not called: nobody opens a link to it.
[[nodiscard]] bool is_only_gateway(const silo_roles& roles) noexcept;

/// The address for its row; `port` is that on which it listens. Requires: checked.
[[nodiscard]] std::string advertised_address(const cluster_options& cluster, std::uint16_t port);

/// `HOST:PORT`, an IPv6 address in brackets. Errors: `invalid_argument`.
[[nodiscard]] result<std::pair<std::string, std::uint16_t>> split_address(std::string_view text);

}  // namespace millrace::runtime
