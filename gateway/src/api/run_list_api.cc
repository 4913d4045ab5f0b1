// SPDX-License-Identifier: MIT
// The runs of a pipeline; those of all pipelines of a project, merged from their lists.
#include <algorithm>
#include <functional>
#include <initializer_list>
#include <map>
#include <mutex>

#include "api/api.h"
#include "api/details.h"
#include "api/respond.h"
#include "api/run_json.h"
#include "millrace/actors/submission.h"
#include "millrace/pipeline.capnp.actor.h"

namespace millrace::gateway {

using http::reply;
using http::request;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;

namespace {

constexpr std::uint32_t page_default = 100;
constexpr std::uint32_t page_max = 1'000;

// Which runs, and how many.
struct wanted_runs {
  std::string state;  // Empty: in any.
  std::string cursor;
  std::uint32_t limit;
  bool has_details;
  std::string label;  // As of `Pipeline.runs`.
};

// The states of runs, and `queued`: of those that have not begun.
const std::initializer_list<std::string_view> run_words{"running", "queued",    "succeeded",
                                                        "failed",  "cancelled", "timed_out"};

result<wanted_runs> wanted_in(const request& received) {
  const auto limit = number_in_query(received, "limit", 0, page_max);
  const auto details = details_in(received);
  if (!limit || !details) {
    return limit ? details.error() : limit.error();
  }
  wanted_runs wanted{text_in_query(received, "state"), text_in_query(received, "cursor"),
                     *limit == 0 ? page_default : static_cast<std::uint32_t>(*limit), *details,
                     text_in_query(received, "label")};
  if (wanted.has_details) {
    wanted.limit = std::min(wanted.limit, detailed_page_max);
  }
  if (!wanted.state.empty() &&
      std::find(run_words.begin(), run_words.end(), wanted.state) == run_words.end()) {
    std::string known;
    for (const auto word : run_words) {
      known += (known.empty() ? "" : ", ") + std::string{word};
    }
    return error{errc::invalid_argument, "query parameter 'state': expected one of: " + known +
                                             "; it is '" + wanted.state + "'"};
  }
  if (const auto labels = actors::parse_label_filter(wanted.label); !labels) {
    return error{errc::invalid_argument, "query parameter 'label': " + labels.error().text()};
  }
  return wanted;
}

// One question: asks the project for its pipelines, then each of them for a page of its runs.
class run_search : public std::enable_shared_from_this<run_search> {
public:
  run_search(runtime::silo& silo, std::string_view project, wanted_runs wanted, reply answer)
      : silo_(silo),
        project_(project),
        wanted_(std::move(wanted)),
        limit_(wanted_.limit),
        answer_(std::move(answer)) {}

  void list_pipelines(const std::string& after) {
    silo_.call_then<schemas::project_interface::pipelines_results>(
        ref<schemas::Project>(project_).pipelines(after, page_max),
        [self = shared_from_this()](auto page) { self->take_pipelines(std::move(page)); });
  }

private:
  void take_pipelines(result<schemas::project_interface::pipelines_results> page) {
    if (!page) {
      answer_.fail(page.error());
      return;
    }
    for (auto each : page->pipelines()) {
      pipelines_.emplace_back(each.getName().cStr());
    }
    if (!page->next_cursor().empty()) {
      list_pipelines(std::string{page->next_cursor()});
      return;
    }
    left_ = pipelines_.size();
    if (left_ == 0) {
      finish();
    }
    for (const auto& name : pipelines_) {
      silo_.call_then<schemas::pipeline_interface::runs_results>(
          ref<schemas::Pipeline>(project_ + "/" + name)
              .runs(wanted_.cursor, limit_, wanted_.state, wanted_.label),
          [self = shared_from_this()](auto runs) { self->take_runs(std::move(runs)); });
    }
  }

  void take_runs(result<schemas::pipeline_interface::runs_results> page) {
    const std::lock_guard lock{mutex_};
    if (page) {
      for (auto each : page->runs()) {
        rows_.emplace(each.getId().cStr(), each);
      }
      complete_to_ = std::max(complete_to_, std::string{page->next_cursor()});
      pages_.push_back(*std::move(page));
    } else if (!failed_) {
      failed_ = page.error();
    }
    if (--left_ == 0) {
      finish();
    }
  }

  // Ids sort by time. What is older than the end of some pipeline's page is left for the next one.
  void finish() {
    if (failed_) {
      answer_.fail(*failed_);
      return;
    }
    std::string next = complete_to_;
    std::vector<schemas::RunSummary::Reader> shown;
    for (auto row = rows_.begin(); row != rows_.end() && row->first >= complete_to_; ++row) {
      if (shown.size() == limit_) {
        next = shown.back().getId().cStr();
        break;
      }
      shown.push_back(row->second);
    }
    schemas::pipeline_interface::runs_results page;
    auto list = page.build().initRuns(static_cast<unsigned>(shown.size()));
    for (unsigned at = 0; at < shown.size(); ++at) {
      list.setWithCaveats(at, shown[at]);
    }
    page.build().setNextCursor(next.c_str());
    if (wanted_.has_details) {
      answer_detailed_runs(silo_, json_of_runs(page), std::move(answer_));
    } else {
      answer_.send(answer_of_runs(page));
    }
  }

  runtime::silo& silo_;
  const std::string project_;
  const wanted_runs wanted_;
  const std::uint32_t limit_;
  reply answer_;
  std::vector<std::string> pipelines_;
  std::mutex mutex_;  // for what follows
  std::size_t left_ = 0;
  std::vector<schemas::pipeline_interface::runs_results> pages_;
  std::map<std::string, schemas::RunSummary::Reader, std::greater<>> rows_;  // newest first
  std::string complete_to_;  // older ones may be missing; empty: none is
  std::optional<runtime::error> failed_;
};

void list_runs(const api_parts& parts, request& received, reply answer) {
  auto wanted = wanted_in(received);
  const auto project = name_in(received.query("project").value_or("default"), "project");
  if (!wanted || !project) {
    answer.fail(wanted ? project.error() : wanted.error());
    return;
  }
  std::make_shared<run_search>(parts.silo, *project, *std::move(wanted), std::move(answer))
      ->list_pipelines({});
}

void list_runs_of_pipeline(const api_parts& parts, request& received, reply answer) {
  const auto wanted = wanted_in(received);
  const auto key = pipeline_key(received);
  if (!wanted || !key) {
    answer.fail(wanted ? key.error() : wanted.error());
    return;
  }
  const auto shared = std::make_shared<reply>(std::move(answer));
  parts.silo.call_then<schemas::pipeline_interface::runs_results>(
      ref<schemas::Pipeline>(*key).runs(wanted->cursor, wanted->limit, wanted->state,
                                        wanted->label),
      [&silo = parts.silo, shared, details = wanted->has_details](const auto& page) {
        if (!page) {
          shared->fail(page.error());
        } else if (details) {
          answer_detailed_runs(silo, json_of_runs(*page), std::move(*shared));
        } else {
          shared->send(answer_of_runs(*page));
        }
      });
}

}  // namespace

void add_run_list_routes(api_routes& routes) {
  const std::vector<query_key> which{
      word_key("state", run_words, "Only runs in it."),
      text_key("label",
               "Only runs with it: `team=data`, or `team` with any value; with all of "
               "several, which commas part."),
      text_key("cursor", "The `next_cursor` of the page before, or any run's id: older ones."),
      number_key("limit", page_max, "The most of them; 0: 100."),
      details_key("All of each run, as `details`; then a page has 100 at most.")};
  auto of_project = which;
  of_project.insert(of_project.begin(), text_key("project", "Whose runs; without it `default`'s."));
  const answer page{.status = 200,
                    .text = "A page; `next_cursor` is empty at the end.",
                    .body = json_media(runs_shape())};
  routes.add(http::method::get, "/api/v1/runs", access{access::place::query, role::READ},
             {.id = "list_runs",
              .tag = "runs",
              .summary = "The runs of all pipelines of a project, the newest first",
              .query = of_project,
              .answers = {page}},
             list_runs);
  routes.add(http::method::get, "/api/v1/projects/{project}/pipelines/{name}/runs",
             in_project(role::READ),
             {.id = "list_runs_of_pipeline",
              .tag = "runs",
              .summary = "The runs of a pipeline, the newest first",
              .query = which,
              .answers = {page},
              .problems = {404}},
             list_runs_of_pipeline);
}

}  // namespace millrace::gateway
