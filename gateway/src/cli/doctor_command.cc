// SPDX-License-Identifier: MIT
// doctor: what is the matter here, and with the server that one works with.
#include <fmt/format.h>

#include <cstdlib>
#include <ctime>
#include <iostream>

#include "cli/health.h"
#include "cli/machine_checks.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/terminal_text.h"
#include "version.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::errc;

namespace {

constexpr std::chrono::seconds answer_patience{5};
// A Date says whole seconds, and an answer takes a while.
constexpr std::chrono::seconds clock_difference_max{2};

void add_doctor_options(po::options_description& options) {
  add_data_option(options);
  add_server_option(options);
  add_project_option(options);
  add_output_option(options);
  options.add_options()("coordination", po::value<std::string>()->value_name("WHERE"),
                        "also look at where the silos of a cluster find each other: local:DIR, or "
                        "http://HOST:PORT[,...] of an etcd")(
      "etcd-certificate-authority", po::value<std::string>()->value_name("FILE"),
      "for https (default: those of the system)")(
      "etcd-certificate", po::value<std::string>()->value_name("FILE"), "for an etcd that asks")(
      "etcd-key", po::value<std::string>()->value_name("FILE"), "of that certificate");
}

// Whether somebody has said which server is meant.
bool is_server_given(const option_values& options) {
  const auto is_set = [](const char* name) {
    const auto* text = std::getenv(name);
    return text != nullptr && *text != '\0';
  };
  const auto book = read_contexts();
  return options.count("server") > 0 || options.count("context") > 0 || is_set("MILLRACE_SERVER") ||
         is_set("MILLRACE_CONTEXT") || (book && !book->current.empty());
}

// Of the head `Date`; nothing where it is none.
std::optional<runtime::wall_time> date_of(const http::client_response& answer) {
  const std::string text{answer.headers.find("Date").value_or("")};
  std::tm parts{};
  const auto* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') {
    return std::nullopt;
  }
  return runtime::wall_time{std::chrono::seconds{::timegm(&parts)}};
}

finding clock_of(const http::client_response& answer, runtime::wall_time before,
                 runtime::wall_time after) {
  const auto there = date_of(answer);
  if (!there) {
    return {"clock", verdict::warn, "the server, or a proxy before it, tells no time", ""};
  }
  // It was that second at some time between the two.
  const auto ahead = *there - after;
  const auto behind = before - (*there + std::chrono::seconds{1});
  const auto off = std::chrono::duration_cast<std::chrono::seconds>(std::max(ahead, behind));
  if (off < clock_difference_max) {
    return {"clock", verdict::ok, "no more than 2 s from that of the server", ""};
  }
  return {"clock", verdict::warn,
          fmt::format("{} s {} that of the server", off.count(),
                      ahead > behind ? "behind" : "ahead of"),
          "have both machines keep time by NTP: certificates, tokens and `--since` go by it"};
}

// What a request that needs a token and a role is answered.
finding access_to(remote& server, const context& target) {
  const auto read = server.ask(http::method::get, server.pipelines() + "?limit=1");
  const auto project = fmt::format("project '{}'", target.project);
  const auto how = target.token.empty() ? "without a token" : "with the token";
  if (read) {
    return {"access", verdict::ok, fmt::format("{} can be read {}", project, how), ""};
  }
  const auto code = read.error().code();
  if (code == errc::unauthenticated) {
    return {
        "access", verdict::fail,
        target.token.empty() ? "the server asks for a token" : "the server does not know the token",
        "name one with --token-file, MILLRACE_API_TOKEN or `millrace context add`; "
        "`millrace token create` makes one"};
  }
  if (code == errc::permission_denied) {
    return {"access", verdict::fail, fmt::format("{} cannot be read {}", project, how),
            "name another --project, or have the token given a role in it: `millrace token create "
            "--grant`"};
  }
  return {"access", verdict::fail, read.error().text(), ""};
}

finding readiness_of(remote& server) {
  const auto answer = server.client().send(http::method::get, "/readyz");
  if (answer && answer->status < 400) {
    return {"readiness", verdict::ok, "it takes work", ""};
  }
  const auto why = answer ? server.problem_of(*answer) : answer.error();
  return {"readiness", verdict::fail, why.text(), "the log of the server says more"};
}

finding cluster_of(remote& server, const context& target) {
  const auto seen = server.ask(http::method::get, "/api/v1/cluster/health");
  if (!seen) {
    const auto is_hidden = seen.error().code() == errc::permission_denied ||
                           seen.error().code() == errc::unauthenticated;
    return {"cluster", is_hidden ? verdict::ok : verdict::fail,
            !is_hidden             ? seen.error().text()
            : target.token.empty() ? "who shows no token may not look at it"
                                   : "the token may not look at it",
            ""};
  }
  const auto health = seen->value("health", "");
  if (health == "ok") {
    const auto silos = seen->value("silos", std::size_t{0});
    return {"cluster", verdict::ok, fmt::format("ok, {} {}", silos, silos == 1 ? "silo" : "silos"),
            ""};
  }
  if (health.empty()) {
    return {"cluster", verdict::fail, server.not_ours().text(), ""};
  }
  const auto is_grave = health == "down" || health == "data_lost" || health == "unknown";
  return {"cluster", is_grave ? verdict::fail : verdict::warn,
          fmt::format("{}: {}", health, missing_in(*seen)),
          health == "unknown" ? "see that its silos reach the coordination store, such as etcd"
                              : "`millrace silos` and `millrace partitions` show where"};
}

void look_at_server(const option_values& options, std::vector<finding>& found) {
  const auto target = target_of(options);
  auto server = target ? remote::open(options) : target.error();
  if (!server) {
    found.push_back({"server", verdict::fail, server.error().text(), ""});
    return;
  }
  server->set_timeout(answer_patience);
  const auto before = server->wall();
  const auto answer = server->client().send(http::method::get, "/version");
  const auto after = server->wall();
  if (!answer) {
    const auto is_given = is_server_given(options);
    found.push_back({"server", is_given ? verdict::fail : verdict::warn, answer.error().text(),
                     is_given ? "start it, or name another: --server, MILLRACE_SERVER or "
                                "`millrace context use`"
                              : "`millrace dev` starts one here; `millrace run` needs none"});
    return;
  }
  const auto told = ordered_json::parse(answer->body, nullptr, false);
  const auto version = told.is_object() ? told.value("version", ordered_json{}) : ordered_json{};
  if (answer->status >= 400 || !version.is_string()) {
    found.push_back({"server", verdict::fail, server->not_ours().text(),
                     "name the address of a millrace server"});
    return;
  }
  const auto is_same = version == version_text;
  found.push_back({"server", is_same ? verdict::ok : verdict::warn,
                   fmt::format("millrace {} at {}", version.get<std::string>(), server->url()),
                   is_same ? ""
                           : fmt::format("this program is {}: use that of the server's version, or "
                                         "some commands will not know each other",
                                         version_text)});
  found.push_back(clock_of(*answer, before, after));
  found.push_back(access_to(*server, *target));
  found.push_back(readiness_of(*server));
  found.push_back(cluster_of(*server, *target));
}

// Whether one member of an etcd is well; what is wrong, or nothing.
std::string trouble_of_etcd(const std::string& address, const option_values& options) {
  auto base = http::parse_url(address);
  if (!base) {
    return base.error().text();
  }
  http::client_options how;
  how.base = *std::move(base);
  how.tls = {text_of(options, "etcd-certificate-authority"), text_of(options, "etcd-certificate"),
             text_of(options, "etcd-key")};
  how.timeout = answer_patience;
  const runtime::system_clock clock;
  const auto answer = http::client{how, clock}.send(http::method::get, "/health");
  if (!answer) {
    return answer.error().text();
  }
  const auto told = ordered_json::parse(answer->body, nullptr, false);
  return told.is_object() && told.value("health", ordered_json{}) == "true"
             ? std::string{}
             : address + " says that it is not healthy";
}

finding look_at_etcd(const std::string& where, const option_values& options) {
  std::string wrong;
  std::size_t well = 0;
  std::size_t members = 0;
  for (std::size_t from = 0; from <= where.size(); ++members) {
    const auto end = std::min(where.find(',', from), where.size());
    const auto trouble = trouble_of_etcd(where.substr(from, end - from), options);
    from = end + 1;
    well += trouble.empty() ? 1 : 0;
    wrong += (wrong.empty() || trouble.empty() ? "" : "; ") + trouble;
  }
  if (wrong.empty()) {
    return {"coordination", verdict::ok,
            fmt::format("{} of {} members of the etcd are healthy", well, members), ""};
  }
  return {"coordination", well > members / 2 ? verdict::warn : verdict::fail,
          fmt::format("{} of {} members of the etcd are healthy: {}", well, members, wrong),
          "start those that are not, or mend the addresses and certificates"};
}

finding look_at_coordination(const option_values& options) {
  const auto where = text_of(options, "coordination");
  constexpr std::string_view local = "local:";
  if (where.starts_with("http://") || where.starts_with("https://")) {
    return look_at_etcd(where, options);
  }
  if (!where.starts_with(local) || where.size() == local.size()) {
    return {"coordination", verdict::fail, "'" + where + "' names no place for it",
            "give --coordination as local:DIR, or http://HOST:PORT of an etcd"};
  }
  auto found = look_at_directory(where.substr(local.size()), "--coordination");
  found.check = "coordination";
  return found;
}

exit_code run_doctor(const option_values& options, const std::vector<std::string>&) {
  const auto form = form_of(options);
  if (!form) {
    return report(form.error());
  }
  auto found = look_at_machine(data_directory(options));
  look_at_server(options, found);
  if (options.count("coordination") > 0) {
    found.push_back(look_at_coordination(options));
  }
  auto code = exit_code::ok;
  auto rows = ordered_json::array();
  for (const auto& each : found) {
    code = each.state == verdict::fail ? exit_code::run_failed : code;
    rows.push_back({{"check", each.check},
                    {"state", to_string(each.state)},
                    {"found", each.found},
                    {"remedy", each.remedy}});
    if (is_table(*form)) {
      std::cout << fmt::format("{:<4}  {:<14}  {}{}\n", to_string(each.state), each.check,
                               printable(each.found),
                               each.remedy.empty() ? "" : "; " + printable(each.remedy));
    }
  }
  if (!is_table(*form)) {
    print_rows(*form, rows, {}, "check");
  }
  return code;
}

}  // namespace

command doctor_command() {
  return {"doctor",
          "[--data DIR] [--coordination WHERE]",
          "look for what may be the matter: this machine, the server, access to it",
          "  millrace doctor                           a line each: ok, warn or fail; exit 1: one "
          "fails\n"
          "  millrace doctor --context prod -o json\n"
          "  millrace doctor --data /var/lib/millrace --coordination http://etcd:2379\n",
          0,
          0,
          add_doctor_options,
          run_doctor};
}

}  // namespace millrace::gateway::cli
