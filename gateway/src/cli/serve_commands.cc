// SPDX-License-Identifier: MIT
// Commands that serve until they are told to stop: dev, silo, gateway.
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <iostream>
#include <memory>

#include "cli/dev_cluster.h"
#include "cli/front.h"
#include "cli/layers.h"
#include "cli/node_options.h"
#include "cli/stop_limit.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

constexpr const char* listen_default = "127.0.0.1:8400";
constexpr std::uint32_t dev_silos_max = 7;

// The HTTP server takes up to 5 s, tasks up to 20 s; what starts us kills after 30 s or more.
constexpr std::chrono::seconds stop_longest{28};

void add_listen_options(po::options_description& options, const char* text) {
  options.add_options()("listen", po::value<std::string>()->value_name("ADDRESS:PORT"), text)(
      "insecure", "allow an address that is not loopback, without TLS or tokens");
}

void add_notify_option(po::options_description& options) {
  options.add_options()("notify-fd", po::value<std::string>()->value_name("N"),
                        "write a line to this descriptor once it serves, for what started it");
}

void add_dev_options(po::options_description& options) {
  add_listen_options(options, "where to serve (default: 127.0.0.1:8400; port 0: any free one)");
  options.add_options()("silos", po::value<std::string>()->value_name("N"),
                        "a cluster of that many silo processes and a gateway, instead of one "
                        "process that is all of it")(
      "coordination", po::value<std::string>()->value_name("WHERE"),
      "with --silos: where they find each other (default: local:DATA/coordination; or "
      "http://HOST:PORT of an etcd)");
  add_node_options(options);
  add_identity_options(options);
  add_log_options(options);
}

void add_silo_options(po::options_description& options) {
  add_identity_options(options);
  add_node_options(options);
  add_cluster_options(options);
  add_found_anew_option(options);
  add_listen_options(options, "serve the HTTP API, too (default: the silo does not)");
  add_log_options(options);
  add_notify_option(options);
  add_config_option(options);
}

void add_gateway_options(po::options_description& options) {
  add_listen_options(options, "where to serve (default: 127.0.0.1:8400; port 0: any free one)");
  add_identity_options(options);
  add_data_option(options);
  add_cluster_options(options);
  add_log_options(options);
  add_notify_option(options);
  add_config_option(options);
}

runtime::result<http::server_options> listen_in(const option_values& options) {
  return listen_options(text_of(options, "listen", listen_default), options.count("insecure") > 0);
}

// Tells who started this process that it serves.
void notify(const option_values& options, const std::string& line) {
  const auto text = text_of(options, "notify-fd");
  int descriptor = -1;
  const auto [after, failure] = std::from_chars(text.data(), text.data() + text.size(), descriptor);
  if (failure == std::errc{} && descriptor > STDERR_FILENO) {
    const auto whole = line + "\n";
    static_cast<void>(!::write(descriptor, whole.data(), whole.size()));
    ::close(descriptor);
  }
}

// A node until it is told to stop; with an HTTP server in front if there is an address.
exit_code serve(const option_values& options, const node_options& setup,
                const std::optional<http::server_options>& listen, logs& told) {
  const auto here = node::open(setup);
  if (!here) {
    return report(here.error());
  }
  watch_interrupts();
  std::optional<front> served;
  std::string where = (*here)->silo().name();
  if (listen) {
    served.emplace(**here, *listen, told);
    const auto url = served->start();
    if (!url) {
      return report(url.error());
    }
    where = *url;
  }
  const auto logger = told.of("gateway");
  if (listen) {
    logger->info("serving on {}, data in {}; stop with Ctrl-C", where,
                 (*here)->data_directory().string());
  } else {
    logger->info("silo '{}' serves, data in {}; stop with Ctrl-C", where,
                 (*here)->data_directory().string());
  }
  notify(options, where);
  wait_for_interrupt();
  logger->info("stopping");
  const stop_limit limit{stop_longest};
  if (served) {
    served->stop();
  }
  (*here)->stop();
  return exit_code::ok;
}

exit_code run_cluster(const option_values& options, std::uint32_t silos) {
  if (const auto fits = refuse(options, {"name", "label"}, "dev --silos"); !fits) {
    return report(fits.error());
  }
  if (const auto valid = listen_in(options); !valid) {
    return report(valid.error());
  }
  const auto data = data_directory(options);
  dev_cluster_options wanted{
      .silos = silos,
      .data = data,
      .coordination = text_of(options, "coordination", "local:" + data + "/coordination"),
      .listen = text_of(options, "listen", listen_default),
      .arguments = {},
      .front_arguments = {}};
  for (const auto* each : {"slots", "memory-budget", "keep-runs", "keep-age"}) {
    if (options.count(each) > 0) {
      wanted.arguments.insert(wanted.arguments.end(),
                              {"--" + std::string{each}, text_of(options, each)});
    }
  }
  for (const auto* each : {"log-format", "log-level"}) {
    if (options.count(each) > 0) {
      for (auto* to : {&wanted.arguments, &wanted.front_arguments}) {
        to->insert(to->end(), {"--" + std::string{each}, text_of(options, each)});
      }
    }
  }
  if (options.count("log-level") == 0) {
    // Who leads what is some hundred lines.
    wanted.arguments.insert(wanted.arguments.end(), {"--log-level", "warn"});
  }
  if (options.count("insecure") > 0) {
    wanted.front_arguments.emplace_back("--insecure");
  }
  watch_interrupts();
  dev_cluster cluster{std::move(wanted)};
  if (auto started = cluster.start(); !started) {
    return report(started.error());
  }
  cluster.wait();
  cluster.stop();
  return exit_code::ok;
}

exit_code run_dev(const option_values& options, const std::vector<std::string>&) {
  const auto told = logs_of(options);
  if (!told) {
    return report(told.error());
  }
  if (options.count("silos") > 0) {
    const auto silos = number_of(options, "silos", 3, dev_silos_max);
    return silos ? run_cluster(options, *silos) : report(silos.error());
  }
  if (const auto fits = refuse(options, {"coordination"}, "dev without --silos"); !fits) {
    return report(fits.error());
  }
  const auto listen = listen_in(options);
  if (!listen) {
    return report(listen.error());
  }
  const auto setup = node_options_of(options, **told);
  return setup ? serve(options, *setup, *listen, **told) : report(setup.error());
}

constexpr const char* coordination_missing =
    "name where the silos of the cluster find each other, with --coordination local:DIR or "
    "--coordination http://HOST:PORT; `millrace dev` is a silo by itself";

exit_code run_silo(const option_values& options, const std::vector<std::string>&) {
  return serve_cluster(options, false);
}

exit_code run_gateway(const option_values& options, const std::vector<std::string>&) {
  return serve_cluster(options, true);
}

}  // namespace

// A silo serves clients if it is told where, a gateway in any case.
exit_code serve_cluster(const option_values& options, bool is_gateway,
                        const std::function<void(runtime::silo&)>& add_types) {
  const auto told = logs_of(options);
  if (!told) {
    return report(told.error());
  }
  if (options.count("coordination") == 0) {
    return report(exit_code::usage, coordination_missing);
  }
  if (const auto fits = refuse(options, {"roles"}, "gateway"); is_gateway && !fits) {
    return report(fits.error());
  }
  std::optional<http::server_options> listen;
  if (is_gateway || options.count("listen") > 0) {
    const auto asked = listen_in(options);
    if (!asked) {
      return report(asked.error());
    }
    listen = *asked;
  }
  auto setup = node_options_of(options, **told);
  if (!setup) {
    return report(setup.error());
  }
  setup->add_types = add_types;
  auto& roles = setup->silo.cluster->roles;
  if (is_gateway) {
    roles = {};
  }
  roles.gateway = listen.has_value();
  const auto logger = (*told)->of("runtime");
  // It would answer nothing any more. Whatever started it starts it again, and it joins anew.
  const auto expelled = std::make_shared<std::atomic<bool>>(false);
  setup->silo.cluster->on_expelled = [logger, expelled](const runtime::error& why) {
    logger->error("this process ends, and may be started again: {}", why.text());
    *expelled = true;
    ::kill(::getpid(), SIGTERM);
  };
  const auto ended = serve(options, *setup, listen, **told);
  return *expelled ? exit_code::expelled : ended;
}

std::vector<command> serve_commands() {
  return {
      {"dev", "[--listen ADDRESS:PORT] [--silos N]", "serve the HTTP API in the foreground",
       "  millrace dev\n"
       "  millrace dev --listen 127.0.0.1:0 --data /tmp/try\n"
       "  millrace dev --silos 3                       a cluster on this machine\n"
       "  millrace dev --memory-budget 512M --name attic --label gpu\n",
       0, 0, add_dev_options, run_dev},
      {"silo", "--coordination WHERE --name NAME [OPTION]...",
       "be a silo of a cluster, in the foreground",
       "  millrace silo --coordination local:/srv/millrace/coordination --name a --data /srv/a\n"
       "  millrace silo --config /etc/millrace/silo.yaml\n"
       "  millrace silo --coordination http://10.0.0.1:2379 --name a --links 10.0.0.7:8401 \\\n"
       "    --certificate-authority pki/authority.pem --certificate pki/silo.a.pem --key "
       "pki/silo.a.key\n",
       0, 0, add_silo_options, run_silo},
      {"gateway", "--coordination WHERE [OPTION]...",
       "serve the HTTP API in front of a cluster, in the foreground",
       "  millrace gateway --coordination local:/srv/millrace/coordination\n"
       "  millrace gateway --config /etc/millrace/gateway.yaml --listen 127.0.0.1:8400\n",
       0, 0, add_gateway_options, run_gateway},
  };
}

}  // namespace millrace::gateway::cli
