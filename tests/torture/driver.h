// SPDX-License-Identifier: MIT
// One run of the torture: so many random steps from a seed, then the reckoning.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "millrace/testing/faulty_storage.h"
#include "millrace/testing/hand_clock.h"
#include "torture/history.h"
#include "torture/mortal_storage.h"
#include "torture/worker.h"

namespace torture {

struct torture_report {
  std::vector<std::string> complaints;
  std::vector<std::string> warnings;  ///< The silo's last ones.
  std::uint64_t operations = 0;
  std::array<std::uint64_t, 3> by_knowledge{};
  std::uint64_t kills = 0;
  std::uint64_t stops = 0;
  std::uint64_t faults = 0;
  std::uint64_t activations = 0;
  std::uint64_t returned = 0;    ///< Calls that came back into their chain.
  std::uint64_t overlapped = 0;  ///< Readers beside each other.
  std::uint64_t offloaded = 0;
  std::uint64_t trace = 0;  ///< A digest of what was done, chosen and answered, in its order.
};

/// Requires: used once. Threading: one thread.
///
/// The seed gives the steps, and without threads everything else: what runs next, when storage does
/// its part. How threads take turns is up to the machine.
class driver {
public:
  /// `threads` run the silo; 0: it runs by hand.
  driver(std::uint64_t seed, unsigned threads);
  [[nodiscard]] torture_report run(std::uint64_t steps);

private:
  enum class way_to_end : std::uint8_t { killed, stopped_in_haste, stopped };

  std::uint64_t below(std::uint64_t limit) { return random_.next() % limit; }
  actor_ref<Worker> any_worker();
  void start();
  void end(way_to_end way);
  void step();
  void ask_something(std::uint64_t dice);
  [[nodiscard]] stop any_stop(std::vector<std::string> above, unsigned& stops_left);
  void ask_tour();
  void cancel_something();
  void complain_if_stuck();
  void plan_stumbling(operation& one);
  void ask_keyed(operation& one);
  void ask_many();
  void ask_again();
  void fail_something();
  void move(duration by);
  operation& fresh(operation_kind kind, const std::string& actor);
  template <class T>
  void ask(operation& one, millrace::runtime::call<T> what);
  template <class T>
  void answered(operation& one, const result<T>& answer);
  void wait_for_answers(std::uint64_t open_max);
  bool let_happen(std::uint64_t at_most);
  void trace(std::uint64_t what);
  [[nodiscard]] std::uint64_t open();
  result<worker_interface::dump_results> dump_of(const std::string& name);
  void drain();
  void reckon();
  void complain(const std::string& what);  // any thread
  [[nodiscard]] bool failed();

  const bool by_hand_;
  const unsigned threads_;
  millrace::runtime::rng random_;
  millrace::testing::hand_clock time_;
  disk disk_;
  std::optional<silo> here_;
  millrace::testing::faulty_storage* faults_ = nullptr;  // owned by the silo
  mortal_storage* rows_ = nullptr;                       // owned by `faults_`

  witness seen_;
  std::vector<std::pair<operation*, call_handle>> cancellable_;

  std::atomic<bool> in_haste_{false};
  std::mutex complaints_mutex_;
  std::vector<std::string> complaints_;
  std::mutex mutex_;  // of everything below
  std::condition_variable answer_came_;
  std::deque<operation> asked_;
  std::uint64_t next_effect_ = 1;
  std::uint64_t events_ = 0;
  std::uint64_t open_ = 0;
  bool killed_ = false;
  torture_report report_;
};

}  // namespace torture
