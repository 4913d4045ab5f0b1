// SPDX-License-Identifier: MIT
#include "api/details.h"

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "api/list_page.h"
#include "api/respond.h"
#include "api/run_json.h"

namespace millrace::gateway {

using http::reply;
using nlohmann::ordered_json;
using runtime::ref;
using runtime::result;
using schemas::pipeline_interface;

namespace {

// Whoever asks waits for the slowest row, and waits 10 s: no question begins after
// `asks_within`, none waits longer than `answers_within`, and what is not known then stays as it
// is.
constexpr std::chrono::seconds answers_within{3};
constexpr std::chrono::seconds asks_within{6};
constexpr std::size_t in_hand_max = 8;

// Of what is told of a row: all of it, or one key.
ordered_json::json_pointer pointer_to(const std::string& key = {}) {
  return ordered_json::json_pointer{key.empty() ? "/details" : "/details/" + key};
}

// A page whose rows are completed by answers; the last one sends it.
class detailed_page : public std::enable_shared_from_this<detailed_page> {
public:
  // Has `complete` called once for the question, be it within this call.
  using question = std::function<void(const std::shared_ptr<detailed_page>&, std::size_t number)>;

  detailed_page(const runtime::silo& silo, ordered_json page, const char* key, reply answer)
      : silo_(silo),
        until_(silo.time().steady() + asks_within),
        page_(std::move(page)),
        rows_(page_.at(key)),
        answer_(std::move(answer)) {}

  // Asks the questions from 0 to `count`, a few at a time.
  void begin(std::size_t count, question ask) {
    count_ = count;
    ask_ = std::move(ask);
    go_on(std::unique_lock{mutex_});
  }

  void complete(std::size_t row, const ordered_json::json_pointer& at,
                std::optional<ordered_json> told) {
    std::unique_lock lock{mutex_};
    if (told) {
      rows_[row][at] = *std::move(told);
    }
    --in_hand_;
    go_on(std::move(lock));
  }

private:
  void go_on(std::unique_lock<std::mutex> lock) {
    if (is_asking_) {
      return;  // whoever does goes on
    }
    is_asking_ = true;
    while (next_ < count_ && in_hand_ < in_hand_max) {
      if (silo_.time().steady() >= until_) {
        next_ = count_;
        break;
      }
      ++in_hand_;
      const auto number = next_++;
      lock.unlock();
      ask_(shared_from_this(), number);
      lock.lock();
    }
    is_asking_ = false;
    const auto is_whole = next_ == count_ && in_hand_ == 0;
    lock.unlock();
    if (is_whole) {
      answer_.send(answer_of(200, page_));
    }
  }

  const runtime::silo& silo_;
  const runtime::steady_time until_;
  std::mutex mutex_;
  ordered_json page_;
  ordered_json& rows_;
  question ask_;
  std::size_t count_ = 0;
  std::size_t next_ = 0;  // to be asked
  std::size_t in_hand_ = 0;
  bool is_asking_ = false;
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
      std::make_shared<detailed_page>(silo, std::move(page), "runs", std::move(answer));
  const auto count = ids.size();
  whole->begin(count, [&silo, ids = std::move(ids)](const auto& asker, std::size_t at) {
    silo.call_then<schemas::run_interface::status_results>(
        ref<schemas::Run>(ids[at]).status().timeout(answers_within), [asker, at](const auto& told) {
          asker->complete(at, pointer_to(),
                          told ? std::optional{json_of_run(told->run())} : std::nullopt);
        });
  });
}

void answer_detailed_pipelines(runtime::silo& silo, const std::string& project, ordered_json page,
                               reply answer) {
  constexpr std::size_t questions = 3;
  std::vector<std::string> keys;
  for (auto& each : page.at("pipelines")) {
    keys.push_back(project + "/" + each.at("id").get<std::string>());
    each["details"] = {{"version", nullptr}, {"paused", nullptr}, {"latest_run", nullptr}};
  }
  const auto whole =
      std::make_shared<detailed_page>(silo, std::move(page), "pipelines", std::move(answer));
  const auto count = questions * keys.size();
  whole->begin(count, [&silo, keys = std::move(keys)](const auto& asker, std::size_t number) {
    const auto at = number / questions;
    const auto one = ref<schemas::Pipeline>(keys[at]);
    switch (number % questions) {
      case 0:
        return silo.call_then<pipeline_interface::describe_results>(
            one.describe(0).timeout(answers_within), [asker, at](const auto& told) {
              asker->complete(at, pointer_to("version"),
                              told ? std::optional<ordered_json>{told->version()} : std::nullopt);
            });
      case 1:
        return silo.call_then<pipeline_interface::activity_results>(
            one.activity().timeout(answers_within), [asker, at](const auto& told) {
              asker->complete(at, pointer_to("paused"),
                              told ? std::optional<ordered_json>{told->paused()} : std::nullopt);
            });
      default:
        return silo.call_then<pipeline_interface::runs_results>(
            one.runs("", 1, "", "").timeout(answers_within), [asker, at](const auto& told) {
              asker->complete(at, pointer_to("latest_run"),
                              told && told->runs().size() > 0
                                  ? std::optional{json_of_runs(*told).at("runs").at(0)}
                                  : std::nullopt);
            });
    }
  });
}

json_shape pipelines_shape() {
  auto row = shape::with_optional(shape::of<schemas::ProjectPipeline>(), {});
  const auto details = shape::object({{"version", shape::or_null(shape::count())},
                                      {"paused", shape::or_null(shape::flag())},
                                      {"latest_run", shape::or_null(run_summary_shape())}});
  row.named.insert(details.named.begin(), details.named.end());
  row.schema.at("properties")["details"] = details.schema;
  return shape::object({{"pipelines", shape::list(shape::named("ListedPipeline", std::move(row)))},
                        {"next_cursor", next_cursor_shape()}});
}

}  // namespace millrace::gateway
