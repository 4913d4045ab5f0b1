// SPDX-License-Identifier: MIT
#include "chaos/cluster.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

namespace chaos {

namespace {

constexpr auto look_interval = 20ms;
constexpr auto start_limit = 180s;     // founding 256 partitions takes an etcd half a minute
constexpr auto restart_after = 500ms;  // of one that ended by itself
constexpr auto asked_within = 1s;      // by a client that has just been told where

// A port that was free a moment ago: what ends and starts again there has to have the same.
std::string free_port() {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof where;
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ::bind(probe, reinterpret_cast<sockaddr*>(&where), size);
  ::getsockname(probe, reinterpret_cast<sockaddr*>(&where), &size);
  ::close(probe);
  return std::to_string(ntohs(where.sin_port));
}

std::string last_lines(const std::filesystem::path& file) {
  std::ifstream log{file};
  std::string text{std::istreambuf_iterator<char>{log}, {}};
  constexpr std::size_t shown = 400;
  return text.substr(text.size() - std::min(text.size(), shown));
}

}  // namespace

void addresses::set(std::size_t machine, const std::string& url) {
  const std::lock_guard lock{mutex_};
  urls_.resize(std::max(urls_.size(), machine + 1));
  urls_[machine] = url;
}

std::vector<std::string> addresses::all() const {
  const std::lock_guard lock{mutex_};
  std::vector<std::string> found;
  std::copy_if(urls_.begin(), urls_.end(), std::back_inserter(found),
               [](const std::string& each) { return !each.empty(); });
  return found;
}

std::string addresses::pick(std::uint64_t random) const {
  const auto found = all();
  return found.empty() ? std::string{} : found[random % found.size()];
}

cluster::cluster(cluster_wishes wishes) : wishes_(std::move(wishes)) {
  std::vector<std::string> names;
  for (std::size_t at = 0; at < wishes_.silos; ++at) {
    names.emplace_back(1, static_cast<char>('a' + at));
  }
  for (std::size_t at = 1; at <= wishes_.gateways; ++at) {
    names.push_back("g" + std::to_string(at));
  }
  if (wishes_.has_network) {
    auto machines = names;
    machines.emplace_back(etcd_machine);
    network_ = std::make_unique<network>(machines);
  }
  if (wishes_.has_etcd) {
    etcd_port_ = free_port();
    start_etcd();
  }
  for (std::size_t at = 0; at < names.size(); ++at) {
    add(names[at], at < wishes_.silos);
    start(at);
  }
  if (!becomes_whole(start_limit)) {
    throw std::runtime_error{"the cluster does not come up"};
  }
}

cluster::~cluster() {
  for (auto& each : machines_) {
    each->process.signal(SIGKILL);
  }
  for (auto& each : machines_) {
    each->process.end(SIGKILL);
  }
  etcd_.end(SIGKILL);
  for (const auto& each : mounts_) {
    ::umount2(each.c_str(), MNT_DETACH);
  }
}

std::string cluster::host_of(const std::string& name) const {
  return network_ ? network_->address(name) : "127.0.0.1";
}

void cluster::add(const std::string& name, bool is_silo) {
  auto made = std::make_unique<machine>();
  made->name = name;
  made->is_silo = is_silo;
  made->data = wishes_.room / name;
  made->log = wishes_.room / (name + ".log");
  std::filesystem::create_directories(made->data);
  if (is_silo && wishes_.disk_mib > 0) {
    const auto size = "size=" + std::to_string(wishes_.disk_mib) + "m";
    if (::mount("tmpfs", made->data.c_str(), "tmpfs", 0, size.c_str()) != 0) {
      throw std::runtime_error{"cannot mount a small file system"};
    }
    mounts_.push_back(made->data);
  }
  const auto coordination = wishes_.has_etcd ? "http://" + host_of(etcd_machine) + ":" + etcd_port_
                                             : "local:" + (wishes_.room / "coordination").string();
  made->words = {wishes_.program,  is_silo ? "silo" : "gateway",
                 "--name",         name,
                 "--data",         (made->data / "millrace").string(),
                 "--listen",       host_of(name) + ":0",
                 "--coordination", coordination,
                 "--notify-fd",    "3",
                 "--log-format",   "json"};
  if (network_) {
    made->words.insert(made->words.end(),
                       {"--links", host_of(name) + ":0", "--plain-links", "--insecure"});
  }
  if (is_silo) {
    made->words.insert(made->words.end(), {"--slots", "4"});
  }
  machines_.push_back(std::move(made));
}

void cluster::start_etcd() {
  const auto client = "http://" + host_of(etcd_machine) + ":" + etcd_port_;
  const auto peer = "http://127.0.0.1:" + free_port();
  etcd_.start({"etcd", "--name=one", "--data-dir=" + (wishes_.room / "etcd").string(),
               "--listen-client-urls=" + client, "--advertise-client-urls=" + client,
               "--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
               "--initial-cluster=one=" + peer, "--heartbeat-interval=50", "--election-timeout=500",
               "--logger=zap"},
              wishes_.room / "etcd.log", network_ ? network_->name_space(etcd_machine) : "");
}

void cluster::start(std::size_t number) {
  auto& one = *machines_[number];
  one.is_wanted = true;
  one.serves = false;
  one.is_stopped = false;
  one.started_at = steady::now();
  one.process.start(one.words, one.log, network_ ? network_->name_space(one.name) : "");
}

void cluster::kill(std::size_t number) {
  auto& one = *machines_[number];
  clients_.set(number, "");
  one.is_wanted = one.serves = false;
  one.process.end(SIGKILL);
}

int cluster::end(std::size_t number) {
  auto& one = *machines_[number];
  clients_.set(number, "");
  attend(asked_within);
  one.is_wanted = one.serves = false;
  one.process.end(SIGTERM);
  const auto status = one.process.status();
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Clients go on asking it.
void cluster::stop(std::size_t number) {
  machines_[number]->is_stopped = true;
  machines_[number]->process.signal(SIGSTOP);
}

void cluster::go_on(std::size_t number) {
  machines_[number]->is_stopped = false;
  machines_[number]->process.signal(SIGCONT);
}

void cluster::wipe(std::size_t number) {
  std::filesystem::remove_all(machines_[number]->data / "millrace");
}

void cluster::fill_disk(std::size_t number) const {
  const auto file = machines_[number]->data / "ballast";
  const int to = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const std::string zeros(std::size_t{1} << 20U, '\0');
  for (auto size = zeros.size(); size > 0;) {  // to the last page
    const auto written = ::write(to, zeros.data(), size);
    size = written > 0 ? size : size / 2;
  }
  ::close(to);
}

void cluster::free_disk(std::size_t number) const {
  std::filesystem::remove(machines_[number]->data / "ballast");
}

std::size_t cluster::has_said(std::size_t number, std::string_view what) const {
  std::ifstream log{machines_[number]->log};
  std::size_t count = 0;
  for (std::string line; std::getline(log, line);) {
    count += line.find(what) != std::string::npos ? 1 : 0;
  }
  return count;
}

void cluster::look_after(std::size_t number) {
  auto& one = *machines_[number];
  if (!one.is_wanted || one.is_stopped) {
    return;
  }
  const auto now = steady::now();
  if (!one.process.runs()) {
    clients_.set(number, "");
    if (now > one.started_at + restart_after && now > one.tried_at + restart_after) {
      one.tried_at = now;
      ++ended_alone_;
      const auto status = one.process.status();
      ends_.push_back(one.name + " ended with status " + std::to_string(status) + ": " +
                      last_lines(one.log));
      one.process.end(SIGKILL);
      start(number);
    }
    return;
  }
  if (!one.serves) {
    if (const auto url = one.process.said()) {
      one.serves = true;
      if (wishes_.silos_answer || !one.is_silo) {
        clients_.set(number, *url);
      }
    }
  }
}

void cluster::attend(std::chrono::milliseconds time) {
  const auto end = steady::now() + time;
  do {
    for (std::size_t at = 0; at < machines_.size(); ++at) {
      look_after(at);
    }
    ::poll(nullptr, 0, static_cast<int>(look_interval.count()));
  } while (steady::now() < end);
}

cluster_health cluster::health() {
  cluster_health found;
  for (const auto& url : clients_.all()) {
    const auto told = caller_.ask(url, "GET", "/api/v1/partitions", "", 1s);
    if (told.is != outcome::ok || !told.body.is_object()) {
      continue;
    }
    found.is_known = true;
    for (const auto& each : told.body.at("partitions")) {
      const auto is_served = each.at("state") == "active" && each.at("epoch") != 0;
      ++found.partitions;
      found.served += is_served ? 1 : 0;
      found.whole +=
          is_served && each.at("in_sync").size() == std::min<std::size_t>(3, silos()) ? 1 : 0;
    }
    break;
  }
  return found;
}

bool cluster::becomes_served(std::chrono::milliseconds limit) {
  return becomes(&cluster_health::is_served, limit);
}

bool cluster::becomes_whole(std::chrono::milliseconds limit) {
  return becomes(&cluster_health::is_whole, limit);
}

bool cluster::becomes(bool (cluster_health::*is)() const, std::chrono::milliseconds limit) {
  const auto end = steady::now() + limit;
  while (steady::now() < end) {
    attend(100ms);
    const auto all_serve = std::all_of(machines_.begin(), machines_.end(),
                                       [](const auto& each) { return each->serves; });
    if (all_serve && (health().*is)()) {
      return true;
    }
  }
  return false;
}

}  // namespace chaos
