// SPDX-License-Identifier: MIT
// The HTTP API, version 1.
//
//   PUT    /api/v1/projects/{project}/pipelines/{name}        a definition; If-(None-)Match
//   GET    /api/v1/projects/{project}/pipelines               ?after&limit
//   GET    /api/v1/projects/{project}/pipelines/{name}        ?version; If-None-Match
//   POST   /api/v1/projects/{project}/pipelines/{name}/runs   {params, labels}; Idempotency-Key
//   GET    /api/v1/projects/{project}/pipelines/{name}/runs   ?before&limit&state
//   POST   /api/v1/validate                                   a definition
//   GET    /api/v1/runs                                       ?project&state&before&limit
//   GET    /api/v1/runs/{id}
//   GET    /api/v1/runs/{id}/tasks                            ?after&limit
//   GET    /api/v1/runs/{id}/tasks/{name}                     with attempts
//   GET    /api/v1/runs/{id}/tasks/{name}/logs                ?stream&attempt&tail&offset&follow
//   GET    /api/v1/runs/{id}/events                           server-sent; Last-Event-ID
//   POST   /api/v1/runs/{id}/cancel                           {reason}
//   POST   /api/v1/runs/{id}/retry
//   GET    /api/v1/actors                                     types and open methods, of all silos
//   POST   /api/v1/actors/{type}/{key}/{method}               an open one; Idempotency-Key
//   GET    /api/v1/actors/{type}                              of all silos;
//                                                             ?silo&prefix&active&cursor&limit
//   GET    /api/v1/actors/{type}/{key}/state                  as committed, by the silo that has
//                                                             it; ?map&after&limit
//   POST   /api/v1/actors/{type}/{key}/deactivate             once it has nothing to do, there
//   GET    /api/v1/silo                                       figures, by actor type
//   GET    /api/v1/silos                                      of the cluster
//   GET    /api/v1/partitions                                 of the cluster
//   GET    /api/v1/cluster/health                             as this process sees it
//   POST   /api/v1/silos/{name}/drain                         {undo}
//   POST   /api/v1/partitions/{id}/break-glass                {silo, reason}
//   POST   /api/v1/partitions/{id}/acknowledge-loss
//   GET    /api/v1/dead-letters                               sends that were given up, of all
//                                                             silos; ?silo&limit
//   POST   /api/v1/dead-letters/{type}/{key}/{number}/retry   sends it again
//   DELETE /api/v1/dead-letters/{type}/{key}/{number}
//   GET    /api/v1/backup                                     the state, as `millrace restore`
//   reads it GET    /livez /readyz /metrics /version
//
// JSON is snake_case and made from the schemas. Errors are problem documents (RFC 9457). A query
// key that a route does not know is one.
#pragma once

#include <functional>
#include <string_view>

#include "api/file_thread.h"
#include "http/router.h"
#include "http/server.h"
#include "millrace/actors/pipeline_host.h"
#include "millrace/runtime/silo.h"

namespace millrace::gateway {

/// Large bodies that may wait to be read; a definition of 1 MiB, the largest, takes 0.2 s.
inline constexpr std::size_t bodies_waiting_max = 64;

/// What handlers work with. Lives longer than the server.
struct api_parts {
  runtime::silo& silo;
  actors::pipeline_host* host;  ///< Of this process's executor; null: it has none.
  file_thread& files;           ///< For logs and figures: each job ends within a piece of a file.
  file_thread& bodies;          ///< Where large bodies are read.
  file_thread& inspections;     ///< For what may wait for actors: what silos are asked.
  std::function<http::server_probe()> probe;  ///< For /metrics; may be empty.
};

/// Adds every route. `parts` must outlive the router.
void add_api(http::router& routes, const api_parts& parts);

/// Adds a handler that works with the parts; `query`: the keys that its query may have, literals. A
/// request with another one, or with one twice, is refused. A request with a large body is handled
/// on the thread for these. `parts` must outlive the router.
void add_route(http::router& routes, const api_parts& parts, http::method verb,
               std::string_view pattern,
               void (*handle)(const api_parts&, http::request&, http::reply),
               std::initializer_list<std::string_view> query = {});

// By subject; each in its own file.
void add_pipeline_routes(http::router& routes, const api_parts& parts);
void add_run_list_routes(http::router& routes, const api_parts& parts);
void add_run_routes(http::router& routes, const api_parts& parts);
void add_log_routes(http::router& routes, const api_parts& parts);
void add_actor_routes(http::router& routes, const api_parts& parts);
void add_inspect_routes(http::router& routes, const api_parts& parts);
void add_dead_letter_routes(http::router& routes, const api_parts& parts);
void add_cluster_routes(http::router& routes, const api_parts& parts);
void add_backup_routes(http::router& routes, const api_parts& parts);
void add_system_routes(http::router& routes, const api_parts& parts);

}  // namespace millrace::gateway
