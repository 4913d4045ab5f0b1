// SPDX-License-Identifier: MIT
// What is there when all is over.
#include <algorithm>

#include "chaos/load.h"

namespace chaos {

namespace {

constexpr auto look_limit = 5s;
constexpr auto pause = 100ms;
constexpr std::uint64_t reader = 1'000'000;  // its process
const std::string runs_of_pipeline = "/api/v1/projects/default/pipelines/chaos/runs";

// As a path has it: `fan%5B0%5D`.
std::string escaped(const std::string& name) {
  std::string made;
  for (const auto each : name) {
    made += each == '[' ? "%5B" : each == ']' ? "%5D" : std::string(1, each);
  }
  return made;
}

}  // namespace

// Asks until there is an answer; null when there is none by `end`.
json load::look(const std::string& method, const std::string& target, steady::time_point end) {
  answer told;
  for (std::uint64_t number = 0; steady::now() < end; ++number) {
    told =
        caller_.ask(where_.pick(number), method, target, method == "POST" ? "{}" : "", look_limit);
    if (told.is == outcome::ok) {
      return told.body;
    }
    sleep(pause);
  }
  missing_->push_back(target + ": " + told.text);
  return {};
}

// What was learned as an operation of its own.
void load::note(const std::string& f, const std::string& key, const json& asked, const json& value,
                std::int64_t begin) {
  into_.add({begin, reader, event_type::invoke, f, key, asked});
  into_.add({now(), reader, event_type::ok, f, key, value});
}

void load::read_all(std::chrono::milliseconds limit, std::vector<std::string>& missing) {
  missing_ = &missing;
  const auto end = steady::now() + limit;
  for (const auto& key : keys_) {
    const auto kind = key.substr(0, key.find('/'));
    const auto begin = now();
    const auto found = look("POST", "/api/v1/actors/" + key + "/read", end);
    if (!found.is_null()) {
      auto value = found.at(kind == "register" ? "value" : kind == "counter" ? "total" : "values");
      if (kind == "set") {
        std::sort(value.begin(), value.end());
      }
      note("read", key, {}, value, begin);
    }
  }
  read_purses(steady::now() + limit / 2);  // each has its own time
  if (wishes_.has_runs) {
    read_runs(steady::now() + limit);
  }
}

// Transfers are under way for a while: it looks until as many have arrived as were sent.
void load::read_purses(steady::time_point end) {
  std::vector<json> audits;
  for (std::int64_t under_way = 1; under_way != 0 && steady::now() < end;) {
    under_way = 0;
    audits.clear();
    for (unsigned number = 0; number < purses; ++number) {
      auto found = look("POST", "/api/v1/actors/purse/" + std::to_string(number) + "/audit",
                        end + look_limit);
      if (found.is_null()) {
        return;
      }
      under_way += found.at("sent").get<std::int64_t>() - found.at("received").get<std::int64_t>();
      audits.push_back(std::move(found));
    }
    if (under_way != 0) {
      sleep(pause);
    }
  }
  for (unsigned number = 0; number < audits.size(); ++number) {
    const auto& one = audits[number];
    note("audit", "purse/" + std::to_string(number), {},
         {{"balance", opening_balance - one.at("spent").get<std::int64_t>()},
          {"sent", one.at("sent")},
          {"received", one.at("received")},
          {"twice", one.at("twice")}},
         now());
  }
}

void load::read_runs(steady::time_point end) {
  auto all = json::array();
  std::string before;
  do {
    const auto page = look(
        "GET", runs_of_pipeline + "?limit=200" + (before.empty() ? "" : "&cursor=" + before), end);
    if (page.is_null()) {
      return;
    }
    for (const auto& each : page.at("runs")) {
      all.push_back(each.at("id"));
    }
    before = page.value("next_cursor", "");
  } while (!before.empty());
  note("list", "run/chaos", {}, all, now());
  // One that does not end takes all the time there is: what it waits for, and the others, are seen
  // all the same.
  const auto once = [&] { return std::max(end, steady::now() + look_limit); };
  for (const auto& each : all) {
    const auto run = "/api/v1/runs/" + each.get<std::string>();
    json status;
    do {
      status = look("GET", run, once());
      const auto state = status.is_null() ? std::string{} : status.at("state").get<std::string>();
      if (state != "running") {
        break;
      }
      sleep(pause);
    } while (steady::now() < end);
    if (status.is_null()) {
      return;
    }
    json outcome{{"state", status.at("state")}, {"tasks", json::array()}};
    if (status.at("state") == "running") {
      outcome["pool"] = look("GET", "/api/v1/actors/pool/default/state", once());
    }
    const auto tasks = look("GET", run + "/tasks?limit=1000", once());
    for (const auto& task : tasks.is_null() ? json::array() : tasks.at("tasks")) {
      const auto detail = look("GET", run + "/tasks/" + escaped(task.at("id")), once());
      if (!detail.is_null()) {
        outcome["tasks"].push_back({{"name", detail.at("id")},
                                    {"state", detail.at("state")},
                                    {"reason", detail.value("reason", "")},
                                    {"attempts", detail.value("attempts", json::array())}});
      }
    }
    note("outcome", "run/chaos", each, outcome, now());
  }
}

}  // namespace chaos
