// SPDX-License-Identifier: MIT
#include "cli/node_options.h"

#include <algorithm>
#include <charconv>

#include "millrace/actors/duration_text.h"
#include "millrace/runtime/memory_limit.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::result;

namespace {

constexpr const char* data_default = ".millrace";
constexpr std::uint32_t slots_max = 10'000;  // each may be a process; more than a machine starts
constexpr std::size_t memory_budget_min = std::size_t{1} << 20U;
constexpr std::size_t label_bytes_max = 64;
constexpr std::uint32_t copies_max = 7;

}  // namespace

void add_data_option(po::options_description& options) {
  options.add_options()("data", po::value<std::string>()->value_name("DIR"),
                        "where state, logs and workspaces go (default: .millrace)");
}

std::string data_directory(const option_values& options) {
  return text_of(options, "data", data_default);
}

std::string state_directory(const option_values& options) {
  return (std::filesystem::path{data_directory(options)} / "state").string();
}

void add_secrets_key_option(po::options_description& options) {
  options.add_options()("secrets-key", po::value<std::string>()->value_name("FILE"),
                        "the keys that the secrets of projects are sealed with, the same on all "
                        "servers of a cluster; see `millrace secret key`");
}

void add_node_options(po::options_description& options) {
  add_data_option(options);
  add_secrets_key_option(options);
  options.add_options()("secrets-directory", po::value<std::string>()->value_name("DIR"),
                        "where tasks with `secrets: {X: {from: file}}` find them; a task cannot "
                        "name what is elsewhere");
  options.add_options()("slots", po::value<std::string>()->value_name("N"),
                        "attempts at a time (default: the number of processors)");
  options.add_options()("resources", po::value<std::string>()->value_name("NAME=AMOUNT,..."),
                        "what tasks may ask for beside a slot, such as gpu=2,licence=3; cpu and "
                        "memory are those of the machine or its cgroup unless they are given");
  options.add_options()("pools", po::value<std::string>()->value_name("NAME,..."),
                        "the pools that it belongs to, such as gpu,default: it runs the tasks that "
                        "go to one of these; * stands for all (default: default)");
  options.add_options()("memory-budget", po::value<std::string>()->value_name("SIZE"),
                        "what actors may hold in memory, such as 512M, or none; past it idle ones "
                        "leave it (default: half of what the machine or its cgroup allows)");
  options.add_options()("keep-runs", po::value<std::string>()->value_name("N"),
                        "ended runs of a pipeline that are kept, or all; the longest ended are "
                        "deleted first (default: 10000; `retention` in a definition goes before)");
  options.add_options()("keep-age", po::value<std::string>()->value_name("AGE"),
                        "how long after its end a run is kept, such as 30d, or all (default: 90d; "
                        "`retention` in a definition goes before)");
}

void add_identity_options(po::options_description& options) {
  options.add_options()("name", po::value<std::string>()->value_name("NAME"),
                        "of this silo, which the keys of $siloBound actors begin with (default: "
                        "silo)");
  options.add_options()("label", po::value<std::vector<std::string>>()->value_name("LABEL"),
                        "what actors with $labels may ask for, such as gpu or zone=attic; may be "
                        "repeated");
}

void add_cluster_options(po::options_description& options) {
  options.add_options()("coordination", po::value<std::string>()->value_name("WHERE"),
                        "where the silos of the cluster find each other: local:DIR on one machine, "
                        "or http://HOST:PORT[,...] of an etcd")(
      "links", po::value<std::string>()->value_name("ADDRESS:PORT"),
      "where other silos reach this one (default: 127.0.0.1:0; port 0: any free one)")(
      "advertise", po::value<std::string>()->value_name("HOST[:PORT]"),
      "what the others are told to connect to (default: where it listens)")(
      "certificate-authority", po::value<std::string>()->value_name("FILE"),
      "the certificate of the cluster's authority, see `millrace pki`")(
      "certificate", po::value<std::string>()->value_name("FILE"), "this one's own")(
      "key", po::value<std::string>()->value_name("FILE"), "of the certificate")(
      "plain-links", "links to other machines without TLS, on a network that nobody else is on")(
      "copies", po::value<std::string>()->value_name("N"),
      "of each partition, as far as there are silos; the same everywhere (default: 3)")(
      "roles", po::value<std::string>()->value_name("ROLES"),
      "what a silo does: state (has copies of partitions), execute (runs tasks), with a comma "
      "(default: both)")("zone", po::value<std::string>()->value_name("ZONE"),
                         "what it shares with silos that may fail together, such as a rack: copies "
                         "of one partition go to different ones, once every silo names one")(
      "replace-after", po::value<std::string>()->value_name("DURATION"),
      "how long a silo that died or stopped is awaited before its copies are made elsewhere; the "
      "same everywhere (default: 5m)")("etcd-prefix",
                                       po::value<std::string>()->value_name("PREFIX"),
                                       "of the cluster's keys (default: /millrace/)")(
      "etcd-user", po::value<std::string>()->value_name("NAME"), "for an etcd that asks")(
      "etcd-password", po::value<std::string>()->value_name("PASSWORD"),
      "better given as MILLRACE_ETCD_PASSWORD")("etcd-certificate-authority",
                                                po::value<std::string>()->value_name("FILE"),
                                                "for https (default: those of the system)")(
      "etcd-certificate", po::value<std::string>()->value_name("FILE"), "for an etcd that asks")(
      "etcd-key", po::value<std::string>()->value_name("FILE"), "of that certificate");
}

void add_found_anew_option(po::options_description& options) {
  options.add_options()("found-anew",
                        "for one start, by hand, when the coordination store is lost for good: "
                        "begin the cluster anew with what this silo has; what only others have is "
                        "lost");
}

void add_trace_options(po::options_description& options) {
  options.add_options()("trace-to", po::value<std::string>()->value_name("URL"),
                        "send spans to this collector of OpenTelemetry (OTLP over HTTP, as JSON), "
                        "such as http://127.0.0.1:4318 (default: none are made)")(
      "trace-sample", po::value<std::string>()->value_name("RATIO"),
      "of the traces that begin here, from 0 to 1; a request's traceparent goes before (default: "
      "1)")("trace-ca", po::value<std::string>()->value_name("FILE"),
            "the authority of a collector with https (default: those of the system)");
}

void add_log_options(po::options_description& options) {
  options.add_options()("log-format", po::value<std::string>()->value_name("FORMAT"),
                        "text, or json, an object a line (default: text)");
  options.add_options()("log-level", po::value<std::string>()->value_name("LEVEL"),
                        "debug, info, warn or error (default: info)");
}

namespace {

// How long ended runs stay; `all` lifts a limit.
result<actors::run_retention> retention_in(const option_values& options) {
  auto kept = actors::run_retention::standard();
  if (text_of(options, "keep-runs") == "all") {
    kept.runs.reset();
  } else {
    const auto runs = number_of(options, "keep-runs", *kept.runs, actors::run_retention::runs_max);
    if (!runs) {
      return runs.error();
    }
    kept.runs = *runs;
  }
  if (const auto text = text_of(options, "keep-age"); text == "all") {
    kept.age.reset();
  } else if (!text.empty()) {
    const auto parsed = actors::parse_duration(text);
    if (!parsed.length || *parsed.length == runtime::duration{}) {
      return runtime::error{runtime::errc::invalid_argument,
                            "--keep-age '" + text +
                                "': it must be a duration like 30d or 12h, or all" +
                                (parsed.hint.empty() ? "" : " (" + parsed.hint + ")")};
    }
    kept.age = parsed.length;
  }
  return kept;
}

result<actors::secret_places> secrets_in(const option_values& options) {
  actors::secret_places made;
  if (options.count("secrets-directory") > 0) {
    std::error_code failed;
    made.directory = std::filesystem::absolute(text_of(options, "secrets-directory"), failed);
    if (failed || !std::filesystem::is_directory(made.directory, failed)) {
      return runtime::error{runtime::errc::invalid_argument,
                            "--secrets-directory '" + text_of(options, "secrets-directory") +
                                "': there is no such directory"};
    }
  }
  if (options.count("secrets-key") > 0) {
    auto keys = actors::secret_keyring::open(text_of(options, "secrets-key"));
    if (!keys) {
      return runtime::error{runtime::errc::invalid_argument,
                            "--secrets-key: " + keys.error().text()};
    }
    made.keys = *std::move(keys);
  }
  return made;
}

// What may stand in keys, lists and addresses without being quoted.
result<void> check_plain(const char* option, const std::string& text, std::string_view also) {
  const auto good = [also](char each) {
    return (each >= '0' && each <= '9') || (each >= 'a' && each <= 'z') ||
           (each >= 'A' && each <= 'Z') || also.find(each) != std::string_view::npos;
  };
  if (text.empty() || text.size() > label_bytes_max ||
      !std::all_of(text.begin(), text.end(), good)) {
    return runtime::error{runtime::errc::invalid_argument,
                          "--" + std::string{option} + " '" + text +
                              "': it must be 1 to 64 letters, digits and any of " +
                              std::string{also}};
  }
  return {};
}

result<void> set_identity(const option_values& options, runtime::silo_options& silo) {
  if (options.count("name") > 0) {
    silo.name = text_of(options, "name");
    if (auto plain = check_plain("name", silo.name, "-_."); !plain) {
      return plain;
    }
  }
  if (options.count("label") > 0) {
    silo.labels = options["label"].as<std::vector<std::string>>();
  }
  for (const auto& each : silo.labels) {
    if (auto plain = check_plain("label", each, "-_./="); !plain) {
      return plain;
    }
  }
  return {};
}

// What actors may hold together: by default half of what there is, the other half is for what
// storage holds and for the commands of tasks.
result<std::size_t> memory_budget_in(const option_values& options) {
  if (options.count("memory-budget") == 0) {
    return runtime::memory_limit().value_or(0) / 2;
  }
  return text_of(options, "memory-budget") == "none"
             ? std::size_t{0}
             : bytes_of(options, "memory-budget", memory_budget_min);
}

runtime::error refused(const char* option, const std::string& text, const std::string& why) {
  return {runtime::errc::invalid_argument, "--" + std::string{option} + " '" + text + "': " + why};
}

result<std::optional<otlp_options>> traces_in(const option_values& options, logs& told) {
  const auto to = text_of(options, "trace-to");
  if (to.empty()) {
    return std::optional<otlp_options>{};
  }
  auto collector = http::parse_url(to);
  if (!collector) {
    return refused("trace-to", to, collector.error().text());
  }
  runtime::tls_files trusted{text_of(options, "trace-ca"), {}, {}};
  if (const auto usable = runtime::load_client_tls(trusted, {}); !usable) {
    return refused("trace-ca", trusted.authorities, usable.error().text());
  }
  return std::optional{otlp_options{.collector = *std::move(collector),
                                    .tls = std::move(trusted),
                                    .resource = {},
                                    .warn = told.warn_of("gateway.trace")}};
}

result<double> trace_ratio_in(const option_values& options) {
  const auto text = text_of(options, "trace-sample", "1");
  double ratio = 0;
  const auto* const end = text.data() + text.size();
  const auto [after, failed] = std::from_chars(text.data(), end, ratio);
  if (failed != std::errc{} || after != end || !(ratio >= 0 && ratio <= 1)) {
    return refused("trace-sample", text, "it must be a number from 0 to 1, such as 0.1");
  }
  return ratio;
}

result<runtime::silo_roles> roles_in(const option_values& options) {
  const auto text = text_of(options, "roles", "state,execute");
  runtime::silo_roles roles;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const auto end = std::min(text.find(',', begin), text.size());
    const auto word = text.substr(begin, end - begin);
    if (word == "state") {
      roles.state = true;
    } else if (word == "execute") {
      roles.execute = true;
    } else {
      return refused("roles", text, "it must be state, execute, or both with a comma");
    }
    begin = end + 1;
  }
  return roles;
}

result<void> set_links(const option_values& options, runtime::cluster_options& cluster) {
  const auto text = text_of(options, "links", "127.0.0.1:0");
  const auto where = endpoint_of(text);
  if (!where) {
    return refused("links", text, "write it like 10.0.0.7:8401");
  }
  cluster.listen_address = where->host;
  cluster.listen_port = where->port;
  cluster.advertised_address = text_of(options, "advertise");
  cluster.plain_links_anywhere = options.count("plain-links") > 0;
  const auto given =
      options.count("certificate-authority") + options.count("certificate") + options.count("key");
  if (given != 0 && given != 3) {
    return runtime::error{
        runtime::errc::invalid_argument,
        "--certificate-authority, --certificate and --key go together: give all three"};
  }
  if (given != 0) {
    cluster.certificates = {text_of(options, "certificate-authority"),
                            text_of(options, "certificate"), text_of(options, "key")};
  }
  return {};
}

result<void> set_placement(const option_values& options, runtime::cluster_options& cluster) {
  if (options.count("zone") > 0) {
    cluster.zone = text_of(options, "zone");
    if (auto good = check_plain("zone", cluster.zone, "-_."); !good) {
      return good;
    }
  }
  if (const auto text = text_of(options, "replace-after"); !text.empty()) {
    const auto parsed = actors::parse_duration(text);
    if (!parsed.length) {
      return refused(
          "replace-after", text,
          "it must be a duration like 5m" + (parsed.hint.empty() ? "" : " (" + parsed.hint + ")"));
    }
    cluster.replace_after = *parsed.length;
  }
  return {};
}

result<std::optional<runtime::cluster_options>> cluster_in(const option_values& options) {
  if (options.count("coordination") == 0) {
    for (const auto* only :
         {"links", "advertise", "certificate-authority", "certificate", "key", "plain-links",
          "copies", "roles", "zone", "replace-after", "found-anew"}) {
      if (options.count(only) > 0) {
        return runtime::error{runtime::errc::invalid_argument,
                              "--" + std::string{only} +
                                  " is for a silo of a cluster; name that with --coordination"};
      }
    }
    return std::optional<runtime::cluster_options>{};
  }
  runtime::cluster_options cluster;
  cluster.coordination = text_of(options, "coordination");
  cluster.found_anew = options.count("found-anew") > 0;
  const auto copies =
      number_of(options, "copies", static_cast<std::uint32_t>(cluster.copies), copies_max);
  if (!copies) {
    return copies.error();
  }
  cluster.copies = *copies;
  const auto roles = roles_in(options);
  if (!roles) {
    return roles.error();
  }
  cluster.roles = *roles;
  if (auto set = set_placement(options, cluster); !set) {
    return std::move(set).error();
  }
  if (auto set = set_links(options, cluster); !set) {
    return std::move(set).error();
  }
  cluster.etcd.prefix = text_of(options, "etcd-prefix", cluster.etcd.prefix);
  cluster.etcd.user = text_of(options, "etcd-user");
  cluster.etcd.password = text_of(options, "etcd-password");
  cluster.etcd.authorities = text_of(options, "etcd-certificate-authority");
  cluster.etcd.certificate = text_of(options, "etcd-certificate");
  cluster.etcd.key = text_of(options, "etcd-key");
  return std::optional{cluster};
}

}  // namespace

result<node_options> node_options_of(const option_values& options, logs& told) {
  const auto slots = number_of(options, "slots", 0, slots_max);
  if (!slots) {
    return slots.error();
  }
  const auto memory = memory_budget_in(options);
  if (!memory) {
    return memory.error();
  }
  const auto kept = retention_in(options);
  if (!kept) {
    return kept.error();
  }
  auto secrets = secrets_in(options);
  if (!secrets) {
    return std::move(secrets).error();
  }
  auto resources = actors::parse_resources(text_of(options, "resources"));
  if (!resources) {
    return refused("resources", text_of(options, "resources"), resources.error().text());
  }
  auto pools = actors::parse_pools(text_of(options, "pools"));
  if (!pools) {
    return refused("pools", text_of(options, "pools"), pools.error().text());
  }
  auto traces = traces_in(options, told);
  const auto ratio = trace_ratio_in(options);
  if (!traces || !ratio) {
    return traces ? ratio.error() : traces.error();
  }
  node_options setup;
  setup.traces = *std::move(traces);
  setup.silo.trace.ratio = *ratio;
  setup.secrets = *std::move(secrets);
  setup.silo.warn = told.warn_of("runtime");
  setup.silo.log = told.log_of("runtime");
  setup.warn = told.warn_of("actors");
  setup.log = told.log_of("actors");
  setup.retention = *kept;
  setup.silo.memory_budget_bytes = *memory;
  if (auto set = set_identity(options, setup.silo); !set) {
    return std::move(set).error();
  }
  setup.data_directory = data_directory(options);
  setup.slots = *slots;
  setup.resources = *std::move(resources);
  setup.pools = *std::move(pools);
  auto cluster = cluster_in(options);
  if (!cluster) {
    return std::move(cluster).error();
  }
  setup.silo.cluster = *std::move(cluster);
  return setup;
}

result<std::unique_ptr<logs>> logs_of(const option_values& options) {
  const auto format = log_format_of(text_of(options, "log-format", "text"));
  const auto level = log_level_of(text_of(options, "log-level", "info"));
  if (!format || !level) {
    return runtime::error{runtime::errc::invalid_argument,
                          format ? "--log-level must be debug, info, warn or error"
                                 : "--log-format must be text or json"};
  }
  return std::make_unique<logs>(*format, *level);
}

}  // namespace millrace::gateway::cli
