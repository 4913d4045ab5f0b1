// SPDX-License-Identifier: MIT
// A bank whose money cannot get lost: `bank DIRECTORY [ROUNDS]`. Kill it whenever you like and run
// it again; it goes on from where it was. `bank DIRECTORY ROUNDS NAME COORDINATION` is a silo of a
// cluster: with several of them the bank goes on while one is dead (README.md).
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <memory>
#include <string>
#include <thread>

#include "bank.capnp.actor.h"
#include "millrace/runtime/silo.h"

using namespace millrace::runtime;

class account final : public demo::account_base<demo::AccountState> {
  async<> open(open_params params) override {
    if (!state().getOpened()) {
      edit().setOpened(true);
      edit().setBalance(params.balance());
    }
    co_return;
  }

  async<transfer_results> transfer(transfer_params params) override {
    if (params.amount() <= 0 || params.amount() > state().getBalance()) {
      co_return error{errc::failed_precondition, "there is not so much in the account"};
    }
    edit().setBalance(state().getBalance() - params.amount());
    edit().setTransfers(state().getTransfers() + 1);
    // Stored together with the new balance, and delivered once, whatever happens meanwhile.
    send(ref<demo::Account>(std::string{params.to()}).deposit(params.amount()));
    co_return transfer_results{state().getBalance()};
  }

  async<> deposit(deposit_params params) override {
    edit().setBalance(state().getBalance() + params.amount());
    edit().setDeposits(state().getDeposits() + 1);
    co_return;
  }

  async<get_results> get() override {
    co_return get_results{state().getBalance(), state().getTransfers(), state().getDeposits()};
  }
};

namespace {

constexpr unsigned accounts = 100;
constexpr std::int64_t opening_balance = 1'000;
constexpr unsigned transfers_a_round = 200;

actor_ref<demo::Account> account_of(std::uint64_t number) {
  return ref<demo::Account>("account-" + std::to_string(number % accounts));
}

int failed(const error& why) {
  std::fprintf(stderr, "bank: %s\n", why.to_string().c_str());
  return 1;
}

// All at once, and waits for the answers. The money may still be under way then.
void make_transfers(silo& here, rng& random) {
  using transferred = demo::account_interface::transfer_results;
  const auto answered = std::make_shared<std::latch>(transfers_a_round);
  for (unsigned at = 0; at < transfers_a_round; ++at) {
    const auto amount = static_cast<std::int64_t>(random.next() % 200);
    auto one = account_of(random.next()).transfer(account_of(random.next()).key(), amount);
    // Some are refused for want of money; that is no mistake.
    here.call_then<transferred>(std::move(one),
                                [answered](const result<transferred>&) { answered->count_down(); });
  }
  answered->wait();
}

// Calls until there is an answer. Requires: twice is the same as once.
template <class Make>
auto insist(silo& here, Make make) {
  auto answer = here.call(make());
  while (!answer && retry_of(answer.error().code()) != retry_class::never) {
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    answer = here.call(make());
  }
  return answer;
}

struct books {
  std::int64_t sum = 0;
  std::uint64_t transfers = 0;
  std::uint64_t deposits = 0;
  friend bool operator==(const books&, const books&) = default;
};

result<books> read_books(silo& here) {
  books all;
  for (unsigned number = 0; number < accounts; ++number) {
    const auto found = insist(here, [number] { return account_of(number).get(); });
    if (!found) {
      return found.error();
    }
    all.sum += found->balance();
    all.transfers += found->transfers();
    all.deposits += found->deposits();
  }
  return all;
}

// How many silos have all that was committed to an account, at least; 1 for a silo alone.
std::size_t copies(const silo& here) {
  const auto cluster = here.cluster_view();
  const auto fewest = std::min_element(
      cluster.partitions.begin(), cluster.partitions.end(),
      [](const auto& one, const auto& other) { return one.in_sync.size() < other.in_sync.size(); });
  return fewest == cluster.partitions.end() ? 1 : fewest->in_sync.size();
}

// What is in all accounts, once nothing is under way: as many have arrived as were made, and while
// they were read nothing has changed.
result<std::int64_t> audit(silo& here) {
  auto before = read_books(here);
  auto now = read_books(here);
  while (before && now && (*now != *before || now->transfers != now->deposits)) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
    before = std::move(now);
    now = read_books(here);
  }
  if (!before || !now) {
    return now ? before.error() : now.error();
  }
  std::printf("%llu transfers so far, %lld in %u accounts",
              static_cast<unsigned long long>(now->transfers), static_cast<long long>(now->sum),
              accounts);
  if (const auto disks = copies(here); disks > 1) {
    std::printf(", on %zu disks", disks);
  }
  std::printf("\n");
  std::fflush(stdout);
  return now->sum;
}

result<void> run_rounds(silo& here, int rounds) {
  // An account that is called is loaded, and sees to the transfers that it has under way.
  for (unsigned number = 0; number < accounts; ++number) {
    const auto opened = insist(here, [number] { return account_of(number).open(opening_balance); });
    if (!opened) {
      return opened.error();
    }
  }
  rng random;
  for (int left = rounds;; --left) {
    const auto sum = audit(here);
    if (!sum) {
      return sum.error();
    }
    if (*sum != accounts * opening_balance) {
      return error{errc::internal, "the sum has changed"};
    }
    if (left == 0) {
      return {};
    }
    make_transfers(here, random);
  }
}

// In a cluster the accounts are on all of its silos, and each of them on the disks of several.
void join_cluster(silo_options& options, const char* name, const char* coordination) {
  options.name = name;
  options.cluster.emplace();
  options.cluster->coordination = coordination;
  options.cluster->balance_after = std::chrono::seconds{1};
}

}  // namespace

int main(int count, char** arguments) {
  const int rounds = count > 2 ? std::atoi(arguments[2]) : 10;
  const bool in_cluster = count > 4;
  sigset_t stopping;
  sigemptyset(&stopping);
  sigaddset(&stopping, SIGINT);
  sigaddset(&stopping, SIGTERM);
  const bool only_serves = in_cluster && rounds == 0;
  if (only_serves) {
    ::pthread_sigmask(SIG_BLOCK, &stopping, nullptr);  // before there are other threads
  }
  storage_options disk{.directory = count > 1 ? arguments[1] : "bank-data"};
  silo_options options;
  if (in_cluster) {
    disk.in_cluster = true;
    disk.partition_count = 32;  // for a hundred accounts
    join_cluster(options, arguments[3], arguments[4]);
  }
  auto rows = open_storage(disk);
  if (!rows) {
    return failed(rows.error());
  }
  silo here{*std::move(rows), std::move(options)};
  here.add<account>();
  if (auto started = here.start(); !started) {
    return failed(started.error());
  }
  if (only_serves) {
    std::printf("serves\n");
    std::fflush(stdout);
    int signal = 0;
    ::sigwait(&stopping, &signal);
  } else if (auto ran = run_rounds(here, rounds); !ran) {
    return failed(ran.error());
  }
  here.stop();
}
