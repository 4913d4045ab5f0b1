// SPDX-License-Identifier: MIT
#include "access/guard.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "http/address_group.h"
#include "http/problem.h"
#include "millrace/access.capnp.actor.h"
#include "millrace/actors/callback.h"
#include "millrace/actors/webhook.h"
#include "millrace/audit.capnp.actor.h"
#include "millrace/cache.capnp.actor.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/schedule.capnp.actor.h"
#include "millrace/secrets.capnp.actor.h"
#include "millrace/silo_control.capnp.actor.h"

namespace millrace::gateway {

using runtime::errc;
using runtime::error;
using runtime::result;
using schemas::run_interface;

namespace {

constexpr std::string_view scheme = "Bearer ";
constexpr runtime::duration retry_after = std::chrono::seconds{1};

error too_little(const principal& who, role has, role least, std::string_view project) {
  const auto where = project.empty()            ? std::string{"a project"}
                     : project == all_projects  ? std::string{"all projects"}
                     : project == metrics_alone ? std::string{"all projects, or for '/metrics',"}
                                                : "project '" + std::string{project} + "'";
  return {errc::permission_denied,
          "this needs the role '" + std::string{to_string(least)} + "' in " + where +
              "; the token '" + who.name + "' has " +
              (has == role::NONE ? "none there" : "'" + std::string{to_string(has)} + "'")};
}

// Where a role is wanted, unless that is a run, whose project is not known yet.
std::string project_of(const http::request& received, access needed) {
  switch (needed.where) {
    case access::place::path:
    case access::place::webhook:
      return std::string{received.param("project")};
    case access::place::query:
      return std::string{received.query("project").value_or("default")};
    case access::place::somewhere:
      return {};
    case access::place::metrics:
      return std::string{metrics_alone};
    default:
      return std::string{all_projects};
  }
}

bool is_signed(const http::request& received) {
  return received.headers.find(signature_field).has_value();
}

// Before the router has looked: /api/v1/projects/{project}/pipelines/{name}/webhooks/{webhook}.
bool is_for_webhook(const http::request& received) {
  return received.method == http::method::post && received.segment_count() == 8 &&
         received.segment(0) == "api" && received.segment(1) == "v1" &&
         received.segment(2) == "projects" && received.segment(4) == "pipelines" &&
         received.segment(6) == "webhooks";
}

// /api/v1/callbacks/{token}
bool is_for_callback(const http::request& received) {
  return received.method == http::method::post && received.segment_count() == 4 &&
         received.segment(0) == "api" && received.segment(1) == "v1" &&
         received.segment(2) == "callbacks";
}

std::string too_many(std::string who, std::uint64_t most) {
  return who.append(" makes more than ")
      .append(std::to_string(most))
      .append(" requests a second, which is the most here");
}

http::response refused_body(int status, errc code, const char* why) {
  return http::problem_response(
      {.status = status, .cause = {code, why}, .instance = {}, .errors = {}});
}

}  // namespace

result<std::string_view> token_in(const http::request& received) {
  const auto field = received.headers.find("Authorization");
  if (!field || received.headers.count("Authorization") > 1) {
    return error{errc::unauthenticated,
                 field ? "Authorization is given twice"
                       : "a token is needed: send it as Authorization: Bearer TOKEN"};
  }
  if (field->size() <= scheme.size() || !http::same_name(field->substr(0, scheme.size()), scheme)) {
    return error{errc::unauthenticated,
                 "only one scheme is understood: Authorization: Bearer TOKEN"};
  }
  auto token = field->substr(scheme.size());
  token.remove_prefix(std::min(token.find_first_not_of(' '), token.size()));
  return token;
}

bool is_of_pipelines(std::string_view type) {
  const auto names = {
      schemas::project_interface::info().type,     schemas::pipeline_interface::info().type,
      schemas::run_interface::info().type,         schemas::task_interface::info().type,
      schemas::pool_interface::info().type,        schemas::executor_interface::info().type,
      schemas::result_cache_interface::info().type};
  return std::find(names.begin(), names.end(), type) != names.end();
}

bool is_internal(const runtime::silo& here, std::string_view type) {
  const auto names = {
      schemas::access_interface::info().type,   schemas::audit_interface::info().type,
      schemas::secrets_interface::info().type,  schemas::schedule_interface::info().type,
      schemas::executor_interface::info().type, schemas::silo_control_interface::info().type};
  if (std::find(names.begin(), names.end(), type) != names.end()) {
    return true;
  }
  const auto* known = here.find_type(type);
  return known != nullptr && !known->methods.empty() &&
         std::all_of(known->methods.begin(), known->methods.end(),
                     [](const auto& each) { return each.internal; });
}

std::shared_ptr<void> stranger_count::enter(const std::string& from) {
  const std::lock_guard lock{mutex_};
  auto& some = from_[from];
  if (all_ >= strangers_max || some >= strangers_of_address_max) {
    if (some == 0) {
      from_.erase(from);
    }
    return nullptr;
  }
  ++all_;
  ++some;
  return {static_cast<void*>(this),
          [held = shared_from_this(), from](void*) { held->leave(from); }};
}

void stranger_count::leave(const std::string& from) {
  const std::lock_guard lock{mutex_};
  --all_;
  if (--from_[from] == 0) {
    from_.erase(from);
  }
}

guard::guard(runtime::silo& here, const token_list* tokens, request_rates rates)
    : here_(here),
      tokens_(tokens),
      rates_(rates),
      requests_(runtime::duration{std::chrono::seconds{1}} / std::max(rates.a_second, 1U),
                std::max(rates.a_second, request_rates::requests_burst_min)),
      of_addresses_(runtime::duration{std::chrono::seconds{1}} /
                        (std::max(rates.a_second, 1U) * request_rates::address_share),
                    std::max(rates.a_second, request_rates::requests_burst_min) *
                        request_rates::address_share),
      wrong_tokens_(std::chrono::seconds{1}, rates.wrong_tokens) {}

void guard::admit(http::request& received, http::reply answer, access needed,
                  const http::handler& then) {
  if (needed.where == access::place::probe) {
    then(received, std::move(answer));
    return;
  }
  if (needed.where == access::place::nowhere) {
    if (const auto too_often = count_anybody(received)) {
      answer.fail(*too_often, received.target());
    } else {
      then(received, std::move(answer));
    }
    return;
  }
  const auto has_other = needed.where == access::place::path_token ||
                         (needed.where == access::place::webhook && is_signed(received));
  auto objection = has_other ? let_in(received) : know_sender(received);
  if (!objection) {
    objection = count_request(received);
  }
  if (objection) {
    answer.fail(*objection, received.target());
    return;
  }
  if (tokens_ == nullptr || has_other) {
    then(received, std::move(answer));
    return;
  }
  const auto lack = check_role(received, needed);
  if (!lack) {
    then(received, std::move(answer));
  } else if (needed.where == access::place::run) {
    admit_to_run(received, std::move(answer), needed, then);
  } else {
    answer.fail(*lack, received.target());
  }
}

// What the role of who asks is too little for; the project of a run is not looked at.
std::optional<error> guard::check_role(const http::request& received, access needed) const {
  if (needed.where == access::place::actor && is_of_pipelines(received.param("type"))) {
    needed.least = role::ADMIN;
  }
  if (needed.where == access::place::actor_state && is_internal(here_, received.param("type"))) {
    needed.least = role::ADMIN;
  }
  const auto& by = *received.by;
  const auto project = project_of(received, needed);
  const auto has =
      needed.where == access::place::somewhere ? by.role_somewhere() : by.role_in(project);
  return has < needed.least ? std::optional{too_little(by, has, needed.least, project)}
                            : std::nullopt;
}

std::optional<http::response> guard::refuse_body(http::request& received, const access* needed,
                                                 std::optional<http::response> unrouted) {
  const auto has_other =
      (is_for_webhook(received) && is_signed(received)) || is_for_callback(received);
  if (tokens_ != nullptr && has_other) {
    return refuse_strange_body(received);
  }
  if (const auto objection = know_sender(received)) {
    return http::problem_response(*objection, received.target());
  }
  auto refusal = std::move(unrouted);
  if (!refusal && tokens_ != nullptr && needed != nullptr &&
      needed->where != access::place::probe && needed->where != access::place::nowhere) {
    auto least = *needed;
    if (least.where == access::place::run) {
      least.where = access::place::somewhere;
    }
    if (const auto lack = check_role(received, least)) {
      refusal = http::problem_response(*lack, received.target());
    }
  }
  if (refusal) {
    if (const auto too_often = count_request(received)) {
      refusal = http::problem_response(*too_often, received.target());
    }
  }
  return refusal;
}

std::optional<http::response> guard::refuse_strange_body(http::request& received) {
  const auto text = received.headers.find("Content-Length").value_or("");
  std::uint64_t length = 0;
  const auto [after, failure] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (text.empty() || failure != std::errc{} || after != text.data() + text.size()) {
    return refused_body(411, errc::invalid_argument,
                        "without a token only what has a Content-Length is read");
  }
  if (length > (is_for_callback(received) ? actors::callback_body_bytes_max
                                          : actors::webhook_body_bytes_max)) {
    return refused_body(
        413, errc::too_large,
        is_for_callback(received) ? "at most 512 KiB is read here" : "at most 1 MiB is read here");
  }
  const auto objection = let_in(received);
  return objection ? std::optional{http::problem_response(*objection, received.target())}
                   : std::nullopt;
}

// A small body has come with its header, and nobody has asked for it.
std::optional<error> guard::let_in(http::request& received) {
  if (tokens_ == nullptr || received.stranger != nullptr) {
    return std::nullopt;
  }
  received.stranger = strangers_->enter(http::address_group(received.from));
  return received.stranger != nullptr
             ? std::nullopt
             : std::optional{slow_down("many requests without a token are in hand", retry_after)};
}

// Nothing when who asks is known, or need not be.
std::optional<error> guard::know_sender(http::request& received) {
  if (tokens_ == nullptr) {
    return std::nullopt;
  }
  const auto token = token_in(received);
  if (!token) {
    return count_wrong_token(received, token.error());
  }
  received.by = tokens_->find(*token);
  if (received.by != nullptr) {
    return std::nullopt;
  }
  if (!tokens_->is_known()) {
    return error{errc::unavailable, "the tokens are not known here yet; try again",
                 std::chrono::ceil<std::chrono::milliseconds>(retry_after)};
  }
  return count_wrong_token(
      received,
      {errc::unauthenticated, "the token is nobody's: it is wrong, was revoked or has expired"});
}

// What anybody may ask for counts as a request of a token, or as one without a good one.
std::optional<error> guard::count_anybody(http::request& received) {
  if (tokens_ != nullptr) {
    const auto token = token_in(received);
    received.by = token ? tokens_->find(*token) : nullptr;
    if (received.by == nullptr) {
      const auto from = http::address_group(received.from);
      const auto wait = take_wrong_token(from);
      return wait ? std::optional{slow_down(
                        "many requests without a good token have come from " + from, *wait)}
                  : std::nullopt;
    }
  }
  return count_request(received);
}

// Nothing while they do not come too often.
std::optional<error> guard::count_request(const http::request& received) {
  if (rates_.a_second == 0) {
    return std::nullopt;
  }
  const auto from = http::address_group(received.from);
  const auto& by = received.by;
  const auto who = by != nullptr ? "the token '" + by->name + "'" : from;
  const auto now = here_.time().steady();
  const std::lock_guard lock{mutex_};
  if (const auto wait = requests_.take(who, now)) {  // a token's name is not like an address
    return slow_down(too_many(who, rates_.a_second), *wait);
  }
  if (by != nullptr) {
    if (const auto wait = of_addresses_.take(from, now)) {
      return slow_down(
          too_many(from, std::uint64_t{rates_.a_second} * request_rates::address_share), *wait);
    }
  }
  return std::nullopt;
}

std::optional<runtime::duration> guard::take_wrong_token(const std::string& from) {
  const std::lock_guard lock{mutex_};
  return wrong_tokens_.take(from, here_.time().steady());
}

error guard::count_wrong_token(const http::request& received, const error& why) {
  const auto from = http::address_group(received.from);
  const auto wait = take_wrong_token(from);
  return wait ? slow_down("many requests without a good token have come from " + from, *wait) : why;
}

error guard::slow_down(const std::string& why, runtime::duration wait) {
  limited_.fetch_add(1, std::memory_order_relaxed);
  return {errc::overloaded, why, std::chrono::ceil<std::chrono::milliseconds>(wait)};
}

void guard::admit_to_run(http::request& received, http::reply answer, access needed,
                         const http::handler& then) const {
  const auto held = received.detach();
  const auto shared = std::make_shared<http::reply>(std::move(answer));
  const std::string run{held->param("id")};
  here_.call_then<run_interface::status_results>(
      runtime::ref<schemas::Run>(run).status(),
      [held, shared, needed, then, run](result<run_interface::status_results> told) {
        if (!told) {
          shared->fail(told.error());
          return;
        }
        const std::string project{told->read().getRun().getProject().cStr()};
        const auto has = held->by->role_in(project);
        if (has == role::NONE) {
          shared->fail({errc::not_found, "there is no run '" + run + "'"});
        } else if (has < needed.least) {
          shared->fail(too_little(*held->by, has, needed.least, project), held->target());
        } else {
          then(*held, std::move(*shared));
        }
      });
}

}  // namespace millrace::gateway
