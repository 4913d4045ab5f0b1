// SPDX-License-Identifier: MIT
// Chains of calls that come back to where they began.
#include "conformance/probe.h"

namespace millrace::conformance {
namespace {

class link_in_chain final : public link_base<ProbeState> {
public:
  async<ask_results> ask(ask_params params) override {
    edit().setValue(1);
    std::vector<std::string> rest;
    for (auto each : params.path()) {
      rest.emplace_back(each.cStr());
    }
    const std::string scope{params.scope()};
    const std::string below{scope == "first" ? "none" : scope};
    if (scope == "over") {
      const auto over = allow_reentry();
    }
    if (scope == "all" || scope == "first") {
      const auto open = allow_reentry();
      co_await go_on(rest, below);
    } else {
      co_await go_on(rest, below);
    }
    co_return ask_results{state().getValue()};
  }
  async<bump_results> bump() override {
    edit().setValue(state().getValue() + 1);
    co_return bump_results{state().getValue()};
  }
  async<bump_slowly_results> bump_slowly() override {
    const auto seen = state().getValue();
    co_await offload([] {});
    edit().setValue(seen + 1);
    co_return bump_slowly_results{seen + 1};
  }
  async<call_bump_slowly_results> call_bump_slowly(call_bump_slowly_params params) override {
    auto answer = co_await ref<Link>(std::string{params.to()}).bump_slowly();
    co_return call_bump_slowly_results{answer.value()};
  }
  async<ask_both_results> ask_both(ask_both_params params) override {
    const auto scope = allow_reentry();
    std::vector<call<call_bump_slowly_results>> calls;
    calls.push_back(ref<Link>(std::string{params.one()}).call_bump_slowly(key()));
    calls.push_back(ref<Link>(std::string{params.other()}).call_bump_slowly(key()));
    for (const auto& each : co_await all(std::move(calls))) {
      if (!each) {
        co_await fail(each.error());
      }
    }
    co_return ask_both_results{state().getValue()};
  }
  async<> bump_reading() override {
    edit().setValue(-1);
    return {};
  }
  async<> ask_reading(ask_reading_params params) override {
    const auto scope = allow_reentry();
    co_await ref<Link>(std::string{params.to()}).call_bump_reading(key());
  }
  async<> call_bump_reading(call_bump_reading_params params) override {
    co_await ref<Link>(std::string{params.to()}).bump_reading();
  }

private:
  static async<> go_on(std::vector<std::string> path, std::string scope) {
    if (path.size() == 1) {
      co_await ref<Link>(path[0]).bump();
      co_return;
    }
    link_interface::ask_params params;
    auto rest = params.build().initPath(static_cast<unsigned>(path.size() - 1));
    for (unsigned at = 0; at < rest.size(); ++at) {
      rest.set(at, path[at + 1].c_str());
    }
    params.build().setScope(scope.c_str());
    co_await ref<Link>(path[0]).ask(std::move(params));
  }
};

class link_silo : public probe_silo {
public:
  link_silo()
      : probe_silo({}, make_memory_storage(), [](silo& made) { made.add<link_in_chain>(); }) {}
  // `first` is asked along `path`.
  auto ask(const std::string& first, const std::vector<std::string>& path,
           const std::string& scope) {
    return begin_ask(first, path, scope).answer();
  }
  testing::open_call<link_interface::ask_results> begin_ask(const std::string& first,
                                                            const std::vector<std::string>& path,
                                                            const std::string& scope) {
    link_interface::ask_params params;
    auto names = params.build().initPath(static_cast<unsigned>(path.size()));
    for (unsigned at = 0; at < names.size(); ++at) {
      names.set(at, path[at].c_str());
    }
    params.build().setScope(scope.c_str());
    return begin(ref<Link>(first).ask(std::move(params)));
  }
};

TEST_CASE("a chain of calls returns into a scope that allows it, and not outside") {
  link_silo silo;
  const auto inside = silo.ask("a", {"b", "a"}, "first");
  REQUIRE(inside);
  CHECK(inside->value() == 2);  // what returned changed what the method sees
  const auto outside = silo.ask("a", {"b", "a"}, "none");
  REQUIRE_FALSE(outside);
  CHECK(outside.error().code() == errc::call_cycle);
  CHECK(outside.error().text() ==
        "the call chain returns to a busy actor: link/a -> link/b -> link/a");
  CHECK(silo.ask("a", {"b", "a"}, "over").error().code() == errc::call_cycle);
}

TEST_CASE("an actor may call itself in a scope") {
  link_silo silo;
  CHECK(silo.ask("a", {"a"}, "first")->value() == 2);
  CHECK(silo.ask("a", {"a"}, "none").error().code() == errc::call_cycle);
}

TEST_CASE("every turn of an actor on the chain has to allow the return") {
  link_silo silo;
  CHECK(silo.ask("a", {"b", "a", "c", "a"}, "all"));
  CHECK(silo.ask("a", {"a", "c", "a"}, "first").error().code() == errc::call_cycle);
  CHECK(silo.ask("a", {"b", "a", "b"}, "all"));  // b's own scope
}

TEST_CASE("a chain may return by any way, and what does not belong to it waits") {
  link_silo silo;
  CHECK(silo.ask("a", {"b", "c", "d", "a"}, "first")->value() == 2);
  silo.rows().hold_commits();  // keeps the chain at its first step
  auto chain = silo.begin_ask("a", {"b", "a"}, "first");
  auto stranger = silo.begin(ref<Link>("a").bump());
  silo.rows().release_commits();
  CHECK(chain.answer()->value() == 2);
  CHECK(stranger.answer()->value() == 3);
}

// Goal: what returns is exclusive still; only its own chain's turns let it pass.
// Method: two returning calls each read, wait and write; side by side one change would be lost.
TEST_CASE("two chains that return into one scope take turns") {
  link_silo silo;
  const auto both = silo.call(ref<Link>("a").ask_both("b", "c"));
  REQUIRE(both);
  CHECK(both->value() == 2);
  CHECK(silo.call(ref<Link>("a").bump())->value() == 3);
}

TEST_CASE("a $readOnly method that is re-entered still may not change state") {
  link_silo silo;
  const auto refused = silo.call(ref<Link>("a").ask_reading("b"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::internal);
  CHECK(silo.call(ref<Link>("a").bump())->value() == 1);
}

}  // namespace
}  // namespace millrace::conformance
