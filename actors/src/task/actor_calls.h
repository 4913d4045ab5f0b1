// SPDX-License-Identifier: MIT
// Actor calls: which actors the tasks of this silo may call, and how.
//
// Actors know no projects: who may apply a definition anywhere may call all of a type that can be
// called. So whoever runs the silo says which types these are, and those that pipelines are made
// of, and what a schema keeps for other actors, are never among them.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/pipeline.capnp.h"
#include "millrace/runtime/call.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// Threading: any.
class actor_calls {
public:
  using type_list = std::vector<const runtime::interface_info*>;

  /// `types`: those of the silo. `callable`: as of `pipeline_host_options`.
  actor_calls(std::function<type_list()> types, std::set<std::string, std::less<>> callable)
      : types_(std::move(types)), callable_(std::move(callable)) {}

  /// The call, without its time and its idempotency key.
  /// Errors: `unimplemented` for a type or method that is not there, `permission_denied` for one
  /// that may not be called, `invalid_argument` for a key or for parameters that do not fit. The
  /// text names the place in the definition, and what is near.
  [[nodiscard]] runtime::result<runtime::call_spec> prepare(
      schemas::ActorCall::Reader wanted) const;

private:
  [[nodiscard]] bool may_call(std::string_view type) const;

  std::function<type_list()> types_;
  std::set<std::string, std::less<>> callable_;
};

}  // namespace millrace::actors
