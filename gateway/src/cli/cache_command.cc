// SPDX-License-Identifier: MIT
// `cache`: results of tasks that are kept for later runs.
#include <iostream>
#include <limits>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/terminal_text.h"

namespace millrace::gateway::cli {

using runtime::result;

namespace {

constexpr const char* cache_usage = "usage: millrace cache list PIPELINE | clear PIPELINE [TASK]";

void add_options(boost::program_options::options_description& options) {
  add_server_option(options);
  add_project_option(options);
  add_rows_options(options);
}

exit_code run_cache(const option_values& options, const std::vector<std::string>& words) {
  const auto is_clear = words[0] == "clear";
  if ((!is_clear && words[0] != "list") || words.size() < 2 || (!is_clear && words.size() > 2)) {
    return report(exit_code::usage, cache_usage);
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto cache = server->pipelines() + "/" + escaped(words[1]) + "/cache";
  if (is_clear) {
    const auto done = server->ask(http::method::del,
                                  cache + (words.size() > 2 ? "?task=" + escaped(words[2]) : ""));
    return done ? exit_code::ok : report(done.error());
  }
  auto rows = ordered_json::array();
  const auto listed =
      server->for_each_row(cache, "results", std::numeric_limits<std::size_t>::max(),
                           [&rows](const ordered_json& row) -> result<void> {
                             rows.push_back(row);
                             return {};
                           });
  if (!listed) {
    return report(listed.error());
  }
  print_rows(server->style(), rows, {"task", "label", "run", "kept_at", "id"});
  return exit_code::ok;
}

}  // namespace

command cache_command() {
  return {"cache",
          "list PIPELINE | clear PIPELINE [TASK]",
          "list or forget the results of tasks that are kept for later runs",
          "  millrace cache list etl\n"
          "  millrace cache clear etl fetch\n",
          1,
          3,
          add_options,
          run_cache};
}

}  // namespace millrace::gateway::cli
