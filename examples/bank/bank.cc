// SPDX-License-Identifier: MIT
// A bank whose money cannot get lost: `bank DIRECTORY [ROUNDS]`. Kill it whenever you like and run
// it again; it goes on from where it was.
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
    co_return;
  }

  async<get_results> get() override {
    co_return get_results{state().getBalance(), state().getTransfers()};
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

// What is in all accounts, once nothing is under way.
result<std::int64_t> audit(silo& here) {
  while (here.stats().sends_pending > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  std::int64_t sum = 0;
  std::uint64_t transfers = 0;
  for (unsigned number = 0; number < accounts; ++number) {
    const auto found = here.call(account_of(number).get());
    if (!found) {
      return found.error();
    }
    sum += found->balance();
    transfers += found->transfers();
  }
  std::printf("%llu transfers so far, %lld in %u accounts\n",
              static_cast<unsigned long long>(transfers), static_cast<long long>(sum), accounts);
  std::fflush(stdout);
  return sum;
}

}  // namespace

int main(int count, char** arguments) {
  auto rows = open_storage({.directory = count > 1 ? arguments[1] : "bank-data"});
  if (!rows) {
    return failed(rows.error());
  }
  silo here{*std::move(rows)};
  here.add<account>();
  if (auto started = here.start(); !started) {
    return failed(started.error());
  }
  // An account that is called is loaded, and sees to the transfers that it has under way.
  for (unsigned number = 0; number < accounts; ++number) {
    if (auto opened = here.call(account_of(number).open(opening_balance)); !opened) {
      return failed(opened.error());
    }
  }
  rng random;
  for (int left = count > 2 ? std::atoi(arguments[2]) : 10;; --left) {
    const auto sum = audit(here);
    if (!sum) {
      return failed(sum.error());
    }
    if (*sum != accounts * opening_balance) {
      return failed({errc::internal, "the sum has changed"});
    }
    if (left == 0) {
      break;
    }
    make_transfers(here, random);
  }
  here.stop();
}
