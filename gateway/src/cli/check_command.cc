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
  options.add_options()("coordination", po::value<std::string>()->value_name("local:DIR"),
                        "read the coordination store of the silos of one machine instead");
}

exit_code tell(const std::vector<std::string>& faults) {
  for (const auto& fault : faults) {
    std::cerr << "millrace: " << fault << '\n';
  }
  std::cout << (faults.empty() ? "sound\n" : "damaged\n");
  return faults.empty() ? exit_code::ok : exit_code::run_failed;
}

exit_code check_coordination(const std::string& where) {
  constexpr std::string_view local = "local:";
  if (!where.starts_with(local)) {
    return report(runtime::error{
        runtime::errc::invalid_argument,
        "--coordination '" + where + "': only a store of one machine, local:DIR, can be checked"});
  }
  const auto directory = where.substr(local.size());
  const auto found = runtime::check_local_store(directory);
  if (!found) {
    return report(found.error());
  }
  std::cout << directory << ": cluster " << (found->cluster_id.empty() ? "none" : found->cluster_id)
            << ", " << found->silos << " silos, " << found->partitions << " partitions\n";
  return tell(found->faults);
}

exit_code run_check(const option_values& options, const std::vector<std::string>&) {
  if (options.count("coordination") > 0) {
    return check_coordination(text_of(options, "coordination"));
  }
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
  return tell(found->faults);
}

}  // namespace

command check_command() {
  return {"check",
          "[--data DIR | --coordination local:DIR]",
          "read all of a data directory and say whether it is sound",
          "  millrace check --data /var/lib/millrace      exit 0: sound, 1: damaged\n"
          "  millrace check --coordination local:/srv/c   what the silos of one machine share\n",
          0,
          0,
          add_check_options,
          run_check};
}

}  // namespace millrace::gateway::cli
