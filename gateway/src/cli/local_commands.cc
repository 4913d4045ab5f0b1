// SPDX-License-Identifier: MIT
// Commands that need no server: run, dev, validate.
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <charconv>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <thread>

#include "api/api.h"
#include "cli/command.h"
#include "cli/local_run.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/stop_limit.h"
#include "http/same_origin.h"
#include "log/log.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/duration_text.h"
#include "millrace/actors/params.h"
#include "millrace/runtime/memory_limit.h"
#include "node/node.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::result;

namespace {

constexpr const char* data_default = ".millrace";
constexpr const char* listen_default = "127.0.0.1:8400";
constexpr std::uint32_t slots_max = 10'000;  // each may be a process; more than a machine starts
constexpr std::size_t memory_budget_min = std::size_t{1} << 20U;
constexpr std::size_t label_bytes_max = 64;

void print_mistakes(const std::vector<actors::diagnostic>& mistakes, const std::string& source) {
  std::cerr << actors::render(mistakes, source);
}

}  // namespace

void add_data_option(po::options_description& options) {
  options.add_options()("data", po::value<std::string>()->value_name("DIR"),
                        "where state, logs and workspaces go (default: .millrace)");
}

std::string state_directory(const option_values& options) {
  return (std::filesystem::path{text_of(options, "data", data_default)} / "state").string();
}

namespace {

// --- the node of this process --------------------------------------------------------------------

void add_node_options(po::options_description& options) {
  add_data_option(options);
  options.add_options()("slots", po::value<std::string>()->value_name("N"),
                        "attempts at a time (default: the number of processors)");
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

// `dev` only: what a pipeline run by itself needs has no place in it.
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

result<std::unique_ptr<node>> open_node(const option_values& options, logs& told) {
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
  node_options setup;
  setup.silo.warn = told.warn_of("runtime");
  setup.warn = told.warn_of("actors");
  setup.retention = *kept;
  setup.silo.memory_budget_bytes = *memory;
  if (auto set = set_identity(options, setup.silo); !set) {
    return std::move(set).error();
  }
  setup.data_directory = text_of(options, "data", data_default);
  setup.slots = *slots;
  return node::open(setup);
}

// --- run -----------------------------------------------------------------------------------------

void add_run_options(po::options_description& options) {
  options.add_options()("param,p", po::value<std::vector<std::string>>()->value_name("NAME=VALUE"),
                        "a parameter, a list or map as JSON or =@FILE; may be repeated");
  add_node_options(options);
  options.add_options()("progress", po::value<std::string>()->value_name("MODE"),
                        "auto (default), tty, plain, json or quiet");
}

exit_code run_file(const option_values& options, const std::vector<std::string>& positional) {
  const auto mode = progress_mode_of(text_of(options, "progress", "auto"));
  if (!mode) {
    return report(exit_code::usage, "--progress must be auto, tty, plain, json or quiet");
  }
  const auto given = params_of(options);
  if (!given) {
    return report(given.error());
  }
  const auto text = read_file(positional[0]);
  if (!text) {
    return report(exit_code::usage, text.error().text());
  }
  const auto loaded = actors::load_definition(*text, positional[0]);
  if (!loaded) {
    print_mistakes(loaded.diagnostics, *text);
    return exit_code::usage;
  }
  const auto filled = with_files(*loaded.definition, *given);
  if (!filled) {
    return report(filled.error());
  }
  const auto bound = actors::bind_params(*loaded.definition, *filled);
  if (!bound) {
    for (const auto& each : bound.diagnostics) {
      std::cerr << "millrace: " << each.text << (each.hint.empty() ? "" : " (" + each.hint + ")")
                << '\n';
    }
    return exit_code::usage;
  }
  logs told{log_format::text, spdlog::level::warn};
  const auto here = open_node(options, told);
  if (!here) {
    return report(here.error());
  }
  watch_interrupts();
  progress view{*mode};
  local_run run{**here, *loaded.definition, view};
  if (auto submitted = run.submit(actors::to_json(bound)); !submitted) {
    return report(submitted.error());
  }
  const auto code = run.follow();
  (*here)->stop();
  return code;
}

// --- dev -----------------------------------------------------------------------------------------

void add_dev_options(po::options_description& options) {
  options.add_options()("listen", po::value<std::string>()->value_name("ADDRESS:PORT"),
                        "where to serve (default: 127.0.0.1:8400; port 0: any free one)");
  add_node_options(options);
  options.add_options()("name", po::value<std::string>()->value_name("NAME"),
                        "of this silo, which the keys of $siloBound actors begin with (default: "
                        "silo)");
  options.add_options()("label", po::value<std::vector<std::string>>()->value_name("LABEL"),
                        "what actors with $labels may ask for, such as gpu or zone=attic; may be "
                        "repeated");
  options.add_options()("log-format", po::value<std::string>()->value_name("FORMAT"),
                        "text (default) or json, an object a line");
  options.add_options()("log-level", po::value<std::string>()->value_name("LEVEL"),
                        "debug, info (default), warn or error");
  options.add_options()("insecure", "allow an address that is not loopback, without TLS or tokens");
}

// `127.0.0.1:8400`, `localhost:8400`, `[::1]:8400`, `:8400`.
result<http::server_options> listen_options(const std::string& text, bool insecure) {
  const auto refused = [&](const std::string& why) {
    return runtime::error{runtime::errc::invalid_argument, "--listen '" + text + "': " + why};
  };
  const auto colon = std::min(text.rfind(':'), text.size());
  const auto digits = text.substr(std::min(colon + 1, text.size()));
  const auto* end = digits.data() + digits.size();
  http::server_options made;
  if (const auto [after, failure] = std::from_chars(digits.data(), end, made.port);
      failure != std::errc{} || after != end) {
    return refused("write it like 127.0.0.1:8400");
  }
  auto host = text.substr(0, colon);
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  made.address = host.empty() || host == "localhost" ? "127.0.0.1" : host;
  boost::system::error_code failed;
  const auto address = boost::asio::ip::make_address(made.address, failed);
  if (failed) {
    return refused("'" + host + "' is no IP address; only the name localhost is understood");
  }
  if (!address.is_loopback() && !insecure) {
    return refused(
        "anyone who reaches it could run commands here: keep to 127.0.0.1, or say "
        "--insecure");
  }
  return made;
}

// Tells every answer, for who looks for what a client does.
http::access_log access_log_of(logs& told) {
  const auto logger = told.of("gateway.http");
  if (!logger->should_log(spdlog::level::debug)) {
    return {};
  }
  return [logger](const http::access_entry& each) {
    logger->debug("answered method={} target={} status={} body_bytes={}", each.method, each.target,
                  each.status, each.body_bytes);
  };
}

// The HTTP server takes up to 5 s, tasks up to 20 s; what starts us kills after 30 s or more.
constexpr std::chrono::seconds stop_longest{28};

exit_code run_dev(const option_values& options, const std::vector<std::string>&) {
  const auto format = log_format_of(text_of(options, "log-format", "text"));
  const auto level = log_level_of(text_of(options, "log-level", "info"));
  if (!format || !level) {
    return report(exit_code::usage, format ? "--log-level must be debug, info, warn or error"
                                           : "--log-format must be text or json");
  }
  auto listen =
      listen_options(text_of(options, "listen", listen_default), options.count("insecure") > 0);
  if (!listen) {
    return report(listen.error());
  }
  logs told{*format, *level};
  const auto here = open_node(options, told);
  if (!here) {
    return report(here.error());
  }
  watch_interrupts();
  const runtime::system_clock clock;
  file_thread files{"logs", clock};
  file_thread bodies{"large bodies", clock, bodies_waiting_max};
  file_thread inspections{"inspections", clock};
  api_parts parts{(*here)->silo(), (*here)->host(), files, bodies, inspections, {}};
  http::router routes;
  add_api(routes, parts);
  const auto from = boost::asio::ip::make_address(listen->address).is_loopback()
                        ? http::reach::loopback
                        : http::reach::network;
  http::server server{*listen, http::same_origin(routes.as_handler(), from), clock,
                      access_log_of(told)};
  parts.probe = [&server] { return server.probe(); };  // before the first request can ask for it
  const auto port = server.start();
  if (!port) {
    return report(exit_code::conflict, port.error().text());
  }
  const auto host = listen->address.find(':') == std::string::npos ? listen->address
                                                                   : "[" + listen->address + "]";
  const auto logger = told.of("gateway");
  logger->info("serving on http://{}:{}, data in {}; stop with Ctrl-C", host, *port,
               (*here)->data_directory().string());
  wait_for_interrupt();
  logger->info("stopping");
  const stop_limit limit{stop_longest};
  server.stop(std::chrono::seconds{5});
  (*here)->stop();
  return exit_code::ok;
}

// --- validate ------------------------------------------------------------------------------------

exit_code run_validate(const option_values& options, const std::vector<std::string>& positional) {
  const auto form = form_of(options);
  if (!form) {
    return report(form.error());
  }
  auto code = exit_code::ok;
  for (const auto& name : positional) {
    const auto text = read_file(name);
    if (!text) {
      code = report(exit_code::usage, text.error().text());
      continue;
    }
    const auto loaded = actors::load_definition(*text, name);
    if (!loaded) {
      print_mistakes(loaded.diagnostics, *text);
      code = exit_code::usage;
    } else if (!is_table(*form)) {
      print_one(*form, ordered_json::parse(actors::to_json(*loaded.definition)), "name");
    } else {
      std::cout << name << ": ok, pipeline " << loaded.definition->name << " with "
                << loaded.definition->tasks.size()
                << (loaded.definition->tasks.size() == 1 ? " task" : " tasks") << '\n';
    }
  }
  return code;
}

}  // namespace

std::vector<command> local_commands() {
  return {
      {"run", "FILE [-p NAME=VALUE]...", "run a pipeline here, without a server",
       "  millrace run pipeline.yaml\n"
       "  millrace run pipeline.yaml -p day=monday --progress plain\n"
       "  millrace run - < pipeline.yaml\n",
       1, 1, add_run_options, run_file},
      {"dev", "[--listen ADDRESS:PORT]", "serve the HTTP API in the foreground",
       "  millrace dev\n"
       "  millrace dev --listen 127.0.0.1:0 --data /tmp/try\n"
       "  millrace dev --memory-budget 512M --name attic --label gpu\n",
       0, 0, add_dev_options, run_dev},
      {"validate", "FILE...", "check definitions, start nothing",
       "  millrace validate pipelines/*.yaml\n"
       "  millrace validate pipeline.yaml -o json      the canonical form\n",
       1, 10'000, add_output_option, run_validate},
  };
}

}  // namespace millrace::gateway::cli
