// SPDX-License-Identifier: MIT
// A cluster whose silos come and go all the time, under load.
#include <cstdlib>
#include <map>
#include <set>

#include "conformance/cluster.h"

namespace millrace::conformance {
namespace {

constexpr std::size_t silos_max = 10;
constexpr auto period = 10s;

class churning_cluster {
public:
  explicit churning_cluster(unsigned seed) : random_(seed) {
    for (std::size_t at = 0; at < silos_max; ++at) {
      names_.emplace_back(1, static_cast<char>('a' + at));
    }
    for (int number = 0; number < 12; ++number) {
      sums_["k" + std::to_string(number)] = {};
    }
  }

  // Ends with that many silos, and looks whether everything is as it was told.
  void pass_period(std::size_t wanted) {
    const auto end = cluster_.clock().steady() + period;
    while (cluster_.clock().steady() < end || up().size() != wanted) {
      const auto count = up().size();
      if (count < wanted || (count == wanted && count < silos_max && one_in(4))) {
        start_one();
      } else if (count > wanted || (count > 1 && one_in(4))) {
        end_one();
      }
      ask();
      ask();
      cluster_.advance(std::chrono::milliseconds{50 + random_() % 1'000});
      gather();
    }
    fewest_ = std::min(fewest_, up().size());
    most_ = std::max(most_, up().size());
    check();
  }

  void bring_back_all() {
    while (start_one()) {
    }
    REQUIRE(cluster_.until_whole());
    REQUIRE(cluster_.until([&] { return all_answered(); }));
    gather();
    check();
  }

  std::size_t fewest() const { return fewest_; }
  std::size_t most() const { return most_; }
  std::int64_t acknowledged() const {
    std::int64_t all = 0;
    for (const auto& [key, sum] : sums_) {
      all += sum.acknowledged;
    }
    return all;
  }

private:
  struct sums {
    std::int64_t acknowledged = 0;
    std::int64_t unknown = 0;
    std::int64_t seen = 0;  // by anybody: it may not go back
  };
  using add_call = decltype(std::declval<probe_cluster>().begin(ref<Ledger>("k").add(1)));
  using get_call = decltype(std::declval<probe_cluster>().begin(ref<Ledger>("k").get()));
  struct addition {
    std::string key;
    std::string from;
    add_call call;
  };
  struct reading {
    std::string key;
    std::int64_t least;  // it was acknowledged, or seen, before
    get_call call;
  };

  bool one_in(std::size_t bound) { return random_() % bound == 0; }
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    return all[random_() % all.size()];
  }
  std::vector<std::string> those(bool are_up) {
    std::vector<std::string> found;
    std::copy_if(names_.begin(), names_.end(), std::back_inserter(found),
                 [&](const std::string& each) { return cluster_.is_up(each) == are_up; });
    return found;
  }
  std::vector<std::string> up() { return those(true); }

  bool start_one() {
    const auto down = those(false);
    if (!down.empty()) {
      cluster_.start(one_of(down));
    }
    return !down.empty();
  }

  void end_one() {
    const auto silo = one_of(up());
    gather();
    switch (random_() % 3) {
      case 0:
        cluster_.stop(silo);
        break;
      case 1:
        cluster_.kill(silo, ending::proven);
        break;
      default:
        cluster_.kill(silo, ending::silent);
    }
    // What it has asked for others may do all the same, and nobody hears of it.
    std::erase_if(open_, [&](addition& each) {
      sums_[each.key].unknown += each.from == silo ? 1 : 0;
      return each.from == silo;
    });
  }

  void ask() {
    const auto from = one_of(up());
    const auto key = "k" + std::to_string(random_() % sums_.size());
    open_.push_back({key, from, cluster_.begin(ref<Ledger>(key).add(1), from)});
  }

  bool all_answered() {
    return std::all_of(open_.begin(), open_.end(),
                       [](addition& each) { return each.call.answered(); });
  }

  void gather() {
    std::erase_if(open_, [&](addition& each) {
      if (!each.call.answered()) {
        return false;
      }
      auto& sum = sums_[each.key];
      if (const auto answer = each.call.answer()) {
        ++sum.acknowledged;
        sum.seen = std::max(sum.seen, answer->total());
      } else {
        sum.unknown += retry_of(answer.error().code()) == retry_class::safe ? 0 : 1;
      }
      return true;
    });
  }

  std::int64_t most_of(const std::string& key) const {
    const auto& sum = sums_.at(key);
    return sum.acknowledged + sum.unknown +
           std::count_if(open_.begin(), open_.end(),
                         [&](const addition& each) { return each.key == key; });
  }

  // Asks for those, and takes out which are told.
  void read(std::set<std::string>& left) {
    std::vector<reading> open;
    open.reserve(left.size());
    for (const auto& key : left) {
      const auto& sum = sums_[key];
      open.push_back({key, std::max(sum.acknowledged, sum.seen),
                      cluster_.begin(ref<Ledger>(key).get(), one_of(up()))});
    }
    cluster_.until(
        [&] {
          return std::all_of(open.begin(), open.end(),
                             [](reading& each) { return each.call.answered(); });
        },
        3s);
    gather();
    for (auto& each : open) {
      if (!each.call.answered()) {
        each.call.cancel();
      } else if (const auto answer = each.call.answer()) {
        CAPTURE(each.key);
        CHECK(answer->total() >= each.least);
        CHECK(answer->total() <= most_of(each.key));
        sums_[each.key].seen = std::max(sums_[each.key].seen, answer->total());
        left.erase(each.key);
      }
    }
  }

  // What too few silos cannot tell, more of them can: each has its disk.
  void check() {
    gather();
    std::set<std::string> left;
    for (const auto& [key, sum] : sums_) {
      left.insert(key);
    }
    constexpr int tries_max = 60;
    for (int tries = 0; !left.empty(); ++tries) {
      REQUIRE(tries < tries_max);
      if (tries > 0) {
        start_one();
      }
      read(left);
    }
  }

  std::mt19937 random_;
  std::vector<std::string> names_;
  probe_cluster cluster_{{.partitions = 4}};
  std::map<std::string, sums> sums_;
  std::vector<addition> open_;
  std::size_t fewest_ = silos_max;
  std::size_t most_ = 0;
};

// Goal: nothing that was acknowledged is lost, nothing counts twice, nothing that was seen goes
// back, whoever comes and goes; and what too few silos cannot answer is answered with more.
// Method: for five minutes of the cluster's time (MILLRACE_ROUNDS: of ten seconds) silos start,
// stop and are killed at random, each number from one to ten for as long as the others, with
// increments going on; every ten seconds all is looked at. MILLRACE_SEED for others.
TEST_CASE("one to ten silos start, stop and are killed at random under load, and lose nothing") {
  const auto number_of = [](const char* name, int otherwise) {
    const auto* const given = std::getenv(name);
    return given != nullptr ? std::atoi(given) : otherwise;
  };
  const auto seed = static_cast<unsigned>(number_of("MILLRACE_SEED", 1));
  const auto rounds = number_of("MILLRACE_ROUNDS", 30);
  CAPTURE(seed);
  churning_cluster cluster{seed};
  std::mt19937 random{seed};
  std::vector<std::size_t> counts;
  for (int round = 0; round < rounds; ++round) {
    if (counts.empty()) {
      for (std::size_t count = 1; count <= silos_max; ++count) {
        counts.push_back(count);
      }
      std::shuffle(counts.begin(), counts.end(), random);
    }
    CAPTURE(round);
    cluster.pass_period(counts.back());
    counts.pop_back();
  }
  cluster.bring_back_all();
  if (rounds >= static_cast<int>(silos_max)) {
    CHECK(cluster.fewest() == 1);
    CHECK(cluster.most() == silos_max);
  }
  CHECK(cluster.acknowledged() > 10L * rounds);
}

}  // namespace
}  // namespace millrace::conformance
