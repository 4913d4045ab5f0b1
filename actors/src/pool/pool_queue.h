// SPDX-License-Identifier: MIT
// Pool queue: which attempts have a slot of which executor, and which wait.
//
// A pure core. A ticket is one attempt's place: it waits, then it is granted to an executor, until
// it is released. Tickets are served by priority, then by age; fair share between projects would
// be one more part of `place`. A slot goes to the executor with the most free ones.
//
// Where the tasks of a run share a workspace, the executor of its first ticket has the run from
// then on: its other tickets wait for that one, though others may be free.
//
// Between the end of a process and the release of its ticket, and from a grant to a start, lie
// commits. So that no slot stands empty meanwhile, tickets are granted ahead of the slots; the
// executor starts them in the same order as slots become free. A ticket ahead does not keep one of
// higher priority from being granted. What may go to any of several executors is not granted ahead,
// since another may be free sooner; nor is, meanwhile, what comes after it.
//
// An executor counts its lives: when it joins with another incarnation, what its earlier life had
// is lost, and the tasks decide what follows.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::actors {

/// How many attempts are granted ahead: what two slots end, at 1 ms a process, while three commits
/// of 10 ms go by.
inline constexpr std::uint32_t granted_ahead_default = 64;

/// One attempt's place in the pool.
struct pool_ticket {
  std::uint64_t number = 0;  ///< In order of arrival; never used again.
  std::string task;          ///< Key of the task actor.
  std::uint32_t attempt = 0;
  std::uint8_t priority = 0;  ///< Higher is served first.
  std::string executor = {};  ///< Empty: none has it yet.
  bool shared = false;        ///< It goes where the other tickets of its run go.

  friend bool operator==(const pool_ticket&, const pool_ticket&) = default;
};

/// A ticket that has just been given to an executor.
struct pool_grant {
  pool_ticket ticket;
  std::uint64_t incarnation = 0;  ///< Of the executor's life that it is granted by.
  bool pins = false;              ///< From here on the executor has the ticket's run.
};

/// Threading: none of its own.
/// Cost: O(log n) an event, plus what it grants or loses; a grant asks each executor, and the first
/// one of a run those that wait of it.
class pool_queue {
public:
  explicit pool_queue(std::uint32_t ahead = granted_ahead_default) : ahead_(ahead) {}

  /// Tells of stored rows before anything else: of runs first, then of the others.
  void restore_run(std::string_view run, std::string_view executor);  ///< Empty: it is held.
  void restore(pool_ticket ticket);
  void restore_executor(std::string_view executor, std::uint64_t incarnation, std::uint32_t slots);

  /// Offers `slots` of an executor; the same incarnation again changes their number. Answers the
  /// tickets that its earlier life had: they are gone.
  [[nodiscard]] std::vector<pool_ticket> join(std::string_view executor, std::uint64_t incarnation,
                                              std::uint32_t slots);

  /// A ticket that is gone is back, in its old place, and waits. Requires: that of `join` or
  /// `remove`.
  void put_back(pool_ticket ticket);

  /// The executor goes by the name `heir` now. Answers the tickets that it had: they are gone.
  [[nodiscard]] std::vector<pool_ticket> remove(std::string_view executor, std::string_view heir);

  /// The executor is gone: answers the tickets that it had, which are gone. Nothing is granted to
  /// it until it joins; the runs that it had wait for it, or for `hold_run`.
  [[nodiscard]] std::vector<pool_ticket> lose(std::string_view executor);

  /// Whether anything is granted to the executor. What it has goes on; the runs that it has wait.
  /// `refusal`: why not, for a person; empty: an operator drains it.
  void drain(std::string_view executor, bool drains, std::string_view refusal = {});

  /// Nothing is granted to the executor until it joins.
  void leave(std::string_view executor);

  /// Nothing if the attempt has a ticket already. `number` must be higher than all before.
  [[nodiscard]] std::optional<pool_ticket> enqueue(std::uint64_t number, std::string_view task,
                                                   std::uint32_t attempt, std::uint8_t priority,
                                                   bool shared = false);

  /// The attempt has ended or is wanted no more: answers its ticket, which is gone; nothing if it
  /// had none.
  [[nodiscard]] std::optional<pool_ticket> release(std::string_view task, std::uint32_t attempt);

  /// The ticket of an attempt; null if it has none. Good until the next change.
  [[nodiscard]] const pool_ticket* find(std::string_view task, std::uint32_t attempt) const;

  /// The tickets of the tasks whose keys begin with `prefix`.
  [[nodiscard]] std::vector<pool_ticket> of_tasks(std::string_view prefix) const;

  /// The files of the run are lost: nothing is granted of it until `forget_run`.
  void hold_run(std::string_view run);

  /// The files of the run are no more: no executor has it.
  void forget_run(std::string_view run);

  /// The executor that has a run; empty when none has or it is held.
  [[nodiscard]] std::string_view executor_of(std::string_view run) const;
  /// The first runs, at most `limit`, of those that the executor has.
  [[nodiscard]] std::vector<std::string> runs_of(std::string_view executor,
                                                 std::size_t limit) const;

  /// Gives slots, and places ahead of them, to those who wait. To be called after each of the
  /// above.
  [[nodiscard]] std::vector<pool_grant> grant();

  [[nodiscard]] std::uint32_t slots() const noexcept;
  /// Those that no slot is taken for, granted ahead or not.
  [[nodiscard]] std::size_t waiting() const noexcept { return tickets_.size() - running(); }
  [[nodiscard]] std::size_t running() const noexcept;
  /// Why what waits waits, for a person; empty when nothing does.
  [[nodiscard]] std::string waiting_reason() const;

private:
  struct place {
    std::uint8_t priority;
    std::uint64_t number;
    friend bool operator==(const place&, const place&) = default;
    friend std::strong_ordering operator<=>(const place& a, const place& b) noexcept {
      const auto by_priority = b.priority <=> a.priority;  // highest first
      return by_priority != 0 ? by_priority : a.number <=> b.number;
    }
  };
  struct offer {
    std::uint64_t incarnation = 0;
    std::uint32_t slots = 0;
    bool drains = false;                                // nothing is granted to it
    std::string refusal{};                              // why, unless an operator says so
    std::set<std::uint64_t> granted;                    // ticket numbers
    std::map<std::uint8_t, std::size_t> by_priority{};  // how many of them
    std::set<place> waiting{};                          // of the runs that it has
    std::set<std::string, std::less<>> runs{};          // that it has
  };
  enum class reach : std::uint8_t { slots, ahead };
  using offers = std::map<std::string, offer, std::less<>>;

  static void take(offer& from, const pool_ticket& ticket);
  static void give_back(offer& to, const pool_ticket& ticket);
  [[nodiscard]] std::vector<pool_ticket> take_granted(offer& from);
  [[nodiscard]] bool has_room(const offer& at, std::uint8_t priority, reach how) const;
  [[nodiscard]] offers::value_type* best_for(std::uint8_t priority);
  [[nodiscard]] offers::value_type* next_pinned();
  [[nodiscard]] std::set<place>& waiting_with(const pool_ticket& ticket);
  void take_run(std::string_view run, std::set<place>& to);
  void pin(const std::string& run, offers::value_type& to);

  std::uint32_t ahead_;
  std::map<std::uint64_t, pool_ticket> tickets_;
  std::map<std::pair<std::string, std::uint32_t>, std::uint64_t> by_attempt_;
  std::set<place> waiting_;  // granted to nobody, and anybody may have them
  offers executors_;
  std::map<std::string, std::string, std::less<>> runs_;  // to the executor; empty: held
  std::set<place> held_;                                  // waiting tickets of those that are held
};

}  // namespace millrace::actors
