// SPDX-License-Identifier: MIT
// What a cluster costs and how fast it recovers, on one machine with the `local` store.
//
//   bench_cluster --directory DIR NAME...
//
// Names: remote (calls between two silos), replicated (durable calls on three disks and on one),
// failover (first answer after SIGKILL and SIGSTOP), handover (pause of a partition that moves),
// timeline (throughput and latency across a kill, as a table: see `recovery`). MILLRACE_TRIALS is
// how often silos are harmed: 20 unless it is set.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>

#include "bench/basp.h"
#include "bench/figures.h"
#include "bench/tcp_echo.h"

namespace {

using namespace millrace::bench;
using namespace std::chrono_literals;
using add_results = counter_interface::add_results;
using get_results = counter_interface::get_results;

constexpr std::uint16_t partitions = 64;
constexpr double forever = 60;  // seconds; nothing here takes so long

int trials() {
  const auto* wanted = std::getenv("MILLRACE_TRIALS");
  return wanted != nullptr ? std::atoi(wanted) : 20;
}

// --- silos ---------------------------------------------------------------------------------------

silo_options options_of(const std::string& name) {
  silo_options options{.mailbox_messages_max = 100'000'000, .name = name, .warn = [](auto) {}};
  options.cluster.emplace();
  options.cluster->coordination = "local:" + directory + "/coordination";
  options.cluster->balance_after = 1s;
  return options;
}

std::unique_ptr<silo> cluster_silo(const std::string& name) {
  auto rows = open_storage(
      {.directory = directory + "/" + name, .partition_count = partitions, .in_cluster = true});
  require(rows.has_value(), "open_storage");
  auto here = std::make_unique<silo>(*std::move(rows), options_of(name));
  here->add<counter>();
  require(here->start().has_value(), "start of a silo");
  return here;
}

// Calls, and has nothing.
std::unique_ptr<silo> calling_silo() {
  auto options = options_of("caller");
  options.cluster->roles = {.gateway = true};
  auto here = std::make_unique<silo>(nullptr, std::move(options));
  require(here->start().has_value(), "start of the caller");
  return here;
}

// Until every partition has its copies and each silo leads some.
void wait_until_whole(const silo& here, std::size_t copies) {
  const auto start = now();
  for (;;) {
    const auto seen = here.cluster_view();
    std::map<std::string, int> led;
    bool is_whole = !seen.partitions.empty();
    for (const auto& each : seen.partitions) {
      ++led[each.primary];
      is_whole = is_whole && each.is_active && each.in_sync.size() == copies;
    }
    if (is_whole && led.size() == copies) {
      return;
    }
    require(now() - start < forever, "the cluster does not become whole");
    std::this_thread::sleep_for(10ms);
  }
}

// Keys of actors that the silo leads.
std::vector<std::string> keys_on(const silo& here, const std::string& silo, std::size_t count) {
  const auto seen = here.cluster_view();
  std::vector<std::string> keys;
  for (int number = 0; keys.size() < count; ++number) {
    auto key = "k" + std::to_string(number);
    const auto at = static_cast<std::size_t>(partition_of("counter", key, "", partitions));
    if (seen.partitions.at(at).primary == silo) {
      keys.push_back(std::move(key));
    }
  }
  return keys;
}

// --- remote --------------------------------------------------------------------------------------

// Reads, `window` of them open: each begins as an earlier one is answered, as the yardstick's do.
// Per second.
double remote_calls(silo& here, const std::vector<std::string>& keys, int total, int window) {
  std::atomic<int> begun{0};
  std::atomic<int> answered{0};
  const std::function<void()> call = [&] {
    const auto at = static_cast<std::size_t>(begun++);
    here.call_then<get_results>(ref<Counter>(keys[at % keys.size()]).get(), [&](auto answer) {
      require(answer.has_value(), answer ? "" : answer.error().to_string().c_str());
      if (begun < total) {
        call();
      }
      if (++answered == total) {
        answered.notify_one();
      }
    });
  };
  const auto start = now();
  for (int at = 0; at < window; ++at) {
    call();
  }
  for (int seen = answered; seen < total; seen = answered) {
    answered.wait(seen);
  }
  return total / (now() - start);
}

void bench_remote() {
  auto a = cluster_silo("a");
  auto b = cluster_silo("b");
  wait_until_whole(*a, 2);
  const auto keys = keys_on(*a, "b", 64);
  for (const auto& key : keys) {
    require(a->call(ref<Counter>(key).add(1)).has_value(), "add");
  }
  compare(
      "remote call", "us (TCP echo)",
      [&] {
        constexpr int calls = 5'000;
        const auto start = now();
        for (int at = 0; at < calls; ++at) {
          require(a->call(ref<Counter>(keys[0]).get()).has_value(), "get");
        }
        return (now() - start) * 1e6 / calls;
      },
      [] { return raw_round_trip(std::string(64, 'x')); }, "<= 3");
  constexpr int pipelined = 300'000;
  double processor = 0;
  compare(
      "remote calls", "a second (CAF)",
      [&] {
        const auto before = processor_seconds();
        const auto rate = remote_calls(*a, keys, pipelined, 1'000);
        processor += processor_seconds() - before;
        return rate;
      },
      [] { return basp_calls(100'000, 1'000); }, ">= 5");
  print_processor_time(processor / (rounds * pipelined));
  b->stop();
  a->stop();
}

// --- replicated ----------------------------------------------------------------------------------

void bench_replicated() {
  constexpr int actors = 20'000;
  constexpr int window = 10'000;
  std::vector<std::unique_ptr<silo>> silos;
  for (const auto* name : {"a", "b", "c"}) {
    silos.push_back(cluster_silo(name));
  }
  wait_until_whole(*silos[0], 3);
  auto alone = disk_silo("alone");
  durable_calls(*silos[0], 0, actors, actors, window);  // activates them
  durable_calls(*alone, 0, actors, actors, window);
  compare(
      "replicated", "per second",
      [&] { return durable_calls(*silos[0], 0, 100'000, actors, window); },
      [&] { return durable_calls(*alone, 0, 100'000, actors, window); }, ">= 0.3");
  std::vector<double> three;
  std::vector<double> one;
  for (int at = 0; at < 500; ++at) {
    for (const auto& [here, all] : {std::pair{silos[0].get(), &three}, {alone.get(), &one}}) {
      const auto start = now();
      require(here->call(ref<Counter>("d" + std::to_string(at)).add(1)).has_value(), "add");
      all->push_back((now() - start) * 1e6);
    }
  }
  std::printf("%-12s ours %12.0f  yardstick %12.0f %-14s ratio %6.2f  target -\n", " alone",
              median(three), median(one), "us median", median(three) / median(one));
  for (auto& each : silos) {
    each->stop();
  }
}

// --- harm ----------------------------------------------------------------------------------------

// Silos that are processes. SIGUSR1 has one drain, SIGUSR2 take part again.
int serve(const std::string& name) {
  sigset_t told;
  sigemptyset(&told);
  for (const int each : {SIGTERM, SIGUSR1, SIGUSR2}) {
    sigaddset(&told, each);
  }
  ::pthread_sigmask(SIG_BLOCK, &told, nullptr);  // before there are other threads
  auto here = cluster_silo(name);
  std::printf("serves\n");
  std::fflush(stdout);
  for (int signal = 0; ::sigwait(&told, &signal) == 0 && signal != SIGTERM;) {
    require((signal == SIGUSR1 ? here->drain() : here->end_drain()).has_value(), "drain");
  }
  here->stop();
  return 0;
}

class silo_process {
public:
  explicit silo_process(std::string name) : name_(std::move(name)) { start(); }
  silo_process(const silo_process&) = delete;
  silo_process& operator=(const silo_process&) = delete;
  ~silo_process() { end(SIGKILL); }

  void start() {
    int ends[2];
    require(::pipe(ends) == 0, "pipe");
    child_ = ::fork();
    require(child_ >= 0, "fork");
    if (child_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
      ::execl("/proc/self/exe", "bench_cluster", "--directory", directory.c_str(), "serve",
              name_.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    char said = 0;
    require(::read(ends[0], &said, 1) == 1, "a silo that serves");
    ::close(ends[0]);
  }
  void send(int signal) const { ::kill(child_, signal); }
  void end(int signal) {
    if (child_ > 0) {
      send(signal);
      ::waitpid(child_, nullptr, 0);
      child_ = 0;
    }
  }
  [[nodiscard]] const std::string& name() const { return name_; }

private:
  std::string name_;
  pid_t child_ = 0;
};

class three_silos {
public:
  three_silos() {
    for (const auto* name : {"a", "b", "c"}) {
      processes_.push_back(std::make_unique<silo_process>(name));
    }
    caller = calling_silo();
    wait_until_whole(*caller, 3);
  }
  three_silos(const three_silos&) = delete;
  three_silos& operator=(const three_silos&) = delete;
  ~three_silos() { caller->stop(); }

  silo_process& at(int number) { return *processes_[static_cast<std::size_t>(number) % 3]; }
  // Milliseconds until an actor answers a read.
  double answers_after(const std::string& key) {
    const auto start = now();
    while (!caller->call(ref<Counter>(key).get())) {
      require(now() - start < forever, "an actor does not answer");
    }
    return (now() - start) * 1e3;
  }

  std::unique_ptr<silo> caller;

private:
  std::vector<std::unique_ptr<silo_process>> processes_;
};

void print_distribution(const char* name, std::vector<double> all, const char* target) {
  std::sort(all.begin(), all.end());
  const auto at = [&](std::size_t percent) {
    return all[std::min(all.size() - 1, all.size() * percent / 100)];
  };
  std::printf("%-12s p50 %6.0f  p90 %6.0f  p99 %6.0f  max %6.0f ms of %zu trials  target %s\n",
              name, at(50), at(90), at(99), all.back(), all.size(), target);
  std::fflush(stdout);
}

// Each trial has a cluster of its own: a copy that leaves its set again and again is kept out for
// longer and longer.
void bench_failover() {
  const auto all = directory;
  std::vector<double> killed;
  std::vector<double> stopped;
  for (int trial = 0; trial < trials(); ++trial) {
    directory = all + "/" + std::to_string(trial);
    std::filesystem::create_directories(directory);
    {
      three_silos cluster;
      const auto harm = [&](int number, int signal) {
        auto& victim = cluster.at(number);
        const auto key = keys_on(*cluster.caller, victim.name(), 1).front();
        require(cluster.caller->call(ref<Counter>(key).add(1)).has_value(), "add");
        victim.send(signal);
        const auto taken = cluster.answers_after(key);
        victim.end(SIGKILL);
        return taken;
      };
      killed.push_back(harm(trial, SIGKILL));
      cluster.at(trial).start();
      wait_until_whole(*cluster.caller, 3);
      stopped.push_back(harm(trial + 1, SIGSTOP));
    }
    std::filesystem::remove_all(directory);
  }
  print_distribution("kill", killed, "p99 < 1000");
  print_distribution("stop", stopped, "p99 < 3000");
}

// The longest that a caller waits, who calls all the time, while the partition goes to another
// silo.
void bench_handover() {
  three_silos cluster;
  std::vector<double> pauses;
  for (int trial = 0; trial < trials(); ++trial) {
    auto& from = cluster.at(trial);
    const auto key = keys_on(*cluster.caller, from.name(), 1).front();
    const auto partition = static_cast<std::size_t>(partition_of("counter", key, "", partitions));
    const auto is_led_there = [&] {
      return cluster.caller->cluster_view().partitions[partition].primary == from.name();
    };
    const auto call = [&] {
      const auto start = now();
      require(cluster.caller->call(ref<Counter>(key).add(1)).has_value(), "a call fails");
      return (now() - start) * 1e3;
    };
    call();
    from.send(SIGUSR1);
    double longest = 0;
    for (double end = forever + now(), moved = 0; now() < end;
         longest = std::max(longest, call())) {
      if (moved == 0 && !is_led_there()) {
        moved = now();
        end = moved + 0.3;
      }
    }
    pauses.push_back(longest);
    from.send(SIGUSR2);
    wait_until_whole(*cluster.caller, 3);
  }
  print_distribution("handover", pauses, "max < 200");
}

// --- timeline ------------------------------------------------------------------------------------

// What callers see across a kill: a line each 100 ms. 64 of them call all the time, one actor each.
class timeline {
public:
  void run(three_silos& cluster) {
    caller_ = cluster.caller.get();
    start_ = now();
    for (int number = 0; number < callers; ++number) {
      call("t" + std::to_string(number));
    }
    sleep_until(3);
    cluster.at(0).end(SIGKILL);
    sleep_until(6);
    cluster.at(0).start();
    sleep_until(12);
    is_over_ = true;
    for (int left = open_; left > 0; left = open_) {
      open_.wait(left);
    }
    print();
  }

private:
  static constexpr int callers = 64;
  static constexpr std::size_t steps = 120;
  struct step {
    std::vector<double> took;  // milliseconds, of those answered in it
    int failed = 0;
  };

  void call(const std::string& key) {
    ++open_;
    const auto since = now();
    caller_->call_then<add_results>(ref<Counter>(key).add(1), [this, key, since](auto answer) {
      note(since, answer.has_value());
      if (!is_over_) {
        call(key);
      }
      --open_;
      open_.notify_one();
    });
  }
  void note(double since, bool is_answer) {
    const auto at = static_cast<std::size_t>((now() - start_) * 10);
    const std::lock_guard lock{mutex_};
    if (at < steps && is_answer) {
      steps_[at].took.push_back((now() - since) * 1e3);
    } else if (at < steps) {
      ++steps_[at].failed;
    }
  }
  void sleep_until(double seconds) const {
    std::this_thread::sleep_for(std::chrono::duration<double>{start_ + seconds - now()});
  }
  void print() {
    std::printf("# seconds\tanswers a second\tmedian ms\tlongest ms\tfailed\n");
    for (std::size_t at = 0; at < steps; ++at) {
      auto& [took, failed] = steps_[at];
      std::sort(took.begin(), took.end());
      std::printf("%.1f\t%zu\t", static_cast<double>(at) / 10, took.size() * 10);
      if (took.empty()) {
        std::printf("NaN\tNaN\t%d\n", failed);
      } else {
        std::printf("%.2f\t%.2f\t%d\n", took[took.size() / 2], took.back(), failed);
      }
    }
  }

  silo* caller_ = nullptr;
  double start_ = 0;
  std::atomic<bool> is_over_ = false;
  std::atomic<int> open_ = 0;
  std::mutex mutex_;
  std::array<step, steps> steps_;
};

}  // namespace

int main(int count, char** arguments) {
  const std::map<std::string_view, void (*)()> figures{
      {"remote", bench_remote},
      {"replicated", bench_replicated},
      {"failover", bench_failover},
      {"handover", bench_handover},
      {"timeline",
       [] {
         three_silos cluster;
         timeline{}.run(cluster);
       }},
  };
  std::string root = directory;
  for (int at = 1; at < count; ++at) {
    const std::string_view name{arguments[at]};
    if (name == "--directory" && at + 1 < count) {
      root = directory = arguments[++at];
    } else if (name == "serve" && at + 1 < count) {
      return serve(arguments[at + 1]);
    } else if (const auto found = figures.find(name); found != figures.end()) {
      directory = root + "/" + std::string{name};
      std::filesystem::create_directories(directory);
      found->second();
    } else {
      std::fprintf(stderr, "bench_cluster: no figure is called '%s'\n", arguments[at]);
      return 2;
    }
  }
}
