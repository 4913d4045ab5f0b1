// SPDX-License-Identifier: MIT
// Backup: the rows of the silo as a stream, while it works. The reader checks its end: a stream
// that had to be broken off has none.
#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "api/api.h"
#include "api/respond.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::errc;
using runtime::error;

namespace {

// Far below what a stream may queue for a client.
constexpr std::size_t piece_bytes = std::size_t{64} << 10U;

// Pages that commits free wait for a backup to end, so a client that reads nothing ends it.
constexpr auto stall_max = std::chrono::seconds{60};

// One backup on its way to one client.
class backup_sender : public std::enable_shared_from_this<backup_sender> {
public:
  explicit backup_sender(reply answer) : answer_(std::move(answer)) {}

  runtime::result<void> send(runtime::storage& rows) {
    return rows.backup([this](std::string_view bytes) { return write(bytes); });
  }

  // The client sees the end of its answer only by this.
  void end(const runtime::result<void>& done) {
    if (!done && answer_) {
      answer_.fail(done.error());
    }
    out_.close();
  }

private:
  void open() {
    out_ = answer_.open(200, {{"Content-Type", "application/octet-stream"},
                              {"Content-Disposition", "attachment; filename=\"millrace.backup\""},
                              {"Cache-Control", "no-store"}});
    out_.on_drained([weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->note(&backup_sender::drained_);
      }
    });
    out_.on_closed([weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->note(&backup_sender::closed_);
      }
    });
  }

  void note(bool backup_sender::*what) {
    const std::lock_guard lock{mutex_};
    this->*what = true;
    changed_.notify_all();
  }

  runtime::result<void> write(std::string_view bytes) {
    if (answer_) {
      open();  // from here on an error can only break the stream off
    }
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece_bytes, bytes.size()))) {
      {
        const std::lock_guard lock{mutex_};
        drained_ = false;
      }
      const auto status = out_.write(bytes.substr(0, piece_bytes));
      std::unique_lock lock{mutex_};
      if (status == http::write_status::full) {
        changed_.wait_for(lock, stall_max, [this] { return drained_ || closed_; });
      }
      if (closed_ || status == http::write_status::closed ||
          (status == http::write_status::full && !drained_)) {
        return error{errc::cancelled, "the client does not read its backup"};
      }
    }
    return {};
  }

  reply answer_;
  http::stream out_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool drained_ = false;
  bool closed_ = false;
};

// The thread that takes backups, one at a time. Goes with the routes, before the silo.
class backup_thread {
public:
  void start(runtime::storage& rows, reply answer) {
    const std::lock_guard lock{mutex_};
    if (busy_) {
      answer.fail({errc::conflict, "a backup is being taken already; wait for its end"});
      return;
    }
    busy_ = true;
    const auto sender = std::make_shared<backup_sender>(std::move(answer));
    thread_ = std::jthread{[this, &rows, sender] {
      const auto done = sender->send(rows);
      {
        const std::lock_guard ended{mutex_};
        busy_ = false;
      }
      sender->end(done);  // who has read it to its end may take the next one
    }};
  }

private:
  std::mutex mutex_;
  bool busy_ = false;
  std::jthread thread_;
};

// A silo without the role `state` has some in memory, which are nobody's.
bool has_rows(const runtime::silo& here) {
  const auto seen = here.cluster_view();
  const auto own = std::find_if(seen.silos.begin(), seen.silos.end(),
                                [&](const auto& each) { return each.name == here.name(); });
  return seen.cluster_id.empty() || (own != seen.silos.end() && own->roles.state);
}

}  // namespace

void add_backup_routes(api_routes& routes) {
  routes.add(
      method::get, "/api/v1/backup", everywhere(role::ADMIN),
      {.id = "take_backup",
       .tag = "cluster",
       .summary = "The state of the silo that answers, as `millrace restore` reads it",
       .text = "One at a time; a stream that is broken off has no end, which the reader sees.",
       .answers = {{.status = 200,
                    .text = "The stream.",
                    .body = {.type = "application/octet-stream"},
                    .headers = {{"Content-Disposition", "The name of a file."}}}},
       .problems = {409, 429, 500}},
      [&parts = routes.parts(), thread = std::make_shared<backup_thread>()](request&,
                                                                            reply answer) {
        if (!has_rows(parts.silo)) {
          answer.fail({errc::failed_precondition,
                       "a gateway has no rows: back up a silo that serves HTTP (--listen)"});
          return;
        }
        thread->start(parts.silo.rows(), std::move(answer));
      });
}

}  // namespace millrace::gateway
