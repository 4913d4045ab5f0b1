// SPDX-License-Identifier: MIT
// Two silos, `a` and `b`, in one thread; what they send to each other arrives when the test says.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "millrace/testing/test_silo.h"
#include "runtime/routing/ferry.capnp.actor.h"
#include "runtime/spans_seen.h"
#include "silo/silo_access.h"

namespace millrace::testing {

using namespace millrace::runtime;

class ferry final : public ferry_base<FerryState> {
public:
  async<add_results> add(add_params params) override {
    co_return add_results{add_here(params.amount())};
  }
  async<get_results> get() override { co_return get_results{state().getTotal()}; }
  async<carry_results> carry(carry_params params) override {
    const auto path = params.path();
    if (path.size() == 0) {
      co_return carry_results{add_here(params.amount())};
    }
    ferry_interface::carry_params rest;
    auto made = rest.build();
    made.setAmount(params.amount());
    auto left = made.initPath(path.size() - 1);
    for (unsigned at = 1; at < path.size(); ++at) {
      left.set(at - 1, path[at]);
    }
    const auto answer = co_await ref<Ferry>(std::string{path[0].cStr()}).carry(std::move(rest));
    co_return carry_results{answer.total()};
  }
  async<> hold() override {
    const struct watch {
      ferry& of;
      ~watch() { cancelled_seen = cancelled_seen || of.cancelled(); }
    } watching{*this};
    static_cast<void>(co_await wait("released", std::chrono::hours{1}));
  }
  async<> release() override {
    notify("released");
    return {};
  }
  async<> post(post_params params) override {
    send(ref<Ferry>(std::string{params.to()}).add(params.amount()));
    return {};
  }
  async<> land(land_params params) override {
    send(ref<Quay>(std::string{params.at()}).unload(params.amount()));
    return {};
  }
  async<tenant_results> tenant(tenant_params params) override {
    const auto& all = context();
    const auto found = all.find(params.name());
    co_return tenant_results{found == all.end() ? std::string{} : found->second};
  }
  async<> refuse(refuse_params params) override {
    co_await fail(error{errc::conflict, std::string{params.text()}, std::chrono::milliseconds{70}});
  }
  static inline bool cancelled_seen = false;

private:
  std::int64_t add_here(std::int64_t amount) {
    edit().setTotal(state().getTotal() + amount);
    return state().getTotal();
  }
};

class quay final : public quay_base<FerryState> {
public:
  async<unload_results> unload(unload_params params) override {
    edit().setTotal(state().getTotal() + params.amount());
    co_return unload_results{state().getTotal()};
  }
  async<stored_results> stored() override { co_return stored_results{state().getTotal()}; }
};

class desk final : public desk_base<> {
public:
  explicit desk(std::string silo) : silo_(std::move(silo)) {}
  async<name_results> name() override { co_return name_results{silo_}; }

private:
  const std::string silo_;
};

class press final : public press_base<> {
public:
  explicit press(std::string silo) : silo_(std::move(silo)) {}
  async<name_results> name() override { co_return name_results{silo_}; }

private:
  const std::string silo_;
};

class two_silos {
public:
  two_silos() {
    share_map();
    settle();
  }

  test_silo& a() { return *nodes_[0].silo; }
  test_silo& b() { return *nodes_[1].silo; }
  spans_seen& spans_of_a() { return *nodes_[0].spans; }
  spans_seen& spans_of_b() { return *nodes_[1].spans; }
  runtime::detail::router& routes(test_silo& of) {
    return runtime::detail::silo_access::core(of.here()).routes();
  }

  /// From now on `name` is primary of the partition of that ferry, as far as all know.
  void place(const std::string& ferry_key, const std::string& name) {
    primaries_[static_cast<std::size_t>(partition(ferry_key))] = name;
    share_map();
  }
  void share_map() {
    for (auto& each : nodes_) {
      share_map_with(*each.silo);
    }
  }
  void share_map_with(test_silo& one) {
    std::vector<cluster_member> members{{"a", 1, {}, types()}, {"b", 2, {"gpu"}, types_of_b}};
    if (third) {
      members.push_back(*third);
    }
    routes(one).set_map(std::make_shared<cluster_map>(std::move(members), primaries_));
  }
  partition_id partition(const std::string& ferry_key) {
    return partition_of("ferry", ferry_key, "", static_cast<std::uint16_t>(primaries_.size()));
  }

  /// Lets what was sent arrive, and what that sets off, until nothing moves.
  void settle() {
    for (bool moved = true; moved;) {
      moved = false;
      for (auto& each : nodes_) {
        each.silo->settle();
      }
      while (auto next = take()) {
        moved = true;
        static_cast<void>(
            routes(*nodes_[next->to].silo)
                .received(nodes_[1 - next->to].name, 2 - next->to, next->kind, next->body));
      }
    }
  }
  template <class T>
  result<T> call(test_silo& from, runtime::call<T> one) {
    auto open = from.begin(std::move(one));
    settle();
    return open.answer();
  }

  std::vector<std::string> types_of_b{"desk", "ferry", "press", "quay"};
  std::optional<cluster_member> third;  ///< That nobody is: what is sent to it is lost.

  // What the network does.
  std::vector<std::string> sent_to;  ///< Silos.
  std::size_t sent = 0;
  bool given_up = false;
  /// What it says to answers, if that is something else.
  std::optional<runtime::detail::peer_send> answer_to_answer;
  runtime::detail::peer_send answer_to_send = runtime::detail::peer_send::queued;
  enum class held : std::uint8_t { nothing, all, for_a, for_b };
  held holds = held::nothing;  ///< What stays where it is.
  std::size_t in_flight() {
    const std::lock_guard lock{mutex_};
    return messages_.size();
  }
  unsigned cancels_to_lose = 0;      ///< Of the next ones; probes are such, too.
  std::vector<std::size_t> cancels;  ///< To which silo each went.
  bool sends_cancels_twice = false;
  /// Takes what is on its way out of it, and gives it back, as if it came late.
  void take_held() {
    const std::lock_guard lock{mutex_};
    late_.swap(messages_);
  }
  void give_held() {
    const std::lock_guard lock{mutex_};
    messages_.insert(messages_.end(), late_.begin(), late_.end());
    late_.clear();
  }
  /// What is on its way from and to `b` is lost, and `a` is told.
  void lose_b() {
    {
      const std::lock_guard lock{mutex_};
      messages_.clear();
    }
    routes(a()).lost("b");
    settle();
  }

private:
  struct message {
    std::size_t to;
    std::uint16_t kind;
    std::string body;
  };
  struct node final : runtime::detail::peer_network {
    node(two_silos& home_of, std::string name_of, std::size_t index_of)
        : home(home_of), name(std::move(name_of)), index(index_of) {
      silo_options options;
      options.name = name;
      options.trace.sink = spans;
      options.labels = index == 1 ? std::vector<std::string>{"gpu"} : std::vector<std::string>{};
      silo = std::make_unique<test_silo>([this](runtime::silo& here) { prepare(here); }, options);
    }
    void prepare(runtime::silo& here) {
      here.add<ferry>();
      if (index == 1) {
        here.add<quay>();
      }
      here.add<desk>([this] { return std::make_unique<desk>(name); });
      here.add<press>([this] { return std::make_unique<press>(name); });
      runtime::detail::silo_access::core(here).routes().join(name, index + 1, *this);
    }
    runtime::detail::peer_send send(std::string_view to, frame_kind kind,
                                    std::string_view body) override {
      return home.send(to, 1 - index, kind, body);
    }
    void give_up(std::string_view) override { home.given_up = true; }
    two_silos& home;
    std::string name;
    std::size_t index;
    std::shared_ptr<spans_seen> spans = std::make_shared<spans_seen>();
    std::unique_ptr<test_silo> silo;
  };
  static std::vector<std::string> types() { return {"desk", "ferry", "press"}; }

  runtime::detail::peer_send send(std::string_view name, std::size_t to, frame_kind kind,
                                  std::string_view body) {
    const std::lock_guard lock{mutex_};
    sent_to.emplace_back(name);
    if (name != nodes_[to].name) {
      return runtime::detail::peer_send::queued;
    }
    if (kind == frame_kind::answer && answer_to_answer) {
      return *std::exchange(answer_to_answer, std::nullopt);
    }
    if (kind == frame_kind::cancel) {
      cancels.push_back(to);
      if (cancels_to_lose > 0) {
        --cancels_to_lose;
        return runtime::detail::peer_send::queued;
      }
    }
    if (answer_to_send == runtime::detail::peer_send::queued) {
      ++sent;
      const auto times = kind == frame_kind::cancel && sends_cancels_twice ? 2 : 1;
      for (int time = 0; time < times; ++time) {
        messages_.push_back({to, static_cast<std::uint16_t>(kind), std::string{body}});
      }
    }
    return answer_to_send;
  }
  std::optional<message> take() {
    const std::lock_guard lock{mutex_};
    const auto found = std::find_if(messages_.begin(), messages_.end(), [this](const auto& each) {
      return holds == held::nothing || (holds == held::for_a && each.to == 1) ||
             (holds == held::for_b && each.to == 0);
    });
    if (found == messages_.end()) {
      return std::nullopt;
    }
    auto next = std::move(*found);
    messages_.erase(found);
    return next;
  }

  std::mutex mutex_;
  std::deque<message> messages_;
  std::deque<message> late_;
  std::vector<std::string> primaries_ = std::vector<std::string>(256, "a");
  node nodes_[2]{{*this, "a", 0}, {*this, "b", 1}};
};

}  // namespace millrace::testing
