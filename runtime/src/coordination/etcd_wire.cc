// SPDX-License-Identifier: MIT
#include "coordination/etcd_wire.h"

#include <array>
#include <charconv>
#include <tuple>

#include "json/base64.h"
#include "json/json_tree.h"

namespace millrace::runtime {
namespace {

using nlohmann::json;

// gRPC's status codes, as the gateway passes them on.
constexpr int code_invalid_argument = 3;
constexpr int code_not_found = 5;
constexpr int code_permission_denied = 7;
constexpr int code_unauthenticated = 16;

std::string base64(std::string_view bytes) {
  std::string out;
  append_base64(out, bytes);
  return out;
}

// --- requests ------------------------------------------------------------------------------------

json to_tree(const etcd_compare& compare) {
  const bool by_creation = compare.what == etcd_compare::target::create_revision;
  return {{"key", base64(compare.key)},
          {"result", "EQUAL"},
          {"target", by_creation ? "CREATE" : "MOD"},
          {by_creation ? "create_revision" : "mod_revision", std::to_string(compare.revision)}};
}

json to_tree(const etcd_step& step) {
  json fields{{"key", base64(step.key)}};
  switch (step.what) {
    case etcd_step::kind::get:
      if (!step.range_end.empty()) {
        fields["range_end"] = base64(step.range_end);
      }
      if (step.changed_after > 0) {
        fields["min_mod_revision"] = std::to_string(step.changed_after + 1);
      }
      return {{"request_range", std::move(fields)}};
    case etcd_step::kind::put:
      fields["value"] = base64(step.value);
      if (step.lease > 0) {
        fields["lease"] = std::to_string(step.lease);
      }
      return {{"request_put", std::move(fields)}};
    case etcd_step::kind::remove:
      return {{"request_delete_range", std::move(fields)}};
  }
  return {};
}

template <class Part>
json to_list(const std::vector<Part>& parts) {
  auto list = json::array();
  for (const auto& part : parts) {
    list.push_back(to_tree(part));
  }
  return list;
}

// --- answers -------------------------------------------------------------------------------------

// What is not as the API says; caught by `understand`.
struct misread {};

const json* find(const json& object, const char* key) {
  if (!object.is_object()) {
    throw misread{};
  }
  const auto at = object.find(key);
  return at == object.end() ? nullptr : &*at;
}

std::uint64_t number(const json& object, const char* key) {
  const auto* found = find(object, key);
  if (found == nullptr) {
    return 0;
  }
  if (found->is_number_unsigned()) {
    return found->get<std::uint64_t>();
  }
  std::uint64_t value = 0;
  const auto* text = found->get_ptr<const std::string*>();
  if (text == nullptr) {
    throw misread{};
  }
  const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (failed != std::errc{} || end != text->data() + text->size()) {
    throw misread{};
  }
  return value;
}

std::string bytes(const json& object, const char* key) {
  const auto* found = find(object, key);
  if (found == nullptr) {
    return {};
  }
  const auto* text = found->get_ptr<const std::string*>();
  auto decoded = text != nullptr ? from_base64(*text) : std::nullopt;
  if (!decoded) {
    throw misread{};
  }
  return std::move(*decoded);
}

bool flag(const json& object, const char* key) {
  const auto* found = find(object, key);
  return found != nullptr && found->is_boolean() && found->get<bool>();
}

// Every answer has one, and its revision is never 0.
etcd_header header_of(const json& object) {
  const auto* found = find(object, "header");
  if (found == nullptr) {
    throw misread{};
  }
  etcd_header header{number(*found, "cluster_id"), number(*found, "revision"),
                     number(*found, "raft_term")};
  if (header.revision == 0) {
    throw misread{};
  }
  return header;
}

std::vector<etcd_row> rows_of(const json& response) {
  std::vector<etcd_row> rows;
  const auto* range = find(response, "response_range");
  const auto* found = range != nullptr ? find(*range, "kvs") : nullptr;
  if (found == nullptr) {
    return rows;
  }
  for (const auto& each : *found) {
    rows.push_back({bytes(each, "key"), bytes(each, "value"), number(each, "create_revision"),
                    number(each, "mod_revision"), number(each, "lease")});
  }
  return rows;
}

// What `read` makes of a text.
template <class Read>
auto understand(std::string_view body, Read read) -> result<decltype(read(json{}))> {
  const auto tree = read_json(body);
  if (tree) {
    try {
      return read(*tree);
    } catch (const misread&) {
    }
  }
  return error{errc::outcome_unknown, "not an answer of etcd: " + std::string{body.substr(0, 200)}};
}

}  // namespace

std::string end_of_prefix(std::string prefix) {
  prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1U);
  return prefix;
}

std::string to_json(const etcd_transaction& transaction) {
  return json{{"compare", to_list(transaction.compares)},
              {"success", to_list(transaction.then)},
              {"failure", to_list(transaction.otherwise)}}
      .dump();
}

std::string grant_request(std::uint64_t ttl_seconds) {
  return json{{"TTL", std::to_string(ttl_seconds)}}.dump();
}

std::string lease_request(std::uint64_t lease) {
  return json{{"ID", std::to_string(lease)}}.dump();
}

std::string watch_request(std::string_view prefix, std::uint64_t from_revision) {
  return json{{"create_request",
               {{"key", base64(prefix)},
                {"range_end", base64(end_of_prefix(std::string{prefix}))},
                {"start_revision", std::to_string(from_revision)}}}}
      .dump();
}

std::string login_request(std::string_view user, std::string_view password) {
  return json{{"name", user}, {"password", password}}.dump();
}

result<etcd_answer> read_answer(std::string_view body) {
  return understand(body, [](const json& tree) {
    etcd_answer answer{header_of(tree), flag(tree, "succeeded"), {}};
    if (const auto* responses = find(tree, "responses"); responses != nullptr) {
      for (const auto& each : *responses) {
        answer.ranges.push_back(rows_of(each));
      }
    }
    return answer;
  });
}

result<etcd_lease> read_lease(std::string_view body) {
  return understand(body, [](const json& tree) {
    const auto* stream = find(tree, "result");
    const auto& lease = stream != nullptr ? *stream : tree;
    return etcd_lease{header_of(lease), number(lease, "ID"), number(lease, "TTL")};
  });
}

result<std::string> read_token(std::string_view body) {
  return understand(body, [](const json& tree) {
    const auto* token = find(tree, "token");
    if (token == nullptr || !token->is_string()) {
      throw misread{};
    }
    return token->get<std::string>();
  });
}

etcd_event read_event(std::string_view line) {
  const auto event = understand(line, [](const json& tree) {
    const auto* stream = find(tree, "result");
    if (stream == nullptr) {
      return etcd_event{false, true};
    }
    return etcd_event{find(*stream, "events") != nullptr, flag(*stream, "canceled")};
  });
  return event ? *event : etcd_event{false, true};
}

error etcd_failure(int status, std::string_view body) {
  auto code = errc::outcome_unknown;
  std::string text = "etcd answered " + std::to_string(status);
  const auto tree = read_json(body);
  if (tree && tree->is_object()) {
    const auto said = tree->value("code", json{});
    if (said == code_unauthenticated) {
      code = errc::unauthenticated;
    } else if (said == code_permission_denied) {
      code = errc::permission_denied;
    } else if (said == code_not_found) {
      code = errc::not_found;
    } else if (said == code_invalid_argument) {
      code = errc::invalid_argument;
    }
    const auto why = tree->value("message", tree->value("error", json{}));
    text += why.is_string() ? ": " + why.get<std::string>() : std::string{};
  }
  return {code, std::move(text)};
}

result<etcd_version> read_version(std::string_view body) {
  const auto tree = read_json(body);
  const auto text = tree && tree->is_object() ? tree->value("etcdserver", json{}) : json{};
  std::array<unsigned, 3> parts{};
  if (!text.is_string()) {
    return error{errc::failed_precondition, "it does not say its version; is it etcd?"};
  }
  etcd_version version{text.get<std::string>(), etcd_fitness::refused};
  const char* at = version.text.data();
  const char* const end = at + version.text.size();
  for (auto& part : parts) {
    const auto [next, failed] = std::from_chars(at, end, part);
    if (failed != std::errc{}) {
      return error{errc::failed_precondition, "'" + version.text + "' is no version of etcd"};
    }
    at = next != end && *next == '.' ? next + 1 : next;
  }
  const std::tuple number{parts[0], parts[1], parts[2]};
  if (number < std::tuple{3U, 4U, 0U} ||
      (number >= std::tuple{3U, 5U, 0U} && number <= std::tuple{3U, 5U, 2U})) {
    version.fitness = etcd_fitness::refused;
  } else if (number < std::tuple{3U, 4U, 32U} ||
             (number >= std::tuple{3U, 5U, 0U} && number < std::tuple{3U, 5U, 14U})) {
    version.fitness = etcd_fitness::old;
  } else {
    version.fitness = etcd_fitness::fit;
  }
  return version;
}

}  // namespace millrace::runtime
