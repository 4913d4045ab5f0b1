// SPDX-License-Identifier: MIT
#include "http/same_origin.h"

#include <optional>
#include <string>

#include "http/authority.h"
#include "http/problem.h"

namespace millrace::gateway::http {

namespace {

// Calls `refuse` with each value of a field; the first text that it gives.
template <class Refuse>
std::optional<std::string> first_refused(const request& asked, std::string_view name,
                                         Refuse refuse) {
  for (std::size_t at = 0; at < asked.headers.size(); ++at) {
    const auto field = asked.headers.at(at);
    if (same_name(field.name, name)) {
      if (auto why = refuse(field.value)) {
        return why;
      }
    }
  }
  return std::nullopt;
}

std::optional<std::string> foreign_host(std::string_view field, std::string_view authority,
                                        channel over) {
  if (is_authority(authority) && is_loopback(host_of(authority))) {
    return std::nullopt;
  }
  return std::string{field} + " is '" + std::string{authority} +
         "', but this server listens on the loopback: ask for " +
         (over == channel::tls ? "https" : "http") + "://127.0.0.1 or localhost";
}

std::optional<std::string> foreign_page(const request& asked, std::string_view own, channel over) {
  constexpr const char* remedy = "': a page of another site may not change anything here";
  auto site = first_refused(asked, "Sec-Fetch-Site",
                            [](std::string_view value) -> std::optional<std::string> {
                              if (value == "same-origin" || value == "none") {
                                return std::nullopt;
                              }
                              return "Sec-Fetch-Site is '" + std::string{value} + remedy;
                            });
  if (site) {
    return site;
  }
  return first_refused(asked, "Origin",
                       [own, over](std::string_view value) -> std::optional<std::string> {
                         const bool is_clear = value.starts_with("http://");
                         const auto host = is_clear && over == channel::clear ? value.substr(7)
                                           : value.starts_with("https://")    ? value.substr(8)
                                                                              : std::string_view{};
                         if (!host.empty() && same_name(host, own)) {
                           return std::nullopt;
                         }
                         return "Origin is '" + std::string{value} + remedy;
                       });
}

std::optional<std::string> refusal(const request& asked, reach from, channel over) {
  const auto own = asked.authority();
  if (from == reach::loopback) {
    // The field too where the target's host counts: who sends two names means to deceive.
    auto why = first_refused(
        asked, "Host", [over](std::string_view host) { return foreign_host("Host", host, over); });
    if (!why && own) {
      why = foreign_host("the host of the request target", *own, over);
    }
    if (why) {
      return why;
    }
  }
  if (asked.method == method::get || asked.method == method::head) {
    return std::nullopt;
  }
  if (!own || own->empty()) {
    return "there is no Host field, so nobody can tell a page of another site from this one: name "
           "the host";
  }
  return foreign_page(asked, *own, over);
}

}  // namespace

handler same_origin(handler target, reach from, channel over) {
  return [target = std::move(target), from, over](request& asked, reply answer) {
    if (auto why = refusal(asked, from, over)) {
      answer.fail({runtime::errc::permission_denied, *std::move(why)});
    } else {
      target(asked, std::move(answer));
    }
  };
}

}  // namespace millrace::gateway::http
