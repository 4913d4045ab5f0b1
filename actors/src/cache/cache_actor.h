// SPDX-License-Identifier: MIT
// The actor `cache`: results of a pipeline's tasks that later runs may use.
#pragma once

#include <cstdint>
#include <string>

#include "millrace/cache.capnp.actor.h"
#include "millrace/runtime/paged_map.h"

namespace millrace::actors {

/// What a cache keeps; then the oldest make room. A result has at most some 200 KiB.
inline constexpr std::uint64_t kept_results_max = 100'000;
inline constexpr std::uint64_t kept_results_bytes_max = std::uint64_t{256} << 20U;

/// To keep a result reads nothing, so that those of a wide fan-out share their commits.
class cache_actor final : public schemas::result_cache_base<schemas::CacheState> {
public:
  runtime::async<find_results> find(find_params params) override;
  runtime::async<> keep(keep_params params) override;
  runtime::async<list_results> list(list_params params) override;
  runtime::async<> clear(clear_params params) override;
  runtime::async<> clear_more(clear_more_params params) override;
  runtime::async<> make_room() override;

private:
  [[nodiscard]] runtime::async<std::string> why_missed(const find_params& params);

  runtime::paged_map<schemas::KeptResult> results_{*this, "results"};
  runtime::paged_map<schemas::ResultPlace> latest_{*this, "latest"};
  runtime::paged_map<schemas::ResultPlace> ages_{*this, "ages"};
};

}  // namespace millrace::actors
