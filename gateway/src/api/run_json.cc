// SPDX-License-Identifier: MIT
#include "api/run_json.h"

#include "api/list_page.h"
#include "api/respond.h"

namespace millrace::gateway {

using nlohmann::ordered_json;

namespace {

constexpr const char* queued = "queued";  // the key, and the state

void name_state(ordered_json& run) {
  if (run.at(queued).get<bool>() && run.at("state") == "running") {
    run["state"] = queued;
  }
}

// The same without its name, and with `queued` among the states.
json_shape with_queued(json_shape of_message) {
  auto made = shape::with_optional(std::move(of_message), {});
  made.schema.at("properties").at("state").at("enum").push_back(queued);
  return made;
}

}  // namespace

ordered_json json_of_run(schemas::RunStatus::Reader run) {
  auto shown = ordered_json::parse(runtime::to_json_text(run));
  name_state(shown);
  return shown;
}

ordered_json json_of_runs(const schemas::pipeline_interface::runs_results& page) {
  auto shown = ordered_json::parse(runtime::to_json_text(page.read()));
  for (auto& each : shown.at("runs")) {
    name_state(each);
  }
  return shown;
}

// Most have nothing that is queued, and are written as they are.
http::response answer_of_run(int status, schemas::RunStatus::Reader run) {
  return run.getQueued() ? answer_of(status, json_of_run(run)) : answer_of(status, run);
}

http::response answer_of_runs(const schemas::pipeline_interface::runs_results& page) {
  auto has_queued = false;
  for (const auto each : page.read().getRuns()) {
    has_queued = has_queued || each.getQueued();
  }
  return has_queued ? answer_of(200, json_of_runs(page)) : answer_of(200, page);
}

json_shape run_shape() {
  return shape::named("ShownRun", with_queued(shape::of<schemas::RunStatus>()));
}

json_shape run_summary_shape() {
  auto made = with_queued(shape::of<schemas::RunSummary>());
  const auto details = run_shape();
  made.named.insert(details.named.begin(), details.named.end());
  made.schema.at("properties")["details"] = details.schema;
  return shape::named("ListedRun", std::move(made));
}

json_shape runs_shape() {
  return shape::object(
      {{"runs", shape::list(run_summary_shape())}, {"next_cursor", next_cursor_shape()}});
}

}  // namespace millrace::gateway
