// SPDX-License-Identifier: MIT
// Secrets of projects: stored sealed, listed by name, never shown.
#include "api/api.h"
#include "api/if_match.h"
#include "api/respond.h"
#include "millrace/actors/name_rule.h"
#include "millrace/actors/secret_value.h"
#include "millrace/runtime/rfc3339.h"
#include "millrace/secrets.capnp.actor.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using schemas::secrets_interface;

namespace {

struct secret_path {
  std::string project;
  std::string name;
};

result<secret_path> path_in(const request& received) {
  auto project = name_in(received.param("project"), "project");
  if (!project) {
    return std::move(project).error();
  }
  const auto name = received.param("name");
  if (auto fits = actors::check_name("secret", name, actors::name_rule::field); !fits) {
    return std::move(fits).error();
  }
  return secret_path{*std::move(project), std::string{name}};
}

// The tag of a secret is when it was set, as its list has it.
std::int64_t time_in(std::string_view tag) {
  return runtime::from_rfc3339(tag).value_or(0);
}

auto etag_of(const std::string& name) {
  return [name](const secrets_interface::names_results& told) {
    std::string tag;
    for (const auto each : told.read().getSecrets()) {
      if (each.getName() == name.c_str()) {
        tag += '"';
        runtime::append_rfc3339(tag, each.getUpdatedAt());
        tag += '"';
      }
    }
    return tag;
  };
}

// What is wrong with the value, or with a text that is no JSON, is not quoted: it may be a secret.
result<std::string> value_in(const request& received) {
  auto body = runtime::from_json(capnp::Schema::from<schemas::NewSecret>(), received.body);
  if (!body && body.error().text().starts_with("/") && !body.error().text().starts_with("/value")) {
    return body.error();
  }
  if (!body) {
    return error{errc::invalid_argument,
                 "the body must be JSON like {\"value\": \"...\"}, a text without NUL"};
  }
  const runtime::message<schemas::NewSecret> wanted{*std::move(body)};
  std::string value{wanted.read().getValue().cStr(), wanted.read().getValue().size()};
  if (const auto fits = actors::check_secret_value(value); !fits) {
    return error{errc::invalid_argument, "/value: " + fits.error().text()};
  }
  return value;
}

void put(const api_parts& parts, request& received, reply answer) {
  const auto path = path_in(received);
  const auto match = if_match_in(received, time_in);
  if (!path || !match) {
    answer.fail(path ? match.error() : path.error());
    return;
  }
  if (parts.keyring == nullptr) {
    answer.fail({errc::failed_precondition,
                 "this server has no key to seal secrets with; start it, and the silos, with "
                 "--secrets-key FILE, which `millrace secret key` makes"});
    return;
  }
  const auto value = value_in(received);
  if (!value) {
    answer.fail(value.error());
    return;
  }
  const auto sealed = parts.keyring->seal(*value, {path->project, path->name});
  secrets_interface::put_params params;
  auto secret = params.build().initSecret();
  secret.setName(path->name.c_str());
  secret.setSealed({reinterpret_cast<const kj::byte*>(sealed.data()), sealed.size()});
  secret.setUpdatedBy(name_of_sender(received).c_str());
  params.build().setIfUpdatedAt(match->number);
  params.build().setIfThere(match->any);
  const auto secrets = ref<schemas::Secrets>(path->project);
  call_if_match(
      parts.silo, *match, secrets.put(std::move(params)), std::move(answer),
      [](const secrets_interface::put_results& told) {
        return http::empty(told.created() ? 201 : 204);
      },
      [secrets] { return secrets.names(); }, etag_of(path->name));
}

void list(const api_parts& parts, request& received, reply answer) {
  const auto project = name_in(received.param("project"), "project");
  if (!project) {
    answer.fail(project.error());
    return;
  }
  call_and_answer(parts.silo, ref<schemas::Secrets>(*project).names(), std::move(answer),
                  [](const secrets_interface::names_results& told) {
                    auto rows = nlohmann::ordered_json::array();
                    for (auto each : told.read().getSecrets()) {
                      auto row = nlohmann::ordered_json::parse(runtime::to_json_text(each));
                      row.erase("sealed");
                      rows.push_back(std::move(row));
                    }
                    return answer_of(200, {{"secrets", std::move(rows)}});
                  });
}

void erase(const api_parts& parts, request& received, reply answer) {
  const auto path = path_in(received);
  const auto match = if_match_in(received, time_in);
  if (!path || !match) {
    answer.fail(path ? match.error() : path.error());
    return;
  }
  const auto secrets = ref<schemas::Secrets>(path->project);
  call_if_match(
      parts.silo, *match, secrets.erase(path->name, match->number), std::move(answer),
      [] { return http::empty(); }, [secrets] { return secrets.names(); }, etag_of(path->name));
}

json_shape secrets_shape() {
  return shape::object({{"secrets", shape::list(shape::named(
                                        "Secret", shape::without(shape::of<schemas::SealedSecret>(),
                                                                 {"sealed"})))}});
}

}  // namespace

void add_secret_routes(api_routes& routes) {
  const std::string all = "/api/v1/projects/{project}/secrets";
  const std::string one = all + "/{name}";
  routes.add(method::get, all, in_project(role::READ),
             {.id = "list_secrets",
              .tag = "secrets",
              .summary = "The secrets of a project, by name",
              .answers = {{.status = 200,
                           .text = "All of them, without their values, which are never shown.",
                           .body = json_media(secrets_shape())}}},
             list);
  routes.add(method::put, one, in_project(role::ADMIN),
             {.id = "set_secret",
              .tag = "secrets",
              .summary = "Stores a secret, in place of the one of that name",
              .text = "It is sealed before it is stored. Tasks that start from now on get it.",
              .headers = {{"If-Match", "Its `updated_at`, as the list has it; `*`: there is one."}},
              .body = {.any_of = {json_read_as<schemas::NewSecret>()}, .is_needed = true},
              .answers = {{.status = 201, .text = "It is new."},
                          {.status = 204, .text = "It is in place of what was there."}},
              .problems = {409}},
             put);
  routes.add(method::del, one, in_project(role::ADMIN),
             {.id = "delete_secret",
              .tag = "secrets",
              .summary = "Deletes a secret",
              .headers = {{"If-Match", "Its `updated_at`, as the list has it."}},
              .answers = {{.status = 204, .text = "Tasks that need it do not start any more."}},
              .problems = {404}},
             erase);
}

}  // namespace millrace::gateway
