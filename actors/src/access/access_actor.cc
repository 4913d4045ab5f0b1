// SPDX-License-Identifier: MIT
#include "access/access_actor.h"

#include <string>
#include <tuple>
#include <vector>

#include "pipeline/names.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;

namespace {

constexpr const char* every_project = "*";
constexpr std::int64_t nanoseconds_kept = std::chrono::nanoseconds{std::chrono::hours{1}}.count();

}  // namespace

void access_actor::note_change() {
  edit().setVersion(state().getVersion() + 1);
  notify(changed_signal);
}

// A while after their end, since clocks differ.
void access_actor::forget_expired() {
  std::vector<std::string> expired;
  tokens_.for_each([&](std::string_view name, schemas::AccessToken::Reader each) {
    if (each.getExpiresAt() != 0 && each.getExpiresAt() + nanoseconds_kept < nanoseconds(now())) {
      expired.emplace_back(name);
    }
    return true;
  });
  for (const auto& name : expired) {
    tokens_.erase(name);
  }
}

// Of the token with that text; empty: there is none.
std::string access_actor::name_of(capnp::Data::Reader digest) const {
  std::string found;
  tokens_.for_each([&](std::string_view name, schemas::AccessToken::Reader each) {
    if (each.getDigest() == digest) {
      found = name;
    }
    return found.empty();
  });
  return found;
}

std::size_t access_actor::tokens_of(const std::string& project) const {
  std::size_t count = 0;
  tokens_.for_each([&](std::string_view, schemas::AccessToken::Reader each) {
    for (auto one : each.getGrants()) {
      if (project == one.getProject().cStr()) {
        ++count;
        break;
      }
    }
    return true;
  });
  return count;
}

async<> access_actor::add(add_params params) {
  const auto made = params.read().getToken();
  const std::string name{made.getName().cStr()};
  forget_expired();
  if (tokens_.contains(name)) {
    co_await runtime::fail({errc::conflict, "there is a token '" + name + "' already"});
  }
  if (const auto other = name_of(made.getDigest()); !other.empty()) {
    co_await runtime::fail(
        {errc::conflict, "there is a token '" + other + "' with this text already"});
  }
  if (tokens_.size() >= tokens_max) {
    co_await runtime::fail(
        {errc::failed_precondition, "there are " + std::to_string(tokens_max) +
                                        " tokens, which is the most; revoke one that is not used"});
  }
  for (auto each : made.getGrants()) {
    const std::string project{each.getProject().cStr()};
    if (project != every_project && tokens_of(project) >= project_tokens_max) {
      co_await runtime::fail(
          {errc::failed_precondition, "there are " + std::to_string(project_tokens_max) +
                                          " tokens of project '" + project +
                                          "', which is the most; revoke one that is not used"});
    }
  }
  tokens_.put(name, made);
  note_change();
}

async<> access_actor::revoke(revoke_params params) {
  const std::string name{params.name()};
  const auto found = tokens_.get(name);
  if (!found || found->getDigest() != params.read().getDigest()) {
    co_await runtime::fail({errc::not_found, "there is no token '" + name + "'"});
  }
  tokens_.erase(name);
  note_change();
}

async<access_actor::tokens_results> access_actor::tokens(tokens_params params) {
  if (params.known() == state().getVersion() && params.wait_ms() > 0) {
    std::ignore = co_await wait(changed_signal, std::chrono::milliseconds{params.wait_ms()});
  }
  std::vector<schemas::AccessToken::Reader> all;
  tokens_.for_each([&](std::string_view, schemas::AccessToken::Reader each) {
    all.push_back(each);
    return true;
  });
  tokens_results results;
  results.build().setVersion(state().getVersion());
  auto list = results.build().initTokens(static_cast<unsigned>(all.size()));
  for (unsigned at = 0; at < all.size(); ++at) {
    list.setWithCaveats(at, all[at]);
  }
  co_return results;
}

}  // namespace millrace::actors
