// SPDX-License-Identifier: MIT
#include "access/token_list.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "access/token.h"
#include "millrace/access.capnp.actor.h"

namespace millrace::gateway {

using runtime::result;
using schemas::access_interface;

namespace {

constexpr std::uint32_t wait_ms = 20'000;
constexpr runtime::duration answer_within = std::chrono::seconds{30};
constexpr runtime::duration again_after = std::chrono::milliseconds{500};

std::shared_ptr<const principal> principal_of(schemas::AccessToken::Reader token,
                                              const std::string& digest) {
  auto made = std::make_shared<principal>();
  made->digest = digest;
  made->name = token.getName().cStr();
  for (auto each : token.getGrants()) {
    // One of a later version is nothing that this one knows to allow.
    const auto role = each.getRole() <= role::ADMIN ? each.getRole() : role::NONE;
    made->grants.push_back({each.getProject().cStr(), role});
  }
  if (token.getExpiresAt() != 0) {
    made->expires_at = runtime::wall_time{std::chrono::nanoseconds{token.getExpiresAt()}};
  }
  return made;
}

using table = std::unordered_map<std::string, std::shared_ptr<const principal>>;

std::shared_ptr<const table> table_of(const access_interface::tokens_results& told) {
  auto made = std::make_shared<table>();
  for (auto each : told.tokens()) {
    const auto digest = each.getDigest().asChars();
    std::string key{digest.begin(), digest.size()};
    auto one = principal_of(each, key);
    made->emplace(std::move(key), std::move(one));
  }
  return made;
}

}  // namespace

struct token_list::shared {
  explicit shared(runtime::steady_time now) : had_at(now) {}

  std::mutex mutex;  // for all below
  std::condition_variable changed;
  bool ends = false;
  std::optional<result<access_interface::tokens_results>> answer;
  std::shared_ptr<const table> by_digest;  // null: not known yet
  runtime::steady_time had_at;             // last
};

token_list::token_list(runtime::silo& here, std::string_view root,
                       std::function<void(const std::string&)> warn)
    : here_(here),
      root_digest_(digest_of(root)),
      root_(std::make_shared<principal>(
          principal{.name = "(root)",
                    .grants = {{std::string{all_projects}, role::ADMIN}},
                    .digest = root_digest_})),
      warn_(std::move(warn)),
      shared_(std::make_shared<shared>(here.time().steady())),
      thread_([this] { run(); }) {}

token_list::~token_list() {
  {
    const std::lock_guard lock{shared_->mutex};
    shared_->ends = true;
    shared_->changed.notify_all();
  }
  thread_.join();
}

std::shared_ptr<const principal> token_list::find(std::string_view token) const {
  return find_digest(digest_of(token));
}

bool token_list::holds(const principal& one) const {
  return find_digest(one.digest) != nullptr;
}

std::shared_ptr<const principal> token_list::find_digest(const std::string& digest) const {
  if (digest == root_digest_) {
    return root_;
  }
  std::shared_ptr<const table> known;
  {
    const std::lock_guard lock{shared_->mutex};
    known = shared_->by_digest;
  }
  if (known == nullptr) {
    return nullptr;
  }
  const auto found = known->find(digest);
  return found != known->end() && here_.time().wall() < found->second->expires_at ? found->second
                                                                                  : nullptr;
}

bool token_list::is_known() const {
  const std::lock_guard lock{shared_->mutex};
  return shared_->by_digest != nullptr;
}

runtime::duration token_list::age() const {
  const std::lock_guard lock{shared_->mutex};
  return here_.time().steady() - shared_->had_at;
}

void token_list::run() {
  bool is_lost = false;
  for (auto version = no_tokens_known;;) {
    here_.call_then<access_interface::tokens_results>(
        runtime::ref<schemas::Access>(access_key).tokens(version, wait_ms).timeout(answer_within),
        [to = shared_](auto answer) {
          const std::lock_guard lock{to->mutex};
          to->answer.emplace(std::move(answer));
          to->changed.notify_all();
        });
    std::unique_lock lock{shared_->mutex};
    shared_->changed.wait(lock, [&] { return shared_->ends || shared_->answer; });
    if (shared_->ends) {
      return;
    }
    const auto answer = *std::exchange(shared_->answer, std::nullopt);
    if (answer) {
      lock.unlock();
      auto made = table_of(*answer);
      lock.lock();
      shared_->by_digest = std::move(made);
      shared_->had_at = here_.time().steady();
      version = answer->version();
      if (std::exchange(is_lost, false)) {
        warn_("the tokens can be had again");
      }
      continue;
    }
    if (!std::exchange(is_lost, true)) {
      warn_("the tokens cannot be had; those known last are good meanwhile why=" +
            answer.error().to_string());
    }
    if (shared_->changed.wait_for(lock, again_after, [&] { return shared_->ends; })) {
      return;
    }
  }
}

}  // namespace millrace::gateway
