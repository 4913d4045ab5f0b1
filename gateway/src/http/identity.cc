// SPDX-License-Identifier: MIT
#include "http/identity.h"

#include <sys/stat.h>

#include <utility>

#include "millrace/runtime/certificates.h"

namespace millrace::gateway::http {

using runtime::result;

namespace {

void tell(const std::function<void(std::string_view)>& to, const std::string& line) {
  if (to) {
    to(line);
  }
}

}  // namespace

identity::identity(runtime::tls_files files, identity_log log)
    : files_(std::move(files)), log_(std::move(log)) {}

runtime::result<std::shared_ptr<identity>> identity::open(runtime::tls_files files,
                                                          identity_log log) {
  const std::shared_ptr<identity> made{new identity{std::move(files), std::move(log)}};
  made->tried_ = made->seen_ = made->stamps_now();  // before they are read: see `reload`
  if (auto loaded = made->load(); !loaded) {
    return std::move(loaded).error();
  }
  return made;
}

result<void> identity::load() {
  auto loaded = runtime::load_server_tls(files_, "http/1.1");
  const auto end = loaded ? runtime::end_of_certificates(files_.certificate) : loaded.error();
  const bool has_authorities = end && !files_.authorities.empty();
  const auto authorities = has_authorities ? runtime::end_of_certificates(files_.authorities) : end;
  if (!authorities) {
    return authorities.error();
  }
  const std::lock_guard lock{mutex_};
  context_ = *std::move(loaded);
  ends_ = {*end, has_authorities ? std::optional{*authorities} : std::nullopt};
  return {};
}

identity::end_times identity::ends() const {
  const std::lock_guard lock{mutex_};
  return ends_;
}

std::unique_ptr<runtime::byte_stream> identity::accept(int socket) {
  const std::lock_guard lock{mutex_};
  return context_->accepting(socket);
}

void identity::refused(const runtime::stream_step& last) const {
  tell(log_.debug, "no TLS with a client: " + last.why);
}

void identity::look() {
  const auto now = stamps_now();
  if (now == std::exchange(seen_, now) && now != tried_) {
    reload();
  }
}

void identity::reload() {
  // Before the files are read: what is replaced meanwhile is seen at the next look.
  tried_ = seen_ = stamps_now();
  if (const auto loaded = load(); !loaded) {
    tell(log_.warn, "the certificate in use stays: " + loaded.error().text());
    return;
  }
  tell(log_.info,
       "new connections see the certificate that is in '" + files_.certificate + "' now");
}

identity::stamps identity::stamps_now() const {
  stamps now{};
  std::size_t at = 0;
  for (const auto* file : {&files_.authorities, &files_.certificate, &files_.key}) {
    struct stat seen {};
    if (!file->empty() && ::stat(file->c_str(), &seen) == 0) {
      now[at] = {static_cast<std::int64_t>(seen.st_dev), static_cast<std::int64_t>(seen.st_ino),
                 static_cast<std::int64_t>(seen.st_size),
                 static_cast<std::int64_t>(seen.st_mtim.tv_sec),
                 static_cast<std::int64_t>(seen.st_mtim.tv_nsec)};
    }
    ++at;
  }
  return now;
}

}  // namespace millrace::gateway::http
