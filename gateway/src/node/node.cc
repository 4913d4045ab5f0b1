// SPDX-License-Identifier: MIT
#include "node/node.h"

#include <sys/stat.h>

#include <cerrno>

#include "millrace/runtime/cluster_address.h"
#include "version.h"

namespace millrace::gateway {

using runtime::result;

namespace {

// A silo that has no copies of partitions has no rows.
result<std::unique_ptr<runtime::storage>> open_rows(
    const std::filesystem::path& data, const std::optional<runtime::cluster_options>& cluster) {
  if (cluster && !cluster->roles.state) {
    return std::unique_ptr<runtime::storage>{};
  }
  runtime::storage_options rows;
  rows.directory = (data / "state").string();
  rows.in_cluster = cluster.has_value();
  return runtime::open_storage(rows);
}

}  // namespace

result<std::unique_ptr<node>> node::open(const node_options& options) {
  std::error_code failed;
  auto data = std::filesystem::absolute(options.data_directory, failed).lexically_normal();
  if (!data.has_filename()) {
    data = data.parent_path();  // it ended with a slash
  }
  if (!failed) {
    std::filesystem::create_directories(data.parent_path(), failed);
  }
  // For its owner only: what tasks write may be secret. One that is there stays as it is.
  if (!failed && ::mkdir(data.c_str(), 0700) != 0) {
    const std::error_code refused{errno, std::generic_category()};
    std::error_code unknown;
    failed = std::filesystem::is_directory(data, unknown) ? std::error_code{} : refused;
  }
  if (failed) {
    return runtime::error{runtime::errc::invalid_argument, "cannot make the data directory '" +
                                                               options.data_directory.string() +
                                                               "': " + failed.message()};
  }
  auto rows = open_rows(data, options.silo.cluster);
  if (!rows) {
    return std::move(rows).error();
  }
  std::unique_ptr<node> made{new node};
  auto setup = options.silo;
  if (options.traces) {
    auto traces = *options.traces;
    traces.resource = {.instance = setup.name, .version = std::string{version_text}};
    setup.trace.sink = made->traces_ = std::make_shared<otlp_exporter>(std::move(traces));
  }
  made->silo_ = std::make_unique<runtime::silo>(*std::move(rows), std::move(setup));
  if (options.add_types) {
    options.add_types(*made->silo_);
  }
  made->executes_ = !options.silo.cluster || options.silo.cluster->roles.execute;
  actors::pipeline_host_options hosted{.data_directory = data,
                                       .slots = options.slots,
                                       .resources = options.resources,
                                       .pools = options.pools,
                                       .retention = options.retention,
                                       .secrets = options.secrets,
                                       .warn = options.warn,
                                       .log = options.log};
  if (options.silo.cluster) {
    hosted.host = runtime::advertised_host(*options.silo.cluster);
    hosted.lease = actors::lease_timing{};
  }
  auto host = actors::pipeline_host::open(std::move(hosted), *made->silo_);
  if (!host) {
    return std::move(host).error();
  }
  made->host_ = *std::move(host);
  made->data_ = std::move(data);
  made->keyring_ = options.secrets.keys;
  if (auto started = made->silo_->start(); !started) {
    return std::move(started).error();
  }
  if (options.before_work) {
    if (auto agreed = options.before_work(*made->silo_); !agreed) {
      return std::move(agreed).error();
    }
  }
  if (made->executes_) {
    if (auto joined = made->host_->join(); !joined) {
      return std::move(joined).error();
    }
  }
  return made;
}

node::~node() {
  stop();
}

void node::stop() {
  if (host_) {
    host_->stop();
  }
  if (silo_) {
    silo_->stop();
  }
  if (traces_) {
    traces_->stop();
  }
}

}  // namespace millrace::gateway
