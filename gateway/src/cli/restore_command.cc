// SPDX-License-Identifier: MIT
// restore: a data directory from a backup.
#include <filesystem>
#include <fstream>
#include <iostream>

#include "cli/command.h"
#include "millrace/runtime/backup.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
namespace fs = std::filesystem;
using runtime::errc;
using runtime::error;

namespace {

void add_restore_options(po::options_description& options) {
  add_data_option(options);
}

exit_code run_restore(const option_values& options, const std::vector<std::string>& positional) {
  std::ifstream file;
  if (positional[0] != "-") {
    file.open(positional[0], std::ios::binary);
    if (!file) {
      return report(error{errc::not_found, "cannot read '" + positional[0] + "'"});
    }
  }
  std::istream& from = positional[0] == "-" ? std::cin : file;
  const auto directory = state_directory(options);
  std::error_code failed;
  fs::create_directories(fs::path{directory}.parent_path(), failed);
  if (failed) {
    return report(error{errc::invalid_argument, "cannot make the data directory '" +
                                                    fs::path{directory}.parent_path().string() +
                                                    "': " + failed.message()});
  }
  const auto restored = runtime::restore_storage(
      directory, [&](char* to, std::size_t size) -> runtime::result<std::size_t> {
        from.read(to, static_cast<std::streamsize>(size));
        if (from.bad()) {
          return error{errc::storage_failed, "cannot read the backup to its end"};
        }
        return static_cast<std::size_t>(from.gcount());
      });
  if (!restored) {
    return report(restored.error());
  }
  std::cerr << "restored " << restored->rows << " rows, " << restored->bytes << " bytes, to "
            << directory << '\n';
  return exit_code::ok;
}

}  // namespace

command restore_command() {
  return {"restore",
          "FILE [--data DIR]",
          "make a data directory from a backup; - reads standard input",
          "  millrace restore millrace.backup --data /var/lib/millrace\n"
          "  ssh other millrace backup | millrace restore - --data copy\n",
          1,
          1,
          add_restore_options,
          run_restore};
}

}  // namespace millrace::gateway::cli
