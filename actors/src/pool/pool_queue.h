// SPDX-License-Identifier: MIT
// Pool queue: which attempts have a slot of which executor, and which wait; of all pools.
//
// A pure core. A ticket is one attempt's place: it waits, then it is granted to an executor of its
// pool, until it is released. Tickets are served by priority, then by the fair share of their
// projects, then by age. A ticket takes one slot, and the resources that it asks for, of its
// executor; the executor with the most left is chosen. It may also ask for locks, each of which so
// many tickets of a project hold at a time: from the grant to the release.
//
// An executor may belong to several pools, and its slots are for the tickets of all of them, in one
// order. What projects may have, locks and pauses hold over all pools.
//
// Where the tasks of a run share a workspace, the executor of its first ticket has the run from
// then on: its other tickets wait for that one, though others may be free. One that is only
// promised to an executor (below) binds its run as long as the promise stands.
//
// A ticket that waits for resources, a lock or its project's bound lets those behind it pass. So
// that it is not passed for ever, one that has waited for `patience` has an executor kept for it:
// of the resources that it asks for, nothing behind it is granted there that would leave too
// little. Or it has the lock kept for it that it lacks, or what its project may have of resources:
// nothing of the project behind it is granted what would leave too little of that.
//
// Between the end of a process and the release of its ticket, and from a grant to a start, lie
// commits. So that no slot stands empty meanwhile, tickets are granted ahead of the slots, as many
// as end within `ahead_time`; the executor starts them in the same order as slots become free. A
// ticket ahead does not keep one of higher priority from being granted. What may go to any of
// several executors is not granted ahead, since another may be free sooner; nor is, meanwhile, what
// comes after it. What asks for resources or locks would keep them idle: it is granted where a slot
// is free or, if it can go nowhere else, in front of what was granted ahead with a lower priority.
// While it waits for a slot alone nothing is granted ahead of it.
//
// Where a project may preempt, a ticket of it that finds no place may have one made for it: of
// those with a lower priority and a place, the fewest and least that have to end are told to, and
// the ticket is promised their place. It counts as granted from then on, so nothing else takes
// that; its executor is told of it when there is room. Until then it gives way to whatever is
// promised to a higher priority. It is not granted ahead where others could make way. What has no
// place for another reason (a lock, a bound, a pause, what is kept for others) makes nobody end.
//
// The tickets of a gang are granted in one step, when all of them have come and all find a place
// where a slot is free, or none is: so no two gangs wait for what the other one has. One that has
// waited for `patience` has every free place kept for it that its ranks could have, until there are
// enough: one gang at a time, whoever comes to have a better share meanwhile, and one whose project
// may have it. What its project may have is kept for it as for other tickets. It holds its locks as
// one, and neither preempts nor makes way.
// Each pool keeps places for a gang of its own.
//
// An executor counts its lives: when it joins with another incarnation, what its earlier life had
// is lost, and the tasks decide what follows.
//
// What waits is looked at by shape (waiting_lanes.h): so the cost of a grant grows with the kinds
// of tickets that wait, not with how many there are, and not at all with those of pools where
// nothing can be had.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/runtime/clock.h"
#include "pool/fair_share.h"
#include "pool/lock_table.h"
#include "pool/pool_ticket.h"
#include "pool/waiting_lanes.h"

namespace millrace::actors {

/// The most attempts that are granted ahead: what two slots end, at 1 ms a process, while three
/// commits of 10 ms go by.
inline constexpr std::uint32_t granted_ahead_max = 64;

/// As many are granted ahead as end within this time, and at least one: longer than the commits
/// that are bridged, and short for whoever comes with a better claim.
inline constexpr runtime::duration ahead_time = std::chrono::seconds{1};

/// How long a ticket waits for resources or a lock before they are kept for it.
inline constexpr runtime::duration patience = std::chrono::minutes{1};

/// The longest host of an executor that gets ranks: those of 1,000, with commas, fit the 128 KiB of
/// one variable.
inline constexpr std::size_t rank_host_bytes_max = 120;

/// How many tickets before it a reason counts.
inline constexpr std::size_t counted_before_max = 100;

/// A ticket that has just been given to an executor.
struct pool_grant {
  pool_ticket ticket;
  std::uint64_t incarnation = 0;  ///< Of the executor's life that it is granted by.
  bool pins = false;              ///< From here on the executor has the ticket's run.
  /// Of one of a gang: where its ranks are, by rank. All of a gang have the same list.
  std::shared_ptr<const std::vector<std::string>> hosts = {};
};

/// A ticket that has to end for another.
struct pool_preemption {
  pool_ticket ends;
  std::string reason;  ///< For whom, for a person.
};

/// What a grant has changed besides what it has granted.
struct pool_news {
  std::vector<pool_ticket> changed;  ///< Promised, or waiting again, as they stand.
  std::vector<pool_preemption> preempted;
};

/// What an executor offers, for people.
struct pool_offer {
  std::string executor;
  std::uint32_t slots = 0;  ///< 0: it is away.
  std::uint32_t granted = 0;
  std::string takes_nothing = {};  ///< Why, as `drain`; empty: it does.
  resource_amounts offered = {};
  resource_amounts taken = {};
  pool_names pools = {};
};

/// What a pool has, for people.
struct pool_use {
  std::string pool;
  std::uint32_t executors = 0;  ///< That belong to it and are not away.
  std::uint32_t slots = 0;      ///< Of these.
  std::uint32_t taken = 0;      ///< Of the slots, by tickets of any pool.
  std::size_t waiting = 0;      ///< Tickets of it that have not been granted.
};

/// Threading: none of its own. Time: `now` is the wall clock of the pool's silo.
/// Cost: O(log n) an event, plus what it grants or loses; a grant asks each executor for each
/// shape, and the first one of a run those that wait of it.
class pool_queue {
public:
  /// Grants ahead at the pace of each executor.
  pool_queue() = default;
  /// Grants `ahead` of them at any pace.
  explicit pool_queue(std::uint32_t ahead) : ahead_(ahead) {}

  /// Tells of stored rows before anything else: of runs first, then of the others.
  void restore_run(std::string_view run, std::string_view executor);  ///< Empty: it is held.
  void restore_pause(std::string_view run);
  /// Of those with an executor in the order of their grants.
  void restore(pool_ticket ticket);
  /// Takes out of stored tickets, before they are restored, those of gangs that wait while others
  /// of theirs were granted: a pool of an older version grants them one by one. They would wait for
  /// ever.
  [[nodiscard]] static std::vector<pool_ticket> take_stranded(std::vector<pool_ticket>& stored);
  void restore_executor(std::string_view executor, std::uint64_t incarnation, std::uint32_t slots,
                        resource_amounts resources = {}, std::string_view host = {},
                        pool_names pools = {std::string{default_pool}});
  /// What a project has used until `at`.
  void restore_usage(std::string_view project, double usage, runtime::wall_time at);

  /// Of tickets that come from now on, and of grants.
  void set_limits(std::string_view project, const project_limits& limits);

  /// Why what asks for this can never be granted, by what its project may have, for a person;
  /// empty: it can.
  [[nodiscard]] std::string refusal(const pool_wish& wish) const;

  /// So many bytes of an executor's disk are held by runs of the project. No effect unless it has
  /// joined or was restored; forgotten when it is lost or removed. Answers whether the project held
  /// as much as it may until now: no grant is needed after another.
  bool set_storage(std::string_view executor, std::string_view project, std::uint64_t bytes);
  /// By project, what is held at the executor; none of it is 0.
  using storage_by_project = std::map<std::string, std::uint64_t, std::less<>>;
  [[nodiscard]] storage_by_project storage_of(std::string_view executor) const;

  /// Offers `slots` and resources of an executor; the same incarnation again changes them. Answers
  /// the tickets that its earlier life had: they are gone. `host`: where other machines reach it;
  /// without one no gang goes there. `pools`: that it belongs to from now on; what it has goes on.
  [[nodiscard]] std::vector<pool_ticket> join(std::string_view executor, std::uint64_t incarnation,
                                              std::uint32_t slots, resource_amounts resources = {},
                                              runtime::wall_time now = {},
                                              std::string_view host = {},
                                              pool_names pools = {std::string{default_pool}});

  /// A ticket that is gone is back, in its old place, and waits. Requires: that of `join` or
  /// `remove`.
  void put_back(pool_ticket ticket);

  /// The executor goes by the name `heir` now. Answers the tickets that it had: they are gone.
  [[nodiscard]] std::vector<pool_ticket> remove(std::string_view executor, std::string_view heir,
                                                runtime::wall_time now = {});

  /// The executor is gone: answers the tickets that it had, which are gone. Nothing is granted to
  /// it until it joins; the runs that it had wait for it, or for `hold_run`.
  [[nodiscard]] std::vector<pool_ticket> lose(std::string_view executor,
                                              runtime::wall_time now = {});

  /// Whether anything is granted to the executor. What it has goes on; the runs that it has wait.
  /// `refusal`: why not, for a person; empty: an operator drains it.
  void drain(std::string_view executor, bool drains, std::string_view refusal = {});

  /// Nothing is granted to the executor until it joins.
  void leave(std::string_view executor);

  /// Nothing if the attempt has a ticket already. `number` must be higher than all before. The
  /// priority of the ticket is at most what its project may have.
  [[nodiscard]] std::optional<pool_ticket> enqueue(std::uint64_t number, std::string_view task,
                                                   std::uint32_t attempt, std::uint32_t priority,
                                                   bool shared = false, pool_wish wish = {},
                                                   runtime::wall_time now = {});

  /// The attempt has ended or is wanted no more: answers its ticket, which is gone; nothing if it
  /// had none.
  [[nodiscard]] std::optional<pool_ticket> release(std::string_view task, std::uint32_t attempt,
                                                   runtime::wall_time now = {});

  /// The attempt `ended` has made way: `next` of its task waits in its old place. Answers the
  /// ticket as it is; nothing if that one had none.
  [[nodiscard]] std::optional<pool_ticket> requeue(std::string_view task, std::uint32_t ended,
                                                   std::uint32_t next, bool preemptible,
                                                   runtime::wall_time now = {});

  /// The ticket of an attempt; null if it has none. Good until the next change.
  [[nodiscard]] const pool_ticket* find(std::string_view task, std::uint32_t attempt) const;

  /// The tickets of the tasks whose keys begin with `prefix`.
  [[nodiscard]] std::vector<pool_ticket> of_tasks(std::string_view prefix) const;

  /// The files of the run are lost: nothing is granted of it until `forget_run`.
  void hold_run(std::string_view run);

  /// The files of the run are no more: no executor has it.
  void forget_run(std::string_view run);

  /// Nothing is granted of the run, until that is undone.
  void pause_run(std::string_view run, bool paused);

  /// The executor that has a run; empty when none has or it is held.
  [[nodiscard]] std::string_view executor_of(std::string_view run) const;
  /// The first runs, at most `limit`, of those that the executor has, not by a promise alone.
  [[nodiscard]] std::vector<std::string> runs_of(std::string_view executor,
                                                 std::size_t limit) const;

  /// Gives slots, and places ahead of them, to those who wait. To be called after each of the
  /// above.
  [[nodiscard]] std::vector<pool_grant> grant(runtime::wall_time now = {});

  /// What grants have changed since this was asked last, and events: to be stored and told with
  /// them.
  [[nodiscard]] pool_news take_news();

  [[nodiscard]] std::uint32_t slots() const noexcept;
  /// Those that no slot is taken for, granted ahead or not.
  [[nodiscard]] std::size_t waiting() const noexcept { return tickets_.size() - running(); }
  [[nodiscard]] std::size_t running() const noexcept;
  /// Those that make way.
  [[nodiscard]] std::size_t preempting() const noexcept;
  /// Why what waits waits, for a person; empty when nothing does.
  [[nodiscard]] std::string waiting_reason() const;
  /// Why the latest attempt of a task waits, for a person; empty if it has no ticket.
  /// Cost: that of a grant, and at most counted_before_max steps.
  [[nodiscard]] std::string reason(std::string_view task, runtime::wall_time now) const;

  [[nodiscard]] const fair_share& shares() const { return shares_; }
  [[nodiscard]] std::vector<pool_offer> offers_made() const;
  /// `default`, those that executors belong to, and of those that tickets wait for as many as there
  /// may be more, the first by name; by name. Cost: O(pools x executors).
  [[nodiscard]] std::vector<pool_use> pools(std::size_t limit) const;

  /// Lanes that grants have looked at so far, and those that they have put aside: the measure of
  /// their cost.
  [[nodiscard]] std::uint64_t looks() const { return looks_; }

private:
  struct offer {
    std::uint64_t incarnation = 0;
    std::uint32_t slots = 0;
    bool drains = false;    // nothing is granted to it
    std::string refusal{};  // why, unless an operator says so
    resource_amounts offered{};
    resource_amounts taken{};
    std::set<std::uint64_t> granted{};                   // ticket numbers
    std::map<std::uint32_t, std::size_t> by_priority{};  // how many of them
    std::map<std::uint32_t, std::size_t> prey{};         // those that could make way
    std::set<std::uint64_t> promised{};                  // of the granted
    std::set<std::string, std::less<>> runs{};           // that it has
    std::optional<runtime::duration> pace{};             // from one end to the next, smoothed
    std::string host{};
    pool_names pools{};
    storage_by_project storage{};
    // While a grant is looked for, and as the latest one has left it:
    bool closed = false;  // to what comes behind one that waits for a slot
    bool full = false;    // likewise, of one that could have any of its pool
    bool keeps = false;   // the next two, for one that has waited long
    resource_amounts kept_resources{};
    std::uint32_t kept_slots = 0;

    [[nodiscard]] std::uint32_t free_slots() const {
      const auto used = granted.size() + kept_slots;
      return used < slots ? static_cast<std::uint32_t>(slots - used) : 0;
    }
  };
  struct run_count {
    std::string project{};  // as soon as a ticket tells it
    std::uint32_t waiting = 0;
    std::uint32_t granted = 0;
    // Some of it waits, and nothing has a slot.
    [[nodiscard]] bool is_queued() const { return !project.empty() && waiting > 0 && granted == 0; }
  };
  enum class reach : std::uint8_t { slots, ahead };
  // What becomes of the first ticket of a shape.
  enum class verdict : std::uint8_t {
    goes,
    full,     // no slot for it, nor for anything that may go anywhere in its pool
    no_slot,  // where it could go
    passed,   // by those behind it: it waits for something else
  };
  using offers = std::map<std::string, offer, std::less<>>;
  using shape_at = waiting_lanes::shapes::iterator;
  struct choice {
    shape_at at;
    offers::value_type* to = nullptr;
    std::optional<std::vector<std::uint64_t>> ends = {};  // who has to end for it first
    std::vector<std::pair<offers::value_type*, std::uint32_t>> spread = {};  // ranks of a gang
  };
  // What is taken of an executor, by some of its tickets.
  struct load {
    std::size_t slots = 0;
    resource_amounts resources = {};
    void add(const pool_ticket& ticket);
    void remove(const pool_ticket& ticket);
  };

  void take(offer& from, const pool_ticket& ticket);
  void give_back(offer& to, const pool_ticket& ticket, runtime::wall_time now);
  void count_prey(offer& at, const pool_ticket& ticket, int by);
  [[nodiscard]] std::vector<pool_ticket> take_granted(offer& from, runtime::wall_time now);

  [[nodiscard]] ticket_shape shape_of(const pool_ticket& ticket) const;
  void put_in(const pool_ticket& ticket);
  void take_out(const pool_ticket& ticket);
  template <class Change>
  void change_run(std::string_view run, const Change& change);
  void move_run(std::string_view run, const std::string& executor, bool held);
  void free_run(const std::string& run);
  void count_run(const pool_ticket& ticket, int waiting, int granted);
  using gang_key = std::pair<std::string, std::uint32_t>;  // its name and round
  [[nodiscard]] static gang_key key_of(const pool_gang& gang) { return {gang.name, gang.round}; }
  template <class Change>
  void change_gang(const pool_ticket& ticket, const Change& change);

  [[nodiscard]] const pool_ticket& first_of(shape_at at) const;
  [[nodiscard]] std::uint32_t ahead_at(const offer& at) const;
  [[nodiscard]] std::size_t granted_before(const offer& at, std::uint32_t priority) const;
  [[nodiscard]] bool has_room(const offer& at, std::uint32_t priority, reach how) const;
  [[nodiscard]] bool is_behind(const offer& at, std::uint32_t priority) const;
  [[nodiscard]] bool has_any_room(std::string_view pool, std::uint32_t priority) const;
  // Whether the executor belongs to what the shape asks for.
  [[nodiscard]] static bool serves(const offer& at, const ticket_shape& of);
  [[nodiscard]] bool could_go(const ticket_shape& of, std::string_view executor,
                              const offer& to) const;
  [[nodiscard]] bool could_go(const ticket_shape& of) const;
  void forget_vain_locks();
  [[nodiscard]] static bool fits_now(const ticket_shape& of, const offer& to);
  // Who has a place of its own is looked for, or also whom one could be made for; or that alone.
  enum class search : std::uint8_t { all, made };
  [[nodiscard]] std::optional<search> search_in(std::string_view pool,
                                                std::uint32_t priority) const;
  [[nodiscard]] std::vector<std::string> open_pools() const;
  void close_pools(std::vector<std::string>& open, std::uint32_t priority) const;
  [[nodiscard]] std::optional<std::uint32_t> next_priority(
      const std::vector<std::string>& pools, std::optional<std::uint32_t> below) const;
  struct line_at {
    std::string pool;
    std::uint64_t first = 0;
    shape_at shape;
  };
  [[nodiscard]] std::optional<line_at> next_line(const std::vector<std::string>& pools,
                                                 std::uint32_t priority, const std::string& project,
                                                 std::uint64_t after) const;
  void close(std::string_view pool);
  [[nodiscard]] verdict look_at(choice& made, runtime::wall_time now, search where);
  [[nodiscard]] verdict look_plain(const ticket_shape& of, reach how, offers::value_type*& to);
  [[nodiscard]] verdict look_wanting(const ticket_shape& of, const pool_ticket& first,
                                     runtime::wall_time now, offers::value_type*& to);
  struct want_of {
    bool slot = false;
    bool room = false;
  };
  [[nodiscard]] offers::value_type* best_place(const ticket_shape& of, reach how, want_of& found);
  void keep_one_for(const ticket_shape& of, std::uint64_t number);
  static void keep(offer& at, const ticket_shape& of, std::uint32_t count);
  static void forget_kept(offer& at);
  // pool_gangs.cc
  struct room {  // for the ranks of one gang, at one executor
    offers::value_type* at = nullptr;
    std::uint32_t now = 0;
    std::uint32_t most = 0;  // if nothing else was there
    double part = 0;         // of what one more rank needs
  };
  [[nodiscard]] static std::uint32_t places_now(const ticket_shape& of, const offer& at);
  [[nodiscard]] std::uint32_t places_ever(const ticket_shape& of, std::string_view executor,
                                          const offer& at) const;
  [[nodiscard]] static bool takes_ranks(const offer& at) {
    return !at.host.empty() && at.host.size() <= rank_host_bytes_max;
  }
  [[nodiscard]] bool gang_could_go(const ticket_shape& of) const;
  [[nodiscard]] std::vector<room> rooms_for(const ticket_shape& of);
  [[nodiscard]] verdict look_gang(choice& made, runtime::wall_time now, search where);
  [[nodiscard]] std::vector<shape_at> kept_gangs();
  // Whether places are kept for the gang of that oldest ticket.
  [[nodiscard]] bool has_places_kept(const pool_ticket& first) const;
  void keep_for_gang(const ticket_shape& of, std::vector<room> rooms);
  void grant_gang(const choice& found, runtime::wall_time now, std::vector<pool_grant>& grants);
  [[nodiscard]] std::string reason_of_gang(const pool_ticket& ticket) const;
  [[nodiscard]] std::string reason_of_gang_places(const ticket_shape& of, bool is_kept) const;
  [[nodiscard]] std::string reason_of_kept_slots(const pool_ticket& ticket,
                                                 const ticket_shape& of) const;
  [[nodiscard]] std::vector<std::string> in_order(const std::vector<std::string>& pools,
                                                  std::uint32_t priority,
                                                  runtime::wall_time now) const;
  // pool_quotas.cc
  void forget_storage(offer& at);
  struct kept_quota {
    std::uint32_t ranks = 0;  // of a gang
    resource_amounts resources = {};
  };
  [[nodiscard]] kept_quota kept_of_quota(const ticket_shape& of, std::uint64_t number) const;
  [[nodiscard]] const pool_ticket* keeper_of_quota(const std::string& project) const;
  [[nodiscard]] bool look_at_quota(shape_at at, runtime::wall_time now);
  [[nodiscard]] std::string reason_of_quota(const pool_ticket& ticket,
                                            const ticket_shape& of) const;
  // pool_preemptions.cc
  [[nodiscard]] bool may_preempt(std::uint32_t priority, std::string_view project) const;
  [[nodiscard]] bool has_prey(std::string_view pool, std::uint32_t priority) const;
  [[nodiscard]] static bool fits(const ticket_shape& of, const offer& at, const load& taken);
  [[nodiscard]] std::optional<std::vector<std::uint64_t>> to_end_at(const ticket_shape& of,
                                                                    const offer& at) const;
  [[nodiscard]] bool make_place(choice& into);
  void preempt(std::uint64_t number, const pool_ticket& by);
  void break_promise(const std::string& executor, std::uint64_t number, runtime::wall_time now);
  void keep_promises(const std::string& executor, runtime::wall_time now,
                     std::vector<pool_grant>& grants);
  void keep_promises(runtime::wall_time now, std::vector<pool_grant>& grants);

  [[nodiscard]] std::optional<choice> look_at_gangs(const std::vector<shape_at>& kept,
                                                    std::uint32_t priority, runtime::wall_time now);
  [[nodiscard]] std::optional<choice> look_at_level(std::vector<std::string>& open,
                                                    std::uint32_t priority, runtime::wall_time now);
  [[nodiscard]] std::optional<choice> look(runtime::wall_time now);
  [[nodiscard]] std::optional<choice> next(runtime::wall_time now);

  [[nodiscard]] std::string reason_at(const pool_ticket& ticket, runtime::wall_time now) const;
  [[nodiscard]] std::string reason_of_promise(const pool_ticket& ticket) const;
  [[nodiscard]] std::string reason_of_places(const ticket_shape& of) const;
  [[nodiscard]] std::string reason_of_pool(const ticket_shape& of) const;
  void add_pools(const std::function<void(const std::string&)>& add) const;
  // ` of pool gpu`; empty while there is one pool alone.
  [[nodiscard]] std::string of_pool_text(std::string_view pool) const;
  [[nodiscard]] std::string reason_of_lock(const pool_ticket& ticket, const pool_lock& lock) const;
  [[nodiscard]] std::string reason_of_resources(const pool_ticket& ticket,
                                                const ticket_shape& of) const;
  [[nodiscard]] const pool_ticket* keeper(const pool_ticket& ticket, const ticket_shape& of,
                                          const offers::value_type& at) const;
  [[nodiscard]] std::string reason_of_order(const pool_ticket& ticket,
                                            runtime::wall_time now) const;

  std::optional<std::uint32_t> ahead_;  // nothing: by the pace
  std::map<std::uint64_t, pool_ticket> tickets_;
  std::map<std::pair<std::string, std::uint32_t>, std::uint64_t> by_attempt_;
  waiting_lanes waiting_;
  std::map<std::string, std::size_t, std::less<>> waiting_in_;  // by pool; none is 0
  lock_table locks_;
  offers executors_;
  std::map<std::string, std::string, std::less<>> runs_;  // to the executor; empty: held
  std::set<std::string, std::less<>> promised_runs_;      // of these, by a promise alone
  std::set<std::string, std::less<>> paused_;             // runs
  std::map<std::string, run_count, std::less<>> run_counts_;
  std::map<std::uint64_t, std::string> kept_;  // executors, by the ticket that they are kept for
  std::map<gang_key, std::set<std::uint64_t>> gangs_;  // of those that wait
  // By pool, the oldest ticket of the gang that places are kept for; which have done so in the
  // latest look.
  std::map<std::string, std::uint64_t, std::less<>> gangs_kept_for_;
  std::set<std::string, std::less<>> keep_for_gangs_;
  // By project, the ticket that what it may have was kept for in the latest look.
  std::map<std::string, std::uint64_t, std::less<>> quota_kept_for_;
  fair_share shares_;
  std::optional<std::uint32_t> preempts_from_;  // the lowest of all projects
  std::set<std::uint64_t> changed_;             // for `take_news`, as the next
  std::vector<pool_preemption> preempted_;
  std::uint64_t looks_ = 0;
};

}  // namespace millrace::actors
