// SPDX-License-Identifier: MIT
// The actor of the conformance suite that fails as it is told, and a silo of it.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "conformance/clerk.capnp.actor.h"
#include "millrace/runtime/state_map.h"
#include "millrace/testing/test_silo.h"

namespace millrace::conformance {

using namespace millrace::runtime;
using namespace std::chrono_literals;

/// How often each plan has been begun, over activations and restarts; of one test.
///
/// Threading: any thread.
class plan_book {
public:
  int note_begun(const std::string& plan) {
    const std::lock_guard lock{mutex_};
    return ++begun_[plan];
  }
  silo* here = nullptr;  ///< In which they live.
  [[nodiscard]] int begun(const std::string& plan) {
    const std::lock_guard lock{mutex_};
    return begun_[plan];
  }

private:
  std::mutex mutex_;
  std::map<std::string, int> begun_;
};

// clang-format off
/// The steps of a plan:
///   "edit", "put K", "drop K"        change the total, an entry;
///   "insert K"                       makes an entry of which nothing is set;
///   "widen"                          gives the root a second segment;
///   "send K", "tell K"               have another take the step "edit";
///   "remind", "forget"               set or cancel the reminder "edit", due in an hour;
///   "wait", "offload", "call K P"    suspend: for `raise`, for another thread, for another's
///                                    plan P, in which "," parts the steps;
///   "read K"                         gets an entry, waits for `raise` and gives what it has got;
///   "throw N", "fail N", "return N"  fail, each in its way, the first N times it is begun;
///   "misread", "offload misread", "forget to return"    mistakes of an author;
///   "block"                          calls an actor as only those outside of turns may;
///   "try P"                          follows P as a coroutine of its own and goes on if it fails.
// clang-format on
class clerk final : public clerk_base<ClerkState> {
public:
  explicit clerk(plan_book& book) : book_(book) {}

  async<> on_reminder(std::string name) override { co_await take(std::move(name), ';'); }
  async<> on_timer(std::string name) override { co_await take(std::move(name), ';'); }
  async<> on_deactivate(deactivation /*why*/) override {
    if (key() == "fails at the end") {
      edit().setTotal(99);
      co_await fail(errc::conflict, "planned");
    }
  }

  async<follow_results> follow(follow_params params) override {
    co_return follow_results{co_await take(std::string{params.plan()}, ';')};
  }
  async<follow_beside_results> follow_beside(follow_beside_params params) override {
    co_return follow_beside_results{co_await take(std::string{params.plan()}, ';')};
  }
  async<get_results> get() override {
    std::string entries;
    entries_.for_each([&](std::string_view name, ClerkEntry::Reader one) {
      entries +=
          (entries.empty() ? "" : " ") + std::string{name} + "=" + std::to_string(one.getAmount());
      return true;
    });
    co_return get_results{state().getTotal(), entries,
                          static_cast<std::int64_t>(reminders().size()), version()};
  }
  async<> raise() override {
    notify("go");
    return {};
  }
  async<> order(order_params params) override {
    send(ref<Clerk>(std::string{params.to()}).follow(params.plan()));
    return {};
  }
  async<> remind(remind_params params) override {
    set_reminder(std::string{params.plan()}, now());
    return {};
  }
  async<> tick(tick_params params) override {
    set_timer(std::string{params.plan()}, 1ms);
    return {};
  }

private:
  async<std::int64_t> take(std::string plan, char parted_by) {
    const auto times = book_.note_begun(plan);
    for (std::size_t at = 0; at <= plan.size();) {
      const auto end = std::min(plan.find(parted_by, at), plan.size());
      const auto step = plan.substr(at, end - at);
      at = end + 1;
      const auto word = step.substr(0, step.find(' '));
      const auto rest = step.size() > word.size() ? step.substr(word.size() + 1) : std::string{};
      if (word == "wait") {
        co_await wait("go", 1h);
      } else if (word == "read") {
        const auto found = *entries_.get(rest);
        co_await wait("go", 1h);
        co_return found.getAmount();
      } else if (step == "misread") {
        const result<int> failed = error{errc::conflict, "nothing to read"};
        static_cast<void>(*failed);
      } else if (step == "forget to return") {
        co_await forget_to_return(false);
      } else if (word == "block") {
        const auto outcome = book_.here->call(ref<Clerk>("other").get());
        co_return outcome.error();
      } else if (step == "offload misread") {
        co_await offload([] {
          const result<int> failed = error{errc::conflict, "nothing to read"};
          static_cast<void>(*failed);
        });
      } else if (word == "offload") {
        co_await offload([] {});
      } else if (word == "call") {
        auto other = rest.substr(2);
        std::replace(other.begin(), other.end(), ',', ';');
        co_await ref<Clerk>(rest.substr(0, 1)).follow(other);
      } else if (word == "try") {
        static_cast<void>(co_await as_result(take(rest, ',')));
      } else if (word == "throw" && times <= std::stoi(rest)) {
        throw std::runtime_error{"planned"};
      } else if (word == "fail" && times <= std::stoi(rest)) {
        co_await fail(errc::unavailable, "planned");
      } else if (word == "return" && times <= std::stoi(rest)) {
        co_return error{errc::unavailable, "planned"};
      } else {
        change(word, rest);
      }
    }
    co_return state().getTotal();
  }

  static async<int> forget_to_return(bool remembers) {
    if (remembers) {
      co_return 1;
    }
  }

  void change(const std::string& word, const std::string& rest) {
    if (word == "edit") {
      edit().setTotal(state().getTotal() + 1);
    } else if (word == "widen") {
      edit().initWide(4'000);
    } else if (word == "put") {
      auto entry = entries_.edit(rest);
      entry.setAmount(entry.getAmount() + 1);
    } else if (word == "insert") {
      entries_.insert(rest);
    } else if (word == "drop") {
      entries_.erase(rest);
    } else if (word == "send") {
      send(ref<Clerk>(rest).follow("edit"));
    } else if (word == "tell") {
      tell(ref<Clerk>(rest).follow("edit"));
    } else if (word == "remind") {
      set_reminder("edit", now() + 1h);
    } else if (word == "forget") {
      cancel_reminder("edit");
    }
  }

  plan_book& book_;
  state_map<ClerkEntry> entries_{*this, "entries"};
};

class sleeper final : public sleeper_base<> {
public:
  async<sleep_results> sleep(sleep_params params) override {
    const auto raised = co_await wait(std::string{params.signal()}, 1s);
    co_return sleep_results{raised};
  }
  async<listed_results> listed(listed_params params) override {
    const auto amount = params.entry().getAmount() + 10 * static_cast<int>(params.data().size());
    co_return listed_results{params.names(), amount};
  }
};

/// A test silo of clerks.
class clerk_silo : public plan_book, public testing::test_silo {
public:
  explicit clerk_silo(silo_options options = {})
      : test_silo(
            [this](silo& home) {
              plan_book::here = &home;
              home.add<clerk>([this] { return std::make_unique<clerk>(*this); });
              home.add<sleeper>();
            },
            std::move(options)) {}
  using test_silo::here;
  std::int64_t total(const std::string& key) { return read(key)->total(); }
  std::string entries(const std::string& key) { return std::string{read(key)->entries()}; }
  result<clerk_interface::get_results> read(const std::string& key) {
    auto answer = call(ref<Clerk>(key).get());
    REQUIRE(answer);
    return answer;
  }
};

}  // namespace millrace::conformance
