// SPDX-License-Identifier: MIT
#include "millrace/testing/test_silo.h"

#include <condition_variable>
#include <stdexcept>
#include <thread>

#include "silo/silo_access.h"

namespace millrace::testing {

using runtime::duration;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

runtime::detail::silo_core& core_of(runtime::silo& one) {
  return runtime::detail::silo_access::core(one);
}

constexpr duration settle_limit = std::chrono::seconds{30};

error stopped() {
  return {errc::unavailable, "storage has stopped"};
}

}  // namespace

// The rows, lent to one silo: its end is not theirs, and what is on its way is counted.
class test_silo::lent_storage final : public runtime::storage {
public:
  explicit lent_storage(runtime::storage& inner) : inner_(inner) {}
  lent_storage(const lent_storage&) = delete;
  lent_storage& operator=(const lent_storage&) = delete;
  ~lent_storage() override { lent_storage::stop(); }

  void commit(std::unique_ptr<runtime::commit_request> request) override {
    if (!take()) {
      request.release()->done(stopped());
      return;
    }
    auto counted = std::make_unique<counted_request<runtime::commit_request, void>>(*this);
    counted->partition = request->partition;
    counted->epoch = request->epoch;
    counted->ops = std::move(request->ops);
    counted->inner = std::move(request);
    inner_.commit(std::move(counted));
  }
  void read(std::unique_ptr<runtime::read_request> request) override {
    using rows = std::vector<runtime::row>;
    if (!take()) {
      request.release()->done(stopped());
      return;
    }
    auto counted = std::make_unique<counted_request<runtime::read_request, rows>>(*this);
    counted->partition = request->partition;
    counted->prefix = request->prefix;
    counted->inner = std::move(request);
    inner_.read(std::move(counted));
  }
  result<void> scan(runtime::partition_id partition, std::string_view prefix, std::string_view from,
                    std::size_t limit,
                    const std::function<bool(const runtime::row&)>& visit) override {
    return inner_.scan(partition, prefix, from, limit, visit);
  }
  [[nodiscard]] bool saturated() const noexcept override { return inner_.saturated(); }
  [[nodiscard]] std::string allocation_id() const override { return inner_.allocation_id(); }
  [[nodiscard]] std::uint16_t partition_count() const noexcept override {
    return inner_.partition_count();
  }
  [[nodiscard]] runtime::storage_stats stats() const override { return inner_.stats(); }
  [[nodiscard]] runtime::replication* cluster_side() noexcept override {
    return inner_.cluster_side();
  }
  void stop() override {
    std::unique_lock lock{mutex_};
    stopped_ = true;
    changed_.wait(lock, [this] { return under_way_ == 0; });
  }

  /// False when something is still on its way after a moment.
  [[nodiscard]] bool idle() {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, std::chrono::milliseconds{100},
                             [this] { return under_way_ == 0; });
  }

private:
  template <class Request, class Value>
  struct counted_request final : Request {
    explicit counted_request(lent_storage& of) : home(of) {}
    counted_request(const counted_request&) = delete;
    counted_request& operator=(const counted_request&) = delete;
    ~counted_request() override = default;
    void done(result<Value> outcome) override {
      inner.release()->done(std::move(outcome));
      home.give_back();
      delete this;
    }
    lent_storage& home;
    std::unique_ptr<Request> inner;
  };

  [[nodiscard]] bool take() {
    const std::lock_guard lock{mutex_};
    under_way_ += stopped_ ? 0 : 1;
    return !stopped_;
  }
  void give_back() {
    const std::lock_guard lock{mutex_};
    --under_way_;
    changed_.notify_all();
  }

  runtime::storage& inner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t under_way_ = 0;
  bool stopped_ = false;
};

struct detail::open_answer {
  std::string target;
  std::mutex mutex;
  std::optional<result<runtime::any_message>> content;
  std::optional<runtime::call_handle> handle;
};

test_silo::test_silo(setup prepare, runtime::silo_options options,
                     std::unique_ptr<runtime::storage> rows)
    : prepare_(std::move(prepare)),
      options_(std::move(options)),
      also_warn_(std::exchange(options_.warn, [this](std::string_view line) { warn(line); })),
      stored_(std::move(rows)) {
  if (options_.threads == 0) {
    options_.threads = 1;
    options_.spare_threads_max = 0;  // what waits for a thread that the test holds waits
  }
  start();
}

test_silo::~test_silo() = default;

void test_silo::warn(std::string_view line) {
  {
    const std::lock_guard lock{mutex_};
    if (crashed_) {
      return;  // a process that is gone says nothing
    }
    warnings_.emplace_back(line);
  }
  if (also_warn_) {
    also_warn_(line);
  }
}

std::vector<std::string> test_silo::warnings() const {
  const std::lock_guard lock{mutex_};
  return warnings_;
}

// --- its life ------------------------------------------------------------------------------------

void test_silo::start() {
  MILLRACE_ASSERT(!here_);
  auto lent = std::make_unique<lent_storage>(*stored_);
  lent_ = lent.get();
  auto rows = std::make_unique<faulty_storage>(std::move(lent));
  rows_ = rows.get();
  crashed_ = false;
  here_.emplace(std::move(rows), options_, clock_);
  prepare_(*here_);
  if (auto started = here_->start(); !started) {
    here_.reset();
    throw std::runtime_error{"the silo does not start: " + started.error().to_string()};
  }
  settle();
}

void test_silo::stop() {
  here().stop();
  here_.reset();
}

void test_silo::crash() {
  settle();
  {
    const std::lock_guard lock{mutex_};
    crashed_ = true;
  }
  rows_->lose_held();
  core_of(here()).abandon();
  here_.reset();
}

void test_silo::restart() {
  stop();
  start();
}

void test_silo::discard(runtime::partition_id partition) {
  core_of(here()).discard(partition);
  settle();
}

result<void> test_silo::take_over(runtime::partition_id partition) {
  auto taken = core_of(here()).take_over(partition, runtime::detail::epoch_alone);
  settle();
  return taken;
}

runtime::silo& test_silo::here() {
  MILLRACE_ASSERT(here_.has_value());
  return *here_;
}

faulty_storage& test_silo::rows() {
  MILLRACE_ASSERT(here_.has_value());
  return *rows_;
}

// --- settling ------------------------------------------------------------------------------------

// The order proves it: while no turn has run between the first look and the last, only what is
// looked at between could have woken somebody, and that was idle before the mailboxes were seen.
std::string test_silo::busy_with() {
  auto& core = core_of(*here_);
  const auto turns = core.watch().turns_if_idle();
  if (!turns) {
    return "a turn";
  }
  if (!lent_->idle()) {
    return "storage";
  }
  if (core.offload_threads().busy()) {
    return "an offloaded function";
  }
  if (const auto due = core.timers().next_due(); due && *due <= clock_.steady()) {
    return "a timer";
  }
  if (auto awake = core.name_of_awake(); !awake.empty()) {
    return awake;
  }
  return core.watch().turns_if_idle() == turns ? "" : "a turn";
}

void test_silo::settle() {
  const runtime::system_clock real;
  const auto limit = real.steady() + settle_limit;
  while (here_) {
    here_->time_changed();
    while (options_.by_hand && here_->run_one()) {
    }
    const auto busy = busy_with();
    if (busy.empty()) {
      return;
    }
    if (real.steady() > limit) {
      throw std::runtime_error{"the silo does not settle, still busy: " + busy};
    }
    std::this_thread::yield();
  }
}

void test_silo::advance(duration by) {
  settle();
  const auto end = clock_.steady() + by;
  while (here_) {
    const auto due = core_of(*here_).timers().next_due();
    if (!due || *due > end) {
      break;
    }
    clock_.move(*due - clock_.steady());
    settle();
  }
  clock_.move(end - clock_.steady());
  settle();
}

// --- calls ---------------------------------------------------------------------------------------

std::shared_ptr<detail::open_answer> test_silo::begin_spec(runtime::call_spec spec) {
  auto of = std::make_shared<detail::open_answer>();
  of->target = std::string{spec.interface->type} + "/" + spec.key;
  of->handle = here().start_call(std::move(spec), [of](result<runtime::any_message> answer) {
    const std::lock_guard lock{of->mutex};
    of->content = std::move(answer);
  });
  settle();
  return of;
}

bool test_silo::has_answer(detail::open_answer& of) {
  settle();
  const std::lock_guard lock{of.mutex};
  return of.content.has_value();
}

result<runtime::any_message> test_silo::take_answer(detail::open_answer& of) {
  if (!has_answer(of)) {
    throw std::runtime_error{
        "a call has no answer, though everything has settled; it waits for time, for a signal, for "
        "another call or for a commit that is held: " +
        of.target};
  }
  const std::lock_guard lock{of.mutex};
  return *std::move(of.content);
}

void test_silo::cancel(detail::open_answer& of) {
  of.handle->cancel();
}

}  // namespace millrace::testing
