// SPDX-License-Identifier: MIT
// A journal that fails when it is told to, in front of one that works.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "storage/journal.h"

namespace millrace::runtime::testing {

class journal_shim final : public journal {
public:
  /// What `fails` gives instead of a value keeps a write from being done.
  journal_shim(std::unique_ptr<journal> inner,
               std::function<result<void>(const journal_write&)> fails)
      : inner_(std::move(inner)), fails_(std::move(fails)) {}

  [[nodiscard]] std::uint64_t last() const noexcept override { return inner_->last(); }
  result<void> write(const journal_write& changes) override {
    auto allowed = fails_(changes);
    return allowed ? inner_->write(changes) : allowed;
  }
  result<void> scan(
      const std::function<result<void>(std::uint64_t, std::string_view)>& visit) const override {
    return inner_->scan(visit);
  }
  result<void> read(std::uint64_t position,
                    const std::function<result<void>(std::string_view)>& visit) const override {
    return inner_->read(position, visit);
  }
  result<void> scan_states(
      const std::function<result<void>(partition_id, std::string_view)>& visit) const override {
    return inner_->scan_states(visit);
  }
  [[nodiscard]] result<std::uint64_t> bytes_used() const override { return inner_->bytes_used(); }
  [[nodiscard]] std::uint64_t bytes_used_at_most() const noexcept override {
    return inner_->bytes_used_at_most();
  }
  [[nodiscard]] std::uint64_t bytes_available() const noexcept override {
    return inner_->bytes_available();
  }

private:
  std::unique_ptr<journal> inner_;
  std::function<result<void>(const journal_write&)> fails_;
};

}  // namespace millrace::runtime::testing
