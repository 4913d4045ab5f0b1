// SPDX-License-Identifier: MIT
#include "coordination/etcd_store.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <mutex>
#include <utility>

#include "coordination/etcd_client.h"
#include "coordination/etcd_watcher.h"

namespace millrace::runtime {
namespace {

constexpr auto created = etcd_compare::target::create_revision;
constexpr auto modified = etcd_compare::target::mod_revision;
constexpr auto get = etcd_step::kind::get;
constexpr auto put = etcd_step::kind::put;

constexpr int partition_digits = 5;
constexpr duration clean_up_patience = std::chrono::seconds{1};

etcd_step put_step(std::string key, std::string value, std::uint64_t lease = 0) {
  etcd_step step{put, std::move(key)};
  step.value = std::move(value);
  step.lease = lease;
  return step;
}

// A transaction has as many ranges as it has gets; anything else is no answer to it.
result<std::vector<etcd_row>> rows_of(const etcd_answer& answer, std::size_t step) {
  if (step >= answer.ranges.size()) {
    return error{errc::outcome_unknown, "etcd's answer lacks a part"};
  }
  return answer.ranges[step];
}

class etcd_store final : public coordination_store {
public:
  etcd_store(std::unique_ptr<etcd_client> client, std::string prefix, process_identity self,
             const clock& clock, coordination_options options)
      : clock_(clock),
        options_(std::move(options)),
        prefix_(std::move(prefix)),
        self_(std::move(self)),
        client_(std::move(client)) {}

  result<void> reach(steady_time deadline);

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
  result<void> ensure_dead(const silo_row& silo, steady_time deadline) override;
  result<bool> has_ended(const silo_row& silo, steady_time deadline) override;

private:
  [[nodiscard]] std::string settings_key() const { return prefix_ + "settings"; }
  [[nodiscard]] std::string silos_prefix() const { return prefix_ + "silos/"; }
  [[nodiscard]] std::string partitions_prefix() const { return prefix_ + "partitions/"; }
  [[nodiscard]] std::string partition_key(partition_id partition) const;
  [[nodiscard]] result<cluster_settings> settings_in(const etcd_row& row);
  [[nodiscard]] result<silo_row> silo_in(const etcd_row& row) const;
  [[nodiscard]] result<stored_partition> partition_in(const etcd_row& row) const;
  [[nodiscard]] result<std::optional<stored_partition>> partition_in(
      const result<std::vector<etcd_row>>& rows) const;

  // Puts the row under that lease unless another is in; then gives that one.
  struct refused {
    etcd_row by;
  };
  using entry = std::variant<std::uint64_t, refused>;
  result<entry> enter(const silo_row& row, std::uint64_t lease, steady_time deadline);

  const clock& clock_;
  const coordination_options options_;
  const std::string prefix_;
  const process_identity self_;
  const std::unique_ptr<etcd_client> client_;
  std::optional<etcd_watcher> watcher_;
  std::atomic<std::uint32_t> protocol_{options_.protocol};  // that of the settings, once known
  std::mutex leaving_mutex_;
  std::optional<std::uint64_t>
      leaving_;  // the lease that is no longer kept alive, until it is gone
};

// The version of the servers is asked for on the way.
result<void> etcd_store::reach(steady_time deadline) {
  const auto answer = client_->read({{}, {{get, settings_key()}}, {}}, deadline);
  if (!answer) {
    return answer.error();
  }
  watcher_.emplace(*client_, clock_, options_, settings_key(), prefix_);
  return {};
}

std::string etcd_store::partition_key(partition_id partition) const {
  std::array<char, partition_digits + 1> digits{};
  std::snprintf(digits.data(), digits.size(), "%0*u", partition_digits,
                static_cast<unsigned>(partition));
  return partitions_prefix() + digits.data();
}

result<cluster_settings> etcd_store::settings_in(const etcd_row& row) {
  auto found = decode_settings(row.value, options_.protocol);
  if (found) {
    protocol_ = found->protocol;
  }
  return found;
}

result<silo_row> etcd_store::silo_in(const etcd_row& row) const {
  const std::string_view key{row.key};
  auto silo = decode_silo(key.substr(std::min(key.size(), silos_prefix().size())), row.value,
                          options_.protocol);
  if (silo) {
    silo->incarnation = row.create_revision;
  }
  return silo;
}

result<stored_partition> etcd_store::partition_in(const etcd_row& row) const {
  const auto digits =
      std::string_view{row.key}.substr(std::min(row.key.size(), partitions_prefix().size()));
  std::uint16_t number = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (failed != std::errc{} || end != digits.data() + digits.size()) {
    return error{errc::storage_failed, "the key '" + row.key + "' in etcd names no partition"};
  }
  auto record = decode_partition(partition_id{number}, row.value, options_.protocol);
  if (record) {
    record->version = row.mod_revision;
  }
  return record;
}

result<std::optional<stored_partition>> etcd_store::partition_in(
    const result<std::vector<etcd_row>>& rows) const {
  if (!rows || rows->empty()) {
    return rows ? result<std::optional<stored_partition>>{std::nullopt} : rows.error();
  }
  auto record = partition_in(rows->front());
  return record ? result{std::optional{std::move(*record)}} : record.error();
}

// --- reading and deciding ------------------------------------------------------------------------

result<std::optional<cluster_settings>> etcd_store::settings(steady_time deadline) {
  const auto answer = client_->read({{}, {{get, settings_key()}}, {}}, deadline);
  const auto rows = answer ? rows_of(*answer, 0) : answer.error();
  if (!rows || rows->empty()) {
    return rows ? result<std::optional<cluster_settings>>{std::nullopt} : rows.error();
  }
  auto found = settings_in(rows->front());
  return found ? result{std::optional{*std::move(found)}} : found.error();
}

result<cluster_settings> etcd_store::settle(const cluster_settings& wanted, steady_time deadline) {
  auto made = wanted;
  made.protocol = options_.protocol;
  const auto answer = client_->write({{{created, settings_key(), 0}},
                                      {put_step(settings_key(), encode(made))},
                                      {{get, settings_key()}}},
                                     deadline);
  if (!answer || answer->succeeded) {
    return answer ? result{made} : answer.error();
  }
  const auto rows = rows_of(*answer, 0);
  return rows && !rows->empty() ? settings_in(rows->front())
                                : error{errc::outcome_unknown, "etcd's answer lacks the settings"};
}

result<coordination_view> etcd_store::read(std::uint64_t changed_after, steady_time deadline) {
  etcd_step silos{get, silos_prefix()};
  silos.range_end = end_of_prefix(silos.key);
  etcd_step partitions{get, partitions_prefix()};
  partitions.range_end = end_of_prefix(partitions.key);
  partitions.changed_after = changed_after;
  const auto answer = client_->read({{}, {silos, partitions}, {}}, deadline);
  if (!answer) {
    return answer.error();
  }
  coordination_view view;
  view.revision = answer->header.revision;
  const auto silo_rows = rows_of(*answer, 0);
  const auto partition_rows = rows_of(*answer, 1);
  if (!silo_rows || !partition_rows) {
    return silo_rows ? partition_rows.error() : silo_rows.error();
  }
  for (const auto& row : *silo_rows) {
    auto silo = silo_in(row);
    if (!silo) {
      return silo.error();
    }
    view.silos.push_back(std::move(*silo));
  }
  for (const auto& row : *partition_rows) {
    auto record = partition_in(row);
    if (!record) {
      return record.error();
    }
    view.partitions.push_back(std::move(*record));
  }
  return view;
}

result<std::optional<stored_partition>> etcd_store::read_partition(partition_id partition,
                                                                   steady_time deadline) {
  const auto answer = client_->read({{}, {{get, partition_key(partition)}}, {}}, deadline);
  return answer ? partition_in(rows_of(*answer, 0)) : answer.error();
}

cas_outcome etcd_store::compare_and_set(const stored_partition& wanted, steady_time deadline) {
  const auto key = partition_key(wanted.partition);
  const auto answer = client_->write(
      {{{modified, key, wanted.version}}, {put_step(key, encode(wanted, protocol_))}, {{get, key}}},
      deadline);
  if (!answer) {
    return cas_unknown{answer.error()};
  }
  if (answer->succeeded) {
    return cas_done{answer->header.revision};
  }
  auto found = partition_in(rows_of(*answer, 0));
  if (!found) {
    return cas_unknown{found.error()};
  }
  // Something between us and etcd may have sent it twice.
  if (fate_of(wanted, *found) == cas_fate::succeeded) {
    return cas_done{(*found)->version};
  }
  return cas_conflict{std::move(*found)};
}

// --- membership ----------------------------------------------------------------------------------

result<etcd_store::entry> etcd_store::enter(const silo_row& row, std::uint64_t lease,
                                            steady_time deadline) {
  const auto key = silos_prefix() + row.name;
  const auto answer = client_->write(
      {{{created, key, 0}}, {put_step(key, encode(row, protocol_), lease)}, {{get, key}}},
      deadline);
  if (!answer) {
    return answer.error();
  }
  if (answer->succeeded) {
    return entry{answer->header.revision};
  }
  const auto rows = rows_of(*answer, 0);
  if (!rows || rows->empty()) {
    return error{errc::outcome_unknown, "etcd's answer lacks the silo that is in"};
  }
  return entry{refused{rows->front()}};
}

result<std::uint64_t> etcd_store::join(const silo_row& row, std::optional<std::uint64_t> replaces,
                                       steady_time deadline) {
  if (auto good = check_silo_name(row.name); !good) {
    return good.error();
  }
  const auto ttl = std::chrono::ceil<std::chrono::seconds>(options_.session_ttl).count();
  const auto begun_at = clock_.steady();
  const auto lease = client_->grant(static_cast<std::uint64_t>(ttl), deadline);
  if (!lease) {
    return lease.error();
  }
  auto own = row;
  own.process = self_;
  auto entered = enter(own, lease->id, deadline);
  if (entered && std::holds_alternative<refused>(*entered)) {
    const auto& other = std::get<refused>(*entered).by;
    if (replaces == other.create_revision && other.lease != 0) {
      const auto revoked = client_->revoke(other.lease, deadline);
      entered = revoked ? enter(own, lease->id, deadline) : revoked.error();
    }
  }
  if (entered && std::holds_alternative<std::uint64_t>(*entered)) {
    watcher_->keep_alive(lease->id, begun_at);
    return std::get<std::uint64_t>(*entered);
  }
  // Without its lease, what may still be on its way puts no row.
  static_cast<void>(client_->revoke(lease->id, clock_.steady() + clean_up_patience));
  if (!entered) {
    return entered.error();
  }
  const auto other = silo_in(std::get<refused>(*entered).by);
  return error{errc::conflict, "silo '" + row.name + "' is in already, at " +
                                   (other ? other->address : "an address that cannot be read")};
}

result<void> etcd_store::update(const silo_row& row, steady_time deadline) {
  const error out{errc::fenced, "silo '" + row.name + "' is not in any more"};
  const auto lease = watcher_->lease();
  if (!lease) {
    return out;
  }
  auto own = row;
  own.process = self_;
  const auto key = silos_prefix() + row.name;
  const auto answer = client_->write(
      {{{created, key, row.incarnation}}, {put_step(key, encode(own, protocol_), *lease)}, {}},
      deadline);
  if (!answer) {
    return answer.error().code() == errc::not_found ? out : answer.error();
  }
  return answer->succeeded ? result<void>{} : out;
}

// The row goes with its lease.
result<void> etcd_store::leave(steady_time deadline) {
  const std::lock_guard lock{leaving_mutex_};
  if (const auto lease = watcher_->give_up()) {
    leaving_ = lease;
  }
  auto gone = leaving_ ? client_->revoke(*leaving_, deadline) : result<void>{};
  if (gone) {
    leaving_.reset();
  }
  return gone;
}

result<void> etcd_store::ensure_dead(const silo_row& silo, steady_time deadline) {
  if (share_pids(silo.process, self_)) {
    return end_process(silo.process, self_, deadline - clock_.steady());
  }
  const auto refuses = refuses_connections(silo.address, deadline, clock_);
  if (!refuses) {
    return refuses.error();
  }
  return *refuses ? result<void>{}
                  : error{errc::failed_precondition, "somebody listens at " + silo.address};
}

result<bool> etcd_store::has_ended(const silo_row& silo, steady_time deadline) {
  return share_pids(silo.process, self_) ? runtime::has_ended(silo.process, self_)
                                         : refuses_connections(silo.address, deadline, clock_);
}

}  // namespace

result<std::unique_ptr<coordination_store>> open_etcd_store(etcd_options etcd, const clock& clock,
                                                            steady_time deadline,
                                                            coordination_options options) {
  auto self = this_process();
  if (!self) {
    return self.error();
  }
  auto client = etcd_client::make(etcd, clock, options.warn);
  if (!client) {
    return client.error();
  }
  auto store = std::make_unique<etcd_store>(std::move(*client), std::move(etcd.prefix),
                                            std::move(*self), clock, std::move(options));
  if (auto reached = store->reach(deadline); !reached) {
    return reached.error();
  }
  return std::unique_ptr<coordination_store>{std::move(store)};
}

}  // namespace millrace::runtime
