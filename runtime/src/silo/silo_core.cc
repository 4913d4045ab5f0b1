// SPDX-License-Identifier: MIT
#include "silo/silo_core.h"

#include <caf/make_actor.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "activation/row_layout.h"
#include "activation/running_turn.h"
#include "cluster/cluster_node.h"
#include "millrace/runtime/call_batch.h"
#include "storage/replication.h"
#include "storage/storage_warnings.h"

namespace millrace::runtime::detail {

namespace {

// Index rows read at a time when a silo starts.
constexpr std::size_t recover_page_rows = 4096;

// Commits that wait for an earlier one of their actor, of the whole silo: beside what storage
// itself lets queue, and as much again as its largest commits.
constexpr std::int64_t waiting_commit_bytes_max = std::int64_t{128} << 20U;

bool has_all(const std::vector<std::string>& own, std::string_view wanted) {
  while (!wanted.empty()) {
    const auto end = wanted.find(',');
    if (std::find(own.begin(), own.end(), wanted.substr(0, end)) == own.end()) {
      return false;
    }
    wanted = end == std::string_view::npos ? std::string_view{} : wanted.substr(end + 1);
  }
  return true;
}

unsigned threads_of(const silo_options& options) {
  return options.threads != 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
}

struct scheduler_config : caf::actor_system_config {
  explicit scheduler_config(const silo_options& options) {
    // Work stealing walks the whole ready queue per steal and collapses on long ones.
    set("scheduler.policy", options.by_hand ? caf::atom("testing") : caf::atom("sharing"));
    set("scheduler.max-threads", std::size_t{threads_of(options)});
  }
};

}  // namespace

silo_core::silo_core(std::unique_ptr<storage> rows, silo_options options, const clock& time)
    : activation_home(std::move(options), time),
      rows_(std::move(rows)),
      held_(rows_->partition_count()),
      made_at_(time.steady()),
      config_(std::make_unique<scheduler_config>(options_)),
      system_(std::make_unique<caf::actor_system>(*config_)),
      queue_(*system_, options_.by_hand),
      floors_(*rows_),
      memory_(*this, options_.memory_budget_bytes),
      returned_(*this),
      timers_(time, options_.by_hand ? timers_run::when_told : timers_run::on_a_thread),
      reminders_(*this),
      watch_(*this),
      offload_threads_(options_.by_hand ? 0 : options_.offload_threads_max,
                       options_.offload_queue_max),
      spares_(*this, options_.by_hand ? 0 : options_.spare_threads_max) {
  if (auto* const warnings = dynamic_cast<storage_warnings*>(rows_.get())) {
    warnings->warn_by([this](const std::string& line) { warn(line); });
  }
}

silo_core::~silo_core() {
  stop(duration{});
  // Joins the scheduler's threads, which use the pointer until then: reset() would clear it first.
  std::default_delete<caf::actor_system>{}(system_.get());
  static_cast<void>(system_.release());
  directory_.clear();
  router_.clear();
}

void silo_core::add_type(const interface_info& interface, actor_factory make,
                         capnp::StructSchema (*state)()) {
  if (accepting_) {
    stop_for_mistake("actor type '" + std::string{interface.type} +
                     "' is added to a silo that has started; add it before start()");
  }
  const auto [at, fresh] = types_.try_emplace(
      std::string{interface.type}, actor_type{&interface, std::move(make), state, types_.size(),
                                              std::make_unique<type_meter>(interface)});
  if (!fresh) {
    stop_for_mistake("actor type '" + std::string{interface.type} + "' is added twice");
  }
  at->second.labels_match = has_all(options_.labels, interface.labels);
  by_interface_[&interface] = &at->second;
}

const actor_type* silo_core::find_type(const interface_info* interface) const {
  const auto found = by_interface_.find(interface);
  return found != by_interface_.end() ? found->second : find_type(interface->type);
}

const actor_type* silo_core::find_type(std::string_view type) const {
  const auto found = types_.find(type);
  return found != types_.end() ? &found->second : nullptr;
}

// --- start and stop ------------------------------------------------------------------------------

void silo_core::share_partitions() {
  MILLRACE_ASSERT(!accepting_);
  shared_ = rows_->cluster_side();
  MILLRACE_ASSERT(shared_ != nullptr);
}

result<void> silo_core::start() {
  if (options_.cluster) {
    cluster_ = std::make_unique<cluster_node>(*this, *rows_,
                                              around_ != nullptr ? *around_ : real_surroundings());
  }
  if (auto begun = cluster_ ? cluster_->join() : take_over_all(); !begun) {
    return begun;
  }
  accepting_ = true;
  watch_.start();
  spares_.start();
  auto serves = cluster_ ? cluster_->serve() : result<void>{};
  if (!serves) {
    accepting_ = false;
  }
  return serves;
}

// All are held before anything in one of them goes on: it may call an actor of any other.
result<void> silo_core::take_over_all() {
  const auto all = shared_ == nullptr ? rows_->partition_count() : std::uint16_t{0};
  for (std::uint16_t index = 0; index < all; ++index) {
    if (auto held = hold(partition_id{index}, epoch_alone); !held) {
      return held;
    }
  }
  for (std::uint16_t index = 0; index < all; ++index) {
    if (auto recovered = recover(partition_id{index}, epoch_alone); !recovered) {
      return recovered;
    }
  }
  return {};
}

void silo_core::expelled() {
  accepting_ = false;
  for (std::uint16_t index = 0; index < rows_->partition_count(); ++index) {
    discard(partition_id{index});
  }
  router_.leave();
}

result<cluster_node*> silo_core::in_cluster() const {
  return cluster_
             ? result{cluster_.get()}
             : error{errc::failed_precondition, "silo '" + options_.name + "' is in no cluster"};
}

cluster_view silo_core::seen_cluster() const {
  return cluster_ ? cluster_->view() : cluster_view{};
}

result<void> silo_core::take_over(partition_id partition, std::uint64_t epoch) {
  MILLRACE_ASSERT(epoch != 0);
  if (holds(partition) && epoch_of(partition) != epoch) {
    discard(partition);
  }
  auto taken = hold(partition, epoch);
  if (taken) {
    taken = recover(partition, epoch);  // what is due already fires at once
    if (!taken) {
      discard(partition);
    }
  }
  return taken;
}

result<void> silo_core::hold(partition_id partition, std::uint64_t epoch) {
  auto known = floors_.load(partition);  // before the first activation
  if (known) {
    held_[static_cast<std::size_t>(partition)].store(epoch, std::memory_order_release);
  }
  return known;
}

// Whoever is in the directory by then is told; whoever comes later sees that it is not held.
void silo_core::discard(partition_id partition) {
  held_[static_cast<std::size_t>(partition)].store(0, std::memory_order_release);
  reminders_.forget(partition);
  directory_.for_each([partition](activation& one) {
    if (one.is_durable() && one.partition() == partition) {
      one.post_or_drop(new envelope{envelope_kind::lost});
    }
  });
}

result<void> silo_core::recover(partition_id partition, std::uint64_t epoch) {
  const auto each_row = [&](std::string_view prefix, const auto& use) -> result<void> {
    std::string from{prefix};
    for (;;) {
      std::size_t seen = 0;
      auto done = rows_->scan(partition, prefix, from, recover_page_rows, [&](const row& one) {
        ++seen;
        from = one.key + '\0';
        value_reader value{one.value};
        const auto id = value.id();
        const auto* type = find_type(id.type);
        if (value.ok() && type != nullptr) {  // what this build does not host waits
          use(one.key,
              reminder_owner{partition, epoch, hash_of(id.type, id.key), *type->interface, id.key});
        }
        return true;
      });
      if (!done || seen < recover_page_rows) {
        return done;
      }
    }
  };
  auto done = each_row(reminder_index_prefix, [&](const auto& key, const auto& owner) {
    if (const auto parsed = parse_reminder_index(key)) {
      reminders_.add(owner, parsed->name, parsed->due);
    }
  });
  if (!done) {
    return done;
  }
  // Loading it is enough: an activation goes on with the sends it finds.
  return each_row(outbox_index_prefix,
                  [&](const auto&, const auto& owner) { reminders_.add(owner, {}, time_.wall()); });
}

void silo_core::stop(duration grace) {
  std::call_once(stopped_, [&] {
    if (cluster_) {
      cluster_->drain(grace);
    }
    accepting_ = false;
    stopping_ = true;
    router_.leave();
    directory_.for_each(
        [](activation& one) { one.post_or_drop(new envelope{envelope_kind::release}); });
    while (options_.by_hand && grace > duration{} && run_one(0)) {
    }
    if (!directory_.wait_until_empty(options_.by_hand ? duration{} : grace) && grace > duration{}) {
      warn("the silo stops with " + std::to_string(directory_.size()) + " activations still busy");
    }
    end_parts();
    if (cluster_) {
      cluster_->leave();
    }
  });
}

void silo_core::abandon() {
  std::call_once(stopped_, [this] {
    if (cluster_) {
      cluster_->abandon();
    }
    accepting_ = false;
    stopping_ = true;
    end_parts();
  });
}

void silo_core::end_parts() {
  timers_.stop();
  spares_.stop();
  offload_threads_.stop();
  rows_->stop();
}

bool silo_core::run_one(std::size_t choice) {
  MILLRACE_ASSERT(options_.by_hand);
  auto& scheduler = static_cast<caf::scheduler::test_coordinator&>(system_->scheduler());
  timers_.time_changed();
  auto& ready = scheduler.jobs;
  if (ready.empty()) {
    return offload_threads_.run_one();
  }
  std::swap(ready.front(), ready[choice % ready.size()]);
  return scheduler.try_run_once();
}

void silo_core::warn(const std::string& line) const {
  if (options_.warn) {
    options_.warn(line);
  } else {
    warn_by_default(line);
  }
}

void silo_core::warn_by_default(std::string_view line) {
  std::fprintf(stderr, "millrace: %.*s\n", static_cast<int>(line.size()), line.data());
}

void silo_core::log(const std::string& line) const {
  if (options_.log) {
    options_.log(line);
  }
}

std::optional<error> silo_core::refusal(const call_spec& spec) {
  if (!accepting_.load(std::memory_order_acquire)) {
    return error{errc::unavailable, "the silo is not serving"};
  }
  if (auto valid = validate_key(spec.key); !valid) {
    return std::move(valid).error();
  }
  if (spec.idempotency_key.size() > idempotency_key_bytes_max) {
    return error{errc::invalid_argument, "an idempotency key is at most 200 bytes"};
  }
  const auto* type = find_type(spec.interface);
  if (type == nullptr && router_.joined()) {
    return std::nullopt;  // others may host it
  }
  if (type == nullptr || spec.method >= type->interface->methods.size()) {
    return error{errc::unimplemented,
                 "no actor type '" + std::string{spec.interface->type} + "' on this silo"};
  }
  if (!disk_is_behind(*type, spec.method) || router_.leaves(*type->interface, spec.key)) {
    return std::nullopt;  // of what leaves it is the other's disk that counts
  }
  return overload(*type, spec.method);
}

bool silo_core::disk_is_behind(const actor_type& type, std::uint16_t method) const {
  return type.interface->methods[method].admission != method_admission::read_only &&
         (rows_->saturated() ||
          waiting_commit_bytes_.load(std::memory_order_relaxed) > waiting_commit_bytes_max);
}

std::optional<error> silo_core::overload(const actor_type& type, std::uint16_t method) {
  if (!disk_is_behind(type, method)) {
    return std::nullopt;
  }
  counters_.overloaded_total.fetch_add(1, std::memory_order_relaxed);
  error why{errc::overloaded, "the disk is behind with commits", std::chrono::milliseconds{100}};
  type.shared_meter->ended_with(method, &why).add_shared();
  return why;
}

// --- messages ------------------------------------------------------------------------------------

activation* silo_core::make(const actor_type& type, std::string key, const actor_hash& hash) {
  caf::actor_config config;
  auto made = caf::make_actor<activation, caf::strong_actor_ptr>(
      system_->next_actor_id(), system_->node(), system_.get(), config, *this, type, std::move(key),
      hash);
  return static_cast<activation*>(made.detach()->get());
}

void silo_core::run_later(activation& one) {
  if (auto* const batch = call_batch::current()) {
    batch->hold(one);
  } else {
    auto* const alone = &one;
    hand_over({&alone, 1});
  }
}

namespace {

// Whether a call comes, directly or not, from a turn of that activation.
bool is_on_chain(const envelope& call, const activation& one) noexcept {
  const auto* above = call.parent;
  while (above != nullptr && above->serving != &one) {
    above = above->parent;
  }
  return above != nullptr;
}

std::string joined(const std::vector<std::string>& labels) {
  std::string all;
  for (const auto& each : labels) {
    all += (all.empty() ? "" : ",") + each;
  }
  return all.empty() ? "none" : all;
}

}  // namespace

std::uint16_t silo_core::workers_of(const interface_info& interface) const noexcept {
  if (interface.workers_max != 0) {
    return interface.workers_max;
  }
  // By hand nothing may depend on the machine.
  return options_.by_hand ? 2 : static_cast<std::uint16_t>(threads_of(options_));
}

std::optional<error> silo_core::misplaced(const actor_type& type, std::string_view key) const {
  const auto& interface = *type.interface;
  if (interface.placement == actor_placement::silo_bound) {
    if (const auto where = key.substr(0, key.find('/')); where != options_.name) {
      return error{errc::failed_precondition,
                   "no silo '" + std::string{where} + "' is known, which the key of " +
                       std::string{interface.type} + "/" + std::string{key} +
                       " names; this one is '" + options_.name + "'"};
    }
  } else if (interface.placement == actor_placement::labels && !type.labels_match) {
    return error{errc::failed_precondition,
                 "no silo has the labels '" + std::string{interface.labels} +
                     "' that actors of type " + std::string{interface.type} +
                     " ask for; those of this one: " + joined(options_.labels)};
  }
  return std::nullopt;
}

void silo_core::deliver_here(envelope* one) {
  const auto* type = find_type(one->interface);
  if (type == nullptr || one->method >= type->interface->methods.size()) {
    answer(one, {errc::unimplemented,
                 "no actor type '" + std::string{one->interface->type} + "' on this silo"});
    return;
  }
  if (auto why = misplaced(*type, one->key)) {
    answer(one, *std::move(why));
    return;
  }
  const auto hash = hash_of(type->interface->type, one->key);
  const auto pooled = type->interface->placement == actor_placement::stateless;
  // Deliveries of stored sends are bounded by their senders: one a pair.
  const auto bounded = (one->kind == envelope_kind::call || one->kind == envelope_kind::one_way) &&
                       (pooled || !one->send);
  for (;;) {
    activation* fresh = nullptr;
    activation* closed = nullptr;
    activation* woken = nullptr;
    auto overloaded = false;
    const auto use = [&](activation& target, bool is_fresh, std::uint16_t worker = 0) {
      one->worker.store(worker, std::memory_order_relaxed);
      if (bounded) {
        overloaded = !target.reserve(options_.mailbox_messages_max);
        one->counted = !overloaded;
        if (!overloaded && memory_.on()) {
          memory_.queued(bytes_of(*one));
        }
      }
      const auto outcome = overloaded ? push_outcome::queued : target.post(one);
      auto& role = is_fresh ? fresh : outcome == push_outcome::closed ? closed : woken;
      if (is_fresh || outcome != push_outcome::queued) {
        target.keep();
        role = &target;
      }
    };
    if (pooled) {
      directory_.with_worker(
          hash, workers_of(*type->interface),
          [one](const activation& each) { return is_on_chain(*one, each); },
          [&](std::uint16_t worker) { return make(*type, one->key, hash_of_worker(hash, worker)); },
          use);
    } else {
      directory_.with(
          hash, [&] { return make(*type, one->key, hash); }, use);
    }
    if (overloaded) {
      counters_.overloaded_total.fetch_add(1, std::memory_order_relaxed);
      answer(one, error{errc::overloaded, "the mailbox of " + name_of(*one) + " is full",
                        std::chrono::milliseconds{100}});
    }
    if (fresh != nullptr) {
      fresh->begin_loading();
      fresh->release();
    } else if (woken != nullptr) {
      woken->schedule();
    } else if (closed != nullptr) {
      closed->give_place_back(*one);
      directory_.erase(*closed);
      closed->release();
      continue;
    }
    return;
  }
}

void silo_core::cancel(envelope& call) {
  if (router_.cancel(call)) {
    return;
  }
  auto* one = new envelope{envelope_kind::cancel};
  one->parent = &call;
  keep(call);
  tell_server(call, one);
}

void silo_core::probe(envelope& call, wait_probe what) {
  if (!router_.probe(call, what)) {
    tell_server(call, far_probe_of(call, std::move(what)));
  }
}

void silo_core::tell_server(const envelope& call, envelope* what) {
  const auto worker = call.worker.load(std::memory_order_relaxed);
  auto* target = directory_.find(hash_of_worker(hash_of(call.interface->type, call.key), worker));
  if (target == nullptr) {
    drop(what);
    return;
  }
  target->post_or_drop(what);
  target->release();
}

void silo_core::count_refusal(const envelope& call, const error& why) noexcept {
  const auto is_call = call.kind == envelope_kind::call || call.kind == envelope_kind::one_way ||
                       call.kind == envelope_kind::answer;
  if (!is_call || call.made == steady_time{}) {
    return;
  }
  if (const auto* type = find_type(call.interface);
      type != nullptr && call.method < type->interface->methods.size()) {
    type->shared_meter->ended_with(call.method, &why).add_shared();
  }
}

void silo_core::answer(envelope* one, error why) {
  while (auto* same = one->take_same_key()) {
    answer(same, why);
  }
  if (router_.take_back(one, why)) {
    return;
  }
  count_refusal(*one, why);
  if (one->caller == nullptr && !one->sink) {
    drop(one);
    return;
  }
  one->failure = told_of(*one, std::move(why));
  return_unserved(one);
}

void silo_core::bring_back(envelope* one, result<any_message> outcome) {
  if (outcome) {
    one->content = *std::move(outcome);
  } else {
    one->failure = told_of(*one, std::move(outcome).error());
  }
  return_unserved(one);
}

void silo_core::return_unserved(envelope* one) {
  one->kind = envelope_kind::answer;
  one->serving = nullptr;
  go_back(one);
}

std::string silo_core::name_at(const activation* where) {
  std::string name = "an actor that ends";
  directory_.for_each([&](activation& one) {
    if (&one == where) {
      name = one.actor_name();
    }
  });
  return name;
}

std::string silo_core::name_of_awake() {
  std::string name;
  directory_.for_each([&](activation& one) {
    if (name.empty() && !one.asleep()) {
      name = one.actor_name();
    }
  });
  return name;
}

// --- for activations -----------------------------------------------------------------------------

watched_thread& silo_core::thread_begins() {
  auto& own = watch_.own();
  spares_.stirred();
  return own;
}

const partition_lease* silo_core::lease(partition_id partition) const noexcept {
  return shared_ == nullptr ? nullptr : &shared_->lease(partition);
}

void silo_core::ended(activation& one, std::size_t bytes) {
  directory_.erase(one);
  memory_.leave(one);
  returned_.freed(bytes);
}

void silo_core::commit(std::unique_ptr<commit_request> request, std::uint64_t erased_version) {
  if (erased_version > 0) {
    floors_.commit_erased(std::move(request), erased_version);
  } else {
    rows_->commit(std::move(request));
  }
}

void silo_core::commit_waits(std::int64_t bytes) noexcept {
  waiting_commit_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  memory_.queued(bytes);
}

}  // namespace millrace::runtime::detail
