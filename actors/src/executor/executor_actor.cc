// SPDX-License-Identifier: MIT
#include "executor/executor_actor.h"

#include <vector>

#include "pipeline/names.h"

namespace millrace::actors {

using runtime::async;

namespace {

struct blob_wish {
  std::string run;
  std::string digest;
  std::uint64_t offset;
};

}  // namespace

async<> executor_actor::grant(grant_params params) {
  std::vector<std::shared_ptr<const std::string>> gangs;
  for (const auto hosts : params.read().getGangs()) {
    gangs.push_back(std::make_shared<const std::string>(hosts.cStr()));
  }
  for (const auto each : params.read().getGrants()) {
    const auto gang = each.getGang();
    runner_->granted({each.getTask(), each.getAttempt(), params.incarnation(), each.getNumber(),
                      std::max<std::uint32_t>(each.getLevel(), each.getPriority()),
                      gang > 0 && gang <= gangs.size() ? gangs[gang - 1] : nullptr});
  }
  return {};
}

// The wait is dropped with the call or after its time; what fires later finds nobody.
async<executor_actor::log_results> executor_actor::log(log_params params) {
  const auto from = params.read();
  log_wish wish{from.getToken().cStr(),
                from.getErrors() ? output_stream::standard_error : output_stream::standard_output,
                from.getOffset(),
                {},
                log_piece_bytes_max,
                from.getWantsTimes()};
  if (from.getLimit() > 0) {
    wish.bytes_max = std::min<std::size_t>(from.getLimit(), log_piece_bytes_max);
  }
  if (from.getTail()) {
    wish.tail_lines = from.getTailLines();
  }
  const auto read = [runner = runner_](const log_wish& of) { return runner->read_log(of); };
  auto piece = co_await runtime::offload(read, wish);
  const auto empty = [&] {
    return piece && !piece->ended && piece->chunk.bytes.empty() && piece->chunk.dropped == 0;
  };
  if (empty() && params.wait_ms() > 0 && !wish.tail_lines) {
    const auto number = ++waiters_;
    const auto waiter = runner_->watch_log(wish, key(), number);
    if (!waiter) {
      co_return waiter.error();
    }
    const auto changed =
        co_await wait(signal_of(number), std::chrono::milliseconds{params.wait_ms()});
    if (!changed) {
      runner_->forget_waiter(*waiter);
    }
    piece = co_await runtime::offload(read, wish);
  }
  if (!piece) {
    co_return std::move(piece).error();
  }
  const auto& chunk = piece->chunk;
  log_results results;
  auto made = results.build();
  made.setBytes({reinterpret_cast<const capnp::byte*>(chunk.bytes.data()), chunk.bytes.size()});
  made.setOffset(chunk.offset);
  made.setNextOffset(chunk.next_offset);
  made.setDropped(chunk.dropped);
  made.setEnded(piece->ended);
  auto times = made.initTimes(static_cast<unsigned>(piece->times.size()));
  for (unsigned at = 0; at < times.size(); ++at) {
    times[at].setEnd(piece->times[at].end);
    times[at].setAt(nanoseconds(piece->times[at].at));
  }
  co_return results;
}

async<executor_actor::blob_results> executor_actor::blob(blob_params params) {
  const blob_wish wish{std::string{params.run()}, std::string{params.digest()}, params.offset()};
  const auto read = [runner = runner_](const blob_wish& of) {
    return runner->read_blob(of.run, of.digest, of.offset);
  };
  const auto piece = co_await runtime::offload(read, wish);
  if (!piece) {
    co_return piece.error();
  }
  blob_results results;
  auto made = results.build();
  made.setBytes({reinterpret_cast<const capnp::byte*>(piece->bytes.data()), piece->bytes.size()});
  made.setSize(piece->size);
  co_return results;
}

async<> executor_actor::keep_for(keep_for_params params) {
  const auto keep = [runner = runner_](const std::string& run, const std::string& digest,
                                       const std::string& project, kept_thing what) {
    return runner->keep_for(run, digest, project, what);
  };
  const auto what = params.single() ? kept_thing::text : kept_thing::artifact;
  const auto kept =
      co_await runtime::offload(keep, std::string{params.run()}, std::string{params.digest()},
                                std::string{params.project()}, what);
  if (!kept) {
    co_await runtime::fail(kept.error());
  }
}

}  // namespace millrace::actors
