// SPDX-License-Identifier: MIT
// Commands that need no server: run, dev, validate.
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <charconv>
#include <iostream>
#include <set>

#include "api/api.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/params.h"
#include "millrace/actors/process_log.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/json.h"
#include "node/node.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::ref;
using runtime::result;

namespace {

constexpr const char* data_default = ".millrace";
constexpr const char* listen_default = "127.0.0.1:8400";
constexpr std::uint32_t look_ms = 250;       // between two looks at the clock and at Ctrl-C
constexpr std::uint32_t slots_max = 10'000;  // each may be a process; more than a machine starts
constexpr std::size_t failure_lines = 20;

std::string count_of(const char* what, unsigned count) {
  return std::to_string(count) + " " + what;
}

std::string task_summary(schemas::TaskCounts::Reader counts) {
  std::string text = count_of(counts.getTotal() == 1 ? "task" : "tasks", counts.getTotal());
  const auto add = [&](unsigned count, const char* what) {
    if (count > 0) {
      text += (text.find(':') == std::string::npos ? ": " : ", ") + count_of(what, count);
    }
  };
  add(counts.getSucceeded(), "succeeded");
  add(counts.getFailed(), "failed");
  add(counts.getUpstreamFailed(), "not started");
  add(counts.getSkipped(), "skipped");
  add(counts.getCancelled(), "cancelled");
  return text;
}

void print_mistakes(const std::vector<actors::diagnostic>& mistakes, const std::string& source) {
  std::cerr << actors::render(mistakes, source);
}

// The values as a JSON object, for the submission.
std::string json_of(const actors::bound_params& params) {
  std::string text = "{";
  for (const auto& [name, content] : params.values) {
    if (!content.is_null()) {
      text += (text.size() > 1 ? ",\"" : "\"") + name + "\":" + actors::to_json(content);
    }
  }
  return text + "}";
}

// --- the node of this process
// ---------------------------------------------------------------------

void add_node_options(po::options_description& options) {
  options.add_options()("data", po::value<std::string>()->value_name("DIR"),
                        "where state, logs and workspaces go (default: .millrace)");
  options.add_options()("slots", po::value<std::string>()->value_name("N"),
                        "attempts at a time (default: the number of processors)");
}

result<std::unique_ptr<node>> open_node(const option_values& options) {
  const auto slots = number_of(options, "slots", 0, slots_max);
  if (!slots) {
    return slots.error();
  }
  node_options setup;
  setup.data_directory = text_of(options, "data", data_default);
  setup.slots = *slots;
  return node::open(setup);
}

// --- run -----------------------------------------------------------------------------------------

// A run in this process, from submission to its last line.
class local_run {
public:
  local_run(node& here, const actors::pipeline_definition& definition, progress& view)
      : here_(here), definition_(definition), view_(view) {}

  result<void> submit(const std::string& params) {
    const auto pipeline = ref<schemas::Pipeline>("default/" + definition_.name);
    if (auto applied = here_.silo().call(pipeline.apply(actors::to_json(definition_), 0));
        !applied) {
      return std::move(applied).error();
    }
    schemas::pipeline_interface::submit_params submission;
    submission.build().setParams(params.c_str());
    auto answer = here_.silo().call(pipeline.submit(std::move(submission)));
    if (!answer) {
      return std::move(answer).error();
    }
    run_ = answer->run();
    view_.begin(definition_.name, run_);
    return {};
  }

  exit_code follow() {
    std::uint64_t after = 0;
    auto cancelled = false;
    for (;;) {
      if (interrupts() > 0 && !std::exchange(cancelled, true)) {
        view_.line("cancelling; press Ctrl-C twice more to leave at once");
        static_cast<void>(here_.silo().call(ref<schemas::Run>(run_).cancel("interrupted")));
      }
      auto page = here_.silo().call(ref<schemas::Run>(run_).events(after, look_ms, 0));
      if (!page) {
        if (page.error().code() == runtime::errc::not_found) {
          continue;  // the run's first message is on its way
        }
        return report(page.error());
      }
      for (auto event : page->events()) {
        after = event.getSequence();
        if (const auto known = event_from_json(runtime::to_json_text(event))) {
          view_.event(*known);
        }
      }
      if (page->ended()) {
        break;
      }
      view_.tick();
    }
    return finish(cancelled);
  }

private:
  exit_code finish(bool interrupted) {
    const auto status = here_.silo().call(ref<schemas::Run>(run_).status());
    if (!status) {
      return report(status.error());
    }
    const auto run = status->run();
    const auto failed = run.getState() != schemas::RunState::SUCCEEDED;
    if (failed) {
      show_failures();
    }
    view_.end(state_name(run.getState()), run.getReason().cStr(), task_summary(run.getTasks()));
    if (!failed) {
      print_answers();
      return exit_code::ok;
    }
    return interrupted                                      ? exit_code::interrupted
           : run.getState() == schemas::RunState::CANCELLED ? exit_code::cancelled
                                                            : exit_code::run_failed;
  }

  static std::string state_name(schemas::RunState state) {
    constexpr const char* words[] = {"running", "succeeded", "failed", "cancelled", "timed_out"};
    return words[static_cast<std::size_t>(state)];
  }

  template <class Visit>
  void for_each_task(Visit&& visit) {
    std::string after;
    do {
      const auto page = here_.silo().call(ref<schemas::Run>(run_).tasks(after, 0));
      if (!page) {
        return;
      }
      for (auto task : page->tasks()) {
        visit(task);
      }
      after = page->next();
    } while (!after.empty());
  }

  // The end of what failed tasks wrote to their standard error.
  void show_failures() {
    for_each_task([this](schemas::TaskStatus::Reader task) {
      const auto state = task.getState();
      const auto bad = state == schemas::TaskState::FAILED ||
                       state == schemas::TaskState::ERRORED ||
                       state == schemas::TaskState::TIMED_OUT;
      if (!bad || task.getAttempt() == 0) {
        return;
      }
      const auto logs = here_.host().logs_of(run_, task.getName().cStr(), task.getAttempt());
      const auto tail =
          actors::tail_log_lines(logs.standard_error, failure_lines, std::size_t{64} << 10U);
      if (tail && !tail->bytes.empty()) {
        view_.line("--- " + std::string{task.getName().cStr()} + ": end of standard error (" +
                   logs.standard_error.string() + ")");
        auto text = actors::to_utf8(tail->bytes);
        if (text.ends_with('\n')) {
          text.pop_back();
        }
        view_.line(text);
      }
    });
  }

  // What the last tasks wrote to their standard output is the answer of the pipeline.
  void print_answers() {
    std::set<std::string, std::less<>> needed;
    for (const auto& task : definition_.tasks) {
      needed.insert(task.needs.begin(), task.needs.end());
    }
    for_each_task([&](schemas::TaskStatus::Reader task) {
      if (task.getState() != schemas::TaskState::SUCCEEDED ||
          needed.contains(std::string_view{task.getTask().cStr()})) {
        return;
      }
      const auto file =
          here_.host().logs_of(run_, task.getName().cStr(), task.getAttempt()).standard_output;
      std::uint64_t offset = 0;
      for (;;) {
        const auto chunk = actors::read_log(file, offset, std::size_t{64} << 10U);
        if (!chunk || chunk->bytes.empty()) {
          break;
        }
        offset = chunk->next_offset;
        std::cout << chunk->bytes;
      }
    });
    std::cout.flush();
  }

  node& here_;
  const actors::pipeline_definition& definition_;
  progress& view_;
  std::string run_;
};

void add_run_options(po::options_description& options) {
  options.add_options()("param,p", po::value<std::vector<std::string>>()->value_name("NAME=VALUE"),
                        "a parameter; may be repeated");
  add_node_options(options);
  options.add_options()("progress", po::value<std::string>()->value_name("MODE"),
                        "auto (default), tty, plain, json or quiet");
}

exit_code run_file(const option_values& options, const std::vector<std::string>& positional) {
  const auto mode = progress_mode_of(text_of(options, "progress", "auto"));
  if (!mode) {
    return report(exit_code::usage, "--progress must be auto, tty, plain, json or quiet");
  }
  const auto given = params_of(options);
  if (!given) {
    return report(given.error());
  }
  const auto text = read_file(positional[0]);
  if (!text) {
    return report(exit_code::usage, text.error().text());
  }
  const auto loaded = actors::load_definition(*text, positional[0]);
  if (!loaded) {
    print_mistakes(loaded.diagnostics, *text);
    return exit_code::usage;
  }
  const auto bound = actors::bind_params(*loaded.definition, *given);
  if (!bound) {
    for (const auto& each : bound.diagnostics) {
      std::cerr << "millrace: " << each.text << (each.hint.empty() ? "" : " (" + each.hint + ")")
                << '\n';
    }
    return exit_code::usage;
  }
  const auto here = open_node(options);
  if (!here) {
    return report(here.error());
  }
  watch_interrupts();
  progress view{*mode};
  local_run run{**here, *loaded.definition, view};
  if (auto submitted = run.submit(json_of(bound)); !submitted) {
    return report(submitted.error());
  }
  const auto code = run.follow();
  (*here)->stop();
  return code;
}

// --- dev -----------------------------------------------------------------------------------------

void add_dev_options(po::options_description& options) {
  options.add_options()("listen", po::value<std::string>()->value_name("ADDRESS:PORT"),
                        "where to serve (default: 127.0.0.1:8400; port 0: any free one)");
  add_node_options(options);
  options.add_options()("insecure", "allow an address that is not loopback, without TLS or tokens");
}

// `127.0.0.1:8400`, `localhost:8400`, `[::1]:8400`, `:8400`.
result<http::server_options> listen_options(const std::string& text, bool insecure) {
  const auto refused = [&](const std::string& why) {
    return runtime::error{runtime::errc::invalid_argument, "--listen '" + text + "': " + why};
  };
  const auto colon = std::min(text.rfind(':'), text.size());
  const auto digits = text.substr(std::min(colon + 1, text.size()));
  const auto* end = digits.data() + digits.size();
  http::server_options made;
  if (const auto [after, failure] = std::from_chars(digits.data(), end, made.port);
      failure != std::errc{} || after != end) {
    return refused("write it like 127.0.0.1:8400");
  }
  auto host = text.substr(0, colon);
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  made.address = host.empty() || host == "localhost" ? "127.0.0.1" : host;
  boost::system::error_code failed;
  const auto address = boost::asio::ip::make_address(made.address, failed);
  if (failed) {
    return refused("'" + host + "' is no IP address; only the name localhost is understood");
  }
  if (!address.is_loopback() && !insecure) {
    return refused(
        "anyone who reaches it could run commands here: keep to 127.0.0.1, or say "
        "--insecure");
  }
  return made;
}

exit_code run_dev(const option_values& options, const std::vector<std::string>&) {
  auto listen =
      listen_options(text_of(options, "listen", listen_default), options.count("insecure") > 0);
  if (!listen) {
    return report(listen.error());
  }
  const auto here = open_node(options);
  if (!here) {
    return report(here.error());
  }
  watch_interrupts();
  file_thread files;
  api_parts parts{(*here)->silo(), (*here)->host(), files, {}};
  http::router routes;
  add_api(routes, parts);
  const runtime::system_clock clock;
  http::server server{*listen, routes.as_handler(), clock};
  const auto port = server.start();
  if (!port) {
    return report(exit_code::conflict, port.error().text());
  }
  parts.probe = [&server] { return server.probe(); };
  const auto host = listen->address.find(':') == std::string::npos ? listen->address
                                                                   : "[" + listen->address + "]";
  std::cerr << "millrace: serving on http://" << host << ":" << *port << ", data in "
            << (*here)->data_directory().string() << "; stop with Ctrl-C\n";
  wait_for_interrupt();
  std::cerr << "millrace: stopping\n";
  server.stop(std::chrono::seconds{5});
  (*here)->stop();
  return exit_code::ok;
}

// --- validate ------------------------------------------------------------------------------------

exit_code run_validate(const option_values& options, const std::vector<std::string>& positional) {
  const auto form = form_of(options);
  if (!form) {
    return report(form.error());
  }
  auto code = exit_code::ok;
  for (const auto& name : positional) {
    const auto text = read_file(name);
    if (!text) {
      code = report(exit_code::usage, text.error().text());
      continue;
    }
    const auto loaded = actors::load_definition(*text, name);
    if (!loaded) {
      print_mistakes(loaded.diagnostics, *text);
      code = exit_code::usage;
    } else if (*form == output_form::json || *form == output_form::jsonl) {
      std::cout << actors::to_json(*loaded.definition) << '\n';
    } else if (*form == output_form::name) {
      std::cout << loaded.definition->name << '\n';
    } else {
      std::cout << name << ": ok, pipeline " << loaded.definition->name << " with "
                << count_of(loaded.definition->tasks.size() == 1 ? "task" : "tasks",
                            static_cast<unsigned>(loaded.definition->tasks.size()))
                << '\n';
    }
  }
  return code;
}

}  // namespace

std::vector<command> local_commands() {
  return {
      {"run", "FILE [-p NAME=VALUE]...", "run a pipeline here, without a server",
       "  millrace run pipeline.yaml\n"
       "  millrace run pipeline.yaml -p day=monday --progress plain\n"
       "  millrace run - < pipeline.yaml\n",
       1, 1, add_run_options, run_file},
      {"dev", "[--listen ADDRESS:PORT]", "serve the HTTP API in the foreground",
       "  millrace dev\n"
       "  millrace dev --listen 127.0.0.1:0 --data /tmp/try\n",
       0, 0, add_dev_options, run_dev},
      {"validate", "FILE...", "check definitions, start nothing",
       "  millrace validate pipelines/*.yaml\n"
       "  millrace validate pipeline.yaml -o json      the canonical form\n",
       1, 10'000, add_output_option, run_validate},
  };
}

}  // namespace millrace::gateway::cli
