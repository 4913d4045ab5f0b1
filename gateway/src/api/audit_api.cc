// SPDX-License-Identifier: MIT
// What the clients of all servers did.
#include "access/audit_trail.h"
#include "api/api.h"
#include "api/respond.h"
#include "millrace/audit.capnp.actor.h"

namespace millrace::gateway {

using http::reply;
using http::request;

namespace {

constexpr std::uint64_t page_max = 1'000;

void list(const api_parts& parts, request& received, reply answer) {
  const auto cursor = number_in_query(received, "cursor", 0, UINT64_MAX);
  const auto limit = number_in_query(received, "limit", 0, page_max);
  if (!cursor || !limit) {
    answer.fail(cursor ? limit.error() : cursor.error());
    return;
  }
  call_and_answer(
      parts.silo,
      runtime::ref<schemas::Audit>(audit_key).page(*cursor, static_cast<std::uint32_t>(*limit)),
      std::move(answer));
}

}  // namespace

void add_audit_routes(api_routes& routes) {
  routes.add(http::method::get, "/api/v1/audit", everywhere(role::ADMIN),
             {.id = "list_audit",
              .tag = "tokens",
              .summary = "Who did what, the newest first",
              .text = "Of all servers: what changed something or took a backup, and what was not "
                      "allowed. The newest 100,000 are kept.",
              .query = {number_key("cursor", UINT64_MAX, "The `next_cursor` of the page before."),
                        number_key("limit", page_max, "The most of them; 0: 100.")},
              .answers = {{.status = 200,
                           .text = "A page; `next_cursor` is empty at the end.",
                           .body = json_of<schemas::Audit::PageResults>()}}},
             list);
}

}  // namespace millrace::gateway
