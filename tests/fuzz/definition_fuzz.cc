// SPDX-License-Identifier: MIT
// Text to definition: whatever arrives is refused with places, or loads as a whole definition that
// its canonical form gives back; parameters bind to it or are refused. A zero byte ends the
// definition; what follows is the JSON of parameters.
#include <algorithm>
#include <string>

#include "fuzz/fuzz.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/params.h"

using namespace millrace::actors;

namespace {

void check_mistakes(const std::vector<diagnostic>& mistakes, std::string_view text) {
  for (const auto& each : mistakes) {
    MILLRACE_ASSERT(each.line > 0 && each.column > 0 && !each.text.empty());
    MILLRACE_ASSERT(each.text.find('\n') == std::string::npos);
    MILLRACE_ASSERT(render(each, text).ends_with('\n'));
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto whole = millrace::testing::text_of(data, size);
  const auto text = whole.substr(0, whole.find('\0'));
  const auto given = whole.substr(std::min(whole.size(), text.size() + 1));
  const auto loaded = load_definition(text, "");
  MILLRACE_ASSERT(loaded.definition.has_value() == loaded.diagnostics.empty());
  check_mistakes(loaded.diagnostics, text);
  if (!loaded) {
    return 0;
  }
  const auto& made = *loaded.definition;
  const auto again = from_json(to_json(made));
  MILLRACE_ASSERT(again.has_value() && *again == made);
  MILLRACE_ASSERT(graph_of(made).order.size() == made.tasks.size());
  if (const auto bound = bind_params_json(made, given)) {
    const auto same = bind_params_json(made, to_json(bound));
    MILLRACE_ASSERT(same && same.values == bound.values);
    MILLRACE_ASSERT(environment_of(bound).size() <= made.params.size());
  }
  return 0;
}
