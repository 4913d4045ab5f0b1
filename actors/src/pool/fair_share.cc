// SPDX-License-Identifier: MIT
#include "pool/fair_share.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace millrace::actors {

namespace {

double seconds(runtime::duration length) {
  return std::chrono::duration<double>(length).count();
}

// Of each that is limited and wanted, whether so many fit into what is left.
const resource_amounts::value_type* first_lacking(const resource_amounts& limits,
                                                  const resource_amounts& taken,
                                                  const resource_amounts& wanted,
                                                  std::uint32_t count) {
  for (const auto& [name, most] : limits) {
    const auto found = wanted.find(name);
    if (found != wanted.end() && left_of(limits, taken, name) / found->second < count) {
      return &*found;
    }
  }
  return nullptr;
}

}  // namespace

const resource_amounts::value_type* project_share::lacks(const resource_amounts& wanted,
                                                         std::uint32_t count,
                                                         const resource_amounts& kept) const {
  if (kept.empty()) {
    return first_lacking(limits.resources, taken, wanted, count);
  }
  auto gone = taken;
  for (const auto& [name, amount] : kept) {
    gone[name] += amount;
  }
  return first_lacking(limits.resources, gone, wanted, count);
}

const resource_amounts::value_type* project_share::never_has(const project_limits& limits,
                                                             const resource_amounts& wanted,
                                                             std::uint32_t count) {
  return first_lacking(limits.resources, {}, wanted, count);
}

project_share& fair_share::of(std::string_view project) {
  const auto found = projects_.find(project);
  return found != projects_.end() ? found->second : projects_[std::string{project}];
}

const project_share* fair_share::find(std::string_view project) const {
  const auto found = projects_.find(project);
  return found != projects_.end() ? &found->second : nullptr;
}

double fair_share::usage(const project_share& project, runtime::wall_time now) {
  if (now <= project.at) {
    return project.usage;
  }
  const auto decay = std::numbers::ln2 / seconds(share_half_life);
  const auto left = std::exp(-decay * seconds(now - project.at));
  return project.usage * left + project.rate * (1 - left) / decay;
}

double fair_share::rank(const project_share& project, runtime::wall_time now) {
  return (usage(project, now) + project.rate * seconds(share_provision)) /
         static_cast<double>(std::max(project.limits.weight, 1U));
}

void fair_share::advance(project_share& project, runtime::wall_time now) {
  project.usage = usage(project, now);
  project.at = std::max(project.at, now);
}

void fair_share::granted(std::string_view project, double size, const resource_amounts& wanted,
                         runtime::wall_time now) {
  auto& one = of(project);
  advance(one, now);
  one.rate += size;
  ++one.running;
  for (const auto& [name, amount] : wanted) {
    one.taken[name] += amount;
  }
}

void fair_share::ended(std::string_view project, double size, const resource_amounts& wanted,
                       runtime::wall_time now) {
  auto& one = of(project);
  advance(one, now);
  --one.running;
  one.rate = one.running == 0 ? 0 : one.rate - size;  // no rest of rounding stays
  for (const auto& [name, amount] : wanted) {
    if (const auto at = one.taken.find(name); (at->second -= amount) == 0) {
      one.taken.erase(at);
    }
  }
}

}  // namespace millrace::actors
