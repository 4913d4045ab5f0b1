// SPDX-License-Identifier: MIT
// Many runs by one request: a line of JSON for each, and a line for each answer.
#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "api/api.h"
#include "api/respond.h"
#include "api/submission.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::errc;
using runtime::error;
using schemas::pipeline_interface;

namespace {

constexpr std::size_t lines_max = 10'000;
// Enough for the commits of a pipeline to be shared, and few beside what others ask for.
constexpr unsigned under_way_max = 32;
constexpr std::string_view ndjson = "application/x-ndjson";
// Lines are read where their turn comes, also on threads that others wait for: this much in about a
// millisecond, and not more than that many in a row.
constexpr std::size_t line_bytes_max = std::size_t{256} << 10;
constexpr unsigned lines_in_a_row_max = 64;
// The number of a line is added to it.
constexpr std::size_t idempotency_key_bytes_max = 190;

struct numbered_line {
  std::size_t number;  // from 1
  std::string_view text;
};

// Those that have something in them; at most one too many.
std::vector<numbered_line> lines_of(std::string_view text) {
  std::vector<numbered_line> lines;
  for (std::size_t number = 1; !text.empty() && lines.size() <= lines_max; ++number) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
      lines.push_back({number, line});
    }
  }
  return lines;
}

std::string answer_line(std::size_t number, const submitted& told) {
  nlohmann::ordered_json line{{"line", number}};
  if (told) {
    line["id"] = told->run();
    line["version"] = told->version();
  } else {
    line["error"] = nlohmann::ordered_json::parse(http::problem_response(told.error()).body);
  }
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

// The lines of one request, a few of them under way at a time. Answers leave in the lines' order.
// A client that lags is waited for; for one that has left nothing more is begun.
//
// Threading: any. Ownership: of itself, until the last answer has left.
class batch : public std::enable_shared_from_this<batch> {
public:
  batch(const api_parts& parts, std::shared_ptr<request> received, std::string pipeline,
        std::string key, std::vector<numbered_line> lines)
      : parts_(parts),
        received_(std::move(received)),
        pipeline_(std::move(pipeline)),
        key_(std::move(key)),
        lines_(std::move(lines)) {}

  void start(reply answer) {
    self_ = shared_from_this();
    out_ = answer.open(
        200,
        {{"Content-Type", ndjson}, {"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}});
    out_.on_drained([weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->set(self->lags_, false);
        self->go();
      }
    });
    out_.on_closed([weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->set(self->left_, true);
        self->go();
      }
    });
    go();
  }

private:
  void set(bool& what, bool to) {
    const std::lock_guard lock{mutex_};
    what = to;
  }

  // Begins what may be under way. Answers that come at once are taken by the loop.
  void go() {
    std::unique_lock lock{mutex_};
    if (std::exchange(going_, true)) {
      return;
    }
    unsigned begun = 0;
    while (next_ < lines_.size() && next_ - written_ < under_way_max && !lags_ && !left_) {
      const auto at = next_++;
      ++under_way_;
      lock.unlock();
      begin(at);
      lock.lock();
      if (++begun == lines_in_a_row_max) {
        begun = 0;
        if (parts_.bodies.post([self = shared_from_this()] {
              self->set(self->going_, false);
              self->go();
            })) {
          return;  // still going, there
        }
      }
    }
    going_ = false;
    const auto ended = under_way_ == 0 && (left_ || written_ == lines_.size());
    const auto last = ended ? std::move(self_) : nullptr;  // goes after the lock
    lock.unlock();
  }

  void begin(std::size_t at) {
    const auto& text = lines_[at].text;
    auto wanted = text.size() <= line_bytes_max
                      ? wanted_run_of(text, key_in_text::yes)
                      : error{errc::too_large, "the line has " + std::to_string(text.size()) +
                                                   " bytes; one of a batch has at most " +
                                                   std::to_string(line_bytes_max)};
    if (!wanted) {
      answered(at, wanted.error());
      return;
    }
    if (wanted->idempotency_key.empty() && !key_.empty()) {
      wanted->idempotency_key = key_ + "/" + std::to_string(lines_[at].number);
    }
    submit(parts_, pipeline_, *std::move(wanted), trace_of(*received_, quiet_trace::goes_along),
           [self = shared_from_this(), at](const submitted& told) { self->answered(at, told); });
  }

  void answered(std::size_t at, const submitted& told) {
    auto line = answer_line(lines_[at].number, told);
    {
      const std::lock_guard lock{mutex_};
      --under_way_;
      waiting_.emplace(at, std::move(line));
      while (!waiting_.empty() && waiting_.begin()->first == written_) {
        lags_ = out_.write(waiting_.begin()->second) == http::write_status::full;
        waiting_.erase(waiting_.begin());
        ++written_;
      }
      if (written_ == lines_.size()) {
        out_.close();
      }
    }
    go();
  }

  const api_parts& parts_;
  const std::shared_ptr<const request> received_;  // has the lines' text
  const std::string pipeline_;
  const std::string key_;
  const std::vector<numbered_line> lines_;

  std::mutex mutex_;  // for all below
  http::stream out_;
  std::map<std::size_t, std::string> waiting_;  // answers, for those of lines before
  std::size_t next_ = 0;
  std::size_t written_ = 0;
  unsigned under_way_ = 0;
  bool going_ = false;
  bool lags_ = false;
  bool left_ = false;
  std::shared_ptr<batch> self_;
};

std::optional<error> mistake_in(const std::vector<numbered_line>& lines, std::string_view key) {
  if (lines.empty()) {
    return error{errc::invalid_argument,
                 R"(the body needs a line for each run, such as {"params": {"day": "monday"}})"};
  }
  if (lines.size() > lines_max) {
    return error{errc::too_large, "the body has more than " + std::to_string(lines_max) +
                                      " lines, which is the most that one request submits"};
  }
  if (key.size() > idempotency_key_bytes_max) {
    return error{errc::invalid_argument, "the Idempotency-Key of a batch is at most " +
                                             std::to_string(idempotency_key_bytes_max) + " bytes"};
  }
  return std::nullopt;
}

void submit_batch(const api_parts& parts, request& received, reply answer) {
  const auto pipeline = pipeline_key(received);
  const auto key = key_of(received);
  if (!pipeline) {
    answer.fail(pipeline.error());
    return;
  }
  auto held = received.detach();
  auto lines = lines_of(held->body);
  if (const auto mistake = mistake_in(lines, key)) {
    answer.fail(*mistake);
    return;
  }
  const auto one =
      std::make_shared<batch>(parts, std::move(held), *pipeline, key, std::move(lines));
  const auto shared = std::make_shared<reply>(std::move(answer));
  // A wrong name is said once.
  parts.silo.call_then<pipeline_interface::describe_results>(
      runtime::ref<schemas::Pipeline>(*pipeline).describe(0), [one, shared](const auto& there) {
        if (there) {
          one->start(std::move(*shared));
        } else {
          shared->fail(there.error());
        }
      });
}

// A line of what is answered.
json_shape answer_shape() {
  return shape::named(
      "BatchAnswer",
      shape::any_of(
          {shape::object(
               {{"line", shape::count()}, {"id", shape::text()}, {"version", shape::count()}}),
           shape::object({{"line", shape::count()}, {"error", problem_shape()}})}));
}

}  // namespace

void add_batch_routes(api_routes& routes) {
  routes.add(
      method::post, "/api/v1/projects/{project}/pipelines/{name}/runs:batch", in_project(role::RUN),
      {.id = "submit_runs",
       .tag = "runs",
       .summary = "Starts a run for each line",
       .text = "Lines of JSON, 10,000 at most; empty ones count but ask for nothing. Each is "
               "answered by a line, in their order, and one that is refused stops no other. "
               "With an `Idempotency-Key` each line has its effect once, by its number.",
       .headers = {idempotency_key, traceparent},
       .body = {.any_of = {{ndjson, wanted_run_shape(key_in_text::yes)}}, .is_needed = true},
       .answers = {{.status = 200,
                    .text = "A line for each, as it is stored.",
                    .body = {ndjson, answer_shape()}}},
       .problems = {404}},
      submit_batch);
}

}  // namespace millrace::gateway
