// SPDX-License-Identifier: MIT
#include "process/masked_pipes.h"

#include <cerrno>

#include "millrace/actors/process_outputs.h"
#include "process/failure.h"

namespace millrace::actors::process_detail {

using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr std::size_t piece_bytes = std::size_t{64} << 10U;  // a pipe
// What may wait in one (fs.pipe-max-size), and a piece. A process that runs as somebody else may be
// left, and write on.
constexpr std::size_t pieces_max = 17;
constexpr std::size_t output_at = 2;
constexpr std::uint64_t without_bound = ~std::uint64_t{0};

struct ends {
  unique_fd from;
  unique_fd to;
};

unique_fd above_standard(int fd) {
  unique_fd owned{fd};
  return owned && owned.get() <= STDERR_FILENO
             ? unique_fd{::fcntl(owned.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)}
             : std::move(owned);
}

result<ends> make_pipe() {
  int made[2];
  if (::pipe2(made, O_CLOEXEC) != 0) {
    return file_failure("cannot make a pipe for the output of an attempt", errno);
  }
  ends both{above_standard(made[0]), above_standard(made[1])};
  if (!both.from || !both.to || ::fcntl(both.from.get(), F_SETFL, O_NONBLOCK) != 0) {
    return file_failure("cannot make a pipe for the output of an attempt", errno);
  }
  return both;
}

// Open for writing, too, so that it has no end between two commands that write to it.
result<unique_fd> make_named_pipe(int directory) {
  constexpr mode_t private_file = 0600;
  const auto* name = masked_pipes::output_name;
  if (::mkfifoat(directory, name, private_file) != 0) {
    return file_failure("cannot make the pipe for the outputs of an attempt", errno);
  }
  auto made =
      above_standard(::openat(directory, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (!made) {
    return file_failure("cannot open the pipe for the outputs of an attempt", errno);
  }
  return made;
}

}  // namespace

result<std::unique_ptr<masked_pipes>> masked_pipes::open(const attempt_files& files,
                                                         const std::vector<std::string>& secrets) {
  const secret_mask mask{std::make_shared<const secret_words>(secrets)};
  std::vector<pipe> pipes;
  std::array<unique_fd, 2> writing;
  for (std::size_t at = 0; at < writing.size(); ++at) {
    auto made = make_pipe();
    if (!made) {
      return std::move(made).error();
    }
    writing[at] = std::move(made->to);
    pipes.push_back({std::move(made->from), files.streams[at].get(), mask, without_bound});
  }
  auto output = make_named_pipe(files.directory.get());
  if (!output) {
    return std::move(output).error();
  }
  pipes.push_back({*std::move(output), files.output.get(), mask, large_output_bytes_max + 1});
  return std::unique_ptr<masked_pipes>{
      new masked_pipes{files.directory.get(), std::move(pipes), std::move(writing)}};
}

void masked_pipes::close_writing_ends() {
  for (auto& each : writing_) {
    each.reset();
  }
}

bool masked_pipes::write(pipe& to, std::string_view text) {
  text = text.substr(0, to.left);
  to.left -= text.size();
  while (!text.empty()) {
    const auto wrote = ::write(to.to, text.data(), text.size());
    if (wrote < 0 && errno != EINTR) {
      return false;
    }
    text.remove_prefix(wrote > 0 ? static_cast<std::size_t>(wrote) : 0);
  }
  return true;
}

// What may leave of the next piece; nothing when there is none now (EAGAIN), or none will come.
std::optional<std::string> masked_pipes::take(pipe& one) {
  std::array<char, piece_bytes> piece;
  ssize_t got = 0;
  while ((got = ::read(one.from.get(), piece.data(), piece.size())) < 0 && errno == EINTR) {
  }
  if (got <= 0) {
    errno = got == 0 ? 0 : errno;
    return std::nullopt;
  }
  return one.mask.add({piece.data(), static_cast<std::size_t>(got)});
}

masked_pipes::flow masked_pipes::pass_on(std::size_t at) {
  auto& one = pipes_[at];
  const auto text = take(one);
  if (!text) {
    return errno == EAGAIN ? flow::goes_on : flow::ended;
  }
  return write(one, *text) ? flow::goes_on : flow::disk_full;
}

result<void> masked_pipes::finish() {
  bool is_written = true;
  for (auto& one : pipes_) {
    for (std::size_t pieces = 0; pieces < pieces_max; ++pieces) {
      const auto text = take(one);
      if (!text) {
        break;
      }
      is_written = write(one, *text) && is_written;
    }
    is_written = write(one, one.mask.finish()) && is_written;
  }
  if (!is_written) {
    return error{errc::out_of_space, "the last of what the attempt wrote could not be stored"};
  }
  struct stat ours {};
  struct stat found {};
  if (::fstatat(directory_, output_name, &found, AT_SYMLINK_NOFOLLOW) != 0) {
    return error{errc::failed_precondition,
                 "the output pipe was removed; write to $MILLRACE_OUTPUT, do not remove it"};
  }
  if (::fstat(pipes_[output_at].from.get(), &ours) != 0 || mark_of(ours) != mark_of(found)) {
    return error{errc::failed_precondition, "the output pipe was replaced by " +
                                                kind_of(found.st_mode) +
                                                "; write to $MILLRACE_OUTPUT, do not replace it"};
  }
  return {};
}

}  // namespace millrace::actors::process_detail
