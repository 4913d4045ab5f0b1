// SPDX-License-Identifier: MIT
// Wire: the links between the silos of a test cluster, without sockets.
//
// Each pair of silos has a link, as `link_hub` makes them: of two silos the one whose name is less
// connects. A connection carries messages in order; a session outlives connections. One thread
// carries everything, one thing at a time, and all that it does is due at an instant of the clock.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "link/hello.h"
#include "millrace/testing/test_network.h"
#include "offload/thread_pool.h"
#include "routing/silo_links.h"

namespace millrace::testing::detail {

/// Threading: any thread.
class wire {
public:
  explicit wire(const runtime::clock& time);
  wire(const wire&) = delete;
  wire& operator=(const wire&) = delete;
  /// Requires: the links are gone.
  ~wire();

  /// A silo's links. Ownership: `routes` and `watch` outlive them.
  [[nodiscard]] std::unique_ptr<runtime::detail::silo_links> join(
      const runtime::link_identity& self, runtime::detail::router& routes,
      runtime::detail::peer_watch& watch);
  /// The process of a silo has ended: its connections do, too.
  void killed(const std::string& silo);

  /// To be done on the thread, in order.
  void post(std::function<void()> what);

  // See `test_network`.
  void cut(std::string_view from, std::string_view to);
  void delay(std::string_view from, std::string_view to, runtime::duration by, traffic what);
  void lose(std::string_view from, std::string_view to, traffic what, unsigned count);
  void heal();
  [[nodiscard]] bool is_cut(std::string_view from, std::string_view to);
  /// Of the silos that have links.
  [[nodiscard]] std::vector<std::string> names();

  void time_changed();
  /// When it has something to do next.
  [[nodiscard]] std::optional<runtime::steady_time> next_due();
  /// As `replication::rounds_if_idle`.
  [[nodiscard]] std::optional<std::uint64_t> rounds_if_idle();

private:
  class links_of_one;
  // One life of a silo.
  struct end {
    runtime::link_identity self;
    runtime::detail::router* routes = nullptr;
    runtime::detail::peer_watch* watch = nullptr;
    std::set<std::string, std::less<>> opened;
    std::atomic<std::uint64_t> calls_received{0};
    bool is_gone = false;
    [[nodiscard]] std::string routed_name() const;
    void lose(const std::string& peer) const;  // the link to it is down
  };
  using ends = std::shared_ptr<end>;
  struct message {
    runtime::steady_time due;
    runtime::frame_kind kind;
    std::string body;
  };
  struct link {
    std::array<std::string, 2> names;      // in order
    std::array<std::uint64_t, 2> lives{};  // which the session is of, as seen by the other; 0: none
    std::array<bool, 2> has_session{};
    std::array<std::deque<message>, 2> queues;  // by sender, in the order in which they are due
    bool is_up = false;
    runtime::steady_time down_since{};
    runtime::steady_time retry_at{};
  };
  struct path {
    std::optional<runtime::steady_time> cut_since;
    std::map<traffic, runtime::duration> delays;
    std::map<traffic, unsigned> losses;
  };
  struct told {
    ends whom;  // null: nobody's
    std::function<void()> what;
  };

  void run();
  [[nodiscard]] bool step(std::unique_lock<std::mutex>& lock);
  [[nodiscard]] bool step(link& one, std::unique_lock<std::mutex>& lock);
  void carry(link& one, std::size_t from, std::unique_lock<std::mutex>& lock);
  void call(const ends& whom, const std::function<void()>& what,
            std::unique_lock<std::mutex>& lock);
  void tell(const ends& whom, std::function<void()> what);
  void connect(link& one);
  void drop(link& one);
  void end_session(link& one, std::size_t side);
  void end_sessions(link& one);
  [[nodiscard]] bool loses(path& along, runtime::frame_kind kind);
  [[nodiscard]] runtime::duration delay_of(path& along, runtime::frame_kind kind);
  [[nodiscard]] runtime::steady_time due(link& one);
  [[nodiscard]] std::optional<runtime::steady_time> cut_since(const link& one);
  [[nodiscard]] std::optional<std::size_t> connector(const link& one);
  [[nodiscard]] ends find(std::string_view name) const;
  [[nodiscard]] path& along(std::string_view from, std::string_view to);
  [[nodiscard]] link& between(const std::string& one, const std::string& other);
  [[nodiscard]] runtime::detail::peer_send send(end& from, std::string_view to,
                                                runtime::frame_kind kind, std::string_view body);
  void open(end& from, const std::string& to);
  void close(end& from, std::string_view to, bool is_for_good);
  void stop(const ends& one);

  const runtime::clock& time_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, ends, std::less<>> ends_;
  std::map<std::pair<std::string, std::string>, link> links_;
  std::map<std::pair<std::string, std::string>, path> paths_;
  std::deque<told> told_;
  end* called_ = nullptr;  // the thread is in its code
  bool is_working_ = false;
  bool stopping_ = false;
  std::uint64_t rounds_ = 0;
  runtime::detail::thread_pool thread_{1, 1};
};

}  // namespace millrace::testing::detail
