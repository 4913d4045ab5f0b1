// SPDX-License-Identifier: MIT
#include "millrace/actors/name.h"

#include "definition/reader.h"

namespace millrace::actors {

bool is_name(std::string_view text) {
  return fits(text, name_rule::thing);
}

std::string_view name_rule_in_words() {
  return words_of(name_rule::thing);
}

}  // namespace millrace::actors
