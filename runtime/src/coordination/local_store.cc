// SPDX-License-Identifier: MIT
#include "coordination/local_store.h"

#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "coordination/local_environment.h"
#include "coordination/local_watcher.h"

namespace millrace::runtime {
namespace {

// What is open in this process. A second environment of one directory would take the locks of the
// first one along when it is closed.
class open_environments {
public:
  result<std::shared_ptr<local_environment>> get(const std::string& directory,
                                                 const process_identity& self, const clock& clock,
                                                 const coordination_options& options) {
    std::error_code unknown;
    // What a process has open is not its child's: neither LMDB's environment nor the lock.
    const std::pair key{self.pid, std::filesystem::weakly_canonical(directory, unknown).string()};
    std::unique_lock lock{mutex_};
    for (auto found = open_.find(key); found != open_.end(); found = open_.find(key)) {
      if (auto shared = found->second.lock()) {
        return shared;
      }
      closed_.wait(lock);
    }
    auto made = local_environment::open(directory, self, clock, options.warn);
    if (!made) {
      return made.error();
    }
    std::shared_ptr<local_environment> shared{made->release(), [this, key](auto* environment) {
                                                const std::lock_guard closing{mutex_};
                                                delete environment;
                                                open_.erase(key);
                                                closed_.notify_all();
                                              }};
    open_.emplace(key, shared);
    return shared;
  }

private:
  std::mutex mutex_;
  std::condition_variable closed_;
  std::map<std::pair<std::int32_t, std::string>, std::weak_ptr<local_environment>> open_;
};

class local_store final : public coordination_store {
public:
  local_store(std::shared_ptr<local_environment> environment, process_identity self,
              const clock& clock, coordination_options options)
      : clock_(clock),
        options_(std::move(options)),
        self_(std::move(self)),
        environment_(std::move(environment)) {}

  result<void> start() { return watcher_.start(); }

  result<std::optional<cluster_settings>> settings(steady_time deadline) override;
  result<cluster_settings> settle(const cluster_settings& wanted, steady_time deadline) override;
  result<coordination_view> read(std::uint64_t changed_after, steady_time deadline) override;
  result<std::optional<stored_partition>> read_partition(partition_id partition,
                                                         steady_time deadline) override;
  cas_outcome compare_and_set(const stored_partition& wanted, steady_time deadline) override;
  result<std::uint64_t> join(const silo_row& row, std::optional<std::uint64_t> replaces,
                             steady_time deadline) override;
  result<void> update(const silo_row& row, steady_time deadline) override;
  result<void> leave(steady_time deadline) override;
  result<void> ensure_dead(const silo_row& silo, steady_time deadline) override {
    return end_process(silo.process, self_, deadline - clock_.steady());
  }
  result<bool> has_ended(const silo_row& silo, steady_time) override {
    return runtime::has_ended(silo.process, self_);
  }

private:
  // Whether who is in has ended, so that another may come in its place.
  bool has_ended(const local_silo& silo, steady_time now);
  // Takes the row of a session out that has ended.
  result<void> take_out(const local_watcher::session& left, steady_time deadline);
  // Makes room for `name`, and finds a slot for its session.
  result<std::size_t> find_slot(const local_rows& rows, const std::string& name,
                                std::optional<std::uint64_t> replaces, steady_time now);

  const clock& clock_;
  const coordination_options options_;
  const process_identity self_;
  const std::shared_ptr<local_environment> environment_;
  std::mutex leaving_mutex_;
  std::optional<local_watcher::session> leaving_;  // that has ended, until its row is out
  local_watcher watcher_{*environment_, clock_, options_};
};

result<std::optional<cluster_settings>> local_store::settings(steady_time deadline) {
  const auto reader = environment_->begin_read(deadline);
  return reader ? (*reader)->rows(options_.protocol).settings() : reader.error();
}

result<cluster_settings> local_store::settle(const cluster_settings& wanted, steady_time deadline) {
  const auto writer = environment_->begin_write(deadline);
  if (!writer) {
    return writer.error();
  }
  const auto found = (*writer)->rows(options_.protocol).settings();
  if (!found) {
    return found.error();
  }
  if (*found) {
    return **found;
  }
  auto made = wanted;
  made.protocol = options_.protocol;
  if (auto put = (*writer)->rows(options_.protocol).put(made); !put) {
    return put.error();
  }
  const auto done = (*writer)->commit();
  return done ? result{made} : done.error();
}

result<coordination_view> local_store::read(std::uint64_t changed_after, steady_time deadline) {
  const auto reader = environment_->begin_read(deadline);
  if (!reader) {
    return reader.error();
  }
  const auto rows = (*reader)->rows(options_.protocol);
  coordination_view view;
  view.revision = rows.revision();
  auto silos = rows.silos();
  if (!silos) {
    return silos.error();
  }
  for (auto& silo : *silos) {
    view.silos.push_back(std::move(silo.row));
  }
  auto partitions = rows.partitions(changed_after);
  if (!partitions) {
    return partitions.error();
  }
  view.partitions = std::move(*partitions);
  return view;
}

result<std::optional<stored_partition>> local_store::read_partition(partition_id partition,
                                                                    steady_time deadline) {
  const auto reader = environment_->begin_read(deadline);
  return reader ? (*reader)->rows(options_.protocol).partition(partition) : reader.error();
}

cas_outcome local_store::compare_and_set(const stored_partition& wanted, steady_time deadline) {
  const auto writer = environment_->begin_write(deadline);
  if (!writer) {
    return cas_unknown{writer.error()};
  }
  const auto rows = (*writer)->rows(options_.protocol);
  const auto found = rows.partition(wanted.partition);
  if (!found) {
    return cas_unknown{found.error()};
  }
  if ((*found ? (*found)->version : 0) != wanted.version) {
    return cas_conflict{*found};
  }
  auto record = wanted;
  record.version = rows.revision();
  if (auto put = rows.put(record); !put) {
    return cas_unknown{put.error()};
  }
  if (auto done = (*writer)->commit(); !done) {
    return cas_unknown{done.error()};
  }
  return cas_done{record.version};
}

bool local_store::has_ended(const local_silo& silo, steady_time now) {
  if (environment_->page().end_session_if_expired(silo.slot, silo.row.incarnation, now)) {
    return true;
  }
  const auto& process = silo.row.process;
  const auto handle = process_handle::open(process.pid, process.start_ticks);
  return handle && !handle->has_value();
}

result<std::size_t> local_store::find_slot(const local_rows& rows, const std::string& name,
                                           std::optional<std::uint64_t> replaces, steady_time now) {
  const auto silos = rows.silos();
  if (!silos) {
    return silos.error();
  }
  std::set<std::size_t> taken;
  for (const auto& other : *silos) {
    if (other.row.name != name) {
      taken.insert(other.slot);
    } else if (replaces == other.row.incarnation || has_ended(other, now)) {
      environment_->page().end_session(other.slot, other.row.incarnation);
    } else {
      return error{errc::conflict, "silo '" + name + "' is in already, as process " +
                                       std::to_string(other.row.process.pid) + " at " +
                                       other.row.address};
    }
  }
  std::size_t slot = 0;
  while (taken.contains(slot)) {
    ++slot;
  }
  if (slot == local_sessions_max) {
    return error{errc::failed_precondition, "there are " + std::to_string(local_sessions_max) +
                                                " silos on this machine already"};
  }
  return slot;
}

result<std::uint64_t> local_store::join(const silo_row& row, std::optional<std::uint64_t> replaces,
                                        steady_time deadline) {
  if (auto good = check_silo_name(row.name); !good) {
    return good.error();
  }
  const auto writer = environment_->begin_write(deadline);
  if (!writer) {
    return writer.error();
  }
  const auto rows = (*writer)->rows(options_.protocol);
  const auto now = clock_.steady();
  const auto slot = find_slot(rows, row.name, replaces, now);
  if (!slot) {
    return slot.error();
  }
  local_silo joined{row, *slot};
  joined.row.process = self_;
  joined.row.incarnation = rows.revision();
  if (auto put = rows.put(joined); !put) {
    return put.error();
  }
  auto& page = environment_->page();
  page.begin_session(joined.slot, joined.row.incarnation, now + options_.session_ttl);
  if (auto done = (*writer)->commit(); !done) {
    page.end_session(joined.slot, joined.row.incarnation);
    return done.error();
  }
  watcher_.keep_alive(row.name, joined.row.incarnation, joined.slot, now);
  return joined.row.incarnation;
}

result<void> local_store::update(const silo_row& row, steady_time deadline) {
  const auto writer = environment_->begin_write(deadline);
  if (!writer) {
    return writer.error();
  }
  const auto rows = (*writer)->rows(options_.protocol);
  const auto found = rows.silo(row.name);
  if (!found) {
    return found.error();
  }
  if (!*found || (*found)->row.incarnation != row.incarnation) {
    return error{errc::fenced, "silo '" + row.name + "' is not in any more"};
  }
  local_silo changed{row, (*found)->slot};
  changed.row.process = self_;
  if (auto put = rows.put(changed); !put) {
    return put;
  }
  return (*writer)->commit();
}

result<void> local_store::leave(steady_time deadline) {
  const std::lock_guard lock{leaving_mutex_};
  if (const auto session = watcher_.give_up()) {
    environment_->page().end_session(session->slot, session->incarnation);
    leaving_ = session;
  }
  auto gone = leaving_ ? take_out(*leaving_, deadline) : result<void>{};
  if (gone) {
    leaving_.reset();
  }
  return gone;
}

result<void> local_store::take_out(const local_watcher::session& left, steady_time deadline) {
  const auto writer = environment_->begin_write(deadline);
  if (!writer) {
    return writer.error();
  }
  const auto rows = (*writer)->rows(options_.protocol);
  const auto found = rows.silo(left.name);
  if (!found) {
    return found.error();
  }
  if (!*found || (*found)->row.incarnation != left.incarnation) {
    return {};
  }
  if (auto erased = rows.erase_silo(left.name); !erased) {
    return erased;
  }
  return (*writer)->commit();
}

}  // namespace

result<std::unique_ptr<coordination_store>> open_local_store(const std::string& directory,
                                                             const clock& clock,
                                                             coordination_options options) {
  auto self = this_process();
  if (!self) {
    return self.error();
  }
  static open_environments here;
  auto environment = here.get(directory, *self, clock, options);
  if (!environment) {
    return environment.error();
  }
  auto store = std::make_unique<local_store>(std::move(*environment), std::move(*self), clock,
                                             std::move(options));
  if (auto started = store->start(); !started) {
    return started.error();
  }
  return std::unique_ptr<coordination_store>{std::move(store)};
}

}  // namespace millrace::runtime
