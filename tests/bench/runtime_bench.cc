// SPDX-License-Identifier: MIT
// Runtime benchmark: actors beside raw CAF and raw LMDB, in the same run, as ratios.
//
//   bench_runtime [--directory DIR] [--only NAME]
//
// Names: call, send, memory, activation, latency, burst, sustained, stored, keyed. Each figure is
// the median of several runs; ours and the yardstick take turns.
#include <lmdb.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <caf/all.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "bench/figures.h"

namespace {

using namespace millrace::bench;
using namespace std::chrono_literals;

// --- call and send -------------------------------------------------------------------------------

caf::behavior echo(caf::event_based_actor*) {
  return {[](int number) { return number; }};
}

struct pinger_state {
  caf::actor to;
  int left = 0;
};

void ping(caf::stateful_actor<pinger_state>* self) {
  self->request(self->state.to, std::chrono::seconds{30}, 1).then([self](int) {
    if (--self->state.left > 0) {
      ping(self);
    } else {
      self->quit();
    }
  });
}

caf::behavior pinger(caf::stateful_actor<pinger_state>* self, caf::actor to, int times) {
  self->state.to = std::move(to);
  self->state.left = times;
  ping(self);
  return {[](caf::unit_t) {}};
}

double caf_calls(int times) {
  caf::actor_system_config config;  // the default policy, its fastest for one pair
  caf::actor_system system{config};
  auto server = system.spawn(echo);
  std::atomic<bool> done{false};
  const auto start = now();
  {
    auto client = system.spawn(pinger, server, times);
    client->attach_functor([&done] { done = true; });
  }
  while (!done) {
    ::usleep(200);
  }
  const auto rate = times / (now() - start);
  caf::anon_send_exit(server, caf::exit_reason::kill);
  return rate;
}

double our_calls(int times) {
  auto here = memory_silo();
  require(here->call(ref<Counter>("b").get()).has_value(), "get");
  const auto start = now();
  require(here->call(ref<Counter>("a").spin("b", static_cast<std::uint32_t>(times))).has_value(),
          "spin");
  return times / (now() - start);
}

caf::behavior sink(caf::event_based_actor*, std::atomic<int>* seen) {
  return {[seen](int) { seen->fetch_add(1, std::memory_order_relaxed); }};
}

double caf_sends(int times) {
  caf::actor_system_config config;
  config.set("scheduler.policy", caf::atom("sharing"));
  caf::actor_system system{config};
  std::atomic<int> seen{0};
  auto to = system.spawn(sink, &seen);
  const auto start = now();
  for (int at = 0; at < times; ++at) {
    caf::anon_send(to, at);
  }
  while (seen < times) {
    ::usleep(100);
  }
  const auto rate = times / (now() - start);
  caf::anon_send_exit(to, caf::exit_reason::kill);
  return rate;
}

double our_sends(int times) {
  auto here = memory_silo();
  const auto to = ref<Counter>("b");
  require(here->call(to.get()).has_value(), "get");
  const auto start = now();
  for (int at = 0; at < times; ++at) {
    here->tell(to.raise());
  }
  require(here->call(to.get()).has_value(), "get");  // first in, first out: all have been handled
  return times / (now() - start);
}

// --- memory --------------------------------------------------------------------------------------

double our_memory(int count) {
  auto here = memory_silo();
  require(here->call(ref<Counter>("first").get()).has_value(), "get");
  const auto before = heap_bytes();
  for (int at = 0; at < count; ++at) {
    here->tell(ref<Counter>("k" + std::to_string(at)).get());
  }
  for (int at = 0; at < count; ++at) {
    require(here->call(ref<Counter>("k" + std::to_string(at)).get()).has_value(), "get");
  }
  return (heap_bytes() - before) / count;
}

double caf_memory(int count) {
  caf::actor_system_config config;
  config.set("scheduler.policy", caf::atom("sharing"));
  caf::actor_system system{config};
  std::atomic<int> seen{0};
  std::vector<caf::actor> all;
  all.reserve(static_cast<std::size_t>(count));
  const auto before = heap_bytes();
  for (int at = 0; at < count; ++at) {
    all.push_back(system.spawn(sink, &seen));
    caf::anon_send(all.back(), at);
  }
  while (seen < count) {
    ::usleep(100);
  }
  const auto bytes = (heap_bytes() - before) / count;
  for (auto& each : all) {
    caf::anon_send_exit(each, caf::exit_reason::kill);
  }
  return bytes;
}

// --- rows ----------------------------------------------------------------------------------------

class raw_lmdb {
public:
  explicit raw_lmdb(const std::string& name) {
    const auto path = directory + "/" + name;
    std::filesystem::create_directories(path);
    require(mdb_env_create(&env_) == 0, "mdb_env_create");
    mdb_env_set_mapsize(env_, std::size_t{16} << 30U);
    require(mdb_env_open(env_, path.c_str(), 0, 0600) == 0, "mdb_env_open");
    MDB_txn* txn = nullptr;
    mdb_txn_begin(env_, nullptr, 0, &txn);
    require(mdb_dbi_open(txn, nullptr, 0, &rows_) == 0, "mdb_dbi_open");
    mdb_txn_commit(txn);
  }
  raw_lmdb(const raw_lmdb&) = delete;
  raw_lmdb& operator=(const raw_lmdb&) = delete;
  ~raw_lmdb() { mdb_env_close(env_); }

  // Commits `count` puts of 200 bytes under random-looking (or growing) keys.
  void put(std::uint64_t first, int count, bool append) {
    MDB_txn* txn = nullptr;
    require(mdb_txn_begin(env_, nullptr, 0, &txn) == 0, "mdb_txn_begin");
    char value[200] = {};
    for (int at = 0; at < count; ++at) {
      std::uint64_t words[2] = {(first + static_cast<std::uint64_t>(at)) * 0x9e3779b97f4a7c15ULL,
                                0};
      if (append) {
        words[0] = __builtin_bswap64(first + static_cast<std::uint64_t>(at));
      }
      MDB_val key{sizeof words, words};
      MDB_val data{sizeof value, value};
      require(mdb_put(txn, rows_, &key, &data, append ? MDB_APPEND : 0U) == 0, "mdb_put");
    }
    require(mdb_txn_commit(txn) == 0, "mdb_txn_commit");
  }
  bool get(std::uint64_t number) {
    MDB_txn* txn = nullptr;
    mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn);
    std::uint64_t words[2] = {number * 0x9e3779b97f4a7c15ULL, 0};
    MDB_val key{sizeof words, words};
    MDB_val data{};
    const auto found = mdb_get(txn, rows_, &key, &data) == 0;
    mdb_txn_abort(txn);
    return found;
  }

private:
  MDB_env* env_ = nullptr;
  MDB_dbi rows_ = 0;
};

void bench_latency() {
  auto here = disk_silo("latency");
  raw_lmdb raw{"latency-raw"};
  std::vector<double> ours;
  std::vector<double> theirs;
  std::uint64_t number = 1;
  require(here->call(ref<Counter>("one").add(1)).has_value(), "add");
  for (int at = 0; at < 2'000; ++at) {
    auto start = now();
    require(here->call(ref<Counter>("one").add(1)).has_value(), "add");
    ours.push_back((now() - start) * 1e6);
    start = now();
    raw.put(number++, 1, true);
    theirs.push_back((now() - start) * 1e6);
  }
  std::printf("%-12s ours %12.0f  yardstick %12.0f %-14s ratio %6.2f  target <= 2\n", "latency",
              median(ours), median(theirs), "us median", median(ours) / median(theirs));
  std::sort(ours.begin(), ours.end());
  std::sort(theirs.begin(), theirs.end());
  const auto at = ours.size() * 99 / 100;
  std::printf("%-12s ours %12.0f  yardstick %12.0f %-14s\n", "", ours[at], theirs[at], "us p99");
}

void bench_burst() {
  auto here = disk_silo("burst");
  raw_lmdb raw{"burst-raw"};
  durable_calls(*here, 0, 50'000, 50'000, 10'000);  // activates them
  std::uint64_t next = 1;
  constexpr int calls = 200'000;
  constexpr int puts = 50'000;
  thread_costs ours;
  thread_costs theirs;
  double raw_seconds = 0;
  compare(
      "burst", "per second",
      [&] {
        ours.begin();
        const auto rate = durable_calls(*here, 0, calls, 50'000, 10'000);
        ours.end();
        return rate;
      },
      [&] {
        theirs.begin();
        const auto start = now();
        for (int at = 0; at < puts / 1'000; ++at, next += 1'000) {
          raw.put(next, 1'000, false);
        }
        const auto took = now() - start;
        theirs.end();
        raw_seconds += took;
        return puts / took;
      },
      ">= 4");
  ours.print(rounds * calls);
  std::printf("             LMDB takes %.0f ns a put, %.0f of them on its processor\n",
              raw_seconds / (rounds * puts) * 1e9, theirs.caller_seconds() / (rounds * puts) * 1e9);
}

void bench_sustained() {
  auto here = disk_silo("sustained");
  raw_lmdb raw{"sustained-raw"};
  constexpr int total = 1'000'000;
  const auto ours = durable_calls(*here, 0, total, total, 20'000);
  const auto start = now();
  for (std::uint64_t at = 0; at < total; at += 10'000) {
    raw.put(at + 1, 10'000, false);
  }
  const auto theirs = total / (now() - start);
  std::printf("%-12s ours %12.0f  yardstick %12.0f %-14s ratio %6.2f  target >= 0.8\n", "sustained",
              ours, theirs, "per second", ours / theirs);
  std::printf(
      "             each of 1,000,000 distinct actors activated, changed and made durable once\n");
}

void bench_stored() {
  constexpr int count = 1'000'000;
  {
    auto here = disk_silo("sustained");  // its million, or makes them
    if (here->call(ref<Counter>("d999999").get())->total() == 0) {
      durable_calls(*here, 0, count, count, 20'000);
    }
  }
  const auto start = now();
  auto here = disk_silo("sustained");
  const auto opened = now() - start;
  std::printf("%-12s a silo with 1,000,000 stored actors starts in %.2f s\n", "stored", opened);
  raw_lmdb raw{"stored-raw"};
  for (std::uint64_t at = 0; at < 200'000; at += 10'000) {
    raw.put(at + 1, 10'000, false);
  }
  std::uint64_t next = 0;
  std::uint64_t raw_next = 0;
  caf::actor_system_config config;
  config.set("scheduler.policy", caf::atom("sharing"));
  caf::actor_system system{config};
  std::atomic<int> seen{0};
  compare(
      "activation", "per second",
      [&] {
        return call_many<counter_interface::get_results>(*here, 40'000, 1'000, [&](int) {
          return ref<Counter>("d" + std::to_string(next++ * 7919 % count)).get();
        });
      },
      [&] {
        constexpr int part = 40'000;
        std::vector<caf::actor> all;
        all.reserve(part);
        const auto from = now();
        for (int at = 0; at < part; ++at) {
          require(raw.get(1 + raw_next++ * 7919 % 200'000), "mdb_get");
          all.push_back(system.spawn(sink, &seen));
        }
        const auto rate = part / (now() - from);
        for (auto& each : all) {
          caf::anon_send_exit(each, caf::exit_reason::kill);
        }
        return rate;
      },
      ">= 0.5");
}

// Of one actor: what a keyed call takes beside one without a key, and what is left of many of them
// in memory and to be read by its next activation.
void bench_keyed() {
  constexpr int calls = 100'000;
  const auto to = ref<Counter>("keyed");
  std::uint64_t next = 0;
  const auto taken = [](silo& here,
                        const std::function<call<counter_interface::add_results>()>& one) {
    const auto before = processor_seconds();
    call_many<counter_interface::add_results>(here, calls, 1'000, [&](int) { return one(); });
    return (processor_seconds() - before) / calls * 1e6;
  };
  const auto keyed = [&] { return to.add(1).keyed("key of a call " + std::to_string(next++)); };
  auto here = disk_silo("keyed");
  const auto plain = taken(*here, [&] { return to.add(1); });
  const auto first = taken(*here, keyed);
  const auto second = taken(*here, keyed);
  std::printf("%-12s a call takes %.1f us of processor time, with a new key %.1f and %.1f\n",
              "keyed", plain, first, second);
  here->stop();
  here = disk_silo("keyed");
  require(here->call(ref<Counter>("other").get()).has_value(), "get");
  const auto empty = heap_bytes();
  const auto start = now();
  require(here->call(to.get()).has_value(), "get");
  const auto took = now() - start;
  const auto loaded = heap_bytes() - empty;
  const auto later = taken(*here, keyed);
  next = 0;
  const auto again = taken(*here, keyed);
  std::printf(
      "             with the answers of %d it begins in %.1f ms and %.0f KB; then a new key takes "
      "%.1f us, an old one %.1f\n",
      2 * calls, took * 1e3, loaded / 1e3, later, again);
}

}  // namespace

int main(int count, char** arguments) {
  std::string only;
  for (int at = 1; at + 1 < count; at += 2) {
    if (std::strcmp(arguments[at], "--only") == 0) {
      only = arguments[at + 1];
    } else if (std::strcmp(arguments[at], "--directory") == 0) {
      directory = arguments[at + 1];
    }
  }
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  const auto wanted = [&](const char* name) { return only.empty() || only == name; };
  if (wanted("call")) {
    compare(
        "call", "per second", [] { return our_calls(1'000'000); },
        [] { return caf_calls(300'000); }, ">= 1.5");
  }
  if (wanted("send")) {
    compare(
        "send", "per second", [] { return our_sends(1'000'000); },
        [] { return caf_sends(1'000'000); }, ">= 0.7");
  }
  if (wanted("memory")) {
    compare(
        "memory", "bytes", [] { return our_memory(50'000); }, [] { return caf_memory(50'000); },
        "<= 1.6");
  }
  if (wanted("latency")) {
    bench_latency();
  }
  if (wanted("burst")) {
    bench_burst();
  }
  if (wanted("sustained")) {
    bench_sustained();
  }
  if (wanted("stored") || wanted("activation")) {
    bench_stored();
  }
  if (wanted("keyed")) {
    bench_keyed();
  }
  std::filesystem::remove_all(directory);
}
