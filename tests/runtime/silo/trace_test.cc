// SPDX-License-Identifier: MIT
// Traces: what a `traceparent` says, and the spans of calls.
#include "millrace/runtime/trace.h"

#include <algorithm>

#include "runtime/silo/fixture.h"
#include "runtime/spans_seen.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;

constexpr const char* good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct traced_silo {
  std::shared_ptr<spans_seen> seen = std::make_shared<spans_seen>();
  counter_silo silo{make_memory_storage(), {.trace = {.sink = seen}}};

  template <class T>
  auto call(runtime::call<T> one, const char* traceparent = good) {
    auto answer = silo.call(std::move(one).with(traceparent_name, traceparent));
    silo.settle();
    return answer;
  }
};

const span* named(const std::vector<span>& all, const std::string& name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const span& each) { return each.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

TEST_CASE("a traceparent is read and written") {
  const auto place = parse_traceparent(good);
  REQUIRE(place);
  CHECK(to_string(place->trace) == "4bf92f3577b34da6a3ce929d0e0e4736");
  CHECK(to_string(place->span) == "00f067aa0ba902b7");
  CHECK(place->is_sampled);
  CHECK(to_traceparent(*place) == good);
  const auto quiet = parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
  REQUIRE(quiet);
  CHECK_FALSE(quiet->is_sampled);
  CHECK(to_traceparent(*quiet) == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
  CHECK(to_traceparent({{0, 1}, span_id{1}, false}) ==
        "00-00000000000000000000000000000001-0000000000000001-00");
}

TEST_CASE("what is no traceparent is none") {
  for (const auto* bad : {
           "",
           "00",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
           "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
           "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
           " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
           "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
       }) {
    CAPTURE(bad);
    CHECK_FALSE(parse_traceparent(bad));
  }
}

// Method: each byte in the place of each character; the shape says which of them leave it good.
TEST_CASE("a traceparent with one wrong character is none") {
  const std::string shape = "00-XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX-XXXXXXXXXXXXXXXX-XX";
  const std::string text{good};
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      auto spoilt = text;
      spoilt[at] = static_cast<char>(byte);
      const bool is_digit =
          std::string_view{"0123456789abcdef"}.find(spoilt[at]) != std::string_view::npos;
      const bool is_good = shape[at] == '-' ? spoilt[at] == '-' : is_digit;
      CAPTURE(spoilt);
      CHECK(parse_traceparent(spoilt).has_value() == is_good);
    }
  }
}

TEST_CASE("of a later version what this one has is read") {
  for (const auto* later : {"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-follows",
                            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff"}) {
    CAPTURE(later);
    const auto place = parse_traceparent(later);
    REQUIRE(place);
    CHECK(to_traceparent(*place) == good);
  }
}

TEST_CASE("ids that follow from names are the same each time, and none is zero") {
  const trace_id trace{1, 2};
  CHECK(span_id_of(trace, "a") == span_id_of(trace, "a"));
  CHECK(span_id_of(trace, "a") != span_id_of(trace, "b"));
  CHECK(span_id_of(trace, "a") != span_id_of({1, 3}, "a"));
  CHECK(to_string(span_id_of({}, "a")) == "e6c632b61e964e1f");  // part of what is told twice
  rng random{7};
  CHECK(new_trace_id(random) != new_trace_id(random));
  CHECK(new_span_id(random) != new_span_id(random));
}

TEST_CASE("a ratio of the traces is sampled, by what is random in their ids") {
  CHECK(is_sampled({~0ULL, ~0ULL}, 1));
  CHECK_FALSE(is_sampled({0, 0}, 0));
  CHECK(is_sampled({~0ULL, 0xff00'0000'0000'0000}, 0.001));  // the upper byte counts for nothing
  CHECK_FALSE(is_sampled({0, 0x0080'0000'0000'0000}, 0.5));
  CHECK(is_sampled({0, 0x007f'ffff'ffff'ffff}, 0.5));
  rng random{11};
  int sampled = 0;
  for (int count = 0; count < 10'000; ++count) {
    sampled += is_sampled(new_trace_id(random), 0.1) ? 1 : 0;
  }
  CHECK(sampled > 900);
  CHECK(sampled < 1'100);
}

TEST_CASE("a call of a sampled trace has a span, and what it calls hangs below it") {
  traced_silo traced;
  CHECK(traced.call(ref<Counter>("a").relay("b", 3))->total() == 3);
  const auto all = traced.seen->take();
  REQUIRE(all.size() == 2);
  const auto* outer = named(all, "counter/relay");
  const auto* inner = named(all, "counter/add");
  REQUIRE(outer != nullptr);
  REQUIRE(inner != nullptr);
  CHECK(outer->own.trace == parse_traceparent(good)->trace);
  CHECK(inner->own.trace == outer->own.trace);
  CHECK(outer->parent == parse_traceparent(good)->span);
  CHECK(inner->parent == outer->own.span);
  CHECK(inner->own.span != outer->own.span);
  CHECK(outer->kind == span_kind::internal);
  CHECK(outer->start <= inner->start);
  CHECK(inner->end <= outer->end);
  CHECK(attribute(*outer, "rpc.method") == "counter/relay");
  CHECK(attribute(*outer, "millrace.actor.key") == "a");
  CHECK_FALSE(outer->has_failed);
}

TEST_CASE("a call that fails has a span that says so") {
  traced_silo traced;
  CHECK_FALSE(traced.call(ref<Counter>("a").fail("no luck")));
  const auto all = traced.seen->take();
  REQUIRE(all.size() == 1);
  CHECK(all[0].has_failed);
  CHECK(all[0].failure == "no luck");
  CHECK(attribute(all[0], "error.type") != "none");
}

TEST_CASE("a one-way call has a span, too") {
  traced_silo traced;
  traced.silo.tell(ref<Counter>("a").told_add(2).with(traceparent_name, good));
  traced.silo.settle();
  const auto all = traced.seen->take();
  REQUIRE(all.size() == 1);
  CHECK(all[0].name == "counter/told_add");
}

TEST_CASE("what is not sampled, or in no trace, is not told") {
  traced_silo traced;
  CHECK(traced.call(ref<Counter>("a").relay("b", 3),
                    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"));
  CHECK(traced.call(ref<Counter>("a").relay("b", 3), "no traceparent"));
  CHECK(traced.silo.call(ref<Counter>("a").add(1)));
  CHECK(traced.seen->take().empty());
}

}  // namespace millrace::testing
