// SPDX-License-Identifier: MIT
#include "api/openapi.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>

#include "api/respond.h"
#include "millrace/runtime/assert.h"
#include "version.h"

namespace millrace::gateway {

using nlohmann::ordered_json;

namespace {

constexpr std::string_view about =
    "Names are snake_case, times RFC 3339 in UTC. An error is a problem document (RFC 9457), whose "
    "`code` says what went wrong. A query key that a route does not know is an error. A server "
    "that was started with a root token wants `Authorization: Bearer TOKEN` wherever an operation "
    "says that it needs a role; one that was not asks nobody. GET may be HEAD.";

// A status of a problem document, and what it says here.
struct problem_kind {
  int status;
  std::string_view text;
};
constexpr problem_kind problem_kinds[] = {
    {400, "The request is malformed; `detail` says where, and what to do."},
    {401, "A token or a signature is needed, and there is none or it is nobody's."},
    {403, "The token's role is not enough, or another site's page has sent this."},
    {404, "The thing named does not exist."},
    {409, "It contradicts the present state of the thing, or is not possible in it."},
    {411, "Its body is read only where `Content-Length` says how long it is."},
    {412,
     "The condition in `If-Match` or `If-None-Match` does not hold; `ETag` has what there is, if "
     "that "
     "has one."},
    {413, "The body, or a value in it, is over its limit."},
    {415, "The body has a `Content-Encoding`; send it without."},
    {422,
     "The definition has mistakes; `errors` has all of them with their places. Or the "
     "`Idempotency-Key` came with another request before."},
    {429, "Too much at a time; nothing was done. Come back after `Retry-After` seconds."},
    {500, "A bug, or a failing disk; whether it had an effect is not known."},
    {501, "This server does not know the actor type or the method."},
    {503, "Not now; nothing was done. Come back after `Retry-After` seconds."},
    {504, "No answer in time; whether it had an effect is not known."},
    {507, "The disk is full."},
    {508, "The chain of calls came back to an actor that waits for it."},
};

// `NotFound`, from the reason phrase.
std::string name_of(int status) {
  std::string name{http::reason_of(status)};
  std::erase(name, ' ');
  return name;
}

ordered_json headers_of(const std::vector<header_key>& keys) {
  auto made = ordered_json::object();
  for (const auto& each : keys) {
    made[std::string{each.name}] = {{"description", each.text},
                                    {"required", each.is_always_there},
                                    {"schema", {{"type", "string"}}}};
  }
  return made;
}

ordered_json problem_of(const problem_kind& kind) {
  ordered_json made{{"description", kind.text}};
  if (kind.status == 429 || kind.status == 503) {
    made["headers"] = headers_of({{"Retry-After", "Whole seconds, at least 1."}});
  } else if (kind.status == 401) {
    made["headers"] = headers_of({{"WWW-Authenticate", "`Bearer`."}});
  }
  made["content"][std::string{http::problem_content_type}]["schema"] = problem_shape().schema;
  return made;
}

// `each` for every `{name}` of the pattern, with the segment before it.
template <class Each>
void for_parameters(std::string_view pattern, Each each) {
  for (auto open = pattern.find('{'); open != std::string_view::npos;
       open = pattern.find('{', open + 1)) {
    const auto begin = pattern.rfind('/', open - 2) + 1;
    each(pattern.substr(begin, open - 1 - begin),
         pattern.substr(open + 1, pattern.find('}', open) - open - 1));
  }
}

// What a parameter of a path is. One name may be of several things, told apart by the segment
// before it.
struct path_parameter {
  std::string_view before;  // empty: whatever that is
  std::string_view name;
  std::string_view text;
};
constexpr path_parameter path_parameters[] = {
    {"projects", "project", "Name of a project; of what has none, `default`."},
    {"pipelines", "name", "Name of a pipeline in the project."},
    {"callbacks", "token", "The token that `tasks.NAME.callback` has, which names run and task."},
    {"webhooks", "webhook", "Name of a webhook of the pipeline, as its definition has it."},
    {"schedules", "schedule", "Name of a schedule of the pipeline, as its definition has it."},
    {"backfills", "backfill", "Number of a backfill of the pipeline, as its list tells."},
    {"runs", "id", "Id of a run, a UUID."},
    {"tasks", "name", "Name of a task of the run; of an instance with its number, `build[3]`."},
    {"artifacts", "artifact", "Name of an artifact of the task, as its definition has it."},
    {"outputs", "output", "Name of an output of the task, as its list tells."},
    {"secrets", "name", "Name of a secret of the project."},
    {"tokens", "name", "Name of a token: the `id` that it was made with."},
    {"silos", "name", "Name of a silo of the cluster."},
    {"partitions", "id", "Number of a partition."},
    {"actors", "type", "Name of an actor type, as `GET /api/v1/actors` lists them."},
    {"dead-letters", "type", "Name of the sender's actor type."},
    {"", "key", "Key of an actor, percent-encoded where it has slashes: `default%2Fnightly`."},
    {"", "method", "Name of one of the type's open methods, in snake_case."},
    {"", "number", "Number of the dead letter among its sender's."},
};

std::string_view text_of_parameter(std::string_view before, std::string_view name) {
  const auto* found = std::find_if(
      std::begin(path_parameters), std::end(path_parameters), [&](const path_parameter& each) {
        return each.name == name && (each.before.empty() || each.before == before);
      });
  MILLRACE_ASSERT(found != std::end(path_parameters));  // say there what it is
  return found->text;
}

std::string needs(const access& what) {
  const auto role = "Needs the role `" + std::string{to_string(what.least)} + "` ";
  switch (what.where) {
    case access::place::probe:
    case access::place::nowhere:
      return "Needs no token.";
    case access::place::somewhere:
      return role + "in any project.";
    case access::place::path:
      return role + "in the project.";
    case access::place::webhook:
      return role + "in the project, or the signature that the webhook asks for.";
    case access::place::path_token:
      return "Needs no token but the one in its path.";
    case access::place::query:
      return role + "in the project that the query names, else in `default`.";
    case access::place::run:
      return role + "in the project of the run.";
    case access::place::everywhere:
      return role + "in all projects.";
    case access::place::metrics:
      return role + "in all projects, or for `/metrics`.";
    case access::place::actor_state:
      return role + "in all projects; `admin` for types that are for other actors only.";
    case access::place::actor:
      break;
  }
  return role + "in all projects; `admin` for the types that pipelines are made of.";
}

bool needs_token(const access& what) {
  return what.where != access::place::probe && what.where != access::place::nowhere &&
         what.where != access::place::path_token;
}

class document_writer {
public:
  void add(const api_routes::row& row) {
    const auto& what = row.about;
    MILLRACE_ASSERT(!what.summary.empty() && !what.tag.empty() && !what.answers.empty());
    const auto is_new = ids_.insert(what.id).second;
    MILLRACE_ASSERT(is_new);
    if (std::find(tags_.begin(), tags_.end(), what.tag) == tags_.end()) {
      tags_.push_back(what.tag);
    }
    ordered_json made{{"operationId", what.id},
                      {"tags", {what.tag}},
                      {"summary", what.summary},
                      {"description",
                       (what.text.empty() ? "" : std::string{what.text} + " ") + needs(row.needed)},
                      {"security", ordered_json::array()}};
    if (needs_token(row.needed)) {
      made["security"].push_back({{"token", {to_string(row.needed.least)}}});
    }
    if (row.needed.where == access::place::webhook) {
      made["security"].push_back({{"signature", ordered_json::array()}});
    }
    if (auto parameters = parameters_of(row); !parameters.empty()) {
      made["parameters"] = std::move(parameters);
    }
    if (!what.body.any_of.empty()) {
      made["requestBody"] = {{"required", what.body.is_needed}, {"content", content_of(what.body)}};
    }
    made["responses"] = answers_of(row);
    auto verb = std::string{http::to_string(row.verb)};
    std::transform(verb.begin(), verb.end(), verb.begin(),
                   [](char each) { return static_cast<char>(each - 'A' + 'a'); });
    paths_[row.pattern][verb] = std::move(made);
  }

  ordered_json document() {
    take(problem_shape());
    auto tags = ordered_json::array();
    for (const auto each : tags_) {
      tags.push_back({{"name", each}});
    }
    auto problems = ordered_json::object();
    for (const auto& each : problem_kinds) {
      problems[name_of(each.status)] = problem_of(each);
    }
    return {
        {"openapi", "3.1.0"},
        {"info",
         {{"title", "millrace"},
          {"version", version_text},
          {"description", about},
          {"license", {{"name", "MIT"}, {"identifier", "MIT"}}}}},
        {"servers", {{{"url", "/"}}}},
        {"tags", std::move(tags)},
        {"paths", paths_},
        {"components",
         {{"schemas", shapes_},
          {"responses", std::move(problems)},
          {"securitySchemes",
           {{"token", {{"type", "http"}, {"scheme", "bearer"}}},
            {"signature", {{"type", "apiKey"}, {"in", "header"}, {"name", signature_field}}}}}}}};
  }

private:
  // Its schema, once those that it refers to are in the document.
  const ordered_json& take(const json_shape& shape) {
    for (const auto& [name, each] : shape.named) {
      const auto [there, is_new] = shapes_.emplace(name, each);
      MILLRACE_ASSERT(is_new || there->second == each);
    }
    return shape.schema;
  }

  ordered_json parameters_of(const api_routes::row& row) {
    auto made = ordered_json::array();
    for_parameters(row.pattern, [&made](std::string_view before, std::string_view name) {
      made.push_back({{"name", name},
                      {"in", "path"},
                      {"required", true},
                      {"description", text_of_parameter(before, name)},
                      {"schema", {{"type", "string"}, {"minLength", 1}}}});
    });
    for (const auto& each : row.about.query) {
      made.push_back({{"name", each.name},
                      {"in", "query"},
                      {"description", each.text},
                      {"schema", take(each.shape)}});
    }
    for (const auto& each : row.about.headers) {
      made.push_back({{"name", each.name},
                      {"in", "header"},
                      {"description", each.text},
                      {"schema", {{"type", "string"}}}});
    }
    return made;
  }

  ordered_json content_of(const media& body) {
    ordered_json made{{"schema", take(body.shape)}};
    for (const auto& [name, shape] : body.events) {
      made["x-millrace-events"][std::string{name}] = take(shape);
    }
    return made;
  }
  ordered_json content_of(const request_body& body) {
    auto made = ordered_json::object();
    for (const auto& each : body.any_of) {
      made[std::string{each.type}] = content_of(each);
    }
    return made;
  }

  ordered_json answers_of(const api_routes::row& row) {
    std::map<int, ordered_json> by_status;
    for (const auto status : problems_of(row)) {
      by_status[status] = {{"$ref", "#/components/responses/" + name_of(status)}};
    }
    for (const auto& each : row.about.answers) {
      ordered_json made{{"description", each.text}};
      if (!each.headers.empty()) {
        made["headers"] = headers_of(each.headers);
      }
      if (!each.body.type.empty()) {
        made["content"][std::string{each.body.type}] = content_of(each.body);
      }
      by_status[each.status] = std::move(made);
    }
    auto made = ordered_json::object();
    for (auto& [status, each] : by_status) {
      made[std::to_string(status)] = std::move(each);
    }
    return made;
  }

  // Its own, and those of `api_routes` and the guard.
  static std::set<int> problems_of(const api_routes::row& row) {
    const auto& what = row.about;
    std::set<int> all{what.problems.begin(), what.problems.end()};
    if (needs_token(row.needed)) {
      all.insert({401, 403, 503});
    }
    if (row.needed.where == access::place::nowhere) {
      all.insert(429);
    }
    if (row.has_checked_query) {
      all.insert({400, 429, 500, 503, 504});
    }
    if (row.verb != http::method::get) {
      all.insert({412, 507});
    }
    if (std::any_of(what.headers.begin(), what.headers.end(), [](const header_key& each) {
          return each.name == idempotency_key.name && each.text == idempotency_key.text;
        })) {
      all.insert(422);
    }
    if (!what.body.any_of.empty()) {
      all.insert({413, 415});
    }
    return all;
  }

  std::set<std::string> ids_;
  std::vector<std::string_view> tags_;
  ordered_json paths_ = ordered_json::object();
  std::map<std::string, ordered_json> shapes_;
};

}  // namespace

ordered_json openapi_of(const std::vector<api_routes::row>& rows) {
  document_writer writer;
  for (const auto& each : rows) {
    writer.add(each);
  }
  return writer.document();
}

void add_openapi_route(api_routes& routes, const std::vector<api_routes::row>& more) {
  const auto text = std::make_shared<std::string>();
  routes.add(http::method::get, "/openapi.json", for_anybody,
             {.id = "get_openapi",
              .tag = "system",
              .summary = "This document",
              .answers = {{.status = 200,
                           .text = "OpenAPI 3.1.",
                           .body = json_media(shape::map(shape::any()))}}},
             [text](http::request&, http::reply reply) { reply.send(http::json(200, text)); });
  auto rows = routes.rows();
  rows.insert(rows.end(), more.begin(), more.end());
  *text = openapi_of(rows).dump();
}

}  // namespace millrace::gateway
