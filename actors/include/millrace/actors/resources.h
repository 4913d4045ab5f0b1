// SPDX-License-Identifier: MIT
// Resources: what an attempt takes of its executor besides a slot, and what an executor offers.
//
// Names are free. Two have a unit: `cpu`, in processors, of which thousandths count, as `2`, `0.5`
// or `500m`; and `memory`, in bytes, as `512Mi` or `2G`. All others are whole numbers. They are
// counted, not enforced: a command may use more than it has asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "millrace/runtime/result.h"

namespace millrace::actors {

/// The most resources of a task, and of an executor.
inline constexpr std::size_t resources_max = 16;

/// The most of one resource: 8 EiB of memory.
inline constexpr std::uint64_t resource_amount_max = (std::uint64_t{1} << 63U) - 1;

/// By name (name_rule::field); `cpu` in thousandths, `memory` in bytes, others as they are. What is
/// not there is 0.
using resource_amounts = std::map<std::string, std::uint64_t, std::less<>>;

/// Errors: `invalid_argument` for what is none, 0 included, with the form that is wanted.
[[nodiscard]] runtime::result<std::uint64_t> parse_amount(std::string_view resource,
                                                          std::string_view text);

/// The shortest exact text: `2`, `500m`, `512Mi`. The same text comes back as the same amount.
[[nodiscard]] std::string format_amount(std::string_view resource, std::uint64_t amount);

/// That, or of memory a tenth of a unit where all digits would be long: `1.5Gi`.
[[nodiscard]] std::string short_amount(std::string_view resource, std::uint64_t amount);

/// `2 cpu`, `512Mi memory`, for a person.
[[nodiscard]] std::string describe_amount(std::string_view resource, std::uint64_t amount);

/// Reads `gpu=2,licence=3`; empty for none. An amount may be 0 here.
/// Errors: `invalid_argument` for what is none, a name that is none or comes twice, or too many.
[[nodiscard]] runtime::result<resource_amounts> parse_resources(std::string_view text);

/// The amount of one resource; 0 if it is not there.
[[nodiscard]] std::uint64_t amount_of(const resource_amounts& all, std::string_view resource);

/// The same of what is not taken; 0 too where more is taken than there is.
[[nodiscard]] std::uint64_t left_of(const resource_amounts& all, const resource_amounts& taken,
                                    std::string_view resource);

}  // namespace millrace::actors
