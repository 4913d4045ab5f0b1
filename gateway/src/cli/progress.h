// SPDX-License-Identifier: MIT
// Progress: what a person sees of a run while it runs, on standard error.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace millrace::gateway::cli {

enum class progress_mode : std::uint8_t { tty, plain, json, quiet };

/// `--progress`; `auto` is tty on a terminal of 40 columns or more and plain elsewhere. Nothing for
/// another word.
[[nodiscard]] std::optional<progress_mode> progress_mode_of(const std::string& word);

/// One event of a run, from the API's JSON.
struct progress_event {
  std::string json;
  std::string name;  ///< Empty: the run.
  std::string state;
  std::string run_state;
  std::string label;
  std::string reason;
  std::uint32_t attempt = 0;
  std::chrono::nanoseconds at{0};  ///< Since 1970, as the run says.
};
[[nodiscard]] std::optional<progress_event> event_from_json(const std::string& text);

/// How many tasks may begin before plain progress tells of ends only, and so has a line a task.
inline constexpr std::size_t begun_told_max = 100;

/// Prints events as they come. Time: it counts from the run's first event and is the run's own, so
/// that one looked at later looks the same. Threading: one thread.
class progress {
public:
  explicit progress(progress_mode mode);
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress();

  /// Whether what it prints is for a person, not JSON or nothing.
  [[nodiscard]] bool for_people() const noexcept {
    return mode_ == progress_mode::tty || mode_ == progress_mode::plain;
  }
  void begin(const std::string& pipeline, const std::string& run);
  void event(const progress_event& what);
  /// Draws the line of a terminal again, for the clock in it.
  void tick();
  /// Whether it shows of how many tasks, and has not been told for a second; for ten where that
  /// was nothing.
  [[nodiscard]] bool wants_total() const;
  /// How many there are, as far as that is known; nothing: as before.
  void set_total(std::optional<std::size_t> tasks);
  /// A line between the others.
  void line(const std::string& text);
  /// The last line. `tasks`: `5 tasks: 4 succeeded, 1 failed`.
  void end(const std::string& state, const std::string& reason, const std::string& tasks);

private:
  void clear();
  void draw();
  [[nodiscard]] std::string colored(const std::string& state) const;

  progress_mode mode_;
  bool color_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_;  // for the line of a terminal
  std::optional<std::chrono::nanoseconds> first_at_;
  std::chrono::nanoseconds elapsed_{0};  // of the latest event
  std::set<std::string> running_;
  std::map<std::string, std::chrono::nanoseconds> started_at_;  // of all that have begun
  std::set<std::string> ended_;
  std::size_t total_ = 0;  // 0: not known
  std::optional<std::chrono::steady_clock::time_point> total_holds_until_;
};

}  // namespace millrace::gateway::cli
