// SPDX-License-Identifier: MIT
// A test silo with counters.
#pragma once

#include <doctest/doctest.h>

#include "millrace/testing/test_silo.h"
#include "runtime/silo/counter.h"

namespace millrace::testing {

/// A silo of counters over `rows`.
class counter_silo : public test_silo {
public:
  explicit counter_silo(std::unique_ptr<storage> rows_of = make_memory_storage(),
                        silo_options options = {})
      : test_silo([](silo& here) { here.add<counter>(); }, std::move(options), std::move(rows_of)) {
  }
  std::int64_t total(const std::string& key) {
    const auto answer = call(ref<Counter>(key).get());
    REQUIRE(answer);
    return answer->total();
  }
};

/// A silo of counters whose figures are exact: a turn of `get` takes three milliseconds.
class counted_silo : public test_silo {
public:
  explicit counted_silo(silo_options options = {})
      : test_silo([this](silo& here) { prepare(here, this); }, std::move(options)) {}
  type_metrics counters() { return here().metrics().types.at(0); }
  /// Calls of a method that ended so; 0: well.
  std::uint64_t ended(std::string_view method, std::size_t code) {
    for (const auto& each : counters().methods) {
      if (each.name == method) {
        return each.ended.at(code);
      }
    }
    return 0;
  }

private:
  // `self` is not there yet.
  static void prepare(silo& here, counted_silo* self) {
    here.add<counter>();
    here.add_filter([self](incoming_call& call) -> async<any_message> {
      if (call.method().name == "get") {
        self->clock().move(std::chrono::milliseconds{3});
      }
      auto outcome = co_await call.proceed();
      co_return outcome;
    });
  }
};

}  // namespace millrace::testing
