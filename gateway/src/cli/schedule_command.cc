// SPDX-License-Identifier: MIT
// schedule: when pipelines run by themselves.
#include <algorithm>
#include <iostream>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/terminal_text.h"
#include "millrace/actors/timetable.h"
#include "millrace/runtime/rfc3339.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr const char* schedule_usage =
    "usage: millrace schedule list [PIPELINE] | show PIPELINE [SCHEDULE] | next PIPELINE|FILE "
    "[SCHEDULE] [-n N] | pause PIPELINE [SCHEDULE] [--reason TEXT] | resume PIPELINE [SCHEDULE] | "
    "trigger PIPELINE [SCHEDULE] | backfill PIPELINE [SCHEDULE] --from TIME --to TIME | backfills "
    "PIPELINE | cancel-backfill PIPELINE BACKFILL";
constexpr std::uint32_t next_default = 5;
constexpr std::size_t list_max = 1'000'000;

using words = std::vector<std::string>;

void add_schedule_options(po::options_description& options) {
  options.add_options()("count,n", po::value<std::string>()->value_name("N"),
                        "next: how many times (default: 5)")(
      "reason", po::value<std::string>()->value_name("TEXT"), "pause: why")(
      "from", po::value<std::string>()->value_name("TIME"),
      "backfill: the first time, such as 2026-01-31T08:00:00Z, or a day of the schedule's zone")(
      "to", po::value<std::string>()->value_name("TIME"), "backfill: the last time, or day")(
      "max-parallel", po::value<std::string>()->value_name("N"),
      "backfill: runs at a time (default: 1, at most 100)")(
      "reprocess", po::value<std::string>()->value_name("WHICH"),
      "backfill: which times that have had a run get another:\nnone (default), failed or all")(
      "dry-run", "backfill: only say which times it would be");
  add_server_option(options);
  add_project_option(options);
  add_rows_options(options);
}

std::string path_of(const remote& server, const std::string& pipeline) {
  return server.pipelines() + "/" + escaped(pipeline) + "/schedules";
}

// What a table says of a schedule's times: `0 9 * * * Europe/Berlin`, `watch every 10m`.
std::string times_of(const ordered_json& schedule) {
  const auto& definition = schedule.at("definition");
  const std::string kind = schedule.value("watch", false) ? "watch " : "";
  return kind + (definition.contains("cron")
                     ? definition.value("cron", "") + " " + definition.value("timezone", "UTC")
                     : "every " + definition.value("every", ""));
}

exit_code list(remote& server, const std::string& pipeline) {
  auto rows = ordered_json::array();
  const auto take = [&](const ordered_json& row) -> result<void> {
    auto& added = rows.emplace_back(row);
    if (is_table(server.form())) {
      added["times"] = times_of(row);
      added.erase("definition");
    }
    return {};
  };
  if (pipeline.empty()) {
    const auto more =
        server.for_each_row("/api/v1/projects/" + escaped(server.project()) + "/schedules",
                            "schedules", list_max, take);
    if (!more) {
      return report(more.error());
    }
  } else {
    const auto page = server.ask(http::method::get, path_of(server, pipeline));
    if (!page) {
      return report(page.error());
    }
    for (const auto& row : page->at("schedules")) {
      std::ignore = take(row);
    }
  }
  print_rows(server.style(), rows,
             {"pipeline", "id", "times", "paused", "next_at", "last_at", "running", "waiting"});
  return exit_code::ok;
}

// The schedule that a person means: the only one need not be named.
result<std::string> schedule_of(remote& server, const words& given) {
  if (given.size() > 2) {
    return given[2];
  }
  const auto page = server.ask(http::method::get, path_of(server, given[1]));
  if (!page) {
    return page.error();
  }
  std::string names;
  const auto& rows = page->at("schedules");
  for (const auto& row : rows) {
    names += (names.empty() ? "" : ", ") + row.at("id").get<std::string>();
  }
  if (rows.empty()) {
    return error{errc::not_found, "pipeline '" + given[1] + "' has no schedule"};
  }
  if (rows.size() > 1) {
    return error{errc::invalid_argument,
                 "pipeline '" + given[1] + "' has several schedules, name one: " + names};
  }
  return names;
}

// A schedule as the API has it.
result<ordered_json> get(remote& server, const words& given, const std::string& query = {}) {
  const auto name = schedule_of(server, given);
  return name ? server.ask(http::method::get,
                           path_of(server, given[1]) + "/" + escaped(*name) + query)
              : name.error();
}

exit_code show(remote& server, const words& given) {
  const auto told = get(server, given);
  if (!told) {
    return report(told.error());
  }
  if (!is_table(server.form())) {
    print_one(server.form(), *told);
    return exit_code::ok;
  }
  auto schedule = told->at("schedule");
  schedule["times"] = times_of(schedule);
  print_one(server.form(), schedule);
  for (const auto& run : told->at("running")) {
    std::cout << "running:        " << printable(run.get<std::string>()) << '\n';
  }
  std::cout << "\nNext times:\n";
  print_rows(server.style(), told->at("next"), {"local", "due_at"});
  std::cout << "\nLatest firings:\n";
  print_rows(server.style(), told->at("firings"), {"scheduled_at", "state", "run", "reason"});
  return exit_code::ok;
}

// --- next ----------------------------------------------------------------------------------------

void print_times(const output_style& style, ordered_json rows) {
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return a.value("scheduled_at", "") < b.value("scheduled_at", "");
  });
  if (is_table(style.form)) {
    for (auto& row : rows) {
      row["utc"] = row["scheduled_at"];  // not made local, as times are elsewhere
    }
  }
  words columns{"local", "utc"};
  if (!rows.empty() && rows.front().contains("schedule")) {
    columns.emplace_back("schedule");
  }
  print_rows(style, rows, columns, "scheduled_at");
}

bool is_file(const std::string& word) {
  const auto ends = [&word](std::string_view end) { return word.ends_with(end); };
  return word == "-" || word.find('/') != std::string::npos || ends(".yaml") || ends(".yml") ||
         ends(".json");
}

exit_code next_of_file(const output_style& style, const words& given, std::uint32_t count) {
  const auto text = read_file(given[1]);
  if (!text) {
    return report(exit_code::usage, text.error().text());
  }
  const auto loaded = load_definition(*text, given[1]);
  if (!loaded) {
    std::cerr << actors::render(loaded.diagnostics, *text);
    return exit_code::usage;
  }
  auto rows = ordered_json::array();
  bool is_known = given.size() < 3;
  auto schedules = loaded.definition->schedules;
  for (const auto& watch : loaded.definition->watches) {
    schedules.push_back(watch.schedule);
  }
  for (const auto& each : schedules) {
    if (given.size() > 2 && given[2] != each.name) {
      continue;
    }
    is_known = true;
    const auto times = actors::timetable::of(each);
    if (!times) {
      return report(times.error());
    }
    for (const auto at : times->next(runtime::system_clock{}.wall(), count)) {
      std::string utc;
      runtime::append_rfc3339(utc, at.time_since_epoch().count());
      rows.push_back({{"schedule", each.name},
                      {"scheduled_at", utc},
                      {"local", actors::local_text(at, times->zone())}});
    }
  }
  if (!is_known) {
    return report(exit_code::not_found, given[1] + " has no schedule '" + given[2] + "'");
  }
  if (schedules.empty()) {
    return report(exit_code::not_found, given[1] + " has no `schedule` and no watch");
  }
  print_times(style, std::move(rows));
  return exit_code::ok;
}

exit_code next(remote& server, const words& given, std::uint32_t count) {
  words names;
  if (given.size() > 2) {
    names.push_back(given[2]);
  } else {
    const auto page = server.ask(http::method::get, path_of(server, given[1]));
    if (!page) {
      return report(page.error());
    }
    for (const auto& row : page->at("schedules")) {
      names.push_back(row.at("id").get<std::string>());
    }
  }
  if (names.empty()) {
    return report(exit_code::not_found, "pipeline '" + given[1] + "' has no schedule");
  }
  auto rows = ordered_json::array();
  for (const auto& name : names) {
    const auto told =
        get(server, {given[0], given[1], name}, "?firings=0&next=" + std::to_string(count));
    if (!told) {
      return report(told.error());
    }
    if (told->at("schedule").value("paused", false)) {
      std::cerr << "millrace: schedule " << printable(name) << " is paused\n";
    }
    for (const auto& each : told->at("next")) {
      rows.push_back({{"schedule", name}});
      rows.back().update(each);
    }
  }
  print_times(server.style(), std::move(rows));
  return exit_code::ok;
}

// --- what changes something ----------------------------------------------------------------------

exit_code pause_or_resume(remote& server, const words& given, const std::string& body) {
  const auto path = path_of(server, given[1]);
  const auto told = server.ask(
      http::method::post,
      given.size() > 2 ? path + "/" + escaped(given[2]) + "/" + given[0] : path + ":" + given[0],
      body);
  if (!told) {
    return report(told.error());
  }
  std::string names;
  for (const auto& each : told->at("schedules")) {
    names += (names.empty() ? "" : ", ") + each.get<std::string>();
  }
  std::cerr << (given[0] == "pause" ? "paused " : "resumed ") << printable(given[1]) << ": "
            << printable(names) << '\n';
  return exit_code::ok;
}

exit_code trigger(remote& server, const words& given) {
  const auto name = schedule_of(server, given);
  if (!name) {
    return report(name.error());
  }
  const auto told =
      server.ask(http::method::post, path_of(server, given[1]) + "/" + escaped(*name) + "/trigger");
  if (!told) {
    return report(told.error());
  }
  const auto& firing = told->at("firing");
  if (server.form() == output_form::name && firing.at("run").is_null()) {
    std::cerr << "nothing starts: " << printable(firing.value("reason", "")) << '\n';
    return exit_code::ok;
  }
  print_one(is_table(server.form()) ? output_form::table : server.form(), firing, "run");
  return exit_code::ok;
}

// --- backfills -----------------------------------------------------------------------------------

// A time as it was written, or the beginning of a day of that zone; of the end of a range the
// instant before the next day. Errors: `invalid_argument`.
result<std::string> time_in(const option_values& options, const char* name, bool is_end,
                            const runtime::time_zone& zone) {
  const auto text = text_of(options, name);
  if (runtime::from_rfc3339(text)) {
    return text;
  }
  const auto day = text.size() == 10 ? runtime::from_rfc3339(text + "T00:00:00Z") : std::nullopt;
  if (!day) {
    return error{errc::invalid_argument, "--" + std::string{name} + " '" + text +
                                             "': write it like 2026-01-31T08:00:00Z, or like "
                                             "2026-01-31 for a day"};
  }
  const auto date =
      std::chrono::sys_days{std::chrono::floor<std::chrono::days>(std::chrono::nanoseconds{*day})};
  const auto at =
      is_end ? actors::begin_of(date + std::chrono::days{1}, zone) - std::chrono::nanoseconds{1}
             : actors::begin_of(date, zone);
  std::string made;
  runtime::append_rfc3339(made, at.time_since_epoch().count());
  return made;
}

result<ordered_json> backfill_request(const option_values& options, const ordered_json& schedule) {
  const auto parallel = number_of(options, "max-parallel", 1, 100);
  const auto zone = runtime::load_time_zone(schedule.at("definition").value("timezone", "UTC"));
  if (!parallel || !zone) {
    return parallel ? zone.error() : parallel.error();
  }
  const auto from = time_in(options, "from", false, *zone);
  const auto to = time_in(options, "to", true, *zone);
  if (!from || !to) {
    return from ? to.error() : from.error();
  }
  const auto reprocess = text_of(options, "reprocess", "none");
  if (reprocess != "none" && reprocess != "failed" && reprocess != "all") {
    return error{errc::invalid_argument,
                 "--reprocess '" + reprocess + "': it must be none, failed or all"};
  }
  return ordered_json{{"from", *from},
                      {"to", *to},
                      {"max_parallel", *parallel},
                      {"reprocess", reprocess},
                      {"dry_run", options.count("dry-run") > 0}};
}

exit_code backfill(remote& server, const option_values& options, const words& given) {
  if (options.count("from") == 0 || options.count("to") == 0) {
    return report(exit_code::usage, "schedule backfill: say which times, with --from and --to");
  }
  const auto told = get(server, given, "?next=0&firings=0");
  if (!told) {
    return report(told.error());
  }
  const auto& schedule = told->at("schedule");
  const auto wanted = backfill_request(options, schedule);
  if (!wanted) {
    return report(wanted.error());
  }
  const auto made =
      server.ask(http::method::post,
                 path_of(server, given[1]) + "/" + escaped(schedule.value("id", "")) + "/backfill",
                 wanted->dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  if (!made) {
    return report(made.error());
  }
  if (options.count("dry-run") > 0) {
    print_times(server.style(), made->at("times"));
  } else {
    print_one(is_table(server.form()) ? output_form::name : server.form(), made->at("backfill"));
  }
  const auto& about = made->at("backfill");
  const auto total = about.at("total").get<std::uint64_t>();
  const auto passed_over = about.at("passed_over").get<std::uint64_t>();
  const auto shown = made->at("times").size();
  const bool is_cut = options.count("dry-run") > 0 && shown < total - passed_over;
  std::cerr << total << " times, " << passed_over << " of them are passed over"
            << (is_cut ? "; of the others, the first " + std::to_string(shown) + " are shown" : "")
            << '\n';
  return exit_code::ok;
}

exit_code backfills(remote& server, const words& given) {
  const auto told =
      server.ask(http::method::get, server.pipelines() + "/" + escaped(given[1]) + "/backfills");
  if (!told) {
    return report(told.error());
  }
  print_rows(server.style(), told->at("backfills"),
             {"id", "schedule", "state", "total", "passed_over", "running", "succeeded", "failed",
              "from", "to"});
  return exit_code::ok;
}

exit_code cancel_backfill(remote& server, const words& given) {
  const auto told =
      server.ask(http::method::post, server.pipelines() + "/" + escaped(given[1]) + "/backfills/" +
                                         escaped(given[2]) + "/cancel");
  if (!told) {
    return report(told.error());
  }
  std::cerr << "backfill " << printable(given[2]) << " is " << printable(told->value("state", ""))
            << '\n';
  return exit_code::ok;
}

// Refuses what is for another verb.
result<void> check_options(const option_values& options, const std::string& verb) {
  const auto what = "schedule " + verb;
  auto fits = verb == "next" ? result<void>{} : refuse(options, {"count"}, what);
  if (fits && verb != "pause") {
    fits = refuse(options, {"reason"}, what);
  }
  if (fits && verb != "backfill") {
    fits = refuse(options, {"from", "to", "max-parallel", "reprocess", "dry-run"}, what);
  }
  return fits;
}

exit_code run_schedule(const option_values& options, const words& given) {
  const auto& verb = given[0];
  const bool is_list = verb == "list";
  const std::pair<std::string_view, std::size_t> others[] = {
      {"show", 2},    {"next", 2},     {"pause", 2},     {"resume", 2},
      {"trigger", 2}, {"backfill", 2}, {"backfills", 2}, {"cancel-backfill", 3}};
  const auto* known = std::find_if(std::begin(others), std::end(others),
                                   [&verb](const auto& each) { return each.first == verb; });
  if (is_list ? given.size() > 2 : known == std::end(others) || given.size() < known->second) {
    return report(exit_code::usage, schedule_usage);
  }
  const auto count = number_of(options, "count", next_default, actors::next_firings_max);
  const auto fits = check_options(options, verb);
  if (!count || !fits) {
    return report(count ? fits.error() : count.error());
  }
  if (verb == "next" && is_file(given[1])) {
    const auto style = style_of(options);
    return style ? next_of_file(*style, given, *count) : report(style.error());
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  if (is_list) {
    return list(*server, given.size() > 1 ? given[1] : "");
  }
  if (verb == "show") {
    return show(*server, given);
  }
  if (verb == "next") {
    return next(*server, given, *count);
  }
  if (verb == "trigger") {
    return trigger(*server, given);
  }
  if (verb == "backfill") {
    return backfill(*server, options, given);
  }
  if (verb == "backfills") {
    return backfills(*server, given);
  }
  if (verb == "cancel-backfill") {
    return cancel_backfill(*server, given);
  }
  const auto body = ordered_json{{"reason", text_of(options, "reason")}}.dump(
      -1, ' ', false, ordered_json::error_handler_t::replace);
  return pause_or_resume(*server, given, verb == "pause" ? body : std::string{});
}

}  // namespace

command schedule_command() {
  return {"schedule",
          "list | show | next | pause | resume | trigger | backfill | backfills | cancel-backfill "
          "[PIPELINE] [SCHEDULE]",
          "see and steer when pipelines run, or their watches look, by themselves",
          "  millrace schedule list\n"
          "  millrace schedule next pipeline.yaml -n 5      no server needed\n"
          "  millrace schedule show nightly\n"
          "  millrace schedule pause nightly --reason 'the source moves'\n"
          "  millrace schedule resume nightly\n"
          "  millrace schedule trigger on-commit source     has a watch look now\n"
          "  millrace schedule backfill nightly --from 2026-01-01 --to 2026-01-31 --dry-run\n"
          "  millrace schedule backfills nightly            how far they are\n",
          1,
          3,
          add_schedule_options,
          run_schedule};
}

}  // namespace millrace::gateway::cli
