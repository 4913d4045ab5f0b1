// SPDX-License-Identifier: MIT
#include "chaos/nemesis.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace chaos {

namespace {

constexpr auto look_interval = 20ms;
constexpr std::size_t nobody = SIZE_MAX;
constexpr std::string_view disk_is_full = "the disk is full";  // as a silo says
const std::string etcd_name = cluster::etcd_machine;

}  // namespace

nemesis::nemesis(wishes what, cluster& whom)
    : wishes_(std::move(what)), cluster_(whom), random_(wishes_.seed) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  tell("is " + std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()) +
       " ms by the clock of the silos");
}

// Short ones are as likely as long ones, by order of magnitude.
std::chrono::milliseconds nemesis::between(std::chrono::milliseconds least,
                                           std::chrono::milliseconds most) {
  const auto part = static_cast<double>(below(1001)) / 1000;
  const auto from = std::log(static_cast<double>(least.count()));
  const auto to = std::log(static_cast<double>(most.count()));
  return std::chrono::milliseconds{static_cast<std::int64_t>(std::exp(from + part * (to - from)))};
}

std::chrono::milliseconds nemesis::time_of_fault(std::chrono::milliseconds least,
                                                 std::chrono::milliseconds most) {
  return between(least, std::max(least, std::min(most, wishes_.fault_max)));
}

void nemesis::tell(const std::string& line) {
  const auto at = std::chrono::duration_cast<std::chrono::milliseconds>(steady::now() - began_);
  std::printf("%8.2f %s\n", static_cast<double>(at.count()) / 1000, line.c_str());
  std::fflush(stdout);
}

std::size_t nemesis::unharmed_silo() {
  std::vector<std::size_t> left;
  for (std::size_t at = 0; at < cluster_.silos(); ++at) {
    if (std::none_of(harms_.begin(), harms_.end(),
                     [&](const harm& each) { return each.machine == at; })) {
      left.push_back(at);
    }
  }
  return left.empty() ? nobody : left[below(left.size())];
}

void nemesis::kill(std::size_t machine, const std::string& what) {
  const auto time = time_of_fault(10ms, 8s);
  tell(what + " " + cluster_.at(machine).name + " for " + std::to_string(time.count()) + " ms");
  cluster_.kill(machine);
  harms_.push_back({what, machine, steady::now() + time});
  ++counted_[what];
}

void nemesis::stop_one(std::size_t machine) {
  const auto time = time_of_fault(100ms, 60s);
  tell("stop " + cluster_.at(machine).name + " for " + std::to_string(time.count()) + " ms");
  cluster_.stop(machine);
  harms_.push_back({"stop", machine, steady::now() + time});
  ++counted_["stop"];
}

// One silo and the others hear nothing of each other, or only one way, or with the store.
void nemesis::part() {
  const auto one = unharmed_silo();
  const auto& name = cluster_.at(one).name;
  const auto kinds = cluster_.has_etcd() ? 5U : 3U;
  const auto kind = below(kinds);
  const auto time = time_of_fault(200ms, 15s);
  auto& net = *cluster_.net();
  std::string how;
  const auto cut_all = [&](bool out, bool in) {
    for (std::size_t at = 0; at < cluster_.size(); ++at) {
      if (at != one && out) {
        net.cut(name, cluster_.at(at).name);
      }
      if (at != one && in) {
        net.cut(cluster_.at(at).name, name);
      }
    }
  };
  if (kind == 0) {
    cut_all(true, true);
    if (cluster_.has_etcd() && below(2) == 0) {
      net.cut(name, etcd_name);
      net.cut(etcd_name, name);
      how = " and the store";
    }
    how = "from all" + how;
  } else if (kind == 1) {
    below(2) == 0 ? cut_all(true, false) : cut_all(false, true);
    how = "one way";
  } else if (kind == 2) {
    const auto other = (one + 1 + below(cluster_.silos() - 1)) % cluster_.silos();
    net.cut(name, cluster_.at(other).name);
    if (below(2) == 0) {
      net.cut(cluster_.at(other).name, name);
    }
    how = "from " + cluster_.at(other).name;
  } else {
    net.cut(name, etcd_name);
    if (kind == 3) {
      net.cut(etcd_name, name);
    }
    how = "from the store";
  }
  tell("partition " + name + " " + how + " for " + std::to_string(time.count()) + " ms");
  harms_.push_back({"partition", one, steady::now() + time});
  ++counted_["partition"];
}

void nemesis::harm_etcd() {
  const auto time = time_of_fault(100ms, 20s);
  const auto is_kill = below(2) == 0;
  tell("etcd " + std::string{is_kill ? "killed" : "stopped"} + " for " +
       std::to_string(time.count()) + " ms");
  is_kill ? cluster_.etcd().end(SIGKILL) : cluster_.etcd().signal(SIGSTOP);
  harms_.push_back({is_kill ? "etcd killed" : "etcd stopped", nobody, steady::now() + time});
  ++counted_["etcd"];
}

bool nemesis::harm_one(const std::string& fault) {
  const auto has = [&](const std::string& what) {
    return std::any_of(harms_.begin(), harms_.end(),
                       [&](const harm& each) { return each.what.starts_with(what); });
  };
  if (fault == "etcd") {
    return cluster_.has_etcd() && !has("etcd") && (harm_etcd(), true);
  }
  if (fault == "kill" && below(8) == 0) {  // a gateway, which is nobody's copy
    const auto gateway = cluster_.silos() + below(cluster_.size() - cluster_.silos());
    if (std::none_of(harms_.begin(), harms_.end(),
                     [&](const harm& each) { return each.machine == gateway; })) {
      kill(gateway, "kill");
      return true;
    }
    return false;
  }
  if (fault == "kill" && below(25) == 0 && harms_.empty()) {
    tell("kill all silos");
    for (std::size_t at = 0; at < cluster_.silos(); ++at) {
      kill(at, "kill");
    }
    return true;
  }
  const auto harmed =
      static_cast<std::size_t>(std::count_if(harms_.begin(), harms_.end(), [&](const harm& each) {
        return each.machine < cluster_.silos();
      }));
  if (harmed >= harmed_max()) {
    return false;
  }
  const auto silo = unharmed_silo();
  if (fault == "kill") {
    kill(silo, "kill");
  } else if (fault == "stop") {
    stop_one(silo);
  } else if (fault == "partition") {
    if (has("partition")) {
      return false;
    }
    part();
  } else if (fault == "disk") {
    const auto time = time_of_fault(500ms, 15s);
    tell("disk of " + cluster_.at(silo).name + " is full for " + std::to_string(time.count()) +
         " ms");
    const auto told = cluster_.has_said(silo, disk_is_full);
    cluster_.fill_disk(silo);
    harms_.push_back({"disk", silo, steady::now() + time, told});
    ++counted_["disk"];
  } else if (fault == "wipe") {
    if (!harms_.empty() || !cluster_.becomes_whole(wishes_.whole_within)) {
      return false;
    }
    kill(silo, "wipe");
    cluster_.wipe(silo);
  }
  return true;
}

void nemesis::mend(const harm& one) {
  if (one.what == "kill" || one.what == "wipe") {
    cluster_.start(one.machine);
  } else if (one.what == "stop") {
    cluster_.go_on(one.machine);
  } else if (one.what == "partition") {
    cluster_.net()->heal();
  } else if (one.what == "disk") {
    counted_["disk noticed"] +=
        cluster_.has_said(one.machine, disk_is_full) > one.told_before ? 1 : 0;
    cluster_.free_disk(one.machine);
  } else if (one.what == "etcd killed") {
    cluster_.start_etcd();
  } else {
    cluster_.etcd().signal(SIGCONT);
  }
  tell("mended: " + one.what +
       (one.machine < cluster_.size() ? " " + cluster_.at(one.machine).name : ""));
}

// Each as often as the others.
std::string nemesis::next_fault() {
  if (left_.empty()) {
    left_.assign(wishes_.faults.begin(), wishes_.faults.end());
  }
  const auto at = left_.begin() + static_cast<std::ptrdiff_t>(below(left_.size()));
  auto fault = *at;
  left_.erase(at);
  return fault;
}

// What cannot be at this time is to come in the same turn still.
void nemesis::harm_next() {
  auto fault = next_fault();
  if (!harm_one(fault)) {
    left_.push_back(std::move(fault));
  }
}

bool nemesis::round() {
  for (auto number = 1 + below(3); number > 0; --number) {
    harm_next();
    cluster_.attend(between(20ms, 1s));
  }
  while (!harms_.empty()) {
    cluster_.attend(look_interval);
    const auto now = steady::now();
    const auto due = std::find_if(harms_.begin(), harms_.end(),
                                  [&](const harm& each) { return each.until <= now; });
    if (due != harms_.end()) {
      mend(*due);
      harms_.erase(due);
      // Sometimes the next blow falls before it has recovered.
      if (below(4) == 0) {
        harm_next();
      }
    }
  }
  const auto begin = steady::now();
  if (!cluster_.becomes_served(wishes_.served_within)) {
    const auto health = cluster_.health();
    complaint_ = "it is not served " + std::to_string(wishes_.served_within.count() / 1000) +
                 " s after all was mended: of " + std::to_string(health.partitions) +
                 " partitions " + std::to_string(health.served) + " are served, " +
                 std::to_string(health.whole) + " with all copies";
    return false;
  }
  tell("served after " +
       std::to_string(
           std::chrono::duration_cast<std::chrono::milliseconds>(steady::now() - begin).count()) +
       " ms, " + std::to_string(cluster_.health().whole) + " whole");
  return true;
}

void nemesis::mend_all() {
  for (const auto& each : harms_) {
    mend(each);
  }
  harms_.clear();
}

}  // namespace chaos
