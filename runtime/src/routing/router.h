// SPDX-License-Identifier: MIT
// Router: brings calls to the silo of their actor, and answers back.
//
// Within a silo a call is one object that goes there and comes back, and nothing here is used. A
// call for an actor of another silo stays with its caller's silo: a copy goes out under a number,
// and the answer finds it by that number. There the copy is a call like any other, whose answer
// leaves instead of going to an activation.
//
// A call is sent again only if it has not begun, as far as is known for certain, or if it may be
// repeated: it only reads, has an idempotency key, or is a delivery of a stored send. What can go
// nowhere now (its partition has no primary, who is asked is not it, the link is down) is parked
// and tried again with each newer map and every now and then, until its deadline. What wants no
// answer is sent on by the silo that it came to in vain, a few times; it is lost where a link is
// full.
//
// Chains: where a call comes from matters for call cycles, so it takes the names of the calls above
// it along. The first of them that this silo knows (it made it, or serves it) is put in their
// place, with everything above; the others are stand-ins that are only looked at.
//
// Chains of different silos that wait for each other are found by probes (wait_probe.h), which go
// the way of the calls. They are sent at most once: who is still kept out searches again.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "activation/envelope.h"
#include "millrace/runtime/clock.h"
#include "routing/call_book.h"
#include "routing/call_frame.h"
#include "routing/cluster_map.h"
#include "routing/current_map.h"

namespace millrace::runtime::detail {

struct actor_type;

/// What became of a message for another silo.
enum class peer_send : std::uint8_t {
  queued,       ///< It arrives, or `router::lost` is called.
  overloaded,   ///< There is no room for it now.
  unavailable,  ///< The silo is not connected.
  too_large,    ///< It is over the limit of a message.
};

/// How messages get to other silos.
///
/// Threading: any thread; must not call the router from within. It is silent once the silo has
/// stopped, and does not carry a message twice.
class peer_network {
public:
  peer_network() = default;
  peer_network(const peer_network&) = delete;
  peer_network& operator=(const peer_network&) = delete;
  virtual ~peer_network() = default;
  [[nodiscard]] virtual peer_send send(std::string_view silo, frame_kind kind,
                                       std::string_view body) = 0;
  /// Ends the session with a silo, since an answer for it, or perhaps one of it, is lost: both are
  /// told so by `router::lost`, and a new one may begin.
  virtual void give_up(std::string_view silo) = 0;
};

/// What a router asks of its silo. Each takes over one reference of an envelope.
class routed_home {
public:
  routed_home() = default;
  routed_home(const routed_home&) = delete;
  routed_home& operator=(const routed_home&) = delete;
  virtual ~routed_home() = default;
  [[nodiscard]] virtual const clock& time() const noexcept = 0;
  /// Where spans go.
  [[nodiscard]] virtual const trace_options& trace() const noexcept = 0;
  [[nodiscard]] virtual const actor_type* find_type(std::string_view type) const = 0;
  /// Why a call that has come from elsewhere cannot be taken now, if so: the disk is behind.
  /// Requires: the type has the method.
  [[nodiscard]] virtual std::optional<error> overload(const actor_type& type,
                                                      std::uint16_t method) = 0;
  /// Brings it to its actor, which lives here.
  virtual void deliver_here(envelope* one) = 0;
  /// Tells the activation that serves a call that its caller no longer waits.
  virtual void cancel(envelope& call) = 0;
  /// Brings a probe to the activation that serves a call.
  virtual void probe(envelope& call, wait_probe what) = 0;
  /// Answers a call that has not been served here.
  virtual void answer(envelope* one, error why) = 0;
  /// The same with what another silo has answered, and counted.
  virtual void bring_back(envelope* one, result<any_message> outcome) = 0;
};

/// Threading: any thread, but for `join`.
/// Cost: of a silo that has not joined, a load a call; else a look into the map, and for what
/// leaves locks and the copies of the message.
class router {
public:
  explicit router(routed_home& home) : home_(home) {}
  router(const router&) = delete;
  router& operator=(const router&) = delete;
  ~router();

  /// From now on there are others. `peers` outlives the silo. Requires: the silo has not started.
  void join(std::string self, std::uint64_t incarnation, peer_network& peers);
  [[nodiscard]] bool joined() const noexcept { return peers_ != nullptr; }

  /// The silo stops: calls of others are refused from now on, answers go on. Nothing is parked.
  void leave();
  /// Drops what it holds, when nothing runs any more.
  void clear();

  /// Who is in, and who has what. What is on its way stays so; what is parked is tried again.
  /// Requires: a primary, or none, for each partition of the storage.
  void set_map(std::shared_ptr<const cluster_map> map);

  /// What stands for a type that this silo does not host in calls to it: its name, and no methods.
  /// Null unless there are others. Cost: a lock.
  [[nodiscard]] const interface_info* named_only(const std::string& type);

  /// Tries again what is parked, and answers what is too late. To be called several times a second.
  void retry_parked();

  /// Whether a call to that actor goes to another silo now.
  [[nodiscard]] bool leaves(const interface_info& interface, std::string_view key) const;

  /// The silos on which an actor of a type of this silo may live now. Requires: joined.
  /// Errors: `unavailable` when there is none.
  [[nodiscard]] result<std::vector<std::string>> hosts_of(const interface_info& interface,
                                                          std::string_view key) const {
    return map_.get().hosts_of(self_, interface, key);
  }

  /// Takes over what is for another silo, or for none, and its reference; false for what is not.
  [[nodiscard]] bool take(envelope* one) { return joined() && take_joined(one); }

  /// Takes over a message of this silo's that was refused because its actor does not live here, and
  /// that has not begun; false for what is not. Parameters have to be in it.
  [[nodiscard]] bool take_back(envelope* one, const error& why);

  /// The caller of a call no longer waits: false when the call has not left for another silo.
  [[nodiscard]] bool cancel(const envelope& call);

  /// A probe follows a call: false when the call has not left for another silo.
  [[nodiscard]] bool probe(const envelope& call, const wait_probe& what);

  /// See `activation_home`. Requires: joined.
  [[nodiscard]] wait_mark mark_of(envelope& one);

  /// A message of a silo has come. What cannot be is answered, or dropped; gives why, if so.
  result<void> received(std::string_view silo, std::uint64_t incarnation, std::uint16_t kind,
                        std::string_view body);

  /// No answers come from a silo any more to what was sent to it so far.
  void lost(std::string_view silo);

  /// A silo cannot be reached now, or can be again. While it cannot, no answer is waited for of an
  /// actor that lives elsewhere by now: its call is as good as lost.
  void reaches(std::string_view silo, bool is_reached);

  /// Calls that wait for an answer of another silo.
  [[nodiscard]] std::size_t open_calls() const { return calls_.open_count(); }
  /// Messages that wait for a silo that takes them.
  [[nodiscard]] std::size_t parked() const;

private:
  class answer_to_peer;
  struct parked_message {
    envelope* one;  // with a reference
    unsigned repeats = 0;
  };

  bool take_joined(envelope* one);
  template <class Is>
  void give_up(Is is_lost);
  void give_up_moved();
  // Where it goes. Who hosts a type of which only the name is known here knows the rest.
  [[nodiscard]] result<std::string_view> host_of(const cluster_map& now, const envelope& one);
  // Where a call goes that came to the wrong silo; empty: nowhere.
  [[nodiscard]] std::string next_host(const cluster_map& now, const open_call& asked,
                                      const answer_frame& frame) const;
  void send_away(envelope* one, std::string silo, sent_before before);
  // Sends a frame about a call the way that it went: false when it has not left for another silo.
  template <class Frame>
  bool send_behind(const envelope& call, Frame frame_of);
  void end_span(const open_call& ended, const error* failure);
  void go_on(envelope* one, unsigned repeats);
  void go_to(const result<std::string_view>& host, envelope* one, unsigned repeats);
  void park(envelope* one, unsigned repeats);
  [[nodiscard]] bool is_of_peer(const envelope& one) const;
  [[nodiscard]] call_frame frame_of(const envelope& one) const;
  peer_send tell(std::string_view silo, const answer_frame& answer);
  void receive(std::string_view silo, std::uint64_t incarnation, call_frame&& frame);
  void receive(std::string_view silo, answer_frame&& frame);
  void receive(std::uint64_t incarnation, const cancel_frame& frame);
  void receive(std::uint64_t incarnation, probe_frame&& frame);
  // Says why to who waits for an answer, and where the actor lives; what nobody waits for goes
  // there.
  void refuse(std::string_view silo, call_frame& frame, error why, std::string_view lives_on = {});
  void send_answer(const std::string& silo, const envelope& call, result<any_message> outcome);
  [[nodiscard]] envelope* parent_of(const std::vector<chain_link>& chain);
  [[nodiscard]] const interface_info& stand_in(const std::string& type);
  routed_home& home_;
  peer_network* peers_ = nullptr;
  std::string self_;
  std::uint64_t incarnation_ = 0;
  duration time_of_boot_{};  // by the time of day when it joined: marks are told by one offset
  std::atomic<bool> left_{false};

  current_map map_;
  call_book calls_;
  mutable std::mutex mutex_;
  std::vector<parked_message> parked_;
  std::int64_t parked_bytes_ = 0;
  std::set<std::string, std::less<>> unreached_;  // silos
  // Of types that this silo does not host, by name.
  std::map<std::string, interface_info, std::less<>> stand_ins_;
  std::map<std::string, steady_time, std::less<>> sought_;  // which nobody hosts, since when
};

}  // namespace millrace::runtime::detail
