// SPDX-License-Identifier: MIT
// Schemas grow: what an old program stored is read by a new one, and what a new one stored goes
// through the hands of an old one, as after an upgrade that is taken back.
//
// Method: silos of the two programs run one after the other on one data directory. The program of
// one version knows nothing of the other: each has its own generated types.
#include <optional>

#include "conformance/new_orders.capnp.actor.h"
#include "conformance/old_orders.capnp.actor.h"
#include "folders.h"
#include "millrace/runtime/state_map.h"
#include "millrace/testing/test_silo.h"

#include <doctest/doctest.h>

namespace millrace::conformance {

using namespace runtime;
using namespace std::chrono_literals;
using testing::temporary_folder;
using testing::test_silo;

namespace before {

class order final : public order_base<OrderState> {
public:
  async<put_results> put(put_params params) override {
    auto to = edit();
    to.setTotal(to.getTotal() + params.amount());
    to.getPayment().setCard("card");
    if (!to.hasAddress()) {
      to.initAddress();
      to.initLines(2);
    }
    to.getAddress().setStreet(params.read().getStreet());
    to.getLines()[0].setStreet(params.read().getStreet());
    co_return put_results{to.getTotal()};
  }
  async<show_results> show() override {
    const auto from = state();
    co_return show_results{from.getTotal(), std::string_view{from.getAddress().getStreet().cStr()},
                           from.getLines().size(), static_cast<std::uint16_t>(from.getMood()),
                           static_cast<std::uint16_t>(from.getPayment().which())};
  }
  async<put_item_results> put_item(put_item_params params) override {
    auto item = items_.edit(params.name());
    item.setCount(item.getCount() + params.count());
    co_return put_item_results{item.getCount()};
  }
  async<> send_to(send_to_params params) override {
    send(ref<Order>(std::string{params.key()}).put(params.amount(), "sent"));
    return {};
  }
  async<> remind(remind_params params) override {
    set_reminder(std::string{params.name()}, now() + std::chrono::milliseconds{params.in_ms()});
    return {};
  }
  async<> on_reminder(std::string) override {
    edit().setTotal(state().getTotal() + 1'000);
    return {};
  }
  async<> copy_item(copy_item_params params) override {
    items_.put(params.to(), *items_.get(params.name()));
    return {};
  }
  async<> clear_address() override {
    edit().initAddress().setStreet("new street");
    return {};
  }

private:
  state_map<Item> items_{*this, "items"};
};

}  // namespace before

namespace after {

class order final : public order_base<OrderState> {
public:
  async<put_results> put(put_params params) override {
    auto to = edit();
    to.setTotal(to.getTotal() + params.amount() + params.bonus());
    to.setNote(params.read().getCity());
    co_return put_results{to.getTotal(), to.getDiscount()};
  }
  async<show_results> show() override {
    const auto from = state();
    show_results shown;
    auto to = shown.build();
    to.setTotal(from.getTotal());
    to.setStreet(from.getAddress().getStreet());
    to.setLines(from.getLines().size());
    to.setMood(static_cast<std::uint16_t>(from.getMood()));
    to.setPayment(static_cast<std::uint16_t>(from.getPayment().which()));
    to.setCity(from.getAddress().getCity());
    to.setFloor(from.getAddress().getFloor());
    to.setDiscount(from.getDiscount());
    to.setTags(from.getTags().size());
    to.setNote(from.getNote());
    if (from.getLines().size() > 0) {
      to.setLineCity(from.getLines()[0].getCity());
    }
    co_return shown;
  }
  async<put_item_results> put_item(put_item_params params) override {
    auto item = items_.edit(params.name());
    item.setCount(item.getCount() + params.count());
    if (params.count() > 0) {
      item.setColour(params.read().getColour());
      item.setWeight(item.getWeight() + 10);
    }
    co_return put_item_results{item.getCount(), std::string_view{item.getColour().cStr()},
                               item.getWeight()};
  }
  async<> send_to(send_to_params params) override {
    send(ref<Order>(std::string{params.key()}).put(params.amount(), "sent", "a new city", 100));
    return {};
  }
  async<> remind(remind_params params) override {
    set_reminder(std::string{params.name()}, now() + std::chrono::milliseconds{params.in_ms()});
    return {};
  }
  async<> on_reminder(std::string) override {
    edit().setTotal(state().getTotal() + 1);
    return {};
  }
  async<> copy_item(copy_item_params params) override {
    items_.put(params.to(), *items_.get(params.name()));
    return {};
  }
  async<> clear_address() override {
    edit().initAddress().setStreet("new street");
    return {};
  }
  async<> decorate(decorate_params params) override {
    auto to = edit();
    to.setMood(Mood::FURIOUS);
    to.getPayment().setInvoice("invoice");
    to.setDiscount(50);
    to.initTags(3).set(0, "a tag");
    to.setNote(params.read().getNote());
    if (!to.hasAddress()) {
      to.initAddress();
      to.initLines(2);
    }
    to.getAddress().setCity("Paris");
    to.getAddress().setFloor(3);
    to.getLines()[0].setCity("Paris");
    return {};
  }
  async<> send_decorate(send_decorate_params params) override {
    send(ref<Order>(std::string{params.key()}).decorate(params.note()));
    return {};
  }

private:
  state_map<Item> items_{*this, "items"};
};

}  // namespace after

namespace {

// The data directory that both versions use, and one of them at a time.
class upgrades {
public:
  test_silo& old_program() { return run<before::order>(); }
  test_silo& new_program() { return run<after::order>(); }

private:
  template <class Actor>
  test_silo& run() {
    silo_.reset();
    auto rows = open_storage({.directory = data_.path, .map_bytes = 64U << 20U});
    REQUIRE_MESSAGE(rows, (rows ? "" : rows.error().text()));
    silo_.emplace([](silo& here) { here.add<Actor>(); }, silo_options{}, *std::move(rows));
    return *silo_;
  }
  temporary_folder data_;
  std::optional<test_silo> silo_;
};

const auto old_order = ref<before::Order>("o");
const auto new_order = ref<after::Order>("o");

TEST_CASE("what an old program stored is read by a new one, and what is new has its default") {
  upgrades both;
  REQUIRE(both.old_program().call(old_order.put(12, "Main Street")));
  auto& silo = both.new_program();
  const auto seen = silo.call(new_order.show());
  REQUIRE(seen);
  CHECK(seen->total() == 12);
  CHECK(seen->street() == "Main Street");
  CHECK(seen->lines() == 2);
  CHECK(seen->payment() == static_cast<std::uint16_t>(after::OrderState::Payment::CARD));
  CHECK(seen->city() == "");
  CHECK(seen->floor() == 7);
  CHECK(seen->discount() == 5);
  CHECK(seen->tags() == 0);

  REQUIRE(silo.call(new_order.decorate("a note")));  // grown in place
  silo.restart();
  const auto grown = silo.call(new_order.show());
  CHECK(grown->total() == 12);
  CHECK(grown->street() == "Main Street");
  CHECK(grown->city() == "Paris");
  CHECK(grown->floor() == 3);
  CHECK(grown->discount() == 50);
  CHECK(grown->tags() == 3);
  CHECK(grown->note() == "a note");
  CHECK(grown->line_city() == "Paris");
}

TEST_CASE("what an old program does not know it leaves as it is, in whatever it edits") {
  upgrades both;
  {
    auto& silo = both.new_program();
    REQUIRE(silo.call(new_order.put(10, "Main Street", "", 0)));
    REQUIRE(silo.call(new_order.decorate("a note")));
  }
  {
    auto& silo = both.old_program();
    const auto seen = silo.call(old_order.show());
    CHECK(seen->total() == 10);
    CHECK(seen->mood() == 2);     // a number it has no name for
    CHECK(seen->payment() == 2);  // likewise
    REQUIRE(silo.call(old_order.remind("soon", 1'000)));
    silo.advance(1s);  // the hook edits the root
  }
  const auto seen = both.new_program().call(new_order.show());
  CHECK(seen->total() == 1'010);
  CHECK(seen->mood() == static_cast<std::uint16_t>(after::Mood::FURIOUS));
  CHECK(seen->payment() == static_cast<std::uint16_t>(after::OrderState::Payment::INVOICE));
  CHECK(seen->discount() == 50);
  CHECK(seen->tags() == 3);
  CHECK(seen->note() == "a note");
  CHECK(seen->city() == "Paris");
  CHECK(seen->floor() == 3);
  CHECK(seen->line_city() == "Paris");
}

TEST_CASE("an edit within a struct or a list keeps what is new in it, replacing it does not") {
  upgrades both;
  REQUIRE(both.new_program().call(new_order.decorate("a note")));
  REQUIRE(both.old_program().call(old_order.put(1, "Side Street")));
  {
    auto& silo = both.new_program();
    const auto seen = silo.call(new_order.show());
    CHECK(seen->street() == "Side Street");
    CHECK(seen->city() == "Paris");
    CHECK(seen->floor() == 3);
    CHECK(seen->line_city() == "Paris");
    // A union says one thing: the old program has said another.
    CHECK(seen->payment() == static_cast<std::uint16_t>(after::OrderState::Payment::CARD));
    CHECK(seen->note() == "a note");
  }
  REQUIRE(both.old_program().call(old_order.clear_address()));
  const auto seen = both.new_program().call(new_order.show());
  CHECK(seen->street() == "new street");
  CHECK(seen->city() == "");
  CHECK(seen->floor() == 7);
  CHECK(seen->note() == "a note");
}

// Goal: getting rid of what edits leave behind loses nothing either.
// Method: so many edits of a text that the root is copied.
TEST_CASE("what an old program does not know outlives the tidying of its root") {
  upgrades both;
  REQUIRE(both.new_program().call(new_order.decorate("a note")));
  auto& silo = both.old_program();
  for (int at = 0; at < 200; ++at) {
    REQUIRE(silo.call(old_order.put(0, std::string(100, static_cast<char>('a' + at % 26)))));
  }
  const auto seen = both.new_program().call(new_order.show());
  CHECK(seen->note() == "a note");
  CHECK(seen->tags() == 3);
  CHECK(seen->city() == "Paris");
  CHECK(seen->line_city() == "Paris");
}

TEST_CASE("map records keep what an old program does not know, also when it copies them") {
  upgrades both;
  REQUIRE(both.old_program().call(old_order.put_item("screws", 1)));
  {
    auto& silo = both.new_program();
    const auto first = silo.call(new_order.put_item("screws", 2, "blue"));
    CHECK(first->count() == 3);
    CHECK(first->weight() == 10);
  }
  {
    auto& silo = both.old_program();
    CHECK(silo.call(old_order.put_item("screws", 4))->count() == 7);
    REQUIRE(silo.call(old_order.copy_item("screws", "copy")));
  }
  auto& silo = both.new_program();
  for (const auto* name : {"screws", "copy"}) {
    const auto seen = silo.call(new_order.put_item(name, 0, ""));
    CHECK(seen->count() == 7);
    CHECK(seen->colour() == "blue");
    CHECK(seen->weight() == 10);
  }
}

// Goal: a send that was stored before the upgrade arrives after it, and the other way round.
// Method: no commit of the receiver succeeds, so that the send is still in the outbox.
TEST_CASE("stored sends reach methods whose parameters have grown, in both directions") {
  upgrades both;
  {
    auto& silo = both.old_program();
    silo.rows().fail_commits({errc::out_of_space, "planned"}, 1'000, 1);
    REQUIRE(silo.call(old_order.send_to("to", 5)));
    silo.crash();
  }
  {
    auto& silo = both.new_program();
    const auto seen = silo.call(ref<after::Order>("to").show());
    CHECK(seen->total() == 5);  // without a bonus
    CHECK(seen->note() == "");
    silo.rows().fail_commits({errc::out_of_space, "planned"}, 1'000, 1);
    REQUIRE(silo.call(new_order.send_to("to", 7)));
    silo.crash();
  }
  CHECK(both.old_program().call(ref<before::Order>("to").show())->total() == 5 + 7);
}

TEST_CASE(
    "a send to a method that the old program does not have waits for the new one as a dead "
    "letter") {
  upgrades both;
  {
    auto& silo = both.new_program();
    silo.rows().fail_commits({errc::out_of_space, "planned"}, 1'000, 1);
    REQUIRE(silo.call(new_order.send_decorate("to", "a note")));
    silo.crash();
  }
  std::uint64_t number = 0;
  {
    auto& silo = both.old_program();
    silo.advance(1min);
    const auto letters = *silo.here().dead_letters();
    REQUIRE(letters.size() == 1);
    CHECK(letters[0].method == "@7");
    CHECK(letters[0].error_text.starts_with("unimplemented: "));
    number = letters[0].number;
  }
  auto& silo = both.new_program();
  CHECK(silo.here().dead_letters()->front().method == "decorate");
  REQUIRE(silo.here().retry_dead_letter({"order", "o"}, number));
  silo.settle();
  CHECK(silo.call(ref<after::Order>("to").show())->note() == "a note");
}

TEST_CASE("reminders outlive an upgrade") {
  upgrades both;
  REQUIRE(both.old_program().call(old_order.remind("soon", 1'000)));
  auto& silo = both.new_program();
  silo.advance(1s);
  CHECK(silo.call(new_order.show())->total() == 1);
}

TEST_CASE("a keyed call that is sent again after an upgrade is the same request") {
  upgrades both;
  REQUIRE(both.old_program().call(old_order.put(3, "x").keyed("k")));
  auto& silo = both.new_program();
  after::order_interface::put_params same;
  same.build().setAmount(3);
  same.build().setStreet("x");
  const auto again = silo.call(new_order.put(std::move(same)).keyed("k"));
  REQUIRE(again);
  CHECK(again->total() == 3);
  CHECK(silo.call(new_order.show())->total() == 3);
  CHECK(silo.call(new_order.put(3, "x", "", 1).keyed("k")).error().code() == errc::conflict);
}

}  // namespace
}  // namespace millrace::conformance
