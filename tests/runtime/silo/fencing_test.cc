// SPDX-License-Identifier: MIT
// What a silo answers that shares its partitions with others: by a lease, after a commit, or not.
#include <future>

#include "fixture.h"
#include "leased_storage.h"
#include "silo/silo_access.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto only = partition_id{0};

template <class T>
errc code_of(const result<T>& answer) {
  return answer ? errc{} : answer.error().code();
}

// Its one partition is led in epoch 1, and the lease lasts for a second.
class leased_silo : public test_silo {
public:
  /// `peers`: by which it, `a`, reaches others; null: there are none.
  explicit leased_silo(runtime::detail::peer_network* peers = nullptr)
      : leased_silo(new leased_storage, peers) {
    set_lease(1, 1s);
    REQUIRE(core().take_over(only, 1));
    settle();
  }

  [[nodiscard]] leased_storage& stored() noexcept { return stored_; }
  [[nodiscard]] runtime::detail::silo_core& core() {
    return runtime::detail::silo_access::core(here());
  }
  void set_lease(std::uint64_t epoch, duration left) {
    stored_.lease_of(only).set(epoch, clock().steady() + left);
  }
  void end_lease() { set_lease(stored_.lease_of(only).epoch(), duration{}); }

  /// The partition is lost, and is back in the next epoch before any turn runs.
  void lose_and_regain() {
    const auto next = stored_.lease_of(only).epoch() + 2;  // somebody else had one
    set_lease(0, duration{});
    core().discard(only);
    set_lease(next, 1h);
    REQUIRE(core().take_over(only, next));
  }
  /// Begins a call and leaves it in the mailbox. Requires: it runs by hand.
  template <class Results>
  void put(runtime::call<Results> one, errc& code) {
    code = errc::cancelled;
    here().call_then<Results>(std::move(one),
                              [&code](const auto& answer) { code = code_of(answer); });
  }
  [[nodiscard]] std::int64_t total(const std::string& key) {
    const auto answer = call(ref<Counter>(key).get());
    return answer ? answer->total() : -1;
  }

private:
  leased_silo(leased_storage* rows, runtime::detail::peer_network* peers)
      : test_silo(
            [peers](silo& here) {
              here.add<counter>();
              auto& core = runtime::detail::silo_access::core(here);
              core.share_partitions();
              if (peers != nullptr) {
                core.routes().join("a", 1, *peers);
              }
            },
            by_hand(), std::unique_ptr<storage>{rows}),
        stored_(*rows) {}
  static silo_options by_hand() {
    silo_options options;
    options.by_hand = true;
    return options;
  }
  leased_storage& stored_;
};

// The rows of the partition, to be put back as if another silo had changed them meanwhile. Neither
// is seen by `settle`.
row_ops rows_of(storage& from) {
  row_ops all;
  REQUIRE(from.scan(only, {}, {}, 1000, [&all](const row& one) {
    all.put(one.key, one.value);
    return true;
  }));
  return all;
}

void put_back(storage& to, const row_ops& rows) {
  struct request final : commit_request {
    explicit request(std::promise<bool>& told) : is_done(told) {}
    void done(result<void> outcome) override {
      is_done.set_value(outcome.has_value());
      delete this;
    }
    std::promise<bool>& is_done;
  };
  std::promise<bool> is_done;
  auto made = std::make_unique<request>(is_done);
  made->partition = only;
  made->ops = rows;
  to.commit(std::move(made));
  CHECK(is_done.get_future().get());
}

// --- answers -------------------------------------------------------------------------------------

TEST_CASE("under a lease what is read is answered at once, and nothing is committed") {
  leased_silo silo;
  silo.rows().hold_commits();
  auto read = silo.begin(ref<Counter>("a").get());
  REQUIRE(read.answered());
  CHECK(read.answer());
  CHECK(silo.rows().commits() == 0);
}

TEST_CASE("without a lease answers wait for a commit of nothing, one for all that wait by then") {
  leased_silo silo;
  REQUIRE(silo.total("a") == 0);
  silo.end_lease();
  silo.rows().hold_commits();
  auto first = silo.begin(ref<Counter>("a").get());
  auto second = silo.begin(ref<Counter>("a").get());
  auto third = silo.begin(ref<Counter>("a").get());
  CHECK_FALSE(first.answered());
  CHECK_FALSE(third.answered());
  CHECK(silo.rows().commits() == 1);
  silo.rows().release_commits();
  silo.settle();
  CHECK(first.answer());
  CHECK(second.answer());
  CHECK(third.answer());
  const auto commits = silo.stored().commits();
  REQUIRE(commits.size() == 2);  // the second began after the second and the third had come
  for (const auto& each : commits) {
    CHECK(each.is_empty);
    CHECK(each.epoch == 1);
  }
}

TEST_CASE("a lease lasts until its last instant, and not longer") {
  leased_silo silo;
  REQUIRE(silo.total("a") == 0);
  silo.clock().move(1s - 1ns);
  REQUIRE(silo.total("a") == 0);
  CHECK(silo.rows().commits() == 0);
  silo.clock().move(1ns);
  REQUIRE(silo.total("a") == 0);
  CHECK(silo.rows().commits() == 1);
}

TEST_CASE("what has changed something waits for its own commit only") {
  leased_silo silo;
  silo.end_lease();
  REQUIRE(silo.call(ref<Counter>("a").add(5)));
  REQUIRE(silo.stored().commits().size() == 1);
  CHECK_FALSE(silo.stored().commits()[0].is_empty);
  CHECK(silo.stored().commits()[0].epoch == 1);
}

// Goal: that a commit ends well says nothing of the time after it began.
TEST_CASE("a read that comes while a commit is under way waits for another one") {
  leased_silo silo;
  silo.end_lease();
  silo.rows().hold_commits();
  auto adds = silo.begin(ref<Counter>("a").add(5));
  auto read = silo.begin(ref<Counter>("a").get());
  CHECK(silo.rows().commits() == 1);
  silo.rows().release_commits();
  silo.settle();
  CHECK(adds.answer());
  CHECK(read.answer()->total() == 5);
  REQUIRE(silo.stored().commits().size() == 2);
  CHECK(silo.stored().commits()[1].is_empty);
}

TEST_CASE("under a lease a read that comes while a commit is under way needs no other") {
  leased_silo silo;
  silo.rows().hold_commits();
  auto adds = silo.begin(ref<Counter>("a").add(5));
  auto read = silo.begin(ref<Counter>("a").get());
  CHECK_FALSE(read.answered());
  silo.end_lease();
  silo.rows().release_commits();
  silo.settle();
  CHECK(read.answer()->total() == 5);
  CHECK(silo.stored().commits().size() == 1);
}

TEST_CASE("calls of others and sends wait as answers do") {
  leased_silo silo;
  REQUIRE(silo.total("b") == 0);
  silo.end_lease();
  silo.rows().hold_commits();
  auto relays = silo.begin(ref<Counter>("a").relay("b", 5));
  CHECK(silo.rows().commits() == 1);  // of nothing: the call has not left
  silo.rows().release_commits();
  silo.settle();
  CHECK(relays.answer()->total() == 5);

  silo.rows().fail_commits({errc::not_primary, "planned"}, 1, 1);  // let the sender's change pass
  silo.tell(ref<Counter>("a").post_to("b", 10));
  CHECK(silo.total("b") == 5);
  CHECK(silo.total("a") == -10);  // loaded: it is sent again
  CHECK(silo.total("b") == 15);
}

// --- the end of an epoch -------------------------------------------------------------------------

TEST_CASE("a silo that shares its partitions holds none until it is told that it leads them") {
  leased_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").add(5)));
  silo.restart();
  CHECK(code_of(silo.call(ref<Counter>("a").get())) == errc::not_primary);
  silo.set_lease(2, 1h);
  REQUIRE(silo.core().take_over(only, 2));
  CHECK(silo.total("a") == 5);
}

// Goal: nobody is told what is only in memory once another silo may have changed it.
// Method: rows are as another silo left them; in memory they are not.
TEST_CASE("an activation of an epoch that is over answers nothing and commits nothing") {
  leased_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").add(5)));
  const auto theirs = rows_of(silo.stored().rows());
  REQUIRE(silo.call(ref<Counter>("a").add(2)));
  put_back(silo.stored().rows(), theirs);
  silo.set_lease(3, 1h);  // nobody has told the silo yet
  CHECK(code_of(silo.call(ref<Counter>("a").get())) == errc::not_primary);
  CHECK(code_of(silo.call(ref<Counter>("a").add(10))) == errc::not_primary);
  CHECK(rows_of(silo.stored().rows()).encoded() == theirs.encoded());
  CHECK(silo.warnings().empty());
}

TEST_CASE("a partition that is lost and is back at once is served from its rows") {
  leased_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").add(5)));
  const auto theirs = rows_of(silo.stored().rows());
  REQUIRE(silo.call(ref<Counter>("a").add(2)));
  put_back(silo.stored().rows(), theirs);
  errc reads{};
  errc adds{};
  errc later{};
  silo.put(ref<Counter>("a").get(), reads);
  silo.put(ref<Counter>("a").add(10), adds);
  silo.lose_and_regain();
  silo.put(ref<Counter>("a").add(100), later);
  silo.settle();
  CHECK(reads == errc::not_primary);
  CHECK(adds == errc::not_primary);
  CHECK(later == errc{});
  CHECK(silo.total("a") == 105);
  CHECK(silo.stored().commits().back().epoch == 3);
}

TEST_CASE("what waits behind the commit of an epoch that is over is not written in the next") {
  leased_silo silo;
  silo.stored().refuse_none();
  silo.rows().hold_commits();
  auto adds = silo.begin(ref<Counter>("a").add(5));
  auto fills = silo.begin(ref<Counter>("a").fill(17, 1U << 20U));  // too much to share a commit
  CHECK_FALSE(fills.answered());
  silo.lose_and_regain();
  silo.settle();
  silo.rows().release_commits();
  silo.settle();
  CHECK(adds.answer());
  CHECK(code_of(fills.answer()) == errc::not_primary);
  CHECK(silo.stored().commits().size() == 1);
  CHECK(silo.total("a") == 5);
}

TEST_CASE("a new epoch ends what was made under the one before, also without a loss between") {
  leased_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").add(5)));
  silo.set_lease(2, 1h);
  REQUIRE(silo.core().take_over(only, 2));
  silo.settle();
  CHECK(silo.here().stats().activations == 0);
  CHECK(silo.total("a") == 5);
}

// Goal: reminders are as the rows say, whatever an activation of an earlier epoch has set.
TEST_CASE("a reminder that was put off in vain fires when it was due") {
  leased_silo silo;
  REQUIRE(silo.call(ref<Counter>("r").remind_in(10'000, 0)));
  errc put_off{};
  silo.put(ref<Counter>("r").remind_in(3'600'000, 0), put_off);
  silo.lose_and_regain();
  silo.settle();
  CHECK(put_off == errc::not_primary);
  silo.advance(20s);
  CHECK(silo.total("r") == 1000);
}

TEST_CASE(
    "a reminder that was put off in vain while its partition was lost fires when it was due") {
  leased_silo silo;
  REQUIRE(silo.call(ref<Counter>("r").remind_in(10'000, 0)));
  errc put_off{};
  silo.put(ref<Counter>("r").remind_in(3'600'000, 0), put_off);
  silo.set_lease(0, duration{});
  silo.core().discard(only);
  silo.settle();  // before it hears of that, and after the queue has
  CHECK(put_off == errc::not_primary);
  silo.set_lease(3, 1h);
  REQUIRE(silo.core().take_over(only, 3));
  silo.advance(20s);
  CHECK(silo.total("r") == 1000);
}

TEST_CASE("what the queue of reminders is told counts by its epoch") {
  leased_silo silo;
  silo.set_lease(3, 1h);
  REQUIRE(silo.core().take_over(only, 3));
  REQUIRE(silo.call(ref<Counter>("r").remind_in(10'000, 0)));
  auto& queue = silo.core().reminders();
  const auto& interface = *silo.here().find_type("counter");
  const std::string key = "r";
  const auto owner = [&](std::uint64_t epoch) {
    return runtime::detail::reminder_owner{only, epoch, hash_of("counter", key), interface, key};
  };
  const auto later = silo.clock().wall() + 1h;
  queue.cancel(owner(1), "nag");
  queue.set(owner(1), "nag", later);
  queue.add(owner(3), "nag", later);  // what was read before it was set
  silo.advance(20s);
  CHECK(silo.total("r") == 1000);
}

// --- sends ---------------------------------------------------------------------------------------

// Where all that is sent to others ends.
struct kept_frames final : runtime::detail::peer_network {
  runtime::detail::peer_send send(std::string_view, frame_kind kind,
                                  std::string_view body) override {
    auto frame = decode_frame(static_cast<std::uint16_t>(kind), body);
    REQUIRE(frame);
    calls.push_back(std::get<call_frame>(*std::move(frame)));
    return runtime::detail::peer_send::queued;
  }
  void give_up(std::string_view) override {}
  std::vector<call_frame> calls;
};

// Goal: a receiver can tell whose copy of a send it has got.
TEST_CASE("a send says under which epoch it was sent, and whether one before may have been") {
  kept_frames sent;
  leased_silo silo{&sent};
  const auto lives_on = [&](const std::string& name) {
    silo.core().routes().set_map(std::make_shared<cluster_map>(
        std::vector<cluster_member>{{"a", 1, {}, {"counter"}}, {"b", 2, {}, {"counter"}}},
        std::vector<std::string>{name}));
  };
  lives_on("a");
  silo.rows().hold_commits();
  auto posts = silo.begin(ref<Counter>("s").post_to("x", 5));
  lives_on("b");  // so that it goes to another silo
  silo.rows().release_commits();
  silo.settle();
  CHECK(posts.answer());
  silo.lose_and_regain();
  silo.settle();
  REQUIRE(sent.calls.size() == 2);
  const auto& first = *sent.calls[0].delivery;
  const auto& second = *sent.calls[1].delivery;
  CHECK(first.partition == only);
  CHECK(first.epoch == 1);
  CHECK_FALSE(first.again);
  CHECK(second.number == first.number);
  CHECK(second.epoch == 3);
  CHECK(second.again);
}

// --- commits that fail ---------------------------------------------------------------------------

TEST_CASE("a change that was refused with nothing written has not happened") {
  leased_silo silo;
  REQUIRE(silo.total("a") == 0);
  silo.rows().hold_commits();
  auto adds = silo.begin(ref<Counter>("a").add(5));
  auto read = silo.begin(ref<Counter>("a").get());
  silo.rows().fail_held({errc::not_primary, "planned"});
  silo.settle();
  CHECK(code_of(adds.answer()) == errc::not_primary);
  CHECK(code_of(read.answer()) == errc::not_primary);
  CHECK(silo.total("a") == 0);
}

TEST_CASE("a commit of nothing whose outcome is not known has done nothing") {
  for (const auto why : {errc::outcome_unknown, errc::not_primary}) {
    CAPTURE(to_string(why));
    leased_silo silo;
    silo.end_lease();
    silo.rows().fail_commits({why, "planned"}, 2);
    CHECK(code_of(silo.call(ref<Counter>("a").get())) == errc::not_primary);
    CHECK(code_of(silo.call(ref<Counter>("a").raise())) == errc::not_primary);  // may change
    CHECK(silo.warnings().empty());
  }
}

TEST_CASE("too few copies are told as that, and the next call begins anew") {
  leased_silo silo;
  REQUIRE(silo.total("a") == 0);
  silo.end_lease();
  silo.rows().fail_commits({errc::not_enough_replicas, "planned"}, 2);
  CHECK(code_of(silo.call(ref<Counter>("a").get())) == errc::not_enough_replicas);
  CHECK(silo.here().stats().activations == 0);
  CHECK(code_of(silo.call(ref<Counter>("a").add(5))) == errc::not_enough_replicas);
  CHECK(silo.here().stats().activations == 0);
  CHECK(silo.total("a") == 0);
  CHECK(silo.warnings().empty());
}

}  // namespace
}  // namespace millrace::testing
