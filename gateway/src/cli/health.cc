// SPDX-License-Identifier: MIT
#include "cli/health.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "cli/remote.h"
#include "cli/terminal_text.h"
#include "millrace/actors/duration_text.h"

namespace millrace::gateway::cli {

namespace {

constexpr std::chrono::milliseconds look_interval{500};
// Of one look, while others may follow; the server may be what is being replaced.
constexpr std::chrono::seconds look_patience{5};

bool is_ok(const ordered_json& seen) {
  return seen.at("health") == "ok";
}

bool may_pass(runtime::errc code) {
  return code == runtime::errc::unavailable || code == runtime::errc::deadline_exceeded ||
         code == runtime::errc::overloaded;
}

// Whether that is an error all by itself.
exit_code code_of(const std::string& health) {
  return health == "down" || health == "data_lost" || health == "unknown" ? exit_code::run_failed
                                                                          : exit_code::ok;
}

exit_code show(const remote& server, ordered_json seen) {
  for (const auto& each : seen.at("losses")) {
    const auto& loss = each.at("data_loss");
    std::cerr << "millrace: partition " << printable(each.at("id").get<std::string>())
              << " has gone on from silo '" << printable(loss.at("silo").get<std::string>())
              << "' since " << printable(loss.at("at").get<std::string>())
              << ", without what only others had: "
              << printable(loss.at("reason").get<std::string>()) << '\n';
  }
  if (is_table(server.form())) {
    seen.erase("losses");
  }
  print_one(server.form(), seen, "health");
  return code_of(seen.at("health").get<std::string>());
}

exit_code wait_until_ok(remote& server, runtime::duration patience) {
  const auto give_up = server.now() + patience;
  watch_interrupts();
  server.set_timeout(std::min<runtime::duration>(look_patience, patience));
  for (bool is_told = false;; is_told = true) {
    const auto seen = server.ask(http::method::get, "/api/v1/cluster/health");
    if (seen && is_ok(*seen)) {
      return show(server, *seen);
    }
    if (!seen && !may_pass(seen.error().code())) {
      return report(seen.error());
    }
    const auto missing = seen ? missing_in(*seen) : seen.error().text();
    if (server.now() >= give_up) {
      if (!seen) {
        return report(seen.error());
      }
      static_cast<void>(show(server, *seen));
      return report(exit_code::run_failed, fmt::format("the cluster is not ok after {}: {}",
                                                       actors::format_duration(patience), missing));
    }
    if (!is_told) {
      std::cerr << fmt::format("millrace: waiting up to {} for the cluster to be ok: {}\n",
                               actors::format_duration(patience), missing);
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(give_up - server.now());
    wait_for_interrupt(std::clamp(left, std::chrono::milliseconds{0}, look_interval), -1);
    if (interrupts() > 0) {
      return exit_code::interrupted;
    }
  }
}

}  // namespace

std::string missing_in(const ordered_json& seen) {
  std::string text;
  const auto add = [&text](const std::string& what) { text += (text.empty() ? "" : "; ") + what; };
  const auto count = [&](const char* key, const char* what) {
    if (const auto number = seen.at(key).get<std::size_t>(); number > 0) {
      add(fmt::format("{} of {} partitions {}", number, seen.at("partitions").get<std::size_t>(),
                      what));
    }
  };
  const auto& health = seen.at("health");
  if (health == "ok") {
    return text;
  }
  if (health == "unknown") {
    add("the server cannot reach the coordination store, and what it knows may be old");
  }
  count("partitions_down", "have no leader");
  count("partitions_data_lost", "have a loss that nobody has acknowledged");
  // The worst of what is said of copies says the rest.
  const auto copies = seen.at("copies").get<std::size_t>();
  if (seen.at("partitions_refusing_writes") != 0) {
    count("partitions_refusing_writes", "refuse writes");
  } else if (copies > 1 && seen.at("partitions_single_copy") != 0) {
    count("partitions_single_copy", "have a single copy");
  } else {
    const auto silos = seen.at("silos_for_copies").get<std::size_t>();
    count(
        "partitions_under_replicated",
        fmt::format("lack copies: {} are wanted, and silos that could have one: {}", copies, silos)
            .c_str());
  }
  return text;
}

exit_code run_health(const option_values& options) {
  auto server = remote::open(options);
  const auto wait = duration_of(options, "wait");
  if (!server || !wait) {
    return report(server ? wait.error() : server.error());
  }
  if (*wait) {
    return wait_until_ok(*server, **wait);
  }
  const auto seen = server->ask(http::method::get, "/api/v1/cluster/health");
  return seen ? show(*server, *seen) : report(seen.error());
}

}  // namespace millrace::gateway::cli
