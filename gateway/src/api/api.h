// SPDX-License-Identifier: MIT
// The HTTP API, version 1.
//
//   PUT    /api/v1/projects/{project}/pipelines/{name}        a definition; If-(None-)Match
//   GET    /api/v1/projects/{project}/pipelines               ?cursor&limit
//   GET    /api/v1/projects/{project}/pipelines/{name}        ?version; If-None-Match
//   DELETE /api/v1/projects/{project}/pipelines/{name}        with its ended runs
//   GET    /api/v1/projects/{project}/pipelines/{name}/activity
//   POST   /api/v1/projects/{project}/pipelines/{name}/pause  and /resume, /rollback
//   POST   /api/v1/projects/{project}/pipelines/{name}/runs   {params, labels, version, priority,
//                                                             only, no_cache}; ?wait;
//                                                             Idempotency-Key
//   POST   /api/v1/projects/{project}/pipelines/{name}/runs:batch
//                                                             a line of that for each run (NDJSON);
//                                                             Idempotency-Key
//   POST   /api/v1/projects/{project}/pipelines/{name}/webhooks/{webhook}
//                                                             anything; Idempotency-Key
//   GET    /api/v1/projects/{project}/pipelines/{name}/runs   ?cursor&limit&state
//   GET    /api/v1/projects/{project}/pipelines/{name}/cache  ?cursor&limit
//   DELETE /api/v1/projects/{project}/pipelines/{name}/cache  ?task
//   GET    /api/v1/projects/{project}/pipelines/{name}/schedules
//   GET    /api/v1/projects/{project}/pipelines/{name}/schedules/{schedule}
//                                                             ?next&firings
//   POST   /api/v1/projects/{project}/pipelines/{name}/schedules/{schedule}/pause
//                                                             {reason}
//   POST   /api/v1/projects/{project}/pipelines/{name}/schedules/{schedule}/resume
//   POST   /api/v1/projects/{project}/pipelines/{name}/schedules/{schedule}/trigger
//                                                             Idempotency-Key
//   POST   /api/v1/projects/{project}/pipelines/{name}/schedules/{schedule}/backfill
//                                                             {from, to, max_parallel, reprocess,
//                                                             dry_run}; Idempotency-Key
//   GET    /api/v1/projects/{project}/pipelines/{name}/backfills
//   GET    /api/v1/projects/{project}/pipelines/{name}/backfills/{backfill}
//   POST   /api/v1/projects/{project}/pipelines/{name}/backfills/{backfill}/cancel
//   POST   /api/v1/projects/{project}/pipelines/{name}/schedules:pause
//                                                             {reason}
//   POST   /api/v1/projects/{project}/pipelines/{name}/schedules:resume
//   GET    /api/v1/projects/{project}/schedules               ?cursor&limit
//   POST   /api/v1/validate                                   a definition
//   GET    /api/v1/runs                                       ?project&state&cursor&limit
//   GET    /api/v1/runs/{id}                                  ?wait
//   DELETE /api/v1/runs/{id}                                  once it has ended
//   GET    /api/v1/runs/{id}/tasks                            ?cursor&limit
//   GET    /api/v1/runs/{id}/tasks/{name}                     with attempts
//   GET    /api/v1/runs/{id}/tasks/{name}/logs                ?stream&attempt&tail&offset&follow
//   GET    /api/v1/runs/{id}/logs                             of all tasks, line by line (NDJSON);
//                                                             ?task&stream&attempt&tail&since
//   GET    /api/v1/runs/{id}/artifacts                        ?cursor&limit
//   GET    /api/v1/runs/{id}/tasks/{name}/artifacts/{artifact}
//                                                             its files; ?cursor&limit
//   GET    /api/v1/runs/{id}/tasks/{name}/artifacts/{artifact}/content
//                                                             one of them: ?path; If-None-Match
//   GET    /api/v1/runs/{id}/events                           server-sent; Last-Event-ID
//   POST   /api/v1/runs/{id}/cancel                           {reason}; Idempotency-Key
//   POST   /api/v1/runs/{id}/retry                            {from, dry_run}; Idempotency-Key
//   POST   /api/v1/runs/{id}/pause                            and /resume, /rerun
//   POST   /api/v1/runs/{id}/tasks/{name}/approve             {comment}; Idempotency-Key
//   POST   /api/v1/runs/{id}/tasks/{name}/reject              {comment}; Idempotency-Key
//   POST   /api/v1/callbacks/{token}                          {state, reason, outputs};
//                                                             Idempotency-Key
//   GET    /api/v1/actors                                     types and open methods, of all silos
//   POST   /api/v1/actors/{type}/{key}/{method}               an open one; Idempotency-Key
//   GET    /api/v1/actors/{type}                              of all silos;
//                                                             ?silo&prefix&active&cursor&limit
//   GET    /api/v1/actors/{type}/{key}/state                  as committed, by the silo that has
//                                                             it; ?map&cursor&limit
//   POST   /api/v1/actors/{type}/{key}/deactivate             once it has nothing to do, there
//   GET    /api/v1/silo                                       figures, by actor type
//   GET    /api/v1/silos                                      of the cluster; ?cursor&limit
//   GET    /api/v1/partitions                                 of the cluster; ?cursor&limit
//   GET    /api/v1/cluster/health                             as this process sees it
//   POST   /api/v1/silos/{name}/drain                         {undo, decommission}
//   POST   /api/v1/partitions/{id}/break-glass                {silo, reason}; Idempotency-Key
//   POST   /api/v1/partitions/{id}/acknowledge-loss
//   GET    /api/v1/dead-letters                               sends that were given up, of all
//                                                             silos; ?silo&cursor&limit
//   POST   /api/v1/dead-letters/{type}/{key}/{number}/retry   sends it again
//   DELETE /api/v1/dead-letters/{type}/{key}/{number}
//   GET    /api/v1/backup                                     the state, as `millrace restore`
//                                                             reads it
//   GET    /api/v1/tokens                                     those that one may revoke;
//                                                             ?cursor&limit
//   POST   /api/v1/tokens                                     {id, grants, expires_in};
//                                                             Idempotency-Key
//   DELETE /api/v1/tokens/{name}
//   GET    /api/v1/projects/{project}/secrets                 their names
//   PUT    /api/v1/projects/{project}/secrets/{name}          {value}
//   DELETE /api/v1/projects/{project}/secrets/{name}
//   GET    /api/v1/projects/{project}/settings                what it may have of the machines
//   PUT    /api/v1/projects/{project}/settings                {weight, max_running,
//                                                             max_queued_runs, max_priority,
//                                                             preempts_from, max_cpu, max_memory,
//                                                             max_storage}
//   GET    /api/v1/projects/{project}/usage                   what it has of that
//   GET    /api/v1/pool                                       what executors offer and projects
//                                                             have
//   GET    /api/v1/audit                                      who did what; ?cursor&limit
//   GET    /livez /readyz /startupz /metrics /version /schemas/pipeline.json
//   GET    /openapi.json                                      all of this, for programs
//
// JSON is snake_case and made from the schemas. Errors are problem documents (RFC 9457). A query
// key that a route does not know is one. Every POST takes an Idempotency-Key.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "access/guard.h"
#include "api/file_thread.h"
#include "api/operation.h"
#include "http/identity.h"
#include "http/memory_budget.h"
#include "http/router.h"
#include "http/server.h"
#include "millrace/actors/pipeline_host.h"
#include "millrace/actors/secret_keyring.h"
#include "millrace/runtime/silo.h"
#include "trace/otlp_exporter.h"

namespace millrace::gateway {

/// Of the lists of artifacts' files that are being read, but for small ones, and of each client a
/// quarter, or one list.
inline constexpr std::size_t lists_bytes_max = std::size_t{16} << 20;

/// Large bodies that may wait to be read; a definition of 1 MiB, the largest, takes 0.2 s.
inline constexpr std::size_t bodies_waiting_max = 64;

/// Every job of the threads that are looked after ends within milliseconds on a disk that works.
inline constexpr std::chrono::seconds stalled_after{5};

/// What is wrong with `part` ("the executor"), which has been at one thing for `busy`. Nothing up
/// to `stalled_after`.
[[nodiscard]] std::optional<runtime::error> stall_of(std::string_view part, runtime::duration busy);

/// When the certificates of this process's links end.
struct link_ends {
  runtime::wall_time certificate;
  runtime::wall_time authority;  ///< Of who has issued it.
};

/// What handlers work with. Lives longer than the server.
struct api_parts {
  runtime::silo& silo;
  actors::pipeline_host* host;  ///< Of this process's executor; null: it has none.
  file_thread& files;           ///< For logs and figures: each job ends within a piece of a file.
  file_thread& bodies;          ///< Where large bodies are read.
  file_thread& strangers;       ///< The same, of those without a token.
  file_thread& inspections;     ///< For what may wait for actors: what silos are asked.
  std::function<http::server_probe()> probe;  ///< For /metrics; may be empty.
  gateway::guard* guard = nullptr;            ///< Null: whoever reaches this may do everything.
  const actors::secret_keyring* keyring = nullptr;  ///< Null: no secrets can be stored.
  const otlp_exporter* traces = nullptr;            ///< For /metrics; null: there is none.
  const token_list* tokens = nullptr;               ///< Likewise.
  const http::identity* tls = nullptr;              ///< Likewise.
  std::optional<link_ends> links = {};              ///< Likewise.
  const std::shared_ptr<http::memory_budget> lists =
      std::make_shared<http::memory_budget>(lists_bytes_max);
};

/// The routes of the API, each with what it wants of who asks and what /openapi.json says of it. No
/// handler is reached another way.
///
/// Threading: filled by one thread, before the first request.
class api_routes {
public:
  using handler = void (*)(const api_parts&, http::request&, http::reply);
  struct row {
    http::method verb;
    std::string pattern;
    access needed;
    operation about;
    bool has_checked_query;  ///< Not of one that takes any.
  };

  /// Requires: `parts` outlives the router.
  api_routes(http::router& into, const api_parts& parts) : into_(into), parts_(parts) {}

  /// Adds a handler that works with the parts. A request with a query key that the operation does
  /// not know, or with one twice, is refused. One with a large body is handled on the thread for
  /// these. Requires: a POST heeds `Idempotency-Key`, which whoever sends it counts on.
  void add(http::method verb, std::string_view pattern, access needed, operation about,
           handler handle);
  /// Adds a handler for requests with any query.
  void add(http::method verb, std::string_view pattern, access needed, operation about,
           http::handler handle);

  [[nodiscard]] const api_parts& parts() const noexcept { return parts_; }
  [[nodiscard]] const std::vector<row>& rows() const noexcept { return rows_; }

private:
  void route(row about, http::handler handle);

  http::router& into_;
  const api_parts& parts_;
  std::vector<row> rows_;
};

/// What routes want, by method and pattern.
using access_table = std::map<std::pair<http::method, std::string>, access>;
[[nodiscard]] access_table accesses_of(const std::vector<api_routes::row>& rows);

/// As `guard::refuse_body`, of a request that `routes` have not seen yet.
[[nodiscard]] std::optional<http::response> refuse_body(const http::router& routes,
                                                        const access_table& accesses, guard& by,
                                                        http::request& received);

/// Adds every route, and tells them. `parts` must outlive the router.
std::vector<api_routes::row> add_api(http::router& routes, const api_parts& parts);

// By subject; each in its own file.
void add_pipeline_routes(api_routes& routes);
void add_batch_routes(api_routes& routes);
void add_webhook_routes(api_routes& routes);
void add_callback_routes(api_routes& routes);
void add_schedule_routes(api_routes& routes);
void add_run_list_routes(api_routes& routes);
void add_run_routes(api_routes& routes);
void add_run_order_routes(api_routes& routes);
void add_log_routes(api_routes& routes);
void add_run_log_routes(api_routes& routes);
void add_artifact_routes(api_routes& routes);
void add_cache_routes(api_routes& routes);
void add_actor_routes(api_routes& routes);
/// How /openapi.json tells of the methods that anyone may call of the actor types of this process,
/// each as if it was a route.
[[nodiscard]] std::vector<api_routes::row> rows_of_open_methods(const runtime::silo& here);
void add_inspect_routes(api_routes& routes);
void add_dead_letter_routes(api_routes& routes);
void add_cluster_routes(api_routes& routes);
void add_backup_routes(api_routes& routes);
void add_token_routes(api_routes& routes);
void add_secret_routes(api_routes& routes);
void add_sharing_routes(api_routes& routes);
void add_audit_routes(api_routes& routes);
void add_system_routes(api_routes& routes);

// What routes want.
[[nodiscard]] constexpr access in_project(role least) {
  return {access::place::path, least};
}
[[nodiscard]] constexpr access of_run(role least) {
  return {access::place::run, least};
}
[[nodiscard]] constexpr access everywhere(role least) {
  return {access::place::everywhere, least};
}
[[nodiscard]] constexpr access somewhere(role least) {
  return {access::place::somewhere, least};
}
inline constexpr access for_anybody{access::place::nowhere, role::NONE};
inline constexpr access for_probes{access::place::probe, role::NONE};
inline constexpr access of_actor_state{access::place::actor_state, role::READ};

}  // namespace millrace::gateway
