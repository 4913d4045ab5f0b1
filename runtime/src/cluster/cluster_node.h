// SPDX-License-Identifier: MIT
// Cluster node: a silo's part in its cluster.
//
// Here meet the coordination store, the links, storage and the silo. What follows from what is
// known is decided by the cluster book; the node asks, and carries out. Everything that blocks is
// done by a thread named "cluster", in order, or for the store by a few threads beside it: a
// takeover may be many changes of records, which the store takes in any order.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "cluster/cluster_book.h"
#include "cluster/cluster_entry.h"
#include "cluster/record_requests.h"
#include "cluster/surroundings.h"
#include "coordination/coordination_store.h"
#include "millrace/runtime/metrics.h"
#include "millrace/runtime/silo.h"
#include "offload/thread_pool.h"
#include "storage/replication.h"

namespace millrace::runtime::detail {

class silo_core;

/// Ownership: outlives the storage; `home` and `rows` outlive it but for its destruction; `around`
/// outlives it.
/// Threading: `join`, `serve`, `drain`, `leave` and `abandon` one after the other; the rest from
/// any thread.
class cluster_node final : public replication_host, public peer_watch {
public:
  cluster_node(silo_core& home, storage& rows, surroundings& around);
  cluster_node(const cluster_node&) = delete;
  cluster_node& operator=(const cluster_node&) = delete;
  ~cluster_node() override;

  /// Finds the others: the silo is in afterwards, has a link to each of them, and holds nothing.
  /// Errors: see `silo::start`; it is not in then, or not for longer than its session.
  [[nodiscard]] result<void> join();
  /// Takes part from now on. Requires: joined, and the silo can take partitions over.
  [[nodiscard]] result<void> serve();

  /// Hands over what it leads to those who can lead it, and waits for it, at most `grace`. Nothing
  /// is led any more afterwards that needs others.
  void drain(duration grace);

  // As `silo::drain` and the others. Threading: any thread.
  [[nodiscard]] result<void> take_part(presence how);
  [[nodiscard]] result<void> break_glass(partition_id partition, const std::string& reason,
                                         glass_content from);
  [[nodiscard]] result<bool> has_copy(partition_id partition);
  [[nodiscard]] result<void> acknowledge_loss(partition_id partition);
  [[nodiscard]] cluster_metrics metrics();
  /// Leaves. Requires: storage has stopped. Idempotent.
  void leave();
  /// Ends as a process does that is killed: nobody is told.
  void abandon();

  [[nodiscard]] cluster_view view() const;

  /// For a clock that a test moves: looks at it now. Threading: any thread.
  void time_changed();
  /// As `replication::rounds_if_idle`, of what the silo does for its cluster.
  [[nodiscard]] std::optional<std::uint64_t> rounds_if_idle();

private:
  // What the thread is told.
  struct led {
    partition_id partition;
    std::uint64_t epoch = 0;  // 0: lost
  };
  struct followed {
    partition_id partition;
    std::uint64_t epoch = 0;
    std::string silo;
  };
  struct probed {
    std::string silo;
    std::uint64_t incarnation = 0;
    bool is_dead = false;
  };
  struct link_news {
    std::string silo;
    std::uint64_t incarnation = 0;  // 0: it is down
  };
  using input =
      std::variant<led, followed, stored_partition, result<coordination_view>, probed, link_news>;
  // What a change of a record says that gives content up.
  struct lost_content {
    std::uint64_t number = 0;
    loss_note note;
  };
  // A silo that may be dead.
  struct suspect {
    silo_row row;
    bool may_be_killed = false;  // it is out, and has not left in good order
    bool is_asked = false;
    steady_time due{};
    steady_time until = steady_time::max();
  };

  // As storage asks, on the journal thread.
  void send(const std::string& silo, replica_lane lane, const std::string& frame) override;
  void change(partition_id partition, const partition_record& wanted, writes_wait waits) override;
  void read(partition_id partition) override;
  void leads(partition_id partition, std::uint64_t epoch) override { tell(led{partition, epoch}); }
  void lost(partition_id partition) override { tell(led{partition}); }
  void follows(partition_id partition, std::uint64_t epoch, const std::string& silo) override {
    tell(followed{partition, epoch, silo});
  }
  void cannot_read(const std::string& silo, const error& why) override;
  void wants_copy(partition_id partition) override;
  void cannot_copy(partition_id partition, const error& why) override;
  void set_aside(partition_id partition, const copy_id& copy, damage why) override;
  void quarantined(partition_id partition, const copy_id& copy, damage why) override;

  // As links tell, on the link thread.
  void link_up(const std::string& silo, std::uint64_t incarnation) override;
  void link_down(const std::string& silo) override;
  void session_ended(const std::string& silo) override;
  void replica_frame(const std::string& silo, std::string frame) override;

  // Joining.
  [[nodiscard]] result<void> settle(steady_time deadline);
  [[nodiscard]] entry_facts facts() const;
  [[nodiscard]] result<void> settle_data(steady_time deadline);
  [[nodiscard]] result<void> await_settings(steady_time deadline);
  [[nodiscard]] std::optional<std::uint64_t> last_incarnation() const;
  [[nodiscard]] founding begins() const;
  [[nodiscard]] result<void> enter(steady_time deadline);
  [[nodiscard]] result<void> make_links(steady_time deadline);
  [[nodiscard]] result<void> connect(steady_time deadline);
  [[nodiscard]] std::string unconnected(const coordination_view& view);
  void open_link(const silo_row& row);
  void warn_of_links(const std::string& line);
  void wait_until_quiet(steady_time deadline);

  // The thread.
  void run();
  void tell(input one);
  void hint();
  void take(input& one, steady_time now, cluster_effects& effects, std::vector<led>& served);
  void take(const result<coordination_view>& seen, steady_time now, cluster_effects& effects);
  void serve(const led& one, bool is_first_try);
  void carry_out(const cluster_effects& effects, const std::shared_ptr<const cluster_map>& map);
  void see_links(const cluster_effects& effects);
  void tell_storage(const cluster_effects& effects);
  void ask_for_view(std::uint64_t changed_after);
  void ask_for_record();
  void learn(const std::optional<stored_partition>& record);
  void note(const link_news& news, steady_time now);
  void probe(steady_time now);
  void look_at_disk(steady_time now);
  void expel();
  void end_thread();
  void close_store();

  // Operating: cluster_operating.cc.
  [[nodiscard]] result<void> become(presence how, const std::string& why);
  void note_disk(const std::optional<error>& refusal);
  [[nodiscard]] result<void> check_operable(partition_id partition) const;
  [[nodiscard]] result<void> check_breakable(partition_id partition, const std::string& reason,
                                             glass_content from);
  void add_copies(cluster_metrics& all);
  void add_links(cluster_metrics& all) const;

  silo_core& home_;
  storage& rows_;
  const cluster_options& options_;
  const clock& time_;
  surroundings& around_;
  std::unique_ptr<coordination_store> store_;
  cluster_settings cluster_;
  silo_row own_;                 // as it joined: any thread may read it from then on
  replication* side_ = nullptr;  // of a silo that has copies
  std::unique_ptr<silo_links> links_;
  record_requests wanted_;
  std::atomic<steady_time> store_rests_until_{steady_time::min()};
  thread_pool requests_;  // of the store, for records
  thread_pool looks_;     // and for what must not wait for these

  std::mutex operating_;               // before the other one; the store stays while it is held
  presence asked_ = presence::active;  // by an operator; behind it
  std::atomic<bool> is_full_{false};   // the disk, and it drains for it; written behind it
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<input> inputs_;
  std::string last_of_links_;  // what was told of them last
  std::optional<cluster_book> book_;
  std::map<std::string, std::uint64_t> up_;      // links, to which life
  std::map<partition_id, lost_content> losses_;  // that this silo decides on
  bool is_hinted_ = false;
  bool is_reading_ = false;
  bool is_working_ = false;   // the thread
  std::uint64_t rounds_ = 0;  // of the thread, and it was told as often that time has passed
  std::uint64_t time_changes_ = 0;
  std::uint64_t time_changes_seen_ = 0;
  bool stopping_ = false;
  bool is_out_ = false;
  bool has_new_link_ = false;
  bool has_left_ = false;
  steady_time shortage_told_at_{};  // the journal thread's

  // The thread's.
  std::atomic<bool> is_store_lost_{false};
  steady_time read_due_{};  // not before
  steady_time read_at_{};   // last
  steady_time tick_due_{};
  std::map<std::string, suspect> suspects_;
  steady_time disk_due_{};
  steady_time disk_changed_at_{};  // or was as it is noted to be
  std::vector<led> unserved_;      // could not be taken over
  std::vector<probed> proven_;     // to be told to storage
  std::thread thread_;
};

}  // namespace millrace::runtime::detail
