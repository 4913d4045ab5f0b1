// SPDX-License-Identifier: MIT
// A run from its seed to its end. What goes wrong in it: faults.cc.
#include "cluster.h"

#include <algorithm>

#include "sim_assert.h"

namespace millrace::sim {
namespace {

using runtime::planted_bug;

constexpr duration trouble_time = seconds{60};
// The longest hold-down of a copy that flapped, and what comes after it.
constexpr duration recovery_time_max = std::chrono::minutes{8};
constexpr duration recovery_step = seconds{5};

}  // namespace

figures& figures::operator+=(const figures& other) {
  events += other.events;
  faults += other.faults;
  lost_messages += other.lost_messages;
  writes += other.writes;
  reads += other.reads;
  takeovers += other.takeovers;
  set_changes += other.set_changes;
  snapshots += other.snapshots;
  data_losses += other.data_losses;
  simulated += other.simulated;
  return *this;
}

cluster::cluster(std::uint64_t seed, bool trace_text)
    : random(seed), log(trace_text), net(plan, random), store(plan, random) {
  static constexpr std::array<std::size_t, 8> sizes{2, 2, 3, 3, 3, 3, 3, 4};
  settings.copies = sizes[random.below(sizes.size())];
  settings.replace_after = seconds{20};
  settings.floor_interval = seconds{random.once_in(2) ? 30 : 5};
  reckless_ = random.once_in(12);
  impatient_ = random.once_in(8);
  has_slow_primary_ = random.once_in(4);
  trims_once_in = random.once_in(4) ? 200 : 60;
  // A few dozen entries, or more than a run has.
  settings.learner_log_bytes_max = random.once_in(2) ? 2000 : settings.learner_log_bytes_max;
  // A young cluster has fewer silos than copies are wanted, and has never had all of them.
  const bool is_young = settings.copies > 2 && random.once_in(4);
  const auto count = is_young
                         ? settings.copies
                         : settings.copies + (settings.copies < 4 && random.once_in(3) ? 1 : 0);
  partition_record record;
  record.version = 1;
  record.in_sync_min =
      is_young || random.once_in(8) ? 1 : std::max<std::size_t>(1, settings.copies - 1);
  const auto members = settings.copies;
  settings.copies += is_young ? 1 : 0;
  for (std::size_t silo = 0; silo < count; ++silo) {
    auto& added = *silos.emplace_back(std::make_unique<sim_process>(*this, silo));
    if (silo < members) {
      added.replace_disk();
      record.in_sync.push_back({added.id(), "s" + std::to_string(silo)});
    } else {
      added.start();
    }
  }
  store.create(record);
  store.changing = [this](const partition_record& before, const partition_record& after) {
    log.note(plan.now(), "record",
             {after.version, after.epoch, after.in_sync.size(), after.eligible.size()});
    counted.takeovers += after.epoch != before.epoch ? 1 : 0;
    counted.set_changes += after.in_sync.size() != before.in_sync.size() ? 1 : 0;
    counted.data_losses += after.data_loss_no - before.data_loss_no;
    check.record_changes(before, after, disks(), chosen_by(after));
    depose(after);
    for (const auto& each :
         silos) {  // what a learner has now is less than the floor, and not by much
      if (!contains(after.in_sync, {each->id(), "s" + std::to_string(each->silo())}) &&
          random.once_in(2)) {
        each->keep_image();
      }
    }
  };
  store.held_up = [this](const partition_record& wanted) { return hold_up(wanted); };
  store.watched = [this](std::size_t silo, const partition_record& read) {
    if (silo < silos.size()) {
      silos[silo]->notice(read);
    }
  };
  set_weather();
}

const sim_disk* cluster::chosen_by(const partition_record& after) const {
  if (after.in_sync.empty()) {
    throw violation{"nobody is left in the set"};
  }
  const auto& chosen = after.in_sync.front().id;
  for (const auto& each : silos) {
    if (each->has_disk() && each->id() == chosen && !each->is_tainted() && !check.is_lost(chosen)) {
      return &each->disk();
    }
  }
  return nullptr;
}

std::map<copy_id, const sim_disk*> cluster::disks() const {
  std::map<copy_id, const sim_disk*> found;
  for (const auto& each : silos) {
    if (each->has_disk()) {
      found[each->id()] = &each->disk();
    }
  }
  return found;
}

void cluster::check_sets() const {
  const auto all = disks();
  check.sets(store.record(), all);
  check.lost_ones_notice(store.record(), all);
  for (const auto& [number, wanted] : store.under_way()) {
    if (wanted.version == store.record().version) {
      check.lost_ones_notice(wanted, all);
    }
  }
}

void cluster::check_leases() const {
  for (const auto& newer : silos) {
    const auto* const one = newer->copy();
    if (one == nullptr || one->role() != replica_role::primary) {
      continue;
    }
    for (const auto& older : silos) {
      const auto* const other = older->copy();
      if (other != nullptr && other->record().epoch < one->record().epoch &&
          other->state().data_loss_no == one->state().data_loss_no && older->may_answer_now()) {
        throw violation{"two copies may answer at once, in epochs " +
                        std::to_string(other->record().epoch) + " and " +
                        std::to_string(one->record().epoch)};
      }
    }
  }
}

void cluster::make_copy() {
  for (const auto& each : silos) {
    if (each->is_up() && !each->has_disk()) {
      each->replace_disk();
      return;
    }
  }
}

// Where there are more silos than copies, another one is preferred every few seconds, as when silos
// come: whoever leads is told to let go of the one that is preferred least. Not before a copy that
// is missing was replaced. Once all is well no copy is made any more, and what a primary that died
// has left half-way is ended by the next.
void cluster::move_copies() {
  constexpr auto turn = seconds{12};
  if (silos.size() <= settings.copies || quiet_) {
    return;
  }
  plan.after(milliseconds{500}, [this] { move_copies(); });
  const auto turns = static_cast<std::size_t>(plan.now().time_since_epoch() / turn);
  if (turns < 2) {
    return;
  }
  if (!healing_) {
    make_copy();
  }
  const bool is_too_large = store.record().in_sync.size() > settings.copies;
  for (const auto& each : silos) {
    const auto last = (healing_ ? each->silo() + 1 : turns) % silos.size();
    if (each->leads() && (!healing_ || is_too_large)) {
      each->let_go(last);
    }
  }
}

// Clients ask whoever leads, or thinks so.
void cluster::run_clients() {
  plan.after(random.between(client_interval_ / 2, client_interval_ * 2), [this] {
    if (quiet_) {
      return;
    }
    run_clients();
    // Few, so that reads meet writes; and now and then one whose row stays as it is for long.
    const auto key = random.once_in(20) ? 3 + random.below(3) : random.below(3);
    const bool is_write = random.once_in(2);
    for (const auto& one : silos) {
      if (one->leads()) {
        is_write&& random.once_in(2) ? one->write(key) : one->read(key);
      }
    }
  });
}

bool cluster::has_recovered() const {
  const auto& record = store.record();
  const auto possible = std::min(settings.copies, silos.size());
  return record.in_sync.size() == possible && record.state == runtime::partition_state::active &&
         check.writes() > writes_before_ && plan.now() > healed_at_ + seconds{3};
}

bool cluster::are_even() const {
  const auto& record = store.record();
  return std::all_of(silos.begin(), silos.end(), [&](const auto& each) {
    return !runtime::is_complete(record, {each->id(), "s" + std::to_string(each->silo())}) ||
           (each->copy() != nullptr && each->applied() == check.last_committed() &&
            each->copy()->log().tail().seq == check.last_committed());
  });
}

void cluster::read_all() {
  for (const auto& each : silos) {
    for (std::size_t key = 0; key < keys && each->leads(); ++key) {
      each->read(key);
    }
  }
}

void cluster::compare_all() {
  quiet_ = true;
  std::array<std::uint64_t, keys> before{};
  for (std::size_t key = 0; key < keys; ++key) {
    before[key] = check.reads_of(key);
  }
  const auto is_missing = [&] {
    for (std::size_t key = 0; key < keys; ++key) {
      if (check.reads_of(key) == before[key]) {
        return true;
      }
    }
    return !are_even();
  };
  const auto end = plan.now() + recovery_time_max;
  for (int round = 1; is_missing(); ++round) {
    if (plan.now() >= end) {
      throw violation{"a key cannot be read, or a member lacks something, although all is well" +
                      describe()};
    }
    read_all();
    counted.events += plan.run_until(plan.now() + milliseconds{500}, [] { return false; });
    if (round % 10 == 0) {  // what was read for the first time may be damaged
      break_glass_if_needed();
    }
  }
  for (const auto& each : silos) {
    if (runtime::contains(store.record().in_sync,
                          {each->id(), "s" + std::to_string(each->silo())})) {
      check.rows(each->rows());
    }
  }
}

void cluster::eject_beside_slow_disk() {
  constexpr auto limit = seconds{15};
  constexpr auto restart_max = seconds{9};  // of a process that was killed before all was mended
  counted.events += plan.run_until(plan.now() + restart_max, [] { return false; });
  const auto is_leading = [](const auto& each) { return each->leads(); };
  const auto primary = std::find_if(silos.begin(), silos.end(), is_leading);
  const auto& set = store.record().in_sync;
  const auto dead = std::find_if(silos.begin(), silos.end(), [&](const auto& each) {
    return !each->leads() &&
           runtime::contains(set, {each->id(), "s" + std::to_string(each->silo())});
  });
  if (primary == silos.end() || dead == silos.end()) {
    return;
  }
  const placed_copy copy{(*dead)->id(), "s" + std::to_string((*dead)->silo())};
  (*primary)->slow_disk(plan.now() + limit);
  (*dead)->kill();
  const auto is_out = [&] { return !runtime::contains(store.record().in_sync, copy); };
  counted.events += plan.run_until(plan.now() + limit, is_out);
  if (!is_out()) {
    throw violation{"a dead copy stays in the set of a primary whose disk is slow" + describe()};
  }
  (*primary)->slow_disk({});
  (*dead)->start();
}

std::string cluster::describe() const {
  const auto name = [](const copy_id& id) {
    return std::to_string(id.high) + "." + std::to_string(id.low) + " ";
  };
  const auto& record = store.record();
  auto text = "\nrecord " + std::to_string(record.version) + " epoch " +
              std::to_string(record.epoch) + " floor " + std::to_string(record.commit_floor) +
              " primary " + name(record.primary) + "in sync ";
  for (const auto& each : record.in_sync) {
    text += name(each.id);
  }
  text += "eligible ";
  for (const auto& each : record.eligible) {
    text += name(each.id);
  }
  for (const auto& each : silos) {
    text += "\ncopy " + name(each->id());
    if (const auto* copy = each->copy()) {
      text += "role " + std::to_string(static_cast<int>(copy->role())) + " promised " +
              std::to_string(copy->state().promised_epoch) + " tail " +
              std::to_string(copy->log().tail().seq) + " committed " +
              std::to_string(copy->committed()) + " knows version " +
              std::to_string(copy->record().version);
    }
  }
  return text;
}

outcome cluster::run() {
  outcome result;
  const auto step = [this](duration length, bool until_recovered) {
    counted.events += plan.run_until(plan.now() + length, [this, until_recovered] {
      return until_recovered && has_recovered();
    });
  };
  try {
    run_clients();
    inject_later();
    move_copies();
    step(trouble_time, false);
    heal();
    const auto end = plan.now() + recovery_time_max;
    while (!has_recovered() && plan.now() < end) {
      step(recovery_step, true);
      break_glass_if_needed();
    }
    if (!has_recovered()) {
      throw violation{"no progress although all is well again" + describe()};
    }
    if (has_slow_primary_) {
      eject_beside_slow_disk();
    }
    compare_all();
  } catch (const violation& found) {
    result.violated = found.what();
  }
  counted.lost_messages = net.lost();
  counted.writes = check.writes();
  counted.reads = check.reads();
  counted.simulated = plan.now().time_since_epoch();
  log.note(plan.now(), "end", {counted.events, check.writes(), check.reads()});
  result.trace_digest = log.digest();
  result.trace_text = log.text();
  result.counted = counted;
  return result;
}

outcome simulate(std::uint64_t seed, runtime::bug planted, bool trace_text) {
  planted_bug = planted;
  auto result = cluster{seed, trace_text}.run();
  planted_bug = runtime::bug::none;
  return result;
}

}  // namespace millrace::sim

namespace millrace::runtime {

bug planted_bug = bug::none;

}  // namespace millrace::runtime
