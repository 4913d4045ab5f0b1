// SPDX-License-Identifier: MIT
// Commands that act on what a server runs: cancel, retry, approve, pause, resume, delete,
// dead-letters.
#include <fmt/format.h>

#include <iostream>
#include <optional>

#include "cli/command.h"
#include "cli/remote.h"
#include "cli/terminal_text.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

void add_run_options(po::options_description& options) {
  add_server_option(options);
  add_project_option(options);
}

void add_cancel_options(po::options_description& options) {
  add_run_options(options);
  options.add_options()("reason", po::value<std::string>()->value_name("TEXT"), "why")(
      "force", po::bool_switch(), "end hooks and tasks with `run_on: always` too");
}

void add_retry_options(po::options_description& options) {
  add_run_options(options);
  options.add_options()("from", po::value<std::string>()->value_name("TASK"),
                        "also start this task again, with what needs it")(
      "dry-run", po::bool_switch(), "only print what would start again")(
      "latest", po::bool_switch(),
      "go on with the latest version of the definition: what is new or changed in it starts "
      "again too")("version", po::value<std::string>()->value_name("N"), "the same with version N");
}

struct answer_of_one {
  std::string which;  // the one that was meant
  ordered_json said;
};

// Asks something of the run that `word` means.
runtime::result<answer_of_one> ask_run(remote& server, http::method verb, const std::string& word,
                                       const std::string& action = {},
                                       const std::string& body = {}) {
  const auto run = server.run_of(word);
  if (!run) {
    return run.error();
  }
  auto said = server.ask(verb, "/api/v1/runs/" + escaped(*run) + action, body);
  if (!said) {
    return std::move(said).error();
  }
  return answer_of_one{printable(*run), *std::move(said)};
}

runtime::result<answer_of_one> ask_pipeline(remote& server, http::method verb,
                                            const std::string& name,
                                            const std::string& action = {}) {
  auto said = server.ask(verb, server.pipelines() + "/" + escaped(name) + action);
  if (!said) {
    return std::move(said).error();
  }
  return answer_of_one{printable(name), *std::move(said)};
}

exit_code run_cancel(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto body =
      ordered_json{{"reason", text_of(options, "reason")}, {"force", options["force"].as<bool>()}}
          .dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  const auto answer = ask_run(*server, http::method::post, positional[0], "/cancel", body);
  if (!answer) {
    return report(answer.error());
  }
  std::cerr << "cancelling run " << answer->which << '\n';
  return exit_code::ok;
}

exit_code run_retry(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const bool is_dry = options["dry-run"].as<bool>();
  auto wanted = ordered_json::object();  // what is not asked for, an earlier version need not know
  if (options.count("from") > 0) {
    wanted["from"] = text_of(options, "from");
    if (wanted["from"] == "") {
      return report(exit_code::usage, "--from wants the name of a task");
    }
  }
  if (is_dry) {
    wanted["dry_run"] = true;
  }
  const auto version = number_of(options, "version", 0);
  if (!version) {
    return report(version.error());
  }
  const bool is_latest = options["latest"].as<bool>();
  if (is_latest && options.count("version") > 0) {
    return report(exit_code::usage, "either --latest or --version, not both");
  }
  if (is_latest) {
    wanted["latest"] = true;
  } else if (options.count("version") > 0) {
    wanted["version"] = *version;
  }
  const auto body = wanted.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  const auto answer =
      ask_run(*server, http::method::post, positional[0], "/retry", wanted.empty() ? "" : body);
  if (!answer) {
    return report(answer.error());
  }
  std::cerr << (is_dry ? "would retry " : "retrying ") << answer->said.at("tasks")
            << (answer->said.at("tasks") == 1 ? " task instance" : " task instances") << " of run "
            << answer->which;
  if (const auto with = answer->said.find("version");
      with != answer->said.end() && with->is_number()) {
    std::cerr << " with version " << *with;
  }
  std::cerr << '\n';
  if (is_dry) {
    for (const auto& each : answer->said.at("names")) {
      std::cout << printable(each.get<std::string>()) << '\n';
    }
  }
  return exit_code::ok;
}

void add_approve_options(po::options_description& options) {
  add_run_options(options);
  options.add_options()("reject", po::bool_switch(), "answer with no: the task fails")(
      "comment", po::value<std::string>()->value_name("TEXT"), "what others may want to know");
}

exit_code run_approve(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const bool rejects = options["reject"].as<bool>();
  const auto body = ordered_json{{"comment", text_of(options, "comment")}}.dump(
      -1, ' ', false, ordered_json::error_handler_t::replace);
  const auto answer =
      ask_run(*server, http::method::post, positional[0],
              "/tasks/" + escaped(positional[1]) + (rejects ? "/reject" : "/approve"), body);
  if (!answer) {
    return report(answer.error());
  }
  std::cerr << (rejects ? "rejected " : "approved ") << printable(positional[1]) << " of run "
            << answer->which << '\n';
  return exit_code::ok;
}

// What a command does to each of the runs or pipelines that are named.
struct deed {
  std::string_view command;
  std::string_view done;
  http::method verb;
  std::string action;
};

exit_code do_to_each(const option_values& options, const std::vector<std::string>& positional,
                     const deed& wanted) {
  const auto& what = positional[0];
  if ((what != "run" && what != "pipeline") || positional.size() < 2) {
    return report(exit_code::usage, fmt::format("usage: millrace {0} run RUN... | millrace {0} "
                                                "pipeline NAME...",
                                                wanted.command));
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  auto ended = exit_code::ok;  // as the first that failed has it
  for (auto name = positional.begin() + 1; name != positional.end(); ++name) {
    const auto answer = what == "run" ? ask_run(*server, wanted.verb, *name, wanted.action)
                                      : ask_pipeline(*server, wanted.verb, *name, wanted.action);
    if (answer) {
      std::cerr << wanted.done << ' ' << what << ' ' << answer->which << '\n';
    } else {
      const auto why = report(answer.error());
      ended = ended == exit_code::ok ? why : ended;
    }
  }
  return ended;
}

exit_code run_delete(const option_values& options, const std::vector<std::string>& positional) {
  return do_to_each(options, positional, {"delete", "deleted", http::method::del, ""});
}

exit_code run_pause(const option_values& options, const std::vector<std::string>& positional) {
  return do_to_each(options, positional, {"pause", "paused", http::method::post, "/pause"});
}

exit_code run_resume(const option_values& options, const std::vector<std::string>& positional) {
  return do_to_each(options, positional, {"resume", "resumed", http::method::post, "/resume"});
}

// --- dead-letters --------------------------------------------------------------------------------

constexpr std::uint32_t dead_letters_default = 100;
constexpr std::uint32_t dead_letters_max = 1'000'000;
constexpr const char* dead_letters_path = "/api/v1/dead-letters";

void add_dead_letters_options(po::options_description& options) {
  add_server_option(options);
  add_rows_options(options);
  options.add_options()("limit", po::value<std::string>()->value_name("N"),
                        "list at most so many (default: 100)")(
      "silo", po::value<std::string>()->value_name("NAME"),
      "list those of this silo of the cluster");
}

exit_code list_dead_letters(remote& server, const std::string& silo, std::uint32_t limit) {
  auto rows = ordered_json::array();
  const auto more = server.for_each_row(
      dead_letters_path + (silo.empty() ? "" : "?silo=" + escaped(silo)), "dead_letters", limit,
      [&rows](const ordered_json& row) -> runtime::result<void> {
        rows.push_back(row);
        return {};
      },
      [](const ordered_json& page) { tell_missing_silos(page, "dead letters"); });
  if (!more) {
    return report(more.error());
  }
  print_rows(server.style(), rows, {"id", "target", "method", "silo", "error"});
  if (*more) {
    std::cerr << "millrace: there are more than " << limit << "\n";
  }
  return exit_code::ok;
}

// `TYPE/KEY/NUMBER`, where a key may have slashes too.
std::optional<std::string> dead_letter_path(const std::string& id) {
  const auto type_end = id.find('/');
  const auto key_end = id.rfind('/');
  if (type_end == key_end) {
    return std::nullopt;
  }
  return fmt::format("{}/{}/{}/{}", dead_letters_path, escaped(id.substr(0, type_end)),
                     escaped(id.substr(type_end + 1, key_end - type_end - 1)),
                     escaped(id.substr(key_end + 1)));
}

exit_code run_dead_letters(const option_values& options,
                           const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  const auto limit = number_of(options, "limit", dead_letters_default, dead_letters_max);
  if (!server || !limit) {
    return report(server ? limit.error() : server.error());
  }
  const auto word = positional.empty() ? std::string{"list"} : positional[0];
  if (word == "list" && positional.size() < 2) {
    return list_dead_letters(*server, text_of(options, "silo"), *limit);
  }
  if ((word != "retry" && word != "drop") || positional.size() < 2) {
    return report(exit_code::usage,
                  "usage: millrace dead-letters [list | retry ID... | drop ID...]");
  }
  if (const auto fitting =
          refuse(options, {"silo", "limit", "output", "no-headers"}, "dead-letters " + word);
      !fitting) {
    return report(fitting.error());
  }
  for (auto id = positional.begin() + 1; id != positional.end(); ++id) {
    const auto path = dead_letter_path(*id);
    if (!path) {
      return report(exit_code::usage, "'" + *id +
                                          "' is no id of a dead letter; `millrace dead-letters` "
                                          "lists them");
    }
    const auto answer = word == "retry" ? server->ask(http::method::post, *path + "/retry")
                                        : server->ask(http::method::del, *path);
    if (!answer) {
      return report(answer.error());
    }
  }
  return exit_code::ok;
}

}  // namespace

std::vector<command> control_commands() {
  return {
      {"cancel", "RUN [--reason TEXT] [--force]", "end a run",
       "  millrace cancel RUN --reason 'wrong day'\n"
       "  millrace cancel RUN --force\n",
       1, 1, add_cancel_options, run_cancel},
      {"retry", "RUN", "run again what did not succeed, and what needs it",
       "  millrace retry @latest\n"
       "  millrace retry @latest --from build --dry-run\n",
       1, 1, add_retry_options, run_retry},
      {"approve", "RUN TASK", "answer a task that waits for approval",
       "  millrace approve @latest release --comment 'as agreed'\n"
       "  millrace approve @latest release --reject\n",
       2, 2, add_approve_options, run_approve},
      {"pause", "run RUN... | pipeline NAME...",
       "start nothing more of runs, or begin no run of pipelines",
       "  millrace pause run @latest\n"
       "  millrace pause pipeline nightly       what is submitted, or due, waits\n",
       1, 1'001, add_run_options, run_pause},
      {"resume", "run RUN... | pipeline NAME...", "let what is paused go on",
       "  millrace resume run @latest\n"
       "  millrace resume pipeline nightly\n",
       1, 1'001, add_run_options, run_resume},
      {"delete", "run RUN... | pipeline NAME...",
       "delete ended runs with their files, or pipelines with all their runs",
       "  millrace delete run RUN\n"
       "  millrace delete pipeline nightly\n"
       "  millrace list runs nightly --state failed -o name | xargs millrace delete run\n",
       1, 1'001, add_run_options, run_delete},
      {"dead-letters", "[list | retry ID... | drop ID...]", "tend messages that were given up",
       "  millrace dead-letters\n"
       "  millrace dead-letters retry pipeline/default/nightly/7\n"
       "  millrace dead-letters list -o name | xargs -d '\\n' millrace dead-letters drop\n",
       0, 1'001, add_dead_letters_options, run_dead_letters},
  };
}

}  // namespace millrace::gateway::cli
