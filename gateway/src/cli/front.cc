// SPDX-License-Identifier: MIT
#include "cli/front.h"

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <atomic>

#include "access/audit_trail.h"
#include "api/api.h"
#include "http/same_origin.h"
#include "millrace/actors/callback.h"
#include "millrace/runtime/certificates.h"
#include "trace/request_span.h"

namespace millrace::gateway::cli {

using runtime::result;

result<http::server_options> listen_options(const std::string& text, const protection& against) {
  const auto refused = [&](const std::string& why) {
    return runtime::error{runtime::errc::invalid_argument, "--listen '" + text + "': " + why};
  };
  const auto where = endpoint_of(text);
  if (!where) {
    return refused("write it like 127.0.0.1:8400");
  }
  http::server_options made;
  made.address = where->host;
  made.port = where->port;
  boost::system::error_code failed;
  const auto address = boost::asio::ip::make_address(made.address, failed);
  if (failed) {
    return refused("'" + made.address +
                   "' is no IP address; only the name localhost is understood");
  }
  if (!address.is_loopback() && !against.is_waived && !(against.has_tls && against.has_tokens)) {
    const std::string tls = against.has_tls ? "" : "TLS (--tls-certificate FILE --tls-key FILE)";
    const std::string tokens = against.has_tokens ? "" : "tokens (--root-token FILE)";
    return refused(
        "where others reach it, it wants " + tls + (tls.empty() || tokens.empty() ? "" : " and ") +
        tokens +
        ": give it these, keep to 127.0.0.1, or say --insecure if a proxy in front or the "
        "network sees to it");
  }
  return made;
}

namespace {

// What routes are called, by method and pattern.
using operation_table = std::map<std::pair<std::string, std::string>, std::string>;

operation_table operations_of(const std::vector<api_routes::row>& rows) {
  operation_table made;
  for (const auto& each : rows) {
    made.emplace(std::pair{http::to_string(each.verb), each.pattern}, each.about.id);
  }
  return made;
}

std::string_view operation_in(const operation_table& known, const http::access_entry& each) {
  const auto verb = each.method == "HEAD" ? std::string_view{"GET"} : each.method;
  const auto found = known.find({std::string{verb}, std::string{each.route}});
  return found != known.end() ? std::string_view{found->second} : std::string_view{};
}

// What somebody may ask about later: what changed something, took all there is, or was not allowed.
// Of nobody only what was refused for that, which is bounded, and what started a run by what it was
// signed with, or ended a task by its path: else whoever has seen one such could fill the audit.
bool is_for_audit(const http::access_entry& each) {
  if (each.by == nullptr) {
    return each.status == 401 ||
           (each.status == 201 && each.route.ends_with("/webhooks/{webhook}")) ||
           (each.status == 202 && each.route.ends_with("/callbacks/{token}"));
  }
  const bool looks = each.method.empty() || each.method == "GET" || each.method == "HEAD" ||
                     each.method == "OPTIONS" || each.changed_nothing;
  return !looks || each.status == 403 || each.route == "/api/v1/backup";
}

// The path of a callback without what lets its sender in; empty: it is no such path.
std::string without_token(const http::access_entry& each) {
  if (!each.path.starts_with(actors::callback_path)) {
    return {};
  }
  const auto place = actors::callback_place_of(each.path.substr(actors::callback_path.size()));
  return std::string{actors::callback_path} + (place ? place->run + "." + place->task + "." : "") +
         "***";
}

// Tells every answer, for who looks for what a client does; and with tokens, who did what. That is
// no question of the level. `trail`: null without tokens.
http::access_log access_log_of(logs& told, audit_trail* trail, const operation_table& operations,
                               std::shared_ptr<runtime::span_sink> spans,
                               const runtime::clock& clock, bool is_tls) {
  const auto logger = told.of("gateway.http");
  const auto audit = told.of("audit");
  audit->set_level(spdlog::level::info);
  const bool is_told = logger->should_log(spdlog::level::debug);
  if (!is_told && trail == nullptr && !spans) {
    return {};
  }
  return [logger, audit, is_told, trail, &operations, spans = std::move(spans), &clock,
          is_tls](http::access_entry each) {
    const auto hidden = without_token(each);
    if (!hidden.empty()) {
      each.target = each.path = hidden;
    }
    if (is_told) {
      logger->debug("answered method={} target={} status={} body_bytes={} trace_id={}", each.method,
                    each.target, each.status, each.body_bytes, to_string(each.trace.own.trace));
    }
    if (trail != nullptr && is_for_audit(each)) {
      const auto operation = operation_in(operations, each);
      trail->add(each, operation);
      audit->info("who={} from={} method={} target={} status={}{}{} operation={} trace_id={}",
                  each.by != nullptr ? each.by->name : "-", each.from, each.method,
                  audit_target(each), each.status,
                  each.location.empty() ? "" : " made=", each.location,
                  operation.empty() ? "-" : operation, to_string(each.trace.own.trace));
    }
    if (each.trace.is_told) {
      spans->ended(span_of(each, clock.wall(), is_tls));
    }
  };
}

// By these it is known from outside whether this process is well.
bool is_probe(const http::request& received) {
  const auto probes = {"livez", "readyz", "startupz", "metrics"};
  return received.segment_count() == 1 &&
         std::find(probes.begin(), probes.end(), received.segment(0)) != probes.end();
}

// Each request has a trace, whether that is told or not: its id is in the answer.
http::server_options with_traces(http::server_options listen, const runtime::trace_options& to,
                                 const runtime::clock& clock) {
  listen.trace = [&to, &clock](const http::request& received) {
    static thread_local runtime::rng random;
    return place_of(received, to, random, clock);
  };
  return listen;
}

constexpr std::chrono::seconds stop_grace{5};

http::reach reach_of(const http::server_options& listen) {
  return boost::asio::ip::make_address(listen.address).is_loopback() ? http::reach::loopback
                                                                     : http::reach::network;
}

// Links read their files once, when they start, which they have.
std::optional<link_ends> link_ends_of(const std::optional<runtime::cluster_certificates>& files) {
  const auto own = files ? runtime::end_of_certificates(files->certificate)
                         : runtime::error{runtime::errc::not_found, ""};
  const auto authority = own ? runtime::end_of_certificates(files->authority) : own;
  return authority ? std::optional{link_ends{*own, *authority}} : std::nullopt;
}

std::unique_ptr<audit_trail> trail_of(node& here, const front_options& options, logs& told) {
  return options.root_token.empty()
             ? nullptr
             : std::make_unique<audit_trail>(here.silo(), told.warn_of("gateway.access"));
}

http::channel channel_of(const http::server_options& listen) {
  return listen.tls ? http::channel::tls : http::channel::clear;
}

}  // namespace

struct front::parts {
  parts(node& here, front_options options, logs& told)
      : listen(with_traces(asking_first(std::move(options.listen), !options.root_token.empty()),
                           here.silo().trace(), clock)),
        trail(trail_of(here, options, told)),
        api{here.silo(),
            here.executes() ? &here.host() : nullptr,
            files,
            bodies,
            strangers,
            inspections,
            {},
            nullptr,
            here.keyring()},
        server{listen,
               (know(add_api(routes, api)),
                http::same_origin(routes.as_handler(), reach_of(listen), channel_of(listen))),
               clock,
               access_log_of(told, trail.get(), operations, here.silo().trace().sink, clock,
                             listen.tls != nullptr)} {
    api.probe = [this] { return server.probe(); };  // before the first request can ask for it
    if (!options.root_token.empty()) {
      tokens.emplace(
          here.silo(), options.root_token,
          [warn = told.warn_of("gateway.access")](const std::string& line) { warn(line); });
    }
    admission.emplace(here.silo(), tokens ? &*tokens : nullptr,
                      request_rates{.a_second = options.requests_a_second});
    api.guard = &*admission;
    api.traces = here.traces();
    api.tokens = tokens ? &*tokens : nullptr;
    api.tls = listen.tls.get();
    api.links = link_ends_of(options.certificates);
  }

  void know(const std::vector<api_routes::row>& rows) {
    accesses = accesses_of(rows);
    operations = operations_of(rows);
  }

  // Who is not known, or may not do it, makes this process neither read a body nor keep a
  // connection that others want; nor does a stream outlive the token that began it.
  http::server_options asking_first(http::server_options to, bool has_tokens) {
    to.asks_who = has_tokens;
    to.is_probe = is_probe;
    to.is_valid = [this](const principal& who) { return !tokens || tokens->holds(who); };
    to.refuse_body = [this](http::request& received) {
      return admission ? refuse_body(routes, accesses, *admission, received) : std::nullopt;
    };
    return to;
  }

  const runtime::system_clock clock;
  const http::server_options listen;
  std::unique_ptr<audit_trail> trail;  // null without tokens
  file_thread files{"logs", clock};
  file_thread bodies{"large bodies", clock, bodies_waiting_max};
  file_thread strangers{"bodies of callbacks", clock, strangers_max};
  file_thread inspections{"inspections", clock};
  api_parts api;
  std::optional<token_list> tokens;
  std::optional<guard> admission;
  std::atomic<bool> asked = false;  // The server's thread has not answered yet.
  runtime::steady_time asked_at;
  http::router routes;
  access_table accesses;
  operation_table operations;
  http::server server;
};

front::front(node& here, front_options options, logs& told)
    : parts_(std::make_unique<parts>(here, std::move(options), told)) {}

front::~front() = default;

result<std::string> front::start() {
  const auto port = parts_->server.start();
  if (!port) {
    return runtime::error{runtime::errc::conflict, port.error().text()};
  }
  const auto& address = parts_->listen.address;
  const std::string scheme = parts_->listen.tls ? "https://" : "http://";
  return scheme + (address.find(':') == std::string::npos ? address : "[" + address + "]") + ":" +
         std::to_string(*port);
}

std::optional<runtime::error> front::stall() {
  auto& own = *parts_;
  runtime::duration unanswered{};
  if (own.asked) {
    unanswered = own.clock.steady() - own.asked_at;
  } else {
    own.asked_at = own.clock.steady();
    own.asked = true;
    own.server.post([&own] { own.asked = false; });
  }
  if (auto stall = stall_of("the HTTP server", unanswered)) {
    return stall;
  }
  return stall_of("the thread that reads logs", own.files.busy());
}

void front::stop() {
  parts_->server.stop(stop_grace);
  parts_->trail.reset();
  parts_->admission.reset();
  parts_->tokens.reset();
}

}  // namespace millrace::gateway::cli
