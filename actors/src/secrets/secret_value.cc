// SPDX-License-Identifier: MIT
#include "millrace/actors/secret_value.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "millrace/runtime/unique_fd.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::result;
using runtime::unique_fd;

namespace {

constexpr std::size_t path_bytes_max = 255;

// Whether a mask looks for something of it.
bool has_long_line(std::string_view value) {
  for (std::size_t begin = 0; begin <= value.size();) {
    const auto end = std::min(value.find('\n', begin), value.size());
    const bool has_return = end > begin && value[end - 1] == '\r';
    if (end - begin >= secret_bytes_min + (has_return ? 1 : 0)) {
      return true;
    }
    begin = end + 1;
  }
  return false;
}

error missing(const std::string& why) {
  return {errc::failed_precondition, why};
}

// A link may lead to another place in the directory (Kubernetes puts secrets there so), not out of
// it. What it is is looked at before it is opened: opening a pipe waits, a device may act.
result<std::string> value_of_file(const std::string& key, const std::filesystem::path& directory) {
  if (directory.empty()) {
    return missing("this silo has no directory of secrets; start it with --secrets-directory DIR");
  }
  const auto what = "the file '" + key + "' in " + directory.string();
  if (!is_secret_path(key)) {
    return missing(what + " leads out of it");
  }
  const unique_fd top{::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!top) {
    return missing("the directory of secrets " + directory.string() + ": " + std::strerror(errno));
  }
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const unique_fd found{
      static_cast<int>(::syscall(SYS_openat2, top.get(), key.c_str(), &how, sizeof how))};
  if (!found) {
    return missing(errno == EXDEV ? what + " leads out of it" : what + ": " + std::strerror(errno));
  }
  struct stat status {};
  if (::fstat(found.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return missing(what + " is no file");
  }
  const unique_fd opened{::open(("/proc/self/fd/" + std::to_string(found.get())).c_str(),
                                O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  std::string text(secret_bytes_max + 3, '\0');  // more than a value and its line end
  std::size_t size = 0;
  for (ssize_t got = opened ? 1 : -1; got != 0 && size < text.size();) {
    got = got < 0 ? got : ::read(opened.get(), text.data() + size, text.size() - size);
    if (got < 0) {
      return missing(what + ": " + std::strerror(errno));
    }
    size += static_cast<std::size_t>(got);
  }
  text.resize(size);
  if (text.ends_with('\n')) {
    text.pop_back();
    if (text.ends_with('\r')) {
      text.pop_back();
    }
  }
  return text;
}

result<std::string> value_of_variable(const std::string& key) {
  const auto name = std::string{secret_variable_prefix} + key;
  const auto* const value = ::getenv(name.c_str());
  if (value == nullptr) {
    return missing("there is no variable " + name + " in the environment of this silo");
  }
  return std::string{value};
}

result<std::string> value_of_project(schemas::AttemptSecret::Reader secret,
                                     const std::shared_ptr<const secret_keyring>& keys) {
  const auto project = text_of(secret.getProject());
  const auto key = text_of(secret.getKey());
  const auto what = "the secret '" + key + "' of project '" + project + "'";
  const auto sealed = secret.getSealed();
  if (sealed.size() == 0) {
    return missing("there is no secret '" + key + "' in project '" + project +
                   "'; store it by `millrace secret set " + key + "`");
  }
  if (!keys) {
    return missing("this silo has no key to open " + what +
                   "; start it with the --secrets-key FILE of the cluster");
  }
  auto value =
      keys->unseal({reinterpret_cast<const char*>(sealed.begin()), sealed.size()}, {project, key});
  if (!value) {
    return missing(what + " cannot be opened: " + value.error().text() +
                   "; give this silo the right --secrets-key FILE, or store it again");
  }
  return value;
}

}  // namespace

bool is_secret_path(std::string_view key) {
  if (key.empty() || key.size() > path_bytes_max || key.find('\0') != std::string_view::npos) {
    return false;
  }
  for (std::size_t begin = 0; begin <= key.size();) {
    const auto end = std::min(key.find('/', begin), key.size());
    const auto part = key.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") {
      return false;
    }
    begin = end + 1;
  }
  return true;
}

result<void> check_secret_value(std::string_view value) {
  const auto refuse = [](const std::string& why) {
    return error{errc::invalid_argument, "its value " + why};
  };
  if (value.size() < secret_bytes_min) {
    return refuse("is shorter than " + std::to_string(secret_bytes_min) +
                  " bytes, which could not be masked in what a task writes");
  }
  if (!has_long_line(value)) {
    return refuse("has no line of " + std::to_string(secret_bytes_min) +
                  " bytes; shorter ones could not be masked in what a task writes");
  }
  if (value.size() > secret_bytes_max) {
    return refuse("is longer than " + std::to_string(secret_bytes_max >> 10U) + " KiB");
  }
  if (value.find('\0') != std::string_view::npos) {
    return refuse("has a NUL byte, which no variable can have");
  }
  return {};
}

result<std::string> value_of(schemas::AttemptSecret::Reader secret, const secret_places& places) {
  const auto key = text_of(secret.getKey());
  auto value = [&]() -> result<std::string> {
    switch (secret.getFrom()) {
      case schemas::SecretSource::FILE:
        return value_of_file(key, places.directory);
      case schemas::SecretSource::ENVIRONMENT:
        return value_of_variable(key);
      case schemas::SecretSource::PROJECT:
        return value_of_project(secret, places.keys);
      case schemas::SecretSource::GIVEN:
        return std::string{reinterpret_cast<const char*>(secret.getSealed().begin()),
                           secret.getSealed().size()};
    }
    return missing("this version does not know where it is kept");
  }();
  auto fits = value ? check_secret_value(*value) : result<void>{};
  if (value && fits) {
    return value;
  }
  const auto& why = value ? fits.error() : value.error();
  return error{errc::failed_precondition,
               "secret " + text_of(secret.getVariable()) + ": " + why.text()};
}

}  // namespace millrace::actors
