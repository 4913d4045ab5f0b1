// SPDX-License-Identifier: MIT
// token: who is known to a server, and what each may do.
#include <iostream>

#include "access/token.h"
#include "cli/all_rows.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/terminal_text.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr const char* token_usage =
    "usage: millrace token create NAME --grant PROJECT=ROLE... [--expires-in DURATION] | list | "
    "revoke NAME";
constexpr const char* tokens_path = "/api/v1/tokens";

void add_token_options(po::options_description& options) {
  options.add_options()(
      "grant", po::value<std::vector<std::string>>()->value_name("PROJECT=ROLE"),
      "create: what it may do where; the role is read, run or admin, the project "
      "'*' is all of them and the cluster; /metrics=read is for figures alone\n(may be "
      "repeated)")("expires-in", po::value<std::string>()->value_name("DURATION"),
                   "create: after this it is nobody's, such as 90d (default: never)")(
      "to", po::value<std::string>()->value_name("FILE"),
      "create: write it to a new file that only you may read, instead of printing it");
  add_server_option(options);
  add_rows_options(options);
}

result<ordered_json> grants_in(const option_values& options) {
  auto grants = ordered_json::array();
  if (options.count("grant") > 0) {
    for (const auto& each : options["grant"].as<std::vector<std::string>>()) {
      const auto at = each.rfind('=');
      if (at == std::string::npos || at == 0) {
        return error{errc::invalid_argument,
                     "--grant '" + each + "': write it like default=run or '*=admin'"};
      }
      grants.push_back({{"project", each.substr(0, at)}, {"role", each.substr(at + 1)}});
    }
  }
  if (grants.empty()) {
    return error{errc::invalid_argument,
                 "token create: say what it may do, with --grant PROJECT=ROLE"};
  }
  return grants;
}

// The token goes to standard output, alone: it is shown this once.
exit_code create(remote& server, const std::string& name, const option_values& options) {
  auto grants = grants_in(options);
  if (!grants) {
    return report(grants.error());
  }
  const auto made = server.ask(http::method::post, tokens_path,
                               ordered_json{{"id", name},
                                            {"grants", *std::move(grants)},
                                            {"expires_in", text_of(options, "expires-in")}}
                                   .dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  if (!made) {
    return report(made.error());
  }
  if (options.count("to") > 0) {
    const auto file = text_of(options, "to");
    if (const auto written = write_token(file, made->value("token", "")); !written) {
      return report({written.error().code(), written.error().text() + "; revoke the token '" +
                                                 name + "', and make it again"});
    }
    std::cerr << "the token '" << printable(name) << "' is in " << printable(file) << '\n';
    return exit_code::ok;
  }
  if (is_table(server.form())) {
    std::cout << printable(made->value("token", "")) << '\n';
  } else {
    print_one(server.form(), *made, "token");
  }
  std::cerr << "this is the token '" << printable(name) << "'; it is shown only now\n";
  return exit_code::ok;
}

exit_code list(remote& server) {
  auto rows = all_rows(server, tokens_path, "tokens");
  if (!rows) {
    return report(rows.error());
  }
  if (is_table(server.form())) {
    for (auto& row : *rows) {
      std::string told;
      for (const auto& each : row.at("grants")) {
        told +=
            (told.empty() ? "" : ",") + each.value("project", "") + "=" + each.value("role", "");
      }
      row["grants"] = told;
    }
  }
  print_rows(server.style(), *rows, {"id", "grants", "created_at", "expires_at", "created_by"});
  return exit_code::ok;
}

exit_code revoke(remote& server, const std::string& name) {
  const auto answer = server.client().send(http::method::del, tokens_path + ("/" + escaped(name)));
  if (!answer) {
    return report(answer.error());
  }
  if (answer->status >= 400) {
    return report(server.problem_of(*answer));
  }
  std::cerr << "token " << printable(name) << " is revoked\n";
  return exit_code::ok;
}

exit_code run_token(const option_values& options, const std::vector<std::string>& positional) {
  const auto& verb = positional[0];
  const bool is_create = verb == "create" && positional.size() == 2;
  const bool is_revoke = verb == "revoke" && positional.size() == 2;
  if (!is_create && !is_revoke && (verb != "list" || positional.size() != 1)) {
    return report(exit_code::usage, token_usage);
  }
  if (const auto fits = refuse(options, {"grant", "expires-in", "to"}, "token " + verb);
      !is_create && !fits) {
    return report(fits.error());
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  return is_create   ? create(*server, positional[1], options)
         : is_revoke ? revoke(*server, positional[1])
                     : list(*server);
}

}  // namespace

command token_command() {
  return {"token",
          "create NAME --grant PROJECT=ROLE... | list | revoke NAME",
          "make, list and revoke the tokens that a server asks for",
          "  millrace token create ci --grant default=run --expires-in 90d\n"
          "  millrace token create ops --grant '*=admin' --to ops.token\n"
          "  millrace token list\n"
          "  millrace token revoke ci\n",
          1,
          2,
          add_token_options,
          run_token};
}

}  // namespace millrace::gateway::cli
