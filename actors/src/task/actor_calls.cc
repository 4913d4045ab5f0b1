// SPDX-License-Identifier: MIT
#include "task/actor_calls.h"

#include <algorithm>
#include <array>

#include "millrace/access.capnp.actor.h"
#include "millrace/actors/suggestion.h"
#include "millrace/audit.capnp.actor.h"
#include "millrace/cache.capnp.actor.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/json.h"
#include "millrace/schedule.capnp.actor.h"
#include "millrace/secrets.capnp.actor.h"
#include "millrace/silo_control.capnp.actor.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr std::size_t actor_key_bytes_max = 255;

bool is_of_pipelines(std::string_view type) {
  const std::array names{
      schemas::access_interface::info().type,       schemas::audit_interface::info().type,
      schemas::executor_interface::info().type,     schemas::pipeline_interface::info().type,
      schemas::pool_interface::info().type,         schemas::project_interface::info().type,
      schemas::result_cache_interface::info().type, schemas::run_interface::info().type,
      schemas::schedule_interface::info().type,     schemas::secrets_interface::info().type,
      schemas::silo_control_interface::info().type, schemas::task_interface::info().type};
  return std::find(names.begin(), names.end(), type) != names.end();
}

std::string did_you_mean(std::string_view best) {
  return best.empty() ? std::string{} : "; did you mean '" + std::string{best} + "'?";
}

}  // namespace

bool actor_calls::may_call(std::string_view type) const {
  return !is_of_pipelines(type) && callable_.contains(type);
}

result<runtime::call_spec> actor_calls::prepare(schemas::ActorCall::Reader wanted) const {
  const auto name = text_of(wanted.getType());
  const auto types = types_();
  const auto type = std::find_if(types.begin(), types.end(),
                                 [&](const auto* each) { return each->type == name; });
  if (type == types.end()) {
    suggestion near{name};
    for (const auto* each : types) {
      if (may_call(each->type)) {
        near.consider(each->type);
      }
    }
    return error{errc::unimplemented, "actor: this silo has no actors of type '" + name + "'" +
                                          did_you_mean(near.best())};
  }
  if (!may_call(name)) {
    return error{errc::permission_denied,
                 "actor: tasks may not call actors of type '" + name + "'" +
                     (is_of_pipelines(name) ? "" : "; its program names what they may call")};
  }
  const auto method = text_of(wanted.getMethod());
  const auto* found = (*type)->find(method);
  if (found == nullptr || found->internal) {
    suggestion near{method};
    for (const auto& each : (*type)->methods) {
      if (!each.internal) {
        near.consider(each.name);
      }
    }
    return error{found == nullptr ? errc::unimplemented : errc::permission_denied,
                 found == nullptr ? "method: actors of type '" + name + "' have no '" + method +
                                        "'" + did_you_mean(near.best())
                                  : "method: '" + name + "." + method + "' is for other actors"};
  }
  const auto bytes = wanted.getKey().size();
  if (bytes == 0 || bytes > actor_key_bytes_max) {
    return error{errc::invalid_argument, "actor: a key has 1 to " +
                                             std::to_string(actor_key_bytes_max) +
                                             " bytes, and this one has " + std::to_string(bytes)};
  }
  auto params = runtime::from_json(found->params(), text_of(wanted.getParams()));
  if (!params) {
    return error{params.error().code(), "params: " + params.error().text()};
  }
  runtime::call_spec spec;
  spec.interface = *type;
  spec.key = text_of(wanted.getKey());
  spec.method = found->ordinal;
  spec.params = *std::move(params);
  spec.timeout = std::chrono::milliseconds{found->timeout_ms};
  return spec;
}

}  // namespace millrace::actors
