// SPDX-License-Identifier: MIT
// Router rules: what both halves of the router go by.
#pragma once

#include <string>
#include <string_view>

#include "activation/activation.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime::detail {

// Of a call that another silo says has not begun there: the map was out of date, or is.
inline constexpr unsigned redirects_max = 3;

[[nodiscard]] inline error elsewhere(std::string_view type, std::string_view key,
                                     std::string_view host, std::string_view self) {
  return {errc::not_primary, std::string{type} + "/" + std::string{key} + " lives on silo '" +
                                 std::string{host} + "', not on '" + std::string{self} + "'"};
}

[[nodiscard]] inline bool is_named_only(const interface_info& interface) noexcept {
  return interface.methods.empty();
}

[[nodiscard]] inline bool only_reads(const envelope& call) noexcept {
  return !is_named_only(*call.interface) &&
         call.interface->methods[call.method].admission == method_admission::read_only;
}

// Who was to be told of it is no more, and has been followed by one that sends it again.
[[nodiscard]] inline bool is_of_ended(const envelope& one) noexcept {
  return one.send && one.caller != nullptr && one.caller->ended();
}

}  // namespace millrace::runtime::detail
