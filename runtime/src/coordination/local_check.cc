// SPDX-License-Identifier: MIT
#include "coordination/local_environment.h"
#include "millrace/runtime/backup.h"

namespace millrace::runtime {
namespace {

// What is read, or how much; a fault when it cannot be.
template <class T>
T read(result<T> found, local_store_check& check) {
  if (!found) {
    check.faults.push_back(found.error().text());
    return {};
  }
  return *std::move(found);
}

}  // namespace

result<local_store_check> check_local_store(const std::string& directory) {
  const auto self = this_process();
  if (!self) {
    return self.error();
  }
  local_store_check check;
  const auto looked =
      local_environment::look_at(directory, *self, system_clock{}, [&](const local_rows& rows) {
        if (const auto settings = read(rows.settings(), check)) {
          check.cluster_id = settings->cluster_id;
        }
        check.silos = read(rows.silos(), check).size();
        check.partitions = read(rows.partitions(0), check).size();
      });
  if (!looked && looked.error().code() != errc::storage_failed) {
    return looked.error();
  }
  if (!looked) {
    check.faults.push_back(looked.error().text());
  }
  return check;
}

}  // namespace millrace::runtime
