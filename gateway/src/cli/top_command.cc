// SPDX-License-Identifier: MIT
// The loop of `millrace top`, and the terminal that it takes and gives back.
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "cli/reconnects.h"
#include "cli/remote.h"
#include "cli/top.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

constexpr double interval_default = 1;
constexpr double interval_max = 3'600;

// How the terminal was; here because a signal's handler gives it back too.
termios terminal_before;
bool keys_taken = false;

void give_screen_back() {
  constexpr std::string_view text = "\x1b[?25h\x1b[?1049l";
  static_cast<void>(!::write(STDOUT_FILENO, text.data(), text.size()));
  if (keys_taken) {
    ::tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
  }
}

// Takes the whole screen of a terminal, and keys without their line ends; gives both back.
class screen {
public:
  screen() {
    keys_taken = ::tcgetattr(STDIN_FILENO, &terminal_before) == 0;
    before_forced_exit(give_screen_back);
    if (keys_taken) {
      auto raw = terminal_before;
      raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
      raw.c_cc[VSUSP] = _POSIX_VDISABLE;  // a stopped program would leave the terminal like this
      ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    std::cout << "\x1b[?1049h\x1b[?25l" << std::flush;
  }
  screen(const screen&) = delete;
  screen& operator=(const screen&) = delete;
  ~screen() {
    before_forced_exit(nullptr);
    std::cout << std::flush;
    give_screen_back();
  }

  // Shows what fits of the text.
  static void show(const std::string& text) {
    winsize size{};
    const auto known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    const std::size_t columns = known ? size.ws_col : 80;
    std::size_t lines = known ? size.ws_row : 24;
    std::cout << "\x1b[H";
    for (std::size_t begin = 0; begin < text.size() && lines > 1; --lines) {
      const auto end = std::min(text.find('\n', begin), text.size());
      std::cout << text.substr(begin, std::min(end - begin, columns)) << "\x1b[K\r\n";
      begin = end + 1;
    }
    std::cout << "\x1b[J" << std::flush;
  }

  // Whether the person has pressed q since the last time.
  [[nodiscard]] bool quit() const {
    char key = 0;
    while (keys_taken && wait_for_interrupt(std::chrono::milliseconds{0}, STDIN_FILENO) &&
           ::read(STDIN_FILENO, &key, 1) == 1) {
      if (key == 'q' || key == 'Q') {
        return true;
      }
    }
    return false;
  }
  [[nodiscard]] int keys() const { return keys_taken ? STDIN_FILENO : -1; }
};

runtime::result<std::chrono::milliseconds> interval_of(const option_values& options) {
  auto seconds = interval_default;
  const auto text = text_of(options, "interval", "1");
  const auto* end = text.data() + text.size();
  const auto [after, failure] = std::from_chars(text.data(), end, seconds);
  if (failure != std::errc{} || after != end || !(seconds > 0) || seconds > interval_max) {
    return runtime::error{
        runtime::errc::invalid_argument,
        "--interval '" + text + "': it must be a number of seconds above 0, at most 3600"};
  }
  return std::max(std::chrono::milliseconds{static_cast<std::int64_t>(seconds * 1'000)},
                  std::chrono::milliseconds{1});
}

runtime::result<ordered_json> figures(remote& server) {
  return server.ask(http::method::get, "/api/v1/silo");
}

// Of a server that may come back.
bool is_away(const runtime::error& why) {
  return why.code() == runtime::errc::unavailable || why.code() == runtime::errc::deadline_exceeded;
}

void print(output_form form, const ordered_json& top) {
  if (is_table(form)) {
    std::cout << top_text(top);
  } else {
    print_one(form, top);
  }
  std::cout << std::flush;
}

}  // namespace

void add_top_options(po::options_description& options) {
  add_server_option(options);
  add_output_option(options);
  options.add_options()("interval,d", po::value<std::string>()->value_name("SECONDS"),
                        "between two looks (default: 1)");
  options.add_options()("once", "look twice, print what happened between, and end");
}

exit_code run_top(const option_values& options, const std::vector<std::string>&) {
  auto server = remote::open(options);
  const auto interval = interval_of(options);
  if (!server || !interval) {
    return report(server ? interval.error() : server.error());
  }
  if (server->form() == output_form::name) {
    return report(exit_code::usage, "-o name: top has no names; use table, json, jsonl or yaml");
  }
  auto before = figures(*server);
  if (!before) {
    return report(before.error());
  }
  watch_interrupts();
  const auto* const terminal = std::getenv("TERM");
  const auto once = options.count("once") > 0;
  const auto whole_screen = !once && is_table(server->form()) && ::isatty(STDOUT_FILENO) != 0 &&
                            terminal != nullptr && std::string_view{terminal} != "dumb";
  std::optional<screen> shown;
  if (whole_screen) {
    shown.emplace();
    screen::show("millrace top: " + server->url() + "\n");
  }
  reconnects tries;
  for (;;) {
    static_cast<void>(wait_for_interrupt(*interval, shown ? shown->keys() : -1));
    if (interrupts() > 0 || (shown && shown->quit()) || !std::cout) {
      return interrupts() > 0 && once ? exit_code::interrupted : exit_code::ok;
    }
    auto began = server->now();
    auto after = figures(*server);
    while (!after && !once && is_away(after.error())) {
      const auto wait = tries.after(pass::nothing, server->now() - began);
      if (!wait || interrupts() > 0) {
        break;
      }
      if (shown) {
        screen::show(after.error().text() + "; trying again\n");
      }
      static_cast<void>(wait_for_interrupt(*wait, -1));
      began = server->now();
      after = figures(*server);
    }
    if (after) {
      tries = {};
    }
    const auto top = after ? top_of(*before, *after) : after.error();
    if (!top) {
      shown.reset();
      return report(top.error());
    }
    if (shown) {
      screen::show(top_text(*top) + "\nq: quit\n");
    } else {
      print(server->form(), *top);
    }
    if (once) {
      return exit_code::ok;
    }
    before = std::move(after);
  }
}

}  // namespace millrace::gateway::cli
