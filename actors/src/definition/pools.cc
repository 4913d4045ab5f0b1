// SPDX-License-Identifier: MIT
#include "millrace/actors/pools.h"

#include <algorithm>

#include "millrace/actors/name_rule.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::result;

bool belongs(const pool_names& pools, std::string_view pool) {
  return pools.contains(pool) || pools.contains(every_pool);
}

result<pool_names> parse_pools(std::string_view text) {
  if (text.empty()) {
    return pool_names{std::string{default_pool}};
  }
  pool_names made;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    const auto name = text.substr(begin, end - begin);
    begin = end + 1;
    if (auto named = check_name("pool", name, name_rule::thing); !named && name != every_pool) {
      return std::move(named).error();
    }
    if (!made.emplace(name).second) {
      return error{errc::invalid_argument, "the pool `" + std::string{name} + "` comes twice"};
    }
  }
  if (made.size() > executor_pools_max) {
    return error{errc::invalid_argument,
                 "an executor belongs to at most " + std::to_string(executor_pools_max) + " pools"};
  }
  return made;
}

}  // namespace millrace::actors
