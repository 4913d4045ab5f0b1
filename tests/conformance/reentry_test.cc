// SPDX-License-Identifier: MIT
// Chains of calls that come back to where they began.
#include "conformance/walker.h"

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
  explicit link_silo(silo_options options = {})
      : probe_silo(std::move(options), make_memory_storage(), [this](silo& made) {
          made.add<link_in_chain>();
          made.add<walker>([this] { return std::make_unique<walker>(*this); });
        }) {}
  // The first of `to_do` is "call K" or "read K".
  auto begin_walk(const steps& to_do) { return begin(walker::call_of(to_do)); }
  void raise(const std::string& walker, const std::string& name) {
    REQUIRE(call(ref<Walker>(walker).raise(name)));
  }
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

// Goal: the end of a chain lets nobody in beside what it has left behind.
// Method: b cannot hear that the chain is cancelled, so what it has called at a goes on. When a
// has answered what arrived after the stranger, it has looked at the stranger.
TEST_CASE("after a chain was cancelled strangers wait for the turns that came back in it") {
  link_silo silo{{.threads = 2}};
  std::promise<result<any_message>> outcome;
  auto chain = silo.here().start_call(
      std::move(
          walker::call_of({"call a", "scope", "call b", "call a", "say back", "wait ever"}).spec()),
      [&](result<any_message> answer) { outcome.set_value(std::move(answer)); });
  REQUIRE(silo.events.has("back"));
  silo.settle();
  walker_interface::walk_beside_params deaf;
  deaf.build().initSteps(1).set(0, "block");
  auto blocking = silo.begin_holding(ref<Walker>("b").walk_beside(std::move(deaf)));
  REQUIRE(silo.events.has("blocks"));
  chain.cancel();
  CHECK(outcome.get_future().get().error().code() == errc::cancelled);

  auto stranger = silo.begin_holding(walker::call_of({"read a", "say stranger"}));
  REQUIRE(silo.here().call(ref<Walker>("a").raise("nobody")));
  CHECK(silo.events.count("stranger") == 0);
  silo.gate.set_value();
  CHECK(blocking.get());
  CHECK(stranger.get());
}

TEST_CASE("readers wait for a writer that has come back to a reader") {
  link_silo silo;
  auto chain = silo.begin_walk({"read a", "scope", "call b", "call a", "wait go", "say written"});
  auto reader = silo.begin_walk({"read a", "say read"});
  CHECK_FALSE(reader.answered());
  silo.raise("a", "go");
  CHECK(chain.answer());
  CHECK(reader.answer());
  CHECK(silo.events.all() == steps{"written", "read"});
}

TEST_CASE("a writer that comes back waits for other readers, and new ones wait for it") {
  link_silo silo;
  auto earlier = silo.begin_walk({"read a", "wait go", "say read"});
  auto chain = silo.begin_walk({"read a", "scope", "call b", "call a", "say written"});
  auto later = silo.begin_walk({"read a", "say read later"});
  CHECK(silo.events.all().empty());
  silo.raise("a", "go");
  CHECK(earlier.answer());
  CHECK(chain.answer());
  CHECK(later.answer());
  CHECK(silo.events.all() == steps{"read", "written", "read later"});
}

TEST_CASE("a reader that comes back to a reader needs no scope, whoever waits") {
  link_silo silo;
  auto chain = silo.begin_walk({"read a", "call b", "wait go", "read a", "say read"});
  auto writer = silo.begin_walk({"call a", "say written"});
  silo.raise("b", "go");
  CHECK(chain.answer());
  CHECK(writer.answer());
  CHECK(silo.events.all() == steps{"read", "written"});
}

// Goal: a turn that waits for a call to come back to it is not kept out by another that came first.
// Method: b's call holds a and calls d; c's has to wait for it; then d comes back.
TEST_CASE("of two chains that return into one scope the one that others wait for goes first") {
  link_silo silo;
  auto all = silo.begin_walk({"call a", "scope", "both",                                   //
                              "call b", "call a", "wait go", "scope", "call d", "call a",  //
                              "say from d", "|",                                           //
                              "call c", "wait go", "call a", "say from c"});
  silo.raise("c", "go");
  CHECK(silo.events.all().empty());
  silo.raise("a", "go");
  CHECK(all.answer());
  CHECK(silo.events.all() == steps{"from d", "from c"});
}

TEST_CASE("chains that wait for each other where one of them returns are refused at once") {
  for (const auto* last : {"a", "b"}) {
    CAPTURE(last);
    link_silo silo;
    auto all = silo.begin_walk({"call a", "scope", "both",                              //
                                "call b", "wait go", "call a", "say back from b", "|",  //
                                "call c", "call a", "wait go", "call b", "say b from c"});
    silo.raise(*last == 'a' ? "b" : "a", "go");
    CHECK_FALSE(all.answered());
    silo.raise(last, "go");
    REQUIRE(all.answered());
    const auto refused = all.answer();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == errc::outcome_unknown);
    CHECK(silo.events.all().size() == 1);  // the other goes on, so something was done
  }
}

// A reader behind a writer waits for the readers before it.
TEST_CASE("chains that wait for each other across a waiting writer are refused at once") {
  for (const auto* last : {"a", "b"}) {
    CAPTURE(last);
    link_silo silo;
    auto one = silo.begin_walk({"read a", "wait go", "call b", "say b from a"});
    auto writer = silo.begin_walk({"call a", "say written"});
    auto other = silo.begin_walk({"call b", "wait go", "read a", "say a from b"});
    silo.raise(*last == 'a' ? "b" : "a", "go");
    CHECK_FALSE(writer.answered());
    silo.raise(last, "go");
    REQUIRE((one.answered() && other.answered()));
    const auto first = one.answer();
    const auto second = other.answer();
    REQUIRE(static_cast<bool>(first) != static_cast<bool>(second));
    CHECK((first ? second : first).error().code() == errc::unavailable);
    CHECK(writer.answer());
  }
}

TEST_CASE("what waits for a chain that will return is not refused") {
  link_silo silo;
  auto all = silo.begin_walk({"call a", "scope", "both",                       //
                              "call b", "wait go", "call a", "say back", "|",  //
                              "call c", "wait go", "call b", "say after"});
  auto other = silo.begin_walk({"read a", "say stranger"});
  silo.raise("b", "go");
  silo.raise("c", "go");
  CHECK(all.answer());
  CHECK(other.answer());
  CHECK(silo.events.all() == steps{"back", "after", "stranger"});
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
