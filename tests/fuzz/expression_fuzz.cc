// SPDX-License-Identifier: MIT
// Texts with expressions: each is cut and parsed or refused at an offset within it, and computes or
// fails with a code that says whose mistake it is. A fan-out over it has its instances or fails.
#include "fuzz/fuzz.h"
#include "millrace/actors/expansion.h"
#include "millrace/actors/expression.h"

using namespace millrace::actors;
using millrace::runtime::errc;

namespace {

map_scope names() {
  map_scope scope;
  scope.params["n"] = make_value(4);
  scope.params["f"] = make_value(0.5);
  scope.params["s"] = make_value("text");
  scope.params["b"] = make_value(true);
  scope.params["l"] = make_value(value::list{make_value("a"), make_value(1)});
  scope.params["m"] = make_value(value::map{{"k", make_value("v")}});
  scope.params["z"] = value{};
  scope.item_value = make_value("item");
  scope.matrix_values["os"] = make_value("a");
  scope.outputs["t"]["o"] = make_value("[1, \"x\", {\"a\": 1}]");
  scope.statuses["t"] = "succeeded";
  scope.run_values["id"] = make_value("r");
  scope.all_succeeded = true;
  scope.one_failed = false;
  return scope;
}

template <class Result>
void check_failure(const Result& made) {
  MILLRACE_ASSERT(made || made.error().code() == errc::invalid_argument ||
                  made.error().code() == errc::failed_precondition ||
                  made.error().code() == errc::too_large);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto scope = names();
  const auto text = millrace::testing::text_of(data, size);
  const auto bare = parse_expression(text);
  MILLRACE_ASSERT(bare.parsed || bare.failure.offset <= text.size());
  if (bare.parsed) {
    check_failure(evaluate(*bare.parsed, scope));
  }
  for (const auto& failure : parse_template(text).failures) {
    MILLRACE_ASSERT(failure.offset <= text.size() && !failure.text.empty());
  }
  check_failure(fill(text, scope));
  check_failure(fill_value(text, scope));
  check_failure(decide(text, scope));
  task_definition task;
  task.for_each = fan_values{std::string{text}};
  check_failure(expand(task, scope));
  return 0;
}
