// SPDX-License-Identifier: MIT
// Commands that serve until they are told to stop: dev, silo, gateway.
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <initializer_list>
#include <iostream>
#include <memory>

#include "access/token.h"
#include "api/api.h"
#include "cli/dev_cluster.h"
#include "cli/front.h"
#include "cli/layers.h"
#include "cli/node_options.h"
#include "cli/service_manager.h"
#include "cli/stop_limit.h"
#include "http/identity.h"
#include "millrace/runtime/memory_limit.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

constexpr const char* listen_default = "127.0.0.1:8400";
constexpr std::uint32_t dev_silos_max = 7;

// Connections that a process may be told to hold: the most descriptors that Linux gives one, unless
// it is told otherwise.
constexpr std::uint32_t connections_most = 1'048'576;

// Descriptors of a process besides the connections of its clients: files of the state and of logs,
// links, and pipes of attempts.
constexpr std::size_t descriptors_besides = 500;

// Of the memory that the process can have, what bodies of requests may take: an eighth, and at
// least what two of the largest do.
constexpr std::size_t memory_share = 8;
constexpr std::size_t memory_bytes_min = std::size_t{16} << 20;

// What is served at least, however few files a process may have open.
constexpr std::size_t connections_least = 64;

// Requests a second that there is a sense in bounding.
constexpr std::uint32_t rate_max = 1'000'000;

// Between two looks at the files of a certificate; new ones are in use after two at most.
constexpr std::chrono::seconds look_interval{5};

// Options that mean something only where HTTP is served.
constexpr std::initializer_list<const char*> serving_only{
    "root-token",      "rate-limit", "connections",  "trusted-proxy",
    "tls-certificate", "tls-key",    "tls-client-ca"};

void add_listen_options(po::options_description& options, const char* text) {
  options.add_options()("listen", po::value<std::string>()->value_name("ADDRESS:PORT"), text)(
      "tls-certificate", po::value<std::string>()->value_name("FILE"),
      "serve HTTPS (TLS 1.3) with this certificate, and those between it and its authority; a new "
      "one in the file is taken into use by itself, or at once on SIGHUP")(
      "tls-key", po::value<std::string>()->value_name("FILE"), "of the certificate")(
      "tls-client-ca", po::value<std::string>()->value_name("FILE"),
      "let in only clients with a certificate of these authorities")(
      "root-token", po::value<std::string>()->value_name("FILE"),
      "ask who is there for a token; the one in this file may do everything, and is made if there "
      "is none")("rate-limit", po::value<std::string>()->value_name("N"),
                 "requests a second of each token, or without tokens of each address; what is more "
                 "is answered 429 (default: as many as come)")(
      "connections", po::value<std::string>()->value_name("N"),
      "of clients at a time; over it one that has shown no token makes room, or the one that comes "
      "is answered 503 (default: 10000)")(
      "trusted-proxy", po::value<std::string>()->value_name("NETWORK,..."),
      "proxies in front, such as 10.0.0.0/8: what they pass on comes from the last address in "
      "X-Forwarded-For that is none of theirs, for rates and the audit")(
      "insecure",
      "allow an address that is not loopback without TLS and tokens, such as behind a proxy that "
      "sees to both");
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
  add_trace_options(options);
  add_log_options(options);
  add_config_option(options);
}

void add_silo_options(po::options_description& options) {
  add_identity_options(options);
  add_node_options(options);
  add_cluster_options(options);
  add_found_anew_option(options);
  add_listen_options(options, "serve the HTTP API, too (default: the silo does not)");
  add_trace_options(options);
  add_log_options(options);
  add_notify_option(options);
  add_config_option(options);
}

void add_gateway_options(po::options_description& options) {
  add_listen_options(options, "where to serve (default: 127.0.0.1:8400; port 0: any free one)");
  add_identity_options(options);
  add_data_option(options);
  add_secrets_key_option(options);
  add_cluster_options(options);
  add_trace_options(options);
  add_log_options(options);
  add_notify_option(options);
  add_config_option(options);
}

// What HTTPS is served with; no certificate: it is not.
runtime::result<runtime::tls_files> tls_in(const option_values& options) {
  runtime::tls_files files{text_of(options, "tls-client-ca"), text_of(options, "tls-certificate"),
                           text_of(options, "tls-key")};
  const bool is_whole = files.certificate.empty() ? files.key.empty() && files.authorities.empty()
                                                  : !files.key.empty();
  if (!is_whole) {
    return runtime::error{runtime::errc::invalid_argument,
                          "--tls-certificate and --tls-key go together, and --tls-client-ca with "
                          "them: give both"};
  }
  return files;
}

runtime::result<http::server_options> listen_in(const option_values& options, logs& told) {
  const auto files = tls_in(options);
  if (!files) {
    return files.error();
  }
  const bool has_tls = !files->certificate.empty();
  auto made = listen_options(text_of(options, "listen", listen_default),
                             {.has_tls = has_tls,
                              .has_tokens = options.count("root-token") > 0,
                              .is_waived = options.count("insecure") > 0});
  if (!made) {
    return made;
  }
  const auto most = number_of(options, "connections",
                              static_cast<std::uint32_t>(made->connections_max), connections_most);
  if (!most || *most == 0) {
    return most ? runtime::error{runtime::errc::invalid_argument,
                                 "--connections '0': a server without any serves nobody"}
                : most.error();
  }
  made->connections_max = *most;
  if (options.count("trusted-proxy") > 0) {
    auto proxies = http::trusted_proxies::parse(text_of(options, "trusted-proxy"));
    if (!proxies) {
      return runtime::error{proxies.error().code(), "--trusted-proxy " + proxies.error().text()};
    }
    made->proxies = *std::move(proxies);
  }
  if (const auto memory = runtime::memory_limit()) {
    for (auto* bound : {&made->bodies_bytes_max, &made->answers_bytes_max}) {
      *bound = std::clamp(*memory / memory_share, memory_bytes_min, *bound);
    }
  }
  if (!has_tls) {
    return made;
  }
  auto shown = http::identity::open(
      *files,
      {.info = told.log_of("gateway.tls"),
       .warn = told.warn_of("gateway.tls"),
       .debug = [logger = told.of("gateway.tls")](std::string_view line) { logger->debug(line); }});
  if (!shown) {
    return std::move(shown).error();
  }
  made->tls = *std::move(shown);
  return made;
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

// The token of `--root-token`, which may be a new one; empty: nobody is asked for any.
runtime::result<std::string> root_token_of(const option_values& options, logs& told) {
  if (options.count("root-token") == 0) {
    return std::string{};
  }
  const auto file = text_of(options, "root-token");
  if (file.empty()) {
    return runtime::error{runtime::errc::invalid_argument,
                          "--root-token: name a file; without the option nobody is asked"};
  }
  auto token = read_token(file);
  if (token || token.error().code() != runtime::errc::not_found) {
    return token;
  }
  const auto made = make_token();
  const auto written = write_token(file, made);
  if (written) {
    told.of("gateway")->info("made a token that may do everything; it is in {}", file);
    return made;
  }
  // Another process of this machine may have been asked for the same at the same time.
  return written.error().code() == runtime::errc::conflict ? read_token(file) : written.error();
}

// Feeds the watchdog while everything that has work gets on, as /readyz says it; a full disk, or
// one that is behind, is no reason to be started again.
class watchdog {
public:
  watchdog(const service_manager& manager, node& here, front* served, spdlog::logger& logger)
      : manager_(manager), here_(here), served_(served), logger_(logger) {}

  void look() {
    const auto stall = stalled();
    if (!stall) {
      manager_.tell("WATCHDOG=1");
    } else if (!told_) {
      logger_.error("the watchdog is not told that this process is well: {}", stall->text());
    }
    told_ = stall.has_value();
  }

private:
  std::optional<runtime::error> stalled() {
    auto stall = served_ != nullptr ? served_->stall() : std::nullopt;
    if (!stall && here_.executes()) {
      stall = stall_of("the executor", here_.host().busy());
    }
    if (!stall) {
      const auto rows = here_.silo().rows().stats();
      stall = stall_of("the disk", commits_.waiting(rows, clock_.steady()));
    }
    return stall;
  }

  const service_manager& manager_;
  node& here_;
  front* const served_;
  spdlog::logger& logger_;
  const runtime::system_clock clock_;
  commit_watch commits_;
  bool told_ = false;
};

// Serves until there is an interrupt. `tls` is null without HTTPS, else `hangups` tells of SIGHUP.
void serve_until_interrupt(const service_manager& manager, watchdog fed, http::identity* tls,
                           int hangups) {
  const auto interval = manager.watchdog_interval();
  if (!interval && tls == nullptr) {
    wait_for_interrupt();
    return;
  }
  std::chrono::milliseconds wait = tls != nullptr ? look_interval : *interval;
  wait = interval ? std::min(wait, *interval) : wait;
  while (interrupts() == 0) {
    if (interval) {
      fed.look();
    }
    const bool is_told = wait_for_interrupt(wait, hangups);
    if (tls == nullptr) {
      continue;
    }
    if (is_told) {
      char bytes[64];
      static_cast<void>(!::read(hangups, bytes, sizeof bytes));
      tls->reload();
    } else {
      tls->look();
    }
  }
}

// The clients that fit the limit of open files; says so where those that may come do not. It is
// raised as far as a process may by itself where no tasks inherit it: some programs cannot have
// that many.
std::size_t fit_descriptors(std::size_t connections, bool executes, spdlog::logger& logger) {
  rlimit limit{};
  const auto wanted = connections + descriptors_besides;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
    return connections;
  }
  if (!executes) {
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, wanted);
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= wanted) {
    return connections;
  }
  const auto besides = std::min<std::size_t>(limit.rlim_cur, descriptors_besides);
  const auto fitting = std::min(connections, std::max(connections_least, limit.rlim_cur - besides));
  logger.warn(
      "{} connections do not fit the limit of {} open files: raise that to {}, with "
      "`ulimit -n` or LimitNOFILE=, or lower --connections; {} are served at a time",
      connections, limit.rlim_cur, wanted, fitting);
  return fitting;
}

// A node until it is told to stop; with an HTTP server in front if there is an address.
exit_code serve(const option_values& options, const node_options& setup,
                const std::optional<http::server_options>& listen, logs& told) {
  const auto root = root_token_of(options, told);
  const auto rate = number_of(options, "rate-limit", 0, rate_max);
  if (!root || !rate) {
    return report(root ? rate.error() : root.error());
  }
  auto* const tls = listen ? listen->tls.get() : nullptr;
  const int hangups = tls != nullptr ? watch_hangups() : -1;  // ends nobody from now on
  const service_manager manager;
  const auto here = node::open(setup);
  if (!here) {
    return report(here.error());
  }
  watch_interrupts();
  std::optional<front> served;
  std::string where = (*here)->silo().name();
  if (listen) {
    auto served_on = *listen;
    served_on.connections_max =
        fit_descriptors(listen->connections_max, (*here)->executes(), *told.of("gateway"));
    const auto& cluster = setup.silo.cluster;
    served.emplace(
        **here,
        front_options{served_on, *root, *rate, cluster ? cluster->certificates : std::nullopt},
        told);
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
  manager.tell("READY=1\nSTATUS=serves as " + where);
  ::malloc_trim(0);  // more than half of the heap held what the start needed, in pieces
  serve_until_interrupt(manager, {manager, **here, served ? &*served : nullptr, *logger}, tls,
                        hangups);
  manager.tell("STOPPING=1");
  logger->info("stopping");
  const stop_limit limit{stop_longest, exit_code::run_failed, [&told] { told.flush(); }};
  if (served) {
    served->stop();
  }
  (*here)->stop();
  return exit_code::ok;
}

exit_code run_cluster(const option_values& options, std::uint32_t silos, logs& told) {
  if (const auto fits = refuse(options, {"name", "label", "config"}, "dev --silos"); !fits) {
    return report(fits.error());
  }
  const auto valid = listen_in(options, told);
  if (!valid) {
    return report(valid.error());
  }
  if (valid->tls != nullptr) {
    static_cast<void>(watch_hangups());  // the gateway looks at the files by itself
  }
  const auto data = data_directory(options);
  dev_cluster_options wanted{
      .silos = silos,
      .data = data,
      .coordination = text_of(options, "coordination", "local:" + data + "/coordination"),
      .listen = text_of(options, "listen", listen_default),
      .arguments = {},
      .front_arguments = {}};
  for (const auto* each : {"slots", "resources", "pools", "memory-budget", "keep-runs", "keep-age",
                           "secrets-directory"}) {
    if (options.count(each) > 0) {
      wanted.arguments.insert(wanted.arguments.end(),
                              {"--" + std::string{each}, text_of(options, each)});
    }
  }
  for (const auto* each :
       {"log-format", "log-level", "secrets-key", "trace-to", "trace-sample", "trace-ca"}) {
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
  for (const auto* each : serving_only) {
    if (options.count(each) > 0) {
      wanted.front_arguments.insert(wanted.front_arguments.end(),
                                    {"--" + std::string{each}, text_of(options, each)});
    }
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
    return silos ? run_cluster(options, *silos, **told) : report(silos.error());
  }
  if (const auto fits = refuse(options, {"coordination"}, "dev without --silos"); !fits) {
    return report(fits.error());
  }
  const auto listen = listen_in(options, **told);
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
    const auto asked = listen_in(options, **told);
    if (!asked) {
      return report(asked.error());
    }
    listen = *asked;
  } else if (const auto fits = refuse(options, serving_only, "silo without --listen"); !fits) {
    return report(fits.error());
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
       "  millrace dev --config /etc/millrace/millrace.yaml\n"
       "  millrace dev --memory-budget 512M --name attic --label gpu\n",
       0, 0, add_dev_options, run_dev},
      {"silo", "--coordination WHERE --name NAME [OPTION]...",
       "be a silo of a cluster, in the foreground",
       "  millrace silo --coordination local:/srv/millrace/coordination --name a --data /srv/a\n"
       "  millrace silo --config /etc/millrace/silo.yaml\n"
       "  millrace silo --coordination http://10.0.0.1:2379 --name a --links 10.0.0.7:8401 \\\n"
       "    --certificate-authority pki/ca.pem --certificate pki/silo.a.pem --key "
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
