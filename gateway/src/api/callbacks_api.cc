// SPDX-License-Identifier: MIT
// Callbacks: what foreign systems say of tasks that wait for them.
#include <algorithm>

#include "api/api.h"
#include "api/respond.h"
#include "millrace/actors/callback.h"
#include "millrace/actors/name_rule.h"
#include "millrace/actors/process_outputs.h"
#include "millrace/pipeline.capnp.actor.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using schemas::run_interface;

namespace {

// It is stored with the run and its events.
constexpr std::size_t callback_reason_bytes_max = 4'096;

// So much is read as JSON in some 20 us.
constexpr std::size_t quick_body_bytes = 4096;

error wrong(const std::string& why) {
  return {errc::invalid_argument, why};
}

result<void> read_outputs(const nlohmann::json& given, schemas::CallbackAnswer::Builder into) {
  if (given.size() > actors::output_keys_max) {
    return wrong("/outputs: a task has at most " + std::to_string(actors::output_keys_max));
  }
  auto list = into.initOutputs(static_cast<unsigned>(given.size()));
  std::size_t bytes = 0;
  unsigned at = 0;
  for (const auto& [name, text] : given.items()) {
    if (!text.is_string()) {
      return wrong("/outputs/" + actors::shown_name(name) + ": expected a string");
    }
    if (auto fits = actors::check_name("output", name, actors::name_rule::field); !fits) {
      return wrong("/outputs: " + fits.error().text());
    }
    const auto content = text.get<std::string>();
    if (content.find('\0') != std::string::npos) {
      return wrong("/outputs/" + name + ": it has a NUL byte");
    }
    bytes += name.size() + content.size();
    list[at].setName(name.c_str());
    list[at++].setValue(content.c_str());
  }
  if (bytes > actors::output_bytes_max) {
    return error{errc::too_large, "/outputs: they have more than " +
                                      std::to_string(actors::output_bytes_max >> 10U) + " KiB"};
  }
  return {};
}

result<void> read_answer(std::string_view text, schemas::CallbackAnswer::Builder into) {
  into.setState(schemas::TaskState::SUCCEEDED);
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return {};
  }
  if (auto checked = runtime::check_json(text); !checked) {
    return std::move(checked).error();
  }
  const auto json = nlohmann::json::parse(text);
  if (!json.is_object()) {
    return wrong(R"(the body must be a JSON object such as {"state": "succeeded"})");
  }
  for (const auto& [name, value] : json.items()) {
    if (name == "state" && (value == "succeeded" || value == "failed")) {
      into.setState(value == "failed" ? schemas::TaskState::FAILED : schemas::TaskState::SUCCEEDED);
    } else if (name == "reason" && value.is_string()) {
      auto reason = value.get<std::string>();
      if (reason.size() > callback_reason_bytes_max) {
        return wrong("/reason: it has more than " + std::to_string(callback_reason_bytes_max) +
                     " bytes");
      }
      std::replace(reason.begin(), reason.end(), '\0', ' ');
      into.setReason(reason.c_str());
    } else if (name == "outputs" && value.is_object()) {
      if (auto read = read_outputs(value, into); !read) {
        return read;
      }
    } else {
      return wrong("/" + actors::shown_name(name) +
                   ": expected are 'state', 'succeeded' or 'failed', the text 'reason', and the "
                   "object 'outputs' of texts");
    }
  }
  return {};
}

// Counts as a wrong token while it is not known that the token is good.
error refused(const api_parts& parts, const request& received, const error& why) {
  return parts.guard != nullptr ? parts.guard->count_wrong_token(received, why) : why;
}

// What is not known is told by one text, whether it is the run, the task or the rest that is wrong.
error unknown() {
  return {errc::not_found, "no task waits for this callback"};
}

void tell(const api_parts& parts, const std::string& run, const std::shared_ptr<request>& received,
          const std::shared_ptr<reply>& answer) {
  run_interface::callback_params params;
  params.build().setToken(std::string{received->param("token")}.c_str());
  if (auto read = read_answer(received->body, params.build().initAnswer()); !read) {
    received->stranger.reset();
    answer->fail(refused(parts, *received, read.error()));
    return;
  }
  parts.silo.call_then<run_interface::callback_results>(
      ref<schemas::Run>(run).callback(std::move(params)),
      [&parts, received, answer](const result<run_interface::callback_results>& told) {
        received->stranger.reset();
        if (told) {
          answer->send(answer_of(told->again() ? 200 : 202, nlohmann::ordered_json::object()));
        } else {
          answer->fail(told.error().code() == errc::not_found ? refused(parts, *received, unknown())
                                                              : told.error());
        }
      });
}

void call_back(const api_parts& parts, request& received, reply answer) {
  const auto place = actors::callback_place_of(received.param("token"));
  if (!place) {
    answer.fail(refused(parts, received, unknown()));
    return;
  }
  if (received.body.size() > actors::callback_body_bytes_max) {
    answer.fail(refused(parts, received, {errc::too_large, "a callback takes at most 512 KiB"}));
    return;
  }
  const auto held = received.detach();
  const auto shared = std::make_shared<reply>(std::move(answer));
  if (held->body.size() <= quick_body_bytes) {
    tell(parts, place->run, held, shared);
  } else {
    answer_on(parts.strangers, shared,
              [&parts, held, shared, run = place->run] { tell(parts, run, held, shared); });
  }
}

json_shape answer_shape() {
  return shape::named(
      "CallbackAnswer",
      shape::with_optional(shape::object({{"state", shape::word({"succeeded", "failed"})},
                                          {"reason", shape::text()},
                                          {"outputs", shape::map(shape::text())}}),
                           {"state", "reason", "outputs"}));
}

}  // namespace

void add_callback_routes(api_routes& routes) {
  routes.add(
      method::post, std::string{actors::callback_path} + "{token}",
      access{access::place::path_token, role::NONE},
      {.id = "call_back",
       .tag = "runs",
       .summary = "Says how a task with `callback` has ended",
       .text = "From the foreign system that it waits for. It may come before the task "
               "starts. Said again it has no effect (200); said otherwise it is refused (409). "
               "Without a body the task has succeeded.",
       .headers = {repeatable, traceparent},
       .body = {.any_of = {json_media(answer_shape())}},
       .answers = {{.status = 202, .text = "It is stored.", .body = json_media(shape::object({}))},
                   {.status = 200,
                    .text = "It was told the same before.",
                    .body = json_media(shape::object({}))}},
       .problems = {404, 409, 411}},
      call_back);
}

}  // namespace millrace::gateway
