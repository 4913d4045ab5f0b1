// SPDX-License-Identifier: MIT
// Small cluster: storages on real disks that hold copies of the same partitions, with a network and
// a coordination store in memory. One thread carries everything, in order.
#pragma once

#include <capnp/serialize.h>

#include <array>
#include <condition_variable>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include "link/link_session.h"
#include "message_bytes.h"
#include "millrace/replica.capnp.h"
#include "millrace/runtime/clock.h"
#include "millrace/testing/hand_clock.h"
#include "storage/replica_frame.h"
#include "storage/replication.h"
#include "storage_fixture.h"

namespace millrace::runtime::testing {

class small_cluster {
public:
  /// `time`: of the storages, if it is not the real one.
  explicit small_cluster(std::size_t copies, const clock* time = nullptr)
      : copies_(copies), time_(time) {
    wire_ = std::thread{[this] { run(); }};
  }
  small_cluster(const small_cluster&) = delete;
  small_cluster& operator=(const small_cluster&) = delete;
  ~small_cluster() {
    silos_.clear();
    post([this] { ended_ = true; });
    wire_.join();
  }

  static constexpr std::uint16_t partitions = 4;
  static constexpr std::size_t message_bytes_max = link_limits{}.message_bytes_max;

  class silo final : public replication_host {
  public:
    silo(small_cluster& around, std::string name, const std::string& directory)
        : around_(around), name_(std::move(name)) {
      storage_options options{.directory = directory};
      options.partition_count = partitions;
      options.in_cluster = true;
      options.checkpoint_interval_ms = 20;
      options.time = around_.time_;
      auto opened = open_storage(options);
      REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().to_string()));
      rows_ = std::move(*opened);
      incarnation_ = ++around_.incarnations_;
    }
    ~silo() override {
      around_.post_and_wait([this] { around_.up_.erase(name_); });
      rows_.reset();
      around_.post_and_wait([] {});  // what it has asked for until now names it
    }
    void join() {
      side().join(*this, {name_, incarnation_, around_.copies_});
      around_.post_and_wait([this] {
        around_.up_[name_] = this;
        around_.end_sessions(name_);
        for (std::uint16_t index = 0; index < partitions; ++index) {
          const partition_id partition{index};
          side().host(partition, true);
          if (const auto known = around_.records_.find(partition);
              known != around_.records_.end()) {
            side().learn(partition, known->second);
          } else {
            side().found(partition);
          }
        }
      });
    }
    [[nodiscard]] replication& side() const { return *rows_->cluster_side(); }
    [[nodiscard]] storage& rows() const { return *rows_; }
    [[nodiscard]] std::uint64_t incarnation() const { return incarnation_; }
    [[nodiscard]] std::uint64_t epoch(partition_id partition) const {
      return side().lease(partition).epoch();
    }
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] std::size_t quarantines() const { return quarantines_; }
    [[nodiscard]] std::size_t cannot_copy() const { return cannot_copy_; }
    [[nodiscard]] std::size_t set_aside() const { return set_aside_; }
    /// Whom it follows in which epoch, as it was told of a partition.
    [[nodiscard]] std::vector<std::pair<std::uint64_t, std::string>> followed(
        partition_id partition) {
      const std::lock_guard lock{around_.mutex_};
      return followed_[partition];
    }
    /// Whether writes have waited for a change that it has asked for.
    [[nodiscard]] bool writes_waited(partition_id partition) {
      const std::lock_guard lock{around_.mutex_};
      return writes_waited_.contains(partition);
    }
    /// What could not be read of others, as it was told.
    [[nodiscard]] std::vector<std::string> unread() {
      const std::lock_guard lock{around_.mutex_};
      return unread_;
    }

    void send(const std::string& to, replica_lane, const std::string& frame) override {
      if (frame.size() > message_bytes_max) {
        return;  // a link refuses it
      }
      around_.post([this, to, frame] {
        const auto found = around_.up_.find(to);
        if (found != around_.up_.end() && !around_.cut_.contains(name_) &&
            !around_.cut_.contains(to)) {
          found->second->side().receive(
              name_, around_.later_.contains(name_) ? of_later_protocol(frame) : frame);
        }
      });
    }
    void change(partition_id partition, const partition_record& wanted,
                writes_wait waits) override {
      if (waits == writes_wait::yes) {
        const std::lock_guard lock{around_.mutex_};
        writes_waited_.insert(partition);
      }
      around_.post([this, partition, wanted] { around_.change(*this, partition, wanted); });
    }
    void read(partition_id partition) override {
      around_.post([this, partition] {
        if (const auto found = around_.records_.find(partition);
            found != around_.records_.end() && around_.up_.contains(name_)) {
          side().learn(partition, found->second);
        }
      });
    }
    void leads(partition_id, std::uint64_t) override { around_.stir(); }
    void lost(partition_id) override { around_.stir(); }
    void wants_copy(partition_id) override {}
    void cannot_copy(partition_id, const error&) override { ++cannot_copy_; }
    void cannot_read(const std::string& from, const error& why) override {
      const std::lock_guard lock{around_.mutex_};
      unread_.push_back(from + ": " + why.to_string());
    }
    void follows(partition_id partition, std::uint64_t epoch, const std::string& from) override {
      const std::lock_guard lock{around_.mutex_};
      followed_[partition].emplace_back(epoch, from);
    }
    void set_aside(partition_id, const copy_id&, damage) override { ++set_aside_; }
    void quarantined(partition_id, const copy_id&, damage) override { ++quarantines_; }

  private:
    friend class small_cluster;
    small_cluster& around_;
    const std::string name_;
    std::unique_ptr<storage> rows_;
    std::uint64_t incarnation_ = 0;
    std::vector<std::string> unread_;
    std::set<partition_id> writes_waited_;
    std::map<partition_id, std::vector<std::pair<std::uint64_t, std::string>>> followed_;
    std::atomic<std::size_t> quarantines_{0};
    std::atomic<std::size_t> cannot_copy_{0};
    std::atomic<std::size_t> set_aside_{0};
  };

  silo& start(const std::string& name) {
    auto& made = silos_[name];
    made = std::make_unique<silo>(*this, name, directory_of(name));
    made->join();
    return *made;
  }
  /// As many silos as there should be copies, `a`, `b` and so on, until all have one.
  void start_all() {
    for (std::size_t number = 0; number < copies_; ++number) {
      start(std::string(1, static_cast<char>('a' + number)));
    }
    REQUIRE(has_set_of(copies_));
  }
  /// It ends without a word to anybody; with a proof of that, as of one machine.
  void kill(const std::string& name, bool is_proven = true) {
    const auto incarnation = at(name).incarnation();
    silos_.erase(name);
    if (is_proven) {
      post_and_wait([this, name, incarnation] {
        for (const auto& [other, one] : up_) {
          one->side().silo_died(name, incarnation, true);
          one->side().silo_died(name, incarnation, false);
        }
      });
    }
  }
  void wipe(const std::string& name) { std::filesystem::remove_all(directory_of(name)); }
  void cut(const std::string& name, bool is_cut) {
    post_and_wait([this, name, is_cut] {
      if (is_cut) {
        cut_.insert(name);
      } else {
        cut_.erase(name);
        end_sessions(name);
      }
    });
  }
  /// What it sends is in a version of the protocol that nobody here knows.
  void speak_later_protocol(const std::string& name, bool is_later) {
    post_and_wait([this, name, is_later] {
      if (is_later) {
        later_.insert(name);
      } else {
        later_.erase(name);
      }
    });
  }
  [[nodiscard]] silo& at(const std::string& name) { return *silos_.at(name); }
  [[nodiscard]] std::string directory_of(const std::string& name) const {
    return disks_.root() + "/" + name;
  }

  [[nodiscard]] partition_record record(partition_id partition) {
    partition_record known;
    post_and_wait([&] { known = records_[partition]; });
    return known;
  }

  /// Waits until it is so; looks whenever something has happened.
  template <class Condition>
  bool reaches(Condition&& condition, duration limit = std::chrono::seconds{60}) {
    const auto end = clock_.steady() + limit;
    while (!condition()) {
      if (clock_.steady() > end) {
        return false;
      }
      std::unique_lock lock{mutex_};
      stirred_.wait_for(lock, std::chrono::milliseconds{20});
    }
    return true;
  }
  /// The same where time is a test's own: it passes in steps of a tick, each once everybody has
  /// done what there is to do, so that nobody is late however slow the machine is.
  template <class Condition>
  bool passes(millrace::testing::hand_clock& time, Condition&& condition) {
    const auto end = clock_.steady() + std::chrono::seconds{60};
    while (!condition()) {
      if (clock_.steady() > end) {
        return false;
      }
      if (is_idle()) {
        time.move(std::chrono::milliseconds{50});
        for (const auto& [name, one] : silos_) {
          one->side().time_changed();
        }
      }
    }
    return true;
  }
  /// The one that serves the partition; waits for it.
  silo& primary(partition_id partition) {
    silo* found = nullptr;
    REQUIRE(reaches([&] {
      for (const auto& [name, one] : silos_) {
        if (one->epoch(partition) != 0 && !cut_.contains(name)) {
          found = one.get();
        }
      }
      return found != nullptr;
    }));
    return *found;
  }
  bool has_set_of(std::size_t size) {
    return reaches([&] {
      for (std::uint16_t index = 0; index < partitions; ++index) {
        const auto known = record(partition_id{index});
        if (known.in_sync.size() != size || known.state != partition_state::active) {
          return false;
        }
      }
      return true;
    });
  }

  /// Commits under the epoch of whoever serves it now; what it was answered.
  static std::future<result<void>> begin_commit(silo& to, partition_id partition, row_ops ops) {
    auto told = std::make_shared<std::promise<result<void>>>();
    auto outcome = told->get_future();
    auto request =
        std::make_unique<commit_call>([told](result<void> said) { told->set_value(said); });
    request->partition = partition;
    request->epoch = to.epoch(partition);
    request->ops = std::move(ops);
    to.rows().commit(std::move(request));
    return outcome;
  }
  static result<void> commit(silo& to, partition_id partition, row_ops ops) {
    return begin_commit(to, partition, std::move(ops)).get();
  }
  static result<void> put(silo& to, partition_id partition, std::string_view key,
                          std::string_view value) {
    row_ops ops;
    ops.put(key, value);
    return commit(to, partition, std::move(ops));
  }
  static std::map<std::string, std::string> rows_of(silo& of, partition_id partition) {
    std::map<std::string, std::string> all;
    const auto scanned = of.rows().scan(partition, {}, {}, SIZE_MAX, [&](const row& each) {
      all[each.key] = each.value;
      return true;
    });
    REQUIRE(scanned);
    return all;
  }

private:
  // Nobody has anything to do, nor had between two looks at all of them and at the wire.
  bool is_idle() {
    std::array<std::uint64_t, 2> rounds{};
    for (auto& each : rounds) {
      for (const auto& [name, one] : silos_) {
        const auto seen = one->side().rounds_if_idle();
        if (!seen) {
          return false;
        }
        each += *seen;
      }
      post_and_wait([] {});
    }
    return rounds[0] == rounds[1];
  }
  static std::string of_later_protocol(const std::string& frame) {
    const auto words = words_of(frame);
    capnp::FlatArrayMessageReader reader{words, {.traversalLimitInWords = 2 * words.size() + 64}};
    capnp::MallocMessageBuilder message;
    message.setRoot(reader.getRoot<schemas::ReplicaFrame>());
    message.getRoot<schemas::ReplicaFrame>().setProtocol(replica_protocol + 1);
    return framed_bytes(message);
  }
  // What was on its way from or to that silo has not arrived.
  void end_sessions(const std::string& of) {
    for (const auto& [name, one] : up_) {
      if (name != of && up_.contains(of)) {
        one->side().session_ended(of);
        up_.at(of)->side().session_ended(name);
      }
    }
  }
  void change(silo& by, partition_id partition, partition_record wanted) {
    auto& known = records_[partition];
    if (known.version == wanted.version) {
      wanted.version = ++revision_;
      known = wanted;
      for (const auto& [name, one] : up_) {
        one->side().learn(partition, known);
      }
    } else if (up_.contains(by.name_)) {
      by.side().learn(partition, known);
    }
    stir();
  }
  void stir() { stirred_.notify_all(); }
  void post(std::function<void()> what) {
    const std::lock_guard lock{mutex_};
    queue_.push_back(std::move(what));
    posted_.notify_one();
  }
  void post_and_wait(std::function<void()> what) {
    std::promise<void> done;
    post([&] {
      what();
      done.set_value();
    });
    done.get_future().wait();
  }
  void run() {
    while (!ended_) {
      std::function<void()> next;
      {
        std::unique_lock lock{mutex_};
        posted_.wait(lock, [this] { return !queue_.empty(); });
        next = std::move(queue_.front());
        queue_.pop_front();
      }
      next();
    }
  }

  const std::size_t copies_;
  const clock* const time_;
  scratch_directory disks_;
  system_clock clock_;
  std::mutex mutex_;
  std::condition_variable posted_;
  std::condition_variable stirred_;
  std::deque<std::function<void()>> queue_;
  std::atomic<std::uint64_t> incarnations_{0};

  // The wire's.
  bool ended_ = false;
  std::map<std::string, silo*> up_;
  std::set<std::string> cut_;
  std::set<std::string> later_;
  std::map<partition_id, partition_record> records_;
  std::uint64_t revision_ = 0;

  std::thread wire_;
  std::map<std::string, std::unique_ptr<silo>> silos_;
};

}  // namespace millrace::runtime::testing
