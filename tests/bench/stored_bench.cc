// SPDX-License-Identifier: MIT
// What stored actors cost: memory when they are idle, time when there are millions, reminders.
//
//   bench_stored --directory DIR NAME...
//
// Names: idle, millions (makes ten million actors unless they are there: some minutes and 2 GB),
// reminders, window.
#include <cstring>
#include <filesystem>
#include <thread>

#include "bench/figures.h"

namespace {

using namespace millrace::bench;
using namespace std::chrono_literals;
using add_results = counter_interface::add_results;
using get_results = counter_interface::get_results;

std::string key_of(std::uint64_t number) {
  return "d" + std::to_string(number);
}

double megabytes(const std::string& name) {
  double all = 0;
  for (const auto& each : std::filesystem::recursive_directory_iterator{directory + "/" + name}) {
    all += each.is_regular_file() ? static_cast<double>(each.file_size()) : 0;
  }
  return all / 1e6;
}

// --- idle ----------------------------------------------------------------------------------------

// A counter with a total, a note of 100 bytes and one record in a map, read from its rows.
void bench_idle() {
  constexpr int count = 50'000;
  {
    auto here = disk_silo("idle");
    call_many<void>(*here, count, 1'000, [](int at) {
      return ref<Counter>(key_of(static_cast<std::uint64_t>(at))).set_note(std::string(100, 'n'));
    });
    call_many<counter_interface::mark_results>(*here, count, 1'000, [](int at) {
      return ref<Counter>(key_of(static_cast<std::uint64_t>(at))).mark("m");
    });
  }
  auto here = disk_silo("idle");
  require(here->call(ref<Counter>("first").get()).has_value(), "get");
  const auto before = heap_bytes();
  call_many<get_results>(*here, count, 1'000, [](int at) {
    return ref<Counter>(key_of(static_cast<std::uint64_t>(at))).get();
  });
  std::printf("%-12s ours %12.0f  bytes                                         target < 2300\n",
              "idle", (heap_bytes() - before) / count);
  std::printf("             a stored counter with a note of 100 bytes and a record in a map\n");
}

// --- millions ------------------------------------------------------------------------------------

void fill(const std::string& name, int count) {
  if (std::filesystem::exists(directory + "/" + name)) {
    return;
  }
  const auto start = now();
  auto here = disk_silo(name, {.memory_budget_bytes = std::size_t{256} << 20U});
  durable_calls(*here, 0, count, count, 20'000);
  here->stop(60s);
  std::printf("             %d actors stored in %.0f s: %.0f MB\n", count, now() - start,
              megabytes(name));
  std::fflush(stdout);
}

double open_seconds(const std::string& name) {
  const auto start = now();
  auto here = disk_silo(name);
  require(here->call(ref<Counter>("d1").get())->total() > 0, "a stored total");
  return now() - start;
}

// One silo of `count` stored actors, which are called at random.
class population {
public:
  population(const std::string& name, std::uint64_t count, std::size_t budget)
      : count_(count),
        here_(disk_silo(name, {.memory_budget_bytes = budget, .warn = [](auto) {}})) {}

  double calls(int number) {
    return call_many<get_results>(*here_, number, 1'000, [this](int) {
      next_ += 7'919;
      return ref<Counter>(key_of(next_ % count_)).get();
    });
  }
  void again() { next_ = 0; }

private:
  std::uint64_t count_;
  std::uint64_t next_ = 0;
  std::unique_ptr<silo> here_;
};

void bench_millions() {
  constexpr int few = 10'000;
  constexpr int many = 10'000'000;
  fill("few", few);
  fill("many", many);
  const auto row = [](const char* what, const char* unit, auto&& of_many, auto&& of_few) {
    std::vector<double> a;
    std::vector<double> b;
    for (int round = 0; round < rounds; ++round) {
      a.push_back(of_many());
      b.push_back(of_few());
    }
    std::printf("%-12s 10 million %12.3f  10 thousand %12.3f %-14s ratio %6.2f\n", what, median(a),
                median(b), unit, median(a) / median(b));
    std::fflush(stdout);
  };
  row(
      "open", "s", [] { return open_seconds("many"); }, [] { return open_seconds("few"); });
  {
    // Nearly no room: every call reads the actor's rows. The first ones bring in the pages.
    population large{"many", many, 65'536};
    population small{"few", few, 65'536};
    large.calls(400'000);
    small.calls(40'000);
    row(
        "stored", "calls a second", [&] { return large.calls(40'000); },
        [&] { return small.calls(40'000); });
  }
  population large{"many", many, 0};
  population small{"few", few, 0};
  const auto active = [](population& all) {
    all.again();
    return all.calls(few);
  };
  active(large);
  active(small);
  row(
      "active", "calls a second", [&] { return active(large); }, [&] { return active(small); });
}

// --- reminders -----------------------------------------------------------------------------------

std::uint64_t fired(const silo& here) {
  return here.stats().reminders_fired_total;
}

// 100,000 actors with a reminder every 10 s each, spread evenly: ten thousand a second fall due.
void bench_reminders() {
  constexpr int count = 100'000;
  auto here = disk_silo("reminders");
  const auto remind = [](int every_ms, int spread_ms, int first_ms) {
    return [=](int at) {
      return ref<Counter>(key_of(static_cast<std::uint64_t>(at)))
          .remind_in(first_ms + static_cast<std::int64_t>(at) * spread_ms / count, every_ms);
    };
  };
  call_many<void>(*here, count, 10'000, remind(10'000, 10'000, 12'000));
  std::this_thread::sleep_for(14s);
  for (int round = 0; round < 2; ++round) {
    const auto start = now();
    const auto before = fired(*here);
    std::this_thread::sleep_for(10s);
    std::printf("%-12s ours %12.0f  per second of 10,000 that fall due   target >= 10000\n",
                "reminders", static_cast<double>(fired(*here) - before) / (now() - start));
  }
  const auto before = fired(*here);
  call_many<void>(*here, count, 10'000, remind(0, 0, 8'000));  // all at once
  const auto early = fired(*here);
  while (fired(*here) == early) {
    std::this_thread::sleep_for(1ms);
  }
  const auto start = now();
  const auto from = fired(*here);
  while (here->stats().reminders > 0) {
    std::this_thread::sleep_for(1ms);
  }
  std::printf("%-12s ours %12.0f  per second when all are due at once\n", "",
              static_cast<double>(fired(*here) - from) / (now() - start));
  require(fired(*here) - before >= count, "every reminder fires");
}

// Durable calls as a client of another store makes them: 50 at a time.
void bench_window() {
  auto here = disk_silo("window");
  durable_calls(*here, 0, 20'000, 10'000, 10'000);  // activates them
  std::vector<double> all;
  for (int round = 0; round < 3; ++round) {
    all.push_back(durable_calls(*here, 0, 100'000, 10'000, 50));
  }
  std::printf("%-12s ours %12.0f  durable adds per second, 50 at a time\n", "window", median(all));
}

}  // namespace

int main(int count, char** arguments) {
  for (int at = 1; at < count; ++at) {
    const std::string_view name{arguments[at]};
    if (name == "--directory" && at + 1 < count) {
      directory = arguments[++at];
      std::filesystem::create_directories(directory);
    } else if (name == "idle") {
      bench_idle();
    } else if (name == "millions") {
      bench_millions();
    } else if (name == "reminders") {
      bench_reminders();
    } else if (name == "window") {
      bench_window();
    } else {
      std::fprintf(stderr, "bench_stored: no figure is called '%s'\n", arguments[at]);
      return 2;
    }
  }
}
