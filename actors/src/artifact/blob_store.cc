// SPDX-License-Identifier: MIT
#include "artifact/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "process/failure.h"
#include "process/task_file.h"

namespace millrace::actors {

using process_detail::entries_of;
using process_detail::file_failure;
using process_detail::make_directory;
using process_detail::open_directory;
using process_detail::open_regular;
using process_detail::remove_tree;
using runtime::errc;
using runtime::error;
using runtime::result;
using runtime::unique_fd;

namespace {

constexpr mode_t blob_mode = 0400;
constexpr auto all_entries = std::numeric_limits<std::size_t>::max();
constexpr std::size_t buffer_bytes = std::size_t{256} << 10U;
// How often a copy asks how much room there is, and whether it is wanted.
constexpr std::uint64_t looks_every = std::uint64_t{16} << 20U;

// As much as there is, at most what fits.
ssize_t read_at(int file, char* into, std::size_t size, std::uint64_t offset) {
  for (;;) {
    const auto got = ::pread(file, into, size, static_cast<off_t>(offset));
    if (got >= 0 || errno != EINTR) {
      return got;
    }
  }
}

}  // namespace

// --- what is being written -----------------------------------------------------------------------

blob_store::draft::~draft() {
  if (!name_.empty()) {
    ::unlinkat(store_->incoming_.get(), name_.c_str(), 0);
  }
}

result<void> blob_store::draft::write(std::string_view bytes) {
  if (size_ / looks_every != (size_ + bytes.size()) / looks_every) {
    if (auto room = store_->check_room(); !room) {
      return room;
    }
  }
  sum_.add(bytes);
  while (!bytes.empty()) {
    const auto written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) {
      return file_failure("cannot write an artifact", errno);
    }
    const auto now = static_cast<std::size_t>(std::max<ssize_t>(written, 0));
    bytes.remove_prefix(now);
    size_ += now;
  }
  return {};
}

void blob_store::draft::close() {
  digest_ = std::move(sum_).hex();
  file_.reset();
}

result<void> blob_store::check_room(std::uint64_t bytes) const {
  struct statvfs disk {};
  if (::fstatvfs(incoming_.get(), &disk) != 0) {
    return {};
  }
  const auto free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (free >= disk_reserve_bytes_ && free - disk_reserve_bytes_ >= bytes) {
    return {};
  }
  return error{errc::out_of_space, "disk full: artifacts leave " +
                                       std::to_string(disk_reserve_bytes_ >> 20U) +
                                       " MiB free on the disk of the data directory; make room "
                                       "there"};
}

result<blob_store::draft> blob_store::begin() {
  if (auto room = check_room(); !room) {
    return std::move(room).error();
  }
  std::string name;
  {
    const std::lock_guard lock{mutex_};
    name = std::to_string(++drafts_);
  }
  unique_fd file{::openat(incoming_.get(), name.c_str(),
                          O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, blob_mode)};
  if (!file) {
    return file_failure("cannot write an artifact", errno);
  }
  return draft{*this, std::move(file), std::move(name)};
}

result<blob_store::draft> blob_store::copy(int file, std::uint64_t bytes_max,
                                           const std::function<bool()>& wanted) {
  auto made = begin();
  if (!made) {
    return made;
  }
  std::string buffer(buffer_bytes, '\0');
  for (;;) {
    const auto got = read_at(file, buffer.data(), buffer.size(), made->size());
    if (got < 0) {
      return file_failure("cannot read a file of the workspace", errno);
    }
    if (got == 0) {
      made->close();
      return made;
    }
    if (made->size() + static_cast<std::uint64_t>(got) > bytes_max) {
      return error{errc::too_large, "it grows while it is read"};
    }
    if (!wanted()) {
      return error{errc::cancelled, "it is wanted no more"};
    }
    if (auto written = made->write({buffer.data(), static_cast<std::size_t>(got)}); !written) {
      return std::move(written).error();
    }
  }
}

// --- names ---------------------------------------------------------------------------------------

// A file system bounds how many names a file has; then the blob is there a second time.
result<void> blob_store::name_one(int run, const draft& made) {
  const auto* digest = made.digest_.c_str();
  const auto is_there = [](int linked) { return linked == 0 || errno == EEXIST; };
  if (!is_there(::linkat(incoming_.get(), made.name_.c_str(), blobs_.get(), digest, 0)) ||
      !is_there(::linkat(blobs_.get(), digest, run, digest, 0))) {
    if (errno != EMLINK ||
        ::renameat(incoming_.get(), made.name_.c_str(), blobs_.get(), digest) != 0 ||
        !is_there(::linkat(blobs_.get(), digest, run, digest, 0))) {
      return file_failure("cannot keep an artifact", errno);
    }
  }
  return {};
}

// The file system is flushed as a whole: that costs less than each of many files by itself.
result<void> blob_store::keep(std::string_view run, std::vector<draft> made) {
  if (made.empty()) {
    return {};
  }
  if (::syncfs(incoming_.get()) != 0) {
    return file_failure("cannot write artifacts", errno);
  }
  const std::lock_guard lock{mutex_};
  const auto directory = make_directory(runs_.get(), std::string{run});
  if (!directory) {
    return directory.error();
  }
  for (const auto& each : made) {
    if (auto named = name_one(directory->get(), each); !named) {
      return named;
    }
  }
  const auto flushed = ::fsync(directory->get()) == 0 && ::fsync(runs_.get()) == 0;
  return flushed ? result<void>{} : file_failure("cannot keep artifacts", errno);
}

bool blob_store::has(std::string_view run, std::string_view digest) {
  const auto taken = take(run, digest);
  return taken && *taken;
}

result<bool> blob_store::take(std::string_view run, std::string_view digest) {
  if (!is_digest(digest)) {
    return false;
  }
  const std::string name{digest};
  const std::lock_guard lock{mutex_};
  const auto own = open_directory(runs_.get(), std::string{run});
  if (own && ::faccessat(own->get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
    return true;
  }
  if (::faccessat(blobs_.get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
    return false;
  }
  const auto made = make_directory(runs_.get(), std::string{run});
  if (!made) {
    return made.error();
  }
  if (::linkat(blobs_.get(), name.c_str(), made->get(), name.c_str(), 0) != 0) {
    return file_failure("cannot keep an artifact", errno);
  }
  return true;
}

result<void> blob_store::take_known(std::string_view run, std::string_view digest) {
  const auto kept = take(run, digest);
  if (!kept) {
    return kept.error();
  }
  return *kept ? result<void>{} : error{errc::not_found, "not all of it is kept here"};
}

// The bytes are on the disk already: the names are what is new.
result<void> blob_store::flush_names(std::string_view run) const {
  const auto own = open_directory(runs_.get(), std::string{run});
  const auto flushed = own && ::fsync(own->get()) == 0 && ::fsync(runs_.get()) == 0;
  return flushed ? result<void>{} : file_failure("cannot keep an artifact", errno);
}

result<void> blob_store::keep_blob(std::string_view run, std::string_view digest) {
  auto kept = take_known(run, digest);
  return kept ? flush_names(run) : kept;
}

result<void> blob_store::keep_artifact(std::string_view run, std::string_view digest) {
  if (auto kept = take_known(run, digest); !kept) {
    return kept;
  }
  const auto text = text_of(run, digest, artifact_list_bytes_max);
  const auto files = text ? parse_artifact_list(*text) : text.error();
  if (!files) {
    return files.error();
  }
  for (const auto& each : *files) {
    if (auto kept = take_known(run, each.digest); !kept) {
      return kept;
    }
  }
  return flush_names(run);
}

void blob_store::forget(std::string_view run, std::string_view digest) {
  if (!is_digest(digest)) {
    return;
  }
  const std::string name{digest};
  const std::lock_guard lock{mutex_};
  ::unlinkat(blobs_.get(), name.c_str(), 0);
  if (const auto own = open_directory(runs_.get(), std::string{run})) {
    ::unlinkat(own->get(), name.c_str(), 0);
  }
}

void blob_store::drop_if_nobodys(const std::string& digest) {
  struct stat status {};
  if (::fstatat(blobs_.get(), digest.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
      status.st_nlink == 1) {
    ::unlinkat(blobs_.get(), digest.c_str(), 0);
  }
}

result<void> blob_store::remove_run(std::string_view run) {
  const std::string name{run};
  const std::lock_guard lock{mutex_};
  const auto directory = open_directory(runs_.get(), name);
  if (!directory) {
    return directory.error().code() == errc::not_found ? result<void>{} : directory.error();
  }
  for (const auto& each : entries_of(directory->get(), all_entries)) {
    ::unlinkat(directory->get(), each.c_str(), 0);
    drop_if_nobodys(each);
  }
  return remove_tree(runs_.get(), name);
}

void blob_store::sweep() {
  for (const auto& each : entries_of(blobs_.get(), all_entries)) {
    drop_if_nobodys(each);
  }
}

// --- opening and reading -------------------------------------------------------------------------

result<std::unique_ptr<blob_store>> blob_store::open(const std::filesystem::path& path,
                                                     std::uint64_t disk_reserve_bytes) {
  const auto top = make_directory(AT_FDCWD, path.string());
  if (!top) {
    return top.error();
  }
  if (auto removed = remove_tree(top->get(), "incoming"); !removed) {
    return std::move(removed).error();
  }
  std::unique_ptr<blob_store> made{new blob_store};
  made->disk_reserve_bytes_ = disk_reserve_bytes;
  for (auto [name, into] : {std::pair{"blobs", &made->blobs_}, std::pair{"runs", &made->runs_},
                            std::pair{"incoming", &made->incoming_}}) {
    auto directory = make_directory(top->get(), name);
    if (!directory) {
      return std::move(directory).error();
    }
    *into = *std::move(directory);
  }
  made->sweep();
  return made;
}

result<unique_fd> blob_store::open_blob(std::string_view run, std::string_view digest) const {
  const auto own = is_digest(digest) ? open_directory(runs_.get(), std::string{run})
                                     : result<unique_fd>{error{errc::not_found, ""}};
  auto opened = own ? open_regular(own->get(), std::string{digest}, O_RDONLY) : own.error();
  if (!opened && opened.error().code() == errc::not_found) {
    return error{errc::not_found, "the run has no such file here"};
  }
  return opened;
}

result<std::string> blob_store::text_of(std::string_view run, std::string_view digest,
                                        std::size_t bytes_max) const {
  std::string text;
  for (;;) {
    auto piece = read(run, digest, text.size());
    if (!piece) {
      return std::move(piece).error();
    }
    if (piece->bytes.empty()) {
      return text;
    }
    text += piece->bytes;
    if (text.size() > bytes_max) {
      return error{errc::too_large, "the list of the artifact is too long"};
    }
  }
}

result<std::string> blob_store::whole_text(std::string_view run, std::string_view digest,
                                           std::size_t bytes) const {
  auto text = text_of(run, digest, bytes);
  if (!text && text.error().code() != errc::too_large) {
    return text;
  }
  digest_of_stream sum;
  sum.add(text ? std::string_view{*text} : std::string_view{});
  if (!text || std::move(sum).hex() != digest) {
    return error{errc::storage_failed, "what is kept of it here is damaged"};
  }
  return text;
}

result<blob_piece> blob_store::read(std::string_view run, std::string_view digest,
                                    std::uint64_t offset) const {
  const auto file = open_blob(run, digest);
  struct stat status {};
  if (!file || ::fstat(file->get(), &status) != 0) {
    return file ? file_failure("cannot read an artifact", errno) : file.error();
  }
  blob_piece piece{{}, static_cast<std::uint64_t>(status.st_size)};
  piece.bytes.resize(
      std::min<std::uint64_t>(blob_piece_bytes_max, piece.size - std::min(offset, piece.size)));
  const auto got = read_at(file->get(), piece.bytes.data(), piece.bytes.size(), offset);
  if (got < 0) {
    return file_failure("cannot read an artifact", errno);
  }
  piece.bytes.resize(static_cast<std::size_t>(got));
  return piece;
}

}  // namespace millrace::actors
