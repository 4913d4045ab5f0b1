// SPDX-License-Identifier: MIT
#include "millrace/actors/resources.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "millrace/actors/name_rule.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr std::uint64_t cpu_unit = 1'000;  // thousandths

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

// The largest first. Kubernetes' words: powers of 1024, and of 1000.
constexpr std::array binary_units{unit{"Ti", 1ULL << 40U}, unit{"Gi", 1ULL << 30U},
                                  unit{"Mi", 1ULL << 20U}, unit{"Ki", 1ULL << 10U}};
constexpr std::array decimal_units{unit{"T", 1'000'000'000'000}, unit{"G", 1'000'000'000},
                                   unit{"M", 1'000'000}, unit{"k", 1'000}};

std::string_view form_of(std::string_view resource) {
  return resource == "cpu"      ? "write processors like `2`, `0.5` or `500m`"
         : resource == "memory" ? "write a size like `512Mi` or `2G`"
                                : "write a whole number from 1";
}

error bad(std::string_view resource, std::string_view text) {
  return {errc::invalid_argument, "`" + shown_name(text) + "` is no amount of `" +
                                      std::string{resource} +
                                      "`: " + std::string{form_of(resource)}};
}

// A decimal number times `factor`.
std::optional<std::uint64_t> scaled(std::string_view text, std::uint64_t factor) {
  const auto point = text.find('.');
  const auto digits = text.substr(0, point);
  std::uint64_t whole = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), whole);
  if (digits.empty() || failed != std::errc{} || end != digits.data() + digits.size() ||
      whole > resource_amount_max / factor) {
    return std::nullopt;
  }
  auto total = whole * factor;
  if (point != std::string_view::npos) {
    constexpr std::size_t digits_max = 6;  // times the largest factor they fit 64 bits
    const auto rest = text.substr(point + 1);
    std::uint64_t part = 0;
    const auto [rest_end, bad] = std::from_chars(rest.data(), rest.data() + rest.size(), part);
    if (rest.empty() || rest.size() > digits_max || bad != std::errc{} ||
        rest_end != rest.data() + rest.size()) {
      return std::nullopt;
    }
    std::uint64_t places = 1;
    for (std::size_t at = 0; at < rest.size(); ++at) {
      places *= 10;
    }
    if (part * factor % places != 0 && factor <= cpu_unit) {
      return std::nullopt;  // of a size the rest of a byte is dropped
    }
    total += part * factor / places;
  }
  return total <= resource_amount_max ? std::optional{total} : std::nullopt;
}

std::optional<std::uint64_t> amount_in(std::string_view resource, std::string_view text) {
  if (resource == "cpu") {
    return text.ends_with('m') ? scaled(text.substr(0, text.size() - 1), 1)
                               : scaled(text, cpu_unit);
  }
  if (resource == "memory") {
    for (const auto& units : {binary_units, decimal_units}) {
      for (const auto& each : units) {
        if (text.ends_with(each.name)) {
          return scaled(text.substr(0, text.size() - each.name.size()), each.factor);
        }
      }
    }
  }
  return scaled(text, 1);
}

}  // namespace

result<std::uint64_t> parse_amount(std::string_view resource, std::string_view text) {
  const auto amount = amount_in(resource, text);
  return amount.value_or(0) > 0 ? result<std::uint64_t>{*amount} : bad(resource, text);
}

std::string format_amount(std::string_view resource, std::uint64_t amount) {
  if (resource == "cpu") {
    return amount % cpu_unit == 0 ? std::to_string(amount / cpu_unit)
                                  : std::to_string(amount) + "m";
  }
  auto shortest = std::to_string(amount);
  for (const auto& units : {binary_units, decimal_units}) {
    for (const auto& each : units) {
      if (resource == "memory" && amount % each.factor == 0) {
        auto text = std::to_string(amount / each.factor) + std::string{each.name};
        shortest = text.size() < shortest.size() ? std::move(text) : shortest;
      }
    }
  }
  return shortest;
}

std::string short_amount(std::string_view resource, std::uint64_t amount) {
  auto exact = format_amount(resource, amount);
  constexpr std::size_t short_columns = 6;
  if (resource != "memory" || exact.size() <= short_columns) {
    return exact;
  }
  const auto unit = std::find_if(binary_units.begin(), binary_units.end() - 1,
                                 [&](const auto& each) { return amount >= each.factor; });
  const auto tenths = static_cast<std::uint64_t>(
      std::llround(10 * static_cast<double>(amount) / static_cast<double>(unit->factor)));
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + std::string{unit->name};
}

std::string describe_amount(std::string_view resource, std::uint64_t amount) {
  return format_amount(resource, amount) + " " + std::string{resource};
}

result<resource_amounts> parse_resources(std::string_view text) {
  resource_amounts made;
  while (!text.empty()) {
    const auto end = text.find(',');
    const auto one = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    const auto equals = one.find('=');
    const auto name = one.substr(0, equals);
    if (equals == std::string_view::npos || (text.empty() && end != std::string_view::npos)) {
      return error{errc::invalid_argument, "`" + shown_name(one) +
                                               "` is no resource: write `NAME=AMOUNT`, such as "
                                               "`gpu=2,memory=8Gi`"};
    }
    if (auto named = check_name("resource", name, name_rule::field); !named) {
      return std::move(named).error();
    }
    const auto amount = amount_in(name, one.substr(equals + 1));
    if (!amount) {
      return bad(name, one.substr(equals + 1));
    }
    if (!made.emplace(name, *amount).second) {
      return error{errc::invalid_argument, "the resource `" + std::string{name} + "` comes twice"};
    }
  }
  if (made.size() > resources_max) {
    return error{errc::invalid_argument,
                 "an executor offers at most " + std::to_string(resources_max) + " resources"};
  }
  return made;
}

std::uint64_t amount_of(const resource_amounts& all, std::string_view resource) {
  const auto found = all.find(resource);
  return found != all.end() ? found->second : 0;
}

std::uint64_t left_of(const resource_amounts& all, const resource_amounts& taken,
                      std::string_view resource) {
  const auto whole = amount_of(all, resource);
  return whole - std::min(whole, amount_of(taken, resource));
}

}  // namespace millrace::actors
