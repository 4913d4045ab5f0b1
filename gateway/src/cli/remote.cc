// SPDX-License-Identifier: MIT
#include "cli/remote.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "http/problem.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

// The most that the server gives of every kind of row at a time.
constexpr std::size_t rows_per_page = 1'000;

constexpr const char* server_default = "http://127.0.0.1:8400";

std::string from_environment(const char* name, const char* fallback) {
  const auto* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? text : fallback;
}

}  // namespace

void add_server_option(po::options_description& options) {
  options.add_options()("server", po::value<std::string>()->value_name("URL"),
                        "default: $MILLRACE_SERVER or http://127.0.0.1:8400");
}

void add_server_options(po::options_description& options) {
  add_server_option(options);
  options.add_options()("project", po::value<std::string>()->value_name("NAME"),
                        "default: $MILLRACE_PROJECT or 'default'");
  add_output_option(options);
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char each : text) {
    const auto plain = (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
                       (each >= '0' && each <= '9') || each == '-' || each == '_' || each == '.';
    out += plain ? std::string(1, each) : fmt::format("%{:02X}", static_cast<unsigned char>(each));
  }
  return out;
}

result<remote> remote::open(const option_values& options) {
  auto base = http::parse_url(
      text_of(options, "server", from_environment("MILLRACE_SERVER", server_default)));
  if (!base) {
    return std::move(base).error();
  }
  auto form = form_of(options);
  if (!form) {
    return std::move(form).error();
  }
  return remote{*std::move(base), *form,
                text_of(options, "project", from_environment("MILLRACE_PROJECT", "default"))};
}

result<ordered_json> remote::ask(http::method verb, const std::string& target,
                                 std::string_view body, const http::header_list& headers) {
  auto answer = client_->send(verb, target, body, headers);
  if (!answer) {
    return std::move(answer).error();
  }
  if (answer->status >= 400) {
    return problem_of(*answer);
  }
  auto document = ordered_json::parse(answer->body, nullptr, false);
  if (!document.is_object()) {
    return not_ours();
  }
  return document;
}

result<bool> remote::for_each_row(const std::string& target, const char* key, const char* cursor,
                                  std::size_t most,
                                  const std::function<result<void>(const ordered_json&)>& visit) {
  std::string from;
  do {
    const auto page =
        ask(http::method::get,
            fmt::format("{}{}limit={}{}", target, target.find('?') == std::string::npos ? '?' : '&',
                        std::min(most, rows_per_page),
                        from.empty() ? "" : fmt::format("&{}={}", cursor, escaped(from))));
    if (!page) {
      return page.error();
    }
    const auto& rows = page->at(key);
    for (const auto& row : rows) {
      if (auto visited = visit(row); !visited) {
        return std::move(visited).error();
      }
    }
    most -= std::min(most, rows.size());
    from = page->value("next", "");
  } while (!from.empty() && most > 0);
  return !from.empty();
}

error remote::not_ours() const {
  return {errc::unavailable, "no millrace server at " + url_ + ": something else answers there"};
}

error remote::problem_of(const http::client_response& answer) const {
  const auto document = ordered_json::parse(answer.body, nullptr, false);
  if (!document.is_object()) {
    return not_ours();
  }
  auto problem = http::error_of_response(answer.status, answer.headers, answer.body);
  auto text = problem.text();
  if (document.contains("errors")) {
    for (const auto& each : document["errors"]) {
      text += "\n  ";
      if (each.value("line", 0) > 0) {
        text += fmt::format("{}:{}: ", each.value("line", 0), each.value("column", 0));
      }
      text += each.value("detail", "");
    }
  }
  return {problem.code(), text};
}

remote::remote(http::url base, output_form form, std::string project)
    : form_(form), project_(std::move(project)), clock_(std::make_unique<runtime::system_clock>()) {
  http::client_options options;
  url_ = "http://" + base.authority() + base.prefix;
  options.base = std::move(base);
  client_ = std::make_unique<http::client>(std::move(options), *clock_);
}

std::string remote::pipelines() const {
  return "/api/v1/projects/" + escaped(project_) + "/pipelines";
}

}  // namespace millrace::gateway::cli
