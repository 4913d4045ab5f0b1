// SPDX-License-Identifier: MIT
// context: the servers that a person works with.
#include <cstdlib>
#include <iostream>

#include "access/token.h"
#include "cli/bare_token.h"
#include "cli/contexts.h"
#include "cli/output.h"
#include "http/client.h"
#include "millrace/actors/name_rule.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr const char* context_usage =
    "usage: millrace context add NAME --server URL [--token-file FILE] [--project NAME] [--ca "
    "FILE] "
    "| use NAME | list | remove NAME";

void add_context_options(po::options_description& options) {
  options.add_options()("server", po::value<std::string>()->value_name("URL"),
                        "add: where the server is")(
      "token-file", po::value<std::string>()->value_name("FILE"),
      "add: a file with the token to show it (default: $MILLRACE_API_TOKEN, or none); it is "
      "copied")("project", po::value<std::string>()->value_name("NAME"),
                "add: the project to work with");
  add_client_tls_options(options);
  add_rows_options(options);
}

result<context> described(const option_values& options) {
  context made{text_of(options, "server"), {}, text_of(options, "project"), {}};
  if (made.server.empty()) {
    return error{errc::invalid_argument, "context add: name the server with --server URL"};
  }
  if (auto parsed = http::parse_url(made.server); !parsed) {
    return std::move(parsed).error();
  }
  if (options.count("token-file") > 0) {
    auto token = read_token(text_of(options, "token-file"));
    if (!token) {
      return std::move(token).error();
    }
    made.token = *std::move(token);
  } else if (const auto* token = std::getenv(token_variable); token != nullptr) {
    made.token = token;
  }
  auto tls = client_tls_of(options, {}, false);
  if (!tls) {
    return std::move(tls).error();
  }
  made.tls = *std::move(tls);
  warn_of_bare_token(made);
  return made;
}

result<std::string> add(context_book& book, const std::string& name, const option_values& options) {
  if (auto fits = actors::check_name("context", name, actors::name_rule::thing); !fits) {
    return std::move(fits).error();
  }
  auto made = described(options);
  if (!made) {
    return std::move(made).error();
  }
  book.by_name[name] = *std::move(made);
  if (book.current.empty()) {
    book.current = name;
  }
  return "context " + name +
         (book.current == name ? " is in use"
                               : " is there; use it: millrace "
                                 "context use " +
                                     name);
}

// What was done, in words.
result<std::string> change(context_book& book, const std::string& verb, const std::string& name,
                           const option_values& options) {
  if (verb == "add") {
    return add(book, name, options);
  }
  if (!book.by_name.contains(name)) {
    return error{errc::not_found, "there is no context '" + name + "'; see: millrace context list"};
  }
  if (verb == "use") {
    book.current = name;
    return "context " + name + " is in use";
  }
  book.by_name.erase(name);
  if (book.current == name) {
    book.current.clear();
  }
  return "context " + name + " is removed";
}

exit_code list(const context_book& book, const option_values& options) {
  const auto style = style_of(options);
  if (!style) {
    return report(style.error());
  }
  auto rows = ordered_json::array();
  for (const auto& [name, each] : book.by_name) {
    rows.push_back({{"id", name},
                    {"in_use", name == book.current},
                    {"server", each.server},
                    {"project", each.project},
                    {"has_token", !each.token.empty()}});
  }
  print_rows(*style, rows, {"id", "in_use", "server", "project", "has_token"});
  return exit_code::ok;
}

exit_code run_context(const option_values& options, const std::vector<std::string>& positional) {
  const auto& verb = positional[0];
  const bool lists = verb == "list" && positional.size() == 1;
  const bool changes =
      (verb == "add" || verb == "use" || verb == "remove") && positional.size() == 2;
  if (!lists && !changes) {
    return report(exit_code::usage, context_usage);
  }
  if (const auto fits = refuse(
          options, {"server", "token-file", "project", "ca", "client-certificate", "client-key"},
          "context " + verb);
      verb != "add" && !fits) {
    return report(fits.error());
  }
  auto book = read_contexts();
  if (!book) {
    return report(book.error());
  }
  if (lists) {
    return list(*book, options);
  }
  const auto done = change(*book, verb, positional[1], options);
  if (!done) {
    return report(done.error());
  }
  if (const auto written = write_contexts(*book); !written) {
    return report(written.error());
  }
  std::cerr << *done << '\n';
  return exit_code::ok;
}

}  // namespace

command context_command() {
  return {"context",
          "add NAME --server URL | use NAME | list | remove NAME",
          "keep servers by name, each with its token and project",
          "  millrace context add prod --server https://millrace.example:8400 --ca ca.pem "
          "--token-file t\n"
          "  millrace context use prod\n"
          "  millrace context list\n",
          1,
          2,
          add_context_options,
          run_context};
}

}  // namespace millrace::gateway::cli
