// SPDX-License-Identifier: MIT
// Commands that talk to a server over its HTTP API.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/progress.h"
#include "http/problem.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/params.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using json = nlohmann::ordered_json;  // the schemas' order
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr const char* server_default = "http://127.0.0.1:8400";
constexpr int reconnects_max = 5;

void add_server_options(po::options_description& options) {
  options.add_options()("server", po::value<std::string>()->value_name("URL"),
                        "default: $MILLRACE_SERVER or http://127.0.0.1:8400");
  options.add_options()("project", po::value<std::string>()->value_name("NAME"),
                        "default: $MILLRACE_PROJECT or 'default'");
  add_output_option(options);
}

std::string from_environment(const char* name, const char* fallback) {
  const auto* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? text : fallback;
}

// One segment of a path.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char each : text) {
    const auto plain = (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
                       (each >= '0' && each <= '9') || each == '-' || each == '_' || each == '.';
    out += plain ? std::string(1, each) : fmt::format("%{:02X}", static_cast<unsigned char>(each));
  }
  return out;
}

// The server that a command's options name.
class remote {
public:
  static result<remote> open(const option_values& options) {
    auto base = http::parse_url(
        text_of(options, "server", from_environment("MILLRACE_SERVER", server_default)));
    if (!base) {
      return std::move(base).error();
    }
    auto form = form_of(options);
    if (!form) {
      return std::move(form).error();
    }
    return remote{*std::move(base), *form,
                  text_of(options, "project", from_environment("MILLRACE_PROJECT", "default"))};
  }

  // The JSON of an answer below 400; its problem otherwise.
  result<json> ask(http::method verb, const std::string& target, std::string_view body = {},
                   const http::header_list& headers = {}) {
    auto answer = client_->send(verb, target, body, headers);
    if (!answer) {
      return std::move(answer).error();
    }
    if (answer->status >= 400) {
      return problem_of(*answer);
    }
    return json::parse(answer->body, nullptr, false);
  }

  static error problem_of(const http::client_response& answer) {
    auto problem = http::error_of_response(answer.status, answer.headers, answer.body);
    const auto document = json::parse(answer.body, nullptr, false);
    auto text = problem.text();
    if (document.is_object() && document.contains("errors")) {
      for (const auto& each : document["errors"]) {
        text += "\n  ";
        if (each.value("line", 0) > 0) {
          text += fmt::format("{}:{}: ", each.value("line", 0), each.value("column", 0));
        }
        text += each.value("detail", "");
      }
    }
    return {problem.code(), text};
  }

  [[nodiscard]] http::client& client() { return *client_; }
  [[nodiscard]] output_form form() const { return form_; }
  [[nodiscard]] std::string pipelines() const {
    return "/api/v1/projects/" + escaped(project_) + "/pipelines";
  }

private:
  remote(http::url base, output_form form, std::string project)
      : form_(form),
        project_(std::move(project)),
        clock_(std::make_unique<runtime::system_clock>()) {
    http::client_options options;
    options.base = std::move(base);
    client_ = std::make_unique<http::client>(std::move(options), *clock_);
  }

  output_form form_;
  std::string project_;
  std::unique_ptr<runtime::system_clock> clock_;
  std::unique_ptr<http::client> client_;
};

// --- output --------------------------------------------------------------------------------------

std::string cell_of(const json& row, const std::string& key) {
  if (!row.contains(key) || row[key].is_null()) {
    return "-";
  }
  const auto text = row[key].is_string() ? row[key].get<std::string>() : row[key].dump();
  return text.empty() ? "-" : text;
}

// Rows under their headings, or as JSON. `name_key`: what `-o name` prints.
void print_rows(output_form form, const json& rows, const std::vector<std::string>& columns,
                const std::string& name_key) {
  if (form == output_form::json) {
    std::cout << rows.dump(2) << '\n';
    return;
  }
  if (form != output_form::table) {
    for (const auto& row : rows) {
      std::cout << (form == output_form::jsonl ? row.dump() : cell_of(row, name_key)) << '\n';
    }
    return;
  }
  std::vector<std::size_t> widths;
  for (const auto& column : columns) {
    auto width = column.size();
    for (const auto& row : rows) {
      width = std::max(width, cell_of(row, column).size());
    }
    widths.push_back(width);
  }
  const auto print = [&](const auto& text_of_column) {
    std::string line;
    for (std::size_t at = 0; at < columns.size(); ++at) {
      const std::string text = text_of_column(columns[at]);
      line += text + std::string(at + 1 == columns.size() ? 0 : widths[at] + 2 - text.size(), ' ');
    }
    std::cout << line << '\n';
  };
  print([](std::string column) {
    std::transform(column.begin(), column.end(), column.begin(), ::toupper);
    return column;
  });
  for (const auto& row : rows) {
    print([&](const std::string& column) { return cell_of(row, column); });
  }
}

void print_one(output_form form, const json& object, const std::string& name_key) {
  if (form == output_form::json || form == output_form::jsonl) {
    std::cout << object.dump(form == output_form::json ? 2 : -1) << '\n';
    return;
  }
  if (form == output_form::name) {
    std::cout << cell_of(object, name_key) << '\n';
    return;
  }
  for (const auto& [key, value] : object.items()) {
    if (value.is_structured()) {
      std::cout << key << ":\n" << value.dump(2) << '\n';
    } else {
      std::cout << fmt::format("{:<16}{}\n", key + ":", cell_of(object, key));
    }
  }
}

// --- apply, submit -------------------------------------------------------------------------------

exit_code run_apply(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  // All are read before the first is sent, so that a mistake in the last leaves nothing half done.
  std::vector<std::pair<std::string, std::string>> texts;
  auto good = true;
  for (const auto& name : positional) {
    const auto text = read_file(name);
    if (!text) {
      return report(exit_code::usage, text.error().text());
    }
    const auto loaded = actors::load_definition(*text, name);
    if (!loaded) {
      std::cerr << actors::render(loaded.diagnostics, *text);
      good = false;
      continue;
    }
    texts.emplace_back(loaded.definition->name, *text);
  }
  if (!good) {
    return exit_code::usage;
  }
  http::header_list headers;
  if (options.count("if-version") > 0) {
    headers.add("If-Match", "\"" + options["if-version"].as<std::string>() + "\"");
  }
  for (const auto& [name, text] : texts) {
    const auto answer =
        server->ask(http::method::put, server->pipelines() + "/" + escaped(name), text, headers);
    if (!answer) {
      return report(answer.error());
    }
    if (server->form() == output_form::table) {
      std::cout << "pipeline " << name << " version " << (*answer)["version"]
                << ((*answer)["changed"].get<bool>() ? "" : " (unchanged)") << '\n';
    } else {
      auto row = *answer;
      row["name"] = name;
      print_one(server->form(), row, "name");
    }
  }
  return exit_code::ok;
}

exit_code code_of_state(const std::string& state) {
  return state == "succeeded"   ? exit_code::ok
         : state == "cancelled" ? exit_code::cancelled
                                : exit_code::run_failed;
}

// Follows the run's events, over broken connections too.
result<void> follow_events(remote& server, const std::string& run, progress& view) {
  std::string last;
  auto ended = false;
  for (int failures = 0; !ended;) {
    const auto answer = server.client().events(
        "/api/v1/runs/" + escaped(run) + "/events", last, [&](const http::received_event& event) {
          failures = 0;
          last = event.id;
          if (event.name == "end") {
            ended = true;
            return http::flow::stop;
          }
          if (const auto known = event_from_json(event.data)) {
            view.event(*known);
          }
          return http::flow::more;
        });
    if (answer && answer->status >= 400) {
      return remote::problem_of(*answer);
    }
    if (!answer && ++failures > reconnects_max) {
      return answer.error();
    }
  }
  return {};
}

exit_code watch(remote& server, const std::string& run, progress_mode mode) {
  progress view{mode};
  if (auto followed = follow_events(server, run, view); !followed) {
    return report(followed.error());
  }
  const auto status = server.ask(http::method::get, "/api/v1/runs/" + escaped(run));
  if (!status) {
    return report(status.error());
  }
  const auto tasks = (*status)["tasks"].value("total", 0);
  view.end((*status).value("state", ""), (*status).value("reason", ""),
           fmt::format("{} {}", tasks, tasks == 1 ? "task" : "tasks"));
  return code_of_state((*status).value("state", ""));
}

void add_submit_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("param,p", po::value<std::vector<std::string>>()->value_name("NAME=VALUE"),
                        "a parameter; may be repeated");
  options.add_options()("wait", "wait for the end; the exit code tells how the run ended");
  options.add_options()("watch", "the same, and show what happens");
  options.add_options()("logs", "the same, and print the output of the last tasks at the end");
  options.add_options()("idempotency-key", po::value<std::string>()->value_name("KEY"),
                        "submitting again with the same key gives the same run");
}

// The parameters as JSON of the types that the server's version wants.
result<std::string> typed_params(remote& server, const std::string& pipeline,
                                 const std::map<std::string, std::string>& given,
                                 std::optional<actors::pipeline_definition>& definition) {
  auto answer = server.ask(http::method::get, server.pipelines() + "/" + escaped(pipeline));
  if (!answer) {
    return std::move(answer).error();
  }
  auto loaded = actors::from_json((*answer)["definition"].dump());
  if (!loaded) {
    return std::move(loaded).error();
  }
  const auto bound = actors::bind_params(*loaded, given);
  if (!bound) {
    std::string text;
    for (const auto& each : bound.diagnostics) {
      text += (text.empty() ? "" : "\n  ") + each.text +
              (each.hint.empty() ? "" : " (" + each.hint + ")");
    }
    return error{errc::invalid_argument, text};
  }
  json params = json::object();
  for (const auto& [name, text] : given) {
    params[name] = json::parse(actors::to_json(bound.values.at(name)));
  }
  definition = *std::move(loaded);
  return json{{"params", params}}.dump();
}

exit_code print_last_outputs(remote& server, const std::string& run,
                             const actors::pipeline_definition& definition) {
  std::vector<std::string> needed;
  for (const auto& task : definition.tasks) {
    needed.insert(needed.end(), task.needs.begin(), task.needs.end());
  }
  const auto tasks = server.ask(http::method::get, "/api/v1/runs/" + escaped(run) + "/tasks");
  if (!tasks) {
    return report(tasks.error());
  }
  for (const auto& task : (*tasks)["tasks"]) {
    if (task["state"] != "succeeded" ||
        std::find(needed.begin(), needed.end(), task["task"].get<std::string>()) != needed.end()) {
      continue;
    }
    const auto answer =
        server.client().stream(http::method::get,
                               "/api/v1/runs/" + escaped(run) + "/tasks/" +
                                   escaped(task["name"].get<std::string>()) + "/logs",
                               {}, {}, [](std::string_view piece) {
                                 std::cout << piece;
                                 return http::flow::more;
                               });
    if (!answer) {
      return report(answer.error());
    }
  }
  std::cout.flush();
  return exit_code::ok;
}

exit_code run_submit(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  const auto given = params_of(options);
  if (!server || !given) {
    return report(server ? given.error() : server.error());
  }
  std::optional<actors::pipeline_definition> definition;
  const auto body = typed_params(*server, positional[0], *given, definition);
  if (!body) {
    return report(body.error());
  }
  http::header_list headers{{"Content-Type", "application/json"}};
  if (options.count("idempotency-key") > 0) {
    headers.add("Idempotency-Key", options["idempotency-key"].as<std::string>());
  }
  const auto answer =
      server->ask(http::method::post, server->pipelines() + "/" + escaped(positional[0]) + "/runs",
                  *body, headers);
  if (!answer) {
    return report(answer.error());
  }
  const auto run = (*answer)["run"].get<std::string>();
  const auto logs = options.count("logs") > 0;
  const auto waits = options.count("wait") > 0 || options.count("watch") > 0 || logs;
  if (!logs) {
    server->form() == output_form::table ? static_cast<void>(std::cout << run << std::endl)
                                         : print_one(server->form(), *answer, "run");
  }
  if (!waits) {
    return exit_code::ok;
  }
  const auto mode =
      options.count("watch") > 0 || logs ? *progress_mode_of("auto") : progress_mode::quiet;
  const auto code = watch(*server, run, mode);
  if (logs && code == exit_code::ok) {
    return print_last_outputs(*server, run, *definition);
  }
  return code;
}

// --- list, get, logs, watch ----------------------------------------------------------------------

void add_list_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("limit", po::value<std::uint32_t>()->value_name("N"),
                        "at most so many (default: 100)");
}

exit_code run_list(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto limit = options.count("limit") > 0
                         ? "?limit=" + std::to_string(options["limit"].as<std::uint32_t>())
                         : std::string{};
  const auto what = positional.empty() ? "pipelines" : positional[0];
  if (what == "pipelines" && positional.size() < 2) {
    const auto answer = server->ask(http::method::get, server->pipelines() + limit);
    if (!answer) {
      return report(answer.error());
    }
    print_rows(server->form(), (*answer)["pipelines"], {"name", "registered_at"}, "name");
  } else if (what == "runs" && positional.size() == 2) {
    const auto answer = server->ask(
        http::method::get, server->pipelines() + "/" + escaped(positional[1]) + "/runs" + limit);
    if (!answer) {
      return report(answer.error());
    }
    print_rows(server->form(), (*answer)["runs"],
               {"id", "state", "version", "created_at", "finished_at"}, "id");
  } else if (what == "tasks" && positional.size() == 2) {
    const auto answer =
        server->ask(http::method::get, "/api/v1/runs/" + escaped(positional[1]) + "/tasks" + limit);
    if (!answer) {
      return report(answer.error());
    }
    print_rows(server->form(), (*answer)["tasks"],
               {"name", "state", "attempt", "exit_code", "label", "reason"}, "name");
  } else {
    return report(exit_code::usage,
                  "list what? `list pipelines`, `list runs PIPELINE` or `list tasks RUN`");
  }
  return exit_code::ok;
}

exit_code get_and_print(const option_values& options, const std::string& target,
                        const std::string& name_key) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto answer = server->ask(http::method::get, target);
  if (!answer) {
    return report(answer.error());
  }
  print_one(server->form(), *answer, name_key);
  return exit_code::ok;
}

exit_code run_get(const option_values& options, const std::vector<std::string>& positional) {
  if (positional.size() == 2 && positional[0] == "pipeline") {
    const auto server = remote::open(options);
    return server
               ? get_and_print(options, server->pipelines() + "/" + escaped(positional[1]), "name")
               : report(server.error());
  }
  const auto& run =
      positional.size() == 2 && positional[0] == "run" ? positional[1] : positional[0];
  if (positional.size() == 2 && positional[0] != "run") {
    return get_and_print(
        options, "/api/v1/runs/" + escaped(run) + "/tasks/" + escaped(positional[1]), "name");
  }
  return get_and_print(options, "/api/v1/runs/" + escaped(run), "id");
}

void add_logs_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("follow,f", "go on as the log grows");
  options.add_options()("stderr", "the standard error instead of the standard output");
  options.add_options()("tail", po::value<std::uint32_t>()->value_name("LINES"),
                        "only the last lines");
  options.add_options()("attempt", po::value<std::uint32_t>()->value_name("N"),
                        "of this attempt (default: the latest)");
}

exit_code run_logs(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  std::string query = options.count("stderr") > 0 ? "?stream=stderr" : "?stream=stdout";
  query += options.count("follow") > 0 ? "&follow=true" : "";
  for (const auto* name : {"tail", "attempt"}) {
    if (options.count(name) > 0) {
      query += fmt::format("&{}={}", name, options[name].as<std::uint32_t>());
    }
  }
  const auto answer =
      server->client().stream(http::method::get,
                              "/api/v1/runs/" + escaped(positional[0]) + "/tasks/" +
                                  escaped(positional[1]) + "/logs" + query,
                              {}, {}, [](std::string_view piece) {
                                std::cout << piece << std::flush;
                                return std::cout ? http::flow::more : http::flow::stop;
                              });
  if (!answer) {
    return report(answer.error());
  }
  return answer->status >= 400 ? report(remote::problem_of(*answer)) : exit_code::ok;
}

void add_watch_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("progress", po::value<std::string>()->value_name("MODE"),
                        "auto (default), tty, plain, json or quiet");
}

exit_code run_watch(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto mode = progress_mode_of(text_of(options, "progress", "auto"));
  return mode ? watch(*server, positional[0], *mode)
              : report(exit_code::usage, "--progress must be auto, tty, plain, json or quiet");
}

// --- cancel, retry, actor ------------------------------------------------------------------------

void add_cancel_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("reason", po::value<std::string>()->value_name("TEXT"), "why");
}

exit_code run_cancel(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const json body{{"reason", text_of(options, "reason")}};
  const auto answer = server->ask(
      http::method::post, "/api/v1/runs/" + escaped(positional[0]) + "/cancel", body.dump());
  return answer ? exit_code::ok : report(answer.error());
}

exit_code run_retry(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto answer =
      server->ask(http::method::post, "/api/v1/runs/" + escaped(positional[0]) + "/retry");
  if (!answer) {
    return report(answer.error());
  }
  std::cerr << "retrying " << (*answer)["tasks"] << " task instances\n";
  return exit_code::ok;
}

void add_actor_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("idempotency-key", po::value<std::string>()->value_name("KEY"),
                        "the call takes effect once for this key");
}

exit_code run_actor(const option_values& options, const std::vector<std::string>& positional) {
  if (positional[0] != "call") {
    return report(exit_code::usage, "usage: millrace actor call TYPE KEY METHOD [JSON]");
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  http::header_list headers;
  if (options.count("idempotency-key") > 0) {
    headers.add("Idempotency-Key", options["idempotency-key"].as<std::string>());
  }
  const auto answer = server->ask(http::method::post,
                                  "/api/v1/actors/" + escaped(positional[1]) + "/" +
                                      escaped(positional[2]) + "/" + escaped(positional[3]),
                                  positional.size() > 4 ? positional[4] : "{}", headers);
  if (!answer) {
    return report(answer.error());
  }
  std::cout << answer->dump() << '\n';
  return exit_code::ok;
}

void add_apply_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("if-version", po::value<std::string>()->value_name("N"),
                        "only if this is the latest version");
}

}  // namespace

std::vector<command> server_commands() {
  return {
      {"apply", "FILE...", "give the server a pipeline's definition",
       "  millrace apply pipeline.yaml\n"
       "  millrace apply pipelines/*.yaml --project science\n",
       1, 10'000, add_apply_options, run_apply},
      {"submit", "PIPELINE [-p NAME=VALUE]... [--wait|--watch|--logs]", "start a run",
       "  millrace submit nightly -p day=monday\n"
       "  millrace submit nightly --watch\n",
       1, 1, add_submit_options, run_submit},
      {"list", "[pipelines | runs PIPELINE | tasks RUN]", "list pipelines, runs or tasks",
       "  millrace list\n  millrace list runs nightly -o json\n", 0, 2, add_list_options, run_list},
      {"get", "RUN [TASK] | pipeline NAME", "show a run, one of its tasks, or a pipeline",
       "  millrace get 0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b\n"
       "  millrace get pipeline nightly -o json\n",
       1, 2, add_server_options, run_get},
      {"logs", "RUN TASK [-f]", "print what a task wrote",
       "  millrace logs RUN build -f\n  millrace logs RUN 'count[3]' --stderr --tail 20\n", 2, 2,
       add_logs_options, run_logs},
      {"watch", "RUN", "follow a run to its end",
       "  millrace watch RUN\n  millrace watch RUN --progress json\n", 1, 1, add_watch_options,
       run_watch},
      {"cancel", "RUN [--reason TEXT]", "end a run", "  millrace cancel RUN --reason 'wrong day'\n",
       1, 1, add_cancel_options, run_cancel},
      {"retry", "RUN", "run again what did not succeed", "  millrace retry RUN\n", 1, 1,
       add_server_options, run_retry},
      {"actor", "call TYPE KEY METHOD [JSON]", "call any actor",
       "  millrace actor call run RUN status\n"
       "  millrace actor call pool default status\n",
       4, 5, add_actor_options, run_actor},
  };
}

}  // namespace millrace::gateway::cli
