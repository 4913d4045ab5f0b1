// SPDX-License-Identifier: MIT
// project, pool: how projects share the executors.
#include <fmt/format.h>

#include <cmath>
#include <iostream>

#include "cli/output.h"
#include "cli/remote.h"
#include "cli/terminal_text.h"
#include "millrace/actors/priority.h"
#include "millrace/actors/resources.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr const char* project_usage =
    "usage: millrace project list | get NAME | usage NAME | set NAME [--weight N] "
    "[--max-running N|none] [--max-queued-runs N|none] [--max-cpu N|none] [--max-memory SIZE|none] "
    "[--max-storage SIZE|none] [--max-priority PRIORITY|none] [--preempts-from PRIORITY|none]";
constexpr std::initializer_list<const char*> settings_options{
    "weight",     "max-running", "max-queued-runs", "max-cpu",
    "max-memory", "max-storage", "max-priority",    "preempts-from"};

// What has a quota: its key in what is used, that of its bound in the settings, and the resource as
// which it is written; null: as a number.
struct quota {
  const char* key;
  const char* limit;
  const char* resource;
};
constexpr std::initializer_list<quota> quotas{{"cpu", "max_cpu", "cpu"},
                                              {"memory", "max_memory", "memory"},
                                              {"storage", "max_storage", "memory"},
                                              {"running", "max_running", nullptr},
                                              {"queued_runs", "max_queued_runs", nullptr}};

constexpr double cpu_unit = 1'000;  // as resources are counted

void add_project_options(po::options_description& options) {
  options.add_options()("weight", po::value<std::string>()->value_name("N"),
                        "set: its part of the executors beside other projects that want some "
                        "(default: 1)")("max-running", po::value<std::string>()->value_name("N"),
                                        "set: the most tasks that it runs at a time, or none")(
      "max-queued-runs", po::value<std::string>()->value_name("N"),
      "set: the most runs that wait while nothing of them has a slot, or none; more are refused")(
      "max-cpu", po::value<std::string>()->value_name("N"),
      "set: the most processors that its running tasks have asked for together, such as 8 or 500m, "
      "or none")("max-memory", po::value<std::string>()->value_name("SIZE"),
                 "set: the most memory that they have asked for together, such as 64Gi, or none")(
      "max-storage", po::value<std::string>()->value_name("SIZE"),
      "set: what its runs may hold on the disks of executors before no more of its tasks start, or "
      "none")("max-priority", po::value<std::string>()->value_name("PRIORITY"),
              "set: what is above counts as this, or none")(
      "preempts-from", po::value<std::string>()->value_name("PRIORITY"),
      "set: its tasks of this priority or a higher one end running ones of lower priority, of any "
      "project, where they find no place; or none (the default)");
  add_server_option(options);
  add_rows_options(options);
}

// A priority, in the settings by its name there; `none` takes it out.
result<void> set_priority(const option_values& options, const char* name, const char* key,
                          ordered_json& settings) {
  const auto text = text_of(options, name);
  if (text.empty()) {
    return {};
  }
  settings.erase(key);
  if (text != "none") {
    const auto priority = actors::parse_priority(text);
    if (!priority) {
      return error{errc::invalid_argument, "--" + std::string{name} + " '" + text + "': " +
                                               std::string{actors::priority_hint} + ", or none"};
    }
    settings[key] = *priority;
  }
  return {};
}

// A bound; `none` is 0.
result<void> set_number(const option_values& options, const char* name, const char* key,
                        ordered_json& settings) {
  if (text_of(options, name) == "none") {
    settings[key] = 0;
    return {};
  }
  if (options.count(name) > 0) {
    const auto number = number_of(options, name, 0);
    if (!number) {
      return number.error();
    }
    settings[key] = *number;
  }
  return {};
}

// Processors or bytes; `none` takes it out.
result<void> set_amount(const option_values& options, const char* name, const quota& of,
                        ordered_json& settings) {
  const auto text = text_of(options, name);
  if (options.count(name) == 0) {
    return {};
  }
  if (text == "none") {
    settings[of.limit] = nullptr;
    return {};
  }
  const auto is_cpu = std::string_view{of.resource} == "cpu";
  const auto amount = actors::parse_amount(of.resource, text);
  if (!amount) {
    return error{errc::invalid_argument, fmt::format("--{} '{}': write {}, or none", name, text,
                                                     is_cpu ? "processors like 2, 0.5 or 500m"
                                                            : "a size like 512Mi or 2G")};
  }
  if (is_cpu) {
    settings[of.limit] = static_cast<double>(*amount) / cpu_unit;
  } else {
    settings[of.limit] = *amount;
  }
  return {};
}

result<void> set_all(const option_values& options, ordered_json& settings) {
  if (text_of(options, "weight") == "none") {
    return error{errc::invalid_argument, "--weight 'none': it must be a whole number from 1"};
  }
  for (const auto& [name, key] :
       {std::pair{"weight", "weight"}, std::pair{"max-running", "max_running"},
        std::pair{"max-queued-runs", "max_queued_runs"}}) {
    if (auto set = set_number(options, name, key, settings); !set) {
      return set;
    }
  }
  for (const auto& each : quotas) {
    if (each.resource == nullptr) {
      continue;
    }
    const auto name = "max-" + std::string{each.key};
    if (auto set = set_amount(options, name.c_str(), each, settings); !set) {
      return set;
    }
  }
  for (const auto& [name, key] :
       {std::pair{"max-priority", "max_priority"}, std::pair{"preempts-from", "preempts_from"}}) {
    if (auto set = set_priority(options, name, key, settings); !set) {
      return set;
    }
  }
  return {};
}

// Numbers beyond those of JSON are strings there.
std::uint64_t whole_number(const ordered_json& number) {
  return number.is_string() ? std::stoull(number.get<std::string>()) : number.get<std::uint64_t>();
}

// `4`, `500m` or `1.5Gi`; of a bound, `-` where there is none.
std::string quota_text(const quota& of, const ordered_json& amount) {
  if (of.resource == nullptr) {
    return std::to_string(whole_number(amount));
  }
  return std::string_view{of.resource} == "cpu"
             ? actors::format_amount(
                   "cpu", static_cast<std::uint64_t>(std::llround(amount.get<double>() * cpu_unit)))
             : actors::short_amount(of.resource, whole_number(amount));
}
std::string limit_text(const quota& of, const ordered_json& limit) {
  return limit.is_null() || limit == 0 ? "-" : quota_text(of, limit);
}

// A table's rows: what the project has, and what it may have.
void print_usage(const output_style& style, const ordered_json& usage) {
  auto rows = ordered_json::array();
  for (const auto& each : quotas) {
    const auto& one = usage.at(each.key);
    rows.push_back({{"quota", each.key},
                    {"used", quota_text(each, one.at("used"))},
                    {"limit", limit_text(each, one.at("limit"))}});
  }
  print_rows(style, rows, {"quota", "used", "limit"});
}

// Of every project that has something of the pool, or has been set.
exit_code list_projects(remote& server) {
  auto page = server.ask(http::method::get, "/api/v1/pool");
  if (!page) {
    return report(page.error());
  }
  auto& projects = page->at("projects");
  if (is_table(server.form())) {
    for (auto& each : projects) {
      for (const auto& of : quotas) {
        if (each.contains(of.key) && each.contains(of.limit)) {  // not of an older version
          each[of.key] = quota_text(of, each.at(of.key)) + "/" + limit_text(of, each.at(of.limit));
        }
      }
    }
  }
  print_rows(server.style(), projects,
             {"id", "weight", "running", "queued_runs", "cpu", "memory", "storage"});
  return exit_code::ok;
}

// In a table the bounds are as people write them, with what is used of them where that is known.
void show_settings(output_form form, ordered_json settings,
                   const result<ordered_json>& usage = ordered_json::object()) {
  if (is_table(form)) {
    for (const auto& each : quotas) {
      if (!settings.contains(each.limit)) {
        continue;  // an older version
      }
      const auto limit = limit_text(each, settings.at(each.limit));
      const auto is_known = usage && usage->contains(each.key);
      if (is_known) {
        settings[each.limit] =
            fmt::format("{} ({} used)", limit, quota_text(each, usage->at(each.key).at("used")));
      } else {
        settings[each.limit] = limit == "-" ? ordered_json{} : ordered_json(limit);
      }
    }
  }
  print_one(form, settings);
}

exit_code run_project(const option_values& options, const std::vector<std::string>& positional) {
  const auto& verb = positional[0];
  const auto is_set = verb == "set";
  if (verb == "list" ? positional.size() != 1
                     : positional.size() != 2 || (!is_set && verb != "get" && verb != "usage")) {
    return report(exit_code::usage, project_usage);
  }
  if (const auto fits = refuse(options, settings_options, ("project " + verb).c_str());
      !is_set && !fits) {
    return report(fits.error());
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  if (verb == "list") {
    return list_projects(*server);
  }
  const auto of_project = "/api/v1/projects/" + escaped(positional[1]);
  if (verb == "usage") {
    const auto usage = server->ask(http::method::get, of_project + "/usage");
    if (!usage) {
      return report(usage.error());
    }
    if (is_table(server->form())) {
      print_usage(server->style(), *usage);
    } else {
      print_one(server->form(), *usage);
    }
    return exit_code::ok;
  }
  const auto target = of_project + "/settings";
  auto settings = server->ask(http::method::get, target);
  if (!settings) {
    return report(settings.error());
  }
  if (is_set) {
    if (auto set = set_all(options, *settings); !set) {
      return report(set.error());
    }
    for (const auto* key : {"max_priority", "preempts_from"}) {
      if (const auto at = settings->find(key); at != settings->end() && at->is_null()) {
        settings->erase(at);
      }
    }
    const auto answer = server->client().send(http::method::put, target, settings->dump());
    if (!answer) {
      return report(answer.error());
    }
    if (answer->status >= 400) {
      return report(server->problem_of(*answer));
    }
    settings = server->ask(http::method::get, target);
    if (!settings) {
      return report(settings.error());
    }
  }
  if (is_set || !is_table(server->form())) {
    show_settings(server->form(), *settings);
  } else {
    show_settings(server->form(), *settings, server->ask(http::method::get, of_project + "/usage"));
  }
  return exit_code::ok;
}

// `gpu 1/2, cpu 500m/4`: what is free of what there is.
std::string free_text(const ordered_json& offer) {
  std::string text;
  for (std::size_t at = 0; at < offer.at("resources").size(); ++at) {
    const auto& all = offer.at("resources")[at];
    const auto name = all.at("name").get<std::string>();
    text += (text.empty() ? "" : ", ") + name + " " +
            actors::short_amount(name, whole_number(offer.at("free")[at].at("amount"))) + "/" +
            actors::short_amount(name, whole_number(all.at("amount")));
  }
  return text;
}

std::string pools_text(const ordered_json& offer) {
  std::string text;
  for (const auto& each : offer.value("pools", ordered_json::array())) {
    text += (text.empty() ? "" : ",") + each.get<std::string>();
  }
  return text;
}

exit_code run_pool(const option_values& options, const std::vector<std::string>& positional) {
  if (positional[0] != "status") {
    return report(exit_code::usage, "usage: millrace pool status");
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  auto page = server->ask(http::method::get, "/api/v1/pool");
  if (!page) {
    return report(page.error());
  }
  if (!is_table(server->form())) {
    print_one(server->form(), *page);
    return exit_code::ok;
  }
  std::cout << page->at("running") << " of " << page->at("slots") << " slots are taken, ";
  if (const auto& making_way = page->at("preempting"); making_way > 0) {
    std::cout << making_way << " of what runs makes way, ";
  }
  std::cout << page->at("waiting") << " attempts wait";
  if (const auto why = page->at("waiting_reason").get<std::string>(); !why.empty()) {
    std::cout << ": " << printable(why);
  }
  std::cout << "\n\n";
  for (auto& each : page->at("projects")) {
    for (const auto* key : {"share", "used"}) {
      each[key] = std::to_string(std::lround(100 * each.at(key).get<double>())) + "%";
    }
  }
  print_rows(server->style(), page->at("projects"),
             {"id", "weight", "share", "used", "running", "waiting", "queued_runs"});
  if (page->contains("pools")) {  // not of an older version
    std::cout << '\n';
    print_rows(server->style(), page->at("pools"),
               {"id", "executors", "slots", "taken", "waiting"});
  }
  for (auto& each : page->at("offers")) {
    each["free"] = free_text(each);
    each["pools"] = pools_text(each);
  }
  std::cout << '\n';
  print_rows(server->style(), page->at("offers"),
             {"id", "pools", "slots", "granted", "free", "takes_nothing"});
  return exit_code::ok;
}

}  // namespace

std::vector<command> sharing_commands() {
  return {{"project",
           "list | get NAME | usage NAME | set NAME [--weight N] [--max-running N] "
           "[--max-queued-runs N] [--max-cpu N] [--max-memory SIZE] [--max-storage SIZE] "
           "[--max-priority PRIORITY] [--preempts-from PRIORITY]",
           "show and say how much of the machines a project may have, and what it has of that",
           "  millrace project set web --weight 3\n"
           "  millrace project set batch --max-running 8 --max-priority low\n"
           "  millrace project set batch --max-running none\n"
           "  millrace project set batch --max-cpu 16 --max-memory 64Gi --max-storage 500Gi\n"
           "  millrace project set web --preempts-from critical\n"
           "  millrace project get web\n"
           "  millrace project usage batch\n"
           "  millrace project list\n",
           1, 2, add_project_options, run_project},
          {"pool", "status", "show what executors and pools offer, and what each project has of it",
           "  millrace pool status\n"
           "  millrace pool status -o json\n",
           1, 1,
           [](po::options_description& options) {
             add_server_option(options);
             add_rows_options(options);
           },
           run_pool}};
}

}  // namespace millrace::gateway::cli
