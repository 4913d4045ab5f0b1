// SPDX-License-Identifier: MIT
#include "coordination/etcd_client.h"

#include <algorithm>
#include <utility>

namespace millrace::runtime {
namespace {

// A line of a watch has what one transaction has changed, or a few.
constexpr std::size_t watch_line_bytes_max = std::size_t{16} << 20U;

}  // namespace

// Registered for as long as it lives, so that `stop` can end it.
class etcd_client::running {
public:
  running(etcd_client& client, std::size_t at)
      : client_(client), exchange_(client.addresses_[at], client.tls_, client.clock_) {
    const std::lock_guard lock{client_.mutex_};
    if (client_.is_stopped_) {
      exchange_.cancel();
    }
    client_.running_.insert(&exchange_);
  }
  running(const running&) = delete;
  running& operator=(const running&) = delete;
  ~running() {
    const std::lock_guard lock{client_.mutex_};
    client_.running_.erase(&exchange_);
  }
  http_exchange* operator->() noexcept { return &exchange_; }

private:
  etcd_client& client_;
  http_exchange exchange_;
};

result<std::unique_ptr<etcd_client>> etcd_client::make(const etcd_options& options,
                                                       const clock& clock,
                                                       std::function<void(std::string_view)> warn) {
  std::vector<http_endpoint> endpoints;
  std::shared_ptr<const tls_settings> tls;
  for (const auto& url : options.endpoints) {
    auto endpoint = parse_http_endpoint(url);
    if (!endpoint) {
      return endpoint.error();
    }
    if (!options.user.empty() && !endpoint->is_tls && !is_loopback(*endpoint)) {
      return error{errc::invalid_argument,
                   "the password of etcd's user '" + options.user + "' would go to " + url +
                       " in the clear: use https, or an endpoint on this machine"};
    }
    endpoints.push_back(std::move(*endpoint));
    if (endpoints.back().is_tls && !tls) {
      auto made = tls_settings::make(options.tls);
      if (!made) {
        return made.error();
      }
      tls = std::move(*made);
    }
  }
  if (endpoints.empty()) {
    return error{errc::invalid_argument, "etcd needs an endpoint"};
  }
  return std::unique_ptr<etcd_client>{
      new etcd_client{options, std::move(endpoints), std::move(tls), clock, std::move(warn)}};
}

etcd_client::etcd_client(etcd_options options, std::vector<http_endpoint> endpoints,
                         std::shared_ptr<const tls_settings> tls, const clock& clock,
                         std::function<void(std::string_view)> warn)
    : options_(std::move(options)),
      addresses_(std::move(endpoints)),
      tls_(std::move(tls)),
      clock_(clock),
      warn_(std::move(warn)),
      endpoints_(addresses_.size()),
      versions_(addresses_.size()) {}

void etcd_client::stop() {
  const std::lock_guard lock{mutex_};
  is_stopped_ = true;
  for (auto* exchange : running_) {
    exchange->cancel();
  }
}

// --- one server ----------------------------------------------------------------------------------

result<http_answer> etcd_client::exchange(std::size_t at, const http_request& request,
                                          steady_time deadline) {
  running one{*this, at};
  return one->ask(request, deadline);
}

result<void> etcd_client::check(std::size_t at, steady_time deadline) {
  {
    const std::lock_guard lock{mutex_};
    if (endpoints_.is_checked(at)) {
      return {};
    }
  }
  const auto& name = addresses_[at].text;
  const auto answer = exchange(at, {"/version"}, deadline);
  if (!answer) {
    return error{answer.error().code() == errc::cancelled ? errc::cancelled : errc::unavailable,
                 answer.error().text()};
  }
  const auto version = read_version(answer->body);
  if (!version) {
    return error{errc::unavailable, name + ": " + version.error().text()};
  }
  if (version->fitness == etcd_fitness::refused) {
    return error{errc::unavailable, name + " is etcd " + version->text +
                                        ", which cannot be trusted: use 3.5.14 or newer"};
  }
  bool is_news = false;
  {
    const std::lock_guard lock{mutex_};
    endpoints_.checked(at);
    is_news = std::exchange(versions_[at], version->text) != version->text;
  }
  if (is_news && version->fitness == etcd_fitness::old) {
    warn_(name + " is etcd " + version->text +
          ", which has known faults: use 3.4.32, 3.5.14 or newer");
  }
  return {};
}

result<std::string> etcd_client::log_in(std::size_t at, steady_time deadline) {
  if (options_.user.empty()) {
    return std::string{};
  }
  {
    const std::lock_guard lock{mutex_};
    if (!token_.empty()) {
      return token_;
    }
  }
  const auto answer = exchange(
      at, {"/v3/auth/authenticate", login_request(options_.user, options_.password)}, deadline);
  if (!answer) {
    return error{answer.error().code() == errc::cancelled ? errc::cancelled : errc::unavailable,
                 answer.error().text()};
  }
  if (answer->status != 200) {
    return error{errc::unauthenticated, etcd_failure(answer->status, answer->body).text()};
  }
  auto token = read_token(answer->body);
  if (token) {
    const std::lock_guard lock{mutex_};
    token_ = *token;
  }
  return token;
}

result<std::string> etcd_client::ask_one(std::size_t at, const std::string& target,
                                         const std::string& body, steady_time ready_by,
                                         steady_time deadline) {
  if (auto checked = check(at, ready_by); !checked) {
    return checked.error();
  }
  // A token does not outlive its server; then nothing was done, and a new one is asked for.
  for (bool is_last : {false, true}) {
    auto token = log_in(at, ready_by);
    if (!token) {
      return token.error();
    }
    auto answer = exchange(at, {target, body, *token}, deadline);
    if (!answer) {
      return answer.error();
    }
    if (answer->status == 200) {
      return std::move(answer->body);
    }
    auto failure = etcd_failure(answer->status, answer->body);
    if (failure.code() != errc::unauthenticated || options_.user.empty() || is_last) {
      return failure;
    }
    const std::lock_guard lock{mutex_};
    if (token_ == *token) {
      token_.clear();
    }
  }
  return error{errc::internal, "unreachable"};
}

// --- all servers ---------------------------------------------------------------------------------

// Each server is asked once at most: who wants more patience asks again.
template <class Parse>
auto etcd_client::ask(const std::string& target, const std::string& body, effect what,
                      steady_time deadline, Parse parse, etcd_endpoints::freshness wanted)
    -> decltype(parse(std::string_view{})) {
  for (auto tries_left = endpoints_.count();; --tries_left) {
    const auto now = clock_.steady();
    std::size_t at = 0;
    etcd_header seen;
    {
      const std::lock_guard lock{mutex_};
      at = endpoints_.pick(now);
      seen = endpoints_.seen();
    }
    // One that is silent must leave time for the others, as long as nothing may have been done.
    const auto share = now + (deadline - now) / static_cast<std::int64_t>(tries_left);
    const auto text = ask_one(at, target, body, share, what == effect::none ? share : deadline);
    auto answer = text ? parse(*text) : text.error();
    {
      const std::lock_guard lock{mutex_};
      if (answer && !endpoints_.accept(at, answer->header, seen, clock_.steady(), wanted)) {
        answer = error{errc::outcome_unknown,
                       addresses_[at].text + " has gone back behind what was seen before: it has " +
                           "lost data, or belongs to another cluster"};
      } else if (!answer) {
        endpoints_.failed(at, clock_.steady());
      }
    }
    const bool may_repeat =
        !answer && (answer.error().code() == errc::unavailable ||
                    (what == effect::none && answer.error().code() == errc::outcome_unknown));
    if (!may_repeat || tries_left == 1 || clock_.steady() >= deadline) {
      return answer;
    }
  }
}

result<etcd_answer> etcd_client::read(const etcd_transaction& transaction, steady_time deadline) {
  return ask("/v3/kv/txn", to_json(transaction), effect::none, deadline, read_answer);
}

result<etcd_answer> etcd_client::write(const etcd_transaction& transaction, steady_time deadline) {
  return ask("/v3/kv/txn", to_json(transaction), effect::some, deadline, read_answer);
}

result<etcd_lease> etcd_client::grant(std::uint64_t ttl_seconds, steady_time deadline) {
  return ask("/v3/lease/grant", grant_request(ttl_seconds), effect::some, deadline, read_lease);
}

result<etcd_lease> etcd_client::keep_alive(std::uint64_t lease, steady_time deadline) {
  return ask("/v3/lease/keepalive", lease_request(lease), effect::none, deadline, read_lease,
             etcd_endpoints::freshness::any);
}

result<void> etcd_client::revoke(std::uint64_t lease, steady_time deadline) {
  const auto done =
      ask("/v3/lease/revoke", lease_request(lease), effect::none, deadline, read_lease);
  if (!done && done.error().code() != errc::not_found) {
    return done.error();
  }
  return {};
}

result<void> etcd_client::watch(std::string_view prefix, std::uint64_t from_revision,
                                steady_time deadline, const std::function<void()>& changed) {
  std::size_t at = 0;
  {
    const std::lock_guard lock{mutex_};
    at = endpoints_.pick(clock_.steady());
  }
  auto token = log_in(at, deadline);
  if (!token) {
    return token.error();
  }
  std::string partial;
  const auto take = [&](std::string_view piece) {
    for (auto end = piece.find('\n'); end != std::string_view::npos; end = piece.find('\n')) {
      partial += piece.substr(0, end);
      piece.remove_prefix(end + 1);
      const auto event = read_event(partial);
      partial.clear();
      if (event.has_changes) {
        changed();
      }
      if (event.is_over) {
        return false;
      }
    }
    partial += piece;
    return partial.size() <= watch_line_bytes_max;
  };
  running one{*this, at};
  const auto ended =
      one->stream({"/v3/watch", watch_request(prefix, from_revision), *token}, deadline, take);
  if (!ended) {
    const std::lock_guard lock{mutex_};
    endpoints_.failed(at, clock_.steady());
    return ended.error();
  }
  return ended->status == 200 ? result<void>{} : etcd_failure(ended->status, ended->body);
}

}  // namespace millrace::runtime
