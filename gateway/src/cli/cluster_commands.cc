// SPDX-License-Identifier: MIT
// Commands that look at a cluster, and change it: silos, partitions, cluster, drain.
#include <fmt/format.h>

#include <iostream>

#include "cli/all_rows.h"
#include "cli/health.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/terminal_text.h"
#include "millrace/runtime/clock.h"

namespace millrace::gateway::cli {

namespace {

void add_cluster_rows_options(boost::program_options::options_description& options) {
  add_server_option(options);
  add_rows_options(options);
}

namespace po = boost::program_options;

void add_cluster_command_options(po::options_description& options) {
  add_server_option(options);
  add_output_option(options);
  options.add_options()("partition", po::value<std::string>()->value_name("P"),
                        "for break-glass and acknowledge: its number")(
      "silo", po::value<std::string>()->value_name("SILO"), "for break-glass: whose copy leads")(
      "reason", po::value<std::string>()->value_name("TEXT"),
      "for break-glass: why, for who looks at it later")(
      "empty", "for break-glass: no copy is left anywhere, begin the partition with nothing")(
      "wait", po::value<std::string>()->value_name("DURATION"),
      "for health: until it is ok, but at most so long, such as 5m");
}

void add_drain_options(po::options_description& options) {
  add_server_option(options);
  options.add_options()("undo", "it takes part again")(
      "decommission",
      "it is to go for good: its copies move to other silos, and when it is stopped "
      "nobody waits for it")("no-wait", "do not wait until it leads nothing that another could");
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

// What a table says of a loss.
std::string loss_word(const ordered_json& loss) {
  return loss.is_null() ? "-" : loss.at("acknowledged").get<bool>() ? "acknowledged" : "yes";
}

exit_code print_list(const option_values& options, const char* what, const char* list_key,
                     std::vector<std::string> columns, const std::string& name_key) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  auto rows = all_rows(*server, std::string{"/api/v1/"} + what, what);
  if (!rows) {
    return report(rows.error());
  }
  for (auto& each : *rows) {
    if (is_table(server->form()) && each.contains("data_loss")) {
      each["data_loss"] = loss_word(each.at("data_loss"));
    }
    if (is_table(server->form()) && each.value("decommissioned", false)) {
      each["state"] = each.at("state").get<std::string>() + " for good";
    }
  }
  print_rows(server->style(), is_table(server->form()) ? flat(*rows, list_key) : *rows,
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
                    {"id", "state", "primary", "epoch", "data_loss", "in_sync"}, "id");
}

exit_code run_break_glass(const option_values& options) {
  for (const auto* needed : {"partition", "silo", "reason"}) {
    if (options.count(needed) == 0) {
      return report(exit_code::usage,
                    "break-glass gives up what only other copies have: name the --partition, the "
                    "--silo whose copy is to lead, and the --reason");
    }
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto partition = text_of(options, "partition");
  const auto silo = text_of(options, "silo");
  const bool is_empty = options.count("empty") > 0;
  ordered_json wanted{{"silo", silo}, {"reason", text_of(options, "reason")}};
  if (is_empty) {  // a server of an earlier build says that it does not know it
    wanted["empty"] = true;
  }
  const auto body = wanted.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  const auto done = server->ask(http::method::post,
                                "/api/v1/partitions/" + escaped(partition) + "/break-glass", body);
  if (!done) {
    return report(done.error());
  }
  std::cerr << "partition " << printable(partition)
            << (is_empty ? " begins empty on silo '" : " goes on from silo '") << printable(silo)
            << (is_empty ? "'; see to what is missing" : "'; see to what may be missing")
            << ", then: millrace cluster acknowledge --partition " << printable(partition) << '\n';
  return exit_code::ok;
}

exit_code run_acknowledge(const option_values& options) {
  if (options.count("partition") == 0) {
    return report(exit_code::usage, "name the --partition whose loss has been seen to");
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto partition = text_of(options, "partition");
  const auto done = server->ask(http::method::post,
                                "/api/v1/partitions/" + escaped(partition) + "/acknowledge-loss");
  if (!done) {
    return report(done.error());
  }
  std::cerr << "the loss of partition " << printable(partition) << " is acknowledged\n";
  return exit_code::ok;
}

exit_code run_cluster(const option_values& options, const std::vector<std::string>& positional) {
  const auto& word = positional[0];
  if (word != "break-glass" && word != "acknowledge" && word != "health") {
    return report(exit_code::usage, "usage: millrace cluster health|break-glass|acknowledge");
  }
  const auto fits =
      word == "break-glass" ? refuse(options, {"wait"}, "cluster " + word)
      : word == "health"
          ? refuse(options, {"partition", "silo", "reason", "empty"}, "cluster " + word)
          : refuse(options, {"silo", "reason", "empty", "wait"}, "cluster " + word);
  if (!fits) {
    return report(fits.error());
  }
  return word == "break-glass" ? run_break_glass(options)
         : word == "health"    ? run_health(options)
                               : run_acknowledge(options);
}

// --- drain ---------------------------------------------------------------------------------------

constexpr std::chrono::seconds drain_patience{60};
constexpr std::chrono::milliseconds drain_look_interval{200};

struct drain_progress {
  bool is_known = false;  // to the server that is asked: it hears of the silo from the store
  std::size_t led = 0;
};

// Errors: as of the server; `not_found`.
runtime::result<drain_progress> progress_of(remote& server, const std::string& silo,
                                            bool for_good) {
  const auto rows = all_rows(server, "/api/v1/silos", "silos");
  if (!rows) {
    return rows.error();
  }
  for (const auto& each : *rows) {
    if (each.at("name") == silo) {
      return drain_progress{
          each.at("state") == "draining" && (!for_good || each.value("decommissioned", false)),
          each.at("partitions_primary").get<std::size_t>()};
    }
  }
  return runtime::error{runtime::errc::not_found, "silo '" + silo + "' is not in any more"};
}

exit_code wait_until_drained(remote& server, const std::string& silo, bool for_good) {
  const runtime::system_clock time;
  const auto give_up = time.steady() + drain_patience;
  watch_interrupts();
  for (;;) {
    const auto seen = progress_of(server, silo, for_good);
    if (!seen) {
      return report(seen.error());
    }
    if (seen->is_known && seen->led == 0) {
      std::cerr << "silo " << printable(silo) << " leads nothing any more\n";
      return exit_code::ok;
    }
    if (time.steady() >= give_up) {
      return report(exit_code::wait_timed_out,
                    seen->is_known
                        ? fmt::format("silo '{}' drains, and leads {} partitions still: no other "
                                      "silo has all of them; see `millrace partitions`",
                                      printable(silo), seen->led)
                        : fmt::format("silo '{}' does not drain{}: it was undone meanwhile, its "
                                      "build does not know that, or this server does not hear of "
                                      "it; see `millrace silos`",
                                      printable(silo), for_good ? " for good" : ""));
    }
    wait_for_interrupt(drain_look_interval, -1);
    if (interrupts() > 0) {
      return exit_code::interrupted;
    }
  }
}

exit_code run_drain(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto& silo = positional[0];
  const bool undo = options.count("undo") > 0;
  const bool decommission = options.count("decommission") > 0;
  ordered_json wanted{{"undo", undo}};
  if (decommission) {  // which older servers do not know
    wanted["decommission"] = true;
  }
  const auto done =
      server->ask(http::method::post, "/api/v1/silos/" + escaped(silo) + "/drain", wanted.dump());
  if (!done) {
    return report(done.error());
  }
  if (undo) {
    std::cerr << "silo " << printable(silo) << " takes part again\n";
    return exit_code::ok;
  }
  std::cerr << "silo " << printable(silo) << " is draining\n";
  if (decommission) {
    std::cerr
        << "its copies move to others: stop it once `millrace silos` shows that it has none, and "
           "`millrace cluster health` is ok\n";
  }
  return options.count("no-wait") > 0 ? exit_code::ok
                                      : wait_until_drained(*server, silo, decommission);
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
      {"cluster", "health|break-glass|acknowledge",
       "say whether every partition is served, and from how many copies; give up lost copies",
       "  millrace cluster health      exit 0: all served, 1: some are not, or have lost data\n"
       "  millrace cluster health --wait 5m    exit 0: it is ok, 1: it is not yet; this is "
       "missing\n"
       "  millrace cluster break-glass --partition 7 --silo b --reason 'both disks are gone'\n"
       "                               what only other copies have is lost\n"
       "  millrace cluster break-glass --partition 7 --silo b --empty --reason 'no copy is left'\n"
       "                               all of it is lost; refused while one that is in has a copy\n"
       "  millrace cluster acknowledge --partition 7      its loss was seen to\n",
       1, 1, add_cluster_command_options, run_cluster},
      {"drain", "SILO [--undo|--decommission]",
       "have a silo lead nothing and take no tasks, before it is stopped",
       "  millrace drain b             it stays in with its copies; a restart ends it, too\n"
       "  millrace drain b --undo\n"
       "  millrace drain b --decommission      its copies move to others, before it goes for "
       "good\n",
       1, 1, add_drain_options, run_drain},
  };
}

}  // namespace millrace::gateway::cli
