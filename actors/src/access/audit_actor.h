// SPDX-License-Identifier: MIT
// The actor `audit`: what gateways say that people and programs did.
#pragma once

#include "millrace/audit.capnp.actor.h"
#include "millrace/runtime/paged_map.h"

namespace millrace::actors {

/// Those that are kept; then the oldest make room. Some 20 MB.
inline constexpr std::uint64_t audit_entries_max = 100'000;
/// In one call.
inline constexpr std::uint32_t audit_append_max = 500;

class audit_actor final : public schemas::audit_base<schemas::AuditState> {
public:
  runtime::async<> append(append_params params) override;
  runtime::async<page_results> page(page_params params) override;

private:
  runtime::paged_map<schemas::AuditEntry> entries_{*this, "entries"};
};

}  // namespace millrace::actors
