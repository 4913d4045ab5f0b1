// SPDX-License-Identifier: MIT
// One name for one thing, in every answer and event: a resource's own key is `id`, and a link to
// another one carries that one's noun.
#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <set>

#include "gateway/api/served_node.h"

namespace millrace::gateway {
namespace {

// Lists of resources.
const std::set<std::string> lists{"pipelines", "runs",   "tasks",       "attempts",
                                  "types",     "actors", "dead_letters"};

// Other names that such things have had, or might get.
const std::set<std::string> synonyms{"run_id",    "task_id",  "pipeline_id", "pipeline_name",
                                     "task_name", "sequence", "number",      "uuid"};

// Of things that people or programs name themselves, whatever they like.
const std::set<std::string> free_form{"params", "definition", "labels", "outputs", "records"};

// Everything in an answer that has keys of ours, with the list that it stands in, if it does.
void visit(const std::string& list, const json& value,
           const std::function<void(const std::string&, const json&)>& each) {
  if (value.is_object()) {
    each(list, value);
  }
  for (const auto& [key, part] : value.items()) {
    if (!part.is_structured() || (value.is_object() && free_form.contains(key))) {
      continue;
    }
    // An object of a list's name is no list: the counts of a run's tasks, a map of an actor.
    visit(value.is_array() ? list : part.is_array() ? key : "", part, each);
  }
}

void check_names(const json& answer) {
  visit("", answer, [](const std::string& list, const json& object) {
    CAPTURE(list);
    CAPTURE(object.dump());
    if (lists.contains(list)) {
      CHECK(object.contains("id"));
    }
    for (const auto& [key, value] : object.items()) {
      CAPTURE(key);
      CHECK_FALSE(synonyms.contains(key));
      if (key == "run" || key == "pipeline" || key == "task" || key == "project") {
        // A link is the id of what it leads to, or that itself.
        CHECK((value.is_string() || value.contains("id")));
      }
    }
  });
}

// Lists of what has no name of its own: pairs of something that a person has named and its value,
// moments, and links to others with what is said of them.
const std::set<std::string> unnamed{"labels", "outputs", "parts",  "free",    "resources",
                                    "next",   "firings", "grants", "blocked", "silos_missing"};

/// The document's word on what answers hold, with references followed.
class declared_answers {
public:
  explicit declared_answers(json document) : document_(std::move(document)) {}

  /// Every list of objects and every key in the answers to GET, as "operation: key".
  void check() {
    for (const auto& [path, operations] : document_["paths"].items()) {
      if (!operations.contains("get")) {
        continue;
      }
      CAPTURE(path);
      for (const auto& [status, answer] : operations["get"]["responses"].items()) {
        const auto& content = followed(answer).value("content", json::object());
        if (status.front() == '2' && content.contains("application/json")) {
          check(content["application/json"]["schema"], "");
          ++answers_;
        }
      }
    }
    CHECK(answers_ > 30);
  }

private:
  const json& followed(const json& place) const {
    return place.contains("$ref")
               ? followed(
                     document_.at(json::json_pointer{place["$ref"].get<std::string>().substr(1)}))
               : place;
  }

  // `list`: that it is a member of.
  void check(const json& place, const std::string& list) {
    const auto& shape = followed(place);
    for (const auto* several : {"anyOf", "oneOf", "allOf"}) {
      for (const auto& each : shape.value(several, json::array())) {
        check(each, list);
      }
    }
    if (!shape.contains("properties")) {
      return;
    }
    CAPTURE(list);
    const auto& keys = shape["properties"];
    // A silo's own key is the name that its operator gave it.
    CHECK(
        (list.empty() || unnamed.contains(list) || keys.contains(list == "silos" ? "name" : "id")));
    for (const auto& [key, value] : keys.items()) {
      CAPTURE(key);
      CHECK_FALSE(synonyms.contains(key));
      const auto& of = followed(value);
      check(of.contains("items") ? of["items"] : of, of.contains("items") ? key : "");
    }
  }

  json document_;
  int answers_ = 0;
};

}  // namespace

// Goal: no answer to a GET can drift: what is not named so is refused in the document, which
// tests/contract holds all answers to.
TEST_CASE("every answer that the document declares calls a thing by the same name") {
  served_node here;
  declared_answers{here.ask(method::get, "/openapi.json", 200)}.check();
}

TEST_CASE("every answer and event calls a thing by the same name") {
  served_node here;
  const std::string pipeline = "/api/v1/projects/p/pipelines/hello";
  const auto applied = here.ask(method::put, pipeline, 201, hello);
  check_names(applied);
  CHECK(applied["id"] == "hello");
  CHECK(applied["project"] == "p");
  const auto submitted = here.ask(method::post, pipeline + "/runs", 201);
  check_names(submitted);
  const std::string id = submitted["id"];
  const auto run = "/api/v1/runs/" + id;

  std::set<std::string> tasks;
  std::uint64_t last = 0;
  REQUIRE(here.client->events(run + "/events", "", [&](const http::received_event& event) {
    if (event.name == "end") {
      return http::flow::stop;
    }
    const auto data = json::parse(event.data);
    check_names(data);
    CHECK(std::to_string(data["id"].get<std::uint64_t>()) == event.id);
    last = data["id"];
    CHECK(data.contains("task") == (event.name == "task"));
    if (data.contains("task")) {
      tasks.insert(data["task"].get<std::string>());
    }
    return http::flow::more;
  }));
  CHECK(last > 0);
  CHECK(tasks == std::set<std::string>{"say"});

  for (const auto& target :
       {pipeline, pipeline + "/runs", run, run + "/tasks", run + "/tasks/say",
        std::string{"/api/v1/runs?project=p"}, std::string{"/api/v1/projects/p/pipelines"},
        std::string{"/api/v1/actors"}, std::string{"/api/v1/actors/run"},
        std::string{"/api/v1/actors/run?active=true"}, std::string{"/api/v1/silo"},
        std::string{"/api/v1/dead-letters"}, "/api/v1/actors/task/" + id + "%2Fsay/state",
        "/api/v1/actors/run/" + id + "/state"}) {
    CAPTURE(target);
    check_names(here.ask(method::get, target, 200));
  }
  for (const auto* call : {"status", "tasks", "events"}) {
    check_names(here.ask(method::post, "/api/v1/actors/run/" + id + "/" + call, 200));
  }

  CHECK(here.ask(method::get, pipeline, 200)["id"] == "hello");
  CHECK(here.ask(method::get, "/api/v1/projects/p/pipelines", 200)["pipelines"][0]["id"] ==
        "hello");
  const auto whole = here.ask(method::get, run, 200);
  CHECK(whole["id"] == id);
  CHECK(whole["pipeline"] == "hello");
  for (const auto& target : {pipeline + "/runs", std::string{"/api/v1/runs?project=p"}}) {
    const auto row = here.ask(method::get, target, 200)["runs"][0];
    CHECK(row["id"] == id);
    CHECK(row["pipeline"] == "hello");
  }
  const auto listed = here.ask(method::get, run + "/tasks", 200)["tasks"][0];
  CHECK(listed["id"] == "say");
  CHECK(listed["name"] == "say");
  const auto task = here.ask(method::get, run + "/tasks/say", 200);
  CHECK(task["id"] == "say");
  CHECK(task["run"] == id);
  CHECK(task["attempts"][0]["id"] == listed["attempt"]);
}

// What there is not is null, not a number that means so; numbers of signals differ between
// machines.
TEST_CASE("how an attempt ended is told by a code or the name of a signal") {
  served_node here;
  here.ask(method::put, "/api/v1/projects/p/pipelines/ends", 201, R"(name: ends
tasks:
  - {name: code, run: exit 3}
  - {name: signal, run: 'kill -SEGV $$'}
  - {name: never, run: echo, needs: [code]}
)");
  const auto run = "/api/v1/runs/" + here.finished_run("ends");
  std::map<std::string, json> rows;
  const auto answer = here.ask(method::get, run + "/tasks", 200);
  for (const auto& each : answer["tasks"]) {
    rows[each["id"]] = each;
  }
  CHECK(rows["code"]["exit_code"] == 3);
  CHECK(rows["code"]["signal"].is_null());
  CHECK(rows["signal"]["exit_code"].is_null());
  CHECK(rows["signal"]["signal"] == "SIGSEGV");
  CHECK(rows["never"]["exit_code"].is_null());
  CHECK(rows["never"]["signal"].is_null());
  const auto attempt = here.ask(method::get, run + "/tasks/signal", 200)["attempts"][0];
  CHECK(attempt["exit_code"].is_null());
  CHECK(attempt["signal"] == "SIGSEGV");
}

}  // namespace millrace::gateway
