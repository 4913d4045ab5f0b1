// SPDX-License-Identifier: MIT
#include "storage/replica_frame.h"

#include <capnp/serialize.h>
#include <doctest/doctest.h>

#include "byte_order.h"
#include "message_bytes.h"
#include "millrace/replica.capnp.h"
#include "millrace/runtime/storage.h"
#include "partition/journal_entry.h"

using namespace millrace::runtime;
namespace schemas = millrace::schemas;

namespace {

const placed_copy self{{1, 2}, "of the sender"};
const copy_id other{3, 4};
constexpr partition_id p7{7};
constexpr log_tail tail{5, 6, 7};
constexpr steady_time instant{std::chrono::hours{1}};

std::string entry_of(std::string_view ops) {
  std::string encoded;
  encode_entry({p7, 5, 6, 4, 3, ops}, encoded);
  return encoded;
}

std::string rows() {
  row_ops made;
  made.put("key", "value");
  made.put("other", "");
  return made.encoded();
}

// One of each kind.
std::vector<replica_message> all_messages() {
  return {prepare_message{self, 1, 5, 2, entry_of("ops")},
          beacon_message{self, 1, 5, 9, 2, tail, instant},
          release_message{self, 5, {8, 9}},
          snapshot_message{self, 5, tail},
          range_message{self, 1, 5, tail, 8, "first", "next", rows()},
          compare_message{self, 5, 6, 7},
          discard_message{self, 5},
          prepared_message{self, 5, 2, tail},
          behind_message{self, 5, tail, {{0, 0}, {2, 1}, {5, 6}}},
          fenced_message{self, 5},
          grant_message{self, 5, instant, true},
          refused_message{self, 5},
          fetch_message{self, 5, tail, "first"},
          compared_message{self, 5, 6, 7}};
}

std::vector<replica_item> items_of(const std::vector<replica_message>& messages) {
  std::vector<replica_item> items;
  for (const auto& each : messages) {
    items.push_back({p7, other, each});
  }
  return items;
}

// All fields of a message but the sender's silo, as text: two are the same if these are.
std::string told(const replica_item& item) {
  const auto digits = [](auto... numbers) { return ((std::to_string(numbers) + ' ') + ...); };
  const auto of_tail = [&](const log_tail& at) { return digits(at.epoch, at.seq, at.digest); };
  struct fields {
    decltype(digits)& d;
    decltype(of_tail)& t;
    std::string operator()(const prepare_message& m) const {
      return d(m.data_loss_no, m.epoch, m.committed) + m.entry;
    }
    std::string operator()(const beacon_message& m) const {
      return d(m.data_loss_no, m.epoch, m.record_version, m.committed,
               m.sent_at.time_since_epoch().count()) +
             t(m.tail);
    }
    std::string operator()(const release_message& m) const {
      return d(m.epoch, m.successor.high, m.successor.low);
    }
    std::string operator()(const snapshot_message& m) const { return d(m.epoch) + t(m.tail); }
    std::string operator()(const range_message& m) const {
      return d(m.data_loss_no, m.epoch, m.applied) + t(m.base) + m.first + ' ' + m.next + ' ' +
             m.rows;
    }
    std::string operator()(const compare_message& m) const {
      return d(m.epoch, m.comparison, m.seq);
    }
    std::string operator()(const discard_message& m) const { return d(m.epoch); }
    std::string operator()(const prepared_message& m) const {
      return d(m.epoch, m.committed) + t(m.tail);
    }
    std::string operator()(const behind_message& m) const {
      auto text = d(m.epoch) + t(m.tail);
      for (const auto& step : m.lineage) {
        text += d(step.epoch, step.first_seq);
      }
      return text;
    }
    std::string operator()(const fenced_message& m) const { return d(m.promised_epoch); }
    std::string operator()(const grant_message& m) const {
      return d(m.epoch, m.beacon_sent_at.time_since_epoch().count(), m.lease ? 1 : 0);
    }
    std::string operator()(const refused_message& m) const { return d(m.epoch); }
    std::string operator()(const fetch_message& m) const {
      return d(m.epoch) + t(m.base) + m.first;
    }
    std::string operator()(const compared_message& m) const {
      return d(m.epoch, m.comparison, m.digest);
    }
  };
  const auto from = std::visit([](const auto& m) { return m.from.id; }, item.message);
  return digits(static_cast<unsigned>(item.partition), item.to.high, item.to.low, from.high,
                from.low, item.message.index()) +
         std::visit(fields{digits, of_tail}, item.message);
}

std::vector<replica_item> through(const std::vector<replica_item>& items) {
  auto decoded = decode_replica_frame(encode(items), "silo-b");
  REQUIRE(decoded);
  return std::move(*decoded);
}

std::string raw(const std::function<void(schemas::ReplicaFrame::Builder)>& fill) {
  capnp::MallocMessageBuilder message{8192};  // one segment
  auto frame = message.initRoot<schemas::ReplicaFrame>();
  frame.setProtocol(1);
  fill(frame);
  return framed_bytes(message);
}

// A frame of one item, whose sender is said.
std::string raw_item(const std::function<void(schemas::ReplicaItem::Builder)>& fill) {
  return raw([&](auto frame) {
    auto item = frame.initItems(1)[0];
    item.setFromLow(1);
    fill(item);
  });
}

bool refused(std::string_view body) {
  const auto decoded = decode_replica_frame(body, "silo-b");
  CHECK((decoded || decoded.error().code() == errc::invalid_argument));
  return !decoded;
}

}  // namespace

TEST_CASE("each kind of message comes out as it went in, from whom the link has proven") {
  const auto sent = items_of(all_messages());
  REQUIRE(sent.size() == std::variant_size_v<replica_message>);
  const auto received = through(sent);
  REQUIRE(received.size() == sent.size());
  for (std::size_t at = 0; at < sent.size(); ++at) {
    CHECK(told(received[at]) == told(sent[at]));
    CHECK(std::visit([](const auto& m) { return m.from.silo; }, received[at].message) == "silo-b");
  }
}

TEST_CASE("entries in a row share one head, and come out one by one") {
  std::vector<replica_item> sent;
  for (std::uint64_t at = 0; at < 100; ++at) {
    sent.push_back({p7, other, prepare_message{self, 1, 5, at, entry_of(std::to_string(at))}});
  }
  const auto received = through(sent);
  REQUIRE(received.size() == 100);
  for (std::uint64_t at = 0; at < 100; ++at) {
    const auto& entry = std::get<prepare_message>(received[at].message);
    CHECK(entry.entry == entry_of(std::to_string(at)));
    CHECK(entry.committed == 99);
  }
  auto apart = sent;
  for (std::uint64_t at = 1; at < 100; at += 2) {
    apart[at].to = {3, 5};
  }
  CHECK(encode(sent).size() + 50 * 64 < encode(apart).size());
}

TEST_CASE("entries of another partition, copy, epoch or history begin an item of their own") {
  const prepare_message first{self, 1, 5, 1, entry_of("a")};
  std::vector<replica_item> sent(6, {p7, other, first});
  sent[1].partition = partition_id{8};
  sent[2].to.low = 5;
  std::get<prepare_message>(sent[3].message).from.id.low = 9;
  std::get<prepare_message>(sent[4].message).epoch = 6;
  std::get<prepare_message>(sent[5].message).data_loss_no = 2;
  // Between each two that differ in one thing, one that differs in none: nothing may be joined.
  std::vector<replica_item> mixed;
  for (const auto& each : sent) {
    mixed.push_back(sent[0]);
    mixed.push_back(each);
  }
  const auto received = through(mixed);
  REQUIRE(received.size() == mixed.size());
  for (std::size_t at = 0; at < mixed.size(); ++at) {
    CHECK(told(received[at]) == told(mixed[at]));
  }
}

TEST_CASE("a frame of nothing, and one that does not lie at a word's address, are read") {
  CHECK(through({}).empty());
  const auto frame = encode(items_of(all_messages()));
  const auto shifted = ' ' + frame;
  const auto decoded = decode_replica_frame(std::string_view{shifted}.substr(1), "silo-b");
  REQUIRE(decoded);
  CHECK(decoded->size() == std::variant_size_v<replica_message>);
}

TEST_CASE("a frame of a later protocol is refused, and the refusal says so") {
  const auto later = decode_replica_frame(
      raw([](auto frame) { frame.setProtocol(replica_protocol + 1); }), "silo-b");
  REQUIRE_FALSE(later);
  CHECK(later.error().code() == errc::failed_precondition);
  CHECK(later.error().text() ==
        "silo 'silo-b' says it in version 2 of the replica protocol, this build knows up to 1: "
        "upgrade this silo, or run the earlier build there");
  CHECK(refused(raw([](auto frame) { frame.setProtocol(0); })));
}

TEST_CASE("what cannot be is refused") {
  CHECK(refused({}));
  CHECK(refused("x"));
  CHECK(refused(encode({}) + 'x'));
  CHECK(refused(raw([](auto frame) { frame.initItems(1)[0].setRefused(); })));  // of no copy
  CHECK_FALSE(refused(raw_item([](auto item) { item.setRefused(); })));
  CHECK(refused(raw_item([](auto item) { item.initPrepare(); })));
  CHECK(refused(raw_item([](auto item) { item.initPrepare().initEntries(1).init(0, 41); })));
  CHECK_FALSE(refused(raw_item([](auto item) { item.initPrepare().initEntries(1).init(0, 42); })));
  CHECK(refused(raw_item([](auto item) { item.initBeacon().setSentAt(-1); })));
  CHECK(refused(raw_item([](auto item) {
    item.initGrant().setBeaconSentAt(std::numeric_limits<std::int64_t>::max());
  })));
  CHECK(refused(raw_item([](auto item) { item.initRange().initRows(3); })));
  CHECK(refused(raw_item([](auto item) { item.initRange().initFirst(row_key_bytes_max + 1); })));
  CHECK(refused(raw_item([](auto item) { item.initRange().initNext(row_key_bytes_max + 1); })));
  CHECK(refused(raw_item([](auto item) { item.initFetch().initFirst(row_key_bytes_max + 1); })));
  for (const auto& [epoch, seq] : {std::pair{5, 9}, {4, 9}, {6, 8}}) {
    CHECK(refused(raw_item([&, epoch = epoch, seq = seq](auto item) {
      auto lineage = item.initBehind().initLineage(2);
      lineage[0].setEpoch(5);
      lineage[0].setFirstSeq(8);
      lineage[1].setEpoch(static_cast<std::uint64_t>(epoch));
      lineage[1].setFirstSeq(static_cast<std::uint64_t>(seq));
    })));
  }
}

TEST_CASE("a kind of message that only a later silo knows is refused") {
  auto frame = raw_item([](auto item) { item.setCompare(0x5555555555555555); });
  const auto kind = static_cast<char>(schemas::ReplicaItem::COMPARE);
  std::size_t changed = 0;
  // The kind is the one byte of that value in so small a frame.
  for (std::size_t at = 8; at < frame.size(); ++at) {
    if (frame[at] == kind) {
      frame[at] = 99;
      ++changed;
    }
  }
  REQUIRE(changed == 1);
  CHECK(refused(frame));
}

TEST_CASE("a frame that claims more messages than it has room for is refused before any is made") {
  const auto decoded = decode_replica_frame(
      raw_item([](auto item) { item.initPrepare().initEntries(64).init(0, 42); }), "silo-b");
  REQUIRE_FALSE(decoded);
  CHECK(decoded.error().text().find("no room") != std::string::npos);
}

// Goal: a small frame cannot make much of itself. Method: all entries are the same bytes.
TEST_CASE("a frame that points at the same bytes many times is refused") {
  constexpr unsigned bytes = 32768;
  auto frame = raw_item([](auto item) { item.initPrepare().initEntries(64).init(0, bytes); });
  // The first pointer says how far away its bytes are; each next one is given the same place.
  constexpr auto bytes_of_list = std::uint64_t{bytes} << 3U | 2U;
  std::size_t at = 8;
  while (load_little<std::uint64_t>(frame.data() + at) >> 32U != bytes_of_list) {
    at += 8;
  }
  const auto first = load_little<std::uint64_t>(frame.data() + at);
  for (std::uint64_t each = 1; each < 64; ++each) {
    store_little(frame.data() + at + 8 * each, first - (each << 2U));
  }
  CHECK(refused(frame));
}

// Goal: nothing that a faulty silo sends is believed. Method: every bit of a frame of all kinds,
// flipped; what is taken is sent on.
TEST_CASE("a replica frame with any bit flipped is refused or harmless") {
  const auto whole = encode(items_of(all_messages()));
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    auto broken = whole;
    broken[bit / 8] = static_cast<char>(broken[bit / 8] ^ (1 << bit % 8));
    const auto decoded = decode_replica_frame(broken, "silo-b");
    if (decoded) {
      CHECK(decode_replica_frame(encode(*decoded), "silo-c"));
    }
  }
}
