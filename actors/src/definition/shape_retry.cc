// SPDX-License-Identifier: MIT
// `retry`: a number of attempts, `never`, or every field of the policy; and which exit codes are no
// failure at all.
#include <algorithm>

#include "definition/shape.h"

namespace millrace::actors {

namespace {

constexpr std::string_view example = "write `retry: 3`, `retry: never` or a map";

void read_attempts(shape_context& to, const cursor& where, retry_policy& into) {
  if (const auto count = to.in.read_int(where, 1, retry_attempts_max, example)) {
    into.max_attempts = static_cast<std::uint32_t>(*count);
  }
}

void read_exit_codes(shape_context& to, const std::optional<cursor>& where, std::int64_t least,
                     std::vector<std::uint8_t>& into) {
  constexpr std::int64_t exit_code_max = 255;
  if (!where) {
    return;
  }
  into.clear();
  const auto add = [&](const cursor& each) {
    if (const auto code = to.in.read_int(each, least, exit_code_max, "write it like `75`")) {
      into.push_back(static_cast<std::uint8_t>(*code));
    }
  };
  if (where->node->kind != yaml_kind::sequence) {
    add(*where);
  } else if (where->node->items.empty()) {
    to.in.report(*where, "the list is empty", "name exit codes, or remove it");
  } else {
    for (const auto& each : to.in.elements(*where)) {
      add(each);
    }
  }
  std::sort(into.begin(), into.end());
  into.erase(std::unique(into.begin(), into.end()), into.end());
}

bool has(const std::vector<std::uint8_t>& codes, std::uint8_t code) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

// What `read_commands` makes of a map that has `run` or `command`.
void read_policy(shape_context& to, const cursor& where, retry_policy& into,
                 const std::function<void(const field_map&)>& read_commands) {
  if (where.node->kind == yaml_kind::scalar) {
    if (where.node->text == "never") {
      into = {};
      into.on_lost = lost_attempt::give_up;
    } else {
      into.on_lost = lost_attempt::start_again;
      read_attempts(to, where, into);
    }
    return;
  }
  const auto fields =
      read_fields(to, where, "a number or a map", std::string{example}, retry_keys());
  if (!fields) {
    return;
  }
  into.on_lost = lost_attempt::start_again;  // lifts a `never` of `defaults`
  if (const auto attempts = fields->at("max_attempts")) {
    read_attempts(to, *attempts, into);
  }
  if (const auto delay = fields->at("delay")) {
    into.delay = to.in.read_duration(*delay, zero_duration::allowed).value_or(into.delay);
  }
  if (const auto factor = fields->at("backoff")) {
    into.backoff = to.in.read_number(*factor, 1, 100, "write it like `2`").value_or(into.backoff);
  }
  if (const auto part = fields->at("jitter")) {
    into.jitter = to.in.read_number(*part, 0, 1, "write it like `0.1`").value_or(into.jitter);
  }
  if (const auto longest = fields->at("max_delay")) {
    into.max_delay = to.in.read_duration(*longest, zero_duration::allowed).value_or(into.max_delay);
  } else {
    into.max_delay = std::max(into.max_delay, into.delay);
  }
  read_exit_codes(to, fields->at("on_exit"), 1, into.on_exit);
  read_exit_codes(to, fields->at("not_on_exit"), 1, into.not_on_exit);
  for (const auto each : into.on_exit) {
    if (has(into.not_on_exit, each)) {
      to.in.report(
          where, "the exit code " + std::to_string(each) + " is in `on_exit` and in `not_on_exit`",
          "remove one of them");
    }
  }
  read_commands(*fields);
}

}  // namespace

void read_retry(shape_context& to, const cursor& where, retry_policy& into) {
  read_policy(to, where, into, [&to](const field_map& fields) {
    for (const auto* key : {"run", "command", "shell"}) {
      if (const auto found = fields.at(key)) {
        to.in.report(*found, "`defaults` has no command for attempts after the first",
                     "write it under `retry` of its task");
      }
    }
  });
}

void read_retry(shape_context& to, const cursor& where, task_definition& made, std::size_t task,
                const std::vector<std::string>& default_shell) {
  read_policy(to, where, made.retry, [&](const field_map& fields) {
    task_definition later;
    read_process(to, fields, later, task, made.run.empty() ? default_shell : made.shell);
    if (!fields.at("run") && !fields.at("command")) {
      return;
    }
    if (made.retry.max_attempts == 1) {
      to.in.report(where, "with one attempt, the command for those after the first never runs",
                   "add `max_attempts: 2`");
    }
    made.retry_command = {std::move(later.run), std::move(later.command), std::move(later.shell)};
  });
}

void read_success(shape_context& to, const cursor& where, task_definition& made) {
  auto& codes = made.success_exit_codes;
  read_exit_codes(to, where, 0, codes);
  for (const auto each : codes) {
    if (has(made.retry.on_exit, each) || has(made.retry.not_on_exit, each)) {
      to.in.report(where,
                   "the exit code " + std::to_string(each) +
                       " is a success, and `retry` says what follows it",
                   "remove it here or there");
    }
  }
  if (codes == std::vector<std::uint8_t>{0}) {
    codes.clear();  // as ever
  }
}

}  // namespace millrace::actors
