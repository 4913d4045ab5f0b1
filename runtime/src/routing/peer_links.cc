// SPDX-License-Identifier: MIT
#include "routing/peer_links.h"

#include <optional>
#include <utility>

#include "millrace/runtime/call_batch.h"

namespace millrace::runtime::detail {

namespace {

// Anybody can come and be refused, as often as he likes.
constexpr duration refusal_interval = std::chrono::seconds{1};
// A link that stays down is told of again, sooner when it does for another reason.
constexpr duration outage_interval = std::chrono::minutes{1};
constexpr duration reason_interval = std::chrono::seconds{1};

std::string whole_seconds(duration length) {
  return std::to_string(length / std::chrono::seconds{1});
}

// What the router calls it. No silo has a name with '@'.
std::string name_of(const peer_link& link) {
  const auto& peer = link.peer();
  return (peer.role == link_role::silo ? "" : "@") + peer.name;
}

}  // namespace

peer_links::peer_links(link_options options, router& routes, const clock& time, rng random,
                       std::function<void(const std::string&)> warn, peer_watch* watch)
    : routes_(routes),
      time_(time),
      warn_(std::move(warn)),
      watch_(watch),
      version_max_(options.self.version_max),
      hub_(std::move(options), *this, time, random) {}

result<void> peer_links::open(const std::string& silo, const std::string& host,
                              std::uint16_t port) {
  auto opened = hub_.open({link_role::silo, silo}, host, port);
  return opened ? result<void>{} : std::move(opened).error();
}

peer_send peer_links::send(std::string_view silo, frame_kind kind, std::string_view body) {
  return send(silo, link_lane::call, kind, body);
}

peer_send peer_links::send(std::string_view silo, link_lane lane, frame_kind kind,
                           std::string_view body) {
  std::shared_ptr<peer_link> link;
  {
    const std::lock_guard lock{mutex_};
    if (const auto found = peers_.find(silo); found != peers_.end()) {
      link = found->second.link;
    }
  }
  if (link == nullptr) {
    return peer_send::unavailable;
  }
  switch (link->send(lane, static_cast<std::uint16_t>(kind), body)) {
    case link_send::queued:
      return peer_send::queued;
    case link_send::overloaded:
      return peer_send::overloaded;
    case link_send::too_large:
      return peer_send::too_large;
    case link_send::unavailable:
      break;
  }
  return peer_send::unavailable;
}

// What waits for answers of that silo is told with the end of the session.
void peer_links::give_up(std::string_view silo) {
  std::shared_ptr<peer_link> link;
  {
    const std::lock_guard lock{mutex_};
    if (const auto found = peers_.find(silo); found != peers_.end()) {
      link = std::move(found->second.link);
      peers_.erase(found);
    }
  }
  if (link != nullptr) {
    warn_("a session is ended, an answer could not be sent or read peer=" +
          link->peer().to_string());
    hub_.end_session(link->peer(), "an answer could not be sent or read");
  }
}

// Who has not been upgraded, in other words.
void peer_links::tell_version(peer_link& link) {
  if (const auto version = link.version(); version < version_max_) {
    warn_("a link speaks an older protocol than this build could peer=" + link.peer().to_string() +
          " version=" + std::to_string(version) + " newest=" + std::to_string(version_max_));
  }
}

void peer_links::close(const std::string& silo) {
  hub_.close({link_role::silo, silo});
  const std::lock_guard lock{mutex_};
  outages_.erase(silo);
}

void peer_links::link_up(const std::shared_ptr<peer_link>& link, std::uint64_t incarnation) {
  std::optional<outage> over;
  {
    const std::lock_guard lock{mutex_};
    peers_[name_of(*link)] = {link, incarnation};
    if (const auto found = outages_.find(name_of(*link)); found != outages_.end()) {
      over = found->second;
      outages_.erase(found);
    }
  }
  if (over) {
    warn_("a link is up again peer=" + link->peer().to_string() +
          " after_s=" + whole_seconds(time_.steady() - over->since) +
          " attempts=" + std::to_string(over->attempts));
  }
  tell_version(*link);
  if (watch_ != nullptr) {
    watch_->link_up(name_of(*link), incarnation);
  }
  routes_.reaches(name_of(*link), true);
  routes_.retry_parked();
}

// It tries on, and what was sent is sent again: nothing is lost yet.
void peer_links::link_down(const std::shared_ptr<peer_link>& link, std::string_view why) {
  const auto now = time_.steady();
  outage known;
  bool is_to_be_told = false;
  {
    const std::lock_guard lock{mutex_};
    auto& here = outages_[name_of(*link)];
    here.since = here.attempts == 0 ? now : here.since;
    const auto quiet_for = why == here.told_why ? outage_interval : reason_interval;
    is_to_be_told = here.attempts++ == 0 || now >= here.told_at + quiet_for;
    if (is_to_be_told) {
      here.told_at = now;
      here.told_why = why;
    }
    known = here;
  }
  if (is_to_be_told) {
    warn_("a link is down peer=" + link->peer().to_string() + " why=" + std::string{why} +
          (known.attempts > 1 ? " for_s=" + whole_seconds(now - known.since) +
                                    " attempts=" + std::to_string(known.attempts)
                              : ""));
  }
  if (watch_ != nullptr) {
    watch_->link_down(name_of(*link));
  }
  routes_.reaches(name_of(*link), false);
}

void peer_links::session_ended(const std::shared_ptr<peer_link>& link, std::uint64_t /*lost*/) {
  const auto name = name_of(*link);
  {
    const std::lock_guard lock{mutex_};
    peers_.erase(name);
  }
  if (watch_ != nullptr) {
    watch_->session_ended(name);
  }
  routes_.lost(name);
}

void peer_links::received(const std::shared_ptr<peer_link>& link,
                          std::span<link_message> messages) {
  const auto name = name_of(*link);
  std::uint64_t incarnation = 0;
  {
    const std::lock_guard lock{mutex_};
    const auto found = peers_.find(name);
    if (found == peers_.end()) {
      return;  // of a session that is given up, and is about to end
    }
    incarnation = found->second.incarnation;
  }
  call_batch together;  // whom they wake
  for (auto& each : messages) {
    if (each.kind == static_cast<std::uint16_t>(frame_kind::replica) && watch_ != nullptr) {
      watch_->replica_frame(
          name, each.assembled.empty() ? std::string{each.body()} : std::move(each.assembled));
      continue;
    }
    calls_received_.fetch_add(1, std::memory_order_relaxed);
    if (auto taken = routes_.received(name, incarnation, each.kind, each.body()); !taken) {
      warn_("a message was refused peer=" + link->peer().to_string() +
            " why=" + taken.error().to_string());
      return;  // the session is given up
    }
  }
}

void peer_links::refused(std::string_view from, std::string_view why) {
  const auto now = time_.steady();
  if (now < next_refusal_at_) {
    ++refusals_untold_;
    return;
  }
  next_refusal_at_ = now + refusal_interval;
  const auto untold = std::exchange(refusals_untold_, 0);
  warn_("a peer was refused address=" + std::string{from} + " why=" + std::string{why} +
        (untold > 0 ? " others_since=" + std::to_string(untold) : ""));
}

}  // namespace millrace::runtime::detail
