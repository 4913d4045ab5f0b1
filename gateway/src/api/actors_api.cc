// SPDX-License-Identifier: MIT
// Any method of any actor type that its schema does not keep for other actors.
#include <mutex>
#include <optional>

#include "api/api.h"
#include "api/respond.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using nlohmann::ordered_json;
using runtime::errc;

namespace {

// The names of the methods that anyone may call.
std::vector<std::string_view> open_methods(const runtime::interface_info& type) {
  std::vector<std::string_view> names;
  for (const auto& each : type.methods) {
    if (!each.internal) {
      names.push_back(each.name);
    }
  }
  return names;
}

// A call, and a client that may leave before it has begun: a thread each.
class running_call {
public:
  void begin(runtime::call_handle handle) {
    const std::lock_guard lock{mutex_};
    is_wanted_ ? static_cast<void>(handle_ = std::move(handle)) : handle.cancel();
  }
  void cancel() {
    const std::lock_guard lock{mutex_};
    is_wanted_ = false;
    if (handle_) {
      handle_->cancel();
    }
  }

private:
  std::mutex mutex_;
  bool is_wanted_ = true;
  std::optional<runtime::call_handle> handle_;
};

void types(const api_parts& parts, request&, reply answer) {
  auto rows = ordered_json::array();
  for (const auto* type : parts.silo.types()) {
    if (auto names = open_methods(*type); !names.empty()) {
      rows.push_back({{"id", type->type}, {"methods", std::move(names)}});
    }
  }
  answer.send(answer_of(200, {{"types", std::move(rows)}}));
}

void call(const api_parts& parts, request& received, reply answer) {
  const auto name = received.param("type");
  const auto* type = parts.silo.find_type(name);
  if (type == nullptr) {
    answer.fail({errc::not_found, "there is no actor type '" + std::string{name} +
                                      "'; GET /api/v1/actors lists them"});
    return;
  }
  const auto* found = type->find(received.param("method"));
  if (found == nullptr) {
    std::string known;
    for (const auto each : open_methods(*type)) {
      known += (known.empty() ? "" : ", ") + std::string{each};
    }
    answer.fail({errc::not_found, "actor type '" + std::string{name} + "' has no method '" +
                                      std::string{received.param("method")} +
                                      "'; it has: " + known});
    return;
  }
  if (found->internal) {
    answer.fail({errc::permission_denied, "'" + std::string{name} + "." + std::string{found->name} +
                                              "' is for other actors only"});
    return;
  }
  auto params = runtime::from_json(found->params(), received.body);
  if (!params) {
    answer.fail(params.error());
    return;
  }
  runtime::call_spec spec;
  spec.interface = type;
  spec.key = received.param("key");
  spec.method = found->ordinal;
  spec.params = *std::move(params);
  if (const auto key = received.headers.find("Idempotency-Key")) {
    spec.idempotency_key = *key;
  }
  spec.context = trace_of(received);
  // A caller that leaves cancels its call, unless its key says that it may come back for the
  // answer.
  const auto running = std::make_shared<running_call>();
  if (spec.idempotency_key.empty()) {
    answer.on_gone([running] { running->cancel(); });
  }
  auto shared = std::make_shared<reply>(std::move(answer));
  running->begin(parts.silo.start_call(
      std::move(spec), [shared, found](runtime::result<runtime::any_message> results) {
        if (!results) {
          shared->fail(results.error());
          return;
        }
        std::string text;
        runtime::to_json(found->results(), *results, text);
        shared->send(http::json(200, std::move(text)));  // of a type that only its silo knows
      }));
}

}  // namespace

void add_actor_routes(http::router& routes, const api_parts& parts) {
  add_route(routes, parts, method::get, "/api/v1/actors", types);
  add_route(routes, parts, method::post, "/api/v1/actors/{type}/{key}/{method}", call);
}

}  // namespace millrace::gateway
