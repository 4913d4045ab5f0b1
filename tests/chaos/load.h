// SPDX-License-Identifier: MIT
// Load: clients that ask the objects of models.h over HTTP, and write down what they were told.
#pragma once

#include <atomic>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "chaos/cluster.h"
#include "chaos/models.h"

namespace chaos {

/// Clients leave time between what they ask.
void sleep(std::chrono::milliseconds time);

/// What happened, in order; every event goes to a file at once. Threading: any.
class recorder {
public:
  explicit recorder(const std::filesystem::path& file) : file_(file) {}
  void add(event one);
  /// A copy of all.
  [[nodiscard]] history events() const;

private:
  mutable std::mutex mutex_;
  history events_;
  std::ofstream file_;
};

struct load_figures {
  std::atomic<std::uint64_t> ok = 0;
  std::atomic<std::uint64_t> failed = 0;
  std::atomic<std::uint64_t> unknown = 0;
};

/// Threading: one thread.
class load {
public:
  static constexpr unsigned purses = 20;

  struct wishes {
    std::uint64_t seed = 1;
    unsigned clients = 8;
    std::chrono::milliseconds pause{10};  ///< Of a client, between two questions.
    bool has_runs = true;
    bool has_full_disks = false;  ///< Commands fail that cannot write, and are tried again.
  };
  /// Begins. Requires: `where` and `into` outlive it.
  load(wishes what, const addresses& where, recorder& into);
  load(const load&) = delete;
  load& operator=(const load&) = delete;
  ~load() { end(0s); }

  /// No new questions; those that may be repeated are, until they are answered or `limit` is over.
  void end(std::chrono::milliseconds limit);

  /// Asks everything for what it is now, once nothing is under way. What it could not learn is in
  /// `missing`. Requires: it has ended.
  void read_all(std::chrono::milliseconds limit, std::vector<std::string>& missing);

  [[nodiscard]] const load_figures& figures() const { return figures_; }
  /// Every answer that was not the one wanted, what is repeated among them. Requires: it has ended.
  [[nodiscard]] const std::vector<std::string>& refusals() const { return refusals_; }

private:
  struct client {
    std::uint64_t process;
    std::mt19937_64 random;
    http_caller caller;
  };
  struct question {
    std::string f;
    std::string key;
    json asked;
    std::string target;
    std::string body;
    bool is_keyed = false;         // repeated until it is answered
    const char* answer = nullptr;  // the field of the answer that is its value; null: all of it
  };

  void run(client& one);
  question next(client& one);
  question of_register(client& one);
  static question of_purse(client& one);
  answer ask(client& one, const question& what);
  json look(const std::string& method, const std::string& target, steady::time_point end);
  void note(const std::string& f, const std::string& key, const json& asked, const json& value,
            std::int64_t begin);
  void read_purses(steady::time_point end);
  void read_runs(steady::time_point end);
  [[nodiscard]] std::string key_of(client& one, const std::string& kind);
  std::int32_t fresh() { return ++last_value_; }
  [[nodiscard]] std::int64_t now() const {
    return std::chrono::nanoseconds{steady::now() - began_}.count();
  }

  const wishes wishes_;
  const addresses& where_;
  recorder& into_;
  const steady::time_point began_ = steady::now();
  std::atomic<bool> asks_ = true;     // new questions
  std::atomic<bool> repeats_ = true;  // old ones
  std::atomic<unsigned> open_ = 0;    // questions
  std::atomic<std::int32_t> last_value_ = 0;
  load_figures figures_;
  std::mutex mutex_;  // for the four below
  std::map<std::string, std::uint32_t> asked_of_kind_;
  std::set<std::string> keys_;
  std::map<std::string, std::int32_t> last_seen_;  // of a register
  std::vector<std::string> refusals_;
  http_caller caller_;
  std::vector<std::string>* missing_ = nullptr;
  std::vector<std::unique_ptr<client>> clients_;
  std::vector<std::thread> threads_;
};

}  // namespace chaos
