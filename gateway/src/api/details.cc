// SPDX-License-Identifier: MIT
#include "api/details.h"

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "api/respond.h"
#include "api/run_json.h"

namespace millrace::gateway {

using http::reply;
using nlohmann::ordered_json;
using runtime::ref;
using runtime::result;
using schemas::pipeline_interface;

namespace {

// A page whose rows are completed by answers; the last one sends it.
class detailed_page {
public:
  detailed_page(ordered_json page, const char* key, std::size_t answers, reply answer)
      : page_(std::move(page)), rows_(page_.at(key)), left_(answers), answer_(std::move(answer)) {
    if (left_ == 0) {
      answer_.send(answer_of(200, page_));
    }
  }

  void complete(std::size_t at, const std::function<void(ordered_json& row)>& with) {
    const std::lock_guard lock{mutex_};
    with(rows_[at]);
    if (--left_ == 0) {
      answer_.send(answer_of(200, page_));
    }
  }

private:
  std::mutex mutex_;
  ordered_json page_;
  ordered_json& rows_;
  std::size_t left_;
  reply answer_;
};

}  // namespace

query_key details_key(std::string_view text) {
  return flag_key("details", text);
}

result<bool> details_in(const http::request& request) {
  const auto text = request.query("details").value_or("false");
  if (text != "true" && text != "false") {
    return runtime::error{runtime::errc::invalid_argument,
                          "query parameter 'details' must be true or false"};
  }
  return text == "true";
}

void answer_detailed_runs(runtime::silo& silo, ordered_json page, reply answer) {
  std::vector<std::string> ids;
  for (const auto& each : page.at("runs")) {
    ids.push_back(each.at("id"));
  }
  const auto whole =
      std::make_shared<detailed_page>(std::move(page), "runs", ids.size(), std::move(answer));
  for (std::size_t at = 0; at < ids.size(); ++at) {
    silo.call_then<schemas::run_interface::status_results>(
        ref<schemas::Run>(ids[at]).status(), [whole, at](const auto& told) {
          whole->complete(at, [&told](ordered_json& row) {
            if (told) {
              row["details"] = json_of_run(told->run());
            }
          });
        });
  }
}

void answer_detailed_pipelines(runtime::silo& silo, const std::string& project, ordered_json page,
                               reply answer) {
  constexpr std::size_t questions = 3;
  std::vector<std::string> keys;
  for (auto& each : page.at("pipelines")) {
    keys.push_back(project + "/" + each.at("id").get<std::string>());
    each["details"] = {{"version", nullptr}, {"paused", nullptr}, {"latest_run", nullptr}};
  }
  const auto whole = std::make_shared<detailed_page>(std::move(page), "pipelines",
                                                     questions * keys.size(), std::move(answer));
  for (std::size_t at = 0; at < keys.size(); ++at) {
    const auto one = ref<schemas::Pipeline>(keys[at]);
    silo.call_then<pipeline_interface::describe_results>(
        one.describe(0), [whole, at](const auto& told) {
          whole->complete(at, [&told](ordered_json& row) {
            if (told) {
              row["details"]["version"] = told->version();
            }
          });
        });
    silo.call_then<pipeline_interface::activity_results>(
        one.activity(), [whole, at](const auto& told) {
          whole->complete(at, [&told](ordered_json& row) {
            if (told) {
              row["details"]["paused"] = told->paused();
            }
          });
        });
    silo.call_then<pipeline_interface::runs_results>(
        one.runs("", 1, "", ""), [whole, at](const auto& told) {
          whole->complete(at, [&told](ordered_json& row) {
            if (told && told->runs().size() > 0) {
              row["details"]["latest_run"] = json_of_runs(*told).at("runs").at(0);
            }
          });
        });
  }
}

json_shape pipelines_shape() {
  auto row = shape::with_optional(shape::of<schemas::ProjectPipeline>(), {});
  const auto details = shape::object({{"version", shape::or_null(shape::count())},
                                      {"paused", shape::or_null(shape::flag())},
                                      {"latest_run", shape::or_null(run_summary_shape())}});
  row.named.insert(details.named.begin(), details.named.end());
  row.schema.at("properties")["details"] = details.schema;
  return shape::object({{"pipelines", shape::list(shape::named("ListedPipeline", std::move(row)))},
                        {"next", shape::text()}});
}

}  // namespace millrace::gateway
