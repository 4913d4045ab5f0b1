// SPDX-License-Identifier: MIT
#include "cluster/cluster_node.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "cluster/cluster_setup.h"
#include "silo/silo_core.h"

namespace millrace::runtime::detail {

namespace {

constexpr duration tick_interval = std::chrono::milliseconds{100};
// For a request of the store. Who asked asks again.
constexpr duration store_patience = std::chrono::seconds{2};

// Less than copies wait before they ask again.
constexpr duration store_rest = std::chrono::milliseconds{100};
// Without a hint: one may be lost, and a store that is away gives none.
constexpr duration read_interval = std::chrono::seconds{5};
constexpr duration read_again_after = std::chrono::milliseconds{500};
// A process that was killed dies within milliseconds; whether another machine's kernel refuses
// connections shows as soon.
constexpr duration probe_patience = std::chrono::seconds{1};
constexpr duration probe_again_after = std::chrono::milliseconds{250};
constexpr duration shortage_interval = std::chrono::minutes{10};
// By then every lease that it could have is over.
constexpr duration suspect_for_max = std::chrono::seconds{10};
constexpr duration disk_interval = std::chrono::milliseconds{500};
// Long enough for what is full only until the checkpoint has gone on, which it does each second;
// shorter than callers wait.
constexpr duration full_for = std::chrono::seconds{2};
// What is moved back takes as long to move as it took to go: not for every file that comes and
// goes.
constexpr duration room_for = std::chrono::seconds{5};

link_lane lane_of(replica_lane lane) {
  return lane == replica_lane::bulk ? link_lane::bulk : link_lane::system;
}

std::string_view text_of(damage why) {
  switch (why) {
    case damage::lost_committed:
      return "it lacks what was committed: an old disk came back";
    case damage::differs:
      return "it has committed something else than the others";
    case damage::given_up:
      return "the partition went on without it, by an operator's decision";
    case damage::discarded:
      break;
  }
  return "its primary found that its rows are others";
}

}  // namespace

// --- what is told --------------------------------------------------------------------------------

void cluster_node::tell(input one) {
  const std::lock_guard lock{mutex_};
  inputs_.push_back(std::move(one));
  changed_.notify_all();
}

void cluster_node::hint() {
  const std::lock_guard lock{mutex_};
  is_hinted_ = true;
  changed_.notify_all();
}

void cluster_node::link_up(const std::string& silo, std::uint64_t incarnation) {
  {
    const std::lock_guard lock{mutex_};
    up_[silo] = incarnation;
    has_new_link_ = true;
  }
  tell(link_news{silo, incarnation});
}

void cluster_node::link_down(const std::string& silo) {
  {
    const std::lock_guard lock{mutex_};
    up_.erase(silo);
  }
  tell(link_news{silo});
}

void cluster_node::session_ended(const std::string& silo) {
  if (side_ != nullptr) {
    side_->session_ended(silo);
  }
}

void cluster_node::replica_frame(const std::string& silo, std::string frame) {
  if (side_ != nullptr && !silo.starts_with('@')) {  // no gateway has copies
    side_->receive(silo, std::move(frame));
  }
}

void cluster_node::send(const std::string& silo, replica_lane lane, const std::string& frame) {
  static_cast<void>(links_->send(silo, lane_of(lane), frame_kind::replica, frame));
}

void cluster_node::change(partition_id partition, const partition_record& wanted,
                          writes_wait waits) {
  stored_partition record{wanted, partition};
  {
    const std::lock_guard lock{mutex_};
    const auto given_up = losses_.find(partition);
    if (given_up != losses_.end() && given_up->second.number == record.data_loss_no) {
      record.loss = given_up->second.note;
    }
  }
  if (wanted_.want_change(record, waits)) {
    ask_for_record();
  }
}

void cluster_node::read(partition_id partition) {
  if (wanted_.want_read(partition)) {
    ask_for_record();
  }
}

// A store that has not answered rests, or each partition would go on asking it: whoever still wants
// to know asks again.
void cluster_node::ask_for_record() {
  static_cast<void>(requests_.submit([this] {
    const auto wanted = wanted_.take();
    if (time_.steady() < store_rests_until_.load()) {
      return;
    }
    bool has_answered = false;
    if (wanted.change) {
      const auto outcome = store_->compare_and_set(*wanted.change, time_.steady() + store_patience);
      if (const auto* done = std::get_if<cas_done>(&outcome)) {
        auto now = *wanted.change;
        now.version = done->version;
        learn(now);
        return;
      }
      if (const auto* conflict = std::get_if<cas_conflict>(&outcome)) {
        learn(conflict->found);
        return;
      }
    }
    if (wanted.read) {
      const auto found = store_->read_partition(wanted.partition, time_.steady() + store_patience);
      has_answered = found.has_value();
      if (found) {
        learn(*found);
      }
    }
    if (!has_answered) {
      store_rests_until_ = time_.steady() + store_rest;
    }
  }));
}

void cluster_node::learn(const std::optional<stored_partition>& record) {
  if (record) {
    const partition_record& plain = *record;
    wanted_.learned(*record);
    side_->learn(record->partition, plain);
    tell(*record);
  }
}

void cluster_node::cannot_read(const std::string& silo, const error& why) {
  home_.warn("what a silo says of its copies cannot be read, and is dropped silo=" + silo +
             " why=" + why.text());
}

// The ranking has given it as many as there are silos: only a person can do more.
void cluster_node::wants_copy(partition_id partition) {
  const auto now = time_.steady();
  if (shortage_told_at_ == steady_time{} || now >= shortage_told_at_ + shortage_interval) {
    shortage_told_at_ = now;
    home_.warn(
        "partitions have had too few copies for minutes; start more silos, one is partition=" +
        std::to_string(static_cast<unsigned>(partition)));
  }
}

void cluster_node::cannot_copy(partition_id partition, const error& why) {
  home_.warn(
      "rows of a partition are damaged here; another silo leads it, if one has all of it: stop "
      "this silo, empty its data directory and start it partition=" +
      std::to_string(static_cast<unsigned>(partition)) + " why=" + why.text());
}

void cluster_node::set_aside(partition_id partition, const copy_id& copy, damage why) {
  home_.warn("a copy of a partition is not used, and kept until another one leads partition=" +
             std::to_string(static_cast<unsigned>(partition)) + " copy=" + to_text(copy) +
             " why=" + std::string{text_of(why)});
}

void cluster_node::quarantined(partition_id partition, const copy_id& copy, damage why) {
  home_.warn("a copy of a partition is given up, an empty one takes its place partition=" +
             std::to_string(static_cast<unsigned>(partition)) + " copy=" + to_text(copy) +
             " why=" + std::string{text_of(why)});
}

// --- the thread ----------------------------------------------------------------------------------

void cluster_node::run() {
  ::pthread_setname_np(::pthread_self(), "cluster");
  std::unique_lock lock{mutex_};
  while (!stopping_) {
    changed_.wait_for(lock, tick_interval, [this] {
      return stopping_ || !inputs_.empty() || time_changes_ != time_changes_seen_ ||
             (is_hinted_ && !is_reading_ && !is_store_lost_ && !is_out_);
    });
    ++rounds_;
    time_changes_seen_ = time_changes_;
    is_working_ = true;
    auto inputs = std::exchange(inputs_, {});
    const auto now = time_.steady();
    cluster_effects effects;
    std::vector<led> served;
    for (auto& each : inputs) {
      take(each, now, effects, served);
    }
    const bool ticks = now >= tick_due_;
    if (ticks) {
      book_->tick(now, effects);
      tick_due_ = now + tick_interval;
    }
    const bool is_due = is_hinted_ ? now >= read_due_ : now >= read_at_ + read_interval;
    const bool reads = is_due && !is_reading_ && !is_out_;
    if (reads) {
      is_hinted_ = false;
      is_reading_ = true;
      read_at_ = now;
    }
    const auto revision = book_->revision();
    lock.unlock();
    if (reads) {
      ask_for_view(revision);
    }
    if (!is_out_) {
      for (const auto& each : served) {
        serve(each, true);
      }
      std::shared_ptr<const cluster_map> map;
      if (effects.map_changed) {
        const std::lock_guard again{mutex_};
        map = book_->map();
      }
      carry_out(effects, map);
      if (ticks) {
        for (const auto& each : std::exchange(unserved_, {})) {
          serve(each, false);
        }
        home_.routes().retry_parked();
        probe(now);
        look_at_disk(now);
      }
    }
    lock.lock();
    is_working_ = false;
    changed_.notify_all();  // who waits until the silo has drained
  }
}

void cluster_node::time_changed() {
  if (side_ != nullptr) {
    side_->time_changed();
  }
  const std::lock_guard lock{mutex_};
  ++time_changes_;
  changed_.notify_all();
}

std::optional<std::uint64_t> cluster_node::rounds_if_idle() {
  const auto stored = side_ != nullptr ? side_->rounds_if_idle() : std::optional<std::uint64_t>{0};
  if (!stored || requests_.busy() || looks_.busy()) {
    return std::nullopt;
  }
  const std::lock_guard lock{mutex_};
  const bool has_work = is_working_ || !inputs_.empty() || time_changes_ != time_changes_seen_ ||
                        (is_hinted_ && !is_reading_ && !is_store_lost_ && !is_out_);
  return has_work && !stopping_ ? std::nullopt : std::optional{*stored + rounds_};
}

void cluster_node::take(input& one, steady_time now, cluster_effects& effects,
                        std::vector<led>& served) {
  if (const auto* told = std::get_if<led>(&one)) {
    served.push_back(*told);
    if (told->epoch != 0) {
      book_->leads(told->partition, told->epoch, now, effects);
    } else {
      book_->lost(told->partition, now, effects);
    }
  } else if (const auto* heard = std::get_if<followed>(&one)) {
    book_->follows(heard->partition, heard->epoch, heard->silo, now, effects);
  } else if (const auto* record = std::get_if<stored_partition>(&one)) {
    book_->learn(*record, now, effects);
    std::erase_if(losses_, [&](const auto& each) {
      return each.first == record->partition && each.second.number <= record->data_loss_no;
    });
  } else if (const auto* seen = std::get_if<result<coordination_view>>(&one)) {
    is_reading_ = false;
    take(*seen, now, effects);
  } else if (const auto* news = std::get_if<link_news>(&one)) {
    note(*news, now);
  } else {
    const auto& [silo, incarnation, is_dead] = std::get<probed>(one);
    const auto found = suspects_.find(silo);
    if (is_dead) {
      book_->died(silo, incarnation, now, effects);
      proven_.push_back(std::get<probed>(one));
    }
    if (found != suspects_.end() && found->second.row.incarnation == incarnation) {
      found->second.is_asked = false;
      found->second.due = now + probe_again_after;
      if (is_dead) {
        suspects_.erase(found);
      }
    }
  }
}

void cluster_node::take(const result<coordination_view>& seen, steady_time now,
                        cluster_effects& effects) {
  if (!seen) {
    if (!is_store_lost_.exchange(true)) {
      const bool is_newer = seen.error().code() == errc::failed_precondition;
      effects.warnings.push_back(std::string{"the coordination store cannot be "} +
                                 (is_newer ? "read" : "reached") +
                                 "; the cluster goes on as it is why=" + seen.error().to_string());
    }
    is_hinted_ = true;
    read_due_ = now + read_again_after;
    return;
  }
  if (is_store_lost_.exchange(false)) {
    effects.warnings.push_back("the coordination store is reached again");
  }
  book_->read(*seen, now, effects);
}

// In the order in which storage has said so.
void cluster_node::serve(const led& one, bool is_first_try) {
  if (one.epoch == 0) {
    std::erase_if(unserved_, [&](const led& each) { return each.partition == one.partition; });
    home_.discard(one.partition);
  } else if (auto taken = home_.take_over(one.partition, one.epoch); !taken) {
    if (is_first_try) {
      home_.warn("a partition cannot be served partition=" +
                 std::to_string(static_cast<unsigned>(one.partition)) +
                 " why=" + taken.error().to_string());
    }
    unserved_.push_back(one);
  }
}

void cluster_node::ask_for_view(std::uint64_t changed_after) {
  const bool asked = looks_.submit([this, changed_after] {
    tell(store_->read(changed_after, time_.steady() + store_patience));
  });
  if (!asked) {
    tell(result<coordination_view>{error{errc::overloaded, "too many requests to the store"}});
  }
}

void cluster_node::carry_out(const cluster_effects& effects,
                             const std::shared_ptr<const cluster_map>& map) {
  if (effects.expelled) {
    expel();
    return;
  }
  see_links(effects);
  if (side_ != nullptr) {
    tell_storage(effects);
  }
  if (map) {
    home_.routes().set_map(map);
  }
  for (const auto partition : effects.stranded) {
    home_.discard(partition);  // its commits would wait for copies that are going, too
  }
  for (const auto& each : std::exchange(proven_, {})) {
    side_->silo_died(each.silo, each.incarnation, true);
    home_.log("silo is proven dead silo=" + each.silo +
              " incarnation=" + std::to_string(each.incarnation));
    const auto* now = book_->find(each.silo);
    if (now == nullptr || now->incarnation == each.incarnation) {
      side_->silo_died(each.silo, each.incarnation, false);
    }
  }
  for (const auto& line : effects.warnings) {
    home_.warn(line);
  }
  for (const auto& line : effects.log) {
    home_.log(line);
  }
}

void cluster_node::see_links(const cluster_effects& effects) {
  const auto now = time_.steady();
  for (const auto& row : effects.gone) {
    const bool is_back = std::any_of(effects.arrived.begin(), effects.arrived.end(),
                                     [&](const silo_row& each) { return each.name == row.name; });
    if (!is_back && !is_only_gateway(row.roles)) {
      links_->close(row.name);
    }
    if (side_ != nullptr && row.roles.state && row.name != own_.name) {
      suspects_[row.name] = {row, row.state != silo_state::draining, false, now,
                             now + suspect_for_max};
    }
  }
  for (const auto& row : effects.arrived) {
    open_link(row);
  }
}

void cluster_node::tell_storage(const cluster_effects& effects) {
  for (const auto& each : effects.placed_copies) {
    side_->host(each.partition, each.here);
  }
  for (const auto& each : effects.learnt) {
    const partition_record& plain = each;
    side_->learn(each.partition, plain);
  }
  for (const auto& row : effects.gone) {
    if (const auto* now = book_->find(row.name); now == nullptr) {  // else its copies are back
      side_->silo_died(row.name, row.incarnation, false);
    }
  }
  for (const auto partition : effects.founded) {
    side_->found(partition);
  }
  for (const auto& each : effects.hand_overs) {
    side_->hand_over(each.partition, each.to);
  }
  for (const auto partition : effects.hopeless) {
    side_->abdicate(partition);
  }
  for (const auto& each : effects.moves) {
    side_->move_off(each.partition, each.to);
  }
}

// --- who may be dead -----------------------------------------------------------------------------

// A link that is down is a reason to look, and no more: the other end may be fine.
void cluster_node::note(const link_news& news, steady_time now) {
  const auto found = suspects_.find(news.silo);
  if (news.incarnation != 0) {
    if (found != suspects_.end() && found->second.row.incarnation == news.incarnation) {
      suspects_.erase(found);
    }
    return;
  }
  const auto* row = book_->find(news.silo);
  if (side_ != nullptr && row != nullptr && row->roles.state && found == suspects_.end()) {
    suspects_[news.silo] = {*row, false, false, now, steady_time::max()};
  }
}

void cluster_node::probe(steady_time now) {
  std::erase_if(suspects_, [&](const auto& each) {
    return !each.second.is_asked && each.second.until <= now;
  });
  for (auto& [name, each] : suspects_) {
    if (each.is_asked || now < each.due) {
      continue;
    }
    each.is_asked = looks_.submit([this, row = each.row, may_kill = each.may_be_killed] {
      const auto deadline = time_.steady() + probe_patience;
      bool is_dead = false;
      if (may_kill) {
        is_dead = store_->ensure_dead(row, deadline).has_value();
      } else {
        const auto ended = store_->has_ended(row, deadline);
        is_dead = ended && *ended;
      }
      tell(probed{row.name, row.incarnation, is_dead});
    });
  }
}

// One that is short for a moment is not full, and one with some room for a moment still is: either
// moves what the silo leads. Whom nobody could relieve goes on; who has been relieved waits for
// room.
void cluster_node::look_at_disk(steady_time now) {
  if (side_ == nullptr || is_store_lost_ || now < disk_due_) {
    return;
  }
  if (disk_due_ == steady_time{}) {
    disk_changed_at_ = now;
  }
  disk_due_ = now + disk_interval;
  auto refusal = rows_.refusal();
  if (!is_full_ && !book_->has_others()) {
    refusal.reset();
  }
  if (refusal.has_value() == is_full_) {
    disk_changed_at_ = now;
  } else if (now >= disk_changed_at_ + (refusal ? full_for : room_for)) {
    disk_changed_at_ = now;
    static_cast<void>(looks_.submit([this, refusal] { note_disk(refusal); }));
  }
}

// The others go on without this silo. It answers nothing any more, and commits nothing: nobody
// acknowledges what it sends.
void cluster_node::expel() {
  {
    const std::lock_guard lock{mutex_};
    if (std::exchange(is_out_, true)) {
      return;
    }
  }
  home_.expelled();
  if (side_ != nullptr) {
    side_->leave();
  }
  links_->stop();
  const error why{errc::fenced, "silo '" + own_.name + "' is not in the cluster any more (" +
                                    std::to_string(own_.incarnation) +
                                    "): it was not heard of for too long, or was taken out; it "
                                    "has to be started again"};
  home_.warn(why.text());
  if (options_.on_expelled) {
    options_.on_expelled(why);
  }
}

}  // namespace millrace::runtime::detail
