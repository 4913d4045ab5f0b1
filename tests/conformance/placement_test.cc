// SPDX-License-Identifier: MIT
// Actors without durable state, and where they live.
#include "conformance/probe.h"

namespace millrace::conformance {
namespace {

class worker final : public worker_base<> {
public:
  explicit worker(stage& on) : stage_(on) {}
  async<> hold() override {
    const auto held = co_await as_result(offload([on = &stage_] {
      on->events.write("holds");
      on->opened.wait();
    }));
    if (!held) {
      stage_.events.write(cancelled() ? "is cancelled" : "fails");
    }
  }
  async<> touch() override { return {}; }
  async<> call_itself() override { co_await ref<Worker>(key()).touch(); }
  async<> remember() override {
    set_reminder("later", now() + 1s);
    return {};
  }

private:
  stage& stage_;
};

class loner final : public loner_base<> {
public:
  async<> touch() override { return {}; }
  async<> call_itself() override { co_await ref<Loner>(key()).touch(); }
};

class gadget final : public gadget_base<> {
  async<> touch() override { return {}; }
};

class painter final : public painter_base<> {
  async<> touch() override { return {}; }
};

// The silo of `probe_silo` with these actors too.
class placement_silo : public probe_silo {
public:
  explicit placement_silo(silo_options options = {})
      : probe_silo(std::move(options), make_memory_storage(), [this](silo& made) {
          made.add<worker>([this] { return std::make_unique<worker>(*this); });
          made.add<loner>();
          made.add<gadget>();
          made.add<painter>();
        }) {}
};

TEST_CASE("a stateless actor has as many activations as its calls need, and fewer when idle") {
  placement_silo silo;
  for (int at = 0; at < 10; ++at) {
    REQUIRE(silo.here().call(ref<Worker>("w").touch()));
  }
  CHECK(silo.here().stats().activations == 1);  // one call at a time needs no more
  std::vector<std::future<result<void>>> held;
  for (std::ptrdiff_t at = 1; at <= 3; ++at) {
    held.push_back(silo.begin_holding(ref<Worker>("w").hold()));
    REQUIRE(silo.events.has("holds", at));
  }
  CHECK(silo.here().stats().activations == 3);
  silo.gate.set_value();
  for (auto& each : held) {
    CHECK(each.get());
  }
  silo.advance(2s);
  CHECK(silo.here().stats().activations == 0);
  CHECK(silo.here().call(ref<Worker>("w").touch()));
}

TEST_CASE("a stateless actor has no more activations than its limit: further calls wait") {
  placement_silo silo;
  std::vector<std::future<result<void>>> held;
  for (int at = 0; at < 8; ++at) {
    held.push_back(silo.begin_holding(ref<Worker>("w").hold()));
  }
  REQUIRE(silo.events.has("holds", 3));
  CHECK(silo.here().stats().activations == 3);
  CHECK(silo.here().call(ref<Worker>("other").touch()));  // the limit is a key's
  CHECK(silo.events.count("holds") == 3);
  silo.gate.set_value();
  for (auto& each : held) {
    CHECK(each.get());
  }
  CHECK(silo.events.count("holds") == 8);
}

TEST_CASE("a stateless actor may call itself while it may have another activation") {
  placement_silo silo;
  CHECK(silo.here().call(ref<Worker>("w").call_itself()));
  CHECK(silo.here().call(ref<Loner>("l").call_itself()).error().code() == errc::call_cycle);
}

TEST_CASE("a stateless actor keeps nothing that lasts") {
  placement_silo silo;
  const auto refused = silo.here().call(ref<Worker>("w").remember());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::internal);
  CHECK(refused.error().text() == "actors of type worker have no durable state");
  CHECK(silo.here().call(ref<Worker>("w").touch().keyed("k")).error().code() ==
        errc::failed_precondition);
  CHECK(silo.rows().commits() == 0);
}

TEST_CASE("a cancelled call of a stateless actor is told to the activation that has it") {
  placement_silo silo;
  auto first = silo.begin_holding(ref<Worker>("w").hold());
  REQUIRE(silo.events.has("holds"));
  std::promise<result<any_message>> answer;
  auto second = silo.here().start_call(std::move(ref<Worker>("w").hold().spec()),
                                       [&](auto outcome) { answer.set_value(std::move(outcome)); });
  REQUIRE(silo.events.has("holds", 2));
  second.cancel();
  CHECK(answer.get_future().get().error().code() == errc::cancelled);
  CHECK(silo.events.has("is cancelled"));
  silo.gate.set_value();
  CHECK(first.get());
}

TEST_CASE("an actor bound to a silo lives on the silo that its key names") {
  placement_silo silo{{.name = "attic"}};
  CHECK(silo.here().call(ref<Gadget>("attic").touch()));
  CHECK(silo.here().call(ref<Gadget>("attic/lamp").touch()));
  const auto elsewhere = silo.here().call(ref<Gadget>("cellar/lamp").touch());
  REQUIRE_FALSE(elsewhere);
  CHECK(elsewhere.error().code() == errc::failed_precondition);
  CHECK(
      elsewhere.error().text() ==
      "no silo 'cellar' is known, which the key of gadget/cellar/lamp names; this one is 'attic'");
}

TEST_CASE("an actor that asks for labels lives only on a silo that has them all") {
  placement_silo with{{.labels = {"big", "gpu", "noisy"}}};
  CHECK(with.here().call(ref<Painter>("p").touch()));
  placement_silo without{{.labels = {"gpu"}}};
  const auto refused = without.here().call(ref<Painter>("p").touch());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::failed_precondition);
  CHECK(refused.error().text() ==
        "no silo has the labels 'gpu,big' that actors of type painter ask for; those of this one: "
        "gpu");
}

}  // namespace
}  // namespace millrace::conformance
