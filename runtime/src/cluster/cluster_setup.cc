// SPDX-License-Identifier: MIT
#include "cluster/cluster_setup.h"

#include <algorithm>
#include <charconv>

#include "coordination/etcd_store.h"
#include "coordination/local_store.h"
#include "millrace/runtime/cluster_address.h"

namespace millrace::runtime {

namespace {

constexpr std::string_view local_prefix = "local:";
constexpr duration etcd_session_min = std::chrono::seconds{2};
constexpr std::size_t copies_max = 7;  // each commit waits for the slowest of them
constexpr std::size_t zone_bytes_max = 64;

bool is_local(const cluster_options& cluster) {
  return cluster.coordination.starts_with(local_prefix);
}

std::vector<std::string> endpoints_of(std::string_view text) {
  std::vector<std::string> all;
  while (!text.empty()) {
    const auto end = std::min(text.find(','), text.size());
    all.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return all;
}

error invalid(const std::string& option, const std::string& why) {
  return {errc::invalid_argument, "cluster option " + option + ": " + why};
}

result<void> check_coordination(const cluster_options& cluster) {
  const auto& text = cluster.coordination;
  if (is_local(cluster)) {
    return text.size() > local_prefix.size()
               ? result<void>{}
               : invalid("coordination", "local: needs a directory, as in local:/var/lib/cluster");
  }
  const auto endpoints = endpoints_of(text);
  for (const auto& each : endpoints) {
    if (auto good = parse_http_endpoint(each); !good) {
      return invalid("coordination", good.error().text());
    }
  }
  if (endpoints.empty()) {
    return invalid("coordination", "it is local:DIRECTORY, or http://HOST:PORT of an etcd");
  }
  if (cluster.session_ttl < etcd_session_min) {
    return invalid("session_ttl", "at least 2 s with etcd");
  }
  return {};
}

bool is_any_address(std::string_view host) {
  return host == "0.0.0.0" || host == "::";
}

result<void> check_addresses(const cluster_options& cluster) {
  if (cluster.listen_address.empty()) {
    return invalid("listen_address", "an address that others can come to, or 127.0.0.1");
  }
  if (cluster.advertised_address.empty() && is_any_address(cluster.listen_address)) {
    return invalid("advertised_address", "others cannot come to " + cluster.listen_address +
                                             "; say by which address they find this silo");
  }
  if (!cluster.advertised_address.empty()) {
    if (auto good = split_address(advertised_address(cluster, 1)); !good) {
      return invalid("advertised_address", good.error().text());
    }
  }
  if (const auto& files = cluster.certificates;
      files && (files->authority.empty() || files->certificate.empty() || files->key.empty())) {
    return invalid("certificates", "an authority, a certificate and its key belong together");
  }
  return {};
}

}  // namespace

bool is_only_gateway(const silo_roles& roles) noexcept {
  return roles.gateway && !roles.state && !roles.execute;
}

result<std::pair<std::string, std::uint16_t>> split_address(std::string_view text) {
  const auto colon = text.rfind(':');
  const auto port = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
  auto host = text.substr(0, std::min(colon, text.size()));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  std::uint16_t number = 0;
  const auto read = std::from_chars(port.data(), port.data() + port.size(), number);
  if (host.empty() || read.ec != std::errc{} || read.ptr != port.data() + port.size() ||
      number == 0) {
    return error{errc::invalid_argument, "'" + std::string{text} + "' is no HOST:PORT"};
  }
  return std::pair{std::string{host}, number};
}

std::string advertised_address(const cluster_options& cluster, std::uint16_t port) {
  const auto& wanted = cluster.advertised_address;
  if (wanted.empty()) {
    const bool is_v6 = cluster.listen_address.find(':') != std::string::npos;
    return (is_v6 ? "[" + cluster.listen_address + "]" : cluster.listen_address) + ":" +
           std::to_string(port);
  }
  const auto colon = wanted.rfind(':');
  const bool has_port = colon != std::string::npos && wanted.find(']', colon) == std::string::npos;
  return has_port ? wanted : wanted + ":" + std::to_string(port);
}

std::string advertised_host(const cluster_options& cluster) {
  return split_address(advertised_address(cluster, 1))->first;
}

result<void> check_cluster_options(const silo_options& options) {
  const auto& cluster = *options.cluster;
  if (!is_link_name(options.name)) {
    return error{errc::invalid_argument, "silo option name: '" + options.name +
                                             "' is no name in a cluster; 1 to 64 letters, digits "
                                             "and any of -_."};
  }
  if (options.by_hand) {
    return error{errc::invalid_argument, "a silo that runs by hand cannot be in a cluster"};
  }
  if (!cluster.roles.state && !cluster.roles.execute && !cluster.roles.gateway) {
    return invalid("roles", "at least one of state, execute and gateway");
  }
  if (cluster.copies == 0 || cluster.copies > copies_max) {
    return invalid("copies", "from 1 to " + std::to_string(copies_max));
  }
  if (cluster.session_ttl <= duration{} || cluster.join_within <= duration{} ||
      cluster.balance_after < duration{} || cluster.replace_after < duration{}) {
    return invalid("session_ttl, join_within, balance_after, replace_after",
                   "these are lengths of time");
  }
  if (cluster.zone.size() > zone_bytes_max) {
    return invalid("zone", "at most " + std::to_string(zone_bytes_max) + " bytes");
  }
  if (auto good = check_coordination(cluster); !good) {
    return good;
  }
  return check_addresses(cluster);
}

result<std::unique_ptr<coordination_store>> open_coordination(const cluster_options& cluster,
                                                              const clock& time,
                                                              steady_time deadline,
                                                              coordination_options options) {
  options.session_ttl = cluster.session_ttl;
  if (is_local(cluster)) {
    return open_local_store(cluster.coordination.substr(local_prefix.size()), time,
                            std::move(options));
  }
  const auto& access = cluster.etcd;
  return open_etcd_store({.endpoints = endpoints_of(cluster.coordination),
                          .prefix = access.prefix,
                          .user = access.user,
                          .password = access.password,
                          .tls = {access.authorities, access.certificate, access.key}},
                         time, deadline, std::move(options));
}

link_options links_of(const silo_options& options, const std::string& cluster_id,
                      std::uint64_t incarnation) {
  const auto& cluster = *options.cluster;
  const bool calls_only = is_only_gateway(cluster.roles);
  link_options links;
  links.self = {.cluster_id = cluster_id,
                .name = {calls_only ? link_role::gateway : link_role::silo, options.name},
                .incarnation = incarnation};
  if (!calls_only) {
    links.listen_address = cluster.listen_address;
    links.listen_port = cluster.listen_port;
  }
  if (const auto& files = cluster.certificates) {
    links.credentials = {files->authority, files->certificate, files->key};
  }
  links.plain = cluster.plain_links_anywhere ? plain_links::anywhere : plain_links::on_loopback;
  return links;
}

silo_row row_of(const silo_options& options, std::vector<std::string> types) {
  silo_row row;
  row.name = options.name;
  row.roles = options.cluster->roles;
  row.zone = options.cluster->zone;
  for (const auto& each : options.labels) {
    row.labels.emplace(each, "");
  }
  row.types = std::move(types);
  return row;
}

}  // namespace millrace::runtime
