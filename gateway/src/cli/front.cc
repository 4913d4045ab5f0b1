// SPDX-License-Identifier: MIT
#include "cli/front.h"

#include <boost/asio/ip/address.hpp>

#include "api/api.h"
#include "http/same_origin.h"

namespace millrace::gateway::cli {

using runtime::result;

result<http::server_options> listen_options(const std::string& text, bool insecure) {
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
  if (!address.is_loopback() && !insecure) {
    return refused(
        "anyone who reaches it could run commands here: keep to 127.0.0.1, or say "
        "--insecure");
  }
  return made;
}

namespace {

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

constexpr std::chrono::seconds stop_grace{5};

http::reach reach_of(const http::server_options& listen) {
  return boost::asio::ip::make_address(listen.address).is_loopback() ? http::reach::loopback
                                                                     : http::reach::network;
}

}  // namespace

struct front::parts {
  parts(node& here, http::server_options where, logs& told)
      : listen(std::move(where)),
        api{here.silo(), here.executes() ? &here.host() : nullptr, files, bodies, inspections, {}},
        server{listen,
               (add_api(routes, api), http::same_origin(routes.as_handler(), reach_of(listen))),
               clock, access_log_of(told)} {
    api.probe = [this] { return server.probe(); };  // before the first request can ask for it
  }

  const http::server_options listen;
  const runtime::system_clock clock;
  file_thread files{"logs", clock};
  file_thread bodies{"large bodies", clock, bodies_waiting_max};
  file_thread inspections{"inspections", clock};
  api_parts api;
  http::router routes;
  http::server server;
};

front::front(node& here, http::server_options listen, logs& told)
    : parts_(std::make_unique<parts>(here, std::move(listen), told)) {}

front::~front() = default;

result<std::string> front::start() {
  const auto port = parts_->server.start();
  if (!port) {
    return runtime::error{runtime::errc::conflict, port.error().text()};
  }
  const auto& address = parts_->listen.address;
  return "http://" + (address.find(':') == std::string::npos ? address : "[" + address + "]") +
         ":" + std::to_string(*port);
}

void front::stop() {
  parts_->server.stop(stop_grace);
}

}  // namespace millrace::gateway::cli
