// SPDX-License-Identifier: MIT
#include "coordination/records.h"

#include <capnp/serialize.h>
#include <doctest/doctest.h>
#include <millrace/coordination.capnp.h>
#include <xxhash.h>

#include "byte_order.h"

namespace millrace::runtime {
namespace {

stored_partition some_partition() {
  stored_partition record;
  record.partition = partition_id{7};
  record.state = partition_state::active;
  record.data_loss_no = 1;
  record.epoch = 5;
  record.primary = {1, 2};
  record.in_sync = {{{1, 2}, "a"}, {{3, 4}, "b"}};
  record.in_sync_min = 2;
  record.eligible = {{{5, 6}, "c"}};
  record.commit_floor = 99;
  record.nonce = 0xfedcba9876543210;
  return record;
}

silo_row some_silo() {
  silo_row row;
  row.name = "a";
  row.address = "10.0.0.1:8401";
  row.roles = {true, false, true};
  row.labels = {{"disk", "nvme"}, {"zone", "1"}};
  row.state = silo_state::draining;
  row.is_decommissioned = true;
  row.process = {"boot", 4026531836, 17, 123456789012};
  row.types = {"counter", "ferry"};
  return row;
}

// The same bytes, as a build of that protocol version would write them.
std::string with_protocol(std::string bytes, std::uint32_t protocol) {
  bytes.resize(bytes.size() - sizeof(std::uint64_t));
  auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  std::memcpy(words.begin(), bytes.data(), bytes.size());
  capnp::FlatArrayMessageReader reader{words};
  capnp::MallocMessageBuilder message;
  message.setRoot(reader.getRoot<schemas::PartitionRecord>());
  message.getRoot<schemas::PartitionRecord>().setProtocol(protocol);
  const auto flat = capnp::messageToFlatArray(message);
  const auto chars = flat.asChars();
  std::string out{chars.begin(), chars.size()};
  append_little<std::uint64_t>(out, XXH3_64bits(out.data(), out.size()));
  return out;
}

TEST_CASE("records come back as they were") {
  const cluster_settings settings{"00112233445566778899aabbccddeeff", 256, "founder"};
  const auto settings_read = decode_settings(encode(settings));
  REQUIRE(settings_read);
  CHECK(*settings_read == settings);

  const auto silo_read = decode_silo("a", encode(some_silo()));
  REQUIRE(silo_read);
  CHECK(*silo_read == some_silo());

  const auto partition_read = decode_partition(partition_id{7}, encode(some_partition()));
  REQUIRE(partition_read);
  CHECK(*partition_read == some_partition());
}

TEST_CASE("what the store knows beside a record is not in its bytes") {
  auto silo = some_silo();
  auto record = some_partition();
  silo.incarnation = 3;
  record.version = 4;
  CHECK(encode(silo) == encode(some_silo()));
  CHECK(encode(record) == encode(some_partition()));
}

TEST_CASE("a record with any bit changed, or cut short, is refused as damaged") {
  const auto bytes = encode(some_partition());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    auto other = bytes;
    other[at] = static_cast<char>(other[at] ^ 0x10);
    const auto read = decode_partition(partition_id{7}, other);
    REQUIRE_FALSE(read);
    CHECK(read.error().code() == errc::storage_failed);
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(decode_partition(partition_id{7}, bytes.substr(0, size)));
  }
  CHECK_FALSE(
      decode_partition(partition_id{7}, std::string(coordination_record_bytes_max + 8, '\0')));
}

TEST_CASE("a record of a newer protocol is refused, and the text says which") {
  const auto bytes = encode(some_partition());
  CHECK(decode_partition(partition_id{7}, with_protocol(bytes, coordination_protocol)));
  const auto newer =
      decode_partition(partition_id{7}, with_protocol(bytes, coordination_protocol + 1));
  REQUIRE_FALSE(newer);
  CHECK(newer.error().code() == errc::failed_precondition);
  CHECK(newer.error().text() ==
        "the record of partition 7 in the coordination store: protocol version 2, this build "
        "knows up to 1; use a newer build");
  CHECK_FALSE(decode_partition(partition_id{7}, with_protocol(bytes, 0)));
}

TEST_CASE("records are written in the version that the settings say, and read up to the newest") {
  const auto settings = encode(cluster_settings{"00112233445566778899aabbccddeeff", 256, "", 2});
  CHECK_FALSE(decode_settings(settings));
  CHECK(decode_settings(settings, 2).value().protocol == 2);
  CHECK_FALSE(decode_silo("a", encode(some_silo(), 2)));
  CHECK(decode_silo("a", encode(some_silo(), 2), 2).value() == some_silo());
  CHECK(decode_silo("a", encode(some_silo(), 1), 2).value() == some_silo());
  CHECK_FALSE(decode_partition(partition_id{7}, encode(some_partition(), 2)));
  CHECK(decode_partition(partition_id{7}, encode(some_partition(), 2), 2));
}

TEST_CASE("a record that stands under another's key is refused") {
  CHECK_FALSE(decode_partition(partition_id{8}, encode(some_partition())));
  CHECK_FALSE(decode_silo("b", encode(some_silo())));
}

TEST_CASE("copies are told what concerns them of a record") {
  auto stored = some_partition();
  stored.version = 12;
  const partition_record& record = stored;
  CHECK(record.version == 12);
  CHECK(record.data_loss_no == 1);
  CHECK(record.epoch == 5);
  CHECK(record.primary == copy_id{1, 2});
  CHECK(record.in_sync == stored.in_sync);
  CHECK(record.in_sync_min == 2);
  CHECK(record.commit_floor == 99);
}

TEST_CASE("a silo's name fits a key and a log line") {
  CHECK(check_silo_name("silo-1"));
  CHECK(check_silo_name(std::string(silo_name_bytes_max, 'x')));
  CHECK_FALSE(check_silo_name(""));
  CHECK_FALSE(check_silo_name(std::string(silo_name_bytes_max + 1, 'x')));
  CHECK_FALSE(check_silo_name("two words"));
  CHECK_FALSE(check_silo_name("line\nend"));
  CHECK_FALSE(check_silo_name("\xc3\xa9"));
}

}  // namespace
}  // namespace millrace::runtime
