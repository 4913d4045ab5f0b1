// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "cli/closing.h"
#include "cli/describe.h"
#include "cli/terminal_text.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::result;

namespace {
constexpr std::uint32_t lines_shown = 10;
}  // namespace

// --- pieces --------------------------------------------------------------------------------------

std::string text_in(const ordered_json& of, const char* key) {
  const auto found = of.find(key);
  return found == of.end() || found->is_null() ? std::string{}
         : found->is_string()                  ? found->get<std::string>()
                                               : found->dump();
}

void line(std::string_view title, const std::string& text) {
  if (!text.empty()) {
    std::cout << fmt::format("{:<14}{}\n", fmt::format("{}:", title), printable(text));
  }
}

void heading(const std::string& title) {
  std::cout << '\n' << printable(title) << ":\n";
}

namespace {

// In place of a text that is not in the answer.
std::string kept_text(const ordered_json& kept) {
  return fmt::format("({} bytes, SHA-256 {}: `millrace get RUN TASK --text NAME`)",
                     kept.value("size", std::uint64_t{0}), text_in(kept, "digest"));
}

}  // namespace

void print_values(const std::string& title, const ordered_json& values) {
  if (values.empty()) {
    return;
  }
  heading(title);
  for (const auto& [key, content] : values.items()) {
    const auto kept = values.is_array() ? content.value("kept", ordered_json{}) : ordered_json{};
    const auto shown = kept.is_object()    ? ordered_json(kept_text(kept))
                       : values.is_array() ? content.at("value")
                                           : content;
    const auto name = values.is_array() ? text_in(content, "name") : key;
    std::cout << "  "
              << printable(name + " = " +
                           (shown.is_string() ? shown.get<std::string>() : shown.dump()))
              << '\n';
  }
}

std::string quoted(const std::string& word) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) {
    return word;
  }
  std::string made = "'";
  for (const auto each : word) {
    made += each == '\'' ? std::string{"'\\''"} : std::string(1, each);
  }
  return made + "'";
}

std::string typed(const asker& by, const next_command& next) {
  auto text = "millrace " + next.words;
  const auto add = [&text](const std::string& option, const std::string& value) {
    text += fmt::format(" --{} {}", option, quoted(value));
  };
  if (!next.project.empty() &&
      (by.options.count("project") > 0 || next.project != by.server.project())) {
    add("project", next.project);
  }
  for (const auto* each :
       {"server", "context", "token-file", "ca", "client-certificate", "client-key"}) {
    if (by.options.count(each) > 0) {
      add(each, text_of(by.options, each));
    }
  }
  return printable(text);
}

void print_commands(const asker& by, const std::vector<next_command>& commands) {
  heading("Next");
  for (const auto& each : commands) {
    std::cout << "  " << typed(by, each) << '\n';
  }
}

void print_end(remote& server, const std::string& run, const attempt_output& whose) {
  remote_logs logs{server};
  for (const auto& [title, stream] :
       {std::pair{"standard output", actors::output_stream::standard_output},
        {"standard error", actors::output_stream::standard_error}}) {
    std::string text;
    std::ignore = logs.read(run, whose, stream, lines_shown, [&text](std::string_view piece) {
      text += piece;
      return true;
    });
    if (text.ends_with('\n')) {
      text.pop_back();
    }
    if (text.empty()) {
      continue;
    }
    std::cout << "  " << title << ", the end:\n    ";
    for (const auto each : printable_lines(text)) {
      std::cout << each << (each == '\n' ? "    " : "");
    }
    std::cout << '\n';
  }
}

std::string in_words(const std::string& word, const std::string& reason) {
  return reason.empty() ? word : word + ": " + reason;
}

bool has_failed(const std::string& state) {
  return state == "failed" || state == "errored" || state == "timed_out" || state == "lost";
}

bool goes_on(const std::string& state) {
  return state == "running" || state == "queued";
}

bool has_ended(const std::string& state) {
  return has_failed(state) || state == "succeeded" || state == "cached" || state == "cancelled" ||
         state == "skipped" || state == "upstream_failed";
}

bool has_attempt(const ordered_json& task) {
  return task.value("attempt", 0U) > 0 && text_in(task, "cached_from").empty();
}

bool is_hook(const std::string& task) {
  const auto word = task.substr(task.rfind('.') + 1);  // all of it where there is no dot
  return word == "on_success" || word == "on_failure" || word == "on_cancel" || word == "finally";
}

result<void> look_through(remote& server, const std::string& target, std::string after,
                          std::size_t per_page,
                          const std::function<bool(const ordered_json&)>& goes_on) {
  do {
    const auto page = server.ask(http::method::get,
                                 fmt::format("{}/tasks?limit={}{}", target, per_page,
                                             after.empty() ? "" : "&cursor=" + escaped(after)));
    if (!page) {
      return page.error();
    }
    for (const auto& row : page->at("tasks")) {
      if (!goes_on(row)) {
        return {};
      }
    }
    after = page->value("next_cursor", "");
  } while (!after.empty());
  return {};
}

bool waits_for_approval(const ordered_json& task) {
  return text_in(task, "state") == "running" &&
         text_in(task, "reason").starts_with("waits for approval");
}

// --- the command ---------------------------------------------------------------------------------

namespace {

void add_describe_options(po::options_description& options) {
  add_server_option(options);
  add_project_option(options);
}

exit_code run_describe(const option_values& options, const std::vector<std::string>& words) {
  const auto& what = words[0];
  const auto fits = what == "task" ? words.size() == 3
                                   : (what == "pipeline" || what == "run") && words.size() == 2;
  const auto has_empty =
      std::any_of(words.begin(), words.end(), [](const std::string& word) { return word.empty(); });
  if (!fits || has_empty) {
    return report(exit_code::usage,
                  "describe what? `describe pipeline NAME`, `describe run RUN` or `describe task "
                  "RUN TASK`");
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const asker by{*server, options};
  if (what == "pipeline") {
    return describe_pipeline(by, words[1]);
  }
  const auto run = server->run_of(words[1]);
  if (!run) {
    return report(run.error());
  }
  return what == "run" ? describe_run(by, *run) : describe_task(by, *run, words[2]);
}

}  // namespace

command describe_command() {
  return {"describe",
          "pipeline NAME | run RUN | task RUN TASK",
          "tell of one how it is, why, and what to do next",
          "  millrace describe run @latest\n"
          "  millrace describe task @latest 'count[3]'      one of a fan-out; `count`: all of it\n"
          "  millrace describe pipeline nightly\n",
          2,
          3,
          add_describe_options,
          run_describe};
}

}  // namespace millrace::gateway::cli
