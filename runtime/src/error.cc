// SPDX-License-Identifier: MIT
#include "millrace/runtime/error.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "activation/running_turn.h"
#include "millrace/runtime/assert.h"
#include "millrace/runtime/last_words.h"

namespace millrace::runtime {
namespace {

struct row {
  errc code;
  std::string_view name;
  retry_class retry;
};

constexpr std::array rows{
    row{errc::not_found, "not_found", retry_class::never},
    row{errc::invalid_argument, "invalid_argument", retry_class::never},
    row{errc::conflict, "conflict", retry_class::never},
    row{errc::failed_precondition, "failed_precondition", retry_class::never},
    row{errc::call_cycle, "call_cycle", retry_class::never},
    row{errc::deadline_exceeded, "deadline_exceeded", retry_class::unknown},
    row{errc::overloaded, "overloaded", retry_class::safe},
    row{errc::unavailable, "unavailable", retry_class::safe},
    row{errc::not_primary, "not_primary", retry_class::safe},
    row{errc::outcome_unknown, "outcome_unknown", retry_class::unknown},
    row{errc::fenced, "fenced", retry_class::safe},
    row{errc::not_enough_replicas, "not_enough_replicas", retry_class::safe},
    row{errc::storage_failed, "storage_failed", retry_class::unknown},
    row{errc::permission_denied, "permission_denied", retry_class::never},
    row{errc::unauthenticated, "unauthenticated", retry_class::never},
    row{errc::internal, "internal", retry_class::unknown},
    row{errc::cancelled, "cancelled", retry_class::never},
    row{errc::unimplemented, "unimplemented", retry_class::never},
    row{errc::out_of_space, "out_of_space", retry_class::safe},
    row{errc::too_large, "too_large", retry_class::never},
};
static_assert(static_cast<std::size_t>(rows.back().code) < error_codes_max);

}  // namespace

std::string_view to_string(errc code) noexcept {
  for (const auto& each : rows) {
    if (each.code == code) {
      return each.name;
    }
  }
  return "internal";
}

errc errc_from_string(std::string_view name) noexcept {
  for (const auto& each : rows) {
    if (each.name == name) {
      return each.code;
    }
  }
  return errc::internal;
}

retry_class retry_of(errc code) noexcept {
  for (const auto& each : rows) {
    if (each.code == code) {
      return each.retry;
    }
  }
  return retry_class::unknown;
}

std::string error::to_string() const {
  std::string line{runtime::to_string(code_)};
  line += ": ";
  line += text_;
  return line;
}

void assertion_failed(const char* expression, const char* file, int line) noexcept {
  detail::stop_for_mistake(std::string{"assertion failed: "} + expression + " at " + file + ":" +
                           std::to_string(line));
}

namespace detail {

void stop_for_mistake(const std::string& what) noexcept {
  auto where = running_turn();
  if (where.empty()) {
    where = caught_code::running();
  }
  say_last_words();
  std::fprintf(stderr, "millrace: %s%s%s\n", what.c_str(), where.empty() ? "" : " in ",
               where.c_str());
  std::abort();
}

// In a turn it harms the activation only: what is thrown ends it, see activation::finish. So it
// harms one call only in offloaded work and in what takes an answer.
void read_failed_result(const error& why) {
  const auto what = "the value of a failed result was read, which is " + why.to_string();
  if (running_turn().empty() && caught_code::running().empty()) {
    stop_for_mistake(what);
  }
  throw std::logic_error{what};
}

}  // namespace detail

}  // namespace millrace::runtime
