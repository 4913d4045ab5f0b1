// SPDX-License-Identifier: MIT
// `schedule`: a cron expression alone, one map, or a list of maps.
#include <array>

#include "definition/shape.h"
#include "millrace/actors/params.h"
#include "millrace/actors/suggestion.h"
#include "millrace/runtime/cron.h"
#include "millrace/runtime/rfc3339.h"
#include "millrace/runtime/time_zone.h"

namespace millrace::actors {

namespace {

constexpr std::string_view example = "write `schedule: {cron: \"0 3 * * *\"}`";
constexpr std::string_view time_example = "write it like `2026-01-31T08:00:00Z`";

// In the order of `overlap_policy` and `catchup_policy`.
constexpr std::array overlap_words{std::string_view{"allow"}, std::string_view{"skip"},
                                   std::string_view{"queue"}, std::string_view{"replace"}};
constexpr std::array catchup_words{std::string_view{"none"}, std::string_view{"last"},
                                   std::string_view{"all"}};

void read_cron(shape_context& to, const cursor& where, schedule_definition& into) {
  const auto text = to.in.read_text(where, "write it in quotes, like `\"0 3 * * *\"`");
  const auto parsed = runtime::cron::parse(text.value_or("@daily"));
  if (!parsed) {
    to.in.report(where, parsed.error().text());
  }
  into.cron = parsed && text ? parsed->text() : "@daily";
}

void read_time_zone(shape_context& to, const cursor& where, schedule_definition& into) {
  const auto name = to.in.read_text(where, "write it like `Europe/Berlin`");
  const auto zone = runtime::load_time_zone(name.value_or("UTC"));
  if (name == "localtime") {
    to.in.report(where, "`timezone`: `localtime` would be another on each machine",
                 "write it like `Europe/Berlin`");
    return;
  }
  if (zone) {
    into.time_zone = name.value_or("UTC");
    return;
  }
  const auto names = runtime::time_zone_names();
  suggestion near{*name};
  if (to.in.may_suggest(names.size())) {
    for (const auto& each : names) {
      near.consider(each);
    }
  }
  if (near.best().empty()) {
    to.in.report(where, zone.error().text());
  } else {
    to.in.report(where, "there is no time zone `" + shown_name(*name) + "`",
                 "did you mean `" + std::string{near.best()} + "`?");
  }
}

void read_every(shape_context& to, const cursor& where, schedule_definition& into) {
  const auto length = to.in.read_duration(where, zero_duration::allowed);
  into.every = length.value_or(schedule_every_min);
  if (into.every < schedule_every_min) {
    to.in.report(where, "`every` must be at least 1s", "leave what is faster to one run");
    into.every = schedule_every_min;
  }
}

void read_time(shape_context& to, const std::optional<cursor>& where,
               std::optional<runtime::wall_time>& into) {
  const auto text = where ? to.in.read_text(*where, time_example) : std::nullopt;
  if (!text) {
    return;
  }
  const auto time = runtime::from_rfc3339(*text);
  if (time && *time < 0) {
    to.in.report(*where, where->label() + ": `" + shown_name(*text) + "` is before 1970",
                 "leave it out");
  } else if (time) {
    into = runtime::wall_time{runtime::duration{*time}};
  } else {
    to.in.report(*where, where->label() + ": `" + shown_name(*text) + "` is no time",
                 std::string{time_example} + ", with `Z` or an offset from UTC");
  }
}

// The parameters of the pipeline are known by now.
void check_params(shape_context& to, const cursor& place, const std::optional<field_map>& params,
                  const schedule_definition& made) {
  const auto bound = bind_params_json(
      to.out.definition, to_json(make_value(value::map{made.params.begin(), made.params.end()})));
  for (const auto& each : bound.diagnostics) {
    constexpr std::string_view before = "/params/";
    auto name = each.pointer.substr(std::min(before.size(), each.pointer.size()));
    name = name.substr(0, name.find('/'));
    const auto at = params ? params->at(name) : std::nullopt;
    to.in.report(at.value_or(place), each.text,
                 at ? each.hint : "give it under `params` of the schedule");
  }
}

void read_schedule_params(shape_context& to, const field_map& fields, schedule_definition& made) {
  const auto where = fields.at("params");
  auto entries = where ? to.in.read_map(*where, "a map", "write `params: {day: monday}`")
                       : std::optional<map_entries>{};
  std::optional<field_map> params;
  if (entries) {
    for (const auto& [key, content] : *entries) {
      if (auto given = read_param_content(to, under(*where, *key, *content))) {
        made.params[key->text] = *std::move(given);
      }
    }
    params.emplace(*where, *std::move(entries));
  }
  check_params(to, where.value_or(fields.where()), params, made);
}

schedule_definition read_one(shape_context& to, const cursor& where) {
  schedule_definition made;
  const auto fields = read_fields(to, where, "a cron expression, a map or a list of maps", example,
                                  schedule_keys());
  if (!fields) {
    made.cron = "@daily";
    return made;
  }
  if (const auto name = fields->at("name")) {
    made.name = read_name(to, *name, name_rule::thing);
  }
  read_times(to, *fields, "a schedule", made);
  if (const auto overlap = fields->at("overlap")) {
    if (const auto word = to.in.read_word(*overlap, overlap_words)) {
      made.overlap = static_cast<overlap_policy>(*word);
    }
  }
  if (const auto catchup = fields->at("catchup")) {
    if (const auto word = to.in.read_word(*catchup, catchup_words)) {
      made.catchup = static_cast<catchup_policy>(*word);
    }
  }
  read_duration(to, fields->at("catchup_window"), made.catchup_window, zero_duration::refused);
  read_schedule_params(to, *fields, made);
  return made;
}

}  // namespace

void read_times(shape_context& to, const field_map& fields, std::string_view whose,
                schedule_definition& made) {
  const auto cron = fields.at("cron");
  const auto every = fields.at("every");
  if (cron) {
    read_cron(to, *cron, made);
  }
  if (every) {
    read_every(to, *every, made);
  }
  if (cron && every) {
    to.in.report(*every, std::string{whose} + " has `cron` or `every`, not both",
                 "remove one of them");
    made.every = {};
  } else if (!cron && !every) {
    to.in.report(fields.where(), std::string{whose} + " has neither `cron` nor `every`",
                 "write `cron: \"0 3 * * *\"` or `every: 1h`");
    made.cron = "@daily";
  }
  if (const auto zone = fields.at("timezone")) {
    read_time_zone(to, *zone, made);
    if (!cron && every) {
      to.in.report(*zone, "`timezone` goes with `cron`", "remove it: `every` counts elapsed time");
    }
  }
  read_time(to, fields.at("start"), made.start);
  read_time(to, fields.at("end"), made.end);
  if (made.start && made.end && *made.end < *made.start) {
    to.in.report(*fields.at("end"), "`end` is before `start`");
  }
  if (const auto jitter = fields.at("jitter")) {
    made.jitter = to.in.read_duration(*jitter, zero_duration::allowed).value_or(made.jitter);
  }
  if (const auto paused = fields.at("paused")) {
    made.paused = to.in.read_bool(*paused).value_or(false);
  }
}

void read_schedules(shape_context& to, const cursor& where) {
  auto& schedules = to.out.definition.schedules;
  if (where.node->kind == yaml_kind::scalar) {
    read_cron(to, where, schedules.emplace_back());
    check_params(to, where, {}, schedules.back());
    return;
  }
  if (where.node->kind != yaml_kind::sequence) {
    schedules.push_back(read_one(to, where));
    return;
  }
  if (where.node->items.size() > definition_schedules_max) {
    to.in.report(
        where, "a pipeline has at most " + std::to_string(definition_schedules_max) + " schedules",
        "use `*/15` and lists in one `cron`");
    return;
  }
  for (const auto& each : to.in.elements(where)) {
    auto made = read_one(to, each);
    for (const auto& other : schedules) {
      if (other.name == made.name) {
        to.in.report(each, "two schedules are called `" + made.name + "`",
                     "give each a `name` of its own");
      }
    }
    schedules.push_back(std::move(made));
  }
}

}  // namespace millrace::actors
