// SPDX-License-Identifier: MIT
// What surrounds a call: filters, and the context that travels with it.
#include "conformance/probe.h"

namespace millrace::conformance {
namespace {

TEST_CASE("a request context flows down the call chain, never up") {
  probe_silo silo;
  const auto of_caller =
      silo.call(ref<Probe>("a").tell_context("tenant", "b").with("tenant", "blue"));
  CHECK(of_caller->values() == "blue blue blue");
  const auto changed = silo.call(ref<Probe>("a").tell_context("own", "b").with("own", "mine"));
  CHECK(changed->values() == "mine changed mine");
  CHECK(silo.call(ref<Probe>("a").tell_context("tenant", "b"))->values() == "- - -");
}

TEST_CASE("filters run in order around the method, and see what it is") {
  stage* on = nullptr;
  const auto around = [&on](std::string name) {
    return [&on, name](incoming_call& call) -> async<any_message> {
      auto& events = on->events;  // captures are the silo's, see filter.h
      const auto label = name;
      events.write(label + " before " + std::string{call.method().name} + " of " + call.key());
      auto outcome = co_await as_result(call.proceed());
      events.write(
          label + (outcome ? " after" : " sees " + std::string{to_string(outcome.error().code())}));
      co_return outcome;
    };
  };
  probe_silo silo{{}, make_memory_storage(), [&](auto& here) {
                    here.add_filter(around("outer"));
                    here.add_filter(around("inner"));
                  }};
  on = &silo;
  CHECK(silo.call(ref<Probe>("a").set(3)));
  CHECK(silo.events.all() == std::vector<std::string>{"outer before set of a",
                                                      "inner before set of a", "inner after",
                                                      "outer after"});
  CHECK(silo.call(ref<Probe>("a").get())->value() == 3);
  CHECK(silo.call(ref<Probe>("a").call_back("", "unwilling")).error().code() ==
        errc::failed_precondition);
  CHECK(silo.events.has("outer sees failed_precondition"));
}

TEST_CASE("a filter may refuse, answer itself, change parameters and results, and try again") {
  probe_silo silo{{}, make_memory_storage(), [](auto& here) {
                    here.add_filter([](incoming_call& call) -> async<any_message> {
                      if (call.context().contains("stranger")) {
                        co_return error{errc::permission_denied, "strangers may not"};
                      }
                      if (call.key() == "twice") {
                        static_cast<void>(co_await as_result(call.proceed()));
                      }
                      if (call.key() == "kept" && call.method().name == "get") {
                        probe::interface::get_results own;
                        own.build().setValue(99);
                        co_return std::move(own).take();
                      }
                      co_return co_await call.proceed();
                    });
                  }};
  const auto refused = silo.call(ref<Probe>("a").set(1).with("stranger", "yes"));
  CHECK(refused.error().code() == errc::permission_denied);
  CHECK(silo.call(ref<Probe>("kept").get())->value() == 99);
  CHECK(silo.call(ref<Probe>("twice").every_ms("tick", 1, 0)));
  CHECK(silo.call(ref<Probe>("twice").set(5)));
  CHECK(silo.call(ref<Probe>("twice").get())->value() == 5);
}

TEST_CASE("a filter on the way out sees every call of an actor and may refuse it") {
  probe_silo silo{{}, make_memory_storage(), [](auto& here) {
                    here.add_outgoing_filter([](const actor_id& caller, call_spec& call) {
                      if (call.key == "forbidden") {
                        throw error{errc::permission_denied, caller.key + " may not call it"};
                      }
                    });
                  }};
  CHECK(silo.call(ref<Probe>("a").call_back("", "b")));
  const auto refused = silo.call(ref<Probe>("a").call_back("", "forbidden"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::permission_denied);
  CHECK(refused.error().text() == "a may not call it");
}

}  // namespace
}  // namespace millrace::conformance
