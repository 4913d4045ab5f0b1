// SPDX-License-Identifier: MIT
// A test cluster of the suite's actors.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "conformance/ledger.h"
#include "conformance/probe.h"
#include "millrace/testing/test_cluster.h"

namespace millrace::conformance {

using testing::ending;
using testing::open_call;
using testing::test_cluster;
using testing::test_cluster_options;
using testing::test_network;
using testing::traffic;

/// Silos of probes, ledgers and what a test adds; what probes write is in one diary.
class probe_cluster : public stage, public test_cluster {
public:
  explicit probe_cluster(test_cluster_options options = {}, const setup& also = {})
      : test_cluster(
            [this, also](silo& here) {
              here.add<probe>([this] { return std::make_unique<probe>(*this); });
              here.add<ledger>();
              if (also) {
                also(here);
              }
            },
            std::move(options)) {}

  /// The first silo that is up and none of those.
  [[nodiscard]] std::string other_than(const std::vector<std::string>& those) {
    for (const std::string name : {"a", "b", "c", "d", "e"}) {
      if (is_up(name) && std::find(those.begin(), those.end(), name) == those.end()) {
        return name;
      }
    }
    FAIL("there is no other silo");
    return {};
  }

  [[nodiscard]] std::int64_t total(const std::string& key, std::string_view from = {}) {
    const auto found = call(ref<Ledger>(key).get(), from);
    if (!found) {
      FAIL("ledger " << key << ": " << found.error().to_string());
    }
    return found->total();
  }

  /// Whether ledgers `PREFIX0` to `PREFIX19` answer from that silo, with 0 to 19.
  [[nodiscard]] bool has_twenty(const std::string& prefix, std::string_view from) {
    for (int number = 0; number < 20; ++number) {
      if (total(prefix + std::to_string(number), from) != number) {
        return false;
      }
    }
    return true;
  }
  void make_twenty(const std::string& prefix, std::string_view from) {
    for (int number = 0; number < 20; ++number) {
      REQUIRE(call(ref<Ledger>(prefix + std::to_string(number)).add(number), from));
    }
  }

  /// A key of ledgers that a silo leads.
  [[nodiscard]] std::string key_on(const std::string& silo) {
    for (int number = 0; number < 1'000; ++number) {
      const auto key = "on-" + std::to_string(number);
      if (leader_of(ref<Ledger>(key)) == silo) {
        return key;
      }
    }
    FAIL("silo " << silo << " leads nothing");
    return {};
  }

  /// How many lines begin so.
  [[nodiscard]] std::ptrdiff_t said(const std::string& begin) {
    const auto all = lines();
    return std::count_if(all.begin(), all.end(),
                         [&](const std::string& each) { return each.starts_with(begin); });
  }
};

}  // namespace millrace::conformance
