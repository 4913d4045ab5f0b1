// SPDX-License-Identifier: MIT
// Tokens: who may see them, who may make them, and that nobody gives more than they have.
#include <algorithm>

#include "access/guard.h"
#include "access/token.h"
#include "api/api.h"
#include "api/list_page.h"
#include "api/respond.h"
#include "millrace/access.capnp.actor.h"
#include "millrace/actors/duration_text.h"
#include "millrace/actors/name_rule.h"
#include "millrace/runtime/idempotency_key.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using schemas::access_interface;

namespace {

constexpr unsigned grants_max = 32;
constexpr runtime::duration expiry_min = std::chrono::seconds{1};

// Who has no tokens to make is not asked for one either.
bool is_without_tokens(const request& received, reply& answer) {
  if (received.by != nullptr) {
    return false;
  }
  answer.fail({errc::failed_precondition,
               "this server asks for no tokens, so there are none; start it with --root-token FILE "
               "to have it do so"});
  return true;
}

// Whether all that the token may do is for that one to give.
bool is_over(const principal& who, capnp::List<schemas::AccessGrant>::Reader grants) {
  for (auto each : grants) {
    if (who.role_in(each.getProject().cStr()) < role::ADMIN) {
      return false;
    }
  }
  return true;
}

result<void> check(const principal& who, schemas::NewToken::Reader wanted) {
  const auto grants = wanted.getGrants();
  if (auto named = actors::check_name("token", wanted.getName().cStr(), actors::name_rule::thing);
      !named) {
    return named;
  }
  if (grants.size() == 0) {
    return error{errc::invalid_argument,
                 "a token needs grants, such as [{\"project\": \"default\", \"role\": \"run\"}]"};
  }
  if (grants.size() > grants_max) {
    return error{errc::invalid_argument, "a token has at most " + std::to_string(grants_max) +
                                             " grants; '*' is all projects"};
  }
  for (unsigned at = 0; at < grants.size(); ++at) {
    const std::string_view project{grants[at].getProject().cStr()};
    if (project == metrics_alone && grants[at].getRole() != role::READ) {
      return error{errc::invalid_argument, "the grant for '/metrics' has the role read"};
    }
    if (project != all_projects && project != metrics_alone) {
      if (auto named = actors::check_name("project", project, actors::name_rule::thing); !named) {
        return named;
      }
    }
    if (grants[at].getRole() == role::NONE) {
      return error{errc::invalid_argument, "the grant for project '" + std::string{project} +
                                               "' needs a role: read, run or admin"};
    }
    for (unsigned before = 0; before < at; ++before) {
      if (project == grants[before].getProject().cStr()) {
        return error{errc::invalid_argument,
                     "project '" + std::string{project} + "' is given two roles"};
      }
    }
  }
  if (!is_over(who, grants)) {
    return error{errc::permission_denied,
                 "the token '" + who.name + "' is not 'admin' of all that this one would be for"};
  }
  return {};
}

// When it ends. It may not outlive who makes it.
result<runtime::wall_time> expiry_of(schemas::NewToken::Reader wanted, const principal& who,
                                     runtime::wall_time now) {
  const std::string_view text{wanted.getExpiresIn().cStr()};
  auto ends = runtime::wall_time::max();
  if (!text.empty()) {
    const auto parsed = actors::parse_duration(text);
    if (!parsed.length || *parsed.length < expiry_min) {
      return error{errc::invalid_argument,
                   "/expires_in: expected a duration of 1s or more, such as "
                   "'90d'; it is '" +
                       actors::shown_name(text) + "'"};
    }
    ends = now + *parsed.length;
  }
  if (ends > who.expires_at) {
    return error{errc::permission_denied,
                 "/expires_in: it may not outlive the token '" + who.name + "', which ends in " +
                     actors::format_duration(std::max(runtime::duration{}, who.expires_at - now))};
  }
  return ends;
}

// What is being made, until it is known whether it is.
struct made_token {
  runtime::message<schemas::AccessToken> stored;
  std::string text;
  std::string key;  // of the request; empty: it has none
};

http::response told_of(const made_token& made) {
  const std::string name{made.stored.read().getName().cStr()};
  auto told = answer_of(201, {{"id", name}, {"token", made.text}});
  told.headers.add("Cache-Control", "no-store");
  told.headers.add("Location", "/api/v1/tokens/" + name);
  return told;
}

// Whether both were asked for alike; when does not count.
bool is_same(schemas::AccessToken::Reader one, schemas::AccessToken::Reader other) {
  const auto lasts = [](schemas::AccessToken::Reader each) {
    return each.getExpiresAt() == 0 ? 0 : each.getExpiresAt() - each.getCreatedAt();
  };
  const auto grants = one.getGrants();
  const auto others = other.getGrants();
  auto same = one.getName() == other.getName() && lasts(one) == lasts(other) &&
              grants.size() == others.size();
  for (unsigned at = 0; same && at < grants.size(); ++at) {
    same = grants[at].getProject() == others[at].getProject() &&
           grants[at].getRole() == others[at].getRole();
  }
  return same;
}

// The request has come before, or another one has its key or its name: by its digest it is found
// which. `why`: what was answered to this one.
void answer_again(const api_parts& parts, const std::shared_ptr<reply>& answer,
                  const std::shared_ptr<made_token>& made, const error& why) {
  parts.silo.call_then<access_interface::tokens_results>(
      ref<schemas::Access>(access_key).tokens(no_tokens_known, 0),
      [answer, made, why](result<access_interface::tokens_results> told) {
        if (!told) {
          answer->fail(told.error());
          return;
        }
        const auto wanted = made->stored.read();
        for (auto each : told->tokens()) {
          if (each.getDigest() != wanted.getDigest()) {
            continue;
          }
          if (is_same(each, wanted)) {
            answer->send(told_of(*made));
          } else {
            answer->fail(runtime::other_request(made->key));
          }
          return;
        }
        answer->fail(why.text().starts_with("there is a token")
                         ? why
                         : error{errc::conflict,
                                 "what was made with this Idempotency-Key was revoked, or has "
                                 "expired; use a new key"});
      });
}

void create(const api_parts& parts, request& received, reply answer) {
  if (is_without_tokens(received, answer)) {
    return;
  }
  auto body = runtime::from_json(capnp::Schema::from<schemas::NewToken>(), received.body);
  if (!body) {
    answer.fail(body.error());
    return;
  }
  const runtime::message<schemas::NewToken> wanted{*std::move(body)};
  const auto now = parts.silo.time().wall();
  const auto expires = expiry_of(wanted.read(), *received.by, now);
  if (const auto fits = check(*received.by, wanted.read()); !fits || !expires) {
    answer.fail(fits ? expires.error() : fits.error());
    return;
  }
  const auto made = std::make_shared<made_token>();
  made->key = key_of(received);
  const auto own = token_in(received);  // it is good by now
  made->text = made->key.empty() ? make_token() : make_token(*own, "token", made->key);
  const auto digest = digest_of(made->text);
  auto stored = made->stored.build();
  stored.setName(wanted.read().getName());
  stored.setGrants(wanted.read().getGrants());
  stored.setCreatedAt(now.time_since_epoch().count());
  stored.setExpiresAt(*expires == runtime::wall_time::max() ? 0
                                                            : expires->time_since_epoch().count());
  stored.setCreatedBy(received.by->name.c_str());
  stored.setDigest({reinterpret_cast<const kj::byte*>(digest.data()), digest.size()});
  // Of its own for each sender, and no way to the token.
  const auto remembered = made->key.empty() ? std::string{} : make_token(*own, "key", made->key);
  const auto shared = std::make_shared<reply>(std::move(answer));
  access_interface::add_params params;
  params.build().setToken(made->stored.read());
  parts.silo.call_then<void>(
      ref<schemas::Access>(access_key).add(std::move(params)).keyed(remembered),
      [&parts, shared, made](result<void> done) {
        if (done) {
          shared->send(told_of(*made));
        } else if (const auto& why = done.error();
                   made->key.empty() &&
                   runtime::retry_of(why.code()) == runtime::retry_class::unknown) {
          shared->fail({why.code(),
                        "the token may be there, and nobody has it: revoke it, and make "
                        "it again: " +
                            why.text()});
        } else if (!made->key.empty() && why.code() == errc::conflict) {
          answer_again(parts, shared, made, why);
        } else {
          shared->fail(why);
        }
      });
}

void list(const api_parts& parts, request& received, reply answer) {
  if (is_without_tokens(received, answer)) {
    return;
  }
  const auto wanted = page_in(received, page_rows_max);
  if (!wanted) {
    answer.fail(wanted.error());
    return;
  }
  call_and_answer(
      parts.silo, ref<schemas::Access>(access_key).tokens(no_tokens_known, 0), std::move(answer),
      [who = received.by, page = *wanted](const access_interface::tokens_results& told) {
        placed_rows rows;
        for (auto each : told.tokens()) {
          if (is_over(*who, each.getGrants())) {
            auto row = nlohmann::ordered_json::parse(runtime::to_json_text(each));
            row.erase("digest");
            rows.emplace_back(each.getName().cStr(), std::move(row));
          }
        }
        std::string next;
        auto shown = rows_of_page(std::move(rows), page, next);
        return answer_of_page({{"tokens", std::move(shown)}}, page, next);
      });
}

json_shape tokens_shape() {
  return shape::object(
      {{"tokens", shape::list(shape::named(
                      "Token", shape::without(shape::of<schemas::AccessToken>(), {"digest"})))},
       {"next_cursor", next_cursor_shape()}});
}

// Another's token is as one that there is not.
void revoke(const api_parts& parts, request& received, reply answer) {
  if (is_without_tokens(received, answer)) {
    return;
  }
  const auto shared = std::make_shared<reply>(std::move(answer));
  parts.silo.call_then<access_interface::tokens_results>(
      ref<schemas::Access>(access_key).tokens(no_tokens_known, 0),
      [&parts, shared, who = received.by,
       name = std::string{received.param("name")}](result<access_interface::tokens_results> told) {
        if (!told) {
          shared->fail(told.error());
          return;
        }
        for (auto each : told->tokens()) {
          if (each.getName() == name.c_str() && is_over(*who, each.getGrants())) {
            call_and_answer(parts.silo,
                            ref<schemas::Access>(access_key).revoke(name, each.getDigest()),
                            std::move(*shared), [] { return http::empty(); });
            return;
          }
        }
        shared->fail({errc::not_found, "there is no token '" + actors::shown_name(name) + "'"});
      });
}

}  // namespace

void add_token_routes(api_routes& routes) {
  routes.add(method::get, "/api/v1/tokens", somewhere(role::ADMIN),
             {.id = "list_tokens",
              .tag = "tokens",
              .summary = "The tokens that one may revoke, by name",
              .query = page_keys("The most of them; 0: 1,000."),
              .answers = {{.status = 200,
                           .text = "Without their texts.",
                           .body = json_media(tokens_shape()),
                           .headers = {next_link}}},
              .problems = {409}},
             list);
  routes.add(method::post, "/api/v1/tokens", somewhere(role::ADMIN),
             {.id = "make_token",
              .tag = "tokens",
              .summary = "Makes a token",
              .text = "It may do no more than the one that makes it, and for no longer.",
              .headers = {idempotency_key},
              .body = {.any_of = {json_read_as<schemas::NewToken>()}, .is_needed = true},
              .answers = {{.status = 201,
                           .text = "Its text, which is told this once.",
                           .body = json_media(
                               shape::object({{"id", shape::text()}, {"token", shape::text()}})),
                           .headers = {location}}},
              .problems = {409}},
             create);
  routes.add(method::del, "/api/v1/tokens/{name}", somewhere(role::ADMIN),
             {.id = "revoke_token",
              .tag = "tokens",
              .summary = "Revokes a token",
              .answers = {{.status = 204, .text = "It is nobody's from now on."}},
              .problems = {404, 409}},
             revoke);
}

}  // namespace millrace::gateway
