// SPDX-License-Identifier: MIT
#include "cli/definition_files.h"

#include <algorithm>
#include <filesystem>

namespace millrace::gateway::cli {

runtime::result<std::vector<std::string>> definitions_in(const std::vector<std::string>& names) {
  namespace fs = std::filesystem;
  std::vector<std::string> files;
  for (const auto& name : names) {
    std::error_code failed;
    if (!fs::is_directory(name, failed)) {
      files.push_back(name);
      continue;
    }
    std::vector<std::string> found;
    for (fs::directory_iterator each{name, failed}, end; !failed && each != end;
         each.increment(failed)) {
      const auto ending = each->path().extension();
      if (ending == ".yaml" || ending == ".yml" || ending == ".json") {
        found.push_back(each->path().string());
      }
    }
    if (failed || found.empty()) {
      return runtime::error{runtime::errc::invalid_argument,
                            "'" + name +
                                "' has no definitions in it: files with .yaml, .yml or .json" +
                                (failed ? " (" + failed.message() + ")" : "")};
    }
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

void print_told(output_form form, const ordered_json& rows, bool is_list,
                const std::string& name_key) {
  if (is_table(form)) {
    return;
  }
  if (is_list) {
    print_rows(form, rows, {}, name_key);
    return;
  }
  for (const auto& each : rows) {
    print_one(form, each, name_key);
  }
}

}  // namespace millrace::gateway::cli
