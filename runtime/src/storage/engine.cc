// SPDX-License-Identifier: MIT
#include "storage/engine.h"

#include <sys/resource.h>

#include <algorithm>

#include "storage/backup_stream.h"
#include "storage/journal_writer.h"
#include "storage/lmdb_env.h"
#include "storage/overlay.h"
#include "storage/replay.h"
#include "storage/replica_table.h"
#include "storage/row_prover.h"
#include "storage/row_reader.h"
#include "storage/storage_warnings.h"

namespace millrace::runtime {
namespace {

// A map costs no memory, but address space, which may be limited. A quarter of the limit for each
// of the two leaves half for everything else.
constexpr std::size_t quota_bytes_default = std::size_t{64} << 30U;
constexpr std::size_t map_bytes_min = std::size_t{1} << 20U;
constexpr std::size_t map_share = 4;

storage_options with_defaults(storage_options options) {
  static const system_clock machine;  // without state
  if (options.time == nullptr) {
    options.time = &machine;
  }
  if (options.map_bytes == 0) {
    options.map_bytes =
        options.disk_quota_bytes == 0 ? quota_bytes_default : options.disk_quota_bytes;
    struct rlimit limit {};
    if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
      options.map_bytes = std::min<std::size_t>(options.map_bytes, limit.rlim_cur / map_share);
    }
    options.map_bytes = std::max(options.map_bytes, map_bytes_min);
  }
  return options;
}

// `scan` takes a fresh view for each page, so that no view is held while its caller works.
constexpr std::size_t scan_page_rows = 256;

class engine final : public storage, public replication, public storage_warnings {
public:
  engine(engine_parts parts, const storage_options& options)
      : parts_(std::move(parts)), options_(options), overlay_(parts_.format.partition_count) {
    if (parts_.directory) {
      mark_ = parts_.directory->mark();
    }
  }

  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;
  ~engine() override { engine::stop(); }

  result<void> recover();

  void warn_by(std::function<void(const std::string&)> to) override {
    proof_->warn_by(std::move(to));
  }
  void commit(std::unique_ptr<commit_request> request) override {
    writer_->commit(request.release());
  }
  void read(std::unique_ptr<read_request> request) override { reader_->read(std::move(request)); }
  result<void> scan(partition_id partition, std::string_view prefix, std::string_view from,
                    std::size_t limit, const std::function<bool(const row&)>& visit) override;
  result<void> backup(const std::function<result<void>(std::string_view)>& write) override;
  [[nodiscard]] bool saturated() const noexcept override { return writer_->saturated(); }
  [[nodiscard]] std::optional<error> refusal() const override { return writer_->refusal(); }
  [[nodiscard]] std::string allocation_id() const override { return parts_.format.allocation_id; }
  [[nodiscard]] std::uint16_t partition_count() const noexcept override {
    return parts_.format.partition_count;
  }
  [[nodiscard]] storage_stats stats() const override;
  void stop() override;

  [[nodiscard]] replication* cluster_side() noexcept override {
    return options_.in_cluster ? this : nullptr;
  }
  [[nodiscard]] const std::optional<cluster_mark>& mark() const noexcept override { return mark_; }
  [[nodiscard]] result<void> set_mark(const cluster_mark& mark) override {
    auto set = parts_.directory ? parts_.directory->set_mark(mark) : result<void>{};
    if (set) {
      mark_ = mark;
    }
    return set;
  }
  [[nodiscard]] std::string mark_file() const override {
    return cluster_mark_file(options_.directory);
  }
  [[nodiscard]] bool found_data() const noexcept override { return found_data_; }
  void join(replication_host& host, const replication_settings& settings) override {
    writer_->join(host, settings);
  }
  void host(partition_id partition, bool wanted) override {
    writer_->post([=](replica_driver& copies, steady_time) { copies.host(partition, wanted); });
  }
  void receive(const std::string& silo, std::string frame) override {
    const auto bytes = frame.size();
    writer_->post(
        [silo, frame = std::move(frame)](replica_driver& copies, steady_time now) {
          copies.receive(silo, frame, now);
        },
        bytes);
  }
  void session_ended(const std::string& silo) override {
    writer_->post([=](replica_driver& copies, steady_time) { copies.session_ended(silo); });
  }
  void learn(partition_id partition, partition_record record) override {
    writer_->post([partition, record = std::move(record)](replica_driver& copies, steady_time now) {
      copies.learn(partition, record, now);
    });
  }
  void found(partition_id partition) override {
    writer_->post([=](replica_driver& copies, steady_time) { copies.found(partition); });
  }
  void silo_died(const std::string& silo, std::uint64_t incarnation, bool is_proven) override {
    writer_->post([=](replica_driver& copies, steady_time now) {
      copies.silo_died(silo, incarnation, is_proven, now);
    });
  }
  void hand_over(partition_id partition, const std::string& to) override {
    writer_->post(
        [=](replica_driver& copies, steady_time now) { copies.hand_over(partition, to, now); });
  }
  void abdicate(partition_id partition) override {
    writer_->post(
        [=](replica_driver& copies, steady_time now) { copies.abdicate(partition, now); });
  }
  void move_off(partition_id partition, const std::string& silo) override {
    writer_->post([=](replica_driver& copies, steady_time) { copies.move_off(partition, silo); });
  }
  void break_glass(partition_id partition) override {
    writer_->post(
        [=](replica_driver& copies, steady_time now) { copies.break_glass(partition, now); });
  }
  void leave() override {
    writer_->post([](replica_driver& copies, steady_time) { copies.leave(); });
  }
  [[nodiscard]] const partition_lease& lease(partition_id partition) const noexcept override {
    return writer_->lease(partition);
  }
  [[nodiscard]] std::vector<copy_status> copies() override { return writer_->copies(); }
  void time_changed() override {
    writer_->post([](replica_driver&, steady_time) {});  // with any input it looks at the clock
  }
  [[nodiscard]] std::optional<std::uint64_t> rounds_if_idle() override {
    const auto written = writer_->rounds_if_idle();
    return written && reader_->is_idle() ? std::optional{*written + reader_->rows_read()}
                                         : std::nullopt;
  }

private:
  [[nodiscard]] result<void> check_whole();
  [[nodiscard]] error of_journal(const error& why) const;

  engine_parts parts_;
  const storage_options options_;
  std::optional<cluster_mark> mark_;
  bool found_data_ = false;
  std::unique_ptr<replica_table> copies_;
  overlay overlay_;
  std::unique_ptr<row_prover> proof_;
  std::unique_ptr<journal_writer> writer_;
  std::unique_ptr<row_reader> reader_;
};

// What is wrong with what the journal holds, with its file.
error engine::of_journal(const error& why) const {
  return parts_.directory
             ? error{why.code(), parts_.directory->journal_path() + "/data.mdb: " + why.text()}
             : why;
}

result<void> engine::recover() {
  auto progress = parts_.rows->progress();
  if (!progress) {
    return progress.error();
  }
  const auto now = options_.time->steady();
  auto copies = recover_copies(*parts_.entries, *progress, partition_count(), now);
  if (!copies) {
    return of_journal(copies.error());
  }
  found_data_ = parts_.rows->row_count() > 0;
  for (auto& each : *copies) {
    found_data_ = found_data_ || each.log().tail().seq > 0 || is_void(each.state());
    if (options_.in_cluster) {
      continue;  // it leads nothing before it has learnt that it does
    }
    if (is_void(each.state())) {
      return error{errc::failed_precondition,
                   options_.directory +
                       ": a partition was being filled by other silos of a cluster; open it as a "
                       "silo of that cluster"};
    }
    take_over_alone(each, now);
  }
  copies_ = std::make_unique<replica_table>(*std::move(copies));
  auto applied = apply_committed(*parts_.entries, *copies_, [this](const journal_entry& entry) {
    overlay_.apply(entry.partition, entry.ops);
  });
  if (!applied) {
    return of_journal(applied.error());
  }
  auto snapshot = parts_.rows->open_snapshot();
  if (!snapshot) {
    return snapshot.error();
  }
  proof_ = std::make_unique<row_prover>(*parts_.rows, partition_count());
  const journal_writer_parts writer_parts{*parts_.entries, *copies_, overlay_, *parts_.rows,
                                          *proof_};
  writer_ = std::make_unique<journal_writer>(writer_parts, options_);
  reader_ =
      std::make_unique<row_reader>(overlay_, std::move(*snapshot), partition_count(), *proof_);
  return {};
}

result<void> engine::scan(partition_id partition, std::string_view prefix, std::string_view from,
                          std::size_t limit, const std::function<bool(const row&)>& visit) {
  if (static_cast<unsigned>(partition) >= partition_count() ||
      from.size() > row_key_bytes_max + 1 || prefix.size() > row_key_bytes_max) {
    return error{errc::invalid_argument, "a scan names a partition or key that cannot exist"};
  }
  proof_->need(partition);
  auto snapshot = parts_.rows->open_snapshot();
  if (!snapshot) {
    return snapshot.error();
  }
  row_view view{overlay_, **snapshot};
  std::string start{from};
  while (limit > 0) {
    if (auto opened = view.open(); !opened) {
      return opened;
    }
    const key_range range{prefix, start, std::min(limit, scan_page_rows)};
    auto rows = view.read(partition, range);
    view.close();
    reader_->rest_later();
    if (!rows) {
      return rows.error();
    }
    for (const auto& each : *rows) {
      if (!visit(each)) {
        return {};
      }
    }
    if (rows->size() < range.limit) {
      return {};
    }
    limit -= rows->size();
    start = rows->back().key + '\0';
  }
  return {};
}

// A copy that is not in the set may lack anything, and one that follows knows of a commit a moment
// later than who made it.
result<void> engine::check_whole() {
  const auto copies = writer_->copies();  // none before it has joined
  for (const auto& each : copies) {
    const auto& set = each.record.in_sync;
    const bool is_whole = std::any_of(set.begin(), set.end(),
                                      [&](const placed_copy& copy) { return copy.id == each.id; });
    if (!is_whole) {
      return error{errc::failed_precondition,
                   "this silo does not have all partitions of its cluster in full: back up one "
                   "that has, as `millrace partitions` shows"};
    }
  }
  return copies.empty() ? result<void>{error{errc::unavailable, "it is in no cluster yet"}}
                        : result<void>{};
}

// The moment is one between two group commits: what the checkpoint's snapshot lacks is in the
// overlay.
result<void> engine::backup(const std::function<result<void>(std::string_view)>& write) {
  if (!proof_->wait_for_all()) {
    return error{errc::unavailable, "storage has stopped"};
  }
  if (options_.in_cluster) {
    if (auto whole = check_whole(); !whole) {
      return whole;
    }
  }
  auto snapshot = parts_.rows->open_snapshot();
  if (!snapshot) {
    return snapshot.error();
  }
  row_view view{overlay_, **snapshot};
  result<void> opened;
  if (!writer_->between_groups([&] { opened = view.open_for_long(); })) {
    return error{errc::unavailable, "storage has stopped"};
  }
  if (!opened) {
    return opened;
  }
  backup_writer out{write};
  if (auto begun = out.begin(partition_count()); !begun) {
    return begun;
  }
  for (std::uint16_t index = 0; index < partition_count(); ++index) {
    auto copied =
        view.each_row(partition_id{index}, {}, [&](std::string_view key, std::string_view value) {
          return out.add(partition_id{index}, key, value);
        });
    if (!copied) {
      return copied;
    }
  }
  reader_->rest_later();
  return out.finish();
}

storage_stats engine::stats() const {
  const auto& written = writer_->counters();
  const auto& checkpointed = writer_->checkpoint_figures();
  storage_stats stats;
  stats.commits = written.commits;
  stats.group_commits = written.group_commits;
  written.commit_time.add_to(stats.commit_time);
  written.flush_time.add_to(stats.flush_time);
  stats.written_bytes = written.written_bytes.read();
  stats.checkpoint_lag_batches = written.lag_batches;
  stats.rows_read = reader_->rows_read();
  stats.journal_backlog_bytes = written.backlog_bytes;
  stats.overlay_bytes = overlay_.bytes();
  stats.journal_bytes = written.journal_bytes;
  stats.map_used_permille = writer_->used_permille();
  stats.checkpoint_transactions = checkpointed.transactions;
  stats.checkpoint_rows = checkpointed.rows;
  return stats;
}

void engine::stop() {
  if (proof_ != nullptr) {
    proof_->stop();
  }
  if (writer_ != nullptr) {
    writer_->stop();
  }
  if (reader_ != nullptr) {
    reader_->stop();
  }
}

}  // namespace

result<std::unique_ptr<storage>> make_engine(engine_parts parts, const storage_options& options) {
  auto made = std::make_unique<engine>(std::move(parts), with_defaults(options));
  if (auto recovered = made->recover(); !recovered) {
    return recovered.error();
  }
  return std::unique_ptr<storage>{std::move(made)};
}

namespace {

result<std::unique_ptr<storage>> open_parts(data_directory directory,
                                            const storage_options& options) {
  const bool must_exist = !directory.is_new();
  auto entries = open_lmdb_journal({directory.journal_path(), options.map_bytes, must_exist});
  if (!entries) {
    return entries.error();
  }
  auto rows = open_lmdb_checkpoint({directory.checkpoint_path(), options.map_bytes, must_exist});
  if (!rows) {
    return rows.error();
  }
  if (directory.format().version == data_format_without_digests) {
    if (auto adopted = (*rows)->adopt(); !adopted) {
      return adopted.error();
    }
  }
  if (directory.is_new() || directory.needs_conversion()) {
    auto made = make_copies(**entries, **rows, directory.format().partition_count);
    if (!made) {
      return error{made.error().code(), options.directory + ": " + made.error().text()};
    }
  }
  if (auto finished = directory.finish(); !finished) {
    return finished.error();
  }
  auto format = directory.format();
  return make_engine(
      {std::move(directory), std::move(format), std::move(*entries), std::move(*rows)}, options);
}

}  // namespace

result<std::unique_ptr<storage>> open_storage(const storage_options& wanted) {
  const auto options = with_defaults(wanted);
  auto directory = data_directory::open(options.directory, options.partition_count);
  if (!directory) {
    return directory.error();
  }
  const auto mark = directory->mark();
  if (mark && !options.in_cluster) {
    return error{errc::failed_precondition,
                 options.directory + " holds silo '" + mark->silo + "' of the cluster " +
                     mark->cluster_id + " (" + options.directory +
                     "/CLUSTER): what it has may be behind what its cluster has acknowledged; "
                     "start it as that silo of that cluster, or name another directory"};
  }
  auto opened = open_parts(*std::move(directory), options);
  if (!opened && opened.error().code() == errc::storage_failed && mark) {
    return error{errc::storage_failed,
                 opened.error().text() + "; here: `rm -r " + options.directory +
                     "`, while `millrace cluster health` says that others serve every partition"};
  }
  return opened;
}

std::unique_ptr<storage> make_memory_storage(std::uint16_t partition_count) {
  engine_parts parts;
  parts.format.partition_count = partition_count;
  parts.format.allocation_id = mint_allocation_id();
  parts.entries = make_memory_journal();
  parts.rows = make_memory_checkpoint();
  const auto copied = make_copies(*parts.entries, *parts.rows, partition_count);
  MILLRACE_ASSERT(copied.has_value());
  auto made = make_engine(std::move(parts), {});
  MILLRACE_ASSERT(made.has_value());
  return std::move(*made);
}

}  // namespace millrace::runtime
