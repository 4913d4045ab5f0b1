// SPDX-License-Identifier: MIT
#include "api/blob_reader.h"

namespace millrace::gateway {

using runtime::ref;

namespace {

constexpr std::chrono::seconds blob_within{5};

}  // namespace

void blob_reader::read(std::string digest, std::uint64_t offset, sink then) {
  digest_ = std::move(digest);
  offset_ = offset;
  then_ = std::move(then);
  refusal_.reset();
  ask(executor_);
}

void blob_reader::ask(const std::string& executor) {
  silo_.call_then<results>(
      ref<schemas::Executor>(executor).blob(run_, digest_, offset_).timeout(blob_within),
      [self = shared_from_this(), executor](const auto& piece) { self->take(executor, piece); });
}

void blob_reader::take(const std::string& executor, const runtime::result<results>& piece) {
  if (piece) {
    executor_ = executor;
    std::exchange(then_, {})(piece);
    return;
  }
  if (!refusal_) {
    refusal_ = {piece.error().code(),
                "the executor '" + executor + "', which keeps it: " + piece.error().text()};
    find_others();
    return;
  }
  if (others_.empty()) {
    std::exchange(then_, {})(*refusal_);
    return;
  }
  const auto next = std::move(others_.back());
  others_.pop_back();
  ask(next);
}

void blob_reader::find_others() {
  using status = schemas::pool_interface::status_results;
  silo_.call_then<status>(ref<schemas::Pool>("default").status().timeout(blob_within),
                          [self = shared_from_this()](const auto& pool) {
                            if (pool) {
                              for (auto each : pool->executors()) {
                                if (self->executor_ != each.cStr()) {
                                  self->others_.emplace_back(each.cStr());
                                }
                              }
                            }
                            self->take({}, *self->refusal_);
                          });
}

}  // namespace millrace::gateway
