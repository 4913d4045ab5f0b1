// SPDX-License-Identifier: MIT
// The published reference: the schema, the page and the loader know the same keys.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "definition/keys.h"
#include "definition/reader.h"
#include "definition/yaml_tree.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/env_file.h"

namespace millrace::actors {
namespace {

using json = nlohmann::ordered_json;

const std::filesystem::path source_directory{MILLRACE_SOURCE_DIRECTORY};

std::string content_of(const std::filesystem::path& file) {
  CAPTURE(file.string());
  std::ifstream in{source_directory / file};
  REQUIRE(in.good());
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

const json& schema() {
  static const auto parsed = json::parse(content_of("docs/reference/pipeline.schema.json"));
  return parsed;
}

struct described_map {
  std::string definition;  // In `$defs` of the schema, with a path in it where it has no name.
  const char* heading;     // In the page; none where it has no table of its own.
  std::vector<std::string_view> keys;
  const char* next = "## ";  // Begins what comes after it in the page.
};

std::vector<described_map> described_maps() {
  const auto words = [](const key_table& table) {
    return std::vector<std::string_view>{table.keys.begin(), table.keys.end()};
  };
  return {{"pipeline", "## Pipeline", words(pipeline_keys())},
          {"pipeline/properties/revert", nullptr, words(revert_keys())},
          {"retention", "## Retention", words(retention_keys())},
          {"concurrency", "## Concurrency", words(concurrency_keys())},
          {"trigger", "## Triggers", words(trigger_keys()), "## Going back"},
          {"trigger/properties/signature", nullptr, words(signature_keys())},
          {"schedule", "## Schedule", words(schedule_keys())},
          {"defaults", "## Defaults", words(defaults_keys())},
          {"param_map", "## Parameter", words(param_keys())},
          {"task", "## Task", words(task_keys())},
          {"need", "## Need", words(need_keys())},
          {"task/properties/callback", nullptr, words(callback_keys())},
          {"task/properties/cache/anyOf/1", "## Cache", words(cache_keys())},
          {"artifact", nullptr, words(artifact_keys())},
          {"limits", "## Limits", words(limits_keys())},
          {"synchronization", "## Synchronization", words(synchronization_keys())},
          {"synchronization/properties/semaphores/items", nullptr, words(semaphore_keys())},
          {"hook", "## Hooks", words(hook_body_keys())},
          {"retry", "## Retry", words(retry_keys())},
          {"output", "## Output", words(output_keys())},
          {"secret", "## Secret", words(secret_keys())},
          {"matrix", "## Matrix", {matrix_reserved.begin(), matrix_reserved.end()}}};
}

TEST_CASE("the schema has every key that the loader knows, and no other") {
  for (const auto& map : described_maps()) {
    CAPTURE(map.definition);
    const auto& described =
        schema().at(json::json_pointer{"/$defs/" + map.definition + "/properties"});
    std::set<std::string> there;
    for (const auto& each : described.items()) {
      const auto& key = each.key();
      const auto& content = each.value();
      CAPTURE(key);
      there.insert(key);
      CHECK(content.contains("description"));
    }
    CHECK(there == std::set<std::string>{map.keys.begin(), map.keys.end()});
  }
}

TEST_CASE("the page explains every key that the loader knows, and no other") {
  const auto page = content_of("docs/reference/pipeline.md");
  for (const auto& map : described_maps()) {
    if (map.heading == nullptr) {
      continue;
    }
    CAPTURE(std::string{map.heading});
    const auto from = page.find(std::string{map.heading} + "\n");
    REQUIRE(from != std::string::npos);
    const auto end = page.find(std::string{"\n"} + map.next, from + 1);
    std::istringstream section{page.substr(from, end - from)};
    std::set<std::string> there;
    for (std::string line; std::getline(section, line);) {
      const auto word = line.starts_with("| `") ? line.substr(3, line.find('`', 3) - 3) : "";
      if (!word.empty() && word.find('.') == std::string::npos) {  // no expression
        there.insert(word);
      }
    }
    CHECK(there == std::set<std::string>{map.keys.begin(), map.keys.end()});
  }
}

// A small part of JSON Schema 2020-12: the words that our schema uses. An unknown one fails.
class schema_checker {
public:
  bool accepts(const json& rule, const json& content) {
    if (rule.is_boolean()) {
      return rule.get<bool>();
    }
    for (const auto& [word, argument] : rule.items()) {
      if (!accepts(rule, word, argument, content)) {
        return false;
      }
    }
    return true;
  }

private:
  static bool is_type(const std::string& type, const json& content) {
    return (type == "object" && content.is_object()) || (type == "array" && content.is_array()) ||
           (type == "string" && content.is_string()) ||
           (type == "boolean" && content.is_boolean()) || (type == "null" && content.is_null()) ||
           (type == "integer" && content.is_number_integer()) ||
           (type == "number" && content.is_number());
  }

  std::size_t count_accepting(const json& rules, const json& content) {
    std::size_t count = 0;
    for (const auto& each : rules) {
      count += accepts(each, content) ? 1 : 0;
    }
    return count;
  }

  bool accepts(const json& rule, const std::string& word, const json& argument,
               const json& content) {
    if (word == "$ref") {
      return accepts(schema().at(json::json_pointer{argument.get<std::string>().substr(1)}),
                     content);
    }
    if (word == "type") {
      return argument.is_string() ? is_type(argument, content)
                                  : std::any_of(argument.begin(), argument.end(),
                                                [&](auto& each) { return is_type(each, content); });
    }
    if (word == "const") {
      return content == argument;
    }
    if (word == "enum") {
      return std::find(argument.begin(), argument.end(), content) != argument.end();
    }
    if (word == "anyOf") {
      return count_accepting(argument, content) > 0;
    }
    if (word == "oneOf") {
      return count_accepting(argument, content) == 1;
    }
    if (word == "allOf") {
      return count_accepting(argument, content) == argument.size();
    }
    if (word == "not") {
      return !accepts(argument, content);
    }
    if (word == "pattern") {
      return !content.is_string() ||
             std::regex_search(content.get<std::string>(), std::regex{argument.get<std::string>()});
    }
    if (word == "minimum" || word == "maximum") {
      return !content.is_number() ||
             (word == "minimum" ? content >= argument : content <= argument);
    }
    return accepts_parts(rule, word, argument, content);
  }

  bool accepts_parts(const json& rule, const std::string& word, const json& argument,
                     const json& content) {
    if (word == "items" || word == "minItems" || word == "maxItems" || word == "uniqueItems") {
      return !content.is_array() || accepts_items(word, argument, content);
    }
    static const std::set<std::string> of_objects{
        "properties",        "additionalProperties", "required",      "propertyNames",
        "patternProperties", "dependentSchemas",     "minProperties", "maxProperties"};
    if (of_objects.contains(word)) {
      return !content.is_object() || accepts_members(rule, word, argument, content);
    }
    static const std::set<std::string> notes{"$schema", "$defs", "title", "description", "default"};
    CHECK_MESSAGE(notes.contains(word), "unknown word in the schema: ", word);
    return true;
  }

  bool accepts_items(const std::string& word, const json& argument, const json& content) {
    if (word == "items") {
      return count_accepting_items(argument, content) == content.size();
    }
    if (word == "uniqueItems") {
      return std::set<json>(content.begin(), content.end()).size() == content.size();
    }
    return word == "minItems" ? content.size() >= argument : content.size() <= argument;
  }

  std::size_t count_accepting_items(const json& rule, const json& content) {
    std::size_t count = 0;
    for (const auto& each : content) {
      count += accepts(rule, each) ? 1 : 0;
    }
    return count;
  }

  bool accepts_members(const json& rule, const std::string& word, const json& argument,
                       const json& content) {
    if (word == "minProperties" || word == "maxProperties") {
      return word == "minProperties" ? content.size() >= argument : content.size() <= argument;
    }
    if (word == "required") {
      return std::all_of(argument.begin(), argument.end(),
                         [&](const auto& key) { return content.contains(key); });
    }
    for (const auto& [key, member] : content.items()) {
      const bool named = rule.contains("properties") && rule["properties"].contains(key);
      const bool extension = rule.contains("patternProperties") && key.starts_with("x-");
      if ((word == "properties" && named && !accepts(argument[key], member)) ||
          (word == "dependentSchemas" && argument.contains(key) &&
           !accepts(argument[key], content)) ||
          (word == "propertyNames" && !accepts(argument, key)) ||
          (word == "additionalProperties" && !named && !extension &&
           (argument.is_boolean() ? !argument.get<bool>() : !accepts(argument, member)))) {
        return false;
      }
    }
    return true;
  }
};

// A text as the JSON that an editor's YAML reader makes of it.
json json_of(reader& in, const yaml_tree& tree, const cursor& where) {
  switch (where.node->kind) {
    case yaml_kind::null:
      return nullptr;
    case yaml_kind::sequence: {
      auto list = json::array();
      for (const auto& each : in.elements(where)) {
        list.push_back(json_of(in, tree, each));
      }
      return list;
    }
    case yaml_kind::map: {
      auto map = json::object();
      for (const auto& [key, content] : in.entries(where)) {
        map[key->text] = json_of(in, tree, {content, key, {&where.at, key->text, 0, false}});
      }
      return map;
    }
    case yaml_kind::scalar:
      break;
  }
  return json::parse(to_json(in.read_scalar(where, "a value").value_or(value{})));
}

bool schema_accepts(std::string_view text) {
  const auto tree = parse_yaml(text);
  REQUIRE(tree.usable);
  reader in{text, "", tree};
  const auto content = json_of(in, tree, {&tree.at(tree.root), nullptr, {}});
  return schema_checker{}.accepts(schema(), content);
}

TEST_CASE("the schema accepts the examples, as written and in canonical form") {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator{source_directory / "examples"}) {
    if (entry.path().extension() == ".yaml") {
      CAPTURE(entry.path().string());
      const auto text = content_of("examples" / entry.path().filename());
      CHECK(schema_accepts(text));
      const auto loaded = load_definition(
          text, entry.path().string(), [](const std::string& file) -> runtime::result<std::string> {
            return content_of("examples/" + file);
          });
      REQUIRE(loaded);
      CHECK(schema_accepts(to_json(*loaded.definition)));
      ++count;
    }
  }
  CHECK(count >= 3);
}

TEST_CASE("the page's examples load, and the schema accepts them") {
  const auto page = content_of("docs/reference/pipeline.md");
  constexpr std::string_view fence = "```yaml\n";
  std::size_t count = 0;
  for (auto at = page.find(fence); at != std::string::npos; at = page.find(fence, at + 1)) {
    const auto from = at + fence.size();
    const auto text = page.substr(from, page.find("```", from) - from);
    CAPTURE(text);
    const auto loaded = load_definition(text, "pipeline.md");
    for (const auto& each : loaded.diagnostics) {
      MESSAGE(to_string(each));
    }
    CHECK(loaded.definition.has_value());
    CHECK(schema_accepts(text));
    ++count;
  }
  CHECK(count >= described_maps().size());
}

// Keys of one map, and whether they are right.
struct row {
  std::string_view keys;
  bool good;
};

// The loader and the schema take a task of these keys where it is good, and not otherwise.
template <std::size_t Count>
void judge_alike(const std::array<row, Count>& rows) {
  for (const auto& each : rows) {
    CAPTURE(each.keys);
    const auto text = "name: p\nparams: {list: [a]}\ntasks:\n  - {name: a, " +
                      std::string{each.keys} + "}\n  - {name: b, run: x}\n";
    CHECK(load_definition(text, "").definition.has_value() == each.good);
    CHECK(schema_accepts(text) == each.good);
  }
}

// Goal: an editor marks what the loader refuses, as far as a schema can say it.
TEST_CASE("the schema and the loader judge the keys of a task alike") {
  constexpr std::array rows{
      row{"run: x", true},
      row{"run: 1", true},
      row{"command: [a, 1, 0.5, true]", true},
      row{"run: x, command: [a]", false},
      row{"needs: []", false},
      row{"run: [x]", false},
      row{"command: []", false},
      row{"command: a", false},
      row{"run: x, comand: [a]", false},
      row{"run: x, needs: [b]", true},
      row{"run: x, needs: b", true},
      row{"run: x, needs: [b, b]", false},
      row{"run: x, needs: {b: c}", false},
      row{"run: x, run_on: any", true},
      row{"run: x, run_on: some", false},
      row{"run: x, when: true", true},
      row{"run: x, when: \"${{ 1 == 1 }}\"", true},
      row{"run: x, when: maybe", false},
      row{"run: x, env: {A: 1, _b: x}", true},
      row{"run: x, env: {1A: 1}", false},
      row{"run: x, env: {MILLRACE_A: 1}", false},
      row{"run: x, env: {A: [1]}", false},
      row{"run: x, secrets: {A: {from: project, key: api-token}}", true},
      row{"run: x, secrets: {A: {from: file, key: database/password}}", true},
      row{"run: x, secrets: {_b: {from: file, key: ..data/.x}}", true},
      row{"run: x, secrets: {A: {from: env, key: TOKEN_1}}", true},
      row{"run: x, secrets: {}", true},
      row{"run: x, secrets: [A]", false},
      row{"run: x, secrets: {A: token}", false},
      row{"run: x, secrets: {A: {from: project}}", false},
      row{"run: x, secrets: {A: {key: token}}", false},
      row{"run: x, secrets: {A: {from: vault, key: token}}", false},
      row{"run: x, secrets: {A: {from: project, key: token, value: x}}", false},
      row{"run: x, secrets: {1A: {from: project, key: token}}", false},
      row{"run: x, secrets: {MILLRACE_A: {from: project, key: token}}", false},
      row{"run: x, secrets: {A: {from: project, key: a/b}}", false},
      row{"run: x, secrets: {A: {from: env, key: a-b}}", false},
      row{"run: x, secrets: {A: {from: env, key: MILLRACE_SECRET_B}}", false},
      row{"run: x, secrets: {A: {from: file, key: \"\"}}", false},
      row{"run: x, secrets: {A: {from: file, key: /etc/passwd}}", false},
      row{"run: x, secrets: {A: {from: file, key: ../b}}", false},
      row{"run: x, secrets: {A: {from: file, key: a/../b}}", false},
      row{"run: x, secrets: {A: {from: file, key: a//b}}", false},
      row{"run: x, secrets: {A: {from: file, key: a/.}}", false},
      row{"run: x, timeout: 1h30m", true},
      row{"run: x, timeout: 1d2h3m4s5ms", true},
      row{"run: x, timeout: 10m", true},
      row{"run: x, timeout: 0", false},
      row{"run: x, timeout: 0s", false},
      row{"run: x, timeout: 90", false},
      row{"run: x, timeout: \"\"", false},
      row{"run: x, timeout: 30m1h", false},
      row{"run: x, grace_period: 0", true},
      row{"run: x, grace_period: 0s", true},
      row{"run: x, grace_period: 5 s", false},
      row{"run: x, retry: 3", true},
      row{"run: x, retry: never", true},
      row{"run: x, retry: 0", false},
      row{"run: x, retry: 1001", false},
      row{"run: x, retry: often", false},
      row{"run: x, retry: {jitter: 0, backoff: 1, delay: 0, max_delay: 0}", true},
      row{"run: x, retry: {jitter: 1.0, backoff: 100.0}", true},
      row{"run: x, retry: {jitter: 1.01}", false},
      row{"run: x, retry: {backoff: 0.9}", false},
      row{"run: x, retry: {limit: 3}", false},
      row{"run: x, for_each: [a, 1, true]", true},
      row{"run: x, for_each: []", true},
      row{"run: x, for_each: \"${{ params.list }}\"", true},
      row{"run: x, for_each: abc", false},
      row{"run: x, for_each: [[a]]", false},
      row{"run: x, for_each: [{host: a, port: 1}, b, {}]", true},
      row{"run: x, for_each: [{host: [a]}]", false},
      row{"run: x, for_each: [{1a: x}]", false},
      row{"run: x, for_each: [a], matrix: {a: [1]}", false},
      row{"run: x, matrix: {a: [1], include: [{a: 2}], exclude: [{a: 1}]}", true},
      row{"run: x, matrix: {include: [{a: 1, b: 2}, {a: 2, b: 3}]}", true},
      row{"run: x, matrix: {a: [{b: c}]}", false},
      row{"run: x, matrix: {}", false},
      row{"run: x, matrix: {1a: [1]}", false},
      row{"run: x, matrix: {a: 1}", false},
      row{"run: x, matrix: {a: [1], include: {a: 2}}", false},
      row{"run: x, max_parallel: 2", false},
      row{"run: x, fail_fast: true", false},
      row{"run: x, for_each: [a], max_parallel: 2, fail_fast: false", true},
      row{"run: x, for_each: [a], max_parallel: 0", false},
      row{"run: x, for_each: [a], fail_fast: 1", false},
      row{"run: x, on_empty: skip", false},
      row{"run: x, for_each: [a], on_empty: fail", true},
      row{"run: x, matrix: {a: [1]}, on_empty: succeed", true},
      row{"run: x, for_each: [], on_empty: never", false},
      row{"run: x, outputs: [a, b-c]", true},
      row{"run: x, outputs: {a: , b: text, c: {description: text}}", true},
      row{"run: x, outputs: [a, a]", false},
      row{"run: x, outputs: [1a]", false},
      row{"run: x, outputs: {a: {type: int}}", false},
      row{"run: x, description: [a]", false},
  };
  judge_alike(rows);
}

TEST_CASE("the loader and the published schema agree on attempts") {
  constexpr std::array rows{
      row{"run: x, timeout: \"${{ params.list }}\"", false},
      row{"run: x, timeout: \"${{ run.id }}\", start_timeout: \"${{ run.id }}s\"", true},
      row{"run: x, start_timeout: 10m, heartbeat: 1s", true},
      row{"run: x, start_timeout: 0", false},
      row{"run: x, start_timeout: never", false},
      row{"run: x, limits: {memory: 1}", true},
      row{"run: x, limits: {memory: 1.5Gi}", true},
      row{"run: x, limits: {memory: 0Mi}", false},
      row{"run: x, limits: {memory: 64MB}", false},
      row{"run: x, limits: {}", false},
      row{"run: x, limits: 1Gi", false},
      row{"run: x, limits: {cpu: 1}", false},
      row{"approval: x, limits: {memory: 1Gi}", false},
      row{"pipeline: x, limits: {memory: 1Gi}", false},
      row{"run: x, heartbeat: 999ms", false},
      row{"run: x, heartbeat: 0", false},
      row{"run: x, heartbeat: [1s]", false},
      row{"run: x, heartbeat: 1500ms", true},
      row{"run: x, success_exit_codes: 0", true},
      row{"run: x, success_exit_codes: [0, 255]", true},
      row{"run: x, success_exit_codes: []", false},
      row{"run: x, success_exit_codes: 256", false},
      row{"run: x, success_exit_codes: -1", false},
      row{"run: x, success_exit_codes: ok", false},
      row{"run: x, stdout: text", true},
      row{"run: x, stdout: text, outputs: [text]", true},
      row{"run: x, stdout: a text", false},
      row{"run: x, stdout: [text]", false},
      row{"run: x, retry: {max_attempts: 2, run: z, shell: bash}", true},
      row{"run: x, retry: {max_attempts: 2, command: [z, 1]}", true},
      row{"run: x, retry: {max_attempts: 2, command: z}", false},
      row{"run: x, retry: {max_attempts: 2, command: [z], run: z}", false},
      row{"run: x, retry: {max_attempts: 2, command: [z], shell: sh}", false},
      row{"run: x, retry: {max_attempts: 2, shell: sh}", false},
      row{"approval: x, start_timeout: 1m", false},
      row{"approval: x, heartbeat: 1m", false},
      row{"pipeline: x, success_exit_codes: 3", false},
      row{"pipeline: x, stdout: text", false},
      row{"pipeline: x, timeout: \"${{ run.id }}\"", true},
  };
  for (const auto& each : rows) {
    CAPTURE(each.keys);
    const auto text =
        "name: p\nparams: {list: [a]}\ntasks: [{name: a, " + std::string{each.keys} + "}]\n";
    CHECK(load_definition(text, "").definition.has_value() == each.good);
    // Only the loader knows the types of parameters.
    CHECK(schema_accepts(text) ==
          (each.good || each.keys.find("params") != std::string_view::npos));
  }
}

TEST_CASE("the loader and the published schema agree on artifacts and kept results") {
  constexpr std::array rows{
      row{"artifacts: {x: a, y: [a, 'b/*.c'], z: {path: a, max_size: 1Gi, optional: true}}", true},
      row{"artifacts: {x: {path: ['**'], max_size: 1000}}", true},
      row{"artifacts: {}", true},
      row{"artifacts: {x: 1, y: [true, 0.5], z: {path: 2026}}", true},
      row{"artifacts: {x: [[a]]}", false},
      row{"artifacts: {x: /a}", false},
      row{"artifacts: {x: ''}", false},
      row{"artifacts: {x: []}", false},
      row{"artifacts: {x: {}}", false},
      row{"artifacts: {x: {path: a, max_size: 0}}", false},
      row{"artifacts: {x: {path: a, optional: 'true'}}", false},
      row{"artifacts: {'a b': a}", false},
      row{"artifacts: [a]", false},
      row{"needs: [{task: b, artifacts: true}]", true},
      row{"needs: [{task: b, artifacts: false}]", true},
      row{"needs: [{task: b, artifacts: out}]", true},
      row{"needs: [{task: b, artifacts: [out]}]", false},
      row{"needs: [{task: b, artifacts: 1}]", false},
      row{"cache: true", true},
      row{"cache: false", true},
      row{"cache: {}", true},
      row{"cache: {key: a}", true},
      row{"cache: {key: 1, ttl: 7d}", true},
      row{"cache: {key: ''}", false},
      row{"cache: {key: [a]}", false},
      row{"cache: {ttl: 0}", false},
      row{"cache: {ttl: soon}", false},
      row{"cache: {paths: [a]}", false},
      row{"cache: [a]", false},
      row{"cache: 'true'", false},
  };
  for (const auto& each : rows) {
    CAPTURE(each.keys);
    const auto text = "name: p\nworkspace: task\ntasks:\n- {name: a, run: x, " +
                      std::string{each.keys} + "}\n- {name: b, run: x, artifacts: {out: o}}\n";
    CHECK(load_definition(text, "").definition.has_value() == each.good);
    CHECK(schema_accepts(text) == each.good);
  }
}

TEST_CASE("the loader and the published schema agree on gangs") {
  constexpr std::array rows{
      row{"run: x, ranks: 2", true},
      row{"run: x, ranks: 1000, retry: {max_attempts: 2, delay: 5s}, preemptible: never", true},
      row{"run: x, ranks: 4, resources: {gpu: 1}, outputs: [k], retry: 3", true},
      row{"run: x, ranks: 1", false},
      row{"run: x, ranks: 1001", false},
      row{"run: x, ranks: '2'", false},
      row{"run: x, ranks: 2, for_each: [1]", false},
      row{"run: x, ranks: 2, matrix: {a: [1]}", false},
      row{"run: x, ranks: 2, max_parallel: 2", false},
      row{"run: x, ranks: 2, fail_fast: true", false},
      row{"run: x, ranks: 2, on_empty: fail", false},
      row{"run: x, ranks: 2, allow_failures: true", false},
      row{"run: x, ranks: 2, cache: true", false},
      row{"run: x, ranks: 2, preemptible: cancel", false},
      row{"run: x, ranks: 2, retry: {max_attempts: 2, run: y}", false},
      row{"run: x, ranks: 2, retry: {max_attempts: 2, command: [y]}", false},
      row{"approval: x, ranks: 2", false},
      row{"callback: {}, ranks: 2", false},
      row{"pipeline: q, ranks: 2", false},
      row{"run: x, ranks: 2, finally: {run: y, ranks: 2}", false},
  };
  for (const auto& each : rows) {
    CAPTURE(each.keys);
    const auto text =
        "name: p\nworkspace: task\ntasks: [{name: a, " + std::string{each.keys} + "}]\n";
    CHECK(load_definition(text, "").definition.has_value() == each.good);
    CHECK(schema_accepts(text) == each.good);
  }
}

TEST_CASE("the loader and the published schema agree on what a task claims") {
  constexpr std::array rows{
      row{"run: x, priority: 0", true},
      row{"run: x, priority: 1000000000", true},
      row{"run: x, priority: 1000000001", false},
      row{"run: x, priority: -1", false},
      row{"run: x, priority: high", true},
      row{"run: x, priority: higher", false},
      row{"run: x, pool: gpu-1", true},
      row{"run: x, pool: GPU", false},
      row{"run: x, pool: \"*\"", false},
      row{"approval: go, pool: gpu", false},
      row{"run: x, resources: {cpu: 2, memory: 512Mi, gpu: 1}", true},
      row{"run: x, resources: {cpu: 0.5, memory: 1000}", true},
      row{"run: x, resources: {cpu: 500m, memory: 1.5Gi}", true},
      row{"run: x, resources: {cpu: two}", false},
      row{"run: x, resources: {cpu: 0}", false},
      row{"run: x, resources: {memory: 512MB}", false},
      row{"run: x, resources: {gpu: 0.5}", false},
      row{"run: x, resources: {gpu: 1m}", false},
      row{"run: x, resources: {'a b': 1}", false},
      row{"run: x, resources: [gpu]", false},
      row{"run: x, synchronization: {mutexes: deploy}", true},
      row{"run: x, synchronization: {mutexes: [a, b], semaphores: [{name: c, limit: 3}]}", true},
      row{"run: x, synchronization: {semaphores: [{name: c}]}", false},
      row{"run: x, synchronization: {semaphores: [{name: c, limit: 0}]}", false},
      row{"run: x, synchronization: {semaphores: {name: c, limit: 1}}", false},
      row{"run: x, synchronization: {locks: [a]}", false},
  };
  judge_alike(rows);
}

// What is text may be written as a number or a boolean, in the schema as for the loader.
TEST_CASE("the loader and the published schema agree on texts and on what may not be empty") {
  constexpr std::array rows{
      row{"run: 1, outputs: [true, a]", true},
      row{"run: x, outputs: [1]", false},
      row{"run: x, stdout: true", true},
      row{"run: x, workdir: true", true},
      row{"run: x, workdir: 2026", true},
      row{"run: x, workdir: a/b..c", true},
      row{"run: x, workdir: /srv/../tmp", true},
      row{"run: x, workdir: \"${{ params.list }}/..\"", true},
      row{"run: x, workdir: a/../b", false},
      row{"run: x, workdir: ..", false},
      row{"run: x, workdir: \"\"", false},
      row{"run: x, workdir: [a]", false},
      row{"run: x, inputs: {x: 1, y: [a, {z: true}], z: {}}", true},
      row{"run: x, inputs: {}", true},
      row{"run: x, inputs: {x: null}", false},
      row{"run: x, inputs: {x: [null]}", false},
      row{"run: x, inputs: {1x: a}", false},
      row{"run: x, inputs: [a]", false},
      row{"run: x, shell: bash", true},
      row{"run: x, shell: [python3, -c]", true},
      row{"run: x, shell: [sh, 1]", true},
      row{"run: x, shell: zsh", false},
      row{"run: x, shell: []", false},
      row{"run: x, shell: {sh: -c}", false},
      row{"command: [x], shell: sh", false},
      row{"run: x, finally: {command: [x], shell: sh}", false},
      row{"run: x, finally: {run: x, shell: bash}", true},
      row{"run: x, secrets: {A: {from: file, key: 1}}", true},
      row{"run: x, secrets: {A: {from: file, key: true}}", true},
      row{"run: x, secrets: {A: {from: env, key: true}}", true},
      row{"run: x, secrets: {A: {from: env, key: 1}}", false},
      row{"run: x, secrets: {A: {from: project, key: true}}", true},
      row{"run: x, secrets: {A: {from: project, key: 1}}", false},
      row{"run: \"\"", false},
      row{"run: \" \"", false},
      row{"run: x, finally: \"\"", false},
      row{"run: x, finally: {run: \"\"}", false},
      row{"run: x, finally: 1", true},
      row{"run: x, finally: {run: x, workdir: true, inputs: {x: 1}}", true},
      row{"run: x, finally: {run: x, inputs: {x: null}}", false},
      row{"run: x, retry: {max_attempts: 2, run: \"\"}", false},
      row{"callback: {}", true},
      row{"callback: {prompt: 1}", true},
      row{"callback: {prompt: true}", true},
      row{"callback: {prompt: [a]}", false},
      row{"callback: {text: a}", false},
      row{"callback: true", false},
      row{"pipeline: q, params: {x: 1, y: [a, {z: true}]}", true},
      row{"pipeline: q, params: {x: null}", false},
      row{"pipeline: q, params: {1x: a}", false},
  };
  judge_alike(rows);
}

// Method: each file has one variable.
TEST_CASE("the loader and the published schema agree on environment files") {
  constexpr std::array rows{
      row{"env_file: .env", true},
      row{"env_file: 1", true},
      row{"env_file: true", true},
      row{"env_file: [a.env, 1]", true},
      row{"env_file: []", true},
      row{"env_file: {a: b}", false},
      row{"env_file: [[a.env]]", false},
      row{"env_file: [null]", false},
      row{"env: {A: 1}, env_file: a", true},
  };
  for (const auto& each : rows) {
    for (const std::string at : {"name: p\ntasks: [{name: a, run: x, KEYS}]\n",
                                 "{name: p, KEYS, tasks: [{name: a, run: x}]}\n"}) {
      auto text = at;
      text.replace(text.find("KEYS"), 4, each.keys);
      CAPTURE(text);
      const auto loaded = load_definition(
          text, "",
          [](const std::string&) -> runtime::result<std::string> { return std::string{"A=1\n"}; });
      CHECK(loaded.definition.has_value() == each.good);
      CHECK(schema_accepts(text) == each.good);
    }
  }
  CHECK_FALSE(schema_accepts("{name: p, tasks: [{name: a, approval: x, env_file: a}]}"));
}

TEST_CASE("the loader and the published schema agree on how runs of a pipeline start") {
  constexpr std::array rows{
      row{"concurrency: 1", true},
      row{"concurrency: {}", true},
      row{"concurrency: {limit: 1000, group: \"${{ params.a }}\", on_limit: reject}", true},
      row{"concurrency: {group: 1}", true},
      row{"concurrency: {group: true}", true},
      row{"concurrency: {group: [a]}", false},
      row{"concurrency: 0", false},
      row{"concurrency: 1001", false},
      row{"concurrency: \"1\"", false},
      row{"concurrency: {limit: 0}", false},
      row{"concurrency: {on_limit: wait}", false},
      row{"concurrency: {max: 1}", false},
      row{"triggers: {pipeline: q}", true},
      row{"triggers: {pipeline: q, on: end, params: {a: \"${{ trigger.run }}\"}, once_for: 1}",
          true},
      row{"triggers: {pipeline: q, once_for: true}", true},
      row{"triggers: [{pipeline: q}, {pipeline: r, on: failure}, {webhook: w}]", true},
      row{"triggers: []", true},
      row{"triggers: q", false},
      row{"triggers: {}", false},
      row{"triggers: {pipeline: Q}", false},
      row{"triggers: {pipeline: q, on: always}", false},
      row{"triggers: {pipeline: q, when: true}", false},
      row{"triggers: {pipeline: q, signature: {secret: k}}", false},
      row{"triggers: {pipeline: q, webhook: w}", false},
      row{"triggers: {pipeline: q, params: {a: null}}", false},
      row{"triggers: {pipeline: q, params: [a]}", false},
      row{"triggers: {pipeline: q, once_for: [a]}", false},
      row{"triggers: {webhook: w, signature: {secret: github-key}, when: true}", true},
      row{"triggers: {webhook: w, signature: {secret: true}}", true},
      row{"triggers: {webhook: w, when: \"${{ trigger.body.a == 1 }}\", once_for: 1}", true},
      row{"triggers: {webhook: w, params: {a: \"${{ trigger.body.0.b }}\"}}", true},
      row{"triggers: {webhook: w, when: maybe}", false},
      row{"triggers: {webhook: w, when: 1}", false},
      row{"triggers: {webhook: w, on: success}", false},
      row{"triggers: {webhook: w, signature: {}}", false},
      row{"triggers: {webhook: w, signature: k}", false},
      row{"triggers: {webhook: w, signature: {secret: 1k}}", false},
      row{"triggers: {webhook: w, signature: {secret: k, header: h}}", false},
      row{"revert: {after: 2}", true},
      row{"revert: {}", false},
      row{"revert: 2", false},
      row{"revert: {after: 0}", false},
      row{"revert: {after: 1001}", false},
      row{"revert: {after: 2, to: 1}", false},
      row{"outputs: {a: \"${{ params.a }}\", b: 1, c: true}", true},
      row{"outputs: {}", true},
      row{"outputs: {1a: x}", false},
      row{"outputs: {a: [x]}", false},
      row{"outputs: {a: null}", false},
      row{"outputs: [a]", false},
  };
  for (const auto& each : rows) {
    CAPTURE(each.keys);
    const auto text =
        "{name: p, params: {a: {}}, " + std::string{each.keys} + ", tasks: [{name: a, run: x}]}\n";
    CHECK(load_definition(text, "").definition.has_value() == each.good);
    CHECK(schema_accepts(text) == each.good);
  }
}

TEST_CASE("the schema and the loader judge the keys of a pipeline alike") {
  constexpr std::array pipelines{
      row{"name: p", true},
      row{"name: 2026", true},
      row{"name: P", false},
      row{"name: p, x-a: [1]", true},
      row{"name: p, y-a: [1]", false},
      row{"name: p, version: 1", true},
      row{"name: p, version: 2", false},
      row{"description: p", false},
      row{"name: p, labels: {a: 1}", true},
      row{"name: p, labels: [a]", false},
      row{"name: p, params: {a: 1, b: {type: int}, c: {enum: [a]}}", true},
      row{"name: p, params: {a: [1]}", true},
      row{"name: p, params: {a: [[1]]}", false},
      row{"name: p, params: {a: {type: list}, b: {default: {k: 1}}}", true},
      row{"name: p, params: {a: {default: {k: [1]}}}", false},
      row{"name: p, params: {a: {type: integer}}", false},
      row{"name: p, params: {a: {enum: []}}", false},
      row{"name: p, params: {a: {required: true}}", true},
      row{"name: p, params: {a: {required: false, default: 1}}", true},
      row{"name: p, params: {a: {required: true, default: 1}}", false},
      row{"name: p, params: {1a: 1}", false},
      row{"name: p, workspace: task", true},
      row{"name: p, workspace: shared", false},
      row{"name: p, max_parallel: 100001", false},
      row{"name: p, retention: {runs: 100, age: 30d}", true},
      row{"name: p, retention: {age: 1h}", true},
      row{"name: p, retention: {}", true},
      row{"name: p, retention: 100", false},
      row{"name: p, retention: {runs: 0}", false},
      row{"name: p, retention: {runs: 1000000001}", false},
      row{"name: p, retention: {age: 0}", false},
      row{"name: p, retention: {logs: 3d}", false},
      row{"name: p, schedule: \"0 3 * * *\"", true},
      row{"name: p, schedule: {every: 1h, start: \"2026-01-31T08:00:00Z\"}", true},
      row{"name: p, schedule: [{cron: '@daily', timezone: Asia/Tokyo}, {name: b, every: 5m}]",
          true},
      row{"name: p, schedule: []", true},
      row{"name: p, schedule: {every: 1m, jitter: 0, overlap: queue, catchup: all}", true},
      row{"name: p, schedule: {every: 1m, paused: true, params: {}, catchup_window: 1d}", true},
      row{"name: p, schedule: {}", false},
      row{"name: p, schedule: 5", false},
      row{"name: p, schedule: {cron: '@daily', every: 1h}", false},
      row{"name: p, schedule: {every: 1h, timezone: Asia/Tokyo}", false},
      row{"name: p, schedule: {every: 0}", false},
      row{"name: p, schedule: {every: 60}", false},
      row{"name: p, schedule: {every: 1m, overlap: forbid}", false},
      row{"name: p, schedule: {every: 1m, catchup: true}", false},
      row{"name: p, schedule: {every: 1m, catchup_window: 0}", false},
      row{"name: p, schedule: {every: 1m, name: A}", false},
      row{"name: p, schedule: {every: 1m, paused: 1}", false},
      row{"name: p, schedule: {every: 1m, time_zone: UTC}", false},
      row{"name: p, defaults: {retry: 3, timeout: 5m, env: {A: 1}}", true},
      row{"name: p, defaults: {retries: 3}", false},
      row{"name: p, defaults: {retry: {max_attempts: 3}}", true},
      row{"name: p, defaults: {retry: {max_attempts: 3, run: x}}", false},
      row{"name: p, defaults: {retry: {max_attempts: 3, command: [x]}}", false},
      row{"name: p, defaults: {retry: {max_attempts: 3, shell: bash, run: x}}", false},
      row{"name: p, secrets: {A: {from: project, key: a}}", true},
      row{"name: p, defaults: {secrets: {A: {from: env, key: a}}}", true},
      row{"name: p, defaults: {secrets: {A: a}}", false},
  };
  for (const auto& each : pipelines) {
    CAPTURE(each.keys);
    const auto text = "{" + std::string{each.keys} + ", tasks: [{name: a, run: x}]}\n";
    CHECK(load_definition(text, "").definition.has_value() == each.good);
    CHECK(schema_accepts(text) == each.good);
  }
  CHECK_FALSE(schema_accepts("{name: p, tasks: []}"));
  CHECK_FALSE(schema_accepts("{name: p}"));
  CHECK_FALSE(schema_accepts("[name]"));
}

}  // namespace
}  // namespace millrace::actors
