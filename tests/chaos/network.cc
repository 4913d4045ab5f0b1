// SPDX-License-Identifier: MIT
#include "chaos/network.h"

#include <unistd.h>

#include <iterator>
#include <sstream>
#include <stdexcept>

#include "chaos/child.h"

namespace chaos {

namespace {

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream words{line};
  return {std::istream_iterator<std::string>{words}, {}};
}

void must(const std::string& line) {
  std::string said;
  if (run_command(words_of(line), &said) != 0) {
    throw std::runtime_error{line + ": " + said};
  }
}

void may(const std::string& line) {
  std::string ignored;
  run_command(words_of(line), &ignored);
}

}  // namespace

network::network(const std::vector<std::string>& machines)
    : prefix_("mrc" + std::to_string(::getpid() % 1'000'000)) {
  const auto net = "10.214." + std::to_string(::getpid() % 250) + ".";
  try {
    must("ip link add " + prefix_ + " type bridge");
    must("ip address add " + net + "254/24 dev " + prefix_);
    must("ip link set " + prefix_ + " up");
    for (std::size_t at = 0; at < machines.size(); ++at) {
      const auto end = prefix_ + "v" + std::to_string(at);
      const auto& made =
          machines_[machines[at]] = {prefix_ + "-" + machines[at], net + std::to_string(at + 1)};
      must("ip netns add " + made.name_space);
      must("ip link add " + end + " type veth peer name eth0 netns " + made.name_space);
      must("ip link set " + end + " master " + prefix_ + " up");
      must("ip -n " + made.name_space + " address add " + made.address + "/24 dev eth0");
      must("ip -n " + made.name_space + " link set eth0 up");
      must("ip -n " + made.name_space + " link set lo up");
    }
  } catch (...) {
    remove();
    throw;
  }
}

network::~network() {
  remove();
}

void network::remove() {
  for (const auto& [name, each] : machines_) {
    may("ip netns delete " + each.name_space);  // takes its end of the cable along
  }
  may("ip link delete " + prefix_);
}

std::string network::name_space(const std::string& machine) const {
  return machines_.at(machine).name_space;
}

std::string network::address(const std::string& machine) const {
  return machines_.at(machine).address;
}

void network::cut(const std::string& from, const std::string& to) {
  if (cut_.emplace(from, to).second) {
    must("ip -n " + name_space(from) + " neighbour replace " + address(to) +
         " lladdr 02:00:00:00:00:99 dev eth0 nud permanent");
  }
}

void network::heal() {
  for (const auto& [from, to] : cut_) {
    must("ip -n " + name_space(from) + " neighbour delete " + address(to) + " dev eth0");
  }
  cut_.clear();
}

}  // namespace chaos
