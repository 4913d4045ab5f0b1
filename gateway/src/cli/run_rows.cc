// SPDX-License-Identifier: MIT
#include "cli/run_rows.h"

#include "cli/terminal_text.h"

namespace millrace::gateway::cli {

const std::vector<std::string>& task_columns() {
  static const std::vector<std::string> columns{"id",        "state",  "attempt", "duration",
                                                "exit_code", "signal", "label",   "reason"};
  return columns;
}

void complete_row(const remote& server, ordered_json& row) {
  const auto from = row.contains("started_at") ? row["started_at"] : row["created_at"];
  const auto text = [](const ordered_json& at) {
    return at.is_string() ? at.get<std::string>() : std::string{};
  };
  row["duration"] = time_between(text(from), text(row["finished_at"]), server.wall());
  if (row.value("queued", false)) {
    row["state"] = "queued";
  }
  if (!row.value("cached_from", "").empty()) {
    row["state"] = "cached";
  }
}

}  // namespace millrace::gateway::cli
