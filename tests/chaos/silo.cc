// SPDX-License-Identifier: MIT
// `millrace silo` and `millrace gateway`, with the actors of chaos.capnp beside its own.
#include <signal.h>

#include <iostream>

#include "chaos/chaos.capnp.actor.h"
#include "cli/command.h"
#include "millrace/runtime/silo.h"
#include "millrace/runtime/state_map.h"
#include "millrace/runtime/storage.h"

namespace chaos {
namespace {

using namespace millrace::runtime;
namespace cli = millrace::gateway::cli;

class register_actor final : public register_base<RegisterState> {
  async<> write(write_params params) override {
    edit().setValue(params.value());
    co_return;
  }
  async<read_results> read() override { co_return read_results{state().getValue()}; }
  async<cas_results> cas(cas_params params) override {
    const auto found = state().getValue();
    if (found == params.from()) {
      edit().setValue(params.to());
    }
    co_return cas_results{found == params.from(), found};
  }
};

// A record each, as large states are kept.
class set_actor final : public set_base<no_state> {
  async<> add(add_params params) override {
    elements_.edit(std::to_string(params.value())).setValue(params.value());
    co_return;
  }
  async<read_results> read() override {
    read_results found;
    auto values = found.build().initValues(static_cast<unsigned>(elements_.size()));
    unsigned at = 0;
    elements_.for_each([&](std::string_view, ElementRecord::Reader each) {
      values.set(at++, each.getValue());
      return true;
    });
    co_return found;
  }
  state_map<ElementRecord> elements_{*this, "elements"};
};

class counter_actor final : public counter_base<CounterState> {
  async<add_results> add(add_params params) override {
    edit().setTotal(state().getTotal() + params.amount());
    co_return add_results{state().getTotal()};
  }
  async<read_results> read() override { co_return read_results{state().getTotal()}; }
};

// All of it in its root.
class list_actor final : public sequence_base<SequenceState> {
  async<> append(append_params params) override {
    std::vector<std::int32_t> values;
    for (const auto each : state().getValues()) {
      values.push_back(each);
    }
    values.push_back(params.value());
    auto longer = edit().initValues(static_cast<unsigned>(values.size()));
    for (unsigned at = 0; at < longer.size(); ++at) {
      longer.set(at, values[at]);
    }
    co_return;
  }
  async<read_results> read() override {
    read_results found;
    found.build().setValues(state().getValues());
    co_return found;
  }
};

// Which silo has made a transfer, and which time, where it was made twice.
std::string own_name;
thread_local rng random;

class purse_actor final : public purse_base<PurseState> {
  async<> transfer(transfer_params params) override {
    edit().setSpent(state().getSpent() + params.amount());
    edit().setSent(state().getSent() + 1);
    send(ref<Purse>(std::string{params.to()})
             .deposit(params.amount(), key() + "#" + std::to_string(state().getSent()),
                      own_name + "." + std::to_string(random.next() >> 40U)));
    co_return;
  }
  async<> deposit(deposit_params params) override {
    edit().setSpent(state().getSpent() - params.amount());
    edit().setReceived(state().getReceived() + 1);
    const auto now =
        std::chrono::duration_cast<std::chrono::milliseconds>(this->now().time_since_epoch())
            .count();
    const std::string mark{params.mark()};
    const auto made = " made as " + std::string{params.made()} + " came to " + own_name + " at " +
                      std::to_string(now);
    if (const auto before = deposits_.get(mark)) {
      note_again(mark + before->getMade().cStr() + made);
    }
    deposits_.edit(mark).setMade(made);
    co_return;
  }
  async<audit_results> audit() override {
    audit_results found;
    auto made = found.build();
    made.setSpent(state().getSpent());
    made.setSent(state().getSent());
    made.setReceived(state().getReceived());
    made.setTwice(state().getTwice());
    co_return found;
  }
  void note_again(const std::string& what) {
    std::vector<std::string> all;
    for (const auto each : state().getTwice()) {
      all.emplace_back(each.cStr());
    }
    all.push_back(what);
    auto longer = edit().initTwice(static_cast<unsigned>(all.size()));
    for (unsigned at = 0; at < longer.size(); ++at) {
      longer.set(at, all[at].c_str());
    }
  }
  state_map<DepositRecord> deposits_{*this, "deposits"};
};

void add_types(silo& here) {
  here.add<register_actor>();
  here.add<set_actor>();
  here.add<counter_actor>();
  here.add<list_actor>();
  here.add<purse_actor>();
}

int run(const std::string& name, const std::vector<std::string>& arguments) {
  const auto at = std::find(arguments.begin(), arguments.end(), "--name");
  own_name = at == arguments.end() ? name : *std::next(at);
  namespace po = boost::program_options;
  for (const auto& each : cli::serve_commands()) {
    if (each.name == name && name != "dev") {
      po::options_description known;
      each.add_options(known);
      po::variables_map values;
      po::store(po::command_line_parser(arguments).options(known).run(), values);
      return static_cast<int>(cli::serve_cluster(values, name == "gateway", add_types));
    }
  }
  std::cerr << "usage: millrace_chaos_silo silo|gateway [OPTION]...\n";
  return 2;
}

}  // namespace
}  // namespace chaos

int main(int count, char** arguments) {
  ::signal(SIGPIPE, SIG_IGN);
  millrace::runtime::watch_storage_signals();
  try {
    return chaos::run(count > 1 ? arguments[1] : "",
                      {arguments + std::min(count, 2), arguments + count});
  } catch (const std::exception& unforeseen) {
    std::cerr << "millrace_chaos_silo: " << unforeseen.what() << '\n';
    return 1;
  }
}
