// SPDX-License-Identifier: MIT
// The silos of the cluster and their partitions, as this process sees them.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "api/api.h"
#include "api/cluster_health.h"
#include "api/list_page.h"
#include "api/respond.h"
#include "millrace/silo_control.capnp.actor.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using nlohmann::ordered_json;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;

namespace {

constexpr header_key once_by_record{
    "Idempotency-Key",
    "With any, a request that is sent again, for the same silo and reason, is answered as the "
    "first time once the silo leads the partition by it. Glass that is broken is not broken "
    "again."};

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

void list_silos(const api_parts& parts, request& received, reply answer) {
  const auto wanted = page_in(received, page_rows_max);
  if (!wanted) {
    answer.fail(wanted.error());
    return;
  }
  placed_rows rows;
  const auto view = view_of(parts);
  for (const auto& each : view.silos) {
    rows.emplace_back(each.name, ordered_json{{"name", each.name},
                                              {"incarnation", each.incarnation},
                                              {"pid", each.pid},
                                              {"address", each.address},
                                              {"state", runtime::to_string(each.state)},
                                              {"roles", roles_of(each.roles)},
                                              {"zone", each.zone},
                                              {"decommissioned", each.decommissioned},
                                              {"partitions_primary", each.partitions_primary},
                                              {"partitions_total", each.partitions_total}});
  }
  std::string next;
  auto shown = rows_of_page(std::move(rows), *wanted, next);
  answer.send(answer_of_page({{"cluster_id", view.cluster_id}, {"silos", std::move(shown)}},
                             *wanted, next));
}

json_shape silos_shape() {
  using runtime::silo_state;
  const auto row = shape::named(
      "Silo", shape::object({{"name", shape::text()},
                             {"incarnation", shape::count()},
                             {"pid", shape::count()},
                             {"address", shape::text()},
                             {"state", shape::word({to_string(silo_state::joining),
                                                    to_string(silo_state::active),
                                                    to_string(silo_state::draining)})},
                             {"roles", shape::list(shape::word({"state", "execute", "gateway"}))},
                             {"zone", shape::text("Empty: none is named.")},
                             {"decommissioned", shape::flag()},
                             {"partitions_primary", shape::count()},
                             {"partitions_total", shape::count()}}));
  return shape::object({{"cluster_id", shape::text("Empty: in no cluster.")},
                        {"silos", shape::list(row)},
                        {"next_cursor", next_cursor_shape()}});
}

// Null unless something may have been lost.
ordered_json json_of(const runtime::partition_loss& loss) {
  if (loss.number == 0) {
    return nullptr;
  }
  const auto at = std::chrono::floor<std::chrono::seconds>(loss.at);
  return {{"id", loss.number},
          {"silo", loss.silo},
          {"reason", loss.reason},
          {"at", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                             fmt::gmtime(std::chrono::system_clock::to_time_t(at)))},
          {"acknowledged", loss.acknowledged}};
}

json_shape loss_shape() {
  return shape::named("DataLoss", shape::object({{"id", shape::count()},
                                                 {"silo", shape::text()},
                                                 {"reason", shape::text()},
                                                 {"at", shape::time()},
                                                 {"acknowledged", shape::flag()}}));
}

void list_partitions(const api_parts& parts, request& received, reply answer) {
  const auto wanted = page_in(received, page_rows_max);
  if (!wanted) {
    answer.fail(wanted.error());
    return;
  }
  placed_rows rows;
  const auto view = view_of(parts);
  for (const auto& each : view.partitions) {
    const auto number = static_cast<unsigned>(each.partition);
    rows.emplace_back(fmt::format("{:05}", number),
                      ordered_json{{"id", std::to_string(number)},
                                   {"epoch", each.epoch},
                                   {"primary", each.primary},
                                   {"state", each.is_active ? "active" : "recovering"},
                                   {"in_sync", each.in_sync},
                                   {"in_sync_min", each.in_sync_min},
                                   {"data_loss", json_of(each.loss)}});
  }
  std::string next;
  auto shown = rows_of_page(std::move(rows), *wanted, next);
  answer.send(
      answer_of_page({{"copies", view.copies}, {"partitions", std::move(shown)}}, *wanted, next));
}

json_shape partitions_shape() {
  const auto row =
      shape::named("Partition", shape::object({{"id", shape::text()},
                                               {"epoch", shape::count()},
                                               {"primary", shape::text("Empty: there is none.")},
                                               {"state", shape::word({"active", "recovering"})},
                                               {"in_sync", shape::list(shape::text())},
                                               {"in_sync_min", shape::count()},
                                               {"data_loss", shape::or_null(loss_shape())}}));
  return shape::object({{"copies", shape::count()},
                        {"partitions", shape::list(row)},
                        {"next_cursor", next_cursor_shape()}});
}

void tell_health(const api_parts& parts, request&, reply answer) {
  const auto view = view_of(parts);
  const auto seen = health_of(view);
  auto losses = ordered_json::array();
  for (const auto& each : view.partitions) {
    if (is_loss_open(each)) {
      losses.push_back({{"id", std::to_string(static_cast<unsigned>(each.partition))},
                        {"data_loss", json_of(each.loss)}});
    }
  }
  answer.send(answer_of(200, {{"health", to_string(state_of(seen))},
                              {"silos", view.silos.size()},
                              {"silos_for_copies", seen.silos_for_copies},
                              {"copies", view.copies},
                              {"partitions", view.partitions.size()},
                              {"partitions_down", seen.down},
                              {"partitions_refusing_writes", seen.refusing_writes},
                              {"partitions_single_copy", seen.single_copy},
                              {"partitions_under_replicated", seen.under_replicated},
                              {"partitions_below_copies", seen.below_copies},
                              {"partitions_data_lost", seen.data_lost},
                              {"losses", std::move(losses)}}));
}

json_shape health_shape() {
  const auto loss = shape::object({{"id", shape::text()}, {"data_loss", loss_shape()}});
  return shape::named(
      "ClusterHealth",
      shape::object(
          {{"health",
            shape::word({to_string(health_state::down), to_string(health_state::data_lost),
                         to_string(health_state::unknown), to_string(health_state::degraded),
                         to_string(health_state::under_replicated), to_string(health_state::ok)})},
           {"silos", shape::count()},
           {"silos_for_copies", shape::count()},
           {"copies", shape::count()},
           {"partitions", shape::count()},
           {"partitions_down", shape::count()},
           {"partitions_refusing_writes", shape::count()},
           {"partitions_single_copy", shape::count()},
           {"partitions_under_replicated", shape::count()},
           {"partitions_below_copies", shape::count()},
           {"partitions_data_lost", shape::count()},
           {"losses", shape::list(loss)}}));
}

// --- what operators do ---------------------------------------------------------------------------

// A person waits for it, and the coordination store may be slow.
constexpr runtime::duration operate_within = std::chrono::seconds{10};

// Errors: `not_found` for a silo that is not in, `failed_precondition` for one that leads nothing
// in any case.
result<void> check_silo(const api_parts& parts, const std::string& name) {
  const auto view = parts.silo.cluster_view();
  if (view.cluster_id.empty()) {
    return error{errc::failed_precondition, "this server is in no cluster"};
  }
  std::string known;
  for (const auto& each : view.silos) {
    const bool has_state = each.roles.state || each.roles.execute;
    if (each.name == name && !has_state) {
      return error{errc::failed_precondition,
                   "'" + name + "' is a gateway, which has nothing to hand over; stop it"};
    }
    if (each.name == name) {
      return {};
    }
    known += has_state ? (known.empty() ? "" : ", ") + each.name : "";
  }
  return error{
      errc::not_found,
      "no silo '" + name + "' is in the cluster; a silo has to run for this. There are: " + known};
}

result<std::uint16_t> partition_in(const request& received) {
  const auto text = received.param("id");
  std::uint16_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size()) {
    return error{errc::not_found, "'" + std::string{text} + "' is no number of a partition"};
  }
  return number;
}

// Tells a silo something, and the client what has come of it.
// `is_done`: whether it had come to that already where the silo refuses.
void tell_silo(
    const api_parts& parts, const std::string& name, runtime::call<void> one, reply answer,
    ordered_json done, std::function<bool()> is_done = [] { return false; }) {
  auto shared = std::make_shared<reply>(std::move(answer));
  parts.silo.call_then<void>(std::move(one).timeout(operate_within), [shared, name, done,
                                                                      is_done](result<void> told) {
    if (told || (told.error().code() == errc::failed_precondition && is_done())) {
      shared->send(answer_of(200, done));
      return;
    }
    const auto& why = told.error();
    const bool is_silent = why.code() == errc::deadline_exceeded || why.code() == errc::unavailable;
    shared->fail(is_silent ? error{why.code(), "silo '" + name +
                                                   "' does not answer, or cannot "
                                                   "reach what it needs: " +
                                                   why.text()}
                           : why);
  });
}

void drain(const api_parts& parts, request& received, reply answer) {
  const std::string name{received.param("name")};
  auto params =
      runtime::from_json(capnp::Schema::from<schemas::SiloControl::DrainParams>(), received.body);
  if (!params) {
    answer.fail(params.error());
    return;
  }
  schemas::silo_control_interface::drain_params wanted{*std::move(params)};
  const bool undo = wanted.undo();
  if (undo && wanted.decommission()) {
    answer.fail({errc::invalid_argument,
                 "a drain is either undone or for good: leave out `undo` or `decommission`"});
    return;
  }
  if (const auto known = check_silo(parts, name); !known) {
    answer.fail(known.error());
    return;
  }
  tell_silo(parts, name, ref<schemas::SiloControl>(name).drain(std::move(wanted)),
            std::move(answer), {{"name", name}, {"state", undo ? "active" : "draining"}});
}

// Whether the silo leads the partition since that was ordered for this reason: what the record of
// the partition says is the memory of a request that is sent again.
bool is_broken(const runtime::cluster_view& view, std::uint16_t partition, const std::string& silo,
               const std::string& reason) {
  if (partition >= view.partitions.size()) {
    return false;
  }
  const auto& one = view.partitions[partition];
  const auto& why = one.loss.reason;  // in which stands whether it began empty
  return one.primary == silo && one.loss.silo == silo &&
         (why == reason || why == "begun empty: " + reason);
}

void break_glass(const api_parts& parts, request& received, reply answer) {
  const auto partition = partition_in(received);
  auto body = partition ? runtime::from_json(capnp::Schema::from<schemas::BreakGlassRequest>(),
                                             received.body)
                        : partition.error();
  if (!body) {
    answer.fail(body.error());
    return;
  }
  const runtime::message<schemas::BreakGlassRequest> wanted{*std::move(body)};
  const std::string silo{wanted.read().getSilo().cStr()};
  if (silo.empty()) {
    answer.fail({errc::invalid_argument, "/silo: the name of the silo whose copy is to lead"});
    return;
  }
  if (const auto known = check_silo(parts, silo); !known) {
    answer.fail(known.error());
    return;
  }
  tell_silo(parts, silo,
            ref<schemas::SiloControl>(silo).break_glass(
                *partition, wanted.read().getReason().cStr(), wanted.read().getEmpty()),
            std::move(answer), {{"id", std::to_string(*partition)}, {"silo", silo}},
            [&parts, number = *partition, silo, has_key = !key_of(received).empty(),
             reason = std::string{wanted.read().getReason().cStr()}] {
              return has_key && is_broken(view_of(parts), number, silo, reason);
            });
}

void acknowledge_loss(const api_parts& parts, request& received, reply answer) {
  const auto partition = partition_in(received);
  if (!partition) {
    answer.fail(partition.error());
    return;
  }
  const auto shared = std::make_shared<reply>(std::move(answer));
  answer_on(parts.inspections, shared, [&parts, shared, number = *partition] {
    const auto done = parts.silo.acknowledge_loss(runtime::partition_id{number});
    if (done) {
      shared->send(answer_of(200, {{"id", std::to_string(number)}}));
    } else {
      shared->fail(done.error());
    }
  });
}

}  // namespace

void add_cluster_routes(api_routes& routes) {
  routes.add(method::get, "/api/v1/silos", everywhere(role::READ),
             {.id = "list_silos",
              .tag = "cluster",
              .summary = "The silos of the cluster, gateways included",
              .query = page_keys("The most of them; 0: 1,000."),
              .answers = {{.status = 200,
                           .text = "By name, as this process sees them.",
                           .body = json_media(silos_shape()),
                           .headers = {next_link}}}},
             list_silos);
  routes.add(method::get, "/api/v1/partitions", everywhere(role::READ),
             {.id = "list_partitions",
              .tag = "cluster",
              .summary = "The partitions of the cluster",
              .query = page_keys("The most of them; 0: 1,000."),
              .answers = {{.status = 200,
                           .text = "By number; none of a server that is in no cluster.",
                           .body = json_media(partitions_shape()),
                           .headers = {next_link}}}},
             list_partitions);
  routes.add(method::get, "/api/v1/cluster/health", everywhere(role::READ),
             {.id = "get_cluster_health",
              .tag = "cluster",
              .summary = "How the cluster is, in a word and a few counts",
              .answers = {{.status = 200,
                           .text = "As this process sees it.",
                           .body = json_media(health_shape())}}},
             tell_health);
  routes.add(method::post, "/api/v1/silos/{name}/drain", everywhere(role::ADMIN),
             {.id = "drain_silo",
              .tag = "cluster",
              .summary = "Has a silo hand over what it leads, and take nothing new",
              .headers = {repeatable},
              .body = {.any_of = {json_read_as<schemas::SiloControl::DrainParams>()}},
              .answers = {{.status = 200,
                           .text = "What it will be.",
                           .body = json_media(shape::object(
                               {{"name", shape::text()}, {"state", shape::text()}}))}},
              .problems = {404, 409}},
             drain);
  routes.add(method::post, "/api/v1/partitions/{id}/break-glass", everywhere(role::ADMIN),
             {.id = "break_glass",
              .tag = "cluster",
              .summary = "Has a silo's copy lead a partition, whatever it lacks",
              .text = "`empty`: the partition begins with nothing, if no copy is left.",
              .headers = {once_by_record},
              .body = {.any_of = {json_read_as<schemas::BreakGlassRequest>()}, .is_needed = true},
              .answers = {{.status = 200,
                           .text = "It will lead.",
                           .body = json_media(
                               shape::object({{"id", shape::text()}, {"silo", shape::text()}}))}},
              .problems = {404, 409}},
             break_glass);
  routes.add(method::post, "/api/v1/partitions/{id}/acknowledge-loss", everywhere(role::ADMIN),
             {.id = "acknowledge_loss",
              .tag = "cluster",
              .summary = "Says that somebody has seen to what a partition may have lost",
              .headers = {repeatable},
              .answers = {{.status = 200,
                           .text = "It is known.",
                           .body = json_media(shape::object({{"id", shape::text()}}))}},
              .problems = {404, 409}},
             acknowledge_loss);
}

}  // namespace millrace::gateway
