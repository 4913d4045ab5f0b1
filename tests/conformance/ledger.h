// SPDX-License-Identifier: MIT
// The actor with stored state of the conformance suite, and a silo of it.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <random>
#include <string>
#include <utility>

#include "conformance/ledger.capnp.actor.h"
#include "millrace/runtime/paged_map.h"
#include "millrace/runtime/state_map.h"
#include "millrace/testing/test_silo.h"

namespace millrace::conformance {

using namespace millrace::runtime;
using namespace std::chrono_literals;

/// See ledger.capnp.
class ledger final : public ledger_base<LedgerState> {
public:
  async<add_results> add(add_params params) override {
    edit().setTotal(state().getTotal() + params.amount());
    co_return add_results{state().getTotal()};
  }
  async<get_results> get() override { co_return get_results{state().getTotal(), version()}; }
  async<set_if_results> set_if(set_if_params params) override {
    require_version(params.version());
    edit().setTotal(params.total());
    co_return set_if_results{version() + 1};
  }
  async<entry_results> entry(entry_params params) override {
    const auto found = entries_.get(params.name());
    co_return entry_results{found ? found->getAmount() : 0, entries_.version(params.name())};
  }
  async<keep_if_results> keep_if(keep_if_params params) override {
    entries_.require_version(params.name(), params.version());
    auto written = entries_.edit(params.name());
    written.setAmount(params.amount());
    std::minstd_rand random;  // what cannot be compressed
    for (auto& byte : written.initPad(params.pad_bytes())) {
      byte = static_cast<kj::byte>(random() >> 8U);
    }
    co_return keep_if_results{version() + 1};
  }
  async<> drop_if(drop_if_params params) override {
    entries_.require_version(params.name(), params.version());
    entries_.erase(params.name());
    return {};
  }
  async<> keep_all(keep_all_params params) override {
    for (const auto name : params.names()) {
      entries_.edit(name.cStr()).setAmount(params.amount());
    }
    return {};
  }
  async<> pay(pay_params params) override {
    edit().setTotal(state().getTotal() - params.amount());
    send(ref<Ledger>(std::string{params.to()}).add(params.amount()));
    return {};
  }
  async<> remind(remind_params params) override {
    set_reminder(std::string{params.name()}, now() + std::chrono::milliseconds{params.in_ms()});
    return {};
  }
  async<> remind_other(remind_other_params params) override {
    send(ref<Ledger>(std::string{params.to()}).remind(params.name(), params.in_ms()));
    return {};
  }
  async<> take_back(take_back_params params) override {
    cancel_reminder(params.name());
    return {};
  }
  async<> on_reminder(std::string name) override {
    if (name == "fails twice" && failures_++ < 2) {
      co_await fail(errc::unavailable, "not yet");
    }
    edit().setTotal(state().getTotal() + 1);
    entries_.edit(name).setAmount(state().getTotal());
  }
  async<nest_results> nest(nest_params params) override {
    const auto depth = params.depth();
    if (depth > 0) {
      co_await ref<Ledger>(key()).nest(depth - 1);
    }
    co_return nest_results{depth};
  }
  async<nest_exclusively_results> nest_exclusively(nest_exclusively_params params) override {
    co_await ref<Ledger>(key()).nest_exclusively(params.depth());
    co_return nest_exclusively_results{};
  }

  async<> clear(clear_params params) override {
    erase_state();
    if (params.amount() != 0) {
      send(ref<Ledger>(std::string{params.pay_to()}).add(params.amount()));
    }
    if (params.total() < 0) {
      notes_.put("lost", message<LedgerEntry>{});
      co_await fail(errc::failed_precondition, "planned");
    }
    if (params.total() != 0) {
      edit().setTotal(params.total());
    }
  }
  async<note_results> note(note_params params) override {
    message<LedgerEntry> content;
    content.build().initPad(params.pad_bytes());
    for (const auto name : params.names()) {
      notes_.put(name.cStr(), content);
    }
    const auto all = co_await notes_.page({}, 1'000);
    co_return note_results{all.entries.size()};
  }
  async<notes_results> notes(notes_params params) override {
    const auto page = co_await notes_.page(std::string{params.from()}, params.limit());
    notes_results results;
    auto names = results.build().initNames(static_cast<unsigned>(page.entries.size()));
    for (unsigned at = 0; at < names.size(); ++at) {
      names.set(at, page.entries[at].key.c_str());
    }
    results.build().setMore(page.more);
    co_return results;
  }
  async<has_note_results> has_note(has_note_params params) override {
    const auto found = co_await notes_.get(std::string{params.name()});
    co_return has_note_results{found ? static_cast<std::int64_t>(found->read().getPad().size())
                                     : -1};
  }
  async<> drop_note(drop_note_params params) override {
    notes_.erase(params.name());
    return {};
  }

private:
  int failures_ = 0;
  state_map<LedgerEntry> entries_{*this, "entries"};
  paged_map<LedgerEntry> notes_{*this, "notes"};
};

/// A test silo of ledgers.
class ledger_silo : public testing::test_silo {
public:
  explicit ledger_silo(std::unique_ptr<storage> rows_of = make_memory_storage(),
                       silo_options options = {})
      : test_silo([](silo& here) { here.add<ledger>(); }, std::move(options), std::move(rows_of)) {}
  std::int64_t total(const std::string& key) {
    const auto answer = call(ref<Ledger>(key).get());
    REQUIRE(answer);
    return answer->total();
  }
  std::int64_t amount(const std::string& key, std::string_view name) {
    const auto answer = call(ref<Ledger>(key).entry(name));
    REQUIRE(answer);
    return answer->amount();
  }
};

}  // namespace millrace::conformance
