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

std::string refusal_of_label(std::string_view name) {
  if (name.empty() || name.size() > label_name_bytes_max) {
    return "has " + std::to_string(name.size()) + " bytes; it has 1 to " +
           std::to_string(label_name_bytes_max);
  }
  return name.find_first_of("=,") != std::string_view::npos
             ? "has `=` or `,`, by which labels are looked for"
             : "";
}

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
  std::size_t bytes = 0;
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
    if (const auto why = refusal_of_label(name); !why.empty()) {
      return error{errc::invalid_argument, "the name of label '" + std::string{name} + "' " + why};
    }
    bytes += name.size() + each.getValue().size();
    if (each.getValue().size() > label_value_bytes_max) {
      return too_large("the value of label '" + std::string{name} + "'", each.getValue().size(),
                       label_value_bytes_max, " bytes");
    }
    if (!names.insert(name).second) {
      return error{errc::invalid_argument, "label '" + std::string{name} + "' is given twice"};
    }
  }
  if (bytes > submission_labels_bytes_max) {
    return too_large("what the labels say", bytes, submission_labels_bytes_max, " bytes");
  }
  return std::nullopt;
}

runtime::result<label_filter> parse_label_filter(std::string_view text) {
  label_filter wanted;
  while (!text.empty()) {
    const auto one = text.substr(0, text.find(','));
    text = one.size() < text.size() ? text.substr(one.size() + 1) : std::string_view{};
    const auto equals = one.find('=');
    const auto name = one.substr(0, equals);
    if (name.empty()) {
      return error{errc::invalid_argument,
                   "a label to look for has no name; write it like "
                   "`team=data`, or `team` for any value"};
    }
    const auto value = equals == std::string_view::npos
                           ? std::optional<std::string>{}
                           : std::optional{std::string{one.substr(equals + 1)}};
    if (!wanted.emplace(name, value).second) {
      return error{errc::invalid_argument,
                   "the label '" + std::string{name} + "' is to be looked for twice"};
    }
  }
  return wanted;
}

bool has_labels(capnp::List<schemas::Label>::Reader labels, const label_filter& wanted) {
  std::size_t found = 0;
  for (auto each : labels) {
    const auto one = wanted.find(std::string_view{each.getName().begin(), each.getName().size()});
    if (one != wanted.end()) {
      found += !one->second || *one->second == each.getValue().cStr() ? 1 : 0;
    }
  }
  return found == wanted.size();
}

bool has_labels(const std::map<std::string, std::string>& labels, const label_filter& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& each) {
    const auto one = labels.find(each.first);
    return one != labels.end() && (!each.second || *each.second == one->second);
  });
}

}  // namespace millrace::actors
