// SPDX-License-Identifier: MIT
#include "chaos/campaign.h"

#include <algorithm>

namespace chaos {

namespace {

constexpr auto answers_within = 60s;
constexpr auto repeats_for = 60s;   // after all was mended
constexpr auto read_within = 180s;  // runs have to end meanwhile
constexpr std::size_t disk_mib = 256;

bool has_run(const history& events) {
  return std::any_of(events.begin(), events.end(), [](const event& each) {
    return each.f == "submit" && each.type == event_type::ok;
  });
}

}  // namespace

campaign_result run_campaign(const campaign_wishes& wishes) {
  std::filesystem::create_directories(wishes.room);
  campaign_result result;
  recorder seen{wishes.room / "history.jsonl"};
  {
    cluster whole{{.silos = wishes.silos,
                   .has_network = wishes.faults.contains("partition"),
                   .has_etcd = wishes.has_etcd,
                   .disk_mib = wishes.faults.contains("disk") ? disk_mib : 0,
                   .room = wishes.room,
                   .program = wishes.program}};
    load asking{{.seed = wishes.seed,
                 .has_runs = wishes.has_runs,
                 .has_full_disks = wishes.faults.contains("disk")},
                whole.clients(),
                seen};
    nemesis harming{{.seed = wishes.seed, .faults = wishes.faults, .fault_max = wishes.fault_max},
                    whole};
    const auto end = steady::now() + wishes.time;
    for (std::size_t round = 0; round < wishes.rounds_max && steady::now() < end; ++round) {
      if (!harming.round()) {
        result.mistakes.push_back(harming.complaint());
        break;
      }
    }
    harming.mend_all();
    const auto give_up = steady::now() + answers_within;
    do {
      whole.attend(200ms);
    } while (steady::now() < give_up && (asking.figures().ok < wishes.answers_min ||
                                         (wishes.has_runs && !has_run(seen.events()))));
    asking.end(result.mistakes.empty() ? repeats_for : 5s);
    std::vector<std::string> missing;
    asking.read_all(result.mistakes.empty() ? read_within : 20s, missing);
    for (const auto& each : missing) {
      result.mistakes.push_back("no answer: " + each);
    }
    result.faults = harming.counted();
    result.ok = asking.figures().ok;
    result.failed = asking.figures().failed;
    result.unknown = asking.figures().unknown;
    result.ended_alone = whole.ended_alone();
    for (const auto& each : whole.ends()) {
      std::printf("%s\n", each.c_str());
    }
  }
  const auto events = seen.events();
  for (const auto& each : events) {
    result.runs += each.f == "outcome" && each.type == event_type::ok ? 1 : 0;
  }
  result.judged = check(events);
  result.mistakes.insert(result.mistakes.end(), result.judged.violations.begin(),
                         result.judged.violations.end());
  for (const auto& each : result.judged.undecided) {
    result.mistakes.push_back("undecided: " + each);
  }
  return result;
}

}  // namespace chaos
