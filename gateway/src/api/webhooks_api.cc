// SPDX-License-Identifier: MIT
// Webhooks: what outside systems send, and the runs that it starts.
#include "access/token.h"
#include "api/api.h"
#include "api/respond.h"
#include "api/submission.h"
#include "millrace/actors/name_rule.h"
#include "millrace/actors/webhook.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/secrets.capnp.actor.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using schemas::pipeline_interface;
using schemas::secrets_interface;

namespace {

// What GitHub and Gitea tell a delivery by: sent again, it has the same.
constexpr header_key delivery_key{"X-GitHub-Delivery",
                                  "Taken in place of an Idempotency-Key where there is none."};
constexpr header_key signature_key{
    "X-Hub-Signature-256",
    "`sha256=` and the HMAC-SHA256 of the body by the webhook's secret, in hexadecimal digits; in "
    "place of a token."};

// One request on its way: the webhook is looked up, the signature is checked, the texts of the
// webhook are filled in, and a run is asked for.
class delivery : public std::enable_shared_from_this<delivery> {
public:
  delivery(const api_parts& parts, request& received, reply answer)
      : parts_(parts),
        received_(received.detach()),
        answer_(std::make_shared<reply>(std::move(answer))),
        is_signed_(received_->headers.find(signature_field).has_value()) {}

  void begin(std::string pipeline, std::string webhook) {
    pipeline_ = std::move(pipeline);
    webhook_ = std::move(webhook);
    parts_.silo.call_then<pipeline_interface::webhook_results>(
        ref<schemas::Pipeline>(pipeline_).webhook(webhook_),
        [self = shared_from_this()](const auto& found) { self->found(found); });
  }

private:
  // Whoever has no token is to learn nothing of what there is, nor by how long this takes: it is
  // the same for a wrong signature, a webhook that has none, and no webhook at all.
  void found(const result<pipeline_interface::webhook_results>& found) {
    if (!found && found.error().code() != errc::not_found) {
      received_->stranger.reset();
      answer_->fail(found.error());
      return;
    }
    const std::string secret = found ? found->webhook().getSecret().cStr() : "";
    version_ = found ? found->version() : 0;
    const auto is_anybody = is_signed_ && parts_.guard != nullptr && parts_.guard->asks();
    if (!secret.empty() && !is_signed_) {
      answer_->fail({errc::unauthenticated, "the webhook '" + webhook_ + "' takes only what is " +
                                                "signed: send " + std::string{signature_field}});
    } else if (!secret.empty() || is_anybody) {
      verify(secret, found);
    } else if (!found) {
      answer_->fail(found.error());
    } else {
      read(found->webhook());
    }
  }

  void verify(const std::string& secret, const result<pipeline_interface::webhook_results>& found) {
    secrets_interface::verify_params params;
    auto made = params.build();
    made.setName(secret.c_str());
    made.setContent(
        {reinterpret_cast<const kj::byte*>(received_->body.data()), received_->body.size()});
    const auto is_one = received_->headers.count(signature_field) == 1;
    const auto signature = is_one ? received_->headers.find(signature_field) : std::nullopt;
    made.setSignature(std::string{signature.value_or("")}.c_str());
    using message = runtime::message<schemas::CompiledWebhook>;
    auto webhook = std::make_shared<message>(found ? message{found->webhook()} : message{});
    parts_.silo.call_then<secrets_interface::verify_results>(
        ref<schemas::Secrets>(pipeline_.substr(0, pipeline_.find('/'))).verify(std::move(params)),
        [self = shared_from_this(), webhook](const auto& told) {
          self->received_->stranger.reset();
          if (!told) {
            self->answer_->fail(told.error());
          } else if (!told->good()) {
            self->refuse();
          } else {
            self->read(webhook->read());
          }
        });
  }

  void refuse() {
    const error why{errc::unauthenticated,
                    "no webhook of this name takes what is signed like this"};
    answer_->fail(parts_.guard != nullptr ? parts_.guard->count_wrong_token(*received_, why) : why);
  }

  void read(schemas::CompiledWebhook::Reader webhook) {
    using message = runtime::message<schemas::CompiledWebhook>;
    answer_on(parts_.bodies, answer_,
              [self = shared_from_this(), held = std::make_shared<message>(webhook)] {
                self->key_ = self->key(held->read());
                self->start(actors::read_webhook_request(held->read(), self->content()));
              });
  }

  actors::webhook_request content() {
    actors::webhook_request made{std::move(received_->body), {}};
    for (std::size_t at = 0; at < received_->headers.size(); ++at) {
      const auto [name, value] = received_->headers.at(at);
      std::string lower{name};
      for (auto& each : lower) {
        each = each >= 'A' && each <= 'Z' ? static_cast<char>(each - 'A' + 'a') : each;
      }
      auto& known = made.headers[std::move(lower)];
      known.append(known.empty() ? "" : ", ").append(value);
    }
    return made;
  }

  void start(const result<actors::webhook_start>& told) {
    if (!told) {
      answer_->fail(told.error());
      return;
    }
    if (!told->starts) {
      answer_->send(answer_nothing_started("`when` is false"));
      return;
    }
    wanted_run wanted;
    wanted.params.build().setParams(told->params.c_str());
    wanted.params.build().setVersion(version_);
    wanted.webhook = webhook_;
    wanted.once_for = told->once_for;
    wanted.idempotency_key = key_;
    submit_and_answer(parts_, pipeline_, std::move(wanted),
                      trace_of(*received_, quiet_trace::goes_along), {}, answer_);
  }

  // Apart from those of other webhooks, and of submissions, which hold no control character.
  // Neither field is signed; what is, is told by its body where nothing else tells whether it came
  // before.
  [[nodiscard]] std::string key(schemas::CompiledWebhook::Reader webhook) const {
    auto given = key_of(*received_);
    if (given.empty()) {
      given = received_->headers.find(delivery_key.name).value_or("");
    }
    const auto is_by_body =
        given.empty() && webhook.getSecret().size() > 0 && webhook.getOnceFor().size() == 0;
    if (given.empty() && !is_by_body) {
      return {};
    }
    return "\x01webhook/" + webhook_ + (is_by_body ? "/body/" : "/key/") +
           in_hex(digest_of(is_by_body ? received_->body : given));
  }

  [[nodiscard]] static std::string in_hex(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const char each : bytes) {
      const auto byte = static_cast<unsigned char>(each);
      text.append(1, digits[byte >> 4U]).append(1, digits[byte & 15U]);
    }
    return text;
  }

  const api_parts& parts_;
  const std::shared_ptr<request> received_;
  const std::shared_ptr<reply> answer_;
  const bool is_signed_;
  std::string pipeline_;
  std::string webhook_;
  std::uint32_t version_ = 0;  // that the webhook was read of
  std::string key_;            // see `key`; made before the body goes
};

void deliver(const api_parts& parts, request& received, reply answer) {
  auto pipeline = pipeline_key(received);
  auto webhook = name_in(received.param("webhook"), "webhook");
  if (!pipeline || !webhook) {
    answer.fail(!pipeline ? pipeline.error() : webhook.error());
    return;
  }
  if (received.body.size() > actors::webhook_body_bytes_max) {
    answer.fail({errc::too_large, "a webhook takes at most 1 MiB"});
    return;
  }
  std::make_shared<delivery>(parts, received, std::move(answer))
      ->begin(*std::move(pipeline), *std::move(webhook));
}

}  // namespace

void add_webhook_routes(api_routes& routes) {
  const auto anything = shape::any();
  routes.add(
      method::post, "/api/v1/projects/{project}/pipelines/{name}/webhooks/{webhook}",
      access{access::place::webhook, role::RUN},
      {.id = "deliver_to_webhook",
       .tag = "runs",
       .summary = "Starts a run by what an outside system sends",
       .text =
           "What the run is given of it, and whether there is one, is said by the webhook among "
           "the `triggers` of the pipeline. A webhook with a `signature` takes what is signed "
           "and nothing else. A wrong signature is answered as a webhook that does not exist.",
       .headers = {idempotency_key, delivery_key, signature_key, traceparent},
       .body = {.any_of = {json_media(anything), plain_text()}},
       .answers = {submitted_answer(),
                   {.status = 202,
                    .text = "Nothing starts, as `when` or `once_for` say.",
                    .body = json_media(
                        shape::object({{"started", shape::flag()}, {"reason", shape::text()}}))}},
       .problems = {404, 409, 411}},
      deliver);
}

}  // namespace millrace::gateway
