// SPDX-License-Identifier: MIT
// A node: storage, silo and pipeline host of one process, wired together.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "millrace/actors/pipeline_host.h"
#include "millrace/runtime/result.h"
#include "millrace/runtime/silo.h"
#include "trace/otlp_exporter.h"

namespace millrace::gateway {

struct node_options {
  std::filesystem::path data_directory;
  std::uint32_t slots = 0;  ///< As `pipeline_host_options`, as the next one.
  actors::resource_amounts resources = {};
  actors::pool_names pools{std::string{actors::default_pool}};          ///< Likewise.
  actors::run_retention retention = actors::run_retention::standard();  ///< Likewise.
  actors::secret_places secrets = {};                                   ///< Likewise.
  runtime::silo_options silo = {};                                      ///< Of its silo.
  std::optional<otlp_options> traces = {};  ///< Where its spans go; nothing: nowhere.
  /// Adds the actor types of whoever embeds it to the silo; unset: there are none.
  std::function<void(runtime::silo&)> add_types = {};
  /// Where the host's warnings go; unset: standard error. The silo's: see its options.
  std::function<void(std::string_view)> warn = {};
  /// As `pipeline_host_options`.
  std::function<void(std::string_view)> log = {};
  /// Called when actors can be asked and nothing has been started yet of what an earlier life left;
  /// an error keeps the node from opening. Unset: nothing is asked.
  std::function<runtime::result<void>(runtime::silo&)> before_work = {};
};

/// Threading: made, stopped and destroyed by one thread; `silo` and `host` as they say.
class node {
public:
  /// Opens the data directory and starts. Errors: `invalid_argument` for a directory that cannot
  /// be, those of `open_storage` and `process_supervisor::open`; each names the directory; those of
  /// `before_work`.
  [[nodiscard]] static runtime::result<std::unique_ptr<node>> open(const node_options& options);

  node(const node&) = delete;
  node& operator=(const node&) = delete;
  ~node();

  /// Ends running attempts (the next start repeats them), then the silo, and sends what spans there
  /// are. Idempotent.
  void stop();

  /// Absolute.
  [[nodiscard]] const std::filesystem::path& data_directory() const noexcept { return data_; }
  [[nodiscard]] runtime::silo& silo() noexcept { return *silo_; }
  [[nodiscard]] actors::pipeline_host& host() noexcept { return *host_; }
  /// Null: its spans go nowhere.
  [[nodiscard]] const otlp_exporter* traces() const noexcept { return traces_.get(); }
  /// Whether attempts run here; always, of a silo that is in no cluster.
  [[nodiscard]] bool executes() const noexcept { return executes_; }

  /// What seals the secrets of projects; null: none can be stored.
  [[nodiscard]] const actors::secret_keyring* keyring() const noexcept { return keyring_.get(); }

private:
  node() = default;
  std::filesystem::path data_;
  std::shared_ptr<const actors::secret_keyring> keyring_;
  bool executes_ = true;
  std::shared_ptr<otlp_exporter> traces_;
  std::unique_ptr<runtime::silo> silo_;
  std::unique_ptr<actors::pipeline_host> host_;
};

}  // namespace millrace::gateway
