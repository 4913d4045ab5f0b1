// SPDX-License-Identifier: MIT
// check: whether a data directory is sound.
#include <iostream>

#include "cli/command.h"
#include "millrace/runtime/backup.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

void add_check_options(po::options_description& options) {
  add_data_option(options);
}

exit_code run_check(const option_values& options, const std::vector<std::string>&) {
  const auto directory = state_directory(options);
  const auto found = runtime::check_storage(directory);
  if (!found) {
    return report(found.error());
  }
  std::cout << directory << ": format " << found->format_version << ", " << found->partition_count
            << " partitions, allocation " << found->allocation_id << '\n';
  if (!found->cluster_id.empty()) {
    std::cout << "cluster: " << found->cluster_id << ", silo " << found->silo << '\n';
  }
  std::cout << "checkpoint: " << found->rows << " rows, " << found->row_bytes << " bytes\n"
            << "journal: " << found->journal_entries << " entries\n";
  for (const auto& fault : found->faults) {
    std::cerr << "millrace: " << fault << '\n';
  }
  std::cout << (found->faults.empty() ? "sound\n" : "damaged\n");
  return found->faults.empty() ? exit_code::ok : exit_code::run_failed;
}

}  // namespace

command check_command() {
  return {"check",
          "[--data DIR]",
          "read all of a data directory and say whether it is sound",
          "  millrace check --data /var/lib/millrace      exit 0: sound, 1: damaged\n",
          0,
          0,
          add_check_options,
          run_check};
}

}  // namespace millrace::gateway::cli
