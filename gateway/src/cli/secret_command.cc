// SPDX-License-Identifier: MIT
// secret: what a project keeps for its tasks, and the keys that seal it.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <iostream>
#include <optional>

#include "cli/output.h"
#include "cli/remote.h"
#include "cli/terminal_text.h"
#include "millrace/actors/secret_keyring.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::result;

namespace {

constexpr const char* secret_usage =
    "usage: millrace secret set NAME [--from-file FILE] | list | delete NAME | key";

void add_secret_options(po::options_description& options) {
  options.add_options()("from-file", po::value<std::string>()->value_name("FILE"),
                        "set: the file with the value, of which one line end at the end does not "
                        "count (default: standard input)");
  add_server_option(options);
  add_project_option(options);
  add_rows_options(options);
}

// Does not show what is typed, until it goes. Signals that end or stop a program wait until then:
// the terminal is not left as it is meanwhile.
class hidden_input {
public:
  hidden_input() {
    sigset_t held;
    ::sigemptyset(&held);
    for (const auto each : {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP}) {
      ::sigaddset(&held, each);
    }
    ::pthread_sigmask(SIG_BLOCK, &held, &signals_before_);
    told_ = runtime::unique_fd{::signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK)};
    is_set_ = ::tcgetattr(STDIN_FILENO, &before_) == 0;
    auto hidden = before_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    is_set_ = is_set_ && ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0;
  }
  hidden_input(const hidden_input&) = delete;
  hidden_input& operator=(const hidden_input&) = delete;
  ~hidden_input() {
    if (is_set_) {
      ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }
    ::pthread_sigmask(SIG_SETMASK, &signals_before_, nullptr);
  }

  // A line, without its end; nothing when a signal has come, which is not taken.
  [[nodiscard]] std::optional<std::string> line() const {
    std::string text;
    for (;;) {
      std::array<pollfd, 2> waiting{pollfd{told_.get(), POLLIN, 0},
                                    pollfd{STDIN_FILENO, POLLIN, 0}};
      static_cast<void>(::poll(waiting.data(), waiting.size(), -1));
      if (waiting[0].revents != 0) {
        return std::nullopt;
      }
      std::array<char, 4096> piece;  // what a terminal gives at once
      const auto got = ::read(STDIN_FILENO, piece.data(), piece.size());
      if (got <= 0) {
        return text;
      }
      text.append(piece.data(), static_cast<std::size_t>(got));
      if (text.ends_with('\n')) {
        text.pop_back();
        return text;
      }
    }
  }

private:
  termios before_{};
  sigset_t signals_before_{};
  runtime::unique_fd told_;
  bool is_set_ = false;
};

result<std::string> value_in(const option_values& options, const std::string& name) {
  const auto file = text_of(options, "from-file", "-");
  if (file == "-" && ::isatty(STDIN_FILENO) == 1) {
    for (;;) {
      std::optional<std::string> line;
      {
        const hidden_input hidden;
        std::cerr << "value of '" << printable(name) << "': " << std::flush;
        line = hidden.line();
        std::cerr << '\n';
      }
      if (line) {
        return *line;
      }
    }
  }
  auto text = read_file(file);
  if (text && text->ends_with('\n')) {
    text->pop_back();
    if (text->ends_with('\r')) {
      text->pop_back();
    }
  }
  return text;
}

// Answers without a body.
exit_code send(remote& server, http::method verb, const std::string& name, const std::string& body,
               const std::string& done) {
  const auto answer = server.client().send(verb, server.secrets() + "/" + escaped(name), body);
  if (!answer) {
    return report(answer.error());
  }
  if (answer->status >= 400) {
    return report(server.problem_of(*answer));
  }
  std::cerr << "secret " << printable(name) << " of project " << printable(server.project()) << done
            << '\n';
  return exit_code::ok;
}

exit_code set(remote& server, const option_values& options, const std::string& name) {
  const auto value = value_in(options, name);
  if (!value) {
    return report(value.error());
  }
  std::string body;
  try {
    body = ordered_json{{"value", *value}}.dump();
  } catch (const ordered_json::exception&) {
    return report(exit_code::usage, "the value is no text in UTF-8; encode it, such as by base64");
  }
  return send(server, http::method::put, name, body, " is stored");
}

exit_code list(remote& server) {
  const auto page = server.ask(http::method::get, server.secrets());
  if (!page) {
    return report(page.error());
  }
  print_rows(server.style(), page->at("secrets"), {"id", "created_at", "updated_at", "updated_by"});
  return exit_code::ok;
}

exit_code run_secret(const option_values& options, const std::vector<std::string>& positional) {
  const auto& verb = positional[0];
  const bool is_set = verb == "set" && positional.size() == 2;
  const bool is_delete = verb == "delete" && positional.size() == 2;
  const bool is_alone = (verb == "list" || verb == "key") && positional.size() == 1;
  if (!is_set && !is_delete && !is_alone) {
    return report(exit_code::usage, secret_usage);
  }
  if (const auto fits = refuse(options, {"from-file"}, "secret " + verb); !is_set && !fits) {
    return report(fits.error());
  }
  if (verb == "key") {
    std::cout << actors::secret_keyring::make_line() << '\n';
    return exit_code::ok;
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  return is_set      ? set(*server, options, positional[1])
         : is_delete ? send(*server, http::method::del, positional[1], {}, " is deleted")
                     : list(*server);
}

}  // namespace

command secret_command() {
  return {"secret",
          "set NAME [--from-file FILE] | list | delete NAME | key",
          "store, list and delete the secrets of a project, and make keys to seal them",
          "  (umask 077; millrace secret key > secrets.key)   for --secrets-key of the servers\n"
          "  millrace secret set api-token --from-file token\n"
          "  pass show api | millrace secret set api-token --project web\n"
          "  millrace secret list\n"
          "  millrace secret delete api-token\n",
          1,
          2,
          add_secret_options,
          run_secret};
}

}  // namespace millrace::gateway::cli
