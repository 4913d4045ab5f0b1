// SPDX-License-Identifier: MIT
// Who may do what: every route by every kind of token, and what projects see of each other.
#include <chrono>
#include <functional>
#include <map>
#include <string>

#include "gateway/api/served_node.h"
#include "gateway/http/wire.h"

namespace millrace::gateway {
namespace {

using place = access::place;

const std::string root = "root-of-all-tokens-for-these-tests-0123456789";

http::header_list shown(const std::string& token) {
  return {{"Authorization", "Bearer " + token}};
}

// What each route is to want. One that is not here fails the test: say what it wants.
const std::map<std::string, access> wanted{
    {"GET /api/v1/projects/{project}/pipelines", {place::path, role::READ}},
    {"PUT /api/v1/projects/{project}/pipelines/{name}", {place::path, role::ADMIN}},
    {"GET /api/v1/projects/{project}/pipelines/{name}", {place::path, role::READ}},
    {"DELETE /api/v1/projects/{project}/pipelines/{name}", {place::path, role::ADMIN}},
    {"POST /api/v1/projects/{project}/pipelines/{name}/runs", {place::path, role::RUN}},
    {"POST /api/v1/projects/{project}/pipelines/{name}/runs:batch", {place::path, role::RUN}},
    {"POST /api/v1/projects/{project}/pipelines/{name}/webhooks/{webhook}",
     {place::webhook, role::RUN}},
    {"GET /api/v1/projects/{project}/pipelines/{name}/activity", {place::path, role::READ}},
    {"POST /api/v1/projects/{project}/pipelines/{name}/pause", {place::path, role::RUN}},
    {"POST /api/v1/projects/{project}/pipelines/{name}/resume", {place::path, role::RUN}},
    {"POST /api/v1/projects/{project}/pipelines/{name}/rollback", {place::path, role::ADMIN}},
    {"GET /api/v1/projects/{project}/pipelines/{name}/runs", {place::path, role::READ}},
    {"GET /api/v1/projects/{project}/pipelines/{name}/schedules", {place::path, role::READ}},
    {"GET /api/v1/projects/{project}/pipelines/{name}/schedules/{schedule}",
     {place::path, role::READ}},
    {"POST /api/v1/projects/{project}/pipelines/{name}/schedules/{schedule}/pause",
     {place::path, role::RUN}},
    {"POST /api/v1/projects/{project}/pipelines/{name}/schedules/{schedule}/resume",
     {place::path, role::RUN}},
    {"POST /api/v1/projects/{project}/pipelines/{name}/schedules/{schedule}/trigger",
     {place::path, role::RUN}},
    {"POST /api/v1/projects/{project}/pipelines/{name}/schedules/{schedule}/backfill",
     {place::path, role::RUN}},
    {"GET /api/v1/projects/{project}/pipelines/{name}/backfills", {place::path, role::READ}},
    {"GET /api/v1/projects/{project}/pipelines/{name}/backfills/{backfill}",
     {place::path, role::READ}},
    {"POST /api/v1/projects/{project}/pipelines/{name}/backfills/{backfill}/cancel",
     {place::path, role::RUN}},
    {"POST /api/v1/projects/{project}/pipelines/{name}/schedules:pause", {place::path, role::RUN}},
    {"POST /api/v1/projects/{project}/pipelines/{name}/schedules:resume", {place::path, role::RUN}},
    {"GET /api/v1/projects/{project}/schedules", {place::path, role::READ}},
    {"GET /api/v1/projects/{project}/pipelines/{name}/cache", {place::path, role::READ}},
    {"DELETE /api/v1/projects/{project}/pipelines/{name}/cache", {place::path, role::RUN}},
    {"POST /api/v1/validate", {place::somewhere, role::READ}},
    {"GET /api/v1/runs", {place::query, role::READ}},
    {"GET /api/v1/runs/{id}", {place::run, role::READ}},
    {"DELETE /api/v1/runs/{id}", {place::run, role::ADMIN}},
    {"GET /api/v1/runs/{id}/tasks", {place::run, role::READ}},
    {"GET /api/v1/runs/{id}/tasks/{name}", {place::run, role::READ}},
    {"GET /api/v1/runs/{id}/tasks/{name}/logs", {place::run, role::READ}},
    {"GET /api/v1/runs/{id}/logs", {place::run, role::READ}},
    {"GET /api/v1/runs/{id}/artifacts", {place::run, role::READ}},
    {"GET /api/v1/runs/{id}/tasks/{name}/artifacts/{artifact}", {place::run, role::READ}},
    {"GET /api/v1/runs/{id}/tasks/{name}/artifacts/{artifact}/content", {place::run, role::READ}},
    {"GET /api/v1/runs/{id}/tasks/{name}/outputs/{output}", {place::run, role::READ}},
    {"GET /api/v1/runs/{id}/events", {place::run, role::READ}},
    {"POST /api/v1/runs/{id}/cancel", {place::run, role::RUN}},
    {"POST /api/v1/runs/{id}/pause", {place::run, role::RUN}},
    {"POST /api/v1/runs/{id}/resume", {place::run, role::RUN}},
    {"POST /api/v1/runs/{id}/rerun", {place::run, role::RUN}},
    {"POST /api/v1/runs/{id}/retry", {place::run, role::RUN}},
    {"POST /api/v1/runs/{id}/tasks/{name}/approve", {place::run, role::RUN}},
    {"POST /api/v1/runs/{id}/tasks/{name}/reject", {place::run, role::RUN}},
    {"POST /api/v1/callbacks/{token}", {place::path_token, role::NONE}},
    {"GET /api/v1/actors", {place::everywhere, role::READ}},
    {"POST /api/v1/actors/{type}/{key}/{method}", {place::everywhere, role::ADMIN}},  // of runs
    {"GET /api/v1/actors/{type}", {place::actor_state, role::READ}},
    {"GET /api/v1/actors/{type}/{key}/state", {place::actor_state, role::READ}},
    {"POST /api/v1/actors/{type}/{key}/deactivate", {place::everywhere, role::ADMIN}},
    {"GET /api/v1/silo", {place::everywhere, role::READ}},
    {"GET /api/v1/silos", {place::everywhere, role::READ}},
    {"GET /api/v1/partitions", {place::everywhere, role::READ}},
    {"GET /api/v1/cluster/health", {place::everywhere, role::READ}},
    {"POST /api/v1/silos/{name}/drain", {place::everywhere, role::ADMIN}},
    {"POST /api/v1/partitions/{id}/break-glass", {place::everywhere, role::ADMIN}},
    {"POST /api/v1/partitions/{id}/acknowledge-loss", {place::everywhere, role::ADMIN}},
    {"GET /api/v1/dead-letters", {place::everywhere, role::READ}},
    {"POST /api/v1/dead-letters/{type}/{key}/{number}/retry", {place::everywhere, role::ADMIN}},
    {"DELETE /api/v1/dead-letters/{type}/{key}/{number}", {place::everywhere, role::ADMIN}},
    {"GET /api/v1/backup", {place::everywhere, role::ADMIN}},
    {"GET /api/v1/tokens", {place::somewhere, role::ADMIN}},
    {"POST /api/v1/tokens", {place::somewhere, role::ADMIN}},
    {"DELETE /api/v1/tokens/{name}", {place::somewhere, role::ADMIN}},
    {"GET /api/v1/projects/{project}/settings", {place::path, role::READ}},
    {"PUT /api/v1/projects/{project}/settings", {place::everywhere, role::ADMIN}},
    {"GET /api/v1/projects/{project}/usage", {place::path, role::READ}},
    {"GET /api/v1/pool", {place::everywhere, role::READ}},
    {"GET /api/v1/projects/{project}/secrets", {place::path, role::READ}},
    {"PUT /api/v1/projects/{project}/secrets/{name}", {place::path, role::ADMIN}},
    {"DELETE /api/v1/projects/{project}/secrets/{name}", {place::path, role::ADMIN}},
    {"GET /api/v1/audit", {place::everywhere, role::ADMIN}},
    {"GET /metrics", {place::metrics, role::READ}},
    {"GET /livez", {place::probe, role::NONE}},
    {"GET /readyz", {place::probe, role::NONE}},
    {"GET /startupz", {place::probe, role::NONE}},
    {"GET /version", {place::nowhere, role::NONE}},
    {"GET /schemas/pipeline.json", {place::nowhere, role::NONE}},
    {"GET /openapi.json", {place::nowhere, role::NONE}},
};

struct holder {
  std::string project;
  role has;
  std::string token;
};

class guarded_node : public served_node {
public:
  guarded_node() : served_node{executor::own, root} {
    ask(method::put, "/api/v1/projects/p/pipelines/hello", 201, hello, shown(root));
  }

  std::string make_token(const std::string& name, const std::string& project,
                         std::string_view which) {
    const json wish{{"id", name}, {"grants", {{{"project", project}, {"role", which}}}}};
    return make_token(wish);
  }
  std::string make_token(const json& wish, const std::string& by = root) {
    const std::string text =
        ask(method::post, "/api/v1/tokens", 201, wish.dump(), shown(by))["token"];
    until([&] { return send(method::get, "/api/v1/silos", {}, shown(text)).status != 401; });
    return text;
  }
  std::string submit() {
    return ask(method::post, "/api/v1/projects/p/pipelines/hello/runs", 201, {}, shown(root))["id"];
  }
  // The path of a route, of a run of project `p`.
  std::string path_of(std::string pattern) {
    const auto put = [&](const std::string& what, const std::string& text) {
      if (const auto at = pattern.find(what); at != std::string::npos) {
        pattern.replace(at, what.size(), text);
      }
    };
    if (pattern.find("{id}") != std::string::npos) {
      put("{id}", pattern.find("/runs/") != std::string::npos ? submit() : "0");
    }
    put("{project}", "p");
    put("{type}", "run");
    put("{method}", "status");
    put("{number}", "1");
    put("{key}", "k");
    put("{name}", "hello");
    put("{schedule}", "default");
    put("{webhook}", "open");
    put("{token}", "nobodys");
    put("{backfill}", "1");
    return pattern == "/api/v1/runs" ? pattern + "?project=p" : pattern;
  }
};

bool is_for_anybody(access what) {
  return what.where == place::probe || what.where == place::nowhere ||
         what.where == place::path_token;
}

bool may(const holder& who, access what) {
  if (who.project == "/metrics") {
    return is_for_anybody(what) || what.where == place::metrics;
  }
  const bool is_there = who.project == "*" || (who.project == "p" && what.where == place::path) ||
                        (who.project == "p" && what.where == place::webhook) ||
                        (who.project == "p" && what.where == place::query) ||
                        (who.project == "p" && what.where == place::run) ||
                        what.where == place::somewhere;
  return is_for_anybody(what) || (is_there && who.has >= what.least);
}

TEST_CASE("each route is open to those whose role in its place is enough, and to nobody else") {
  guarded_node served;
  std::vector<holder> holders;
  for (const std::string project : {"p", "q", "*"}) {
    for (const auto which : {role::READ, role::RUN, role::ADMIN}) {
      const auto name = (project == "*" ? "all" : project) + "." + std::string{to_string(which)};
      holders.push_back({project, which, served.make_token(name, project, to_string(which))});
    }
  }
  holders.push_back(
      {"/metrics", role::READ, served.make_token("figures", "/metrics", to_string(role::READ))});
  CHECK(served.rows.size() == wanted.size());
  for (const auto& row : served.rows) {
    const auto route = std::string{http::to_string(row.verb)} + " " + row.pattern;
    CAPTURE(route);
    const auto found = wanted.find(route);
    REQUIRE_MESSAGE(found != wanted.end(), "a route without a row in this table");
    const auto status_for = [&](const http::header_list& headers) {
      auto path = served.path_of(row.pattern);
      if (route.starts_with("DELETE") && path.ends_with("/pipelines/hello")) {
        path += "-again";  // what the other routes need stays
      }
      return served.send(row.verb, path, {}, headers).status;
    };
    const auto unknown = status_for({});
    const auto is_open = is_for_anybody(found->second);
    CHECK((unknown == 401) == !is_open);
    CHECK(status_for(shown("mr_nobodys-token-nobodys-token-nobodys-token")) ==
          (is_open ? unknown : 401));
    for (const auto& who : holders) {
      CAPTURE(who.project);
      CAPTURE(to_string(who.has));
      const auto status = status_for(shown(who.token));
      CHECK(status != 401);
      const bool is_hidden =
          found->second.where == place::run && (who.project == "q" || who.project == "/metrics");
      if (may(who, found->second)) {
        CHECK(status != 403);
      } else {
        CHECK(status == (is_hidden ? 404 : 403));
      }
    }
  }
}

TEST_CASE("a call of an actor that is no part of pipelines needs the role run everywhere") {
  guarded_node served;
  const auto reads = served.make_token("reads", "*", "read");
  const auto runs = served.make_token("runs", "*", "run");
  const auto of_p = served.make_token("of-p", "p", "admin");
  const auto status = [&](const std::string& token) {
    return served.send(method::post, "/api/v1/actors/lamp/kitchen/light", {}, shown(token)).status;
  };
  CHECK(status(reads) == 403);
  CHECK(status(of_p) == 403);
  CHECK(status(runs) == 404);  // there is no such type here
}

// Goal: what /audit, /tokens and /secrets want `admin` for cannot be had another way.
TEST_CASE("what actors store that are for other actors only needs the role admin everywhere") {
  guarded_node served;
  const auto runs = served.make_token("runs", "*", "run");
  const auto admin = served.make_token("admin", "*", "admin");
  const auto status = [&](const std::string& target, const std::string& by) {
    return served.send(method::get, "/api/v1/actors/" + target, {}, shown(by)).status;
  };
  for (const std::string type :
       {"access", "audit", "secrets", "schedule", "executor", "silo_control"}) {
    CAPTURE(type);
    CHECK(status(type, runs) == 403);
    CHECK(status(type + "/k/state", runs) == 403);
    CHECK(status(type, admin) != 403);
    CHECK(status(type + "/k/state", admin) != 403);
  }
  CHECK(status("access/tokens/state", runs) == 403);
  CHECK(status("access/tokens/state", admin) == 200);
  CHECK(status("run", runs) == 200);
}

TEST_CASE("a token for figures alone is made by who administers all, with the role read") {
  guarded_node served;
  const auto p = served.make_token("p", "p", "admin");
  const auto status = [&](std::string_view role, const std::string& by) {
    const json wish{{"id", "x"}, {"grants", {{{"project", "/metrics"}, {"role", role}}}}};
    return served.send(method::post, "/api/v1/tokens", wish.dump(), shown(by)).status;
  };
  CHECK(status("run", root) == 400);
  CHECK(status("admin", root) == 400);
  CHECK(status("read", p) == 403);
  CHECK(status("read", root) == 201);
}

TEST_CASE("what is of another project cannot be told from what is not there") {
  guarded_node served;
  const auto run = served.submit();
  const auto q = served.make_token("q", "q", "admin");
  const auto same = [&](method verb, const std::string& there, const std::string& nowhere) {
    auto of_another = served.send(verb, there, {}, shown(q));
    auto of_none = served.send(verb, nowhere, {}, shown(q));
    CHECK(of_another.status == of_none.status);
    for (auto at = of_none.body.find(nowhere); at != std::string::npos;
         at = of_none.body.find(nowhere)) {
      of_none.body.replace(at, nowhere.size(), there);
    }
    const std::string unknown = "01900000-0000-7000-8000-000000000000";
    for (auto at = of_none.body.find(unknown); at != std::string::npos;
         at = of_none.body.find(unknown)) {
      of_none.body.replace(at, unknown.size(), run);
    }
    CHECK(of_another.body == of_none.body);
  };
  const std::string unknown = "/api/v1/runs/01900000-0000-7000-8000-000000000000";
  for (const std::string more :
       {"", "/tasks", "/tasks/say", "/tasks/say/logs", "/logs", "/events", "/artifacts",
        "/tasks/say/artifacts/out", "/tasks/say/artifacts/out/content?path=a",
        "/tasks/say/outputs/greeting"}) {
    same(method::get, "/api/v1/runs/" + run + more, unknown + more);
  }
  same(method::post, "/api/v1/runs/" + run + "/cancel", unknown + "/cancel");
  same(method::get, "/api/v1/projects/p/pipelines/hello", "/api/v1/projects/p/pipelines/nothing");
  CHECK(served.ask(method::get, "/api/v1/runs?project=q", 200, {}, shown(q))["runs"].empty());
  CHECK(served.send(method::get, "/api/v1/runs", {}, shown(q)).status == 403);  // of `default`
}

TEST_CASE("who administers a project makes tokens for it, and for nothing else") {
  guarded_node served;
  const auto p = served.make_token("p", "p", "admin");
  const auto all = served.make_token("all", "*", "run");
  const auto wish = [](const std::string& name, const std::string& project,
                       const std::string& which) {
    return json{{"id", name}, {"grants", {{{"project", project}, {"role", which}}}}};
  };
  const auto made = served.make_token(wish("made", "p", "admin"), p);
  const auto status = [&](const json& body, const std::string& by) {
    return served.send(method::post, "/api/v1/tokens", body.dump(), shown(by)).status;
  };
  CHECK(status(wish("x", "q", "read"), p) == 403);
  CHECK(status(wish("x", "*", "read"), p) == 403);
  CHECK(status(wish("x", "p", "read"), all) == 403);
  CHECK(status({{"id", "x"},
                {"grants",
                 {{{"project", "p"}, {"role", "read"}}, {{"project", "q"}, {"role", "read"}}}}},
               p) == 403);

  const auto names = [&](const std::string& by) {
    std::string told;
    const auto page = served.ask(method::get, "/api/v1/tokens", 200, {}, shown(by));
    for (const auto& each : page["tokens"]) {
      CHECK_FALSE(each.contains("digest"));
      told += each["id"].get<std::string>() + " " + each["created_by"].get<std::string>() + ";";
    }
    return told;
  };
  CHECK(names(p) == "made p;p (root);");
  CHECK(names(root) == "all (root);made p;p (root);");
  CHECK(served.send(method::del, "/api/v1/tokens/all", {}, shown(p)).status == 404);
  CHECK(served.send(method::del, "/api/v1/tokens/nothing", {}, shown(p)).status == 404);
  CHECK(served.send(method::del, "/api/v1/tokens/made", {}, shown(p)).status == 204);
  until([&] { return served.send(method::get, "/api/v1/tokens", {}, shown(made)).status == 401; });
}

TEST_CASE("tokens come in pages, and what is made or revoked meanwhile moves no other") {
  guarded_node served;
  for (const auto* name : {"a", "b", "c", "d"}) {
    served.make_token(name, "p", "read");
  }
  const auto page = [&](const std::string& target) {
    auto answer = served.send(method::get, target, {}, shown(root));
    REQUIRE(answer.status == 200);
    return answer;
  };
  const auto first = page("/api/v1/tokens?limit=2");
  const auto told = json::parse(first.body);
  REQUIRE(told["tokens"].size() == 2);
  CHECK(told["tokens"][1]["id"] == "b");
  CHECK(told["next_cursor"] == "b");
  CHECK(first.headers.find("Link") == "</api/v1/tokens?limit=2&cursor=b>; rel=\"next\"");
  CHECK(served.send(method::del, "/api/v1/tokens/b", {}, shown(root)).status == 204);
  served.make_token("aa", "p", "read");
  const auto second = page("/api/v1/tokens?limit=2&cursor=b");
  const auto rest = json::parse(second.body);
  REQUIRE(rest["tokens"].size() == 2);
  CHECK(rest["tokens"][0]["id"] == "c");
  CHECK(rest["tokens"][1]["id"] == "d");
  CHECK(rest["next_cursor"] == "");
  CHECK_FALSE(second.headers.find("Link"));
  CHECK(page("/api/v1/tokens").headers.find("Link") == std::nullopt);
}

TEST_CASE("a wish for a token that cannot be is refused by its place, and nothing is made") {
  guarded_node served;
  const auto refusal = [&](const json& body) {
    const auto told = served.ask(method::post, "/api/v1/tokens", 400, body.dump(), shown(root));
    return told["detail"].get<std::string>();
  };
  const json grants{{{"project", "p"}, {"role", "read"}}};
  CHECK(refusal({{"grants", grants}}).find("token") != std::string::npos);
  CHECK(refusal({{"id", "A b"}, {"grants", grants}}).find("token") != std::string::npos);
  CHECK(refusal({{"id", "a"}}).find("grants") != std::string::npos);
  CHECK(refusal({{"id", "a"}, {"grants", {{{"project", "p"}}}}}).find("role") != std::string::npos);
  CHECK(refusal({{"id", "a"}, {"grants", {{{"project", "p"}, {"role", "king"}}}}}).find("role") !=
        std::string::npos);
  CHECK(
      refusal({{"id", "a"}, {"grants", {{{"project", "P!"}, {"role", "read"}}}}}).find("project") !=
      std::string::npos);
  CHECK(refusal({{"id", "a"},
                 {"grants",
                  {{{"project", "p"}, {"role", "read"}}, {{"project", "p"}, {"role", "run"}}}}})
            .find("two roles") != std::string::npos);
  json many = json::array();
  for (int each = 0; each < 33; ++each) {
    many.push_back({{"project", "p" + std::to_string(each)}, {"role", "read"}});
  }
  CHECK(refusal({{"id", "a"}, {"grants", many}}).find("at most 32 grants") != std::string::npos);
  const std::string with_nul{"a\0b", 3};
  CHECK(refusal({{"id", with_nul}, {"grants", grants}}).find("/id: expected a text without NUL") !=
        std::string::npos);
  CHECK(refusal({{"id", "(root)"}, {"grants", grants}}).find("token") != std::string::npos);
  for (const auto* each : {"soon", "0", "999ms", "11000d"}) {
    CHECK(refusal({{"id", "a"}, {"grants", grants}, {"expires_in", each}}).find("expires_in") !=
          std::string::npos);
  }
  CHECK(served.ask(method::get, "/api/v1/tokens", 200, {}, shown(root))["tokens"].empty());
  served.make_token("a", "p", "read");
  CHECK(served
            .send(method::post, "/api/v1/tokens", json{{"id", "a"}, {"grants", grants}}.dump(),
                  shown(root))
            .status == 409);
}

TEST_CASE("a token is nobody's after its time") {
  guarded_node served;
  const auto token = served.make_token(
      {{"id", "brief"}, {"grants", {{{"project", "p"}, {"role", "read"}}}}, {"expires_in", "3s"}});
  until([&] {
    return served.send(method::get, "/api/v1/projects/p/pipelines", {}, shown(token)).status == 401;
  });
  CHECK(served.ask(method::get, "/api/v1/tokens", 200, {}, shown(root))["tokens"].size() == 1);
}

TEST_CASE("what a token makes ends with it") {
  guarded_node served;
  const json grants{{{"project", "p"}, {"role", "admin"}}};
  const auto brief = served.make_token({{"id", "brief"}, {"grants", grants}, {"expires_in", "1h"}});
  const auto status = [&](const json& wish) {
    return served.send(method::post, "/api/v1/tokens", wish.dump(), shown(brief)).status;
  };
  CHECK(status({{"id", "x"}, {"grants", grants}}) == 403);
  CHECK(status({{"id", "x"}, {"grants", grants}, {"expires_in", "61m"}}) == 403);
  CHECK(status({{"id", "x"}, {"grants", grants}, {"expires_in", "59m"}}) == 201);
}

TEST_CASE("a large body is read for those who may send it, to a run too") {
  guarded_node served;
  const auto p = served.make_token("p", "p", "run");
  const auto q = served.make_token("q", "q", "admin");
  const auto run = served.submit();
  const auto body = json{{"reason", std::string(5'000, 'x')}}.dump();
  const auto cancel = [&](const http::header_list& by) {
    return served.send(method::post, "/api/v1/runs/" + run + "/cancel", body, by).status;
  };
  CHECK(cancel({}) == 401);
  CHECK(cancel(shown(q)) == 404);
  const auto allowed = cancel(shown(p));
  CHECK(allowed != 401);
  CHECK(allowed != 403);
  CHECK(allowed != 404);
}

// Goal: who may not do a thing cannot make the server read what it would be done with.
// Method: nothing of the body is sent before the answer.
TEST_CASE("a body is not read where the role is too little for its path") {
  guarded_node served;
  const auto p = served.make_token("p", "p", "run");
  const auto reads = served.make_token("reads", "p", "read");
  const auto ask = [&](const std::string& what, const std::string& by) {
    http::wire client{served.port()};
    client.send(what + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + by +
                "\r\nContent-Length: 8000000\r\nExpect: 100-continue\r\n\r\n");
    return client.read_until("\r\n").substr(0, 12);
  };
  CHECK(ask("POST /api/v1/projects/q/pipelines/x/runs", p) == "HTTP/1.1 403");
  CHECK(ask("PUT /api/v1/projects/p/pipelines/x", p) == "HTTP/1.1 403");
  CHECK(ask("POST /api/v1/tokens", p) == "HTTP/1.1 403");
  CHECK(ask("POST /api/v1/actors/run/r/cancel", p) == "HTTP/1.1 403");
  CHECK(ask("POST /api/v1/projects/p/pipelines/x/runs", p) == "HTTP/1.1 100");
  CHECK(ask("POST /api/v1/validate", p) == "HTTP/1.1 100");
  CHECK(ask("POST /api/v1/runs/r/cancel", p) == "HTTP/1.1 100");  // its project is not known yet
  CHECK(ask("POST /api/v1/runs/r/cancel", reads) == "HTTP/1.1 403");
  CHECK(ask("POST /api/v1/nothing/here", reads) == "HTTP/1.1 404");
  CHECK(ask("PATCH /api/v1/tokens", reads) == "HTTP/1.1 405");
  CHECK(ask("POST /api/v1/nothing/here", "nobodys") == "HTTP/1.1 401");
  CHECK(ask("POST /api/v1/actors/run/r/cancel", root) == "HTTP/1.1 100");
}

TEST_CASE("a stream ends with its token") {
  guarded_node served;
  const auto brief = served.make_token("brief", "p", "read");
  const auto other = served.make_token("other", "p", "read");
  served.ask(method::put, "/api/v1/projects/p/pipelines/waits", 201,
             "name: waits\ntasks: [{name: t, approval: 'Go on?'}]\n", shown(root));
  const std::string run = served.ask(method::post, "/api/v1/projects/p/pipelines/waits/runs", 201,
                                     {}, shown(root))["id"];
  const auto follow = [&](const std::string& by) {
    auto client = std::make_unique<http::wire>(served.port());
    client->send("GET /api/v1/runs/" + run +
                 "/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + by + "\r\n\r\n");
    CHECK(http::has(client->read_until("data: "), "200 OK"));
    return client;
  };
  const auto ends = follow(brief);
  const auto stays = follow(other);
  const auto roots = follow(root);
  CHECK(served.send(method::del, "/api/v1/tokens/brief", {}, shown(root)).status == 204);
  CHECK_FALSE(ends->read_all().ends_with("0\r\n\r\n"));
  served.send(method::post, "/api/v1/runs/" + run + "/cancel", "{}", shown(root));
  CHECK(stays->read_until("0\r\n\r\n").ends_with("0\r\n\r\n"));
  CHECK(roots->read_until("0\r\n\r\n").ends_with("0\r\n\r\n"));
}

// Goal: a balancer sends nothing to a server that would answer all but the root token 503.
TEST_CASE("who asks for tokens is ready once it knows them") {
  guarded_node served;
  until([&] { return served.send(method::get, "/readyz").status == 200; });
  CHECK(served.send(method::get, "/startupz").body == "started\n");
}

TEST_CASE("what is shown instead of a token is refused in words") {
  guarded_node served;
  const auto told = [&](const http::header_list& headers) {
    const auto answer = served.send(method::get, "/api/v1/silos", {}, headers);
    CHECK(answer.status == 401);
    CHECK(answer.headers.find("WWW-Authenticate").value_or("") == "Bearer realm=\"millrace\"");
    return json::parse(answer.body)["detail"].get<std::string>();
  };
  CHECK(told({}) == "a token is needed: send it as Authorization: Bearer TOKEN");
  CHECK(told({{"Authorization", "Basic " + root}}).find("one scheme") != std::string::npos);
  CHECK(told({{"Authorization", "Bearer"}}).find("one scheme") != std::string::npos);
  CHECK(told({{"Authorization", "Bearer " + root + "x"}}).find("nobody's") != std::string::npos);
  CHECK(told({{"Authorization", "Bearer " + root}, {"Authorization", "Bearer " + root}}) ==
        "Authorization is given twice");
  CHECK(served.send(method::get, "/api/v1/silos", {}, {{"authorization", "bearer   " + root}})
            .status == 200);
}

TEST_CASE("a server that asks for no tokens has none") {
  served_node served;
  for (const auto verb : {method::get, method::post}) {
    CHECK(served.ask(verb, "/api/v1/tokens", 409)["detail"].get<std::string>().find(
              "--root-token") != std::string::npos);
  }
}

// Goal: who asks too often is told so and how long to wait, and nobody else notices.
TEST_CASE("a token makes so many requests a second, and no other token counts for it") {
  served_node served{served_node::executor::own, root, {.a_second = 10, .wrong_tokens = 100'000}};
  const auto token =
      served
          .ask(method::post, "/api/v1/tokens", 201,
               R"({"id":"a","grants":[{"project":"p","role":"read"}]})", shown(root))["token"]
          .get<std::string>();
  const std::string target = "/api/v1/projects/p/pipelines";
  while (served.send(method::get, target, {}, shown(token)).status == 401) {
    // this process has not heard of it yet
  }
  http::client_response last;
  unsigned allowed = 0;
  for (; allowed < 1'000; ++allowed) {
    last = served.send(method::get, target, {}, shown(token));
    if (last.status != 200) {
      break;
    }
  }
  CHECK(allowed >= 9);
  CHECK(last.status == 429);
  CHECK(last.headers.find("Retry-After") == "1");
  CHECK(json::parse(last.body)["detail"].get<std::string>().starts_with(
      "the token 'a' makes more than 10 requests a second"));
  CHECK(served.send(method::get, target, {}, shown(root)).status == 200);
  for (int probe = 0; probe < 50; ++probe) {
    CHECK(served.send(method::get, "/livez").status == 200);
  }
  CHECK(served.send(method::get, "/metrics", {}, shown(root))
            .body.find("millrace_gateway_rate_limited_total 1\n") != std::string::npos);
}

// Method: what is sent again is the same token, made of the key and of the sender's own one.
TEST_CASE("a token is made once for a key, for its sender alone, and not again once revoked") {
  served_node served{served_node::executor::own, root};
  const auto keyed = [](const std::string& token) {
    auto headers = shown(token);
    headers.add("Idempotency-Key", "k");
    return headers;
  };
  const auto make = [&](const std::string& token, int status, const std::string& body) {
    return served.ask(method::post, "/api/v1/tokens", status, body, keyed(token));
  };
  const std::string body =
      R"({"id": "a", "grants": [{"project": "*", "role": "admin"}], "expires_in": "1h"})";
  const auto first = make(std::string{root}, 201, body);
  CHECK(make(std::string{root}, 201, body) == first);
  for (const auto* other :
       {R"({"id": "a", "grants": [{"project": "*", "role": "admin"}], "expires_in": "2h"})",
        R"({"id": "a", "grants": [{"project": "*", "role": "read"}], "expires_in": "1h"})",
        R"({"id": "b", "grants": [{"project": "*", "role": "admin"}], "expires_in": "1h"})"}) {
    CHECK(make(std::string{root}, 422, other)["code"] == "conflict");
  }
  const std::string token = first["token"];
  until([&] { return served.send(method::get, "/api/v1/silo", {}, shown(token)).status == 200; });
  const std::string taken =
      R"({"id": "a", "grants": [{"project": "p", "role": "run"}], "expires_in": "1m"})";
  CHECK(make(token, 409, taken)["detail"] == "there is a token 'a' already");
  const auto of_another = make(token, 201, R"({"id": "b", "grants": [{"project": "p",
                                                "role": "run"}], "expires_in": "1m"})");
  CHECK(of_another["token"] != token);
  CHECK(served.send(method::del, "/api/v1/tokens/a", {}, shown(root)).status == 204);
  CHECK(make(std::string{root}, 409, body)["detail"] ==
        "what was made with this Idempotency-Key was revoked, or has expired; use a new key");
}

// Goal: whoever has many tokens asks no more often than others at one address do.
// Method: twenty tokens together may ask twice as often as an address.
TEST_CASE("what comes with tokens counts for its address too") {
  served_node served{served_node::executor::own, root, {.a_second = 1, .wrong_tokens = 100'000}};
  std::vector<std::string> tokens{std::string{root}};
  while (tokens.size() < 20) {
    const auto name = "t" + std::to_string(tokens.size());
    const auto& maker = tokens[(tokens.size() - 1) / 8];  // each may ask ten times at once
    http::client_response made;
    until([&] {
      made =
          served.send(method::post, "/api/v1/tokens",
                      R"({"id": ")" + name + R"(", "grants": [{"project": "p", "role": "admin"}]})",
                      shown(maker));
      return made.status != 401;  // it is known a moment later
    });
    REQUIRE(made.status == 201);
    tokens.push_back(json::parse(made.body)["token"]);
  }
  http::client_response last;
  until([&] {
    for (const auto& each : tokens) {
      last = served.send(method::get, "/api/v1/runs?project=p", {}, shown(each));
      if (last.body.find("127.0.0.1") != std::string::npos) {
        return true;
      }
    }
    return false;
  });
  CHECK(last.status == 429);
  CHECK(last.headers.find("Retry-After") == "1");
  CHECK(json::parse(last.body)["detail"] ==
        "127.0.0.1 makes more than 10 requests a second, which is the most here");
}

// Goal: who has no token cannot have large answers without end, and who has one is not held up.
TEST_CASE(
    "what anybody may ask for counts, but for probes, and whoever shows a token for himself") {
  served_node served{served_node::executor::own, root, {.wrong_tokens = 3}};
  const auto open = {"/openapi.json", "/schemas/pipeline.json", "/version"};
  for (const auto* each : open) {
    CHECK(served.send(method::get, each).status == 200);
  }
  for (const auto* each : open) {
    CAPTURE(each);
    auto last = served.send(method::get, each);
    for (int tries = 0; tries < 1'000 && last.status == 200; ++tries) {
      last = served.send(method::get, each);  // a second has gone by
    }
    CHECK(last.status == 429);
    CHECK(last.headers.find("Retry-After") == "1");
    CHECK(served.send(method::get, each, {}, shown(root)).status == 200);
  }
  for (int probe = 0; probe < 50; ++probe) {
    CHECK(served.send(method::get, "/livez").status == 200);
  }
}

TEST_CASE("a request that is refused before its body counts for its token") {
  served_node served{served_node::executor::own, root, {.a_second = 1, .wrong_tokens = 100'000}};
  std::string status = "HTTP/1.1 404";
  for (int at = 0; at < 1'000 && status == "HTTP/1.1 404"; ++at) {
    http::wire client{served.port()};
    client.send("POST /api/v1/nothing/here HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " +
                std::string{root} + "\r\nContent-Length: 8000000\r\n\r\n");
    status = client.read_until("\r\n").substr(0, 12);
  }
  CHECK(status == "HTTP/1.1 429");
}

TEST_CASE("without tokens an address makes so many requests a second") {
  served_node served{served_node::executor::own, {}, {.a_second = 1}};
  int status = 200;
  for (int at = 0; at < 1'000 && status == 200; ++at) {
    status = served.send(method::get, "/api/v1/silo").status;
  }
  CHECK(status == 429);
}

TEST_CASE("an address that sends many wrong tokens waits, and its good ones are good") {
  served_node served{served_node::executor::own, root, {.wrong_tokens = 3}};
  const auto guess = [&](const http::header_list& headers) {
    return served.send(method::get, "/api/v1/silo", {}, headers);
  };
  for (int wrong = 0; wrong < 2; ++wrong) {
    CHECK(guess(shown("no such token")).status == 401);
  }
  CHECK(guess({}).status == 401);
  auto last = guess(shown("another"));
  for (int wrong = 0; wrong < 1'000 && last.status == 401; ++wrong) {
    last = guess(shown("another"));  // a second has gone by
  }
  CHECK(last.status == 429);
  CHECK(json::parse(last.body)["detail"] ==
        "many requests without a good token have come from 127.0.0.1");
  CHECK(guess(shown(root)).status == 200);
}

}  // namespace
}  // namespace millrace::gateway
