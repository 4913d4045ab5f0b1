// SPDX-License-Identifier: MIT
// The body of `process_supervisor`: one thread on an epoll descriptor.
//
// An attempt passes through the phases below. Only the thread signals and reaps, so a group number
// it uses is always one it has not given back to the kernel:
//
//   running      --timeout, silence, cancel, log limit--> terminating   SIGTERM to the group
//   running      --memory limit--> killed
//   running      --leader exits--> sweeping
//   terminating  --leader exits--> draining      the rest of the group keeps its grace period
//   terminating  --grace over--> killed          SIGKILL to the group
//   draining     --no member lives, or grace over--> sweeping
//   killed       --leader exits--> sweeping
//   sweeping     --no process bears the mark--> finished
//
// On the way to sweeping the group gets SIGKILL *before* the leader is reaped: while the leader is
// a zombie its number, and so the group's, cannot belong to anybody else. Background children of a
// finished command end there. Whatever has left the group has by then become a child of ours, or a
// descendant of one, because we are a subreaper: so our children are looked through until none
// bears the attempt's mark. That is one reading of a short list when nothing had left.
#pragma once

#include <sys/resource.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "millrace/actors/process.h"
#include "process/attempt_store.h"
#include "process/attempt_table.h"
#include "process/guard.h"
#include "process/log_watch.h"
#include "process/masked_pipes.h"
#include "process/memory_watch.h"
#include "process/spawn.h"

namespace millrace::actors {

namespace process_detail {

inline constexpr std::array both_streams{output_stream::standard_output,
                                         output_stream::standard_error};

/// What is to be reported of an output that has ended.
[[nodiscard]] process_stream ended_stream(const log_file& log, std::size_t tail_max);

}  // namespace process_detail

class process_supervisor::impl {
public:
  impl(process_options options, const runtime::clock& clock, process_detail::attempt_table table,
       std::unique_ptr<process_detail::attempt_store> store);
  impl(const impl&) = delete;
  impl& operator=(const impl&) = delete;
  ~impl();

  /// Starts guard and thread. Call once.
  [[nodiscard]] runtime::result<void> run();

  /// Looks through the files of the recovered attempts. Call once, before `run`.
  void recover_files();

  [[nodiscard]] const std::vector<recovered_attempt>& recovered() const {
    return table_.recovered();
  }
  [[nodiscard]] std::uint64_t lineage() const { return table_.lineage(); }
  [[nodiscard]] runtime::result<void> start(process_spec spec, exit_callback on_exit);
  enum class urgency : std::uint8_t { grace, none, over_limit };
  [[nodiscard]] runtime::result<void> cancel(std::string_view token, urgency how);
  [[nodiscard]] runtime::result<void> acknowledge(std::string_view token);
  [[nodiscard]] runtime::result<log_file> open_log(std::string_view token,
                                                   output_stream stream) const;
  [[nodiscard]] runtime::result<log_waiter_id> watch_log(std::string_view token,
                                                         output_stream stream, std::uint64_t offset,
                                                         log_callback on_event);
  void forget_waiter(log_waiter_id waiter);
  [[nodiscard]] runtime::result<void> remove(const std::filesystem::path& tree) {
    return store_->remove(tree);
  }
  [[nodiscard]] process_stats stats() const;
  void stop();

private:
  // What epoll tells of a pipe by: the slot below, the pipe's number from 1 above.
  static constexpr unsigned pipe_shift = 32;
  [[nodiscard]] static std::uint64_t pipe_tag(std::uint32_t index, std::size_t pipe) {
    return std::uint64_t{pipe + 1} << pipe_shift | index;
  }

  enum class phase : std::uint8_t { running, terminating, draining, killed, sweeping };

  struct attempt {
    std::uint32_t index = 0;
    process_spec spec;
    exit_callback on_exit;
    pid_t group = 0;
    process_detail::process_mark mark = 0;
    process_detail::unique_fd pidfd;
    process_detail::unique_fd member;  // whom `draining` and `sweeping` wait for
    process_detail::attempt_files files;
    std::unique_ptr<process_detail::masked_pipes> pipes;  // of one that has secrets
    phase now = phase::running;
    std::optional<process_outcome> ended_by_us;
    bool forced = false;
    std::optional<runtime::steady_time> deadline;  // of this phase
    runtime::wall_time started_at;
    runtime::steady_time started;
    std::optional<runtime::wall_time> last_beat;    // that was seen of its heartbeat
    runtime::steady_time looked_at;                 // for it
    std::optional<runtime::steady_time> next_beat;  // by then another one is due
    std::uint64_t own_peak_rss_kib = 0;
    struct growth {
      std::uint64_t bytes = 0;  // when last measured
      runtime::wall_time noted_at;
      runtime::steady_time next_time;  // is not noted before
    };
    std::array<growth, 2> logged;
    std::array<std::uint64_t, 2> dropped_to{};  // up to where the middle of each stream is gone
  };

  struct cancellation {
    std::uint32_t index;
    std::string token;  // the slot may hold another by the time the thread looks
    urgency how;
  };
  struct log_request {
    log_waiter_id id;
    std::string token;
    output_stream stream;
    std::uint64_t offset;
    log_callback on_event;
  };

  // Any thread.
  [[nodiscard]] runtime::result<std::uint32_t> claim(const std::string& token);
  void release(std::uint32_t index);
  void tell_unsaved(int failed);
  [[nodiscard]] runtime::result<void> launch(attempt& starting);
  [[nodiscard]] static runtime::result<void> open_pipes(attempt& starting);
  void enter(std::unique_ptr<attempt> started);
  void wake();
  void tell_over_limit(const std::string& token);

  // The supervisor's thread.
  void loop();
  [[nodiscard]] int wait_ms();
  void handle_requests();
  void add_waiter(log_request request);
  void handle_deadlines();
  [[nodiscard]] static runtime::steady_time beat_due(runtime::steady_time from,
                                                     runtime::duration longest);
  [[nodiscard]] static std::optional<runtime::steady_time> next_look(const attempt& target);
  void look_after(attempt& target);
  [[nodiscard]] bool is_silent(attempt& target, runtime::steady_time now) const;
  void handle_event(std::uint64_t tag);
  void handle_guard_death();
  void handle_pipe(attempt& writer, std::size_t pipe);
  void handle_exit(attempt& ended);
  void measure();
  void end_over_limit(attempt& target);
  void measure_logs(attempt& target);
  bool note_growth(attempt& target, output_stream which);
  [[nodiscard]] bool drop_middle(attempt& target, output_stream which);
  [[nodiscard]] process_stream stream_of(const attempt& target, output_stream which) const;
  void terminate(attempt& target, process_outcome why);
  void end_grace(attempt& target);
  void kill_group(attempt& target);
  void drain(attempt& target);
  void sweep(attempt& target);
  [[nodiscard]] bool is_stray_of(const attempt& target, pid_t pid) const;
  [[nodiscard]] process_detail::unique_fd kill_strays(const attempt& target);
  void reap_adopted();
  [[nodiscard]] std::vector<pid_t> adopted() const;
  void finish(attempt& target);
  [[nodiscard]] process_exit reap(attempt& target);
  [[nodiscard]] runtime::result<void> finish_pipes(attempt& target);
  void set_deadline(attempt& target, std::optional<runtime::steady_time> at);
  void listen(int fd, std::uint64_t tag);
  void forget(const process_detail::unique_fd& fd);
  void warn(const std::string& line) const;
  [[nodiscard]] attempt* find(std::uint32_t index);

  const process_options options_;
  const runtime::clock& clock_;
  process_detail::attempt_table table_;
  const std::unique_ptr<process_detail::attempt_store> store_;
  std::optional<process_detail::guard> guard_;
  process_detail::unique_fd epoll_;
  process_detail::unique_fd wake_;
  process_detail::unique_fd no_input_;
  process_detail::log_watch logs_;
  process_detail::unique_fd children_;  // the kernel's list of our main thread's
  const process_detail::process_mark first_mark_;
  runtime::steady_time next_measure_{};
  std::atomic<bool> was_unsaved_{false};

  mutable std::mutex mutex_;
  // Under the mutex. The thread alone erases attempts, so it may hold a pointer without it.
  std::unordered_map<std::string, std::uint32_t> tokens_;
  std::vector<std::uint32_t> free_;
  std::vector<std::unique_ptr<attempt>> attempts_;  // by slot
  std::set<std::pair<runtime::steady_time, std::uint32_t>> deadlines_;
  std::vector<cancellation> cancellations_;
  std::unordered_map<process_detail::process_mark, std::uint32_t> marks_;  // to the slot
  std::uint32_t marks_given_ = 0;
  std::vector<log_request> log_requests_;
  std::vector<log_waiter_id> forgotten_waiters_;
  std::uint64_t log_waiters_ = 0;                 // ever
  std::uint32_t log_waiting_ = 0;                 // as the thread last saw it
  std::optional<runtime::steady_time> wakes_at_;  // when the thread next looks by itself
  std::uint32_t active_ = 0;                      // claimed, not yet reported
  std::uint64_t started_ = 0;
  std::uint64_t refused_ = 0;
  pid_t guard_pid_ = 0;
  std::optional<runtime::steady_time> busy_since_;
  bool stopping_ = false;

  process_detail::memory_watch memory_;
  std::mutex joining_;
  std::jthread thread_;  // last: everything above outlives it
};

}  // namespace millrace::actors
