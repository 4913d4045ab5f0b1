// SPDX-License-Identifier: MIT
// The silos of the cluster and their partitions, as this process sees them.
#include <unistd.h>

#include "api/api.h"
#include "api/respond.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using nlohmann::ordered_json;

namespace {

ordered_json roles_of(const runtime::silo_roles& roles) {
  auto names = ordered_json::array();
  for (const auto& [has, name] :
       {std::pair{roles.state, "state"}, {roles.execute, "execute"}, {roles.gateway, "gateway"}}) {
    if (has) {
      names.push_back(name);
    }
  }
  return names;
}

// A silo that is in no cluster is one all the same.
runtime::cluster_view view_of(const api_parts& parts) {
  auto view = parts.silo.cluster_view();
  if (view.cluster_id.empty()) {
    runtime::cluster_silo alone;
    alone.name = parts.silo.name();
    alone.pid = ::getpid();
    alone.state = runtime::silo_state::active;
    alone.roles = {.state = true, .execute = true, .gateway = true};
    alone.partitions_primary = alone.partitions_total = parts.silo.rows().partition_count();
    view.silos = {alone};
  }
  return view;
}

void list_silos(const api_parts& parts, request&, reply answer) {
  auto rows = ordered_json::array();
  const auto view = view_of(parts);
  for (const auto& each : view.silos) {
    rows.push_back({{"name", each.name},
                    {"incarnation", each.incarnation},
                    {"pid", each.pid},
                    {"address", each.address},
                    {"state", runtime::to_string(each.state)},
                    {"roles", roles_of(each.roles)},
                    {"partitions_primary", each.partitions_primary},
                    {"partitions_total", each.partitions_total}});
  }
  answer.send(answer_of(200, {{"cluster_id", view.cluster_id}, {"silos", std::move(rows)}}));
}

void list_partitions(const api_parts& parts, request&, reply answer) {
  auto rows = ordered_json::array();
  for (const auto& each : view_of(parts).partitions) {
    rows.push_back({{"id", std::to_string(static_cast<unsigned>(each.partition))},
                    {"epoch", each.epoch},
                    {"primary", each.primary},
                    {"state", each.is_active ? "active" : "recovering"},
                    {"in_sync", each.in_sync}});
  }
  answer.send(answer_of(200, {{"partitions", std::move(rows)}}));
}

}  // namespace

void add_cluster_routes(http::router& routes, const api_parts& parts) {
  add_route(routes, parts, method::get, "/api/v1/silos", list_silos);
  add_route(routes, parts, method::get, "/api/v1/partitions", list_partitions);
}

}  // namespace millrace::gateway
