// SPDX-License-Identifier: MIT
// Storage benchmark: our figures beside raw LMDB on the same disk, minutes apart, as ratios.
//
//   bench_storage [--directory DIR] [--seconds N] [--only NAME]
//
// All rows have 16-byte random-looking keys and 200-byte values. Everything that counts as done is
// on the disk. Names: burst, sustained, latency, read.
#include <lmdb.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/storage.h"

namespace {

using namespace millrace::runtime;

constexpr std::size_t value_bytes = 200;
constexpr std::uint64_t distinct_keys = 1'000'000;
constexpr std::size_t map_bytes = std::size_t{16} << 30U;

double now() {
  static const system_clock clock;
  return static_cast<double>(clock.steady().time_since_epoch().count()) * 1e-9;
}

void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "bench_storage: %s\n", what);
    std::exit(1);
  }
}

// Spreads key numbers over the key space (SplitMix64).
std::uint64_t mixed(std::uint64_t bits) {
  bits += 0x9e3779b97f4a7c15ULL;
  bits = (bits ^ (bits >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  bits = (bits ^ (bits >> 27U)) * 0x94d049bb133111ebULL;
  return bits ^ (bits >> 31U);
}

struct bench_key {
  std::array<char, 16> bytes;
  explicit bench_key(std::uint64_t number) {
    const std::array<std::uint64_t, 2> words{mixed(number), mixed(~number)};
    std::memcpy(bytes.data(), words.data(), bytes.size());
  }
  [[nodiscard]] std::string_view view() const { return {bytes.data(), bytes.size()}; }
};

std::string value_of(std::uint64_t number) {
  std::string value(value_bytes, 'v');
  std::memcpy(value.data(), &number, sizeof number);
  return value;
}

// ---- raw LMDB --------------------------------------------------------------------------------

class raw_lmdb {
public:
  explicit raw_lmdb(const std::string& directory) {
    std::filesystem::create_directories(directory);
    require(mdb_env_create(&env_) == 0 && mdb_env_set_mapsize(env_, map_bytes) == 0 &&
                mdb_env_open(env_, directory.c_str(), 0, 0600) == 0,
            "cannot open a raw environment");
    begin(0);
    require(mdb_dbi_open(txn_, nullptr, 0, &dbi_) == 0, "cannot open a raw table");
    commit();
  }
  raw_lmdb(const raw_lmdb&) = delete;
  raw_lmdb& operator=(const raw_lmdb&) = delete;
  ~raw_lmdb() { mdb_env_close(env_); }

  void begin(unsigned flags) {
    require(mdb_txn_begin(env_, nullptr, flags, &txn_) == 0, "cannot begin");
  }
  void commit() { require(mdb_txn_commit(txn_) == 0, "cannot commit"); }
  void put(std::string_view key, const std::string& value, unsigned flags) {
    MDB_val key_val{key.size(), const_cast<char*>(key.data())};
    MDB_val data{value.size(), const_cast<char*>(value.data())};
    require(mdb_put(txn_, dbi_, &key_val, &data, flags) == 0, "cannot put");
  }
  std::size_t get(std::string_view key) {
    MDB_val key_val{key.size(), const_cast<char*>(key.data())};
    MDB_val data{};
    require(mdb_get(txn_, dbi_, &key_val, &data) == 0, "cannot get");
    return std::string(static_cast<const char*>(data.mv_data), data.mv_size).size();
  }

  void load() {
    for (std::uint64_t number = 0; number < distinct_keys;) {
      begin(0);
      for (std::uint64_t end = number + 100'000; number < end; ++number) {
        put(bench_key{number}.view(), value_of(number), 0);
      }
      commit();
    }
  }

private:
  MDB_env* env_ = nullptr;
  MDB_txn* txn_ = nullptr;
  MDB_dbi dbi_ = 0;
};

// Random durable puts a second, over a table that has all keys.
double raw_puts(raw_lmdb& raw, std::uint64_t per_commit, double seconds) {
  std::uint64_t sequence = mixed(per_commit);
  std::uint64_t count = 0;
  const auto start = now();
  while (now() - start < seconds) {
    raw.begin(0);
    for (std::uint64_t index = 0; index < per_commit; ++index) {
      sequence = mixed(sequence);
      raw.put(bench_key{sequence % distinct_keys}.view(), value_of(sequence), 0);
    }
    raw.commit();
    count += per_commit;
  }
  return static_cast<double>(count) / (now() - start);
}

// ---- ours ------------------------------------------------------------------------------------

// A fixed set of requests that are used again and again, so that at most `size` are under way.
class commit_window {
public:
  commit_window(storage& store, std::size_t size) : store_(store), slots_(size) {
    for (auto& slot : slots_) {
      slot = new slot_request{*this};
    }
  }
  commit_window(const commit_window&) = delete;
  commit_window& operator=(const commit_window&) = delete;
  ~commit_window() {
    drain();
    for (auto* slot : slots_) {
      delete slot;
    }
  }

  void put(std::uint64_t number, std::uint64_t content) {
    await(sent_ < slots_.size() ? 0 : sent_ - slots_.size() + 1);
    auto* slot = slots_[sent_ % slots_.size()];
    const bench_key key{number};
    slot->partition = static_cast<partition_id>(static_cast<unsigned char>(key.bytes[0]) %
                                                store_.partition_count());
    slot->ops.clear();
    auto* at = slot->ops.put_uninitialized(key.view(), value_bytes);
    std::memset(at, 'v', value_bytes);
    std::memcpy(at, &content, sizeof content);
    ++sent_;
    store_.commit(std::unique_ptr<commit_request>{slot});
  }

  void drain() { await(sent_); }
  [[nodiscard]] std::uint64_t answered() const { return answered_; }

private:
  class slot_request final : public commit_request {
  public:
    explicit slot_request(commit_window& window) : window_(window) {}
    void done(result<void> outcome) override {
      require(outcome.has_value(), "a commit failed");
      auto& window = window_;
      const auto count = window.answered_.fetch_add(1, std::memory_order_release) + 1;
      if (count >= window.awaited_.load(std::memory_order_seq_cst)) {
        window.answered_.notify_one();
      }
    }

  private:
    commit_window& window_;
  };

  // Sleeps until a good part of the window is free, as workers would.
  void await(std::uint64_t count) {
    auto seen = answered_.load(std::memory_order_acquire);
    while (seen < count) {
      awaited_.store(count, std::memory_order_seq_cst);
      answered_.wait(seen, std::memory_order_acquire);
      seen = answered_.load(std::memory_order_acquire);
    }
    awaited_.store(UINT64_MAX, std::memory_order_relaxed);
  }

  storage& store_;
  std::vector<slot_request*> slots_;
  std::uint64_t sent_ = 0;
  std::atomic<std::uint64_t> answered_{0};
  std::atomic<std::uint64_t> awaited_{UINT64_MAX};
};

std::unique_ptr<storage> open_ours(const std::string& directory) {
  storage_options options;
  options.directory = directory;
  options.map_bytes = map_bytes;
  auto opened = open_storage(options);
  require(opened.has_value(), opened ? "" : opened.error().text().c_str());
  return std::move(*opened);
}

// Acknowledged commits a second of random keys out of `keys`, for some seconds.
double our_puts(storage& store, std::uint64_t keys, double seconds) {
  commit_window window{store, 20'000};
  std::uint64_t sequence = 1;
  const auto start = now();
  while (now() - start < seconds) {
    for (int index = 0; index < 256; ++index) {
      sequence = mixed(sequence);
      window.put(sequence % keys, sequence);
    }
  }
  window.drain();
  return static_cast<double>(window.answered()) / (now() - start);
}

void load_ours(storage& store) {
  commit_window window{store, 20'000};
  for (std::uint64_t number = 0; number < distinct_keys; ++number) {
    window.put(number, number);
  }
}

double percentile(std::vector<double>& seconds, double share) {
  std::sort(seconds.begin(), seconds.end());
  return seconds[static_cast<std::size_t>(static_cast<double>(seconds.size() - 1) * share)];
}

void report(const char* name, double ours, double raw, const char* unit, const char* goal) {
  std::printf("%-42s ours %10.1f  raw %10.1f %-5s  ratio %6.2f  (goal %s)\n", name, ours, raw, unit,
              ours / raw, goal);
  std::fflush(stdout);
}

void print_stats(const storage& store) {
  const auto stats = store.stats();
  std::printf(
      "  commits %llu, in groups of %.0f; checkpoint rows %llu in %llu transactions; "
      "overlay %llu MiB, journal %llu MiB\n",
      static_cast<unsigned long long>(stats.commits),
      static_cast<double>(stats.commits) /
          static_cast<double>(std::max<std::uint64_t>(stats.group_commits, 1)),
      static_cast<unsigned long long>(stats.checkpoint_rows),
      static_cast<unsigned long long>(stats.checkpoint_transactions),
      static_cast<unsigned long long>(stats.overlay_bytes >> 20U),
      static_cast<unsigned long long>(stats.journal_bytes >> 20U));
}

void bench_burst(const std::string& root, double seconds) {
  double raw_rate = 0;
  {
    raw_lmdb raw{root + "/raw"};
    raw.load();
    raw_rate = raw_puts(raw, 1000, seconds);
  }
  const auto store = open_ours(root + "/ours");
  const auto ours = our_puts(*store, distinct_keys, 2);
  report("burst: commits, raw at 1,000 a commit", ours, raw_rate, "/s", ">= 4");
  print_stats(*store);
}

void bench_sustained(const std::string& root, double seconds) {
  double raw_rate = 0;
  {
    raw_lmdb raw{root + "/raw"};
    raw.load();
    raw_rate = raw_puts(raw, 10'000, seconds);
  }
  const auto store = open_ours(root + "/ours");
  load_ours(*store);
  our_puts(*store, distinct_keys,
           seconds / 2);  // until the overlay and the tree are in steady state
  const auto ours = our_puts(*store, distinct_keys, 2 * seconds);
  report("sustained, 1 M keys: raw at 10,000 a commit", ours, raw_rate, "/s", ">= 0.8");
  print_stats(*store);
}

void bench_latency(const std::string& root) {
  constexpr int rounds = 3000;
  std::vector<double> raw_seconds;
  {
    raw_lmdb raw{root + "/raw"};
    for (std::uint64_t number = 0; number < rounds; ++number) {
      const auto start = now();
      std::array<char, 8> key;
      for (unsigned index = 0; index < key.size(); ++index) {
        key[index] = static_cast<char>(number >> (8U * (7U - index)));
      }
      raw.begin(0);
      raw.put({key.data(), key.size()}, value_of(number), MDB_APPEND);
      raw.commit();
      raw_seconds.push_back(now() - start);
    }
  }
  const auto store = open_ours(root + "/ours");
  std::vector<double> our_seconds;
  commit_window window{*store, 1};
  for (std::uint64_t number = 0; number < rounds; ++number) {
    const auto start = now();
    window.put(number, number);
    window.drain();
    our_seconds.push_back(now() - start);
  }
  report("latency of a lone commit, median", percentile(our_seconds, 0.5) * 1e6,
         percentile(raw_seconds, 0.5) * 1e6, "us", "<= 2");
  report("latency of a lone commit, 99 %", percentile(our_seconds, 0.99) * 1e6,
         percentile(raw_seconds, 0.99) * 1e6, "us", "<= 2");
}

class read_slot final : public read_request {
public:
  read_slot(std::string_view begins, std::atomic<std::uint64_t>& answered) : answered_(answered) {
    wanted_.prefix = begins;
    ranges = {&wanted_, 1};
  }
  void done(result<std::vector<row>> rows) override {
    const std::unique_ptr<read_slot> self{this};
    require(rows.has_value() && rows->size() == 1, "a read failed");
    answered_.fetch_add(1);
    answered_.notify_one();
  }

private:
  row_range wanted_;
  std::atomic<std::uint64_t>& answered_;
};

double our_reads(storage& store, std::uint64_t in_flight, double seconds) {
  std::atomic<std::uint64_t> answered{0};
  std::uint64_t sent = 0;
  std::uint64_t sequence = 7;
  const auto start = now();
  while (now() - start < seconds) {
    for (; sent < answered.load() + in_flight; ++sent) {
      sequence = mixed(sequence);
      const bench_key key{sequence % distinct_keys};
      auto request = std::make_unique<read_slot>(key.view(), answered);
      request->partition = static_cast<partition_id>(static_cast<unsigned char>(key.bytes[0]) %
                                                     store.partition_count());
      store.read(std::move(request));
    }
    const auto seen = answered.load();
    if (sent == seen + in_flight) {
      answered.wait(seen);
    }
  }
  for (auto seen = answered.load(); seen < sent; seen = answered.load()) {
    answered.wait(seen);
  }
  return static_cast<double>(sent) / (now() - start);
}

void bench_read(const std::string& root, double seconds) {
  double raw_rate = 0;
  {
    raw_lmdb raw{root + "/raw"};
    raw.load();
    std::uint64_t count = 0;
    std::uint64_t sequence = 7;
    raw.begin(MDB_RDONLY);
    const auto start = now();
    while (now() - start < seconds / 4) {
      for (int index = 0; index < 1000; ++index, ++count) {
        sequence = mixed(sequence);
        raw.get(bench_key{sequence % distinct_keys}.view());
      }
    }
    raw_rate = static_cast<double>(count) / (now() - start);
    raw.commit();
  }
  {
    const auto store = open_ours(root + "/ours");
    load_ours(*store);
  }
  const auto store = open_ours(root + "/ours");
  report("activation read, 1,000 in flight", our_reads(*store, 1000, seconds / 4), raw_rate, "/s",
         ">= 0.5 with the spawn");
  report("activation read, one at a time", our_reads(*store, 1, seconds / 4), raw_rate, "/s",
         "none");
}

}  // namespace

int main(int argc, char** argv) {
  std::string root = std::filesystem::temp_directory_path().string();
  double seconds = 10;
  std::string only;
  for (int index = 1; index + 1 < argc; index += 2) {
    const std::string_view name = argv[index];
    if (name == "--directory") {
      root = argv[index + 1];
    } else if (name == "--seconds") {
      seconds = std::atof(argv[index + 1]);
    } else if (name == "--only") {
      only = argv[index + 1];
    } else {
      require(false, "unknown option");
    }
  }
  const std::array<std::pair<const char*, std::function<void(const std::string&)>>, 4> all{{
      {"latency", [](const std::string& at) { bench_latency(at); }},
      {"burst", [&](const std::string& at) { bench_burst(at, seconds); }},
      {"sustained", [&](const std::string& at) { bench_sustained(at, seconds); }},
      {"read", [&](const std::string& at) { bench_read(at, seconds); }},
  }};
  for (const auto& [name, run] : all) {
    if (only.empty() || only == name) {
      const auto directory = root + "/millrace-bench-storage";
      std::filesystem::remove_all(directory);
      std::filesystem::create_directories(directory);
      run(directory);
      std::filesystem::remove_all(directory);
    }
  }
  return 0;
}
