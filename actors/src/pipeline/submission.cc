// SPDX-License-Identifier: MIT
#include "millrace/actors/submission.h"

#include <set>
#include <string>

namespace millrace::actors {

using runtime::errc;
using runtime::error;

namespace {

error too_large(const std::string& what, std::size_t found, std::size_t most, const char* unit) {
  return {errc::too_large, what + " has " + std::to_string(found) + unit + "; at most " +
                               std::to_string(most) + " are allowed"};
}

}  // namespace

std::optional<error> refusal_of(capnp::List<schemas::Label>::Reader labels,
                                std::string_view params) {
  if (params.size() > submission_params_bytes_max) {
    return too_large("the JSON of the parameters", params.size(), submission_params_bytes_max,
                     " bytes");
  }
  if (labels.size() > submission_labels_max) {
    return too_large("the submission", labels.size(), submission_labels_max, " labels");
  }
  std::set<std::string_view> names;
  for (auto each : labels) {
    const std::string_view name{each.getName().begin(), each.getName().size()};
    if (name.empty()) {
      return error{errc::invalid_argument, "a label has no name"};
    }
    if (name.size() > label_name_bytes_max) {
      return too_large(
          "the name of label '" + std::string{name.substr(0, label_name_bytes_max)} + "...'",
          name.size(), label_name_bytes_max, " bytes");
    }
    if (each.getValue().size() > label_value_bytes_max) {
      return too_large("the value of label '" + std::string{name} + "'", each.getValue().size(),
                       label_value_bytes_max, " bytes");
    }
    if (!names.insert(name).second) {
      return error{errc::invalid_argument, "label '" + std::string{name} + "' is given twice"};
    }
  }
  return std::nullopt;
}

}  // namespace millrace::actors
