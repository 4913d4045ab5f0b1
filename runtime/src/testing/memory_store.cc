// SPDX-License-Identifier: MIT
#include "testing/memory_store.h"

#include <algorithm>

namespace millrace::testing::detail {

using runtime::errc;
using runtime::error;
using runtime::result;
using runtime::steady_time;

class memory_store::access final : public runtime::coordination_store {
public:
  access(memory_store& home, std::string silo, runtime::coordination_options options)
      : home_(home), silo_(std::move(silo)), ttl_(options.session_ttl) {
    hints_->changed = std::move(options.changed);
    const std::lock_guard lock{home_.mutex_};
    home_.listeners_.push_back(hints_);
  }
  access(const access&) = delete;
  access& operator=(const access&) = delete;
  ~access() override {
    const std::lock_guard lock{hints_->mutex};
    hints_->changed = nullptr;
  }

  result<std::optional<runtime::cluster_settings>> settings(steady_time) override;
  result<runtime::cluster_settings> settle(const runtime::cluster_settings& wanted,
                                           steady_time) override;
  result<runtime::coordination_view> read(std::uint64_t changed_after, steady_time) override;
  result<std::optional<runtime::stored_partition>> read_partition(runtime::partition_id partition,
                                                                  steady_time) override;
  runtime::cas_outcome compare_and_set(const runtime::stored_partition& wanted,
                                       steady_time) override;
  result<std::uint64_t> join(const runtime::silo_row& row, std::optional<std::uint64_t> replaces,
                             steady_time) override;
  result<void> update(const runtime::silo_row& row, steady_time) override;
  result<void> leave(steady_time) override;
  result<void> ensure_dead(const runtime::silo_row& silo, steady_time) override;
  result<bool> has_ended(const runtime::silo_row& silo, steady_time) override;

private:
  // Empty when it can be reached.
  [[nodiscard]] std::optional<error> away() const {
    if (home_.is_reached(silo_)) {
      return std::nullopt;
    }
    ++home_.asked_in_vain_;
    return error{errc::unavailable, "the store is cut off from " + silo_};
  }

  memory_store& home_;
  const std::string silo_;
  const runtime::duration ttl_;
  const std::shared_ptr<listener> hints_ = std::make_shared<listener>();
  std::uint64_t joined_ = 0;
};

// --- what a silo asks ----------------------------------------------------------------------------

result<std::optional<runtime::cluster_settings>> memory_store::access::settings(steady_time) {
  if (auto cut = away()) {
    return *std::move(cut);
  }
  const std::lock_guard lock{home_.mutex_};
  return home_.settings_;
}

result<runtime::cluster_settings> memory_store::access::settle(
    const runtime::cluster_settings& wanted, steady_time) {
  if (auto cut = away()) {
    return *std::move(cut);
  }
  const std::lock_guard lock{home_.mutex_};
  if (!home_.settings_) {
    home_.settings_ = wanted;
  }
  return *home_.settings_;
}

result<runtime::coordination_view> memory_store::access::read(std::uint64_t changed_after,
                                                              steady_time) {
  if (auto cut = away()) {
    return *std::move(cut);
  }
  const std::lock_guard lock{home_.mutex_};
  runtime::coordination_view view;
  view.revision = home_.revision_;
  for (const auto& [name, one] : home_.silos_) {
    view.silos.push_back(one.row);
  }
  for (const auto& [partition, record] : home_.partitions_) {
    if (record.version > changed_after) {
      view.partitions.push_back(record);
    }
  }
  return view;
}

result<std::optional<runtime::stored_partition>> memory_store::access::read_partition(
    runtime::partition_id partition, steady_time) {
  if (auto cut = away()) {
    return *std::move(cut);
  }
  const std::lock_guard lock{home_.mutex_};
  const auto found = home_.partitions_.find(partition);
  return found == home_.partitions_.end() ? std::nullopt : std::optional{found->second};
}

runtime::cas_outcome memory_store::access::compare_and_set(const runtime::stored_partition& wanted,
                                                           steady_time) {
  if (auto cut = away()) {
    return runtime::cas_unknown{*std::move(cut)};
  }
  const std::lock_guard lock{home_.mutex_};
  const auto found = home_.partitions_.find(wanted.partition);
  const bool is_there = found != home_.partitions_.end();
  if ((is_there ? found->second.version : 0) != wanted.version) {
    return runtime::cas_conflict{is_there ? std::optional{found->second} : std::nullopt};
  }
  auto record = wanted;
  record.version = ++home_.revision_;
  home_.partitions_[wanted.partition] = record;
  home_.changed();
  return runtime::cas_done{record.version};
}

result<std::uint64_t> memory_store::access::join(const runtime::silo_row& row,
                                                 std::optional<std::uint64_t> replaces,
                                                 steady_time) {
  if (auto cut = away()) {
    return *std::move(cut);
  }
  auto self = runtime::this_process();
  if (!self) {
    return std::move(self).error();
  }
  const std::lock_guard lock{home_.mutex_};
  if (const auto found = home_.silos_.find(row.name);
      found != home_.silos_.end() && replaces != found->second.row.incarnation) {
    return error{errc::conflict, "silo '" + row.name + "' is in already"};
  }
  session one{row, ttl_, home_.time_.steady()};
  one.row.incarnation = joined_ = ++home_.revision_;
  one.row.process = *std::move(self);
  home_.silos_[row.name] = one;
  home_.changed();
  return joined_;
}

result<void> memory_store::access::update(const runtime::silo_row& row, steady_time) {
  if (auto cut = away()) {
    return *std::move(cut);
  }
  const std::lock_guard lock{home_.mutex_};
  const auto found = home_.silos_.find(row.name);
  if (found == home_.silos_.end() || found->second.row.incarnation != row.incarnation) {
    return error{errc::fenced, "silo '" + row.name + "' is not in any more"};
  }
  const auto process = found->second.row.process;
  found->second.row = row;
  found->second.row.process = process;
  ++home_.revision_;
  home_.changed();
  return {};
}

result<void> memory_store::access::leave(steady_time) {
  if (auto cut = away()) {
    return *std::move(cut);
  }
  const std::lock_guard lock{home_.mutex_};
  if (const auto found = home_.silos_.find(silo_);
      found != home_.silos_.end() && found->second.row.incarnation == joined_) {
    home_.silos_.erase(found);
    ++home_.revision_;
    home_.changed();
  }
  return {};
}

result<void> memory_store::access::ensure_dead(const runtime::silo_row& silo,
                                               steady_time deadline) {
  const auto is_dead = has_ended(silo, deadline);
  return is_dead && *is_dead ? result<void>{}
                             : error{errc::deadline_exceeded, "nobody can prove it"};
}

result<bool> memory_store::access::has_ended(const runtime::silo_row& silo, steady_time) {
  const std::lock_guard lock{home_.mutex_};
  return home_.dead_.contains(silo.incarnation);
}

// --- what a test does ----------------------------------------------------------------------------

std::unique_ptr<runtime::coordination_store> memory_store::open(
    std::string silo, runtime::coordination_options options) {
  return std::make_unique<access>(*this, std::move(silo), std::move(options));
}

void memory_store::ended(const std::string& silo, bool is_proven) {
  const std::lock_guard lock{mutex_};
  const auto found = silos_.find(silo);
  if (found == silos_.end()) {
    return;
  }
  if (is_proven) {
    dead_.insert(found->second.row.incarnation);
    silos_.erase(found);
    ++revision_;
    changed();
  } else {
    found->second.is_silent = true;
    found->second.heard_at = time_.steady();
  }
}

bool memory_store::has(const std::string& silo) {
  const std::lock_guard lock{mutex_};
  return silos_.contains(silo);
}

bool memory_store::is_reached(const std::string& silo) {
  return !wire_.is_cut(silo, test_network::store);
}

bool memory_store::is_heard(const session& one) {
  return !one.is_silent && is_reached(one.row.name);
}

void memory_store::time_changed() {
  const std::lock_guard lock{mutex_};
  const auto now = time_.steady();
  for (auto& [name, one] : silos_) {
    if (is_heard(one)) {
      one.heard_at = now;
    }
  }
  const auto gone = std::erase_if(
      silos_, [&](const auto& each) { return now >= each.second.heard_at + each.second.ttl; });
  if (gone > 0) {
    ++revision_;
    changed();
  }
}

std::optional<steady_time> memory_store::next_due() {
  const std::lock_guard lock{mutex_};
  std::optional<steady_time> next;
  for (const auto& [name, one] : silos_) {
    if (!is_heard(one)) {
      const auto ends = one.heard_at + one.ttl;
      next = next ? std::min(*next, ends) : ends;
    }
  }
  return next;
}

void memory_store::changed() {
  std::erase_if(listeners_, [](const auto& each) { return each.expired(); });
  for (const auto& each : listeners_) {
    wire_.post([held = each] {
      if (const auto one = held.lock()) {
        const std::lock_guard lock{one->mutex};
        if (one->changed) {
          one->changed();
        }
      }
    });
  }
}

}  // namespace millrace::testing::detail
