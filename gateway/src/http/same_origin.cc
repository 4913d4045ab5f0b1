// SPDX-License-Identifier: MIT
#include "http/same_origin.h"

#include <optional>
#include <string>

#include "http/problem.h"

namespace millrace::gateway::http {

namespace {

// `localhost` in any form, 127.0.0.0/8 or ::1, with or without a port.
bool is_loopback(std::string_view host) {
  if (host.starts_with('[')) {
    return host.starts_with("[::1]") && (host.size() == 5 || host[5] == ':');
  }
  const auto name = host.substr(0, host.find(':'));
  return name == "localhost" || name.ends_with(".localhost") ||
         (name.starts_with("127.") &&
          name.find_first_not_of("0123456789.") == std::string_view::npos);
}

std::optional<std::string> refusal(const request& asked, reach from) {
  const auto host = asked.headers.find("Host");
  if (from == reach::loopback && host && !is_loopback(*host)) {
    return "Host is '" + std::string{*host} +
           "', but this server listens on the loopback: ask for http://127.0.0.1 or localhost";
  }
  if (asked.method == method::get || asked.method == method::head) {
    return std::nullopt;
  }
  if (const auto site = asked.headers.find("Sec-Fetch-Site");
      site && *site != "same-origin" && *site != "none") {
    return "Sec-Fetch-Site is '" + std::string{*site} +
           "': a page of another site may not change anything here";
  }
  const auto origin = asked.headers.find("Origin");
  const auto own = std::string{host.value_or("")};
  if (origin && *origin != "http://" + own && *origin != "https://" + own) {
    return "Origin is '" + std::string{*origin} +
           "': a page of another site may not change anything here";
  }
  return std::nullopt;
}

}  // namespace

handler same_origin(handler target, reach from) {
  return [target = std::move(target), from](request& asked, reply answer) {
    if (auto why = refusal(asked, from)) {
      answer.fail({runtime::errc::permission_denied, *std::move(why)});
    } else {
      target(asked, std::move(answer));
    }
  };
}

}  // namespace millrace::gateway::http
