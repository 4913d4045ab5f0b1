// SPDX-License-Identifier: MIT
// `millrace_chaos [--seed N] [--silos N] [--minutes N] [--faults A,B] [--etcd] [--room DIR]`, or
// `millrace_chaos --check HISTORY`; see docs/chaos.md.
#include <unistd.h>

#include <boost/program_options.hpp>

#include <cstdio>
#include <iostream>
#include <sstream>

#include "chaos/campaign.h"

namespace chaos {
namespace {

namespace po = boost::program_options;

fault_names faults_of(const std::string& text) {
  const fault_names known{"kill", "stop", "partition", "disk", "etcd", "wipe"};
  fault_names made;
  std::istringstream words{text};
  for (std::string word; std::getline(words, word, ',');) {
    if (!known.contains(word)) {
      throw std::runtime_error{"there is no fault '" + word +
                               "'; there are kill, stop, partition, disk, etcd, wipe"};
    }
    made.insert(word);
  }
  if (made.empty()) {
    throw std::runtime_error{"--faults names none"};
  }
  return made;
}

int check_file(const std::string& name) {
  std::ifstream file{name};
  const auto found = check(read_history(file));
  std::printf("%zu operations of %zu keys, %zu of them unknown\n", found.operations, found.keys,
              found.unknown);
  for (const auto& each : found.violations) {
    std::printf("%s\n", each.c_str());
  }
  for (const auto& each : found.undecided) {
    std::printf("undecided: %s\n", each.c_str());
  }
  return found.is_clean() ? 0 : 1;
}

void print(const campaign_result& done) {
  std::printf("%llu answers, %llu refused, %llu unknown, %zu keys, %zu runs;",
              static_cast<unsigned long long>(done.ok),
              static_cast<unsigned long long>(done.failed),
              static_cast<unsigned long long>(done.unknown), done.judged.keys, done.runs);
  for (const auto& [name, count] : done.faults) {
    std::printf(" %s %zu", name.c_str(), count);
  }
  std::printf("; %zu ended by themselves\n", done.ended_alone);
}

int run(int count, char** arguments) {
  po::options_description known{"Options"};
  campaign_wishes wishes;
  std::string faults;
  std::string room;
  double minutes = 1;
  known.add_options()("help,h", "print this")(
      "seed", po::value(&wishes.seed)->default_value(std::random_device{}() % 100'000))(
      "silos", po::value(&wishes.silos)->default_value(3), "3 or 5")(
      "minutes", po::value(&minutes)->default_value(1))(
      "faults", po::value(&faults)->default_value("kill,stop"),
      "of kill, stop, partition, disk, etcd, wipe; those with partition and disk need root")(
      "etcd", "coordinate by an etcd of its own; so it is with the fault etcd, too")(
      "no-runs", "leave pipelines out")("room", po::value(&room), "an empty directory for it all")(
      "check", po::value<std::string>(), "judge a history")(
      "program", po::value(&wishes.program)->default_value(MILLRACE_CHAOS_SILO));
  po::variables_map values;
  po::store(po::parse_command_line(count, arguments, known), values);
  po::notify(values);
  if (values.count("help") > 0) {
    std::cout << known;
    return 0;
  }
  if (values.count("check") > 0) {
    return check_file(values["check"].as<std::string>());
  }
  wishes.faults = faults_of(faults);
  wishes.has_etcd = values.count("etcd") > 0 || wishes.faults.contains("etcd");
  wishes.has_runs = values.count("no-runs") == 0;
  wishes.time = std::chrono::milliseconds{static_cast<std::int64_t>(minutes * 60'000)};
  wishes.room =
      room.empty()
          ? std::filesystem::temp_directory_path() /
                ("millrace-chaos-" + std::to_string(wishes.seed) + "-" + std::to_string(::getpid()))
          : std::filesystem::path{room};
  const auto done = run_campaign(wishes);
  print(done);
  for (const auto& each : done.mistakes) {
    std::printf("%s\n", each.c_str());
  }
  if (done.mistakes.empty()) {
    std::filesystem::remove_all(wishes.room);
    return 0;
  }
  std::printf(
      "seed %llu: %zu mistakes, history and logs in %s; again: ./dev chaos --seed %llu "
      "--silos %zu --minutes %g --faults %s%s\n",
      static_cast<unsigned long long>(wishes.seed), done.mistakes.size(), wishes.room.c_str(),
      static_cast<unsigned long long>(wishes.seed), wishes.silos, minutes, faults.c_str(),
      values.count("etcd") > 0 ? " --etcd" : "");
  return 1;
}

}  // namespace
}  // namespace chaos

int main(int count, char** arguments) {
  try {
    return chaos::run(count, arguments);
  } catch (const std::exception& wrong) {
    std::fprintf(stderr, "millrace_chaos: %s\n", wrong.what());
    return 2;
  }
}
