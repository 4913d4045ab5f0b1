// SPDX-License-Identifier: MIT
#include "silo/version_floors.h"

#include <algorithm>
#include <string>

#include "activation/row_layout.h"
#include "byte_order.h"

namespace millrace::runtime::detail {

result<void> version_floors::load(partition_id partition) {
  return rows_.scan(partition, version_floor_row, version_floor_row, 1, [&](const row& one) {
    const std::lock_guard lock{mutex_};
    auto& floor = floors_[static_cast<std::size_t>(partition)];
    floor = std::max(floor, value_reader{one.value}.u64());  // one is being raised, perhaps
    return false;
  });
}

std::uint64_t version_floors::of(partition_id partition) const {
  const std::lock_guard lock{mutex_};
  return floors_[static_cast<std::size_t>(partition)];
}

void version_floors::commit_erased(std::unique_ptr<commit_request> request, std::uint64_t version) {
  const std::lock_guard lock{mutex_};
  auto& floor = floors_[static_cast<std::size_t>(request->partition)];
  floor = std::max(floor, version);
  std::string value;
  append_little(value, floor);
  request->ops.put(version_floor_row, value);
  rows_.commit(std::move(request));
}

}  // namespace millrace::runtime::detail
