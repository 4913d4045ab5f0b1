// SPDX-License-Identifier: MIT
// docs/features.md names tests, examples and pages that are there.
//
// A row's right column has parts with commas between them: a file or folder, of the repository or
// of docs/, with the name of a test case or a heading behind it in quotes, if it is one part of it;
// a number alone is another note of docs/architecture; or a command in backticks.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace millrace::actors {
namespace {

namespace fs = std::filesystem;

const fs::path root{MILLRACE_SOURCE_DIRECTORY};

std::string content_of(const fs::path& file) {
  std::ifstream in{file};
  REQUIRE_MESSAGE(in.good(), file.string());
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

struct feature_row {
  std::string ids;
  std::string here;
  std::string shown;
};

std::string trimmed(const std::string& text) {
  const auto from = text.find_first_not_of(' ');
  return from == std::string::npos ? std::string{}
                                   : text.substr(from, text.find_last_not_of(' ') + 1 - from);
}

// `text` between the places where `mark` stands outside quotes and backticks, and not escaped.
std::vector<std::string> parts_of(const std::string& text, char mark) {
  std::vector<std::string> parts{""};
  auto quote = '\0';
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto each = text[at];
    if (quote != '\0' ? each == quote : each == '"' || each == '`') {
      quote = quote == '\0' ? each : '\0';
    }
    if (each == mark && quote == '\0' && (at == 0 || text[at - 1] != '\\')) {
      parts.emplace_back();
    } else {
      parts.back() += each;
    }
  }
  for (auto& each : parts) {
    each = trimmed(each);
  }
  return parts;
}

std::vector<feature_row> rows_of(const std::string& page) {
  std::vector<feature_row> rows;
  std::istringstream lines{page};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| ") || line.starts_with("| id ")) {
      continue;
    }
    CAPTURE(line);
    // A cell of text may hold an odd quote; the pipes in code are escaped.
    std::string plain = std::regex_replace(line, std::regex{R"(\\\|)"}, "/");
    std::vector<std::string> cells;
    std::istringstream rest{plain.substr(1)};
    for (std::string cell; std::getline(rest, cell, '|');) {
      cells.push_back(trimmed(cell));
    }
    REQUIRE(cells.size() == 3);
    rows.push_back({cells[0], cells[1], cells[2]});
  }
  return rows;
}

// The file or folder that a word of the page means.
std::optional<fs::path> place_of(const std::string& word) {
  if (word == "README") {
    return root / "README.md";
  }
  const auto file = word.substr(0, word.find('#'));
  for (const auto& folder : {root, root / "docs"}) {
    if (fs::exists(folder / file)) {
      return folder / file;
    }
  }
  // A note by its number.
  const auto number = file.starts_with("architecture/") ? file.substr(13) : file;
  if (std::regex_match(number, std::regex{"[0-9]{4}"})) {
    for (const auto& each : fs::directory_iterator{root / "docs/architecture"}) {
      if (each.path().filename().string().starts_with(number + "-")) {
        return each.path();
      }
    }
  }
  return std::nullopt;
}

// Whether a test case of these files, or a heading of a page, has `name` in its own.
bool names_a_part(const fs::path& place, const std::string& name) {
  std::vector<fs::path> files{place};
  if (fs::is_directory(place)) {
    files.clear();
    for (const auto& each : fs::recursive_directory_iterator{place}) {
      if (each.path().string().ends_with("_test.cc")) {
        files.push_back(each.path());
      }
    }
  }
  const std::regex title{R"re((?:TEST_CASE(?:_FIXTURE)?\((?:[^"(),]+,)?\s*)re"
                         R"re("((?:[^"\\]|\\.|"\s*\n\s*")*)"|\n#+ ([^\n]*)))re"};
  return std::any_of(files.begin(), files.end(), [&](const fs::path& file) {
    const auto text = content_of(file);
    return std::any_of(
        std::sregex_iterator{text.begin(), text.end(), title}, {}, [&](const std::smatch& found) {
          const auto whole = std::regex_replace(found[1].matched ? found[1].str() : found[2].str(),
                                                std::regex{R"("\s*\n\s*")"}, "");
          return whole.find(name) != std::string::npos;
        });
  });
}

// What the sources of the command line have of `text`.
bool is_in_command_line(const std::string& text) {
  for (const auto& each : fs::directory_iterator{root / "gateway/src/cli"}) {
    if (content_of(each.path()).find(text) != std::string::npos) {
      return true;
    }
  }
  return false;
}

// What is wrong with a part of the right column; empty: nothing.
std::string fault_of(const std::string& part, std::optional<fs::path>& before) {
  if (part.starts_with('`')) {
    std::istringstream words{part.substr(1, part.rfind('`') - 1)};
    std::string program;
    std::string command;
    words >> program >> command;
    if (program == "./dev") {
      return content_of(root / "dev").find("./dev " + command) == std::string::npos
                 ? "dev has no such command"
                 : "";
    }
    return program != "millrace" ||
                   (!command.starts_with("--") && !is_in_command_line("\"" + command + "\""))
               ? "there is no such command"
               : "";
  }
  const auto quote = part.find('"');
  if (quote != 0) {
    before = place_of(trimmed(part.substr(0, quote)));
  }
  if (!before) {
    return "there is no such file or folder";
  }
  if (fs::is_directory(*before) && fs::is_empty(*before)) {
    return "the folder is empty";
  }
  if (const auto hash = part.find('#'); hash < quote && hash != std::string::npos) {
    auto heading = part.substr(hash + 1, quote - hash - 1);
    std::transform(heading.begin(), heading.end(), heading.begin(),
                   [](char each) { return each == '-' ? ' ' : each; });
    heading[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(heading[0])));
    if (!names_a_part(*before, trimmed(heading))) {
      return "the page has no such heading";
    }
  }
  if (quote != std::string::npos &&
      !names_a_part(*before, part.substr(quote + 1, part.rfind('"') - quote - 1))) {
    return "nothing there is called so";
  }
  return "";
}

TEST_CASE("what the page of features names is there") {
  const auto rows = rows_of(content_of(root / "docs/features.md"));
  CHECK(rows.size() > 100);
  std::set<std::string> ids;
  for (const auto& row : rows) {
    CAPTURE(row.ids);
    for (const auto& id : parts_of(row.ids, ',')) {
      CHECK(std::regex_match(id, std::regex{"([A-Z][A-Z0-9]|S)-U?[0-9]+"}));
      CHECK_MESSAGE(ids.insert(id).second, "the id stands there twice");
    }
    CHECK_FALSE(row.here.empty());
    if (row.shown.empty()) {
      CHECK_MESSAGE(row.here.starts_with("*Not yet*"),
                    "what is there has to be shown by something");
      continue;
    }
    std::optional<fs::path> before;
    for (const auto& part : parts_of(row.shown, ',')) {
      CAPTURE(part);
      CHECK(fault_of(part, before) == "");
    }
  }
}

TEST_CASE("the page of features knows the options and the notes that it names") {
  const auto page = content_of(root / "docs/features.md");
  const std::regex option{"--([a-z][a-z-]+)"};
  std::size_t options = 0;
  for (std::sregex_iterator each{page.begin(), page.end(), option}, end; each != end; ++each) {
    const auto name = (*each)[1].str();
    CAPTURE(name);
    CHECK((is_in_command_line("\"" + name + "\"") || is_in_command_line("\"" + name + ",")));
    ++options;
  }
  CHECK(options > 10);
  const std::regex as{R"(\(as ([A-Z0-9]+-[0-9]+)\b)"};
  std::size_t others = 0;
  for (std::sregex_iterator each{page.begin(), page.end(), as}, end; each != end; ++each) {
    const auto id = (*each)[1].str();
    CAPTURE(id);
    const auto row = page.find("\n| " + id + " |");
    REQUIRE(row != std::string::npos);
    const auto line = page.substr(row + 1, page.find('\n', row + 1) - row - 1);
    CHECK((line.find("*not yet*") != std::string::npos ||
           line.find("*Not yet*") != std::string::npos));
    ++others;
  }
  CHECK(others > 10);
}

TEST_CASE("a page of features that names what is not there is found out") {
  std::optional<fs::path> before;
  CHECK(fault_of("examples/03-fan-out.yaml", before) == "");
  CHECK(fault_of("examples/99-nothing.yaml", before) == "there is no such file or folder");
  CHECK(fault_of("tests/actors/definition \"is found out\"", before) == "");
  CHECK(fault_of("tests/actors/definition \"is not "
                 "there at all\"",
                 before) == "nothing there is called so");
  CHECK(fault_of("architecture/0006", before) == "");
  CHECK(fault_of("architecture/0000", before) == "there is no such file or folder");
  CHECK(fault_of("reference/pipeline.md#watches", before) == "");
  CHECK(fault_of("reference/pipeline.md#watchmen", before) == "the page has no such heading");
  CHECK(fault_of("`millrace frob`", before) == "there is no such command");
  CHECK(fault_of("`./dev frob`", before) == "dev has no such command");
}

}  // namespace
}  // namespace millrace::actors
