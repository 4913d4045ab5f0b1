// SPDX-License-Identifier: MIT
// backup: the state of a server that runs, or of a directory that none uses, as a file or
// directory.
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <thread>

#include "cli/command.h"
#include "cli/remote.h"
#include "millrace/runtime/backup.h"
#include "millrace/runtime/storage.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
namespace fs = std::filesystem;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

void add_backup_options(po::options_description& options) {
  add_server_option(options);
  options.add_options()("data", po::value<std::string>()->value_name("DIR"),
                        "of this data directory, which no server uses")(
      "to", po::value<std::string>()->value_name("DIR"),
      "make this a data directory with the same state (default: standard output)");
}

// Gives what is pushed on one thread to whoever pulls on another.
class byte_pipe {
public:
  result<void> push(std::string_view bytes) {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return rest_.empty() || abandoned_; });
    if (abandoned_) {
      return error{errc::cancelled, "nobody takes the backup any more"};
    }
    rest_ = bytes;
    changed_.notify_all();
    changed_.wait(lock, [this] { return rest_.empty() || abandoned_; });
    return {};
  }
  void end() { set(ended_); }
  void abandon() { set(abandoned_); }

  std::size_t pull(char* to, std::size_t size) {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return !rest_.empty() || ended_; });
    const auto count = std::min(size, rest_.size());
    std::copy_n(rest_.data(), count, to);
    rest_.remove_prefix(count);
    changed_.notify_all();
    return count;
  }

private:
  void set(bool& what) {
    const std::lock_guard lock{mutex_};
    what = true;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string_view rest_;
  bool ended_ = false;
  bool abandoned_ = false;
};

result<void> send_from_directory(const std::string& data, const runtime::byte_sink& sink) {
  const auto state = (fs::path{data} / "state").string();
  std::error_code unknown;
  if (!fs::exists(state + "/FORMAT", unknown)) {
    return error{errc::not_found, "'" + data + "' is no data directory"};
  }
  auto opened = runtime::open_storage({.directory = state});
  if (!opened) {
    const auto& why = opened.error();
    return why.code() == errc::conflict
               ? error{errc::conflict, why.text() + ", or leave out --data to ask its server"}
               : why;
  }
  return (*opened)->backup(sink);
}

result<void> send_from_server(const option_values& options, const runtime::byte_sink& sink) {
  auto server = remote::open(options);
  if (!server) {
    return server.error();
  }
  std::string last;  // a stream that was broken off has no end
  result<void> outcome;
  const auto answer = server->client().download("/api/v1/backup", [&](std::string_view bytes) {
    outcome = sink(bytes);
    last.append(bytes.substr(bytes.size() - std::min(bytes.size(), runtime::backup_end_bytes)));
    last.erase(0, last.size() - std::min(last.size(), runtime::backup_end_bytes));
    return outcome ? http::flow::more : http::flow::stop;
  });
  if (!outcome) {
    return outcome;
  }
  if (!answer) {
    return answer.error();
  }
  if (answer->status >= 400) {
    return server->problem_of(*answer);
  }
  if (!runtime::ends_a_backup(last)) {
    return error{errc::unavailable, "the server broke the backup off; its log says why"};
  }
  return {};
}

result<void> send(const option_values& options, const runtime::byte_sink& sink) {
  return options.count("data") > 0 ? send_from_directory(text_of(options, "data"), sink)
                                   : send_from_server(options, sink);
}

exit_code make_directory(const option_values& options, const std::string& target) {
  std::error_code failed;
  fs::create_directories(target, failed);
  if (failed) {
    return report(error{errc::invalid_argument,
                        "cannot make the directory '" + target + "': " + failed.message()});
  }
  byte_pipe pipe;
  result<void> sent;
  std::jthread sender{[&] {
    sent = send(options, [&](std::string_view bytes) { return pipe.push(bytes); });
    pipe.end();
  }};
  const auto restored = runtime::restore_storage(
      (fs::path{target} / "state").string(),
      [&](char* to, std::size_t size) -> result<std::size_t> { return pipe.pull(to, size); });
  pipe.abandon();
  sender.join();
  // Where it came from says more than that it ended early.
  if (!sent && sent.error().code() != errc::cancelled) {
    return report(sent.error());
  }
  if (!restored) {
    return report(restored.error());
  }
  std::cerr << "backed up " << restored->rows << " rows, " << restored->bytes << " bytes, to "
            << target << '\n';
  return exit_code::ok;
}

exit_code run_backup(const option_values& options, const std::vector<std::string>&) {
  if (options.count("data") > 0 && options.count("server") > 0) {
    return report(exit_code::usage, "--data and --server exclude each other");
  }
  if (options.count("to") > 0) {
    return make_directory(options, text_of(options, "to"));
  }
  if (::isatty(STDOUT_FILENO) != 0) {
    return report(exit_code::usage,
                  "a backup is no text for a terminal: `millrace backup > FILE`, or --to DIR");
  }
  const auto sent = send(options, [](std::string_view bytes) -> result<void> {
    if (!std::cout.write(bytes.data(), static_cast<std::streamsize>(bytes.size()))) {
      return error{errc::cancelled, "not all of the backup could be written"};
    }
    return {};
  });
  if (!sent && std::cout) {
    return report(sent.error());
  }
  return exit_code::ok;  // a failed output is told at the end, as of every command
}

}  // namespace

command backup_command() {
  return {"backup",
          "[--to DIR] [--data DIR]",
          "copy the state of a server, while it works, to a file or a directory",
          "  millrace backup > millrace.backup            of the server, to a file\n"
          "  millrace backup --to copy                    to a directory that a server can use\n"
          "  millrace backup --data .millrace > FILE      of a directory that no server uses\n",
          0,
          0,
          add_backup_options,
          run_backup};
}

}  // namespace millrace::gateway::cli
