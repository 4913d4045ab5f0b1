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
    "usage: millrace project get NAME | set NAME [--weight N] [--max-running N|none] "
    "[--max-queued-runs N|none] [--max-priority PRIORITY|none] [--preempts-from PRIORITY|none]";
constexpr std::initializer_list<const char*> settings_options{
    "weight", "max-running", "max-queued-runs", "max-priority", "preempts-from"};

void add_project_options(po::options_description& options) {
  options.add_options()("weight", po::value<std::string>()->value_name("N"),
                        "set: its part of the executors beside other projects that want some "
                        "(default: 1)")("max-running", po::value<std::string>()->value_name("N"),
                                        "set: the most tasks that it runs at a time, or none")(
      "max-queued-runs", po::value<std::string>()->value_name("N"),
      "set: the most runs that wait while nothing of them has a slot, or none; more are refused")(
      "max-priority", po::value<std::string>()->value_name("PRIORITY"),
      "set: what is above counts as this, or none")(
      "preempts-from", po::value<std::string>()->value_name("PRIORITY"),
      "set: its tasks of this priority or a higher one end running ones of lower priority, of any "
      "project, where they find no place; or none (the default)");
  add_server_option(options);
  add_output_option(options);
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
  for (const auto& [name, key] :
       {std::pair{"max-priority", "max_priority"}, std::pair{"preempts-from", "preempts_from"}}) {
    if (auto set = set_priority(options, name, key, settings); !set) {
      return set;
    }
  }
  return {};
}

exit_code run_project(const option_values& options, const std::vector<std::string>& positional) {
  const auto is_set = positional[0] == "set";
  if (positional.size() != 2 || (!is_set && positional[0] != "get")) {
    return report(exit_code::usage, project_usage);
  }
  if (const auto fits = refuse(options, settings_options, "project get"); !is_set && !fits) {
    return report(fits.error());
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto target = "/api/v1/projects/" + escaped(positional[1]) + "/settings";
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
  if (is_table(server->form())) {
    for (const auto* key : {"max_running", "max_queued_runs"}) {
      if (settings->value(key, 0) == 0) {
        (*settings)[key] = nullptr;  // no bound, as the others have it
      }
    }
  }
  print_one(server->form(), *settings);
  return exit_code::ok;
}

// Of memory in a unit that a person reads, to a tenth of it.
std::string amount_text(const std::string& resource, std::uint64_t amount) {
  auto exact = actors::format_amount(resource, amount);
  constexpr std::size_t short_columns = 6;
  if (resource != "memory" || exact.size() <= short_columns) {
    return exact;
  }
  auto number = static_cast<double>(amount);
  const auto* unit = "";
  for (const auto* each : {"Ki", "Mi", "Gi", "Ti"}) {
    if (number >= 1'024) {
      number /= 1'024;
      unit = each;
    }
  }
  return fmt::format("{:.1f}{}", number, unit);
}

// `gpu 1/2, cpu 500m/4`: what is free of what there is.
std::string free_text(const ordered_json& offer) {
  std::string text;
  const auto amount = [](const ordered_json& each) {
    const auto& number = each.at("amount");
    return number.is_string() ? std::stoull(number.get<std::string>())
                              : number.get<std::uint64_t>();
  };
  for (std::size_t at = 0; at < offer.at("resources").size(); ++at) {
    const auto& all = offer.at("resources")[at];
    const auto name = all.at("name").get<std::string>();
    text += (text.empty() ? "" : ", ") + name + " " +
            amount_text(name, amount(offer.at("free")[at])) + "/" + amount_text(name, amount(all));
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
  for (auto& each : page->at("offers")) {
    each["free"] = free_text(each);
  }
  std::cout << '\n';
  print_rows(server->style(), page->at("offers"),
             {"id", "slots", "granted", "free", "takes_nothing"});
  return exit_code::ok;
}

}  // namespace

std::vector<command> sharing_commands() {
  return {{"project",
           "get NAME | set NAME [--weight N] [--max-running N] [--max-queued-runs N] "
           "[--max-priority PRIORITY] [--preempts-from PRIORITY]",
           "show and say how much of the machines a project may have",
           "  millrace project set web --weight 3\n"
           "  millrace project set batch --max-running 8 --max-priority low\n"
           "  millrace project set batch --max-running none\n"
           "  millrace project set web --preempts-from critical\n"
           "  millrace project get web\n",
           1, 2, add_project_options, run_project},
          {"pool", "status", "show what executors offer, and what each project has of it",
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
