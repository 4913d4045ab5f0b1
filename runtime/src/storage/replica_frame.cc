// SPDX-License-Identifier: MIT
#include "storage/replica_frame.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "message_bytes.h"
#include "millrace/replica.capnp.h"
#include "millrace/runtime/storage.h"
#include "storage/row_codec.h"

namespace millrace::runtime {
namespace {

// An item without its bytes: with all that the largest kind of message has.
constexpr std::size_t item_words = 24;
// The smallest message: an entry without operations, and where it lies.
constexpr std::size_t message_words_min = 7;

// --- encoding ------------------------------------------------------------------------------------

void put(capnp::Data::Builder into, std::string_view bytes) {
  std::copy(bytes.begin(), bytes.end(), into.begin());
}

void put(schemas::ReplicaLogTail::Builder into, const log_tail& tail) {
  into.setEpoch(tail.epoch);
  into.setSeq(tail.seq);
  into.setDigest(tail.digest);
}

unsigned size_of(std::string_view bytes) {
  return static_cast<unsigned>(bytes.size());
}

void put(schemas::ReplicaItem::Builder into, const beacon_message& said) {
  auto made = into.initBeacon();
  made.setDataLossNo(said.data_loss_no);
  made.setRecordVersion(said.record_version);
  made.setCommitted(said.committed);
  put(made.initTail(), said.tail);
  made.setSentAt(said.sent_at.time_since_epoch().count());
}

void put(schemas::ReplicaItem::Builder into, const release_message& said) {
  auto made = into.initRelease();
  made.setSuccessorHigh(said.successor.high);
  made.setSuccessorLow(said.successor.low);
}

void put(schemas::ReplicaItem::Builder into, const snapshot_message& said) {
  put(into.initSnapshot(), said.tail);
}

void put(schemas::ReplicaItem::Builder into, const range_message& said) {
  auto made = into.initRange();
  made.setDataLossNo(said.data_loss_no);
  put(made.initBase(), said.base);
  made.setApplied(said.applied);
  put(made.initFirst(size_of(said.first)), said.first);
  put(made.initNext(size_of(said.next)), said.next);
  put(made.initRows(size_of(said.rows)), said.rows);
}

void put(schemas::ReplicaItem::Builder into, const compare_message& said) {
  into.setCompare(said.seq);
  into.setComparison(said.comparison);
}

void put(schemas::ReplicaItem::Builder into, const discard_message& /*said*/) {
  into.setDiscard();
}

void put(schemas::ReplicaItem::Builder into, const prepared_message& said) {
  auto made = into.initPrepared();
  made.setCommitted(said.committed);
  put(made.initTail(), said.tail);
}

void put(schemas::ReplicaItem::Builder into, const behind_message& said) {
  auto made = into.initBehind();
  put(made.initTail(), said.tail);
  auto lineage = made.initLineage(static_cast<unsigned>(said.lineage.size()));
  for (unsigned at = 0; at < lineage.size(); ++at) {
    lineage[at].setEpoch(said.lineage[at].epoch);
    lineage[at].setFirstSeq(said.lineage[at].first_seq);
  }
}

void put(schemas::ReplicaItem::Builder into, const fenced_message& /*said*/) {
  into.setFenced();
}

void put(schemas::ReplicaItem::Builder into, const grant_message& said) {
  auto made = into.initGrant();
  made.setBeaconSentAt(said.beacon_sent_at.time_since_epoch().count());
  made.setLease(said.lease);
}

void put(schemas::ReplicaItem::Builder into, const refused_message& /*said*/) {
  into.setRefused();
}

void put(schemas::ReplicaItem::Builder into, const fetch_message& said) {
  auto made = into.initFetch();
  put(made.initBase(), said.base);
  put(made.initFirst(size_of(said.first)), said.first);
}

void put(schemas::ReplicaItem::Builder into, const compared_message& said) {
  into.setComparison(said.comparison);
  into.initCompared().setDigest(said.digest);
}

const prepare_message* prepare_in(const replica_item& item) {
  return std::get_if<prepare_message>(&item.message);
}

// Messages that become one item: one of any kind, or entries in a row.
std::span<const replica_item> run_at_front(std::span<const replica_item> items) {
  const auto* const first = prepare_in(items.front());
  std::size_t count = 1;
  const auto goes_on = [&](const replica_item& next) {
    const auto* const entry = prepare_in(next);
    return entry != nullptr && next.partition == items.front().partition &&
           next.to == items.front().to && entry->from.id == first->from.id &&
           entry->data_loss_no == first->data_loss_no && entry->epoch == first->epoch;
  };
  while (first != nullptr && count < items.size() && goes_on(items[count])) {
    ++count;
  }
  return items.first(count);
}

void put_entries(schemas::ReplicaItem::Builder into, std::span<const replica_item> run) {
  const auto& last = *prepare_in(run.back());
  auto made = into.initPrepare();
  made.setDataLossNo(last.data_loss_no);
  made.setCommitted(last.committed);
  auto entries = made.initEntries(static_cast<unsigned>(run.size()));
  for (unsigned at = 0; at < entries.size(); ++at) {
    const auto& entry = prepare_in(run[at])->entry;
    put(entries.init(at, size_of(entry)), entry);
  }
}

void put_run(schemas::ReplicaItem::Builder into, std::span<const replica_item> run) {
  const auto& item = run.front();
  into.setPartition(static_cast<std::uint16_t>(item.partition));
  into.setToHigh(item.to.high);
  into.setToLow(item.to.low);
  std::visit(
      [&]<class Message>(const Message& said) {
        into.setFromHigh(said.from.id.high);
        into.setFromLow(said.from.id.low);
        if constexpr (std::is_same_v<Message, fenced_message>) {
          into.setEpoch(said.promised_epoch);
        } else {
          into.setEpoch(said.epoch);
        }
        if constexpr (std::is_same_v<Message, prepare_message>) {
          put_entries(into, run);
        } else {
          put(into, said);
        }
      },
      item.message);
}

std::size_t bytes_in(const replica_item& item) {
  if (const auto* const entry = prepare_in(item)) {
    return entry->entry.size();
  }
  if (const auto* const range = std::get_if<range_message>(&item.message)) {
    return range->first.size() + range->next.size() + range->rows.size();
  }
  const auto* const behind = std::get_if<behind_message>(&item.message);
  return behind == nullptr ? 0 : behind->lineage.size() * sizeof(lineage_step);
}

// --- decoding ------------------------------------------------------------------------------------

log_tail tail_of(schemas::ReplicaLogTail::Reader from) {
  return {from.getEpoch(), from.getSeq(), from.getDigest()};
}

// The far end of time is none: something is to be added to it.
steady_time instant_of(std::int64_t count) {
  KJ_REQUIRE(count >= 0 && count <= std::numeric_limits<std::int64_t>::max() / 2,
             "an instant is none");
  return steady_time{duration{count}};
}

std::string key_of(capnp::Data::Reader from) {
  KJ_REQUIRE(from.size() <= row_key_bytes_max, "a key is too long");
  return std::string{view_of(from)};
}

std::string rows_of(capnp::Data::Reader from) {
  row_op_cursor rows{view_of(from)};
  for (row_op one; rows.next(one);) {
  }
  KJ_REQUIRE(rows.well_formed(), "rows of a snapshot are none");
  return std::string{view_of(from)};
}

std::vector<lineage_step> lineage_of(capnp::List<schemas::ReplicaLineageStep>::Reader from) {
  std::vector<lineage_step> lineage;
  for (const auto each : from) {
    const lineage_step step{each.getEpoch(), each.getFirstSeq()};
    KJ_REQUIRE(lineage.empty() ||
                   (step.epoch > lineage.back().epoch && step.first_seq > lineage.back().first_seq),
               "epochs are out of order");
    lineage.push_back(step);
  }
  return lineage;
}

beacon_message beacon_of(placed_copy from, std::uint64_t epoch,
                         schemas::ReplicaBeacon::Reader said) {
  return {std::move(from),
          said.getDataLossNo(),
          epoch,
          said.getRecordVersion(),
          said.getCommitted(),
          tail_of(said.getTail()),
          instant_of(said.getSentAt())};
}

range_message range_of(placed_copy from, std::uint64_t epoch, schemas::ReplicaRange::Reader said) {
  return {std::move(from),         said.getDataLossNo(),   epoch,
          tail_of(said.getBase()), said.getApplied(),      key_of(said.getFirst()),
          key_of(said.getNext()),  rows_of(said.getRows())};
}

// All but entries.
replica_message message_of(placed_copy from, schemas::ReplicaItem::Reader item) {
  const auto epoch = item.getEpoch();
  switch (item.which()) {
    case schemas::ReplicaItem::PREPARE:
      break;
    case schemas::ReplicaItem::BEACON:
      return beacon_of(std::move(from), epoch, item.getBeacon());
    case schemas::ReplicaItem::RELEASE: {
      const auto said = item.getRelease();
      return release_message{
          std::move(from), epoch, {said.getSuccessorHigh(), said.getSuccessorLow()}};
    }
    case schemas::ReplicaItem::SNAPSHOT:
      return snapshot_message{std::move(from), epoch, tail_of(item.getSnapshot())};
    case schemas::ReplicaItem::RANGE:
      return range_of(std::move(from), epoch, item.getRange());
    case schemas::ReplicaItem::COMPARE:
      return compare_message{std::move(from), epoch, item.getComparison(), item.getCompare()};
    case schemas::ReplicaItem::DISCARD:
      return discard_message{std::move(from), epoch};
    case schemas::ReplicaItem::PREPARED: {
      const auto said = item.getPrepared();
      return prepared_message{std::move(from), epoch, said.getCommitted(), tail_of(said.getTail())};
    }
    case schemas::ReplicaItem::BEHIND: {
      const auto said = item.getBehind();
      return behind_message{std::move(from), epoch, tail_of(said.getTail()),
                            lineage_of(said.getLineage())};
    }
    case schemas::ReplicaItem::FENCED:
      return fenced_message{std::move(from), epoch};
    case schemas::ReplicaItem::GRANT: {
      const auto said = item.getGrant();
      return grant_message{std::move(from), epoch, instant_of(said.getBeaconSentAt()),
                           said.getLease()};
    }
    case schemas::ReplicaItem::REFUSED:
      return refused_message{std::move(from), epoch};
    case schemas::ReplicaItem::FETCH: {
      const auto said = item.getFetch();
      return fetch_message{std::move(from), epoch, tail_of(said.getBase()),
                           key_of(said.getFirst())};
    }
    case schemas::ReplicaItem::COMPARED:
      return compared_message{std::move(from), epoch, item.getComparison(),
                              item.getCompared().getDigest()};
  }
  KJ_FAIL_REQUIRE("a message is of an unknown kind");
}

void read_item(schemas::ReplicaItem::Reader item, const std::string& sender,
               std::vector<replica_item>& out) {
  const partition_id partition{item.getPartition()};
  const copy_id to{item.getToHigh(), item.getToLow()};
  placed_copy from{{item.getFromHigh(), item.getFromLow()}, sender};
  KJ_REQUIRE(from.id != copy_id{}, "a message is of no copy");
  if (!item.isPrepare()) {
    out.push_back({partition, to, message_of(std::move(from), item)});
    return;
  }
  const auto said = item.getPrepare();
  const auto entries = said.getEntries();
  KJ_REQUIRE(entries.size() > 0, "entries are missing");
  const auto epoch = item.getEpoch();
  const auto data_loss_no = said.getDataLossNo();
  const auto committed = said.getCommitted();
  for (const auto entry : entries) {
    KJ_REQUIRE(entry.size() >= journal_entry_overhead_bytes, "an entry is none");
    out.push_back(
        {partition, to,
         prepare_message{from, data_loss_no, epoch, committed, std::string{view_of(entry)}}});
  }
}

error of_later_protocol(std::uint32_t protocol, const std::string& sender) {
  return {errc::failed_precondition, "silo '" + sender + "' says it in version " +
                                         std::to_string(protocol) +
                                         " of the replica protocol, this build knows up to " +
                                         std::to_string(replica_protocol) +
                                         ": upgrade this silo, or run the earlier build there"};
}

result<std::vector<replica_item>> read_frame(kj::ArrayPtr<const capnp::word> words,
                                             const std::string& sender) {
  capnp::ReaderOptions limits;
  limits.traversalLimitInWords = 2 * words.size() + 64;  // nothing is read more than twice
  capnp::FlatArrayMessageReader message{words, limits};
  const auto frame = message.getRoot<schemas::ReplicaFrame>();
  const auto protocol = frame.getProtocol();
  KJ_REQUIRE(protocol != 0, "it is of no protocol");
  if (protocol > replica_protocol) {
    return of_later_protocol(protocol, sender);
  }
  std::size_t count = 0;
  for (const auto item : frame.getItems()) {
    count += item.isPrepare() ? item.getPrepare().getEntries().size() : 1;
  }
  KJ_REQUIRE(count <= words.size() / message_words_min, "it has no room for so many messages");
  std::vector<replica_item> out;
  out.reserve(count);
  for (const auto item : frame.getItems()) {
    read_item(item, sender, out);
  }
  return out;
}

// What lies at a word's address is read where it is.
bool is_aligned(std::string_view body) {
  return reinterpret_cast<std::uintptr_t>(body.data()) % alignof(capnp::word) == 0;
}

}  // namespace

std::string encode(std::span<const replica_item> items) {
  unsigned runs = 0;
  std::size_t words = item_words;
  for (auto rest = items; !rest.empty(); ++runs) {
    const auto run = run_at_front(rest);
    words += item_words;
    for (const auto& item : run) {
      words += 2 + bytes_in(item) / sizeof(capnp::word);
    }
    rest = rest.subspan(run.size());
  }
  capnp::MallocMessageBuilder message{static_cast<unsigned>(words)};
  auto frame = message.initRoot<schemas::ReplicaFrame>();
  frame.setProtocol(replica_protocol);
  auto made = frame.initItems(runs);
  for (unsigned at = 0; at < runs; ++at) {
    const auto run = run_at_front(items);
    put_run(made[at], run);
    items = items.subspan(run.size());
  }
  return framed_bytes(message);
}

result<std::vector<replica_item>> decode_replica_frame(std::string_view body,
                                                       const std::string& sender) {
  try {
    KJ_REQUIRE(body.size() % sizeof(capnp::word) == 0, "it is no whole number of words");
    if (is_aligned(body)) {
      return read_frame(
          {reinterpret_cast<const capnp::word*>(body.data()), body.size() / sizeof(capnp::word)},
          sender);
    }
    const auto words = words_of(body);
    return read_frame(words, sender);
  } catch (const kj::Exception& failed) {
    return error{errc::invalid_argument,
                 "what silo " + sender +
                     " says of its copies is refused: " + failed.getDescription().cStr()};
  }
}

}  // namespace millrace::runtime
