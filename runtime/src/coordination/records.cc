// SPDX-License-Identifier: MIT
#include "coordination/records.h"

#include <capnp/serialize.h>
#include <kj/exception.h>
#include <millrace/coordination.capnp.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "byte_order.h"
#include "message_bytes.h"

namespace millrace::runtime {
namespace {

constexpr std::size_t digest_bytes = sizeof(std::uint64_t);

// Enumerators stand in one order here and there, so one is the other's number.
static_assert(static_cast<unsigned>(silo_state::draining) ==
              static_cast<unsigned>(schemas::SiloRow::State::DRAINING));
static_assert(static_cast<unsigned>(partition_state::active) ==
              static_cast<unsigned>(schemas::PartitionRecord::State::ACTIVE));

unsigned size_of(std::size_t count) {
  return static_cast<unsigned>(count);
}

template <class Schema, class Fill>
std::string encode_as(std::uint32_t protocol, Fill fill) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<Schema>();
  root.setProtocol(protocol);
  fill(root);
  auto out = framed_bytes(message);
  append_little<std::uint64_t>(out, XXH3_64bits(out.data(), out.size()));
  MILLRACE_ASSERT(out.size() <= coordination_record_bytes_max);
  return out;
}

// What `read` makes of the record, once it is whole and of a version that this build knows.
template <class Schema, class Read>
auto decode_as(const std::string& what, std::string_view bytes, std::uint32_t newest, Read read)
    -> decltype(read(std::declval<typename Schema::Reader>())) {
  const auto damaged = [&](const std::string& why) {
    return error{errc::storage_failed, what + " in the coordination store is damaged: " + why};
  };
  if (bytes.size() <= digest_bytes || bytes.size() > coordination_record_bytes_max ||
      bytes.size() % sizeof(capnp::word) != 0) {
    return damaged("it has " + std::to_string(bytes.size()) + " bytes");
  }
  const auto record = bytes.substr(0, bytes.size() - digest_bytes);
  if (XXH3_64bits(record.data(), record.size()) !=
      load_little<std::uint64_t>(bytes.data() + record.size())) {
    return damaged("its digest is another");
  }
  const auto words = words_of(record);
  try {
    capnp::FlatArrayMessageReader message{words};
    const auto root = message.getRoot<Schema>();
    if (root.getProtocol() == 0 || root.getProtocol() > newest) {
      return error{errc::failed_precondition,
                   what + " in the coordination store: protocol version " +
                       std::to_string(root.getProtocol()) + ", this build knows up to " +
                       std::to_string(newest) + "; use a newer build"};
    }
    return read(root);
  } catch (const kj::Exception& failed) {
    return damaged(failed.getDescription().cStr());
  }
}

// Whether it is what was told; who does not tell does not know.
bool is_row_digest(std::uint64_t told, std::uint64_t wanted) {
  return told == 0 || wanted == 0 || told == wanted;
}

void put(schemas::CopyId::Builder into, const copy_id& id) {
  into.setHigh(id.high);
  into.setLow(id.low);
}

copy_id read(schemas::CopyId::Reader from) {
  return {from.getHigh(), from.getLow()};
}

void put(capnp::List<schemas::Copy>::Builder into, const std::vector<placed_copy>& copies) {
  for (unsigned at = 0; at < into.size(); ++at) {
    put(into[at].initId(), copies[at].id);
    into[at].setSilo(copies[at].silo.c_str());
  }
}

std::vector<placed_copy> read(capnp::List<schemas::Copy>::Reader from) {
  std::vector<placed_copy> copies;
  for (const auto copy : from) {
    copies.push_back({read(copy.getId()), text_of(copy.getSilo())});
  }
  return copies;
}

}  // namespace

std::string encode(const cluster_settings& settings) {
  return encode_as<schemas::ClusterSettings>(settings.protocol,
                                             [&](schemas::ClusterSettings::Builder into) {
                                               into.setClusterId(settings.cluster_id.c_str());
                                               into.setPartitionCount(settings.partition_count);
                                               into.setFounder(settings.founder.c_str());
                                             });
}

std::string encode(const silo_row& row, std::uint32_t protocol, std::uint64_t row_digest) {
  return encode_as<schemas::SiloRow>(protocol, [&](schemas::SiloRow::Builder into) {
    into.setName(row.name.c_str());
    into.setAddress(row.address.c_str());
    auto roles = into.initRoles();
    roles.setState(row.roles.state);
    roles.setExecute(row.roles.execute);
    roles.setGateway(row.roles.gateway);
    auto labels = into.initLabels(size_of(row.labels.size()));
    unsigned at = 0;
    for (const auto& [key, value] : row.labels) {
      labels[at].setKey(key.c_str());
      labels[at++].setValue(value.c_str());
    }
    into.setState(static_cast<schemas::SiloRow::State>(row.state));
    auto process = into.initProcess();
    process.setBootId(row.process.boot_id.c_str());
    process.setPidNamespace(row.process.pid_namespace);
    process.setPid(row.process.pid);
    process.setStartTicks(row.process.start_ticks);
    into.setZone(row.zone.c_str());
    into.setDecommissioned(row.is_decommissioned);
    auto types = into.initTypes(size_of(row.types.size()));
    for (unsigned each = 0; each < types.size(); ++each) {
      types.set(each, row.types[each].c_str());
    }
    into.setRowDigest(row_digest);
  });
}

std::string encode(const stored_partition& record, std::uint32_t protocol,
                   std::uint64_t row_digest) {
  return encode_as<schemas::PartitionRecord>(protocol, [&](schemas::PartitionRecord::Builder into) {
    into.setPartition(static_cast<std::uint16_t>(record.partition));
    into.setState(static_cast<schemas::PartitionRecord::State>(record.state));
    into.setDataLossNo(record.data_loss_no);
    into.setEpoch(record.epoch);
    put(into.initPrimary(), record.primary);
    put(into.initInSync(size_of(record.in_sync.size())), record.in_sync);
    into.setInSyncMin(size_of(record.in_sync_min));
    put(into.initEligible(size_of(record.eligible.size())), record.eligible);
    into.setCommitFloor(record.commit_floor);
    into.setNonce(record.nonce);
    into.setLossSilo(record.loss.silo.c_str());
    into.setLossReason(record.loss.reason.c_str());
    into.setLossAtMs(record.loss.at_ms);
    into.setLossAcknowledged(record.loss.acknowledged);
    into.setRowDigest(row_digest);
  });
}

result<cluster_settings> decode_settings(std::string_view bytes, std::uint32_t newest) {
  return decode_as<schemas::ClusterSettings>(
      "the cluster's settings", bytes, newest,
      [](schemas::ClusterSettings::Reader from) -> result<cluster_settings> {
        return cluster_settings{text_of(from.getClusterId()), from.getPartitionCount(),
                                text_of(from.getFounder()), from.getProtocol()};
      });
}

result<silo_row> decode_silo(std::string_view name, std::string_view bytes, std::uint32_t newest,
                             std::uint64_t row_digest) {
  const auto what = "the row of silo '" + std::string{name} + "'";
  return decode_as<schemas::SiloRow>(
      what, bytes, newest, [&](schemas::SiloRow::Reader from) -> result<silo_row> {
        const auto state = static_cast<silo_state>(from.getState());
        if (text_of(from.getName()) != name || state > silo_state::draining ||
            !is_row_digest(from.getRowDigest(), row_digest)) {
          return error{errc::storage_failed,
                       what + " in the coordination store is another's, or in no known state"};
        }
        silo_row row;
        row.name = name;
        row.address = text_of(from.getAddress());
        const auto roles = from.getRoles();
        row.roles = {roles.getState(), roles.getExecute(), roles.getGateway()};
        row.zone = text_of(from.getZone());
        for (const auto label : from.getLabels()) {
          row.labels.emplace(text_of(label.getKey()), text_of(label.getValue()));
        }
        row.state = state;
        row.is_decommissioned = from.getDecommissioned();
        const auto process = from.getProcess();
        row.process = {text_of(process.getBootId()), process.getPidNamespace(), process.getPid(),
                       process.getStartTicks()};
        for (const auto type : from.getTypes()) {
          row.types.push_back(text_of(type));
        }
        return row;
      });
}

result<stored_partition> decode_partition(partition_id partition, std::string_view bytes,
                                          std::uint32_t newest, std::uint64_t row_digest) {
  const auto number = static_cast<std::uint16_t>(partition);
  const auto what = "the record of partition " + std::to_string(number);
  return decode_as<schemas::PartitionRecord>(
      what, bytes, newest, [&](schemas::PartitionRecord::Reader from) -> result<stored_partition> {
        const auto state = static_cast<partition_state>(from.getState());
        if (from.getPartition() != number || state > partition_state::active ||
            !is_row_digest(from.getRowDigest(), row_digest)) {
          return error{errc::storage_failed,
                       what + " in the coordination store is another's, or in no known state"};
        }
        stored_partition record;
        record.partition = partition;
        record.state = state;
        record.data_loss_no = from.getDataLossNo();
        record.epoch = from.getEpoch();
        record.primary = read(from.getPrimary());
        record.in_sync = read(from.getInSync());
        record.in_sync_min = from.getInSyncMin();
        record.eligible = read(from.getEligible());
        record.commit_floor = from.getCommitFloor();
        record.nonce = from.getNonce();
        record.loss = {text_of(from.getLossSilo()), text_of(from.getLossReason()),
                       from.getLossAtMs(), from.getLossAcknowledged()};
        return record;
      });
}

result<void> check_silo_name(std::string_view name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return c > ' '; });
  if (name.empty() || name.size() > silo_name_bytes_max || !plain) {
    return error{errc::invalid_argument,
                 "a silo's name has 1 to 200 printable ASCII characters and no space"};
  }
  return {};
}

}  // namespace millrace::runtime
