// SPDX-License-Identifier: MIT
// Commands that look at a cluster: silos, partitions, cluster.
#include <fmt/format.h>

#include <iostream>

#include "cli/output.h"
#include "cli/remote.h"

namespace millrace::gateway::cli {

namespace {

void add_cluster_rows_options(boost::program_options::options_description& options) {
  add_server_option(options);
  add_rows_options(options);
}

void add_health_options(boost::program_options::options_description& options) {
  add_server_option(options);
  add_output_option(options);
}

// Lists in a row, as a person reads them.
ordered_json flat(ordered_json rows, const char* key) {
  for (auto& each : rows) {
    std::string words;
    for (const auto& one : each.at(key)) {
      words += (words.empty() ? "" : ",") + one.get<std::string>();
    }
    each[key] = words;
  }
  return rows;
}

exit_code print_list(const option_values& options, const char* what, const char* list_key,
                     std::vector<std::string> columns, const std::string& name_key) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto answer = server->ask(http::method::get, std::string{"/api/v1/"} + what);
  if (!answer) {
    return report(answer.error());
  }
  const auto& rows = answer->at(what);
  print_rows(server->style(), is_table(server->form()) ? flat(rows, list_key) : rows,
             std::move(columns), name_key);
  return exit_code::ok;
}

exit_code run_silos(const option_values& options, const std::vector<std::string>&) {
  return print_list(
      options, "silos", "roles",
      {"name", "state", "roles", "pid", "address", "partitions_primary", "partitions_total"},
      "name");
}

exit_code run_partitions(const option_values& options, const std::vector<std::string>&) {
  return print_list(options, "partitions", "in_sync",
                    {"id", "state", "primary", "epoch", "in_sync"}, "id");
}

// What an operator wants to know first.
exit_code run_cluster(const option_values& options, const std::vector<std::string>& positional) {
  if (positional[0] != "health") {
    return report(exit_code::usage, "usage: millrace cluster health");
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto silos = server->ask(http::method::get, "/api/v1/silos");
  const auto partitions = server->ask(http::method::get, "/api/v1/partitions");
  if (!silos || !partitions) {
    return report(silos ? partitions.error() : silos.error());
  }
  std::size_t hosts = 0;
  for (const auto& each : silos->at("silos")) {
    const auto& roles = each.at("roles");
    hosts += std::find(roles.begin(), roles.end(), "state") != roles.end() ? 1U : 0U;
  }
  std::size_t down = 0;
  std::size_t single = 0;
  for (const auto& each : partitions->at("partitions")) {
    const bool serves =
        each.at("state") == "active" && !each.at("primary").get<std::string>().empty();
    down += serves ? 0U : 1U;
    single += each.at("in_sync").size() < 2 ? 1U : 0U;
  }
  const auto* const health = down > 0 ? "down" : single > 0 && hosts > 1 ? "degraded" : "ok";
  print_one(server->form(),
            {{"health", health},
             {"silos", silos->at("silos").size()},
             {"partitions", partitions->at("partitions").size()},
             {"partitions_down", down},
             {"partitions_single_copy", single}},
            "health");
  return down > 0 ? exit_code::run_failed : exit_code::ok;
}

}  // namespace

std::vector<command> cluster_commands() {
  return {
      {"silos", "", "list the silos of the cluster",
       "  millrace silos\n"
       "  millrace silos -o json\n",
       0, 0, add_cluster_rows_options, run_silos},
      {"partitions", "", "list the partitions of the cluster, who leads them and who has copies",
       "  millrace partitions\n"
       "  millrace partitions -o jsonl\n",
       0, 0, add_cluster_rows_options, run_partitions},
      {"cluster", "health", "say whether every partition is served, and from how many copies",
       "  millrace cluster health      exit 0: all served, 1: some are not\n", 1, 1,
       add_health_options, run_cluster},
  };
}

}  // namespace millrace::gateway::cli
