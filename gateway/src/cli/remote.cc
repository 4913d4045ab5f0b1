// SPDX-License-Identifier: MIT
#include "cli/remote.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "cli/bare_token.h"
#include "cli/terminal_text.h"
#include "http/problem.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

// The most that the server gives of every kind of row at a time.
constexpr std::size_t rows_per_page = 1'000;

constexpr std::size_t run_digits_min = 4;
constexpr std::size_t candidates_max = 10;  // that a person is shown

}  // namespace

void add_project_option(po::options_description& options) {
  options.add_options()("project", po::value<std::string>()->value_name("NAME"),
                        "default: $MILLRACE_PROJECT, that of the context, or 'default'");
}

void add_server_options(po::options_description& options) {
  add_server_option(options);
  add_project_option(options);
  add_output_option(options);
}

void tell_missing_silos(const ordered_json& page, std::string_view what) {
  for (const auto& each : page.value("silos_missing", ordered_json::array())) {
    std::cerr << "millrace: the " << what << " of silo " << printable(each.value("silo", ""))
              << " are missing: " << printable(each.value("reason", "")) << "\n";
  }
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
  auto target = target_of(options);
  if (!target) {
    return std::move(target).error();
  }
  auto base = http::parse_url(target->server);
  if (!base) {
    return std::move(base).error();
  }
  warn_of_bare_token(*target);
  auto style = style_of(options);
  if (!style) {
    return std::move(style).error();
  }
  http::client_options how;
  how.base = *std::move(base);
  how.tls = std::move(target->tls);
  if (!target->token.empty()) {
    how.headers.add("Authorization", "Bearer " + target->token);
  }
  // Whoever runs the command may be part of a trace, as a task is.
  if (const auto* place = std::getenv("TRACEPARENT"); place && runtime::parse_traceparent(place)) {
    how.headers.add(runtime::traceparent_name, place);
  }
  remote made{std::move(how), *style, std::move(target->project)};
  made.is_project_given_ = options.count("project") > 0;
  return made;
}

remote remote::again() const {
  remote made{options_, style_, project_};
  made.is_project_given_ = is_project_given_;
  return made;
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

result<bool> remote::for_each_row(const std::string& target, const char* key, std::size_t most,
                                  const std::function<result<void>(const ordered_json&)>& visit,
                                  const std::function<void(const ordered_json&)>& visit_page,
                                  std::string from) {
  do {
    const auto page =
        ask(http::method::get,
            fmt::format("{}{}limit={}{}", target, target.find('?') == std::string::npos ? '?' : '&',
                        std::min(most, rows_per_page),
                        from.empty() ? "" : fmt::format("&cursor={}", escaped(from))));
    if (!page) {
      return page.error();
    }
    if (visit_page) {
      visit_page(*page);
    }
    const auto& rows = page->at(key);
    for (const auto& row : rows) {
      if (auto visited = visit(row); !visited) {
        return std::move(visited).error();
      }
    }
    most -= std::min(most, rows.size());
    auto next = page->value("next_cursor", "");
    if (!next.empty() && next == from) {  // for ever
      return error{errc::internal, "the list of the server does not go on after '" + next + "'"};
    }
    from = std::move(next);
  } while (!from.empty() && most > 0);
  return !from.empty();
}

result<std::string> run_among(const std::vector<named_run>& runs, const std::string& word,
                              const std::string& where) {
  const auto is_latest = word == "@latest";
  if (!is_latest && word.starts_with('@')) {
    return error{errc::invalid_argument, "'" + word + "' is no run; there is @latest"};
  }
  std::vector<named_run> found;
  for (const auto& each : runs) {
    if (is_latest || (word.size() >= run_digits_min && each.id.starts_with(word))) {
      found.push_back(each);
    }
  }
  if (found.empty()) {
    return error{errc::not_found, is_latest
                                      ? "there are no runs " + where
                                      : fmt::format("no run {} begins with '{}'", where, word)};
  }
  if (is_latest || found.size() == 1) {
    return found.front().id;
  }
  auto text = fmt::format("more than one run begins with '{}':", word);
  for (std::size_t at = 0; at < std::min(found.size(), candidates_max); ++at) {
    text += "\n  " + found[at].id + (found[at].about.empty() ? "" : "  " + found[at].about);
  }
  return error{errc::invalid_argument, text + (found.size() > candidates_max ? "\n  ..." : "")};
}

result<std::string> remote::run_of(const std::string& word) {
  // Of an id each digit is at most this one, so the runs before it begin with what was given.
  constexpr std::string_view last = "ffffffff-ffff-ffff-ffff-ffffffffffff";
  const auto is_beginning = word.size() >= run_digits_min && word.size() < last.size() &&
                            word.find_first_not_of("0123456789abcdef-") == std::string::npos;
  if (word.empty()) {
    return error{errc::invalid_argument,
                 "the id of a run is empty; `millrace list runs` shows ids"};
  }
  if (!word.starts_with('@') && !is_beginning) {
    return is_project_given_ ? result<std::string>{error{
                                   errc::invalid_argument,
                                   "--project is not for the id of a run, which is one in all"}}
                             : word;
  }
  const auto where = "of project '" + project_ + "'";
  if (word.starts_with('@') && word != "@latest") {
    return run_among({}, word, where);
  }
  const auto page = ask(
      http::method::get,
      fmt::format("/api/v1/runs?project={}&limit={}{}", escaped(project_),
                  is_beginning ? candidates_max + 1 : 1,
                  is_beginning ? fmt::format("&cursor={}{}", word, last.substr(word.size())) : ""));
  if (!page) {
    return page.error();
  }
  std::vector<named_run> runs;
  for (const auto& row : page->at("runs")) {
    runs.push_back(
        {row.at("id").get<std::string>(),
         printable(fmt::format("{}  {}  {}", row.value("pipeline", ""), row.value("state", ""),
                               local_time(row.value("created_at", ""))))});
  }
  return run_among(runs, word, where);
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
  if (problem.code() == errc::unauthenticated) {
    text += "\n  a token is taken from --token-file FILE, MILLRACE_API_TOKEN or a context";
  }
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

remote::remote(http::client_options options, const output_style& style, std::string project)
    : options_(std::move(options)),
      style_(style),
      url_(options_.base.origin() + options_.base.prefix),
      project_(std::move(project)),
      clock_(std::make_unique<runtime::system_clock>()),
      client_(std::make_unique<http::client>(options_, *clock_)) {}

void remote::set_timeout(runtime::duration timeout) {
  client_->set_timeout(std::chrono::ceil<std::chrono::milliseconds>(timeout));
}

std::string remote::pipelines() const {
  return "/api/v1/projects/" + escaped(project_) + "/pipelines";
}

std::string remote::secrets() const {
  return "/api/v1/projects/" + escaped(project_) + "/secrets";
}

}  // namespace millrace::gateway::cli
