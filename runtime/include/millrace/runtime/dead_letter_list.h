// SPDX-License-Identifier: MIT
// Dead letters of one silo, page by page.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/silo.h"

namespace millrace::runtime {

/// A dead letter, and where it lies in the list.
struct placed_dead_letter {
  dead_letter letter;  ///< What was given up.
  std::string place;   ///< The cursor of what comes behind it.
};

/// At most `limit` of the letters that `silo::dead_letters` lists, in its order; with a `cursor`
/// those behind the one whose `place` it is, whether that is still there or not. Blocks for the
/// disk. Errors: as there; `invalid_argument` for a cursor that is none.
[[nodiscard]] result<std::vector<placed_dead_letter>> dead_letters_behind(silo& of,
                                                                          std::string_view cursor,
                                                                          std::size_t limit);

}  // namespace millrace::runtime
