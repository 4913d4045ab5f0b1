// SPDX-License-Identifier: MIT
#include "cli/contexts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "access/token.h"

namespace millrace::gateway::cli {

namespace fs = std::filesystem;
namespace po = boost::program_options;
using nlohmann::ordered_json;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr const char* server_default = "http://127.0.0.1:8400";
constexpr const char* project_default = "default";

// What https needs, as an option, a variable and in a context.
struct tls_name {
  const char* option;
  const char* variable;
  const char* key;
  std::string runtime::tls_files::*file;
};
constexpr std::array tls_names{
    tls_name{"ca", "MILLRACE_CA", "ca", &runtime::tls_files::authorities},
    tls_name{"client-certificate", "MILLRACE_CLIENT_CERTIFICATE", "client_certificate",
             &runtime::tls_files::certificate},
    tls_name{"client-key", "MILLRACE_CLIENT_KEY", "client_key", &runtime::tls_files::key},
};

std::string from_environment(const char* name) {
  const auto* text = std::getenv(name);
  return text != nullptr ? text : "";
}

error refused(const fs::path& file, const std::string& why) {
  return {errc::invalid_argument, file.string() + ": " + why};
}

error failed(const fs::path& file) {
  return {errc::storage_failed, file.string() + ": " + std::strerror(errno)};
}

result<context> context_named(const context_book& book, const std::string& name) {
  const auto found = book.by_name.find(name);
  if (found != book.by_name.end()) {
    return found->second;
  }
  std::string known;
  for (const auto& [each, unused] : book.by_name) {
    known += (known.empty() ? "; there are: " : ", ") + each;
  }
  return error{errc::not_found, "there is no context '" + name + "'" +
                                    (known.empty() ? "; make one: millrace context add" : known)};
}

// That which --context, MILLRACE_CONTEXT or the file names; empty without one.
result<context> chosen(const option_values& options) {
  auto name = text_of(options, "context");
  const bool is_server_given = options.count("server") > 0;
  if (!name.empty() && is_server_given) {
    return error{errc::invalid_argument, "name --context or --server, not both"};
  }
  if (is_server_given || (name.empty() && !from_environment("MILLRACE_SERVER").empty())) {
    return context{};
  }
  const auto book = read_contexts();
  if (!book) {
    return book.error();
  }
  name = name.empty() ? from_environment("MILLRACE_CONTEXT") : name;
  name = name.empty() ? book->current : name;
  auto found = name.empty() ? context{} : context_named(*book, name);
  if (found && !name.empty() && found->server.empty()) {
    return error{errc::invalid_argument, "the context '" + name + "' has no server"};
  }
  return found;
}

}  // namespace

std::optional<fs::path> contexts_file() {
  const fs::path configuration = from_environment("XDG_CONFIG_HOME");
  const fs::path home = from_environment("HOME");
  if (configuration.empty() && home.empty()) {
    return std::nullopt;
  }
  return (configuration.empty() ? home / ".config" : configuration) / "millrace" / "contexts.json";
}

result<context_book> read_contexts() {
  context_book book;
  const auto file = contexts_file();
  struct stat seen {};
  if (!file || ::stat(file->c_str(), &seen) != 0) {
    return book;
  }
  if ((seen.st_mode & (S_IRGRP | S_IROTH)) != 0) {
    return refused(*file, "others may read it, and it may hold tokens; chmod 600 it");
  }
  std::ifstream stream{*file};
  const auto tree = ordered_json::parse(stream, nullptr, false);
  const auto text = [](const ordered_json& from, const char* key) {
    const auto found = from.find(key);
    return found != from.end() && found->is_string() ? found->get<std::string>() : "";
  };
  if (!tree.is_object() || !tree.contains("contexts") || !tree["contexts"].is_object()) {
    return refused(*file, "it is no file of contexts; move it away, or mend it");
  }
  book.current = text(tree, "current");
  for (const auto& [name, each] : tree["contexts"].items()) {
    if (!each.is_object()) {
      return refused(*file, "the context '" + name + "' is no object");
    }
    auto& read = book.by_name[name];
    read = {text(each, "server"), text(each, "token"), text(each, "project")};
    for (const auto& one : tls_names) {
      read.tls.*one.file = text(each, one.key);
    }
  }
  return book;
}

result<void> write_contexts(const context_book& book) {
  const auto file = contexts_file();
  if (!file) {
    return error{errc::failed_precondition,
                 "neither HOME nor XDG_CONFIG_HOME is set, so contexts have no place"};
  }
  ordered_json contexts = ordered_json::object();
  for (const auto& [name, each] : book.by_name) {
    auto& row = contexts[name];
    row = {{"server", each.server}, {"token", each.token}, {"project", each.project}};
    for (const auto& one : tls_names) {
      if (!(each.tls.*one.file).empty()) {
        row[one.key] = each.tls.*one.file;
      }
    }
  }
  const auto text =
      ordered_json{{"current", book.current}, {"contexts", std::move(contexts)}}.dump(2) + "\n";
  std::error_code ignored;
  fs::create_directories(file->parent_path(), ignored);
  auto made = file->string() + ".XXXXXX";
  const int out = ::mkostemp(made.data(), O_CLOEXEC);  // only its owner may read it
  if (out < 0) {
    return failed(*file);
  }
  const bool is_written =
      ::write(out, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::fsync(out) == 0;
  ::close(out);
  if (!is_written || ::rename(made.c_str(), file->c_str()) != 0) {
    auto why = failed(*file);
    ::unlink(made.c_str());
    return why;
  }
  return {};
}

void add_client_tls_options(po::options_description& options) {
  options.add_options()(
      "ca", po::value<std::string>()->value_name("FILE"),
      "for https: certificates of the authorities to trust; default: $MILLRACE_CA, or those of the "
      "system")("client-certificate", po::value<std::string>()->value_name("FILE"),
                "for https to a server that asks; default: $MILLRACE_CLIENT_CERTIFICATE")(
      "client-key", po::value<std::string>()->value_name("FILE"),
      "of that certificate; default: $MILLRACE_CLIENT_KEY");
}

result<runtime::tls_files> client_tls_of(const option_values& options, runtime::tls_files from,
                                         bool preferred) {
  for (const auto& each : tls_names) {
    auto& file = from.*each.file;
    auto named = text_of(options, each.option);
    if (named.empty() && !(preferred && !file.empty())) {
      named = from_environment(each.variable);
    }
    if (!named.empty()) {
      file = fs::absolute(named).string();
    }
  }
  if (from.certificate.empty() != from.key.empty()) {
    return error{errc::invalid_argument,
                 "--client-certificate and --client-key go together: give both"};
  }
  return from;
}

void add_server_option(po::options_description& options) {
  options.add_options()("server", po::value<std::string>()->value_name("URL"),
                        "default: $MILLRACE_SERVER, the context in use, or http://127.0.0.1:8400")(
      "token-file", po::value<std::string>()->value_name("FILE"),
      "a file with the token to show; default: the one in $MILLRACE_API_TOKEN, or of the context")(
      "context", po::value<std::string>()->value_name("NAME"),
      "the server, token and project of this context; default: $MILLRACE_CONTEXT, or the one in "
      "use");
  add_client_tls_options(options);
}

result<context> target_of(const option_values& options) {
  auto target = chosen(options);
  if (!target) {
    return target;
  }
  if (target->server.empty()) {
    const auto named = from_environment("MILLRACE_SERVER");
    target->server = text_of(options, "server", named.empty() ? server_default : named);
  }
  // What --context names goes before the environment, which may be about another server.
  const bool is_named = options.count("context") > 0;
  const auto first = [&](std::string& field, const char* variable) {
    if (auto set = from_environment(variable); !set.empty() && !(is_named && !field.empty())) {
      field = std::move(set);
    }
  };
  first(target->token, token_variable);
  first(target->project, "MILLRACE_PROJECT");
  auto tls = client_tls_of(options, std::move(target->tls), is_named);
  if (!tls) {
    return std::move(tls).error();
  }
  target->tls = *std::move(tls);
  if (options.count("token-file") > 0) {
    auto token = read_token(text_of(options, "token-file"));
    if (!token) {
      return std::move(token).error();
    }
    target->token = *std::move(token);
  }
  target->project =
      text_of(options, "project", target->project.empty() ? project_default : target->project);
  return target;
}

}  // namespace millrace::gateway::cli
