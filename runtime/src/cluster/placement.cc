// SPDX-License-Identifier: MIT
#include "cluster/placement.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <tuple>
#include <utility>

namespace millrace::runtime {

bool is_in_set(std::string_view silo, const partition_record& record) {
  return std::any_of(record.in_sync.begin(), record.in_sync.end(),
                     [&](const placed_copy& each) { return each.silo == silo; });
}

std::vector<std::string> ranked_for(partition_id partition, std::vector<candidate> silos) {
  struct weighed {
    std::size_t before;  // of the silos of its zone that are preferred to it
    actor_hash weight;
    candidate silo;
  };
  const auto number = std::to_string(static_cast<unsigned>(partition));
  std::vector<weighed> all;
  all.reserve(silos.size());
  for (auto& each : silos) {
    const auto weight = hash_of(each.silo, number);
    all.push_back({0, weight, std::move(each)});
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::tie(a.weight, a.silo.silo) > std::tie(b.weight, b.silo.silo);
  });
  const bool has_zones = std::none_of(all.begin(), all.end(),
                                      [](const weighed& each) { return each.silo.zone.empty(); });
  if (has_zones) {
    std::map<std::string_view, std::size_t> seen;
    for (auto& each : all) {
      each.before = seen[each.silo.zone]++;
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const auto& a, const auto& b) { return a.before < b.before; });
  }
  std::vector<std::string> ranked;
  ranked.reserve(all.size());
  for (auto& each : all) {
    ranked.push_back(std::move(each.silo.silo));
  }
  return ranked;
}

bool should_have_copy(std::string_view silo, const std::vector<std::string>& ranked,
                      std::size_t copies, const partition_record& record) {
  const auto end = ranked.begin() + static_cast<std::ptrdiff_t>(std::min(copies, ranked.size()));
  return std::find(ranked.begin(), end, silo) != end || is_in_set(silo, record);
}

std::string_view preferred_primary(const std::vector<std::string>& ranked,
                                   const partition_record& record) {
  const auto found = std::find_if(ranked.begin(), ranked.end(),
                                  [&](const std::string& each) { return is_in_set(each, record); });
  return found != ranked.end() ? std::string_view{*found} : std::string_view{};
}

std::string_view to_move_off(const std::vector<std::string>& ranked, std::size_t copies,
                             const partition_record& record) {
  if (record.in_sync.size() < copies || ranked.size() <= copies) {
    return {};
  }
  const auto first = ranked.begin() + static_cast<std::ptrdiff_t>(copies);
  const bool is_one_missing = std::any_of(
      ranked.begin(), first, [&](const std::string& each) { return !is_in_set(each, record); });
  const auto last = std::find_if(ranked.rbegin(), std::make_reverse_iterator(first),
                                 [&](const std::string& each) { return is_in_set(each, record); });
  if (last == std::make_reverse_iterator(first) || *last == primary_of(record) ||
      (record.in_sync.size() == copies && !is_one_missing)) {
    return {};
  }
  return *last;
}

std::string_view primary_of(const partition_record& record) noexcept {
  for (const auto& each : record.in_sync) {
    if (each.id == record.primary) {
      return each.silo;
    }
  }
  return {};
}

}  // namespace millrace::runtime
