// SPDX-License-Identifier: MIT
#include <algorithm>
#include <atomic>
#include <charconv>
#include <functional>

#include "api/api.h"
#include "api/respond.h"
#include "api/run_event.h"
#include "api/run_json.h"
#include "api/run_wait.h"
#include "http/sse.h"
#include "millrace/actors/process_log.h"
#include "millrace/actors/submission.h"
#include "millrace/pipeline.capnp.actor.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::ref;

namespace {

// How long one look for events waits; below the call's own deadline.
constexpr std::uint32_t events_wait_ms = 20'000;

// Of one page of tasks; the pool tells no more at a time.
constexpr std::size_t reasons_max = 1'000;

// How long they are waited for: a pool that moves, or cannot be reached, has none.
constexpr std::chrono::seconds reasons_within{1};

constexpr std::size_t tail_bytes = 4'096;  // as an attempt's state has them

std::string without_nul(std::string text) {
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

std::string run_id(const request& received) {
  return std::string{received.param("id")};
}

void status(const api_parts& parts, request& received, reply answer) {
  const auto wait = run_wait_in(received);
  if (!wait) {
    answer.fail(wait.error());
    return;
  }
  const auto shared = std::make_shared<reply>(std::move(answer));
  wait_for_run(parts.silo, run_id(received), *wait, shared, [shared](const auto& told) {
    told ? shared->send(answer_of_run(200, told->run())) : shared->fail(told.error());
  });
}

// Why these tasks wait for a slot; none where nobody could be asked.
void with_reasons(runtime::silo& silo, const std::vector<std::string>& tasks,
                  std::function<void(capnp::List<capnp::Text>::Reader)> then) {
  if (tasks.empty()) {
    then({});
    return;
  }
  schemas::pool_interface::reasons_params params;
  auto list = params.build().initTasks(static_cast<unsigned>(tasks.size()));
  for (unsigned at = 0; at < list.size(); ++at) {
    list.set(at, tasks[at].c_str());
  }
  silo.call_then<schemas::pool_interface::reasons_results>(
      ref<schemas::Pool>("default").reasons(std::move(params)).timeout(reasons_within),
      [then = std::move(then)](const auto& told) {
        told ? then(told->read().getReasons()) : then({});
      });
}

// Behind what its task says, such as how the attempt before it ended.
std::string with_reason(capnp::Text::Reader own, capnp::Text::Reader of_pool) {
  const std::string before{own.begin(), own.size()};
  return before + (before.empty() || of_pool.size() == 0 ? "" : "; ") + of_pool.cStr();
}

void tasks(const api_parts& parts, request& received, reply answer) {
  const auto limit = number_in_query(received, "limit", 0, 10'000);
  if (!limit) {
    answer.fail(limit.error());
    return;
  }
  const auto labels = actors::parse_label_filter(text_in_query(received, "label"));
  if (!labels) {
    answer.fail(
        {runtime::errc::invalid_argument, "query parameter 'label': " + labels.error().text()});
    return;
  }
  using results = schemas::run_interface::tasks_results;
  const auto run = run_id(received);
  auto shared = std::make_shared<reply>(std::move(answer));
  parts.silo.call_then<results>(
      ref<schemas::Run>(run).tasks(text_in_query(received, "cursor"),
                                   static_cast<std::uint32_t>(*limit),
                                   text_in_query(received, "label")),
      [&parts, shared, run](runtime::result<results> found) {
        if (!found) {
          shared->fail(found.error());
          return;
        }
        std::vector<std::string> keys;
        std::vector<unsigned> places;
        for (unsigned at = 0; at < found->tasks().size() && keys.size() < reasons_max; ++at) {
          if (const auto each = found->tasks()[at]; each.getState() == schemas::TaskState::QUEUED) {
            keys.push_back(run + "/" + each.getName().cStr());
            places.push_back(at);
          }
        }
        const auto told = std::make_shared<results>(*std::move(found));
        with_reasons(parts.silo, keys, [shared, told, places](const auto& reasons) {
          auto list = told->build().getTasks();
          for (unsigned at = 0; at < reasons.size(); ++at) {
            auto each = list[places[at]];
            each.setReason(with_reason(each.getReason(), reasons[at]).c_str());
          }
          shared->send(answer_of(200, *told));
        });
      });
}

// An attempt whose end nobody reported has no tails in the state; its files may still be there.
bool lacks_tails(schemas::Attempt::Reader attempt) {
  return attempt.getEnd() == schemas::AttemptEnd::LOST && attempt.getStdoutBytes() == 0 &&
         attempt.getStderrBytes() == 0;
}

void add_tails(const api_parts& parts, schemas::Task::DescribeResults::Builder task) {
  for (auto attempt : task.getAttempts()) {
    if (!lacks_tails(attempt) || parts.host == nullptr) {
      continue;
    }
    const auto tail_of = [&](actors::output_stream stream) -> std::optional<actors::log_chunk> {
      const auto log = parts.host->attempts().open_log(
          parts.host->token_of(task.getRun().cStr(), task.getName().cStr(), attempt.getNumber()),
          stream);
      auto tail = log ? log->tail_bytes(tail_bytes) : log.error();
      return tail ? std::optional{*std::move(tail)} : std::nullopt;
    };
    if (const auto tail = tail_of(actors::output_stream::standard_output)) {
      attempt.setStdoutTail(without_nul(actors::to_utf8(tail->bytes)).c_str());
      attempt.setStdoutBytes(tail->next_offset);
    }
    if (const auto tail = tail_of(actors::output_stream::standard_error)) {
      attempt.setStderrTail(without_nul(actors::to_utf8(tail->bytes)).c_str());
      attempt.setStderrBytes(tail->next_offset);
    }
  }
}

// `put_labels`: what its run knows.
void describe_started(const api_parts& parts, const std::string& run, const std::string& name,
                      const std::shared_ptr<reply>& answer,
                      std::function<void(schemas::Task::DescribeResults::Builder)> put_labels) {
  using results = schemas::task_interface::describe_results;
  const auto key = run + "/" + name;
  const auto send_whole = [&parts, answer](const std::shared_ptr<results>& task) {
    auto whole = true;
    for (auto attempt : task->attempts()) {
      whole = whole && !lacks_tails(attempt);
    }
    if (whole) {
      answer->send(answer_of(200, *task));
      return;
    }
    answer_on(parts.files, answer, [&parts, answer, task] {
      add_tails(parts, task->build());
      answer->send(answer_of(200, *task));
    });
  };
  const auto take = [&parts, answer, key, send_whole,
                     put_labels = std::move(put_labels)](runtime::result<results> found) {
    if (!found) {
      answer->fail(found.error());
      return;
    }
    auto task = std::make_shared<results>(*std::move(found));
    put_labels(task->build());
    const auto is_queued = task->read().getState() == schemas::TaskState::QUEUED;
    const std::vector<std::string> asked(is_queued ? 1 : 0, key);
    with_reasons(parts.silo, asked, [send_whole, task](const auto& reasons) {
      if (reasons.size() > 0) {
        task->build().setReason(with_reason(task->read().getReason(), reasons[0]).c_str());
      }
      send_whole(task);
    });
  };
  parts.silo.call_then<results>(ref<schemas::Task>(key).describe(), take);
}

// The run knows every task; one that has started tells more itself.
void task(const api_parts& parts, request& received, reply answer) {
  const auto run = run_id(received);
  const std::string name{received.param("name")};
  auto shared = std::make_shared<reply>(std::move(answer));
  parts.silo.call_then<schemas::run_interface::task_results>(
      ref<schemas::Run>(run).task(name), [&parts, shared, run, name](auto found) {
        if (!found) {
          shared->fail(found.error());
          return;
        }
        const auto known = std::make_shared<decltype(found)>(std::move(found));
        const auto row = (*known)->task();
        if (row.getAttempt() > 0) {
          describe_started(parts, run, name, shared,
                           [known](auto of) { of.setLabels((*known)->task().getLabels()); });
          return;
        }
        schemas::task_interface::describe_results waiting;
        auto made = waiting.build();
        made.setName(row.getName());
        made.setRun(run.c_str());
        made.setState(row.getState());
        made.setReason(row.getReason());
        made.setLabels(row.getLabels());
        shared->send(answer_of(200, waiting));
      });
}

// One client that follows a run. Looks, writes what there is, looks again; a client that lags is
// waited for.
class follower : public std::enable_shared_from_this<follower> {
public:
  follower(runtime::silo& silo, std::string run, std::uint64_t after, reply answer)
      : silo_(silo), run_(std::move(run)), after_(after), answer_(std::move(answer)) {}

  void look() {
    silo_.call_then<schemas::run_interface::events_results>(
        ref<schemas::Run>(run_).events(after_, opened_ ? events_wait_ms : 0, 0),
        [self = shared_from_this()](auto page) { self->take(std::move(page)); });
  }

private:
  void take(runtime::result<schemas::run_interface::events_results> page) {
    if (!opened_) {
      if (!page) {
        answer_.fail(page.error());
        return;
      }
      opened_ = true;
      out_ = http::event_stream::open(std::move(answer_));
      out_.raw().on_closed([weak = weak_from_this()] {
        if (const auto self = weak.lock()) {
          self->closed_ = true;
          if (self->lagging_.exchange(false)) {
            self->look();
          }
        }
      });
      out_.raw().on_drained([weak = weak_from_this()] {
        if (const auto self = weak.lock(); self && self->lagging_.exchange(false)) {
          self->look();
        }
      });
      self_ = shared_from_this();
    }
    if (!page || closed_) {
      finish();  // the silo stops, or nobody listens: the client comes back with its last id
      return;
    }
    for (auto event : page->events()) {
      after_ = event.getSequence();
      lagging_ = true;  // before the write: the queue may be drained before it returns
      const auto status = out_.event(
          std::to_string(after_), event.getName().size() == 0 ? "run" : "task", event_json(event));
      if (status == http::write_status::full || !lagging_.exchange(false)) {
        return;  // `on_drained` or `on_closed` looks again, or already does
      }
      if (status == http::write_status::closed) {
        finish();
        return;
      }
    }
    if (page->ended()) {
      out_.event(std::to_string(after_), "end", "{}");
      finish();
    } else {
      look();
    }
  }

  void finish() {
    out_.raw().close();
    self_.reset();
  }

  runtime::silo& silo_;
  std::string run_;
  std::uint64_t after_;
  reply answer_;
  http::event_stream out_;
  bool opened_ = false;
  std::atomic<bool> closed_{false};
  std::atomic<bool> lagging_{false};
  std::shared_ptr<follower> self_;  // while a lagging client is waited for
};

void events(const api_parts& parts, request& received, reply answer) {
  auto after = number_in_query(received, "after", 0, UINT64_MAX);
  if (!after) {
    answer.fail(after.error());
    return;
  }
  if (const auto last = received.headers.find("Last-Event-ID"); last && !last->empty()) {
    const auto* end = last->data() + last->size();
    const auto [read, failure] = std::from_chars(last->data(), end, *after);
    // Not taken for 0: the client would get everything again and think it new.
    if (failure != std::errc{} || read != end) {
      answer.fail({runtime::errc::invalid_argument,
                   "Last-Event-ID must be the id of an event of this stream, a number; without it "
                   "the stream begins at the first"});
      return;
    }
  }
  std::make_shared<follower>(parts.silo, run_id(received), *after, std::move(answer))->look();
}

}  // namespace

void add_run_routes(api_routes& routes) {
  const std::string one = "/api/v1/runs/{id}";
  routes.add(method::get, one, of_run(role::READ),
             {.id = "get_run",
              .tag = "runs",
              .summary = "A run as a whole",
              .query = {run_wait_key()},
              .answers = {{.status = 200, .text = "The run.", .body = json_media(run_shape())}},
              .problems = {404}},
             status);
  routes.add(method::get, one + "/tasks", of_run(role::READ),
             {.id = "list_tasks",
              .tag = "runs",
              .summary = "The task instances of a run, in the order of the definition",
              .query = {text_key("cursor", "The `next_cursor` of the page before."),
                        number_key("limit", 10'000, "The most of them; 0: 1,000."),
                        text_key("label",
                                 "Only tasks with these labels: `team=data,nightly`, the second "
                                 "with any value.")},
              .answers = {{.status = 200,
                           .text = "A page; `next_cursor` is empty at the end.",
                           .body = json_of<schemas::Run::TasksResults>()}},
              .problems = {404}},
             tasks);
  routes.add(method::get, one + "/tasks/{name}", of_run(role::READ),
             {.id = "get_task",
              .tag = "runs",
              .summary = "A task instance, `count` or `count[3]`, with its attempts",
              .answers = {{.status = 200,
                           .text = "The instance.",
                           .body = json_of<schemas::Task::DescribeResults>()}},
              .problems = {404}},
             task);
  routes.add(method::get, one + "/events", of_run(role::READ),
             {.id = "follow_run",
              .tag = "runs",
              .summary = "The events of a run as they happen, until its end",
              .text = "Server-sent events: `run` or `task`, and `end` as the last one.",
              .query = {text_key("after", "As `Last-Event-ID`, which counts if both are there.")},
              .headers = {{"Last-Event-ID", "The id of the last event that the client has."}},
              .answers = {{.status = 200,
                           .text = "The stream.",
                           .body = {.type = "text/event-stream",
                                    .shape = shape::text(),
                                    .events = {{"run", event_shape()},
                                               {"task", event_shape()},
                                               {"end", shape::object({})}}}}},
              .problems = {404}},
             events);
}

}  // namespace millrace::gateway
