// SPDX-License-Identifier: MIT
// The life of a process, its faults and its inputs. What it does with effects: sim_shell.cc,
// sim_flush.cc.
#include "sim_process.h"

#include "cluster.h"
#include "sim_assert.h"

namespace millrace::sim {
namespace {

constexpr double rate_off_max = 0.005;  // of each clock: two differ by 1 % at most

// The silo that sent a message, and the epoch that it is of.
constexpr auto sender_of = [](const auto& message) {
  const auto silo = static_cast<std::uint64_t>(message.from.silo[1] - '0');
  if constexpr (std::is_same_v<std::decay_t<decltype(message)>, runtime::fenced_message>) {
    return std::pair{silo, message.promised_epoch};
  } else {
    return std::pair{silo, message.epoch};
  }
};

}  // namespace

sim_process::sim_process(cluster& around, std::size_t silo)
    : around_(around),
      silo_(silo),
      name_("s" + std::to_string(silo)),
      rate_(1 - rate_off_max +
            2 * rate_off_max * static_cast<double>(around.random.below(1001)) / 1000),
      clock_offset_(around.random.between(seconds{10}, seconds{10000})) {}

steady_time sim_process::now() const {
  const auto true_time = static_cast<double>(around_.plan.now().time_since_epoch().count());
  return steady_time{clock_offset_ + duration{static_cast<std::int64_t>(true_time * rate_)}};
}

// --- faults --------------------------------------------------------------------------------------

// The journal's entries in order, and where they and the checkpoint meet. False when they do not.
bool sim_process::load(runtime::partition_log& log) {
  auto& disk = *disk_;
  next_position_ = 1;
  bool is_first = true;
  if (disk.entries.empty()) {
    log = runtime::partition_log{runtime::partition_id{0}, disk.rows.tail};
  }
  for (const auto& [position, bytes] : disk.entries) {
    const auto entry = runtime::decode_entry(bytes);
    if (!entry) {
      return false;
    }
    if (std::exchange(is_first, false)) {
      log = runtime::partition_log{entry->partition,
                                   {entry->prev_epoch, entry->seq - 1, entry->prev_digest}};
    }
    if (log.fit(*entry) != runtime::entry_fit::next) {
      throw violation{"a log that does not continue its chain was written"};
    }
    log.take(*entry, position);
    next_position_ = position + 1;
  }
  const auto& tail = disk.rows.tail;
  if (tail.seq < disk.state.checkpointed.seq) {
    return false;  // its rows were to be replaced
  }
  disk.state.checkpointed = tail;
  if (tail.seq == 0) {
    disk.rows.values = {};  // a snapshot was cut short
  }
  return log.base().seq <= tail.seq && tail.seq <= log.tail().seq && log.at(tail.seq) == tail;
}

void sim_process::start() {
  if (is_up_) {
    return;
  }
  is_up_ = true;
  ++life_;
  runs_since_ = around_.plan.now();
  around_.log.note(around_.plan.now(), "start", {silo_});
  if (disk_ == nullptr) {
    return;
  }
  runtime::partition_log log{runtime::partition_id{0}};
  if (!load(log)) {
    replace_disk();
    return;
  }
  auto settings = around_.settings;
  settings.silo = name_;
  settings.life = around_.random.next() >> 8U << 8U;
  copy_ = std::make_unique<replica>(disk_->state, std::move(log), settings, now());
  rows_ = disk_->rows;
  applied_ = checked_ = copy_->committed();
  if (around_.random.once_in(2)) {
    keep_image();
  }
  tick_later();
}

void sim_process::kill() {
  if (!is_up_) {
    return;
  }
  around_.log.note(around_.plan.now(), "kill", {silo_});
  if (flushing_ && around_.random.once_in(2)) {
    disk_->write(writing_, 1 + around_.random.below(sim_disk::steps_max));  // and nobody was told
  }
  // Rows of a snapshot that the log had not caught up with: which, nobody remembers.
  tainted_ = tainted_ || (disk_ != nullptr && disk_->rows.tail.seq < std::exchange(rows_reach_, 0));
  is_up_ = paused_ = flushing_ = flush_ended_ = appended_ = rows_changed_ = checkpoint_due_ = false;
  tick_due_ = false;
  ++life_;
  copy_.reset();
  effects_.clear();
  messages_.clear();
  requests_.clear();
  batch_ = {};
  digest_at_.reset();
  digest_.reset();
  writes_.clear();
  reads_.clear();
}

void sim_process::pause(duration length) {
  if (!is_up_ || paused_) {
    return;
  }
  paused_ = true;
  around_.log.note(around_.plan.now(), "stop", {silo_});
  around_.plan.after(length, [this, life = life_] {
    if (life == life_) {
      resume();
    }
  });
}

void sim_process::resume() {
  if (!std::exchange(paused_, false)) {
    return;
  }
  runs_since_ = around_.plan.now();
  if (std::exchange(flush_ended_, false)) {
    flushed(writing_, life_);
  } else {
    drain();
  }
}

void sim_process::replace_disk() {
  kill();
  if (disk_ != nullptr) {
    around_.check.disk_lost(id(), around_.plan.now());
  }
  around_.log.note(around_.plan.now(), "disk", {silo_, generation_ + 1});
  disk_ = std::make_unique<sim_disk>();
  image_.reset();
  tainted_ = false;
  disk_->state.id = {silo_ + 1, ++generation_};
  disk_->state.data_loss_no = around_.store.record().data_loss_no;
  around_.plan.after(around_.random.between(milliseconds{10}, seconds{1}), [this] { start(); });
}

void sim_process::rot() {
  if (disk_ == nullptr || disk_->entries.empty()) {
    return;
  }
  auto at = disk_->entries.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(around_.random.below(disk_->entries.size())));
  at->second[3] = static_cast<char>(at->second[3] ^ 16);
  disk_->has_rotten_entry = true;
}

void sim_process::rot_row() {
  if (disk_ != nullptr) {
    disk_->rotten_key = around_.random.below(keys);
  }
}

void sim_process::keep_image() {
  if (disk_ != nullptr && !around_.check.is_lost(id())) {
    image_ = std::make_unique<sim_disk>(*disk_);
  }
}

// Less would not be noticed by anybody: the floor in the record is all there is to compare with.
bool sim_process::may_roll_back() const {
  if (image_ == nullptr || image_->state.id != id()) {
    return false;
  }
  return image_->last() < around_.store.record().commit_floor;
}

void sim_process::roll_back() {
  kill();
  around_.log.note(around_.plan.now(), "roll back", {silo_});
  around_.check.disk_lost(id(), around_.plan.now());
  *disk_ = *image_;
  tainted_ = true;
  put_back_at_ = around_.plan.now();
}

void sim_process::found_damaged(damage why) {
  around_.log.note(around_.plan.now(), "damaged", {silo_, static_cast<std::uint64_t>(why)});
  // An operator chose it, and before the store knew it gave away what it had.
  const bool came_too_late = why == damage::lost_committed && copy_->log().tail().seq == 0 &&
                             copy_->state().data_loss_no != disk_->state.data_loss_no;
  if (!tainted_ && why != damage::given_up && !came_too_late) {
    throw violation{"an intact copy was taken for a damaged one, reason " +
                    std::to_string(static_cast<int>(why))};
  }
}

// --- inputs --------------------------------------------------------------------------------------

void sim_process::run(input what) {
  if (copy_ == nullptr) {
    return;
  }
  if (paused_ || flushing_ || (what.is_message && appended_)) {
    (what.is_message ? messages_ : requests_).push_back(std::move(what.act));
    return;
  }
  what.act();
  settle();
}

// As the journal thread does: what has come is heard before time passes, and clients wait for both.
std::function<void()> sim_process::next_input() {
  std::function<void()> next;
  if (!messages_.empty() && !appended_) {
    next = std::move(messages_.front());
    messages_.pop_front();
  } else if (std::exchange(tick_due_, false)) {
    next = [this] { tick(); };
  } else if (!requests_.empty()) {
    next = std::move(requests_.front());
    requests_.pop_front();
  }
  return next;
}

void sim_process::drain() {
  while (copy_ != nullptr && !paused_ && !flushing_) {
    const auto next = next_input();
    if (!next) {
      break;
    }
    next();
    if (copy_ != nullptr) {
      carry_out();
    }
  }
  settle();
}

void sim_process::settle() {
  if (copy_ != nullptr && !paused_ && !flushing_) {
    carry_out();
  }
  if (copy_ != nullptr && !paused_ && !flushing_) {
    flush_if_due();
  }
}

void sim_process::tick() {
  copy_->tick(now(), effects_);
  checkpoint_now_and_then();
}

void sim_process::tick_later() {
  const auto delay = around_.random.between(milliseconds{40}, milliseconds{60});
  around_.plan.after(delay, [this, life = life_] {
    if (life != life_) {
      return;
    }
    if (paused_ || flushing_) {
      tick_due_ = true;
    } else {
      tick();
      settle();
    }
    if (life == life_) {
      tick_later();
    }
  });
}

void sim_process::deliver(const placed_copy& to, const replica_message& message,
                          steady_time sent_at) {
  const bool is_meant = runtime::planted(runtime::bug::sets_list_silos) || to.id == id();
  if (copy_ == nullptr || !is_meant || sent_at < put_back_at_) {
    return;
  }
  run({true, [this, message] {
         const auto [from, epoch] = std::visit(sender_of, message);
         around_.log.note(around_.plan.now(), "receive", {silo_, message.index(), from, epoch});
         if (const auto* range = std::get_if<runtime::range_message>(&message)) {
           rows_reach_ = std::max(rows_reach_, range->applied);
         }
         copy_->receive(message, now(), effects_);
       }});
}

void sim_process::learn(const partition_record& record) {
  run({true, [this, record] {
         const bool did_lead = leads();
         const auto epoch = copy_->record().epoch;
         const auto data_loss_no = copy_->state().data_loss_no;
         copy_->learn(record, now(), effects_);
         if (copy_->state().data_loss_no != data_loss_no) {
           tell_committed();
         }
         if (leads() && (!did_lead || copy_->record().epoch != epoch)) {
           around_.log.note(around_.plan.now(), "lead", {silo_, copy_->record().epoch});
           if (record.version == around_.store.record().version) {
             around_.check.leads(*copy_);
           }
         }
       }});
}

void sim_process::notice(const partition_record& record) {
  if (copy_ != nullptr && copy_->record().version != 0) {
    learn(record);
  }
}

void sim_process::hear_of_death(const copy_id& primary, std::uint64_t epoch) {
  run({true, [this, primary, epoch] { copy_->primary_died(primary, epoch, now(), effects_); }});
}

void sim_process::write(std::size_t key) {
  run({false, [this, key] {
         if (!copy_->may_append()) {
           return;
         }
         const auto value = around_.random.next() | 1U;
         append(write_of(key, value));
         writes_.push_back({copy_->log().tail().seq, key, value});
       }});
}

void sim_process::read(std::size_t key) {
  run({false, [this, key] {
         if (leads()) {
           reads_.push_back({key, now(), around_.check.floor_of(key)});
           if (!copy_->may_answer(now(), now())) {
             copy_->send_beacons(now(), effects_);
           }
         }
       }});
}

void sim_process::hand_over(std::size_t to) {
  run({true, [this, to] {
         if (copy_->role() == replica_role::primary) {
           around_.log.note(around_.plan.now(), "hand over", {silo_, to});
           copy_->hand_over(around_.silos[to]->id(), now(), effects_);
         }
       }});
}

void sim_process::let_go(std::size_t member) {
  run({true, [this, member] {
         around_.log.note(around_.plan.now(), "let go", {silo_, member});
         copy_->let_go(around_.silos[member]->id());
       }});
}

void sim_process::break_glass() {
  run({true, [this] { copy_->break_glass(now(), effects_); }});
}

}  // namespace millrace::sim
