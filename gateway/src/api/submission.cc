// SPDX-License-Identifier: MIT
#include "api/submission.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "api/respond.h"
#include "api/run_json.h"
#include "api/run_wait.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/name_rule.h"
#include "millrace/actors/priority.h"
#include "millrace/actors/run_id.h"
#include "millrace/actors/submission.h"
#include "millrace/runtime/json.h"

namespace millrace::gateway {

using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using schemas::pipeline_interface;

namespace {

// However often it is asked for: as long as one call may take.
constexpr std::chrono::milliseconds asked_for_max{runtime::call_timeout_ms_default};

struct submission {
  runtime::silo& silo;
  std::string pipeline;
  wanted_run wanted;
  std::shared_ptr<const runtime::request_context> context;
  std::string run;  // its id, if it has no key
  std::function<void(submitted)> then;
  runtime::steady_time until;  // nobody asks any more
  unsigned again_max = 3;      // as of calls that may be repeated anyway
};

// Whoever reads the answer may ask for the run.
void tell_when_begun(const std::shared_ptr<submission>& one,
                     pipeline_interface::submit_new_results results) {
  const std::string run{results.run()};
  when_begun(one->silo, run, one->context,
             [one, made = std::make_shared<pipeline_interface::submit_new_results>(
                       std::move(results))] { one->then(std::move(*made)); });
}

// One without a key cannot be told apart from others by what it says, but its run's id is made
// here, so it can be asked for again when nobody knows whether it is stored. With a key the router
// does that.
void ask(const std::shared_ptr<submission>& one, bool again) {
  pipeline_interface::submit_new_params asked;
  auto made = asked.build();
  const auto wanted = one->wanted.params.read();
  made.setRun(one->run.c_str());
  made.setParams(wanted.getParams());
  made.setLabels(wanted.getLabels());
  made.setAgain(again);
  made.setVersion(wanted.getVersion());
  made.setRerunOf(wanted.getRerunOf());
  made.setScheduledAt(wanted.getScheduledAt());
  made.setPriority(wanted.getPriority());
  made.setOnly(wanted.getOnly());
  made.setNoCache(wanted.getNoCache());
  made.setWebhook(one->wanted.webhook.c_str());
  made.setOnceFor(one->wanted.once_for.c_str());
  const auto left = one->until - one->silo.time().steady();
  auto call = ref<schemas::Pipeline>(one->pipeline)
                  .submit_new(std::move(asked))
                  .keyed(one->wanted.idempotency_key)
                  .timeout(std::max<runtime::duration>(left, std::chrono::milliseconds{1}));
  call.spec().context = one->context;
  one->silo.call_then<pipeline_interface::submit_new_results>(
      std::move(call), [one, again](submitted results) {
        if (results && !results->run().empty()) {
          tell_when_begun(one, *std::move(results));
        } else if (!results && results.error().code() == errc::outcome_unknown &&
                   one->wanted.idempotency_key.empty() && one->again_max > 0 &&
                   one->silo.time().steady() < one->until) {
          --one->again_max;
          ask(one, true);
        } else if (!results && again &&
                   runtime::retry_of(results.error().code()) == runtime::retry_class::safe) {
          // Of what was asked before that says nothing.
          one->then(error{errc::outcome_unknown, "run " + one->run + " may have been submitted: " +
                                                     results.error().text()});
        } else {
          one->then(std::move(results));
        }
      });
}

// Or nobody knows where.
bool lives_here(const runtime::silo& silo, const std::string& pipeline) {
  const auto hosts = silo.hosts_of({"pipeline", pipeline});
  return !hosts || hosts->front() == silo.name();
}

// As a header field cannot have; others make keys with them.
bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char each) {
    return static_cast<unsigned char>(each) < ' ' || each == '\x7f';
  });
}

result<void> set_labels(const nlohmann::json& given, pipeline_interface::submit_params& params) {
  auto labels = params.build().initLabels(static_cast<unsigned>(given.size()));
  unsigned at = 0;
  for (const auto& [name, text] : given.items()) {
    if (!text.is_string()) {
      return error{errc::invalid_argument, "/labels/" + name + ": expected a string"};
    }
    labels[at].setName(name.c_str());
    labels[at++].setValue(text.get<std::string>().c_str());
  }
  return {};
}

result<void> set_only(const nlohmann::json& given, pipeline_interface::submit_params& params) {
  if (!given.is_array() || given.empty() || given.size() > actors::definition_tasks_max ||
      !std::all_of(given.begin(), given.end(), [](const auto& each) { return each.is_string(); })) {
    return error{errc::invalid_argument, "/only: expected the names of tasks, at least one"};
  }
  auto names = params.build().initOnly(static_cast<unsigned>(given.size()));
  for (unsigned at = 0; at < names.size(); ++at) {
    const auto name = given[at].get<std::string>();
    if (has_control(name)) {
      return error{errc::invalid_argument, "/only: a name has a control character"};
    }
    names.set(at, name.c_str());
  }
  return {};
}

}  // namespace

json_shape wanted_run_shape(key_in_text key) {
  auto members = shape::object({{"params", shape::map(shape::any())},
                                {"labels", shape::map(shape::text())},
                                {"version", shape::count()},
                                {"priority", shape::any_of({shape::count(), shape::text()})},
                                {"only", shape::list(shape::text())},
                                {"no_cache", shape::flag()},
                                {"idempotency_key", shape::text()}});
  return key == key_in_text::yes
             ? shape::named("BatchLine", shape::with_optional(
                                             members, {"params", "labels", "version", "priority",
                                                       "only", "no_cache", "idempotency_key"}))
             : shape::named("SubmissionInput",
                            shape::with_optional(
                                shape::without(members, {"idempotency_key"}),
                                {"params", "labels", "version", "priority", "only", "no_cache"}));
}

result<wanted_run> wanted_run_of(std::string_view text, key_in_text key) {
  wanted_run wanted;
  wanted.params.build().setParams("{}");
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return wanted;
  }
  if (const auto checked = runtime::check_json(text); !checked) {
    return checked.error();
  }
  const auto json = nlohmann::json::parse(text);
  if (!json.is_object()) {
    return error{errc::invalid_argument,
                 R"(the body must be a JSON object such as {"params": {"day": "monday"}})"};
  }
  for (const auto& [name, value] : json.items()) {
    if (name == "params" && value.is_object()) {
      wanted.params.build().setParams(value.dump().c_str());
    } else if (name == "labels" && value.is_object()) {
      if (auto set = set_labels(value, wanted.params); !set) {
        return std::move(set).error();
      }
    } else if (name == "version" && value.is_number_unsigned() &&
               value.get<std::uint64_t>() <= UINT32_MAX) {
      wanted.params.build().setVersion(value.get<std::uint32_t>());
    } else if (name == "priority" && (value.is_string() || value.is_number())) {
      const auto word = value.is_string() ? value.get<std::string>() : value.dump();
      const auto priority = actors::parse_priority(word);
      if (!priority) {
        return error{errc::invalid_argument,
                     "/priority: `" + actors::shown_name(word) +
                         "` is no priority: " + std::string{actors::priority_hint}};
      }
      wanted.params.build().setPriority(*priority);
    } else if (name == "only") {
      if (auto set = set_only(value, wanted.params); !set) {
        return std::move(set).error();
      }
    } else if (name == "no_cache" && value.is_boolean()) {
      wanted.params.build().setNoCache(value.get<bool>());
    } else if (name == "idempotency_key" && value.is_string() && key == key_in_text::yes) {
      wanted.idempotency_key = value.get<std::string>();
      if (has_control(wanted.idempotency_key)) {
        return error{errc::invalid_argument, "/idempotency_key: it has a control character"};
      }
    } else {
      return error{errc::invalid_argument,
                   "/" + name +
                       ": expected are the objects 'params' and 'labels', the number "
                       "'version', 'priority', the list 'only', and the boolean 'no_cache'" +
                       (key == key_in_text::yes ? ", and the text 'idempotency_key'" : "")};
    }
  }
  return wanted;
}

void when_begun(runtime::silo& silo, const std::string& run,
                std::shared_ptr<const runtime::request_context> context,
                std::function<void()> then) {
  constexpr std::chrono::milliseconds longest{2 * actors::run_begin_wait_ms};
  auto call = ref<schemas::Run>(run).events(0, actors::run_begin_wait_ms, 1).timeout(longest);
  call.spec().context = std::move(context);
  silo.call_then<schemas::run_interface::events_results>(
      std::move(call), [then = std::move(then)](const auto& /*events*/) { then(); });
}

void submit(const api_parts& parts, const std::string& pipeline, wanted_run&& wanted,
            std::shared_ptr<const runtime::request_context> context,
            std::function<void(submitted)> then) {
  // What was accepted goes on while there is room for that; nothing is added to it.
  if (auto refusal = parts.silo.rows().refusal(); refusal && lives_here(parts.silo, pipeline)) {
    then(*std::move(refusal));
    return;
  }
  static thread_local actors::ascending_run_ids ids;
  auto run = wanted.idempotency_key.empty() ? ids.next(parts.silo.time().wall()) : std::string{};
  ask(std::make_shared<submission>(submission{.silo = parts.silo,
                                              .pipeline = pipeline,
                                              .wanted = std::move(wanted),
                                              .context = std::move(context),
                                              .run = std::move(run),
                                              .then = std::move(then),
                                              .until = parts.silo.time().steady() + asked_for_max}),
      false);
}

void submit_and_answer(const api_parts& parts, const std::string& pipeline, wanted_run&& wanted,
                       std::shared_ptr<const runtime::request_context> context,
                       runtime::duration wait, const std::shared_ptr<http::reply>& answer) {
  submit(parts, pipeline, std::move(wanted), std::move(context),
         [&parts, answer, wait](const submitted& told) {
           if (!told) {
             answer->fail(told.error());
             return;
           }
           const std::string run{told->run()};
           if (run.empty()) {
             answer->send(answer_nothing_started("`once_for` is that of an earlier run"));
             return;
           }
           const auto made = std::make_shared<http::response>(answer_of(201, *told));
           made->headers.add("Location", "/api/v1/runs/" + run);
           if (wait == runtime::duration{}) {
             answer->send(std::move(*made));
             return;
           }
           wait_for_run(parts.silo, run, wait, answer, [answer, made](const auto& ended) {
             if (ended) {
               made->body = answer_of_run(201, ended->run()).body;
             }
             answer->send(std::move(*made));
           });
         });
}

http::response answer_nothing_started(std::string_view why) {
  return answer_of(202, {{"started", false}, {"reason", why}});
}

answer submitted_answer() {
  return {.status = 201,
          .text = "It is stored, and begins; with `wait`, all of it.",
          .body = json_media(
              shape::any_of({shape::of<schemas::Pipeline::SubmitNewResults>(), run_shape()})),
          .headers = {location}};
}

}  // namespace millrace::gateway
