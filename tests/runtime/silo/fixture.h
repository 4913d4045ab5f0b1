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

}  // namespace millrace::testing
