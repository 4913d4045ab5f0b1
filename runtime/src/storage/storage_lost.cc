// SPDX-License-Identifier: MIT
#include "storage/storage_lost.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "millrace/runtime/last_words.h"
#include "millrace/runtime/storage.h"

namespace millrace::runtime {

constinit thread_local const mapped_file* mapped_file_in_use = nullptr;

namespace {

constexpr std::array watched_signals{SIGBUS, SIGSEGV, SIGABRT};
std::array<struct sigaction, watched_signals.size()> earlier_actions;

// Only what is async-signal-safe may be called here.
void write_text(const char* text) noexcept {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, std::strlen(text));
}

const char* name_of(int number) noexcept {
  return number == SIGBUS ? "SIGBUS" : number == SIGSEGV ? "SIGSEGV" : "SIGABRT";
}

// A signal of a page that is damaged or that the disk does not give ends the process with a line;
// any other goes the way that it went before.
void on_signal(int number, siginfo_t* info, void*) noexcept {
  say_last_words();
  if (const auto* const file = mapped_file_in_use; file != nullptr) {
    write_text("millrace: storage lost, stopping at once: ");
    write_text(file->path);
    write_text(": a page is damaged, or the disk does not give it (");
    write_text(name_of(number));
    write_text("); ");
    write_text(file->remedy);
    write_text("\n");
    ::_exit(storage_lost_status);
  }
  for (std::size_t index = 0; index < watched_signals.size(); ++index) {
    if (watched_signals[index] == number) {
      ::sigaction(number, &earlier_actions[index], nullptr);
    }
  }
  // A fault happens again on return, and `abort` goes on by itself; what was sent does not.
  if (info->si_code <= 0) {
    ::raise(number);
  }
}

}  // namespace

void storage_lost(std::string_view why) noexcept {
  say_last_words();
  std::fprintf(stderr, "millrace: storage lost, stopping at once: %.*s\n",
               static_cast<int>(why.size()), why.data());
  std::fflush(stderr);
  ::_exit(storage_lost_status);
}

void watch_storage_signals() noexcept {
  for (std::size_t index = 0; index < watched_signals.size(); ++index) {
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(watched_signals[index], &action, &earlier_actions[index]);
  }
}

}  // namespace millrace::runtime
