// SPDX-License-Identifier: MIT
#include "definition/yaml_tree.h"

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <istream>
#include <streambuf>
#include <unordered_map>

namespace millrace::actors {
namespace {

yaml_place place_of(const YAML::Mark& mark) {
  if (mark.is_null()) {
    return {};
  }
  return {static_cast<std::size_t>(mark.line) + 1, static_cast<std::size_t>(mark.column) + 1};
}

// The bytes of the UTF-8 character at `at`; 0 when there is none. No overlong forms, no surrogates
// (RFC 3629, section 4).
std::size_t character_size(std::string_view text, std::size_t at) {
  const auto follows = [&](std::size_t next, unsigned low = 0x80, unsigned high = 0xBF) {
    return next < text.size() && static_cast<unsigned char>(text[next]) >= low &&
           static_cast<unsigned char>(text[next]) <= high;
  };
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) {
    return 1;
  }
  if (lead >= 0xC2 && lead <= 0xDF) {
    return follows(at + 1) ? 2 : 0;
  }
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool second = follows(at + 1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF);
    return second && follows(at + 2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool second = follows(at + 1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF);
    return second && follows(at + 2) && follows(at + 3) ? 4 : 0;
  }
  return 0;
}

bool is_utf8(std::string_view text) {
  std::size_t size = 0;
  for (std::size_t at = 0; at < text.size(); at += size) {
    size = character_size(text, at);
    if (size == 0) {
      return false;
    }
  }
  return true;
}

// Far above every limit, far below what sums of it could overflow.
constexpr std::size_t extent_max = std::size_t{1} << 40U;

void add(yaml_extent& to, const yaml_extent& more) {
  to.values = std::min(to.values + more.values, extent_max);
  to.bytes = std::min(to.bytes + more.bytes, extent_max);
}

class tree_builder final : public YAML::EventHandler {
public:
  explicit tree_builder(yaml_tree& tree) : tree_(tree) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    leaf(yaml_kind::null, mark, "?", anchor, {});
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      problem(place_of(mark), "an alias stands inside its own anchor", {});
      leaf(yaml_kind::null, mark, "?", YAML::NullAnchor, {});
      return;
    }
    if (extents_[found->second].values > widest_) {
      widest_ = extents_[found->second].values;
      tree_.widest_alias = place_of(mark);
    }
    attach(found->second);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    leaf(yaml_kind::scalar, mark, tag, anchor, text);
    if (text.find('\0') != std::string::npos) {
      problem(place_of(mark), "the text holds a NUL character", {});
    } else if (!is_utf8(text)) {  // yaml-cpp makes single bytes of these two escapes
      problem(place_of(mark), "the escapes `\\N` and `\\_` are not supported",
              "write `\\u0085` or `\\u00a0`");
    }
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(yaml_kind::sequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(yaml_kind::map, mark, tag, anchor);
  }
  void OnMapEnd() override {
    check_keys(tree_.nodes[open_.back().node]);
    close();
  }

  // Keys that start with `x-` are never read.
  [[nodiscard]] yaml_extent extent_of_root() const {
    const auto& root = tree_.at(tree_.root);
    if (root.kind != yaml_kind::map) {
      return extents_[tree_.root];
    }
    yaml_extent sum{1, 0};
    for (std::size_t each = 0; each + 1 < root.items.size(); each += 2) {
      add(sum, extents_[root.items[each]]);
      if (!tree_.at(root.items[each]).text.starts_with("x-")) {
        add(sum, extents_[root.items[each + 1]]);
      }
    }
    return sum;
  }

private:
  struct open_node {
    std::uint32_t node;
    YAML::anchor_t anchor;
  };

  void problem(yaml_place place, std::string text, std::string hint) {
    tree_.problems.push_back({place, std::move(text), std::move(hint)});
  }

  std::uint32_t make(yaml_kind kind, const YAML::Mark& mark, const std::string& tag,
                     const std::string& text) {
    constexpr std::string_view standard = "tag:yaml.org,2002:";
    const bool own_tag = !tag.empty() && tag != "?" && tag != "!";
    const auto word = tag.starts_with(standard) ? tag.substr(standard.size()) : std::string{"?"};
    const bool harmless = (kind == yaml_kind::scalar && word == "str") ||
                          (kind == yaml_kind::sequence && word == "seq") ||
                          (kind == yaml_kind::map && word == "map");
    if (own_tag && !harmless) {
      const auto shown = word == "?" ? tag : "!!" + word;
      problem(place_of(mark), "tags such as `" + shown + "` are not supported",
              "remove the tag; put text in quotes");
    }
    extents_.push_back({1, text.size()});
    tree_.nodes.push_back(
        {kind, kind == yaml_kind::scalar && tag == "?", place_of(mark), text, {}});
    return static_cast<std::uint32_t>(tree_.nodes.size() - 1);
  }

  void attach(std::uint32_t node) {
    if (open_.empty()) {
      tree_.root = node;
    } else {
      tree_.nodes[open_.back().node].items.push_back(node);
    }
  }

  void leaf(yaml_kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            const std::string& text) {
    const auto node = make(kind, mark, tag, text);
    if (anchor != YAML::NullAnchor) {
      anchors_[anchor] = node;
    }
    attach(node);
  }

  // The anchor of a list or map counts only once it is closed.
  void open(yaml_kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    const auto node = make(kind, mark, tag, {});
    attach(node);
    open_.push_back({node, anchor});
  }

  void close() {
    auto& extent = extents_[open_.back().node];
    for (const auto item : tree_.at(open_.back().node).items) {
      add(extent, extents_[item]);
    }
    if (open_.back().anchor != YAML::NullAnchor) {
      anchors_[open_.back().anchor] = open_.back().node;
    }
    open_.pop_back();
  }

  void check_keys(const yaml_node& map) {
    std::unordered_map<std::string_view, std::size_t> lines;
    for (std::size_t each = 0; each + 1 < map.items.size(); each += 2) {
      const auto& key = tree_.at(map.items[each]);
      if (key.kind != yaml_kind::scalar) {
        problem(key.place, "a key must be plain text",
                key.kind == yaml_kind::map ? "put quotes around `${{ ... }}`" : "");
        continue;
      }
      const auto [first, added] = lines.try_emplace(key.text, key.place.line);
      if (!added) {
        problem(key.place, "the key `" + key.text + "` is given twice",
                "first given on line " + std::to_string(first->second));
      }
    }
  }

  yaml_tree& tree_;
  std::vector<open_node> open_;
  std::vector<yaml_extent> extents_;  // by node
  std::size_t widest_ = 0;
  std::unordered_map<YAML::anchor_t, std::uint32_t> anchors_;
};

// Reads from the text in place.
class view_buffer final : public std::streambuf {
public:
  explicit view_buffer(std::string_view text) {
    auto* begin = const_cast<char*>(text.data());  // the get area is never written to
    setg(begin, begin, begin + text.size());
  }
};

// A remedy for what people meet most; yaml-cpp's own words name the mechanism, not the mistake.
std::string hint_for(std::string_view message, std::string_view line) {
  if (line.find("${{") != std::string_view::npos) {
    return "put quotes around the text with `${{ ... }}`";
  }
  const auto indent = line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
  if (indent.find('\t') != std::string_view::npos) {
    return "indent with spaces, not tabs";
  }
  struct row {
    std::string_view message;
    std::string_view hint;
  };
  const std::array rows{
      row{YAML::ErrorMsg::MAP_VALUE, "put quotes around text that holds `: `"},
      row{YAML::ErrorMsg::INVALID_ESCAPE, "in double quotes write `\\\\`, or use single quotes"},
      row{YAML::ErrorMsg::END_OF_MAP, "check the indentation, and quote text that holds `: `"},
      row{YAML::ErrorMsg::END_OF_SEQ, "check the indentation of the list"},
      row{YAML::ErrorMsg::END_OF_MAP_FLOW, "a `,` or `}` is missing"},
      row{YAML::ErrorMsg::END_OF_SEQ_FLOW, "a `,` or `]` is missing"},
      row{YAML::ErrorMsg::EOF_IN_SCALAR, "a closing quote is missing"},
      row{YAML::ErrorMsg::INVALID_UNICODE, "write the character itself"},
      row{YAML::ErrorMsg::UNKNOWN_TOKEN, "put the text in quotes"},
  };
  for (const auto& each : rows) {
    if (message.starts_with(each.message)) {
      return std::string{each.hint};
    }
  }
  return {};
}

// Whether the last quoted scalar goes on to the end of the text: yaml-cpp takes that for its end.
const yaml_node* find_unclosed(const yaml_tree& tree, std::string_view text) {
  if (tree.nodes.empty() || tree.nodes.back().kind != yaml_kind::scalar ||
      tree.nodes.back().plain) {
    return nullptr;
  }
  const auto& last = tree.nodes.back();
  for (std::size_t line = 1; line < last.place.line; ++line) {
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  text.remove_prefix(std::min(last.place.column - 1, text.size()));
  if (!text.starts_with('"') && !text.starts_with('\'')) {
    return nullptr;
  }
  const char quote = text[0];
  for (std::size_t at = 1; at < text.size(); ++at) {
    if (quote == '"' && text[at] == '\\') {
      ++at;
    } else if (text[at] == quote) {
      if (quote == '\'' && at + 1 < text.size() && text[at + 1] == quote) {
        ++at;  // two single quotes are one quote in the text
      } else {
        return nullptr;
      }
    }
  }
  return &last;
}

std::string_view line_at(std::string_view text, std::size_t number) {
  for (std::size_t line = 1; line < number && !text.empty(); ++line) {
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  return text.substr(0, text.find('\n'));
}

}  // namespace

yaml_tree parse_yaml(std::string_view text) {
  yaml_tree tree;
  try {
    view_buffer buffer{text};
    std::istream stream{&buffer};
    YAML::Parser parser{stream};
    tree_builder builder{tree};
    if (!parser.HandleNextDocument(builder)) {
      tree.problems.push_back({{}, "the definition is empty", "start with `name:` and `tasks:`"});
      return tree;
    }
    if (const auto* open = find_unclosed(tree, text)) {
      tree.problems.push_back({open->place, "a quote is never closed", "add the closing quote"});
      return tree;
    }
    const auto root = tree.root;
    const auto before = tree.nodes.size();
    if (parser.HandleNextDocument(builder)) {
      const auto place = tree.nodes.size() > before ? tree.nodes[before].place : yaml_place{};
      tree.problems.push_back({place, "the text goes on after the end of the definition",
                               "one file holds one definition: remove `---` and what follows"});
      tree.root = root;
    }
    tree.extent = builder.extent_of_root();
    tree.usable = true;
  } catch (const YAML::DeepRecursion& failure) {
    tree.problems.push_back({place_of(failure.mark), "lists and maps are nested too deeply", ""});
  } catch (const YAML::Exception& failure) {
    const auto place = place_of(failure.mark);
    tree.problems.push_back(
        {place, "broken YAML: " + failure.msg, hint_for(failure.msg, line_at(text, place.line))});
  }
  return tree;
}

std::size_t find_bad_byte(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const bool control = lead < 0x20 && lead != '\t' && lead != '\n' && lead != '\r';
    const auto size = control ? 0 : character_size(text, at);
    if (size == 0) {
      return at;
    }
    at += size;
  }
  return std::string_view::npos;
}

}  // namespace millrace::actors
