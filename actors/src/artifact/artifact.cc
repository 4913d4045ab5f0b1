// SPDX-License-Identifier: MIT
#include "millrace/actors/artifact.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "millrace/actors/name_rule.h"
#include "millrace/actors/process_log.h"
#include "millrace/runtime/assert.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr std::size_t digest_digits = 64;

bool is_control(char each) {
  return static_cast<unsigned char>(each) < ' ' || each == '\x7f';
}

error no_list(const std::string& why) {
  return {errc::invalid_argument, "the list of the artifact is damaged: " + why};
}

// The text up to the next space, which goes too.
std::string_view take_word(std::string_view& text) {
  const auto end = std::min(text.find(' '), text.size());
  const auto word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

result<artifact_file> file_of(std::string_view line) {
  artifact_file made;
  made.digest = take_word(line);
  const auto size = take_word(line);
  const auto mode = take_word(line);
  const auto [end, failed] = std::from_chars(size.data(), size.data() + size.size(), made.size);
  made.executable = mode == "x";
  made.path = line;
  if (!is_digest(made.digest) || failed != std::errc{} || end != size.data() + size.size() ||
      (mode != "x" && mode != "-")) {
    return no_list("a line is none");
  }
  if (const auto why = refusal_of_artifact_path(made.path); !why.empty()) {
    return no_list("a path " + why);
  }
  return made;
}

}  // namespace

bool is_digest(std::string_view text) noexcept {
  return text.size() == digest_digits && std::all_of(text.begin(), text.end(), [](char each) {
           return (each >= '0' && each <= '9') || (each >= 'a' && each <= 'f');
         });
}

std::string refusal_of_artifact_path(std::string_view path) {
  if (path.empty() || path.size() > artifact_path_bytes_max) {
    return path.empty() ? "is empty"
                        : "has more than " + std::to_string(artifact_path_bytes_max) + " bytes";
  }
  if (std::any_of(path.begin(), path.end(), is_control)) {
    return "has a control character in it";
  }
  if (to_utf8(path) != path) {
    return "is no UTF-8";
  }
  for (auto rest = path;;) {
    const auto name = rest.substr(0, rest.find('/'));
    if (name.empty() || name == "." || name == "..") {
      return "has a part `" + std::string{name} + "`";
    }
    if (name.size() == rest.size()) {
      return {};
    }
    rest.remove_prefix(name.size() + 1);
  }
}

std::string refusal_of_path_pattern(std::string_view pattern) {
  if (pattern.starts_with('/')) {
    return "is absolute: write it below the workspace";
  }
  while (pattern.starts_with("./")) {
    pattern.remove_prefix(2);
  }
  if (pattern.ends_with('/')) {
    pattern.remove_suffix(1);
  }
  auto why = refusal_of_artifact_path(pattern);
  return why == "has a part `..`" ? "leads out of the workspace" : why;
}

std::string to_text(const std::vector<artifact_file>& files) {
  std::string text;
  for (const auto& each : files) {
    text += each.digest + ' ' + std::to_string(each.size) + (each.executable ? " x " : " - ") +
            each.path + '\n';
  }
  return text;
}

result<std::vector<artifact_file>> parse_artifact_list(std::string_view text) {
  std::vector<artifact_file> files;
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  files.reserve(std::min(lines, artifact_files_max));
  while (!text.empty()) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos || files.size() == artifact_files_max) {
      return no_list("it does not end");
    }
    auto file = file_of(text.substr(0, end));
    if (!file) {
      return std::move(file).error();
    }
    if (!files.empty() && files.back().path >= file->path) {
      return no_list("its paths are in no order");
    }
    files.push_back(*std::move(file));
    text.remove_prefix(end + 1);
  }
  return files;
}

struct digest_of_stream::state {
  std::unique_ptr<EVP_MD_CTX, decltype(&::EVP_MD_CTX_free)> sum{::EVP_MD_CTX_new(),
                                                                &::EVP_MD_CTX_free};
};

digest_of_stream::digest_of_stream() : state_(std::make_unique<state>()) {
  MILLRACE_ASSERT(state_->sum != nullptr &&
                  ::EVP_DigestInit_ex(state_->sum.get(), ::EVP_sha256(), nullptr) == 1);
}
digest_of_stream::digest_of_stream(digest_of_stream&&) noexcept = default;
digest_of_stream& digest_of_stream::operator=(digest_of_stream&&) noexcept = default;
digest_of_stream::~digest_of_stream() = default;

void digest_of_stream::add(std::string_view bytes) {
  MILLRACE_ASSERT(::EVP_DigestUpdate(state_->sum.get(), bytes.data(), bytes.size()) == 1);
}

std::string digest_of_stream::hex() && {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  MILLRACE_ASSERT(::EVP_DigestFinal_ex(state_->sum.get(), bytes.data(), &size) == 1);
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (unsigned at = 0; at < size; ++at) {
    text += digits[bytes[at] >> 4U];
    text += digits[bytes[at] & 0xfU];
  }
  return text;
}

}  // namespace millrace::actors
