// SPDX-License-Identifier: MIT
#include "secrets/secrets_actor.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/names.h"
#include "secrets/signature.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;

namespace {
// Between two lines of the log for one secret.
constexpr std::chrono::minutes told_again_after{1};
}  // namespace

// Errors: `conflict` unless that one was set then.
runtime::result<void> secrets_actor::is_still(const std::string& name,
                                              std::int64_t updated_at) const {
  const auto found = secrets_.get(name);
  if (found && found->getUpdatedAt() == updated_at) {
    return {};
  }
  return runtime::error{errc::conflict,
                        "the secret '" + name + "' of project '" + key() +
                            (found ? "' was set at another time" : "' is not there") +
                            "; look at `updated_at` in the list of secrets"};
}

async<secrets_actor::put_results> secrets_actor::put(put_params params) {
  const auto given = params.read().getSecret();
  const auto name = text_of(given.getName());
  const auto before = secrets_.get(name);
  if (const auto when = params.if_updated_at(); when != 0) {
    if (auto still = is_still(name, when); !still) {
      co_await runtime::fail(std::move(still).error());
    }
  }
  if (params.if_there() && !before) {
    co_await runtime::fail(
        {errc::conflict, "there is no secret '" + name + "' in project '" + key() + "'"});
  }
  if (!before && secrets_.size() >= project_secrets_max) {
    co_await runtime::fail({errc::failed_precondition,
                            "the project '" + key() + "' has " +
                                std::to_string(project_secrets_max) +
                                " secrets, which is the most; delete one that is not used"});
  }
  runtime::message<schemas::SealedSecret> stored{given};
  const auto at = std::max(nanoseconds(now()), before ? before->getUpdatedAt() + 1 : 0);
  stored.build().setCreatedAt(before ? before->getCreatedAt() : at);
  stored.build().setUpdatedAt(at);
  secrets_.put(name, stored.read());
  put_results results;
  results.build().setCreated(!before);
  co_return results;
}

async<> secrets_actor::erase(erase_params params) {
  const std::string name{params.name()};
  if (!secrets_.contains(name)) {
    co_await runtime::fail(
        {errc::not_found, "there is no secret '" + name + "' in project '" + key() + "'"});
  }
  if (const auto when = params.if_updated_at(); when != 0) {
    if (auto still = is_still(name, when); !still) {
      co_await runtime::fail(std::move(still).error());
    }
  }
  secrets_.erase(name);
}

async<secrets_actor::names_results> secrets_actor::names() {
  std::vector<schemas::SealedSecret::Reader> all;
  secrets_.for_each([&](std::string_view, schemas::SealedSecret::Reader each) {
    all.push_back(each);
    return true;
  });
  names_results results;
  auto list = results.build().initSecrets(static_cast<unsigned>(all.size()));
  for (unsigned at = 0; at < all.size(); ++at) {
    list[at].setName(all[at].getName());
    list[at].setCreatedAt(all[at].getCreatedAt());
    list[at].setUpdatedAt(all[at].getUpdatedAt());
    list[at].setUpdatedBy(all[at].getUpdatedBy());
  }
  co_return results;
}

async<secrets_actor::sealed_results> secrets_actor::sealed(sealed_params params) {
  std::vector<schemas::SealedSecret::Reader> found;
  for (auto name : params.read().getNames()) {
    if (const auto secret = secrets_.get(text_of(name))) {
      found.push_back(*secret);
    }
  }
  sealed_results results;
  auto list = results.build().initSecrets(static_cast<unsigned>(found.size()));
  for (unsigned at = 0; at < found.size(); ++at) {
    list.setWithCaveats(at, found[at]);
  }
  co_return results;
}

runtime::result<std::string> secrets_actor::opened(const std::string& name) const {
  const auto secret = secrets_.get(name);
  if (!secret) {
    return runtime::error{errc::not_found, "there is none; store it by `millrace secret set`"};
  }
  if (!keys_) {
    return runtime::error{errc::failed_precondition, "this silo has no --secrets-key FILE"};
  }
  const auto sealed = secret->getSealed();
  return keys_->unseal({reinterpret_cast<const char*>(sealed.begin()), sealed.size()},
                       {key(), name});
}

// Whoever sends something could have it told as often as he likes.
void secrets_actor::cannot_verify(const std::string& name, const std::string& why) {
  const auto at = now();
  std::erase_if(told_, [&](const auto& each) { return each.second + told_again_after <= at; });
  if (log_ && told_.try_emplace(name, at).second) {
    log_("secret '" + name + "' of project '" + key() +
         "', which a webhook is signed with: " + why);
  }
}

// It takes as long where there is no such secret: who asks is not to learn that.
async<secrets_actor::verify_results> secrets_actor::verify(verify_params params) {
  const auto given = params.read();
  const auto name = text_of(given.getName());
  auto value = opened(name);
  if (value && value->size() < signing_key_bytes_min) {
    ::OPENSSL_cleanse(value->data(), value->size());
    value = runtime::error{errc::failed_precondition, "it has less than " +
                                                          std::to_string(signing_key_bytes_min) +
                                                          " bytes, which can be guessed"};
  }
  if (!value && !name.empty()) {
    cannot_verify(name, value.error().text());
  }
  const auto content = given.getContent();
  const auto good = is_signed({reinterpret_cast<const char*>(content.begin()), content.size()},
                              text_of(given.getSignature()), value ? *value : std::string{});
  if (value) {
    ::OPENSSL_cleanse(value->data(), value->size());
  }
  verify_results results;
  results.build().setGood(good && value);
  co_return results;
}

}  // namespace millrace::actors
