// SPDX-License-Identifier: MIT
#include "millrace/testing/test_network.h"

#include "testing/memory_store.h"
#include "testing/wire.h"

namespace millrace::testing {

void test_network::cut(std::string_view one, std::string_view other) {
  records_.time_changed();  // until now it was heard of
  between_.cut(one, other);
  between_.cut(other, one);
}

void test_network::cut_one_way(std::string_view from, std::string_view to) {
  if (from == store || to == store) {
    cut(from, to);
  } else {
    between_.cut(from, to);
  }
}

void test_network::isolate(std::string_view silo) {
  cut(silo, store);
  for (const auto& each : between_.names()) {
    if (each != silo) {
      cut(silo, each);
    }
  }
}

void test_network::delay(std::string_view from, std::string_view to, runtime::duration by,
                         traffic what) {
  between_.delay(from, to, by, what);
}

void test_network::lose(std::string_view from, std::string_view to, traffic what, unsigned count) {
  between_.lose(from, to, what, count);
}

std::uint64_t test_network::asked_in_vain() const {
  return records_.asked_in_vain();
}

void test_network::heal() {
  between_.heal();
  records_.time_changed();
}

}  // namespace millrace::testing
